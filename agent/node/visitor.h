/* visitor.h -- who looked, as a number that nobody can turn back into an address.
 *
 * SipHash of client address and User-Agent under the salt of the event's own time while that is
 * kept, else under the current one. Salts come from the central (forward.h), are the same on every
 * node, and are forgotten everywhere when their time is over. An agent that has none makes its own
 * and marks its salt_id with VISITOR_OWN_SALT. The salts are kept in state_dir/salts (0600) so that a visitor stays the same
 * person across a restart.
 *
 * Threads:  visitor_hash by workers, lock-free; visitor_salts_set by the forwarder.
 * Memory:   at most VISITOR_SALTS_MAX salts; forgotten ones are overwritten.
 */
#ifndef NODE_VISITOR_H
#define NODE_VISITOR_H

#include "base/hash.h"
#include "base/text.h"
#include "node/client_addr.h"

#define VISITOR_SALTS_MAX 8
#define VISITOR_OWN_SALT 0x80000000u

struct visitor_salt {
	uint32_t id;
	int64_t from_ms, until_ms; /* its period */
	int64_t destroy_ms;        /* when it must be forgotten */
	struct hash_key key;
};

struct visitor_salts;

/* Loads what state_dir holds, makes an own salt for today (UTC) if nothing covers `now`. */
int visitor_salts_open(const char *state_dir, int64_t now_ms, struct visitor_salts **ret_salts);
void visitor_salts_close(struct visitor_salts *s); /* overwrites memory */

/* Replaces the central's salts by these, drops expired ones, saves. */
int visitor_salts_set(struct visitor_salts *s, const struct visitor_salt *salts, size_t n,
                      int64_t now_ms);

/* Forgets what is over; makes an own salt when no salt covers now_ms. By the forwarder, each minute. */
void visitor_salts_tend(struct visitor_salts *s, int64_t now_ms);

/* The visitor, and the salt used. Same address, User-Agent and period: the same number on every
 * node. Never 0. */
uint64_t visitor_hash(const struct visitor_salts *s, int64_t ts_ms, int64_t now_ms,
                      const struct client_addr *addr, struct text ua, uint32_t *ret_salt_id);

/* Session text under the same salt; never 0. */
uint64_t visitor_session(const struct visitor_salts *s, int64_t ts_ms, int64_t now_ms,
                         struct text session);

#endif
