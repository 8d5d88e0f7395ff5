/* Sealing on real files: rounds at injected times, and the thread itself. */
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include "base/hash.h"
#include "node/journal_state.h"
#include "node/seal.h"
#include "test/unit/scratch.h"

#define SEGMENT_FILE ((size_t)64 << 10)
#define T0 INT64_C(1763812800000) /* 2025-11-22T12:00:00Z, the start of an hour */
#define WAIT_MS 30000             /* for what takes milliseconds; longer is a failure */

static char dir[SCRATCH_MAX];
static char node_name[] = "web-1", sync_interval[] = "interval";
static struct conf conf;
static struct journal *journal;
static struct spool *spool;
static unsigned writers;

static void
open_all(int64_t ms)
{
	struct journal_found found;

	ck_assert_int_eq(spool_open(&conf, &spool), 0);
	ck_assert_int_eq(
	    journal_open(&conf, spool, writers, (struct wall_ms){T0 + ms}, &journal, &found), 0);
}

static void
close_all(void)
{
	journal_close(journal);
	spool_close(spool);
}

static void
set_up(void)
{
	ck_assert_int_eq(hash_init(), 0);
	scratch_make(dir, "seal");
	conf = (struct conf){
	    .node_name = node_name,
	    .node_state_dir = dir,
	    .journal_segment = SEGMENT_FILE,
	    .journal_segments = 8,
	    .journal_sync = sync_interval,
	    .journal_sync_interval = 10,
	    .batch_interval = HOUR_MS,
	    .batch_spool_max = 16 << 20,
	    .admit_retry_window = HOUR_MS,
	};
	writers = 2;
	open_all(0);
}

static void
tear_down(void)
{
	close_all();
	scratch_remove(dir);
}

static struct wall_ms
at(int64_t ms)
{
	return (struct wall_ms){T0 + ms};
}

static int
append_as(unsigned writer, struct wall_ms now, uint64_t n, bool repeat)
{
	struct event e = {
	    .source = n % 2 ? SOURCE_BEACON : SOURCE_DATAGRAM,
	    .ts_ms = now.ms,
	    .site = TEXT_LIT("default"),
	    .type = TEXT_LIT("video"),
	    .name = TEXT_LIT("view"),
	    .has_uuid = true,
	    .uuid = {(uint8_t)n},
	    .visitor = n,
	    .salt_id = 7,
	    .repeat = repeat,
	};

	return journal_append(journal_writer(journal, writer), now, &e,
			      repeat ? REASON_ACCEPTED_REPEAT : REASON_ACCEPTED_FIRST);
}

static int
append(unsigned writer, struct wall_ms now, uint64_t n)
{
	return append_as(writer, now, n, false);
}

/* Appends until the writer's segment is full and the next one holds one event: how many. */
static uint64_t
fill_segment(unsigned writer, int64_t ms)
{
	const struct segment *first = journal_writer(journal, writer)->active;
	uint64_t n = 0;

	while (journal_writer(journal, writer)->active == first)
		ck_assert_int_eq(append(writer, at(ms), n++), 0);
	return n;
}

static int
round_at(int64_t ms, enum seal_why why)
{
	return seal_round(journal, spool, at(ms), why);
}

struct opened { /* a batch out of the spool */
	struct batch_name name;
	struct batch_meta meta;
	uint32_t events;
	uint64_t visitors; /* sum */
};

static struct opened
open_body(const char *body, size_t len)
{
	static uint8_t document[1 << 20];
	struct opened o = {0};
	struct batch_cursor cursor;
	struct batch_event e;
	struct text frame;
	struct batch b;
	size_t n;

	ck_assert_int_eq(batch_name_get((const uint8_t *)body, len, &o.name, &frame), 0);
	ck_assert_uint_eq(ZSTD_getFrameContentSize(frame.at, frame.len), o.name.document_bytes);
	n = ZSTD_decompress(document, sizeof(document), frame.at, frame.len);
	ck_assert_uint_eq(n, o.name.document_bytes);
	ck_assert_int_eq(batch_decode(document, n, &b), 0);
	ck_assert_uint_eq(b.events, o.name.events);
	o.meta = b.meta;
	for (batch_cursor_init(&b, &cursor); batch_next(&cursor, &e); o.events++)
		o.visitors += e.visitor;
	return o;
}

