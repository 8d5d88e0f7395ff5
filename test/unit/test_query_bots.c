/* Bots as the API shows them: by name and by reason, together what the ledger says. */
#include "query_home.h"

/* Two nodes on 22 and 23 November; web-1's last hour of the 22nd is 22:00 of UTC. */
static void
fill(void)
{
	struct maker m = begin("web-1", at("2026-11-22", 12));

	add_view(&m, at("2026-11-22", 12), 1, 1);
	maker_add_bot(&m, "Bingbot", 3, 1);
	maker_add_bot(&m, "Googlebot", 10, 0);
	m.meta.ledger.count[SOURCE_BEACON][REASON_BOT_USER_AGENT] += 2;
	m.meta.ledger.count[SOURCE_BEACON][REASON_BOT_HEADERS] = 5;
	m.meta.ledger.count[SOURCE_BEACON][REASON_INVALID_ID] = 79;
	store_closed(&m);
	m = begin("web-1", at("2026-11-22", 23));
	maker_add_bot(&m, "Bingbot", 0, 20);
	store_closed(&m);
	seq = 0; /* its first */
	m = begin("web-2", at("2026-11-23", 0));
	maker_add_bot(&m, "Googlebot", 100, 0);
	maker_add_bot(&m, "curl", 0, 7);
	m.meta.ledger.count[SOURCE_BEACON][REASON_BOT_OPTED_OUT] = 4;
	store_closed(&m);
}

#define BOTS(...) ASK("bots", at("2026-11-24", 12), __VA_ARGS__)
#define DAYS(from, to) "from", "2026-11-" from, "to", "2026-11-" to

/* The rows as "name reason events, …". */
static const char *
rows_of(struct query_result r)
{
	static char text[1024];
	const char *name, *reason;
	json_int_t events;
	json_t *row;
	size_t i;

	text[0] = '\0';
	json_array_foreach(json_object_get(answer(r), "rows"), i, row)
	{
		name = json_string_value(json_object_get(row, "name"));
		reason = json_string_value(json_object_get(row, "reason"));
		events = json_integer_value(json_object_get(row, "events"));
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %s %lld",
			 i ? ", " : "", name ? name : "-", reason, (long long)events);
	}
	json_decref(r.json);
	return text;
}

static json_int_t
number_in(struct query_result r, const char *name)
{
	json_int_t n = number(answer(r), name);

	json_decref(r.json);
	return n;
}

START_TEST(names_come_first_by_events_and_reasons_stand_where_there_is_no_name)
{
	fill();
	ck_assert_str_eq(rows_of(BOTS(DAYS("22", "23"), )),
			 "Googlebot user_agent 110, Bingbot user_agent 24, curl user_agent 7, "
			 "- headers 5, - opted_out 4, other user_agent 2");
	ck_assert_int_eq(number_in(BOTS(DAYS("22", "23"), ), "bots"), 152);
	ck_assert_int_eq(number_in(BOTS(DAYS("22", "23"), ), "received"), 152 + 1 + 79);
	ck_assert_int_eq(number_in(BOTS(DAYS("22", "23"), ), "more"), 0);
}
END_TEST

START_TEST(a_day_is_the_sites_and_holds_the_hours_that_begin_in_it)
{
	fill();
	ck_assert_str_eq(rows_of(BOTS(DAYS("22", "22"), )),
			 "Bingbot user_agent 24, Googlebot user_agent 10, - headers 5, "
			 "other user_agent 2");
	ck_assert_str_eq(rows_of(BOTS(DAYS("23", "23"), )),
			 "Googlebot user_agent 100, curl user_agent 7, - opted_out 4");
	ck_assert_str_eq(rows_of(BOTS(DAYS("24", "24"), )), "");
}
END_TEST

