/* One request from its headers to its end: guard, route, admit, body, serve, answer. A refusal
 * waits until the body has gone by (DRAIN_MAX at most): a client that is still sending would see a
 * reset connection instead of the reason. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crash_point.h"
#include "base/http_guard.h"
#include "base/socket.h"
#include "central/http_internal.h"

#define DRAIN_MAX (1u << 20)
#define RETRY_AFTER_S 2

struct exchange {
	struct http_request request;
	struct http_answer answer;
	const struct http_route *route; /* NULL: answered already */
	char *body;
	size_t body_cap;
	size_t counted; /* bytes of it in bodies_bytes */
	bool answered;  /* refused before its body was read */
	bool close;     /* the connection cannot be used again */
};

/* -- what a request says -- */

const char *
http_header(const struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *
http_cookie(const struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_COOKIE_KIND, name);
}

const char *
http_argument(const struct http_request *r, const char *name)
{
	const char *value = NULL;

	if (MHD_lookup_connection_value_n(r->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name),
					  &value, NULL) != MHD_YES)
		return NULL;
	return value ? value : "";
}

struct text
http_bearer(const struct http_request *r)
{
	const char *value = http_header(r, "Authorization");

	if (!value || strncasecmp(value, "Bearer ", 7) != 0)
		return (struct text){NULL, 0};
	value += 7;
	return text_of(value + strspn(value, " "));
}

bool
http_is_local(const struct http_request *r)
{
	return r->peer && socket_is_local(r->peer) && !http_header(r, "X-Forwarded-For") &&
	       !http_header(r, "Forwarded") && !http_header(r, "Via");
}

/* -- answers -- */

void
http_add_header(struct http_answer *a, const char *name, const char *format, ...)
{
	va_list args;

	if (a->headers == HTTP_HEADERS_MAX)
		return;
	a->header[a->headers].name = name;
	va_start(args, format);
	vsnprintf(a->header[a->headers].value, HTTP_HEADER_VALUE_MAX, format, args);
	va_end(args);
	a->headers++;
}

void
http_answer_json(struct http_answer *a, unsigned status, json_t *json)
{
	free(a->owned);
	a->content_type = "application/json; charset=utf-8";
	a->lent = NULL;
	a->owned = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
	json_decref(json);
	a->status = a->owned ? status : 500;
	if (!a->owned)
		a->lent = "{\"error\":\"out of memory\"}";
	a->len = strlen(a->owned ? a->owned : (const char *)a->lent);
}

void
http_answer_error(struct http_answer *a, unsigned status, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	http_answer_json(a, status, json_pack("{s:s}", "error", text));
	if (status == 503)
		http_add_header(a, "Retry-After", "%d", RETRY_AFTER_S);
	if (status == 401)
		http_add_header(a, "WWW-Authenticate", "Bearer");
}

static void
add_common_headers(const struct http_server *s, const struct exchange *x, struct MHD_Response *r)
{
	bool cache = false;
	size_t i;

	for (i = 0; i < x->answer.headers; i++) {
		MHD_add_response_header(r, x->answer.header[i].name, x->answer.header[i].value);
		if (strcmp(x->answer.header[i].name, "Cache-Control") == 0)
			cache = true;
	}
	if (x->answer.content_type)
		MHD_add_response_header(r, "Content-Type", x->answer.content_type);
	if (!cache)
		MHD_add_response_header(r, "Cache-Control", "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(r, "Content-Security-Policy",
				"default-src 'self'; img-src 'self' data:; "
				"style-src 'self' 'unsafe-inline'; frame-ancestors 'none'");
	if (s->setup.tls_cert)
		MHD_add_response_header(r, "Strict-Transport-Security", "max-age=31536000");
	if (x->close || atomic_load(&s->draining))
		MHD_add_response_header(r, "Connection", "close");
}

/* libmicrohttpd's type for a constant body lacks the const. */
static struct MHD_Response *
response_of(struct http_answer *a)
{
	struct MHD_Response *r;
	union {
		const void *given;
		void *taken;
	} lent = {a->lent ? a->lent : ""};

	if (!a->owned)
		return MHD_create_response_from_buffer(a->len, lent.taken, MHD_RESPMEM_PERSISTENT);
	r = MHD_create_response_from_buffer(a->len, a->owned, MHD_RESPMEM_MUST_FREE);
	if (r)
		a->owned = NULL;
	return r;
}

