#include "node/admin_private.h"

#include <sys/socket.h>

#include "base/http_guard.h"

#define HEAD_MAX_S 30 /* a request that takes longer to come gives way to the next client */

int
admin_conns_init(struct admin *a)
{
	a->hidden_lines = http_head_is_hidden(MHD_get_version());
	return -pthread_mutex_init(&a->lock, NULL);
}

void
admin_conns_fini(struct admin *a)
{
	pthread_mutex_destroy(&a->lock);
}

/* libmicrohttpd's timeout is for inactivity only, so that a few clients that send a byte in time
 * could hold every place. They keep them until somebody else comes: he is turned away, and who
 * holds a place for long without a request is cut off, so that his next try succeeds. */
enum MHD_Result
admin_accept(void *cls, const struct sockaddr *peer, socklen_t len)
{
	struct admin *a = cls;
	int64_t oldest_us = mono_now().us - HEAD_MAX_S * INT64_C(1000000);
	size_t i, n = 0;

	(void)peer, (void)len;
	pthread_mutex_lock(&a->lock);
	for (i = 0; i < ADMIN_CONNECTIONS; i++)
		n += a->conn[i].open;
	for (i = 0; n == ADMIN_CONNECTIONS && i < ADMIN_CONNECTIONS; i++)
		if (!a->conn[i].busy && a->conn[i].since.us < oldest_us)
			shutdown(a->conn[i].fd, SHUT_RDWR);
	pthread_mutex_unlock(&a->lock);
	return n < ADMIN_CONNECTIONS ? MHD_YES : MHD_NO;
}

static struct admin_conn *
conn_take(struct admin *a, int fd)
{
	struct admin_conn *k = NULL;
	size_t i;

	pthread_mutex_lock(&a->lock);
	for (i = 0; i < ADMIN_CONNECTIONS && !k; i++)
		k = a->conn[i].open ? NULL : &a->conn[i];
	if (k)
		*k = (struct admin_conn){.open = true, .fd = fd, .since = mono_now()};
	pthread_mutex_unlock(&a->lock);
	return k;
}

void
admin_notify(void *cls, struct MHD_Connection *connection, void **context,
	     enum MHD_ConnectionNotificationCode what)
{
	struct admin *a = cls;
	struct admin_conn *k = *context;
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = info ? conn_take(a, info->connect_fd) : NULL;
	} else if (k) { /* before the descriptor is closed */
		pthread_mutex_lock(&a->lock);
		k->open = false;
		pthread_mutex_unlock(&a->lock);
	}
}

static struct admin_conn *
conn_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

void
admin_mark(struct admin *a, struct MHD_Connection *connection, bool busy)
{
	struct admin_conn *k = conn_of(connection);

	if (!k)
		return;
	pthread_mutex_lock(&a->lock);
	k->busy = busy;
	k->since = mono_now();
	pthread_mutex_unlock(&a->lock);
}

/* -- the guard -- */

void *
admin_target_seen(void *cls, const char *target, struct MHD_Connection *connection)
{
	struct admin_conn *k = conn_of(connection);
	struct text t = text_of(target);

	(void)cls;
	if (k)
		k->target = http_target_is_plain(t) ? t : (struct text){NULL, 0};
	return NULL;
}

static enum MHD_Result
guard_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
	     const char *value, size_t value_len)
{
	(void)kind;
	return http_guard_see(cls, (struct text){name, name_len}, (struct text){value, value_len})
		   ? MHD_YES
		   : MHD_NO;
}

bool
admin_guard(const struct admin *a, struct MHD_Connection *connection, const char *method,
	    const char *version)
{
	const struct admin_conn *k = conn_of(connection);
	const union MHD_ConnectionInfo *len = NULL;
	struct http_guard g = {0};

	if (!k || !http_guard_begin(&g, method, k->target, version))
		return false;
	MHD_get_connection_values_n(connection, MHD_HEADER_KIND, guard_header, &g);
	if (a->hidden_lines)
		len = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	return http_guard_done(&g, strcmp(version, MHD_HTTP_VERSION_1_0) == 0,
			       len ? len->header_size : 0);
}
