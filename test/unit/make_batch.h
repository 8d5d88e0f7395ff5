/* make_batch.h -- batches for the tests of the central, from events written down briefly.
 *
 * Threads:  one struct maker per thread.
 * Memory:   a maker owns its document and body until maker_free.
 * Errors:   abort: a test that cannot make its batch has nothing to say.
 */
#ifndef TEST_MAKE_BATCH_H
#define TEST_MAKE_BATCH_H

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/clock.h"
#include "proto/batch.h"

#define MAKER_BOTS 8

struct maker {
	struct batch_meta meta;
	void *arena;
	struct batch_builder *builder;
	uint8_t *doc, *body;
	size_t doc_len, body_len;
	uint32_t room;
	struct batch_name name;
	struct batch_bot bot[MAKER_BOTS];
	size_t bots;
};

/* SplitMix64's step: a uniform hash of a small number. */
static inline uint64_t
visitor_of(uint64_t n)
{
	uint64_t z = n * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0x1234567);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline struct event
view_of(int64_t ts_ms, unsigned content, uint64_t visitor)
{
	struct event e = {
	    .source = SOURCE_BEACON, .ts_ms = ts_ms, .type = TEXT_LIT("video"), .has_uuid = true};

	memcpy(e.uuid, &content, sizeof(content));
	e.visitor = visitor_of(visitor);
	e.salt_id = 1;
	return e;
}

/* The first 8 bytes of the id become the batch's tag. */
static inline void
set_event_id(struct event *e, uint64_t id)
{
	uint64_t tag = visitor_of(id ^ UINT64_C(0xabcdef));

	e->has_event_id = true;
	memcpy(e->event_id, &tag, sizeof(tag));
	memcpy(e->event_id + 8, &id, sizeof(id));
}

static inline void
maker_begin(struct maker *m, const char *node, uint8_t epoch, uint64_t seq, int64_t from_ms,
	    uint32_t events)
{
	size_t bytes = batch_arena_bytes(events, (size_t)events * 200);

	*m = (struct maker){.room = events};
	strcpy(m->meta.id.node, node);
	memset(m->meta.id.epoch, epoch, sizeof(m->meta.id.epoch));
	m->meta.id.seq = seq;
	m->meta.from_ms = from_ms;
	m->meta.until_ms = from_ms + HOUR_MS;
	m->meta.sealed_ms = from_ms + HOUR_MS;
	m->arena = aligned_alloc(16, (bytes + 15) & ~(size_t)15);
	m->builder = batch_begin(m->arena, bytes, events);
	if (!m->builder)
		abort();
}

static inline void
maker_add(struct maker *m, const struct event *e)
{
	if (batch_add(m->builder, e, 1) != 0)
		abort(); /* not ck_assert: it writes a file each time */
	m->meta.ledger
	    .count[e->source][e->repeat ? REASON_ACCEPTED_REPEAT : REASON_ACCEPTED_FIRST]++;
	m->name.events++;
}

/* Bots come in the order of their names. */
static inline void
maker_add_bot(struct maker *m, const char *name, uint64_t beacons, uint64_t datagrams)
{
	if (m->bots == MAKER_BOTS)
		abort();
	m->bot[m->bots++] = (struct batch_bot){text_of(name), {beacons, datagrams}};
	m->meta.ledger.count[SOURCE_BEACON][REASON_BOT_USER_AGENT] += beacons;
	m->meta.ledger.count[SOURCE_DATAGRAM][REASON_BOT_USER_AGENT] += datagrams;
}

/* Document, and the body as an agent would send it. */
static inline void
maker_finish(struct maker *m)
{
	size_t cap = batch_document_bytes(m->room, (size_t)m->room * 200), frame_cap, n, head;
	uint8_t *frame, name[BATCH_HEAD_BYTES];

	m->doc = malloc(cap);
	batch_set_bots(m->builder, m->bot, m->bots);
	if (batch_finish(m->builder, &m->meta, m->doc, cap, &m->doc_len) != 0)
		abort();
	frame_cap = ZSTD_compressBound(m->doc_len);
	frame = malloc(frame_cap);
	n = ZSTD_compress(frame, frame_cap, m->doc, m->doc_len, 3);
	if (ZSTD_isError(n))
		abort();
	m->name.id = m->meta.id;
	m->name.document_bytes = (uint32_t)m->doc_len;
	m->name.compressed_bytes = (uint32_t)n;
	batch_checksum(frame, n, m->name.checksum);
	head = batch_name_put(&m->name, name);
	m->body_len = head + n;
	m->body = malloc(m->body_len);
	memcpy(m->body, name, head);
	memcpy(m->body + head, frame, n);
	free(frame);
	free(m->arena);
	m->arena = NULL;
}

static inline void
maker_free(struct maker *m)
{
	free(m->arena);
	free(m->doc);
	free(m->body);
}

#endif
