#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/crash_point.h"
#include "base/log.h"
#include "node/seal.h"
#include "stats/stats.h"

#define LEVEL 3 /* beyond it, time doubles for a few per cent of size */

struct document {
	const uint8_t *bytes;
	size_t len;
	uint32_t events;
};

/* -- memory -- */

/* What is far larger goes back: a storm's memory is not an idle node's. */
static bool
make_room(struct seal_buffer *b, size_t bytes)
{
	if (b->bytes >= bytes && b->bytes / 4 <= bytes)
		return true;
	free(b->at);
	b->at = malloc(bytes);
	b->bytes = b->at ? bytes : 0;
	return b->at != NULL;
}

void
seal_memory_free(struct seal_memory *m)
{
	free(m->arena.at);
	free(m->document.at);
	free(m->body.at);
	memset(m, 0, sizeof(*m));
}

/* -- a batch -- */

static int
fill(struct batch_builder *b, const struct segment *s, uint32_t *ret_events)
{
	struct event e[2]; /* by turns */
	uint32_t events = 0;
	size_t at = 0;
	bool more = segment_next(s, &at, &e[0]);
	int err;

	while (more) {
		more = segment_next(s, &at, &e[(events + 1) % 2]);
		if (more)
			batch_expect(b, &e[(events + 1) % 2]);
		err = batch_add(b, &e[events % 2]);
		if (err)
			return err;
		events++;
	}
	*ret_events = events;
	return 0;
}

static int
build(const struct segment *s, struct seal_memory *m, const struct batch_meta *meta,
      struct document *ret_document)
{
	size_t records = segment_records(s), bytes = segment_bytes(s);
	struct document d = {.len = 0};
	struct batch_bot bot[SEGMENT_BOTS];
	struct batch_builder *b = NULL;
	int err;

	if (make_room(&m->arena, batch_arena_bytes((uint32_t)records, bytes)) &&
	    make_room(&m->document, batch_document_bytes((uint32_t)records, bytes)))
		b = batch_begin(m->arena.at, m->arena.bytes);
	if (!b)
		return -ENOMEM;
	batch_set_bots(b, bot, segment_bots(s, bot));
	err = fill(b, s, &d.events);
	if (!err)
		err = batch_finish(b, meta, m->document.at, m->document.bytes, &d.len);
	d.bytes = m->document.at;
	*ret_document = d;
	return err;
}

/* With a context of its own: one that was used before need not give the same bytes. */
static int
compress(const struct document *d, uint8_t *out, size_t cap, size_t *ret_len)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();
	size_t n;

	if (!z)
		return -ENOMEM;
	ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 1);
	n = ZSTD_compress2(z, out, cap, d->bytes, d->len);
	ZSTD_freeCCtx(z);
	if (ZSTD_isError(n))
		return -EIO;
	*ret_len = n;
	return 0;
}

/* The name goes directly before the frame, which stands at a fixed place in the buffer. */
static size_t
put_name(const struct batch_meta *meta, const struct document *d, uint8_t *body, size_t len)
{
	struct batch_name name = {
	    .id = meta->id,
	    .events = d->events,
	    .document_bytes = (uint32_t)d->len,
	    .compressed_bytes = (uint32_t)len,
	};
	uint8_t head[BATCH_HEAD_BYTES];
	size_t n;

	crypto_generichash(name.checksum, sizeof(name.checksum), body + BATCH_HEAD_BYTES, len, NULL,
			   0);
	n = batch_name_put(&name, head);
	memmove(body + n, body + BATCH_HEAD_BYTES, len);
	memcpy(body, head, n);
	return n + len;
}

int
seal_encode(const struct segment *s, struct seal_memory *m, char **ret_body, size_t *ret_len)
{
	struct document d;
	struct batch_meta meta;
	uint8_t *body;
	size_t cap, len = 0;
	int err;

	segment_meta(s, &meta);
	err = build(s, m, &meta, &d);
	if (err)
		return err;
	cap = ZSTD_compressBound(d.len);
	if (!make_room(&m->body, BATCH_HEAD_BYTES + cap))
		return -ENOMEM;
	body = m->body.at;
	err = compress(&d, body + BATCH_HEAD_BYTES, cap, &len);
	if (err)
		return err;
	*ret_len = put_name(&meta, &d, body, len);
	*ret_body = (char *)body;
	return 0;
}

static int
seal_segment(struct journal *j, struct spool *sp, struct segment *s, struct seal_memory *m,
	     struct wall_ms now)
{
	struct batch_id id;
	char *body = NULL;
	size_t len = 0;
	int err = segment_number(j, s, now, &id);

	if (!err)
		err = seal_encode(s, m, &body, &len);
	if (!err)
		err = spool_put(sp, &id, body, len);
	CRASH_POINT("seal_after_put");
	if (!err)
		err = journal_sealed(j, s);
	stat_add(err ? STAT_SEAL_ERRORS : STAT_BATCHES_SEALED, 1);
	if (!err)
		log_debug("batch sealed", "batch=%llu events=%u bytes=%zu",
			  (unsigned long long)id.seq, segment_records(s), len);
	return err;
}

/* A segment in which nothing was judged becomes a batch only when its claim is wanted. */
static bool
is_wanted(struct journal *j, const struct segment *s, struct wall_ms now, enum seal_why why)
{
	return why == SEAL_FLUSH || journal_closes_interval(j, s, now);
}

static int
seal_all(struct journal *j, struct spool *sp, struct seal_memory *m, struct wall_ms now,
	 enum seal_why why)
{
	struct segment *s;
	int err = 0;

	journal_drop_empty(j);
	while (!err && (s = journal_take_closed(j))) {
		if (segment_is_numbered(s) || !segment_is_empty(s) || is_wanted(j, s, now, why))
			err = seal_segment(j, sp, s, m, now);
		else
			err = journal_sealed(j, s);
	}
	return err;
}

int
seal_round(struct journal *j, struct spool *s, struct seal_memory *m, struct wall_ms now,
	   enum seal_why why)
{
	int tries, rotated = 0, err = 0;

	if (why == SEAL_TIME && journal_is_settling(j, now)) {
		journal_tend(j, now);
		return 0;
	}
	/* twice: sealing may free the segment that the rotation wanted */
	for (tries = 0; tries < 2 && !err; tries++) {
		rotated = journal_rotate(j, now, why != SEAL_TIME && tries == 0);
		err = seal_all(j, s, m, now, why);
		journal_tend(j, now);
		if (!rotated)
			break;
	}
	return err ? err : rotated;
}
