#include "node/ingest_http_private.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stats/stats.h"

#define READS_MAX 4     /* of one connection before the others have their turn */
#define LINGER_MS 2000  /* for a client to read its last answer and go */
#define BUFFERS_KEPT 64 /* so many may stay in memory when nobody needs them */

/* -- buffers -- */

/* There are as many as connections. */
static struct http_buffer *
buffer_take(struct http_worker *w)
{
	struct http_buffer *b = w->free_buffer;
	void *fresh = w->buffers + w->buffers_used * w->stride;

	w->buffers_lent++;
	if (!b) {
		w->buffers_used++;
		return fresh;
	}
	w->free_buffer = b->next_free;
	return b;
}

/* What a storm has touched goes back to the kernel once the last one is free. */
static void
buffer_give(struct http_worker *w, struct http_conn *k)
{
	if (!k->buffer)
		return;
	k->buffer->next_free = w->free_buffer;
	w->free_buffer = k->buffer;
	k->buffer = NULL;
	k->have = 0;
	if (--w->buffers_lent > 0 || w->buffers_used < BUFFERS_KEPT)
		return;
	madvise(w->buffers, w->buffers_used * w->stride, MADV_DONTNEED);
	w->free_buffer = NULL;
	w->buffers_used = 0;
}

/* -- the end -- */

static void
conn_close(struct http_worker *w, struct http_conn *k)
{
	buffer_give(w, k);
	if (k->prev)
		k->prev->next = k->next;
	else
		w->open = k->next;
	if (k->next)
		k->next->prev = k->prev;
	k->next = w->free_conn;
	w->free_conn = k;
	if (k->dealt)
		epoll_ctl(w->epoll, EPOLL_CTL_DEL, k->fd, NULL);
	close(k->fd);
	peer_limit_leave(w->http->peers, &k->peer.sa);
	atomic_fetch_sub(&w->n_open, 1);
	atomic_fetch_sub(&w->n_held, 1);
	w->freed = true;
}

/* The client has gone, or its time is over. */
static void
conn_cut(struct http_worker *w, struct http_conn *k)
{
	if (k->begun)
		http_request_cut(w);
	else if (k->busy && k->state == HTTP_READS && k->skip == 0)
		stat_add(STAT_HTTP_INCOMPLETE, 1);
	else if (!k->asked)
		stat_add(STAT_HTTP_UNUSED, 1);
	conn_close(w, k);
}

/* -- writing -- */

static void
watch(struct http_worker *w, struct http_conn *k, int how)
{
	struct epoll_event want = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = k};

	if (k->state == HTTP_WRITES)
		want.events = EPOLLOUT | EPOLLET;
	if (epoll_ctl(w->epoll, how, k->fd, &want) < 0)
		k->broken = true; /* memory is short: its deadline ends it */
}

void
http_conn_send(struct http_worker *w, struct http_conn *k, struct http_answer *a, size_t bytes)
{
	ssize_t n;
	size_t sent;

	http_answer_set_date(a, w->date);
	k->asked = true;
	k->last = k->last || a->closes;
	n = send(k->fd, a->bytes, bytes, MSG_NOSIGNAL);
	if (n == (ssize_t)bytes)
		return;
	if (n < 0 && errno != EAGAIN) {
		k->broken = k->last = true;
		return;
	}
	sent = n > 0 ? (size_t)n : 0;
	k->out = a->bytes + sent;
	k->out_len = bytes - sent;
	k->state = HTTP_WRITES;
	if (a->lasts)
		return;
	if (!k->buffer)
		k->buffer = buffer_take(w);
	memcpy(k->buffer->out, k->out, k->out_len);
	k->out = k->buffer->out;
}

void
http_conn_send_interim(struct http_conn *k, struct text line)
{
	ssize_t n = send(k->fd, line.at, line.len, MSG_NOSIGNAL);

	if (n > 0 && (size_t)n < line.len)
		shutdown(k->fd, SHUT_RDWR); /* half a line cannot be taken back */
}

