#include "node/bot.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "node/bot_automaton.h"
#include "proto/event.h"

enum {
	ANY = BOT_ANYWHERE,
	HEAD = BOT_HEAD,
	TAIL = BOT_TAIL,
	WORD = HEAD | TAIL,
	START = BOT_START
};

enum mark {
	MARK_CONTACT = 1,
	MARK_DEVICE = 2,
	MARK_PLAYER = 4,
	MARK_ENGINE = 8,
	MARK_COMPATIBLE = 16,
	MARK_COMPATIBLE_OK = 32,
	MARK_PRODUCT = 64,
	MARK_VERSION = 128,   /* a number must follow */
	MARK_PHRASE = 256,    /* nothing of its own may follow */
	MARK_ODD = 512,       /* one of these was not so */
	MARK_DOMAIN = 1024,   /* a contact, but on a telephone: shops name their apps so */
	MARK_PERSONAL = 2048, /* in a hand, on a sofa: its models and apps are called anything */
	MARK_CONFIGURED = 4096
};

static const struct bot_rule own[] = {
#define BOT(text, at, reason) \
	{.literal = text, .len = sizeof(text) - 1, .why = reason, .where = at},
#define WEAK(text, at, reason, marks) \
	{.literal = text, .len = sizeof(text) - 1, .why = reason, .where = at, .spares = marks},
#define PERSON(text) {.literal = text, .len = sizeof(text) - 1},
#define MARK(text, at, bits) {.literal = text, .len = sizeof(text) - 1, .marks = bits, .where = at},
#include "node/bot_rules.def"
};

#define OWN_N (sizeof(own) / sizeof(own[0]))

struct bot_rules {
	struct bot_rule *rules;
	size_t n;
	struct bot_automaton automaton;
};

/* -- building: the packages' words, our own, the operator's; later ones are heard first -- */

static void
add_words(struct bot_rules *b, unsigned sources)
{
	const struct bot_word *w;

	for (w = bot_words; w < bot_words + bot_words_n; w++)
		if (w->source & sources)
			b->rules[b->n++] = (struct bot_rule){.literal = w->literal,
							     .len = strlen(w->literal),
							     .why = w->why,
							     .name = w->name,
							     .where = w->where,
							     .spares = MARK_PERSONAL | MARK_PLAYER};
}

static void
add_list(struct bot_rules *b, const struct conf_list *list, const char *why)
{
	size_t i;

	for (i = 0; list && i < list->n; i++)
		b->rules[b->n++] = (struct bot_rule){.literal = list->item[i],
						     .len = strlen(list->item[i]),
						     .why = why,
						     .marks = MARK_CONFIGURED};
}

int
bot_rules_new(unsigned sources, const struct conf_list *bots, const struct conf_list *people,
	      struct bot_rules **ret_rules)
{
	struct bot_rules *b = calloc(1, sizeof(*b));
	size_t most = bot_words_n + OWN_N + (bots ? bots->n : 0) + (people ? people->n : 0);
	int err = -ENOMEM;

	if (!b)
		return -ENOMEM;
	b->rules = calloc(most, sizeof(*b->rules));
	if (!b->rules)
		goto out;
	add_words(b, sources);
	memcpy(b->rules + b->n, own, sizeof(own));
	b->n += OWN_N;
	add_list(b, bots, "configured");
	add_list(b, people, NULL);
	err = bot_automaton_build(&b->automaton, b->rules, b->n);
	if (err)
		goto out;
	*ret_rules = b;
	return 0;
out:
	bot_rules_free(b);
	return err;
}

void
bot_rules_free(struct bot_rules *b)
{
	if (!b)
		return;
	bot_automaton_fini(&b->automaton);
	free(b->rules);
	free(b);
}

size_t
bot_rules_bytes(const struct bot_rules *b)
{
	return sizeof(*b) + b->n * sizeof(*b->rules) + bot_automaton_bytes(&b->automaton);
}

/* -- reading -- */

/* What the form tells. */
struct form {
	int depth; /* of brackets */
	bool has_digit;
	bool has_outer_semicolon; /* browsers list their products with blanks */
};

/* What the literals tell, and at the end the form. */
struct reading {
	struct text ua;
	struct form form;
	unsigned marks;
	const char *why;        /* of our own rules, the first */
	const char *weak;       /* of the words that say nothing beside MARK_PERSONAL, the first */
	const char *weaker;     /* of those that say nothing beside MARK_PLAYER either */
	const char *configured; /* of the operator's */
	bool person;            /* the operator says so */
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
take_reason(const char **why, const char *said)
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
		r->person |= rule->why == NULL;
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

/* What the literals say that end before `to`, the longest first; a PERSON hides those inside it. */
static void
take_literals(const struct bot_rules *b, uint16_t state, struct reading *r, size_t to)
{
	const struct bot_rule *rule;
	int16_t i;

	for (; state; state = b->automaton.shorter[state])
		for (i = b->automaton.rule[state]; i >= 0; i = rule->same) {
			rule = &b->rules[i];
			if (!rule->why && !rule->marks)
				return;
			if (stands(rule, r->ua, to - rule->len, to))
				take_rule(r, rule, to);
		}
}

static inline void
form_add(struct form *f, char c)
{
	f->depth += (c == '(' || c == '[') - (c == ')' || c == ']');
	f->has_digit |= c >= '0' && c <= '9';
	f->has_outer_semicolon |= c == ';' && f->depth <= 0;
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
		return r->configured;
	if (r->why)
		return r->why;
	if (r->weak && !(r->marks & MARK_PERSONAL))
		return r->weak;
	if (r->weaker && !(r->marks & (MARK_PERSONAL | MARK_PLAYER)))
		return r->weaker;
	return judge_form(r);
}

struct bot_verdict
bot_user_agent(const struct bot_rules *b, struct text ua)
{
	struct reading r = {.ua = ua};
	struct form form = {0}; /* here, not in r: it stays in registers */
	uint16_t state = 0;
	size_t i;

	if (ua.len == 0)
		return (struct bot_verdict){.why = "none"};
	if (ua.len > EVENT_USER_AGENT_MAX)
		r.ua.len = EVENT_USER_AGENT_MAX;
	for (i = 0; i < r.ua.len; i++) {
		state = bot_automaton_step(&b->automaton, state, ua.at[i]);
		form_add(&form, ua.at[i]);
		if (b->automaton.ends[state])
			take_literals(b, b->automaton.ends[state], &r, i + 1);
	}
	r.form = form;
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
