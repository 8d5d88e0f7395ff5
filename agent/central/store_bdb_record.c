/* All keys begin with a version byte and are big-endian, all values with a version byte and are
 * little-endian; lengths are one byte.
 *
 *   table    key                                             value
 *   applied  1, node (length, bytes), epoch 16, seq u64      1, ordinal u64, arrival i64, closes i64,
 *                                                            checksum 16
 *   nodes    1, node, epoch 16                               1, the ten numbers of struct store_node
 *   ledger   1, hour u64, node, name of a count              the count, u64
 *   bots     1, start of the day u64, node, source, name     the count, u64
 *   tags     1, hour of the events u64, ordinal u64          tags of one batch, u64 each, ascending
 *   batches  1, ordinal u64, part                            part 0: the body as received; part 1: which
 *                                                            events were left out of the roll-ups, as
 *                                                            varints, each less the one before
 *   sites    site                                            nothing
 *   meta     "format", "time_zone", "totals"                 u32; text; 1, ordinal, batches, events, bytes
 *            "retained"; "lost" and a node's key             store_bdb_replay.c; store_bdb_lost.c
 *
 * Ledger counts have a row each, by name ("stored", "beacon.accepted.first"), so that reasons may
 * come and go with versions of the program and no row ever has to be rewritten. Left-out events are
 * written down with the batch, so that verifying and rebuilding give the same numbers whatever the
 * retry window is by then and in whatever order batches are read.
 */
#include <stdio.h>

#include "base/clock.h"
#include "central/store_bdb.h"

#define VERSION 1

static void
key_done(struct bdb_key *k, const struct writer *w)
{
	k->len = w->bad ? 0 : w->len; /* an empty key finds and stores nothing */
}

static struct writer
key_begin(struct bdb_key *k)
{
	struct writer w = writer_of(k->bytes, sizeof(k->bytes));

	put_u8(&w, VERSION);
	return w;
}

void
bdb_key_applied(const struct batch_id *id, uint64_t seq, struct bdb_key *ret_key)
{
	struct writer w = key_begin(ret_key);

	put_text8(&w, text_of(id->node));
	put_bytes(&w, id->epoch, sizeof(id->epoch));
	put_u64_be(&w, seq);
	key_done(ret_key, &w);
}

void
bdb_key_node(const struct batch_id *id, struct bdb_key *ret_key)
{
	struct writer w = key_begin(ret_key);

	put_text8(&w, text_of(id->node));
	put_bytes(&w, id->epoch, sizeof(id->epoch));
	key_done(ret_key, &w);
}

/* Times of batches are never negative (batch.h), so they sort as they are. */
void
bdb_key_ledger_from(int64_t hour_ms, struct bdb_key *ret_key)
{
	struct writer w = key_begin(ret_key);

	put_u64_be(&w, hour_ms < 0 ? 0 : (uint64_t)hour_ms);
	key_done(ret_key, &w);
}

void
bdb_key_ledger(int64_t hour_ms, const char *node, const char *name, struct bdb_key *ret_key)
{
	struct writer w = key_begin(ret_key);

	put_u64_be(&w, (uint64_t)hour_ms);
	put_text8(&w, text_of(node));
	put_bytes(&w, name, strlen(name));
	key_done(ret_key, &w);
}

void
bdb_key_bots_from(int64_t day_ms, struct bdb_key *ret_key)
{
	bdb_key_ledger_from(day_ms, ret_key); /* both begin with a time */
}

void
bdb_key_bot(int64_t day_ms, const char *node, enum event_source source, struct text name,
	    struct bdb_key *ret_key)
{
	struct writer w = key_begin(ret_key);

	put_u64_be(&w, day_ms < 0 ? 0 : (uint64_t)day_ms); /* 1970 began earlier in the east */
	put_text8(&w, text_of(node));
	put_text8(&w, text_of(source_name(source)));
	put_bytes(&w, name.at, name.len);
	key_done(ret_key, &w);
}

void
bdb_key_tags(int64_t hour_ms, uint64_t ordinal, struct bdb_key *ret_key)
{
	struct writer w = key_begin(ret_key);

	put_u64_be(&w, (uint64_t)hour_ms);
	put_u64_be(&w, ordinal);
	key_done(ret_key, &w);
}

void
bdb_key_batch(uint64_t ordinal, uint8_t part, struct bdb_key *ret_key)
{
	struct writer w = key_begin(ret_key);

	put_u64_be(&w, ordinal);
	put_u8(&w, part);
	key_done(ret_key, &w);
}

