/* Everything anew from the stored batches, in tables beside the real ones.
 *
 * The shadow's tables are "shadow-rollups.db" and so on. Replaying goes through the very code that
 * applied the batches (store_bdb_apply.c), in the order of their ordinals, with the stored lists of
 * events that were left out; nothing depends on what the settings are by now.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "central/store_bdb.h"
#include "central/store_care.h"

/* -- what retain removed -- */

#define RETAINED_VERSION 1

int
bdb_retained_get(struct store *s, struct bdb_retained *ret_retained)
{
	uint8_t buf[BDB_RECORD_MAX];
	struct bdb_retained r = {0, 0, 0};
	struct reader in;
	uint8_t version;
	size_t len;
	int rc = bdb_meta_get(s, "retained", buf, sizeof(buf), &len);

	if (rc && rc != DB_NOTFOUND)
		return rc;
	if (!rc) {
		in = reader_of(buf, len);
		version = get_u8(&in);
		r.batches_ms = (int64_t)get_u64(&in);
		r.covered_ms = (int64_t)get_u64(&in);
		r.hours_ms = (int64_t)get_u64(&in);
		if (in.bad || version != RETAINED_VERSION)
			return EBADMSG;
	}
	*ret_retained = r;
	return 0;
}

int
bdb_retained_put(struct store *s, DB_TXN *txn, const struct bdb_retained *r)
{
	uint8_t buf[BDB_RECORD_MAX];
	struct writer w = writer_of(buf, sizeof(buf));

	put_u8(&w, RETAINED_VERSION);
	put_u64(&w, (uint64_t)r->batches_ms);
	put_u64(&w, (uint64_t)r->covered_ms);
	put_u64(&w, (uint64_t)r->hours_ms);
	return bdb_meta_put(s, txn, "retained", buf, w.len);
}

/* -- months -- */

