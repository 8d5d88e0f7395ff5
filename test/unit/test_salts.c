/* Salts: the same for the same period, given out only when saved, gone when their time is over. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "central/salts.h"

#define NOON INT64_C(1795348800000) /* 2026-11-22T12:00:00Z, a Sunday */

static char dir[40];

static const char *
path_of(const char *name)
{
	static char path[96];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/footfall-salts-XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(calendar_init("UTC"), 0);
}

static void
remove_dir(void)
{
	(void)chmod(dir, 0700);
	(void)remove(path_of("salts"));
	ck_assert_int_eq(rmdir(dir), 0); /* nothing else was left */
}

static struct salts *
open_salts(enum rotation r, int64_t now_ms)
{
	struct salts *s = NULL;

	ck_assert_int_eq(salts_open(dir, r, now_ms, &s), 0);
	return s;
}

/* Those that an agent gets at this time, from a central that was just started. */
static int
given(enum rotation r, int64_t now_ms, struct salt ret_salts[SALTS_MAX])
{
	struct salts *s = open_salts(r, now_ms);
	int n = salts_current(s, now_ms, ret_salts);

	salts_close(s);
	return n;
}

static bool
file_holds(const uint8_t key[HASH_KEY_BYTES])
{
	char *bytes;
	size_t len;
	bool found;

	ck_assert_int_eq(file_read(path_of("salts"), 4096, &bytes, &len), 0);
	found = memmem(bytes, len, key, HASH_KEY_BYTES) != NULL;
	free(bytes);
	return found;
}

START_TEST(today_and_tomorrow_have_a_salt_each)
{
	struct salt salt[SALTS_MAX];

	ck_assert_int_eq(given(ROTATION_DAY, NOON, salt), 2);
	ck_assert_int_eq(salt[0].from_ms, NOON - 12 * HOUR_MS);
	ck_assert_int_eq(salt[0].until_ms, NOON + 12 * HOUR_MS);
	ck_assert_int_eq(salt[1].from_ms, salt[0].until_ms);
	ck_assert_int_eq(salt[0].destroy_ms, salt[0].until_ms + 48 * HOUR_MS);
	ck_assert_int_ne(memcmp(&salt[0].key, &salt[1].key, sizeof(salt[0].key)), 0);
	ck_assert_uint_ne(salt[0].id, salt[1].id);
	ck_assert_uint_lt(salt[1].id, UINT32_C(1) << 31);
}
END_TEST

START_TEST(a_salt_stays_the_same_through_a_restart_and_into_its_day)
{
	struct salt first[SALTS_MAX], later[SALTS_MAX];

	given(ROTATION_DAY, NOON, first);
	ck_assert_int_eq(given(ROTATION_DAY, NOON + 24 * HOUR_MS, later), 3);
	ck_assert_mem_eq(&later[0].key, &first[0].key, sizeof(first[0].key));
	ck_assert_mem_eq(&later[1].key, &first[1].key, sizeof(first[1].key));
	ck_assert_uint_eq(later[1].id, first[1].id);
}
END_TEST

START_TEST(a_salt_is_gone_from_the_disk_48_hours_after_its_day)
{
	struct salt first[SALTS_MAX], later[SALTS_MAX];
	int64_t over = NOON + (12 + 48) * HOUR_MS;
	int n, i;

	given(ROTATION_DAY, NOON, first);
	given(ROTATION_DAY, over - 1, later);
	ck_assert(file_holds(first[0].key.bytes));
	n = given(ROTATION_DAY, over, later);
	ck_assert(!file_holds(first[0].key.bytes));
	for (i = 0; i < n; i++)
		ck_assert_int_gt(later[i].destroy_ms, over);
}
END_TEST

/* The old file's blocks keep their bytes when it is replaced, so they are overwritten before. */
START_TEST(a_destroyed_salt_is_overwritten_in_the_file_that_held_it)
{
	struct salt first[SALTS_MAX], later[SALTS_MAX];
	char *bytes, old[96];
	size_t len;

	snprintf(old, sizeof(old), "%s/old", dir);
	given(ROTATION_DAY, NOON, first);
	ck_assert_int_eq(link(path_of("salts"), old), 0);
	given(ROTATION_DAY, first[0].destroy_ms, later);
	ck_assert_int_eq(file_read(old, 4096, &bytes, &len), 0);
	(void)unlink(old);
	ck_assert_ptr_null(memmem(bytes, len, first[0].key.bytes, HASH_KEY_BYTES));
	ck_assert_ptr_nonnull(memmem(bytes, len, first[1].key.bytes, HASH_KEY_BYTES));
	free(bytes);
}
END_TEST

