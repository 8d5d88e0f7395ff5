#include "node/journal_seq.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"

#define SEQ_MAGIC 0x71734646u /* "FFsq" */
#define SEQ_VERSION 1
#define SEQ_FILE_MAX 160
#define SEQ_SEED 0x71734646

static size_t
encode(const struct journal_seq *q, uint8_t buf[SEQ_FILE_MAX])
{
	struct writer w = writer_of(buf, SEQ_FILE_MAX);

	put_u32(&w, SEQ_MAGIC);
	put_u32(&w, SEQ_VERSION);
	put_bytes(&w, q->given.id.epoch, 16);
	put_u64(&w, q->given.id.seq);
	put_u64(&w, q->given.segment);
	put_u64(&w, (uint64_t)q->given.sealed_ms);
	put_u64(&w, (uint64_t)q->given.closes_ms);
	put_u64(&w, (uint64_t)q->claimed_ms);
	put_text8(&w, text_of(q->given.id.node));
	put_u64(&w, hash_mix(SEQ_SEED, buf, w.len));
	return w.len;
}

/* As a batch can say it. */
static bool
time_valid(int64_t ms)
{
	return ms >= 0 && ms <= EVENT_TS_MAX_MS;
}

static bool
decode(const uint8_t *buf, size_t len, struct journal_seq *ret_seq)
{
	struct reader r = reader_of(buf, len);
	struct journal_seq q = {0};
	const uint8_t *epoch;
	struct text node;
	size_t summed;

	if (get_u32(&r) != SEQ_MAGIC || get_u32(&r) != SEQ_VERSION)
		return false;
	epoch = get_bytes(&r, 16);
	q.given.id.seq = get_u64(&r);
	q.given.segment = get_u64(&r);
	q.given.sealed_ms = (int64_t)get_u64(&r);
	q.given.closes_ms = (int64_t)get_u64(&r);
	q.claimed_ms = (int64_t)get_u64(&r);
	node = get_text8(&r);
	summed = r.at;
	if (get_u64(&r) != hash_mix(SEQ_SEED, buf, summed) || r.bad || reader_left(&r) > 0 ||
	    (node.len > 0 && !event_name_valid(node)) || !epoch)
		return false;
	if (q.given.id.seq >= BATCH_COUNT_MAX || !time_valid(q.given.sealed_ms) ||
	    !time_valid(q.given.closes_ms) || !time_valid(q.claimed_ms))
		return false;
	memcpy(q.given.id.epoch, epoch, 16);
	if (node.len)
		memcpy(q.given.id.node, node.at, node.len);
	*ret_seq = q;
	return true;
}

static bool
read_seq(const char *state_dir, struct journal_seq *ret_seq)
{
	char path[PATH_MAX], *bytes = NULL;
	size_t len;
	bool good;

	if (snprintf(path, sizeof(path), "%s/seq", state_dir) >= (int)sizeof(path) ||
	    file_read(path, SEQ_FILE_MAX, &bytes, &len) < 0)
		return false;
	good = decode((const uint8_t *)bytes, len, ret_seq);
	free(bytes);
	return good;
}

static bool
read_epoch(const char *state_dir, uint8_t ret_epoch[16])
{
	char path[PATH_MAX], *bytes = NULL;
	size_t len;
	bool good;

	if (snprintf(path, sizeof(path), "%s/epoch", state_dir) >= (int)sizeof(path) ||
	    file_read(path, 64, &bytes, &len) < 0)
		return false;
	good = len == 33 && bytes[32] == '\n' &&
	       text_to_bytes((struct text){bytes, 32}, ret_epoch, 16);
	free(bytes);
	return good;
}

static int
write_seq(const char *state_dir, const struct journal_seq *q)
{
	uint8_t buf[SEQ_FILE_MAX];
	size_t len = encode(q, buf);

	return file_replace(state_dir, "seq", buf, len, 0600);
}

static int
begin_epoch(const char *state_dir, struct journal_seq *q, bool have_seq)
{
	char text[34];
	int err = 0;

	hash_random(q->epoch, sizeof(q->epoch));
	q->last = 0;
	if (!have_seq) {
		memcpy(q->given.id.epoch, q->epoch, sizeof(q->epoch));
		err = write_seq(state_dir, q);
	}
	text_from_bytes(q->epoch, sizeof(q->epoch), text);
	text[32] = '\n';
	return err ? err : file_replace(state_dir, "epoch", text, 33, 0600);
}

int
journal_seq_open(const char *state_dir, const char *node, struct journal_seq *ret_seq)
{
	struct journal_seq q = {0};
	uint8_t epoch[16] = {0};
	bool have_seq = read_seq(state_dir, &q);
	bool have_epoch = read_epoch(state_dir, epoch);
	bool renamed = have_seq && q.given.id.node[0] && strcmp(q.given.id.node, node) != 0;
	int err = 0;

	if (renamed)
		log_warn("the node has another name than before; a new epoch begins",
			 "was=%s is=%s", q.given.id.node, node);
	if (have_seq && have_epoch && !renamed && memcmp(epoch, q.given.id.epoch, 16) == 0) {
		memcpy(q.epoch, epoch, sizeof(epoch));
		q.last = q.given.id.seq;
	} else {
		if ((have_seq || have_epoch) && !renamed)
			log_warn("epoch and seq do not belong together; a new epoch begins",
				 "dir=%s", state_dir);
		err = begin_epoch(state_dir, &q, have_seq);
	}
	if (!err)
		*ret_seq = q;
	return err;
}

int
journal_seq_give(const char *state_dir, struct journal_seq *q, const struct segment_number *n)
{
	struct journal_seq next = *q;
	int err;

	next.given = *n;
	next.last = n->id.seq;
	if (n->closes_ms)
		next.claimed_ms = n->closes_ms;
	err = write_seq(state_dir, &next);
	if (!err)
		*q = next;
	return err;
}
