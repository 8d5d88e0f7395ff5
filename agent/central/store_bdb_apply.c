/* A batch as one transaction. What does not need the transaction comes before it: decoding, twins,
 * grouping; so pages are locked, and readers of them kept waiting, for as short as can be. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "central/store_bdb.h"

#define CHECKPOINT_KB (32 * 1024) /* of log: recovery reads about as much, 0.2 s */

struct work {
	const struct batch_name *name;
	const uint8_t *body;
	size_t body_len;
	int64_t arrival_ms;
	struct batch batch;
	struct bdb_twins twins;
	struct rollup_group *group;
	uint64_t stored;          /* events in the roll-ups */
	struct bdb_totals totals; /* as they will be */
};

/* -- values that may not be there -- */

/* 0 with its length, or DB_NOTFOUND. `flags`: DB_RMW inside a transaction. */
static int
record_get(DB *db, DB_TXN *txn, const struct bdb_key *k, void *buf, size_t cap, uint32_t flags,
	   size_t *ret_len)
{
	DBT key = bdb_in(k->bytes, k->len), value = bdb_out(buf, cap);
	int rc = db->get(db, txn, &key, &value, flags);

	*ret_len = rc ? 0 : value.size;
	return rc;
}

static int
record_put(DB *db, DB_TXN *txn, const struct bdb_key *k, const void *bytes, size_t len)
{
	DBT key = bdb_in(k->bytes, k->len), value = bdb_in(bytes, len);

	return db->put(db, txn, &key, &value, 0);
}

int
bdb_applied_get(struct store *s, DB_TXN *txn, uint64_t seq, const struct batch_id *id,
		struct bdb_applied *ret_applied)
{
	uint8_t buf[BDB_RECORD_MAX];
	struct bdb_key k;
	size_t len;
	int rc;

	bdb_key_applied(id, seq, &k);
	rc = record_get(s->table[TABLE_APPLIED], txn, &k, buf, sizeof(buf), 0, &len);
	if (!rc && !bdb_applied_decode(buf, len, ret_applied))
		rc = EBADMSG;
	return rc;
}

/* -- roll-ups -- */

static bool
is_content_day(const struct rollup_key *k)
{
	return k->grain == GRAIN_DAY && k->dim == DIM_CONTENT;
}

/* Rows that count the growth of contents: written when all contents are. */
static bool
counts_growth(const struct rollup_key *k)
{
	return k->grain == GRAIN_DAY && (k->dim == DIM_SITE || k->dim == DIM_TYPE);
}

/* The sum of the stored row and the increment; ret_count: visitors of a content's day before and
 * after. Of other rows nobody asks, and an estimate looks at each register. */
static int
row_merge(struct store *s, const struct rollup_row *increment, const struct rollup_key *k,
	  size_t stored_len, size_t *ret_len, uint64_t ret_count[2])
{
	struct rollup_row row;
	int rc = rollup_row_decode(s->value, stored_len, k->dim, &row);

	if (!rc && is_content_day(k))
		ret_count[0] = sketch_count(&row.visitors);
	if (!rc)
		rc = rollup_row_add(&row, increment);
	if (!rc && is_content_day(k))
		ret_count[1] = sketch_count(&row.visitors);
	if (!rc) {
		*ret_len = rollup_row_encode(&row, s->value, ROLLUP_VALUE_MAX);
		rc = *ret_len ? 0 : -ENOMEM;
	}
	rollup_row_fini(&row);
	return -rc;
}

static int
row_put(struct store *s, DBC *cursor, struct work *w, size_t i)
{
	struct rollup_key k;
	const struct rollup_row *increment = rollup_group_row(w->group, i, &k);
	uint8_t bytes[ROLLUP_KEY_MAX];
	DBT key = bdb_in(bytes, rollup_key_encode(&k, bytes, sizeof(bytes)));
	DBT value = bdb_out(s->value, ROLLUP_VALUE_MAX);
	uint64_t count[2] = {0, 0};
	size_t len = 0;
	uint32_t how = DB_CURRENT;
	int rc = cursor->get(cursor, &key, &value, DB_SET | DB_RMW);

	if (rc == 0) {
		rc = row_merge(s, increment, &k, value.size, &len, count);
	} else if (rc == DB_NOTFOUND) {
		how = DB_KEYFIRST;
		count[1] = is_content_day(&k) ? sketch_count(&increment->visitors) : 0;
		len = rollup_row_encode(increment, s->value, ROLLUP_VALUE_MAX);
		rc = len ? 0 : ENOMEM;
	}
	if (rc)
		return rc;
	if (is_content_day(&k))
		rollup_group_grew(w->group, i, (int64_t)(count[1] - count[0]));
	value = bdb_in(s->value, len);
	return cursor->put(cursor, &key, &value, how);
}

