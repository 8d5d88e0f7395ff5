/* udp_senders.h -- which sequence numbers each sender of signed datagrams has used.
 *
 * A sender is a key and a boot id. For each one the last UDP_WINDOW sequence numbers are remembered
 * (a sliding bitmap, RFC 6479), so that a datagram counts once however often it is replayed, and
 * may come out of order. The table is bounded: a new sender takes the place of the one of its line
 * that has been silent longest. What the forgotten one had signed could be replayed from then on;
 * so the time of its newest datagram becomes the floor of its key, and a sender that is not in the
 * table begins above it. A replay is refused in every case.
 *
 * Threads:  the UDP thread's own.
 * Memory:   176 bytes a sender, fixed at start; untouched pages cost nothing.
 */
#ifndef NODE_UDP_SENDERS_H
#define NODE_UDP_SENDERS_H

#include <stddef.h>

#include "node/udp_keys.h"
#include "proto/ledger.h"

#define UDP_WINDOW 1024

struct udp_senders;

/* Room for at least n senders. NULL when memory is short. */
struct udp_senders *udp_senders_new(size_t n);
void udp_senders_free(struct udp_senders *s);

/* A datagram whose tag holds and whose time is at most window_ms off: takes its sequence number,
 * REASON_ACCEPTED_FIRST; or why it is refused. May raise the floor of any of the keys. */
enum reason udp_senders_take(struct udp_senders *s, struct udp_keys *keys, struct udp_key *key,
			     const struct envelope *e, struct wall_ms now, int64_t window_ms);

#endif
