#include "node/ingest_http_private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/http_head.h"
#include "base/log.h"
#include "base/passed.h"
#include "stats/stats.h"

#define TICK_MS 250      /* how late a request may be cut off */
#define DRAIN_STEP_MS 10 /* how late a drained daemon is noticed */
#define FRESH_MS 1000    /* a new connection's first request takes no longer to come, or is none */
#define FINISH_MS 2000   /* for requests that have begun when nothing is accepted any more */

/* -- libmicrohttpd's own messages -- */

__attribute__((format(printf, 2, 0))) static void
mhd_log(void *cls, const char *format, va_list args)
{
	static _Atomic int64_t last_s = -1;
	int64_t now_s = mono_now().us / 1000000;
	char text[256];
	size_t len;

	(void)cls;
	if (atomic_exchange(&last_s, now_s) == now_s)
		return;
	vsnprintf(text, sizeof(text), format, args);
	len = strcspn(text, "\r\n");
	text[len] = '\0';
	/* its messages name calls and causes, no bytes of clients; at most one a second */
	log_debug("libmicrohttpd says", "text=\"%s\"", text);
}

static void
mhd_panic(void *cls, const char *file, unsigned int line, const char *reason)
{
	(void)cls;
	log_error("libmicrohttpd gave up; the journal keeps what was acknowledged",
		  "file=%s line=%u reason=\"%s\"", file, line, reason ? reason : "");
	abort();
}

/* -- rules -- */

static int
rules_new(const struct conf *c, struct http_rules **ret_rules)
{
	struct http_rules *r = calloc(1, sizeof(*r));
	const char *bad = "";
	int err;

	if (!r)
		return -ENOMEM;
	err = client_proxies_new(&c->http_trusted_proxies, &r->proxies, &bad);
	if (err == -EINVAL)
		log_error("http.trusted_proxies holds what is no prefix", "item=\"%s\"", bad);
	r->answers = err ? NULL : answers_new(&c->http_allowed_origins);
	if (!err && !r->answers)
		err = -ENOMEM;
	r->respect_privacy = c->http_respect_privacy;
	if (err) {
		http_rules_free(r);
		return err;
	}
	*ret_rules = r;
	return 0;
}

/* Whom the limit of connections spares. */
static int
trust(struct ingest_http *h, const struct conf *c)
{
	struct client_proxies *p, *old;
	const char *bad = "";
	int err = client_proxies_new(&c->http_trusted_proxies, &p, &bad);

	if (err)
		return err;
	pthread_mutex_lock(&h->trust_lock);
	old = h->trusted;
	h->trusted = p;
	pthread_mutex_unlock(&h->trust_lock);
	client_proxies_free(old);
	return 0;
}

int
ingest_http_reload(struct ingest_http *h, const struct conf *c)
{
	struct http_rules **next = calloc(h->n_workers, sizeof(struct http_rules *));
	int err = next ? trust(h, c) : -ENOMEM;
	size_t i;

	for (i = 0; !err && i < h->n_workers; i++)
		err = rules_new(c, &next[i]);
	for (i = 0; next && i < h->n_workers; i++)
		http_rules_free(err ? next[i] : atomic_exchange(&h->worker[i].next_rules, next[i]));
	free(next);
	return err;
}

/* -- listening -- */

static bool
is_tcp(const struct socket_address *a)
{
	return a->sa.ss_family != AF_UNIX;
}

static int
parse_addresses(struct ingest_http *h)
{
	const struct conf_list *list = &h->c->http_listen;
	size_t i;

	for (i = 0; i < list->n; i++) {
		if (socket_address_parse(list->item[i], &h->listener[i].address) < 0) {
			log_error("http.listen holds what is no address", "item=\"%s\"",
				  list->item[i]);
			return -EINVAL;
		}
		h->listener[i].fd = -1;
		h->n_listeners++;
	}
	return 0;
}

/* Sockets that the service manager names for us stand in for all of http.listen. */
static int
take_passed(struct ingest_http *h)
{
	int fd, err = 0;

	while (!err && (fd = passed_take_named("http", SOCK_STREAM)) >= 0) {
		struct http_listener *l = &h->listener[h->n_listeners++];

		l->fd = fd;
		l->passed = true;
		err = socket_bound(fd, &l->address);
	}
	return err;
}

/* SO_REUSEPORT would let a second agent share the port without a word, so the address is first
 * taken alone. */
