/* udp_keys.h -- the keys that senders of signed datagrams have, by name.
 *
 * A file of mode 0600, one key a line: a name and 64 hexadecimal digits, white space between them.
 * Empty lines and lines that begin with # are skipped. Names and keys stand once each.
 *
 * Threads:  a table belongs to one thread at a time.
 * Memory:   one allocation, at most UDP_KEYS_MAX keys; wiped before it is freed.
 */
#ifndef NODE_UDP_KEYS_H
#define NODE_UDP_KEYS_H

#include "base/clock.h"
#include "proto/envelope.h"

#define UDP_KEYS_MAX 1024 /* one for each sending host of a large farm */
#define UDP_KEYS_FAULT_MAX 256

struct udp_key {
	char name[ENVELOPE_NAME_MAX + 1];
	uint8_t secret[ENVELOPE_KEY_BYTES];
	uint16_t tally;   /* udp_tally.h */
	uint64_t id;      /* of name and secret together */
	int64_t floor_ms; /* what was signed by then may be a replay that nobody remembers */
};

struct udp_keys;

/* All floors are `floor`. 0 with *ret_keys; -errno of reading, or -EINVAL for what stands in the
 * file, with a sentence in ret_fault that names no secret. */
int udp_keys_read(const char *path, struct wall_ms floor, struct udp_keys **ret_keys,
		  char ret_fault[UDP_KEYS_FAULT_MAX]);
struct udp_keys *udp_keys_none(void); /* NULL when memory is short */
void udp_keys_free(struct udp_keys *k);

/* NULL when there is none. udp_keys_at: in the file's order, from 0. */
struct udp_key *udp_keys_find(struct udp_keys *k, struct text name);
struct udp_key *udp_keys_find_id(struct udp_keys *k, uint64_t id);
struct udp_key *udp_keys_at(struct udp_keys *k, size_t i);

/* Takes over the floors of the keys that old has as well. */
void udp_keys_inherit(struct udp_keys *k, struct udp_keys *old);

#endif
