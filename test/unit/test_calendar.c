#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "central/calendar.h"

/* Check runs every test in a process of its own, so each may set the zone. */

static int64_t
day(const char *zone, const char *date)
{
	int64_t start_ms = -1;

	ck_assert_int_eq(calendar_init(zone), 0);
	ck_assert_msg(calendar_parse_day(text_of(date), &start_ms), "%s %s", zone, date);
	return start_ms;
}

static const char *
hour_text(int64_t t_ms)
{
	static char text[CALENDAR_TEXT];

	calendar_format(GRAIN_HOUR, t_ms, text);
	return text;
}

/* Every hour of a day, asserting that hours neither overlap nor leave the day: their number. */
static unsigned
hours_in(int64_t day_ms)
{
	int64_t next_day = calendar_next(GRAIN_DAY, day_ms), t = day_ms, next;
	unsigned n = 0;

	while (t < next_day) {
		next = calendar_next(GRAIN_HOUR, t);
		ck_assert(next > t && next - t <= HOUR_MS);
		ck_assert_int_eq(calendar_start(GRAIN_HOUR, t), t);
		ck_assert_int_eq(calendar_start(GRAIN_HOUR, next - 1), t);
		ck_assert_int_eq(calendar_start(GRAIN_DAY, next - 1), day_ms);
		t = next;
		n++;
	}
	ck_assert_int_eq(t, next_day);
	return n;
}

static double
day_hours(int64_t day_ms)
{
	return (double)(calendar_next(GRAIN_DAY, day_ms) - day_ms) / (double)HOUR_MS;
}

START_TEST(paris_has_days_of_23_and_25_hours)
{
	int64_t spring = day("Europe/Paris", "2026-03-29"),
		autumn = day("Europe/Paris", "2026-10-25");

	ck_assert_int_eq(spring, INT64_C(1774738800000)); /* 2026-03-28T23:00Z */
	ck_assert_double_eq(day_hours(spring), 23);
	ck_assert_uint_eq(hours_in(spring), 23);
	ck_assert_str_eq(hour_text(spring + 2 * HOUR_MS), "2026-03-29T03:00:00+02:00");
	ck_assert_double_eq(day_hours(autumn), 25);
	ck_assert_uint_eq(hours_in(autumn), 25);
	ck_assert_str_eq(hour_text(autumn + 2 * HOUR_MS), "2026-10-25T02:00:00+02:00");
	ck_assert_str_eq(hour_text(autumn + 3 * HOUR_MS), "2026-10-25T02:00:00+01:00");
	ck_assert_int_eq(calendar_start(GRAIN_MONTH, autumn), day("Europe/Paris", "2026-10-01"));
	ck_assert_int_eq(calendar_next(GRAIN_MONTH, day("Europe/Paris", "2026-10-01")),
			 day("Europe/Paris", "2026-11-01"));
}
END_TEST

START_TEST(zones_off_by_30_and_45_minutes_have_whole_hours)
{
	int64_t kolkata = day("Asia/Kolkata", "2026-05-01");
	int64_t kathmandu;

	ck_assert_int_eq(kolkata % HOUR_MS, HOUR_MS / 2);
	ck_assert_uint_eq(hours_in(kolkata), 24);
	ck_assert_int_eq(calendar_start(GRAIN_HOUR, kolkata + HOUR_MS + 1), kolkata + HOUR_MS);
	ck_assert_str_eq(hour_text(kolkata), "2026-05-01T00:00:00+05:30");
	kathmandu = day("Asia/Kathmandu", "2026-05-01");
	ck_assert_int_eq(kathmandu % HOUR_MS, HOUR_MS / 4);
	ck_assert_uint_eq(hours_in(kathmandu), 24);
	ck_assert_str_eq(hour_text(kathmandu + 13 * HOUR_MS), "2026-05-01T13:00:00+05:45");
}
END_TEST

START_TEST(lord_howe_changes_by_30_minutes)
{
	int64_t autumn = day("Australia/Lord_Howe", "2026-04-05");
	int64_t spring = day("Australia/Lord_Howe", "2026-10-04");

	ck_assert_double_eq(day_hours(autumn), 24.5);
	ck_assert_uint_eq(hours_in(autumn), 25); /* one of them from 01:30 to 02:00 */
	ck_assert_str_eq(hour_text(calendar_start(GRAIN_HOUR, autumn + 2 * HOUR_MS + 60000)),
			 "2026-04-05T01:30:00+10:30");
	ck_assert_double_eq(day_hours(spring), 23.5);
	ck_assert_uint_eq(hours_in(spring), 24);
	ck_assert_str_eq(hour_text(spring + 2 * HOUR_MS), "2026-10-04T02:30:00+11:00");
}
END_TEST

