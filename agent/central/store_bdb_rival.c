/* Two agents under one name, each with a state directory of its own.
 *
 * A node's epochs follow one another: a state directory is lost or replaced, and the next one
 * begins. Batches of the earlier one may still come, late and in any order, from a spool that was
 * left; but they were sealed before the later epoch began. A batch that was sealed after the
 * beginning of a later epoch says that both agents are alive. It is refused, so that their numbers
 * are not merged under one name: its agent sets it aside, says so, and keeps it until somebody
 * gives one of the two another name. So the newcomer wins, since a replaced machine must be able to
 * go on by itself.
 *
 * Only sealed_ms is compared, of clocks that set themselves by the network. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "central/store_bdb.h"

#define CLOCKS_DIFFER_MS 10000 /* by much less, where they are kept at all */

struct rivals {
	const struct batch_meta *meta;
	bool known, found;
	int64_t own_ms;   /* the beginning of the batch's own epoch, if known */
	int64_t later_ms; /* the latest beginning of another epoch that the batch is younger than */
};

static int
look_at(void *ctx, const struct store_node *n)
{
	struct rivals *r = ctx;

	if (strcmp(n->node, r->meta->id.node) != 0)
		return 0;
	if (memcmp(n->epoch, r->meta->id.epoch, sizeof(n->epoch)) == 0) {
		r->known = true;
		r->own_ms = n->first_sealed_ms;
	} else if (n->first_sealed_ms + CLOCKS_DIFFER_MS < r->meta->sealed_ms) {
		if (!r->found || n->first_sealed_ms > r->later_ms)
			r->later_ms = n->first_sealed_ms;
		r->found = true;
	}
	return 0;
}

bool
bdb_has_rival(struct store *s, const struct batch_meta *m, enum store_result *ret_result)
{
	struct rivals r = {.meta = m};
	int err = store_nodes(s, look_at, &r);

	if (err) {
		log_warn("batch not stored; its node keeps it", "node=%s seq=%llu error=%d",
			 m->id.node, (unsigned long long)m->id.seq, -err);
		*ret_result = STORE_UNAVAILABLE;
		return true;
	}
	/* an epoch's first batch begins it, and is nobody's rival */
	if (!r.known || !r.found || r.later_ms <= r.own_ms)
		return false;
	log_error("two agents use one node name, each with its own state directory; the batch of "
		  "the one that began earlier is refused, rename one of them",
		  "node=%s seq=%llu", m->id.node, (unsigned long long)m->id.seq);
	*ret_result = STORE_RIVAL;
	return true;
}
