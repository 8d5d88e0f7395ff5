#include "base/hash.h"

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

static uint64_t
fold(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 u128;
	u128 product = (u128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t
load(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

uint64_t
hash_mix(uint64_t seed, const void *data, size_t len)
{
	/* odd constants with balanced bits: digits of the golden ratio and of the square root
	 * of 2 */
	const uint64_t k0 = 0x9e3779b97f4a7c15, k1 = 0x6a09e667f3bcc909;
	const uint8_t *p = data;
	uint64_t h = fold(seed ^ k0, (uint64_t)len ^ k1);

	for (; len >= 16; p += 16, len -= 16)
		h = fold(load(p, 8) ^ k0 ^ h, load(p + 8, 8) ^ k1);
	if (len >= 8) {
		h = fold(load(p, 8) ^ k0 ^ h, k1 ^ len);
		p += 8;
		len -= 8;
	}
	h = fold(load(p, len) ^ k1 ^ h, k0 ^ len);
	return fold(h, k1);
}
