/* The table of bots behind a segment's header: journal_segment.h has its bytes. */
#include "base/hash.h"
#include "node/journal_state.h"

static struct segment_bot *
place(const struct segment *s, size_t i)
{
	return (struct segment_bot *)(void *)(s->base + SEGMENT_PAGE) + i;
}

static uint64_t
place_sum(const struct segment *s, size_t i)
{
	return hash_mix(s->head->id + i, place(s, i), offsetof(struct segment_bot, count));
}

size_t
segment_bot_places(const struct segment *s)
{
	return s->records_at > SEGMENT_PAGE ? SEGMENT_BOTS : 0;
}

struct segment_bot *
segment_bot_at(const struct segment *s, size_t i)
{
	struct segment_bot *b = place(s, i);
	struct text name = {b->name, b->len};

	if (b->len > BATCH_BOT_NAME_MAX || b->sum != place_sum(s, i) || !batch_bot_name_valid(name))
		return NULL;
	return b;
}

/* -- the writer's part -- */

/* The checksum is stored last: a process that dies before leaves no place, one that dies behind it
 * a place that counts nothing. */
static struct segment_bot *
take_place(struct segment *s, struct text name)
{
	struct segment_bot *b = place(s, s->bots);
	uint64_t sum;

	memset(b->name, 0, sizeof(b->name));
	memcpy(b->name, name.at, name.len);
	b->len = (uint8_t)name.len;
	memset(b->count, 0, sizeof(b->count));
	sum = place_sum(s, s->bots);
	__atomic_store_n(&b->sum, sum, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	s->bots++;
	return b;
}

uint64_t *
journal_bot_counter(struct journal_writer *w, enum event_source s, struct text name)
{
	struct segment *active = w->active;
	size_t at = hash_mix(0, name.at, name.len) % JOURNAL_BOT_SLOTS;
	struct segment_bot *b;

	for (; w->bot_slot[at]; at = (at + 1) % JOURNAL_BOT_SLOTS) {
		b = place(active, w->bot_slot[at] - 1u);
		if (text_eq((struct text){b->name, b->len}, name))
			return &b->count[s];
	}
	if (active->bots == SEGMENT_BOTS || !batch_bot_name_valid(name))
		return NULL;
	b = take_place(active, name);
	w->bot_slot[at] = (uint16_t)active->bots;
	return &b->count[s];
}

void
journal_bots_forget(struct journal_writer *w)
{
	memset(w->bot_slot, 0, sizeof(w->bot_slot));
}