/* Takes the oldest batch out of the spool; it must have this seq. */
static struct opened
take(uint64_t seq)
{
	struct batch_id id;
	struct opened o;
	char *body = NULL;
	size_t len;

	ck_assert_int_eq(spool_oldest(spool, &id, &body, &len), 0);
	o = open_body(body, len);
	free(body);
	ck_assert_uint_eq(id.seq, seq);
	ck_assert_uint_eq(o.meta.id.seq, seq);
	ck_assert_str_eq(o.meta.id.node, "web-1");
	ck_assert_int_eq(spool_remove(spool, &id), 0);
	return o;
}

START_TEST(empty_interval_gives_one_empty_batch_that_closes_it)
{
	struct opened o;

	ck_assert_int_eq(round_at(HOUR_MS - 1, SEAL_TIME), 0);
	ck_assert_uint_eq(spool_count(spool), 0);
	ck_assert_int_eq(round_at(HOUR_MS + JOURNAL_SETTLE_MS, SEAL_TIME), 0);
	ck_assert_uint_eq(spool_count(spool), 1);
	o = take(1);
	ck_assert_uint_eq(o.events, 0);
	ck_assert_int_eq(o.meta.from_ms, T0);
	ck_assert_int_eq(o.meta.until_ms, T0 + HOUR_MS);
	ck_assert_int_eq(o.meta.closes_ms, T0 + HOUR_MS);
	ck_assert_uint_eq(ledger_received(&o.meta.ledger), 0);
	/* and nothing more of the same */
	ck_assert_int_eq(round_at(HOUR_MS + 5000, SEAL_TIME), 0);
	ck_assert_uint_eq(spool_count(spool), 0);
	ck_assert_int_eq(round_at(2 * HOUR_MS + JOURNAL_SETTLE_MS, SEAL_TIME), 0);
	ck_assert_int_eq(take(2).meta.closes_ms, T0 + 2 * HOUR_MS);
}
END_TEST

START_TEST(only_the_last_batch_of_an_interval_closes_it)
{
	struct opened first, last;
	uint64_t i;

	for (i = 1; i <= 10; i++)
		ck_assert_int_eq(append(i % 2, at(10), i), 0);
	journal_count(journal_writer(journal, 0), at(11), SOURCE_BEACON, REASON_BOT_USER_AGENT);
	ck_assert_int_eq(round_at(HOUR_MS + 200, SEAL_TIME), 0);
	ck_assert_uint_eq(spool_count(spool), 2);
	first = take(1);
	last = take(2);
	ck_assert_uint_eq(first.events + last.events, 10);
	ck_assert_uint_eq(first.visitors + last.visitors, 55);
	ck_assert_int_le(first.meta.closes_ms, T0); /* where the journal began, and no more */
	ck_assert_int_eq(last.meta.closes_ms, T0 + HOUR_MS + 200 - JOURNAL_SETTLE_MS);
	ledger_add(&first.meta.ledger, &last.meta.ledger);
	ck_assert_uint_eq(ledger_verdict(&first.meta.ledger, VERDICT_ACCEPTED), 10);
	ck_assert_uint_eq(ledger_verdict(&first.meta.ledger, VERDICT_BOT), 1);
}
END_TEST

START_TEST(interval_with_one_busy_worker_gives_one_batch)
{
	struct opened o;

	ck_assert_int_eq(append(0, at(10), 1), 0);
	ck_assert_int_eq(append(0, at(HOUR_MS + 5), 2), 0); /* the worker has rotated itself */
	ck_assert_int_eq(round_at(HOUR_MS + 6, SEAL_TIME), 0);
	ck_assert_uint_eq(spool_count(spool), 0); /* the other one's segment is not closed yet */
	ck_assert_int_eq(round_at(HOUR_MS + JOURNAL_SETTLE_MS, SEAL_TIME), 0);
	ck_assert_uint_eq(spool_count(spool), 1);
	o = take(1);
	ck_assert_uint_eq(o.events, 1);
	ck_assert_int_eq(o.meta.closes_ms, T0 + HOUR_MS);
}
END_TEST

START_TEST(full_segment_is_sealed_at_once_and_closes_nothing)
{
	struct opened o;
	uint64_t n = fill_segment(0, 1000);

	ck_assert_int_eq(round_at(1001, SEAL_TIME), 0);
	ck_assert_uint_eq(spool_count(spool), 1);
	o = take(1);
	ck_assert_uint_eq(o.events, n - 1);
	ck_assert_int_le(o.meta.closes_ms, T0); /* the other worker's segment is open since then */
}
END_TEST