static int
listen_alone(const struct socket_address *a)
{
	int fd = socket_listen(a, SOCK_STREAM, false);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static int
listen_shared(struct ingest_http *h, struct socket_address *a)
{
	size_t i;
	int err = listen_alone(a);

	for (i = 0; !err && i < h->n_workers; i++) {
		h->worker[i].listen_fd = socket_listen(a, SOCK_STREAM, true);
		if (h->worker[i].listen_fd < 0)
			err = h->worker[i].listen_fd;
		else if (i == 0)
			err = socket_bound(h->worker[i].listen_fd, a); /* port 0 is known now */
	}
	return err;
}

/* A passed socket cannot have siblings (SO_REUSEPORT must be set before the first bind), and
 * several daemons that wait on one socket would all wake up for each connection: so the accepting
 * thread takes its connections and deals them out, which wakes one. */
static int
open_listener(struct ingest_http *h, struct http_listener *l, bool *shared)
{
	l->fd = passed_take_at(&l->address, SOCK_STREAM);
	l->passed = l->fd >= 0;
	if (l->passed)
		return 0;
	if (is_tcp(&l->address) && !*shared) {
		*shared = true;
		return listen_shared(h, &l->address);
	}
	l->fd = socket_listen(&l->address, SOCK_STREAM, false);
	return l->fd < 0 ? l->fd : socket_bound(l->fd, &l->address);
}

static int
listen_all(struct ingest_http *h)
{
	bool shared = false;
	char text[SOCKET_ADDRESS_TEXT];
	size_t i;
	int err;

	h->listener = calloc(h->c->http_listen.n + PASSED_MAX, sizeof(*h->listener));
	if (!h->listener)
		return -ENOMEM;
	err = take_passed(h);
	if (err || h->n_listeners > 0)
		return err;
	err = parse_addresses(h);
	for (i = 0; !err && i < h->n_listeners; i++) {
		err = open_listener(h, &h->listener[i], &shared);
		if (err) {
			socket_address_format(&h->listener[i].address, text);
			log_error("cannot listen for beacons", "address=%s error=\"%s\"", text,
				  strerror(-err));
		}
	}
	return err;
}

bool
ingest_http_address(const struct ingest_http *h, size_t i, char ret_text[SOCKET_ADDRESS_TEXT])
{
	if (i >= h->n_listeners)
		return false;
	socket_address_format(&h->listener[i].address, ret_text);
	return true;
}

/* -- accepting for further addresses -- */

/* The worker with the fewest connections, or NULL when all are full. A worker that accepts by
 * itself keeps some room, since what it accepts when no place is left cannot wait any more. */
static struct http_worker *
least_loaded(struct ingest_http *h)
{
	struct http_worker *best = NULL;
	size_t most = (size_t)h->c->http_connections, least = SIZE_MAX, n, i;

	for (i = 0; i < h->n_workers; i++) {
		n = atomic_load(&h->worker[i].n_held);
		if (n < least && n < most - (h->worker[i].listen_fd < 0 ? 0 : most / 8)) {
			least = n;
			best = &h->worker[i];
		}
	}
	return best;
}

static bool
accept_one(struct ingest_http *h, int listen_fd)
{
	struct sockaddr_storage peer = {0};
	socklen_t len = sizeof(peer);
	struct http_worker *w = least_loaded(h);
	int fd;

	if (!w)
		return false; /* it waits in the backlog */
	fd = accept4(listen_fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return false;
	if (len < sizeof(struct sockaddr_un))
		len = sizeof(struct sockaddr_un); /* a client's unix socket has no name */
	if (!http_worker_admit(w, (struct sockaddr *)&peer)) {
		close(fd);
		return true;
	}
	atomic_fetch_add(&w->n_dealt, 1);
	if (MHD_add_connection(w->daemon, fd, (struct sockaddr *)&peer, len) != MHD_YES) {
		http_worker_part(w, (struct sockaddr *)&peer); /* it closed fd in any case */
		atomic_fetch_sub(&w->n_dealt, 1);
		stat_add(STAT_HTTP_FULL, 1);
	}
	return true;
}

static void
sweep_all(struct ingest_http *h)
{
	size_t i, n = 0;

	for (i = 0; i < h->n_workers; i++) {
		http_worker_sweep(&h->worker[i]);
		n += atomic_load(&h->worker[i].n_open);
	}
	stat_set(STAT_HTTP_OPEN, n);
}

static void *
accepter_main(void *ctx)
{
	struct ingest_http *h = ctx;
	struct pollfd *polled = calloc(h->n_listeners + 1, sizeof(*polled));
	int64_t sweep_at = 0;
	nfds_t n;
	size_t i;

	if (!polled) {
		log_error("only the first address of http.listen is served", "error=\"%s\"",
			  strerror(ENOMEM));
		return NULL;
	}
	http_conn_deals();
	polled[0] = (struct pollfd){.fd = h->stop_fd, .events = POLLIN};
	for (i = 0; i < h->n_listeners; i++) /* poll passes over -1 */
		polled[i + 1] = (struct pollfd){.fd = h->listener[i].fd, .events = POLLIN};
	while (!polled[0].revents) {
		/* full workers take nothing: ask again soon, for what waits in the backlog */
		n = least_loaded(h) ? (nfds_t)h->n_listeners + 1 : 1;
		for (i = 1; i <= h->n_listeners; i++)
			polled[i].revents = 0;
		if (poll(polled, n, n == 1 ? DRAIN_STEP_MS : TICK_MS) < 0 && errno != EINTR)
			break;
		for (i = 1; i < n; i++)
			if (polled[i].revents && !accept_one(h, polled[i].fd))
				poll(polled, 1,
				     DRAIN_STEP_MS); /* out of descriptors: no busy loop */
		if (mono_now().us / 1000 >= sweep_at) {
			sweep_all(h);
			sweep_at = mono_now().us / 1000 + TICK_MS;
		}
	}
	free(polled);
	return NULL;
}

/* -- start and stop -- */

static int
start_daemon(struct ingest_http *h, struct http_worker *w)
{
	const struct conf *c = h->c;
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG |
			 (w->listen_fd < 0 ? MHD_USE_NO_LISTEN_SOCKET : 0);
	struct MHD_OptionItem listener[] = {
	    {w->listen_fd < 0 ? MHD_OPTION_END : MHD_OPTION_LISTEN_SOCKET, w->listen_fd, NULL},
	    {MHD_OPTION_END, 0, NULL},
	};

	w->daemon = MHD_start_daemon(
	    flags, 0, http_conn_accept, w, http_request, w, MHD_OPTION_EXTERNAL_LOGGER, mhd_log,
	    NULL, MHD_OPTION_ARRAY, listener, MHD_OPTION_CONNECTION_LIMIT,
	    (unsigned)c->http_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    (size_t)c->http_connection_memory, MHD_OPTION_CONNECTION_TIMEOUT,
	    (unsigned)((c->http_idle_timeout + 999) / 1000), MHD_OPTION_NOTIFY_CONNECTION,
	    http_conn_notify, w, MHD_OPTION_NOTIFY_COMPLETED, http_conn_completed, w,
	    MHD_OPTION_URI_LOG_CALLBACK, http_conn_uri_seen, w,
#if MHD_VERSION >= 0x00097701
	    MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
#else
	    /* all that strictness adds there are a wordless end for a blank in the target and two
	     * status lines for a missing Host: the header guard sees to both */
	    MHD_OPTION_STRICT_FOR_CLIENT, h->hidden_lines ? 0 : 1,
#endif
	    MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (!w->daemon) {
		log_error("libmicrohttpd does not start", "error=\"%s\"", strerror(errno));
		return -EIO;
	}
	return 0;
}

static int
start_worker(struct ingest_http *h, struct http_worker *w)
{
	int err = rules_new(h->c, &w->rules);

	if (err)
		return err;
	w->statics = statics_new(&h->c->http_script_paths, h->c->http_demo);
	if (!w->statics)
		return -ENOMEM;
	return start_daemon(h, w);
}

static struct ingest_http *
http_new(const struct conf *c)
{
	struct ingest_http *h = calloc(1, sizeof(*h));
	size_t i;

	if (!h)
		return NULL;
	h->c = c;
	h->stop_fd = -1;
	pthread_mutex_init(&h->trust_lock, NULL);
	if (peer_limit_new((uint32_t)c->http_connections_per_address, &h->peers) < 0) {
		ingest_http_stop(h);
		return NULL;
	}
	h->hidden_lines = http_head_is_hidden(MHD_get_version());
	h->country_header = text_of(c->http_country_header);
	h->worker = calloc((size_t)c->http_workers, sizeof(*h->worker));
	for (i = 0; h->worker && i < (size_t)c->http_workers; i++) {
		h->worker[i].http = h;
		h->n_workers++;
		if (http_worker_init(&h->worker[i]) < 0)
			break;
	}
	if (h->n_workers < (size_t)c->http_workers || i < h->n_workers) {
		ingest_http_stop(h);
		return NULL;
	}
	return h;
}

int
ingest_http_open(const struct conf *c, struct ingest_http **ret_http)
{
	struct ingest_http *h = http_new(c);
	int err;

	if (!h)
		return -ENOMEM;
	h->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = h->stop_fd < 0 ? -errno : listen_all(h);
	if (err)
		ingest_http_stop(h);
	else
		*ret_http = h;
	return err;
}

int
ingest_http_start(struct ingest_http *h, struct admit_worker *const *workers)
{
	size_t i;
	int err = trust(h, h->c);

	MHD_set_panic_func(mhd_panic, NULL);
	for (i = 0; !err && i < h->n_workers; i++) {
		h->worker[i].admit = workers[i];
		err = start_worker(h, &h->worker[i]);
	}
	if (err)
		return err;
	err = -pthread_create(&h->accepter, NULL, accepter_main, h);
	h->accepter_runs = err == 0;
	return err;
}

static void
close_listener(struct http_listener *l)
{
	struct sockaddr_un un;

	if (l->fd < 0)
		return;
	close(l->fd);
	l->fd = -1;
	if (is_tcp(&l->address) || l->passed)
		return;
	memcpy(&un, &l->address.sa, sizeof(un));
	unlink(un.sun_path);
}

static void
stop_listening(struct ingest_http *h)
{
	const uint64_t one = 1;
	size_t i;

	if (h->accepter_runs) {
		if (write(h->stop_fd, &one, sizeof(one)) < 0)
			log_warn("the accepting thread cannot be woken", "error=\"%s\"",
				 strerror(errno));
		pthread_join(h->accepter, NULL);
		h->accepter_runs = false;
	}
	for (i = 0; i < h->n_workers; i++) {
		/* a quiesced daemon leaves its socket to us; one that never started as well */
		if (h->worker[i].daemon && h->worker[i].listen_fd >= 0)
			MHD_quiesce_daemon(h->worker[i].daemon);
		if (h->worker[i].listen_fd >= 0)
			close(h->worker[i].listen_fd);
		h->worker[i].listen_fd = -1;
	}
	for (i = 0; i < h->n_listeners; i++)
		close_listener(&h->listener[i]);
}

static bool
is_drained(struct ingest_http *h)
{
	size_t i;

	for (i = 0; i < h->n_workers; i++) /* in this order: a dealt one is open before it leaves */
		if (atomic_load(&h->worker[i].n_dealt) > 0 || atomic_load(&h->worker[i].n_open) > 0)
			return false;
	return true;
}

static bool
older_remain(struct ingest_http *h, int64_t moment_ms)
{
	size_t i;

	for (i = 0; i < h->n_workers; i++)
		if (http_worker_older(&h->worker[i], moment_ms) > 0)
			return true;
	return false;
}

static void
hang_up(struct ingest_http *h, int64_t idle_ms, int64_t fresh_ms)
{
	size_t i;

	for (i = 0; i < h->n_workers; i++)
		http_worker_hang_up(&h->worker[i], idle_ms, fresh_ms);
}

void
ingest_http_drain(struct ingest_http *h, int64_t drain_ms)
{
	const struct timespec step = {0, DRAIN_STEP_MS * 1000000L};
	int64_t begin = mono_now().us / 1000, until = begin + drain_ms;

	if (!h || !h->accepter_runs)
		return;
	atomic_store(&h->draining, true);
	log_info("draining: every answer is its connection's last", "most_ms=%lld",
		 (long long)drain_ms);
	while (older_remain(h, begin) && mono_now().us / 1000 < until) {
		/* who has been silent for so long by now need not be waited for */
		hang_up(h, drain_ms, drain_ms + FRESH_MS);
		nanosleep(&step, NULL);
	}
	stop_listening(h);
	until = mono_now().us / 1000 + FINISH_MS;
	while (!is_drained(h) && mono_now().us / 1000 < until) {
		hang_up(h, 0, FRESH_MS);
		nanosleep(&step, NULL);
	}
}

void
ingest_http_stop(struct ingest_http *h)
{
	size_t i;

	if (!h)
		return;
	atomic_store(&h->draining, true);
	stop_listening(h); /* nothing left to do after a drain */
	for (i = 0; i < h->n_workers; i++) {
		if (h->worker[i].daemon)
			MHD_stop_daemon(h->worker[i].daemon);
		http_worker_fini(&h->worker[i]);
	}
	if (h->stop_fd >= 0)
		close(h->stop_fd);
	client_proxies_free(h->trusted);
	peer_limit_free(h->peers);
	pthread_mutex_destroy(&h->trust_lock);
	free(h->worker);
	free(h->listener);
	free(h);
}
