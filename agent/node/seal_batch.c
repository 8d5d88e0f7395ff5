#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/crash_point.h"
#include "base/log.h"
#include "node/seal.h"
#include "stats/stats.h"

/* Columns repeat in short pieces or not at all. Level 3 takes twice the time for the same size; the
 * level's own 7 bytes a match would make small batches larger by two per cent. */
#define LEVEL 1
#define MATCH 5

struct document {
	uint8_t *bytes;
	size_t len;
	uint32_t events;
	struct batch_meta meta;
};

static int
fill(struct batch_builder *b, const struct segment *s, struct segment_walk *w)
{
	struct event e[BATCH_ADD_MANY];
	size_t n;
	int err;

	do {
		for (n = 0; n < BATCH_ADD_MANY && segment_next(s, w, &e[n]); n++)
			;
		err = batch_add(b, e, n);
	} while (!err && n == BATCH_ADD_MANY);
	return err;
}

static int
build(const struct segment *s, struct document *ret_document)
{
	size_t arena_bytes = batch_arena_bytes(segment_records(s), segment_bytes(s));
	size_t cap = batch_document_bytes(segment_records(s), segment_bytes(s));
	struct document d = {.bytes = malloc(cap)};
	void *arena = malloc(arena_bytes);
	struct batch_bot bot[SEGMENT_BOTS];
	struct segment_walk walk = {0};
	struct batch_builder *b;
	int err = -ENOMEM;

	if (!d.bytes || !arena)
		goto out;
	b = batch_begin(arena, arena_bytes, segment_records(s));
	if (!b)
		goto out;
	batch_set_bots(b, bot, segment_bots(s, bot));
	err = fill(b, s, &walk);
	d.events = walk.events;
	segment_meta(s, &walk, &d.meta);
	if (!err)
		err = batch_finish(b, &d.meta, d.bytes, cap, &d.len);
out:
	free(arena);
	if (err)
		free(d.bytes);
	else
		*ret_document = d;
	return err;
}

static int
compress(const struct document *d, uint8_t *out, size_t cap, size_t *ret_len)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();
	size_t n;

	if (!z)
		return -ENOMEM;
	ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(z, ZSTD_c_minMatch, MATCH);
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
put_name(const struct document *d, uint8_t *body, size_t len)
{
	struct batch_name name = {
	    .id = d->meta.id,
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
seal_encode(const struct segment *s, char **ret_body, size_t *ret_len)
{
	struct document d = {0};
	uint8_t *body = NULL;
	size_t cap, len = 0;
	int err = build(s, &d);

	if (err)
		return err;
	cap = ZSTD_compressBound(d.len);
	body = malloc(BATCH_HEAD_BYTES + cap);
	err = body ? compress(&d, body + BATCH_HEAD_BYTES, cap, &len) : -ENOMEM;
	if (!err)
		len = put_name(&d, body, len);
	free(d.bytes);
	if (err) {
		free(body);
		return err;
	}
	*ret_body = (char *)body;
	*ret_len = len;
	return 0;
}

static int
seal_segment(struct journal *j, struct spool *sp, struct segment *s, struct wall_ms now)
{
	struct batch_id id;
	char *body = NULL;
	size_t len = 0;
	int err = segment_number(j, s, now, &id);

	if (!err)
		err = seal_encode(s, &body, &len);
	if (!err)
		err = spool_put(sp, &id, body, len);
	CRASH_POINT("seal_after_put");
	free(body);
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
seal_all(struct journal *j, struct spool *sp, struct wall_ms now, enum seal_why why)
{
	struct segment *s;
	int err = 0;

	journal_drop_empty(j);
	while (!err && (s = journal_take_closed(j))) {
		if (segment_is_numbered(s) || !segment_is_empty(s) || is_wanted(j, s, now, why))
			err = seal_segment(j, sp, s, now);
		else
			err = journal_sealed(j, s);
	}
	return err;
}

int
seal_round(struct journal *j, struct spool *s, struct wall_ms now, enum seal_why why)
{
	int tries, rotated = 0, err = 0;

	if (why == SEAL_TIME && journal_is_settling(j, now)) {
		journal_tend(j, now);
		return 0;
	}
	/* twice: sealing may free the segment that the rotation wanted */
	for (tries = 0; tries < 2 && !err; tries++) {
		rotated = journal_rotate(j, now, why != SEAL_TIME && tries == 0);
		err = seal_all(j, s, now, why);
		journal_tend(j, now);
		if (!rotated)
			break;
	}
	return err ? err : rotated;
}
