/* verify, rebuild, backup, restore, retain: what was stored computes again to the same numbers,
 * every damage is named, and what was taken away on purpose is none. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "central/salts.h"
#include "central/store_bdb.h"
#include "central/store_care.h"
#include "make_batch.h"
#include "scratch.h"

#define NOON INT64_C(1795345200000) /* 2026-11-22T11:00 UTC, 12:00 in Paris */
#define DAY_MS (24 * HOUR_MS)

static char dir[SCRATCH_MAX], other[SCRATCH_MAX + 16];
static char zone[] = "Europe/Paris";
static struct conf conf;

static void
setup(void)
{
	log_init("test_store_care", LOG_LEVEL_N);
	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(calendar_init(zone), 0);
	scratch_make(dir, "care");
	snprintf(other, sizeof(other), "%s/other", dir);
	conf.central_data_dir = dir;
	conf.central_time_zone = zone;
	conf.central_cache = 8 << 20;
	conf.central_retry_window = HOUR_MS;
}

static void
teardown(void)
{
	scratch_remove(dir);
}

static struct store *
open_store(void)
{
	struct store *s;

	ck_assert_int_eq(store_open(&conf, &s), 0);
	return s;
}

/* Bots, and views of 40 contents with ids, every third with a value, from two hours; ids overlap
 * with those of the batch before, so that some are twins. */
static void
apply_at(struct store *s, const char *node, uint64_t seq, int64_t from_ms)
{
	struct maker m;
	struct event e;
	unsigned i;

	maker_begin(&m, node, 7, seq, from_ms, 60);
	for (i = 0; i < 60; i++) {
		e = view_of(from_ms - HOUR_MS + (int64_t)i * 120000, i % 40, seq * 31 + i);
		e.has_value = i % 3 == 0;
		e.value = 0.1 * i;
		e.repeat = i % 7 == 0;
		if (i % 2)
			set_event_id(&e, (uint64_t)(from_ms / HOUR_MS) * 1000 + seq / 2 * 10 + i);
		maker_add(&m, &e);
	}
	m.meta.closes_ms = m.meta.until_ms;
	m.meta.lost = seq == 2;
	maker_add_bot(&m, "Bingbot", seq, 0);
	maker_add_bot(&m, "curl", 1, 2);
	maker_finish(&m);
	ck_assert_int_eq(
	    store_apply(s, &m.name, m.body, m.body_len, m.doc, m.doc_len, m.meta.sealed_ms + 100),
	    STORE_STORED);
	maker_free(&m);
}

static void
fill(struct store *s)
{
	uint64_t seq;

	for (seq = 1; seq <= 6; seq++) {
		apply_at(s, "web-1", seq, NOON + (int64_t)(seq % 3) * HOUR_MS);
		apply_at(s, "web-2", seq, NOON + (int64_t)(seq % 2) * DAY_MS);
	}
}

/* -- what verify says -- */

static struct store_difference said[4096];
static size_t n_said;

static void
remember(void *ctx, const struct store_difference *d)
{
	(void)ctx;
	if (n_said < sizeof(said) / sizeof(said[0]))
		said[n_said] = *d;
	n_said++;
}

static struct store_verified
verify(struct store *s)
{
	const struct store_report report = {remember, NULL};
	struct store_verified sum;

	n_said = 0;
	ck_assert_int_eq(store_verify(s, &report, NULL, &sum), 0);
	ck_assert_uint_eq(sum.differences, n_said);
	return sum;
}

static void
assert_clean(struct store *s)
{
	verify(s);
	ck_assert_msg(n_said == 0, "%s %s: %s, %s", said[0].where, said[0].field, said[0].stored,
		      said[0].recomputed);
}

