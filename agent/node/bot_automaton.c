#include "node/bot_automaton.h"

#include <errno.h>
#include <stdlib.h>

static uint8_t
lower(char c)
{
	return (uint8_t)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static int
classes_number(struct bot_automaton *a, const struct bot_rule *rules, size_t n)
{
	const char *p;
	size_t i;
	int c;

	a->classes = 1;
	for (i = 0; i < n; i++)
		for (p = rules[i].literal; *p; p++) {
			if (a->class_of[lower(*p)])
				continue;
			if (a->classes == BOT_CLASSES_MAX)
				return -E2BIG;
			a->class_of[lower(*p)] = (uint8_t)a->classes++;
		}
	for (c = 'A'; c <= 'Z'; c++)
		a->class_of[c] = a->class_of[c - 'A' + 'a'];
	while (1u << a->shift < a->classes)
		a->shift++;
	return 0;
}

/* For as many states as there can be; what is not used is never touched, and given back at the end. */
static int
arrays_new(struct bot_automaton *a, const struct bot_rule *rules, size_t n)
{
	size_t states = 1, i;

	for (i = 0; i < n; i++)
		states += rules[i].len;
	if (states > UINT16_MAX || n > INT16_MAX)
		return -E2BIG;
	a->next = calloc(states << a->shift, sizeof(*a->next));
	a->rule = malloc(states * sizeof(*a->rule));
	a->ends = calloc(states, sizeof(*a->ends));
	a->shorter = calloc(states, sizeof(*a->shorter));
	a->fail = calloc(states, sizeof(*a->fail));
	if (!a->next || !a->rule || !a->ends || !a->shorter || !a->fail)
		return -ENOMEM;
	memset(a->rule, 0xff, states * sizeof(*a->rule));
	a->states = 1;
	return 0;
}

/* The first `depth` bytes of a literal as states, of which all but the last one exist. */
static void
trie_add(struct bot_automaton *a, struct bot_rule *rules, int16_t index, size_t depth)
{
	uint16_t at = 0, *edge;
	size_t i;

	for (i = 0; i < depth; i++) {
		edge = &a->next[(uint32_t)at << a->shift |
				a->class_of[(uint8_t)rules[index].literal[i]]];
		if (!*edge)
			*edge = a->states++;
		at = *edge;
	}
	if (depth == rules[index].len) {
		rules[index].same = a->rule[at];
		a->rule[at] = index;
	}
}

/* Level by level, so that a state's number grows with its depth: complete() relies on it, and
 * the few shallow states where nearly every byte leads lie side by side in the processor's cache. */
static void
trie_build(struct bot_automaton *a, struct bot_rule *rules, size_t n)
{
	size_t depth, i, longest = 1;

	for (depth = 1; depth <= longest; depth++)
		for (i = 0; i < n; i++) {
			if (rules[i].len >= depth)
				trie_add(a, rules, (int16_t)i, depth);
			if (rules[i].len > longest)
				longest = rules[i].len;
		}
}

/* In order of depth: the state that one falls back to is shallower, and complete already. */
static void
complete(struct bot_automaton *a)
{
	uint16_t at, to, back, other;
	unsigned c;

	for (at = 0; at < a->states; at++) {
		back = a->fail[at];
		a->shorter[at] = a->ends[back];
		a->ends[at] = a->rule[at] >= 0 ? at : a->shorter[at];
		for (c = 0; c < a->classes; c++) {
			to = a->next[(uint32_t)at << a->shift | c];
			other = at ? a->next[(uint32_t)back << a->shift | c] : 0;
			if (to)
				a->fail[to] = other;
			else
				a->next[(uint32_t)at << a->shift | c] = other;
		}
	}
}

int
bot_automaton_build(struct bot_automaton *a, struct bot_rule *rules, size_t n)
{
	int err;

	*a = (struct bot_automaton){.classes = 0};
	err = classes_number(a, rules, n);
	if (!err)
		err = arrays_new(a, rules, n);
	if (err) {
		bot_automaton_fini(a);
		return err;
	}
	trie_build(a, rules, n);
	complete(a);
	return 0;
}

void
bot_automaton_fini(struct bot_automaton *a)
{
	free(a->next);
	free(a->rule);
	free(a->ends);
	free(a->shorter);
	free(a->fail);
	*a = (struct bot_automaton){.classes = 0};
}

size_t
bot_automaton_bytes(const struct bot_automaton *a)
{
	return a->states *
	       ((sizeof(*a->next) << a->shift) + sizeof(*a->rule) + 3 * sizeof(*a->fail));
}