START_TEST(flush_says_complete_up_to_the_rotation)
{
	struct opened o;

	ck_assert_int_eq(append(1, at(500), 1), 0);
	ck_assert_int_eq(round_at(1000, SEAL_FLUSH), 0);
	ck_assert_uint_eq(spool_count(spool), 1);
	o = take(1);
	ck_assert_uint_eq(o.events, 1);
	ck_assert_int_eq(o.meta.closes_ms, T0 + 1000 - JOURNAL_SETTLE_MS);
	ck_assert_int_eq(o.meta.sealed_ms, T0 + 1000);
	/* with nothing judged it still says so */
	ck_assert_int_eq(round_at(2000, SEAL_FLUSH), 0);
	o = take(2);
	ck_assert_uint_eq(o.events, 0);
	ck_assert_int_eq(o.meta.closes_ms, T0 + 2000 - JOURNAL_SETTLE_MS);
}
END_TEST

START_TEST(stop_without_events_makes_no_batch)
{
	ck_assert_int_eq(round_at(1000, SEAL_FLUSH), 0);
	(void)take(1);
	ck_assert_int_eq(round_at(2000, SEAL_STOP), 0);
	ck_assert_uint_eq(spool_count(spool), 0);
}
END_TEST

START_TEST(interval_is_not_closed_while_a_found_segment_of_it_waits)
{
	struct segment *s;
	struct batch_id id;

	/* a crash leaves one segment with its number and one without */
	ck_assert_int_eq(append(0, at(10), 1), 0);
	ck_assert_int_eq(append(1, at(10), 2), 0);
	ck_assert_int_eq(journal_rotate(journal, at(900), true), 0);
	s = journal_take_closed(journal);
	ck_assert_int_eq(segment_number(journal, s, at(1000), &id), 0);
	close_all();
	open_all(2000);
	ck_assert_int_eq(round_at(3000, SEAL_TIME), 0);
	ck_assert_uint_eq(spool_count(spool), 2);
	ck_assert_int_eq(take(1).meta.closes_ms, T0); /* the start of the first round */
	ck_assert_int_eq(take(2).meta.closes_ms, T0 + 2000);
}
END_TEST

START_TEST(crash_between_number_and_spool_makes_the_same_bytes_again)
{
	char *before = NULL, *after = NULL;
	size_t before_len, after_len;
	struct segment *s;
	struct batch_id id;
	uint64_t i;

	for (i = 0; i < 100; i++)
		ck_assert_int_eq(append(0, at(10), i), 0);
	journal_count(journal_writer(journal, 0), at(11), SOURCE_BEACON, REASON_LIMITED_V4);
	ck_assert_int_eq(journal_rotate(journal, at(900), true), 0);
	journal_drop_empty(journal);
	s = journal_take_closed(journal);
	ck_assert_int_eq(segment_number(journal, s, at(1000), &id), 0);
	ck_assert_int_eq(seal_encode(s, &before, &before_len), 0);
	close_all(); /* dies before spool_put */
	open_all(5000);
	ck_assert_int_eq(round_at(6000, SEAL_TIME), 0);
	ck_assert_uint_eq(spool_count(spool), 1);
	ck_assert_int_eq(spool_oldest(spool, &id, &after, &after_len), 0);
	ck_assert_uint_eq(id.seq, 1);
	ck_assert_uint_eq(after_len, before_len);
	ck_assert_mem_eq(after, before, before_len);
	free(before);
	free(after);
}
END_TEST

START_TEST(crash_between_spool_and_release_makes_no_second_batch)
{
	char *body = NULL;
	struct segment *s;
	struct batch_id id;
	size_t len;

	ck_assert_int_eq(append(0, at(10), 1), 0);
	ck_assert_int_eq(journal_rotate(journal, at(900), true), 0);
	journal_drop_empty(journal);
	s = journal_take_closed(journal);
	ck_assert_int_eq(segment_number(journal, s, at(1000), &id), 0);
	ck_assert_int_eq(seal_encode(s, &body, &len), 0);
	ck_assert_int_eq(spool_put(spool, &id, body, len), 0);
	free(body);
	close_all(); /* dies before journal_sealed */
	open_all(5000);
	ck_assert_int_eq(round_at(6000, SEAL_STOP), 0);
	ck_assert_uint_eq(spool_count(spool), 1);
	ck_assert_uint_eq(take(1).events, 1);
	ck_assert_int_eq(append(0, at(7000), 2), 0);
	ck_assert_int_eq(round_at(8000, SEAL_STOP), 0);
	ck_assert_uint_eq(take(2).visitors, 2);
}
END_TEST

