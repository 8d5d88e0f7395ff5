/* Any bytes as a batch document and as a batch body: what is accepted can be walked, every index of
 * it lies within its dictionary, and its ledger has accepted what is there. */
#include <stdlib.h>

#include "proto/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_dictionaries(const struct batch *b)
{
	struct reader contents = b->dict_content, referrers = b->dict_referrer;
	struct batch_content c;
	struct text t;
	uint32_t n;

	for (n = 0; batch_next_content(&contents, &c); n++)
		if (!event_name_valid(c.type) || !event_name_valid(c.site))
			abort();
	if (n != b->contents || n > b->events)
		abort();
	for (n = 0; batch_next_text(&referrers, &t); n++)
		if (!text_is_utf8(t) || (t.len == 0) != (n == 0))
			abort();
	if (n != b->referrers)
		abort();
}

static void
check_bots(const struct batch *b)
{
	struct reader dict = b->dict_bot;
	uint64_t sum[SOURCE_N] = {0};
	struct batch_bot bot;
	unsigned s, n;

	for (n = 0; batch_next_bot(&dict, &bot); n++) {
		if (!batch_bot_name_valid(bot.name))
			abort();
		for (s = 0; s < SOURCE_N; s++)
			sum[s] += bot.count[s];
	}
	if (n != b->bots || n > BATCH_BOTS_MAX)
		abort();
	for (s = 0; s < SOURCE_N; s++)
		if (sum[s] > b->meta.ledger.count[s][REASON_BOT_USER_AGENT])
			abort();
}

static void
check_events(const struct batch *b)
{
	struct ledger left = b->meta.ledger;
	struct batch_cursor c;
	struct batch_event e;
	uint32_t n = 0, s;

	for (batch_cursor_init(b, &c); batch_next(&c, &e); n++) {
		if (e.content >= b->contents || e.name >= b->names || e.referrer >= b->referrers ||
		    e.country >= b->countries || e.source >= SOURCE_N || e.ts_ms < 0 ||
		    e.ts_ms > EVENT_TS_MAX_MS)
			abort();
		left.count[e.source][e.repeat ? REASON_ACCEPTED_REPEAT : REASON_ACCEPTED_FIRST]--;
	}
	for (s = 0; s < SOURCE_N; s++)
		if (left.count[s][REASON_ACCEPTED_FIRST] || left.count[s][REASON_ACCEPTED_REPEAT])
			abort();
	if (n != b->events)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct batch_name name;
	struct text frame;
	struct batch b;

	if (batch_decode(data, size, &b) == 0) {
		check_dictionaries(&b);
		check_bots(&b);
		check_events(&b);
	}
	if (batch_name_get(data, size, &name, &frame) == 0 &&
	    (frame.len != name.compressed_bytes || !event_name_valid(text_of(name.id.node))))
		abort();
	return 0;
}