static int
put_rollups(struct store *s, DB_TXN *txn, struct work *w)
{
	DB *db = s->table[TABLE_ROLLUPS];
	size_t n = rollup_group_rows(w->group), i;
	struct rollup_key k;
	unsigned pass;
	DBC *cursor;
	int rc = db->cursor(db, txn, &cursor, 0);

	if (rc)
		return rc;
	rollup_group_forget_growth(w->group);
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < n && !rc; i++) {
			rollup_group_row(w->group, i, &k);
			if (counts_growth(&k) == (pass == 1))
				rc = row_put(s, cursor, w, i);
		}
	}
	cursor->close(cursor);
	return rc;
}

/* -- the batch itself -- */

static int
put_skipped(struct store *s, DB_TXN *txn, const struct work *w)
{
	struct writer out;
	struct bdb_key k;
	uint32_t i, last = 0;
	uint8_t *buf;
	int rc;

	if (w->twins.merged == 0)
		return 0;
	buf = malloc(w->twins.merged * 5);
	if (!buf)
		return ENOMEM;
	out = writer_of(buf, w->twins.merged * 5);
	for (i = 0; i < w->batch.events; i++) {
		if (!w->twins.skip[i])
			continue;
		put_varint(&out, i - last);
		last = i;
	}
	bdb_key_batch(w->totals.ordinal, BDB_BATCH_SKIPPED, &k);
	rc = record_put(s->batches, txn, &k, buf, out.len);
	free(buf);
	return rc;
}

static int
put_batch(struct store *s, DB_TXN *txn, const struct work *w)
{
	struct bdb_applied a = {.ordinal = w->totals.ordinal,
				.arrival_ms = w->arrival_ms,
				.closes_ms = w->batch.meta.closes_ms};
	uint8_t buf[BDB_RECORD_MAX];
	struct bdb_key k;
	int rc;

	bdb_key_batch(w->totals.ordinal, BDB_BATCH_BODY, &k);
	rc = record_put(s->batches, txn, &k, w->body, w->body_len);
	if (!rc)
		rc = put_skipped(s, txn, w);
	if (rc)
		return rc;
	memcpy(a.checksum, w->name->checksum, sizeof(a.checksum));
	bdb_key_applied(&w->name->id, w->name->id.seq, &k);
	return record_put(s->table[TABLE_APPLIED], txn, &k, buf, bdb_applied_encode(&a, buf));
}

/* -- the ledger -- */

struct ledger_put {
	struct store *store;
	DB_TXN *txn;
	const struct store_ledger_row *row;
};

static int
add_count(DB *db, DB_TXN *txn, const struct bdb_key *k, uint64_t count)
{
	struct reader r;
	struct writer w;
	uint8_t buf[8];
	size_t len;
	int rc = record_get(db, txn, k, buf, sizeof(buf), DB_RMW, &len);

	if (rc && rc != DB_NOTFOUND)
		return rc;
	r = reader_of(buf, len);
	if (!rc)
		count += get_u64(&r);
	w = writer_of(buf, sizeof(buf));
	put_u64(&w, count);
	return record_put(db, txn, k, buf, sizeof(buf));
}

static int
add_to_ledger(void *ctx, const char *name, uint64_t count)
{
	const struct ledger_put *p = ctx;
	struct bdb_key k;

	bdb_key_ledger(p->row->hour_ms, p->row->node, name, &k);
	return add_count(p->store->table[TABLE_LEDGER], p->txn, &k, count);
}

static int
put_ledger(struct store *s, DB_TXN *txn, const struct work *w)
{
	const struct batch_meta *m = &w->batch.meta;
	struct store_ledger_row row = {.hour_ms = hour_of(m->from_ms),
				       .ledger = m->ledger,
				       .batches = 1,
				       .stored = w->stored,
				       .merged = w->twins.merged,
				       .lost = m->lost,
				       .udp_dropped = m->udp_dropped};
	struct ledger_put put = {s, txn, &row};

	memcpy(row.node, m->id.node, sizeof(row.node));
	return bdb_ledger_each(&row, add_to_ledger, &put);
}

/* By day, that of the hour whose ledger has them too: by hour there would be as many rows
 * as names. */