static void
assert_named(const char *where, const char *field, const char *stored, const char *recomputed)
{
	size_t i;

	for (i = 0; i < n_said && i < sizeof(said) / sizeof(said[0]); i++)
		if (strcmp(said[i].where, where) == 0 && strcmp(said[i].field, field) == 0 &&
		    strcmp(said[i].stored, stored) == 0 &&
		    strcmp(said[i].recomputed, recomputed) == 0)
			return;
	ck_abort_msg("not named: %s %s, but: %s %s: %s, %s", where, field,
		     n_said ? said[0].where : "nothing", n_said ? said[0].field : "",
		     said[0].stored, said[0].recomputed);
}

/* -- damage -- */

static void
put(struct store *s, enum bdb_table t, const struct bdb_key *k, const void *bytes, size_t len)
{
	DBT key = bdb_in(k->bytes, k->len), value = bdb_in(bytes, len);

	ck_assert_int_eq(s->table[t]->put(s->table[t], NULL, &key, &value, 0), 0);
}

static size_t
get(struct store *s, enum bdb_table t, const struct bdb_key *k, void *buf, size_t cap)
{
	DBT key = bdb_in(k->bytes, k->len), value = bdb_out(buf, cap);

	ck_assert_int_eq(s->table[t]->get(s->table[t], NULL, &key, &value, 0), 0);
	return value.size;
}

static void
del(struct store *s, enum bdb_table t, const struct bdb_key *k)
{
	DBT key = bdb_in(k->bytes, k->len);

	ck_assert_int_eq(s->table[t]->del(s->table[t], NULL, &key, 0), 0);
}

static struct bdb_key
site_row(enum grain g)
{
	const struct rollup_key k = {g, calendar_start(g, NOON), DIM_SITE,
				     text_of(EVENT_DEFAULT_SITE), text_of("")};
	struct bdb_key key;

	key.len = rollup_key_encode(&k, key.bytes, sizeof(key.bytes));
	return key;
}

/* One field more or less in the site's row of the day. */
static void
damage_row(struct store *s, void (*change)(struct rollup_row *))
{
	static uint8_t buf[ROLLUP_VALUE_MAX];
	struct bdb_key key = site_row(GRAIN_DAY);
	struct rollup_row row;

	ck_assert_int_eq(
	    rollup_row_decode(buf, get(s, TABLE_ROLLUPS, &key, buf, sizeof(buf)), DIM_SITE, &row),
	    0);
	change(&row);
	put(s, TABLE_ROLLUPS, &key, buf, rollup_row_encode(&row, buf, sizeof(buf)));
	rollup_row_fini(&row);
}

static void
one_event_more(struct rollup_row *r)
{
	r->events++;
}

static void
one_visitor_less(struct rollup_row *r)
{
	r->visitors.n--;
}

static void
another_visitor(struct rollup_row *r)
{
	r->visitors.hash[r->visitors.n - 1]++;
}

static void
another_sum(struct rollup_row *r)
{
	r->sum += 1;
}

#define THE_ROW "rollup day 2026-11-22 site=default dim=site key="

START_TEST(what_was_stored_computes_again_to_the_same)
{
	struct store *s = open_store();
	struct store_verified sum;

	assert_clean(s); /* nothing is the same as nothing */
	fill(s);
	sum = verify(s);
	assert_clean(s);
	ck_assert_uint_eq(sum.batches, 12);
	ck_assert_uint_eq(sum.events, 720);
	ck_assert_uint_gt(sum.rows, 300);
	ck_assert_uint_eq(sum.kept_rows, 0);
	store_close(s);
	conf.central_retry_window = 0; /* what was left out then stays out */
	s = open_store();
	assert_clean(s);
	store_close(s);
}
END_TEST

START_TEST(every_damage_to_a_row_is_named)
{
	static const struct {
		void (*change)(struct rollup_row *);
		const char *field;
	} damages[] = {{one_event_more, "events"},
		       {one_visitor_less, "visitors"},
		       {another_visitor, "record"},
		       {another_sum, "sum"}};
	struct store *s = open_store();

	fill(s);
	damage_row(s, damages[_i].change);
	verify(s);
	ck_assert_uint_eq(n_said, 1);
	ck_assert_str_eq(said[0].where, THE_ROW);
	ck_assert_str_eq(said[0].field, damages[_i].field);
	store_close(s);
}
END_TEST

