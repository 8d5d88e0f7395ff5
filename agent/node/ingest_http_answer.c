#include "node/ingest_http_answer.h"

#include <stdio.h>
#include <stdlib.h>

#define RETRY_BUSY "30" /* a spool or journal that is full does not empty within seconds */
#define FAILED(sentence) "{\"success\":false,\"error\":\"" sentence "\"}"

static const struct {
	unsigned status;
	const char *body;
	const char *header, *value; /* one of its own, or NULL */
} table[ANSWER_N] = {
    [ANSWER_TRACKED] = {MHD_HTTP_OK, "{\"success\":true,\"tracked\":true}", NULL, NULL},
    [ANSWER_UNTRACKED] = {MHD_HTTP_OK, "{\"success\":true,\"tracked\":false}", NULL, NULL},
    [ANSWER_INVALID] = {MHD_HTTP_BAD_REQUEST, FAILED("invalid event"), NULL, NULL},
    [ANSWER_BAD_HEADERS] = {MHD_HTTP_BAD_REQUEST, FAILED("malformed request headers"), NULL, NULL},
    [ANSWER_NOT_FOUND] = {MHD_HTTP_NOT_FOUND, FAILED("nothing is served here"), NULL, NULL},
    [ANSWER_NOT_POST] = {MHD_HTTP_METHOD_NOT_ALLOWED, FAILED("only POST and OPTIONS are allowed"),
			 "Allow", "POST, OPTIONS"},
    [ANSWER_NOT_GET] = {MHD_HTTP_METHOD_NOT_ALLOWED, FAILED("only GET and HEAD are allowed"),
			"Allow", "GET, HEAD"},
    [ANSWER_NO_LENGTH] = {MHD_HTTP_LENGTH_REQUIRED, FAILED("Content-Length is required"), NULL,
			  NULL},
    [ANSWER_TOO_LARGE] = {MHD_HTTP_CONTENT_TOO_LARGE, FAILED("the body is larger than 2048 bytes"),
			  NULL, NULL},
    [ANSWER_LIMITED] = {MHD_HTTP_TOO_MANY_REQUESTS, FAILED("too many events from this address"),
			NULL, NULL},
    [ANSWER_BUSY] = {MHD_HTTP_SERVICE_UNAVAILABLE, FAILED("not now"), "Retry-After", RETRY_BUSY},
    [ANSWER_PREFLIGHT] = {MHD_HTTP_NO_CONTENT, "", NULL, NULL},
};

/* Seconds that a 429 may say: a client's wait is rounded up to the next of these. */
static const unsigned retry_steps[] = {1,  2,  3,  4,  5,   6,   7,   8,    9,    10,   15,
				       20, 30, 45, 60, 120, 300, 600, 1200, 1800, 2700, 3600};
#define RETRY_STEPS (sizeof(retry_steps) / sizeof(*retry_steps))

struct group {
	char *origin; /* NULL: the group of requests that get no CORS headers; "*" */
	struct MHD_Response *fixed[ANSWER_N][2];
	struct MHD_Response *limited[RETRY_STEPS][2];
};

struct answers {
	size_t n;
	struct group group[]; /* [0] is the one without an origin */
};

static bool
set_headers(struct MHD_Response *r, const char *origin, enum answer what, bool closes)
{
	bool ok = MHD_add_response_header(r, "Cache-Control", "no-store") == MHD_YES;

	if (what != ANSWER_PREFLIGHT)
		ok =
		    ok && MHD_add_response_header(r, "Content-Type", "application/json") == MHD_YES;
	if (table[what].header)
		ok = ok &&
		     MHD_add_response_header(r, table[what].header, table[what].value) == MHD_YES;
	if (closes)
		ok = ok && MHD_add_response_header(r, "Connection", "close") == MHD_YES;
	if (!origin)
		return ok;
	ok = ok && MHD_add_response_header(r, "Access-Control-Allow-Origin", origin) == MHD_YES &&
	     MHD_add_response_header(r, "Vary", "Origin") == MHD_YES;
	if (what == ANSWER_PREFLIGHT)
		ok =
		    ok &&
		    MHD_add_response_header(r, "Access-Control-Allow-Methods", "POST") == MHD_YES &&
		    MHD_add_response_header(r, "Access-Control-Allow-Headers", "Content-Type") ==
			MHD_YES &&
		    MHD_add_response_header(r, "Access-Control-Max-Age", "86400") == MHD_YES;
	return ok;
}

/* With a sentence: a body of its own, copied. */
static struct MHD_Response *
make(const char *origin, enum answer what, bool closes, const char *sentence)
{
	struct MHD_Response *r;
	char body[256];
	union {
		const char *in;
		void *out; /* MHD lends a static body and does not write it */
	} fixed = {table[what].body};
	int n;

	if (sentence) {
		n = snprintf(body, sizeof(body), FAILED("%s"), sentence);
		r = MHD_create_response_from_buffer((size_t)n, body, MHD_RESPMEM_MUST_COPY);
	} else {
		r = MHD_create_response_from_buffer(strlen(fixed.in), fixed.out,
						    MHD_RESPMEM_PERSISTENT);
	}
	if (r && !set_headers(r, origin, what, closes)) {
		MHD_destroy_response(r);
		return NULL;
	}
	return r;
}

static bool
group_fill(struct group *g)
{
	char seconds[16];
	unsigned what, closes;
	size_t i;

	for (what = 0; what < ANSWER_N; what++)
		for (closes = 0; closes < 2; closes++) {
			g->fixed[what][closes] = make(g->origin, (enum answer)what, closes, NULL);
			if (!g->fixed[what][closes])
				return false;
		}
	for (i = 0; i < RETRY_STEPS; i++)
		for (closes = 0; closes < 2; closes++) {
			snprintf(seconds, sizeof(seconds), "%u", retry_steps[i]);
			g->limited[i][closes] = make(g->origin, ANSWER_LIMITED, closes, NULL);
			if (!g->limited[i][closes] ||
			    MHD_add_response_header(g->limited[i][closes], "Retry-After",
						    seconds) != MHD_YES)
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
			if (g->fixed[what][closes])
				MHD_destroy_response(g->fixed[what][closes]);
		for (i = 0; i < RETRY_STEPS; i++)
			if (g->limited[i][closes])
				MHD_destroy_response(g->limited[i][closes]);
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
static const struct group *
find_group(const struct answers *a, struct text origin)
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

enum MHD_Result
answers_queue(struct answers *a, struct MHD_Connection *connection, enum answer what,
	      const struct answer_how *how)
{
	const struct group *g = find_group(a, how->origin);
	struct MHD_Response *r = g->fixed[what][how->close];
	enum MHD_Result done;

	if (what == ANSWER_LIMITED)
		r = g->limited[retry_step(how->retry_ms)][how->close];
	if (what != ANSWER_INVALID || !how->sentence)
		return MHD_queue_response(connection, table[what].status, r);
	r = make(g->origin, what, how->close, how->sentence);
	if (!r)
		return MHD_NO;
	done = MHD_queue_response(connection, table[what].status, r);
	MHD_destroy_response(r);
	return done;
}
