/* Hashes: SipHash-2-4 by its authors' vectors; the checksum sees every byte, length and seed. */
#include <check.h>
#include <string.h>

#include "base/hash.h"

/* Key 00 01 .. 0f, input 00 01 .. of the row's length: the reference implementation's vectors. */
static const uint64_t vectors[] = {
    0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
    0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
};

START_TEST(siphash_gives_its_authors_vectors)
{
	struct hash_key key;
	uint8_t input[8];
	uint8_t i;

	ck_assert_int_eq(hash_init(), 0);
	for (i = 0; i < HASH_KEY_BYTES; i++)
		key.bytes[i] = i;
	for (i = 0; i < 8; i++) {
		ck_assert_msg(hash_sip(&key, input, i) == vectors[i], "length %u", i);
		input[i] = i;
	}
}
END_TEST

/* As CPython 3.11, whose bytes are hashed alike, says with PYTHONHASHSEED=0: a key of zeros. */
START_TEST(what_tables_use_is_siphash_with_fewer_rounds)
{
	const struct hash_key key = {{0}};
	uint8_t input[63];
	size_t i;

	for (i = 0; i < sizeof(input); i++)
		input[i] = (uint8_t)i;
	ck_assert_uint_eq(hash_table(&key, "a", 1), 0x407448d2b89b1813);
	ck_assert_uint_eq(hash_table(&key, "12345678", 8), 0x3489982430560a87);
	ck_assert_uint_eq(hash_table(&key, "footfall, the table", 19), 0xc71dbdc303031e7e);
	ck_assert_uint_eq(hash_table(&key, input, sizeof(input)), 0x385d3e39e5f37359);
}
END_TEST

START_TEST(another_key_gives_another_hash)
{
	struct hash_key a, b;

	ck_assert_int_eq(hash_init(), 0);
	hash_key_random(&a);
	hash_key_random(&b);
	ck_assert(memcmp(&a, &b, sizeof(a)) != 0);
	ck_assert(hash_sip(&a, "x", 1) != hash_sip(&b, "x", 1));
}
END_TEST

START_TEST(the_checksum_sees_every_bit)
{
	uint8_t data[67];
	size_t len, bit;
	uint64_t sum;

	for (len = 1; len <= sizeof(data); len++) {
		memset(data, 0x5a, sizeof(data));
		sum = hash_mix(7, data, len);
		for (bit = 0; bit < len * 8; bit++) {
			data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			ck_assert_msg(hash_mix(7, data, len) != sum, "length %zu, bit %zu", len,
				      bit);
			data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
}
END_TEST

START_TEST(the_checksum_sees_length_and_seed)
{
	static const uint8_t zeros[100];
	uint64_t sums[100];
	size_t i, j;

	for (i = 0; i < 100; i++) {
		sums[i] = hash_mix(0, zeros, i);
		for (j = 0; j < i; j++)
			ck_assert_msg(sums[i] != sums[j], "lengths %zu and %zu", i, j);
	}
	for (i = 1; i < 1000; i++)
		ck_assert(hash_mix(i, zeros, 100) != hash_mix(i - 1, zeros, 100));
}
END_TEST

START_TEST(the_checksum_reads_no_byte_beyond_the_length)
{
	uint8_t data[64];
	size_t len;
	uint64_t sum;

	for (len = 0; len < 48; len++) {
		memset(data, 1, sizeof(data));
		sum = hash_mix(3, data, len);
		memset(data + len, 2, sizeof(data) - len);
		ck_assert(hash_mix(3, data, len) == sum);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("hash");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, siphash_gives_its_authors_vectors);
	tcase_add_test(t, what_tables_use_is_siphash_with_fewer_rounds);
	tcase_add_test(t, another_key_gives_another_hash);
	tcase_add_test(t, the_checksum_sees_every_bit);
	tcase_add_test(t, the_checksum_sees_length_and_seed);
	tcase_add_test(t, the_checksum_reads_no_byte_beyond_the_length);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
