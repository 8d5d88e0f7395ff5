/* Clocks: hours on both sides of 1970, and RFC 3339. */
#include <check.h>

#include "base/clock.h"

START_TEST(an_hour_begins_at_or_before_its_time)
{
	ck_assert_int_eq(hour_of(0), 0);
	ck_assert_int_eq(hour_of(HOUR_MS - 1), 0);
	ck_assert_int_eq(hour_of(HOUR_MS), HOUR_MS);
	ck_assert_int_eq(hour_of(-1), -HOUR_MS);
	ck_assert_int_eq(hour_of(-HOUR_MS), -HOUR_MS);
	ck_assert_int_eq(hour_of(-HOUR_MS - 1), -2 * HOUR_MS);
}
END_TEST

static const struct {
	int64_t ms;
	const char *text;
} times[] = {
    {0, "1970-01-01T00:00:00.000Z"},
    {1, "1970-01-01T00:00:00.001Z"},
    {-1, "1969-12-31T23:59:59.999Z"},
    {-1000, "1969-12-31T23:59:59.000Z"},
    {1431849600123, "2015-05-17T08:00:00.123Z"},
    {1709251199999, "2024-02-29T23:59:59.999Z"},
    {253402300799999, "9999-12-31T23:59:59.999Z"},
    {253402300800000, "0000-00-00T00:00:00.000Z"}, /* has no such form */
};

START_TEST(times_are_written_as_rfc_3339_in_utc)
{
	char text[WALL_TEXT];
	size_t i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		wall_format((struct wall_ms){times[i].ms}, text);
		ck_assert_str_eq(text, times[i].text);
	}
}
END_TEST

START_TEST(monotonic_time_does_not_go_back)
{
	struct mono_us before = mono_now(), after;
	unsigned i;

	for (i = 0; i < 1000; i++) {
		after = mono_now();
		ck_assert_int_ge(after.us, before.us);
		before = after;
	}
	ck_assert_int_gt(wall_now().ms, 1700000000000); /* 2023: not seconds, not microseconds */
	ck_assert_int_lt(wall_now().ms, 10000000000000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("clock");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, an_hour_begins_at_or_before_its_time);
	tcase_add_test(t, times_are_written_as_rfc_3339_in_utc);
	tcase_add_test(t, monotonic_time_does_not_go_back);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
