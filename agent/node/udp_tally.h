/* udp_tally.h -- what came of the datagrams signed under each key, so that a sender whose mail gets
 * lost is seen.
 *
 * Numbers since start, by the key's name: not by sender, of which PHP makes one a request,
 * and whose boot ids are anybody's choice. Who knows a key's name but not the key can
 * raise `refused` alone.
 *
 * Threads:  udp_tally_of by one at a time (start, reload); any may count and print.
 * Memory:   UDP_KEYS_MAX names and their counters, fixed; names are never given up, and those beyond
 *           the maximum, after many reloads, count together as "other".
 */
#ifndef NODE_UDP_TALLY_H
#define NODE_UDP_TALLY_H

#include <stdint.h>
#include <stdio.h>

enum udp_tally {
	UDP_TALLY_RECEIVED, /* taken */
	UDP_TALLY_GAPS,     /* sequence numbers skipped: less the late ones, lost */
	UDP_TALLY_LATE,     /* taken, out of order */
	UDP_TALLY_REPLAYED, /* refused, taken before */
	UDP_TALLY_REFUSED,  /* wrong tag, stale, or further behind than is remembered */
	UDP_TALLY_N
};

/* The place of a key's name, which must be a valid one: the same for the same name. */
uint16_t udp_tally_of(const char *name);
void udp_tally_add(uint16_t place, enum udp_tally what, uint64_t n);
uint64_t udp_tally_get(uint16_t place, enum udp_tally what);

/* Prometheus text format, footfall_udp_key_*_total by key. */
void udp_tally_print(FILE *out);

/* {"NAME":{"received":n,"lost":n,"late":n,"replayed":n,"refused":n}}, for /status. */
void udp_tally_print_json(FILE *out);

#endif
