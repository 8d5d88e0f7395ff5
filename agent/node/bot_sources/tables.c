/* tables -- prints bot_tables.h's tables: our own rules, the packages' words and the automaton that
 * finds them, ready for the compiler. Run at build, on the machine that builds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "node/bot_tables.h"
#include "node/bot_words.h"

struct source {
	const char *literal, *why;
	unsigned marks, spares;
	unsigned where;
};

static const struct source own[] = {
#define BOT(text, at, reason) {.literal = text, .why = reason, .where = at},
#define WEAK(text, at, reason, bits) {.literal = text, .why = reason, .where = at, .spares = bits},
#define PERSON(text) {.literal = text},
#define MARK(text, at, bits) {.literal = text, .marks = bits, .where = at},
#define ANY BOT_ANYWHERE
#define HEAD BOT_HEAD
#define TAIL BOT_TAIL
#define WORD (BOT_HEAD | BOT_TAIL)
#define START BOT_START
#define JOINED BOT_JOINED
#include "node/bot_rules.def"
};

#define OWN_N (sizeof(own) / sizeof(own[0]))
#define WHYS_MAX 64

static const char *whys[WHYS_MAX] = {[BOT_WHY_CONFIGURED] = "configured"};
static unsigned whys_n = BOT_WHY_CONFIGURED + 1;

static void
must(bool true_of_our_tables, const char *what)
{
	if (true_of_our_tables)
		return;
	fprintf(stderr, "bot tables: %s\n", what);
	exit(1);
}

static uint8_t
why_index(const char *why)
{
	unsigned i;

	if (!why)
		return 0;
	for (i = BOT_WHY_CONFIGURED; i < whys_n; i++)
		if (strcmp(whys[i], why) == 0)
			return (uint8_t)i;
	must(whys_n < WHYS_MAX, "too many reasons");
	whys[whys_n] = why;
	return (uint8_t)whys_n++;
}

static struct bot_rule
rule_of(const struct source *s)
{
	must(strlen(s->literal) <= UINT8_MAX, "a literal is too long");
	return (struct bot_rule){.marks = (uint16_t)s->marks,
				 .spares = (uint16_t)s->spares,
				 .same = -1,
				 .len = (uint8_t)strlen(s->literal),
				 .why = why_index(s->why),
				 .where = (uint8_t)s->where};
}

/* The packages' words, then our own: later ones are heard first. */
static size_t
collect(struct bot_rule *rules, const char **literals)
{
	const struct bot_word *w;
	const struct source *s;
	size_t n = 0;

	for (w = bot_words; w < bot_words + bot_words_n; w++) {
		literals[n] = w->literal;
		rules[n] = rule_of(&(struct source){.literal = w->literal,
						    .why = w->why,
						    .where = w->where,
						    .spares = MARK_PERSONAL | MARK_PLAYER});
		rules[n].name = w->name;
		rules[n++].source = w->source;
	}
	for (s = own; s < own + OWN_N; s++) {
		literals[n] = s->literal;
		rules[n++] = rule_of(s);
	}
	return n;
}

/* -- C -- */

#define PRINT_ARRAY(type, name, from, n)                                           \
	do {                                                                       \
		size_t i_;                                                         \
		printf("%s %s[] = {", type, name);                                 \
		for (i_ = 0; i_ < (n); i_++)                                       \
			printf("%s%ld,", i_ % 16 ? "" : "\n\t", (long)(from)[i_]); \
		printf("\n};\n\n");                                                \
	} while (0)

static void
print_rules(const struct bot_rule *rules, size_t n)
{
	const struct bot_rule *r;

	puts("const struct bot_rule bot_table_rules[] = {");
	for (r = rules; r < rules + n; r++)
		printf("\t{%u, %u, %u, %d, %u, %u, %u, %u},\n", r->marks, r->spares, r->name,
		       r->same, r->len, r->why, r->where, r->source);
	puts("};\n");
}

static void
print_automaton(const struct bot_automaton *a)
{
	unsigned i;

	PRINT_ARRAY("static const uint32_t", "base", a->base, a->states);
	PRINT_ARRAY("static const uint16_t", "pair", a->pair, (size_t)1 << 2 * a->shift);
	PRINT_ARRAY("static const int16_t", "rule", a->rule, a->states);
	PRINT_ARRAY("static const uint16_t", "shorter", a->shorter, a->states);
	printf("static const struct bot_slot slot[] = {");
	for (i = 0; i < a->slots; i++)
		printf("%s{%u,%u},", i % 8 ? "" : "\n\t", a->slot[i].state, a->slot[i].to);
	puts("\n};\n\nconst struct bot_automaton bot_table = {\n\t.class_of = {");
	for (i = 0; i < 256; i++)
		printf("%u,", a->class_of[i]);
	printf("},\n\t.states = %u,\n\t.shift = %u,\n\t.slots = %u,\n", a->states, a->shift,
	       a->slots);
	puts("\t.base = base,\n\t.slot = slot,\n\t.pair = pair,\n\t.rule = rule,\n"
	     "\t.shorter = shorter,\n};\n");
}

static size_t
print_names(void)
{
	size_t bytes = 0, i;
	const char *p;

	puts("const uint16_t bot_names_at[] = {");
	for (i = 0; i < bot_word_names_n; i++) {
		printf("\t%zu,\n", bytes);
		bytes += strlen(bot_word_names[i]) + 1;
	}
	must(bytes <= UINT16_MAX, "the names are too long");
	puts("};\n\nconst char bot_names_text[] = {");
	for (i = 0; i < bot_word_names_n; i++) {
		for (p = bot_word_names[i]; *p; p++)
			printf("%d,", *p);
		puts("0,");
	}
	printf("};\n\nconst size_t bot_names_n = %zu;\n\n", bot_word_names_n);
	return bytes + bot_word_names_n * sizeof(uint16_t);
}

int
main(void)
{
	size_t most = bot_words_n + OWN_N, n, bytes;
	struct bot_rule *rules = calloc(most, sizeof(*rules));
	const char **literals = calloc(most, sizeof(*literals));
	struct bot_automaton a;
	unsigned i;

	must(rules && literals, "no memory");
	n = collect(rules, literals);
	must(bot_automaton_build(&a, literals, rules, n) == 0, "the automaton cannot be built");
	puts("/* made by agent/node/bot_sources/tables.c */\n#include \"node/bot_tables.h\"\n");
	print_rules(rules, n);
	print_automaton(&a);
	bytes = print_names() + n * sizeof(*rules) + bot_automaton_bytes(&a);
	puts("const char *const bot_whys[] = {\n\tNULL,");
	for (i = BOT_WHY_CONFIGURED; i < whys_n; i++)
		printf("\t\"%s\",\n", whys[i]);
	printf("};\n\nconst size_t bot_table_bytes = %zu;\n", bytes);
	bot_automaton_fini(&a);
	free(rules);
	free(literals);
	return fflush(stdout) == 0 ? 0 : 1;
}
