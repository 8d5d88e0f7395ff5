/* Compares the real tables with a shadow's, both in key order, record by record. Records that
 * differ in their bytes are decoded and compared count by count: bytes of a sketch depend on the
 * version of zstd, its registers do not. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "central/store_bdb.h"
#include "central/store_care.h"

struct verify {
	struct store *store, *shadow;
	const struct store_report *report;
	struct bdb_retained retained;
	struct store_verified sum;
	struct store_difference d; /* being put together */
	uint8_t *seen;             /* a bit per ordinal */
	uint64_t applied;          /* entries, also of batches that are gone */
};

/* -- differences -- */

static void
tell(struct verify *v, const char *field)
{
	v->sum.differences++;
	snprintf(v->d.field, sizeof(v->d.field), "%s", field);
	if (v->report->differs)
		v->report->differs(v->report->ctx, &v->d);
}

static void
compare_u64(struct verify *v, const char *field, uint64_t stored, uint64_t recomputed)
{
	if (stored == recomputed)
		return;
	snprintf(v->d.stored, sizeof(v->d.stored), "%" PRIu64, stored);
	snprintf(v->d.recomputed, sizeof(v->d.recomputed), "%" PRIu64, recomputed);
	tell(v, field);
}

static void
compare_i64(struct verify *v, const char *field, int64_t stored, int64_t recomputed)
{
	if (stored == recomputed)
		return;
	snprintf(v->d.stored, sizeof(v->d.stored), "%" PRId64, stored);
	snprintf(v->d.recomputed, sizeof(v->d.recomputed), "%" PRId64, recomputed);
	tell(v, field);
}

static void
compare_double(struct verify *v, const char *field, double stored, double recomputed)
{
	if (!(stored < recomputed) && !(stored > recomputed))
		return;
	snprintf(v->d.stored, sizeof(v->d.stored), "%.17g", stored);
	snprintf(v->d.recomputed, sizeof(v->d.recomputed), "%.17g", recomputed);
	tell(v, field);
}

static void
tell_only(struct verify *v, const char *stored, const char *recomputed)
{
	snprintf(v->d.stored, sizeof(v->d.stored), "%s", stored);
	snprintf(v->d.recomputed, sizeof(v->d.recomputed), "%s", recomputed);
	tell(v, "record");
}

/* -- names: whatever is no plain ASCII is shown as %xx -- */

static void
append_text(struct store_difference *d, struct text t)
{
	size_t at = strlen(d->where), i;
	unsigned char c;

	for (i = 0; i < t.len && at + 4 < sizeof(d->where); i++) {
		c = (unsigned char)t.at[i];
		at += (size_t)snprintf(d->where + at, sizeof(d->where) - at,
				       c > ' ' && c < 127 && c != '%' ? "%c" : "%%%02X", c);
	}
}

static void
append(struct store_difference *d, const char *plain)
{
	size_t at = strlen(d->where);

	snprintf(d->where + at, sizeof(d->where) - at, "%s", plain);
}

static void
append_uuid(struct store_difference *d, const uint8_t *u)
{
	char text[40];

	snprintf(text, sizeof(text),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
		 u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
		 u[15]);
	append(d, text);
}

static void
append_key(struct store_difference *d, const struct rollup_key *k)
{
	struct batch_content c;

	append(d, " key=");
	if (k->dim != DIM_CONTENT || !rollup_content_of(k->key, &c)) {
		append_text(d, k->key);
		return;
	}
	append_text(d, c.type);
	append(d, "/");
	if (c.has_uuid)
		append_uuid(d, c.uuid);
	else
		append_text(d, c.id);
}

static void
name_rollup(struct store_difference *d, const struct rollup_key *k)
{
	static const char *const grains[GRAIN_N] = {"hour", "day", "month"};
	char period[CALENDAR_TEXT];

	calendar_format(k->grain, k->start_ms, period);
	snprintf(d->where, sizeof(d->where), "rollup %s %s site=", grains[k->grain], period);
	append_text(d, k->site);
	append(d, " dim=");
	append(d, dim_name(k->dim));
	append_key(d, k);
}

static void
name_bytes(struct store_difference *d, const char *table, const DBT *key)
{
	snprintf(d->where, sizeof(d->where), "%s key=", table);
	append_text(d, (struct text){key->data, key->size});
}

/* -- one table -- */

/* Called for a key; stored or recomputed is NULL where only the other one has it. */
typedef int record_fn(struct verify *v, const DBT *key, const DBT *stored, const DBT *recomputed);

struct side {
	DBC *cursor;
	DBT key, value;
	bool over;
};

static int
side_next(struct side *x)
{
	int rc = x->cursor->get(x->cursor, &x->key, &x->value, DB_NEXT);

	x->over = rc == DB_NOTFOUND;
	return x->over ? 0 : rc;
}

