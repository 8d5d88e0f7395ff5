#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "store_home.h"

/* -- exactly once -- */

START_TEST(a_batch_is_applied_once_however_often_it_comes)
{
	struct store *s = open_store();
	struct store_stats stats;
	unsigned i;

	ck_assert_int_eq(apply_simple(s, "web-1", 1, 1, 5), STORE_STORED);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(apply_simple(s, "web-1", 1, 1, 5), STORE_ALREADY);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).events, 5);
	ck_assert_uint_eq(last_ledger(s).batches, 1);
	store_close(s);
	s = open_store();
	ck_assert_int_eq(apply_simple(s, "web-1", 1, 1, 5), STORE_ALREADY);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).events, 5);
	store_stats(s, &stats);
	ck_assert_uint_eq(stats.batches, 1);
	ck_assert_uint_eq(stats.events, 5);
	ck_assert_uint_eq(stats.already, 1);
	ck_assert_uint_eq(stats.applied, 0);
	store_close(s);
}
END_TEST

START_TEST(other_bytes_under_a_known_number_are_a_conflict)
{
	struct store *s = open_store();

	ck_assert_int_eq(apply_simple(s, "web-1", 1, 1, 5), STORE_STORED);
	ck_assert_int_eq(apply_simple(s, "web-1", 1, 1, 6), STORE_CONFLICT);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).events, 5);
	/* another epoch, number or node is another batch */
	ck_assert_int_eq(apply_simple(s, "web-1", 2, 1, 6), STORE_STORED);
	ck_assert_int_eq(apply_simple(s, "web-1", 1, 2, 7), STORE_STORED);
	ck_assert_int_eq(apply_simple(s, "web-2", 1, 1, 8), STORE_STORED);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).events, 26);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_NODE, NULL).rows, 2);
	store_close(s);
}
END_TEST

START_TEST(an_agent_is_refused_once_another_has_begun_under_its_name)
{
	struct store *s = open_store();

	/* one gives way to the next: nothing is wrong, in whichever order they come */
	ck_assert_int_eq(apply_sealed(s, 1, 1, NOON), STORE_STORED);
	ck_assert_int_eq(apply_sealed(s, 2, 1, NOON + HOUR_MS), STORE_STORED);
	ck_assert_int_eq(apply_sealed(s, 1, 2, NOON + HOUR_MS / 2), STORE_STORED);
	ck_assert_int_eq(apply_sealed(s, 2, 2, NOON + 2 * HOUR_MS), STORE_STORED);
	/* the first one is still alive */
	ck_assert_int_eq(apply_sealed(s, 1, 3, NOON + 2 * HOUR_MS), STORE_RIVAL);
	ck_assert_int_eq(apply_sealed(s, 1, 3, NOON + 2 * HOUR_MS), STORE_RIVAL);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).events, 4);
	/* what was stored is still known, and the newer one goes on */
	ck_assert_int_eq(apply_sealed(s, 1, 2, NOON + HOUR_MS / 2), STORE_ALREADY);
	ck_assert_int_eq(apply_sealed(s, 2, 3, NOON + 3 * HOUR_MS), STORE_STORED);
	store_close(s);
}
END_TEST

START_TEST(a_spool_that_was_found_later_does_not_stop_the_agent_that_followed)
{
	struct store *s = open_store();

	ck_assert_int_eq(apply_sealed(s, 2, 1, NOON + HOUR_MS), STORE_STORED);
	ck_assert_int_eq(apply_sealed(s, 1, 1, NOON - HOUR_MS), STORE_STORED);
	ck_assert_int_eq(apply_sealed(s, 1, 2, NOON), STORE_STORED);
	ck_assert_int_eq(apply_sealed(s, 2, 2, NOON + 2 * HOUR_MS), STORE_STORED);
	store_close(s);
}
END_TEST

START_TEST(broken_documents_change_nothing)
{
	struct store *s = open_store();
	struct store_stats stats;
	struct maker m;
	struct event e = view_of(NOON, 1, 1);
	uint64_t before = digest(s);
	size_t i;

	maker_begin(&m, "web-1", 1, 1, NOON, 1);
	maker_add(&m, &e);
	maker_finish(&m);
	for (i = 0; i < m.doc_len; i += 7) {
		struct maker cut = m;

		cut.doc_len = i;
		ck_assert_int_eq(apply(s, &cut), STORE_BROKEN);
	}
	m.name.id.seq = 2; /* the name does not belong to the document */
	ck_assert_int_eq(apply(s, &m), STORE_BROKEN);
	m.name.id.seq = 1, m.name.events = 2;
	ck_assert_int_eq(apply(s, &m), STORE_BROKEN);
	ck_assert_uint_eq(digest(s), before);
	m.name.events = 1; /* and nothing stands in the way of the true one */
	ck_assert_int_eq(apply(s, &m), STORE_STORED);
	store_stats(s, &stats);
	ck_assert_uint_gt(stats.broken, 10);
	ck_assert_uint_eq(stats.batches, 1);
	maker_free(&m);
	store_close(s);
}
END_TEST

