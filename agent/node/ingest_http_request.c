#include "node/ingest_http_private.h"

#include <stdlib.h>

#include "stats/stats.h"

enum route { ROUTE_NONE, ROUTE_TRACK, ROUTE_FILE };

/* -- rules -- */

void
http_rules_free(struct http_rules *r)
{
	if (!r)
		return;
	client_proxies_free(r->proxies);
	answers_free(r->answers);
	free(r);
}

/* Of answers that are on their way, what is left was copied. */
static void
take_new_rules(struct http_worker *w)
{
	struct http_rules *next;

	if (!atomic_load_explicit(&w->next_rules, memory_order_relaxed))
		return;
	next = atomic_exchange(&w->next_rules, NULL);
	if (!next)
		return;
	http_rules_free(w->rules);
	w->rules = next;
}

/* -- routes -- */

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Pages in several languages post to their own prefix: /en/api/track-view/ */
static struct text
without_language(struct text path)
{
	if (path.len > 3 && path.at[0] == '/' && is_letter(path.at[1]) && is_letter(path.at[2]) &&
	    path.at[3] == '/')
		return (struct text){path.at + 3, path.len - 3};
	return path;
}

static bool
is_track_path(const struct conf_list *paths, struct text path)
{
	struct text tail = without_language(path);
	size_t i;

	for (i = 0; i < paths->n; i++)
		if (text_is(path, paths->item[i]) || text_is(tail, paths->item[i]))
			return true;
	return false;
}

static enum route
find_plain(const struct http_worker *w, struct text path, struct static_file **ret_file)
{
	if (is_track_path(&w->http->c->http_track_paths, path))
		return ROUTE_TRACK;
	*ret_file = statics_find(w->statics, path);
	return *ret_file ? ROUTE_FILE : ROUTE_NONE;
}

static enum route
find_decoded(const struct http_worker *w, struct text path, struct static_file **ret_file)
{
	char decoded[HTTP_PATH_MAX];

	if (!http_path_decode(path, decoded, sizeof(decoded), &path.len))
		return ROUTE_NONE;
	path.at = decoded;
	return find_plain(w, path, ret_file);
}

static enum route
find_route(const struct http_worker *w, struct text path, struct static_file **ret_file)
{
	if (!path.at)
		return ROUTE_NONE;
	return memchr(path.at, '%', path.len) ? find_decoded(w, path, ret_file)
					      : find_plain(w, path, ret_file);
}

/* -- answers -- */

struct reply {
	enum answer answer;
	struct static_file *file; /* answered with this instead */
	bool close;               /* what follows cannot be read, or is not worth it */
	int64_t retry_ms;
	const char *sentence; /* empty or NULL: none */
};

static enum answer
answer_of(enum reason r)
{
	switch (reason_verdict(r)) {
	case VERDICT_ACCEPTED:
		return ANSWER_TRACKED;
	case VERDICT_DUPLICATE:
	case VERDICT_BOT:
		return ANSWER_UNTRACKED;
	case VERDICT_LIMITED:
		return ANSWER_LIMITED;
	case VERDICT_SHED:
		return ANSWER_BUSY;
	case VERDICT_INVALID:
	case VERDICT_N:
		break;
	}
	return ANSWER_INVALID;
}

static bool
is_draining(const struct ingest_http *h)
{
	return atomic_load_explicit(&h->phase, memory_order_relaxed) != PHASE_SERVES;
}

static void
send_reply(struct http_worker *w, struct http_conn *k, const struct http_request *r,
	   const struct reply *p)
{
	struct answer_how how = {
	    .origin = r->set.origin,
	    .close = p->close || r->set.closes || r->http_1_0 || is_draining(w->http),
	    .retry_ms = p->retry_ms,
	    .sentence = p->sentence && p->sentence[0] ? p->sentence : NULL,
	};
	struct http_answer *a = p->file ? static_answer(p->file, r->set.accept_encoding,
							r->set.if_none_match, how.close)
					: answers_find(w->rules->answers, p->answer, &how);

	http_conn_send(w, k, a, text_is(r->method, "HEAD") ? a->head_len : a->len);
}

