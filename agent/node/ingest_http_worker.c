#include "node/ingest_http_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/log.h"
#include "stats/stats.h"

#define EVENTS_MAX 128
#define ACCEPTS_MAX 16   /* of one door before the others have their turn */
#define TICK_MS 250      /* how late a request may be cut off */
#define DRAIN_STEP_MS 10 /* how late, in a drain, it is noticed that nobody is left */
#define FRESH_MS 1000    /* a new connection's first request takes no longer to come, or is none */
#define CROWDED_LOG_S 60

/* -- places -- */

/* Taken by whoever accepts, before it does: who finds none leaves the client in the backlog. */
static bool
place_take(struct http_worker *w)
{
	if (atomic_fetch_add(&w->n_held, 1) < (size_t)w->http->c->http_connections)
		return true;
	atomic_fetch_sub(&w->n_held, 1);
	return false;
}

static void
place_give(struct http_worker *w)
{
	atomic_fetch_sub(&w->n_held, 1);
}

/* A place of the worker with the fewest connections, or NULL when all are full. */
static struct http_worker *
place_with_fewest(struct ingest_http *h)
{
	struct http_worker *best = h->worker;
	size_t i;

	for (i = 1; i < h->n_workers; i++)
		if (atomic_load(&h->worker[i].n_held) < atomic_load(&best->n_held))
			best = &h->worker[i];
	return place_take(best) ? best : NULL;
}

/* -- who is let in -- */

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
say_crowded(int64_t now_s)
{
	static _Atomic int64_t last_s = -CROWDED_LOG_S;
	int64_t last = atomic_load(&last_s);

	if (now_s - last >= CROWDED_LOG_S && atomic_compare_exchange_strong(&last_s, &last, now_s))
		log_warn("an address holds http.connections_per_address; its further connections "
			 "are closed, and this is not said again for a minute",
			 "closed_so_far=%llu", (unsigned long long)stat_get(STAT_HTTP_CROWDED));
}

static bool
is_welcome(struct http_worker *w, const union http_peer *peer)
{
	if (peer_limit_enter(w->http->peers, &peer->sa) || is_trusted(w->http, &peer->sa))
		return true;
	peer_limit_leave(w->http->peers, &peer->sa);
	stat_add(STAT_HTTP_CROWDED, 1);
	say_crowded(w->now_ms / 1000);
	return false;
}

/* Gives a connection's place back that was taken in vain. */
void
http_conn_refuse(struct http_worker *to, const union http_peer *peer)
{
	peer_limit_leave(to->http->peers, &peer->sa);
	place_give(to);
	stat_add(STAT_HTTP_FULL, 1);
}

/* To the worker whose place it has. */
static void
deal(struct http_worker *w, struct http_worker *to, int fd, const union http_peer *peer)
{
	if (to == w) {
		http_conn_open(w, fd, peer, false);
	} else if (http_mail_connection(to, fd, peer) < 0) {
		/* it has stood still for some hundred letters */
		close(fd);
		http_conn_refuse(to, peer);
	}
}

/* -- doors -- */

static int
door_watch(struct http_worker *w, struct http_door *d)
{
	/* not every worker need wake up for a connection that one of them will take */
	struct epoll_event want = {.events = EPOLLIN | (d->shared ? EPOLLEXCLUSIVE : 0),
				   .data.ptr = d};

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, d->fd, &want) < 0 ? -errno : 0;
}

static void
door_close(struct http_worker *w, struct http_door *d)
{
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, d->fd, NULL);
	d->closed = w->doors_closed = true;
	w->freed = false;
}

/* Places or descriptors may be free again: one of ours is, or another worker's since the last tick.
 * Asked more often, a full agent would run in circles. */
static void
doors_open(struct http_worker *w)
{
	size_t i;

	w->doors_closed = false;
	for (i = 0; i < w->n_doors; i++)
		if (w->door[i].closed && w->door[i].fd >= 0) {
			w->door[i].closed = door_watch(w, &w->door[i]) < 0;
			w->doors_closed = w->doors_closed || w->door[i].closed;
		}
}

