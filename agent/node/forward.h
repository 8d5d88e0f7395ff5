/* forward.h -- the thread that brings batches to the central, oldest first, and salts back.
 *
 * Takes batches from the spool and removes them only after the central said stored or already
 * stored; sets aside what the central calls broken (400, 409, 413, 422), and what was made under
 * another name of this node and is refused under its token (403), and goes on with the next;
 * everything else (connection errors, 401, 403, 408, 429, 5xx) is retried after a full-jitter pause
 * (Brooker, "Exponential backoff and jitter", 2015). A refused token is logged once per change, and
 * its file read anew before the next try. Fetches salts at start, then every hour and sooner after
 * a failure, and hands them to visitor.h. Without forward.central it only looks after the salts.
 *
 * Threads:  one forwarder; forward_wait by any, blocking.
 * Memory:   one batch body at a time.
 * Errors:   nothing the central does or says ends the thread; the last failure stands in
 *           forward_status.
 */
#ifndef NODE_FORWARD_H
#define NODE_FORWARD_H

#include "node/spool.h"
#include "node/visitor.h"

struct forwarder;

/* Lends all three until forward_stop. Returns after the first answer about salts, or after three
 * seconds without one: events that are admitted before it are hashed under a salt of the agent's
 * own, so that their visitors are nobody that another node knows. */
int forward_start(const struct conf *c, struct spool *s, struct visitor_salts *salts,
		  struct forwarder **ret_forwarder);

/* Until the central has answered for every batch of id's epoch up to id->seq: 0; -ETIMEDOUT;
 * -EPROTO when one of them was set aside since the start; -ENOTCONN without a central. Tries at
 * once if it is pausing. `why` gets a sentence with every error. */
int forward_wait(struct forwarder *f, const struct batch_id *id, int64_t timeout_ms, char *why,
		 size_t why_size);

/* The last thing that went wrong, or "" (for /status). */
void forward_status(struct forwarder *f, char *ret_text, size_t size);

/* The central refused the last batch since it has another under this name, and with it whatever
 * this agent accepts: nothing is counted until somebody gives one of the two another name. */
bool forward_is_rival(struct forwarder *f);

/* Tries the token file anew (SIGHUP). Copies the name. */
void forward_reload(struct forwarder *f, const char *token_file);

/* Tries what waits once more, at most drain_ms, and joins. */
void forward_stop(struct forwarder *f, int64_t drain_ms);

#endif
