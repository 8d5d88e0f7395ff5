#include "node/bot.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "node/bot_tables.h"
#include "proto/event.h"

/* The table made at build, and what the operator adds. */
struct bot_rules {
	unsigned sources;
	struct bot_rule *added; /* NULL: nothing */
	size_t added_n;
	struct bot_automaton automaton; /* of added */
};

/* -- the operator's words -- */

static void
add_list(struct bot_rules *b, const char **literals, const struct conf_list *list, uint8_t why)
{
	size_t i;

	for (i = 0; list && i < list->n; i++) {
		literals[b->added_n] = list->item[i];
		b->added[b->added_n++] = (struct bot_rule){.len = (uint8_t)strlen(list->item[i]),
							   .why = why,
							   .same = -1,
							   .marks = MARK_CONFIGURED};
	}
}

static int
add_words(struct bot_rules *b, const struct conf_list *bots, const struct conf_list *people)
{
	size_t n = (bots ? bots->n : 0) + (people ? people->n : 0);
	const char **literals;
	int err = -ENOMEM;

	if (n == 0)
		return 0;
	literals = calloc(n, sizeof(*literals));
	b->added = calloc(n, sizeof(*b->added));
	if (literals && b->added) {
		add_list(b, literals, bots, BOT_WHY_CONFIGURED);
		add_list(b, literals, people, 0);
		err = bot_automaton_build(&b->automaton, literals, b->added, n);
	}
	free(literals);
	return err;
}

int
bot_rules_new(unsigned sources, const struct conf_list *bots, const struct conf_list *people,
	      struct bot_rules **ret_rules)
{
	struct bot_rules *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	b->sources = sources;
	err = add_words(b, bots, people);
	if (err)
		bot_rules_free(b);
	else
		*ret_rules = b;
	return err;
}

void
bot_rules_free(struct bot_rules *b)
{
	if (!b)
		return;
	bot_automaton_fini(&b->automaton);
	free(b->added);
	free(b);
}

size_t
bot_rules_bytes(const struct bot_rules *b)
{
	return bot_table_bytes + sizeof(*b) + b->added_n * sizeof(*b->added) +
	       bot_automaton_bytes(&b->automaton);
}

/* -- reading -- */

/* What the form tells. */
struct form {
	int depth; /* of brackets */
	unsigned has_digit;
	unsigned has_outer_semicolon; /* browsers list their products with blanks */
};

/* What the literals tell, and at the end the form. */
struct reading {
	struct text ua;
	struct form form;
	unsigned marks;
	uint8_t why;        /* of our own rules, the first; in bot_whys */
	uint8_t weak;       /* of the words that say nothing beside MARK_PERSONAL, the first */
	uint8_t weaker;     /* of those that say nothing beside MARK_PLAYER either */
	uint8_t configured; /* of the operator's */
	bool person;        /* the operator says so */
	uint16_t name;
	size_t name_len; /* the longest literal that has a name gives it */
};

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
stands(const struct bot_rule *r, struct text ua, size_t from, size_t to)
{
	if ((r->where & BOT_START) && from > 0)
		return false;
	if ((r->where & BOT_END) && to < ua.len)
		return false;
	if ((r->where & BOT_HEAD) && from > 0 && is_letter(ua.at[from - 1]))
		return false;
	return !(r->where & BOT_TAIL) || to == ua.len || !is_letter(ua.at[to]);
}

/* A version that is no number is a template that nobody filled in. "(KHTML, like Gecko" is a phrase
 * that browsers copy whole, early ones with Safari in it; programs add themselves inside. */
static bool
is_odd(unsigned marks, struct text ua, size_t to)
{
	static const char safari[] = ", safari";

	while (to < ua.len && ua.at[to] == ' ')
		to++;
	if (to == ua.len)
		return false;
	if (marks & MARK_VERSION)
		return ua.at[to] < '0' || ua.at[to] > '9';
	if (!(marks & MARK_PHRASE) || ua.at[to] == ')')
		return false;
	return ua.len - to < sizeof(safari) - 1 ||
	       strncasecmp(ua.at + to, safari, sizeof(safari) - 1) != 0;
}

