/* hash.h -- keyed hashes for what clients can fill, and fast checksums for what we wrote.
 *
 * hash_sip is SipHash-2-4 (Aumasson and Bernstein, 2012), for what is stored or sent. hash_table is
 * SipHash-1-3, which its authors name for tables: nobody without the key can aim for one line, and
 * it stands in memory for no longer than the process. hash_mix is a multiply-and-fold checksum (after wyhash, Wang Yi): fast, catches
 * torn and stale bytes, and is no defence against anybody.
 *
 * Threads:  any.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_KEY_BYTES 16

struct hash_key {
	uint8_t bytes[HASH_KEY_BYTES];
};

/* Must precede everything else of this file, once, before threads start. 0 or -EIO. */
int hash_init(void);

void hash_key_random(struct hash_key *ret_key);

uint64_t hash_sip(const struct hash_key *key, const void *data, size_t len);

uint64_t hash_table(const struct hash_key *key, const void *data, size_t len);

uint64_t hash_mix(uint64_t seed, const void *data, size_t len);

/* n random bytes from the kernel. */
void hash_random(void *ret_bytes, size_t n);

#endif
