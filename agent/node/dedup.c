#include "node/dedup.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "node/lines.h"
#include "stats/stats.h"

/* -- event ids --
 *
 * A bucket is one line, a ring of tags:
 *
 *   word 0, bit 31      lock
 *   word 0, bits 16-30  clock: when the bucket was last used, in quarters of the window
 *   word 0, bits 12-15  next: where the next tag goes; when the ring is full, the oldest is there
 *   word 0, bits 0-11   counts: how many tags are of the present half window of the clock (low
 *                       four bits), of the one before, and of the one before that
 *   words 1..15         tags, 0 where there is none
 *
 * A tag is 32 bits of 62: an id that was never seen is refused once in 2^32 / 15 or 2.9e8 times
 * when its bucket is full. The clock goes round in 8192 windows (341 days of an hour each): a
 * bucket that nobody used for as long, or up to 16 windows less, takes its tags for new ones until
 * its clock goes on, which refuses none but the same ids.
 */
#define TAGS (LINE_WORDS - 1)
#define PER_LINE 10 /* nominally: 15 would lose half of its ids within their window (dedup.h) */
#define CLOCK_AT 16
#define CLOCK_MASK 0x7fffu
#define CLOCK_BEHIND 64u /* quarters by which one thread's reading may be older than another's */
#define NEXT_AT 12
#define COUNT_BITS 4
#define COUNT_MASK 0xfu
#define COUNTS 3
#define COUNTS_MASK 0xfffu

struct dedup {
	/* constant after start */
	int64_t quarter_us;
	struct hash_key key;
	size_t n_buckets;
	/* each guarded by its lock bit */
	struct line *buckets;
};

/* Word 0 without its lock. */
struct ring {
	uint32_t clock, next, counts;
};

int
dedup_new(int64_t window_ms, int64_t entries, struct dedup **ret_dedup)
{
	struct dedup *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->quarter_us = window_ms * (1000 / 4);
	hash_key_random(&d->key);
	d->n_buckets = ((size_t)entries + PER_LINE - 1) / PER_LINE;
	d->buckets = lines_map(d->n_buckets);
	if (!d->buckets) {
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
	lines_unmap(d->buckets, d->n_buckets);
	free(d);
}

static struct ring
ring_get(const struct line *bucket)
{
	uint32_t v = line_get(bucket, 0);

	return (struct ring){v >> CLOCK_AT, v >> NEXT_AT & 0xf, v & COUNTS_MASK};
}

static void
ring_put(struct line *bucket, struct ring r)
{
	line_put(bucket, 0, r.clock << CLOCK_AT | r.next << NEXT_AT | r.counts);
}

static unsigned
counts_sum(uint32_t counts)
{
	return (counts & COUNT_MASK) + (counts >> COUNT_BITS & COUNT_MASK) +
	       (counts >> 2 * COUNT_BITS);
}

/* Brings the bucket to the clock's reading. A caller whose reading is older than another's that was
 * here before goes on with the newer one, so that both count alike. */
static void
bucket_turn(struct line *bucket, uint32_t clock)
{
	struct ring r = ring_get(bucket);
	uint32_t passed = (clock - r.clock) & CLOCK_MASK, halves = (passed + (r.clock & 1)) / 2;
	unsigned had = counts_sum(r.counts), keep;

	if (passed == 0 || (had > 0 && passed > CLOCK_MASK - CLOCK_BEHIND))
		return;
	r.clock = clock;
	r.counts = halves < COUNTS ? r.counts << COUNT_BITS * halves & COUNTS_MASK : 0;
	for (keep = counts_sum(r.counts); had > keep; had--)
		line_put(bucket, 1 + (r.next + TAGS - had) % TAGS, 0);
	ring_put(bucket, r);
}

static bool
bucket_has(const struct line *bucket, uint32_t tag)
{
	unsigned i;

	for (i = 1; i <= TAGS; i++)
		if (line_get(bucket, i) == tag)
			return true;
	return false;
}

/* Takes the oldest tag out of the counts. True when its window is not over: it is taken to have
 * come in the middle of its half window. */
static bool
ring_evict(struct ring *r)
{
	unsigned oldest = COUNTS - 1;

	while (r->counts >> COUNT_BITS * oldest == 0)
		oldest--;
	r->counts -= 1u << COUNT_BITS * oldest;
	return oldest < COUNTS - 1 || (r->clock & 1) == 0;
}

void
dedup_find(const struct dedup *d, const uint8_t event_id[16], struct dedup_claim *ret_claim)
{
	uint64_t hash = hash_table(&d->key, event_id, 16);
	struct line *bucket = &d->buckets[lines_index(hash, d->n_buckets)];

	*ret_claim = (struct dedup_claim){bucket, line_tag(hash), false};
}

void
dedup_fetch(const struct dedup_claim *c)
{
	if (c->bucket)
		line_fetch(c->bucket);
}

bool
dedup_claim(const struct dedup *d, struct mono_us now, struct dedup_claim *c)
{
	line_lock(c->bucket);
	bucket_turn(c->bucket, (uint32_t)(now.us / d->quarter_us) & CLOCK_MASK);
	c->held = !bucket_has(c->bucket, c->tag);
	if (!c->held)
		line_unlock(c->bucket);
	return c->held;
}

void
dedup_keep(struct dedup_claim *c)
{
	struct ring r;

	if (!c->held)
		return;
	r = ring_get(c->bucket);
	if (counts_sum(r.counts) == TAGS && ring_evict(&r))
		stat_add(STAT_DEDUP_EVICTED, 1);
	line_put(c->bucket, 1 + r.next, c->tag);
	r.next = (r.next + 1) % TAGS;
	r.counts++;
	ring_put(c->bucket, r);
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
