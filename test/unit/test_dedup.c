/* Event ids and double clicks: recognised for their window, remembered only when kept, and one
 * first among threads. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "node/dedup.h"
#include "stats/stats.h"

#define WINDOW_MS 60000
#define HALF_MS (WINDOW_MS / 2)
#define ONE_LINE 10 /* entries for which a table has a single line, with room for 15 */

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

/* As admission does with an event that has no id, or one that is known. */
START_TEST(a_claim_that_is_not_held_keeps_nothing)
{
	struct dedup *d = ids(ONE_LINE);
	struct dedup_claim none = {.bucket = NULL}, known;
	uint8_t id[16];

	dedup_fetch(&none);
	dedup_keep(&none);
	dedup_drop(&none);
	ck_assert(offer(d, 1, 0));
	id_of(1, id);
	dedup_find(d, id, &known);
	ck_assert(!dedup_claim(d, at_ms(WINDOW_MS), &known));
	dedup_keep(&known);
	ck_assert(!is_known(d, 1, WINDOW_MS + HALF_MS));
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
		ck_assert(!is_known(d, (uint64_t)start, start + WINDOW_MS + HALF_MS));
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

/* In quarters of a window, up to the clock's round less what a thread's reading may be behind. */
static const int64_t pauses[] = {6, 64, 65, 1000, 8192, 16384, 16385, 32768 - 65};

START_TEST(a_line_that_was_not_used_for_long_forgets_and_goes_on)
{
	struct dedup *d = ids(ONE_LINE);
	int64_t ms = pauses[_i] * WINDOW_MS / 4;

	ck_assert(offer(d, 1, 0));
	ck_assert(offer(d, 1, ms));
	ck_assert(is_known(d, 1, ms + WINDOW_MS));
	ck_assert(!is_known(d, 1, ms + WINDOW_MS + HALF_MS));
	dedup_free(d);
}
END_TEST

/* A bucket that nobody used says 0: a little ahead of a clock that is about to go round. */
START_TEST(a_new_table_keeps_time_just_before_the_clock_goes_round)
{
	const int64_t round = INT64_C(8192) * WINDOW_MS,
		      first = round - at_ms(0).us / 1000 - 2 * WINDOW_MS;
	struct dedup *d = ids(ONE_LINE);
	int64_t ms;

	for (ms = first; ms < first + 4 * WINDOW_MS; ms += WINDOW_MS + HALF_MS) {
		ck_assert(offer(d, (uint64_t)ms, ms));
		ck_assert(is_known(d, (uint64_t)ms, ms + WINDOW_MS));
		ck_assert(!is_known(d, (uint64_t)ms, ms + WINDOW_MS + HALF_MS));
	}
	dedup_free(d);
}
END_TEST

START_TEST(a_thread_with_an_older_reading_of_the_clock_sees_the_same)
{
	struct dedup *d = ids(ONE_LINE);

	ck_assert(offer(d, 1, WINDOW_MS - 1));
	ck_assert(offer(d, 2, WINDOW_MS + 1));
	ck_assert(offer(d, 3, WINDOW_MS - 1)); /* read before, comes after */
	ck_assert(!offer(d, 3, WINDOW_MS + 1));
	ck_assert(!offer(d, 1, WINDOW_MS - 1));
	ck_assert(!offer(d, 1, WINDOW_MS + 1));
	ck_assert(!offer(d, 2, WINDOW_MS - 1));
	ck_assert(is_known(d, 3, 2 * WINDOW_MS + 1));
	dedup_free(d);
}
END_TEST

START_TEST(a_reading_that_is_sixteen_windows_old_makes_nothing_forgotten)
{
	struct dedup *d = ids(ONE_LINE);

	ck_assert(offer(d, 1, 16 * WINDOW_MS));
	ck_assert(!offer(d, 1, 0));
	ck_assert(offer(d, 2, 0));
	ck_assert(is_known(d, 1, 17 * WINDOW_MS));
	ck_assert(is_known(d, 2, 17 * WINDOW_MS));
	dedup_free(d);
}
END_TEST

/* -- a full line -- */

static void
offer_all(struct dedup *d, uint64_t first, uint64_t n, int64_t ms)
{
	for (; n > 0; n--)
		ck_assert(offer(d, first++, ms));
}

/* Of the ids up to `end`, those from `first` on are known and none before. */
static void
known_from(struct dedup *d, uint64_t first, uint64_t end, int64_t ms)
{
	uint64_t n;

	for (n = 0; n < end; n++)
		ck_assert_int_eq(is_known(d, n, ms), n >= first);
}

START_TEST(a_full_bucket_forgets_the_oldest_and_counts_it)
{
	struct dedup *d = ids(ONE_LINE);
	uint64_t before = stat_get(STAT_DEDUP_EVICTED), n;

	offer_all(d, 0, 15, 0);
	ck_assert_uint_eq(stat_get(STAT_DEDUP_EVICTED), before);
	for (n = 15; n < 60; n++) {
		offer_all(d, n, 1, 0);
		known_from(d, n - 14, n + 1, 0);
	}
	ck_assert_uint_eq(stat_get(STAT_DEDUP_EVICTED), before + 45);
	dedup_free(d);
}
END_TEST

/* An id that came in the first half window, and fourteen in the second: at which time one more has
 * it forgotten, and whether that is counted. */
static const struct {
	int64_t quarter;
	unsigned counted;
} evictions[] = {{2, 1}, {3, 1}, {4, 1}, {5, 0}, {6, 0}};

START_TEST(an_id_that_made_room_in_its_window_is_counted)
{
	struct dedup *d = ids(ONE_LINE);
	uint64_t before = stat_get(STAT_DEDUP_EVICTED);
	int64_t ms = evictions[_i].quarter * HALF_MS / 2;

	offer_all(d, 0, 1, 0);
	offer_all(d, 1, 14, HALF_MS);
	offer_all(d, 15, 1, ms);
	ck_assert_uint_eq(stat_get(STAT_DEDUP_EVICTED), before + evictions[_i].counted);
	known_from(d, 1, 16, ms);
	offer_all(d, 16, 1, ms); /* forgets one of the second half window */
	ck_assert_uint_eq(stat_get(STAT_DEDUP_EVICTED), before + evictions[_i].counted + 1);
	known_from(d, 2, 17, ms);
	dedup_free(d);
}
END_TEST

START_TEST(what_is_older_than_its_window_makes_room_uncounted)
{
	struct dedup *d = ids(ONE_LINE);
	uint64_t before = stat_get(STAT_DEDUP_EVICTED), n;

	for (n = 0; n < 100; n++) { /* five each half window: never more than fifteen at a time */
		offer_all(d, 5 * n, 5, (int64_t)n * HALF_MS);
		known_from(d, n < 2 ? 0 : 5 * n - 10, 5 * n + 5, (int64_t)n * HALF_MS);
	}
	ck_assert_uint_eq(stat_get(STAT_DEDUP_EVICTED), before);
	dedup_free(d);
}
END_TEST

START_TEST(a_flood_of_one_bucket_is_counted_to_the_last)
{
	struct dedup *d = ids(ONE_LINE);
	uint64_t before = stat_get(STAT_DEDUP_EVICTED), kept = 0, n;

	for (n = 0; n < 70000; n++)
		kept += offer(d, n, 0);
	ck_assert_uint_eq(stat_get(STAT_DEDUP_EVICTED), before + kept - 15);
	before = stat_get(STAT_DEDUP_EVICTED);
	ck_assert(is_known(d, 69999, WINDOW_MS));
	offer_all(d, 100000, 15, WINDOW_MS + HALF_MS);
	ck_assert_uint_eq(stat_get(STAT_DEDUP_EVICTED), before);
	ck_assert(!is_known(d, 69999, WINDOW_MS + HALF_MS));
	dedup_free(d);
}
END_TEST

/* dedup.h says 8.3 % and 0.02 % forgotten, 10.3 % counted; 200,000 ids come near to it. */
static const struct {
	uint64_t of_nominal; /* percent */
	double forgotten[2], counted[2];
} loads[] = {{100, {7.3, 9.3}, {9.3, 11.3}}, {50, {0, 0.1}, {0, 0.15}}};

START_TEST(a_steady_stream_is_forgotten_as_early_as_documented)
{
	const uint64_t entries = 65536, window = entries * loads[_i].of_nominal / 100,
		       end = 5 * window;
	struct dedup *d = ids((int64_t)entries);
	uint64_t before = 0, forgotten = 0, n;
	double counted, asked = (double)(end - 2 * window);
	int64_t ms;

	for (n = 0; n < end; n++) {
		ms = (int64_t)(n * WINDOW_MS / window);
		if (n == 2 * window)
			before = stat_get(STAT_DEDUP_EVICTED);
		if (n >= 2 * window)
			forgotten += !is_known(d, n - window, ms);
		(void)offer(d, n, ms);
	}
	counted = 100.0 * (double)(stat_get(STAT_DEDUP_EVICTED) - before) / asked;
	ck_assert_double_ge(counted, loads[_i].counted[0]);
	ck_assert_double_le(counted, loads[_i].counted[1]);
	ck_assert_double_ge(100.0 * (double)forgotten / asked, loads[_i].forgotten[0]);
	ck_assert_double_le(100.0 * (double)forgotten / asked, loads[_i].forgotten[1]);
	dedup_free(d);
}
END_TEST

/* -- threads -- */

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
	for (n = 0; n < IDS; n++) /* across the turn of half a window */
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
	tcase_add_test(t, a_claim_that_is_not_held_keeps_nothing);
	tcase_add_test(t, an_id_is_recognised_for_the_window_and_not_for_ever);
	tcase_add_test(t, a_pause_of_many_windows_forgets_everything);
	tcase_add_loop_test(t, a_line_that_was_not_used_for_long_forgets_and_goes_on, 0,
			    (int)(sizeof(pauses) / sizeof(pauses[0])));
	tcase_add_test(t, a_new_table_keeps_time_just_before_the_clock_goes_round);
	tcase_add_test(t, a_thread_with_an_older_reading_of_the_clock_sees_the_same);
	tcase_add_test(t, a_reading_that_is_sixteen_windows_old_makes_nothing_forgotten);
	tcase_add_test(t, a_full_bucket_forgets_the_oldest_and_counts_it);
	tcase_add_loop_test(t, an_id_that_made_room_in_its_window_is_counted, 0,
			    (int)(sizeof(evictions) / sizeof(evictions[0])));
	tcase_add_test(t, what_is_older_than_its_window_makes_room_uncounted);
	tcase_add_test(t, a_flood_of_one_bucket_is_counted_to_the_last);
	tcase_add_loop_test(t, a_steady_stream_is_forgotten_as_early_as_documented, 0,
			    (int)(sizeof(loads) / sizeof(loads[0])));
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