/* -- order -- */

enum { ORDER_BATCHES = 12 };

static void
make_mixed(struct maker *m, unsigned i)
{
	struct event e;
	unsigned j;

	maker_begin(m, i % 3 ? "web-1" : "web-2", 1, 1 + i / 3 * 3 + i % 3, NOON + i % 5 * HOUR_MS,
		    400);
	m->meta.lost = i;
	for (j = 0; j < 400; j++) {
		/* months back for some, values, repeats, three sites; sets that outgrow their
		 * limit */
		e = view_of(NOON + i % 5 * HOUR_MS - (j % 50 == 0 ? 40 * DAY_MS : j), j % 7,
			    (i * 131 + j * 7) % 2500);
		e.site = j % 9 ? TEXT_LIT("default") : TEXT_LIT("second");
		e.repeat = j % 11 == 0;
		e.has_value = j % 2;
		e.value = e.has_value ? 0.1 * j : 0;
		maker_add(m, &e);
	}
	maker_finish(m);
}

static uint64_t
digest_of_order(const unsigned order[ORDER_BATCHES], struct maker *m)
{
	struct store *s = open_store();
	uint64_t sum;
	unsigned i;

	for (i = 0; i < ORDER_BATCHES; i++)
		ck_assert_int_eq(apply(s, &m[order[i]]), STORE_STORED);
	sum = digest(s);
	store_close(s);
	teardown();
	ck_assert_int_eq(file_make_dir(dir), 0);
	return sum;
}

START_TEST(batches_in_any_order_give_the_same_numbers)
{
	struct maker m[ORDER_BATCHES];
	unsigned order[ORDER_BATCHES], i, j, k, other;
	uint64_t first;

	for (i = 0; i < ORDER_BATCHES; i++) {
		make_mixed(&m[i], i);
		order[i] = i;
	}
	first = digest_of_order(order, m);
	for (k = 1; k <= 3; k++) {
		for (i = 0; i < ORDER_BATCHES; i++) { /* shuffled, the same on every machine */
			j = (unsigned)(visitor_of(k * 100 + i) % ORDER_BATCHES);
			other = order[i];
			order[i] = order[j];
			order[j] = other;
		}
		ck_assert_uint_eq(digest_of_order(order, m), first);
	}
	for (i = 0; i < ORDER_BATCHES; i++)
		maker_free(&m[i]);
}
END_TEST

static enum store_result
apply_closing(struct store *s, uint64_t seq, int64_t closes_ms)
{
	enum store_result result;
	struct maker m;

	maker_begin(&m, "web-1", 1, seq, NOON, 0);
	m.meta.closes_ms = closes_ms;
	maker_finish(&m);
	result = apply(s, &m);
	maker_free(&m);
	return result;
}

START_TEST(a_node_is_complete_up_to_the_first_gap)
{
	struct store *s = open_store();
	struct store_node n;

	ck_assert_int_eq(apply_closing(s, 1, 0), STORE_STORED);
	ck_assert_int_eq(apply_closing(s, 2, NOON + HOUR_MS), STORE_STORED);
	ck_assert_int_eq(apply_closing(s, 6, NOON + 4 * HOUR_MS), STORE_STORED);
	ck_assert_int_eq(apply_closing(s, 4, NOON + 2 * HOUR_MS), STORE_STORED);
	n = last_node(s);
	ck_assert_uint_eq(n.contiguous_seq, 2);
	ck_assert_uint_eq(n.highest_seq, 6);
	ck_assert_int_eq(n.complete_to_ms, NOON + HOUR_MS);
	ck_assert_int_eq(apply_closing(s, 3, 0), STORE_STORED);
	n = last_node(s);
	ck_assert_uint_eq(n.contiguous_seq, 4);
	ck_assert_int_eq(n.complete_to_ms, NOON + 2 * HOUR_MS);
	store_close(s);
	s = open_store();
	ck_assert_int_eq(apply_closing(s, 5, NOON + 3 * HOUR_MS), STORE_STORED);
	n = last_node(s);
	ck_assert_uint_eq(n.contiguous_seq, 6);
	ck_assert_int_eq(n.complete_to_ms, NOON + 4 * HOUR_MS);
	ck_assert_uint_eq(n.batches, 6);
	ck_assert_int_eq(n.skew_ms, -100);
	ck_assert_int_eq(n.interval_ms, HOUR_MS);
	ck_assert_int_eq(n.last_ms, NOON + HOUR_MS + 100);
	ck_assert_str_eq(n.node, "web-1");
	store_close(s);
}
END_TEST

