#include "golden.h"
#include "proto/ledger.h"

START_TEST(every_reason_is_found_by_verdict_and_name)
{
	unsigned r;

	for (r = 0; r < REASON_N; r++) {
		struct text verdict = text_of(verdict_name(reason_verdict((enum reason)r)));
		struct text name = text_of(reason_name((enum reason)r));

		ck_assert_int_eq(reason_find(verdict, name), (enum reason)r);
		ck_assert_uint_gt(strlen(reason_sentence((enum reason)r)), 0);
	}
}
END_TEST

START_TEST(a_pair_that_does_not_exist_is_not_found)
{
	ck_assert_int_eq(reason_find(TEXT_LIT("bot"), TEXT_LIT("first")), REASON_N);
	ck_assert_int_eq(reason_find(TEXT_LIT("accepted"), TEXT_LIT("")), REASON_N);
	ck_assert_int_eq(reason_find(TEXT_LIT(""), TEXT_LIT("first")), REASON_N);
	ck_assert_int_eq(reason_find(TEXT_LIT("accepted"), TEXT_LIT("firs")), REASON_N);
}
END_TEST

/* Names cross the wire as "verdict.reason", so that neither may hold a dot. */
START_TEST(names_are_short_and_hold_no_dot)
{
	unsigned r;

	for (r = 0; r < REASON_N; r++) {
		const char *name = reason_name((enum reason)r);

		ck_assert_msg(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name),
			      "%s", name);
		ck_assert_uint_le(strlen(name), 20);
	}
}
END_TEST

START_TEST(one_name_may_stand_under_two_verdicts)
{
	ck_assert_int_eq(reason_find(TEXT_LIT("bot"), TEXT_LIT("headers")), REASON_BOT_HEADERS);
	ck_assert_int_eq(reason_find(TEXT_LIT("invalid"), TEXT_LIT("headers")),
			 REASON_INVALID_HEADERS);
}
END_TEST

START_TEST(verdicts_of_a_ledger_sum_to_what_was_received)
{
	struct ledger l = {0}, sum = {0};
	uint64_t received = 0, verdicts = 0;
	unsigned s, r, v;

	for (s = 0; s < SOURCE_N; s++) {
		for (r = 0; r < REASON_N; r++) {
			l.count[s][r] = s * 100 + r + 1;
			received += l.count[s][r];
		}
	}
	for (v = 0; v < VERDICT_N; v++)
		verdicts += ledger_verdict(&l, (enum verdict)v);
	ck_assert_uint_eq(verdicts, received);
	ck_assert_uint_eq(ledger_received(&l), received);
	ck_assert_uint_eq(ledger_verdict(&l, VERDICT_DUPLICATE),
			  l.count[SOURCE_BEACON][REASON_DUPLICATE_EVENT_ID] +
			      l.count[SOURCE_DATAGRAM][REASON_DUPLICATE_EVENT_ID]);
	ledger_add(&sum, &l);
	ledger_add(&sum, &l);
	ck_assert_uint_eq(ledger_received(&sum), 2 * received);
	ck_assert_uint_eq(sum.count[1][2], 2 * l.count[1][2]);
}
END_TEST

START_TEST(sources_have_names)
{
	ck_assert_str_eq(source_name(SOURCE_BEACON), "beacon");
	ck_assert_str_eq(source_name(SOURCE_DATAGRAM), "datagram");
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("ledger");

	tcase_add_test(t, every_reason_is_found_by_verdict_and_name);
	tcase_add_test(t, a_pair_that_does_not_exist_is_not_found);
	tcase_add_test(t, names_are_short_and_hold_no_dot);
	tcase_add_test(t, one_name_may_stand_under_two_verdicts);
	tcase_add_test(t, verdicts_of_a_ledger_sum_to_what_was_received);
	tcase_add_test(t, sources_have_names);
	return golden_run("ledger", t);
}
