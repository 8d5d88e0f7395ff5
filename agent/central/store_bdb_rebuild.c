/* Rebuild: a shadow takes the place of the real tables.
 *
 * Berkeley DB can remove and rename files in one transaction, but its recovery failed where such a
 * transaction had not ended. So the exchange is made between two openings: the environment is
 * closed with all pages written, the file data_dir/exchange (the new totals) says that the shadow
 * is whole, and opening, before anything else, gives the shadow's files the names of the real ones.
 * Dying at any point leaves the old tables, or the new ones from the next start on.
 *
 * The files get new ids as well. Berkeley DB knows a file by its id, which its log has under the
 * shadow's name: whoever replayed that log, from a backup, would make a shadow that it takes for
 * the real table.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crash_point.h"
#include "base/file.h"
#include "base/log.h"
#include "central/store_bdb.h"
#include "central/store_care.h"

#define MARKER "exchange"
#define COPY_ROWS 1000 /* a transaction: some hundred pages to lock */

/* -- rows that nothing is left of to compute them from -- */

struct keep {
	struct bdb_retained retained;
	enum bdb_table table;
};

/* Stays as it is, whatever was computed. */
static bool
stays(const struct keep *k, const DBT *key)
{
	struct store_ledger_row row = {0};
	struct store_bot_row bot;
	struct rollup_key rollup;
	struct text name;
	int64_t hour_ms;

	switch (k->table) {
	case TABLE_ROLLUPS:
		return rollup_key_decode(key->data, key->size, &rollup) &&
		       (rollup.start_ms < k->retained.covered_ms ||
			(rollup.grain == GRAIN_HOUR && rollup.start_ms < k->retained.hours_ms));
	case TABLE_LEDGER:
		return bdb_key_ledger_read(key->data, key->size, &row, &name) &&
		       row.hour_ms < k->retained.covered_ms;
	case TABLE_BOTS:
		return bdb_key_bot_read(key->data, key->size, &bot) &&
		       bot.day_ms < k->retained.covered_ms;
	case TABLE_TAGS:
		return bdb_key_tags_read(key->data, key->size, &hour_ms) &&
		       (hour_ms < k->retained.hours_ms || hour_ms < k->retained.covered_ms);
	case TABLE_NODES:
	case TABLE_SITES:
		return k->retained.batches_ms != 0;
	case TABLE_APPLIED:
	case TABLE_META:
	case TABLE_N:
		break;
	}
	return false;
}

/* Of `from`, a stretch beginning at *at: puts those that stay into `into`, or deletes them where it
 * is NULL. 0 with *at behind the stretch, DB_NOTFOUND at the end. */
static int
pass_rows(DB *from, DB *into, const struct keep *k, DB_TXN *txn, struct bdb_key *at)
{
	DBT key = bdb_out(at->bytes, sizeof(at->bytes)), value = {.flags = DB_DBT_REALLOC};
	uint32_t how = DB_SET_RANGE;
	DBC *cursor;
	unsigned n;
	int rc = from->cursor(from, txn, &cursor, 0);

	if (rc)
		return rc;
	key.size = (uint32_t)at->len;
	for (n = 0; n < COPY_ROWS && !rc; n++, how = DB_NEXT) {
		rc = cursor->get(cursor, &key, &value, how);
		if (!rc && stays(k, &key))
			rc = into ? into->put(into, txn, &key, &value, 0) : cursor->del(cursor, 0);
	}
	cursor->close(cursor);
	free(value.data);
	at->bytes[key.size] = 0; /* the least key that is greater; keys are shorter than the room */
	at->len = key.size + 1;
	return rc;
}

