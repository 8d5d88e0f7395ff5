/* The journal on real files: what was appended is found again, in its interval, by its number. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal_home.h"

/* -- appending and finding -- */

START_TEST(what_was_appended_is_found_by_the_next_open)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	struct seen seen;
	uint64_t i;

	ck_assert_uint_eq(found.unsealed + found.history + found.torn, 0);
	for (i = 1; i <= 100; i++)
		ck_assert_int_eq(append(j, at(5), i), 0);
	journal_close(j);

	j = open_journal(10, &found);
	ck_assert_uint_eq(found.unsealed, 1);
	ck_assert_uint_eq(found.records, 100);
	ck_assert_uint_eq(found.torn, 0);
	seen = replay(j);
	ck_assert_uint_eq(seen.n, 100);
	ck_assert_uint_eq(seen.sum, 5050);
	ck_assert_uint_eq(seen.last, 100);
	journal_close(j);
}
END_TEST

START_TEST(found_segment_is_never_appended_to)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	struct segment *s;

	ck_assert_int_eq(append(j, at(0), 1), 0);
	journal_close(j);
	j = open_journal(0, &found);
	ck_assert_int_eq(append(j, at(0), 2), 0);
	s = journal_take_closed(j);
	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(segment_records(s), 1);
	journal_close(j);
}
END_TEST

/* Rewrites the header of segment 3 (the first one taken) as a version with another list would. */
static void
rename_reason(const char *from, const char *to)
{
	struct segment s = {.index = 3};
	char path[128];
	char *name;

	ck_assert_uint_eq(strlen(from), strlen(to));
	snprintf(path, sizeof(path), "%s/journal", dir);
	ck_assert_int_eq(segment_map(path, &s), 0);
	name = memmem(s.head->names, s.head->names_len, from, strlen(from));
	ck_assert_ptr_nonnull(name);
	memcpy(name, to, strlen(to));
	s.head->sum = hash_mix(s.head->id, s.head, offsetof(struct segment_header, sum));
	s.head->sum = hash_mix(s.head->sum, s.head->names, s.head->names_len);
	segment_unmap(&s);
}

START_TEST(ledger_of_a_version_with_another_order_is_read_by_name)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	struct segment *s;

	journal_count(journal_writer(j, 0), at(0), SOURCE_BEACON, REASON_BOT_HEADERS);
	journal_count(journal_writer(j, 0), at(0), SOURCE_BEACON, REASON_SHED_JOURNAL_FULL);
	journal_close(j);
	rename_reason("bot.headers\nbot.prefetch", "bot.prefetch\nbot.headers");

	j = open_journal(0, &found);
	s = journal_take_closed(j);
	ck_assert_uint_eq(s->ledger.count[SOURCE_BEACON][REASON_BOT_PREFETCH], 1);
	ck_assert_uint_eq(s->ledger.count[SOURCE_BEACON][REASON_BOT_HEADERS], 0);
	ck_assert_uint_eq(s->ledger.count[SOURCE_BEACON][REASON_SHED_JOURNAL_FULL], 1);
	journal_close(j);
}
END_TEST

START_TEST(unknown_reason_with_a_count_refuses_the_start_and_without_one_does_not)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);

	journal_count(journal_writer(j, 0), at(0), SOURCE_BEACON, REASON_BOT_HEADERS);
	journal_close(j);
	rename_reason("bot.prefetch", "bot.rewinded");
	journal_close(open_journal(0, &found));
	rename_reason("bot.headers", "bot.footers");
	ck_assert_int_eq(journal_open(&conf, NULL, 1, at(0), &j, &found), -EPROTONOSUPPORT);
}
END_TEST

/* -- rotation -- */

START_TEST(segment_is_closed_at_the_end_of_its_interval_by_the_worker)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	struct segment *s;

	ck_assert_int_eq(append(j, at(HOUR_MS - 1), 1), 0);
	ck_assert_ptr_null(journal_take_closed(j));
	ck_assert_int_eq(append(j, at(HOUR_MS), 2), 0);
	s = journal_take_closed(j);
	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(segment_records(s), 1);
	ck_assert_int_eq(journal_writer(j, 0)->active->head->from_ms, T0 + HOUR_MS);
	journal_close(j);
}
END_TEST