static int
month_order(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

/* "batches-2026-11.db" */
static bool
month_of(const char *name, int *ret_month)
{
	char again[BDB_MONTH_FILE];
	const char *at = name + strlen("batches-");
	long year, month;
	char *end;

	if (strncmp(name, "batches-", strlen("batches-")) != 0)
		return false;
	year = strtol(at, &end, 10);
	month = *end == '-' ? strtol(end + 1, NULL, 10) : 0;
	if (year < 1970 || year > 9999 || month < 1 || month > 12)
		return false;
	*ret_month = (int)(year * 12 + month - 1);
	bdb_month_file(*ret_month, again);
	return strcmp(name, again) == 0;
}

int
bdb_months(const struct store *s, int *ret_month, size_t cap)
{
	char path[PATH_MAX];
	struct dirent *e;
	size_t n = 0;
	DIR *d;

	if (snprintf(path, sizeof(path), "%s/db", s->dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	d = opendir(path);
	if (!d)
		return -errno;
	while (n < cap && (e = readdir(d)))
		n += month_of(e->d_name, &ret_month[n]);
	closedir(d);
	qsort(ret_month, n, sizeof(*ret_month), month_order);
	return (int)n;
}

/* -- batches, in order -- */

struct month {
	DB *db;
	DBC *cursor;
	uint64_t ordinal; /* of the batch that it gives next; 0: none any more */
};

struct bdb_batches {
	DBT body, skipped; /* malloc'ed by Berkeley DB, grown as needed */
	size_t n;
	struct month month[];
};

static int
key_at(struct month *m, uint64_t from, uint64_t *ret_ordinal, uint8_t *ret_part)
{
	DBT key, nothing = bdb_out(NULL, 0);
	struct bdb_key k;
	struct reader r;
	int rc;

	nothing.flags |= DB_DBT_PARTIAL;
	bdb_key_batch(from, BDB_BATCH_BODY, &k);
	key = bdb_out(k.bytes, sizeof(k.bytes));
	key.size = (uint32_t)k.len;
	rc = m->cursor->get(m->cursor, &key, &nothing, DB_SET_RANGE);
	if (rc)
		return rc;
	r = reader_of(k.bytes, key.size);
	get_u8(&r);
	*ret_ordinal = get_u64_be(&r);
	*ret_part = get_u8(&r);
	return r.bad || *ret_ordinal < from ? EBADMSG : 0;
}

/* A body may be missing where the list of what was left out is there: verify says so,
 * by applied. */
static int
month_seek(struct month *m, uint64_t from)
{
	uint8_t part;
	int rc;

	do {
		m->ordinal = 0;
		rc = key_at(m, from, &m->ordinal, &part);
		from = m->ordinal + 1;
	} while (!rc && part != BDB_BATCH_BODY);
	return rc == DB_NOTFOUND ? 0 : rc;
}

static int
month_open(struct store *s, int number, struct month *m)
{
	char file[BDB_MONTH_FILE];
	int rc;

	bdb_month_file(number, file);
	rc = bdb_table_open(s->env, file, &m->db);
	if (!rc)
		rc = m->db->cursor(m->db, NULL, &m->cursor, 0);
	return rc ? rc : month_seek(m, 1);
}

int
bdb_batches_open(struct store *s, int before_month, struct bdb_batches **ret_batches)
{
	int number[BDB_MONTHS_MAX] = {0}, n = bdb_months(s, number, BDB_MONTHS_MAX), i;
	int rc = n < 0 ? -n : 0;
	struct bdb_batches *b;

	if (rc)
		return rc;
	b = calloc(1, sizeof(*b) + (size_t)n * sizeof(b->month[0]));
	if (!b)
		return ENOMEM;
	b->body.flags = b->skipped.flags = DB_DBT_REALLOC;
	for (i = 0; i < n && number[i] < before_month && !rc; i++)
		rc = month_open(s, number[i], &b->month[b->n++]);
	if (rc)
		bdb_batches_close(b);
	else
		*ret_batches = b;
	return rc;
}

void
bdb_batches_close(struct bdb_batches *b)
{
	size_t i;

	if (!b)
		return;
	for (i = 0; i < b->n; i++) {
		if (b->month[i].cursor)
			b->month[i].cursor->close(b->month[i].cursor);
		if (b->month[i].db)
			b->month[i].db->close(b->month[i].db, DB_NOSYNC);
	}
	free(b->body.data);
	free(b->skipped.data);
	free(b);
}

static int
part_get(const struct month *m, uint8_t part, DBT *value)
{
	struct bdb_key k;
	DBT key;

	bdb_key_batch(m->ordinal, part, &k);
	key = bdb_in(k.bytes, k.len);
	return m->db->get(m->db, NULL, &key, value, 0);
}

static int
month_take(struct bdb_batches *b, struct month *m, struct bdb_stored *ret_stored)
{
	struct bdb_stored x = {.ordinal = m->ordinal};
	struct text frame;
	int rc = part_get(m, BDB_BATCH_BODY, &b->body);

	if (rc)
		return rc == DB_NOTFOUND ? EBADMSG : rc;
	rc = part_get(m, BDB_BATCH_SKIPPED, &b->skipped);
	if (rc && rc != DB_NOTFOUND)
		return rc;
	x.body = b->body.data;
	x.body_len = b->body.size;
	if (!rc) {
		x.skipped = b->skipped.data;
		x.skipped_len = b->skipped.size;
	}
	if (batch_name_get(x.body, x.body_len, &x.name, &frame) < 0)
		return EBADMSG;
	rc = month_seek(m, m->ordinal + 1);
	if (!rc)
		*ret_stored = x;
	return rc;
}

int
bdb_batches_next(struct bdb_batches *b, struct bdb_stored *ret_stored)
{
	struct month *least = NULL;
	size_t i;

	/* a clock that was put back leaves ordinals of one month among those of another */
	for (i = 0; i < b->n; i++)
		if (b->month[i].ordinal && (!least || b->month[i].ordinal < least->ordinal))
			least = &b->month[i];
	return least ? month_take(b, least, ret_stored) : DB_NOTFOUND;
}

int
bdb_stored_document(const struct bdb_stored *b, uint8_t **ret_doc)
{
	struct batch_name name;
	struct text frame;
	uint8_t *doc;

	if (batch_name_get(b->body, b->body_len, &name, &frame) < 0 ||
	    name.document_bytes > BATCH_DOCUMENT_MAX)
		return EBADMSG;
	doc = malloc(name.document_bytes);
	if (!doc)
		return ENOMEM;
	if (ZSTD_decompress(doc, name.document_bytes, frame.at, frame.len) != name.document_bytes) {
		free(doc);
		return EBADMSG;
	}
	*ret_doc = doc;
	return 0;
}

/* -- the shadow -- */

bool
bdb_shadow_has(enum bdb_table t)
{
	return t != TABLE_APPLIED && t != TABLE_META;
}

void
bdb_shadow_file(enum bdb_table t, char ret_file[BDB_MONTH_FILE])
{
	snprintf(ret_file, BDB_MONTH_FILE, "shadow-%s", bdb_table_file[t]);
}

int
bdb_shadow_remove(struct store *s)
{
	char file[BDB_MONTH_FILE], path[PATH_MAX];
	unsigned t;
	int rc = 0;

	for (t = 0; t < TABLE_N && !rc; t++) {
		bdb_shadow_file((enum bdb_table)t, file);
		if (!bdb_shadow_has((enum bdb_table)t) ||
		    snprintf(path, sizeof(path), "%s/db/%s", s->dir, file) >= (int)sizeof(path) ||
		    access(path, F_OK) < 0)
			continue;
		rc = s->env->dbremove(s->env, NULL, file, NULL, DB_AUTO_COMMIT);
	}
	return rc;
}

static int
shadow_tables(struct store *s, struct store *shadow)
{
	char file[BDB_MONTH_FILE];
	unsigned t;
	int rc = bdb_shadow_remove(s);

	for (t = 0; t < TABLE_N && !rc; t++) {
		bdb_shadow_file((enum bdb_table)t, file);
		if (bdb_shadow_has((enum bdb_table)t))
			rc = bdb_table_open(s->env, file, &shadow->table[t]);
		else
			shadow->table[t] = s->table[t];
	}
	return rc;
}

int
bdb_shadow_open(struct store *s, struct store **ret_shadow)
{
	struct store *shadow = calloc(1, sizeof(*shadow));
	int rc;

	if (!shadow)
		return ENOMEM;
	shadow->shadow = true;
	shadow->env = s->env;
	shadow->dir = s->dir;
	shadow->lock_fd = -1;
	shadow->retry_window_ms = s->retry_window_ms;
	shadow->value = malloc(ROLLUP_VALUE_MAX);
	rc = shadow->value ? shadow_tables(s, shadow) : ENOMEM;
	if (rc)
		bdb_shadow_close(shadow);
	else
		*ret_shadow = shadow;
	return rc;
}

void
bdb_shadow_close(struct store *shadow)
{
	unsigned t;

	if (!shadow)
		return;
	for (t = 0; t < TABLE_N; t++)
		if (bdb_shadow_has((enum bdb_table)t) && shadow->table[t])
			shadow->table[t]->close(shadow->table[t], 0);
	free(shadow->value);
	free(shadow);
}

/* -- all of them -- */

static int
replay_one(struct store *s, struct store *shadow, struct bdb_stored *b, bdb_stored_fn *each,
	   void *ctx)
{
	struct bdb_applied a;
	int rc = bdb_applied_get(s, NULL, b->name.id.seq, &b->name.id, &a);
	bool known = rc == 0 && a.ordinal == b->ordinal &&
		     memcmp(a.checksum, b->name.checksum, sizeof(a.checksum)) == 0;

	if (rc && rc != DB_NOTFOUND)
		return rc;
	if (each)
		each(ctx, b, known ? &a : NULL);
	if (!known)
		return 0; /* never applied: it is in no roll-up */
	b->arrival_ms = a.arrival_ms;
	return bdb_replay(shadow, b);
}

int
bdb_replay_all(struct store *s, struct store *shadow, bdb_stored_fn *each, void *ctx,
	       const struct store_progress *progress)
{
	struct bdb_batches *batches = NULL;
	struct bdb_stored b;
	uint64_t done = 0;
	int rc = bdb_batches_open(s, INT_MAX, &batches);

	while (!rc) {
		if (progress && progress->tell &&
		    progress->tell(progress->ctx, done, s->totals.bytes))
			rc = ECANCELED;
		if (!rc)
			rc = bdb_batches_next(batches, &b);
		if (rc)
			break;
		rc = replay_one(s, shadow, &b, each, ctx);
		done += b.body_len;
	}
	bdb_batches_close(batches);
	return rc == DB_NOTFOUND ? 0 : rc;
}