/* Nothing that follows can be trusted to be a request. */
static void
send_last(struct http_worker *w, struct http_conn *k, enum answer answer)
{
	struct reply p = {.answer = answer, .close = true};

	k->skip = HTTP_DISCARD_MAX;
	send_reply(w, k, &w->next->request, &p);
}

/* -- the beacon -- */

void
http_request_answer(struct http_worker *w, struct http_turn *t, enum reason verdict)
{
	struct reply p = {.answer = answer_of(verdict), .sentence = t->scratch.error};

	send_reply(w, t->conn, &t->request, &p);
}

/* is_last: nothing came behind it. */
static void
judge(struct http_worker *w, struct http_conn *k, struct admit_request *q, struct text body,
      bool is_last, struct reply *p)
{
	struct http_turn *t = w->next;
	struct admission *a = &w->admission[w->n_waiting];
	enum reason r = beacon_decode(body.at, body.len, &t->scratch, &t->event);

	p->sentence = t->scratch.error;
	if (r != REASON_ACCEPTED_FIRST) {
		admit_refuse(w->admit, q->now, SOURCE_BEACON, r);
		p->answer = answer_of(r);
		return;
	}
	admit_prepare(w->admit, q, &t->event, t->scratch.error, a);
	/* its bytes stay where they are until it is decided; who waits for the disk must not let
	 * others grow old meanwhile */
	if (is_last && !k->buffer && !w->waits) {
		t->conn = k;
		k->state = HTTP_WAITS;
		return;
	}
	admit_decide(w->admit, a, 1);
	p->answer = answer_of(a->verdict);
}

static void
find_client(struct http_worker *w, const struct http_conn *k, struct admit_request *q)
{
	const struct http_rules *rules = w->rules;
	const struct header_set *h = &w->next->request.set;
	bool malformed = false;

	if (w->waits) /* the ones before this one may have waited for long */
		http_worker_read_clocks(w);
	*q = (struct admit_request){
	    .now = w->wall,
	    .mono = w->mono,
	    .ua = h->user_agent,
	    .accept_language = h->accept_language,
	    .accept = h->accept,
	    .sec_purpose = h->sec_purpose,
	    .sec_fetch = h->sec_fetch,
	    .opted_out = rules->respect_privacy && h->opted_out,
	};
	client_addr_find(rules->proxies, &k->peer.sa, h->x_forwarded_for, h->forwarded, &q->addr,
			 &malformed);
	if (malformed && !k->begun)
		stat_add(STAT_ADMIT_BAD_FORWARDED, 1);
	if (h->country.len == 2 && client_is_trusted(rules->proxies, &k->peer.sa) &&
	    is_letter(h->country.at[0]) && is_letter(h->country.at[1])) {
		q->country[0] = (char)(h->country.at[0] & ~0x20);
		q->country[1] = (char)(h->country.at[1] & ~0x20);
	}
}

static void
refuse(struct http_worker *w, const struct admit_request *q, enum reason why, enum answer answer,
       struct reply *p)
{
	admit_refuse(w->admit, q->now, SOURCE_BEACON, why);
	p->close = true;
	p->answer = answer;
}

/* False while its body is awaited. have: bytes of that. */
static bool
serve_beacon(struct http_worker *w, struct http_conn *k, const char *body, size_t have,
	     struct reply *p)
{
	const struct http_request *r = &w->next->request;
	const struct http_guard *g = &r->set.guard;
	struct admit_request q;
	enum reason why;

