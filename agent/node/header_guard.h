/* header_guard.h -- reads a request's headers once: refuses what two programs in a row would
 * understand differently, and keeps what a beacon needs.
 *
 * libmicrohttpd hands over several forms in which a proxy before us may have seen another request
 * than we do (request smuggling, RFC 9112 section 11.2): Content-Length twice or beside
 * Transfer-Encoding, codings other than chunked, names with blanks, several Hosts. Each is refused
 * and the connection closed; none is repaired.
 *
 * Threads:  plain values.
 * Memory:   texts point into the request's headers, or into the caller's join buffer.
 */
#ifndef NODE_HEADER_GUARD_H
#define NODE_HEADER_GUARD_H

#include "base/text.h"

#define HEADER_JOIN_MAX 2048 /* forwarding headers that came in several lines, joined */

struct header_set {
	struct text host, origin, user_agent;
	struct text x_forwarded_for, forwarded; /* several lines are joined by ", " */
	struct text accept, accept_language, accept_encoding, if_none_match;
	struct text sec_purpose; /* or Purpose, or X-Moz, which older browsers send */
	struct text sec_fetch;   /* any of the Sec-Fetch- headers */
	struct text country;     /* the configured country header */
	uint64_t length;         /* Content-Length, when has_length */
	bool has_length, chunked;
	bool expects;      /* waits for "100 Continue" before it sends the body */
	bool closes;       /* Connection says anything but keep-alive */
	bool opted_out;    /* Sec-GPC: 1 or DNT: 1 */
	const char *fault; /* the first thing that is wrong, NULL while nothing is */

	/* private */
	struct text transfer_encoding, content_length, country_name;
	char *join;
	size_t join_used;
};

/* join: HEADER_JOIN_MAX bytes, lent while the texts are used. country_name: absent for none. */
void header_set_init(struct header_set *h, char *join, struct text country_name);

/* One header line. False when it is refused, with h->fault. */
bool header_see(struct header_set *h, struct text name, struct text value);

/* After the last line: what only shows in the whole. False when it is refused, with h->fault. */
bool header_done(struct header_set *h, bool http_1_0);

#endif
