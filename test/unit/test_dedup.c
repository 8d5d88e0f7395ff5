/* Event ids and double clicks: recognised for their window, remembered only when kept, and one
 * first among threads. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "node/dedup.h"
#include "stats/stats.h"

#define WINDOW_MS 60000

static struct mono_us
at_ms(int64_t ms)
{
	return (struct mono_us){500 * INT64_C(1000) * WINDOW_MS + ms * 1000};
}

static struct dedup *
ids(int64_t entries)
{
	struct dedup *d = NULL;

	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(dedup_new(WINDOW_MS, entries, &d), 0);
	return d;
}

static void
id_of(uint64_t n, uint8_t id[16])
{
	memset(id, 0, 16);
	memcpy(id, &n, sizeof(n));
}

/* Whether the id is new; keeps it then. */
static bool
offer(struct dedup *d, uint64_t n, int64_t ms)
{
	struct dedup_claim c;
	uint8_t id[16];

	id_of(n, id);
	dedup_find(d, id, &c);
	if (!dedup_claim(d, at_ms(ms), &c))
		return false;
	dedup_keep(&c);
	return true;
}

static bool
is_known(struct dedup *d, uint64_t n, int64_t ms)
{
	struct dedup_claim c;
	uint8_t id[16];

	id_of(n, id);
	dedup_find(d, id, &c);
	if (!dedup_claim(d, at_ms(ms), &c))
		return true;
	dedup_drop(&c);
	return false;
}

START_TEST(an_id_is_new_once)
{
	struct dedup *d = ids(1 << 20);
	uint64_t n;

	for (n = 0; n < 10000; n++)
		ck_assert(offer(d, n, 0));
	for (n = 0; n < 10000; n++)
		ck_assert(!offer(d, n, 1));
	dedup_free(d);
}
END_TEST

START_TEST(a_dropped_claim_leaves_nothing_behind)
{
	struct dedup *d = ids(1024);

	ck_assert(!is_known(d, 7, 0));
	ck_assert(!is_known(d, 7, 0));
	ck_assert(offer(d, 7, 0));
	ck_assert(is_known(d, 7, 0));
	dedup_free(d);
}
END_TEST

START_TEST(an_id_is_recognised_for_the_window_and_not_for_ever)
{
	struct dedup *d = ids(1024);
	int64_t start;

	for (start = 0; start < WINDOW_MS; start += WINDOW_MS / 7)
		ck_assert(offer(d, (uint64_t)start, start));
	for (start = 0; start < WINDOW_MS; start += WINDOW_MS / 7)
		ck_assert(is_known(d, (uint64_t)start, start + WINDOW_MS));
	for (start = 0; start < WINDOW_MS; start += WINDOW_MS / 7)
		ck_assert(!is_known(d, (uint64_t)start, start + 2 * WINDOW_MS));
	dedup_free(d);
}
END_TEST

START_TEST(a_pause_of_many_windows_forgets_everything)
{
	struct dedup *d = ids(1024);

	ck_assert(offer(d, 1, 0));
	ck_assert(offer(d, 2, WINDOW_MS));
	ck_assert(!is_known(d, 1, 9 * WINDOW_MS));
	ck_assert(!is_known(d, 2, 9 * WINDOW_MS));
	dedup_free(d);
}
END_TEST

START_TEST(a_thread_with_an_older_reading_of_the_clock_sees_the_same)
{
	struct dedup *d = ids(15); /* one bucket */

	ck_assert(offer(d, 1, WINDOW_MS - 1));
	ck_assert(offer(d, 2, WINDOW_MS + 1));
	ck_assert(offer(d, 3, WINDOW_MS - 1)); /* read before, comes after */
	ck_assert(!offer(d, 3, WINDOW_MS + 1));
	ck_assert(!offer(d, 1, WINDOW_MS - 1));
	ck_assert(!offer(d, 1, WINDOW_MS + 1));
	ck_assert(!offer(d, 2, WINDOW_MS - 1));
	dedup_free(d);
}
END_TEST

START_TEST(a_full_bucket_forgets_the_oldest_and_counts_it)
{
	struct dedup *d = ids(15);
	uint64_t before = stat_get(STAT_DEDUP_EVICTED), n;

	for (n = 0; n < 15; n++)
		ck_assert(offer(d, n, 0));
	ck_assert_uint_eq(stat_get(STAT_DEDUP_EVICTED), before);
	for (n = 15; n < 60; n++)
		ck_assert(offer(d, n, 0));
	ck_assert_uint_eq(stat_get(STAT_DEDUP_EVICTED), before + 45);
	for (n = 0; n < 45; n++)
		ck_assert(!is_known(d, n, 0));
	for (; n < 60; n++)
		ck_assert(is_known(d, n, 0));
	dedup_free(d);
}
END_TEST

