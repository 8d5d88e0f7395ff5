/* Completeness, nodes and the ledger, asked of a real store that was fed batches written down
 * by hand. */
#include "query_home.h"

/* -- completeness -- */

/* "" when complete, else the verdict of the first that is missing. */
static const char *
missing(const char *day, int64_t now_ms)
{
	static char verdict[16];
	json_t *j = answer(ASK("summary", now_ms, "from", day, "to", day, ));
	bool complete = json_is_true(json_object_get(j, "complete"));

	ck_assert_int_eq(complete, json_array_size(json_object_get(j, "missing")) == 0);
	snprintf(verdict, sizeof(verdict), "%s",
		 complete ? "" : string(item(j, "missing", 0), "verdict"));
	json_decref(j);
	return verdict;
}

static const char *
verdict_of_node(int64_t now_ms)
{
	static char verdict[16];
	json_t *j = answer(ASK("nodes", now_ms, ));

	snprintf(verdict, sizeof(verdict), "%s", string(item(j, "nodes", 0), "verdict"));
	json_decref(j);
	return verdict;
}

/* An empty batch of the hour; closes it unless told not to. */
static void
store_hour(int64_t hour_ms, bool closes)
{
	struct maker m = begin("web-1", hour_ms);

	if (closes)
		m.meta.closes_ms = m.meta.until_ms;
	ck_assert_int_eq(home_store(&m, hour_ms + HOUR_MS + 1000), STORE_STORED);
}

START_TEST(a_range_is_complete_up_to_the_last_finished_interval)
{
	home_add_node("web-1", at("2026-11-22", 12));
	store_hour(at("2026-11-22", 12), true);
	store_hour(at("2026-11-22", 13), true);
	ck_assert_str_eq(missing("2026-11-22", at("2026-11-22", 14) + 60000), "");
	ck_assert_str_eq(missing("2026-11-22", at("2026-11-22", 15) + 60000), ""); /* grace */
	ck_assert_str_eq(missing("2026-11-22", at("2026-11-22", 15) + 400000), "waiting");
	ck_assert_str_eq(missing("2026-11-22", at("2026-11-22", 18)), "silent");
	ck_assert_str_eq(missing("2026-11-21", at("2026-11-22", 18)), ""); /* was not there yet */
	ck_assert_str_eq(verdict_of_node(at("2026-11-22", 14) + 60000), "complete");
	ck_assert_str_eq(verdict_of_node(at("2026-11-22", 15) + 400000), "waiting");
	ck_assert_str_eq(verdict_of_node(at("2026-11-22", 18)), "silent");
}
END_TEST

START_TEST(a_batch_that_does_not_close_an_interval_completes_nothing)
{
	home_add_node("web-1", at("2026-11-22", 12));
	store_hour(at("2026-11-22", 12), false);
	ck_assert_str_eq(missing("2026-11-22", at("2026-11-22", 13) + 400000), "waiting");
}
END_TEST

START_TEST(a_missing_number_is_waited_for_until_it_comes)
{
	home_add_node("web-1", at("2026-11-22", 12));
	store_hour(at("2026-11-22", 12), true);
	seq = 2;
	store_hour(at("2026-11-22", 14), true); /* 3 before 2 */
	ck_assert_str_eq(missing("2026-11-22", at("2026-11-22", 15) + 60000), "waiting");
	ck_assert_str_eq(verdict_of_node(at("2026-11-22", 15) + 60000), "waiting");
	seq = 1;
	store_hour(at("2026-11-22", 13), true);
	ck_assert_str_eq(missing("2026-11-22", at("2026-11-22", 15) + 60000), "");
}
END_TEST

/* The state directory went with batch 2 in it: that day stays incomplete, later ones do not. */
START_TEST(a_number_that_will_never_come_concerns_its_time_only)
{
	struct maker m;

	home_add_node("web-1", at("2026-11-21", 11));
	store_hour(at("2026-11-21", 11), true);
	seq = 2;
	store_hour(at("2026-11-21", 13), true);
	maker_begin(&m, "web-1", 2, 1, at("2026-11-22", 13), ROOM); /* another epoch */
	store_closed(&m);
	ck_assert_str_eq(missing("2026-11-21", at("2026-11-22", 14) + 60000), "waiting");
	ck_assert_str_eq(missing("2026-11-22", at("2026-11-22", 14) + 60000), "");
}
END_TEST

