/* Bytes of a connection through libmicrohttpd to the checks of a request's head, as the central and
 * the agent's surface for operators put them together. A request that gets through reads alike for any strict program: whole lines,
 * tokens, and the very names and values that we saw. */
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/http_guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES_MAX 512
#define ROUNDS_MAX 8 /* of the daemon for one connection: reading, answering, closing */

static struct {
	struct text in; /* of the connection */
	struct text target;
	size_t requests, head_len; /* head_len: as libmicrohttpd tells it */
	bool plain_target, hidden, closed;
	struct text name[LINES_MAX], value[LINES_MAX];
	size_t lines;
} seen;

/* -- the strict program -- */

static void
skip(struct text *rest, size_t n)
{
	if (n > rest->len)
		abort();
	rest->at += n;
	rest->len -= n;
}

static void
expect(struct text *rest, struct text t)
{
	if (t.len > rest->len || (t.len > 0 && memcmp(rest->at, t.at, t.len) != 0))
		abort();
	skip(rest, t.len);
}

/* CR LF; and NUL LF, which http_head.h says it cannot tell from it. */
static void
expect_line_end(struct text *rest)
{
	if (rest->len < 2 || (rest->at[0] != '\r' && rest->at[0] != '\0') || rest->at[1] != '\n')
		abort();
	skip(rest, 2);
}

/* CR LF CR LF, and what it says cannot be told from that where the head ends: right there. */
static void
expect_end(struct text rest, size_t left)
{
	unsigned i;

	if (rest.len < 4 || left != 4)
		abort();
	for (i = 0; i < 4; i++)
		if (rest.at[i] != '\r' && rest.at[i] != '\n' && rest.at[i] != '\0' &&
		    rest.at[i] != ':')
			abort();
}

static void
expect_header(struct text *rest, struct text name, struct text value)
{
	if (!http_is_token(name) || http_has_control(value))
		abort();
	expect(rest, name);
	expect(rest, TEXT_LIT(":"));
	while (rest->len > 0 && (rest->at[0] == ' ' || rest->at[0] == '\t'))
		skip(rest, 1);
	expect(rest, value);
	/* libmicrohttpd 1.0 leaves them off the value */
	while (rest->len > 0 && (rest->at[0] == ' ' || rest->at[0] == '\t'))
		skip(rest, 1);
}

static void
check_head(const char *method, const char *version)
{
	struct text rest = seen.in, target;
	const char *lf, *begin;
	size_t i;

	/* Before a request empty lines are skipped, RFC 9112 section 2.2, and those that
	 * http_head.h says are taken for empty. */
	while (rest.len > 0 && strchr("\r\n", rest.at[0])) {
		lf = memchr(rest.at, '\n', rest.len);
		skip(&rest, lf ? (size_t)(lf - rest.at) + 1 : rest.len);
	}
	begin = rest.at;
	expect(&rest, text_of(method));
	expect(&rest, TEXT_LIT(" "));
	target = (struct text){rest.at, seen.target.len}; /* it was decoded in its place since */
	skip(&rest, target.len);
	expect(&rest, TEXT_LIT(" "));
	expect(&rest, text_of(version));
	if (http_has_control(target) || memchr(target.at, ' ', target.len) ||
	    http_has_control(text_of(version)) || !http_is_token(text_of(method)))
		abort();
	for (i = 0; i < seen.lines; i++) {
		expect_line_end(&rest);
		expect_header(&rest, seen.name[i], seen.value[i]);
	}
	expect_end(rest, seen.head_len - (size_t)(rest.at - begin));
}

/* -- the part of ours -- */

static enum MHD_Result
see_header(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value,
	   size_t value_len)
{
	struct text n = {name, name_len}, v = {value, value_len};

	(void)kind;
	if (seen.lines < LINES_MAX) {
		seen.name[seen.lines] = n;
		seen.value[seen.lines++] = v;
	}
	return http_guard_see(ctx, n, v) ? MHD_YES : MHD_NO;
}

static bool
head_is_good(struct MHD_Connection *connection, const char *method, const char *version)
{
	const struct text none = {NULL, 0};
	const union MHD_ConnectionInfo *len =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	struct http_guard g = {.fault = NULL};

	if (!http_guard_begin(&g, method, seen.plain_target ? seen.target : none, version))
		return false;
	MHD_get_connection_values_n(connection, MHD_HEADER_KIND, see_header, &g);
	seen.head_len = len ? len->header_size : 0;
	return http_guard_done(&g, strcmp(version, MHD_HTTP_VERSION_1_0) == 0,
			       seen.hidden ? seen.head_len : 0);
}

static enum MHD_Result
request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload_data, size_t *upload_data_size, void **req_cls)
{
	struct MHD_Response *empty;
	enum MHD_Result done;

	(void)cls;
	(void)url;
	(void)upload_data;
	if (!*req_cls) {
		*req_cls = &seen;
		seen.lines = 0;
		if (seen.requests++ == 0 && head_is_good(connection, method, version))
			check_head(method, version);
		return MHD_YES;
	}
	if (*upload_data_size > 0) {
		*upload_data_size = 0;
		return MHD_YES;
	}
	empty = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	(void)MHD_add_response_header(empty, MHD_HTTP_HEADER_CONNECTION, "close");
	done = MHD_queue_response(connection, MHD_HTTP_OK, empty);
	MHD_destroy_response(empty);
	return done;
}

static void *
see_target(void *cls, const char *uri, struct MHD_Connection *connection)
{
	(void)cls;
	(void)connection;
	seen.target = text_of(uri);
	seen.plain_target = http_target_is_plain(seen.target);
	return NULL;
}

static void
notify(void *cls, struct MHD_Connection *connection, void **socket_context,
       enum MHD_ConnectionNotificationCode what)
{
	(void)cls;
	(void)connection;
	(void)socket_context;
	seen.closed = seen.closed || what == MHD_CONNECTION_NOTIFY_CLOSED;
}

static struct MHD_Daemon *
start(void)
{
	struct MHD_Daemon *d;

	seen.hidden = http_head_is_hidden(MHD_get_version());
	d = MHD_start_daemon(MHD_USE_NO_LISTEN_SOCKET | MHD_USE_EPOLL, 0, NULL, NULL, request, NULL,
			     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384,
			     MHD_OPTION_NOTIFY_CONNECTION, notify, NULL,
			     MHD_OPTION_URI_LOG_CALLBACK, see_target, NULL,
#if MHD_VERSION >= 0x00097701
			     MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
#else
			     MHD_OPTION_STRICT_FOR_CLIENT, seen.hidden ? 0 : 1,
#endif
			     MHD_OPTION_END);
	if (!d)
		abort();
	return d;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct MHD_Daemon *d;
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd[2], n;

	if (!d)
		d = start();
	if (size == 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		return 0;
	seen.in = (struct text){(const char *)data, size};
	seen.requests = 0;
	seen.closed = false;
	if (send(fd[0], data, size, 0) != (ssize_t)size || shutdown(fd[0], SHUT_WR) < 0 ||
	    MHD_add_connection(d, fd[1], (const struct sockaddr *)&peer, sizeof(peer)) != MHD_YES)
		abort();
	for (n = 0; n < 2 * ROUNDS_MAX && !seen.closed; n++) {
		if (n == ROUNDS_MAX) /* a head that never ends: the client goes */
			close(fd[0]);
		(void)MHD_run(d);
	}
	if (n <= ROUNDS_MAX)
		close(fd[0]);
	if (!seen.closed)
		abort();
	return 0;
}
