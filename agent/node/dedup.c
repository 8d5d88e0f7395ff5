#include "node/dedup.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "node/lines.h"
#include "stats/stats.h"

/* -- event ids --
 *
 * A bucket is two neighbouring lines, one per generation, under the lock of the first:
 *
 *   line 0, word 0      lock bit, and the generation that the bucket was last used in (31 bits)
 *   line 1, word 0      fill of line 0 (low half) and of line 1: next slot, then FULL + next slot
 *   line g % 2, 1..15   tags of generation g, oldest at the fill, 0 where there is none
 *
 * A tag is 32 bits of 62: an id that was never seen is refused once in 2^32 / 30 or 1.4e8 times
 * when its bucket is full.
 */
#define SLOTS (LINE_WORDS - 1)
#define GENERATION_MASK 0x7fffffffu

struct dedup {
	/* constant after start */
	int64_t window_us;
	struct hash_key key;
	size_t n_buckets;
	/* each bucket guarded by the lock bit of its first line */
	struct line *lines;
};

int
dedup_new(int64_t window_ms, int64_t entries, struct dedup **ret_dedup)
{
	struct dedup *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->window_us = window_ms * 1000;
	hash_key_random(&d->key);
	d->n_buckets = ((size_t)entries + SLOTS - 1) / SLOTS;
	d->lines = lines_map(2 * d->n_buckets);
	if (!d->lines) {
		free(d);
		return -ENOMEM;
	}
	*ret_dedup = d;
	return 0;
}

void
dedup_free(struct dedup *d)
{
	if (!d)
		return;
	lines_unmap(d->lines, 2 * d->n_buckets);
	free(d);
}

static unsigned
fill_get(const struct line *bucket, unsigned which)
{
	uint32_t both = line_get(&bucket[1], 0);

	return which ? both >> 16 : both & 0xffff;
}

static void
fill_put(struct line *bucket, unsigned which, unsigned fill)
{
	uint32_t both = line_get(&bucket[1], 0);

	line_put(&bucket[1], 0, which ? (both & 0xffff) | fill << 16 : (both & ~0xffffu) | fill);
}

static void
generation_clear(struct line *bucket, unsigned which)
{
	unsigned i;

	for (i = 1; i <= SLOTS; i++)
		line_put(&bucket[which], i, 0);
	fill_put(bucket, which, 0);
}

/* Brings the bucket to generation g. A caller whose clock reading is older than another's that was
 * here before goes on with the newer one, so that both look at the same lines. */
static void
bucket_turn(struct line *bucket, uint32_t g)
{
	uint32_t passed = (g - line_get(bucket, 0)) & GENERATION_MASK;

	if (passed == 0 || passed > GENERATION_MASK / 2)
		return;
	generation_clear(bucket, g & 1);
	if (passed > 1)
		generation_clear(bucket, (g & 1) ^ 1);
	line_put(bucket, 0, g);
}

static bool
bucket_has(const struct line *bucket, uint32_t tag)
{
	unsigned i;

	for (i = 1; i <= SLOTS; i++)
		if (line_get(&bucket[0], i) == tag || line_get(&bucket[1], i) == tag)
			return true;
	return false;
}

void
dedup_find(const struct dedup *d, const uint8_t event_id[16], struct dedup_claim *ret_claim)
{
	uint64_t hash = hash_table(&d->key, event_id, 16);
	struct line *bucket = &d->lines[2 * lines_index(hash, d->n_buckets)];

	*ret_claim = (struct dedup_claim){bucket, line_tag(hash), false};
}

void
dedup_fetch(const struct dedup_claim *c)
{
	if (!c->bucket)
		return;
	line_fetch(&c->bucket[0]);
	line_fetch(&c->bucket[1]);
}

bool
dedup_claim(const struct dedup *d, struct mono_us now, struct dedup_claim *c)
{
	line_lock(c->bucket);
	bucket_turn(c->bucket, (uint32_t)(now.us / d->window_us) & GENERATION_MASK);
	c->held = !bucket_has(c->bucket, c->tag);
	if (!c->held)
		line_unlock(c->bucket);
	return c->held;
}

void
dedup_keep(struct dedup_claim *c)
{
	struct line *bucket = c->bucket;
	unsigned which, fill;

	if (!c->held)
		return;
	which = line_get(bucket, 0) & 1;
	fill = fill_get(bucket, which);
	if (fill >= SLOTS)
		stat_add(STAT_DEDUP_EVICTED, 1);
	line_put(&bucket[which], 1 + fill % SLOTS, c->tag);
	fill_put(bucket, which, fill + 1 < 2 * SLOTS ? fill + 1 : SLOTS);
	dedup_drop(c);
}

