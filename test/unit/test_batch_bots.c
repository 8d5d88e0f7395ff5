/* The bots of a batch: what goes in comes out, and what no reader could believe is neither written
 * nor read. */
#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "base/hash.h"
#include "make_batch.h"

#define HOUR INT64_C(1795345200000)

static struct maker m;

static void
set_up(void)
{
	ck_assert_int_eq(hash_init(), 0);
	maker_begin(&m, "web-1", 1, 1, HOUR, 4);
}

static void
tear_down(void)
{
	maker_free(&m);
}

static int
finish(const struct batch_bot *bot, size_t n)
{
	size_t cap = batch_document_bytes(4, 800);

	free(m.doc);
	m.doc = malloc(cap);
	batch_set_bots(m.builder, bot, n);
	return batch_finish(m.builder, &m.meta, m.doc, cap, &m.doc_len);
}

START_TEST(names_come_back_with_their_counts_and_the_rest_has_none)
{
	struct reader dict;
	struct batch_bot bot;
	struct batch b;

	maker_add_bot(&m, "Bingbot", 3, 0);
	maker_add_bot(&m, "Googlebot", UINT64_C(1) << 40, 7);
	m.meta.ledger.count[SOURCE_BEACON][REASON_BOT_USER_AGENT] += 5;
	maker_finish(&m);
	ck_assert_int_eq(batch_decode(m.doc, m.doc_len, &b), 0);
	ck_assert_uint_eq(b.bots, 2);
	dict = b.dict_bot;
	ck_assert(batch_next_bot(&dict, &bot));
	ck_assert(text_is(bot.name, "Bingbot"));
	ck_assert_uint_eq(bot.count[SOURCE_BEACON], 3);
	ck_assert_uint_eq(bot.count[SOURCE_DATAGRAM], 0);
	ck_assert(batch_next_bot(&dict, &bot));
	ck_assert(text_is(bot.name, "Googlebot"));
	ck_assert_uint_eq(bot.count[SOURCE_BEACON], UINT64_C(1) << 40);
	ck_assert_uint_eq(bot.count[SOURCE_DATAGRAM], 7);
	ck_assert(!batch_next_bot(&dict, &bot));
}
END_TEST

START_TEST(a_name_is_short_text_without_control_characters)
{
	char longest[BATCH_BOT_NAME_MAX + 2];

	memset(longest, 'x', sizeof(longest));
	ck_assert(batch_bot_name_valid((struct text){longest, BATCH_BOT_NAME_MAX}));
	ck_assert(!batch_bot_name_valid((struct text){longest, BATCH_BOT_NAME_MAX + 1}));
	ck_assert(!batch_bot_name_valid((struct text){longest, 0}));
	ck_assert(!batch_bot_name_valid((struct text){NULL, 0}));
	ck_assert(batch_bot_name_valid(TEXT_LIT("Bot des Caf\xc3\xa9s, 2.0 (\"x\")")));
	ck_assert(!batch_bot_name_valid(TEXT_LIT("a\tb")));
	ck_assert(!batch_bot_name_valid(TEXT_LIT("a\x7f"
						 "b")));
	ck_assert(!batch_bot_name_valid(TEXT_LIT("caf\xe9")));
	ck_assert(!batch_bot_name_valid((struct text){"a\0b", 3}));
}
END_TEST

/* Each breaks one rule; the ledger has 10 and 10 under bot.user_agent. */
static const struct {
	const char *what;
	struct {
		const char *name;
		uint64_t count[SOURCE_N];
	} bot[2];
	size_t n;
} wrong[] = {
    {"more than the ledger has", {{"a", {11, 0}}}, 1},
    {"more together than the ledger has", {{"a", {0, 6}}, {"b", {0, 5}}}, 2},
    {"a name twice", {{"a", {1, 0}}, {"a", {1, 0}}}, 2},
    {"names out of order", {{"b", {1, 0}}, {"a", {1, 0}}}, 2},
    {"counts nothing", {{"a", {0, 0}}}, 1},
    {"no name", {{"", {1, 0}}}, 1},
    {"a control character", {{"a\n", {1, 0}}}, 1},
    {"a count that wraps", {{"a", {UINT64_MAX, 0}}, {"b", {2, 0}}}, 2},
};

