/* Bots by name in the journal, on real files: kept whatever end the process had, within the table's
 * size, and never apart from the ledger. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include "node/seal.h"
#include "test/unit/journal_home.h"
#include "test/unit/segment_home.h"

static struct journal *
open_at_start(void)
{
	struct journal_found found;

	return open_journal(0, &found);
}

static void
count(struct journal *j, enum event_source s, const char *name)
{
	journal_count_bot(journal_writer(j, 0), at(0), s, text_of(name));
}

/* The closed segment, numbered, so that its ledger holds. */
static struct segment *
closed(struct journal *j)
{
	struct segment *s = journal_take_closed(j);
	struct batch_id id;

	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(segment_number(j, s, at(9), &id), 0);
	return s;
}

static uint64_t
in_ledger(const struct segment *s, enum event_source source)
{
	struct batch_meta meta = meta_of(s);

	return meta.ledger.count[source][REASON_BOT_USER_AGENT];
}

/* -1: there is no such name. */
static int64_t
of_name(const struct segment *s, enum event_source source, const char *name)
{
	struct batch_bot bot[SEGMENT_BOTS];
	size_t n = segment_bots(s, bot), i;

	for (i = 0; i < n; i++)
		if (text_is(bot[i].name, name))
			return (int64_t)bot[i].count[source];
	return -1;
}

START_TEST(names_survive_a_crash_and_the_ledger_has_them_too)
{
	struct journal *j = open_at_start();
	struct segment *s;

	count(j, SOURCE_BEACON, "Googlebot");
	count(j, SOURCE_BEACON, "Googlebot");
	count(j, SOURCE_DATAGRAM, "Googlebot");
	count(j, SOURCE_DATAGRAM, "Bingbot");
	journal_count(journal_writer(j, 0), at(0), SOURCE_BEACON, REASON_BOT_USER_AGENT);
	journal_close(j); /* as kill -9 leaves it: nothing was written on the way out */

	j = open_at_start();
	s = closed(j);
	ck_assert_int_eq(of_name(s, SOURCE_BEACON, "Googlebot"), 2);
	ck_assert_int_eq(of_name(s, SOURCE_DATAGRAM, "Googlebot"), 1);
	ck_assert_int_eq(of_name(s, SOURCE_BEACON, "Bingbot"), 0);
	ck_assert_int_eq(of_name(s, SOURCE_DATAGRAM, "Bingbot"), 1);
	ck_assert_uint_eq(in_ledger(s, SOURCE_BEACON), 3);
	ck_assert_uint_eq(in_ledger(s, SOURCE_DATAGRAM), 2);
	journal_close(j);
}
END_TEST

/* What the child has counted, as it sees it. */
#define NAMES 7
struct told {
	uint64_t n[NAMES];
};

static void
count_for_ever(struct told *told)
{
	static const char *const names[NAMES] = {"a", "bb", "ccc", "dddd", "eeeee", "ffffff", "g"};
	struct journal *j = open_at_start();
	uint64_t i;

	for (i = 0;; i++) {
		count(j, i % 2 ? SOURCE_BEACON : SOURCE_DATAGRAM, names[i % NAMES]);
		__atomic_add_fetch(&told->n[i % NAMES], 1, __ATOMIC_SEQ_CST);
	}
}

START_TEST(a_killed_process_leaves_every_name_that_it_had_counted)
{
	static const char *const names[NAMES] = {"a", "bb", "ccc", "dddd", "eeeee", "ffffff", "g"};
	struct told *told =
	    mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t kept, more = 0, named = 0;
	struct segment *s;
	struct journal *j;
	pid_t child;
	unsigned i;

	ck_assert_ptr_ne(told, MAP_FAILED);
	child = fork();
	if (child == 0)
		count_for_ever(told);
	while (__atomic_load_n(&told->n[NAMES - 1], __ATOMIC_SEQ_CST) < 500)
		sched_yield();
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	j = open_at_start();
	s = closed(j);
	for (i = 0; i < NAMES; i++) {
		kept = (uint64_t)(of_name(s, SOURCE_BEACON, names[i]) +
				  of_name(s, SOURCE_DATAGRAM, names[i]));
		ck_assert_uint_ge(kept, told->n[i]);
		more += kept - told->n[i];
		named += kept;
	}
	ck_assert_uint_le(more, 1); /* counted, and killed before it could say so */
	ck_assert_uint_eq(in_ledger(s, SOURCE_BEACON) + in_ledger(s, SOURCE_DATAGRAM), named);
	journal_close(j);
	munmap(told, sizeof(*told));
}
END_TEST

