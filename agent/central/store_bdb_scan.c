/* Reading: rows are copied out a stretch at a time (DB_MULTIPLE_KEY) under one page lock after the
 * other, the cursor is closed, and only then are they decoded and handed on. The next stretch
 * begins behind the last key. Rows of one dimension over many periods are a seek per period: keys
 * begin with the time. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "central/store_bdb.h"

#define STRETCH_FIRST (16u << 10) /* most dimensions have few rows a period */
#define STRETCH_MAX (1u << 20)

struct stretch {
	struct store *store;
	DB *db;
	uint8_t *buf;
	uint32_t cap;
};

static int
stretch_init(struct stretch *x, struct store *s, enum bdb_table t)
{
	*x = (struct stretch){s, s->table[t], malloc(STRETCH_FIRST), STRETCH_FIRST};
	return x->buf ? 0 : -ENOMEM;
}

static void
stretch_fini(struct stretch *x)
{
	free(x->buf);
}

static int
stretch_grow(struct stretch *x, uint32_t need)
{
	uint32_t cap = x->cap;
	uint8_t *buf;

	while (cap < need)
		cap *= 2;
	if (cap == x->cap)
		return 0;
	buf = realloc(x->buf, cap);
	if (!buf)
		return ENOMEM;
	x->buf = buf;
	x->cap = cap;
	return 0;
}

static int
cursor_get(struct stretch *x, DBT *key, DBT *value, uint32_t flags)
{
	DBC *cursor;
	int rc = x->db->cursor(x->db, NULL, &cursor, 0), close_rc;

	if (rc)
		return rc;
	rc = cursor->get(cursor, key, value, flags);
	close_rc = cursor->close(cursor);
	return rc ? rc : close_rc;
}

/* Of a reader and the writer that wait for each other the reader is told to give way:
 * tries again. */
static int
seek(struct stretch *x, const struct bdb_key *from, struct bdb_key *ret_found, DBT *value,
     uint32_t flags)
{
	uint32_t need = value->size;
	DBT key;
	int rc;

	do {
		*ret_found = *from;
		key = bdb_out(ret_found->bytes, sizeof(ret_found->bytes));
		key.size = (uint32_t)from->len;
		value->size = need;
		rc = cursor_get(x, &key, value, DB_SET_RANGE | flags);
		if (rc == DB_LOCK_DEADLOCK)
			sched_yield();
	} while (rc == DB_LOCK_DEADLOCK);
	ret_found->len = key.size;
	return rc;
}

/* Copies out records from `from` on. 0, DB_NOTFOUND, or an error. */
static int
stretch_read(struct stretch *x, const struct bdb_key *from, DBT *ret_rows)
{
	struct bdb_key found;
	int rc;

	for (;;) {
		*ret_rows = bdb_out(x->buf, x->cap);
		rc = seek(x, from, &found, ret_rows, DB_MULTIPLE_KEY);
		if (rc != DB_BUFFER_SMALL)
			return rc;
		/* one record that is larger: its size is given, a page's worth may come on top */
		rc = stretch_grow(x, (ret_rows->size > x->cap ? ret_rows->size : x->cap) + 8192);
		if (rc)
			return rc;
	}
}

/* False ends the scan. */
typedef bool record_fn(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
		       size_t value_len);

static bool
has_prefix(const void *key, size_t len, const struct bdb_key *prefix)
{
	return len >= prefix->len && memcmp(key, prefix->bytes, prefix->len) == 0;
}

/* Hands on the records of a stretch that have the prefix. True: more may follow, from *from on. */
static bool
stretch_walk(DBT *rows, const struct bdb_key *prefix, struct bdb_key *from, record_fn *each,
	     void *ctx)
{
	void *at, *key, *value;
	size_t key_len, value_len;

	DB_MULTIPLE_INIT(at, rows);
	for (;;) {
		DB_MULTIPLE_KEY_NEXT(at, rows, key, key_len, value, value_len);
		if (!at)
			return true;
		if (!has_prefix(key, key_len, prefix) || key_len >= BDB_KEY_MAX ||
		    !each(ctx, key, key_len, value, value_len))
			return false;
		memcpy(from->bytes, key, key_len); /* the next one is the least that is greater */
		from->bytes[key_len] = 0;
		from->len = key_len + 1;
	}
}

/* All records with the prefix, from the key `from` on. 0 or -errno. */
static int
scan(struct stretch *x, const struct bdb_key *prefix, struct bdb_key from, record_fn *each,
     void *ctx)
{
	DBT rows;
	int rc;

	for (;;) {
		rc = stretch_read(x, &from, &rows);
		if (rc)
			return rc == DB_NOTFOUND ? 0 : bdb_errno(x->store, rc);
		if (!stretch_walk(&rows, prefix, &from, each, ctx))
			return 0;
		if (x->cap < STRETCH_MAX && stretch_grow(x, x->cap * 2))
			return -ENOMEM;
	}
}

