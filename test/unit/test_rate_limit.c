/* The rate limiter on an injected clock: what conforms, what must wait and how long, and
 * for whom. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "node/rate_limit.h"
#include "stats/stats.h"

#define RATE_5_PER_S ((struct conf_rate){5, 1000})

static struct client_addr
addr(const char *s)
{
	struct client_addr a;

	ck_assert(client_addr_parse(text_of(s), &a));
	return a;
}

static struct rate_limit *
limit(struct conf_rate rate, int64_t burst, int64_t clients)
{
	struct rate_limit *r = NULL;

	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(rate_limit_new(rate, burst, clients, &r), 0);
	return r;
}

static struct mono_us
at_ms(int64_t ms)
{
	return (struct mono_us){1000000000 + ms * 1000};
}

/* How many of n requests at one moment conform. */
static unsigned
offer(struct rate_limit *r, const char *who, unsigned n, int64_t ms)
{
	struct client_addr a = addr(who);
	enum reason reason;
	int64_t retry;
	unsigned taken = 0;

	while (n--)
		taken += rate_limit_take(r, &a, at_ms(ms), &reason, &retry);
	return taken;
}

START_TEST(a_burst_conforms_and_then_the_rate)
{
	struct rate_limit *r = limit(RATE_5_PER_S, 100, 1024);

	ck_assert_uint_eq(offer(r, "1.2.3.4", 500, 0), 100);
	ck_assert_uint_eq(offer(r, "1.2.3.4", 500, 1005), 5);
	ck_assert_uint_eq(offer(r, "1.2.3.4", 500, 11005), 50);
	ck_assert_uint_eq(offer(r, "1.2.3.4", 500, 60000), 100);
	ck_assert_uint_eq(offer(r, "1.2.3.5", 500, 0), 100);
	rate_limit_free(r);
}
END_TEST

START_TEST(the_retry_time_is_when_the_next_request_conforms)
{
	struct rate_limit *r = limit(RATE_5_PER_S, 10, 1024);
	struct client_addr a = addr("1.2.3.4");
	enum reason reason = REASON_N;
	int64_t retry = 0;

	ck_assert_uint_eq(offer(r, "1.2.3.4", 10, 0), 10);
	ck_assert(!rate_limit_take(r, &a, at_ms(0), &reason, &retry));
	ck_assert_int_eq(reason, REASON_LIMITED_V4);
	ck_assert_int_ge(retry, 190);
	ck_assert_int_le(retry, 201);
	ck_assert(!rate_limit_take(r, &a, at_ms(retry - 3), &reason, &(int64_t){0}));
	ck_assert(rate_limit_take(r, &a, at_ms(retry), &reason, &retry));
	rate_limit_free(r);
}
END_TEST

START_TEST(refused_requests_cost_nothing)
{
	struct rate_limit *r = limit(RATE_5_PER_S, 10, 1024);

	ck_assert_uint_eq(offer(r, "1.2.3.4", 100000, 0), 10);
	ck_assert_uint_eq(offer(r, "1.2.3.4", 2, 205), 1);
	rate_limit_free(r);
}
END_TEST

/* It once made the address as good as unknown, so that the burst began anew. */
START_TEST(an_older_clock_gives_nobody_more)
{
	struct rate_limit *r = limit(RATE_5_PER_S, 10, 1024);
	struct rate_limit *fast = limit((struct conf_rate){1000000, 1000}, 10, 1024);

	ck_assert_uint_eq(offer(r, "1.2.3.4", 10, 0), 10);
	ck_assert_uint_eq(offer(r, "1.2.3.4", 10, -1), 0);
	ck_assert_uint_eq(offer(r, "1.2.3.4", 10, -1000), 0);
	ck_assert_uint_eq(offer(r, "1.2.3.4", 10, -9000), 0);
	ck_assert_uint_eq(offer(r, "1.2.3.4", 10, 205), 1);
	ck_assert_uint_eq(offer(r, "2001:db8::1", 10, 0), 10);
	ck_assert_uint_eq(offer(r, "2001:db8::2", 10, -1000), 0);
	ck_assert_uint_eq(offer(fast, "1.2.3.4", 10, 0), 10);
	ck_assert_uint_eq(offer(fast, "1.2.3.4", 10, -1000), 0);
	rate_limit_free(fast);
	rate_limit_free(r);
}
END_TEST

START_TEST(slow_and_fast_rates_hold_too)
{
	struct rate_limit *slow = limit((struct conf_rate){1, 3600000}, 1, 1024);
	struct rate_limit *fast = limit((struct conf_rate){1000, 1000}, 1, 1024);
	unsigned taken = 0, ms;

	ck_assert_uint_eq(offer(slow, "1.2.3.4", 2, 0), 1);
	ck_assert_uint_eq(offer(slow, "1.2.3.4", 2, 3500000), 0);
	ck_assert_uint_eq(offer(slow, "1.2.3.4", 2, 3615000), 1);
	for (ms = 0; ms < 1000; ms++)
		taken += offer(fast, "1.2.3.4", 3, ms);
	ck_assert_uint_ge(taken, 990);
	ck_assert_uint_le(taken, 1030);
	rate_limit_free(slow);
	rate_limit_free(fast);
}
END_TEST

START_TEST(an_ipv6_client_is_limited_by_64_and_not_by_address)
{
	struct rate_limit *r = limit(RATE_5_PER_S, 10, 4096);
	struct client_addr a = addr("2001:db8:1:1::3");
	enum reason reason = REASON_N;
	int64_t retry;

	ck_assert_uint_eq(offer(r, "2001:db8:1:1::1", 6, 0), 6);
	ck_assert_uint_eq(offer(r, "2001:db8:1:1:ffff::2", 6, 0), 4);
	ck_assert(!rate_limit_take(r, &a, at_ms(0), &reason, &retry));
	ck_assert_int_eq(reason, REASON_LIMITED_V6_64);
	ck_assert_uint_eq(offer(r, "2001:db8:1:2::1", 20, 0), 10);
	rate_limit_free(r);
}
END_TEST