START_TEST(a_full_table_keeps_who_came_first_and_counts_the_rest_without_a_name)
{
	struct journal *j = open_at_start();
	struct batch_bot bot[SEGMENT_BOTS];
	struct segment *s;
	unsigned i, round;
	char name[16];

	for (round = 0; round < 2; round++)
		for (i = 0; i < SEGMENT_BOTS + 10; i++) {
			snprintf(name, sizeof(name), "bot-%03u", i);
			count(j, SOURCE_BEACON, name);
		}
	journal_close(j);
	j = open_at_start();
	s = closed(j);
	ck_assert_uint_eq(segment_bots(s, bot), SEGMENT_BOTS);
	ck_assert_int_eq(of_name(s, SOURCE_BEACON, "bot-000"), 2);
	snprintf(name, sizeof(name), "bot-%03u", SEGMENT_BOTS - 1);
	ck_assert_int_eq(of_name(s, SOURCE_BEACON, name), 2);
	snprintf(name, sizeof(name), "bot-%03u", SEGMENT_BOTS);
	ck_assert_int_eq(of_name(s, SOURCE_BEACON, name), -1);
	ck_assert_uint_eq(in_ledger(s, SOURCE_BEACON), 2 * (SEGMENT_BOTS + 10));
	for (i = 1; i < SEGMENT_BOTS; i++)
		ck_assert_int_lt(text_cmp(bot[i - 1].name, bot[i].name), 0);
	journal_close(j);
}
END_TEST

START_TEST(a_name_that_is_none_is_counted_without_it)
{
	char longest[BATCH_BOT_NAME_MAX + 2];
	struct journal *j = open_at_start();
	struct segment *s;

	memset(longest, 'x', sizeof(longest));
	longest[BATCH_BOT_NAME_MAX + 1] = '\0';
	count(j, SOURCE_BEACON, longest); /* one byte too many */
	count(j, SOURCE_BEACON, longest + 1);
	count(j, SOURCE_BEACON, "tab\there");
	count(j, SOURCE_BEACON, "caf\xe9");
	count(j, SOURCE_BEACON, "");
	journal_close(j);
	j = open_at_start();
	s = closed(j);
	ck_assert_int_eq(of_name(s, SOURCE_BEACON, longest + 1), 1);
	ck_assert_int_eq(of_name(s, SOURCE_BEACON, "tab\there"), -1);
	ck_assert_uint_eq(in_ledger(s, SOURCE_BEACON), 5);
	journal_close(j);
}
END_TEST

START_TEST(each_segment_counts_a_name_for_itself)
{
	struct journal *j = open_at_start();
	struct segment *s;
	unsigned round;

	for (round = 1; round <= 6; round++) { /* more than there are segments */
		count(j, SOURCE_BEACON, round % 2 ? "odd" : "even");
		count(j, SOURCE_BEACON, "always");
		count(j, SOURCE_DATAGRAM, "always");
		ck_assert_int_eq(journal_rotate(j, at(200), true), 0);
		s = closed(j);
		ck_assert_int_eq(of_name(s, SOURCE_BEACON, "odd"), round % 2 ? 1 : -1);
		ck_assert_int_eq(of_name(s, SOURCE_BEACON, "even"), round % 2 ? -1 : 1);
		ck_assert_int_eq(of_name(s, SOURCE_BEACON, "always"), 1);
		ck_assert_int_eq(of_name(s, SOURCE_DATAGRAM, "always"), 1);
		ck_assert_uint_eq(in_ledger(s, SOURCE_BEACON), 2);
		ck_assert_int_eq(journal_sealed(j, s), 0);
		journal_tend(j, at(200));
	}
	journal_close(j);
}
END_TEST

START_TEST(names_of_a_segments_earlier_life_are_gone)
{
	struct batch_bot bot[SEGMENT_BOTS];
	struct journal *j;
	struct segment *s;
	unsigned round, i;
	char name[32];

	conf.admit_retry_window = 0; /* no history: segments are reused at once */
	j = open_at_start();
	for (round = 0; round < 12; round++) {
		/* fewer in each round, so that whole places of earlier ones lie behind */
		for (i = 0; i < 24 - round; i++) {
			snprintf(name, sizeof(name), "round-%u-%u", round, i);
			count(j, SOURCE_DATAGRAM, name);
		}
		ck_assert_int_eq(journal_rotate(j, at(200), true), 0);
		s = journal_take_closed(j);
		ck_assert(!segment_is_empty(s));
		ck_assert_uint_eq(segment_bots(s, bot), 24 - round);
		ck_assert_int_eq(journal_sealed(j, s), 0); /* unnumbered: free at once */
		journal_tend(j, at(200));
	}
	journal_close(j);
}
END_TEST

