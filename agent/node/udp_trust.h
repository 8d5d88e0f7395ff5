/* udp_trust.h -- whose datagrams are taken: those of this host, and signed ones.
 *
 * Stands between the socket and the decoder. An unsigned datagram is taken from loopback alone,
 * and with udp.require_signed = "all" from nobody. A
 * signed one is judged in this order, wherever it comes from: form, key (an unknown one is refused
 * before anything is hashed), tag, time, sequence number.
 *
 * Threads:  udp_trust_judge by the UDP thread; udp_trust_reload by any other one.
 * Memory:   nothing but itself while udp.keys_file is not set; else 120 KiB of keys and
 *           udp_senders.h, fixed at start.
 */
#ifndef NODE_UDP_TRUST_H
#define NODE_UDP_TRUST_H

#include <sys/socket.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "proto/envelope.h"
#include "proto/ledger.h"

struct udp_trust;

/* Whatever was signed before `now` is refused: it may have been counted before a restart. 0 or
 * -errno, with a sentence logged. */
int udp_trust_new(const struct conf *c, struct wall_ms now, struct udp_trust **ret_t);
void udp_trust_free(struct udp_trust *t);

/* Reads the keys again; a file that does not do is logged, and the keys stay as they are. */
void udp_trust_reload(struct udp_trust *t, const char *keys_file, struct wall_ms now);

/* The msgpack of a datagram that may be taken, REASON_ACCEPTED_FIRST; or why it is refused. */
enum reason udp_trust_judge(struct udp_trust *t, const struct sockaddr *peer, struct text bytes,
			    struct wall_ms now, struct text *ret_payload);

#endif
