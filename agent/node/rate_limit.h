/* rate_limit.h -- how often one address may ask, in fixed memory.
 *
 * The generic cell rate algorithm in its virtual scheduling form (ITU-T I.371, annex A): an address
 * is one moment, the theoretical arrival time of its next request; a request conforms when it comes
 * no earlier than that less the burst tolerance, and moves the moment on by one interval. An IPv4
 * address stands for itself. An IPv6 client owns a /64 at least, so that it is limited there at the
 * configured rate, and at multiples of it by its /56 and /48: who hops between prefixes gains
 * little, and neighbours in a large network do not share one client's rate.
 *
 * Threads:  any; one lock bit per line of eight addresses (lines.h).
 * Memory:   8 bytes per client, fixed at start; a full line forgets whoever was idle longest, which
 *           is counted (STAT_RATE_EVICTED) when that one was still limited or counting.
 */
#ifndef NODE_RATE_LIMIT_H
#define NODE_RATE_LIMIT_H

#include "base/clock.h"
#include "conf/conf.h"
#include "node/client_addr.h"
#include "proto/ledger.h"

#define RATE_V6_56_TIMES 4  /* a /56 is one household or office with some subnets */
#define RATE_V6_48_TIMES 16 /* a /48 is a site, the most that one customer usually gets */

struct rate_limit;

/* rate.events > 0, burst >= 1, clients >= 1. 0 or -ENOMEM. */
int rate_limit_new(struct conf_rate rate, int64_t burst, int64_t clients,
		   struct rate_limit **ret_limit);
void rate_limit_free(struct rate_limit *r);

/* True, and the request is counted, when the address conforms at `now`; else which limit was met
 * and in how many ms (at least 1) it will conform; a refused request costs the address nothing.
 * Callers' clocks may be ten seconds apart: an older one gives nobody more. */
bool rate_limit_take(struct rate_limit *r, const struct client_addr *a, struct mono_us now,
		     enum reason *ret_reason, int64_t *ret_retry_ms);

#endif