START_TEST(rows_that_are_missing_or_too_many_are_named)
{
	struct bdb_key day = site_row(GRAIN_DAY), far = day;
	static uint8_t buf[ROLLUP_VALUE_MAX];
	struct store *s = open_store();
	size_t len;

	fill(s);
	len = get(s, TABLE_ROLLUPS, &day, buf, sizeof(buf));
	far.bytes[far.len++] = 'x';
	put(s, TABLE_ROLLUPS, &far, buf, len);
	del(s, TABLE_ROLLUPS, &day);
	verify(s);
	assert_named(THE_ROW, "record", "none", "present");
	assert_named(THE_ROW "x", "record", "present", "none");
	put(s, TABLE_ROLLUPS, &day, "\x09nonsense", 9);
	verify(s);
	assert_named(THE_ROW, "record", "unreadable", "present");
	store_close(s);
}
END_TEST

START_TEST(damage_to_the_small_tables_is_named)
{
	struct batch_id id = {.node = "web-1", .seq = 3};
	uint8_t buf[BDB_RECORD_MAX] = {0}, count[8] = {5};
	struct store *s = open_store();
	struct store_node node;
	struct bdb_key k;
	size_t len;

	memset(id.epoch, 7, sizeof(id.epoch));
	fill(s);
	bdb_key_ledger(NOON, "web-1", "stored", &k);
	put(s, TABLE_LEDGER, &k, count, sizeof(count));
	bdb_key_node(&id, &k);
	len = get(s, TABLE_NODES, &k, buf, sizeof(buf));
	ck_assert(bdb_node_decode(k.bytes, k.len, buf, len, &node));
	node.contiguous_seq--;
	put(s, TABLE_NODES, &k, buf, bdb_node_encode(&node, buf));
	k = (struct bdb_key){.bytes = "nowhere", .len = 7};
	put(s, TABLE_SITES, &k, "", 0);
	bdb_key_tags(NOON, 1000, &k);
	put(s, TABLE_TAGS, &k, "12345678", 8);
	bdb_key_bot(calendar_start(GRAIN_DAY, NOON), "web-1", SOURCE_DATAGRAM, text_of("curl"), &k);
	put(s, TABLE_BOTS, &k, count, sizeof(count));
	bdb_key_bot(calendar_start(GRAIN_DAY, NOON), "web-1", SOURCE_BEACON, text_of("Bingbot"),
		    &k);
	del(s, TABLE_BOTS, &k);
	s->totals.events += 3;
	verify(s);
	ck_assert_uint_eq(n_said, 7);
	assert_named("bots day 2026-11-22 node=web-1 source=datagram name=curl", "events", "5",
		     "12");
	assert_named("bots day 2026-11-22 node=web-1 source=beacon name=Bingbot", "events", "0",
		     "21");
	ck_assert_str_eq(said[0].where, "ledger hour 2026-11-22T12:00:00+01:00 node=web-1");
	ck_assert_str_eq(said[0].field, "stored");
	assert_named("node web-1 epoch=07070707-0707-0707-0707-070707070707", "contiguous_seq", "5",
		     "6");
	assert_named("event ids of hour 2026-11-22T12:00:00+01:00", "ids", "1", "0");
	assert_named("site nowhere", "record", "present", "none");
	assert_named("totals", "events", "723", "720");
	store_close(s);
}
END_TEST

START_TEST(a_batch_that_is_gone_is_named)
{
	struct store *s = open_store();
	struct bdb_key k;
	DBT key;
	size_t i;

	fill(s);
	bdb_key_batch(3, BDB_BATCH_BODY, &k);
	key = bdb_in(k.bytes, k.len);
	ck_assert_int_eq(s->batches->del(s->batches, NULL, &key, 0), 0);
	verify(s);
	for (i = 0; i < n_said && strncmp(said[i].where, "applied key=", 12) != 0; i++)
		;
	ck_assert_uint_lt(i, n_said);
	ck_assert_str_eq(said[i].recomputed, "no such batch");
	store_close(s);
}
END_TEST