START_TEST(what_breaks_a_rule_is_not_written)
{
	struct batch_bot bot[2];
	size_t i;

	for (i = 0; i < wrong[_i].n; i++) {
		bot[i].name = text_of(wrong[_i].bot[i].name);
		memcpy(bot[i].count, wrong[_i].bot[i].count, sizeof(bot[i].count));
	}
	m.meta.ledger.count[SOURCE_BEACON][REASON_BOT_USER_AGENT] = 10;
	m.meta.ledger.count[SOURCE_DATAGRAM][REASON_BOT_USER_AGENT] = 10;
	ck_assert_msg(finish(bot, wrong[_i].n) == -EINVAL, "%s", wrong[_i].what);
	ck_assert_int_eq(finish(NULL, 0), 0);
}
END_TEST

/* A good document of two bots, with their section's bytes overwritten: x and z, 2 and 0 each. */
static int
read_forged(const char *bytes)
{
	static const char good[] = "\x01x\x02\x00\x01z\x02\x00";
	struct batch_bot bot[2] = {{TEXT_LIT("x"), {2, 0}}, {TEXT_LIT("z"), {2, 0}}};
	struct batch b;
	uint8_t *at;
	int rc;

	m.meta.ledger.count[SOURCE_BEACON][REASON_BOT_USER_AGENT] = 4;
	ck_assert_int_eq(finish(bot, 2), 0);
	ck_assert_int_eq(batch_decode(m.doc, m.doc_len, &b), 0);
	at = memmem(m.doc, m.doc_len, good, 8);
	ck_assert_ptr_nonnull(at);
	memcpy(at, bytes, 8);
	rc = batch_decode(m.doc, m.doc_len, &b);
	ck_assert(rc != 0 || b.bots <= 2);
	return rc;
}

START_TEST(what_breaks_a_rule_is_not_read)
{
	ck_assert_int_eq(read_forged("\x01x\x02\x00\x01z\x02\x00"), 0);
	ck_assert_int_eq(read_forged("\x01x\x01\x00\x01z\x02\x00"), 0); /* the rest has no name */
	ck_assert_int_eq(read_forged("\x01x\x02\x00\x01z\x03\x00"), -EBADMSG); /* too many */
	ck_assert_int_eq(read_forged("\x01x\x02\x01\x01z\x02\x00"), -EBADMSG); /* of datagrams */
	ck_assert_int_eq(read_forged("\x01x\x02\x00\x01x\x02\x00"), -EBADMSG); /* twice */
	ck_assert_int_eq(read_forged("\x01x\x02\x00\x01"
				     "a\x02\x00"),
			 -EBADMSG);                                            /* order */
	ck_assert_int_eq(read_forged("\x01x\x02\x00\x01z\x00\x00"), -EBADMSG); /* nothing */
	ck_assert_int_eq(read_forged("\x01\x1f\x02\x00\x01z\x02\x00"), -EBADMSG);
	ck_assert_int_eq(read_forged("\x01x\x02\x00\x02z\x02\x00"), -EBADMSG); /* cut short */
	ck_assert_int_eq(read_forged("\x05xxxxx\x82\x00"), -EBADMSG);          /* over-long form */
}
END_TEST

START_TEST(the_most_and_longest_names_fit_the_promised_buffer)
{
	static char name[BATCH_BOTS_MAX][BATCH_BOT_NAME_MAX + 1];
	static struct batch_bot bot[BATCH_BOTS_MAX + 1];
	const uint64_t most = BATCH_COUNT_MAX / BATCH_BOTS_MAX;
	struct batch b;
	unsigned i;

	for (i = 0; i < BATCH_BOTS_MAX; i++) {
		snprintf(name[i], sizeof(name[i]), "%047u", i);
		bot[i] = (struct batch_bot){{name[i], BATCH_BOT_NAME_MAX}, {most, most}};
	}
	m.meta.ledger.count[SOURCE_BEACON][REASON_BOT_USER_AGENT] = BATCH_COUNT_MAX;
	m.meta.ledger.count[SOURCE_DATAGRAM][REASON_BOT_USER_AGENT] = BATCH_COUNT_MAX;
	ck_assert_int_eq(finish(bot, BATCH_BOTS_MAX), 0);
	ck_assert_int_eq(batch_decode(m.doc, m.doc_len, &b), 0);
	ck_assert_uint_eq(b.bots, BATCH_BOTS_MAX);
	bot[BATCH_BOTS_MAX] = (struct batch_bot){TEXT_LIT("x"), {1, 1}};
	ck_assert_int_eq(finish(bot, BATCH_BOTS_MAX + 1), -EINVAL);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("batch_bots");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, names_come_back_with_their_counts_and_the_rest_has_none);
	tcase_add_test(t, a_name_is_short_text_without_control_characters);
	tcase_add_loop_test(t, what_breaks_a_rule_is_not_written, 0,
			    sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(t, what_breaks_a_rule_is_not_read);
	tcase_add_test(t, the_most_and_longest_names_fit_the_promised_buffer);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
