/* bot_automaton.h -- finds all of many literals in one pass (Aho and Corasick, 1975).
 *
 * For bot.c alone: it owns the rules, the automaton only tells which of them end at a byte.
 * Case of ASCII letters makes no difference.
 *
 * Threads:  constant after bot_automaton_build.
 * Memory:   two bytes for each state and class of bytes, the classes rounded up to a power of two so
 *           that a step needs no multiplication: bot_automaton_bytes in all.
 * Errors:   -ENOMEM; -E2BIG beyond 65535 bytes of literals or BOT_CLASSES_MAX distinct bytes.
 */
#ifndef NODE_BOT_AUTOMATON_H
#define NODE_BOT_AUTOMATON_H

#include "base/text.h"

#define BOT_CLASSES_MAX 72 /* printable ASCII in one case, and one for all other bytes */

struct bot_rule {
	const char *literal;
	size_t len;
	const char *why; /* speaks for a bot */
	unsigned marks;  /* evidence, see bot.c */
	unsigned spares; /* marks beside which `why` says nothing */
	uint16_t name;   /* in bot_names */
	uint8_t where;   /* enum bot_where */
	int16_t same;    /* the next rule with this literal, -1 if none; set by the automaton */
};

/* A state is the longest end of what was read that begins some literal. `next` is complete, so that
 * every byte costs one look-up. `ends` is the nearest state, itself or down its suffixes, that is a
 * whole literal, 0 if none; `rule` which one that is; `shorter` the nearest one below it. */
struct bot_automaton {
	uint8_t class_of[256]; /* of a byte, lower-cased; 0: in no literal */
	unsigned classes;
	uint16_t states;
	unsigned shift; /* 1 << shift >= classes */
	uint16_t *next; /* [state << shift | class] */
	int16_t *rule;  /* index, or -1 */
	uint16_t *ends, *shorter, *fail;
};

/* Lends rules until _fini. Of rules with one literal, later ones come first in the chain. */
int bot_automaton_build(struct bot_automaton *a, struct bot_rule *rules, size_t n);
void bot_automaton_fini(struct bot_automaton *a);
size_t bot_automaton_bytes(const struct bot_automaton *a);

static inline uint16_t
bot_automaton_step(const struct bot_automaton *a, uint16_t state, char c)
{
	return a->next[(uint32_t)state << a->shift | a->class_of[(uint8_t)c]];
}

#endif
