#include "node/ingest_http_answer.h"

#include <stdio.h>
#include <stdlib.h>

#define RETRY_BUSY "30" /* a spool or journal that is full does not empty within seconds */
#define SENTENCE_MAX (HTTP_ANSWER_MAX - HTTP_HEAD_MAX) /* a body with one */
#define FAILED(sentence) "{\"success\":false,\"error\":\"" sentence "\"}"

static const struct {
	unsigned status;
	const char *body;
	const char *headers; /* of its own */
} table[ANSWER_N] = {
    [ANSWER_TRACKED] = {200, "{\"success\":true,\"tracked\":true}", ""},
    [ANSWER_UNTRACKED] = {200, "{\"success\":true,\"tracked\":false}", ""},
    [ANSWER_INVALID] = {400, FAILED("invalid event"), ""},
    [ANSWER_BAD_HEADERS] = {400, FAILED("malformed request headers"), ""},
    [ANSWER_BAD_VERSION] = {505, FAILED("only HTTP/1.1 and 1.0 are spoken"), ""},
    [ANSWER_LONG_TARGET] = {414, FAILED("the request line is too long"), ""},
    [ANSWER_LONG_HEADERS] = {431, FAILED("the request headers are too large"), ""},
    [ANSWER_NOT_FOUND] = {404, FAILED("nothing is served here"), ""},
    [ANSWER_NOT_POST] = {405, FAILED("only POST and OPTIONS are allowed"),
			 "Allow: POST, OPTIONS\r\n"},
    [ANSWER_NOT_GET] = {405, FAILED("only GET and HEAD are allowed"), "Allow: GET, HEAD\r\n"},
    [ANSWER_NO_LENGTH] = {411, FAILED("Content-Length is required"), ""},
    [ANSWER_TOO_LARGE] = {413, FAILED("the body is larger than 2048 bytes"), ""},
    [ANSWER_LIMITED] = {429, FAILED("too many events from this address"), ""},
    [ANSWER_BUSY] = {503, FAILED("not now"), "Retry-After: " RETRY_BUSY "\r\n"},
    [ANSWER_PREFLIGHT] = {204, "", ""},
};

/* Seconds that a 429 may say: a client's wait is rounded up to the next of these. */
static const unsigned retry_steps[] = {1,  2,  3,  4,  5,   6,   7,   8,    9,    10,   15,
				       20, 30, 45, 60, 120, 300, 600, 1200, 1800, 2700, 3600};
#define RETRY_STEPS (sizeof(retry_steps) / sizeof(*retry_steps))

struct group {
	char *origin; /* NULL: the group of requests that get no CORS headers; "*" */
	struct http_answer fixed[ANSWER_N][2];
	struct http_answer limited[RETRY_STEPS][2];
};

struct answers {
	struct http_answer written; /* the one with a sentence */
	char bytes[HTTP_ANSWER_MAX];
	size_t n;
	struct group group[]; /* [0] is the one without an origin */
};

/* False when they are too long: nothing that conf_check lets through is. */
static bool
write_headers(char *to, size_t cap, const char *origin, enum answer what, const char *more)
{
	bool preflight = what == ANSWER_PREFLIGHT;
	int n = snprintf(to, cap, "Cache-Control: no-store\r\n%s%s%s%s%s%s%s",
			 preflight ? "" : "Content-Type: application/json\r\n", table[what].headers,
			 more, origin ? "Access-Control-Allow-Origin: " : "", origin ? origin : "",
			 origin ? "\r\nVary: Origin\r\n" : "",
			 origin && preflight ? "Access-Control-Allow-Methods: POST\r\n"
					       "Access-Control-Allow-Headers: Content-Type\r\n"
					       "Access-Control-Max-Age: 86400\r\n"
					     : "");

	return n >= 0 && (size_t)n < cap;
}

