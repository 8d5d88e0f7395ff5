/* What is counted of a batch: each event once, each visitor once. */
#include "store_home.h"

/* -- twins -- */

static enum store_result
apply_ids(struct store *s, const char *node, uint64_t seq, int64_t ts_ms, const uint64_t *ids,
	  unsigned n)
{
	enum store_result result;
	struct maker m;
	struct event e;
	unsigned i;

	maker_begin(&m, node, 1, seq, NOON, n);
	for (i = 0; i < n; i++) {
		e = view_of(ts_ms, (unsigned)ids[i], ids[i]);
		if (ids[i])
			set_event_id(&e, ids[i]);
		maker_add(&m, &e);
	}
	maker_finish(&m);
	result = apply(s, &m);
	maker_free(&m);
	return result;
}

#define IDS(...) (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8

START_TEST(an_event_told_by_two_nodes_counts_once)
{
	struct store *s = open_store();
	struct store_ledger_row row;

	ck_assert_int_eq(apply_ids(s, "web-1", 1, NOON, IDS(1, 2, 3, 0)), STORE_STORED);
	ck_assert_int_eq(apply_ids(s, "web-2", 1, NOON + 5000, IDS(3, 4, 1, 0)), STORE_STORED);
	row = last_ledger(s);
	ck_assert_str_eq(row.node, "web-2");
	ck_assert_uint_eq(row.merged, 2);
	ck_assert_uint_eq(row.stored, 2);
	ck_assert_uint_eq(ledger_verdict(&row.ledger, VERDICT_ACCEPTED), row.stored + row.merged);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).events, 6);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_CONTENT, NULL).rows, 5);
	store_close(s);
	s = open_store(); /* remembered over a restart */
	ck_assert_int_eq(apply_ids(s, "web-3", 1, NOON, IDS(4, 2, 9)), STORE_STORED);
	ck_assert_uint_eq(last_ledger(s).merged, 2);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).events, 7);
	store_close(s);
}
END_TEST

START_TEST(two_events_of_one_batch_with_one_id_count_once)
{
	struct store *s = open_store();

	ck_assert_int_eq(apply_ids(s, "web-1", 1, NOON, IDS(1, 2, 1, 1, 0, 0)), STORE_STORED);
	ck_assert_uint_eq(last_ledger(s).merged, 2);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).events, 4);
	store_close(s);
}
END_TEST

/* Several blocks of events, hours in no order; every second event of the second batch is known. */
START_TEST(many_twins_among_many_events_are_those_left_out)
{
	enum { EVENTS = 1000 };
	struct store *s = open_store();
	struct maker m;
	struct event e;
	unsigned batch, i;
	uint64_t id;

	for (batch = 0; batch < 2; batch++) {
		maker_begin(&m, batch ? "web-2" : "web-1", 1, 1, NOON, EVENTS);
		for (i = 0; i < EVENTS; i++) {
			id = 1 + (batch && i % 2 ? EVENTS + i : i);
			e = view_of(NOON + (int64_t)(id * 7 % 5) * HOUR_MS, (unsigned)id, id);
			set_event_id(&e, id);
			maker_add(&m, &e);
		}
		maker_finish(&m);
		ck_assert_int_eq(apply(s, &m), STORE_STORED);
		maker_free(&m);
	}
	ck_assert_uint_eq(last_ledger(s).merged, EVENTS / 2);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).events, EVENTS + EVENTS / 2);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_CONTENT, NULL).rows, EVENTS + EVENTS / 2);
	store_close(s);
}
END_TEST

