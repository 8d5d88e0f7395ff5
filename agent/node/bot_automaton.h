/* bot_automaton.h -- finds all of many literals in one pass (Aho and Corasick, 1975).
 *
 * For bot.c, which owns the rules, and for bot_sources/tables.c, which makes one at build; the
 * automaton only tells which rules end at a byte. Case of ASCII letters makes no difference.
 *
 * Nearly all of its transitions lead to where the last two bytes alone would have led: those stand
 * once, in `pair`. The rest lie interleaved in `slot`, where each says whose it is. So every byte
 * costs one look-up there and at most one in `pair`, whatever was read before.
 *
 * Threads:  constant after bot_automaton_build.
 * Memory:   about 20 bytes for each byte of literals: bot_automaton_bytes in all; while building, two
 *           for each of these and each distinct byte.
 * Errors:   -ENOMEM; -E2BIG beyond BOT_STATES_MAX bytes of literals or BOT_CLASSES_MAX distinct bytes.
 */
#ifndef NODE_BOT_AUTOMATON_H
#define NODE_BOT_AUTOMATON_H

#include "base/text.h"
#include "node/bot_rule.h"

#define BOT_CLASSES_MAX 72 /* printable ASCII in one case, and one for all other bytes */
#define BOT_STATES_MAX 32767
#define BOT_FOUND 0x8000u /* in a step's result: a literal ends here */

/* A transition. */
struct bot_slot {
	uint16_t state; /* from; BOT_SLOT_FREE: nobody's */
	uint16_t to;    /* with BOT_FOUND */
};

#define BOT_SLOT_FREE 0xffffu

/* A state is the longest end of what was read that begins some literal. */
struct bot_automaton {
	uint8_t class_of[256]; /* of a byte, lower-cased; 0: in no literal */
	uint16_t states;
	unsigned shift, slots;
	const uint32_t *base; /* [state]: its transition by class c is slot[base + c], if its own */
	const struct bot_slot *slot; /* those to states of three bytes and more */
	const uint16_t *pair;    /* [class before << shift | class]: all others, with BOT_FOUND */
	const int16_t *rule;     /* [state]: which literal it is, -1: none */
	const uint16_t *shorter; /* [state]: the nearest of its ends that is a literal, 0: none */
};

/* Sets rules[].same: of rules with one literal, later ones come first in the chain. */
int bot_automaton_build(struct bot_automaton *a, const char *const *literals,
			struct bot_rule *rules, size_t n);
void bot_automaton_fini(struct bot_automaton *a);
size_t bot_automaton_bytes(const struct bot_automaton *a);

/* `before` is the class of the byte before, 0 at the start; the state then has no BOT_FOUND. */
static inline unsigned
bot_automaton_step(const struct bot_automaton *a, unsigned state, unsigned before, unsigned class)
{
	struct bot_slot slot = a->slot[a->base[state] + class];

	/* a branch: guessed well, and what it guesses does not wait for the state before */
	if (slot.state == state)
		return slot.to;
	return a->pair[before << a->shift | class];
}

#endif
