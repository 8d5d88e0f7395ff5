#include "base/hash.h"

#include <endian.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

_Static_assert(HASH_KEY_BYTES == crypto_shorthash_KEYBYTES, "SipHash takes 16 bytes of key");

int
hash_init(void)
{
	return sodium_init() < 0 ? -EIO : 0;
}

void
hash_random(void *ret_bytes, size_t n)
{
	randombytes_buf(ret_bytes, n);
}

void
hash_key_random(struct hash_key *ret_key)
{
	hash_random(ret_key->bytes, sizeof(ret_key->bytes));
}

uint64_t
hash_sip(const struct hash_key *key, const void *data, size_t len)
{
	uint8_t out[crypto_shorthash_BYTES];
	uint64_t h;

	crypto_shorthash(out, data, len, key->bytes);
	memcpy(&h, out, sizeof(h));
	return h;
}

static inline uint64_t
load(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return le64toh(v);
}

/* The last n < 8 of `total` bytes; p: behind the whole words. */
static inline uint64_t
load_tail(const uint8_t *p, size_t n, size_t total)
{
	if (n == 0)
		return 0;
	if (total < 8)
		return load(p, n);
	return load(p + n - 8, 8) >> (64 - 8 * n); /* bytes before them as well, shifted out */
}

static inline uint64_t
turn(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

/* SipRound of the paper, section 2.4. */
static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = turn(v[1], 13) ^ v[0];
	v[3] = turn(v[3], 16) ^ v[2];
	v[0] = turn(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = turn(v[1], 17) ^ v[2];
	v[3] = turn(v[3], 21) ^ v[0];
	v[2] = turn(v[2], 32);
}

static inline void
sip_take(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

uint64_t
hash_table(const struct hash_key *key, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t k0 = load(key->bytes, 8), k1 = load(key->bytes + 8, 8);
	uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
			 k1 ^ 0x7465646279746573};
	size_t left = len;

	for (; left >= 8; p += 8, left -= 8)
		sip_take(v, load(p, 8));
	sip_take(v, (uint64_t)len << 56 | load_tail(p, left, len));
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t
fold(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 u128;
	u128 product = (u128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t
hash_mix(uint64_t seed, const void *data, size_t len)
{
	/* odd constants with balanced bits: digits of the golden ratio and of the square root
	 * of 2 */
	const uint64_t k0 = 0x9e3779b97f4a7c15, k1 = 0x6a09e667f3bcc909;
	const uint8_t *p = data;
	const size_t total = len;
	uint64_t h = fold(seed ^ k0, (uint64_t)len ^ k1);

	for (; len >= 16; p += 16, len -= 16)
		h = fold(load(p, 8) ^ k0 ^ h, load(p + 8, 8) ^ k1);
	if (len >= 8) {
		h = fold(load(p, 8) ^ k0 ^ h, k1 ^ len);
		p += 8;
		len -= 8;
	}
	h = fold(load_tail(p, len, total) ^ k1 ^ h, k0 ^ len);
	return fold(h, k1);
}
