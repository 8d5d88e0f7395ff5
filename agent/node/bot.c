#include "node/bot.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "proto/event.h"

enum where { ANY, HEAD = 1, TAIL = 2, WORD = HEAD | TAIL, START = 4 };

enum mark {
	MARK_CONTACT = 1,
	MARK_DEVICE = 2,
	MARK_PLAYER = 4,
	MARK_ENGINE = 8,
	MARK_COMPATIBLE = 16,
	MARK_COMPATIBLE_OK = 32,
	MARK_PRODUCT = 64,
	MARK_VERSION = 128, /* a number must follow */
	MARK_PHRASE = 256,  /* nothing of its own may follow */
	MARK_ODD = 512,     /* one of these was not so */
	MARK_DOMAIN = 1024, /* a contact, but on a telephone: shops name their apps so */
	MARK_PHONE = 2048
};

struct rule {
	const char *literal;
	size_t len;
	const char *why; /* BOT */
	unsigned marks;  /* MARK */
	enum where where;
};

static const struct rule rules[] = {
#define BOT(literal, where, why) {literal, sizeof(literal) - 1, why, 0, where},
#define PERSON(literal) {literal, sizeof(literal) - 1, NULL, 0, ANY},
#define MARK(literal, where, marks) {literal, sizeof(literal) - 1, NULL, marks, where},
#include "node/bot_rules.def"
};

#define RULES_N (sizeof(rules) / sizeof(rules[0]))
#define CLASSES_MAX 64 /* distinct bytes in all literals, and one for the rest */

/* A state is the longest end of what was read that begins some literal. `next` is complete, so that
 * every byte costs one look-up. `ends` is the nearest state, itself or down its suffixes, that is a
 * whole literal, 0 if none; `rule` which one that is; `shorter` the nearest one below it. */
struct bot_rules {
	uint8_t class_of[256]; /* of a byte, lower-cased; 0: in no literal */
	unsigned classes;
	uint16_t states;
	uint16_t *next; /* [state * classes + class] */
	int16_t *rule;  /* index, or -1 */
	uint16_t *ends, *shorter, *fail;
};

/* -- building -- */

static void
classes_number(struct bot_rules *b)
{
	const char *p;
	size_t i;
	int c;

	b->classes = 1;
	for (i = 0; i < RULES_N; i++)
		for (p = rules[i].literal; *p; p++)
			if (!b->class_of[(uint8_t)*p])
				b->class_of[(uint8_t)*p] = (uint8_t)b->classes++;
	for (c = 'A'; c <= 'Z'; c++)
		b->class_of[c] = b->class_of[c - 'A' + 'a'];
}

static int
arrays_new(struct bot_rules *b)
{
	size_t states = 1, i;

	for (i = 0; i < RULES_N; i++)
		states += rules[i].len;
	if (states > UINT16_MAX || b->classes > CLASSES_MAX)
		return -E2BIG;
	b->next = calloc(states * b->classes, sizeof(*b->next));
	b->rule = malloc(states * sizeof(*b->rule));
	b->ends = calloc(states, sizeof(*b->ends));
	b->shorter = calloc(states, sizeof(*b->shorter));
	b->fail = calloc(states, sizeof(*b->fail));
	if (!b->next || !b->rule || !b->ends || !b->shorter || !b->fail)
		return -ENOMEM;
	memset(b->rule, 0xff, states * sizeof(*b->rule));
	b->states = 1;
	return 0;
}

/* The first `depth` bytes of a literal as states, of which all but the last one exist. */
static void
trie_add(struct bot_rules *b, int16_t index, size_t depth)
{
	uint16_t at = 0, *edge;
	size_t i;

	for (i = 0; i < depth; i++) {
		edge = &b->next[at * b->classes + b->class_of[(uint8_t)rules[index].literal[i]]];
		if (!*edge)
			*edge = b->states++;
		at = *edge;
	}
	if (depth == rules[index].len)
		b->rule[at] = index; /* a literal stands once: test_bot checks it */
}

/* Level by level, so that a state's number grows with its depth: automaton_complete relies on it, and
 * the few shallow states where nearly every byte leads lie side by side in the processor's cache. */
static void
trie_build(struct bot_rules *b)
{
	size_t depth, i, longest = 1;

	for (depth = 1; depth <= longest; depth++)
		for (i = 0; i < RULES_N; i++) {
			if (rules[i].len >= depth)
				trie_add(b, (int16_t)i, depth);
			if (rules[i].len > longest)
				longest = rules[i].len;
		}
}

/* In order of depth: the state that one falls back to is shallower, and complete already. */
static void
automaton_complete(struct bot_rules *b)
{
	uint16_t at, to, back, other;
	unsigned c;

	for (at = 0; at < b->states; at++) {
		back = b->fail[at];
		b->shorter[at] = b->ends[back];
		b->ends[at] = b->rule[at] >= 0 ? at : b->shorter[at];
		for (c = 0; c < b->classes; c++) {
			to = b->next[at * b->classes + c];
			other = at ? b->next[back * b->classes + c] : 0;
			if (to)
				b->fail[to] = other;
			else
				b->next[at * b->classes + c] = other;
		}
	}
}