START_TEST(a_flood_of_one_bucket_is_counted_to_the_last)
{
	struct dedup *d = ids(15);
	uint64_t before = stat_get(STAT_DEDUP_EVICTED), kept = 0, n;

	for (n = 0; n < 70000; n++)
		kept += offer(d, n, 0);
	ck_assert_uint_eq(stat_get(STAT_DEDUP_EVICTED), before + kept - 15);
	before = stat_get(STAT_DEDUP_EVICTED);
	for (n = 0; n < 15; n++)
		ck_assert(offer(d, 100000 + n, WINDOW_MS));
	ck_assert_uint_eq(stat_get(STAT_DEDUP_EVICTED), before);
	ck_assert(is_known(d, 69999, WINDOW_MS));
	dedup_free(d);
}
END_TEST

#define THREADS 4
#define IDS 20000

static struct dedup *shared_ids;
static struct repeat *shared_pairs;
static pthread_barrier_t together;

static void *
race_ids(void *arg)
{
	unsigned *accepted = arg;
	uint64_t n;

	pthread_barrier_wait(&together);
	for (n = 0; n < IDS; n++) /* across the turn of a generation */
		*accepted += offer(shared_ids, n / 2, WINDOW_MS - IDS / 2 + (int64_t)n);
	return NULL;
}

static void
race(void *(*run)(void *), unsigned *ret_sum)
{
	pthread_t thread[THREADS];
	unsigned count[THREADS] = {0}, i;

	pthread_barrier_init(&together, NULL, THREADS);
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, run, &count[i]);
	for (i = 0, *ret_sum = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		*ret_sum += count[i];
	}
	pthread_barrier_destroy(&together);
}

START_TEST(of_threads_with_the_same_id_exactly_one_is_first)
{
	unsigned sum;

	shared_ids = ids(1 << 20);
	race(race_ids, &sum);
	ck_assert_uint_eq(sum, IDS / 2);
	dedup_free(shared_ids);
}
END_TEST

/* -- double clicks -- */

#define CLICK_MS 30000

static struct repeat *
pairs(int64_t entries)
{
	struct repeat *r = NULL;

	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(repeat_new(CLICK_MS, entries, &r), 0);
	return r;
}

static struct event
view(uint64_t visitor, int64_t ts_ms)
{
	return (struct event){.visitor = visitor,
			      .ts_ms = INT64_C(1700000000000) + ts_ms,
			      .type = TEXT_LIT("video"),
			      .has_uuid = true,
			      .uuid = {1, 2, 3}};
}

static bool
click(struct repeat *r, const struct event *e)
{
	struct repeat_claim c;
	bool repeat;

	repeat_find(r, e, &c);
	repeat = repeat_claim(r, &c);
	repeat_keep(&c);
	return repeat;
}

static bool
click_at(struct repeat *r, int64_t ts_ms)
{
	struct event e = view(42, ts_ms);

	return click(r, &e);
}

START_TEST(the_window_slides_with_every_click)
{
	struct repeat *r = pairs(1024);

	ck_assert(!click_at(r, 0));
	ck_assert(click_at(r, 29999));
	ck_assert(click_at(r, 59998));
	ck_assert(!click_at(r, 89998));
	ck_assert(!click_at(r, 119998));
	repeat_free(r);
}
END_TEST

START_TEST(events_that_come_late_are_compared_by_their_own_time)
{
	struct repeat *r = pairs(1024);

	ck_assert(!click_at(r, 100000));
	ck_assert(!click_at(r, 70000)); /* exactly the window before */
	ck_assert(click_at(r, 70001));  /* between both */
	ck_assert(!click_at(r, -10000000));
	ck_assert(click_at(r, -10000000));
	ck_assert(click_at(r, 100000)); /* not forgotten meanwhile */
	repeat_free(r);
}
END_TEST

START_TEST(a_late_event_does_not_move_the_window_back)
{
	struct repeat *r = pairs(1024);

	ck_assert(!click_at(r, 20000));
	ck_assert(click_at(r, 0));
	ck_assert(click_at(r, 49999));
	repeat_free(r);
}
END_TEST

