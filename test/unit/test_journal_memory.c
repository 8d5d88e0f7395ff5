/* What a journal holds in memory: the segments that are written to and those that come next,
 * not all. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "node/journal_state.h"
#include "test/unit/scratch.h"

#define T0 INT64_C(1763812800000)
#define SEGMENTS 16
#define SEGMENT_KIB 1024

static char dir[SCRATCH_MAX];
static char node_name[] = "web-1", sync_off[] = "off";
static struct conf conf;

static void
set_up(void)
{
	ck_assert_int_eq(hash_init(), 0);
	scratch_make(dir, "journal-memory");
	conf = (struct conf){
	    .node_name = node_name,
	    .node_state_dir = dir,
	    .journal_segment = (size_t)SEGMENT_KIB << 10,
	    .journal_segments = SEGMENTS,
	    .journal_sync = sync_off,
	    .journal_sync_interval = 1000,
	    .batch_interval = HOUR_MS,
	};
}

static void
tear_down(void)
{
	scratch_remove(dir);
}

static struct journal *
open_journal(unsigned writers)
{
	struct journal *j = NULL;
	struct journal_found found;

	ck_assert_int_eq(journal_open(&conf, NULL, writers, (struct wall_ms){T0}, &j, &found), 0);
	return j;
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

static void
append(struct journal *j)
{
	struct event e = {.source = SOURCE_BEACON,
			  .ts_ms = T0,
			  .site = TEXT_LIT("default"),
			  .type = TEXT_LIT("video"),
			  .name = TEXT_LIT("view"),
			  .has_uuid = true,
			  .uuid = {1},
			  .visitor = 1,
			  .salt_id = 7};

	ck_assert_int_eq(
	    journal_append(journal_writer(j, 0), (struct wall_ms){T0}, &e, REASON_ACCEPTED_FIRST),
	    0);
}

START_TEST(before_the_first_event_only_the_open_segments_begin_in_memory)
{
	struct journal *j = open_journal(3);
	unsigned segments;

	journal_tend(j, (struct wall_ms){T0});
	ck_assert_uint_le(present_kib(&segments), 3 * 96);
	ck_assert_uint_eq(segments, 3);
	journal_close(j);
}
END_TEST

START_TEST(after_it_as_many_spare_ones_are_there_too_and_no_more)
{
	struct journal *j = open_journal(3);
	unsigned segments;

	append(j);
	journal_tend(j, (struct wall_ms){T0});
	ck_assert_uint_gt(present_kib(&segments), 256 + 3 * 64);
	ck_assert_uint_eq(segments, 6);
	journal_tend(j, (struct wall_ms){T0 + 1000});
	ck_assert_uint_le(present_kib(&segments), 3 * 300 + 3 * 96);
	ck_assert_uint_eq(segments, 6);
	journal_close(j);
}
END_TEST

START_TEST(after_a_rotation_the_next_spare_is_made_present)
{
	struct journal *j = open_journal(1);
	unsigned before, after;

	append(j);
	journal_tend(j, (struct wall_ms){T0});
	present_kib(&before);
	ck_assert_uint_eq(before, 2);
	ck_assert_int_eq(journal_rotate(j, (struct wall_ms){T0 + 10}, true), 0);
	journal_tend(j, (struct wall_ms){T0 + 20});
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

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_add_test(c, before_the_first_event_only_the_open_segments_begin_in_memory);
	tcase_add_test(c, after_it_as_many_spare_ones_are_there_too_and_no_more);
	tcase_add_test(c, after_a_rotation_the_next_spare_is_made_present);
	suite_add_tcase(suite, c);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