int
bot_rules_new(struct bot_rules **ret_rules)
{
	struct bot_rules *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	classes_number(b);
	err = arrays_new(b);
	if (err) {
		bot_rules_free(b);
		return err;
	}
	trie_build(b);
	automaton_complete(b);
	*ret_rules = b;
	return 0;
}

void
bot_rules_free(struct bot_rules *b)
{
	if (!b)
		return;
	free(b->next);
	free(b->rule);
	free(b->ends);
	free(b->shorter);
	free(b->fail);
	free(b);
}

size_t
bot_rules_bytes(const struct bot_rules *b)
{
	return sizeof(*b) + b->states * (b->classes * sizeof(*b->next) + sizeof(*b->rule) +
					 3 * sizeof(*b->fail));
}

/* -- reading -- */

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
stands(const struct rule *r, struct text ua, size_t from, size_t to)
{
	if ((r->where & START) && from > 0)
		return false;
	if ((r->where & HEAD) && from > 0 && is_letter(ua.at[from - 1]))
		return false;
	return !(r->where & TAIL) || to == ua.len || !is_letter(ua.at[to]);
}

/* A version that is no number is a template that nobody filled in. "(KHTML, like Gecko" is a phrase
 * that browsers copy whole, early ones with Safari in it; programs add themselves inside. */
static bool
is_odd(unsigned marks, struct text ua, size_t to)
{
	static const char safari[] = ", safari";

	if (to == ua.len)
		return false;
	if (marks & MARK_VERSION)
		return ua.at[to] < '0' || ua.at[to] > '9';
	if (!(marks & MARK_PHRASE) || ua.at[to] == ')')
		return false;
	return ua.len - to < sizeof(safari) - 1 ||
	       strncasecmp(ua.at + to, safari, sizeof(safari) - 1) != 0;
}

/* What the literals say that end before `to`, the longest first; a PERSON hides those inside it.
 * Adds marks; returns why when one of them speaks for a bot. */
static const char *
literals_ending(const struct bot_rules *b, uint16_t state, struct text ua, size_t to,
		unsigned *marks)
{
	const struct rule *r;

	for (; state; state = b->shorter[state]) {
		r = &rules[b->rule[state]];
		if (!r->why && !r->marks)
			break;
		if (!stands(r, ua, to - r->len, to))
			continue;
		if (r->why)
			return r->why;
		*marks |= r->marks;
		if ((r->marks & (MARK_VERSION | MARK_PHRASE)) && is_odd(r->marks, ua, to))
			*marks |= MARK_ODD;
	}
	return NULL;
}

static bool
starts_with(struct text ua, const char *literal)
{
	size_t n = strlen(literal);

	return ua.len >= n && strncasecmp(ua.at, literal, n) == 0;
}

/* What the form tells, gathered byte by byte beside the automaton. */
struct form {
	int depth; /* of brackets */
	bool has_digit;
	bool has_outer_semicolon; /* browsers list their products with blanks */
};

static inline void
form_add(struct form *f, char c)
{
	f->depth += (c == '(' || c == '[') - (c == ')' || c == ']');
	f->has_digit |= c >= '0' && c <= '9';
	f->has_outer_semicolon |= c == ';' && f->depth <= 0;
}

/* No word told; what does the form tell? */
static const char *
judge_form(struct text ua, unsigned marks, const struct form *f)
{
	if ((marks & MARK_CONTACT) && !(marks & MARK_PLAYER))
		return "contact";
	if ((marks & MARK_DOMAIN) && !(marks & (MARK_PHONE | MARK_PLAYER)))
		return "contact";
	if (!f->has_digit && !(marks & MARK_PLAYER))
		return "shape";
	if (starts_with(ua, "mozilla/5.0")) {
		if (!(marks & (MARK_ENGINE | MARK_PLAYER)))
			return "shape";
		if (!(marks & (MARK_DEVICE | MARK_PRODUCT | MARK_PLAYER)))
			return "shape";
		if ((marks & MARK_COMPATIBLE) && !(marks & MARK_COMPATIBLE_OK))
			return "shape";
		if (f->has_outer_semicolon || (marks & MARK_ODD))
			return "shape";
	} else if (!starts_with(ua, "mozilla/") && !(marks & (MARK_DEVICE | MARK_PLAYER))) {
		return "unknown";
	}
	return NULL;
}

const char *
bot_user_agent(const struct bot_rules *b, struct text ua)
{
	const char *why;
	struct form form = {0};
	uint16_t state = 0;
	unsigned marks = 0;
	size_t i;

	if (ua.len == 0)
		return "none";
	if (ua.len > EVENT_USER_AGENT_MAX)
		ua.len = EVENT_USER_AGENT_MAX;
	for (i = 0; i < ua.len; i++) {
		state = b->next[state * b->classes + b->class_of[(uint8_t)ua.at[i]]];
		form_add(&form, ua.at[i]);
		if (!b->ends[state])
			continue;
		why = literals_ending(b, b->ends[state], ua, i + 1, &marks);
		if (why)
			return why;
	}
	return judge_form(ua, marks, &form);
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