START_TEST(damaged_records_of_this_run_are_lost_and_the_others_counted_as_they_are)
{
	const struct segment *s = journal_writer(journal, 0)->active;
	size_t last = 0;
	struct opened o;
	uint64_t i;

	for (i = 0; i < 8; i++) {
		last = s->used;
		ck_assert_int_eq(append_as(0, at(10), i, i % 4 >= 2), 0);
	}
	s->base[s->records_at + last + 8] ^= 1;
	ck_assert_int_eq(round_at(1000, SEAL_FLUSH), 0);
	o = take(1);
	ck_assert_uint_eq(o.events, 7);
	ck_assert_uint_eq(o.meta.lost, 1);
	ck_assert_uint_eq(o.meta.ledger.count[SOURCE_DATAGRAM][REASON_ACCEPTED_FIRST], 2);
	ck_assert_uint_eq(o.meta.ledger.count[SOURCE_DATAGRAM][REASON_ACCEPTED_REPEAT], 2);
	ck_assert_uint_eq(o.meta.ledger.count[SOURCE_BEACON][REASON_ACCEPTED_FIRST], 2);
	ck_assert_uint_eq(o.meta.ledger.count[SOURCE_BEACON][REASON_ACCEPTED_REPEAT], 1);
}
END_TEST

START_TEST(segment_that_counts_more_than_it_takes_is_refused_before_it_has_a_number)
{
	struct batch_id last;
	struct segment *s;

	ck_assert_int_eq(append(0, at(10), 1), 0);
	ck_assert_int_eq(journal_rotate(journal, at(900), true), 0);
	journal_drop_empty(journal);
	s = journal_take_closed(journal);
	s->head->count[REASON_ACCEPTED_FIRST] = BATCH_EVENTS_MAX + 1;
	ck_assert_int_eq(round_at(1000, SEAL_TIME), -EBADMSG);
	ck_assert_uint_eq(spool_count(spool), 0);
	journal_last(journal, &last);
	ck_assert_uint_eq(last.seq, 0);
	s->head->count[REASON_ACCEPTED_FIRST] = 1;
	ck_assert_int_eq(round_at(2000, SEAL_TIME), 0);
	ck_assert_uint_eq(take(1).events, 1);
}
END_TEST

START_TEST(segment_that_is_used_again_has_a_ledger_of_its_own)
{
	uint64_t round, i, rounds = 3 * (uint64_t)conf.journal_segments;
	struct opened o;

	for (round = 1; round <= rounds; round++) {
		for (i = 0; i < round; i++) {
			ck_assert_int_eq(append(0, at(10), 1), 0);
			journal_count(journal_writer(journal, 0), at(10), SOURCE_BEACON,
				      REASON_BOT_USER_AGENT);
		}
		ck_assert_int_eq(round_at(1000, SEAL_FLUSH), 0);
		o = take(round);
		ck_assert_uint_eq(o.events, round);
		ck_assert_uint_eq(o.meta.lost, 0);
		ck_assert_uint_eq(ledger_verdict(&o.meta.ledger, VERDICT_ACCEPTED), round);
		ck_assert_uint_eq(ledger_received(&o.meta.ledger), 2 * round);
	}
}
END_TEST

START_TEST(full_spool_keeps_segments_and_their_numbers_until_there_is_room)
{
	static uint8_t filler[1 << 20];
	struct batch_id other = {.node = "web-1", .epoch = {9}, .seq = 1};

	close_all();
	conf.batch_spool_max = 1 << 20;
	open_all(0);
	ck_assert_int_eq(spool_put(spool, &other, filler, sizeof(filler)), 0);
	ck_assert_int_eq(append(0, at(10), 1), 0);
	ck_assert_int_eq(round_at(1000, SEAL_FLUSH), -EDQUOT);
	ck_assert_int_eq(append(0, at(1001), 2), 0);
	ck_assert_int_eq(round_at(2000, SEAL_FLUSH), -EDQUOT);
	ck_assert_int_eq(spool_remove(spool, &other), 0);
	ck_assert_int_eq(round_at(3000, SEAL_TIME), 0);
	ck_assert_uint_eq(take(1).visitors, 1);
	ck_assert_uint_eq(take(2).visitors, 2);
}
END_TEST