static int
side_open(struct side *x, DB *db)
{
	int rc;

	*x = (struct side){.key = {.flags = DB_DBT_REALLOC}, .value = {.flags = DB_DBT_REALLOC}};
	rc = db->cursor(db, NULL, &x->cursor, 0);
	return rc ? rc : side_next(x);
}

static void
side_close(struct side *x)
{
	if (x->cursor)
		x->cursor->close(x->cursor);
	free(x->key.data);
	free(x->value.data);
}

static int
bytes_order(const DBT *a, const DBT *b)
{
	int order = memcmp(a->data, b->data, a->size < b->size ? a->size : b->size);

	return order ? order : (a->size > b->size) - (a->size < b->size);
}

static int
compare_next(struct verify *v, struct side *stored, struct side *fresh, record_fn *each)
{
	int order = stored->over ? 1 : fresh->over ? -1 : bytes_order(&stored->key, &fresh->key);
	int rc = 0;

	v->sum.rows++;
	if (order < 0)
		rc = each(v, &stored->key, &stored->value, NULL);
	else if (order > 0)
		rc = each(v, &fresh->key, NULL, &fresh->value);
	else if (bytes_order(&stored->value, &fresh->value) != 0)
		rc = each(v, &stored->key, &stored->value, &fresh->value);
	if (!rc && order <= 0)
		rc = side_next(stored);
	if (!rc && order >= 0)
		rc = side_next(fresh);
	return rc;
}

static int
compare_table(struct verify *v, enum bdb_table t, record_fn *each)
{
	struct side stored, fresh = {.cursor = NULL};
	int rc = side_open(&stored, v->store->table[t]);

	if (!rc)
		rc = side_open(&fresh, v->shadow->table[t]);
	while (!rc && !(stored.over && fresh.over))
		rc = compare_next(v, &stored, &fresh, each);
	side_close(&stored);
	side_close(&fresh);
	return rc;
}

/* -- roll-ups -- */

static bool
is_kept(const struct verify *v, const struct rollup_key *k)
{
	return k->start_ms < v->retained.covered_ms ||
	       (k->grain == GRAIN_HOUR && k->start_ms < v->retained.hours_ms);
}

static bool
same_visitors(const struct sketch *a, const struct sketch *b)
{
	if (sketch_is_exact(a) != sketch_is_exact(b))
		return false;
	if (sketch_is_exact(a))
		return a->n == b->n &&
		       (a->n == 0 || memcmp(a->hash, b->hash, a->n * sizeof(*a->hash)) == 0);
	return a->form.p == b->form.p && memcmp(a->reg, b->reg, (size_t)1 << a->form.p) == 0;
}

static void
compare_visitors(struct verify *v, const struct rollup_row *stored, const struct rollup_row *fresh)
{
	uint64_t a = sketch_count(&stored->visitors), b = sketch_count(&fresh->visitors);

	if (a != b)
		compare_u64(v, "visitors", a, b);
	else if (!same_visitors(&stored->visitors, &fresh->visitors))
		tell_only(v, "other visitors", "as many others");
}

static void
compare_rows(struct verify *v, const struct rollup_row *stored, const struct rollup_row *fresh)
{
	compare_u64(v, "events", stored->events, fresh->events);
	compare_u64(v, "repeats", stored->repeats, fresh->repeats);
	compare_u64(v, "unique_views", stored->unique_views, fresh->unique_views);
	compare_u64(v, "values", stored->values, fresh->values);
	compare_visitors(v, stored, fresh);
	if (stored->values == 0 || fresh->values == 0)
		return;
	compare_double(v, "sum", stored->sum + stored->sum_low, fresh->sum + fresh->sum_low);
	compare_double(v, "min", stored->min, fresh->min);
	compare_double(v, "max", stored->max, fresh->max);
}

/* ret_row is initialised in every case; a missing record is a row of zeros. */
static int
row_of(const DBT *value, enum dim d, struct rollup_row *ret_row)
{
	if (value)
		return rollup_row_decode(value->data, value->size, d, ret_row);
	rollup_row_init(ret_row, d);
	return 0;
}

static int
check_row(struct verify *v, const DBT *key, const DBT *stored, const DBT *fresh)
{
	struct rollup_row a, b;
	struct rollup_key k;
	int err_a, err_b;

	if (!rollup_key_decode(key->data, key->size, &k)) {
		name_bytes(&v->d, "rollup", key);
		tell_only(v, "unreadable", "none");
		return 0;
	}
	if (is_kept(v, &k)) {
		v->sum.kept_rows++;
		return 0;
	}
	name_rollup(&v->d, &k);
	err_a = row_of(stored, k.dim, &a);
	err_b = row_of(fresh, k.dim, &b);
	if (err_a || !stored || !fresh)
		tell_only(v,
			  err_a    ? "unreadable"
			  : stored ? "present"
				   : "none",
			  fresh ? "present" : "none");
	if (!err_a && !err_b)
		compare_rows(v, &a, &b);
	rollup_row_fini(&a);
	rollup_row_fini(&b);
	return err_b == -ENOMEM ? ENOMEM : 0;
}