static int
put_bots(struct store *s, DB_TXN *txn, const struct work *w)
{
	const struct batch_meta *m = &w->batch.meta;
	int64_t day_ms = calendar_start(GRAIN_DAY, hour_of(m->from_ms));
	struct reader dict = w->batch.dict_bot;
	struct batch_bot bot;
	struct bdb_key k;
	unsigned i;
	int rc = 0;

	while (!rc && batch_next_bot(&dict, &bot))
		for (i = 0; i < SOURCE_N && !rc; i++) {
			if (bot.count[i] == 0)
				continue;
			bdb_key_bot(day_ms, m->id.node, (enum event_source)i, bot.name, &k);
			rc = add_count(s->table[TABLE_BOTS], txn, &k, bot.count[i]);
		}
	return rc;
}

/* -- the node -- */

/* In order of seq, so the last word stands: a clock that was put right takes back what it had said
 * about a time that had not come. */
static void
node_close(struct store_node *n, int64_t closes_ms)
{
	if (closes_ms > 0)
		n->complete_to_ms = closes_ms;
}

/* Batches may come in any order: behind the one that fills a gap others may stand already. */
static int
node_walk(struct store *s, DB_TXN *txn, const struct batch_id *id, struct store_node *n)
{
	struct bdb_applied a;
	int rc = 0;

	while (n->contiguous_seq < n->highest_seq && !rc) {
		rc = bdb_applied_get(s, txn, n->contiguous_seq + 1, id, &a);
		if (rc)
			break;
		n->contiguous_seq++;
		node_close(n, a.closes_ms);
	}
	return rc == DB_NOTFOUND ? 0 : rc;
}

int
bdb_node_get(struct store *s, DB_TXN *txn, const struct batch_id *id, struct store_node *ret_node)
{
	uint8_t buf[BDB_RECORD_MAX];
	struct bdb_key k;
	size_t len;
	int rc;

	bdb_key_node(id, &k);
	rc = record_get(s->table[TABLE_NODES], txn, &k, buf, sizeof(buf), DB_RMW, &len);
	if (!rc && !bdb_node_decode(k.bytes, k.len, buf, len, ret_node))
		rc = EBADMSG;
	return rc;
}

int
bdb_node_advance(struct store *s, DB_TXN *txn, const struct batch_id *id, struct store_node *n)
{
	uint8_t buf[BDB_RECORD_MAX];
	struct bdb_key k;
	int rc = node_walk(s, txn, id, n);

	bdb_key_node(id, &k);
	return rc ? rc : record_put(s->table[TABLE_NODES], txn, &k, buf, bdb_node_encode(n, buf));
}

static void
node_count(struct store_node *n, const struct work *w)
{
	const struct batch_meta *m = &w->batch.meta;

	if (n->batches == 0 || w->arrival_ms < n->first_ms)
		n->first_ms = w->arrival_ms;
	if (n->batches == 0 || m->sealed_ms < n->first_sealed_ms)
		n->first_sealed_ms = m->sealed_ms;
	if (w->arrival_ms > n->last_ms)
		n->last_ms = w->arrival_ms;
	n->batches++;
	n->events += w->batch.events;
	n->bytes += w->body_len;
	if (m->id.seq < n->highest_seq)
		return;
	n->highest_seq = m->id.seq;
	n->skew_ms = m->sealed_ms - w->arrival_ms;
	if (m->closes_ms)
		n->interval_ms = m->until_ms - m->from_ms;
}

static int
put_node(struct store *s, DB_TXN *txn, const struct work *w)
{
	const struct batch_id *id = &w->batch.meta.id;
	struct store_node n = {0};
	int rc = bdb_node_get(s, txn, id, &n);

	if (rc && rc != DB_NOTFOUND)
		return rc;
	node_count(&n, w);
	rc = bdb_lost_pass(s, txn, id, &n);
	return rc ? rc : bdb_node_advance(s, txn, id, &n);
}

/* -- sites and totals -- */

static int
sites_count(struct store *s, uint32_t *ret_n)
{
	DB *db = s->table[TABLE_SITES];
	DB_BTREE_STAT *stat;
	int rc = db->stat(db, NULL, &stat, 0);

	*ret_n = rc ? 0 : stat->bt_nkeys;
	if (!rc)
		free(stat);
	return rc;
}