	find_client(w, k, &q);
	if (!k->begun && !admit_rate(w->admit, &q, &why, &p->retry_ms)) {
		p->answer = ANSWER_LIMITED;
	} else if (!g->has_length) {
		refuse(w, &q, REASON_INVALID_NO_LENGTH, ANSWER_NO_LENGTH, p);
	} else if (g->length > BEACON_BODY_MAX) {
		refuse(w, &q, REASON_INVALID_TOO_LARGE, ANSWER_TOO_LARGE, p);
	} else if (g->length > w->room - r->head_len) {
		refuse(w, &q, REASON_INVALID_TOO_LARGE, ANSWER_LONG_HEADERS, p);
	} else if (have >= g->length) {
		judge(w, k, &q, (struct text){body, g->length}, have == g->length, p);
	} else {
		if (!k->begun && r->set.expects && !r->http_1_0)
			http_conn_send_interim(k, TEXT_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
		k->begun = true;
		return false;
	}
	return true;
}

void
http_request_cut(struct http_worker *w)
{
	admit_refuse(w->admit, w->wall, SOURCE_BEACON, REASON_INVALID_INCOMPLETE);
}

/* -- the request -- */

static bool
serve_track(struct http_worker *w, struct http_conn *k, const char *body, size_t have,
	    struct reply *p)
{
	if (text_is(w->next->request.method, "POST"))
		return serve_beacon(w, k, body, have, p);
	p->answer =
	    text_is(w->next->request.method, "OPTIONS") ? ANSWER_PREFLIGHT : ANSWER_NOT_POST;
	if (p->answer == ANSWER_NOT_POST)
		stat_add(STAT_HTTP_METHOD, 1);
	return true;
}

static void
serve_file(const struct http_request *r, struct static_file *file, struct reply *p)
{
	p->answer = ANSWER_NOT_GET;
	if (text_is(r->method, "GET") || text_is(r->method, "HEAD"))
		p->file = file;
}

/* The head is whole, and `have` bytes have come behind it. */
static size_t
serve_whole(struct http_worker *w, struct http_conn *k, const char *body, size_t have)
{
	const struct http_request *r = &w->next->request;
	const struct http_guard *g = &r->set.guard;
	struct static_file *file = NULL;
	enum route route = find_route(w, r->path, &file);
	struct reply p = {.answer = ANSWER_NOT_FOUND};
	uint64_t left;

	if (!k->begun)
		stat_add(STAT_HTTP_REQUESTS, 1);
	if (route == ROUTE_NONE)
		stat_add(STAT_HTTP_NOT_FOUND, 1);
	else if (route == ROUTE_FILE)
		serve_file(r, file, &p);
	else if (!serve_track(w, k, body, have, &p))
		return 0;
	k->begun = false;
	if (k->state == HTTP_WAITS)
		return r->head_len + have;
	left = g->length > have ? g->length - have : 0;
	/* who waits for "100 Continue" may send the body, or not */
	p.close =
	    p.close || g->chunked || g->length > HTTP_DISCARD_MAX || (left > 0 && r->set.expects);
	k->skip = g->chunked ? HTTP_DISCARD_MAX : left;
	send_reply(w, k, r, &p);
	return r->head_len + (size_t)(g->length - left);
}

static void
refuse_head(struct http_worker *w, struct http_conn *k)
{
	const struct http_request *r = &w->next->request;
	struct static_file *file;

	stat_add(STAT_HTTP_REQUESTS, 1);
	stat_add(STAT_HTTP_GUARD, 1);
	if (find_route(w, r->path, &file) == ROUTE_TRACK && text_is(r->method, "POST"))
		admit_refuse(w->admit, w->wall, SOURCE_BEACON, REASON_INVALID_HEADERS);
	send_last(w, k, ANSWER_BAD_HEADERS);
}

static void
refuse_unread(struct http_worker *w, struct http_conn *k, enum answer answer)
{
	stat_add(STAT_HTTP_REFUSED, 1);
	send_last(w, k, answer);
}

size_t
http_request_serve(struct http_worker *w, struct http_conn *k, const char *at, size_t len)
{
	struct http_request *r = &w->next->request;
	enum http_read got = http_request_read(r, at, len, w->next->join, w->http->country_header);

	take_new_rules(w);
	switch (got) {
	case HTTP_WHOLE:
		return serve_whole(w, k, at + r->head_len, len - r->head_len);
	case HTTP_MORE:
		if (len < w->room)
			return 0;
		refuse_unread(w, k, r->path.at ? ANSWER_LONG_HEADERS : ANSWER_LONG_TARGET);
		break;
	case HTTP_MALFORMED:
		refuse_unread(w, k, ANSWER_BAD_HEADERS);
		break;
	case HTTP_VERSION:
		refuse_unread(w, k, ANSWER_BAD_VERSION);
		break;
	case HTTP_REFUSED:
		refuse_head(w, k);
		break;
	}
	return len;
}