/* The central was restored: what it lacks never comes, which is said, and no longer waited for. */
START_TEST(a_number_that_is_known_lost_is_said_where_it_was_lost)
{
	const struct query_node *n;
	struct query_node *nodes;
	struct batch_id oldest = {.node = "web-1", .seq = 4};
	json_t *j;

	memset(oldest.epoch, 1, sizeof(oldest.epoch));
	home_add_node("web-1", at("2026-11-21", 11));
	store_hour(at("2026-11-21", 11), true);
	seq = 3;
	store_hour(at("2026-11-21", 14), true);
	ck_assert_int_eq(store_lose(home.store, &oldest, at("2026-11-21", 15) + 1000), 0);
	store_hour(at("2026-11-22", 13), true);
	ck_assert_str_eq(missing("2026-11-21", at("2026-11-22", 14) + 60000), "lost");
	ck_assert_str_eq(missing("2026-11-22", at("2026-11-22", 14) + 60000), "");
	ck_assert_str_eq(verdict_of_node(at("2026-11-22", 14) + 60000), "complete");
	j = answer(ASK("summary", NOW, NOV("21"), ));
	ck_assert_int_eq(number(j, "lost_batches"), 2);
	ck_assert_int_eq(number(item(j, "missing", 0), "lost_batches"), 2);
	ck_assert_str_eq(string(item(j, "missing", 0), "since"), "2026-11-21T11:00:00.000Z");
	json_decref(j);
	j = answer(ASK("summary", NOW, NOV("22"), ));
	ck_assert_int_eq(number(j, "lost_batches"), 0);
	json_decref(j);
	j = answer(ASK("nodes", NOW, NOV("21"), ));
	ck_assert_int_eq(number(item(j, "nodes", 0), "lost_batches"), 2);
	json_decref(j);
	j = answer(ASK("ledger", NOW, NOV("21"), ));
	ck_assert_str_eq(string(item(j, "rows", 1), "verdict"), "lost");
	ck_assert_int_eq(number(item(j, "rows", 1), "lost_batches"), 2);
	json_decref(j);
	ck_assert_int_eq(query_nodes(query, NOW, &nodes), 1);
	n = nodes;
	ck_assert_uint_eq(n->lost_batches, 2);
	free(nodes);
}
END_TEST

START_TEST(a_node_that_never_sent_is_missing_from_its_beginning_on)
{
	home_add_node("web-1", at("2026-11-22", 12));
	ck_assert_str_eq(missing("2026-11-22", at("2026-11-22", 13)), "silent");
	ck_assert_str_eq(missing("2026-11-21", at("2026-11-22", 13)), "");
	ck_assert_str_eq(verdict_of_node(at("2026-11-22", 13)), "never");
}
END_TEST

START_TEST(lost_events_are_shown_where_they_were_lost)
{
	struct maker m = begin("web-1", at("2026-11-22", 12));
	json_t *j;

	home_add_node("web-1", at("2026-11-22", 12));
	m.meta.lost = 3;
	m.meta.udp_dropped = 14;
	store_closed(&m);
	j = answer(ASK("summary", NOW, NOV("22"), ));
	ck_assert_int_eq(number(j, "lost"), 17);
	json_decref(j);
	j = answer(ASK("summary", NOW, NOV("21"), ));
	ck_assert_int_eq(number(j, "lost"), 0);
	json_decref(j);
	j = answer(ASK("nodes", NOW, ));
	ck_assert_int_eq(number(item(j, "nodes", 0), "lost"), 17);
	json_decref(j);
}
END_TEST

/* -- the books -- */

