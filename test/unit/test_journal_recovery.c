/* What a journal finds after a crash: all that was acknowledged, nothing that is torn or stale. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "journal_home.h"
#include "segment_home.h"

/* Stands before libc's, so that a test can have a disk that fails. */
static bool disk_fails;
static unsigned syncs;

int
msync(void *addr, size_t len, int flags)
{
	syncs++;
	if (disk_fails) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_msync, addr, len, flags);
}

static char sync_always[] = "always", sync_interval[] = "interval";

START_TEST(ledger_of_the_header_survives_a_crash)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	struct journal_writer *w = journal_writer(j, 0);
	struct batch_meta meta;
	struct batch_id id;
	struct segment *s;

	ck_assert_int_eq(append(j, at(0), 1), 0);
	journal_count(w, at(0), SOURCE_BEACON, REASON_BOT_USER_AGENT);
	journal_count(w, at(0), SOURCE_DATAGRAM, REASON_SHED_STOPPING);
	journal_count(w, at(0), SOURCE_DATAGRAM, REASON_SHED_STOPPING);
	journal_udp_dropped(w, at(0), 17);
	journal_close(j); /* as kill -9 leaves it: nothing was written on the way out */

	j = open_journal(0, &found);
	s = journal_take_closed(j);
	ck_assert_int_eq(segment_number(j, s, at(9), &id), 0);
	meta = meta_of(s);
	ck_assert_uint_eq(ledger_received(&meta.ledger), 4);
	ck_assert_uint_eq(meta.ledger.count[SOURCE_BEACON][REASON_ACCEPTED_FIRST], 1);
	ck_assert_uint_eq(meta.ledger.count[SOURCE_BEACON][REASON_BOT_USER_AGENT], 1);
	ck_assert_uint_eq(meta.ledger.count[SOURCE_DATAGRAM][REASON_SHED_STOPPING], 2);
	ck_assert_uint_eq(meta.udp_dropped, 17);
	ck_assert_uint_eq(meta.lost, 0);
	ck_assert_int_eq(meta.from_ms, T0);
	ck_assert_int_eq(meta.until_ms, T0 + HOUR_MS);
	ck_assert_int_eq(meta.sealed_ms, T0 + 9);
	journal_close(j);
}
END_TEST

START_TEST(crash_after_the_number_gives_the_same_segment_the_same_number_and_meta)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	struct batch_meta before, after;
	struct batch_id id;
	struct segment *s;
	size_t bytes;

	ck_assert_int_eq(append(j, at(0), 1), 0);
	ck_assert_int_eq(journal_rotate(j, at(500), true), 0);
	ck_assert_int_eq(append(j, at(600), 2), 0); /* in the next segment, also left unsealed */
	s = journal_take_closed(j);
	ck_assert_int_eq(segment_number(j, s, at(700), &id), 0);
	before = meta_of(s);
	ck_assert_int_eq(before.closes_ms, T0 + 500 - JOURNAL_SETTLE_MS);
	bytes = segment_bytes(s);
	journal_close(j);

	j = open_journal(5000, &found);
	ck_assert_uint_eq(found.unsealed, 2);
	s = journal_take_closed(j);
	ck_assert_int_eq(segment_number(j, s, at(6000), &id), 0);
	after = meta_of(s);
	ck_assert_uint_eq(after.id.seq, before.id.seq);
	ck_assert_mem_eq(after.id.epoch, before.id.epoch, 16);
	ck_assert_int_eq(after.sealed_ms, before.sealed_ms);
	ck_assert_int_eq(after.closes_ms, before.closes_ms);
	ck_assert_uint_eq(ledger_received(&after.ledger), 1);
	ck_assert_uint_eq(segment_bytes(s), bytes);
	ck_assert_int_eq(journal_sealed(j, s), 0);
	s = journal_take_closed(j);
	ck_assert_int_eq(segment_number(j, s, at(6000), &id), 0);
	ck_assert_uint_eq(id.seq, 2);
	journal_close(j);
}
END_TEST

/* -- torn and stale -- */

