/* udp_drops.h -- how many of the kernel's drops on a passed socket are in the books already.
 *
 * The kernel counts drops for as long as a socket lives, and a passed socket (base/passed.h) lives
 * longer than the process: what was dropped before, or while nobody ran, must be counted once, by
 * the next process. So the number that was counted stands in state_dir/udp-drops, by the socket's
 * cookie, which no other socket of this boot has.
 *
 * Threads:  one at a time.
 * Durable:  against the end of the process only: no socket outlives the machine. A crash between the
 *           books and this file counts the drops of one second twice.
 * Errors:   -errno; without the file all drops of a passed socket are counted anew.
 */
#ifndef NODE_UDP_DROPS_H
#define NODE_UDP_DROPS_H

#include <stddef.h>
#include <stdint.h>

struct udp_drops {
	uint64_t cookie;
	uint32_t counted; /* wraps as the kernel's does */
};

/* The cookie of a socket, and what was counted of its drops: 0 when nobody wrote it down. */
int udp_drops_find(const char *state_dir, int fd, struct udp_drops *ret_drops);

/* Replaces the file by these. */
int udp_drops_write(const char *state_dir, const struct udp_drops *drops, size_t n);

#endif