void
dedup_drop(struct dedup_claim *c)
{
	if (c->held)
		line_unlock(c->bucket);
	c->held = false;
}

/* -- double clicks --
 *
 * A line is eight pairs of tag and time: the low 32 bits of the event's wall ms. They go round in
 * 49 days, within which the visitor of a pair has changed with the salt.
 */
#define PAIRS (LINE_WORDS / 2)

struct repeat {
	/* constant after start */
	int32_t window_ms;
	struct hash_key key;
	size_t n_lines;
	/* each line guarded by its lock bit */
	struct line *lines;
};

int
repeat_new(int64_t window_ms, int64_t entries, struct repeat **ret_repeat)
{
	struct repeat *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->window_ms = (int32_t)window_ms;
	hash_key_random(&r->key);
	r->n_lines = ((size_t)entries + PAIRS - 1) / PAIRS;
	r->lines = lines_map(r->n_lines);
	if (!r->lines) {
		free(r);
		return -ENOMEM;
	}
	*ret_repeat = r;
	return 0;
}

void
repeat_free(struct repeat *r)
{
	if (!r)
		return;
	lines_unmap(r->lines, r->n_lines);
	free(r);
}

static size_t
key_add(uint8_t *key, size_t at, struct text t, const char *absent)
{
	if (!t.at)
		t = text_of(absent);
	if (t.len > EVENT_NAME_MAX) /* decoders let none pass */
		t.len = EVENT_NAME_MAX;
	key[at++] = (uint8_t)t.len; /* so that no two contents run together to the same bytes */
	memcpy(key + at, t.at, t.len);
	return at + t.len;
}

static uint64_t
repeat_hash(const struct repeat *r, const struct event *e)
{
	uint8_t key[8 + 4 * (1 + EVENT_NAME_MAX)] UNZEROED;
	size_t n = sizeof(e->visitor);

	memcpy(key, &e->visitor, n);
	if (e->has_uuid)
		n = key_add(key, n, (struct text){(const char *)e->uuid, sizeof(e->uuid)}, "");
	else
		n = key_add(key, n, e->id, "");
	n = key_add(key, n, e->site, EVENT_DEFAULT_SITE);
	n = key_add(key, n, e->type, "");
	n = key_add(key, n, e->name, EVENT_DEFAULT_NAME);
	return hash_table(&r->key, key, n);
}

static int32_t
ms_between(uint32_t later, uint32_t earlier)
{
	return (int32_t)(later - earlier);
}

static bool
ms_within(int32_t delta, int32_t window)
{
	return delta > -window && delta < window;
}

void
repeat_find(const struct repeat *r, const struct event *e, struct repeat_claim *ret_claim)
{
	uint64_t hash = repeat_hash(r, e);
	struct line *l = &r->lines[lines_index(hash, r->n_lines)];

	*ret_claim =
	    (struct repeat_claim){.line = l, .tag = line_tag(hash), .time = (uint32_t)e->ts_ms};
}

void
repeat_fetch(const struct repeat_claim *c)
{
	if (c->line)
		line_fetch(c->line);
}

bool
repeat_claim(const struct repeat *r, struct repeat_claim *c)
{
	uint32_t tag, time;
	int32_t delta, oldest = INT32_MAX;
	unsigned i;

	line_lock(c->line);
	c->held = true;
	for (i = 0; i < PAIRS; i++) {
		tag = line_get(c->line, 2 * i);
		time = line_get(c->line, 2 * i + 1);
		delta = ms_between(time, c->time);
		if (tag == line_fit(2 * i, c->tag) && ms_within(delta, r->window_ms)) {
			c->entry = i;
			c->time = delta > 0 ? time : c->time;
			c->early = false;
			return true;
		}
		if (tag == 0)
			delta = INT32_MIN;
		if (i == 0 || delta < oldest) {
			oldest = delta;
			c->entry = i;
			c->early = tag != 0 && ms_within(delta, r->window_ms);
		}
	}
	return false;
}

void
repeat_keep(struct repeat_claim *c)
{
	if (!c->held)
		return;
	if (c->early)
		stat_add(STAT_REPEAT_EVICTED, 1);
	line_put(c->line, 2 * c->entry, c->tag);
	line_put(c->line, 2 * c->entry + 1, c->time);
	repeat_drop(c);
}

void
repeat_drop(struct repeat_claim *c)
{
	if (c->held)
		line_unlock(c->line);
	c->held = false;
}