START_TEST(a_week_begins_on_monday_and_a_month_on_its_first)
{
	struct salt salt[SALTS_MAX];
	char day[CALENDAR_TEXT];

	ck_assert_int_eq(given(ROTATION_WEEK, NOON, salt), 2);
	calendar_format(GRAIN_DAY, salt[0].from_ms, day);
	ck_assert_str_eq(day, "2026-11-16");
	ck_assert_int_eq(remove(path_of("salts")), 0);
	ck_assert_int_eq(given(ROTATION_MONTH, NOON, salt), 2);
	calendar_format(GRAIN_DAY, salt[1].from_ms, day);
	ck_assert_str_eq(day, "2026-12-01");
}
END_TEST

START_TEST(another_rotation_leaves_no_two_salts_for_one_moment)
{
	struct salt salt[SALTS_MAX];
	int n, i;

	given(ROTATION_DAY, NOON + DAY_MS, salt); /* Monday: the week begins with the day */
	n = given(ROTATION_WEEK, NOON + DAY_MS, salt);
	ck_assert_int_ge(n, 2);
	for (i = 1; i < n; i++)
		ck_assert_int_eq(salt[i].from_ms, salt[i - 1].until_ms);
}
END_TEST

START_TEST(a_clock_that_ran_far_ahead_leaves_salts_for_today)
{
	struct salt salt[SALTS_MAX];
	struct salts *s = open_salts(ROTATION_DAY, NOON + 100 * DAY_MS);
	int64_t day;
	int n, i, today = 0;

	for (day = 100; day < 104; day++)
		ck_assert_int_ge(salts_current(s, NOON + day * DAY_MS, salt), 2);
	for (day = 50; day < 53; day++)
		ck_assert_int_ge(salts_current(s, NOON + day * DAY_MS, salt), 2);
	n = salts_current(s, NOON, salt);
	ck_assert_int_le(n, SALTS_MAX);
	for (i = 0; i < n; i++)
		today += salt[i].from_ms <= NOON && NOON < salt[i].until_ms;
	ck_assert_int_eq(today, 1);
	salts_close(s);
}
END_TEST

START_TEST(salts_that_cannot_be_saved_are_not_given_out)
{
	struct salt salt[SALTS_MAX];
	struct salts *s = open_salts(ROTATION_DAY, NOON);
	char aside[96];

	/* a directory in the way of the file aside: works for root as well */
	snprintf(aside, sizeof(aside), "%s/.salts.tmp", dir);
	ck_assert_int_eq(mkdir(aside, 0700), 0);
	ck_assert_int_lt(salts_current(s, NOON + DAY_MS, salt), 0);
	ck_assert_int_lt(salts_current(s, NOON + DAY_MS, salt), 0);
	ck_assert_int_eq(rmdir(aside), 0);
	ck_assert_int_eq(salts_current(s, NOON + DAY_MS, salt), 3);
	ck_assert(file_holds(salt[2].key.bytes));
	salts_close(s);
}
END_TEST

START_TEST(a_file_that_is_none_of_ours_is_refused_and_kept)
{
	struct salts *s = NULL;
	struct stat st;

	ck_assert_int_eq(file_replace(dir, "salts", "something", 9, 0600), 0);
	ck_assert_int_eq(salts_open(dir, ROTATION_DAY, NOON, &s), -EBADMSG);
	ck_assert_int_eq(file_replace(dir, "salts", "FFSALTS1", 8, 0644), 0);
	ck_assert_int_eq(salts_open(dir, ROTATION_DAY, NOON, &s), -EPERM);
	ck_assert_int_eq(stat(path_of("salts"), &st), 0);
	ck_assert_int_eq((int)st.st_size, 8);
}
END_TEST

START_TEST(the_file_is_for_its_owner_only)
{
	struct salt salt[SALTS_MAX];
	struct stat st;

	given(ROTATION_DAY, NOON, salt);
	ck_assert_int_eq(stat(path_of("salts"), &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 0777), 0600);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("salts");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, make_dir, remove_dir);
	tcase_add_test(t, today_and_tomorrow_have_a_salt_each);
	tcase_add_test(t, a_salt_stays_the_same_through_a_restart_and_into_its_day);
	tcase_add_test(t, a_salt_is_gone_from_the_disk_48_hours_after_its_day);
	tcase_add_test(t, a_destroyed_salt_is_overwritten_in_the_file_that_held_it);
	tcase_add_test(t, a_week_begins_on_monday_and_a_month_on_its_first);
	tcase_add_test(t, another_rotation_leaves_no_two_salts_for_one_moment);
	tcase_add_test(t, a_clock_that_ran_far_ahead_leaves_salts_for_today);
	tcase_add_test(t, salts_that_cannot_be_saved_are_not_given_out);
	tcase_add_test(t, a_file_that_is_none_of_ours_is_refused_and_kept);
	tcase_add_test(t, the_file_is_for_its_owner_only);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
