#include "node/ingest_http_private.h"

#include <stdlib.h>

#include "stats/stats.h"

/* A refused body up to this size is read and thrown away, so that the client gets the answer and
 * not a reset connection; a larger one is cut off. */
#define DISCARD_MAX 65536

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

/* Answers that were queued keep their response alive by themselves. */
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
find_route(const struct http_worker *w, struct text path, const struct static_file **ret_file)
{
	if (is_track_path(&w->http->c->http_track_paths, path))
		return ROUTE_TRACK;
	*ret_file = statics_find(w->statics, path);
	return *ret_file ? ROUTE_FILE : ROUTE_NONE;
}

/* -- answers -- */

static void
decide(struct http_conn *k, enum answer answer)
{
	k->answer = answer;
	k->stage = STAGE_DECIDED;
}

static enum MHD_Result
queue(struct http_worker *w, struct http_conn *k, struct MHD_Connection *connection)
{
	struct answer_how how = {
	    .origin = k->origin,
	    .close = k->close || atomic_load_explicit(&w->http->draining, memory_order_relaxed),
	    .retry_ms = k->retry_ms,
	    .sentence = k->sentence[0] ? k->sentence : NULL};

	k->stage = STAGE_ANSWERED;
	k->last = k->last || how.close;
	if (k->file)
		return static_queue(k->file, connection, k->accept_encoding, k->if_none_match,
				    how.close);
	return answers_queue(w->rules->answers, connection, k->answer, &how);
}

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

/* -- the beacon -- */

static void
refuse(struct http_worker *w, struct http_conn *k, enum reason r, enum answer answer)
{
	admit_refuse(w->admit, k->q.now, SOURCE_BEACON, r);
	k->close = true;
	decide(k, answer);
}

static void
judge(struct http_worker *w, struct http_conn *k, const char *body, size_t len)
{
	struct event e;
	enum reason r = beacon_decode(body, len, &w->scratch, &e);

	k->q.now = wall_now(); /* the body may have come long after the headers */
	if (r == REASON_ACCEPTED_FIRST) {
		r = admit_event(w->admit, &k->q, &e, k->sentence);
	} else {
		memcpy(k->sentence, w->scratch.error, sizeof(k->sentence));
		admit_refuse(w->admit, k->q.now, SOURCE_BEACON, r);
	}
	decide(k, answer_of(r));
}

static void
find_client(struct http_worker *w, struct http_conn *k, const struct header_set *h)
{
	const struct http_rules *rules = w->rules;
	bool malformed = false;

	k->q = (struct admit_request){
	    .now = wall_now(),
	    .ua = h->user_agent,
	    .accept_language = h->accept_language,
	    .accept = h->accept,
	    .sec_purpose = h->sec_purpose,
	    .sec_fetch = h->sec_fetch,
	    .opted_out = rules->respect_privacy && h->opted_out,
	};
	client_addr_find(rules->proxies, k->peer, h->x_forwarded_for, h->forwarded, &k->q.addr,
			 &malformed);
	if (malformed)
		stat_add(STAT_ADMIT_BAD_FORWARDED, 1);
	if (h->country.len == 2 && client_is_trusted(rules->proxies, k->peer) &&
	    is_letter(h->country.at[0]) && is_letter(h->country.at[1])) {
		k->q.country[0] = (char)(h->country.at[0] & ~0x20);
		k->q.country[1] = (char)(h->country.at[1] & ~0x20);
	}
}

static void
begin_beacon(struct http_worker *w, struct http_conn *k, const struct header_set *h)
{
	enum reason r;

	find_client(w, k, h);
	if (!admit_rate(w->admit, &k->q, &r, &k->retry_ms))
		decide(k, ANSWER_LIMITED);
	else if (!h->guard.has_length)
		refuse(w, k, REASON_INVALID_NO_LENGTH, ANSWER_NO_LENGTH);
	else if (h->guard.length > BEACON_BODY_MAX)
		refuse(w, k, REASON_INVALID_TOO_LARGE, ANSWER_TOO_LARGE);
	else
		k->stage = STAGE_BODY;
}

/* -- the request -- */

static void
begin_track(struct http_worker *w, struct http_conn *k, const char *method,
	    const struct header_set *h)
{
	if (strcmp(method, MHD_HTTP_METHOD_POST) == 0) {
		begin_beacon(w, k, h);
	} else if (strcmp(method, MHD_HTTP_METHOD_OPTIONS) == 0) {
		decide(k, ANSWER_PREFLIGHT);
	} else {
		stat_add(STAT_HTTP_METHOD, 1);
		decide(k, ANSWER_NOT_POST);
	}
}

