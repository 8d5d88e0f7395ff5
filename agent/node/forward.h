/* forward.h -- the thread that brings batches to the central, oldest first, and salts back.
 *
 * Takes batches from the spool and removes them only after the central said stored or already
 * stored; sets aside what the central calls broken (400, 409, 413, 422) and goes on with the next;
 * everything else (connection errors, 401, 403, 408, 429, 5xx) is retried after a full-jitter pause. A refused token is
 * logged once per change. Fetches salts at start, then every hour and after each failure, and hands
 * them to visitor.h.
 *
 * Threads:  one forwarder; forward_wait by any, blocking.
 * Memory:   one batch body at a time.
 */
#ifndef NODE_FORWARD_H
#define NODE_FORWARD_H

#include "node/spool.h"
#include "node/visitor.h"

struct forwarder;

int forward_start(const struct conf *c, struct spool *s, struct visitor_salts *salts,
                  struct forwarder **ret_forwarder);

/* Until the central has answered for every batch of id's epoch up to id->seq: 0; -ETIMEDOUT; -EPROTO when one of them was set aside. `why` gets a sentence. */
int forward_wait(struct forwarder *f, const struct batch_id *id, int64_t timeout_ms, char *why,
                 size_t why_size);

/* The last thing that went wrong, or "" (for /status). */
void forward_status(struct forwarder *f, char *ret_text, size_t size);

/* Tries the token file anew (SIGHUP). */
void forward_reload(struct forwarder *f, const char *token_file);

/* Tries what waits once more, at most drain_ms, and joins. */
void forward_stop(struct forwarder *f, int64_t drain_ms);

#endif