START_TEST(another_visitor_content_site_type_or_event_is_no_repeat)
{
	struct repeat *r = pairs(1024);
	struct event e = view(1, 0), other;

	ck_assert(!click(r, &e));
	other = e, other.visitor = 2;
	ck_assert(!click(r, &other));
	other = e, other.uuid[15] = 1;
	ck_assert(!click(r, &other));
	other = e, other.site = TEXT_LIT("shop");
	ck_assert(!click(r, &other));
	other = e, other.type = TEXT_LIT("audio");
	ck_assert(!click(r, &other));
	other = e, other.name = TEXT_LIT("play");
	ck_assert(!click(r, &other));
	other = e, other.has_uuid = false, other.id = TEXT_LIT("a-slug");
	ck_assert(!click(r, &other));
	ck_assert(click(r, &e));
	repeat_free(r);
}
END_TEST

START_TEST(a_default_that_is_spelled_out_is_the_same_content)
{
	struct repeat *r = pairs(1024);
	struct event e = view(1, 0);

	ck_assert(!click(r, &e));
	e.name = TEXT_LIT("view");
	e.site = TEXT_LIT("default");
	ck_assert(click(r, &e));
	repeat_free(r);
}
END_TEST

START_TEST(a_dropped_click_was_none)
{
	struct repeat *r = pairs(1024);
	struct event e = view(1, 0);
	struct repeat_claim c;

	repeat_find(r, &e, &c);
	ck_assert(!repeat_claim(r, &c));
	repeat_drop(&c);
	ck_assert(!click(r, &e));
	ck_assert(click(r, &e));
	repeat_free(r);
}
END_TEST

START_TEST(a_full_line_forgets_the_oldest_click_and_counts_early_ones)
{
	struct repeat *r = pairs(8);
	uint64_t before = stat_get(STAT_REPEAT_EVICTED);
	struct event e;
	uint64_t v;

	for (v = 1; v <= 9; v++) {
		e = view(v, (int64_t)v);
		ck_assert(!click(r, &e));
	}
	ck_assert_uint_eq(stat_get(STAT_REPEAT_EVICTED), before + 1);
	for (v = 2; v <= 9; v++) {
		e = view(v, 10);
		ck_assert(click(r, &e));
	}
	for (v = 10; v < 18; v++) {
		e = view(v, 10 + CLICK_MS);
		ck_assert(!click(r, &e));
	}
	ck_assert_uint_eq(stat_get(STAT_REPEAT_EVICTED), before + 1);
	repeat_free(r);
}
END_TEST

static void *
race_pairs(void *arg)
{
	unsigned *first = arg, i;

	pthread_barrier_wait(&together);
	for (i = 0; i < IDS; i++) {
		struct event e = view(i, i);

		*first += !click(shared_pairs, &e);
	}
	return NULL;
}

START_TEST(of_threads_with_the_same_content_exactly_one_is_first)
{
	unsigned sum;

	shared_pairs = pairs(1 << 20);
	race(race_pairs, &sum);
	ck_assert_uint_eq(sum, IDS);
	repeat_free(shared_pairs);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("dedup");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, an_id_is_new_once);
	tcase_add_test(t, a_dropped_claim_leaves_nothing_behind);
	tcase_add_test(t, an_id_is_recognised_for_the_window_and_not_for_ever);
	tcase_add_test(t, a_pause_of_many_windows_forgets_everything);
	tcase_add_test(t, a_thread_with_an_older_reading_of_the_clock_sees_the_same);
	tcase_add_test(t, a_full_bucket_forgets_the_oldest_and_counts_it);
	tcase_add_test(t, a_flood_of_one_bucket_is_counted_to_the_last);
	tcase_add_test(t, of_threads_with_the_same_id_exactly_one_is_first);
	tcase_add_test(t, the_window_slides_with_every_click);
	tcase_add_test(t, events_that_come_late_are_compared_by_their_own_time);
	tcase_add_test(t, a_late_event_does_not_move_the_window_back);
	tcase_add_test(t, another_visitor_content_site_type_or_event_is_no_repeat);
	tcase_add_test(t, a_default_that_is_spelled_out_is_the_same_content);
	tcase_add_test(t, a_dropped_click_was_none);
	tcase_add_test(t, a_full_line_forgets_the_oldest_click_and_counts_early_ones);
	tcase_add_test(t, of_threads_with_the_same_content_exactly_one_is_first);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
