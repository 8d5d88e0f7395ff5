/* The books: per node and UTC hour of arrival, whose start lies in the range. received = accepted +
 * duplicate + bot + limited + invalid + shed; accepted = stored + merged. */
#include <errno.h>
#include <stdio.h>

#include "central/query_internal.h"

struct books {
	json_t *rows;
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

static const char *
hour_verdict(const struct nodes_state *s, const struct store_ledger_row *row)
{
	static const char *const names[] = {"complete", "waiting", "silent", "silent"};
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->node[i].name, row->node) == 0)
			return names[node_verdict(&s->node[i], row->hour_ms, row->hour_ms + HOUR_MS,
						  s->now_ms)];
	return "complete"; /* a node that was removed: nothing is expected of it */
}

static int
take_row(void *ctx, const struct store_ledger_row *row)
{
	struct books *b = ctx;
	json_t *j = sums_json(row);

	json_object_set_new(j, "node", json_string(row->node));
	json_object_set_new(j, "hour", query_time(row->hour_ms));
	json_object_set_new(j, "verdict", json_string(hour_verdict(&b->nodes, row)));
	ledger_add(&b->total.ledger, &row->ledger);
	b->total.stored += row->stored;
	b->total.merged += row->merged;
	b->total.lost += row->lost;
	b->total.udp_dropped += row->udp_dropped;
	return json_array_append_new(b->rows, j) ? -ENOMEM : 0;
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
	err = store_ledger(q->store, range.from_ms, range.until_ms, take_row, &b);
	if (err) {
		json_decref(b.rows);
		query_fail(r, err);
	} else {
		query_answer(
		    r, json_pack("{s:o, s:o}", "rows", b.rows, "totals", sums_json(&b.total)));
	}
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