static void
begin_file(struct http_conn *k, const char *method, const struct static_file *file)
{
	bool get =
	    strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;

	k->file = get ? file : NULL;
	decide(k, ANSWER_NOT_GET);
}

static enum MHD_Result
see_header(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value,
	   size_t value_len)
{
	(void)kind;
	return header_see(ctx, (struct text){name, name_len}, (struct text){value, value_len})
		   ? MHD_YES
		   : MHD_NO;
}

/* Headers into *h, with h->guard.fault when they, or the request line, are refused. */
static void
read_head(struct http_worker *w, struct http_conn *k, struct MHD_Connection *connection,
	  const char *method, const char *version, struct header_set *h)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	size_t len = info ? info->header_size : 0;

	k->bytes += len;
	header_set_init(h, w->join, w->http->country_header);
	if (!http_guard_begin(&h->guard, method, k->target, version))
		return;
	MHD_get_connection_values_n(connection, MHD_HEADER_KIND, see_header, h);
	http_guard_done(&h->guard, strcmp(version, MHD_HTTP_VERSION_1_0) == 0,
			w->http->hidden_lines ? len : 0);
	k->bytes += h->guard.length;
}

static void
begin_route(struct http_worker *w, struct http_conn *k, const char *url, const char *method,
	    const struct header_set *h)
{
	const struct static_file *file = NULL;
	enum route route = find_route(w, text_of(url), &file);

	if (h->guard.fault) {
		stat_add(STAT_HTTP_GUARD, 1);
		if (route == ROUTE_TRACK && strcmp(method, MHD_HTTP_METHOD_POST) == 0)
			admit_refuse(w->admit, wall_now(), SOURCE_BEACON, REASON_INVALID_HEADERS);
		k->close = true;
		decide(k, ANSWER_BAD_HEADERS);
	} else if (route == ROUTE_TRACK) {
		begin_track(w, k, method, h);
	} else if (route == ROUTE_FILE) {
		begin_file(k, method, file);
	} else {
		stat_add(STAT_HTTP_NOT_FOUND, 1);
		decide(k, ANSWER_NOT_FOUND);
	}
}

/* Headers are whole. An answer that is known by now waits until the body was read, since
 * libmicrohttpd closes a connection whose body it did not read; only what must not be read at all
 * is answered at once. */
static enum MHD_Result
begin(struct http_worker *w, struct http_conn *k, struct MHD_Connection *connection,
      const char *url, const char *method, const char *version)
{
	struct header_set h;

	stat_add(STAT_HTTP_REQUESTS, 1);
	take_new_rules(w);
	read_head(w, k, connection, method, version, &h);
	k->origin = h.origin;
	k->accept_encoding = h.accept_encoding;
	k->if_none_match = h.if_none_match;
	k->length = h.guard.length;
	k->have = 0;
	k->file = NULL;
	k->close = false;
	k->last = h.closes || strcmp(version, MHD_HTTP_VERSION_1_1) != 0;
	k->retry_ms = 0;
	k->sentence[0] = '\0';
	begin_route(w, k, url, method, &h);
	if (k->stage == STAGE_BODY)
		return MHD_YES;
	if (h.guard.fault || h.guard.chunked || h.guard.length > DISCARD_MAX ||
	    (h.expects && h.guard.length > 0)) {
		k->close = true;
		return queue(w, k, connection);
	}
	return MHD_YES;
}

static enum MHD_Result
take_body(struct http_worker *w, struct http_conn *k, const char *bytes, size_t n)
{
	if (k->stage != STAGE_BODY)
		return MHD_YES;
	if (k->have == 0 && n == k->length) {
		judge(w, k, bytes, n);
		return MHD_YES;
	}
	if (!http_conn_keep(w, k, bytes, n))
		return MHD_NO;
	if (k->have == k->length)
		judge(w, k, k->body->bytes, k->have);
	return MHD_YES;
}

enum MHD_Result
http_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
	     const char *version, const char *upload_data, size_t *upload_data_size, void **req_cls)
{
	struct http_worker *w = cls;
	struct http_conn *k = *req_cls;
	enum MHD_Result done;

	if (!k) {
		k = http_conn_of(connection);
		if (!k)
			return MHD_NO;
		*req_cls = k;
		return begin(w, k, connection, url, method, version);
	}
	if (*upload_data_size > 0) {
		done = take_body(w, k, upload_data, *upload_data_size);
		*upload_data_size = 0;
		return done;
	}
	if (k->stage == STAGE_BODY)
		judge(w, k, "", 0);
	return queue(w, k, connection);
}
