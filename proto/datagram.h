/* datagram.h -- one or more events as msgpack, from a backend.
 *
 * A datagram is a map, or an array of at most DATAGRAM_EVENTS_MAX maps; keys as str or bin, every
 * legal width. Its shape is scanned first (every count against the bytes left, depth, number of
 * items, no ext, exact length), since msgpack-c believes what counts say; only then it is unpacked.
 *
 * Threads:  one struct datagram_decoder per thread.
 * Memory:   the decoder's zone is allocated once and reused; texts point into the datagram, that of
 *           a referrer into the decoder, lent until DATAGRAM_LENT more events were decoded.
 */
#ifndef PROTO_DATAGRAM_H
#define PROTO_DATAGRAM_H

#include "proto/event.h"

#define DATAGRAM_MAX 8192
#define DATAGRAM_EVENTS_MAX 64
#define DATAGRAM_LENT 64 /* events, of one datagram or of several */
#define DATAGRAM_DEPTH_MAX 4
#define DATAGRAM_KEYS_MAX 32 /* per map */

struct datagram_decoder;

/* NULL when memory is short. */
struct datagram_decoder *datagram_decoder_new(void);
void datagram_decoder_free(struct datagram_decoder *d);

/* True when bytes are exactly one msgpack value within the limits above. */
bool datagram_scan(const uint8_t *bytes, size_t len);

/* Opens a datagram: number of events in it (1 to 64), or 0 when it is refused whole, with the
 * reason. */
unsigned datagram_open(struct datagram_decoder *d, const uint8_t *bytes, size_t len,
		       enum reason *ret_reason);

/* The events of the opened datagram, one by one from 0. REASON_ACCEPTED_FIRST when it is well
 * formed, else why not. */
enum reason datagram_event(struct datagram_decoder *d, unsigned i, struct event *ret_event);

/* One event as a msgpack map (for emit and the tests): bytes written, 0 when it does not fit. */
size_t datagram_encode(const struct event *e, uint8_t *buf, size_t cap);

#endif
