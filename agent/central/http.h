/* http.h -- the central's HTTP server: sockets, threads, bodies and answers; not what they mean.
 *
 * Runs libmicrohttpd with some threads on each listening address, or on each socket that the
 * service manager passed (base/passed.h: named "central", or bound to one of them). A request is
 * matched with a table of routes, its body gathered within bounds, and the route's `serve` fills
 * in one answer.
 *
 * Threads:  routes are called by these threads, several at once.
 * Memory:   connections, bytes per connection and bytes of bodies are bounded; beyond that 503.
 * Errors:   http_open says what is wrong with an address, http_start with a certificate, in the log.
 */
#ifndef CENTRAL_HTTP_H
#define CENTRAL_HTTP_H

#include <jansson.h>
#include <sys/socket.h>

#include "base/text.h"

enum http_method { HTTP_GET, HTTP_POST };

/* What requests are counted by. */
enum http_class {
	HTTP_BATCHES,
	HTTP_SALTS,
	HTTP_API,
	HTTP_LOGIN,
	HTTP_PAGES,
	HTTP_HEALTH,
	HTTP_METRICS,
	HTTP_OTHER, /* no route */
	HTTP_CLASS_N
};

const char *http_class_name(enum http_class c);

/* -- a request, lent for the call -- */

struct MHD_Connection;

struct http_request {
	enum http_method method;
	const char *path;
	const char *rest; /* what stands behind the path of a prefix route */
	const struct sockaddr *peer;
	bool tls;
	struct text body;
	struct MHD_Connection *connection; /* http_exchange.c only */
	char name[65];                     /* for the route's `admit` to leave who is asking */
};

/* NULL when absent. An argument without a value is "". */
const char *http_header(const struct http_request *r, const char *name);
const char *http_argument(const struct http_request *r, const char *name);
const char *http_cookie(const struct http_request *r, const char *name);

/* The token of "Authorization: Bearer TOKEN"; absent when there is none. */
struct text http_bearer(const struct http_request *r);

/* The peer is on this machine and did not pass anybody else's request on. */
bool http_is_local(const struct http_request *r);

/* -- an answer -- */

#define HTTP_HEADERS_MAX 6
#define HTTP_HEADER_VALUE_MAX 256

struct http_answer {
	unsigned status;
	const char *content_type; /* constant text */
	char *owned;              /* malloc'ed body, freed by http.c; or */
	const void *lent;         /* a body that stays until http_stop */
	size_t len;
	size_t headers;
	struct {
		const char *name; /* constant text */
		char value[HTTP_HEADER_VALUE_MAX];
	} header[HTTP_HEADERS_MAX];
};

__attribute__((format(printf, 3, 4))) void http_add_header(struct http_answer *a, const char *name,
							   const char *format, ...);
/* Takes json (NULL: out of memory, 500). */
void http_answer_json(struct http_answer *a, unsigned status, json_t *json);
/* {"error":"…"} */
__attribute__((format(printf, 3, 4))) void http_answer_error(struct http_answer *a, unsigned status,
							     const char *format, ...);

/* -- routes -- */

/* `admit` (may be NULL) sees the headers before any body is read: false refuses with its answer. */
struct http_route {
	enum http_method method;
	const char *path;
	bool prefix; /* everything that begins with path */
	enum http_class class;
	size_t body_max;
	bool (*admit)(void *ctx, struct http_request *r, struct http_answer *a);
	void (*serve)(void *ctx, struct http_request *r, struct http_answer *a);
};

/* -- the server -- */

#define HTTP_LISTEN_MAX 16
#define HTTP_ADDRESS_MAX 128 /* base/socket.h's SOCKET_ADDRESS_TEXT */
#define HTTP_CONNECTIONS 1024
#define HTTP_SMALL_BODY (16u << 10) /* not counted against bodies_max: bounded by the connections */

struct http_setup {
	unsigned threads;                /* at each address */
	size_t bodies_max;               /* bytes of bodies in memory at once */
	char *tls_cert, *tls_key;        /* PEM, lent until http_stop; NULL: plain */
	const struct http_route *routes; /* ends with path NULL; the first match is taken */
	void *ctx;
};

struct http_server;

/* Opens the sockets of "address:port", "[address]:port"; nobody answers there yet. To be ended by
 * http_stop in any case, as is what http_start could not start. */
int http_open(char *const *listen, size_t n, struct http_server **ret_server);
int http_start(struct http_server *s, const struct http_setup *setup);

/* What the i-th address became: with the kernel's port. */
const char *http_address(const struct http_server *s, size_t i);

/* Brings connections to their end without an error for anybody, as node/ingest_http.h says:
 * requests are taken for at most drain_ms more, each answered with "Connection: close", until none
 * of the connections from before is left; then nothing is accepted, what has begun is answered (10
 * s at most), and who waits for nothing is hung up on. Stops. */
void http_stop(struct http_server *s, int64_t drain_ms);

/* Answers so far. status 100..599. */
uint64_t http_count(const struct http_server *s, enum http_class c, unsigned status);

#endif
