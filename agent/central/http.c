#include "central/http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/http_head.h"
#include "base/log.h"
#include "base/passed.h"
#include "base/socket.h"
#include "central/http_internal.h"

#define IDLE_S 60         /* without a byte: closed by libmicrohttpd */
#define HEAD_MAX_S 90     /* a head that takes longer to come, or its first byte, is cut off */
#define REQUEST_MAX_S 300 /* and a body, for which somebody stands: 64 MB at 2 Mbit/s pass */
#define SWEEP_S 5
#define PER_ADDRESS 256 /* of HTTP_CONNECTIONS; this machine's own are not limited: proxies */
#define STEP_MS 10      /* how late the end of a drain is noticed */
#define FRESH_MS 1000   /* a new connection's first request takes no longer to come, or is none */
#define FINISH_MS 2000  /* for connections whose requests are answered */
#define ACTIVE_MS 10000 /* for running requests: an apply takes about a second; systemd waits 90 */
#define CONNECTION_MEMORY 32768 /* about half of it holds headers: cookies of other applications */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

const char *
http_class_name(enum http_class c)
{
	static const char *const names[HTTP_CLASS_N] = {"batches", "salts",  "api",     "login",
							"pages",   "health", "metrics", "other"};

	return names[c];
}

uint64_t
http_count(const struct http_server *s, enum http_class c, unsigned status)
{
	return status < HTTP_STATUS_MAX
		   ? atomic_load_explicit(&s->count[c][status], memory_order_relaxed)
		   : 0;
}

const char *
http_address(const struct http_server *s, size_t i)
{
	return i < s->n ? s->address[i] : NULL;
}

/* -- connections and their age: libmicrohttpd's timeout is for inactivity only -- */

static enum MHD_Result
connection_admit(void *cls, const struct sockaddr *peer, socklen_t len)
{
	struct http_server *s = cls;

	(void)len;
	if (peer_limit_enter(s->peers, peer) || socket_is_local(peer))
		return MHD_YES;
	peer_limit_leave(s->peers, peer);
	return MHD_NO;
}

/* By the daemon's own thread. MHD_quiesce_daemon from any other one is a race with it for taking the
 * socket out of epoll's set, and libmicrohttpd (0.9.75 as well as 1.0.1) ends the process when the
 * one finds that the other has done it. */
static void
stop_if_closing(struct http_daemon *d)
{
	struct http_server *s = d->server;

	pthread_mutex_lock(&s->lock);
	if (s->closing && d->listening) {
		MHD_quiesce_daemon(d->mhd); /* d->fd is ours again */
		d->listening = false;
	}
	pthread_mutex_unlock(&s->lock);
}

static void
connection_started(struct http_server *s, struct MHD_Connection *connection, void **context)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct http_connection *c = calloc(1, sizeof(*c));

	*context = c;
	if (!c || !info)
		return;
	c->fd = info->connect_fd;
	c->opened = c->since = mono_now();
	pthread_mutex_lock(&s->lock);
	c->next = s->connections;
	c->back = &s->connections;
	if (c->next)
		c->next->back = &c->next;
	s->connections = c;
	pthread_mutex_unlock(&s->lock);
}

/* Called before the descriptor is closed, so the sweeper never meets its next owner. */
static void
connection_closed(struct http_server *s, struct MHD_Connection *connection, void **context)
{
	struct http_connection *c = *context;
	const union MHD_ConnectionInfo *peer =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	if (peer)
		peer_limit_leave(s->peers, peer->client_addr);
	*context = NULL;
	if (!c)
		return;
	pthread_mutex_lock(&s->lock);
	if (c->back) {
		*c->back = c->next;
		if (c->next)
			c->next->back = c->back;
	}
	pthread_mutex_unlock(&s->lock);
	free(c);
}

static void
notify_connection(void *cls, struct MHD_Connection *connection, void **context,
		  enum MHD_ConnectionNotificationCode code)
{
	struct http_daemon *d = cls;

	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		connection_started(d->server, connection, context);
	else
		connection_closed(d->server, connection, context);
	stop_if_closing(d);
}

static void
sweep(struct http_server *s)
{
	int64_t now_us = mono_now().us;
	const struct http_connection *c;

	for (c = s->connections; c; c = c->next)
		if (now_us - c->since.us >
		    (c->busy ? REQUEST_MAX_S : HEAD_MAX_S) * INT64_C(1000000))
			shutdown(c->fd, SHUT_RDWR);
}

