/* Bounded writing and reading: what was put is got, and what does not fit sticks as an error. */
#include <check.h>
#include <math.h>

#include "base/buf.h"

START_TEST(what_was_put_is_got)
{
	uint8_t bytes[128];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct reader r;

	put_u8(&w, 0xfe);
	put_u16(&w, 0xfedc);
	put_u32(&w, 0xfedcba98);
	put_u64(&w, 0xfedcba9876543210);
	put_u32_be(&w, 0x01020304);
	put_u64_be(&w, 0x0102030405060708);
	put_f64(&w, -0.0);
	put_varint(&w, 300);
	put_zigzag(&w, INT64_MIN);
	put_text8(&w, TEXT_LIT("text"));
	put_text8(&w, text_of(NULL));
	ck_assert(!w.bad);

	r = reader_of(bytes, w.len);
	ck_assert_uint_eq(get_u8(&r), 0xfe);
	ck_assert_uint_eq(get_u16(&r), 0xfedc);
	ck_assert_uint_eq(get_u32(&r), 0xfedcba98);
	ck_assert(get_u64(&r) == 0xfedcba9876543210);
	ck_assert_uint_eq(get_u32_be(&r), 0x01020304);
	ck_assert(get_u64_be(&r) == 0x0102030405060708);
	ck_assert(signbit(get_f64(&r)) != 0);
	ck_assert_uint_eq(get_varint(&r), 300);
	ck_assert(get_zigzag(&r) == INT64_MIN);
	ck_assert(text_is(get_text8(&r), "text"));
	ck_assert(get_text8(&r).at == NULL);
	ck_assert(!r.bad);
	ck_assert_uint_eq(reader_left(&r), 0);
}
END_TEST

START_TEST(integers_stand_in_the_order_that_their_names_say)
{
	uint8_t bytes[12];
	struct writer w = writer_of(bytes, sizeof(bytes));

	put_u32(&w, 0x01020304);
	put_u64_be(&w, 0x0102030405060708);
	ck_assert_mem_eq(bytes, "\4\3\2\1\1\2\3\4\5\6\7\10", 12);
}
END_TEST

START_TEST(a_put_that_does_not_fit_writes_nothing_and_sticks)
{
	uint8_t bytes[5] = {9, 9, 9, 9, 9};
	struct writer w = writer_of(bytes, 4);

	put_u8(&w, 1);
	put_u32(&w, 2);
	ck_assert(w.bad);
	ck_assert_uint_eq(w.len, 1);
	put_u8(&w, 3);
	ck_assert_uint_eq(w.len, 1);
	ck_assert_mem_eq(bytes, "\1\11\11\11\11", 5);
}
END_TEST

START_TEST(a_text_longer_than_255_bytes_is_refused)
{
	static char long_text[256];
	uint8_t bytes[300];
	struct writer w = writer_of(bytes, sizeof(bytes));

	put_text8(&w, (struct text){long_text, 255});
	ck_assert(!w.bad);
	put_text8(&w, (struct text){long_text, 256});
	ck_assert(w.bad);
}
END_TEST

START_TEST(a_get_behind_the_end_reads_zero_and_sticks)
{
	const uint8_t bytes[] = {1, 2, 3};
	struct reader r = reader_of(bytes, 3);

	ck_assert_uint_eq(get_u16(&r), 0x0201);
	ck_assert_uint_eq(get_u32(&r), 0);
	ck_assert(r.bad);
	ck_assert_uint_eq(get_u8(&r), 0);
	ck_assert_uint_eq(reader_left(&r), 0);
	ck_assert(get_bytes(&r, 0) == NULL);
}
END_TEST

START_TEST(a_text_cut_off_is_absent_and_sticks)
{
	const uint8_t bytes[] = {4, 'a', 'b'};
	struct reader r = reader_of(bytes, 3);
	struct text t = get_text8(&r);

	ck_assert(r.bad);
	ck_assert(t.at == NULL && t.len == 0);
}
END_TEST

START_TEST(varints_of_every_length_come_back)
{
	uint8_t bytes[10], tight[10];
	struct writer w, exact, short_of_one;
	struct reader r;
	unsigned bit;
	uint64_t v;

	for (bit = 0; bit < 64; bit++) {
		for (v = (UINT64_C(1) << bit) - 1;; v++) {
			w = writer_of(bytes, sizeof(bytes));
			put_varint(&w, v);
			ck_assert(!w.bad);
			r = reader_of(bytes, w.len);
			ck_assert(get_varint(&r) == v && !r.bad && reader_left(&r) == 0);
			r = reader_of(bytes, w.len - 1);
			get_varint(&r);
			ck_assert(r.bad);
			exact = writer_of(tight, w.len);
			put_varint(&exact, v);
			ck_assert(!exact.bad && exact.len == w.len);
			ck_assert_mem_eq(tight, bytes, w.len);
			short_of_one = writer_of(tight, w.len - 1);
			put_varint(&short_of_one, v);
			ck_assert(short_of_one.bad);
			if (v == UINT64_C(1) << bit)
				break;
		}
	}
}
END_TEST

START_TEST(zigzag_keeps_small_numbers_of_both_signs_short)
{
	static const int64_t values[] = {0, -1, 1, -64, 63, -65, 64, INT64_MIN, INT64_MAX};
	static const size_t lengths[] = {1, 1, 1, 1, 1, 2, 2, 10, 10};
	uint8_t bytes[10];
	struct writer w;
	struct reader r;
	size_t i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		w = writer_of(bytes, sizeof(bytes));
		put_zigzag(&w, values[i]);
		ck_assert_uint_eq(w.len, lengths[i]);
		r = reader_of(bytes, w.len);
		ck_assert(get_zigzag(&r) == values[i]);
	}
}
END_TEST

START_TEST(a_value_has_one_varint_form_only)
{
	static const char *const bad[] = {
	    "\x80\x00",                                 /* zero in two bytes */
	    "\xff\x80\x00",                             /* a zero last byte */
	    "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", /* bit 65 */
	    "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81", /* goes on behind 64 bits */
	};
	static const size_t len[] = {2, 3, 10, 10};
	struct reader r;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r = reader_of(bad[i], len[i]);
		ck_assert_uint_eq(get_varint(&r), 0);
		ck_assert_msg(r.bad, "row %zu", i);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("buf");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, what_was_put_is_got);
	tcase_add_test(t, integers_stand_in_the_order_that_their_names_say);
	tcase_add_test(t, a_put_that_does_not_fit_writes_nothing_and_sticks);
	tcase_add_test(t, a_text_longer_than_255_bytes_is_refused);
	tcase_add_test(t, a_get_behind_the_end_reads_zero_and_sticks);
	tcase_add_test(t, a_text_cut_off_is_absent_and_sticks);
	tcase_add_test(t, varints_of_every_length_come_back);
	tcase_add_test(t, zigzag_keeps_small_numbers_of_both_signs_short);
	tcase_add_test(t, a_value_has_one_varint_form_only);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