static int
scan_table(struct store *s, enum bdb_table t, const struct bdb_key *prefix,
	   const struct bdb_key *from, record_fn *each, void *ctx)
{
	struct stretch x;
	int err;

	if (atomic_load(&s->broken))
		return -EIO;
	err = stretch_init(&x, s, t);
	if (!err)
		err = scan(&x, prefix, *from, each, ctx);
	stretch_fini(&x);
	return err;
}

/* -- roll-ups -- */

struct row_scan {
	enum dim dim;
	store_row_fn *each;
	void *ctx;
	int result;
};

static bool
take_row(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len)
{
	struct row_scan *scan_of = ctx;
	struct rollup_key k;
	struct rollup_row row;
	int err;

	if (!rollup_key_decode(key, key_len, &k)) {
		scan_of->result = -EBADMSG;
		return false;
	}
	err = rollup_row_decode(value, value_len, scan_of->dim, &row);
	scan_of->result = err ? err : scan_of->each(scan_of->ctx, &k, &row);
	rollup_row_fini(&row);
	return scan_of->result == 0;
}

/* Everything of the key up to its dimension, or up to the site where there is one: what keys of
 * rollup.c begin with. */
static void
row_prefix(enum grain g, int64_t start_ms, enum dim d, struct text site, struct bdb_key *ret_key)
{
	struct rollup_key k = {g, start_ms, d, site, {NULL, 0}};
	size_t n = rollup_key_encode(&k, ret_key->bytes, sizeof(ret_key->bytes));

	ret_key->len = site.at ? n : n - 1; /* without the length of the site */
}

/* Start of the first period with rows that begins at or after from. 0, DB_NOTFOUND or an error. */
static int
next_period(struct stretch *x, enum grain g, int64_t from_ms, int64_t *ret_start_ms)
{
	DBT nothing = bdb_out(NULL, 0);
	struct bdb_key from, found;
	struct rollup_key k;
	int rc;

	row_prefix(g, from_ms, DIM_SITE, (struct text){NULL, 0}, &from);
	nothing.flags |= DB_DBT_PARTIAL;
	rc = seek(x, &from, &found, &nothing, 0);
	if (rc)
		return rc;
	if (!rollup_key_decode(found.bytes, found.len, &k))
		return EBADMSG;
	*ret_start_ms = k.start_ms;
	return k.grain == g ? 0 : DB_NOTFOUND;
}

static int
scan_periods(struct stretch *x, enum grain g, int64_t from_ms, int64_t until_ms, struct text site,
	     struct row_scan *rows)
{
	struct bdb_key prefix;
	int64_t start_ms = from_ms;
	int err = 0, rc;

	while (!err && !rows->result && start_ms < until_ms) {
		rc = next_period(x, g, start_ms, &start_ms);
		if (rc)
			return rc == DB_NOTFOUND ? 0 : bdb_errno(x->store, rc);
		if (start_ms >= until_ms)
			break;
		row_prefix(g, start_ms, rows->dim, site, &prefix);
		err = scan(x, &prefix, prefix, take_row, rows);
		start_ms++; /* below until_ms, so below the last */
	}
	return err;
}

int
store_scan(struct store *s, enum grain g, enum dim d, int64_t from_ms, int64_t until_ms,
	   struct text site, store_row_fn *each, void *ctx)
{
	struct row_scan rows = {d, each, ctx, 0};
	struct stretch x;
	int err;

	if (atomic_load(&s->broken))
		return -EIO;
	if (site.len > UINT8_MAX)
		return 0; /* no such site */
	err = stretch_init(&x, s, TABLE_ROLLUPS);
	if (!err)
		err = scan_periods(&x, g, from_ms, until_ms, site, &rows);
	stretch_fini(&x);
	return err ? err : rows.result;
}

/* -- the ledger -- */

struct ledger_scan {
	int64_t until_ms;
	struct store_ledger_row row; /* in hand; its node is empty before the first */
	store_ledger_fn *each;
	void *ctx;
	int result;
};

static void
ledger_hand_on(struct ledger_scan *l)
{
	if (l->row.node[0] != '\0' && !l->result)
		l->result = l->each(l->ctx, &l->row);
	l->row = (struct store_ledger_row){0};
}