START_TEST(who_hops_between_prefixes_meets_the_wider_limits)
{
	struct rate_limit *r = limit(RATE_5_PER_S, 10, 1 << 16);
	unsigned taken = 0, i, by56 = 0, by48 = 0;
	char who[64];

	for (i = 0; i < 256; i++) { /* every /64 of one /56 */
		snprintf(who, sizeof(who), "2001:db8:1:%x::1", i);
		taken += offer(r, who, 1, 0);
	}
	ck_assert_uint_eq(taken, 10 * RATE_V6_56_TIMES);
	for (i = 256; i < 65536; i++) { /* and of its /48 */
		struct client_addr a;
		enum reason reason = REASON_N;
		int64_t retry;

		snprintf(who, sizeof(who), "2001:db8:1:%x::1", i);
		a = addr(who);
		taken += rate_limit_take(r, &a, at_ms(0), &reason, &retry);
		by56 += reason == REASON_LIMITED_V6_56;
		by48 += reason == REASON_LIMITED_V6_48;
	}
	ck_assert_uint_eq(taken, 10 * RATE_V6_48_TIMES);
	ck_assert_uint_gt(by56, 0);
	ck_assert_uint_gt(by48, 60000);
	ck_assert_uint_eq(offer(r, "2001:db8:2::1", 20, 0), 10); /* the neighbour */
	rate_limit_free(r);
}
END_TEST

START_TEST(a_refusal_by_a_wide_prefix_gives_the_narrow_one_its_turn_back)
{
	struct rate_limit *r = limit(RATE_5_PER_S, 10, 4096);
	char who[64];
	unsigned i;

	for (i = 0; i < 4; i++) { /* the /56 is used up by four of its /64 */
		snprintf(who, sizeof(who), "2001:db8:1:%x::1", i + 1);
		ck_assert_uint_eq(offer(r, who, 10, 0), 10);
	}
	ck_assert_uint_eq(offer(r, "2001:db8:1:9::1", 1000, 0), 0);
	/* two seconds later the /56 has room for 40, the refused /64 still its whole burst */
	ck_assert_uint_eq(offer(r, "2001:db8:1:9::1", 1000, 2020), 10);
	rate_limit_free(r);
}
END_TEST

START_TEST(a_full_table_forgets_the_longest_idle_and_counts_it)
{
	struct rate_limit *r = limit(RATE_5_PER_S, 10, 8); /* one line */
	uint64_t before = stat_get(STAT_RATE_EVICTED);
	char who[32];
	unsigned i;

	ck_assert_uint_eq(offer(r, "1.1.1.1", 10, 0), 10); /* busy */
	for (i = 0; i < 7; i++) {
		snprintf(who, sizeof(who), "2.2.2.%u", i);
		ck_assert_uint_eq(offer(r, who, 1, i), 1);
	}
	ck_assert_uint_eq(stat_get(STAT_RATE_EVICTED), before);
	for (i = 0; i < 1000; i++) {
		snprintf(who, sizeof(who), "3.3.%u.%u", i / 256, i % 256);
		ck_assert_uint_eq(offer(r, who, 1, 7), 1);
	}
	ck_assert_uint_eq(offer(r, "1.1.1.1", 10, 8), 0); /* still known under the flood */
	ck_assert_uint_eq(stat_get(STAT_RATE_EVICTED), before + 1000);
	ck_assert_uint_eq(offer(r, "4.4.4.4", 1, 60000), 1); /* everybody's time is over */
	ck_assert_uint_eq(stat_get(STAT_RATE_EVICTED), before + 1000);
	rate_limit_free(r);
}
END_TEST

START_TEST(an_address_is_not_limited_by_what_it_did_weeks_ago)
{
	struct rate_limit *r = limit(RATE_5_PER_S, 10, 1024);
	int64_t day;

	for (day = 0; day < 100; day++)
		ck_assert_uint_eq(offer(r, "1.2.3.4", 11, day * DAY_MS), 10);
	rate_limit_free(r);
}
END_TEST

static struct rate_limit *shared;

static void *
hammer(void *arg)
{
	*(unsigned *)arg =
	    offer(shared, "1.2.3.4", 20000, 0) + offer(shared, "2001:db8::1", 5000, 0);
	return NULL;
}

START_TEST(threads_share_one_budget)
{
	pthread_t thread[4];
	unsigned taken[4], sum = 0, i;

	shared = limit(RATE_5_PER_S, 1000, 1024);
	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, hammer, &taken[i]);
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		sum += taken[i];
	}
	ck_assert_uint_eq(sum, 2000);
	rate_limit_free(shared);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rate_limit");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_burst_conforms_and_then_the_rate);
	tcase_add_test(t, the_retry_time_is_when_the_next_request_conforms);
	tcase_add_test(t, refused_requests_cost_nothing);
	tcase_add_test(t, an_older_clock_gives_nobody_more);
	tcase_add_test(t, slow_and_fast_rates_hold_too);
	tcase_add_test(t, an_ipv6_client_is_limited_by_64_and_not_by_address);
	tcase_add_test(t, who_hops_between_prefixes_meets_the_wider_limits);
	tcase_add_test(t, a_refusal_by_a_wide_prefix_gives_the_narrow_one_its_turn_back);
	tcase_add_test(t, a_full_table_forgets_the_longest_idle_and_counts_it);
	tcase_add_test(t, an_address_is_not_limited_by_what_it_did_weeks_ago);
	tcase_add_test(t, threads_share_one_budget);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
