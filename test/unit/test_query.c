/* The API's numbers, asked of a real store that was fed batches written down by hand. */
#include "central_home.h"

#include <jansson.h>
#include <string.h>

#include "central/query.h"
#include "central/store_care.h"

#define ROOM 64

static struct query *query;
static uint64_t seq;

/* Days of Paris: midnight is 23:00 of UTC in November. */
static int64_t
at(const char *day, int hour)
{
	int64_t start_ms = 0;

	ck_assert_msg(calendar_parse_day(text_of(day), &start_ms), "%s", day);
	return start_ms + hour * HOUR_MS;
}

static void
open_query(void)
{
	home_open("Europe/Paris", "day");
	ck_assert_int_eq(query_new(home.conf, home.store, home.auth, &query), 0);
	seq = 0;
}

static void
close_query(void)
{
	query_free(query);
	home_close();
}

static void
reopen(const char *rotation)
{
	close_query();
	home_open("Europe/Paris", rotation);
	ck_assert_int_eq(query_new(home.conf, home.store, home.auth, &query), 0);
}

/* -- feeding -- */

static struct maker
begin(const char *node, int64_t from_ms)
{
	struct maker m;

	maker_begin(&m, node, 1, ++seq, hour_of(from_ms), ROOM);
	return m;
}

/* Closes its hour, and arrives a second later. */
static void
store_closed(struct maker *m)
{
	m->meta.closes_ms = m->meta.until_ms;
	ck_assert_int_eq(home_store(m, m->meta.until_ms + 1000), STORE_STORED);
}

static void
add_view(struct maker *m, int64_t ts_ms, unsigned content, uint64_t visitor)
{
	struct event e = view_of(ts_ms, content, visitor);

	maker_add(m, &e);
}

/* -- asking -- */

static const char *
get(const void *ctx, const char *name)
{
	const char *const *pairs = ctx;

	for (; pairs[0]; pairs += 2)
		if (strcmp(pairs[0], name) == 0)
			return pairs[1];
	return NULL;
}

static struct query_result
ask(const char *question, int64_t now_ms, const char *const *pairs)
{
	struct query_args args = {.get = get, .ctx = pairs, .now_ms = now_ms, .user = "ann"};
	struct query_result r;

	query_ask(query, question, &args, &r);
	return r;
}

#define ASK(question, now_ms, ...) ask(question, now_ms, (const char *const[]){__VA_ARGS__ NULL})

static json_t *
answer(struct query_result r)
{
	ck_assert_msg(r.status == 200, "%u: %s", r.status, r.error);
	return r.json;
}

static json_int_t
number(const json_t *j, const char *name)
{
	const json_t *n = json_object_get(j, name);

	ck_assert_msg(json_is_integer(n), "%s", name);
	return json_integer_value(n);
}

static const char *
string(const json_t *j, const char *name)
{
	const json_t *s = json_object_get(j, name);

	ck_assert_msg(json_is_string(s), "%s", name);
	return json_string_value(s);
}

static const json_t *
item(const json_t *j, const char *name, size_t i)
{
	const json_t *array = json_object_get(j, name);

	ck_assert_msg(i < json_array_size(array), "%s has %zu items", name, json_array_size(array));
	return json_array_get(array, i);
}

#define NOW at("2026-11-22", 15)
#define NOV(d) "from", "2026-11-" d, "to", "2026-11-" d

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
	tcase_add_test(t, a_range_is_complete_up_to_the_last_finished_interval);
	tcase_add_test(t, a_batch_that_does_not_close_an_interval_completes_nothing);
	tcase_add_test(t, a_number_that_is_known_lost_is_said_where_it_was_lost);
	tcase_add_test(t, a_missing_number_is_waited_for_until_it_comes);
	tcase_add_test(t, a_number_that_will_never_come_concerns_its_time_only);
	tcase_add_test(t, a_node_that_never_sent_is_missing_from_its_beginning_on);
	tcase_add_test(t, lost_events_are_shown_where_they_were_lost);
	tcase_add_test(t, the_ledger_balances_and_names_reasons);
	tcase_add_test(t, an_hour_that_is_owed_has_a_row_of_nulls_and_says_since_when);
	tcase_add_test(t, me_tells_what_there_is_to_choose_from);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
