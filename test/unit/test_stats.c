/* Counters: they add up among threads, and /metrics has each of them in Prometheus's form. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stats/stats.h"

static char *
printed(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert(out != NULL);
	stats_print(out);
	(void)fclose(out);
	return text;
}

static void *
count(void *arg)
{
	unsigned i;

	for (i = 0; i < 10000; i++) {
		stat_add(STAT_HTTP_REQUESTS, 2);
		stat_verdict(SOURCE_DATAGRAM, REASON_BOT_HEADERS);
	}
	return arg;
}

START_TEST(counts_of_several_threads_add_up)
{
	uint64_t before = stat_get(STAT_HTTP_REQUESTS);
	struct ledger l, was;
	pthread_t thread[4];
	unsigned i;

	stat_ledger(&was);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, count, NULL), 0);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
	stat_ledger(&l);
	ck_assert_uint_eq(stat_get(STAT_HTTP_REQUESTS) - before, 80000);
	ck_assert_uint_eq(l.count[SOURCE_DATAGRAM][REASON_BOT_HEADERS] -
			      was.count[SOURCE_DATAGRAM][REASON_BOT_HEADERS],
			  40000);
	ck_assert_uint_eq(ledger_received(&l) - ledger_received(&was), 40000);
}
END_TEST

START_TEST(a_gauge_is_what_was_set_last)
{
	stat_set(STAT_SPOOL_BYTES, 500);
	stat_set(STAT_SPOOL_BYTES, 20);
	ck_assert_uint_eq(stat_get(STAT_SPOOL_BYTES), 20);
}
END_TEST

START_TEST(metrics_name_kind_help_and_value)
{
	char *text;

	stat_set(STAT_SPOOL_BYTES, UINT64_MAX);
	stat_add(STAT_UDP_DROPPED, 3);
	stat_verdict(SOURCE_BEACON, REASON_INVALID_JSON);
	text = printed();
	ck_assert(strstr(text, "# TYPE footfall_spool_bytes gauge\n"
			       "footfall_spool_bytes 18446744073709551615\n"));
	ck_assert(strstr(text, "# HELP footfall_udp_kernel_dropped_total Datagrams that the "
			       "kernel dropped because the socket buffer was full\n"
			       "# TYPE footfall_udp_kernel_dropped_total counter\n"
			       "footfall_udp_kernel_dropped_total 3\n"));
	ck_assert(strstr(text, "\nfootfall_events_total{source=\"beacon\",verdict=\"invalid\","
			       "reason=\"json\"} 1\n"));
	ck_assert(strstr(text, "\nfootfall_events_total{source=\"datagram\",verdict=\"shed\","
			       "reason=\"stopping\"} 0\n"));
	free(text);
}
END_TEST

/* promtool is not everywhere: what of its rules our table could break is checked here. */
START_TEST(metric_names_and_sentences_follow_the_conventions)
{
	static const struct {
		const char *name, *sentence;
		bool gauge;
	} all[] = {
#define COUNTER(symbol, name, sentence) {name, sentence, false},
#define GAUGE(symbol, name, sentence) {name, sentence, true},
#include "stats/counters.def"
#undef COUNTER
#undef GAUGE
	};
	size_t i, j, len;
	bool total;

	for (i = 0; i < STAT_N; i++) {
		len = strlen(all[i].name);
		total = len > 6 && strcmp(all[i].name + len - 6, "_total") == 0;
		ck_assert_msg(total != all[i].gauge, "%s", all[i].name);
		ck_assert_msg(strspn(all[i].name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len,
			      "%s", all[i].name);
		ck_assert_msg(!strpbrk(all[i].sentence, "\n\\"), "%s", all[i].name);
		for (j = 0; j < i; j++)
			ck_assert_str_ne(all[i].name, all[j].name);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("stats");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, counts_of_several_threads_add_up);
	tcase_add_test(t, a_gauge_is_what_was_set_last);
	tcase_add_test(t, metrics_name_kind_help_and_value);
	tcase_add_test(t, metric_names_and_sentences_follow_the_conventions);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