/* -- ledger, nodes, tags, sites -- */

static uint64_t
count_of(const DBT *value)
{
	struct reader r = reader_of(value ? value->data : NULL, value ? value->size : 0);

	return value ? get_u64(&r) : 0;
}

static int
check_ledger(struct verify *v, const DBT *key, const DBT *stored, const DBT *fresh)
{
	struct store_ledger_row row = {0};
	char hour[CALENDAR_TEXT], field[128];
	struct text name;

	if (!bdb_key_ledger_read(key->data, key->size, &row, &name)) {
		name_bytes(&v->d, "ledger", key);
		tell_only(v, "unreadable", "none");
		return 0;
	}
	if (row.hour_ms < v->retained.covered_ms) {
		v->sum.kept_rows++;
		return 0;
	}
	calendar_format(GRAIN_HOUR, row.hour_ms, hour);
	snprintf(v->d.where, sizeof(v->d.where), "ledger hour %s node=%s", hour, row.node);
	snprintf(field, sizeof(field), "%.*s", (int)name.len, name.at);
	compare_u64(v, field, count_of(stored), count_of(fresh));
	return 0;
}

static int
check_bot(struct verify *v, const DBT *key, const DBT *stored, const DBT *fresh)
{
	struct store_bot_row row;
	char day[CALENDAR_TEXT];

	if (!bdb_key_bot_read(key->data, key->size, &row)) {
		name_bytes(&v->d, "bots", key);
		tell_only(v, "unreadable", "none");
		return 0;
	}
	if (row.day_ms < v->retained.covered_ms) {
		v->sum.kept_rows++;
		return 0;
	}
	calendar_format(GRAIN_DAY, row.day_ms, day);
	snprintf(v->d.where, sizeof(v->d.where), "bots day %s node=%s source=%s name=", day,
		 row.node, source_name(row.source));
	append_text(&v->d, row.name);
	compare_u64(v, "events", count_of(stored), count_of(fresh));
	return 0;
}

static void
compare_nodes(struct verify *v, const struct store_node *a, const struct store_node *b)
{
	compare_u64(v, "batches", a->batches, b->batches);
	compare_u64(v, "events", a->events, b->events);
	compare_u64(v, "bytes", a->bytes, b->bytes);
	compare_u64(v, "contiguous_seq", a->contiguous_seq, b->contiguous_seq);
	compare_u64(v, "highest_seq", a->highest_seq, b->highest_seq);
	compare_i64(v, "first_ms", a->first_ms, b->first_ms);
	compare_i64(v, "last_ms", a->last_ms, b->last_ms);
	compare_i64(v, "skew_ms", a->skew_ms, b->skew_ms);
	compare_i64(v, "interval_ms", a->interval_ms, b->interval_ms);
	compare_i64(v, "complete_to_ms", a->complete_to_ms, b->complete_to_ms);
}

static void
name_node(struct store_difference *d, const struct store_node *n)
{
	snprintf(d->where, sizeof(d->where), "node %s epoch=", n->node);
	append_uuid(d, n->epoch);
}

static int
check_node(struct verify *v, const DBT *key, const DBT *stored, const DBT *fresh)
{
	struct store_node a = {0}, b = {0};
	bool bad = stored && !bdb_node_decode(key->data, key->size, stored->data, stored->size, &a);

	if (v->retained.batches_ms && !bad) {
		v->sum.kept_rows++; /* some of its batches may be gone */
		return 0;
	}
	if (fresh && !bdb_node_decode(key->data, key->size, fresh->data, fresh->size, &b))
		return EBADMSG;
	name_node(&v->d, fresh ? &b : &a);
	if (bad)
		tell_only(v, "unreadable", fresh ? "present" : "none");
	else
		compare_nodes(v, &a, &b);
	return 0;
}

static int
check_tags(struct verify *v, const DBT *key, const DBT *stored, const DBT *fresh)
{
	char hour[CALENDAR_TEXT];
	int64_t hour_ms;

	if (!bdb_key_tags_read(key->data, key->size, &hour_ms)) {
		name_bytes(&v->d, "tags", key);
		tell_only(v, "unreadable", "none");
		return 0;
	}
	if (hour_ms < v->retained.hours_ms || hour_ms < v->retained.covered_ms) {
		v->sum.kept_rows++;
		return 0;
	}
	calendar_format(GRAIN_HOUR, hour_ms, hour);
	snprintf(v->d.where, sizeof(v->d.where), "event ids of hour %s", hour);
	compare_u64(v, "ids", stored ? stored->size / 8 : 0, fresh ? fresh->size / 8 : 0);
	if (stored && fresh && stored->size == fresh->size)
		tell_only(v, "other ids", "as many others");
	return 0;
}