START_TEST(every_grain_and_dimension_adds_up_to_the_same)
{
	struct store *s = open_store();
	struct maker m;
	unsigned i, g, d;

	for (i = 0; i < ORDER_BATCHES; i++) {
		make_mixed(&m, i);
		ck_assert_int_eq(apply(s, &m), STORE_STORED);
		maker_free(&m);
	}
	for (g = 0; g < GRAIN_N; g++) {
		for (d = 0; d < DIM_N; d++) {
			struct sums all = sums_of(s, (enum grain)g, (enum dim)d, NULL);

			ck_assert_uint_eq(all.events, ORDER_BATCHES * 400);
			ck_assert_uint_eq(all.repeats, ORDER_BATCHES * 37);
			ck_assert_double_eq_tol(all.sum, ORDER_BATCHES * 4000.0, 1e-6);
		}
	}
	store_close(s);
}
END_TEST

/* -- scans -- */

static int
count_site(void *ctx, struct text site)
{
	(void)site;
	++*(unsigned *)ctx;
	return 0;
}

static int
note_range(void *ctx, const struct rollup_key *key, const struct rollup_row *row)
{
	int64_t *range = ctx;

	(void)row;
	ck_assert_int_ge(key->start_ms, range[1]); /* in order */
	if (range[0] == 0)
		range[0] = key->start_ms;
	range[1] = key->start_ms;
	return 0;
}

static int
stop_at_third(void *ctx, const struct rollup_key *key, const struct rollup_row *row)
{
	(void)key;
	(void)row;
	return ++*(int *)ctx == 3 ? 42 : 0;
}

START_TEST(scans_give_what_was_asked_for)
{
	struct store *s = open_store();
	int64_t range[2] = {0, 0};
	struct maker m;
	struct sums x = {0};
	unsigned i, sites = 0;
	int n = 0;

	for (i = 0; i < ORDER_BATCHES; i++) {
		make_mixed(&m, i);
		ck_assert_int_eq(apply(s, &m), STORE_STORED);
		maker_free(&m);
	}
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).rows, 4);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, "default").rows, 2);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, "second").events, ORDER_BATCHES * 45);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, "defaul").rows, 0);
	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, "").rows, 0);
	ck_assert_int_eq(store_scan(s, GRAIN_HOUR, DIM_TYPE, NOON, NOON + 2 * HOUR_MS,
				    (struct text){NULL, 0}, note_range, range),
			 0);
	ck_assert_int_eq(range[0], NOON);
	ck_assert_int_eq(range[1], NOON + HOUR_MS); /* until is not in */
	ck_assert_int_eq(store_scan(s, GRAIN_HOUR, DIM_TYPE, NOON + 1, NOON + HOUR_MS,
				    (struct text){NULL, 0}, add_row, &x),
			 0);
	ck_assert_uint_eq(x.rows, 0);
	ck_assert_int_eq(store_scan(s, GRAIN_HOUR, DIM_CONTENT, 0, INT64_MAX,
				    (struct text){NULL, 0}, stop_at_third, &n),
			 42);
	ck_assert_int_eq(n, 3);
	ck_assert_int_eq(store_sites(s, count_site, &sites), 0);
	ck_assert_uint_eq(sites, 2);
	store_close(s);
}
END_TEST

START_TEST(an_empty_store_answers_empty)
{
	struct store *s = open_store();

	ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).rows, 0);
	ck_assert_uint_eq(last_ledger(s).batches, 0);
	ck_assert_uint_eq(last_node(s).batches, 0);
	store_close(s);
}
END_TEST

