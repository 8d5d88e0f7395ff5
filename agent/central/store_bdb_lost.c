/* Batches that will never come. After a restore the agents have let go of what was stored behind
 * the backup; each says with every batch which is the lowest that it still has (Footfall-Oldest),
 * and so which of its numbers are lost. That is no batch's content, so it stands in meta, which
 * verify and rebuild read and never compute:
 *
 *   key    "lost", and a key of the nodes' table
 *   value  1, struct store_lost less node and epoch: four u64
 *
 * Every number up to `up_to` is stored or counted in `batches`. One that comes all the same is
 * applied like any other, and no longer counted. */
#include <errno.h>

#include "base/log.h"
#include "central/store_bdb.h"

#define LOST_VERSION 1

/* -- the record -- */

static void
lost_key(const struct batch_id *id, struct bdb_key *ret_key)
{
	struct bdb_key node;

	bdb_key_node(id, &node);
	memcpy(ret_key->bytes, BDB_LOST_PREFIX, BDB_LOST_PREFIX_LEN);
	memcpy(ret_key->bytes + BDB_LOST_PREFIX_LEN, node.bytes, node.len);
	ret_key->len = BDB_LOST_PREFIX_LEN + node.len;
}

bool
bdb_lost_decode(const void *bytes, size_t len, struct store_lost *ret_lost)
{
	struct reader r = reader_of(bytes, len);
	uint8_t version = get_u8(&r);

	ret_lost->up_to = get_u64(&r);
	ret_lost->batches = get_u64(&r);
	ret_lost->from_ms = (int64_t)get_u64(&r);
	ret_lost->until_ms = (int64_t)get_u64(&r);
	return !r.bad && version == LOST_VERSION;
}

static int
lost_get(struct store *s, DB_TXN *txn, const struct batch_id *id, struct store_lost *ret_lost)
{
	DB *db = s->table[TABLE_META];
	uint8_t buf[BDB_RECORD_MAX];
	DBT key, value = bdb_out(buf, sizeof(buf));
	struct bdb_key k;
	int rc;

	*ret_lost = (struct store_lost){.up_to = 0};
	lost_key(id, &k);
	key = bdb_in(k.bytes, k.len);
	rc = db->get(db, txn, &key, &value, 0);
	if (!rc && !bdb_lost_decode(buf, value.size, ret_lost))
		rc = EBADMSG;
	return rc == DB_NOTFOUND ? 0 : rc;
}

static int
lost_put(struct store *s, DB_TXN *txn, const struct batch_id *id, const struct store_lost *lost)
{
	DB *db = s->table[TABLE_META];
	uint8_t buf[BDB_RECORD_MAX];
	struct writer w = writer_of(buf, sizeof(buf));
	struct bdb_key k;
	DBT key, value;

	put_u8(&w, LOST_VERSION);
	put_u64(&w, lost->up_to);
	put_u64(&w, lost->batches);
	put_u64(&w, (uint64_t)lost->from_ms);
	put_u64(&w, (uint64_t)lost->until_ms);
	lost_key(id, &k);
	key = bdb_in(k.bytes, k.len);
	value = bdb_in(buf, w.len);
	return db->put(db, txn, &key, &value, 0);
}

/* -- what is stored in spite of it -- */

struct found {
	uint64_t batches;
	int64_t closes_ms; /* of the highest that closes an interval; 0: none does */
};

/* Those of the epoch with low < seq <= high, from the highest down; until the first that closes an
 * interval, unless all are to be counted. */
static int
look_back(struct store *s, DB_TXN *txn, const struct batch_id *id, uint64_t low, uint64_t high,
	  bool all, struct found *ret_found)
{
	DB *db = s->table[TABLE_APPLIED];
	uint8_t buf[BDB_RECORD_MAX];
	struct bdb_key at, lowest, highest;
	struct bdb_applied a;
	DBT key, value;
	DBC *cursor;
	int rc = db->cursor(db, txn, &cursor, 0);

	*ret_found = (struct found){0, 0};
	if (rc)
		return rc;
	bdb_key_applied(id, low, &lowest);
	bdb_key_applied(id, high, &highest);
	bdb_key_applied(id, high + 1, &at);
	key = bdb_out(at.bytes, sizeof(at.bytes));
	key.size = (uint32_t)at.len;
	value = bdb_out(buf, sizeof(buf));
	rc = cursor->get(cursor, &key, &value, DB_SET_RANGE);
	if (rc == 0 || rc == DB_NOTFOUND)
		rc = cursor->get(cursor, &key, &value, rc ? DB_LAST : DB_PREV);
	while (!rc && key.size == lowest.len && memcmp(at.bytes, lowest.bytes, lowest.len) > 0 &&
	       memcmp(at.bytes, highest.bytes, highest.len) <= 0) {
		if (!bdb_applied_decode(buf, value.size, &a))
			rc = EBADMSG;
		ret_found->batches++;
		if (ret_found->closes_ms == 0)
			ret_found->closes_ms = a.closes_ms;
		if (!rc && !all && ret_found->closes_ms)
			break;
		if (!rc)
			rc = cursor->get(cursor, &key, &value, DB_PREV);
	}
	cursor->close(cursor);
	return rc == DB_NOTFOUND ? 0 : rc;
}

