/* Any bytes as a journal record's payload: one form for each event. The same bytes as
 * a referrer. */
#include <stdlib.h>

#include "proto/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[EVENT_PACKED_MAX];
	char host[EVENT_HOST_MAX];
	struct text text;
	struct event e;

	if (event_unpack(data, size, &e)) {
		if (event_pack(&e, again, sizeof(again)) != size || memcmp(again, data, size) != 0)
			abort();
	}
	if (event_referrer_host((struct text){(const char *)data, size}, host, &text))
		if (text.len > EVENT_HOST_MAX || !text_is_utf8(text) || (text.at && text.len == 0))
			abort();
	return 0;
}
