/* A node is complete up to T when the central holds every batch of its epoch up to one that closes
 * T (ARCHITECTURE.md). A range is complete when every node that was added is, up to the end of the
 * range or, for a range that is not over, up to the end of its own last finished interval. A range
 * in which batches were lost for ever is never complete: its verdict is "lost", and nothing is
 * waited for. */
#include <errno.h>
#include <stdlib.h>

#include "central/query_internal.h"

/* How long after the end of an interval its batch may take: sealing, forwarding, a retry or two. */
static int64_t
grace_of(int64_t interval_ms)
{
	int64_t grace = interval_ms / 4;

	return grace < 5 * SECOND_MS     ? 5 * SECOND_MS
	       : grace > 300 * SECOND_MS ? 300 * SECOND_MS
					 : grace;
}

static int64_t
interval_of(const struct node_state *n)
{
	return n->interval_ms > 0 ? n->interval_ms : HOUR_MS;
}

/* Intervals divide the hour, so their ends are multiples since the epoch. */
static int64_t
last_finished(const struct node_state *n, int64_t now_ms)
{
	int64_t interval = interval_of(n), t = now_ms - grace_of(interval);

	return t - t % interval;
}

static bool
is_silent(const struct node_state *n, int64_t now_ms)
{
	int64_t interval = interval_of(n);

	return now_ms - n->last_ms > 2 * interval + grace_of(interval);
}

enum node_verdict
node_verdict(const struct node_state *n, int64_t from_ms, int64_t until_ms, int64_t now_ms)
{
	int64_t finished = last_finished(n, now_ms);
	int64_t end = until_ms < finished ? until_ms : finished;

	if (until_ms <= n->since_ms || from_ms >= now_ms)
		return NODE_COMPLETE; /* it was not there yet; or there is nothing to have */
	if (n->last_ms == 0)
		return NODE_NEVER;
	if (n->gap_from_ms < n->gap_until_ms && until_ms > n->gap_from_ms &&
	    from_ms < n->gap_until_ms)
		return NODE_WAITING;
	if (n->complete_to_ms >= end)
		return node_lost_batches(n, from_ms, until_ms) ? NODE_LOST : NODE_COMPLETE;
	return is_silent(n, now_ms) ? NODE_SILENT : NODE_WAITING;
}

const char *
node_verdict_name(enum node_verdict v)
{
	static const char *const names[] = {"complete", "lost", "waiting", "silent", "silent"};

	return names[v];
}

uint64_t
node_lost_batches(const struct node_state *n, int64_t from_ms, int64_t until_ms)
{
	return until_ms > n->lost_from_ms && from_ms < n->lost_until_ms ? n->lost_batches : 0;
}

/* -- reading -- */

static struct node_state *
nodes_find(struct nodes_state *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->node[i].name, name) == 0)
			return &s->node[i];
	return NULL;
}

static void
widen_gap(struct node_state *n, const struct store_node *epoch)
{
	int64_t from_ms = epoch->complete_to_ms ? epoch->complete_to_ms : epoch->first_ms;

	if (epoch->contiguous_seq >= epoch->highest_seq)
		return;
	if (n->gap_until_ms == 0 || from_ms < n->gap_from_ms)
		n->gap_from_ms = from_ms;
	if (epoch->last_ms > n->gap_until_ms)
		n->gap_until_ms = epoch->last_ms;
}

/* One epoch of one node. Those of nodes that were removed from the accounts do not matter
 * any more. */
static int
take_epoch(void *ctx, const struct store_node *epoch)
{
	struct nodes_state *s = ctx;
	struct node_state *n = nodes_find(s, epoch->node);

	if (s->first_ms == 0 || epoch->first_ms < s->first_ms)
		s->first_ms = epoch->first_ms;
	if (!n)
		return 0;
	n->batches += epoch->batches;
	n->events += epoch->events;
	if (epoch->first_ms < n->since_ms)
		n->since_ms = epoch->first_ms;
	if (epoch->last_ms > n->last_ms)
		n->last_ms = epoch->last_ms;
	if (epoch->complete_to_ms > n->complete_to_ms)
		n->complete_to_ms = epoch->complete_to_ms;
	if (epoch->last_ms >= n->current_ms) {
		n->current_ms = epoch->last_ms;
		n->skew_ms = epoch->skew_ms;
		if (epoch->interval_ms > 0)
			n->interval_ms = epoch->interval_ms;
	}
	widen_gap(n, epoch);
	return 0;
}

static int
take_lost(void *ctx, const struct store_lost *l)
{
	struct node_state *n = nodes_find(ctx, l->node);

	if (!n)
		return 0;
	if (n->lost_batches == 0 || l->from_ms < n->lost_from_ms)
		n->lost_from_ms = l->from_ms;
	if (l->until_ms > n->lost_until_ms)
		n->lost_until_ms = l->until_ms;
	n->lost_batches += l->batches;
	return 0;
}

int
nodes_read(struct query *q, int64_t now_ms, struct nodes_state *ret_state)
{
	struct nodes_state s = {.now_ms = now_ms};
	struct auth_node *known = NULL;
	int n = auth_nodes(q->auth, &known), err;

	if (n < 0)
		return n;
	s.node = calloc((size_t)n + 1, sizeof(*s.node));
	for (s.n = 0; s.node && s.n < (size_t)n; s.n++) {
		memcpy(s.node[s.n].name, known[s.n].name, AUTH_NAME_MAX);
		s.node[s.n].since_ms = known[s.n].created_ms;
	}
	free(known);
	if (!s.node)
		return -ENOMEM;
	err = store_nodes(q->store, take_epoch, &s);
	if (!err)
		err = store_lost(q->store, take_lost, &s);
	if (err) {
		nodes_free(&s);
		return err;
	}
	*ret_state = s;
	return 0;
}