static void
take_reason(uint8_t *why, uint8_t said)
{
	if (!*why)
		*why = said;
}

static void
take_rule(struct reading *r, const struct bot_rule *rule, size_t to)
{
	if (rule->name && rule->len > r->name_len) {
		r->name = rule->name;
		r->name_len = rule->len;
	}
	if (rule->marks & MARK_CONFIGURED) {
		r->person |= !rule->why;
		take_reason(&r->configured, rule->why);
	} else if (rule->why) {
		take_reason(!rule->spares                ? &r->why
			    : rule->spares & MARK_PLAYER ? &r->weaker
							 : &r->weak,
			    rule->why);
	}
	r->marks |= rule->marks;
	if ((rule->marks & (MARK_VERSION | MARK_PHRASE)) && is_odd(rule->marks, r->ua, to))
		r->marks |= MARK_ODD;
}

/* What is read with, and whose words count. */
struct reader {
	const struct bot_automaton *automaton;
	const struct bot_rule *rules;
	unsigned sources;
};

/* What the literals say that end before `to`, the longest first; a PERSON hides those inside it. */
static void
take_literals(const struct reader *with, unsigned state, struct reading *r, size_t to)
{
	const struct bot_rule *rule;
	int16_t i;

	for (; state; state = with->automaton->shorter[state])
		for (i = with->automaton->rule[state]; i >= 0; i = rule->same) {
			rule = &with->rules[i];
			if (!rule->why && !rule->marks)
				return;
			if (rule->source && !(rule->source & with->sources))
				continue;
			if (stands(rule, r->ua, to - rule->len, to))
				take_rule(r, rule, to);
		}
}

enum { OPENS = 1, CLOSES = 2, DIGIT = 4, SEMICOLON = 8 };

static const uint8_t form_of[256] = {
    ['('] = OPENS, ['['] = OPENS, [')'] = CLOSES, [']'] = CLOSES, ['0'] = DIGIT,
    ['1'] = DIGIT, ['2'] = DIGIT, ['3'] = DIGIT,  ['4'] = DIGIT,  ['5'] = DIGIT,
    ['6'] = DIGIT, ['7'] = DIGIT, ['8'] = DIGIT,  ['9'] = DIGIT,  [';'] = SEMICOLON,
};

static inline void
form_add(struct form *f, uint8_t c)
{
	unsigned is = form_of[c];

	f->depth += (int)(is & OPENS) - (int)(is >> 1 & 1);
	f->has_digit |= is & DIGIT;
	f->has_outer_semicolon |= f->depth <= 0 ? is & SEMICOLON : 0;
}

static bool
starts_with(struct text ua, const char *literal)
{
	size_t n = strlen(literal);

	return ua.len >= n && strncasecmp(ua.at, literal, n) == 0;
}

static const char *
judge_mozilla(const struct reading *r)
{
	unsigned marks = r->marks;

	if (!(marks & (MARK_ENGINE | MARK_PLAYER)))
		return "shape";
	if (!(marks & (MARK_DEVICE | MARK_PRODUCT | MARK_PLAYER)))
		return "shape";
	if ((marks & MARK_COMPATIBLE) && !(marks & MARK_COMPATIBLE_OK))
		return "shape";
	if (r->form.has_outer_semicolon || (marks & MARK_ODD))
		return "shape";
	return NULL;
}

/* No word told; what does the form tell? */
static const char *
judge_form(const struct reading *r)
{
	unsigned marks = r->marks;

	if ((marks & MARK_CONTACT) && !(marks & MARK_PLAYER))
		return "contact";
	if ((marks & MARK_DOMAIN) && !(marks & (MARK_PERSONAL | MARK_PLAYER)))
		return "contact";
	if (!r->form.has_digit && !(marks & MARK_PLAYER))
		return "shape";
	if (starts_with(r->ua, "mozilla/5.0"))
		return judge_mozilla(r);
	if (marks & (MARK_DEVICE | MARK_PLAYER))
		return NULL;
	if (!starts_with(r->ua, "mozilla/"))
		return "unknown";
	return (marks & MARK_COMPATIBLE) && !(marks & MARK_ENGINE) ? "shape" : NULL;
}