START_TEST(a_batch_that_was_never_applied_is_named_and_not_counted)
{
	struct batch_id id = {.node = "web-1", .seq = 3};
	struct store *s = open_store();
	struct bdb_key k;

	memset(id.epoch, 7, sizeof(id.epoch));
	fill(s);
	bdb_key_applied(&id, id.seq, &k);
	del(s, TABLE_APPLIED, &k);
	verify(s);
	assert_named("batch 5 node=web-1 seq=3", "record", "not applied", "present");
	assert_named("totals", "batches", "12", "11");
	store_close(s);
}
END_TEST

START_TEST(rebuild_repairs_what_verify_names)
{
	struct bdb_key day = site_row(GRAIN_DAY), month = site_row(GRAIN_MONTH), k;
	struct store *s = open_store();
	struct store_verified sum;
	uint8_t count[8] = {5};

	fill(s);
	damage_row(s, one_event_more);
	del(s, TABLE_ROLLUPS, &month);
	day.bytes[day.len++] = 'x';
	put(s, TABLE_ROLLUPS, &day, "nonsense", 8);
	bdb_key_ledger(NOON, "web-1", "stored", &k);
	put(s, TABLE_LEDGER, &k, count, sizeof(count));
	bdb_key_bot(calendar_start(GRAIN_DAY, NOON), "web-1", SOURCE_BEACON, text_of("curl"), &k);
	del(s, TABLE_BOTS, &k);
	verify(s);
	ck_assert_uint_ge(n_said, 5);
	store_close(s);
	ck_assert_int_eq(store_rebuild(&conf, NULL, &sum), 0);
	ck_assert_uint_eq(sum.batches, 12);
	ck_assert_uint_eq(sum.events, 720);
	s = open_store();
	assert_clean(s);
	apply_at(s, "web-1", 7, NOON); /* and it goes on */
	assert_clean(s);
	store_close(s);
}
END_TEST

/* -- backup -- */

static void
restore_from(const char *backup)
{
	static char target[SCRATCH_MAX + 16];

	snprintf(target, sizeof(target), "%s/target", dir);
	conf.central_data_dir = target;
	ck_assert_int_eq(store_restore(&conf, backup, NULL), 0);
}

START_TEST(a_backup_comes_back_whole)
{
	struct store *s = open_store();
	struct store_stats stats;

	fill(s);
	ck_assert_int_eq(file_replace(dir, "access", "accounts", 8, 0600), 0);
	ck_assert_int_eq(file_replace(dir, "salts", "secret", 6, 0600), 0);
	ck_assert_int_eq(store_backup(s, other, NULL), 0);
	store_close(s);
	restore_from(other);
	s = open_store();
	assert_clean(s);
	store_stats(s, &stats);
	ck_assert_uint_eq(stats.events, 720);
	ck_assert_int_eq(access(strcat(other, "/access"), F_OK), 0);
	memcpy(strrchr(other, '/'), "/salts", 7);
	ck_assert_int_ne(access(other, F_OK), 0);
	store_close(s);
}
END_TEST

static atomic_bool writing;
static atomic_uint written, committed;

static void *
write_on(void *ctx)
{
	struct store *s = ctx;
	uint64_t seq;

	for (seq = 1; atomic_load(&writing); seq++) {
		apply_at(s, "web-9", seq, NOON + (int64_t)(seq % 50) * HOUR_MS);
		atomic_fetch_add(&committed, 1);
		/* what changed is in files that are copied later, not in those that were */
		ck_assert_int_eq(s->env->txn_checkpoint(s->env, 0, 0, DB_FORCE), 0);
		atomic_fetch_add(&written, 1);
	}
	return NULL;
}

/* Holds the copy up until so many batches more were written: it is of very different moments. What
 * was committed when the first table is being copied is in the log, which is copied last. */
