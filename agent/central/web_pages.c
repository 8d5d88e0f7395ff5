/* The operator's pages and /metrics. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "central/web_internal.h"

/* -- pages -- */

static const struct embedded *
find_page(const struct embedded *pages, const char *name)
{
	for (; pages->name; pages++)
		if (strcmp(pages->name, name) == 0)
			return pages;
	return NULL;
}

/* Whether a list such as "br;q=1, gzip" allows gzip: named, and not with a weight of 0. */
static bool
takes_gzip(const struct http_request *r)
{
	const char *list = http_header(r, "Accept-Encoding"), *at = list, *q;
	size_t len;

	for (; at && *at; at += len + (at[len] == ',')) {
		at += strspn(at, " \t");
		len = strcspn(at, ",");
		if (strncasecmp(at, "gzip", 4) != 0 || (at[4] && !strchr(" \t;,", at[4])))
			continue;
		q = memmem(at, len, "q=", 2);
		return !q || strtod(q + 2, NULL) > 0;
	}
	return false;
}

/* Weak comparison (RFC 9110, 13.1.2): the tag stands in the list, with or without W/. */
static bool
is_known(const struct http_request *r, const char *etag)
{
	const char *list = http_header(r, "If-None-Match");

	return list && (strcmp(list, "*") == 0 || strstr(list, etag));
}

void
web_serve_page(void *ctx, struct http_request *r, struct http_answer *a)
{
	struct web *w = ctx;
	const struct embedded *page =
	    find_page(w->parts.pages, r->rest[0] ? r->rest : "index.html");
	bool gzip = page && page->gzip && takes_gzip(r);

	if (!page) {
		http_answer_error(a, 404, "nothing is served here");
		return;
	}
	/* dashboards/web/build.mjs: a name other than this one carries its content's hash. The page
	 * itself is kept, but asked about: W/, as gzip differs */
	http_add_header(a, "Cache-Control",
			strcmp(page->name, "index.html") == 0
			    ? "no-cache"
			    : "public, max-age=31536000, immutable");
	http_add_header(a, "ETag", "W/%s", page->etag);
	http_add_header(a, "Vary", "Accept-Encoding");
	if (is_known(r, page->etag)) {
		a->status = 304;
		return;
	}
	a->status = 200;
	a->content_type = page->content_type;
	a->lent = gzip ? page->gzip : page->bytes;
	a->len = gzip ? page->gzip_len : page->len;
	if (gzip)
		http_add_header(a, "Content-Encoding", "gzip");
}

/* -- /metrics -- */

static void
print_metric(FILE *f, const char *name, const char *type, const char *sentence)
{
	fprintf(f, "# HELP footfall_central_%s %s\n# TYPE footfall_central_%s %s\n", name, sentence,
		name, type);
}

static void
print_one(FILE *f, const char *name, const char *type, const char *sentence, uint64_t value)
{
	print_metric(f, name, type, sentence);
	fprintf(f, "footfall_central_%s %llu\n", name, (unsigned long long)value);
}

static void
print_store(FILE *f, struct store *store)
{
	struct store_stats s;

	store_stats(store, &s);
	print_one(f, "stored_batches", "gauge", "Batches in the store", s.batches);
	print_one(f, "stored_events", "gauge", "Events in the store", s.events);
	print_one(f, "stored_bytes", "gauge", "Bytes of batches in the store", s.bytes);
	print_metric(f, "batches_total", "counter", "Batches offered since start, by result");
	fprintf(f, "footfall_central_batches_total{result=\"stored\"} %llu\n",
		(unsigned long long)s.applied);
	fprintf(f, "footfall_central_batches_total{result=\"already\"} %llu\n",
		(unsigned long long)s.already);
	fprintf(f, "footfall_central_batches_total{result=\"conflict\"} %llu\n",
		(unsigned long long)s.conflicts);
	fprintf(f, "footfall_central_batches_total{result=\"broken\"} %llu\n",
		(unsigned long long)s.broken);
	fprintf(f, "footfall_central_batches_total{result=\"unavailable\"} %llu\n",
		(unsigned long long)s.unavailable);
}

static void
print_seconds(FILE *f, const char *name, const char *node, int64_t t_ms)
{
	fprintf(f, "footfall_central_%s{node=\"%s\"} %lld.%03lld\n", name, node,
		(long long)(t_ms / 1000), (long long)(t_ms % 1000));
}

static void
print_nodes(FILE *f, struct query *q)
{
	struct query_node *nodes = NULL;
	int n = query_nodes(q, wall_now().ms, &nodes), i;

	print_metric(f, "node_last_seen_seconds", "gauge",
		     "When the latest batch arrived; 0: never");
	for (i = 0; i < n; i++)
		print_seconds(f, "node_last_seen_seconds", nodes[i].name, nodes[i].last_ms);
	print_metric(f, "node_complete_to_seconds", "gauge",
		     "Everything that the node took before this is stored");
	for (i = 0; i < n; i++)
		print_seconds(f, "node_complete_to_seconds", nodes[i].name,
			      nodes[i].complete_to_ms);
	print_metric(f, "node_events", "gauge", "Events of the node in the store");
	for (i = 0; i < n; i++)
		fprintf(f, "footfall_central_node_events{node=\"%s\"} %llu\n", nodes[i].name,
			(unsigned long long)nodes[i].events);
	print_metric(f, "node_lost_events", "gauge",
		     "Events known lost, and datagrams that the node's kernel dropped");
	for (i = 0; i < n; i++)
		fprintf(f, "footfall_central_node_lost_events{node=\"%s\"} %llu\n", nodes[i].name,
			(unsigned long long)nodes[i].lost);
	print_metric(f, "node_lost_batches", "gauge",
		     "Batches that the node let go of and the store has not: after a restore");
	for (i = 0; i < n; i++)
		fprintf(f, "footfall_central_node_lost_batches{node=\"%s\"} %llu\n", nodes[i].name,
			(unsigned long long)nodes[i].lost_batches);
	free(nodes);
}

static void
print_requests(FILE *f, const struct http_server *http)
{
	unsigned c, status;
	uint64_t n;

	print_metric(f, "http_requests_total", "counter", "Answers since start");
	for (c = 0; c < HTTP_CLASS_N; c++)
		for (status = 100; status < 600; status++) {
			n = http_count(http, (enum http_class)c, status);
			if (n)
				fprintf(f,
					"footfall_central_http_requests_total{class=\"%s\",status="
					"\"%u\"} %llu\n",
					http_class_name((enum http_class)c), status,
					(unsigned long long)n);
		}
}

void
web_serve_metrics(void *ctx, struct http_request *r, struct http_answer *a)
{
	struct web *w = ctx;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)r;
	if (!f) {
		http_answer_error(a, 503, "out of memory");
		return;
	}
	print_one(f, "start_time_seconds", "gauge", "When this process started",
		  (uint64_t)(w->started_ms / 1000));
	print_one(f, "ready", "gauge", "1 while batches are taken",
		  atomic_load(&w->ready) && !store_is_broken(w->parts.store));
	print_one(f, "sessions", "gauge", "Open logins", auth_sessions(w->parts.auth, mono_now()));
	print_store(f, w->parts.store);
	print_nodes(f, w->parts.query);
	print_requests(f, w->http);
	if (fclose(f)) {
		free(text);
		http_answer_error(a, 503, "out of memory");
		return;
	}
	a->status = 200;
	a->content_type = "text/plain; version=0.0.4; charset=utf-8";
	a->owned = text;
	a->len = len;
}
