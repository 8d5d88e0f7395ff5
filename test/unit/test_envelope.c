/* Signed datagrams: golden bytes, and that nothing but the signed bytes passes. */
#include "golden.h"

#include "base/buf.h"
#include "proto/envelope.h"

static const char *const vectors[] = {"envelope-least", "envelope-full", "envelope-block"};

static uint8_t bytes[GOLDEN_MAX];
static size_t len;
static uint8_t key[ENVELOPE_KEY_BYTES];

static void
take_key(const json_t *j)
{
	ck_assert(text_to_bytes(golden_text(j, "key"), key, sizeof(key)));
}

static void
take_key_of(const char *name)
{
	json_t *j = golden_json(name);

	take_key(j);
	json_decref(j);
}

/* Into `bytes`: an envelope with this name and payload. */
static size_t
sealed(struct text name, struct text payload)
{
	struct envelope e = {.key_name = name, .seq = 1, .time_ms = 1, .payload = payload};

	return envelope_write(&e, key, bytes, sizeof(bytes));
}

START_TEST(golden_bytes_read_as_what_they_say)
{
	json_t *j = golden_json(vectors[_i]);
	uint8_t payload[GOLDEN_MAX];
	struct envelope e;

	take_key(j);
	len = golden_bytes(vectors[_i], bytes);
	ck_assert(envelope_is(bytes, len));
	ck_assert(envelope_read(bytes, len, &e));
	ck_assert(envelope_verify(&e, key));
	golden_text_eq("key_name", e.key_name, golden_text(j, "key_name"));
	ck_assert_uint_eq(e.boot, golden_u64(j, "boot"));
	ck_assert_int_eq((int64_t)e.seq, golden_int(j, "seq"));
	ck_assert_int_eq(e.time_ms, golden_int(j, "time_ms"));
	ck_assert_uint_eq(e.payload.len, golden_hex(golden_text(j, "payload").at, payload));
	ck_assert_mem_eq(e.payload.at, payload, e.payload.len);
	json_decref(j);
}
END_TEST

START_TEST(what_was_read_is_written_to_the_same_bytes)
{
	json_t *j = golden_json(vectors[_i]);
	uint8_t again[GOLDEN_MAX];
	struct envelope e;
	size_t n;

	take_key(j);
	len = golden_bytes(vectors[_i], bytes);
	ck_assert(envelope_read(bytes, len, &e));
	n = envelope_write(&e, key, again, sizeof(again));
	ck_assert_uint_eq(n, len);
	ck_assert_uint_eq(n, ENVELOPE_BYTES(e.key_name.len) + e.payload.len);
	ck_assert_mem_eq(again, bytes, n);
	ck_assert_uint_eq(envelope_write(&e, key, again, n - 1), 0);
	json_decref(j);
}
END_TEST

START_TEST(a_changed_bit_anywhere_is_noticed)
{
	struct envelope e;
	size_t i;

	len = golden_bytes("envelope-full", bytes);
	take_key_of("envelope-full");
	for (i = 0; i < 8 * len; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		ck_assert(!envelope_read(bytes, len, &e) || !envelope_verify(&e, key));
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	ck_assert(envelope_read(bytes, len, &e) && envelope_verify(&e, key));
}
END_TEST

START_TEST(another_key_does_not_verify)
{
	struct envelope e;

	len = golden_bytes("envelope-full", bytes);
	take_key_of("envelope-full");
	key[31] ^= 1;
	ck_assert(envelope_read(bytes, len, &e));
	ck_assert(!envelope_verify(&e, key));
}
END_TEST

START_TEST(a_cut_envelope_is_no_envelope)
{
	struct envelope e;
	size_t n;

	len = golden_bytes("envelope-least", bytes);
	for (n = 0; n < ENVELOPE_BYTES(1) + 1; n++)
		ck_assert(!envelope_read(bytes, n, &e));
	/* longer ones are whole, with another payload: their tag does not hold */
	for (; n < len; n++)
		ck_assert(envelope_read(bytes, n, &e) && !envelope_verify(&e, key));
}
END_TEST

/* Offsets of envelope-least: version 4, boot 5, seq 13, time 21, length of the name 29. */
static const struct {
	size_t at;
	uint64_t value;
	unsigned width;
} bad_fields[] = {
    {0, 'f', 1},
    {4, 0, 1},
    {4, 2, 1},
    {13, 0, 8},
    {13, ENVELOPE_SEQ_MAX + 1, 8},
    {13, UINT64_MAX, 8},
    {21, (uint64_t)EVENT_TS_MAX_MS + 1, 8},
    {21, UINT64_MAX, 8},
    {29, 0, 1},
    {29, 255, 1},
    {30, ' ', 1},
    {30, 0, 1},
};

START_TEST(fields_out_of_range_are_refused)
{
	struct writer w;
	struct envelope e;

	len = golden_bytes("envelope-least", bytes);
	ck_assert(envelope_read(bytes, len, &e));
	w = writer_of(bytes + bad_fields[_i].at, 8);
	if (bad_fields[_i].width == 8)
		put_u64(&w, bad_fields[_i].value);
	else
		put_u8(&w, (uint8_t)bad_fields[_i].value);
	ck_assert(!envelope_read(bytes, len, &e));
}
END_TEST

START_TEST(what_no_reader_takes_is_not_written)
{
	static const char name65[] =
	    "12345678901234567890123456789012345678901234567890123456789012345";
	struct envelope e = {.key_name = TEXT_LIT("a"), .payload = TEXT_LIT("x")};

	ck_assert_uint_eq(envelope_write(&e, key, bytes, sizeof(bytes)), 0); /* seq 0 */
	ck_assert_uint_eq(sealed(TEXT_LIT("a"), (struct text){NULL, 0}), 0);
	ck_assert_uint_eq(sealed(TEXT_LIT("a b"), TEXT_LIT("x")), 0);
	ck_assert_uint_eq(sealed(text_of(name65), TEXT_LIT("x")), 0);
	ck_assert_uint_gt(sealed((struct text){name65, 64}, TEXT_LIT("x")), 0);
}
END_TEST

START_TEST(no_map_or_array_looks_like_an_envelope)
{
	unsigned first;

	for (first = 0x80; first <= 0xdf; first++) {
		memcpy(bytes, "FFSD", 4);
		bytes[0] = (uint8_t)first;
		ck_assert(!envelope_is(bytes, 64));
	}
	ck_assert(!envelope_is((const uint8_t *)"FFS", 3));
	ck_assert(!envelope_is(bytes, 0));
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("envelope");

	tcase_add_loop_test(t, golden_bytes_read_as_what_they_say, 0, 3);
	tcase_add_loop_test(t, what_was_read_is_written_to_the_same_bytes, 0, 3);
	tcase_add_test(t, a_changed_bit_anywhere_is_noticed);
	tcase_add_test(t, another_key_does_not_verify);
	tcase_add_test(t, a_cut_envelope_is_no_envelope);
	tcase_add_loop_test(t, fields_out_of_range_are_refused, 0,
			    (int)(sizeof(bad_fields) / sizeof(bad_fields[0])));
	tcase_add_test(t, what_no_reader_takes_is_not_written);
	tcase_add_test(t, no_map_or_array_looks_like_an_envelope);
	return golden_run("envelope", t);
}