static int
close_at(struct store *s, DB_TXN *txn, const struct batch_id *id, uint64_t low,
	 struct store_node *n)
{
	struct found found;
	int rc = look_back(s, txn, id, low, n->contiguous_seq, false, &found);

	if (!rc && found.closes_ms)
		n->complete_to_ms = found.closes_ms;
	return rc;
}

int
bdb_lost_pass(struct store *s, DB_TXN *txn, const struct batch_id *id, struct store_node *n)
{
	struct store_lost lost;
	uint64_t before = n->contiguous_seq;
	int rc = lost_get(s, txn, id, &lost);
	bool is_found = id->seq <= lost.up_to;

	if (rc || (!is_found && before >= lost.up_to))
		return rc;
	if (is_found && !s->shadow && lost.batches > 0) {
		lost.batches--;
		rc = lost_put(s, txn, id, &lost);
	}
	if (before < lost.up_to)
		n->contiguous_seq = lost.up_to;
	else
		before = id->seq - 1;
	return rc ? rc : close_at(s, txn, id, before, n);
}

/* -- what an agent says -- */

static int
add_lost(struct store *s, DB_TXN *txn, const struct batch_id *oldest, int64_t arrival_ms,
	 const struct store_node *n, struct store_lost *lost)
{
	uint64_t up_to = oldest->seq - 1;
	struct found found;
	int rc = look_back(s, txn, oldest, n->contiguous_seq, up_to, true, &found);

	if (rc)
		return rc;
	if (lost->batches == 0 || n->complete_to_ms < lost->from_ms)
		lost->from_ms = n->complete_to_ms;
	if (arrival_ms > lost->until_ms)
		lost->until_ms = arrival_ms;
	lost->batches += up_to - n->contiguous_seq - found.batches;
	lost->up_to = up_to;
	return lost_put(s, txn, oldest, lost);
}

static int
lose(struct store *s, DB_TXN *txn, const struct batch_id *oldest, int64_t arrival_ms,
     struct store_lost *ret_lost)
{
	struct store_node n;
	uint64_t before;
	int rc = bdb_node_get(s, txn, oldest, &n);

	ret_lost->up_to = 0;
	if (rc == DB_NOTFOUND ||
	    (!rc && (oldest->seq <= n.contiguous_seq + 1 || oldest->seq > n.highest_seq)))
		return 0; /* nothing is missing, or nobody can say so */
	if (!rc)
		rc = lost_get(s, txn, oldest, ret_lost);
	if (!rc)
		rc = add_lost(s, txn, oldest, arrival_ms, &n, ret_lost);
	before = n.contiguous_seq;
	n.contiguous_seq = oldest->seq - 1;
	if (!rc)
		rc = close_at(s, txn, oldest, before, &n);
	return rc ? rc : bdb_node_advance(s, txn, oldest, &n);
}

int
store_lose(struct store *s, const struct batch_id *oldest, int64_t arrival_ms)
{
	struct store_lost lost = {.up_to = 0};
	DB_TXN *txn;
	int rc;

	pthread_mutex_lock(&s->writer);
	do {
		rc = atomic_load(&s->broken) ? EIO : s->env->txn_begin(s->env, NULL, &txn, 0);
		if (rc)
			break;
		rc = lose(s, txn, oldest, arrival_ms, &lost);
		if (rc)
			txn->abort(txn);
		else
			rc = txn->commit(txn, 0);
	} while (rc == DB_LOCK_DEADLOCK);
	pthread_mutex_unlock(&s->writer);
	if (!rc && lost.up_to)
		log_error("a node has let go of batches that are not stored; they are counted as "
			  "lost, and what follows them as complete",
			  "node=%s up_to_seq=%llu lost_batches=%llu", oldest->node,
			  (unsigned long long)lost.up_to, (unsigned long long)lost.batches);
	return bdb_errno(s, rc);
}
