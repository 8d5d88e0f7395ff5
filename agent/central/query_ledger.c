/* The books: per node and UTC hour of arrival, whose start lies in the range. received = accepted +
 * duplicate + bot + limited + invalid + shed; accepted = stored + merged. An hour that a node owes
 * has a row as well, with nulls: nothing is known of it, which is not nothing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "central/query_internal.h"

#define OWED_MAX \
	48 /* hours owed that are listed for one node, the latest; `since` says from when */

struct books {
	json_t *rows;
	int64_t *last_hour_ms; /* by node: the latest hour with a row; 0 none */
	struct nodes_state nodes;
	struct store_ledger_row total;
};

static json_t *
reasons_json(const struct ledger *l)
{
	json_t *reasons = json_object();
	char name[64];
	uint64_t n;
	unsigned r, s;

	for (r = 0; r < REASON_N; r++) {
		for (n = 0, s = 0; s < SOURCE_N; s++)
			n += l->count[s][r];
		if (n == 0)
			continue;
		snprintf(name, sizeof(name), "%s.%s", verdict_name(reason_verdict((enum reason)r)),
			 reason_name((enum reason)r));
		json_object_set_new(reasons, name, query_number(n));
	}
	return reasons;
}

static json_t *
sums_json(const struct store_ledger_row *row)
{
	json_t *j = json_object();
	unsigned v;

	json_object_set_new(j, "received", query_number(ledger_received(&row->ledger)));
	for (v = 0; v < VERDICT_N; v++)
		json_object_set_new(j, verdict_name((enum verdict)v),
				    query_number(ledger_verdict(&row->ledger, (enum verdict)v)));
	json_object_set_new(j, "stored", query_number(row->stored));
	json_object_set_new(j, "merged", query_number(row->merged));
	json_object_set_new(j, "lost", query_number(row->lost));
	json_object_set_new(j, "udp_dropped", query_number(row->udp_dropped));
	json_object_set_new(j, "reasons", reasons_json(&row->ledger));
	return j;
}

static size_t
node_index(const struct nodes_state *s, const char *name)
{
	size_t i = 0;

	while (i < s->n && strcmp(s->node[i].name, name) != 0)
		i++;
	return i;
}

/* Says what the hour is, and since when the node owes it. n is NULL for a node that was removed:
 * nothing is expected of it. */
static enum node_verdict
set_verdict(json_t *row, const struct nodes_state *s, const struct node_state *n, int64_t hour_ms,
	    bool lost)
{
	enum node_verdict v =
	    n ? node_verdict(n, hour_ms, hour_ms + HOUR_MS, s->now_ms) : NODE_COMPLETE;

	json_object_set_new(
	    row, "verdict",
	    json_string(lost && v == NODE_COMPLETE ? "lost" : node_verdict_name(v)));
	if (v != NODE_COMPLETE)
		json_object_set_new(row, "since", query_time(node_since(n, v)));
	if (v == NODE_LOST)
		json_object_set_new(row, "lost_batches",
				    query_number(node_lost_batches(n, hour_ms, hour_ms + HOUR_MS)));
	return v;
}

static int
take_row(void *ctx, const struct store_ledger_row *row)
{
	struct books *b = ctx;
	json_t *j = sums_json(row);
	size_t i = node_index(&b->nodes, row->node);

	json_object_set_new(j, "node", json_string(row->node));
	json_object_set_new(j, "hour", query_time(row->hour_ms));
	set_verdict(j, &b->nodes, i < b->nodes.n ? &b->nodes.node[i] : NULL, row->hour_ms,
		    row->lost + row->udp_dropped > 0);
	if (i < b->nodes.n && row->hour_ms > b->last_hour_ms[i])
		b->last_hour_ms[i] = row->hour_ms;
	ledger_add(&b->total.ledger, &row->ledger);
	b->total.stored += row->stored;
	b->total.merged += row->merged;
	b->total.lost += row->lost;
	b->total.udp_dropped += row->udp_dropped;
	return json_array_append_new(b->rows, j) ? -ENOMEM : 0;
}

/* A row of an hour of which nothing is known, or NULL when the node does not owe it. */
static json_t *
owed_row(const struct nodes_state *s, const struct node_state *n, int64_t hour_ms)
{
	static const char *const unknown[] = {"received", "accepted", "duplicate",  "bot",
					      "limited",  "invalid",  "shed",       "stored",
					      "merged",   "lost",     "udp_dropped"};
	json_t *row = json_object();
	size_t i;

	for (i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
		json_object_set_new(row, unknown[i], json_null());
	json_object_set_new(row, "node", json_string(n->name));
	json_object_set_new(row, "hour", query_time(hour_ms));
	if (set_verdict(row, s, n, hour_ms, false) != NODE_COMPLETE)
		return row;
	json_decref(row);
	return NULL;
}

static int
add_owed(struct books *b, const struct query_range *range)
{
	const struct nodes_state *s = &b->nodes;
	int64_t until_ms = range->until_ms < s->now_ms ? range->until_ms : s->now_ms, hour_ms;
	json_t *row;
	size_t i;

	for (i = 0; i < s->n; i++) {
		const struct node_state *n = &s->node[i];

		hour_ms = b->last_hour_ms[i] ? b->last_hour_ms[i] + HOUR_MS : hour_of(n->since_ms);
		if (hour_ms < until_ms - OWED_MAX * HOUR_MS)
			hour_ms = hour_of(until_ms - OWED_MAX * HOUR_MS);
		for (; hour_ms + HOUR_MS <= until_ms; hour_ms += HOUR_MS) {
			row = hour_ms < range->from_ms ? NULL : owed_row(s, n, hour_ms);
			if (row && json_array_append_new(b->rows, row))
				return -ENOMEM;
		}
	}
	return 0;
}

void
query_ask_ledger(struct query *q, const struct query_args *a, struct query_result *r)
{
	struct books b = {0};
	struct query_range range;
	int err;

	if (!query_take_range(a, &range, r))
		return;
	err = nodes_read(q, a->now_ms, &b.nodes);
	if (err) {
		query_fail(r, err);
		return;
	}
	b.rows = json_array();
	b.last_hour_ms = calloc(b.nodes.n + 1, sizeof(*b.last_hour_ms));
	err = b.last_hour_ms ? store_ledger(q->store, range.from_ms, range.until_ms, take_row, &b)
			     : -ENOMEM;
	if (!err)
		err = add_owed(&b, &range);
	if (err) {
		json_decref(b.rows);
		query_fail(r, err);
	} else {
		query_answer(
		    r, json_pack("{s:o, s:o}", "rows", b.rows, "totals", sums_json(&b.total)));
	}
	free(b.last_hour_ms);
	nodes_free(&b.nodes);
}

static int
sum_lost(void *ctx, const struct store_ledger_row *row)
{
	uint64_t *lost = ctx;

	*lost += row->lost + row->udp_dropped;
	return 0;
}

int
query_lost(struct query *q, int64_t from_ms, int64_t until_ms, uint64_t *ret_lost)
{
	*ret_lost = 0;
	return store_ledger(q->store, from_ms, until_ms, sum_lost, ret_lost);
}