bool
bdb_key_tags_read(const void *bytes, size_t len, int64_t *ret_hour_ms)
{
	struct reader r = reader_of(bytes, len);
	uint8_t version = get_u8(&r);
	uint64_t hour = get_u64_be(&r);

	if (r.bad || version != VERSION)
		return false;
	*ret_hour_ms = (int64_t)hour;
	return true;
}

bool
bdb_key_ledger_read(const void *bytes, size_t len, struct store_ledger_row *ret_row,
		    struct text *ret_name)
{
	struct reader r = reader_of(bytes, len);
	uint8_t version = get_u8(&r);
	int64_t hour = (int64_t)get_u64_be(&r);
	struct text node = get_text8(&r);

	if (r.bad || version != VERSION || node.len == 0 || node.len > BATCH_NODE_MAX)
		return false;
	ret_row->hour_ms = hour;
	memcpy(ret_row->node, node.at, node.len);
	ret_row->node[node.len] = '\0';
	*ret_name = (struct text){(const char *)bytes + r.at, len - r.at};
	return true;
}

static enum event_source
source_of(struct text name)
{
	unsigned s = 0;

	while (s < SOURCE_N && !text_is(name, source_name((enum event_source)s)))
		s++;
	return (enum event_source)s;
}

bool
bdb_key_bot_read(const void *bytes, size_t len, struct store_bot_row *ret_row)
{
	struct reader r = reader_of(bytes, len);
	uint8_t version = get_u8(&r);
	int64_t day = (int64_t)get_u64_be(&r);
	struct text node = get_text8(&r), source = get_text8(&r);
	struct store_bot_row row = {.day_ms = day, .source = source_of(source)};

	row.name = (struct text){(const char *)bytes + r.at, len - r.at};
	if (r.bad || version != VERSION || node.len == 0 || node.len > BATCH_NODE_MAX ||
	    row.source == SOURCE_N || row.name.len > BATCH_BOT_NAME_MAX)
		return false;
	memcpy(row.node, node.at, node.len);
	*ret_row = row;
	return true;
}

/* -- values -- */

size_t
bdb_applied_encode(const struct bdb_applied *a, uint8_t buf[BDB_RECORD_MAX])
{
	struct writer w = writer_of(buf, BDB_RECORD_MAX);

	put_u8(&w, VERSION);
	put_u64(&w, a->ordinal);
	put_u64(&w, (uint64_t)a->arrival_ms);
	put_u64(&w, (uint64_t)a->closes_ms);
	put_bytes(&w, a->checksum, sizeof(a->checksum));
	return w.len;
}

bool
bdb_applied_decode(const uint8_t *buf, size_t len, struct bdb_applied *ret_applied)
{
	struct reader r = reader_of(buf, len);
	struct bdb_applied a;
	uint8_t version = get_u8(&r);
	const uint8_t *checksum;

	a.ordinal = get_u64(&r);
	a.arrival_ms = (int64_t)get_u64(&r);
	a.closes_ms = (int64_t)get_u64(&r);
	checksum = get_bytes(&r, sizeof(a.checksum));
	if (!checksum || version != VERSION)
		return false;
	memcpy(a.checksum, checksum, sizeof(a.checksum));
	*ret_applied = a;
	return true;
}

size_t
bdb_node_encode(const struct store_node *n, uint8_t buf[BDB_RECORD_MAX])
{
	struct writer w = writer_of(buf, BDB_RECORD_MAX);

	put_u8(&w, VERSION);
	put_u64(&w, (uint64_t)n->first_ms);
	put_u64(&w, (uint64_t)n->last_ms);
	put_u64(&w, (uint64_t)n->skew_ms);
	put_u64(&w, (uint64_t)n->interval_ms);
	put_u64(&w, n->batches);
	put_u64(&w, n->events);
	put_u64(&w, n->bytes);
	put_u64(&w, n->contiguous_seq);
	put_u64(&w, n->highest_seq);
	put_u64(&w, (uint64_t)n->complete_to_ms);
	put_u64(&w, (uint64_t)n->first_sealed_ms);
	return w.len;
}

bool
bdb_key_node_read(const void *key, size_t key_len, char ret_node[BATCH_NODE_MAX + 1],
		  uint8_t ret_epoch[16])
{
	struct reader r = reader_of(key, key_len);
	uint8_t version = get_u8(&r);
	struct text node = get_text8(&r);
	const uint8_t *epoch = get_bytes(&r, 16);

	if (!epoch || version != VERSION || node.len == 0 || node.len > BATCH_NODE_MAX)
		return false;
	memcpy(ret_node, node.at, node.len);
	ret_node[node.len] = '\0';
	memcpy(ret_epoch, epoch, 16);
	return true;
}

