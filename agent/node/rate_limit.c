#include "node/rate_limit.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "node/lines.h"
#include "stats/stats.h"

#define ENTRIES (LINE_WORDS / 2) /* tag and time */

/* Ticks per interval of the base rate: the /48's interval is then 16 ticks, exact to 6 %, and a
 * 32-bit time goes round only after 2^24 intervals, long after the burst tolerance is over. */
#define TICKS_PER_INTERVAL 256

/* How much older than another's a caller's clock may be: a worker reads it when it wakes up, and is
 * done with what woke it some time later, after a wait for the disk at worst. */
#define LATE_US INT64_C(10000000)

struct tier {
	uint32_t interval, tolerance; /* ticks */
	uint8_t prefix_bytes;
	enum reason reason;
};

enum { TIER_V4, TIER_V6_64, TIER_V6_56, TIER_V6_48, TIER_N };

struct rate_limit {
	/* constant after start */
	struct tier tier[TIER_N];
	int64_t tick_us;
	uint32_t horizon; /* no valid time lies further ahead, seen from the oldest clock */
	struct hash_key key;
	size_t n_lines;
	/* each line guarded by its lock bit */
	struct line *lines;
};

static void
tier_set(struct rate_limit *r, int which, double interval_us, double burst, unsigned times,
	 uint8_t prefix_bytes, enum reason reason)
{
	struct tier *t = &r->tier[which];
	double interval = interval_us / (double)r->tick_us / times;
	double tolerance;

	interval = interval < 1 ? 1 : interval;
	tolerance = (burst * times - 1) * interval;
	t->interval = (uint32_t)(interval + 0.5);
	t->tolerance = tolerance > INT32_MAX / 2 ? INT32_MAX / 2 : (uint32_t)(tolerance + 0.5);
	t->prefix_bytes = prefix_bytes;
	t->reason = reason;
	if (r->horizon < t->interval + t->tolerance)
		r->horizon = t->interval + t->tolerance;
}

int
rate_limit_new(struct conf_rate rate, int64_t burst, int64_t clients, struct rate_limit **ret_limit)
{
	struct rate_limit *r = calloc(1, sizeof(*r));
	double interval_us = (double)rate.per_ms * 1000 / (double)rate.events;
	double b = (double)burst;

	if (!r)
		return -ENOMEM;
	r->tick_us = (int64_t)(interval_us / TICKS_PER_INTERVAL);
	if (r->tick_us < 1)
		r->tick_us = 1;
	tier_set(r, TIER_V4, interval_us, b, 1, 16, REASON_LIMITED_V4);
	tier_set(r, TIER_V6_64, interval_us, b, 1, 8, REASON_LIMITED_V6_64);
	tier_set(r, TIER_V6_56, interval_us, b, RATE_V6_56_TIMES, 7, REASON_LIMITED_V6_56);
	tier_set(r, TIER_V6_48, interval_us, b, RATE_V6_48_TIMES, 6, REASON_LIMITED_V6_48);
	r->horizon += (uint32_t)(LATE_US / r->tick_us);
	hash_key_random(&r->key);
	r->n_lines = ((size_t)clients + ENTRIES - 1) / ENTRIES;
	r->lines = lines_map(r->n_lines);
	if (!r->lines) {
		free(r);
		return -ENOMEM;
	}
	*ret_limit = r;
	return 0;
}

void
rate_limit_free(struct rate_limit *r)
{
	if (!r)
		return;
	lines_unmap(r->lines, r->n_lines);
	free(r);
}

static uint64_t
tier_hash(const struct rate_limit *r, int which, const struct client_addr *a)
{
	uint8_t bytes[17] = {(uint8_t)which};

	memcpy(bytes + 1, a->ip, r->tier[which].prefix_bytes);
	return hash_table(&r->key, bytes, sizeof(bytes));
}

/* How far ahead of `now` an entry's time lies; 0 when it is past, or so far ahead that the 32 bits
 * have gone round since: then the address is as good as unknown. */
static uint32_t
ahead(const struct rate_limit *r, uint32_t time, uint32_t now)
{
	uint32_t d = time - now;

	return d <= r->horizon ? d : 0;
}

/* The entry of tag, else the one to give up for it: whose time is over first. */
static unsigned
entry_find(const struct rate_limit *r, struct line *l, uint32_t tag, uint32_t now, bool *ret_found)
{
	unsigned i, victim = 0;
	uint32_t d, least = UINT32_MAX;

	*ret_found = true;
	for (i = 0; i < ENTRIES; i++) {
		if (line_get(l, 2 * i) == line_fit(2 * i, tag))
			return i;
		d = line_get(l, 2 * i) ? ahead(r, line_get(l, 2 * i + 1), now) + 1 : 0;
		if (d < least) {
			least = d;
			victim = i;
		}
	}
	*ret_found = false;
	if (least > 1)
		stat_add(STAT_RATE_EVICTED, 1);
	return victim;
}

/* Ticks to wait; 0 when the request conforms and was counted. */
static uint32_t
tier_take(struct rate_limit *r, int which, uint64_t hash, uint32_t now)
{
	struct line *l = &r->lines[lines_index(hash, r->n_lines)];
	const struct tier *t = &r->tier[which];
	uint32_t tag = line_tag(hash), d = 0, wait = 0;
	unsigned i;
	bool found;

	line_lock(l);
	i = entry_find(r, l, tag, now, &found);
	if (found)
		d = ahead(r, line_get(l, 2 * i + 1), now);
	if (d > t->tolerance) {
		wait = d - t->tolerance;
	} else {
		line_put(l, 2 * i, tag);
		line_put(l, 2 * i + 1, now + d + t->interval);
	}
	line_unlock(l);
	return wait;
}

/* The request was refused by a wider prefix: it shall not have cost this one anything. */
static void
tier_give_back(struct rate_limit *r, int which, uint64_t hash)
{
	struct line *l = &r->lines[lines_index(hash, r->n_lines)];
	uint32_t tag = line_tag(hash);
	unsigned i;

	line_lock(l);
	for (i = 0; i < ENTRIES; i++)
		if (line_get(l, 2 * i) == line_fit(2 * i, tag))
			line_put(l, 2 * i + 1, line_get(l, 2 * i + 1) - r->tier[which].interval);
	line_unlock(l);
}

bool
rate_limit_take(struct rate_limit *r, const struct client_addr *a, struct mono_us now,
		enum reason *ret_reason, int64_t *ret_retry_ms)
{
	bool v4 = client_addr_is_v4(a);
	int first = v4 ? TIER_V4 : TIER_V6_64, last = v4 ? TIER_V4 : TIER_V6_48, t;
	uint32_t tick = (uint32_t)(now.us / r->tick_us), wait = 0;
	uint64_t hash[TIER_N];

	for (t = first; t <= last; t++) {
		hash[t] = tier_hash(r, t, a);
		wait = tier_take(r, t, hash[t], tick);
		if (wait)
			break;
	}
	if (!wait)
		return true;
	*ret_reason = r->tier[t].reason;
	*ret_retry_ms = (wait * r->tick_us + 999) / 1000;
	while (t-- > first)
		tier_give_back(r, t, hash[t]);
	return false;
}