/* False while bytes are left, or when the connection has ended. */
static bool
flush(struct http_worker *w, struct http_conn *k)
{
	ssize_t n = send(k->fd, k->out, k->out_len, MSG_NOSIGNAL);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0) {
		conn_close(w, k);
		return false;
	}
	k->out += n;
	k->out_len -= (size_t)n;
	return k->out_len == 0;
}

/* -- the last answer -- */

/* Closing with bytes unread would reset the connection, and the client might never see the answer
 * (RFC 9112, section 9.6). */
static void
conn_finish(struct http_worker *w, struct http_conn *k, bool unread)
{
	if (!unread || k->broken || shutdown(k->fd, SHUT_WR) < 0) {
		conn_close(w, k);
		return;
	}
	buffer_give(w, k);
	k->state = HTTP_LINGERS;
	k->skip = HTTP_DISCARD_MAX;
	k->deadline_ms = w->now_ms + LINGER_MS;
	watch(w, k, EPOLL_CTL_MOD); /* reports what lies there unread */
}

static bool
linger(struct http_worker *w, struct http_conn *k, size_t n)
{
	if (n < k->skip) {
		k->skip -= n;
		return true;
	}
	conn_close(w, k);
	return false;
}

/* -- reading -- */

static void
become_busy(struct http_worker *w, struct http_conn *k)
{
	if (k->busy)
		return;
	k->busy = true;
	k->deadline_ms = w->now_ms + w->http->c->http_request_timeout;
}

static void
become_idle(struct http_worker *w, struct http_conn *k)
{
	k->busy = false;
	if (!k->asked)
		return; /* an empty line first: what began with the connection goes on */
	k->idle_since_ms = w->now_ms;
	k->deadline_ms = w->now_ms + w->http->c->http_idle_timeout;
}

/* A blank line, as some send behind a body, begins no request. */
static bool
is_blank_line(const char *at, size_t len)
{
	return at[0] == '\r' && (len == 1 || (len == 2 && at[1] == '\n'));
}

/* What belongs to a request that is not whole, or is not to be read before an answer is out. */
static void
keep(struct http_worker *w, struct http_conn *k, const char *at, size_t len)
{
	bool idle = k->state == HTTP_READS && k->skip == 0;

	if (len == 0 && idle) {
		buffer_give(w, k);
		become_idle(w, k);
		return;
	}
	if (len > 0) {
		if (!k->buffer)
			k->buffer = buffer_take(w);
		memmove(k->buffer->in, at, len);
	}
	k->have = len;
	if (idle && is_blank_line(k->buffer->in, len)) /* at: moved */
		become_idle(w, k);
	else
		become_busy(w, k);
}

static size_t
skip(struct http_conn *k, size_t len)
{
	size_t n = k->skip < len ? (size_t)k->skip : len;

	k->skip -= n;
	if (k->skip == 0)
		k->busy = false;
	return n;
}

static size_t
serve_one(struct http_worker *w, struct http_conn *k, const char *at, size_t len)
{
	size_t used = http_request_serve(w, k, at, len);

	if (used > 0)
		k->busy = false; /* what follows has a time of its own */
	return used;
}

/* All requests among the bytes. False when the connection has ended, or waits for a verdict or to
 * write. */
static bool
serve(struct http_worker *w, struct http_conn *k, const char *at, size_t len)
{
	size_t used;

	while (len > 0 && k->state == HTTP_READS && !k->last) {
		used = k->skip > 0 ? skip(k, len) : serve_one(w, k, at, len);
		if (used == 0)
			break;
		at += used;
		len -= used;
	}
	if (k->state == HTTP_WAITS)
		return false;
	if (k->last && k->state == HTTP_READS) {
		conn_finish(w, k, len > 0 || k->skip > 0);
		return false;
	}
	keep(w, k, at, len);
	if (k->state == HTTP_WRITES)
		watch(w, k, EPOLL_CTL_MOD);
	return k->state == HTTP_READS;
}

