/* peer_limit.h -- how many connections one address holds, in fixed memory.
 *
 * Counts by IPv4 address and IPv6 /64 (who has one IPv6 address has 2^64). Counters stand in two
 * tables, found by the two halves of a keyed hash, and an address holds what the smaller of its two
 * says (a count-min sketch, after Cormode and Muthukrishnan): so nobody's count is ever too low, a
 * flood of distinct addresses takes no more memory than a single one, and an innocent address is
 * taken for a crowded one only if it shares both of its counters with crowded ones, which nobody
 * can aim for.
 *
 * Threads:  any; relaxed atomics.
 * Memory:   256 KiB, of which the kernel backs the pages that were touched.
 */
#ifndef BASE_PEER_LIMIT_H
#define BASE_PEER_LIMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct peer_limit;

/* most: connections that an address may hold; 0 for any number. 0 or -ENOMEM. */
int peer_limit_new(uint32_t most, struct peer_limit **ret_limit);
void peer_limit_free(struct peer_limit *l);

/* Counts one more connection of peer in any case. False when that is more than it may hold. Peers
 * on unix sockets are not counted. */
bool peer_limit_enter(struct peer_limit *l, const struct sockaddr *peer);

/* Takes back what one peer_limit_enter counted. */
void peer_limit_leave(struct peer_limit *l, const struct sockaddr *peer);

#endif
