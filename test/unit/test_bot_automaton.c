/* The packed automaton finds, in one pass, what looking for each literal at each place finds. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/bot_automaton.h"

#define LITERALS_MAX 600
#define TEXT_LEN 2000

static char literal[LITERALS_MAX][80];
static const char *at[LITERALS_MAX];
static struct bot_rule rules[LITERALS_MAX];

static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void
set_literal(size_t i, size_t len)
{
	literal[i][len] = '\0';
	at[i] = literal[i];
	rules[i] = (struct bot_rule){.len = (uint8_t)len, .same = -1};
}

/* Of few letters, so that they begin, hold and end one another. */
static void
make_literals(size_t n, unsigned letters, size_t longest, uint32_t *seed)
{
	size_t i, k, len;

	for (i = 0; i < n; i++) {
		len = 1 + next_random(seed) % longest;
		for (k = 0; k < len; k++)
			literal[i][k] = (char)('a' + next_random(seed) % letters);
		set_literal(i, len);
	}
}

/* How many literals end before `end`. */
static unsigned
ends_by_search(const char *text, size_t end, size_t n)
{
	unsigned found = 0;
	size_t i;

	for (i = 0; i < n; i++)
		found += rules[i].len <= end &&
			 memcmp(text + end - rules[i].len, literal[i], rules[i].len) == 0;
	return found;
}

static unsigned
ends_by_chain(const struct bot_automaton *a, unsigned state)
{
	unsigned found = 0;
	int16_t i;

	for (; state; state = a->shorter[state])
		for (i = a->rule[state]; i >= 0; i = rules[i].same)
			found++;
	return found;
}

static void
compare(size_t n, unsigned letters, size_t longest, uint32_t seed)
{
	struct bot_automaton a;
	unsigned state = 0, before = 0, class, found;
	char text[TEXT_LEN];
	size_t i;

	make_literals(n, letters, longest, &seed);
	ck_assert_int_eq(bot_automaton_build(&a, at, rules, n), 0);
	for (i = 0; i < TEXT_LEN; i++) {
		text[i] = (char)('a' + next_random(&seed) % (letters + 1));
		class = a.class_of[(uint8_t)text[i]];
		state = bot_automaton_step(&a, state, before, class);
		before = class;
		found = state & BOT_FOUND ? ends_by_chain(&a, state & ~BOT_FOUND) : 0;
		ck_assert_uint_eq(found, ends_by_search(text, i + 1, n));
		ck_assert_int_eq(found > 0, (state & BOT_FOUND) != 0);
		state &= ~BOT_FOUND;
	}
	bot_automaton_fini(&a);
}

START_TEST(it_finds_what_a_search_finds)
{
	uint32_t seed;

	for (seed = 1; seed <= 20; seed++) {
		compare(1, 1, 4, seed);
		compare(5, 2, 2, seed);
		compare(40, 2, 12, seed);
		compare(200, 4, 8, seed);
		compare(LITERALS_MAX, 26, 20, seed);
	}
}
END_TEST

START_TEST(bytes_of_no_literal_lead_back_to_the_start)
{
	struct bot_automaton a;
	unsigned state;

	snprintf(literal[0], sizeof(literal[0]), "abcd");
	set_literal(0, 4);
	ck_assert_int_eq(bot_automaton_build(&a, at, rules, 1), 0);
	state = bot_automaton_step(&a, 0, 0, a.class_of['A']);
	state = bot_automaton_step(&a, state, a.class_of['a'], a.class_of['b']);
	ck_assert_uint_gt(state, 0);
	ck_assert_uint_eq(bot_automaton_step(&a, state, a.class_of['b'], a.class_of[0xff]), 0);
	bot_automaton_fini(&a);
}
END_TEST

START_TEST(more_than_it_can_hold_is_refused_and_leaves_nothing)
{
	struct bot_automaton a;
	size_t i;

	for (i = 0; i < LITERALS_MAX; i++) {
		snprintf(literal[i], sizeof(literal[i]), "%04zu%060zu", i, i);
		set_literal(i, 64);
	}
	ck_assert_int_eq(bot_automaton_build(&a, at, rules, LITERALS_MAX), -E2BIG);
	ck_assert_uint_eq(bot_automaton_bytes(&a), 0);
	bot_automaton_fini(&a);
	ck_assert_int_eq(bot_automaton_build(&a, at, rules, 500), 0);
	ck_assert_uint_le(bot_automaton_bytes(&a), 2 << 20);
	bot_automaton_fini(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bot_automaton");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, it_finds_what_a_search_finds);
	tcase_add_test(t, bytes_of_no_literal_lead_back_to_the_start);
	tcase_add_test(t, more_than_it_can_hold_is_refused_and_leaves_nothing);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