void
nodes_free(struct nodes_state *s)
{
	free(s->node);
	s->node = NULL;
	s->n = 0;
}

/* -- what follows from it -- */

bool
nodes_are_complete(const struct nodes_state *s, int64_t from_ms, int64_t until_ms)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (node_verdict(&s->node[i], from_ms, until_ms, s->now_ms) != NODE_COMPLETE)
			return false;
	return true;
}

uint64_t
nodes_lost_batches(const struct nodes_state *s, int64_t from_ms, int64_t until_ms)
{
	uint64_t lost = 0;
	size_t i;

	for (i = 0; i < s->n; i++)
		lost += node_lost_batches(&s->node[i], from_ms, until_ms);
	return lost;
}

int64_t
node_since(const struct node_state *n, enum node_verdict v)
{
	int64_t since_ms = v == NODE_LOST ? n->lost_from_ms : n->complete_to_ms;

	return since_ms ? since_ms : n->since_ms;
}

json_t *
nodes_missing(const struct nodes_state *s, int64_t from_ms, int64_t until_ms)
{
	json_t *missing = json_array();
	const struct node_state *n;
	enum node_verdict v;

	for (n = s->node; n < s->node + s->n; n++) {
		v = node_verdict(n, from_ms, until_ms, s->now_ms);
		if (v == NODE_COMPLETE)
			continue;
		json_array_append_new(
		    missing, json_pack("{s:s, s:o, s:s, s:o}", "node", n->name, "since",
				       query_time(node_since(n, v)), "verdict",
				       node_verdict_name(v), "lost_batches",
				       query_number(node_lost_batches(n, from_ms, until_ms))));
	}
	return missing;
}

int64_t
nodes_next_data(const struct nodes_state *s)
{
	int64_t next = 0, end, interval;
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (s->node[i].last_ms == 0 || is_silent(&s->node[i], s->now_ms))
			continue;
		interval = interval_of(&s->node[i]);
		end = s->now_ms - s->now_ms % interval + interval;
		next = next == 0 || end < next ? end : next;
	}
	return next;
}

/* -- what nodes lost -- */

static int
add_lost(void *ctx, const struct store_ledger_row *row)
{
	struct node_state *n = nodes_find(ctx, row->node);

	if (n)
		n->lost += row->lost + row->udp_dropped;
	return 0;
}

/* As nodes_read, and what each lost in [from, until). */
static int
nodes_read_lost(struct query *q, int64_t now_ms, int64_t from_ms, int64_t until_ms,
		struct nodes_state *ret_state)
{
	struct nodes_state s;
	int err = nodes_read(q, now_ms, &s);

	if (err)
		return err;
	err = store_ledger(q->store, from_ms, until_ms, add_lost, &s);
	if (err)
		nodes_free(&s);
	else
		*ret_state = s;
	return err;
}

/* -- everything at once, for /metrics -- */

int
query_nodes(struct query *q, int64_t now_ms, struct query_node **ret_nodes)
{
	struct query_node *nodes;
	struct nodes_state s;
	size_t i;
	int err = nodes_read_lost(q, now_ms, 0, INT64_MAX, &s);

	if (err)
		return err;
	nodes = calloc(s.n + 1, sizeof(*nodes));
	for (i = 0; nodes && i < s.n; i++) {
		memcpy(nodes[i].name, s.node[i].name, AUTH_NAME_MAX);
		nodes[i].last_ms = s.node[i].last_ms;
		nodes[i].complete_to_ms = s.node[i].complete_to_ms;
		nodes[i].batches = s.node[i].batches;
		nodes[i].events = s.node[i].events;
		nodes[i].lost = s.node[i].lost;
		nodes[i].lost_batches = s.node[i].lost_batches;
	}
	err = nodes ? (int)s.n : -ENOMEM;
	nodes_free(&s);
	if (nodes)
		*ret_nodes = nodes;
	return err;
}

/* -- question: nodes -- */

static json_t *
node_json(struct query *q, const struct node_state *n, const struct query_range *range,
	  int64_t now_ms)
{
	enum node_verdict v = n->last_ms == 0 ? NODE_NEVER
			      : is_silent(n, now_ms)
				  ? NODE_SILENT
				  : node_verdict(n, now_ms - HOUR_MS, now_ms, now_ms);

	return json_pack(
	    "{s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:I}", "node", n->name, "last_seen",
	    query_time(n->last_ms), "complete_to", query_time(n->complete_to_ms), "verdict",
	    v == NODE_NEVER ? "never" : node_verdict_name(v), "batches", query_number(n->batches),
	    "events", query_number(n->events), "lost", query_number(n->lost), "lost_batches",
	    query_number(node_lost_batches(n, range->from_ms, range->until_ms)), "skew_ms",
	    (json_int_t)query_skew_ms(q, n->name, n->skew_ms));
}

/* `lost` and `lost_batches` are of the range. */
void
query_ask_nodes(struct query *q, const struct query_args *a, struct query_result *r)
{
	struct query_range range;
	struct nodes_state s;
	json_t *nodes;
	size_t i;
	int err;

	if (!query_take_range(a, &range, r))
		return;
	err = nodes_read_lost(q, a->now_ms, range.from_ms, range.until_ms, &s);
	if (err) {
		query_fail(r, err);
		return;
	}
	nodes = json_array();
	for (i = 0; i < s.n; i++)
		json_array_append_new(nodes, node_json(q, &s.node[i], &range, a->now_ms));
	query_answer(r, json_pack("{s:o}", "nodes", nodes));
	nodes_free(&s);
}
