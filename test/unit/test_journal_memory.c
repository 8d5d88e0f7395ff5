/* What a journal holds in memory: the segments that are written to and those that come next,
 * not all. */
#include <stdlib.h>
#include <string.h>

#include "journal_home.h"

static void
set_up_larger(void)
{
	set_up();
	conf.journal_segment = (size_t)1 << 20;
	conf.journal_segments = 16;
}

static struct journal *
open_new(unsigned writers)
{
	struct journal_found found;

	return open_journal_of(writers, 0, &found);
}

/* KiB of segment files that are present in this process, and in how many segments. */
static unsigned long
present_kib(unsigned *ret_segments)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[4096];
	unsigned long kib, sum = 0;
	bool ours = false;

	ck_assert_ptr_nonnull(f);
	*ret_segments = 0;
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, "/segment-"))
			ours = true;
		if (!ours || strncmp(line, "Rss:", 4) != 0)
			continue;
		kib = strtoul(line + 4, NULL, 10);
		sum += kib;
		*ret_segments += kib > 0;
		ours = false;
	}
	fclose(f);
	return sum;
}

START_TEST(before_the_first_event_only_the_open_segments_begin_in_memory)
{
	struct journal *j = open_new(3);
	unsigned segments;

	journal_tend(j, at(0));
	ck_assert_uint_le(present_kib(&segments), 3 * 96);
	ck_assert_uint_eq(segments, 3);
	journal_close(j);
}
END_TEST

START_TEST(after_it_as_many_spare_ones_are_there_too_and_no_more)
{
	struct journal *j = open_new(3);
	unsigned segments;

	ck_assert_int_eq(append(j, at(0), 1), 0);
	journal_tend(j, at(0));
	ck_assert_uint_gt(present_kib(&segments), 256 + 3 * 64);
	ck_assert_uint_eq(segments, 6);
	journal_tend(j, at(1000));
	ck_assert_uint_le(present_kib(&segments), 3 * 300 + 3 * 96);
	ck_assert_uint_eq(segments, 6);
	journal_close(j);
}
END_TEST

START_TEST(after_a_rotation_the_next_spare_is_made_present)
{
	struct journal *j = open_new(1);
	unsigned before, after;

	ck_assert_int_eq(append(j, at(0), 1), 0);
	journal_tend(j, at(0));
	present_kib(&before);
	ck_assert_uint_eq(before, 2);
	ck_assert_int_eq(journal_rotate(j, at(10), true), 0);
	journal_tend(j, at(20));
	present_kib(&after);
	ck_assert_uint_eq(after, 3); /* closed, active, next */
	journal_close(j);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("journal_memory");
	TCase *c = tcase_create("journal_memory");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(c, set_up_larger, tear_down);
	tcase_add_test(c, before_the_first_event_only_the_open_segments_begin_in_memory);
	tcase_add_test(c, after_it_as_many_spare_ones_are_there_too_and_no_more);
	tcase_add_test(c, after_a_rotation_the_next_spare_is_made_present);
	suite_add_tcase(suite, c);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