static int
put_site(struct store *s, DB_TXN *txn, struct text site)
{
	DB *db = s->table[TABLE_SITES];
	DBT key = bdb_in(site.at, site.len), value = bdb_in("", 0);
	uint32_t n;
	int rc = db->exists(db, txn, &key, 0);

	if (rc != DB_NOTFOUND)
		return rc;
	rc = sites_count(s, &n);
	if (!rc && n < STORE_SITES_MAX)
		return db->put(db, txn, &key, &value, 0);
	if (!rc && !s->sites_full) {
		s->sites_full = true;
		log_warn("too many sites; further ones are counted but not listed", "most=%u",
			 (unsigned)STORE_SITES_MAX);
	}
	return rc;
}

static int
put_sites(struct store *s, DB_TXN *txn, const struct work *w)
{
	size_t n = rollup_group_rows(w->group), i;
	struct rollup_key k;
	int rc = 0;

	for (i = 0; i < n && !rc; i++) {
		rollup_group_row(w->group, i, &k);
		if (k.grain == GRAIN_MONTH && k.dim == DIM_SITE)
			rc = put_site(s, txn, k.site);
	}
	return rc;
}

static int
put_totals(struct store *s, DB_TXN *txn, const struct work *w)
{
	struct bdb_key k = {.bytes = "totals", .len = sizeof("totals") - 1};
	uint8_t buf[BDB_RECORD_MAX];

	return record_put(s->table[TABLE_META], txn, &k, buf, bdb_totals_encode(&w->totals, buf));
}

/* -- the transaction -- */

static int
put_all(struct store *s, DB_TXN *txn, struct work *w)
{
	int rc = put_rollups(s, txn, w);

	if (!rc && !s->shadow)
		rc = put_batch(s, txn, w);
	if (!rc)
		rc = bdb_twins_put(s, txn, &w->twins, w->totals.ordinal);
	if (!rc)
		rc = put_ledger(s, txn, w);
	if (!rc)
		rc = put_bots(s, txn, w);
	if (!rc)
		rc = put_node(s, txn, w);
	if (!rc)
		rc = put_sites(s, txn, w);
	if (!rc && !s->shadow)
		rc = put_totals(s, txn, w);
	return rc;
}

static int
commit_once(struct store *s, struct work *w)
{
	DB_TXN *txn;
	int rc = s->env->txn_begin(s->env, NULL, &txn, 0);

	if (rc)
		return rc;
	rc = put_all(s, txn, w);
	if (rc) {
		txn->abort(txn);
		return rc;
	}
	CRASH_POINT("store_before_commit");
	/* the answer says "on the disk"; a shadow is synced as a whole */
	rc = txn->commit(txn, s->shadow ? DB_TXN_NOSYNC : DB_TXN_SYNC);
	CRASH_POINT("store_after_commit");
	return rc;
}

static int
commit(struct store *s, struct work *w)
{
	int rc = bdb_open_month(s, w->arrival_ms);

	if (rc)
		return rc;
	do {
		rc = commit_once(s, w);
	} while (rc == DB_LOCK_DEADLOCK); /* with a reader, before this had written anything */
	return rc;
}

/* A failed checkpoint loses nothing: the log has it all. */
static void
checkpoint(struct store *s)
{
	int rc = s->env->txn_checkpoint(s->env, CHECKPOINT_KB, 0, 0);

	if (rc && !s->checkpoint_failed)
		log_warn("no checkpoint; the log grows and the next start takes longer",
			 "error=\"%s\"", db_strerror(rc));
	s->checkpoint_failed = rc != 0;
	bdb_errno(s, rc);
}

/* -- applying -- */

/* 0: new; else the answer is in ret_result. */
static int
seen_before(struct store *s, const struct batch_name *name, enum store_result *ret_result)
{
	struct bdb_applied a;
	int rc = bdb_applied_get(s, NULL, name->id.seq, &name->id, &a);

	if (rc == DB_NOTFOUND)
		return 0;
	if (rc)
		*ret_result = STORE_UNAVAILABLE;
	else if (memcmp(a.checksum, name->checksum, sizeof(a.checksum)) == 0)
		*ret_result = STORE_ALREADY;
	else
		*ret_result = STORE_CONFLICT;
	bdb_errno(s, rc);
	return 1;
}

static bool
names_match(const struct batch_name *name, const struct batch *b)
{
	const struct batch_id *x = &name->id, *y = &b->meta.id;

	return strcmp(x->node, y->node) == 0 && x->seq == y->seq &&
	       memcmp(x->epoch, y->epoch, sizeof(x->epoch)) == 0 && name->events == b->events;
}

