/* Forgetting what is old. What was removed is written down first (meta "retained"), so that
 * verify and rebuild know which rows nothing is left of to compute from, also after a crash in
 * the middle. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "central/store_bdb.h"
#include "central/store_care.h"

#define DELETE_ROWS 1000 /* a transaction: batches wait that long, some milliseconds */

/* -- batches -- */

/* The UTC month that holds the moment, and its start. */
static bool
month_at(int64_t ms, int *ret_month, int64_t *ret_start_ms)
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;

	if (!gmtime_r(&t, &tm))
		return false;
	*ret_month = (tm.tm_year + 1900) * 12 + tm.tm_mon;
	tm.tm_mday = 1;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	*ret_start_ms = (int64_t)timegm(&tm) * 1000;
	return true;
}

/* Raises *covered_ms above every event and hour of the batch. */
static int
cover(const struct bdb_stored *b, int64_t *covered_ms)
{
	struct batch_cursor c;
	struct batch_event e;
	struct batch batch;
	int64_t last;
	uint8_t *doc;
	int rc = bdb_stored_document(b, &doc);

	if (rc)
		return rc;
	if (batch_decode(doc, b->name.document_bytes, &batch) < 0) {
		free(doc);
		return EBADMSG;
	}
	last = batch.meta.from_ms;
	batch_cursor_init(&batch, &c);
	while (batch_next(&c, &e))
		last = e.ts_ms > last ? e.ts_ms : last;
	free(doc);
	if (hour_of(last) + HOUR_MS > *covered_ms)
		*covered_ms = hour_of(last) + HOUR_MS;
	return 0;
}

static int
cover_all(struct store *s, int before_month, int64_t *covered_ms, uint64_t *ret_batches,
	  const struct store_progress *progress)
{
	struct bdb_batches *batches = NULL;
	struct bdb_stored b;
	uint64_t done = 0;
	int rc = bdb_batches_open(s, before_month, &batches);

	while (!rc) {
		rc = bdb_batches_next(batches, &b);
		if (!rc)
			rc = cover(&b, covered_ms);
		if (rc)
			break;
		++*ret_batches;
		done += b.body_len;
		if (progress && progress->tell && progress->tell(progress->ctx, done, 0))
			rc = ECANCELED;
	}
	bdb_batches_close(batches);
	return rc == DB_NOTFOUND ? 0 : rc;
}

static int
remove_months(struct store *s, int before_month, uint64_t *ret_months)
{
	int month[BDB_MONTHS_MAX], n = bdb_months(s, month, BDB_MONTHS_MAX), i, rc = 0;
	char file[BDB_MONTH_FILE];

	for (i = 0; i < n && month[i] < before_month && !rc; i++) {
		bdb_month_file(month[i], file);
		pthread_mutex_lock(&s->writer);
		if (s->batches && s->batches_month == month[i]) {
			s->batches->close(s->batches, 0);
			s->batches = NULL;
		}
		rc = s->env->dbremove(s->env, NULL, file, NULL, DB_AUTO_COMMIT);
		pthread_mutex_unlock(&s->writer);
		*ret_months += !rc;
		CRASH_POINT("retain_month");
	}
	return n < 0 ? -n : rc;
}

/* -- rows -- */

struct old {
	struct store *store;
	enum bdb_table table;
	int64_t before_ms;
	struct bdb_key at; /* where the next stretch begins */
};

static bool
goes(const struct old *o, const DBT *key)
{
	struct rollup_key rollup;
	int64_t hour_ms;

	if (o->table == TABLE_TAGS)
		return bdb_key_tags_read(key->data, key->size, &hour_ms) && hour_ms < o->before_ms;
	return rollup_key_decode(key->data, key->size, &rollup) && rollup.grain == GRAIN_HOUR &&
	       rollup.start_ms < o->before_ms;
}

