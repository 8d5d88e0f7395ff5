/* The API's numbers, asked of a real store that was fed batches written down by hand. */
#include "central/store_care.h"
#include "query_home.h"

/* Three days. 20: visitor 1 looks twice at content 1 (once a repeat), visitor 2 once. 21: nothing.
 * 22: visitor 1 at contents 1 and 2. */
static void
feed(void)
{
	struct maker m = begin("web-1", at("2026-11-20", 10));
	struct event e = view_of(at("2026-11-20", 10) + 1, 1, 1);

	home_add_node("web-1", at("2026-11-20", 9));
	maker_add(&m, &e);
	e.repeat = true;
	maker_add(&m, &e);
	add_view(&m, at("2026-11-20", 10) + 2, 1, 2);
	store_closed(&m);
	m = begin("web-1", at("2026-11-22", 13));
	add_view(&m, at("2026-11-22", 13), 1, 1);
	add_view(&m, at("2026-11-22", 13), 2, 1);
	store_closed(&m);
}

START_TEST(summary_counts_views_visitors_and_repeats)
{
	json_t *j;

	feed();
	j = answer(ASK("summary", NOW, "from", "2026-11-20", "to", "2026-11-22", ));
	ck_assert_int_eq(number(j, "total_views"), 5);
	ck_assert_int_eq(number(j, "views"), 4);
	ck_assert_int_eq(number(j, "visitors"), 3); /* 1 and 2, and 1 under another day's salt */
	ck_assert_int_eq(number(j, "unique_views"), 4);
	ck_assert_int_eq(number(j, "lost"), 0);
	ck_assert_str_eq(string(j, "from"), "2026-11-20");
	ck_assert_str_eq(string(j, "time_zone"), "Europe/Paris");
	json_decref(j);
	j = answer(ASK("summary", NOW, NOV("20"), ));
	ck_assert_int_eq(number(j, "views"), 2);
	ck_assert_int_eq(number(j, "visitors"), 2);
	json_decref(j);
}
END_TEST

START_TEST(a_day_is_one_of_the_sites_zone)
{
	struct maker m = begin("web-1", at("2026-11-20", 0));
	json_t *j;

	add_view(&m, at("2026-11-20", 0), 1, 1);     /* 2026-11-19T23:00Z */
	add_view(&m, at("2026-11-20", 0) - 1, 1, 1); /* a millisecond before */
	store_closed(&m);
	j = answer(ASK("summary", NOW, NOV("20"), ));
	ck_assert_int_eq(number(j, "views"), 1);
	json_decref(j);
	j = answer(ASK("summary", NOW, NOV("19"), ));
	ck_assert_int_eq(number(j, "views"), 1);
	json_decref(j);
}
END_TEST

START_TEST(visitors_of_a_week_long_salt_are_counted_once_a_week)
{
	struct maker m;
	json_t *j;

	reopen("week");
	m = begin("web-1", at("2026-11-18", 10));
	add_view(&m, at("2026-11-18", 10), 1, 1);
	add_view(&m, at("2026-11-19", 10), 1, 1); /* the same week */
	add_view(&m, at("2026-11-23", 10), 1, 1); /* Monday */
	store_closed(&m);
	j = answer(ASK("summary", NOW, "from", "2026-11-16", "to", "2026-11-23", ));
	ck_assert_int_eq(number(j, "visitors"), 2);
	ck_assert_int_eq(number(j, "unique_views"), 3);
	json_decref(j);
	j = answer(ASK("top", NOW, "from", "2026-11-16", "to", "2026-11-23", ));
	ck_assert_int_eq(number(item(j, "rows", 0), "visitors"), 2);
	json_decref(j);
}
END_TEST

/* Other than video, and of another site. */
static void
feed_types_and_sites(void)
{
	struct maker m = begin("web-1", at("2026-11-20", 10));
	struct event e = view_of(at("2026-11-20", 10), 1, 1);

	maker_add(&m, &e);
	e.site = TEXT_LIT("shop");
	maker_add(&m, &e);
	e.visitor = visitor_of(2);
	e.type = TEXT_LIT("pdf");
	e.referrer = TEXT_LIT("example.org");
	maker_add(&m, &e);
	store_closed(&m);
}