START_TEST(a_damaged_place_costs_its_own_count_and_no_other)
{
	struct segment s = {.index = 3};
	struct segment *found;
	struct journal *j;
	char journal_dir[128];
	size_t byte = (size_t)_i;

	j = open_at_start();
	count(j, SOURCE_BEACON, "before");
	count(j, SOURCE_BEACON, "hit");
	count(j, SOURCE_BEACON, "behind");
	journal_close(j);
	snprintf(journal_dir, sizeof(journal_dir), "%s/journal", dir);
	ck_assert_int_eq(segment_map(journal_dir, &s), 0);
	s.base[SEGMENT_PAGE + sizeof(struct segment_bot) + byte] ^= 0x20;
	segment_unmap(&s);
	j = open_at_start();
	found = closed(j);
	ck_assert_int_eq(of_name(found, SOURCE_BEACON, "before"), 1);
	ck_assert_int_eq(of_name(found, SOURCE_BEACON, "hit"), -1);
	ck_assert_int_eq(of_name(found, SOURCE_BEACON, "behind"), 1);
	ck_assert_uint_eq(in_ledger(found, SOURCE_BEACON), 2);
	journal_close(j);
}
END_TEST

START_TEST(a_segment_of_bots_alone_becomes_a_batch_with_their_names)
{
	static uint8_t doc[1 << 20];
	struct journal *j = open_at_start();
	struct batch_name name;
	struct batch_bot bot;
	struct reader dict;
	struct text frame;
	struct batch b;
	char *body = NULL;
	size_t len, n;

	count(j, SOURCE_BEACON, "Googlebot");
	count(j, SOURCE_BEACON, "Bingbot");
	count(j, SOURCE_DATAGRAM, "Bingbot");
	journal_count(journal_writer(j, 0), at(0), SOURCE_DATAGRAM, REASON_BOT_USER_AGENT);
	ck_assert_int_eq(journal_rotate(j, at(200), true), 0);
	ck_assert_int_eq(seal_encode(closed(j), &body, &len), 0);
	ck_assert_int_eq(batch_name_get((const uint8_t *)body, len, &name, &frame), 0);
	n = ZSTD_decompress(doc, sizeof(doc), frame.at, frame.len);
	ck_assert_int_eq(batch_decode(doc, n, &b), 0);
	ck_assert_uint_eq(b.bots, 2);
	dict = b.dict_bot;
	ck_assert(batch_next_bot(&dict, &bot));
	ck_assert(text_is(bot.name, "Bingbot"));
	ck_assert_uint_eq(bot.count[SOURCE_BEACON], 1);
	ck_assert_uint_eq(bot.count[SOURCE_DATAGRAM], 1);
	ck_assert(batch_next_bot(&dict, &bot));
	ck_assert(text_is(bot.name, "Googlebot"));
	ck_assert_uint_eq(b.meta.ledger.count[SOURCE_BEACON][REASON_BOT_USER_AGENT], 2);
	ck_assert_uint_eq(b.meta.ledger.count[SOURCE_DATAGRAM][REASON_BOT_USER_AGENT], 2);
	free(body);
	journal_close(j);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("journal_bots");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, names_survive_a_crash_and_the_ledger_has_them_too);
	tcase_add_test(t, a_killed_process_leaves_every_name_that_it_had_counted);
	tcase_add_test(t, a_full_table_keeps_who_came_first_and_counts_the_rest_without_a_name);
	tcase_add_test(t, a_name_that_is_none_is_counted_without_it);
	tcase_add_test(t, each_segment_counts_a_name_for_itself);
	tcase_add_test(t, names_of_a_segments_earlier_life_are_gone);
	/* length and name */
	tcase_add_loop_test(t, a_damaged_place_costs_its_own_count_and_no_other, 0, 48);
	tcase_add_test(t, a_segment_of_bots_alone_becomes_a_batch_with_their_names);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