static int
hold_up(void *ctx, uint64_t done, uint64_t total)
{
	unsigned until = atomic_load(&written) + 3, spins = 0;
	unsigned *ahead = ctx;

	(void)done;
	(void)total;
	/* bounded: a checkpoint waits for the file that is being copied */
	while (atomic_load(&written) < until && atomic_load(&writing) && spins++ < 20000)
		sched_yield();
	while (*ahead == 0) {
		*ahead = atomic_load(&committed); /* needs the log alone: waits for no file */
		sched_yield();
	}
	return 0;
}

START_TEST(a_backup_under_load_is_of_one_moment)
{
	struct store *s = open_store();
	unsigned ahead = 0;
	const struct store_progress progress = {hold_up, &ahead};
	struct store_stats stats;
	pthread_t thread;

	fill(s);
	atomic_store(&writing, true);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_on, s), 0);
	ck_assert_int_eq(store_backup(s, other, &progress), 0);
	atomic_store(&writing, false);
	pthread_join(thread, NULL);
	assert_clean(s);
	store_close(s);
	restore_from(other);
	s = open_store();
	assert_clean(s);
	store_stats(s, &stats);
	ck_assert_uint_gt(ahead, 0);
	ck_assert_uint_ge(stats.batches, 12 + ahead); /* without the log it were but 12 */
	ck_assert_uint_le(stats.batches, 12 + atomic_load(&committed));
	store_close(s);
}
END_TEST

START_TEST(a_backup_goes_into_an_empty_directory_only)
{
	struct store *s = open_store();

	ck_assert_int_eq(file_make_dir(other), 0);
	ck_assert_int_eq(file_replace(other, "mine", "x", 1, 0600), 0);
	ck_assert_int_eq(store_backup(s, other, NULL), -EEXIST);
	store_close(s);
	ck_assert_int_eq(store_restore(&conf, other, NULL), -ENOENT); /* no BACKUP in it */
}
END_TEST

static int
stop_at_once(void *ctx, uint64_t done, uint64_t total)
{
	(void)ctx;
	(void)done;
	(void)total;
	return 1;
}

START_TEST(what_was_stopped_is_no_backup_and_no_store)
{
	const struct store_progress stop = {stop_at_once, NULL};
	struct store *s = open_store();
	char whole[SCRATCH_MAX + 16], target[SCRATCH_MAX + 16];

	snprintf(whole, sizeof(whole), "%s/whole", dir);
	snprintf(target, sizeof(target), "%s/target", dir);
	fill(s);
	ck_assert_int_eq(store_backup(s, other, &stop), -ECANCELED);
	ck_assert_int_eq(store_backup(s, whole, NULL), 0);
	store_close(s);
	ck_assert_int_eq(store_restore(&conf, whole, NULL), -EEXIST); /* there is a store */
	conf.central_data_dir = target;
	ck_assert_int_eq(store_restore(&conf, other, NULL), -ENOENT);
	ck_assert_int_eq(store_restore(&conf, whole, &stop), -ECANCELED);
	ck_assert_int_eq(store_open(&conf, &s), -EINVAL);
	ck_assert_int_eq(store_restore(&conf, whole, NULL), 0);
	s = open_store();
	assert_clean(s);
	store_close(s);
}
END_TEST

/* -- retain -- */

struct sums {
	uint64_t rows, events;
};

static int
add_row(void *ctx, const struct rollup_key *key, const struct rollup_row *row)
{
	struct sums *sums = ctx;

	(void)key;
	sums->rows++;
	sums->events += row->events;
	return 0;
}

static struct sums
sums_of(struct store *s, enum grain g)
{
	struct sums sums = {0, 0};

	ck_assert_int_eq(
	    store_scan(s, g, DIM_SITE, 0, INT64_MAX - 1, text_of("default"), add_row, &sums), 0);
	return sums;
}

static int
add_bot(void *ctx, const struct store_bot_row *row)
{
	uint64_t *sum = ctx;

	*sum += row->count;
	return 0;
}