START_TEST(type_and_site_narrow_the_numbers_down)
{
	static const struct {
		const char *pairs[9];
		int views, visitors;
	} cases[] = {
	    {{NOV("20")}, 3, 2},
	    {{NOV("20"), "type", "video"}, 2, 1},
	    {{NOV("20"), "type", "pdf"}, 1, 1},
	    {{NOV("20"), "type", "audio"}, 0, 0},
	    {{NOV("20"), "site", "shop"}, 2, 2},
	    {{NOV("20"), "site", "default"}, 1, 1},
	    {{NOV("20"), "site", "shop", "type", "video"}, 1, 1},
	    {{NOV("20"), "site", "", "type", ""}, 3, 2},
	};
	json_t *j;
	size_t i;

	feed_types_and_sites();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		j = answer(ask("summary", NOW, cases[i].pairs));
		ck_assert_msg(number(j, "views") == cases[i].views, "views of case %zu", i);
		ck_assert_msg(number(j, "visitors") == cases[i].visitors, "visitors of case %zu",
			      i);
		json_decref(j);
		j = answer(ask("series", NOW, cases[i].pairs));
		ck_assert_msg(json_integer_value(json_object_get(item(j, "points", 0), "views")) ==
				  cases[i].views,
			      "series of case %zu", i);
		json_decref(j);
	}
}
END_TEST

START_TEST(series_has_every_period_and_null_where_nothing_is_known)
{
	json_t *j;

	feed();
	j = answer(ASK("series", NOW, "from", "2026-11-19", "to", "2026-11-23", ));
	ck_assert_str_eq(string(j, "grain"), "day");
	ck_assert_uint_eq(json_array_size(json_object_get(j, "points")), 5);
	ck_assert_str_eq(string(item(j, "points", 0), "t"), "2026-11-19");
	ck_assert(json_is_null(json_object_get(item(j, "points", 0), "views"))); /* before all */
	ck_assert_int_eq(number(item(j, "points", 1), "views"), 2);
	ck_assert_int_eq(number(item(j, "points", 1), "total_views"), 3);
	ck_assert_int_eq(number(item(j, "points", 1), "visitors"), 2);
	ck_assert_int_eq(number(item(j, "points", 2), "views"), 0); /* a day without a visit */
	ck_assert_int_eq(number(item(j, "points", 3), "views"), 2);
	ck_assert(json_is_null(json_object_get(item(j, "points", 4), "visitors"))); /* to come */
	ck_assert(json_is_false(json_object_get(item(j, "points", 4), "complete")));
	json_decref(j);
}
END_TEST

START_TEST(hours_that_retain_removed_are_unknown_and_days_are_not)
{
	struct store_retained sum;
	struct maker m;
	json_t *j;
	int hour;

	feed();
	ck_assert_int_eq(store_retain(home.store, 0, at("2026-11-21", 12), NULL, &sum), 0);
	ck_assert_uint_gt(sum.rows, 0);
	m = begin("web-1", at("2026-11-20", 10)); /* a late one: not all of its hour */
	add_view(&m, at("2026-11-20", 10), 1, 9);
	store_closed(&m);
	j = answer(ASK("series", NOW, "grain", "hour", "from", "2026-11-20", "to", "2026-11-21", ));
	for (hour = 0; hour < 24; hour++) {
		const json_t *point = item(j, "points", (size_t)hour);

		ck_assert(json_is_null(json_object_get(point, "views")));
		ck_assert(json_is_null(json_object_get(point, "visitors")));
		ck_assert(json_is_null(json_object_get(point, "total_views")));
		ck_assert(json_is_false(json_object_get(point, "complete")));
	}
	ck_assert_int_eq(number(item(j, "points", 24), "views"), 0); /* kept, and nobody came */
	json_decref(j);
	j = answer(ASK("series", NOW, "from", "2026-11-20", "to", "2026-11-20", ));
	ck_assert_int_eq(number(item(j, "points", 0), "views"), 3);
	json_decref(j);
}
END_TEST