static enum MHD_Result
queue_answer(struct http_server *s, struct exchange *x)
{
	enum http_class class = x->route ? x->route->class : HTTP_OTHER;
	unsigned status = x->answer.status;
	struct MHD_Response *r = response_of(&x->answer);
	enum MHD_Result result;

	if (!r)
		return MHD_NO;
	add_common_headers(s, x, r);
	result = MHD_queue_response(x->request.connection, status, r);
	MHD_destroy_response(r);
	atomic_fetch_add_explicit(&s->count[class][status % HTTP_STATUS_MAX], 1,
				  memory_order_relaxed);
	return result;
}

struct http_connection *
http_connection_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* -- guard: requests that a proxy in front might read otherwise than libmicrohttpd -- */

static enum MHD_Result
guard_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
	     const char *value, size_t value_len)
{
	(void)kind;
	return http_guard_see(cls, (struct text){name, name_len}, (struct text){value, value_len})
		   ? MHD_YES
		   : MHD_NO;
}

static bool
head_is_clear(struct http_server *s, struct exchange *x, const char *method, const char *version,
	      struct http_guard *g)
{
	const struct http_connection *c = http_connection_of(x->request.connection);
	const struct text none = {NULL, 0};
	const union MHD_ConnectionInfo *len = NULL;

