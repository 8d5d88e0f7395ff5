/* Texts: order, UTF-8 as RFC 3629 has it, UUIDs and hexadecimal. */
#include <check.h>

#include "base/text.h"

START_TEST(texts_are_equal_by_length_and_bytes)
{
	ck_assert(text_eq(TEXT_LIT("abc"), TEXT_LIT("abc")));
	ck_assert(!text_eq(TEXT_LIT("abc"), TEXT_LIT("abd")));
	ck_assert(!text_eq(TEXT_LIT("ab"), TEXT_LIT("abc")));
	ck_assert(text_eq((struct text){NULL, 0}, TEXT_LIT("")));
	ck_assert(text_is(TEXT_LIT("a\0b"), "a") == false);
	ck_assert(text_is(text_of(NULL), ""));
}
END_TEST

START_TEST(order_is_by_bytes_and_a_prefix_comes_first)
{
	ck_assert_int_eq(text_cmp(TEXT_LIT("a"), TEXT_LIT("b")), -1);
	ck_assert_int_eq(text_cmp(TEXT_LIT("b"), TEXT_LIT("a")), 1);
	ck_assert_int_eq(text_cmp(TEXT_LIT("a"), TEXT_LIT("a")), 0);
	ck_assert_int_eq(text_cmp(TEXT_LIT("a"), TEXT_LIT("ab")), -1);
	ck_assert_int_eq(text_cmp(TEXT_LIT("ab"), TEXT_LIT("a")), 1);
	ck_assert_int_eq(text_cmp(TEXT_LIT("\xff"), TEXT_LIT("a")), 1);
	ck_assert_int_eq(text_cmp(text_of(NULL), TEXT_LIT("a")), -1);
	ck_assert_int_eq(text_cmp(text_of(NULL), text_of(NULL)), 0);
}
END_TEST

static const struct {
	const char *bytes;
	bool good;
} utf8[] = {
    {"", true},
    {"plain", true},
    {"\xc3\xa9", true},          /* é */
    {"\xe2\x82\xac", true},      /* € */
    {"\xf0\x9f\x98\x80", true},  /* U+1F600 */
    {"\xed\x9f\xbf", true},      /* U+D7FF, the last before the surrogates */
    {"\xee\x80\x80", true},      /* U+E000, the first behind them */
    {"\xf4\x8f\xbf\xbf", true},  /* U+10FFFF */
    {"\x80", false},             /* a continuation alone */
    {"\xc3", false},             /* cut off */
    {"a\xe2\x82", false},        /* cut off */
    {"\xf0\x9f\x98", false},     /* cut off */
    {"\xc3\x28", false},         /* no continuation */
    {"\xe2\x28\xac", false},     /* no continuation in the middle */
    {"\xe2\x82\x28", false},     /* no continuation at the end */
    {"\xc0\x80", false},         /* overlong NUL */
    {"\xc1\xbf", false},         /* overlong */
    {"\xe0\x80\xaf", false},     /* overlong */
    {"\xe0\x9f\xbf", false},     /* overlong */
    {"\xf0\x8f\xbf\xbf", false}, /* overlong */
    {"\xed\xa0\x80", false},     /* a surrogate */
    {"\xed\xbf\xbf", false},     /* a surrogate */
    {"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
    {"\xf5\x80\x80\x80", false}, /* above U+10FFFF */
    {"\xff", false},
};

START_TEST(utf8_is_accepted_as_rfc_3629_has_it)
{
	size_t i;

	for (i = 0; i < sizeof(utf8) / sizeof(utf8[0]); i++)
		ck_assert_msg(text_is_utf8(text_of(utf8[i].bytes)) == utf8[i].good, "row %zu", i);
	ck_assert(text_is_utf8(TEXT_LIT("a\0b")));
}
END_TEST

START_TEST(every_code_point_is_valid_but_surrogates)
{
	uint32_t c;
	char b[4];
	size_t n;

	for (c = 0; c <= 0x10ffff; c++) {
		n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		if (n == 1)
			b[0] = (char)c;
		else
			b[0] = (char)((0xf00u >> n & 0xffu) | c >> (6 * (n - 1)));
		if (n > 1)
			b[n - 1] = (char)(0x80 | (c & 63));
		if (n > 2)
			b[n - 2] = (char)(0x80 | (c >> 6 & 63));
		if (n > 3)
			b[n - 3] = (char)(0x80 | (c >> 12 & 63));
		ck_assert_msg(text_is_utf8((struct text){b, n}) == (c < 0xd800 || c > 0xdfff),
			      "U+%X", c);
	}
}
END_TEST

START_TEST(a_uuid_of_either_case_is_read_and_written_in_lower_case)
{
	uint8_t uuid[16];
	char text[37];

	ck_assert(text_to_uuid(TEXT_LIT("6F1C9a52-5c0e-4f0f-9D55-0d6f5a3e8f10"), uuid));
	ck_assert_uint_eq(uuid[0], 0x6f);
	ck_assert_uint_eq(uuid[15], 0x10);
	text_from_uuid(uuid, text);
	ck_assert_str_eq(text, "6f1c9a52-5c0e-4f0f-9d55-0d6f5a3e8f10");
}
END_TEST

START_TEST(what_is_no_uuid_is_refused_and_changes_nothing)
{
	static const char *const bad[] = {
	    "",
	    "6f1c9a52-5c0e-4f0f-9d55-0d6f5a3e8f1",
	    "6f1c9a52-5c0e-4f0f-9d55-0d6f5a3e8f100",
	    "6f1c9a525-c0e-4f0f-9d55-0d6f5a3e8f10",
	    "6f1c9a52-5c0e-4f0f-9d55-0d6f5a3e8f1g",
	    "6f1c9a52 5c0e 4f0f 9d55 0d6f5a3e8f10",
	    "6f1c9a52-5c0e-4f0f-9d5--d6f5a3e8f100",
	    "{f1c9a52-5c0e-4f0f-9d55-0d6f5a3e8f1}",
	    "6f1c9a525c0e4f0f9d550d6f5a3e8f10",
	};
	uint8_t uuid[16], before[16];
	size_t i;

	memset(uuid, 0xa5, 16);
	memset(before, 0xa5, 16);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(!text_to_uuid(text_of(bad[i]), uuid), "%s", bad[i]);
		ck_assert_mem_eq(uuid, before, 16);
	}
}
END_TEST