START_TEST(hours_carry_their_offset_and_a_long_day_has_25)
{
	struct maker m = begin("web-1", at("2026-10-25", 0));
	json_t *j;

	add_view(&m, at("2026-10-25", 3), 1, 1); /* the second 02:00 */
	store_closed(&m);
	j = answer(ASK("series", NOW, "grain", "hour", "from", "2026-10-25", "to", "2026-10-25", ));
	ck_assert_uint_eq(json_array_size(json_object_get(j, "points")), 25);
	ck_assert_str_eq(string(item(j, "points", 2), "t"), "2026-10-25T02:00:00+02:00");
	ck_assert_str_eq(string(item(j, "points", 3), "t"), "2026-10-25T02:00:00+01:00");
	ck_assert_int_eq(number(item(j, "points", 3), "views"), 1);
	json_decref(j);
}
END_TEST

START_TEST(months_of_a_range_add_up_to_its_summary)
{
	struct maker m = begin("web-1", at("2026-10-10", 10));
	json_t *j;

	add_view(&m, at("2026-10-10", 10), 1, 1); /* outside */
	add_view(&m, at("2026-10-20", 10), 1, 1);
	add_view(&m, at("2026-10-21", 10), 1, 1);
	add_view(&m, at("2026-11-01", 10), 1, 1);
	store_closed(&m);
	j = answer(
	    ASK("series", NOW, "grain", "month", "from", "2026-10-15", "to", "2026-11-05", ));
	ck_assert_uint_eq(json_array_size(json_object_get(j, "points")), 2);
	ck_assert_str_eq(string(item(j, "points", 0), "t"), "2026-10");
	ck_assert_int_eq(number(item(j, "points", 0), "views"), 2);
	ck_assert_int_eq(number(item(j, "points", 0), "visitors"), 2); /* one a day */
	ck_assert_int_eq(number(item(j, "points", 1), "views"), 1);
	json_decref(j);
}
END_TEST

START_TEST(top_is_in_a_fixed_order_and_limited)
{
	struct maker m = begin("web-1", at("2026-11-20", 10));
	unsigned content;
	json_t *j;

	for (content = 5; content >= 1; content--) /* 3 has two views, 5 two visitors */
		add_view(&m, at(content == 4 ? "2026-11-19" : "2026-11-20", 10), content, 1);
	add_view(&m, at("2026-11-20", 11), 3, 1);
	add_view(&m, at("2026-11-20", 11), 5, 2);
	store_closed(&m);
	j = answer(ASK("top", NOW, "from", "2026-11-19", "to", "2026-11-20", "limit", "3", ));
	ck_assert_uint_eq(json_array_size(json_object_get(j, "rows")), 3);
	ck_assert_str_eq(string(item(j, "rows", 0), "id"), "05000000-0000-0000-0000-000000000000");
	ck_assert_int_eq(number(item(j, "rows", 0), "visitors"), 2);
	ck_assert_str_eq(string(item(j, "rows", 1), "id"), "03000000-0000-0000-0000-000000000000");
	ck_assert_int_eq(number(item(j, "rows", 1), "visitors"), 1);
	ck_assert_str_eq(string(item(j, "rows", 2), "id"), "01000000-0000-0000-0000-000000000000");
	ck_assert_str_eq(string(item(j, "rows", 2), "type"), "video");
	ck_assert_str_eq(string(item(j, "rows", 2), "site"), "default");
	json_decref(j);
	j = answer(ASK("top", NOW, NOV("20"), "type", "vide", ));
	ck_assert_uint_eq(json_array_size(json_object_get(j, "rows")), 0);
	json_decref(j);
}
END_TEST