START_TEST(flush_with_few_segments_closes_every_writer)
{
	close_all();
	conf.journal_segments = 4; /* two a worker */
	open_all(0);
	/* one spare is used up by a full segment */
	(void)fill_segment(0, 10);
	ck_assert_int_eq(append(1, at(10), 2), 0);
	ck_assert_int_eq(round_at(1000, SEAL_FLUSH), 0);
	ck_assert_uint_eq(spool_count(spool), 3);
	ck_assert_uint_eq(segment_records(journal_writer(journal, 0)->active), 0);
	ck_assert_uint_eq(segment_records(journal_writer(journal, 1)->active), 0);
	ck_assert_int_le(take(1).meta.closes_ms, T0);
	ck_assert_int_le(take(2).meta.closes_ms, T0);
	ck_assert_int_eq(take(3).meta.closes_ms, T0 + 1000 - JOURNAL_SETTLE_MS);
}
END_TEST

/* -- the thread -- */

START_TEST(thread_flushes_on_request_and_seals_the_rest_at_stop)
{
	struct sealer *sealer = NULL;
	struct batch_id last;
	uint64_t i, events = 0;

	close_all();
	ck_assert_int_eq(spool_open(&conf, &spool), 0);
	ck_assert_int_eq(
	    journal_open(&conf, spool, writers, wall_now(), &journal, &(struct journal_found){0}),
	    0);
	ck_assert_int_eq(seal_start(&conf, journal, spool, &sealer), 0);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(append(0, wall_now(), i), 0);
	ck_assert_int_eq(seal_flush(sealer, WAIT_MS, &last), 0);
	ck_assert_uint_ge(last.seq, 1);
	ck_assert_uint_eq(spool_count(spool), last.seq);
	for (i = 0; i < 5; i++)
		ck_assert_int_eq(append(1, wall_now(), i), 0);
	seal_stop(sealer);
	for (i = 1; spool_count(spool) > 0; i++)
		events += take(i).events;
	ck_assert_uint_eq(events, 15);
}
END_TEST

START_TEST(thread_keeps_up_with_a_worker_that_fills_segments)
{
	struct sealer *sealer = NULL;
	uint64_t i, accepted = 0, sealed = 0;
	struct batch_id last;

	close_all();
	ck_assert_int_eq(spool_open(&conf, &spool), 0);
	ck_assert_int_eq(
	    journal_open(&conf, spool, writers, wall_now(), &journal, &(struct journal_found){0}),
	    0);
	ck_assert_int_eq(seal_start(&conf, journal, spool, &sealer), 0);
	for (i = 0; i < 20000; i++)
		accepted += append(i % 2, wall_now(), i) == 0;
	ck_assert_uint_gt(accepted, 1000);
	ck_assert_int_eq(seal_flush(sealer, WAIT_MS, &last), 0);
	seal_stop(sealer);
	for (i = 1; spool_count(spool) > 0; i++)
		sealed += take(i).events;
	ck_assert_uint_eq(sealed, accepted);
}
END_TEST

/* -- kill -9 of journal, sealer and spool together -- */

#define LIVES 12

static _Noreturn void
live(int fd, uint64_t n, unsigned flush_every)
{
	struct sealer *sealer = NULL;
	struct batch_id last;

	if (seal_start(&conf, journal, spool, &sealer) < 0)
		_exit(1);
	for (;; n++) {
		while (append((unsigned)(n % 2), wall_now(), n) < 0)
			sched_yield();
		if (write(fd, &n, sizeof(n)) != (ssize_t)sizeof(n))
			_exit(2);
		if (n % flush_every == 0)
			(void)seal_flush(sealer, WAIT_MS, &last);
	}
}

/* One life of an agent, ended after `acks` acknowledgements: the last number acknowledged. */
static uint64_t
live_and_die(uint64_t from, uint64_t acks, unsigned flush_every)
{
	uint64_t n = 0, i;
	int fd[2], status;
	pid_t child;

	ck_assert_int_eq(pipe(fd), 0);
	child = fork();
	if (child == 0) {
		close(fd[0]);
		open_all(wall_now().ms - T0);
		live(fd[1], from, flush_every);
	}
	close(fd[1]);
	for (i = 0; i < acks; i++)
		ck_assert_int_eq(read(fd[0], &n, sizeof(n)), sizeof(n));
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	while (read(fd[0], &n, sizeof(n)) == (ssize_t)sizeof(n))
		;
	close(fd[0]);
	return n;
}

