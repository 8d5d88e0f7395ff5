/* envelope.h -- a datagram whose sender can prove who he is.
 *
 * Wraps the msgpack of datagram.h with the name of a key, the sender's boot id, a sequence number
 * and a time, under a keyed BLAKE2b tag. Beyond loopback nothing else is taken. The first byte is
 * none that a msgpack map or array begins with, so that both kinds can come to one port. Whether a
 * key is known, a time fresh and a sequence number new is judged by node/udp_trust.
 *
 * Threads:  plain functions.
 * Memory:   a read envelope points into its bytes, lent until they change.
 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

#define ENVELOPE_KEY_BYTES 32
#define ENVELOPE_TAG_BYTES 16
#define ENVELOPE_NAME_MAX 64
#define ENVELOPE_SEQ_MAX (UINT64_C(1) << 53) /* exact in every language */

/* Bytes that an envelope adds to its payload. */
#define ENVELOPE_BYTES(name_len) (4 + 1 + 8 + 8 + 8 + 1 + (name_len) + ENVELOPE_TAG_BYTES)

struct envelope {
	struct text key_name; /* a name */
	uint64_t boot;        /* random, made when the sender starts */
	uint64_t seq;         /* 1 to ENVELOPE_SEQ_MAX, each used once per boot */
	int64_t time_ms;      /* 0 to EVENT_TS_MAX_MS: when it was signed */
	struct text payload;  /* not empty: the msgpack */
	struct text body;     /* what the tag covers: all bytes before it */
	const uint8_t *tag;
};

/* True when the bytes claim to be an envelope of any version. */
bool envelope_is(const uint8_t *bytes, size_t len);

/* Takes an envelope apart; hashes nothing. False when it is malformed or of another version. */
bool envelope_read(const uint8_t *bytes, size_t len, struct envelope *ret_e);

/* Whether the tag of a read envelope is the key's. Takes the same time for every wrong tag. */
bool envelope_verify(const struct envelope *e, const uint8_t key[ENVELOPE_KEY_BYTES]);

/* Signs e's payload: bytes written, 0 when it does not fit or a field is out of its range. Body and
 * tag of e are not looked at. */
size_t envelope_write(const struct envelope *e, const uint8_t key[ENVELOPE_KEY_BYTES], uint8_t *buf,
		      size_t cap);

#endif