/* Our own words first. The packages' are many and were met beside many things: what names a
 * telephone, a television or a player is believed before them. */
static const char *
judge(const struct reading *r)
{
	if (r->configured)
		return bot_whys[r->configured];
	if (r->why)
		return bot_whys[r->why];
	if (r->weak && !(r->marks & MARK_PERSONAL))
		return bot_whys[r->weak];
	if (r->weaker && !(r->marks & (MARK_PERSONAL | MARK_PLAYER)))
		return bot_whys[r->weaker];
	return judge_form(r);
}

/* One pass: the literals, and beside them the form. */
static void
read_all(const struct reader *with, struct reading *r)
{
	const struct bot_automaton *a = with->automaton;
	struct form form = {0}; /* here, not in r: it stays in registers */
	unsigned state = 0, before = 0, class;
	const uint8_t *at = (const uint8_t *)r->ua.at;
	size_t n = r->ua.len, i;

	for (i = 0; i < n; i++) {
		class = a->class_of[at[i]];
		state = bot_automaton_step(a, state, before, class);
		before = class;
		form_add(&form, at[i]);
		if (state & BOT_FOUND) {
			state &= ~BOT_FOUND;
			take_literals(with, state, r, i + 1);
		}
	}
	r->form = form;
}

struct bot_verdict
bot_user_agent(const struct bot_rules *b, struct text ua)
{
	const struct reader table = {&bot_table, bot_table_rules, b->sources};
	const struct reader added = {&b->automaton, b->added, 0};
	struct reading r = {.ua = ua};

	if (ua.len == 0)
		return (struct bot_verdict){.why = "none"};
	if (ua.len > EVENT_USER_AGENT_MAX)
		r.ua.len = EVENT_USER_AGENT_MAX;
	read_all(&table, &r);
	if (b->added)
		read_all(&added, &r);
	if (r.person)
		return (struct bot_verdict){.believed = true};
	return (struct bot_verdict){.why = judge(&r), .name = r.name};
}

/* -- headers -- */

enum bot_engine
bot_engine_of(struct text ua)
{
	static const char *const old[] = {"MSIE ", "Trident/", "Presto/"};
	size_t i;

	if (!starts_with(ua, "mozilla/") && !starts_with(ua, "opera/"))
		return BOT_ENGINE_OTHER;
	for (i = 0; i < sizeof(old) / sizeof(old[0]); i++)
		if (memmem(ua.at, ua.len, old[i], strlen(old[i])))
			return BOT_ENGINE_OLD;
	return BOT_ENGINE_NEW;
}

static bool
holds(struct text t, const char *word)
{
	return t.len > 0 && memmem(t.at, t.len, word, strlen(word)) != NULL;
}

/* - Internet Explorer and the old Opera ended before Sec-Fetch began.
 * - Whoever sends Sec-Fetch is a browser of this decade and tells its languages; automated ones
 *   and the fetch of JavaScript servers send none, or "*". */
enum reason
bot_headers_judge(enum bot_engine engine, const struct bot_headers *h)
{
	if (holds(h->sec_purpose, "prefetch") || holds(h->sec_purpose, "prerender") ||
	    holds(h->sec_purpose, "preview"))
		return REASON_BOT_PREFETCH;
	if (engine == BOT_ENGINE_OLD && h->sec_fetch.len > 0)
		return REASON_BOT_HEADERS;
	if (engine == BOT_ENGINE_NEW && (text_is(h->accept_language, "*") ||
					 (h->sec_fetch.len > 0 && h->accept_language.len == 0)))
		return REASON_BOT_HEADERS;
	return REASON_ACCEPTED_FIRST;
}