static void
mark(const char *body, size_t len, uint8_t *times, uint64_t numbers)
{
	static uint8_t document[1 << 20];
	struct batch_cursor cursor;
	struct batch_event e;
	struct batch_name name;
	struct text frame;
	struct batch b;
	size_t n;

	ck_assert_int_eq(batch_name_get((const uint8_t *)body, len, &name, &frame), 0);
	n = ZSTD_decompress(document, sizeof(document), frame.at, frame.len);
	ck_assert_int_eq(batch_decode(document, n, &b), 0);
	ck_assert_uint_eq(ledger_verdict(&b.meta.ledger, VERDICT_ACCEPTED), b.events);
	ck_assert_uint_eq(b.meta.lost, 0);
	for (batch_cursor_init(&b, &cursor); batch_next(&cursor, &e);) {
		ck_assert_uint_lt(e.visitor, numbers);
		times[e.visitor]++;
	}
}

START_TEST(every_acknowledged_event_is_in_exactly_one_batch_after_many_kill_9)
{
	static uint8_t times[1 << 20];
	uint64_t acked[LIVES], next = 1, seq = 0, n;
	struct batch_id id;
	unsigned life;
	char *body;
	size_t len;

	close_all();
	conf.journal_segments = 16;
	conf.batch_interval = 1000;
	for (life = 0; life < LIVES; life++) {
		acked[life] = live_and_die(next, 200 + 431 * (uint64_t)life, 100 + 77 * life);
		next =
		    acked[life] + 2; /* the one behind may be recorded, and was not acknowledged */
	}
	open_all(wall_now().ms - T0);
	ck_assert_int_eq(round_at(wall_now().ms - T0, SEAL_STOP), 0);
	while (spool_oldest(spool, &id, &body, &len) == 0) {
		ck_assert_uint_eq(id.seq, ++seq);
		mark(body, len, times, sizeof(times));
		free(body);
		ck_assert_int_eq(spool_remove(spool, &id), 0);
	}
	ck_assert_uint_eq(spool_broken(spool), 0);
	for (life = 0, n = 1; life < LIVES; life++, n++) {
		for (; n <= acked[life]; n++)
			ck_assert_msg(times[n] == 1, "event %lu is in %u batches", (unsigned long)n,
				      times[n]);
		ck_assert_uint_le(times[n], 1);
	}
	ck_assert_uint_gt(seq, LIVES);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("seal");
	TCase *c = tcase_create("seal");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, empty_interval_gives_one_empty_batch_that_closes_it);
	tcase_add_test(c, only_the_last_batch_of_an_interval_closes_it);
	tcase_add_test(c, interval_with_one_busy_worker_gives_one_batch);
	tcase_add_test(c, full_segment_is_sealed_at_once_and_closes_nothing);
	tcase_add_test(c, flush_says_complete_up_to_the_rotation);
	tcase_add_test(c, stop_without_events_makes_no_batch);
	tcase_add_test(c, interval_is_not_closed_while_a_found_segment_of_it_waits);
	tcase_add_test(c, crash_between_number_and_spool_makes_the_same_bytes_again);
	tcase_add_test(c, crash_between_spool_and_release_makes_no_second_batch);
	tcase_add_test(c, damaged_records_of_this_run_are_lost_and_the_others_counted_as_they_are);
	tcase_add_test(c, segment_that_counts_more_than_it_takes_is_refused_before_it_has_a_number);
	tcase_add_test(c, segment_that_is_used_again_has_a_ledger_of_its_own);
	tcase_add_test(c, full_spool_keeps_segments_and_their_numbers_until_there_is_room);
	tcase_add_test(c, flush_with_few_segments_closes_every_writer);
	tcase_add_test(c, thread_flushes_on_request_and_seals_the_rest_at_stop);
	tcase_add_test(c, thread_keeps_up_with_a_worker_that_fills_segments);
	tcase_add_test(c, every_acknowledged_event_is_in_exactly_one_batch_after_many_kill_9);
	suite_add_tcase(suite, c);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