START_TEST(a_day_without_midnight_starts_at_one)
{
	int64_t start = day("America/Sao_Paulo", "2017-10-15"), end;

	ck_assert_str_eq(hour_text(start), "2017-10-15T01:00:00-02:00");
	ck_assert_double_eq(day_hours(start), 23);
	ck_assert_uint_eq(hours_in(start), 23);
	end = day("America/Sao_Paulo", "2018-02-17"); /* 23:00 comes twice */
	ck_assert_double_eq(day_hours(end), 25);
	ck_assert_uint_eq(hours_in(end), 25);
	/* November 2018 began in the same way, on the fourth */
	ck_assert_str_eq(hour_text(day("America/Sao_Paulo", "2018-11-04")),
			 "2018-11-04T01:00:00-02:00");
}
END_TEST

START_TEST(a_skipped_day_is_no_day)
{
	int64_t before = day("Pacific/Apia", "2011-12-29"),
		after = day("Pacific/Apia", "2011-12-31");
	int64_t none = 7;
	char text[CALENDAR_TEXT];

	ck_assert_int_eq(calendar_next(GRAIN_DAY, before), after);
	ck_assert_double_eq(day_hours(before), 24);
	ck_assert_int_eq(calendar_start(GRAIN_DAY, after - 1), before);
	ck_assert(!calendar_parse_day(TEXT_LIT("2011-12-30"), &none));
	ck_assert_int_eq(none, 7);
	calendar_format(GRAIN_DAY, after, text);
	ck_assert_str_eq(text, "2011-12-31");
	ck_assert_int_eq(calendar_next(GRAIN_MONTH, day("Pacific/Apia", "2011-12-01")),
			 day("Pacific/Apia", "2012-01-01"));
}
END_TEST

START_TEST(a_clock_put_back_over_midnight_starts_the_day_once)
{
	int64_t start = day("America/St_Johns", "2010-11-07"); /* 00:01 became 23:01 again */

	ck_assert_double_eq(day_hours(start), 25);
	ck_assert_int_eq(calendar_start(GRAIN_DAY, start + 30 * 60000), start);
	ck_assert_int_eq(calendar_next(GRAIN_DAY, day("America/St_Johns", "2010-11-06")), start);
	hours_in(start);
}
END_TEST

/* Periods must tile time without gap or overlap, in every kind of zone, over years of changes. */
START_TEST(periods_tile_time)
{
	static const char *const zones[] = {
	    "UTC",          "Europe/Paris",      "Asia/Kolkata",     "Australia/Lord_Howe",
	    "Pacific/Apia", "America/Sao_Paulo", "America/St_Johns", "Africa/Casablanca",
	    "Asia/Gaza",    "Pacific/Kwajalein", "America/Nuuk",     "Antarctica/Troll",
	    "Africa/Cairo", "Asia/Tehran",       "Pacific/Chatham",  "America/Havana",
	};
	int64_t until = INT64_C(1830297600000), t, next; /* 2028 */
	enum grain g;

	ck_assert_int_eq(calendar_init(zones[_i]), 0);
	for (g = GRAIN_DAY; g < GRAIN_N; g++) {
		t = calendar_start(g, INT64_C(725846400000)); /* 1993 */
		for (; t < until; t = next) {
			next = calendar_next(g, t);
			ck_assert(next > t);
			ck_assert_int_eq(calendar_start(g, t), t);
			ck_assert_int_eq(calendar_start(g, next - 1), t);
			ck_assert_int_eq(calendar_start(g, (t + next) / 2), t);
			ck_assert_int_eq(calendar_start(GRAIN_HOUR, t), t);
		}
	}
}
END_TEST

START_TEST(cache_gives_what_the_calendar_gives)
{
	struct calendar_cache c;
	int64_t t, base = day("Europe/Paris", "2026-03-28");
	enum grain g;

	calendar_cache_init(&c);
	for (t = base; t < base + 3 * DAY_MS; t += 7 * 60000 + 13)
		for (g = GRAIN_HOUR; g < GRAIN_N; g++)
			ck_assert_int_eq(calendar_cached_start(&c, g, t), calendar_start(g, t));
	ck_assert_int_eq(calendar_cached_start(&c, GRAIN_DAY, base - 1),
			 calendar_start(GRAIN_DAY, base - 1));
}
END_TEST