START_TEST(ten_thousand_contents_come_back_exactly)
{
	enum { CONTENTS = 10000, EVENTS = 60000 };
	struct store *s = open_store();
	struct sums x;
	struct maker m;
	struct event e;
	unsigned i;

	maker_begin(&m, "web-1", 1, 1, NOON, EVENTS);
	for (i = 0; i < EVENTS; i++) {
		e = view_of(NOON + i * 60, i % CONTENTS, i % 700);
		maker_add(&m, &e);
	}
	maker_finish(&m);
	ck_assert_int_eq(apply(s, &m), STORE_STORED);
	x = sums_of(s, GRAIN_DAY, DIM_CONTENT, NULL);
	ck_assert_uint_eq(x.rows, CONTENTS);
	ck_assert_uint_eq(x.events, EVENTS);
	x = sums_of(s, GRAIN_DAY, DIM_SITE, NULL);
	ck_assert_uint_eq(x.visitors, 700);
	ck_assert_uint_eq(x.unique_views, sums_of(s, GRAIN_DAY, DIM_CONTENT, NULL).visitors);
	maker_free(&m);
	store_close(s);
}
END_TEST

START_TEST(the_ledger_is_kept_by_node_and_hour_of_arrival)
{
	struct store *s = open_store();
	struct store_ledger_row row;
	struct sums none = {0};
	struct maker m;
	unsigned i;

	for (i = 1; i <= 2; i++) {
		maker_begin(&m, "web-1", 1, i, NOON + 1800000, 0);
		m.meta.ledger.count[SOURCE_BEACON][REASON_BOT_USER_AGENT] = 5;
		m.meta.ledger.count[SOURCE_DATAGRAM][REASON_SHED_STOPPING] = 7;
		m.meta.lost = 3, m.meta.udp_dropped = 4;
		maker_finish(&m);
		ck_assert_int_eq(apply(s, &m), STORE_STORED);
		maker_free(&m);
	}
	row = last_ledger(s);
	ck_assert_int_eq(row.hour_ms, NOON);
	ck_assert_uint_eq(row.ledger.count[SOURCE_BEACON][REASON_BOT_USER_AGENT], 10);
	ck_assert_uint_eq(row.ledger.count[SOURCE_DATAGRAM][REASON_SHED_STOPPING], 14);
	ck_assert_uint_eq(ledger_received(&row.ledger), 24);
	ck_assert(row.lost == 6 && row.udp_dropped == 8 && row.batches == 2 && row.stored == 0);
	memset(&row, 0, sizeof(row));
	ck_assert_int_eq(store_ledger(s, NOON + 1, INT64_MAX, take_ledger, &row), 0);
	ck_assert_int_eq(store_ledger(s, 0, NOON, take_ledger, &row), 0);
	ck_assert_uint_eq(row.batches, 0);
	ck_assert_uint_eq(none.rows, 0);
	store_close(s);
}
END_TEST

/* -- opening -- */

START_TEST(only_one_may_have_the_directory)
{
	struct store *s = open_store(), *other = NULL;

	ck_assert_int_eq(store_open(&conf, &other), -EWOULDBLOCK);
	ck_assert_ptr_null(other);
	store_close(s);
	store_close(open_store());
}
END_TEST

START_TEST(another_time_zone_is_refused)
{
	struct store *s;

	store_close(open_store());
	ck_assert_int_eq(calendar_init("Asia/Tokyo"), 0);
	conf.central_time_zone = (char[]){"Asia/Tokyo"};
	ck_assert_int_eq(store_open(&conf, &s), -EINVAL);
	conf.central_time_zone = zone;
	store_close(open_store());
}
END_TEST

START_TEST(a_db_config_is_refused)
{
	struct store *s;
	char path[128];

	store_close(open_store());
	snprintf(path, sizeof(path), "%s/db/DB_CONFIG", dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(store_open(&conf, &s), -EINVAL);
	unlink(path);
	store_close(open_store());
}
END_TEST

/* -- threads -- */

struct reader_run {
	struct store *store;
	atomic_bool stop;
	unsigned scans;
	int err;
};

static int
check_row(void *ctx, const struct rollup_key *key, const struct rollup_row *row)
{
	(void)ctx;
	(void)key;
	return row->events > 0 && sketch_count(&row->visitors) > 0 ? 0 : -EBADMSG;
}

static void *
read_on(void *arg)
{
	struct reader_run *r = arg;
	unsigned d;

	do {
		for (d = 0; d < DIM_N && !r->err; d++)
			r->err = store_scan(r->store, GRAIN_DAY, (enum dim)d, INT64_MIN, INT64_MAX,
					    (struct text){NULL, 0}, check_row, NULL);
		r->scans++;
	} while (!atomic_load(&r->stop) && !r->err);
	return NULL;
}

START_TEST(readers_and_writers_meet_without_harm)
{
	struct reader_run r[2] = {{.store = open_store()}, {.stop = false}};
	pthread_t thread[2];
	unsigned i;

	r[1].store = r[0].store;
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, read_on, &r[i]), 0);
	for (i = 1; i <= 60; i++)
		ck_assert_int_eq(apply_simple(r[0].store, "web-1", 1, i, 300), STORE_STORED);
	for (i = 0; i < 2; i++) {
		atomic_store(&r[i].stop, true);
		pthread_join(thread[i], NULL);
		ck_assert_int_eq(r[i].err, 0);
		ck_assert_uint_gt(r[i].scans, 0);
	}
	ck_assert_uint_eq(sums_of(r[0].store, GRAIN_DAY, DIM_SITE, NULL).events, 60 * 300);
	store_close(r[0].store);
}
END_TEST