START_TEST(torn_tail_is_cut_at_every_byte_and_all_before_it_kept)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	char path[128], *whole = NULL;
	size_t begin, end, len, cut;
	struct seen seen = {0};
	int fd;

	segment_file(3, path);
	ck_assert_int_eq(append(j, at(0), 1), 0);
	ck_assert_int_eq(append(j, at(0), 2), 0);
	begin = SEGMENT_RECORDS + journal_writer(j, 0)->active->used;
	ck_assert_int_eq(append(j, at(0), 3), 0);
	end = SEGMENT_RECORDS + journal_writer(j, 0)->active->used;
	journal_close(j);
	ck_assert_int_eq(file_read(path, SEGMENT_FILE, &whole, &len), 0);
	ck_assert_uint_eq(len, SEGMENT_FILE);

	for (cut = begin; cut <= end; cut++) {
		fd = open(path, O_WRONLY | O_TRUNC);
		ck_assert_int_eq(file_write_all(fd, whole, cut), 0);
		ck_assert_int_eq(ftruncate(fd, (off_t)SEGMENT_FILE), 0); /* zeros behind */
		close(fd);
		j = open_journal(0, &found);
		seen = replay(j);
		/* the last bytes of a record are padding, zeros themselves */
		if (seen.n == 3) {
			ck_assert_uint_ge(cut, end - 8);
			ck_assert_uint_eq(found.torn, 0);
		} else {
			ck_assert_uint_eq(seen.n, 2);
			ck_assert_uint_eq(seen.sum, 3);
			ck_assert_uint_eq(found.torn, 1);
			ck_assert_uint_eq(found.lost, 1);
		}
		journal_close(j);
	}
	ck_assert_uint_eq(seen.n, 3);
	free(whole);
}
END_TEST

START_TEST(changed_byte_anywhere_in_the_last_record_cuts_it)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	size_t begin, end, i;
	struct segment s = {.index = 3};
	char journal_dir[128];

	ck_assert_int_eq(append(j, at(0), 1), 0);
	begin = journal_writer(j, 0)->active->used;
	ck_assert_int_eq(append(j, at(0), 2), 0);
	end = journal_writer(j, 0)->active->used - 7; /* padding is not covered */
	journal_close(j);
	snprintf(journal_dir, sizeof(journal_dir), "%s/journal", dir);
	for (i = begin; i < end; i++) {
		ck_assert_int_eq(segment_map(journal_dir, &s), 0);
		s.base[SEGMENT_RECORDS + i] ^= 0x10;
		segment_unmap(&s);
		j = open_journal(0, &found);
		ck_assert_uint_eq(replay(j).n, 1);
		ck_assert_uint_eq(found.lost, 1);
		journal_close(j);
		ck_assert_int_eq(segment_map(journal_dir, &s), 0);
		s.base[SEGMENT_RECORDS + i] ^= 0x10;
		segment_unmap(&s);
	}
}
END_TEST

START_TEST(lost_records_are_named_in_the_batch_and_the_ledger_counts_what_is_there)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	struct segment s = {.index = 3};
	char journal_dir[128];
	struct batch_meta meta;
	struct batch_id id;
	struct segment *closed;
	uint64_t i;

	for (i = 0; i < 10; i++)
		ck_assert_int_eq(append(j, at(0), i), 0);
	journal_close(j);
	snprintf(journal_dir, sizeof(journal_dir), "%s/journal", dir);
	ck_assert_int_eq(segment_map(journal_dir, &s), 0);
	memset(s.base + SEGMENT_RECORDS + 200, 0, SEGMENT_FILE - SEGMENT_RECORDS - 200);
	segment_unmap(&s);

	j = open_journal(0, &found);
	closed = journal_take_closed(j);
	ck_assert_int_eq(segment_number(j, closed, at(0), &id), 0);
	meta = meta_of(closed);
	ck_assert_uint_eq(meta.ledger.count[SOURCE_BEACON][REASON_ACCEPTED_FIRST],
			  segment_records(closed));
	ck_assert_uint_lt(segment_records(closed), 10);
	ck_assert_uint_eq(meta.lost, 10 - segment_records(closed));
	journal_close(j);
}
END_TEST