START_TEST(the_retry_window_spans_hours_by_the_events_time)
{
	struct store *s = open_store();

	ck_assert_int_eq(apply_ids(s, "web-1", 1, NOON + 59 * 60000, IDS(1)), STORE_STORED);
	ck_assert_int_eq(apply_ids(s, "web-2", 1, NOON + 61 * 60000, IDS(1)), STORE_STORED);
	ck_assert_uint_eq(last_ledger(s).merged, 1);
	ck_assert_int_eq(apply_ids(s, "web-3", 1, NOON - HOUR_MS + 59 * 60000, IDS(1)),
			 STORE_STORED);
	ck_assert_uint_eq(last_ledger(s).merged, 1);
	ck_assert_int_eq(apply_ids(s, "web-4", 1, NOON + 5 * HOUR_MS, IDS(1)), STORE_STORED);
	ck_assert_uint_eq(last_ledger(s).merged, 0);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).events, 2);
	store_close(s);
}
END_TEST

START_TEST(without_a_retry_window_nothing_is_merged)
{
	struct store *s;

	conf.central_retry_window = 0;
	s = open_store();
	ck_assert_int_eq(apply_ids(s, "web-1", 1, NOON, IDS(1, 1)), STORE_STORED);
	ck_assert_int_eq(apply_ids(s, "web-2", 1, NOON, IDS(1)), STORE_STORED);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).events, 3);
	store_close(s);
}
END_TEST

/* -- numbers -- */

START_TEST(unique_views_are_visitors_of_each_content_and_day)
{
	struct store *s = open_store();
	struct maker m;
	struct event e;
	unsigned i;

	for (i = 0; i < 3;
	     i++) { /* visitors 0 to 9 of two contents, again in every batch, and one new */
		maker_begin(&m, "web-1", 1, i + 1, NOON, 21);
		for (unsigned v = 0; v < 10; v++) {
			e = view_of(NOON, 1, v);
			maker_add(&m, &e);
			e = view_of(NOON, 2, v);
			e.type = TEXT_LIT("pdf");
			maker_add(&m, &e);
		}
		e = view_of(NOON, 1, 100 + i);
		maker_add(&m, &e);
		maker_finish(&m);
		ck_assert_int_eq(apply(s, &m), STORE_STORED);
		maker_free(&m);
	}
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).unique_views, 23);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_TYPE, NULL).unique_views, 23);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_CONTENT, NULL).visitors, 23);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).visitors, 13);
	ck_assert_uint_eq(sums_of(s, GRAIN_MONTH, DIM_SITE, NULL).unique_views, 0);
	ck_assert_uint_eq(sums_of(s, GRAIN_HOUR, DIM_TYPE, NULL).unique_views, 0);
	store_close(s);
}
END_TEST

/* Sets that became sketches, too: always the sum of what the contents' rows say. */
START_TEST(unique_views_follow_sketches)
{
	struct store *s = open_store();
	struct maker m;
	struct event e;
	unsigned i, j;

	for (i = 0; i < 4; i++) {
		maker_begin(&m, "web-1", 1, i + 1, NOON, 1500);
		for (j = 0; j < 1500; j++) {
			e = view_of(NOON, j % 3, i * 1000 + j);
			maker_add(&m, &e);
		}
		maker_finish(&m);
		ck_assert_int_eq(apply(s, &m), STORE_STORED);
		maker_free(&m);
		ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).unique_views,
				  sums_of(s, GRAIN_DAY, DIM_CONTENT, NULL).visitors);
	}
	ck_assert_uint_gt(sums_of(s, GRAIN_DAY, DIM_CONTENT, NULL).visitors, 3 * 1200);
	store_close(s);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("store_count");
	TCase *t = tcase_create("store");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, an_event_told_by_two_nodes_counts_once);
	tcase_add_test(t, two_events_of_one_batch_with_one_id_count_once);
	tcase_add_test(t, many_twins_among_many_events_are_those_left_out);
	tcase_add_test(t, the_retry_window_spans_hours_by_the_events_time);
	tcase_add_test(t, without_a_retry_window_nothing_is_merged);
	tcase_add_test(t, unique_views_are_visitors_of_each_content_and_day);
	tcase_add_test(t, unique_views_follow_sketches);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