START_TEST(sealer_closes_an_idle_segment_a_moment_after_its_interval)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);

	ck_assert_int_eq(journal_rotate(j, at(HOUR_MS + JOURNAL_SETTLE_MS - 1), false), 0);
	ck_assert_ptr_null(journal_take_closed(j));
	ck_assert_int_eq(journal_rotate(j, at(HOUR_MS + JOURNAL_SETTLE_MS), false), 0);
	ck_assert_ptr_nonnull(journal_take_closed(j));
	journal_close(j);
}
END_TEST

START_TEST(clock_set_back_keeps_the_interval_unless_by_more_than_one)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);

	ck_assert_int_eq(append(j, at(-HOUR_MS), 1), 0);
	ck_assert_ptr_null(journal_take_closed(j));
	ck_assert_int_eq(append(j, at(-HOUR_MS - 1), 2), 0);
	ck_assert_ptr_nonnull(journal_take_closed(j));
	ck_assert_int_eq(journal_writer(j, 0)->active->head->from_ms, T0 - 2 * HOUR_MS);
	journal_close(j);
}
END_TEST

static void
note_wake(void *ctx)
{
	++*(unsigned *)ctx;
}

START_TEST(full_journal_refuses_and_counts_nothing)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	struct journal_writer *w = journal_writer(j, 0);
	uint64_t accepted = 0, counted = 0;
	unsigned wakes = 0, i;
	int err;

	journal_on_closed(j, note_wake, &wakes);
	ck_assert(journal_has_room(w));
	while ((err = append(j, at(0), accepted)) == 0)
		accepted++;
	ck_assert_int_eq(err, -ENOBUFS);
	ck_assert_uint_eq(wakes, 3);
	ck_assert(!journal_has_room(w));
	ck_assert_int_eq(append(j, at(0), 1), -ENOBUFS);
	journal_count(w, at(0), SOURCE_BEACON, REASON_SHED_JOURNAL_FULL);
	for (i = 0; i < j->slots_n; i++)
		counted += j->slots[i].head->count[REASON_ACCEPTED_FIRST];
	ck_assert_uint_eq(counted, accepted);
	/* and with the interval over as well, refusals are still counted, in the last segment */
	journal_count(w, at(HOUR_MS), SOURCE_BEACON, REASON_SHED_JOURNAL_FULL);
	ck_assert_uint_eq(w->active->head->count[REASON_SHED_JOURNAL_FULL], 2);
	journal_close(j);
	j = open_journal(0, &found);
	ck_assert_uint_eq(found.records, accepted);
	ck_assert_uint_eq(found.unsealed, 4);
	journal_close(j);
}
END_TEST

START_TEST(writer_without_any_segment_keeps_counts_until_it_has_one)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	struct journal_writer *w;
	struct segment *s;
	struct batch_id id;

	while (append(j, at(0), 1) == 0)
		;
	journal_close(j);
	j = open_journal(0, &found); /* all four are unsealed */
	w = journal_writer(j, 0);
	ck_assert_ptr_null(w->active);
	ck_assert(!journal_has_room(w));
	ck_assert_int_eq(append(j, at(0), 1), -ENOBUFS);
	journal_count(w, at(0), SOURCE_BEACON, REASON_SHED_JOURNAL_FULL);
	journal_udp_dropped(w, at(0), 3);
	s = journal_take_closed(j);
	ck_assert_int_eq(segment_number(j, s, at(0), &id), 0);
	ck_assert_int_eq(journal_sealed(j, s), 0);
	journal_tend(j, at(0)); /* gives up history, since none is free */
	ck_assert_int_eq(append(j, at(0), 1), 0);
	ck_assert_uint_eq(w->active->head->count[REASON_SHED_JOURNAL_FULL], 1);
	ck_assert_uint_eq(w->active->head->udp_dropped, 3);
	journal_close(j);
}
END_TEST

/* -- numbers -- */

