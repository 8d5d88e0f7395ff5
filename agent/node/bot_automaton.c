#include "node/bot_automaton.h"

#include <errno.h>
#include <stdlib.h>

/* While it is made, every state has a full row. */
struct build {
	struct bot_automaton *a;
	size_t longest;
	unsigned classes;
	uint16_t states;
	uint16_t deep;  /* the first state of three bytes */
	uint16_t *next; /* [state << shift | class] */
	uint16_t *ends; /* the nearest literal, itself or down its ends; 0 if none */
	uint16_t *fail, *shorter, *pair;
	int16_t *rule;
	uint32_t *base;
	struct bot_slot *slot;
	unsigned slots, slots_most, slot_low; /* below slot_low nobody looks any more */
};

static uint8_t
lower(char c)
{
	return (uint8_t)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static int
classes_number(struct build *b, const char *const *literals, size_t n)
{
	struct bot_automaton *a = b->a;
	const char *p;
	size_t i;
	int c;

	b->classes = 1;
	for (i = 0; i < n; i++)
		for (p = literals[i]; *p; p++) {
			if (a->class_of[lower(*p)])
				continue;
			if (b->classes == BOT_CLASSES_MAX)
				return -E2BIG;
			a->class_of[lower(*p)] = (uint8_t)b->classes++;
		}
	for (c = 'A'; c <= 'Z'; c++)
		a->class_of[c] = a->class_of[c - 'A' + 'a'];
	while (1u << a->shift < b->classes)
		a->shift++;
	return 0;
}

/* For as many states as there can be; what is not used is never touched. */
static int
arrays_new(struct build *b, const struct bot_rule *rules, size_t n)
{
	size_t states = 1, i;

	for (i = 0; i < n; i++) {
		states += rules[i].len;
		if (rules[i].len > b->longest)
			b->longest = rules[i].len;
	}
	if (states > BOT_STATES_MAX || n > INT16_MAX)
		return -E2BIG;
	b->next = calloc(states << b->a->shift, sizeof(*b->next));
	b->rule = malloc(states * sizeof(*b->rule));
	b->ends = calloc(states, sizeof(*b->ends));
	b->shorter = calloc(states, sizeof(*b->shorter));
	b->fail = calloc(states, sizeof(*b->fail));
	b->base = calloc(states, sizeof(*b->base));
	b->pair = calloc((size_t)1 << 2 * b->a->shift, sizeof(*b->pair));
	if (!b->next || !b->rule || !b->ends || !b->shorter || !b->fail || !b->base || !b->pair)
		return -ENOMEM;
	memset(b->rule, 0xff, states * sizeof(*b->rule));
	b->states = 1;
	return 0;
}

static uint16_t *
edge(const struct build *b, unsigned state, unsigned class)
{
	return &b->next[(uint32_t)state << b->a->shift | class];
}

/* The first `depth` bytes of a literal as states, of which all but the last one exist. */
static void
trie_add(struct build *b, const char *literal, struct bot_rule *rule, int16_t index, size_t depth)
{
	uint16_t at = 0, *to;
	size_t i;

	for (i = 0; i < depth; i++) {
		to = edge(b, at, b->a->class_of[(uint8_t)literal[i]]);
		if (!*to)
			*to = b->states++;
		at = *to;
	}
	if (depth == rule->len) {
		rule->same = b->rule[at];
		b->rule[at] = index;
	}
}

/* Level by level, so that a state's number grows with its depth: complete() and pack() rely
 * on it. */
static void
trie_build(struct build *b, const char *const *literals, struct bot_rule *rules, size_t n)
{
	size_t depth, i;

	for (depth = 1; depth <= b->longest; depth++) {
		for (i = 0; i < n; i++)
			if (rules[i].len >= depth)
				trie_add(b, literals[i], &rules[i], (int16_t)i, depth);
		if (depth <= 2)
			b->deep = b->states;
	}
}

/* In order of depth: the state that one falls back to is shallower, and complete already. */
static void
complete(struct build *b)
{
	uint16_t at, to, back, other;
	unsigned c;

	for (at = 0; at < b->states; at++) {
		back = b->fail[at];
		b->shorter[at] = b->ends[back];
		b->ends[at] = b->rule[at] >= 0 ? at : b->shorter[at];
		for (c = 0; c < b->classes; c++) {
			to = *edge(b, at, c);
			other = at ? *edge(b, back, c) : 0;
			if (to)
				b->fail[to] = other;
			else
				*edge(b, at, c) = other;
		}
	}
}

/* -- packing -- */

static uint16_t
flagged(const struct build *b, uint16_t to)
{
	return (uint16_t)(to | (b->ends[to] ? BOT_FOUND : 0));
}

/* A place whatever row at `base` needs. */
static int
slots_reach(struct build *b, unsigned base)
{
	unsigned need = base + (1u << b->a->shift), most = b->slots_most;
	struct bot_slot *grown;

	if (need > b->slots)
		b->slots = need;
	if (need <= most)
		return 0;
	while (most < need)
		most = most ? 2 * most : 1024;
	grown = realloc(b->slot, most * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	b->slot = grown;
	for (; b->slots_most < most; b->slots_most++)
		grown[b->slots_most] = (struct bot_slot){.state = BOT_SLOT_FREE};
	return 0;
}

static bool
fits(const struct build *b, const uint8_t *class, unsigned n, unsigned base)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (base + class[i] < b -> slots_most &&
					       b -> slot[base + class[i]].state != BOT_SLOT_FREE)
			return false;
	return true;
}

/* The first place where the row fits. The search is cut and then begins further on, so that
 * building takes a time linear in the rows and places. */
static unsigned
place_for(struct build *b, const uint8_t *class, unsigned n)
{
	unsigned base, tries;

	while (b->slot_low < b->slots_most && b->slot[b->slot_low].state != BOT_SLOT_FREE)
		b->slot_low++;
	base = b->slot_low > class[0] ? b->slot_low - class[0] : 0;
	for (tries = 0; tries < 4096; tries++, base++)
		if (fits(b, class, n, base))
			return base;
	b->slot_low += 1024;
	return b->slots;
}

static unsigned
row_of(const struct build *b, uint16_t at, uint8_t class[BOT_CLASSES_MAX])
{
	unsigned c, n = 0;

	for (c = 0; c < b->classes; c++)
		if (*edge(b, at, c) >= b->deep)
			class[n++] = (uint8_t)c;
	return n;
}

static int
pack_row(struct build *b, uint16_t at, const uint8_t *class, unsigned n)
{
	unsigned i, base = n ? place_for(b, class, n) : 0;
	int err = slots_reach(b, base);

	if (err)
		return err;
	b->base[at] = base;
	for (i = 0; i < n; i++)
		b->slot[base + class[i]] =
		    (struct bot_slot){.state = at, .to = flagged(b, *edge(b, at, class[i]))};
	return 0;
}

/* The longest rows first: the short ones then fill the holes that they leave. */
static int
pack_rows(struct build *b)
{
	uint8_t class[BOT_CLASSES_MAX];
	unsigned n;
	uint16_t at;
	int err = 0;

	for (n = b->classes + 1; n-- > 0 && !err;)
		for (at = 0, b->slot_low = 0; at < b->states && !err; at++)
			if (row_of(b, at, class) == n)
				err = pack_row(b, at, class, n);
	return err;
}

static int
pack(struct build *b)
{
	unsigned before, c;
	uint16_t at;

	for (before = 0; before < b->classes; before++)
		for (c = 0; c < b->classes; c++) {
			at = *edge(b, *edge(b, 0, before), c);
			b->pair[before << b->a->shift | c] = flagged(b, at);
		}
	return pack_rows(b);
}

int
bot_automaton_build(struct bot_automaton *a, const char *const *literals, struct bot_rule *rules,
		    size_t n)
{
	struct build b = {.a = a};
	int err;

	*a = (struct bot_automaton){.states = 0};
	err = classes_number(&b, literals, n);
	if (!err)
		err = arrays_new(&b, rules, n);
	if (!err) {
		trie_build(&b, literals, rules, n);
		complete(&b);
		err = pack(&b);
	}
	free(b.next);
	free(b.ends);
	free(b.fail);
	a->states = b.states;
	a->slots = b.slots;
	a->base = b.base;
	a->slot = b.slot;
	a->pair = b.pair;
	a->rule = b.rule;
	a->shorter = b.shorter;
	if (err)
		bot_automaton_fini(a);
	return err;
}

static void
drop(const void *p)
{
	free((void *)(uintptr_t)p);
}

void
bot_automaton_fini(struct bot_automaton *a)
{
	drop(a->base);
	drop(a->slot);
	drop(a->pair);
	drop(a->rule);
	drop(a->shorter);
	*a = (struct bot_automaton){.states = 0};
}

size_t
bot_automaton_bytes(const struct bot_automaton *a)
{
	size_t pairs = a->states ? (size_t)1 << 2 * a->shift : 0;

	return a->slots * sizeof(*a->slot) + pairs * sizeof(*a->pair) +
	       a->states * (sizeof(*a->base) + sizeof(*a->rule) + sizeof(*a->shorter));
}
