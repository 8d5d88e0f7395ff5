/* Bots: who sent what was refused as theirs. By name where the User-Agent gave one away, from the
 * rows of bots; everything else, "other" included, from the ledger, so that together they are what
 * the ledger says. Names are read first: of a batch that comes in between, they are "other" until
 * asked again, and nothing is counted twice. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "central/query_internal.h"

#define NAMES_MAX 4096 /* nodes have 1,500 to give; what is beyond counts as "other" */

struct bots {
	struct text node;   /* only this one; absent: all */
	unsigned sources;   /* a bit each */
	enum reason reason; /* only this one; REASON_N: all */
	json_t *named;      /* name: events */
	uint64_t named_sum;
	struct ledger ledger;
};

struct bot_row {
	const char *name; /* NULL: none */
	enum reason reason;
	uint64_t events;
};

/* -- reading -- */

static int
take_named(void *ctx, const struct store_bot_row *row)
{
	struct bots *b = ctx;
	char name[BATCH_BOT_NAME_MAX + 1] = "";
	json_t *n;

	if ((b->node.at && !text_is(b->node, row->node)) || !(b->sources & 1u << row->source))
		return 0;
	memcpy(name, row->name.at, row->name.len);
	n = json_object_get(b->named, name);
	if (!n && json_object_size(b->named) == NAMES_MAX)
		return 0;
	b->named_sum += row->count;
	if (n)
		return json_integer_set(n, json_integer_value(n) + (json_int_t)row->count);
	return json_object_set_new_nocheck(b->named, name, query_number(row->count)) ? -ENOMEM : 0;
}

static int
take_ledger(void *ctx, const struct store_ledger_row *row)
{
	struct bots *b = ctx;
	unsigned s, r;

	if (b->node.at && !text_is(b->node, row->node))
		return 0;
	for (s = 0; s < SOURCE_N; s++)
		for (r = 0; r < REASON_N && b->sources & 1u << s; r++)
			b->ledger.count[s][r] += row->ledger.count[s][r];
	return 0;
}

static uint64_t
count_of(const struct bots *b, enum reason r)
{
	uint64_t n = 0;
	unsigned s;

	for (s = 0; s < SOURCE_N; s++)
		n += b->ledger.count[s][r];
	return n;
}

/* -- rows -- */

static int
row_order(const void *a, const void *b)
{
	const struct bot_row *x = a, *y = b;

	if (x->events != y->events)
		return x->events < y->events ? 1 : -1;
	if (x->name && y->name)
		return strcmp(x->name, y->name);
	return x->name || y->name ? (y->name ? 1 : -1) : (int)x->reason - (int)y->reason;
}

static bool
is_wanted(const struct bots *b, enum reason r)
{
	return reason_verdict(r) == VERDICT_BOT && (b->reason == REASON_N || b->reason == r);
}

/* At most as many as there are names and reasons. */
static size_t
fill_rows(const struct bots *b, struct bot_row *row)
{
	uint64_t events;
	const char *name;
	json_t *value;
	size_t n = 0;
	unsigned r;

	if (is_wanted(b, REASON_BOT_USER_AGENT))
		json_object_foreach(b->named, name, value) row[n++] = (struct bot_row){
		    name, REASON_BOT_USER_AGENT, (uint64_t)json_integer_value(value)};
	for (r = 0; r < REASON_N; r++) {
		if (!is_wanted(b, (enum reason)r))
			continue;
		events = count_of(b, (enum reason)r);
		if (r == REASON_BOT_USER_AGENT)
			events -= events < b->named_sum ? events : b->named_sum;
		if (events > 0)
			row[n++] = (struct bot_row){r == REASON_BOT_USER_AGENT ? "other" : NULL,
						    (enum reason)r, events};
	}
	qsort(row, n, sizeof(*row), row_order);
	return n;
}

