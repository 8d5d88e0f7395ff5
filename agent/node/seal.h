/* seal.h -- the thread that turns closed segments into batches.
 *
 * Takes closed segments from the journal; hands batch bodies to the spool. Rotates the journals at
 * every end of batch.interval by the wall clock, when a segment is full, at stop and on request.
 *
 * Every interval gives at least one batch, an empty one if nothing was judged; else a segment in
 * which nothing was judged gives none. The last batch of a round says closes_ms: every segment that
 * could hold something of before is in batches up to this one. At the end of an interval that is
 * the boundary or a moment behind it; at a flush and at stop it is the moment of the rotation less
 * JOURNAL_SETTLE_MS, since all writers' segments were swapped then. Batches before the last one of
 * a round say less, mostly nothing (0), when nothing is known that was not said before.
 *
 * Threads:  one sealer; seal_flush by any, blocking.
 * Memory:   for the time of one batch, an arena and two buffers of its size; nothing between.
 * Durable:  a segment is released only after spool_put.
 * Errors:   a batch that cannot be written stays a segment and is tried again every second, under
 *           its number, before any other; the agent sheds when segments run out.
 */
#ifndef NODE_SEAL_H
#define NODE_SEAL_H

#include "node/journal.h"
#include "node/spool.h"

enum seal_why {
	SEAL_TIME,  /* close what is over */
	SEAL_FLUSH, /* close everything, and make a batch even if nothing was judged, to say so */
	SEAL_STOP,  /* close everything */
	SEAL_WHY_N
};

struct sealer;

/* Lends conf, journal and spool until seal_stop. No worker may be running yet. */
int seal_start(const struct conf *c, struct journal *j, struct spool *s,
	       struct sealer **ret_sealer);

/* Rotates, and returns when everything accepted before the call is in the spool: 0 with the last
 * batch made, or -ETIMEDOUT / -errno of the last try (-EDQUOT: the spool is full). */
int seal_flush(struct sealer *s, int64_t timeout_ms, struct batch_id *ret_last);

/* Seals everything and joins. No writer may be running. What cannot be sealed stays in the journal
 * for the next start, and is logged. */
void seal_stop(struct sealer *s);

/* -- what the thread does at each turn, for tests and for tools without threads -- */

/* Rotates, seals all closed segments, tends the journal. 0 or -errno of what could not be done. */
int seal_round(struct journal *j, struct spool *s, struct wall_ms now, enum seal_why why);

/* The body of a numbered segment's batch, which the caller frees. The same bytes whenever it is
 * made by this program with the same zstd. 0, -ENOMEM, or -EIO when zstd fails. */
int seal_encode(const struct segment *s, char **ret_body, size_t *ret_len);

#endif
