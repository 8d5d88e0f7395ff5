/* Visitors and salts: who stays the same person, for how long, and what is left on the disk. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "node/visitor.h"
#include "stats/stats.h"

#define NOON (INT64_C(20000) * DAY_MS + 12 * HOUR_MS)

static char dir[] = "/tmp/footfall-visitor-XXXXXX";
static char path[sizeof(dir) + 8];
static struct client_addr home, work;

static void
setup(void)
{
	strcpy(dir, "/tmp/footfall-visitor-XXXXXX");
	ck_assert_int_eq(hash_init(), 0);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/salts", dir);
	ck_assert(client_addr_parse(TEXT_LIT("192.0.2.1"), &home));
	ck_assert(client_addr_parse(TEXT_LIT("2001:db8::1"), &work));
}

static void
teardown(void)
{
	unlink(path);
	rmdir(dir);
}

static struct visitor_salts *
open_at(int64_t now_ms)
{
	struct visitor_salts *s = NULL;

	ck_assert_int_eq(visitor_salts_open(dir, now_ms, &s), 0);
	return s;
}

static struct visitor_salt
central_salt(uint32_t id, int64_t day_start)
{
	struct visitor_salt s = {id, day_start, day_start + DAY_MS, day_start + 3 * DAY_MS, {{0}}};
	size_t i;

	for (i = 0; i < sizeof(s.key.bytes); i++)
		s.key.bytes[i] = (uint8_t)(id + 16 * i);
	return s;
}

static uint64_t
hash(const struct visitor_salts *s, int64_t ts_ms, uint32_t *ret_id)
{
	return visitor_hash(s, ts_ms, NOON, &home, TEXT_LIT("Mozilla/5.0"), ret_id);
}

static bool
file_holds(const void *bytes, size_t n)
{
	char content[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, content, sizeof(content));

	ck_assert_int_gt(len, 0);
	close(fd);
	return memmem(content, (size_t)len, bytes, n) != NULL;
}

START_TEST(an_agent_alone_makes_a_salt_for_the_day_and_says_so)
{
	struct visitor_salts *s = open_at(NOON);
	struct stat st;
	uint32_t id;
	uint64_t h = hash(s, NOON, &id);

	ck_assert_uint_ne(h, 0);
	ck_assert_uint_eq(id, VISITOR_OWN_SALT | 20000u);
	ck_assert_uint_eq(stat_get(STAT_SALT_OWN), 1);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	visitor_salts_close(s);
}
END_TEST

START_TEST(a_visitor_is_address_and_user_agent)
{
	struct visitor_salts *s = open_at(NOON);
	uint32_t id;
	uint64_t h = hash(s, NOON, &id);

	ck_assert_uint_eq(h, hash(s, NOON + 1, &id));
	ck_assert_uint_ne(h, visitor_hash(s, NOON, NOON, &work, TEXT_LIT("Mozilla/5.0"), &id));
	ck_assert_uint_ne(h, visitor_hash(s, NOON, NOON, &home, TEXT_LIT("Mozilla/5.1"), &id));
	ck_assert_uint_ne(h, visitor_hash(s, NOON, NOON, &home, (struct text){NULL, 0}, &id));
	ck_assert_uint_ne(visitor_session(s, NOON, NOON, TEXT_LIT("Mozilla/5.0")), h);
	ck_assert_uint_eq(visitor_session(s, NOON, NOON, TEXT_LIT("x")),
			  visitor_session(s, NOON, NOON, TEXT_LIT("x")));
	visitor_salts_close(s);
}
END_TEST

START_TEST(a_visitor_stays_the_same_across_a_restart)
{
	struct visitor_salts *s = open_at(NOON);
	uint32_t id;
	uint64_t h = hash(s, NOON, &id);

	visitor_salts_close(s);
	s = open_at(NOON + HOUR_MS);
	ck_assert_uint_eq(h, hash(s, NOON, &id));
	visitor_salts_close(s);
}
END_TEST

START_TEST(nodes_with_the_central_s_salts_agree)
{
	struct visitor_salt today = central_salt(7, NOON - 12 * HOUR_MS);
	struct visitor_salts *s = open_at(NOON);
	uint32_t id;
	uint64_t h, own = hash(s, NOON, &id);

	ck_assert_int_eq(visitor_salts_set(s, &today, 1, NOON), 0);
	h = hash(s, NOON, &id);
	ck_assert_uint_eq(id, 7);
	ck_assert_uint_ne(h, own);
	ck_assert_uint_eq(stat_get(STAT_SALT_OWN), 0);
	visitor_salts_close(s);
	unlink(path);
	s = open_at(NOON); /* another node */
	ck_assert_int_eq(visitor_salts_set(s, &today, 1, NOON), 0);
	ck_assert_uint_eq(h, hash(s, NOON, &id));
	visitor_salts_close(s);
}
END_TEST

