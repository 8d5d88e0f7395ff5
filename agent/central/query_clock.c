/* What the nodes' clocks say: each batch comes with the time of its sending, so that one that had
 * to wait in a spool is not taken for a clock that is behind. Kept in memory: a node that is there
 * says it again with its next batch, and until then the time at which its last batch was sealed
 * stands in. */
#include "central/query_internal.h"

static struct query_clock *
clock_of(struct query_clocks *c, const char *node)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (strcmp(c->clock[i].node, node) == 0)
			return &c->clock[i];
	return NULL;
}

void
query_note_clock(struct query *q, const char *node, int64_t skew_ms)
{
	struct query_clocks *c = &q->clocks;
	struct query_clock *k;

	pthread_mutex_lock(&c->lock);
	k = clock_of(c, node);
	if (!k && c->n < QUERY_CLOCKS_MAX) {
		k = &c->clock[c->n++];
		snprintf(k->node, sizeof(k->node), "%s", node);
	}
	if (k)
		k->skew_ms = skew_ms;
	pthread_mutex_unlock(&c->lock);
}

int64_t
query_skew_ms(struct query *q, const char *node, int64_t otherwise_ms)
{
	const struct query_clock *k;

	pthread_mutex_lock(&q->clocks.lock);
	k = clock_of(&q->clocks, node);
	if (k)
		otherwise_ms = k->skew_ms;
	pthread_mutex_unlock(&q->clocks.lock);
	return otherwise_ms;
}
