/* Bots as the API shows them: by name and by reason, together what the ledger says. */
#include "central_home.h"

#include <jansson.h>
#include <string.h>

#include "central/query.h"

static struct query *query;

/* Days of Paris: midnight is 23:00 of UTC in November. */
static int64_t
at(const char *day, int hour)
{
	int64_t start_ms = 0;

	ck_assert_msg(calendar_parse_day(text_of(day), &start_ms), "%s", day);
	return start_ms + hour * HOUR_MS;
}

static void
set_up(void)
{
	home_open("Europe/Paris", "day");
	ck_assert_int_eq(query_new(home.conf, home.store, home.auth, &query), 0);
}

static void
tear_down(void)
{
	query_free(query);
	home_close();
}

static struct maker
begin(const char *node, uint64_t seq, int64_t from_ms)
{
	struct maker m;

	maker_begin(&m, node, 1, seq, from_ms, 4);
	return m;
}

static void
store(struct maker *m)
{
	m->meta.closes_ms = m->meta.until_ms;
	ck_assert_int_eq(home_store(m, m->meta.until_ms + 1000), STORE_STORED);
}

/* Two nodes on 22 and 23 November; web-1's last hour of the 22nd is 22:00 of UTC. */
static void
fill(void)
{
	struct maker m = begin("web-1", 1, at("2026-11-22", 12));
	struct event e = view_of(at("2026-11-22", 12), 1, 1);

	maker_add(&m, &e);
	maker_add_bot(&m, "Bingbot", 3, 1);
	maker_add_bot(&m, "Googlebot", 10, 0);
	m.meta.ledger.count[SOURCE_BEACON][REASON_BOT_USER_AGENT] += 2;
	m.meta.ledger.count[SOURCE_BEACON][REASON_BOT_HEADERS] = 5;
	m.meta.ledger.count[SOURCE_BEACON][REASON_INVALID_ID] = 79;
	store(&m);
	m = begin("web-1", 2, at("2026-11-22", 23));
	maker_add_bot(&m, "Bingbot", 0, 20);
	store(&m);
	m = begin("web-2", 1, at("2026-11-23", 0));
	maker_add_bot(&m, "Googlebot", 100, 0);
	maker_add_bot(&m, "curl", 0, 7);
	m.meta.ledger.count[SOURCE_BEACON][REASON_BOT_OPTED_OUT] = 4;
	store(&m);
}

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
ask(const char *const *pairs)
{
	struct query_args args = {
	    .get = get, .ctx = pairs, .now_ms = at("2026-11-24", 12), .user = "ann"};
	struct query_result r;

	query_ask(query, "bots", &args, &r);
	return r;
}

#define ASK(...) ask((const char *const[]){__VA_ARGS__ NULL})
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

	ck_assert_msg(r.status == 200, "%u: %s", r.status, r.error);
	text[0] = '\0';
	json_array_foreach(json_object_get(r.json, "rows"), i, row)
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
number(const char *name, struct query_result r)
{
	json_int_t n;

	ck_assert_uint_eq(r.status, 200);
	n = json_integer_value(json_object_get(r.json, name));
	json_decref(r.json);
	return n;
}

START_TEST(names_come_first_by_events_and_reasons_stand_where_there_is_no_name)
{
	fill();
	ck_assert_str_eq(rows_of(ASK(DAYS("22", "23"), )),
			 "Googlebot user_agent 110, Bingbot user_agent 24, curl user_agent 7, "
			 "- headers 5, - opted_out 4, other user_agent 2");
	ck_assert_int_eq(number("bots", ASK(DAYS("22", "23"), )), 152);
	ck_assert_int_eq(number("received", ASK(DAYS("22", "23"), )), 152 + 1 + 79);
	ck_assert_int_eq(number("more", ASK(DAYS("22", "23"), )), 0);
}
END_TEST

START_TEST(a_day_is_the_sites_and_holds_the_hours_that_begin_in_it)
{
	fill();
	ck_assert_str_eq(rows_of(ASK(DAYS("22", "22"), )),
			 "Bingbot user_agent 24, Googlebot user_agent 10, - headers 5, "
			 "other user_agent 2");
	ck_assert_str_eq(rows_of(ASK(DAYS("23", "23"), )),
			 "Googlebot user_agent 100, curl user_agent 7, - opted_out 4");
	ck_assert_str_eq(rows_of(ASK(DAYS("24", "24"), )), "");
}
END_TEST

START_TEST(node_source_and_reason_narrow_the_rows_down)
{
	fill();
	ck_assert_str_eq(rows_of(ASK(DAYS("22", "23"), "node", "web-2", )),
			 "Googlebot user_agent 100, curl user_agent 7, - opted_out 4");
	ck_assert_str_eq(rows_of(ASK(DAYS("22", "23"), "source", "datagram", )),
			 "Bingbot user_agent 21, curl user_agent 7");
	ck_assert_str_eq(rows_of(ASK(DAYS("22", "23"), "reason", "headers", )), "- headers 5");
	ck_assert_str_eq(rows_of(ASK(DAYS("22", "23"), "reason", "user_agent", "node", "web-1", )),
			 "Bingbot user_agent 24, Googlebot user_agent 10, other user_agent 2");
	/* what is narrowed down to is a part of all bots, which stay to compare it with */
	ck_assert_int_eq(number("bots", ASK(DAYS("22", "23"), "reason", "headers", )), 152);
}
END_TEST

START_TEST(what_a_limit_leaves_out_is_counted)
{
	fill();
	ck_assert_str_eq(rows_of(ASK(DAYS("22", "23"), "limit", "2", )),
			 "Googlebot user_agent 110, Bingbot user_agent 24");
	ck_assert_int_eq(number("more", ASK(DAYS("22", "23"), "limit", "2", )), 4);
	ck_assert_int_eq(number("bots", ASK(DAYS("22", "23"), "limit", "2", )), 152);
}
END_TEST

START_TEST(every_reason_of_bots_is_listed_also_without_events)
{
	static const char *const wanted[] = {"user_agent", "no_user_agent", "headers", "prefetch",
					     "opted_out"};
	struct query_result r;
	json_t *row;
	size_t i;

	r = ASK(DAYS("22", "23"), );
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
	struct query_result r = ASK("reason", "shape", );

	ck_assert_uint_eq(r.status, 400);
	ck_assert_ptr_nonnull(strstr(r.error, "reason: must be user_agent"));
	r = ASK("reason", "first", ); /* of another verdict */
	ck_assert_uint_eq(r.status, 400);
	r = ASK("source", "pigeon", );
	ck_assert_uint_eq(r.status, 400);
	ck_assert_ptr_nonnull(strstr(r.error, "source: must be beacon or datagram"));
	r = ASK("node", "no node", );
	ck_assert_uint_eq(r.status, 400);
}
END_TEST

START_TEST(a_node_that_owes_its_hours_is_named)
{
	struct query_result r;

	home_add_node("web-1", at("2026-11-22", 0));
	home_add_node("web-2", at("2026-11-22", 0));
	fill(); /* both are silent by the 24th */
	r = ASK(DAYS("22", "23"), );
	ck_assert(json_is_false(json_object_get(r.json, "complete")));
	ck_assert_uint_eq(json_array_size(json_object_get(r.json, "missing")), 2);
	json_decref(r.json);
	r = ASK(DAYS("22", "22"), "node", "web-1", );
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

	tcase_add_checked_fixture(t, set_up, tear_down);
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