START_TEST(top_and_breakdown_add_thousands_of_keys_up_over_days)
{
	struct maker m;
	struct event e;
	unsigned i, day;
	char host[32];
	json_t *j;

	for (day = 0; day < 2; day++) {
		maker_begin(&m, "web-1", 1, ++seq, at("2026-11-20", 10 + 24 * (int)day), 4000);
		for (i = 0; i < 3000; i++) {
			e = view_of(at("2026-11-20", 10 + 24 * (int)day), i, i);
			snprintf(host, sizeof(host), "h%u.example", i);
			e.referrer = text_of(host);
			maker_add(&m, &e);
		}
		e = view_of(at("2026-11-20", 10 + 24 * (int)day), 77, 9999);
		maker_add(&m, &e);
		store_closed(&m);
	}
	j = answer(ASK("top", NOW, "from", "2026-11-20", "to", "2026-11-21", "limit", "1000", ));
	ck_assert_uint_eq(json_array_size(json_object_get(j, "rows")), 1000);
	ck_assert_str_eq(string(item(j, "rows", 0), "id"), "4d000000-0000-0000-0000-000000000000");
	ck_assert_int_eq(number(item(j, "rows", 0), "views"), 4);
	ck_assert_int_eq(number(item(j, "rows", 0), "visitors"), 4);
	ck_assert_int_eq(number(item(j, "rows", 999), "views"), 2);
	json_decref(j);
	j = answer(ASK("breakdown", NOW, "dim", "referrer", "from", "2026-11-20", "to",
		       "2026-11-21", "limit", "2", ));
	ck_assert_str_eq(string(item(j, "rows", 0), "key"), ""); /* direct: 2, and first by key */
	ck_assert_int_eq(number(item(j, "rows", 0), "views"), 2);
	json_decref(j);
}
END_TEST

START_TEST(breakdown_merges_visitors_of_all_sites)
{
	static const struct {
		const char *dim, *key;
		int views, visitors;
	} cases[] = {
	    {"site", "shop", 2, 2},      {"type", "video", 2, 1},      {"event", "view", 3, 2},
	    {"referrer", "", 2, 1},      {"browser", "unknown", 3, 2}, {"system", "unknown", 3, 2},
	    {"device", "unknown", 3, 2}, {"country", "", 3, 2},        {"node", "web-1", 3, 2},
	    {"source", "beacon", 3, 2},
	};
	json_t *j;
	size_t i;

	feed_types_and_sites();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		j = answer(ASK("breakdown", NOW, NOV("20"), "dim", cases[i].dim, ));
		ck_assert_str_eq(string(item(j, "rows", 0), "key"), cases[i].key);
		ck_assert_int_eq(number(item(j, "rows", 0), "views"), cases[i].views);
		ck_assert_int_eq(number(item(j, "rows", 0), "visitors"), cases[i].visitors);
		json_decref(j);
	}
}
END_TEST

START_TEST(a_content_has_its_own_days)
{
	json_t *j;

	feed();
	j = answer(ASK("content/video/01000000-0000-0000-0000-000000000000", NOW, "from",
		       "2026-11-20", "to", "2026-11-22", ));
	ck_assert_int_eq(number(j, "total_views"), 4);
	ck_assert_int_eq(number(j, "views"), 3);
	ck_assert_int_eq(number(j, "visitors"), 3);
	ck_assert_int_eq(number(j, "unique_views"), 3);
	ck_assert_int_eq(number(item(j, "points", 0), "views"), 2);
	ck_assert_int_eq(number(item(j, "points", 2), "views"), 1);
	json_decref(j);
	ck_assert_uint_eq(ASK("content/video", NOW, ).status, 404);
	ck_assert_uint_eq(ASK("content/video/", NOW, ).status, 404);
	ck_assert_uint_eq(ASK("content/vi deo/x", NOW, ).status, 404);
}
END_TEST

