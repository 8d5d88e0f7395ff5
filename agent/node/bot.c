#include "node/bot.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "node/bot_tables.h"
#include "proto/batch.h"
#include "proto/event.h"

/* The table made at build, and what the operator adds. */
struct bot_rules {
	unsigned sources;
	struct bot_rule *added; /* NULL: nothing */
	size_t added_n;
	struct bot_automaton automaton; /* of added */
};

/* -- the operator's words -- */

static struct text
pattern_name(const char *pattern)
{
	return (struct text){pattern, strnlen(pattern, BATCH_BOT_NAME_MAX)};
}

struct text
bot_name_of(const struct conf_list *patterns, uint16_t name)
{
	if (name < bot_names_n || !patterns || name - bot_names_n >= patterns->n)
		return text_of(bot_name(name));
	return pattern_name(patterns->item[name - bot_names_n]);
}

/* The first that is called so, in the table or among the patterns: no name is counted twice. */
static uint16_t
number_name(const struct conf_list *patterns, size_t nth)
{
	struct text name = pattern_name(patterns->item[nth]);
	uint16_t i = 0;

	while (i < bot_names_n + nth && !text_eq(bot_name_of(patterns, i), name))
		i++;
	return i;
}

static void
add_list(struct bot_rules *b, const char **literals, const struct conf_list *list, uint8_t why)
{
	size_t i;

	for (i = 0; list && i < list->n; i++) {
		literals[b->added_n] = list->item[i];
		b->added[b->added_n++] = (struct bot_rule){.len = (uint8_t)strlen(list->item[i]),
							   .why = why,
							   .name = why ? number_name(list, i) : 0,
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
	bool has_digit, has_semicolon;
};

/* Reasons are heard unless one of these marks stands beside them. */
enum spared { SPARED_NEVER, SPARED_PERSONAL, SPARED_PLAYER, SPARED_EITHER, SPARED_N };

static const unsigned spared_marks[SPARED_N] = {
    [SPARED_PERSONAL] = MARK_PERSONAL,
    [SPARED_PLAYER] = MARK_PLAYER,
    [SPARED_EITHER] = MARK_PERSONAL | MARK_PLAYER,
};

static unsigned
spared_of(unsigned marks)
{
	return (marks & MARK_PERSONAL ? SPARED_PERSONAL : 0u) |
	       (marks & MARK_PLAYER ? SPARED_PLAYER : 0u);
}

struct longest_name {
	uint16_t name;
	size_t len; /* of the literal that gave it */
};

/* What the literals tell, and at the end the form. */
struct reading {
	struct text ua;
	struct form form;
	unsigned marks;
	uint8_t why[SPARED_N];             /* the first of each class, in bot_whys */
	uint8_t configured;                /* of the operator's */
	bool person;                       /* the operator says so */
	struct longest_name listed, added; /* by the table, by the operator */
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
	if ((r->where & BOT_JOINED) && (from == 0 || !is_letter(ua.at[from - 1])))
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
take_name(struct longest_name *n, const struct bot_rule *rule)
{
	if (rule->name && rule->len > n->len)
		*n = (struct longest_name){rule->name, rule->len};
}

static void
take_rule(struct reading *r, const struct bot_rule *rule, size_t to)
{
	take_name(rule->marks & MARK_CONFIGURED ? &r->added : &r->listed, rule);
	if (rule->marks & MARK_CONFIGURED) {
		r->person |= !rule->why;
		take_reason(&r->configured, rule->why);
	} else if (rule->why) {
		take_reason(&r->why[spared_of(rule->spares)], rule->why);
	}
	r->marks |= rule->marks;
	if ((rule->marks & (MARK_VERSION | MARK_PHRASE)) && is_odd(rule->marks, r->ua, to))
		r->marks |= MARK_ODD;
}

/* What is read with, and whose words count. */
struct vocabulary {
	const struct bot_automaton *automaton;
	const struct bot_rule *rules;
	unsigned sources;
};

/* What the literals say that end before `to`, the longest first; a PERSON hides those inside it. */
static void
take_literals(const struct vocabulary *with, unsigned state, struct reading *r, size_t to)
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

	if (!(marks & (MARK_ENGINE | MARK_PLAYER | MARK_PERSONAL)))
		return "shape";
	if (!(marks & (MARK_DEVICE | MARK_PRODUCT | MARK_PLAYER)))
		return "shape";
	if ((marks & MARK_COMPATIBLE) && !(marks & MARK_COMPATIBLE_OK))
		return "shape";
	return marks & MARK_ODD ? "shape" : NULL;
}

/* An address of its maker. Apps give theirs beside the telephone's name, but a browser's name with
 * one is a crawler that looks like a telephone's browser. */
static bool
has_contact(const struct reading *r, bool mozilla)
{
	unsigned apps = mozilla ? MARK_TOOLBARS : MARK_PERSONAL | MARK_PLAYER;

	if ((r->marks & MARK_CONTACT) && !(r->marks & apps))
		return true;
	return (r->marks & MARK_DOMAIN) &&
	       !(r->marks & (MARK_PERSONAL | MARK_PLAYER | MARK_BRANDED));
}

/* No word told; what does the form tell? */
static const char *
judge_form(const struct reading *r)
{
	bool mozilla = starts_with(r->ua, "mozilla/");
	unsigned marks = r->marks;

	if (has_contact(r, mozilla))
		return "contact";
	if (!r->form.has_digit && !(marks & (MARK_PLAYER | MARK_PERSONAL)))
		return "shape";
	if (starts_with(r->ua, "mozilla/5.0"))
		return judge_mozilla(r);
	if (marks & (MARK_DEVICE | MARK_PLAYER | MARK_ENGINE))
		return NULL;
	if (!mozilla)
		return "unknown";
	if (!r->form
		 .has_semicolon) /* in a comment that says where it runs: all old browsers had it */
		return "shape";
	return (marks & MARK_COMPATIBLE) && !(marks & MARK_ENGINE) ? "shape" : NULL;
}

/* Our own words first. The packages' are many and were met beside many things: what names a
 * telephone, a television or a player is believed before them. */
static const char *
judge(const struct reading *r)
{
	unsigned i;

	if (r->configured)
		return bot_whys[r->configured];
	for (i = 0; i < SPARED_N; i++)
		if (r->why[i] && !(r->marks & spared_marks[i]))
			return bot_whys[r->why[i]];
	return judge_form(r);
}

/* One pass: the literals, and beside them the form. */
static void
read_all(const struct vocabulary *with, struct reading *r)
{
	const struct bot_automaton *a = with->automaton;
	const uint8_t *at = (const uint8_t *)r->ua.at;
	bool has_digit = false, has_semicolon = false; /* here, not in r: they stay in registers */
	unsigned state = 0, before = 0, class;
	size_t n = r->ua.len, i;

	for (i = 0; i < n; i++) {
		class = a->class_of[at[i]];
		state = bot_automaton_step(a, state, before, class);
		before = class;
		has_digit |= at[i] >= '0' && at[i] <= '9';
		has_semicolon |= at[i] == ';';
		if (state & BOT_FOUND) {
			state &= ~BOT_FOUND;
			take_literals(with, state, r, i + 1);
		}
	}
	r->form = (struct form){has_digit, has_semicolon};
}

struct bot_verdict
bot_user_agent(const struct bot_rules *b, struct text ua)
{
	const struct vocabulary table = {&bot_table, bot_table_rules, b->sources};
	const struct vocabulary added = {&b->automaton, b->added, 0};
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
	return (struct bot_verdict){.why = judge(&r),
				    .name = r.configured ? r.added.name : r.listed.name};
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