bool
bdb_node_decode(const void *key, size_t key_len, const uint8_t *buf, size_t len,
		struct store_node *ret_node)
{
	struct reader r = reader_of(buf, len);
	struct store_node n = {0};
	uint8_t version = get_u8(&r);

	n.first_ms = (int64_t)get_u64(&r);
	n.last_ms = (int64_t)get_u64(&r);
	n.skew_ms = (int64_t)get_u64(&r);
	n.interval_ms = (int64_t)get_u64(&r);
	n.batches = get_u64(&r);
	n.events = get_u64(&r);
	n.bytes = get_u64(&r);
	n.contiguous_seq = get_u64(&r);
	n.highest_seq = get_u64(&r);
	n.complete_to_ms = (int64_t)get_u64(&r);
	n.first_sealed_ms = (int64_t)get_u64(&r);
	if (r.bad || version != VERSION || !bdb_key_node_read(key, key_len, n.node, n.epoch))
		return false;
	*ret_node = n;
	return true;
}

size_t
bdb_totals_encode(const struct bdb_totals *t, uint8_t buf[BDB_RECORD_MAX])
{
	struct writer w = writer_of(buf, BDB_RECORD_MAX);

	put_u8(&w, VERSION);
	put_u64(&w, t->ordinal);
	put_u64(&w, t->batches);
	put_u64(&w, t->events);
	put_u64(&w, t->bytes);
	return w.len;
}

bool
bdb_totals_decode(const uint8_t *buf, size_t len, struct bdb_totals *ret_totals)
{
	struct reader r = reader_of(buf, len);
	struct bdb_totals t;
	uint8_t version = get_u8(&r);

	t.ordinal = get_u64(&r);
	t.batches = get_u64(&r);
	t.events = get_u64(&r);
	t.bytes = get_u64(&r);
	if (r.bad || version != VERSION)
		return false;
	*ret_totals = t;
	return true;
}

/* -- counts of the ledger, by name -- */

#define COUNTS 5

static void
named_counts(struct store_ledger_row *row, const char *ret_name[COUNTS], uint64_t *ret_at[COUNTS])
{
	const char *const names[COUNTS] = {"batches", "stored", "merged", "lost", "udp_dropped"};
	uint64_t *const at[COUNTS] = {&row->batches, &row->stored, &row->merged, &row->lost,
				      &row->udp_dropped};

	memcpy(ret_name, names, sizeof(names));
	memcpy(ret_at, at, sizeof(at));
}

int
bdb_ledger_each(const struct store_ledger_row *row, bdb_count_fn *each, void *ctx)
{
	struct store_ledger_row copy = *row;
	const char *name[COUNTS];
	uint64_t *at[COUNTS], n;
	char text[128];
	unsigned i, s;
	int rc = 0;

	named_counts(&copy, name, at);
	for (i = 0; i < COUNTS && !rc; i++)
		rc = *at[i] ? each(ctx, name[i], *at[i]) : 0;
	for (s = 0; s < SOURCE_N; s++) {
		for (i = 0; i < REASON_N && !rc; i++) {
			n = row->ledger.count[s][i];
			snprintf(text, sizeof(text), "%s.%s.%s", source_name((enum event_source)s),
				 verdict_name(reason_verdict((enum reason)i)),
				 reason_name((enum reason)i));
			rc = n ? each(ctx, text, n) : 0;
		}
	}
	return rc;
}

/* "verdict.reason"; REASON_N when it is none of ours. */
static enum reason
reason_of(struct text t)
{
	const char *dot = t.len ? memchr(t.at, '.', t.len) : NULL;
	size_t len = dot ? (size_t)(dot - t.at) : 0;

	if (!dot)
		return REASON_N;
	return reason_find((struct text){t.at, len}, (struct text){dot + 1, t.len - len - 1});
}

void
bdb_ledger_set(struct store_ledger_row *row, struct text name, uint64_t count)
{
	const char *names[COUNTS];
	uint64_t *at[COUNTS];
	struct text source;
	enum reason reason;
	unsigned i, s;

	named_counts(row, names, at);
	for (i = 0; i < COUNTS; i++)
		if (text_is(name, names[i]))
			*at[i] += count;
	for (s = 0; s < SOURCE_N; s++) {
		source = text_of(source_name((enum event_source)s));
		if (name.len <= source.len || name.at[source.len] != '.' ||
		    memcmp(name.at, source.at, source.len) != 0)
			continue;
		reason =
		    reason_of((struct text){name.at + source.len + 1, name.len - source.len - 1});
		if (reason < REASON_N)
			row->ledger.count[s][reason] += count;
	}
}