static bool
make(struct http_answer *a, const char *origin, enum answer what, bool closes, const char *more)
{
	char headers[HTTP_HEAD_MAX];
	const char *body = table[what].body;

	return write_headers(headers, sizeof(headers), origin, what, more) &&
	       http_answer_make(a, table[what].status, headers, closes, body, strlen(body));
}

static bool
group_fill(struct group *g)
{
	char wait[32];
	unsigned what, closes;
	size_t i;

	for (what = 0; what < ANSWER_N; what++)
		for (closes = 0; closes < 2; closes++)
			if (!make(&g->fixed[what][closes], g->origin, (enum answer)what, closes,
				  ""))
				return false;
	for (i = 0; i < RETRY_STEPS; i++) {
		snprintf(wait, sizeof(wait), "Retry-After: %u\r\n", retry_steps[i]);
		for (closes = 0; closes < 2; closes++)
			if (!make(&g->limited[i][closes], g->origin, ANSWER_LIMITED, closes, wait))
				return false;
	}
	return true;
}

static void
group_empty(struct group *g)
{
	unsigned what, closes;
	size_t i;

	for (closes = 0; closes < 2; closes++) {
		for (what = 0; what < ANSWER_N; what++)
			http_answer_free(&g->fixed[what][closes]);
		for (i = 0; i < RETRY_STEPS; i++)
			http_answer_free(&g->limited[i][closes]);
	}
	free(g->origin);
}

struct answers *
answers_new(const struct conf_list *origins)
{
	struct answers *a = calloc(1, sizeof(*a) + (origins->n + 1) * sizeof(struct group));
	size_t i;

	if (!a)
		return NULL;
	for (i = 0; i <= origins->n; i++) {
		a->n = i + 1;
		if (i > 0) {
			a->group[i].origin = strdup(origins->item[i - 1]);
			if (!a->group[i].origin)
				goto fail;
		}
		if (!group_fill(&a->group[i]))
			goto fail;
	}
	return a;
fail:
	answers_free(a);
	return NULL;
}

void
answers_free(struct answers *a)
{
	size_t i;

	if (!a)
		return;
	for (i = 0; i < a->n; i++)
		group_empty(&a->group[i]);
	free(a);
}

/* Browsers write an origin in one way only (RFC 6454, section 6.2), so bytes are compared. */
static struct group *
find_group(struct answers *a, struct text origin)
{
	size_t i;

	if (origin.len > 0)
		for (i = 1; i < a->n; i++)
			if (text_is(origin, a->group[i].origin) ||
			    strcmp(a->group[i].origin, "*") == 0)
				return &a->group[i];
	return &a->group[0];
}

static size_t
retry_step(int64_t retry_ms)
{
	size_t i;

	for (i = 0; i + 1 < RETRY_STEPS; i++)
		if (retry_ms <= (int64_t)retry_steps[i] * 1000)
			break;
	return i;
}

/* NULL when it does not fit, which no sentence of ours does. */
static struct http_answer *
write_sentence(struct answers *a, const struct group *g, bool closes, const char *sentence)
{
	char headers[HTTP_HEAD_MAX], body[SENTENCE_MAX];
	int n = snprintf(body, sizeof(body), FAILED("%s"), sentence);

	if (n < 0 || (size_t)n >= sizeof(body) ||
	    !write_headers(headers, sizeof(headers), g->origin, ANSWER_INVALID, "") ||
	    !http_answer_write(&a->written, a->bytes, sizeof(a->bytes),
			       table[ANSWER_INVALID].status, headers, closes, body, (size_t)n))
		return NULL;
	return &a->written;
}

struct http_answer *
answers_find(struct answers *a, enum answer what, const struct answer_how *how)
{
	struct group *g = find_group(a, how->origin);
	struct http_answer *written = NULL;

	if (what == ANSWER_LIMITED)
		return &g->limited[retry_step(how->retry_ms)][how->close];
	if (what == ANSWER_INVALID && how->sentence)
		written = write_sentence(a, g, how->close, how->sentence);
	return written ? written : &g->fixed[what][how->close];
}
