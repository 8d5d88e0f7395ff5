/* beacon.h -- an event as a flat JSON object, from a browser.
 *
 * A strict scanner for one object of strings and numbers (RFC 8259): no duplicate key, no \u0000,
 * no lone surrogate, no bad UTF-8, no byte-order mark, nothing behind the object. Unknown keys are
 * skipped whatever well-formed value they have, to a depth of BEACON_DEPTH_MAX.
 *
 * Threads:  any.
 * Memory:   no malloc; decoded strings go to the caller's scratch when they hold escapes, else they
 *           point into the body.
 */
#ifndef PROTO_BEACON_H
#define PROTO_BEACON_H

#include "proto/event.h"

#define BEACON_BODY_MAX 2048
#define BEACON_DEPTH_MAX 16
#define BEACON_ERROR_MAX 96

struct beacon_scratch {
	char bytes[BEACON_BODY_MAX]; /* unescaped strings are never longer than the body */
	char host[EVENT_HOST_MAX];
	char error
	    [BEACON_ERROR_MAX]; /* which field and why, for the answer; ASCII, no client bytes */
};

/* Fills ret_event from the body. REASON_ACCEPTED_FIRST when it is well formed (types, sites and
 * times are admission's to judge; the id is parsed as a UUID when it looks like one), else the
 * reason, with a sentence in scratch->error. Missing content_type or content_id is
 * REASON_INVALID_MISSING. */
enum reason beacon_decode(const char *body, size_t len, struct beacon_scratch *scratch,
			  struct event *ret_event);

/* The same scanner on any JSON value: true when the text is well-formed JSON as above without
 * regard to its meaning. Depth beyond BEACON_DEPTH_MAX is refused. For tests and fuzzing. */
bool beacon_json_valid(const char *text, size_t len);

#endif
