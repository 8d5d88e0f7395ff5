/* Any bytes as a datagram: what is accepted keeps its promises and encodes to what
 * decodes alike. */
#include <stdlib.h>

#include "proto/datagram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_again(const struct event *e)
{
	static struct datagram_decoder *d;
	uint8_t bytes[DATAGRAM_MAX];
	size_t n = datagram_encode(e, bytes, sizeof(bytes));
	enum reason r;
	struct event back;

	if (!d)
		d = datagram_decoder_new();
	if (!d || n == 0)
		return;
	if (datagram_open(d, bytes, n, &r) != 1 ||
	    datagram_event(d, 0, &back) != REASON_ACCEPTED_FIRST)
		abort();
	if (!text_eq(back.type, e->type) || !text_eq(back.ua, e->ua) || back.ts_ms != e->ts_ms ||
	    !text_eq(back.session, e->session) || back.has_uuid != e->has_uuid)
		abort();
	if (memcmp(back.uuid, e->uuid, 16) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct datagram_decoder *d;
	enum reason r;
	struct event e;
	unsigned n, i;

	if (!d)
		d = datagram_decoder_new();
	if (!d)
		return 0;
	n = datagram_open(d, data, size, &r);
	if (n > DATAGRAM_EVENTS_MAX || (n > 0 && !datagram_scan(data, size)))
		abort();
	for (i = 0; i < n; i++)
		if (datagram_event(d, i, &e) == REASON_ACCEPTED_FIRST)
			check_again(&e);
	return 0;
}