START_TEST(stale_records_of_a_recycled_segment_are_refused)
{
	struct journal_found found;
	struct journal *j;
	struct segment *s;
	unsigned round;
	uint64_t i;

	conf.admit_retry_window = 0; /* no history: segments are reused at once */
	j = open_journal(0, &found);
	for (round = 0; round < 12; round++) {
		/* fewer in each round, so that whole records of earlier ones lie behind */
		for (i = 0; i < 24 - round; i++)
			ck_assert_int_eq(append(j, at(0), 1000 * round + i), 0);
		ck_assert_int_eq(journal_rotate(j, at(200), true), 0);
		s = journal_take_closed(j);
		ck_assert_uint_eq(segment_records(s), 24 - round);
		ck_assert_int_eq(journal_sealed(j, s), 0); /* unnumbered: free at once */
		journal_tend(j, at(200));
	}
	ck_assert_int_eq(append(j, at(0), 77), 0);
	journal_close(j);
	j = open_journal(0, &found);
	ck_assert_uint_eq(found.records, 1);
	ck_assert_uint_eq(replay(j).last, 77);
	journal_close(j);
}
END_TEST

START_TEST(segment_with_unreadable_header_is_set_aside_and_the_others_are_read)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	struct segment s = {.index = 3};
	char path[128];
	struct stat st;

	ck_assert_int_eq(append(j, at(0), 1), 0);
	ck_assert_int_eq(journal_rotate(j, at(0), true), 0);
	ck_assert_int_eq(append(j, at(0), 2), 0);
	journal_close(j);
	snprintf(path, sizeof(path), "%s/journal", dir);
	ck_assert_int_eq(segment_map(path, &s), 0);
	s.head->from_ms ^= 1;
	segment_unmap(&s);

	j = open_journal(0, &found);
	ck_assert_uint_eq(found.broken, 1);
	ck_assert_uint_eq(found.records, 1);
	ck_assert_uint_eq(replay(j).last, 2);
	snprintf(path, sizeof(path), "%s/journal/segment-0003.broken", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	journal_close(j);
}
END_TEST

/* -- a disk that fails -- */

START_TEST(sync_always_refuses_what_did_not_reach_the_disk_and_recovers)
{
	struct journal_found found;
	struct journal *j;
	struct segment *s;
	unsigned before;

	conf.journal_sync = sync_always;
	j = open_journal(0, &found);
	ck_assert_int_eq(append(j, at(0), 1), 0);
	before = syncs;
	ck_assert_int_eq(append(j, at(0), 2), 0);
	ck_assert_uint_eq(syncs, before + 1);
	disk_fails = true;
	ck_assert_int_eq(append(j, at(0), 3), -EIO);
	disk_fails = false;
	/* the pages that failed are never synced again: the next one goes to another segment */
	ck_assert_int_eq(append(j, at(0), 4), 0);
	s = journal_take_closed(j);
	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(segment_records(s), 2);
	journal_close(j);
	j = open_journal(0, &found);
	ck_assert_uint_eq(found.records, 3);
	ck_assert_uint_eq(found.lost, 0);
	ck_assert_uint_eq(replay(j).sum, 1 + 2 + 4);
	journal_close(j);
}
END_TEST

START_TEST(sync_interval_closes_a_segment_that_did_not_reach_the_disk)
{
	struct journal_found found;
	struct journal *j;
	struct segment *s;
	struct batch_id id;

	conf.journal_sync = sync_interval;
	j = open_journal(0, &found);
	ck_assert_int_eq(append(j, at(0), 1), 0);
	disk_fails = true;
	journal_tend(j, at(1000));
	s = journal_take_closed(j);
	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(segment_records(s), 1);
	ck_assert_int_eq(append(j, at(1000), 2), 0);
	/* it is sealed from memory; its file cannot say so durably, and goes */
	ck_assert_int_eq(segment_number(j, s, at(1000), &id), 0);
	ck_assert_int_eq(journal_sealed(j, s), 0);
	ck_assert_uint_eq(s->state, SEGMENT_ABSENT);
	journal_tend(j, at(2000));
	disk_fails = false;
	journal_tend(j, at(3000));
	ck_assert(journal_has_room(journal_writer(j, 0)));
	journal_close(j);
	j = open_journal(3000, &found);
	ck_assert_uint_eq(found.records, 1);
	ck_assert_uint_eq(replay(j).sum, 2);
	ck_assert_uint_eq(close_and_number(j, 4000), 2);
	journal_close(j);
}
END_TEST

