/* The fixed tables under millions of keys that somebody else chose: memory stays, what is forgotten
 * is counted, and nobody is refused who was not there. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "node/dedup.h"
#include "node/rate_limit.h"
#include "stats/stats.h"

#define MILLION UINT64_C(1000000)
#define FLOOD (2 * MILLION)
#define ENTRIES INT64_C(65536)
#define SLACK ((size_t)1 << 20) /* of resident memory: the allocator's and the sanitizers' own */
#define MOMENT ((struct mono_us){INT64_C(500) * 3600 * 1000000})

static size_t
resident(void)
{
	char line[128], *second;
	FILE *f = fopen("/proc/self/statm", "r");

	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
	(void)fclose(f);
	(void)strtoul(line, &second, 10); /* the whole, then what is resident, in pages */
	return strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* -- keys, as an attacker would choose them: without a secret each hits few lines of a table -- */

enum pattern { COUNTED, SPACED, HIGH_ONLY, PATTERN_N };

static uint64_t
chosen(enum pattern p, uint64_t n)
{
	switch (p) {
	case SPACED:
		return n << 20; /* equal under any mask of low bits */
	case HIGH_ONLY:
		return n << 40;
	case COUNTED:
	case PATTERN_N:
	default:
		return n;
	}
}

/* -- event ids -- */

static bool
is_new(struct dedup *d, uint64_t n)
{
	uint8_t id[16] = {0};
	struct dedup_claim c;

	memcpy(id, &n, sizeof(n));
	dedup_find(d, id, &c);
	if (!dedup_claim(d, MOMENT, &c))
		return false;
	dedup_keep(&c);
	return true;
}

static struct dedup *
ids(void)
{
	struct dedup *d = NULL;

	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(dedup_new(3600 * 1000, ENTRIES, &d), 0);
	return d;
}

START_TEST(millions_of_event_ids_take_no_more_memory_and_are_counted)
{
	uint64_t before = stat_get(STAT_DEDUP_EVICTED), refused = 0, evicted, n;
	struct dedup *d = ids();
	size_t full = 0;

	for (n = 1; n <= FLOOD; n++) {
		refused += !is_new(d, n);
		if (n == MILLION)
			full = resident();
	}
	ck_assert_uint_le(resident(), full + SLACK);
	/* documented: an id that was never seen is refused once in 2.9e8 times */
	ck_assert_uint_le(refused, 2);
	/* every id has either a place or is counted; places are whole lines, 15 for ten entries */
	evicted = stat_get(STAT_DEDUP_EVICTED) - before;
	ck_assert_uint_le(FLOOD - refused - evicted, (uint64_t)ENTRIES * 3 / 2 + 15);
	ck_assert_uint_ge(FLOOD - refused - evicted, (uint64_t)ENTRIES * 3 / 2);
	ck_assert(!is_new(d, FLOOD)); /* the newest are known */
	dedup_free(d);
}
END_TEST

/* Filled once, one in a hundred finds its line full, whoever chose the ids. */
START_TEST(chosen_event_ids_spread_as_any_others_do)
{
	enum pattern p = (enum pattern)_i;
	uint64_t before = stat_get(STAT_DEDUP_EVICTED), n;
	struct dedup *d = ids();

	for (n = 1; n <= (uint64_t)ENTRIES; n++)
		(void)is_new(d, chosen(p, n));
	ck_assert_uint_le(stat_get(STAT_DEDUP_EVICTED) - before, (uint64_t)ENTRIES * 2 / 100);
	dedup_free(d);
}
END_TEST

/* -- visitors and contents -- */

static bool
is_first(struct repeat *r, uint64_t visitor)
{
	struct event e = {.ts_ms = INT64_C(1764158400000),
			  .visitor = visitor,
			  .type = TEXT_LIT("video"),
			  .has_uuid = true};
	struct repeat_claim c;
	bool repeat;

	repeat_find(r, &e, &c);
	repeat = repeat_claim(r, &c);
	repeat_keep(&c);
	return !repeat;
}

static struct repeat *
pairs(void)
{
	struct repeat *r = NULL;

	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(repeat_new(30 * 1000, ENTRIES, &r), 0);
	return r;
}

START_TEST(millions_of_visitors_take_no_more_memory_and_are_counted)
{
	uint64_t before = stat_get(STAT_REPEAT_EVICTED), repeats = 0, evicted, n;
	struct repeat *r = pairs();
	size_t full = 0;

	for (n = 1; n <= FLOOD; n++) {
		repeats += !is_first(r, n);
		if (n == MILLION)
			full = resident();
	}
	ck_assert_uint_le(resident(), full + SLACK);
	ck_assert_uint_le(repeats, 2); /* 8 tags of 32 bits a line: once in 5e8 */
	evicted = stat_get(STAT_REPEAT_EVICTED) - before;
	ck_assert_uint_eq(FLOOD - repeats - evicted, (uint64_t)ENTRIES);
	ck_assert(!is_first(r, FLOOD));
	repeat_free(r);
}
END_TEST

START_TEST(chosen_visitors_spread_as_any_others_do)
{
	enum pattern p = (enum pattern)_i;
	uint64_t before = stat_get(STAT_REPEAT_EVICTED), n;
	struct repeat *r = pairs();

	for (n = 1; n <= (uint64_t)ENTRIES; n++)
		(void)is_first(r, chosen(p, n));
	ck_assert_uint_le(stat_get(STAT_REPEAT_EVICTED) - before, (uint64_t)ENTRIES * 20 / 100);
	repeat_free(r);
}
END_TEST

/* -- addresses -- */

static struct client_addr
v4(uint64_t n)
{
	struct client_addr a = {.ip = {[10] = 0xff, [11] = 0xff}};
	unsigned i;

	for (i = 0; i < 4; i++)
		a.ip[12 + i] = (uint8_t)(n >> 8 * i);
	return a;
}

/* The n-th /64 of a /48, and an address within it. */
static struct client_addr
v6(uint8_t site, uint64_t n)
{
	struct client_addr a = {.ip = {0x20, 0x01, 0x0d, 0xb8, 0, site}};

	a.ip[6] = (uint8_t)(n >> 8);
	a.ip[7] = (uint8_t)n;
	memcpy(a.ip + 8, &n, sizeof(n));
	return a;
}

static struct rate_limit *
limiter(void)
{
	struct rate_limit *r = NULL;

	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(rate_limit_new((struct conf_rate){5, 1000}, 10, ENTRIES, &r), 0);
	return r;
}

static bool
take(struct rate_limit *r, struct client_addr a, enum reason *ret_reason)
{
	int64_t retry_ms;

	return rate_limit_take(r, &a, MOMENT, ret_reason, &retry_ms);
}

START_TEST(millions_of_addresses_take_no_more_memory_and_refuse_none)
{
	uint64_t before = stat_get(STAT_RATE_EVICTED), refused = 0, n;
	struct rate_limit *r = limiter();
	enum reason reason;
	size_t full = 0;

	for (n = 0; n < FLOOD; n++) {
		refused += !take(r, v4(n), &reason);
		if (n == MILLION)
			full = resident();
	}
	ck_assert_uint_le(resident(), full + SLACK);
	ck_assert_uint_eq(refused, 0); /* who is forgotten begins anew: a flood can only forgive */
	ck_assert_uint_eq(FLOOD - (stat_get(STAT_RATE_EVICTED) - before), (uint64_t)ENTRIES);
	rate_limit_free(r);
}
END_TEST

START_TEST(millions_of_addresses_of_one_site_are_one_client_and_take_nobodys_place)
{
	uint64_t before = stat_get(STAT_RATE_EVICTED), refused = 0, n;
	struct rate_limit *r = limiter();
	enum reason reason = REASON_ACCEPTED_FIRST;
	unsigned i, spent = 0;

	for (i = 0; i < 10; i++) /* a client that has used its burst up */
		spent += take(r, v4(7), &reason);
	ck_assert_uint_eq(spent, 10);
	for (n = 0; n < FLOOD; n++)
		if (!take(r, v6(1, n), &reason)) {
			ck_assert(reason == REASON_LIMITED_V6_56 || reason == REASON_LIMITED_V6_48);
			refused++;
		}
	ck_assert_uint_eq(FLOOD - refused, 10 * RATE_V6_48_TIMES);
	for (i = 2; i < 200; i++)
		ck_assert(take(r, v6((uint8_t)i, 0), &reason)); /* neighbours of that provider */
	/* what was refused holds no place: others were forgotten for it hardly ever */
	ck_assert_uint_le(stat_get(STAT_RATE_EVICTED) - before, 200);
	ck_assert(!take(r, v4(7), &reason));
	rate_limit_free(r);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("flood");
	TCase *t = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(t, millions_of_event_ids_take_no_more_memory_and_are_counted);
	tcase_add_loop_test(t, chosen_event_ids_spread_as_any_others_do, 0, PATTERN_N);
	tcase_add_test(t, millions_of_visitors_take_no_more_memory_and_are_counted);
	tcase_add_loop_test(t, chosen_visitors_spread_as_any_others_do, 0, PATTERN_N);
	tcase_add_test(t, millions_of_addresses_take_no_more_memory_and_refuse_none);
	tcase_add_test(t, millions_of_addresses_of_one_site_are_one_client_and_take_nobodys_place);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