START_TEST(the_hash_is_siphash_of_address_and_user_agent)
{
	/* the numbers that every node must arrive at, computed apart from this program */
	struct visitor_salt today = central_salt(7, NOON - 12 * HOUR_MS);
	struct visitor_salts *s = open_at(NOON);
	uint8_t input[16 + 11] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
	uint32_t id;

	memcpy(input + 16, "Mozilla/5.0", 11);
	ck_assert_int_eq(visitor_salts_set(s, &today, 1, NOON), 0);
	ck_assert_uint_eq(hash(s, NOON, &id), hash_sip(&today.key, input, sizeof(input)));
	visitor_salts_close(s);
}
END_TEST

START_TEST(an_event_is_hashed_under_the_salt_of_its_own_time)
{
	struct visitor_salt salts[3] = {central_salt(1, NOON - 36 * HOUR_MS),
					central_salt(2, NOON - 12 * HOUR_MS),
					central_salt(3, NOON + 12 * HOUR_MS)};
	struct visitor_salts *s = open_at(NOON);
	uint32_t id;

	ck_assert_int_eq(visitor_salts_set(s, salts, 3, NOON), 0);
	hash(s, NOON - DAY_MS, &id);
	ck_assert_uint_eq(id, 1);
	hash(s, NOON, &id);
	ck_assert_uint_eq(id, 2);
	hash(s, NOON + DAY_MS, &id);
	ck_assert_uint_eq(id, 3);
	hash(s, NOON - 30 * DAY_MS, &id); /* whose salt is gone */
	ck_assert_uint_eq(id, 2);
	hash(s, NOON + 30 * DAY_MS, &id);
	ck_assert_uint_eq(id, 2);
	visitor_salts_close(s);
}
END_TEST

START_TEST(at_a_time_that_no_salt_covers_the_newest_is_taken_wherever_it_stands)
{
	struct visitor_salt salts[3] = {central_salt(1, NOON - 36 * HOUR_MS),
					central_salt(3, NOON + 12 * HOUR_MS),
					central_salt(2, NOON - 12 * HOUR_MS)};
	const int64_t later = NOON + 30 * DAY_MS;
	struct visitor_salts *s = open_at(NOON);
	uint32_t id;

	ck_assert_int_eq(visitor_salts_set(s, salts, 3, NOON), 0);
	(void)visitor_hash(s, later, later, &home, TEXT_LIT("x"), &id);
	ck_assert_uint_eq(id, 3);
	visitor_salts_close(s);
}
END_TEST

START_TEST(yesterday_s_salt_is_kept_while_the_central_hands_out_newer_ones)
{
	struct visitor_salt old[2] = {central_salt(1, NOON - 36 * HOUR_MS),
				      central_salt(2, NOON - 12 * HOUR_MS)};
	struct visitor_salt new[2] = {central_salt(2, NOON - 12 * HOUR_MS),
				      central_salt(3, NOON + 12 * HOUR_MS)};
	struct visitor_salts *s = open_at(NOON);
	uint32_t id;

	ck_assert_int_eq(visitor_salts_set(s, old, 2, NOON), 0);
	ck_assert_int_eq(visitor_salts_set(s, new, 2, NOON), 0);
	hash(s, NOON - DAY_MS, &id);
	ck_assert_uint_eq(id, 1);
	new[0].id = 9; /* a central that was set up anew */
	ck_assert_int_eq(visitor_salts_set(s, new, 1, NOON), 0);
	hash(s, NOON, &id);
	ck_assert_uint_eq(id, 9);
	visitor_salts_close(s);
}
END_TEST

START_TEST(a_salt_is_forgotten_in_its_time_also_by_the_disk)
{
	struct visitor_salt today = central_salt(7, NOON - 12 * HOUR_MS);
	struct visitor_salts *s = open_at(NOON);
	uint32_t id;

	ck_assert_int_eq(visitor_salts_set(s, &today, 1, NOON), 0);
	ck_assert(file_holds(today.key.bytes, sizeof(today.key.bytes)));
	visitor_salts_tend(s, today.destroy_ms - 1);
	ck_assert(file_holds(today.key.bytes, sizeof(today.key.bytes)));
	visitor_salts_tend(s, today.destroy_ms);
	ck_assert(!file_holds(today.key.bytes, sizeof(today.key.bytes)));
	hash(s, NOON, &id);
	ck_assert_uint_ne(id, 7);
	visitor_salts_close(s);
}
END_TEST

START_TEST(a_file_of_long_ago_gives_no_salt_away_and_none_back)
{
	struct visitor_salts *s = open_at(NOON);
	uint32_t id;

	visitor_salts_close(s);
	s = open_at(NOON + 30 * DAY_MS);
	visitor_hash(s, NOON, NOON + 30 * DAY_MS, &home, TEXT_LIT("x"), &id);
	ck_assert_uint_eq(id, VISITOR_OWN_SALT | 20030u);
	visitor_salts_close(s);
}
END_TEST

START_TEST(the_next_day_s_own_salt_is_there_before_midnight)
{
	struct visitor_salts *s = open_at(NOON);
	uint32_t id;

	visitor_salts_tend(s, NOON + 12 * HOUR_MS - 60000);
	visitor_hash(s, NOON + 12 * HOUR_MS, NOON + 12 * HOUR_MS, &home, TEXT_LIT("x"), &id);
	ck_assert_uint_eq(id, VISITOR_OWN_SALT | 20001u);
	visitor_hash(s, NOON, NOON + 12 * HOUR_MS, &home, TEXT_LIT("x"), &id);
	ck_assert_uint_eq(id, VISITOR_OWN_SALT | 20000u);
	visitor_salts_close(s);
}
END_TEST