static int
check_site(struct verify *v, const DBT *key, const DBT *stored, const DBT *fresh)
{
	if (!fresh && v->retained.batches_ms) {
		v->sum.kept_rows++;
		return 0;
	}
	snprintf(v->d.where, sizeof(v->d.where), "site ");
	append_text(&v->d, (struct text){key->data, key->size});
	tell_only(v, stored ? "present" : "none", fresh ? "present" : "none");
	return 0;
}

/* -- applied: every entry has its batch, every batch its entry -- */

static void
on_batch(void *ctx, const struct bdb_stored *b, const struct bdb_applied *a)
{
	struct verify *v = ctx;

	v->sum.batches++;
	v->sum.events += b->name.events;
	if (a && b->ordinal <= v->store->totals.ordinal) {
		v->seen[b->ordinal / 8] |= (uint8_t)(1u << b->ordinal % 8);
		return;
	}
	snprintf(v->d.where, sizeof(v->d.where), "batch %" PRIu64 " node=%s seq=%" PRIu64,
		 b->ordinal, b->name.id.node, b->name.id.seq);
	tell_only(v, a ? "beyond the last" : "not applied", "present");
}

static int
check_applied(struct verify *v, const DBT *key, const DBT *value)
{
	struct bdb_applied a;

	v->applied++;
	if (!bdb_applied_decode(value->data, value->size, &a)) {
		name_bytes(&v->d, "applied", key);
		tell_only(v, "unreadable", "none");
		return 0;
	}
	if (a.arrival_ms < v->retained.batches_ms ||
	    (a.ordinal <= v->store->totals.ordinal &&
	     v->seen[a.ordinal / 8] & (1u << a.ordinal % 8)))
		return 0;
	name_bytes(&v->d, "applied", key);
	tell_only(v, "present", "no such batch");
	return 0;
}

static int
check_all_applied(struct verify *v)
{
	struct side x;
	int rc = side_open(&x, v->store->table[TABLE_APPLIED]);

	while (!rc && !x.over) {
		rc = check_applied(v, &x.key, &x.value);
		if (!rc)
			rc = side_next(&x);
	}
	side_close(&x);
	return rc;
}

static void
compare_totals(struct verify *v)
{
	const struct bdb_totals *a = &v->store->totals, *b = &v->shadow->totals;

	snprintf(v->d.where, sizeof(v->d.where), "totals");
	compare_u64(v, "batches", a->batches, v->applied);
	if (v->retained.batches_ms)
		return;
	compare_u64(v, "ordinal", a->ordinal, b->ordinal);
	compare_u64(v, "events", a->events, b->events);
	compare_u64(v, "bytes", a->bytes, b->bytes);
}

/* -- all -- */

static int
compare_all(struct verify *v)
{
	int rc = compare_table(v, TABLE_ROLLUPS, check_row);

	if (!rc)
		rc = compare_table(v, TABLE_LEDGER, check_ledger);
	if (!rc)
		rc = compare_table(v, TABLE_BOTS, check_bot);
	if (!rc)
		rc = compare_table(v, TABLE_NODES, check_node);
	if (!rc && v->store->retry_window_ms > 0)
		rc = compare_table(v, TABLE_TAGS, check_tags);
	if (!rc)
		rc = compare_table(v, TABLE_SITES, check_site);
	if (!rc)
		rc = check_all_applied(v);
	if (!rc)
		compare_totals(v);
	return rc;
}

int
store_verify(struct store *s, const struct store_report *report,
	     const struct store_progress *progress, struct store_verified *ret_verified)
{
	struct verify v = {.store = s, .report = report};
	int rc = bdb_retained_get(s, &v.retained), removed;

	v.seen = calloc(1, s->totals.ordinal / 8 + 1);
	if (!rc)
		rc = v.seen ? bdb_shadow_open(s, &v.shadow) : ENOMEM;
	if (!rc)
		rc = bdb_replay_all(s, v.shadow, on_batch, &v, progress);
	if (!rc)
		rc = compare_all(&v);
	bdb_shadow_close(v.shadow);
	removed = bdb_shadow_remove(s);
	free(v.seen);
	if (!rc)
		rc = removed;
	if (!rc)
		*ret_verified = v.sum;
	return bdb_errno(s, rc);
}