static json_t *
rows_json(const struct bots *b, size_t limit, size_t *ret_more)
{
	size_t n = json_object_size(b->named) + REASON_N, i;
	struct bot_row *row = calloc(n, sizeof(*row));
	json_t *rows = json_array();

	if (!row) {
		json_decref(rows);
		return NULL;
	}
	n = fill_rows(b, row);
	for (i = 0; i < n && i < limit; i++)
		json_array_append_new(rows, json_pack("{s:s?, s:s, s:o}", "name", row[i].name,
						      "reason", reason_name(row[i].reason),
						      "events", query_number(row[i].events)));
	*ret_more = n - i;
	free(row);
	return rows;
}

static json_t *
reasons_json(const struct bots *b)
{
	json_t *reasons = json_array();
	unsigned r;

	for (r = 0; r < REASON_N; r++)
		if (reason_verdict((enum reason)r) == VERDICT_BOT)
			json_array_append_new(reasons,
					      json_pack("{s:s, s:o}", "reason",
							reason_name((enum reason)r), "events",
							query_number(count_of(b, (enum reason)r))));
	return reasons;
}

/* -- the question -- */

static bool
take_reason(const struct query_args *a, enum reason *ret_reason, struct query_result *r)
{
	const char *value = a->get(a->ctx, "reason");

	*ret_reason = REASON_N;
	if (!value || value[0] == '\0')
		return true;
	*ret_reason = reason_find(text_of(verdict_name(VERDICT_BOT)), text_of(value));
	if (*ret_reason != REASON_N)
		return true;
	return query_refuse(
	    r, 400, "reason: must be user_agent, no_user_agent, headers, prefetch or opted_out");
}

static bool
take_source(const struct query_args *a, unsigned *ret_sources, struct query_result *r)
{
	const char *value = a->get(a->ctx, "source");
	unsigned s;

	*ret_sources = (1u << SOURCE_N) - 1;
	if (!value || value[0] == '\0')
		return true;
	for (s = 0; s < SOURCE_N; s++)
		if (strcmp(value, source_name((enum event_source)s)) == 0) {
			*ret_sources = 1u << s;
			return true;
		}
	return query_refuse(r, 400, "source: must be beacon or datagram");
}

/* Completeness is then asked of this one alone. */
static void
keep_node(struct nodes_state *s, struct text node)
{
	size_t i, n = 0;

	for (i = 0; i < s->n; i++)
		if (!node.at || text_is(node, s->node[i].name))
			s->node[n++] = s->node[i];
	s->n = n;
}

static json_t *
answer_json(const struct query *q, const struct query_range *range, const struct bots *b,
	    const struct nodes_state *nodes, size_t limit)
{
	size_t more = 0;
	json_t *rows = rows_json(b, limit, &more);

	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "from", range->from,
			 "to", range->to, "time_zone", q->conf->central_time_zone, "received",
			 query_number(ledger_received(&b->ledger)), "bots",
			 query_number(ledger_verdict(&b->ledger, VERDICT_BOT)), "complete",
			 nodes_are_complete(nodes, range->from_ms, range->until_ms), "missing",
			 nodes_missing(nodes, range->from_ms, range->until_ms), "reasons",
			 reasons_json(b), "rows", rows, "more", query_number(more));
}

void
query_ask_bots(struct query *q, const struct query_args *a, struct query_result *r)
{
	struct bots b = {.named = NULL};
	struct nodes_state nodes = {0};
	struct query_range range;
	int64_t limit;
	int err;

	if (!query_take_range(a, &range, r) || !query_take_name(a, "node", &b.node, r) ||
	    !take_reason(a, &b.reason, r) || !take_source(a, &b.sources, r) ||
	    !query_take_number(a, "limit", 1, QUERY_LIMIT_MAX, QUERY_LIMIT_MAX, &limit, r))
		return;
	b.named = json_object();
	err = b.named ? nodes_read(q, a->now_ms, &nodes) : -ENOMEM;
	if (!err)
		err = store_bots(q->store, range.from_ms, range.until_ms, take_named, &b);
	if (!err)
		err = store_ledger(q->store, range.from_ms, range.until_ms, take_ledger, &b);
	keep_node(&nodes, b.node);
	if (err)
		query_fail(r, err);
	else
		query_answer(r, answer_json(q, &range, &b, &nodes, (size_t)limit));
	json_decref(b.named);
	nodes_free(&nodes);
}
