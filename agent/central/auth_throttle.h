/* auth_throttle.h -- how often somebody may guess wrong.
 *
 * GCRA over failed logins: per address (IPv4 /32, IPv6 /64) and over all of them. A try is charged
 * before it is judged and given back when it was right, so that parallel guesses are charged too.
 *
 * Threads:  guarded by its owner (auth.c).
 * Memory:   fixed: THROTTLE_ENTRIES addresses, the one longest idle is forgotten.
 */
#ifndef CENTRAL_AUTH_THROTTLE_H
#define CENTRAL_AUTH_THROTTLE_H

#include <netinet/in.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/hash.h"

#define THROTTLE_ENTRIES 1024 /* addresses guessing at once; more of them meet the common limit */
#define THROTTLE_ADDRESS_BURST 10
#define THROTTLE_ADDRESS_US INT64_C(10000000) /* then one every 10 s: 8,640 guesses a day */
#define THROTTLE_COMMON_BURST 100
#define THROTTLE_COMMON_US INT64_C(500000)

struct throttle {
	struct hash_key key;
	int64_t common_us;                    /* theoretical arrival time of all together */
	uint64_t tag[THROTTLE_ENTRIES];       /* 0: free */
	int64_t arrival_us[THROTTLE_ENTRIES]; /* theoretical arrival time of each */
};

void throttle_init(struct throttle *t);

/* False when the address, or everybody, has failed too often; then *ret_wait_s says when to come
 * again. True: charged. */
bool throttle_charge(struct throttle *t, const struct sockaddr *addr, struct mono_us now,
		     unsigned *ret_wait_s);

/* The try was right. */
void throttle_refund(struct throttle *t, const struct sockaddr *addr);

#endif