static int
pass_table(struct store *shadow, DB *from, DB *into, const struct keep *k)
{
	struct bdb_key at = {.len = 0};
	DB_TXN *txn;
	int rc, commit_rc;

	do {
		rc = shadow->env->txn_begin(shadow->env, NULL, &txn, 0);
		if (rc)
			return rc;
		rc = pass_rows(from, into, k, txn, &at);
		if (rc && rc != DB_NOTFOUND) {
			txn->abort(txn);
			return rc;
		}
		commit_rc = txn->commit(txn, DB_TXN_NOSYNC);
	} while (!rc && !commit_rc);
	return commit_rc;
}

static int
keep_rows(struct store *s, struct store *shadow, const struct bdb_retained *retained)
{
	static const enum bdb_table kept[] = {TABLE_ROLLUPS, TABLE_LEDGER, TABLE_BOTS,
					      TABLE_TAGS,    TABLE_NODES,  TABLE_SITES};
	struct keep k = {.retained = *retained};
	size_t i;
	int rc = 0;

	if (!retained->batches_ms && !retained->hours_ms)
		return 0;
	for (i = 0; i < sizeof(kept) / sizeof(kept[0]) && !rc; i++) {
		k.table = kept[i];
		rc = pass_table(shadow, shadow->table[k.table], NULL, &k);
		if (!rc)
			rc = pass_table(shadow, s->table[k.table], shadow->table[k.table], &k);
	}
	return rc;
}

/* -- the exchange -- */

static int
close_tables(struct store *s, struct store *shadow)
{
	unsigned t;
	int rc = 0, one;

	for (t = 0; t < TABLE_N; t++) {
		if (!bdb_shadow_has((enum bdb_table)t))
			continue;
		one = shadow->table[t]->close(shadow->table[t], 0);
		shadow->table[t] = NULL;
		rc = rc ? rc : one;
		one = s->table[t]->close(s->table[t], 0);
		s->table[t] = NULL;
		rc = rc ? rc : one;
	}
	return rc;
}

static int
rename_shadow(const char *db_dir, enum bdb_table t)
{
	char file[BDB_MONTH_FILE], from[PATH_MAX], to[PATH_MAX];

	bdb_shadow_file(t, file);
	if (snprintf(from, sizeof(from), "%s/%s", db_dir, file) >= (int)sizeof(from) ||
	    snprintf(to, sizeof(to), "%s/%s", db_dir, bdb_table_file[t]) >= (int)sizeof(to))
		return -ENAMETOOLONG;
	if (rename(from, to) < 0 && errno != ENOENT)
		return -errno;
	CRASH_POINT("rebuild_renamed");
	return 0;
}