/* False when nobody waits at the door, or nobody can be let in. */
static bool
accept_one(struct http_worker *w, struct http_door *d)
{
	struct http_worker *to = d->shared ? place_with_fewest(w->http) : place_take(w) ? w : NULL;
	union http_peer peer = {.in6 = {0}};
	socklen_t len = sizeof(peer);
	int fd;

	if (!to) {
		door_close(w, d);
		return false;
	}
	fd = accept4(d->fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		place_give(to);
		if (errno == ECONNABORTED || errno == EINTR)
			return true;
		if (errno != EAGAIN)
			door_close(w, d); /* out of descriptors or memory: no busy loop */
		return false;
	}
	if (is_welcome(w, &peer)) {
		deal(w, to, fd, &peer);
	} else {
		close(fd);
		place_give(to);
	}
	return true;
}

static void
accept_some(struct http_worker *w, struct http_door *d)
{
	int i;

	for (i = 0; i < ACCEPTS_MAX && accept_one(w, d); i++)
		;
}

/* For good. What waits there would be reset, and is let in, unless the service manager holds the
 * door as well. */
static void
doors_end(struct http_worker *w)
{
	struct http_door *d;
	size_t i;

	for (i = 0; i < w->n_doors; i++) {
		d = &w->door[i];
		if (d->fd < 0)
			continue;
		if (!d->closed)
			epoll_ctl(w->epoll, EPOLL_CTL_DEL, d->fd, NULL);
		while (!d->passed && accept_one(w, d))
			;
		close(d->fd);
		d->closed = true;
		d->fd = -1;
	}
}

/* -- the loop -- */

void
http_worker_read_clocks(struct http_worker *w)
{
	w->wall = wall_now();
	w->mono = mono_now();
	w->now_ms = w->mono.us / 1000;
	if (w->wall.ms / SECOND_MS == w->date_s)
		return;
	w->date_s = w->wall.ms / SECOND_MS;
	http_date(w->date_s, w->date);
}

static void
count_open(struct ingest_http *h)
{
	size_t i, n = 0;

	for (i = 0; i < h->n_workers; i++)
		n += atomic_load(&h->worker[i].n_open);
	stat_set(STAT_HTTP_OPEN, n);
}

static void
tend(struct http_worker *w, enum http_phase phase)
{
	struct ingest_http *h = w->http;
	bool tick = w->now_ms >= w->tick_at_ms;

	if (tick) {
		w->tick_at_ms = w->now_ms + TICK_MS;
		http_conn_sweep(w);
		w->told_open = w->open != NULL;
		count_open(h);
	}
	if (w->doors_closed && (w->freed || tick))
		doors_open(w);
	if (phase == PHASE_ENDS && atomic_load(&w->phase) < PHASE_ENDS)
		doors_end(w);
	if (phase == PHASE_DRAINS) /* who has been silent for so long need not be waited for */
		http_conn_hang_up(w, h->drain_ms, h->drain_ms + FRESH_MS);
	else if (phase == PHASE_ENDS)
		http_conn_hang_up(w, 0, FRESH_MS);
	atomic_store(&w->phase, phase);
}

static void
settle_all(struct http_worker *w)
{
	unsigned i;

	admit_decide(w->admit, w->admission, w->n_waiting);
	for (i = 0; i < w->n_waiting; i++)
		http_conn_settle(w, &w->turn[i], w->admission[i].verdict);
	w->n_waiting = 0;
	w->next = w->turn;
}

void
http_worker_take(struct http_worker *w, const struct epoll_event *got, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		/* what it points to begins with it */
		switch (*(const enum http_source *)got[i].data.ptr) {
		case HTTP_CONN:
			http_conn_event(w, got[i].data.ptr, got[i].events);
			if (!w->next->conn)
				break;
			w->next++;
			if (++w->n_waiting == HTTP_TURNS)
				settle_all(w);
			break;
		case HTTP_DOOR:
			accept_some(w, got[i].data.ptr);
			break;
		case HTTP_MAIL:
			http_mail_read(w);
			break;
		}
	}
	settle_all(w);
}

/* An idle worker wakes up for nothing. */
static int
patience(const struct http_worker *w, enum http_phase phase)
{
	if (phase != PHASE_SERVES)
		return DRAIN_STEP_MS;
	return w->open || w->told_open || w->doors_closed ? TICK_MS : -1;
}