static uint64_t
bots_of(struct store *s)
{
	uint64_t sum = 0;

	ck_assert_int_eq(store_bots(s, 0, INT64_MAX - 1, add_bot, &sum), 0);
	return sum;
}

START_TEST(retain_removes_hours_and_batches_and_verify_knows)
{
	struct store *s = open_store();
	struct store_retained sum;
	struct store_verified v;
	struct sums days;
	uint64_t bots;

	fill(s);                                     /* November */
	apply_at(s, "web-1", 7, NOON + 60 * DAY_MS); /* January */
	apply_at(s, "web-1", 8, NOON + 61 * DAY_MS);
	days = sums_of(s, GRAIN_DAY);
	bots = bots_of(s);
	ck_assert_uint_gt(bots, 0);
	ck_assert_uint_eq(sums_of(s, GRAIN_HOUR).events, days.events);
	ck_assert_int_eq(store_retain(s, NOON + 40 * DAY_MS, NOON + 61 * DAY_MS, NULL, &sum), 0);
	ck_assert_uint_eq(sum.months, 1);
	ck_assert_uint_eq(sum.batches, 12);
	ck_assert_uint_gt(sum.rows, 100);
	ck_assert_uint_gt(sum.tags, 0);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY).events, days.events);
	ck_assert_uint_eq(sums_of(s, GRAIN_HOUR).events, 60);
	ck_assert_uint_eq(bots_of(s), bots);
	v = verify(s);
	assert_clean(s);
	ck_assert_uint_eq(v.batches, 2);
	ck_assert_uint_gt(v.kept_rows, 0);
	damage_row(s, one_event_more); /* of November: nobody can know any more */
	assert_clean(s);
	ck_assert_int_eq(store_retain(s, NOON + 40 * DAY_MS, NOON + 61 * DAY_MS, NULL, &sum), 0);
	ck_assert_uint_eq(sum.rows + sum.tags + sum.batches, 0);
	store_close(s);
}
END_TEST

START_TEST(rebuild_after_retain_keeps_what_it_cannot_compute)
{
	const struct rollup_key january = {GRAIN_MONTH,
					   calendar_start(GRAIN_MONTH, NOON + 61 * DAY_MS),
					   DIM_SITE, text_of("default"), text_of("")};
	struct store *s = open_store();
	struct store_retained sum;
	struct store_verified v;
	struct store_stats before, after;
	struct sums days, hours;
	struct bdb_key k;
	uint64_t bots;

	fill(s);
	apply_at(s, "web-1", 7, NOON + 60 * DAY_MS);
	apply_at(s, "web-1", 8, NOON + 61 * DAY_MS);
	ck_assert_int_eq(store_retain(s, NOON + 40 * DAY_MS, NOON + DAY_MS, NULL, &sum), 0);
	days = sums_of(s, GRAIN_DAY);
	hours = sums_of(s, GRAIN_HOUR);
	bots = bots_of(s);
	store_stats(s, &before);
	k.len = rollup_key_encode(&january, k.bytes, sizeof(k.bytes));
	del(s, TABLE_ROLLUPS, &k);
	verify(s);
	ck_assert_uint_eq(n_said >= 1, 1);
	store_close(s);
	ck_assert_int_eq(store_rebuild(&conf, NULL, &v), 0);
	s = open_store();
	assert_clean(s);
	store_stats(s, &after);
	ck_assert_uint_eq(after.batches, before.batches);
	ck_assert_uint_eq(after.events, before.events);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY).events, days.events);
	ck_assert_uint_eq(sums_of(s, GRAIN_HOUR).events, hours.events);
	ck_assert_uint_eq(sums_of(s, GRAIN_HOUR).rows, hours.rows);
	ck_assert_uint_eq(bots_of(s), bots);
	apply_at(s, "web-1", 9, NOON + 62 * DAY_MS);
	assert_clean(s);
	store_close(s);
}
END_TEST