/* -- crashes -- */

static void
apply_for_ever(int acknowledge_fd, uint64_t from_seq)
{
	struct store *s;
	uint64_t seq;

	if (store_open(&conf, &s) != 0)
		_exit(1);
	for (seq = from_seq;; seq++) {
		if (apply_simple(s, "web-1", 1, seq, 200) != STORE_STORED ||
		    write(acknowledge_fd, &seq, sizeof(seq)) != sizeof(seq))
			_exit(1);
	}
}

/* Kills a process that applies batch after batch, at some moment after its n-th acknowledgement. */
static uint64_t
run_and_kill(uint64_t from_seq, unsigned n, unsigned spin)
{
	uint64_t seq, last = from_seq - 1;
	volatile unsigned work = 0;
	int fd[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(fd), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(fd[0]);
		apply_for_ever(fd[1], from_seq);
	}
	close(fd[1]);
	while (n-- > 0 && read(fd[0], &seq, sizeof(seq)) == sizeof(seq))
		last = seq;
	while (spin-- > 0)
		work++;
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	while (read(fd[0], &seq, sizeof(seq)) == sizeof(seq))
		last = seq;
	close(fd[0]);
	return last;
}

START_TEST(what_was_acknowledged_survives_a_kill_exactly_once)
{
	uint64_t acknowledged, stored, next = 1, seq;
	struct store *s;
	unsigned round;

	for (round = 0; round < 12; round++) {
		acknowledged =
		    run_and_kill(next, 1 + round % 4, (unsigned)(visitor_of(round) % 3000000));
		s = open_store();
		stored = last_node(s).batches;
		/* at most the one in hand when it died stands beyond */
		ck_assert_uint_ge(stored, acknowledged);
		ck_assert_uint_le(stored, acknowledged + 1);
		ck_assert_uint_eq(sums_of(s, GRAIN_DAY, DIM_SITE, NULL).events, stored * 200);
		ck_assert_uint_eq(sums_of(s, GRAIN_MONTH, DIM_CONTENT, NULL).events, stored * 200);
		ck_assert_uint_eq(last_ledger(s).stored, stored * 200);
		ck_assert_uint_eq(last_node(s).contiguous_seq, stored);
		for (seq = acknowledged > 2 ? acknowledged - 2 : 1; seq <= acknowledged; seq++)
			ck_assert_int_eq(apply_simple(s, "web-1", 1, seq, 200), STORE_ALREADY);
		if (stored == acknowledged)
			ck_assert_int_eq(apply_simple(s, "web-1", 1, seq, 200), STORE_STORED);
		next = acknowledged + 2;
		store_close(s);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("store");
	TCase *t = tcase_create("store");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_batch_is_applied_once_however_often_it_comes);
	tcase_add_test(t, other_bytes_under_a_known_number_are_a_conflict);
	tcase_add_test(t, an_agent_is_refused_once_another_has_begun_under_its_name);
	tcase_add_test(t, a_spool_that_was_found_later_does_not_stop_the_agent_that_followed);
	tcase_add_test(t, broken_documents_change_nothing);
	tcase_add_test(t, batches_in_any_order_give_the_same_numbers);
	tcase_add_test(t, a_node_is_complete_up_to_the_first_gap);
	tcase_add_test(t, every_grain_and_dimension_adds_up_to_the_same);
	tcase_add_test(t, scans_give_what_was_asked_for);
	tcase_add_test(t, an_empty_store_answers_empty);
	tcase_add_test(t, ten_thousand_contents_come_back_exactly);
	tcase_add_test(t, the_ledger_is_kept_by_node_and_hour_of_arrival);
	tcase_add_test(t, only_one_may_have_the_directory);
	tcase_add_test(t, another_time_zone_is_refused);
	tcase_add_test(t, a_db_config_is_refused);
	tcase_add_test(t, readers_and_writers_meet_without_harm);
	tcase_add_test(t, what_was_acknowledged_survives_a_kill_exactly_once);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