START_TEST(a_damaged_file_costs_its_salts_and_nothing_else)
{
	struct visitor_salts *s = open_at(NOON);
	uint32_t id;
	uint64_t h = hash(s, NOON, &id);
	int fd;

	visitor_salts_close(s);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, "\x55", 1, 64 + 40), 1);
	close(fd);
	s = open_at(NOON);
	ck_assert_uint_ne(h, hash(s, NOON, &id));
	visitor_salts_close(s);
	ck_assert_int_eq(truncate(path, 100), 0);
	s = open_at(NOON);
	ck_assert_uint_eq((hash(s, NOON, &id), id), VISITOR_OWN_SALT | 20000u);
	visitor_salts_close(s);
}
END_TEST

START_TEST(salts_that_make_no_sense_are_refused_whole)
{
	struct visitor_salt bad[VISITOR_SALTS_MAX + 1];
	struct visitor_salts *s = open_at(NOON);
	uint32_t id, i;

	for (i = 0; i <= VISITOR_SALTS_MAX; i++)
		bad[i] = central_salt(i + 1, NOON + i * DAY_MS);
	ck_assert_int_eq(visitor_salts_set(s, bad, VISITOR_SALTS_MAX + 1, NOON), -EINVAL);
	bad[1].until_ms = bad[1].from_ms;
	ck_assert_int_eq(visitor_salts_set(s, bad, 2, NOON), -EINVAL);
	bad[1] = central_salt(VISITOR_OWN_SALT | 5, NOON);
	ck_assert_int_eq(visitor_salts_set(s, bad, 2, NOON), -EINVAL);
	hash(s, NOON, &id);
	ck_assert_uint_eq(id, VISITOR_OWN_SALT | 20000u);
	visitor_salts_close(s);
}
END_TEST

START_TEST(a_directory_that_is_not_there_is_an_error)
{
	struct visitor_salts *s;

	ck_assert_int_eq(visitor_salts_open("/nonexistent/footfall", NOON, &s), -ENOENT);
}
END_TEST

static struct visitor_salts *shared;
static atomic_bool done;

static void *
keep_hashing(void *arg)
{
	unsigned *wrong = arg;

	while (!atomic_load(&done)) {
		uint32_t id;
		uint64_t h = hash(shared, NOON, &id);
		struct visitor_salt want = central_salt(id, NOON - 12 * HOUR_MS);
		uint8_t input[16 + 11];

		memcpy(input, home.ip, 16);
		memcpy(input + 16, "Mozilla/5.0", 11);
		*wrong += h != hash_sip(&want.key, input, sizeof(input));
	}
	return NULL;
}

START_TEST(readers_never_see_half_a_salt)
{
	struct visitor_salt salt = central_salt(1, NOON - 12 * HOUR_MS);
	pthread_t thread[2];
	unsigned wrong[2] = {0}, i;

	shared = open_at(NOON);
	ck_assert_int_eq(visitor_salts_set(shared, &salt, 1, NOON), 0);
	atomic_store(&done, false);
	for (i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, keep_hashing, &wrong[i]);
	for (i = 0; i < 300; i++) {
		salt = central_salt(1 + i % 200, NOON - 12 * HOUR_MS);
		ck_assert_int_eq(visitor_salts_set(shared, &salt, 1, NOON), 0);
	}
	atomic_store(&done, true);
	for (i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		ck_assert_uint_eq(wrong[i], 0);
	}
	visitor_salts_close(shared);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("visitor");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, an_agent_alone_makes_a_salt_for_the_day_and_says_so);
	tcase_add_test(t, a_visitor_is_address_and_user_agent);
	tcase_add_test(t, a_visitor_stays_the_same_across_a_restart);
	tcase_add_test(t, nodes_with_the_central_s_salts_agree);
	tcase_add_test(t, the_hash_is_siphash_of_address_and_user_agent);
	tcase_add_test(t, an_event_is_hashed_under_the_salt_of_its_own_time);
	tcase_add_test(t, at_a_time_that_no_salt_covers_the_newest_is_taken_wherever_it_stands);
	tcase_add_test(t, yesterday_s_salt_is_kept_while_the_central_hands_out_newer_ones);
	tcase_add_test(t, a_salt_is_forgotten_in_its_time_also_by_the_disk);
	tcase_add_test(t, a_file_of_long_ago_gives_no_salt_away_and_none_back);
	tcase_add_test(t, the_next_day_s_own_salt_is_there_before_midnight);
	tcase_add_test(t, a_damaged_file_costs_its_salts_and_nothing_else);
	tcase_add_test(t, salts_that_make_no_sense_are_refused_whole);
	tcase_add_test(t, a_directory_that_is_not_there_is_an_error);
	tcase_add_test(t, readers_never_see_half_a_salt);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