static bool
take_count(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len)
{
	struct reader r = reader_of(value, value_len);
	struct store_ledger_row of = {0};
	struct ledger_scan *l = ctx;
	struct text name;

	if (!bdb_key_ledger_read(key, key_len, &of, &name)) {
		l->result = -EBADMSG;
		return false;
	}
	if (of.hour_ms >= l->until_ms)
		return false;
	if (of.hour_ms != l->row.hour_ms || strcmp(of.node, l->row.node) != 0) {
		ledger_hand_on(l);
		l->row.hour_ms = of.hour_ms;
		memcpy(l->row.node, of.node, sizeof(of.node));
	}
	bdb_ledger_set(&l->row, name, get_u64(&r));
	return l->result == 0;
}

int
store_ledger(struct store *s, int64_t from_ms, int64_t until_ms, store_ledger_fn *each, void *ctx)
{
	struct ledger_scan l = {.until_ms = until_ms, .each = each, .ctx = ctx};
	struct bdb_key from, version;
	int err;

	bdb_key_ledger_from(from_ms, &from);
	version = from;
	version.len = 1;
	err = scan_table(s, TABLE_LEDGER, &version, &from, take_count, &l);
	if (!err)
		ledger_hand_on(&l);
	return err ? err : l.result;
}

/* -- bots -- */

struct bot_scan {
	int64_t until_ms;
	store_bot_fn *each;
	void *ctx;
	int result;
};

static bool
take_bot(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len)
{
	struct reader r = reader_of(value, value_len);
	struct bot_scan *scan_of = ctx;
	struct store_bot_row row;

	if (!bdb_key_bot_read(key, key_len, &row)) {
		scan_of->result = -EBADMSG;
		return false;
	}
	if (row.day_ms >= scan_of->until_ms)
		return false;
	row.count = get_u64(&r);
	scan_of->result = scan_of->each(scan_of->ctx, &row);
	return scan_of->result == 0;
}

int
store_bots(struct store *s, int64_t from_ms, int64_t until_ms, store_bot_fn *each, void *ctx)
{
	struct bot_scan bots = {until_ms, each, ctx, 0};
	struct bdb_key from, version;
	int err;

	bdb_key_bots_from(from_ms, &from);
	version = from;
	version.len = 1;
	err = scan_table(s, TABLE_BOTS, &version, &from, take_bot, &bots);
	return err ? err : bots.result;
}

/* -- nodes and sites -- */

struct node_scan {
	store_node_fn *each;
	void *ctx;
	int result;
};

static bool
take_node(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len)
{
	struct node_scan *scan_of = ctx;
	struct store_node n;

	if (bdb_node_decode(key, key_len, value, value_len, &n))
		scan_of->result = scan_of->each(scan_of->ctx, &n);
	else
		scan_of->result = -EBADMSG;
	return scan_of->result == 0;
}

int
store_nodes(struct store *s, store_node_fn *each, void *ctx)
{
	struct node_scan nodes = {each, ctx, 0};
	struct bdb_key all = {.len = 0};
	int err = scan_table(s, TABLE_NODES, &all, &all, take_node, &nodes);

	return err ? err : nodes.result;
}

struct lost_scan {
	store_lost_fn *each;
	void *ctx;
	int result;
};

static bool
take_lost(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len)
{
	struct lost_scan *scan_of = ctx;
	struct store_lost l = {.up_to = 0};

	if (!bdb_lost_decode(value, value_len, &l) ||
	    !bdb_key_node_read(key + BDB_LOST_PREFIX_LEN, key_len - BDB_LOST_PREFIX_LEN, l.node,
			       l.epoch))
		scan_of->result = -EBADMSG;
	else if (l.batches > 0)
		scan_of->result = scan_of->each(scan_of->ctx, &l);
	return scan_of->result == 0;
}

int
store_lost(struct store *s, store_lost_fn *each, void *ctx)
{
	struct lost_scan lost = {each, ctx, 0};
	struct bdb_key prefix = {.len = BDB_LOST_PREFIX_LEN};
	int err;

	memcpy(prefix.bytes, BDB_LOST_PREFIX, BDB_LOST_PREFIX_LEN);
	err = scan_table(s, TABLE_META, &prefix, &prefix, take_lost, &lost);
	return err ? err : lost.result;
}

struct site_scan {
	store_site_fn *each;
	void *ctx;
	int result;
};

static bool
take_site(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len)
{
	struct site_scan *scan_of = ctx;

	(void)value;
	(void)value_len;
	scan_of->result = scan_of->each(scan_of->ctx, (struct text){(const char *)key, key_len});
	return scan_of->result == 0;
}

int
store_sites(struct store *s, store_site_fn *each, void *ctx)
{
	struct site_scan sites = {each, ctx, 0};
	struct bdb_key all = {.len = 0};
	int err = scan_table(s, TABLE_SITES, &all, &all, take_site, &sites);

	return err ? err : sites.result;
}