void
http_conn_settle(struct http_worker *w, struct http_turn *t, enum reason verdict)
{
	struct http_conn *k = t->conn;

	k->state = HTTP_READS;
	http_request_answer(w, t, verdict);
	t->conn = NULL;
	if (serve(w, k, t->arena, 0) && k->more)
		watch(w, k, EPOLL_CTL_MOD); /* reports at once when there is more */
}

static bool
receive(struct http_worker *w, struct http_conn *k, size_t n)
{
	const char *at = k->buffer ? k->buffer->in : w->next->arena;

	if (k->state == HTTP_LINGERS)
		return linger(w, k, n);
	return serve(w, k, at, k->have + n);
}

/* to_the_end: the client has closed its half. Edge-triggered: a read that was not filled has taken
 * all there was, and what comes later is reported. */
static void
read_all(struct http_worker *w, struct http_conn *k, bool to_the_end)
{
	char *at;
	size_t room;
	ssize_t n;
	int i;

	for (i = 0; i < READS_MAX; i++) {
		at = k->buffer ? k->buffer->in + k->have : w->next->arena;
		room = w->room - k->have;
		n = recv(k->fd, at, room, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			conn_cut(w, k);
			return;
		}
		k->more = (size_t)n == room || to_the_end;
		if (!receive(w, k, (size_t)n) || !k->more)
			return;
	}
	watch(w, k, EPOLL_CTL_MOD);
}

/* The answer is out: on with what came meanwhile. */
static bool
resume(struct http_worker *w, struct http_conn *k)
{
	if (!flush(w, k))
		return false;
	k->state = HTTP_READS;
	if (!serve(w, k, k->buffer ? k->buffer->in : w->next->arena, k->have))
		return false;
	watch(w, k, EPOLL_CTL_MOD);
	return true;
}

void
http_conn_event(struct http_worker *w, struct http_conn *k, uint32_t events)
{
	if (k->state != HTTP_WRITES)
		read_all(w, k, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
	else if (resume(w, k))
		read_all(w, k, true);
}

/* -- the beginning -- */

void
http_conn_open(struct http_worker *w, int fd, const union http_peer *peer, bool dealt)
{
	struct http_conn *k = w->free_conn;

	if (k)
		w->free_conn = k->next;
	else
		k = &w->conns[w->conns_used++]; /* a place is a connection of the pool */
	*k = (struct http_conn){.source = HTTP_CONN,
				.fd = fd,
				.peer = *peer,
				.dealt = dealt,
				.since_ms = w->now_ms,
				.idle_since_ms = w->now_ms,
				.deadline_ms = w->now_ms + w->http->c->http_request_timeout,
				.next = w->open};
	if (w->open)
		w->open->prev = k;
	w->open = k;
	atomic_fetch_add(&w->n_open, 1);
	stat_add(STAT_HTTP_CONNECTIONS, 1);
	watch(w, k, EPOLL_CTL_ADD);
}

/* -- the clock -- */

void
http_conn_sweep(struct http_worker *w)
{
	struct http_conn *k, *next;

	for (k = w->open; k; k = next) {
		next = k->next;
		if (k->deadline_ms > w->now_ms)
			continue;
		if (k->state == HTTP_LINGERS) {
			conn_close(w, k);
			continue;
		}
		if (k->busy)
			stat_add(STAT_HTTP_TIMEOUT, 1);
		conn_cut(w, k);
	}
}

void
http_conn_hang_up(struct http_worker *w, int64_t idle_ms, int64_t fresh_ms)
{
	struct http_conn *k;
	size_t older = 0;

	for (k = w->open; k; k = k->next) {
		older += k->since_ms <= w->http->drain_since_ms;
		if (k->busy || k->hung_up || k->state != HTTP_READS ||
		    w->now_ms - k->idle_since_ms < (k->asked ? idle_ms : fresh_ms))
			continue;
		shutdown(k->fd, SHUT_RD);
		k->hung_up = true;
	}
	atomic_store(&w->n_older, older);
}

void
http_conn_close_all(struct http_worker *w)
{
	while (w->open)
		conn_close(w, w->open);
}