START_TEST(numbers_go_on_without_gap_after_a_restart)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	struct batch_id before, after;
	uint64_t seq;

	for (seq = 1; seq <= 3; seq++)
		ck_assert_uint_eq(close_and_number(j, (int64_t)seq * 1000), seq);
	journal_last(j, &before);
	journal_close(j);
	j = open_journal(9000, &found);
	journal_last(j, &after);
	ck_assert_mem_eq(before.epoch, after.epoch, 16);
	ck_assert_ptr_null(journal_take_closed(j));
	ck_assert_uint_eq(close_and_number(j, 9000), 4);
	journal_close(j);
}
END_TEST

START_TEST(lost_seq_file_begins_a_new_epoch)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	struct batch_id before, after;
	char path[128];

	ck_assert_uint_eq(close_and_number(j, 0), 1);
	journal_last(j, &before);
	journal_close(j);
	snprintf(path, sizeof(path), "%s/seq", dir);
	ck_assert_int_eq(unlink(path), 0);
	j = open_journal(0, &found);
	journal_last(j, &after);
	ck_assert_int_ne(memcmp(before.epoch, after.epoch, 16), 0);
	ck_assert_uint_eq(close_and_number(j, 0), 1);
	journal_close(j);
}
END_TEST

START_TEST(history_is_replayed_until_the_retry_window_is_over)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);

	ck_assert_uint_eq(close_and_number(j, 0), 1);
	journal_close(j);
	j = open_journal(1000, &found);
	ck_assert_uint_eq(found.history, 1);
	ck_assert_uint_eq(found.unsealed, 0);
	ck_assert_uint_eq(replay(j).n, 1);
	journal_tend(j, at(2 * HOUR_MS - 1));
	journal_close(j);
	j = open_journal(1000, &found);
	ck_assert_uint_eq(found.history, 1);
	journal_tend(j, at(2 * HOUR_MS));
	journal_close(j);
	j = open_journal(1000, &found);
	ck_assert_uint_eq(found.history, 0);
	journal_close(j);
}
END_TEST

START_TEST(smaller_configuration_seals_what_it_found_and_drops_the_surplus)
{
	struct journal_found found;
	struct journal *j;
	struct segment *s;
	struct batch_id id;
	char path[128];
	struct stat st;

	conf.journal_segments = 8;
	j = open_journal(0, &found);
	ck_assert_int_eq(append(j, at(0), 5), 0); /* in segment 7 */
	journal_close(j);
	conf.journal_segments = 4;
	conf.journal_segment = 2 * SEGMENT_FILE;
	conf.admit_retry_window = 0;
	j = open_journal(0, &found);
	ck_assert_uint_eq(found.records, 1);
	segment_file(7, path);
	ck_assert_int_eq(stat(path, &st), 0);
	s = journal_take_closed(j);
	ck_assert_int_eq(segment_number(j, s, at(0), &id), 0);
	ck_assert_int_eq(journal_sealed(j, s), 0);
	journal_tend(j, at(0));
	ck_assert_int_eq(stat(path, &st), -1);
	segment_file(0, path);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 2 * SEGMENT_FILE);
	journal_close(j);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("journal");
	TCase *c = tcase_create("journal");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, what_was_appended_is_found_by_the_next_open);
	tcase_add_test(c, found_segment_is_never_appended_to);
	tcase_add_test(c, ledger_of_a_version_with_another_order_is_read_by_name);
	tcase_add_test(c, unknown_reason_with_a_count_refuses_the_start_and_without_one_does_not);
	tcase_add_test(c, segment_is_closed_at_the_end_of_its_interval_by_the_worker);
	tcase_add_test(c, sealer_closes_an_idle_segment_a_moment_after_its_interval);
	tcase_add_test(c, clock_set_back_keeps_the_interval_unless_by_more_than_one);
	tcase_add_test(c, full_journal_refuses_and_counts_nothing);
	tcase_add_test(c, writer_without_any_segment_keeps_counts_until_it_has_one);
	tcase_add_test(c, numbers_go_on_without_gap_after_a_restart);
	tcase_add_test(c, lost_seq_file_begins_a_new_epoch);
	tcase_add_test(c, history_is_replayed_until_the_retry_window_is_over);
	tcase_add_test(c, smaller_configuration_seals_what_it_found_and_drops_the_surplus);
	suite_add_tcase(suite, c);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
