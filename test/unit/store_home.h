/* store_home.h -- a fresh store with batches written down briefly, and sums of its rows.
 *
 * Threads:  one per process.
 * Errors:   ck_assert.
 */
#ifndef TEST_STORE_HOME_H
#define TEST_STORE_HOME_H

#include <check.h>

#include "base/hash.h"
#include "base/log.h"
#include "central/store.h"
#include "make_batch.h"
#include "scratch.h"

#define NOON INT64_C(1795345200000) /* 2026-11-22T11:00 UTC, 12:00 in Paris */

static char dir[SCRATCH_MAX];
static char zone[] = "Europe/Paris";
static struct conf conf;

static inline void
setup(void)
{
	log_init("test_store", LOG_LEVEL_N);
	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(calendar_init(zone), 0);
	scratch_make(dir, "store");
	conf.central_data_dir = dir;
	conf.central_time_zone = zone;
	conf.central_cache = 16 << 20;
	conf.central_retry_window = HOUR_MS;
}

static inline void
teardown(void)
{
	scratch_remove(dir);
}

static inline struct store *
open_store(void)
{
	struct store *s;

	ck_assert_int_eq(store_open(&conf, &s), 0);
	return s;
}

static inline enum store_result
apply(struct store *s, const struct maker *m)
{
	return store_apply(s, &m->name, m->body, m->body_len, m->doc, m->doc_len,
			   m->meta.sealed_ms + 100);
}

/* Applies a batch of n views: contents 0 to n-1 by visitor seq. */
static inline enum store_result
apply_simple(struct store *s, const char *node, uint8_t epoch, uint64_t seq, unsigned n)
{
	enum store_result result;
	struct maker m;
	struct event e;
	unsigned i;

	maker_begin(&m, node, epoch, seq, NOON, n);
	for (i = 0; i < n; i++) {
		e = view_of(NOON + (int64_t)i, i, seq);
		maker_add(&m, &e);
	}
	maker_finish(&m);
	result = apply(s, &m);
	maker_free(&m);
	return result;
}

/* Of node web-1, with one view. */
static inline enum store_result
apply_sealed(struct store *s, uint8_t epoch, uint64_t seq, int64_t sealed_ms)
{
	struct event e = view_of(NOON, 1, epoch * UINT64_C(1000) + seq);
	enum store_result result;
	struct maker m;

	maker_begin(&m, "web-1", epoch, seq, NOON, 1);
	m.meta.sealed_ms = sealed_ms;
	maker_add(&m, &e);
	maker_finish(&m);
	result = apply(s, &m);
	maker_free(&m);
	return result;
}

/* -- looking -- */

struct sums {
	uint64_t rows, events, repeats, unique_views, visitors;
	double sum;
};

static inline int
add_row(void *ctx, const struct rollup_key *key, const struct rollup_row *row)
{
	struct sums *x = ctx;

	(void)key;
	x->rows++;
	x->events += row->events;
	x->repeats += row->repeats;
	x->unique_views += row->unique_views;
	x->visitors += sketch_count(&row->visitors);
	x->sum += row->sum;
	return 0;
}

static inline struct sums
sums_of(struct store *s, enum grain g, enum dim d, const char *site)
{
	struct sums x = {0};

	ck_assert_int_eq(store_scan(s, g, d, INT64_MIN, INT64_MAX, text_of(site), add_row, &x), 0);
	return x;
}

/* Every row and count of the store, folded into one number. */
static inline int
fold_row(void *ctx, const struct rollup_key *key, const struct rollup_row *row)
{
	static uint8_t buf[ROLLUP_KEY_MAX + ROLLUP_VALUE_MAX];
	uint64_t *sum = ctx;
	size_t n = rollup_key_encode(key, buf, ROLLUP_KEY_MAX), m;

	m = rollup_row_encode(row, buf + n, ROLLUP_VALUE_MAX);
	ck_assert(n > 0 && m > 0);
	*sum = hash_mix(*sum, buf, n + m);
	return 0;
}

static inline int
fold_ledger(void *ctx, const struct store_ledger_row *row)
{
	uint64_t *sum = ctx;

	*sum = hash_mix(*sum, &row->ledger, sizeof(row->ledger));
	*sum = hash_mix(*sum, &row->hour_ms, sizeof(row->hour_ms));
	*sum = hash_mix(*sum, row->node, strlen(row->node));
	*sum += row->batches + row->stored * 3 + row->merged * 5 + row->lost * 7 + row->udp_dropped;
	return 0;
}

static inline uint64_t
digest(struct store *s)
{
	uint64_t sum = 1;
	unsigned g, d;

	for (g = 0; g < GRAIN_N; g++)
		for (d = 0; d < DIM_N; d++)
			ck_assert_int_eq(store_scan(s, (enum grain)g, (enum dim)d, INT64_MIN,
						    INT64_MAX, (struct text){NULL, 0}, fold_row,
						    &sum),
					 0);
	ck_assert_int_eq(store_ledger(s, 0, INT64_MAX, fold_ledger, &sum), 0);
	return sum;
}

static inline int
take_ledger(void *ctx, const struct store_ledger_row *row)
{
	*(struct store_ledger_row *)ctx = *row;
	return 0;
}

static inline struct store_ledger_row
last_ledger(struct store *s)
{
	struct store_ledger_row row = {0};

	ck_assert_int_eq(store_ledger(s, 0, INT64_MAX, take_ledger, &row), 0);
	return row;
}

static inline int
take_node(void *ctx, const struct store_node *n)
{
	*(struct store_node *)ctx = *n;
	return 0;
}

static inline struct store_node
last_node(struct store *s)
{
	struct store_node n = {0};

	ck_assert_int_eq(store_nodes(s, take_node, &n), 0);
	return n;
}

#endif
