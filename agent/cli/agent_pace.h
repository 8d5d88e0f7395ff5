/* agent_pace.h -- sends datagrams no faster than their receiver reads them.
 *
 * UDP has no way to say "slower", but a receiver on this host has a queue that everybody may
 * see: /proc/net/udp. After every 64 KiB the sender looks there and goes on once the queue is
 * nearly empty; at the end it waits until it is empty, and the kernel's own count tells whether
 * anything was dropped. To a receiver elsewhere (another host or network namespace) it sends at
 * a fixed rate.
 *
 * Threads:  one.
 * Memory:   none but its own.
 */
#ifndef CLI_AGENT_PACE_H
#define CLI_AGENT_PACE_H

#include "base/socket.h"

struct pace {
	int fd;
	int port;   /* of the receiver */
	bool local; /* its queue can be seen */
	unsigned long drops_before;
	size_t unseen; /* bytes of queue that were filled since the last look */
};

/* 0 or -errno. */
int pace_open(struct pace *p, const struct socket_address *to);
void pace_close(struct pace *p);

/* Sends one datagram, waiting first when it has to. 0; -ECONNREFUSED when nobody listens;
 * -ETIMEDOUT when the receiver stopped reading; or -errno. */
int pace_send(struct pace *p, const void *bytes, size_t len);

/* Waits until everything was read. As pace_send; -ENOBUFS with the number when some was dropped. */
int pace_finish(struct pace *p, unsigned long *ret_dropped);

#endif