static void *
worker_main(void *ctx)
{
	struct http_worker *w = ctx;
	struct ingest_http *h = w->http;
	struct epoll_event got[EVENTS_MAX];
	enum http_phase phase;
	int n;

	w->apart = descriptors_keep(w->own, w->n_own) == 0;
	sem_post(&w->has_begun);
	while ((phase = (enum http_phase)atomic_load(&h->phase)) != PHASE_STOPS) {
		n = epoll_wait(w->epoll, got, EVENTS_MAX, patience(w, phase));
		http_worker_read_clocks(w);
		http_worker_take(w, got, n);
		tend(w, phase);
	}
	doors_end(w);
	http_conn_close_all(w);
	close(w->mail_in);
	close(w->epoll);
	return NULL;
}

/* -- start and stop -- */

/* Pools are as large as they may ever become, but the kernel backs only pages that were touched:
 * free entries are reused before new ones are. */
static void *
pool_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void
pool_unmap(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

int
http_worker_init(struct http_worker *w)
{
	const struct conf *c = w->http->c;
	size_t n = (size_t)c->http_connections, i;
	int err;

	sem_init(&w->has_begun, 0, 0);
	w->epoll = w->mail_in = w->mail_out = -1;
	w->date_s = -1;
	w->room = (size_t)c->http_connection_memory;
	w->stride = (sizeof(struct http_buffer) + w->room + 63) / 64 * 64;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	err = w->epoll < 0 ? -errno : http_mail_open(w);
	if (err)
		return err;
	w->next = w->turn;
	for (i = 0; i < HTTP_TURNS; i++) {
		w->turn[i].arena = malloc(w->room);
		if (!w->turn[i].arena)
			return -ENOMEM;
	}
	w->conns = pool_map(n * sizeof(*w->conns));
	w->buffers = pool_map(n * w->stride);
	return w->conns && w->buffers ? 0 : -ENOMEM;
}

int
http_worker_add_door(struct http_worker *w, int fd, bool shared, bool passed)
{
	struct http_door *more = realloc(w->door, (w->n_doors + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	w->door = more;
	w->door[w->n_doors++] =
	    (struct http_door){.source = HTTP_DOOR, .fd = fd, .shared = shared, .passed = passed};
	return 0;
}

/* What the worker is to keep of the process's descriptors. */
static int
list_own(struct http_worker *w)
{
	struct ingest_http *h = w->http;
	size_t i;

	w->own = calloc(2 + w->n_doors + h->n_workers, sizeof(*w->own));
	if (!w->own)
		return -ENOMEM;
	w->own[w->n_own++] = w->epoll;
	w->own[w->n_own++] = w->mail_in;
	for (i = 0; i < w->n_doors; i++)
		w->own[w->n_own++] = w->door[i].fd;
	for (i = 0; i < h->n_workers; i++)
		w->own[w->n_own++] = h->worker[i].mail_out;
	return 0;
}

static void
close_own(struct http_worker *w)
{
	size_t i;

	for (i = 0; i < w->n_doors; i++)
		close(w->door[i].fd);
	if (w->mail_in >= 0)
		close(w->mail_in);
	if (w->epoll >= 0)
		close(w->epoll);
}

/* Afterwards its descriptors are the worker's alone. */
int
http_worker_start(struct http_worker *w)
{
	size_t i;
	int err = list_own(w);

	for (i = 0; !err && i < w->n_doors; i++)
		err = door_watch(w, &w->door[i]);
	if (!err)
		err = -pthread_create(&w->thread, NULL, worker_main, w);
	if (err)
		return err;
	w->runs = w->has_run = true;
	while (sem_wait(&w->has_begun) < 0)
		;
	if (w->apart)
		close_own(w);
	return 0;
}

void
http_worker_join(struct http_worker *w)
{
	if (w->runs)
		pthread_join(w->thread, NULL);
	w->runs = false;
}

void
http_worker_fini(struct http_worker *w)
{
	size_t n = (size_t)w->http->c->http_connections, i;

	if (!w->has_run)
		close_own(w);
	if (w->mail_out >= 0)
		close(w->mail_out);
	sem_destroy(&w->has_begun);
	free(w->own);
	statics_free(w->statics);
	http_rules_free(w->rules);
	http_rules_free(atomic_exchange(&w->next_rules, NULL));
	free(w->door);
	for (i = 0; i < HTTP_TURNS; i++)
		free(w->turn[i].arena);
	pool_unmap(w->conns, n * sizeof(*w->conns));
	pool_unmap(w->buffers, n * w->stride);
}
