/* seal.h -- the thread that turns closed segments into batches.
 *
 * Takes closed segments from the journal; hands batch bodies to the spool. Rotates the journals at
 * every end of batch.interval by the wall clock, when a segment is full, at stop and on request. An
 * interval without events still gives one empty batch with its ledger. The last batch of an interval
 * says that it closes it.
 *
 * Threads:  one sealer; seal_flush by any, blocking.
 * Memory:   one arena for the largest segment, one output buffer.
 * Durable:  a segment is released only after spool_put.
 * Errors:   a batch that cannot be written stays a segment and is tried again every second; the
 *           agent sheds when segments run out.
 */
#ifndef NODE_SEAL_H
#define NODE_SEAL_H

#include "node/journal.h"
#include "node/spool.h"

struct sealer;

int seal_start(const struct conf *c, struct journal *j, struct spool *s,
               struct sealer **ret_sealer);

/* Rotates, and returns when everything accepted before the call is in the spool: 0 with the last
 * batch made, or -ETIMEDOUT / -errno of the last try. */
int seal_flush(struct sealer *s, int64_t timeout_ms, struct batch_id *ret_last);

/* Seals everything and joins. No writer may be running. */
void seal_stop(struct sealer *s);

#endif
