/* Any bytes as a beacon's body: what is accepted keeps its promises. */
#include <stdlib.h>

#include "proto/beacon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct beacon_scratch scratch;
	const char *body = (const char *)data;
	bool valid = beacon_json_valid(body, size);
	struct event e;
	enum reason r = beacon_decode(body, size, &scratch, &e);

	if (!memchr(scratch.error, '\0', sizeof(scratch.error)))
		abort();
	if (r == REASON_INVALID_JSON || r == REASON_INVALID_DUPLICATE_KEY ||
	    r == REASON_INVALID_TOO_LARGE) /* not even scanned */
		return 0;
	if (!valid)
		abort(); /* an object was read in what is no JSON */
	if (r != REASON_ACCEPTED_FIRST)
		return 0;
	if (size > BEACON_BODY_MAX || e.type.len == 0 || e.id.len == 0 || e.session.len > 64)
		abort();
	if (!text_is_utf8(e.type) || !text_is_utf8(e.id) || !text_is_utf8(e.session) ||
	    !text_is_utf8(e.referrer) || (e.name.at && !event_name_valid(e.name)))
		abort();
	return 0;
}