	if (!http_guard_begin(g, method, c ? c->target : none, version))
		return false;
	MHD_get_connection_values_n(x->request.connection, MHD_HEADER_KIND, guard_header, g);
	if (s->hidden_lines)
		len = MHD_get_connection_info(x->request.connection,
					      MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	return http_guard_done(g, strcmp(version, MHD_HTTP_VERSION_1_0) == 0,
			       len ? len->header_size : 0);
}

static bool
guard_passes(struct http_server *s, struct exchange *x, const char *method, const char *version)
{
	struct http_guard g = {0};

	if (!head_is_clear(s, x, method, version, &g))
		http_answer_error(&x->answer, 400, "malformed headers");
	else if (g.chunked)
		http_answer_error(&x->answer, 411,
				  "send the body with Content-Length, not chunked");
	else
		return true;
	x->close = true;
	return false;
}

/* -- routing -- */

static bool
route_matches(const struct http_route *route, const char *path)
{
	return route->prefix ? strncmp(path, route->path, strlen(route->path)) == 0
			     : strcmp(path, route->path) == 0;
}

static bool
find_route(struct http_server *s, struct exchange *x, const char *method)
{
	const struct http_route *route, *other = NULL;
	bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;

	if (!get && strcmp(method, "POST") != 0)
		x->close = true; /* whatever else it is, its body is not ours to read */
	for (route = s->setup.routes; route->path; route++) {
		if (!route_matches(route, x->request.path))
			continue;
		if ((route->method == HTTP_GET && get) ||
		    (route->method == HTTP_POST && strcmp(method, "POST") == 0)) {
			x->route = route;
			x->request.method = route->method;
			x->request.rest = x->request.path + strlen(route->path);
			return true;
		}
		other = other ? other : route;
		if (!route->prefix)
			break; /* the path is this one's alone */
	}
	if (!other) {
		http_answer_error(&x->answer, 404, "nothing is served here");
		return false;
	}
	http_answer_error(&x->answer, 405, "method not allowed");
	http_add_header(&x->answer, "Allow", other->method == HTTP_GET ? "GET, HEAD" : "POST");
	return false;
}

/* -- bodies -- */

/* Counts them against what may be in memory at once. */
static bool
reserve_body(struct http_server *s, struct exchange *x, size_t bytes)
{
	size_t before;

	if (bytes > HTTP_SMALL_BODY) {
		before = atomic_fetch_add(&s->bodies_bytes, bytes);
		x->counted = bytes;
		if (before + bytes > s->setup.bodies_max)
			return false;
	}
	x->body = malloc(bytes + 1);
	x->body_cap = x->body ? bytes : 0;
	return x->body;
}

static bool
expect_body(struct http_server *s, struct exchange *x)
{
	const char *length = http_header(&x->request, "Content-Length");
	unsigned long long bytes;

	if (x->route->method != HTTP_POST)
		return true;
	if (!length) {
		http_answer_error(&x->answer, 411, "send the body with Content-Length");
		return false;
	}
	errno = 0;
	bytes = strtoull(length, NULL, 10);
	if (errno || bytes > x->route->body_max) {
		http_answer_error(&x->answer, 413, "the body has more than %zu bytes",
				  x->route->body_max);
		return false;
	}
	if (!reserve_body(s, x, (size_t)bytes)) {
		http_answer_error(&x->answer, 503, "too many requests with large bodies at once");
		return false;
	}
	return true;
}

/* Whether to answer at once instead of letting the body go by. */
static bool
is_not_worth_draining(const struct exchange *x)
{
	const char *length = http_header(&x->request, "Content-Length");

	return x->close || http_header(&x->request, "Expect") ||
	       (length && strtoull(length, NULL, 10) > DRAIN_MAX);
}

/* -- libmicrohttpd's callbacks -- */

static void
mark(struct http_server *s, struct MHD_Connection *connection, bool busy)
{
	struct http_connection *c = http_connection_of(connection);

	if (!c)
		return;
	pthread_mutex_lock(&s->lock);
	c->busy = busy;
	c->served = c->served || !busy;
	c->since = mono_now();
	pthread_mutex_unlock(&s->lock);
}

static struct exchange *
exchange_new(struct http_server *s, struct MHD_Connection *connection, const char *url)
{
	struct exchange *x = calloc(1, sizeof(*x));
	const union MHD_ConnectionInfo *info;

	if (!x)
		return NULL;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	x->request.connection = connection;
	x->request.path = url;
	x->request.peer = info ? info->client_addr : NULL;
	x->request.tls = s->setup.tls_cert != NULL;
	mark(s, connection, true);
	atomic_fetch_add(&s->active, 1);
	return x;
}

static enum MHD_Result
begin(struct http_server *s, struct exchange *x, const char *method, const char *version)
{
	bool ok = guard_passes(s, x, method, version) && find_route(s, x, method);

	if (ok && x->route->admit)
		ok = x->route->admit(s->setup.ctx, &x->request, &x->answer);
	if (ok)
		ok = expect_body(s, x);
	if (ok)
		return MHD_YES;
	x->answered = true;
	if (!is_not_worth_draining(x))
		return MHD_YES;
	x->close = true;
	return queue_answer(s, x);
}

static void
gather(struct exchange *x, const char *bytes, size_t n)
{
	size_t room = x->body_cap - x->request.body.len;

	if (n > room) /* a GET's body, or one that is refused: let it go by */
		return;
	memcpy(x->body + x->request.body.len, bytes, n);
	x->request.body = (struct text){x->body, x->request.body.len + n};
}

enum MHD_Result
http_handle(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
	    const char *version, const char *upload_data, size_t *upload_data_size, void **req_cls)
{
	struct http_server *s = cls;
	struct exchange *x = *req_cls;

	if (!x) {
		x = *req_cls = exchange_new(s, connection, url);
		return x ? begin(s, x, method, version) : MHD_NO;
	}
	if (*upload_data_size > 0) {
		gather(x, upload_data, *upload_data_size);
		*upload_data_size = 0;
		return MHD_YES;
	}
	if (!x->answered)
		x->route->serve(s->setup.ctx, &x->request, &x->answer);
	return queue_answer(s, x);
}

void *
http_target_seen(void *cls, const char *target, struct MHD_Connection *connection)
{
	struct http_connection *c = http_connection_of(connection);
	struct text t = text_of(target);

	(void)cls;
	if (c)
		c->target = http_target_is_plain(t) ? t : (struct text){NULL, 0};
	return NULL; /* of the exchange, until the headers are here */
}

/* A request whose headers libmicrohttpd refused and answered by itself. */
static void
count_refusal(struct http_server *s, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_HTTP_STATUS);

	if (info)
		atomic_fetch_add_explicit(
		    &s->count[HTTP_OTHER][info->http_status % HTTP_STATUS_MAX], 1,
		    memory_order_relaxed);
}

void
http_completed(void *cls, struct MHD_Connection *connection, void **req_cls,
	       enum MHD_RequestTerminationCode why)
{
	struct http_server *s = cls;
	struct exchange *x = *req_cls;

	(void)why;
	*req_cls = NULL;
	mark(s, connection, false);
	if (!x) {
		count_refusal(s, connection);
		return;
	}
	CRASH_POINT_OF("http_after_answer", x->route ? x->route->path : "");
	atomic_fetch_sub(&s->bodies_bytes, x->counted);
	atomic_fetch_sub(&s->active, 1);
	free(x->answer.owned);
	free(x->body);
	free(x);
}