static void *
sweeper_main(void *arg)
{
	struct http_server *s = arg;
	struct timespec until;

	pthread_mutex_lock(&s->lock);
	while (!atomic_load(&s->stopping)) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += SWEEP_S;
		pthread_cond_timedwait(&s->wake, &s->lock, &until);
		sweep(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* -- sockets -- */

/* Sockets that the service manager names for us stand in for all of central.listen. */
static void
take_passed(struct http_server *s)
{
	struct socket_address address;
	size_t n = 0;
	int fd;

	while (n < HTTP_LISTEN_MAX && (fd = passed_take_named("central", SOCK_STREAM)) >= 0) {
		s->fd[n] = fd;
		if (socket_bound(fd, &address) == 0)
			socket_address_format(&address, s->address[n]);
		n++;
	}
	if (n > 0)
		s->n = n;
}

static int
open_socket(struct http_server *s, const char *text, size_t i)
{
	struct socket_address address;
	int fd = socket_address_parse(text, &address);

	if (fd == 0) {
		fd = passed_take_at(&address, SOCK_STREAM);
		if (fd < 0)
			fd = socket_listen(&address, SOCK_STREAM, false);
	}
	if (fd < 0) {
		log_error("cannot listen", "address=%s error=\"%s\"", text, strerror(-fd));
		return fd;
	}
	s->fd[i] = fd;
	if (socket_bound(fd, &address) == 0)
		socket_address_format(&address, s->address[i]);
	return 0;
}

/* -- daemons -- */

static void
panic(void *cls, const char *file, unsigned line, const char *reason)
{
	(void)cls;
	log_error("libmicrohttpd gives up; the process ends", "at=%s:%u reason=\"%s\"", file, line,
		  reason ? reason : "");
	abort();
}

/* The format alone: arguments may hold what a client sent. */
__attribute__((format(printf, 2, 0))) static void
complain(void *cls, const char *format, va_list args)
{
	(void)cls;
	(void)args;
	log_debug("libmicrohttpd", "format=\"%.*s\"", (int)strcspn(format, "\n"), format);
}

static int
start_daemon(struct http_server *s, size_t i, unsigned most, struct http_daemon *d)
{
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem tls[3] = {{MHD_OPTION_END, 0, NULL}};

	if (s->setup.tls_cert) {
		flags |= MHD_USE_TLS;
		tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, s->setup.tls_cert};
		tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, s->setup.tls_key};
		tls[2] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
	}
	d->server = s;
	d->listening = true;
	d->fd = fcntl(s->fd[i], F_DUPFD_CLOEXEC, 0);
	if (d->fd < 0) {
		log_error("no descriptor left", "address=%s", s->address[i]);
		return -EMFILE;
	}
	d->mhd = MHD_start_daemon(
	    flags, 0, connection_admit, s, http_handle, s, MHD_OPTION_EXTERNAL_LOGGER, complain,
	    NULL, MHD_OPTION_LISTEN_SOCKET, d->fd, MHD_OPTION_NOTIFY_COMPLETED, http_completed, s,
	    MHD_OPTION_NOTIFY_CONNECTION, notify_connection, d, MHD_OPTION_CONNECTION_LIMIT, most,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    (size_t)CONNECTION_MEMORY, MHD_OPTION_URI_LOG_CALLBACK, http_target_seen, s,
#if MHD_VERSION >= 0x00097701
	    MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
#else
	    MHD_OPTION_STRICT_FOR_CLIENT, s->hidden_lines ? 0 : 1, /* as node/ingest_http.c says */
#endif
	    MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY, tls,
	    s->setup.tls_cert ? MHD_OPTION_HTTPS_PRIORITIES : MHD_OPTION_END, TLS_PRIORITIES,
	    MHD_OPTION_END);
	if (d->mhd)
		return 0;
	log_error("cannot start the HTTP server", "address=%s%s", s->address[i],
		  s->setup.tls_cert
		      ? " hint=\"certificate and key must be PEM and belong together\""
		      : "");
	return -EIO;
}

/* As many daemons for each address as there are threads, and not one with a pool of them: a pool
 * stops listening all at once, which only another thread could ask for. */
static int
start_daemons(struct http_server *s)
{
	size_t threads = s->setup.threads, i;
	int err = 0;

	s->daemons = calloc(s->n * threads, sizeof(*s->daemons));
	if (!s->daemons)
		return -ENOMEM;
	for (i = 0; i < s->n * threads && !err; i++) {
		unsigned most = (unsigned)(HTTP_CONNECTIONS / threads +
					   (i % threads < HTTP_CONNECTIONS % threads));

		err = start_daemon(s, i / threads, most, &s->daemons[i]);
		if (!err)
			s->n_daemons++;
	}
	return err;
}

static int
start_sweeper(struct http_server *s)
{
	int err = -pthread_create(&s->sweeper, NULL, sweeper_main, s);

	s->sweeping = err == 0;
	return err;
}

static void
init_locks(struct http_server *s)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&s->lock, NULL);
}