START_TEST(every_digit_of_a_uuid_is_looked_at)
{
	const char good[] = "0123456789abcdefABCDEF";
	char text[37];
	uint8_t uuid[16];
	unsigned at, c;
	bool digit, dash;

	for (at = 0; at < 36; at++)
		for (c = 0; c < 256; c++) {
			memcpy(text, "6f1c9a52-5c0e-4f0f-9d55-0d6f5a3e8f10", sizeof(text));
			dash = text[at] == '-';
			text[at] = (char)c;
			digit = c && strchr(good, (int)c);
			ck_assert_msg(text_to_uuid((struct text){text, 36}, uuid) ==
					  (dash ? c == '-' : digit),
				      "%u at %u", c, at);
			if (!digit || dash)
				continue;
			text_from_uuid(uuid, text);
			ck_assert_int_eq(text[at], c >= 'A' && c <= 'F' ? (int)c + 32 : (int)c);
		}
}
END_TEST

START_TEST(bytes_become_lower_case_hexadecimal)
{
	const uint8_t bytes[] = {0x00, 0x0f, 0xf0, 0xff};
	char text[9];

	text_from_bytes(bytes, 4, text);
	ck_assert_str_eq(text, "000ff0ff");
	text_from_bytes(bytes, 0, text);
	ck_assert_str_eq(text, "");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("text");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, texts_are_equal_by_length_and_bytes);
	tcase_add_test(t, order_is_by_bytes_and_a_prefix_comes_first);
	tcase_add_test(t, utf8_is_accepted_as_rfc_3629_has_it);
	tcase_add_test(t, every_code_point_is_valid_but_surrogates);
	tcase_add_test(t, a_uuid_of_either_case_is_read_and_written_in_lower_case);
	tcase_add_test(t, what_is_no_uuid_is_refused_and_changes_nothing);
	tcase_add_test(t, every_digit_of_a_uuid_is_looked_at);
	tcase_add_test(t, bytes_become_lower_case_hexadecimal);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
