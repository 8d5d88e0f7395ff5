/* After a restore the agents have let go of what was stored behind the backup: it is counted as
 * lost, completeness goes on, and what is counted can be computed again. */
#include "central/store_care.h"
#include "store_home.h"

static struct store *store;

static void
set_up(void)
{
	setup();
	store = open_store();
}

static void
tear_down(void)
{
	store_close(store);
	teardown();
}

/* The hour that a batch closes; every third closes none. */
static int64_t
hour_at(uint64_t seq)
{
	return NOON + (int64_t)seq * HOUR_MS;
}

static void
store_hour(uint64_t seq)
{
	struct event e = view_of(hour_at(seq) - 1000, 1, seq);
	struct maker m;

	maker_begin(&m, "web-1", 7, seq, hour_at(seq) - HOUR_MS, 1);
	m.meta.closes_ms = seq % 3 == 0 ? 0 : hour_at(seq);
	maker_add(&m, &e);
	maker_finish(&m);
	ck_assert_int_eq(apply(store, &m), STORE_STORED);
	maker_free(&m);
}

static void
lose_below(uint64_t oldest)
{
	struct batch_id id = {.node = "web-1", .seq = oldest};

	memset(id.epoch, 7, sizeof(id.epoch));
	ck_assert_int_eq(store_lose(store, &id, hour_at(oldest) + 200), 0);
}

/* -- looking -- */

static int
take_lost(void *ctx, const struct store_lost *l)
{
	*(struct store_lost *)ctx = *l;
	return 0;
}

static void
expect(uint64_t contiguous, uint64_t closed_by, uint64_t lost_batches)
{
	struct store_lost l = {.batches = 0};
	struct store_node n = last_node(store);

	ck_assert_int_eq(store_lost(store, take_lost, &l), 0);
	ck_assert_uint_eq(n.contiguous_seq, contiguous);
	ck_assert_int_eq(n.complete_to_ms, hour_at(closed_by));
	ck_assert_uint_eq(l.batches, lost_batches);
}

static void
say(void *ctx, const struct store_difference *d)
{
	(void)ctx;
	ck_abort_msg("%s %s: %s, %s", d->where, d->field, d->stored, d->recomputed);
}

static void
expect_sound(void)
{
	const struct store_report report = {say, NULL};
	struct store_verified sum;

	ck_assert_int_eq(store_verify(store, &report, NULL, &sum), 0);
}

/* -- tests -- */

START_TEST(what_a_node_let_go_of_is_lost_and_completeness_goes_on)
{
	struct store_lost l = {.batches = 0};

	store_hour(1);
	store_hour(2);
	store_hour(7); /* 3 to 6 were stored behind the backup */
	expect(2, 2, 0);
	lose_below(7);
	expect(7, 7, 4);
	ck_assert_int_eq(store_lost(store, take_lost, &l), 0);
	ck_assert_str_eq(l.node, "web-1");
	ck_assert_uint_eq(l.epoch[15], 7);
	ck_assert_int_eq(l.from_ms, hour_at(2));
	ck_assert_int_eq(l.until_ms, hour_at(7) + 200);
	store_hour(8);
	expect(8, 8, 4);
	expect_sound();
	store_close(store);
	store = open_store();
	expect(8, 8, 4);
}
END_TEST

START_TEST(what_is_stored_within_the_gap_is_not_lost)
{
	store_hour(1);
	store_hour(4);
	store_hour(6);
	store_hour(9);
	lose_below(9); /* 2, 3, 5, 7, 8; and 9 closes nothing */
	expect(9, 4, 5);
	expect_sound();
	store_hour(14);
	lose_below(14);
	expect(14, 14, 9);
	expect_sound();
}
END_TEST

START_TEST(a_node_that_still_has_what_is_missing_loses_nothing)
{
	store_hour(1);
	store_hour(7);
	lose_below(2);
	lose_below(1);
	expect(1, 1, 0);
	lose_below(8); /* behind everything that is known: not for it to say */
	expect(1, 1, 0);
}
END_TEST

START_TEST(a_batch_that_comes_all_the_same_is_lost_no_longer)
{
	store_hour(1);
	store_hour(6);
	lose_below(6);
	expect(6, 1, 4);
	store_hour(4); /* the latest that closes an hour */
	expect(6, 4, 3);
	store_hour(2);
	expect(6, 4, 2);
	expect_sound();
	store_hour(3);
	store_hour(5);
	expect(6, 5, 0);
	expect_sound();
}
END_TEST

START_TEST(an_epoch_whose_beginning_is_lost_goes_on)
{
	struct store_lost l = {.batches = 0};

	store_hour(5);
	lose_below(5);
	expect(5, 5, 4);
	ck_assert_int_eq(store_lost(store, take_lost, &l), 0);
	ck_assert_int_eq(l.from_ms, 0);
	expect_sound();
}
END_TEST

START_TEST(rebuild_keeps_what_is_lost)
{
	struct store_verified sum;

	store_hour(1);
	store_hour(4);
	store_hour(7);
	lose_below(7);
	store_hour(5);
	expect(7, 7, 3);
	store_close(store);
	ck_assert_int_eq(store_rebuild(&conf, NULL, &sum), 0);
	store = open_store();
	expect(7, 7, 3);
	expect_sound();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_lost");
	TCase *t = tcase_create("lost");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, what_a_node_let_go_of_is_lost_and_completeness_goes_on);
	tcase_add_test(t, what_is_stored_within_the_gap_is_not_lost);
	tcase_add_test(t, a_node_that_still_has_what_is_missing_loses_nothing);
	tcase_add_test(t, a_batch_that_comes_all_the_same_is_lost_no_longer);
	tcase_add_test(t, an_epoch_whose_beginning_is_lost_goes_on);
	tcase_add_test(t, rebuild_keeps_what_is_lost);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
