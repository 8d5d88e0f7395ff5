/* http_request.h -- reads the head of a request from bytes that lie in memory.
 *
 * HTTP/1.1 and 1.0 as RFC 9112 writes them, and nothing that programs disagree about: one blank
 * where one is due, lines that end with CR LF, names that are tokens and touch their colon, no
 * folded lines, no NUL or other control character, and the rules of base/http_guard.h. One empty
 * line before the request line is passed over (section 2.2). Our own reader, since this is what
 * every beacon goes through: it neither copies nor allocates, and it refuses a head with its first
 * wrong byte, without waiting for the rest.
 *
 * Threads:  plain values.
 * Memory:   texts point into the caller's bytes, or into its join buffer.
 */
#ifndef NODE_HTTP_REQUEST_H
#define NODE_HTTP_REQUEST_H

#include "node/header_guard.h"

enum http_read {
	HTTP_MORE,      /* no fault so far, and no end */
	HTTP_WHOLE,     /* the head is whole */
	HTTP_MALFORMED, /* no request line that can be read */
	HTTP_VERSION,   /* of another version of HTTP */
	HTTP_REFUSED    /* set.guard.fault says why */
};

struct http_request {
	struct text method, path; /* path: as it came, without a query; absent until it is known */
	bool http_1_0;
	struct header_set set;
	size_t head_len; /* when it is whole: up to the body */
};

/* Of len bytes that begin where a request should. join: HEADER_JOIN_MAX bytes, lent while the texts
 * are used. country_name: absent for none. Begins anew whenever more bytes have come. */
enum http_read http_request_read(struct http_request *r, const char *at, size_t len, char *join,
				 struct text country_name);

/* Undoes %xx. False when it does not fit into size. */
bool http_path_decode(struct text path, char *ret_path, size_t size, size_t *ret_len);

#endif