int
http_open(char *const *listen, size_t n, struct http_server **ret_server)
{
	struct http_server *s;
	size_t i;
	int err = 0;

	if (n == 0 || n > HTTP_LISTEN_MAX) {
		log_error("central.listen must name 1 to 16 addresses", "n=%zu", n);
		return -EINVAL;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->n = n;
	if (peer_limit_new(PER_ADDRESS, &s->peers) < 0) {
		free(s);
		return -ENOMEM;
	}
	init_locks(s);
	for (i = 0; i < HTTP_LISTEN_MAX; i++)
		s->fd[i] = -1;
	take_passed(s);
	for (i = 0; i < s->n && !err; i++)
		err = s->fd[i] < 0 ? open_socket(s, listen[i], i) : 0;
	if (err)
		http_stop(s, 0);
	else
		*ret_server = s;
	return err;
}

int
http_start(struct http_server *s, const struct http_setup *setup)
{
	int err;

	s->setup = *setup;
	s->hidden_lines = http_head_is_hidden(MHD_get_version());
	MHD_set_panic_func(panic, NULL);
	err = start_daemons(s);
	return err ? err : start_sweeper(s);
}

/* -- draining -- */

static const struct timespec step = {0, STEP_MS * 1000000L};

/* Those that libmicrohttpd does not listen at; the others it closes itself. */
static void
close_sockets(struct http_server *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (s->fd[i] >= 0)
			close(s->fd[i]);
		s->fd[i] = -1;
	}
	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->n_daemons; i++) {
		if (s->daemons[i].fd >= 0 && !s->daemons[i].listening) {
			close(s->daemons[i].fd);
			s->daemons[i].fd = -1;
		}
	}
	pthread_mutex_unlock(&s->lock);
}

static bool
older_remain(struct http_server *s, struct mono_us moment)
{
	const struct http_connection *c;
	bool found = false;

	pthread_mutex_lock(&s->lock);
	for (c = s->connections; c && !found; c = c->next)
		found = c->opened.us <= moment.us;
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* Shuts the reading half of connections that have waited for a request for idle_ms: one that has
 * arrived by then is still read and answered, and behind it libmicrohttpd sees the end. How many
 * are left. */
static size_t
hang_up(struct http_server *s, int64_t idle_ms)
{
	int64_t now_us = mono_now().us, fresh_us = (idle_ms + FRESH_MS) * INT64_C(1000);
	struct http_connection *c;
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	for (c = s->connections; c; c = c->next, n++) {
		if (c->hung_up || c->busy ||
		    now_us - c->since.us < (c->served ? idle_ms * 1000 : fresh_us))
			continue;
		shutdown(c->fd, SHUT_RD);
		c->hung_up = true;
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* Hands the daemon a connection that has hung up already: once its thread begins or ends one, it has
 * entered whatever it accepted before. When there is no place for it, others are about to end. */
static void
visit(struct http_daemon *d)
{
	const struct sockaddr nobody = {.sa_family = AF_UNIX};
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return;
	close(fd[0]);
	MHD_add_connection(d->mhd, fd[1], &nobody, sizeof(nobody)); /* takes fd[1] in any case */
}

static bool
any_listens(struct http_server *s)
{
	bool found = false;
	size_t i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->n_daemons && !found; i++)
		found = s->daemons[i].listening;
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* What comes now is refused where the socket is our own, and waits for the next process in one that
 * the service manager holds as well. A thread that serves a long request is waited for. */
static void
stop_listening(struct http_server *s, int64_t until_us)
{
	size_t i;

	pthread_mutex_lock(&s->lock);
	s->closing = true;
	pthread_mutex_unlock(&s->lock);
	for (i = 0; i < s->n_daemons; i++)
		visit(&s->daemons[i]);
	while (any_listens(s) && mono_now().us < until_us) {
		hang_up(s, 0);
		nanosleep(&step, NULL);
	}
	close_sockets(s);
}

static void
drain(struct http_server *s, int64_t drain_ms)
{
	struct mono_us begin = mono_now();
	int64_t until = begin.us + drain_ms * 1000, active_until, finish_until;

	atomic_store(&s->draining, true);
	log_info("draining: every answer is its connection's last", "most_ms=%lld",
		 (long long)drain_ms);
	while (older_remain(s, begin) && mono_now().us < until) {
		/* who has been silent for so long by now need not be waited for */
		hang_up(s, drain_ms);
		nanosleep(&step, NULL);
	}
	active_until = mono_now().us + ACTIVE_MS * INT64_C(1000);
	stop_listening(s, active_until);
	finish_until = mono_now().us + FINISH_MS * INT64_C(1000);
	while ((hang_up(s, 0) > 0 && mono_now().us < finish_until) ||
	       (atomic_load(&s->active) > 0 && mono_now().us < active_until))
		nanosleep(&step, NULL);
}

void
http_stop(struct http_server *s, int64_t drain_ms)
{
	size_t i;

	if (!s)
		return;
	if (s->sweeping)
		drain(s, drain_ms);
	pthread_mutex_lock(&s->lock);
	s->closing = false; /* who listens still is closed by MHD_stop_daemon */
	atomic_store(&s->stopping, true);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	if (s->sweeping)
		pthread_join(s->sweeper, NULL);
	for (i = 0; i < s->n_daemons; i++)
		MHD_stop_daemon(s->daemons[i].mhd);
	close_sockets(s);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	peer_limit_free(s->peers);
	free(s->daemons);
	free(s);
}
