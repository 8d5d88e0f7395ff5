#include "central/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/socket.h"
#include "central/http_internal.h"

#define IDLE_S 60         /* without a byte: closed by libmicrohttpd */
#define REQUEST_MAX_S 300 /* a request that takes longer is cut off: 64 MB at 2 Mbit/s pass */
#define SWEEP_S 5
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
	c->since = mono_now();
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
connection_closed(struct http_server *s, void **context)
{
	struct http_connection *c = *context;

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
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		connection_started(cls, connection, context);
	else
		connection_closed(cls, context);
}

static void
sweep(struct http_server *s)
{
	int64_t oldest_us = mono_now().us - REQUEST_MAX_S * INT64_C(1000000);
	const struct http_connection *c;

	for (c = s->connections; c; c = c->next)
		if (c->since.us < oldest_us)
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

static int
open_socket(struct http_server *s, size_t i)
{
	struct socket_address address;
	int fd = socket_address_parse(s->setup.listen[i], &address);

	if (fd == 0)
		fd = socket_listen(&address, SOCK_STREAM, false);
	if (fd < 0) {
		log_error("cannot listen", "address=%s error=\"%s\"", s->setup.listen[i],
			  strerror(-fd));
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
start_daemon(struct http_server *s, size_t i)
{
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem more[5];
	size_t n = 0;

	if (s->setup.threads > 1)
		more[n++] =
		    (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, s->setup.threads, NULL};
	if (s->setup.tls_cert) {
		flags |= MHD_USE_TLS;
		more[n++] =
		    (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, s->setup.tls_cert};
		more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, s->setup.tls_key};
	}
	more[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
	s->daemon[i] = MHD_start_daemon(
	    flags, 0, NULL, NULL, http_handle, s, MHD_OPTION_EXTERNAL_LOGGER, complain, NULL,
	    MHD_OPTION_LISTEN_SOCKET, s->fd[i], MHD_OPTION_NOTIFY_COMPLETED, http_completed, s,
	    MHD_OPTION_NOTIFY_CONNECTION, notify_connection, s, MHD_OPTION_CONNECTION_LIMIT,
	    (unsigned)HTTP_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
	    more, s->setup.tls_cert ? MHD_OPTION_HTTPS_PRIORITIES : MHD_OPTION_END, TLS_PRIORITIES,
	    MHD_OPTION_END);
	if (s->daemon[i])
		return 0;
	log_error("cannot start the HTTP server", "address=%s%s", s->address[i],
		  s->setup.tls_cert
		      ? " hint=\"certificate and key must be PEM and belong together\""
		      : "");
	return -EIO;
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
http_start(const struct http_setup *setup, struct http_server **ret_server)
{
	struct http_server *s;
	size_t i;
	int err = 0;

	if (setup->n_listen == 0 || setup->n_listen > HTTP_LISTEN_MAX) {
		log_error("central.listen must name 1 to 16 addresses", "n=%zu", setup->n_listen);
		return -EINVAL;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->setup = *setup;
	s->n = setup->n_listen;
	init_locks(s);
	for (i = 0; i < s->n; i++)
		s->fd[i] = -1;
	MHD_set_panic_func(panic, NULL);
	for (i = 0; i < s->n && !err; i++)
		err = open_socket(s, i);
	for (i = 0; i < s->n && !err; i++)
		err = start_daemon(s, i);
	if (!err)
		err = start_sweeper(s);
	if (err) {
		http_stop(s, 0);
		return err;
	}
	*ret_server = s;
	return 0;
}

static void
quiesce(struct http_server *s)
{
	size_t i;
	int fd;

	for (i = 0; i < s->n; i++) {
		if (!s->daemon[i])
			continue;
		fd = MHD_quiesce_daemon(s->daemon[i]);
		if (fd >= 0)
			s->fd[i] = fd; /* ours again, to be closed last */
	}
}

static void
await_active(struct http_server *s, int64_t drain_ms)
{
	struct mono_us until = {mono_now().us + drain_ms * 1000};

	while (atomic_load(&s->active) > 0 && mono_now().us < until.us)
		nanosleep(&(struct timespec){0, 5000000}, NULL);
}

void
http_stop(struct http_server *s, int64_t drain_ms)
{
	size_t i;

	if (!s)
		return;
	quiesce(s);
	pthread_mutex_lock(&s->lock);
	atomic_store(&s->stopping, true);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	await_active(s, drain_ms);
	if (s->sweeping)
		pthread_join(s->sweeper, NULL);
	for (i = 0; i < s->n; i++) {
		if (s->daemon[i])
			MHD_stop_daemon(s->daemon[i]);
		if (s->fd[i] >= 0)
			close(s->fd[i]);
	}
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
