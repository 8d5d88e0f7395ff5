/* Whether the lines of a request's head are seen to be whole where libmicrohttpd hides it. */
#include <check.h>
#include <stdlib.h>

#include "base/http_head.h"

/* What libmicrohttpd 0.9.75 does to a line in place: NUL over CR LF, or over a bare LF. Returns its
 * end, and moves *at behind it. */
static char *
cut_line(char **at, const char *end)
{
	char *lf = memchr(*at, '\n', (size_t)(end - *at));
	char *line_end = lf > *at && lf[-1] == '\r' ? lf - 1 : lf;

	*line_end = *lf = '\0';
	*at = lf + 1;
	return line_end;
}

static void
cut_header(struct http_head *h, char *line)
{
	char *colon = strchr(line, ':'), *value = colon + 1;

	*colon = '\0';
	value += strspn(value, " \t");
	http_head_see(h, text_of(line), text_of(value));
}

/* Hands over a head as it would; `after` stands behind it in the buffer. */
static bool
is_whole(const char *bytes, size_t len, const char *after)
{
	char buffer[512] = {0};
	char *at = buffer, *end = buffer + len, *target, *version, *line;
	struct http_head h;
	struct text raw;

	memcpy(buffer, bytes, len);
	memcpy(end, after, strlen(after));
	cut_line(&at, end);
	target = memchr(buffer, ' ', (size_t)(at - buffer));
	*target++ = '\0';
	target += strspn(target, " ");
	version = memchr(target, ' ', (size_t)(at - target));
	*version++ = '\0';
	raw = text_of(target);
	http_head_begin(&h, buffer, raw, version);
	for (line = at; at < end; line = at) {
		cut_line(&at, end);
		if (!*line)
			break;
		cut_header(&h, line);
	}
	return http_head_done(&h, (size_t)(at - buffer));
}

#define HEAD(s)                  \
	{                        \
		s, sizeof(s) - 1 \
	}

static const struct {
	const char *bytes;
	size_t len;
} whole[] =
    {
	HEAD("GET / HTTP/1.0\r\n\r\n"),
	HEAD("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
	HEAD("POST /x?y HTTP/1.1\r\nHost:a\r\nX:  \t b \t\r\nY:\r\nZ: \r\n\r\n"),
},
  broken[] = {
      HEAD("GET / HTTP/1.1\nHost: a\r\n\r\n"),
      HEAD("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
      HEAD("GET / HTTP/1.1\r\nHost: a\r\nX: b\n\r\n"),
      HEAD("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\n"),
      HEAD("GET / HTTP/1.1\r\nHost: a\r\nX: b\n\n"),
      HEAD("GET / HTTP/1.0\n\n"),
      HEAD("GET / HTTP/1.0\n\r\n"),
      HEAD("GET / HTTP/1.1\r\nHost: a\0\r\nX: b\r\n\r\n"),
      HEAD("GET / HTTP/1.1\r\nHost: a\0b\r\nX: c\r\n\r\n"),
      HEAD("GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n"),
      HEAD("GET / HTTP/1.1\r\nHost: a\r\n\0X: b\r\n\r\n"),
      HEAD("GET / HTTP/1.1\r\nHost: a\r\n\0\r\n\r\n"),
      HEAD("GET /\0x HTTP/1.1\r\nHost: a\r\n\r\n"),
      HEAD("G\0ET / HTTP/1.1\r\nHost: a\r\n\r\n"),
      HEAD("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
};

START_TEST(lines_that_end_with_cr_lf_are_whole)
{
	ck_assert(is_whole(whole[_i].bytes, whole[_i].len, ""));
	ck_assert(is_whole(whole[_i].bytes, whole[_i].len, "body"));
	ck_assert(is_whole(whole[_i].bytes, whole[_i].len, "\r\n"));
}
END_TEST

START_TEST(a_bare_lf_or_a_nul_anywhere_shows)
{
	ck_assert(!is_whole(broken[_i].bytes, broken[_i].len, ""));
	ck_assert(!is_whole(broken[_i].bytes, broken[_i].len, "body"));
	ck_assert(!is_whole(broken[_i].bytes, broken[_i].len, "\r\n"));
}
END_TEST

START_TEST(a_header_that_was_copied_elsewhere_shows)
{
	char buffer[] = "GET\0/\0HTTP/1.1\0\0Host\0 a\0\0\0";
	char folded[] = "HostX";
	const size_t len = sizeof(buffer); /* its own NUL is the last LF */
	struct text target = {buffer + 4, 1}, value = {buffer + 22, 1};
	struct http_head h;

	http_head_begin(&h, buffer, target, buffer + 6);
	http_head_see(&h, (struct text){buffer + 16, 4}, value);
	ck_assert(http_head_done(&h, len));
	http_head_begin(&h, buffer, target, buffer + 6);
	http_head_see(&h, (struct text){folded, 5}, value);
	ck_assert(!http_head_done(&h, len));
	http_head_begin(&h, buffer, target, buffer + 6);
	http_head_see(&h, (struct text){buffer + 16, 4}, (struct text){folded + 4, 1});
	ck_assert(!http_head_done(&h, len));
}
END_TEST

START_TEST(a_target_must_be_plain)
{
	static const char *const plain[] = {"/",         "/a?b=%20%30%3a", "*",
					    "http://h/", "/\xc3\xa4",      "/%0"};
	static const char *const other[] = {"/a b", "/a\tb", "/a\rb",        "/\x7f",
					    "/%00", "/%%00", "/12345678%00", "/?%00"};
	size_t i;

	for (i = 0; i < sizeof(plain) / sizeof(*plain); i++)
		ck_assert_msg(http_target_is_plain(text_of(plain[i])), "%s", plain[i]);
	for (i = 0; i < sizeof(other) / sizeof(*other); i++)
		ck_assert_msg(!http_target_is_plain(text_of(other[i])), "%s", other[i]);
}
END_TEST

START_TEST(only_older_libraries_hide_lines)
{
	ck_assert(http_head_is_hidden("0.9.75"));
	ck_assert(http_head_is_hidden("0.9.77"));
	ck_assert(!http_head_is_hidden("1.0.1"));
	ck_assert(!http_head_is_hidden("10.9.0"));
}
END_TEST

static bool
is_control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

START_TEST(the_first_control_character_is_found_wherever_it_stands)
{
	char bytes[48];
	size_t at, from, first;
	unsigned c;

	for (c = 0; c < 256; c++)
		for (from = 0; from < 3; from++)
			for (at = from; at < sizeof(bytes); at++) {
				memset(bytes, 'x', sizeof(bytes));
				bytes[40] = '\r';
				bytes[at] = (char)c;
				for (first = from; first < 48 && !is_control(bytes[first]);)
					first++;
				ck_assert_msg(http_control(bytes + from, bytes + 48) ==
						  bytes + first,
					      "%u at %zu from %zu", c, at, from);
			}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_head");
	TCase *c = tcase_create("http_head");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(c, lines_that_end_with_cr_lf_are_whole, 0,
			    sizeof(whole) / sizeof(*whole));
	tcase_add_loop_test(c, a_bare_lf_or_a_nul_anywhere_shows, 0,
			    sizeof(broken) / sizeof(*broken));
	tcase_add_test(c, a_header_that_was_copied_elsewhere_shows);
	tcase_add_test(c, a_target_must_be_plain);
	tcase_add_test(c, the_first_control_character_is_found_wherever_it_stands);
	tcase_add_test(c, only_older_libraries_hide_lines);
	suite_add_tcase(suite, c);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