START_TEST(dates_are_parsed_strictly)
{
	static const char *const refused[] = {
	    "",           "2026-1-01",  "2026-02-30",  "2025-02-29", "2026-13-01", "2026-00-10",
	    "2026-01-00", "2026/01/01", "2026-01-01 ", "20260101",   "+026-01-01", "0000-01-01"};
	int64_t start;
	size_t i;

	ck_assert_int_eq(calendar_init("UTC"), 0);
	for (i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		ck_assert_msg(!calendar_parse_day(text_of(refused[i]), &start), "%s", refused[i]);
	ck_assert(calendar_parse_day(TEXT_LIT("2024-02-29"), &start));
	ck_assert_int_eq(start, INT64_C(1709164800000));
	ck_assert(calendar_parse_day(TEXT_LIT("1969-12-31"), &start));
	ck_assert_int_eq(start, -DAY_MS);
}
END_TEST

START_TEST(texts_name_the_period)
{
	char text[CALENDAR_TEXT];
	int64_t t = day("Europe/Paris", "2026-11-22");

	calendar_format(GRAIN_HOUR, t + 13 * HOUR_MS, text);
	ck_assert_str_eq(text, "2026-11-22T13:00:00+01:00");
	calendar_format(GRAIN_DAY, t, text);
	ck_assert_str_eq(text, "2026-11-22");
	calendar_format(GRAIN_MONTH, calendar_start(GRAIN_MONTH, t), text);
	ck_assert_str_eq(text, "2026-11");
	calendar_format(GRAIN_HOUR, INT64_MAX, text); /* cut, not overrun */
	calendar_format(GRAIN_HOUR, INT64_MIN, text);
}
END_TEST

START_TEST(salts_rotate_by_day_week_from_monday_and_month)
{
	enum rotation r;
	int64_t sunday = day("Europe/Paris", "2026-03-29"),
		monday = day("Europe/Paris", "2026-03-23");

	ck_assert(rotation_find("week", &r) && r == ROTATION_WEEK);
	ck_assert(!rotation_find("year", &r));
	ck_assert_int_eq(calendar_rotation_start(ROTATION_WEEK, sunday + HOUR_MS), monday);
	ck_assert_int_eq(calendar_rotation_start(ROTATION_WEEK, monday), monday);
	ck_assert_int_eq(calendar_rotation_next(ROTATION_WEEK, monday),
			 day("Europe/Paris", "2026-03-30"));
	ck_assert_int_eq(calendar_rotation_start(ROTATION_DAY, sunday + HOUR_MS), sunday);
	ck_assert_int_eq(calendar_rotation_next(ROTATION_MONTH, day("Europe/Paris", "2026-03-01")),
			 day("Europe/Paris", "2026-04-01"));
}
END_TEST

START_TEST(unknown_zones_are_refused)
{
	ck_assert_int_eq(calendar_init("Europe/Atlantis"), -ENOENT);
	ck_assert_int_eq(calendar_init(""), -ENOENT);
	ck_assert_int_eq(calendar_init("../zoneinfo/UTC"), -ENOENT);
	ck_assert_int_eq(calendar_init("/etc/localtime"), -ENOENT);
	ck_assert_int_eq(calendar_init("Europe"), -ENOENT);
	ck_assert_int_eq(calendar_init("zone.tab"), -ENOENT);
	ck_assert_int_eq(calendar_init("right/UTC"), -ENOENT);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("calendar");
	TCase *t = tcase_create("calendar");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, paris_has_days_of_23_and_25_hours);
	tcase_add_test(t, zones_off_by_30_and_45_minutes_have_whole_hours);
	tcase_add_test(t, lord_howe_changes_by_30_minutes);
	tcase_add_test(t, a_day_without_midnight_starts_at_one);
	tcase_add_test(t, a_skipped_day_is_no_day);
	tcase_add_test(t, a_clock_put_back_over_midnight_starts_the_day_once);
	tcase_add_loop_test(t, periods_tile_time, 0, 16);
	tcase_add_test(t, cache_gives_what_the_calendar_gives);
	tcase_add_test(t, dates_are_parsed_strictly);
	tcase_add_test(t, texts_name_the_period);
	tcase_add_test(t, salts_rotate_by_day_week_from_monday_and_month);
	tcase_add_test(t, unknown_zones_are_refused);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
