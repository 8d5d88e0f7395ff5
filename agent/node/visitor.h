/* visitor.h -- who looked, as a number that nobody can turn back into an address.
 *
 * SipHash of client address and User-Agent under the salt of the event's own time while that is
 * kept, else under the current one. Salts come from the central (forward.h), are the same on every
 * node, and are forgotten everywhere when their time is over. An agent that has none for a day makes
 * its own, for that UTC day, with the id VISITOR_OWN_SALT | days since 1970; the central's win as soon
 * as they are there. The salts are kept in state_dir/salts (0600, overwritten in place, see
 * visitor.c) so that a visitor stays the same person across a restart.
 *
 * Threads:  visitor_hash and visitor_session by workers, lock-free; visitor_salts_set and
 *           visitor_salts_tend by the forwarder.
 * Memory:   at most VISITOR_SALTS_MAX salts; forgotten ones are overwritten, also in the file.
 * Durable:  a salt is on the disk when open, set or tend returned; one that could not be written is
 *           used all the same, and tried again by tend.
 * Errors:   what the file holds and cannot be read counts as absent.
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

/* Loads what state_dir (which exists) holds, makes an own salt for today (UTC) if nothing covers
 * `now`. 0 or -errno when the file cannot be opened or written. */
int visitor_salts_open(const char *state_dir, int64_t now_ms, struct visitor_salts **ret_salts);
void visitor_salts_close(struct visitor_salts *s); /* overwrites memory */

/* Takes over the central's salts: each replaces those of the central that share time with it;
 * others stay until they are to be destroyed, for late events. Drops expired ones, saves.
 * -EINVAL with nothing changed for more than VISITOR_SALTS_MAX, an empty period or an id of an
 * own salt; another
 * -errno when saving failed (the salts are used). */
int visitor_salts_set(struct visitor_salts *s, const struct visitor_salt *salts, size_t n,
		      int64_t now_ms);

/* Forgets what is over; makes own salts where none covers now_ms or the ten minutes to come. By the
 * forwarder, each minute. */
void visitor_salts_tend(struct visitor_salts *s, int64_t now_ms);

/* The visitor, and the salt used. Same address, User-Agent and period: the same number on every
 * node. Of a longer User-Agent the first EVENT_USER_AGENT_MAX bytes count. Never 0. */
uint64_t visitor_hash(const struct visitor_salts *s, int64_t ts_ms, int64_t now_ms,
		      const struct client_addr *addr, struct text ua, uint32_t *ret_salt_id);

/* Session text under the same salt; never 0. */
uint64_t visitor_session(const struct visitor_salts *s, int64_t ts_ms, int64_t now_ms,
			 struct text session);

#endif
