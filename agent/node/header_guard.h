/* header_guard.h -- reads a request's headers once: refuses what two programs in a row would
 * understand differently, and keeps what a beacon needs.
 *
 * What is refused, and why, says base/http_guard.h.
 *
 * Threads:  plain values.
 * Memory:   texts point into the request's headers, or into the caller's join buffer.
 */
#ifndef NODE_HEADER_GUARD_H
#define NODE_HEADER_GUARD_H

#include "base/http_guard.h"

#define HEADER_JOIN_MAX 2048 /* forwarding headers that came in several lines, joined */

struct header_set {
	struct http_guard guard;
	struct text origin, user_agent;
	struct text x_forwarded_for, forwarded; /* several lines are joined by ", " */
	struct text accept, accept_language, accept_encoding, if_none_match;
	struct text sec_purpose; /* or Purpose, or X-Moz, which older browsers send */
	struct text sec_fetch;   /* any of the Sec-Fetch- headers */
	struct text country;     /* the configured country header */
	bool expects;            /* waits for "100 Continue" before it sends the body */
	bool closes;             /* Connection says anything but keep-alive */
	bool opted_out;          /* Sec-GPC: 1 or DNT: 1 */

	/* private */
	struct text country_name;
	char *join;
	size_t join_used;
};

/* join: HEADER_JOIN_MAX bytes, lent while the texts are used. country_name: absent for none. */
void header_set_init(struct header_set *h, char *join, struct text country_name);

/* One header line, before http_guard_done of h->guard; name is a token, value has no control
 * character. False when it is refused, with h->guard.fault. */
bool header_see(struct header_set *h, struct text name, struct text value);

#endif