START_TEST(rebuild_without_the_last_batches_gives_none_their_numbers)
{
	struct store *s = open_store();
	struct store_retained sum;
	struct store_verified v;
	uint64_t last;

	fill(s);
	last = s->totals.ordinal;
	ck_assert_int_eq(store_retain(s, NOON + 40 * DAY_MS, NOON, NULL, &sum), 0);
	ck_assert_uint_eq(sum.batches, last);
	store_close(s);
	ck_assert_int_eq(store_rebuild(&conf, NULL, &v), 0);
	s = open_store();
	ck_assert_uint_eq(s->totals.ordinal, last);
	apply_at(s, "web-1", 7, NOON + 60 * DAY_MS);
	ck_assert_uint_eq(s->totals.ordinal, last + 1);
	assert_clean(s);
	store_close(s);
}
END_TEST

/* -- salts -- */

static const struct hash_key *wanted;
static unsigned found;

static int
search_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
	char *bytes;
	size_t len;

	(void)at;
	if (type != FTW_F || strcmp(path + strlen(path) - 8, "/reserve") == 0)
		return 0;
	ck_assert_int_eq(file_read(path, (size_t)st->st_size + 1, &bytes, &len), 0);
	found += memmem(bytes, len, wanted->bytes, HASH_KEY_BYTES) != NULL;
	free(bytes);
	return 0;
}

static unsigned
files_with(const struct hash_key *key)
{
	wanted = key;
	found = 0;
	ck_assert_int_eq(nftw(dir, search_file, 16, FTW_PHYS), 0);
	return found;
}

START_TEST(a_salt_is_in_no_file_of_the_data_directory_when_its_time_is_over)
{
	struct salt given[SALTS_MAX], now[SALTS_MAX];
	struct store *s = open_store();
	struct salts *salts;
	int n, i;

	ck_assert_int_eq(salts_open(dir, ROTATION_DAY, NOON, &salts), 0);
	n = salts_current(salts, NOON, given);
	ck_assert_int_eq(n, 2);
	fill(s);
	ck_assert_int_eq(store_backup(s, other, NULL), 0);
	for (i = 0; i < n; i++)
		ck_assert_uint_eq(files_with(&given[i].key),
				  1); /* where it must be, else nowhere */
	ck_assert_int_ge(salts_current(salts, given[1].destroy_ms - 1, now), 2);
	ck_assert_uint_eq(files_with(&given[0].key), 0);
	ck_assert_uint_eq(files_with(&given[1].key), 1);
	ck_assert_int_ge(salts_current(salts, given[1].destroy_ms, now), 2);
	salts_close(salts);
	store_close(s);
	for (i = 0; i < n; i++)
		ck_assert_uint_eq(files_with(&given[i].key), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_care");
	TCase *t = tcase_create("care");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_was_stored_computes_again_to_the_same);
	tcase_add_loop_test(t, every_damage_to_a_row_is_named, 0, 4);
	tcase_add_test(t, rows_that_are_missing_or_too_many_are_named);
	tcase_add_test(t, damage_to_the_small_tables_is_named);
	tcase_add_test(t, a_batch_that_is_gone_is_named);
	tcase_add_test(t, a_batch_that_was_never_applied_is_named_and_not_counted);
	tcase_add_test(t, rebuild_repairs_what_verify_names);
	tcase_add_test(t, a_backup_comes_back_whole);
	tcase_add_test(t, a_backup_under_load_is_of_one_moment);
	tcase_add_test(t, a_backup_goes_into_an_empty_directory_only);
	tcase_add_test(t, what_was_stopped_is_no_backup_and_no_store);
	tcase_add_test(t, retain_removes_hours_and_batches_and_verify_knows);
	tcase_add_test(t, rebuild_after_retain_keeps_what_it_cannot_compute);
	tcase_add_test(t, rebuild_without_the_last_batches_gives_none_their_numbers);
	tcase_add_test(t, a_salt_is_in_no_file_of_the_data_directory_when_its_time_is_over);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