START_TEST(a_wrong_argument_is_named)
{
	static const struct {
		const char *question;
		const char *pairs[9];
		const char *names;
	} cases[] = {
	    {"summary", {"from", "yesterday"}, "from"},
	    {"summary", {"to", "2026-02-30"}, "to"},
	    {"summary", {"from", "2026-03-02", "to", "2026-03-01"}, "from"},
	    {"summary", {"from", "2000-01-01"}, "from"},
	    {"summary", {"type", "a b"}, "type"},
	    {"series", {"grain", "week"}, "grain"},
	    {"series", {"grain", "hour", "from", "2020-01-01"}, "grain"},
	    {"top", {"limit", "0"}, "limit"},
	    {"top", {"limit", "1001"}, "limit"},
	    {"top", {"limit", "5x"}, "limit"},
	    {"top", {"sort", "name"}, "sort"},
	    {"breakdown", {NULL}, "dim"},
	    {"breakdown", {"dim", "content"}, "dim"},
	    {"breakdown", {"dim", "referrer", "type", "video"}, "type"},
	};
	struct query_result r;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r = ask(cases[i].question, NOW, cases[i].pairs);
		ck_assert_msg(r.status == 400, "case %zu: %u", i, r.status);
		ck_assert_msg(strncmp(r.error, cases[i].names, strlen(cases[i].names)) == 0,
			      "case %zu: %s", i, r.error);
	}
	ck_assert_uint_eq(ASK("secrets", NOW, ).status, 404);
}
END_TEST

START_TEST(four_weeks_are_asked_for_when_nothing_is)
{
	json_t *j = answer(ASK("summary", NOW, ));

	ck_assert_str_eq(string(j, "from"), "2026-10-26");
	ck_assert_str_eq(string(j, "to"), "2026-11-22");
	ck_assert(json_is_true(json_object_get(j, "complete"))); /* there is no node to wait for */
	json_decref(j);
}
END_TEST

START_TEST(me_tells_what_there_is_to_choose_from)
{
	struct maker m = begin("web-1", at("2026-11-22", 13));
	struct event e = view_of(at("2026-11-22", 13), 1, 1);
	json_t *j, *types;

	home_add_node("web-1", at("2026-11-22", 12));
	e.type = TEXT_LIT("podcast");
	e.site = TEXT_LIT("shop");
	maker_add(&m, &e);
	store_closed(&m);
	j = answer(ASK("me", at("2026-11-22", 14) + 60000, ));
	ck_assert_str_eq(string(j, "user"), "ann");
	ck_assert_str_eq(string(j, "today"), "2026-11-22");
	ck_assert_str_eq(string(j, "next_data"), "2026-11-22T14:00:00.000Z");
	types = json_object_get(j, "types");
	ck_assert_str_eq(json_string_value(json_array_get(types, 0)), "video");
	ck_assert_str_eq(json_string_value(json_array_get(types, json_array_size(types) - 1)),
			 "podcast");
	ck_assert_str_eq(json_string_value(item(j, "sites", 0)), "shop");
	json_decref(j);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("query");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, open_query, close_query);
	tcase_set_timeout(t, 120); /* a store each, under a sanitizer */
	tcase_add_test(t, summary_counts_views_visitors_and_repeats);
	tcase_add_test(t, a_day_is_one_of_the_sites_zone);
	tcase_add_test(t, visitors_of_a_week_long_salt_are_counted_once_a_week);
	tcase_add_test(t, type_and_site_narrow_the_numbers_down);
	tcase_add_test(t, series_has_every_period_and_null_where_nothing_is_known);
	tcase_add_test(t, hours_that_retain_removed_are_unknown_and_days_are_not);
	tcase_add_test(t, hours_carry_their_offset_and_a_long_day_has_25);
	tcase_add_test(t, months_of_a_range_add_up_to_its_summary);
	tcase_add_test(t, top_is_in_a_fixed_order_and_limited);
	tcase_add_test(t, top_and_breakdown_add_thousands_of_keys_up_over_days);
	tcase_add_test(t, breakdown_merges_visitors_of_all_sites);
	tcase_add_test(t, a_content_has_its_own_days);
	tcase_add_test(t, a_wrong_argument_is_named);
	tcase_add_test(t, four_weeks_are_asked_for_when_nothing_is);
	tcase_add_test(t, me_tells_what_there_is_to_choose_from);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