static enum store_result
unavailable(struct store *s, const struct batch_name *name, int rc)
{
	log_warn("batch not stored; its node keeps it", "node=%s seq=%llu error=\"%s\"",
		 name->id.node, (unsigned long long)name->id.seq, db_strerror(rc));
	bdb_errno(s, rc);
	return STORE_UNAVAILABLE;
}

static void
add_totals(struct work *w, const struct bdb_totals *before)
{
	w->stored = w->batch.events - w->twins.merged;
	w->totals = *before;
	w->totals.ordinal++;
	w->totals.batches++;
	w->totals.events += w->batch.events;
	w->totals.bytes += w->body_len;
}

static enum store_result
apply_work(struct store *s, struct work *w)
{
	int rc = bdb_twins_find(s, &w->batch, &w->twins), err;

	if (rc)
		return unavailable(s, w->name, rc);
	err = rollup_group_batch(&w->batch, w->twins.skip, &w->group);
	if (err)
		return err == -EBADMSG ? STORE_BROKEN : unavailable(s, w->name, -err);
	add_totals(w, &s->totals); /* only the writer changes them */
	rc = commit(s, w);
	return rc ? unavailable(s, w->name, rc) : STORE_STORED;
}

static enum store_result
apply(struct store *s, struct work *w, const uint8_t *doc, size_t doc_len)
{
	enum store_result result;

	if (atomic_load(&s->broken))
		return STORE_UNAVAILABLE;
	if (seen_before(s, w->name, &result))
		return result;
	if (batch_decode(doc, doc_len, &w->batch) < 0 || !names_match(w->name, &w->batch))
		return STORE_BROKEN;
	if (bdb_has_rival(s, &w->batch.meta, &result))
		return result;
	if (!bdb_has_room(s, w->body_len))
		return STORE_UNAVAILABLE;
	return apply_work(s, w);
}

static void
count_answer(struct store *s, const struct work *w, enum store_result result)
{
	uint64_t *const count[] = {[STORE_STORED] = &s->answers.applied,
				   [STORE_ALREADY] = &s->answers.already,
				   [STORE_CONFLICT] = &s->answers.conflicts,
				   [STORE_RIVAL] = &s->answers.conflicts,
				   [STORE_BROKEN] = &s->answers.broken,
				   [STORE_UNAVAILABLE] = &s->answers.unavailable};

	pthread_mutex_lock(&s->numbers);
	++*count[result];
	if (result == STORE_STORED)
		s->totals = w->totals;
	pthread_mutex_unlock(&s->numbers);
}

enum store_result
store_apply(struct store *s, const struct batch_name *name, const uint8_t *body, size_t body_len,
	    const uint8_t *doc, size_t doc_len, int64_t arrival_ms)
{
	struct work w = {
	    .name = name, .body = body, .body_len = body_len, .arrival_ms = arrival_ms};
	enum store_result result;

	pthread_mutex_lock(&s->writer);
	result = apply(s, &w, doc, doc_len);
	count_answer(s, &w, result);
	if (result == STORE_STORED)
		checkpoint(s);
	CRASH_POINT("store_after_checkpoint");
	pthread_mutex_unlock(&s->writer);
	rollup_group_free(w.group);
	bdb_twins_fini(&w.twins);
	return result;
}

/* -- applying again -- */

static int
replay(struct store *shadow, const struct bdb_stored *b, struct work *w, const uint8_t *doc)
{
	int rc;

	if (batch_decode(doc, b->name.document_bytes, &w->batch) < 0 ||
	    !names_match(&b->name, &w->batch))
		return EBADMSG;
	rc = bdb_twins_given(shadow, &w->batch, b->skipped, b->skipped_len, &w->twins);
	if (!rc)
		rc = -rollup_group_batch(&w->batch, w->twins.skip, &w->group);
	if (rc)
		return rc;
	add_totals(w, &shadow->totals);
	w->totals.ordinal = b->ordinal;
	do {
		rc = commit_once(shadow, w);
	} while (rc == DB_LOCK_DEADLOCK);
	if (!rc)
		shadow->totals = w->totals;
	return rc;
}

int
bdb_replay(struct store *shadow, const struct bdb_stored *b)
{
	struct work w = {.name = &b->name,
			 .body = b->body,
			 .body_len = b->body_len,
			 .arrival_ms = b->arrival_ms};
	uint8_t *doc = NULL;
	int rc = bdb_stored_document(b, &doc);

	if (!rc)
		rc = replay(shadow, b, &w, doc);
	if (!rc)
		checkpoint(shadow);
	rollup_group_free(w.group);
	bdb_twins_fini(&w.twins);
	free(doc);
	return rc;
}