/* -- kill -9 -- */

static _Noreturn void
append_and_acknowledge(int fd, uint64_t from)
{
	struct journal_found found;
	struct journal *j = open_journal(0, &found);
	struct segment *s;
	uint64_t n;

	for (n = from;; n++) {
		while (append(j, at(0), n) == -ENOBUFS) {
			/* recycled without a batch: this test only follows what is acknowledged */
			journal_rotate(j, at(0), true);
			while ((s = journal_take_closed(j)))
				journal_sealed(j, s);
			journal_tend(j, at(0));
		}
		if (write(fd, &n, sizeof(n)) != (ssize_t)sizeof(n))
			_exit(1);
	}
}

struct span {
	uint64_t least, most;
};

static void
widen(void *ctx, const struct event *e)
{
	struct span *s = ctx;

	s->least = e->visitor < s->least ? e->visitor : s->least;
	s->most = e->visitor > s->most ? e->visitor : s->most;
}

START_TEST(every_acknowledged_append_is_found_after_kill_9)
{
	const uint64_t acks = 37 + 61 * (uint64_t)_i;
	struct journal_found found;
	struct span span = {UINT64_MAX, 0};
	uint64_t n = 0, last = 0, i;
	struct journal *j;
	int fd[2], status;
	pid_t child;

	conf.journal_segments = 16;
	conf.journal_segment = 1 << 20;
	if (_i % 2)
		conf.journal_sync = sync_always;
	ck_assert_int_eq(pipe(fd), 0);
	child = fork();
	if (child == 0) {
		close(fd[0]);
		append_and_acknowledge(fd[1], 1);
	}
	close(fd[1]);
	for (i = 0; i < acks; i++)
		ck_assert_int_eq(read(fd[0], &n, sizeof(n)), sizeof(n));
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	while (read(fd[0], &n, sizeof(n)) == (ssize_t)sizeof(n))
		last = n; /* acknowledged between our decision and its death */
	close(fd[0]);
	last = n > last ? n : last;

	j = open_journal(0, &found);
	journal_replay(j, widen, &span);
	ck_assert_uint_eq(span.least, 1);
	ck_assert_uint_ge(span.most, last);
	ck_assert_uint_le(span.most, last + 1);
	ck_assert_uint_eq(found.records, span.most);
	ck_assert_uint_eq(found.lost, 0);
	ck_assert_uint_eq(found.torn, 0);
	journal_close(j);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("journal_recovery");
	TCase *c = tcase_create("journal");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, ledger_of_the_header_survives_a_crash);
	tcase_add_test(c, crash_after_the_number_gives_the_same_segment_the_same_number_and_meta);
	tcase_add_test(c, torn_tail_is_cut_at_every_byte_and_all_before_it_kept);
	tcase_add_test(c, changed_byte_anywhere_in_the_last_record_cuts_it);
	tcase_add_test(c, lost_records_are_named_in_the_batch_and_the_ledger_counts_what_is_there);
	tcase_add_test(c, stale_records_of_a_recycled_segment_are_refused);
	tcase_add_test(c, segment_with_unreadable_header_is_set_aside_and_the_others_are_read);
	tcase_add_test(c, sync_always_refuses_what_did_not_reach_the_disk_and_recovers);
	tcase_add_test(c, sync_interval_closes_a_segment_that_did_not_reach_the_disk);
	tcase_add_loop_test(c, every_acknowledged_append_is_found_after_kill_9, 0, 30);
	suite_add_tcase(suite, c);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
