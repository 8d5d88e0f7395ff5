/* receive.h -- the gate for batches: what a node sent is checked before anything is stored.
 *
 * Takes a whole body and the name that the node's token stands for; checks name, length, checksum,
 * size and compression, and hands the document to store. The agent may forget the batch after 200.
 *
 * Threads:  any.
 * Memory:   documents being applied share RECEIVE_DOCUMENTS_MAX; beyond it a batch is told to come
 *           again.
 * Errors:   as HTTP statuses, since the agent acts by them (node/forward.h): 400, 409 and 422 say that
 *           these bytes will never be taken; 403, 429 and 503 that they may be later.
 */
#ifndef CENTRAL_RECEIVE_H
#define CENTRAL_RECEIVE_H

#include "base/text.h"
#include "central/store.h"

#define RECEIVE_DOCUMENTS_MAX (320u << 20) /* the largest document and some ordinary ones */

struct receive;

int receive_new(struct store *store, struct receive **ret_receive);
void receive_free(struct receive *r);

struct receive_answer {
	unsigned status;
	const char *text; /* "stored", "already"; else the reason. Constant. */
};

/* oldest_seq: the lowest number of the batch's epoch that the node still has, as it says; 0: it
 * does not. What is missing below is lost (store_lose). */
struct receive_answer receive_batch(struct receive *r, const char *node, struct text body,
				    uint64_t oldest_seq, int64_t arrival_ms);

#endif