START_TEST(node_source_and_reason_narrow_the_rows_down)
{
	fill();
	ck_assert_str_eq(rows_of(BOTS(DAYS("22", "23"), "node", "web-2", )),
			 "Googlebot user_agent 100, curl user_agent 7, - opted_out 4");
	ck_assert_str_eq(rows_of(BOTS(DAYS("22", "23"), "source", "datagram", )),
			 "Bingbot user_agent 21, curl user_agent 7");
	ck_assert_str_eq(rows_of(BOTS(DAYS("22", "23"), "reason", "headers", )), "- headers 5");
	ck_assert_str_eq(rows_of(BOTS(DAYS("22", "23"), "reason", "user_agent", "node", "web-1", )),
			 "Bingbot user_agent 24, Googlebot user_agent 10, other user_agent 2");
	/* what is narrowed down to is a part of all bots, which stay to compare it with */
	ck_assert_int_eq(number_in(BOTS(DAYS("22", "23"), "reason", "headers", ), "bots"), 152);
}
END_TEST

START_TEST(what_a_limit_leaves_out_is_counted)
{
	fill();
	ck_assert_str_eq(rows_of(BOTS(DAYS("22", "23"), "limit", "2", )),
			 "Googlebot user_agent 110, Bingbot user_agent 24");
	ck_assert_int_eq(number_in(BOTS(DAYS("22", "23"), "limit", "2", ), "more"), 4);
	ck_assert_int_eq(number_in(BOTS(DAYS("22", "23"), "limit", "2", ), "bots"), 152);
}
END_TEST

START_TEST(every_reason_of_bots_is_listed_also_without_events)
{
	static const char *const wanted[] = {"user_agent", "no_user_agent", "headers", "prefetch",
					     "opted_out"};
	struct query_result r;
	json_t *row;
	size_t i;

	r = BOTS(DAYS("22", "23"), );
	json_array_foreach(json_object_get(r.json, "reasons"), i, row)
	{
		ck_assert_str_eq(json_string_value(json_object_get(row, "reason")), wanted[i]);
		ck_assert_int_eq(json_integer_value(json_object_get(row, "events")), 0);
	}
	ck_assert_uint_eq(i, 5);
	json_decref(r.json);
}
END_TEST

START_TEST(a_wrong_argument_is_named)
{
	struct query_result r = BOTS("reason", "shape", );

	ck_assert_uint_eq(r.status, 400);
	ck_assert_ptr_nonnull(strstr(r.error, "reason: must be user_agent"));
	r = BOTS("reason", "first", ); /* of another verdict */
	ck_assert_uint_eq(r.status, 400);
	r = BOTS("source", "pigeon", );
	ck_assert_uint_eq(r.status, 400);
	ck_assert_ptr_nonnull(strstr(r.error, "source: must be beacon or datagram"));
	r = BOTS("node", "no node", );
	ck_assert_uint_eq(r.status, 400);
}
END_TEST

START_TEST(a_node_that_owes_its_hours_is_named)
{
	struct query_result r;

	home_add_node("web-1", at("2026-11-22", 0));
	home_add_node("web-2", at("2026-11-22", 0));
	fill(); /* both are silent by the 24th */
	r = BOTS(DAYS("22", "23"), );
	ck_assert(json_is_false(json_object_get(r.json, "complete")));
	ck_assert_uint_eq(json_array_size(json_object_get(r.json, "missing")), 2);
	json_decref(r.json);
	r = BOTS(DAYS("22", "22"), "node", "web-1", );
	ck_assert(json_is_true(json_object_get(r.json, "complete")));
	json_decref(r.json);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("query_bots");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, open_query, close_query);
	tcase_set_timeout(t, 120); /* a store each, under a sanitizer */
	tcase_add_test(t, names_come_first_by_events_and_reasons_stand_where_there_is_no_name);
	tcase_add_test(t, a_day_is_the_sites_and_holds_the_hours_that_begin_in_it);
	tcase_add_test(t, node_source_and_reason_narrow_the_rows_down);
	tcase_add_test(t, what_a_limit_leaves_out_is_counted);
	tcase_add_test(t, every_reason_of_bots_is_listed_also_without_events);
	tcase_add_test(t, a_wrong_argument_is_named);
	tcase_add_test(t, a_node_that_owes_its_hours_is_named);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