START_TEST(the_ledger_balances_and_names_reasons)
{
	struct maker m = begin("web-1", at("2026-11-22", 12));
	const json_t *totals, *row;
	json_t *j;

	home_add_node("web-1", at("2026-11-22", 12));
	add_view(&m, at("2026-11-22", 12), 1, 1);
	m.meta.ledger.count[SOURCE_BEACON][REASON_BOT_USER_AGENT] = 5;
	m.meta.ledger.count[SOURCE_DATAGRAM][REASON_INVALID_TYPE] = 2;
	store_closed(&m);
	j = answer(ASK("ledger", NOW, NOV("22"), ));
	row = item(j, "rows", 0);
	ck_assert_str_eq(string(row, "node"), "web-1");
	ck_assert_str_eq(string(row, "hour"), "2026-11-22T11:00:00.000Z");
	ck_assert_str_eq(string(row, "verdict"), "complete");
	ck_assert_int_eq(number(row, "received"), 8);
	ck_assert_int_eq(number(json_object_get(row, "reasons"), "bot.user_agent"), 5);
	totals = json_object_get(j, "totals");
	ck_assert_int_eq(number(totals, "received"),
			 number(totals, "accepted") + number(totals, "duplicate") +
			     number(totals, "bot") + number(totals, "limited") +
			     number(totals, "invalid") + number(totals, "shed"));
	ck_assert_int_eq(number(totals, "accepted"), number(totals, "stored"));
	ck_assert_int_eq(number(totals, "invalid"), 2);
	ck_assert_int_eq(number(totals, "merged"), 0);
	json_decref(j);
	j = answer(ASK("ledger", NOW, NOV("21"), ));
	ck_assert_uint_eq(json_array_size(json_object_get(j, "rows")), 0);
	json_decref(j);
}
END_TEST

/* Hour 12 came with losses; 13 and 14 are owed: known to be unknown, in no sum. */
START_TEST(an_hour_that_is_owed_has_a_row_of_nulls_and_says_since_when)
{
	struct maker m = begin("web-1", at("2026-11-22", 12));
	const json_t *row;
	json_t *j;

	home_add_node("web-1", at("2026-11-22", 12));
	m.meta.lost = 3;
	store_closed(&m);
	j = answer(ASK("ledger", at("2026-11-22", 13) + 60000, NOV("22"), ));
	ck_assert_uint_eq(json_array_size(json_object_get(j, "rows")), 1);
	ck_assert_str_eq(string(item(j, "rows", 0), "verdict"), "lost");
	json_decref(j);
	j = answer(ASK("ledger", NOW, NOV("22"), ));
	ck_assert_uint_eq(json_array_size(json_object_get(j, "rows")), 3);
	row = item(j, "rows", 1);
	ck_assert_str_eq(string(row, "hour"), "2026-11-22T12:00:00.000Z");
	ck_assert_str_eq(string(row, "verdict"), "waiting");
	ck_assert_str_eq(string(row, "since"), "2026-11-22T12:00:00.000Z");
	ck_assert(json_is_null(json_object_get(row, "received")));
	ck_assert_int_eq(number(json_object_get(j, "totals"), "received"), 0);
	json_decref(j);
	j = answer(ASK("ledger", at("2026-11-22", 18), NOV("22"), ));
	ck_assert_str_eq(string(item(j, "rows", 5), "verdict"), "silent");
	json_decref(j);
	j = answer(ASK("ledger", at("2026-11-29", 18), "from", "2026-11-22", "to", "2026-11-29", ));
	ck_assert_uint_eq(json_array_size(json_object_get(j, "rows")), 1 + 48);
	json_decref(j);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("query_nodes");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, open_query, close_query);
	tcase_set_timeout(t, 120); /* a store each, under a sanitizer */
	tcase_add_test(t, a_range_is_complete_up_to_the_last_finished_interval);
	tcase_add_test(t, a_batch_that_does_not_close_an_interval_completes_nothing);
	tcase_add_test(t, a_number_that_is_known_lost_is_said_where_it_was_lost);
	tcase_add_test(t, a_missing_number_is_waited_for_until_it_comes);
	tcase_add_test(t, a_number_that_will_never_come_concerns_its_time_only);
	tcase_add_test(t, a_node_that_never_sent_is_missing_from_its_beginning_on);
	tcase_add_test(t, lost_events_are_shown_where_they_were_lost);
	tcase_add_test(t, the_ledger_balances_and_names_reasons);
	tcase_add_test(t, an_hour_that_is_owed_has_a_row_of_nulls_and_says_since_when);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
