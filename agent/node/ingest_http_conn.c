#include "node/ingest_http_private.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/log.h"
#include "stats/stats.h"

/* Deadlines are no finer than the kernel's tick, and this is read three times a request. */
static int64_t
now_ms(void)
{
	return mono_coarse_ms();
}

/* Pools are as large as they may ever become, but the kernel backs only pages that were touched:
 * free entries are reused before new ones are. */
static void *
pool_map(size_t n, size_t size)
{
	void *p = mmap(NULL, n * size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int
http_worker_init(struct http_worker *w)
{
	size_t n = (size_t)w->http->c->http_connections;

	w->listen_fd = -1;
	if (pthread_mutex_init(&w->lock, NULL) != 0)
		return -ENOMEM;
	w->conns = pool_map(n, sizeof(*w->conns));
	w->bodies = pool_map(n, sizeof(*w->bodies));
	return w->conns && w->bodies ? 0 : -ENOMEM;
}

void
http_worker_fini(struct http_worker *w)
{
	size_t n = (size_t)w->http->c->http_connections;

	statics_free(w->statics);
	http_rules_free(w->rules);
	http_rules_free(atomic_exchange(&w->next_rules, NULL));
	if (w->conns)
		munmap(w->conns, n * sizeof(*w->conns));
	if (w->bodies)
		munmap(w->bodies, n * sizeof(*w->bodies));
	pthread_mutex_destroy(&w->lock);
}

/* -- deadlines -- */

/* A connection lives in turns: waiting for a request, which libmicrohttpd ends after idle_timeout
 * without a byte, and serving one. One byte in time keeps the first turn alive for ever, so both
 * have an end here that bytes do not move. */
static void
set_deadline(struct http_conn *k, int64_t at_ms)
{
	atomic_store_explicit(&k->deadline_ms, at_ms, memory_order_relaxed);
}

void
http_worker_sweep(struct http_worker *w)
{
	int64_t now = now_ms();
	struct http_conn *k;

	pthread_mutex_lock(&w->lock);
	for (k = w->open; k; k = k->next) {
		if (atomic_load_explicit(&k->deadline_ms, memory_order_relaxed) > now)
			continue;
		/* the daemon sees the end of the stream and closes; a closed one left the list */
		atomic_store_explicit(&k->deadline_ms, INT64_MAX, memory_order_relaxed);
		shutdown(k->fd, SHUT_RDWR);
		stat_add(STAT_HTTP_TIMEOUT, 1);
	}
	pthread_mutex_unlock(&w->lock);
}

/* -- draining -- */

size_t
http_worker_older(struct http_worker *w, int64_t moment_ms)
{
	const struct http_conn *k;
	size_t n = 0;

	pthread_mutex_lock(&w->lock);
	for (k = w->open; k; k = k->next)
		n += k->since_ms <= moment_ms;
	pthread_mutex_unlock(&w->lock);
	return n;
}

/* Only the reading half is shut. A request that has arrived by then, even one that the daemon did
 * not see yet, is still read and answered; behind it the daemon sees the end of the stream and
 * closes. So the only request that can meet a closed connection is one under way at that moment. */
static bool
waits_for(const struct http_conn *k, int64_t idle_ms, int64_t fresh_ms)
{
	switch (atomic_load(&k->turn)) {
	case TURN_WAITS:
		return now_ms() - atomic_load(&k->waits_since_ms) >= idle_ms;
	case TURN_FRESH:
		return now_ms() - k->since_ms >= fresh_ms;
	case TURN_BUSY:
		break;
	}
	return false;
}

void
http_worker_hang_up(struct http_worker *w, int64_t idle_ms, int64_t fresh_ms)
{
	struct http_conn *k;

	pthread_mutex_lock(&w->lock);
	for (k = w->open; k; k = k->next) {
		if (k->hung_up || !waits_for(k, idle_ms, fresh_ms))
			continue;
		shutdown(k->fd, SHUT_RD);
		k->hung_up = true;
	}
	pthread_mutex_unlock(&w->lock);
}

/* -- admitting -- */

#define CROWDED_LOG_S 60

static _Thread_local bool deals;

void
http_conn_deals(void)
{
	deals = true;
}

static bool
is_trusted(struct ingest_http *h, const struct sockaddr *peer)
{
	bool trusted;

	pthread_mutex_lock(&h->trust_lock);
	trusted = client_is_trusted(h->trusted, peer);
	pthread_mutex_unlock(&h->trust_lock);
	return trusted;
}

/* Without the address: no log holds one. */
static void
say_crowded(void)
{
	static _Atomic int64_t last_s = -CROWDED_LOG_S;
	int64_t now_s = now_ms() / 1000, last = atomic_load(&last_s);

	if (now_s - last >= CROWDED_LOG_S && atomic_compare_exchange_strong(&last_s, &last, now_s))
		log_warn("an address holds http.connections_per_address; its further connections "
			 "are closed, and this is not said again for a minute",
			 "closed_so_far=%llu", (unsigned long long)stat_get(STAT_HTTP_CROWDED));
}

/* Places are taken before a connection is handed to libmicrohttpd, by both threads that do so:
 * of version 0.9.75 a worker that is handed one more than its limit never runs again (it keeps
 * a lock). */
bool
http_worker_admit(struct http_worker *w, const struct sockaddr *peer)
{
	struct ingest_http *h = w->http;

	if (atomic_fetch_add(&w->n_held, 1) >= (size_t)h->c->http_connections) {
		atomic_fetch_sub(&w->n_held, 1);
		stat_add(STAT_HTTP_FULL, 1);
		return false;
	}
	if (peer_limit_enter(h->peers, peer) || is_trusted(h, peer))
		return true;
	http_worker_part(w, peer);
	stat_add(STAT_HTTP_CROWDED, 1);
	say_crowded();
	return false;
}

void
http_worker_part(struct http_worker *w, const struct sockaddr *peer)
{
	peer_limit_leave(w->http->peers, peer);
	atomic_fetch_sub(&w->n_held, 1);
}

enum MHD_Result
http_conn_accept(void *cls, const struct sockaddr *peer, socklen_t len)
{
	struct http_worker *w = cls;
	const struct sockaddr_storage *last = &w->unborn_peer;

	if (deals)
		return MHD_YES;
	if (w->unborn) /* memory was short, so that it was closed without a word */
		http_worker_part(w, (const struct sockaddr *)last);
	w->unborn = http_worker_admit(w, peer);
	memcpy(&w->unborn_peer, peer, len < sizeof(*last) ? len : sizeof(*last));
	return w->unborn ? MHD_YES : MHD_NO;
}

/* -- connections -- */

static struct http_conn *
conn_take(struct http_worker *w)
{
	struct http_conn *k = NULL;

	pthread_mutex_lock(&w->lock);
	if (w->free) {
		k = w->free;
		w->free = k->next;
	} else if (w->conns_used < (size_t)w->http->c->http_connections) {
		k = &w->conns[w->conns_used++];
	}
	pthread_mutex_unlock(&w->lock);
	return k;
}

static void
conn_enter(struct http_worker *w, struct http_conn *k)
{
	pthread_mutex_lock(&w->lock);
	k->prev = NULL;
	k->next = w->open;
	if (w->open)
		w->open->prev = k;
	w->open = k;
	pthread_mutex_unlock(&w->lock);
	atomic_fetch_add(&w->n_open, 1);
}

static void
conn_leave(struct http_worker *w, struct http_conn *k)
{
	pthread_mutex_lock(&w->lock);
	if (k->prev)
		k->prev->next = k->next;
	else
		w->open = k->next;
	if (k->next)
		k->next->prev = k->prev;
	k->next = w->free;
	w->free = k;
	pthread_mutex_unlock(&w->lock);
	atomic_fetch_sub(&w->n_open, 1);
}

/* Taken off after the connection was entered, so that at no moment it is in neither count. */
static void
arrived(struct http_worker *w)
{
	if (!w->unborn)
		atomic_fetch_sub(&w->n_dealt, 1);
	w->unborn = false;
}

static void
conn_started(struct http_worker *w, struct MHD_Connection *connection, void **socket_context)
{
	const union MHD_ConnectionInfo *info;
	const struct sockaddr *peer;
	struct http_conn *k = conn_take(w);

	stat_add(STAT_HTTP_CONNECTIONS, 1);
	/* one answer at a time: libmicrohttpd 1.0 writes the next over it */
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	peer = info ? info->client_addr : NULL;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (!k || !info || !peer) {
		arrived(w);
		return; /* its first request is refused */
	}
	k->fd = info->connect_fd;
	k->since_ms = now_ms();
	k->hung_up = false;
	atomic_store(&k->turn, TURN_FRESH);
	k->peer = peer;
	k->stage = STAGE_IDLE;
	k->body = NULL;
	k->bytes = 0;
	set_deadline(k, k->since_ms + w->http->c->http_request_timeout);
	conn_enter(w, k);
	arrived(w);
	*socket_context = k;
}

#define ROUNDING_MS 100 /* its clock and ours, read one after the other */
#define NOTHING 3 /* bytes: an empty line, as some send behind a body, and a FIN counts as one */

/* Of what came, what became no request of ours. The kernel tells, since libmicrohttpd does not. */
static uint64_t
bytes_left(const struct http_conn *k)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(k->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0; /* a unix socket */
	return info.tcpi_bytes_received > k->bytes ? info.tcpi_bytes_received - k->bytes : 0;
}

/* A connection that ended between two requests, or before the first. When libmicrohttpd cannot read
 * a request line it answers and closes, or only closes, and tells us nothing of it. */
static void
count_end(const struct http_worker *w, const struct http_conn *k)
{
	bool fresh = atomic_load(&k->turn) == TURN_FRESH;
	int64_t since = fresh ? k->since_ms : atomic_load(&k->waits_since_ms);
	int64_t longest = w->http->c->http_idle_timeout - ROUNDING_MS;
	bool late = atomic_load(&k->deadline_ms) == INT64_MAX || now_ms() - since >= longest;

	if (!fresh && k->last)
		return; /* the rest was not to be read */
	if (bytes_left(k) > NOTHING)
		stat_add(late ? STAT_HTTP_INCOMPLETE : STAT_HTTP_REFUSED, 1);
	else if (fresh)
		stat_add(STAT_HTTP_UNUSED, 1);
}

static void
conn_ended(struct http_worker *w, struct MHD_Connection *connection, struct http_conn *k)
{
	const union MHD_ConnectionInfo *peer =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	if (k) {
		conn_leave(w, k); /* to the next connection of this thread: k stays as it is */
		if (atomic_load(&k->turn) != TURN_BUSY)
			count_end(w, k);
	}
	if (peer)
		http_worker_part(w, peer->client_addr);
}

void
http_conn_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
		 enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		conn_started(cls, connection, socket_context);
	else
		conn_ended(cls, connection, *socket_context);
}

struct http_conn *
http_conn_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

void *
http_conn_uri_seen(void *cls, const char *uri, struct MHD_Connection *connection)
{
	struct http_worker *w = cls;
	struct http_conn *k = http_conn_of(connection);

	if (k) {
		k->target = text_of(uri);
		if (!http_target_is_plain(k->target))
			k->target = (struct text){NULL, 0};
		set_deadline(k, now_ms() + w->http->c->http_request_timeout);
		atomic_store_explicit(&k->turn, TURN_BUSY, memory_order_release);
	}
	return NULL;
}

/* -- bodies that came in pieces -- */

bool
http_conn_keep(struct http_worker *w, struct http_conn *k, const char *bytes, size_t n)
{
	if (!k->body && w->free_body) {
		k->body = w->free_body;
		w->free_body = k->body->next_free;
	} else if (!k->body && w->bodies_used < (size_t)w->http->c->http_connections) {
		k->body = &w->bodies[w->bodies_used++];
	}
	if (!k->body || n > BEACON_BODY_MAX - k->have)
		return false;
	memcpy(k->body->bytes + k->have, bytes, n);
	k->have += n;
	return true;
}

static bool
is_answered(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_HTTP_STATUS) != NULL;
}

void
http_conn_completed(void *cls, struct MHD_Connection *connection, void **req_cls,
		    enum MHD_RequestTerminationCode how)
{
	struct http_worker *w = cls;
	struct http_conn *k = *req_cls;
	int64_t now = now_ms();

	if (how == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED)
		stat_add(STAT_HTTP_TIMEOUT, 1);
	if (!k) { /* its headers never became whole, or libmicrohttpd answered by itself */
		stat_add(is_answered(connection) ? STAT_HTTP_REFUSED : STAT_HTTP_INCOMPLETE, 1);
		return;
	}
	if (k->stage == STAGE_BODY)
		admit_refuse(w->admit, wall_now(), SOURCE_BEACON, REASON_INVALID_INCOMPLETE);
	if (k->body) {
		k->body->next_free = w->free_body;
		w->free_body = k->body;
		k->body = NULL;
	}
	k->stage = STAGE_IDLE;
	atomic_store_explicit(&k->waits_since_ms, now, memory_order_relaxed);
	atomic_store_explicit(&k->turn, TURN_WAITS, memory_order_release);
	set_deadline(k, now + w->http->c->http_idle_timeout + w->http->c->http_request_timeout);
}