/* Old rows stand together, at the front: hours before days, older before newer. */
static int
delete_rows(struct old *o, DB_TXN *txn, uint64_t *ret_n)
{
	DBT key = bdb_out(o->at.bytes, sizeof(o->at.bytes)), nothing = bdb_out(NULL, 0);
	DB *db = o->store->table[o->table];
	uint64_t n = 0;
	DBC *cursor;
	int rc = db->cursor(db, txn, &cursor, 0);

	if (rc)
		return rc;
	nothing.flags |= DB_DBT_PARTIAL;
	key.size = (uint32_t)o->at.len;
	rc = cursor->get(cursor, &key, &nothing, DB_SET_RANGE | DB_RMW);
	while (!rc && n < DELETE_ROWS && goes(o, &key)) {
		rc = cursor->del(cursor, 0);
		n += !rc;
		if (!rc)
			rc = cursor->get(cursor, &key, &nothing, DB_NEXT | DB_RMW);
	}
	cursor->close(cursor);
	*ret_n = n;
	return rc == DB_NOTFOUND ? 0 : rc;
}

static int
delete_stretch(struct old *o, uint64_t *ret_n)
{
	struct bdb_key begin = o->at;
	DB_TXN *txn;
	int rc;

	do {
		o->at = begin;
		rc = o->store->env->txn_begin(o->store->env, NULL, &txn, 0);
		if (rc)
			return rc;
		rc = delete_rows(o, txn, ret_n);
		if (rc)
			txn->abort(txn);
		else
			rc = txn->commit(txn, 0);
	} while (rc == DB_LOCK_DEADLOCK);
	return rc;
}

static int
delete_old(struct store *s, enum bdb_table t, int64_t before_ms, uint64_t *ret_rows)
{
	struct old o = {.store = s, .table = t, .before_ms = before_ms};
	uint64_t n;
	int rc;

	do {
		o.at.len = 0;
		n = 0;
		pthread_mutex_lock(&s->writer);
		rc = atomic_load(&s->broken) ? EIO : delete_stretch(&o, &n);
		if (!rc)
			rc = s->env->txn_checkpoint(s->env, 32 * 1024, 0, 0);
		pthread_mutex_unlock(&s->writer);
		*ret_rows += n;
		CRASH_POINT("retain_stretch"); /* the first is of roll-ups, the last of ids */
	} while (!rc && n == DELETE_ROWS);
	return rc;
}

/* -- all -- */

static int
write_down(struct store *s, const struct bdb_retained *r)
{
	int rc;

	pthread_mutex_lock(&s->writer);
	rc = bdb_retained_put(s, NULL, r);
	pthread_mutex_unlock(&s->writer);
	return rc;
}

static int
retain(struct store *s, int64_t batches_ms, int64_t hours_ms, const struct store_progress *progress,
       struct store_retained *sum)
{
	struct bdb_retained r;
	int64_t month_ms = 0;
	int month = 0, rc = bdb_retained_get(s, &r);

	if (!rc && batches_ms > 0 && !month_at(batches_ms, &month, &month_ms))
		rc = EINVAL;
	if (!rc && month)
		rc = cover_all(s, month, &r.covered_ms, &sum->batches, progress);
	if (rc)
		return rc;
	if (sum->batches > 0 && month_ms > r.batches_ms)
		r.batches_ms = month_ms;
	if (hours_ms > 0 && calendar_start(GRAIN_DAY, hours_ms) > r.hours_ms)
		r.hours_ms = calendar_start(GRAIN_DAY, hours_ms);
	rc = write_down(s, &r);
	CRASH_POINT("retain_written");
	if (!rc && month)
		rc = remove_months(s, month, &sum->months);
	if (!rc && hours_ms > 0)
		rc = delete_old(s, TABLE_ROLLUPS, r.hours_ms, &sum->rows);
	if (!rc && hours_ms > 0)
		rc = delete_old(s, TABLE_TAGS, r.hours_ms, &sum->tags);
	return rc;
}

int
store_hours_from(struct store *s, int64_t *ret_ms)
{
	struct bdb_retained r;
	int rc;

	if (atomic_load(&s->broken))
		return -EIO;
	do {
		rc = bdb_retained_get(s, &r);
	} while (rc == DB_LOCK_DEADLOCK); /* with the writer, as in store_bdb_scan.c */
	if (!rc)
		*ret_ms = r.hours_ms;
	return bdb_errno(s, rc);
}

int
store_retain(struct store *s, int64_t batches_ms, int64_t hours_ms,
	     const struct store_progress *progress, struct store_retained *ret_retained)
{
	struct store_retained sum = {0, 0, 0, 0};
	int err = bdb_errno(s, retain(s, batches_ms, hours_ms, progress, &sum));

	if (!err)
		*ret_retained = sum;
	return err;
}