static int
sync_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* A file that is not there any more has its name already. */
static int
new_id(DB_ENV *env, const char *db_dir, enum bdb_table t)
{
	char file[BDB_MONTH_FILE], path[PATH_MAX];
	int rc;

	bdb_shadow_file(t, file);
	if (snprintf(path, sizeof(path), "%s/%s", db_dir, file) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (access(path, F_OK) < 0)
		return errno == ENOENT ? 0 : -errno;
	rc = env->fileid_reset(env, file, 0); /* below the home of the environment */
	return rc ? (rc > 0 ? -rc : -EIO) : sync_file(path);
}

/* In an environment without a log: nothing is to be remembered of it. */
static int
new_ids(const char *db_dir)
{
	DB_ENV *env;
	unsigned t;
	int err, rc = db_env_create(&env, 0);

	if (rc)
		return -ENOMEM;
	rc = env->open(env, db_dir, DB_CREATE | DB_INIT_MPOOL | DB_PRIVATE, 0600);
	err = rc > 0 ? -rc : rc ? -EIO : 0;
	for (t = 0; t < TABLE_N && !err; t++)
		err =
		    bdb_shadow_has((enum bdb_table)t) ? new_id(env, db_dir, (enum bdb_table)t) : 0;
	env->close(env, 0);
	return err;
}

int
bdb_exchange_files(const struct store *s)
{
	char path[PATH_MAX];
	unsigned t;
	int err = 0;

	if (snprintf(path, sizeof(path), "%s/" MARKER, s->dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (access(path, F_OK) < 0)
		return errno == ENOENT ? 0 : -errno;
	snprintf(path, sizeof(path), "%s/db", s->dir); /* shorter */
	err = new_ids(path);
	for (t = 0; t < TABLE_N && !err; t++)
		err =
		    bdb_shadow_has((enum bdb_table)t) ? rename_shadow(path, (enum bdb_table)t) : 0;
	return err ? err : file_sync_dir(path);
}

int
bdb_exchange_totals(struct store *s)
{
	char path[PATH_MAX], *bytes = NULL;
	struct bdb_totals totals;
	size_t len;
	int err;

	if (snprintf(path, sizeof(path), "%s/" MARKER, s->dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	err = file_read(path, BDB_RECORD_MAX, &bytes, &len);
	if (err)
		return err == -ENOENT ? 0 : err;
	err = bdb_totals_decode((const uint8_t *)bytes, len, &totals) ? 0 : -EBADMSG;
	if (!err)
		err = bdb_errno(s, bdb_meta_put(s, NULL, "totals", bytes, len));
	free(bytes);
	if (err)
		return err;
	s->totals = totals;
	CRASH_POINT("rebuild_exchanged");
	return unlink(path) < 0 ? -errno : file_sync_dir(s->dir);
}

/* From the marker on there is no way back, and none is needed. */
static int
mark(struct store *s, const struct bdb_totals *totals)
{
	uint8_t buf[BDB_RECORD_MAX];
	int rc = bdb_close_env(s), err;

	if (rc)
		return rc;
	CRASH_POINT("rebuild_before_mark");
	err = file_replace(s->dir, MARKER, buf, bdb_totals_encode(totals, buf), 0600);
	CRASH_POINT("rebuild_marked");
	return -err;
}

/* -- all -- */

static void
count_batch(void *ctx, const struct bdb_stored *b, const struct bdb_applied *a)
{
	struct store_verified *sum = ctx;

	sum->batches += a != NULL;
	sum->events += a ? b->name.events : 0;
}

/* What the batches say, where all are there; what only the old totals know stays. */
static struct bdb_totals
totals_after(const struct store *s, const struct store *shadow, const struct bdb_retained *r)
{
	struct bdb_totals t = r->batches_ms ? s->totals : shadow->totals;

	/* an ordinal is never given twice */
	t.ordinal =
	    s->totals.ordinal > shadow->totals.ordinal ? s->totals.ordinal : shadow->totals.ordinal;
	return t;
}

static int
rebuild(struct store *s, const struct store_progress *progress, struct store_verified *sum)
{
	struct bdb_retained retained;
	struct store *shadow = NULL;
	struct bdb_totals totals;
	int rc = bdb_retained_get(s, &retained);

	if (!rc)
		rc = bdb_shadow_open(s, &shadow);
	if (!rc)
		rc = bdb_replay_all(s, shadow, count_batch, sum, progress);
	CRASH_POINT("rebuild_replayed");
	if (!rc)
		rc = keep_rows(s, shadow, &retained);
	if (!rc) {
		totals = totals_after(s, shadow, &retained);
		rc = close_tables(s, shadow);
	}
	bdb_shadow_close(shadow);
	return rc ? rc : mark(s, &totals);
}

int
store_rebuild(const struct conf *c, const struct store_progress *progress,
	      struct store_verified *ret_verified)
{
	struct store_verified sum = {0};
	struct store *s;
	int err = store_open(c, &s), rc;

	if (err)
		return err;
	rc = rebuild(s, progress, &sum);
	if (rc) {
		log_error("not rebuilt; the tables are as they were", "error=\"%s\"",
			  db_strerror(rc));
		if (s->env)
			bdb_shadow_remove(s);
	}
	err = bdb_errno(s, rc);
	store_close(s);
	if (!err)
		err = store_open(c, &s); /* makes the exchange */
	if (err)
		return err;
	store_close(s);
	*ret_verified = sum;
	return 0;
}
