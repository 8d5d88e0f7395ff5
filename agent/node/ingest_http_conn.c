#include "node/ingest_http_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/http_head.h"
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
		shutdown(k->fd, SHUT_RDWR);
		atomic_store_explicit(&k->deadline_ms, INT64_MAX, memory_order_relaxed);
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
dealt_arrived(struct http_worker *w)
{
	size_t n = atomic_load(&w->n_dealt);

	while (n > 0 && !atomic_compare_exchange_weak(&w->n_dealt, &n, n - 1))
		;
}

static void
conn_started(struct http_worker *w, struct MHD_Connection *connection, void **socket_context)
{
	const union MHD_ConnectionInfo *fd, *peer;
	struct http_conn *k = conn_take(w);
	stat_add(STAT_HTTP_CONNECTIONS, 1);
	fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	if (!k || !fd || !peer) {
		dealt_arrived(w);
		return; /* its first request is refused */
	}
	k->fd = fd->connect_fd;
	k->since_ms = now_ms();
	k->hung_up = false;
	atomic_store(&k->turn, TURN_FRESH);
	k->peer = peer->client_addr;
	k->stage = STAGE_IDLE;
	k->body = NULL;
	set_deadline(k, k->since_ms + w->http->c->http_request_timeout);
	conn_enter(w, k);
	dealt_arrived(w);
	*socket_context = k;
}

void
http_conn_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
		 enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		conn_started(cls, connection, socket_context);
	else if (*socket_context)
		conn_leave(cls, *socket_context);
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
		k->plain_target = http_target_is_plain(k->target);
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

void
http_conn_completed(void *cls, struct MHD_Connection *connection, void **req_cls,
		    enum MHD_RequestTerminationCode how)
{
	struct http_worker *w = cls;
	struct http_conn *k = *req_cls;
	int64_t now = now_ms();

	(void)connection;
	(void)how;
	if (!k)
		return;
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
