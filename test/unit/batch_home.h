/* batch_home.h -- batches of events at random, each in memory of exactly the promised size,
 * for tests of proto/batch*.c.
 *
 * Memory:   maker_free().
 * Errors:   ck_assert.
 */
#ifndef TEST_BATCH_HOME_H
#define TEST_BATCH_HOME_H

#include "golden.h"

/* SplitMix64: uniform, and the same on every machine. */
static inline uint64_t
uniform(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline struct batch_meta
some_meta(void)
{
	struct batch_meta m = {.id = {.node = "web-1", .seq = 41}};

	memset(m.id.epoch, 0xe0, 16);
	m.from_ms = INT64_C(1764158400000);
	m.until_ms = m.closes_ms = m.from_ms + 3600000;
	m.sealed_ms = m.until_ms + 17;
	m.udp_dropped = 3;
	m.lost = 2;
	m.ledger.count[SOURCE_BEACON][REASON_LIMITED_V6_64] = 5;
	m.ledger.count[SOURCE_BEACON][REASON_LIMITED_V6_56] = 6;
	m.ledger.count[SOURCE_DATAGRAM][REASON_INVALID_ID] = UINT64_C(1) << 40;
	return m;
}

/* A builder in an arena of exactly the promised size, and the document's buffer likewise. */
struct maker {
	void *arena;
	struct batch_builder *b;
	uint8_t *doc;
	size_t cap, len;
	struct batch_meta meta; /* with the events added so far in its ledger */
};

static inline struct maker
maker_of(uint32_t n, size_t payload_bytes)
{
	size_t bytes = batch_arena_bytes(n, payload_bytes);
	struct maker m = {.arena = malloc(bytes),
			  .cap = batch_document_bytes(n, payload_bytes),
			  .meta = some_meta()};

	m.doc = malloc(m.cap);
	ck_assert(m.arena != NULL && m.doc != NULL);
	memset(m.arena, 0xa5, bytes); /* it need not be zeroed */
	m.b = batch_begin(m.arena, bytes, n);
	ck_assert(m.b != NULL);
	return m;
}

static inline int
maker_add(struct maker *m, const struct event *e)
{
	int err = batch_add(m->b, e, 1);

	if (!err)
		m->meta.ledger
		    .count[e->source][e->repeat ? REASON_ACCEPTED_REPEAT : REASON_ACCEPTED_FIRST]++;
	return err;
}

static inline void
maker_finish(struct maker *m)
{
	uint8_t *exact;

	ck_assert_int_eq(batch_finish(m->b, &m->meta, m->doc, m->cap, &m->len), 0);
	exact = malloc(m->len); /* so that a sanitizer sees a read behind it */
	ck_assert(exact != NULL);
	memcpy(exact, m->doc, m->len);
	free(m->doc);
	m->doc = exact;
}

static inline void
maker_free(struct maker *m)
{
	free(m->arena);
	free(m->doc);
}

/* An event of which every field depends on the seed; its texts are lent until the next call. */
static inline struct event
random_event(uint64_t *seed)
{
	static const char *const countries[] = {"\0", "FR", "DE", "US"};
	static char site[32], name[32], slug[64], host[64];
	uint64_t r = uniform(seed);
	struct event e = {.source = r & 1 ? SOURCE_DATAGRAM : SOURCE_BEACON};

	e.ts_ms = (int64_t)(uniform(seed) % (uint64_t)(EVENT_TS_MAX_MS + 1));
	e.repeat = r & 2;
	e.type = r & 4 ? TEXT_LIT("video") : TEXT_LIT("audio");
	e.has_uuid = r & 8;
	memset(e.uuid, (int)(r >> 32 & 0x3f), 16);
	if (!e.has_uuid) {
		(void)snprintf(slug, sizeof(slug), "a/%u", (unsigned)(r >> 40 & 0xff));
		e.id = text_of(slug);
	}
	(void)snprintf(site, sizeof(site), "site-%u", (unsigned)(r >> 8 & 3));
	e.site = r & 16 ? text_of(site) : (struct text){NULL, 0};
	(void)snprintf(name, sizeof(name), "name.%u", (unsigned)(r >> 12 & 7));
	e.name = r & 32 ? text_of(name) : (struct text){NULL, 0};
	(void)snprintf(host, sizeof(host), "host-%u.test", (unsigned)(r >> 16 & 0xff));
	e.referrer = r & 64 ? text_of(host) : (struct text){NULL, 0};
	e.has_event_id = r & 128;
	memset(e.event_id, (int)(r >> 24 & 0xff), 16);
	e.has_value = uniform(seed) & 1;
	e.value = (double)(int64_t)uniform(seed) / 3;
	e.visitor = uniform(seed) % 50 * UINT64_C(0x0123456789abcdef);
	e.session_hash = uniform(seed) % 3 ? uniform(seed) % 40 : 0;
	e.salt_id = (uint32_t)(uniform(seed) % 3 ? 20 : uniform(seed));
	e.browser = (uint8_t)uniform(seed);
	e.system = (uint8_t)uniform(seed);
	e.device = (uint8_t)uniform(seed);
	memcpy(e.country, countries[uniform(seed) % 4], 2);
	return e;
}

static inline size_t
packed_bytes(const struct event *e)
{
	uint8_t buf[EVENT_PACKED_MAX];
	size_t n = event_pack(e, buf, sizeof(buf));

	ck_assert_uint_gt(n, 0);
	return n;
}

static inline struct maker
random_batch(uint64_t seed, uint32_t n)
{
	uint64_t again = seed;
	size_t bytes = 0;
	struct maker m;
	struct event e;
	uint32_t i;
	int err = 0;

	for (i = 0; i < n; i++) {
		e = random_event(&seed);
		bytes += packed_bytes(&e);
	}
	m = maker_of(n, bytes);
	for (i = 0; i < n; i++) {
		e = random_event(&again);
		err |= maker_add(&m, &e);
	}
	ck_assert_int_eq(err, 0);
	maker_finish(&m);
	return m;
}

#endif
