/* The head of a request, read from bytes in memory: at every byte it is known whether it can still
 * become one, is one, or never will be; and answers, whose bytes stand ready. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/http_answer.h"
#include "node/http_request.h"

static char join[HEADER_JOIN_MAX];

/* From a block of exactly len bytes, so that asan sees a look behind it. Texts are lent until the
 * next call. */
static enum http_read
read_len(struct http_request *r, const char *at, size_t len)
{
	static char *block;

	free(block);
	block = malloc(len ? len : 1);
	ck_assert_ptr_nonnull(block);
	memcpy(block, at, len);
	memset(join, 'j', sizeof(join));
	return http_request_read(r, block, len, join, TEXT_LIT("X-Country"));
}

static enum http_read
read_text(struct http_request *r, const char *text)
{
	return read_len(r, text, strlen(text));
}

static void
is_text(struct text t, const char *expected)
{
	if (!expected)
		ck_assert_ptr_null(t.at);
	else
		ck_assert_msg(t.at && text_is(t, expected), "\"" TEXT_FMT "\", not \"%s\"",
			      TEXT_ARG(t), expected);
}

/* -- good heads -- */

static const struct good {
	const char *head, *method, *path;
	bool http_1_0;
} good[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", false},
    {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", false},
    {"GET / HTTP/1.0\r\n\r\n", "GET", "/", true},
    {"GET / HTTP/1.0\r\nHost:\r\n\r\n", "GET", "/", true},
    {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", "GET", "/", false},
    {"GET / HTTP/1.9\r\nHost: a\r\n\r\n", "GET", "/", false},
    {"POST /api/x?a=/b?c HTTP/1.1\r\nHost: a\r\n\r\n", "POST", "/api/x", false},
    {"GET ? HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "", false},
    {"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/a#b", false},
    {"GET http://a/p?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/p", false},
    {"GET HTTPS://a:1/p/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/p/", false},
    {"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "", false},
    {"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "", false},
    {"GET http://a?b=/p HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "", false}, /* no path's slash */
    {"GET http:/p HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "http:/p", false},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", "*", false},
    {"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT", "a:443", false},
    {"x!#$%&'*+-.^_`|~9 /%2f%0 HTTP/1.1\r\nHost: a\r\n\r\n", "x!#$%&'*+-.^_`|~9", "/%2f%0", false},
    {"GET /\xc3\xa4\xff HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/\xc3\xa4\xff", false},
    {"GET / HTTP/1.1\r\nX:\r\nHost:a\r\nY: \t b \tc\xff \t \r\n\r\n", "GET", "/", false},
};

START_TEST(a_good_head_is_known_at_its_last_byte_and_not_before)
{
	const struct good *g = &good[_i];
	size_t len = strlen(g->head), i;
	struct http_request r;
	char more[512];

	for (i = 0; i < len; i++)
		ck_assert_msg(read_len(&r, g->head, i) == HTTP_MORE, "%zu of %s", i, g->head);
	ck_assert_int_eq(read_len(&r, g->head, len), HTTP_WHOLE);
	ck_assert_uint_eq(r.head_len, len);
	is_text(r.method, g->method);
	is_text(r.path, g->path);
	ck_assert(r.http_1_0 == g->http_1_0);
	/* what follows is no part of it, whatever it is */
	i = (size_t)sprintf(more, "%s\r\n:\x01Host: b\n", g->head);
	ck_assert_int_eq(read_len(&r, more, i), HTTP_WHOLE);
	ck_assert_uint_eq(r.head_len, len);
}
END_TEST

/* -- bad heads -- */

#define LINE "GET / HTTP/1.1\r\n"

/* `wrong`: the byte with which it is refused, counted from 0. */
static const struct bad {
	const char *head;
	size_t wrong;
	enum http_read why;
} bad[] = {
    {" GET / HTTP/1.1\r\n", 0, HTTP_MALFORMED},
    {"\nGET / HTTP/1.1\r\n", 0, HTTP_MALFORMED},
    {"\rGET / HTTP/1.1\r\n", 1, HTTP_MALFORMED},
    {"\r\n\r\nGET / HTTP/1.1\r\n", 2, HTTP_MALFORMED}, /* one empty line is enough */
    {"GE:T / HTTP/1.1\r\n", 2, HTTP_MALFORMED},
    {"GET\t/ HTTP/1.1\r\n", 3, HTTP_MALFORMED},
    {"GET\r\n", 3, HTTP_MALFORMED},
    {"G\xc3T / HTTP/1.1\r\n", 1, HTTP_MALFORMED},
    {"\x16\x03\x01", 0, HTTP_MALFORMED},
    {"GET  / HTTP/1.1\r\n", 4, HTTP_MALFORMED},
    {"GET /\t HTTP/1.1\r\n", 5, HTTP_MALFORMED},
    {"GET /a\x7f HTTP/1.1\r\n", 6, HTTP_MALFORMED},
    {"GET /a\r\n", 6, HTTP_MALFORMED},
    {"GET /a\n", 6, HTTP_MALFORMED},
    {"GET /%00 HTTP/1.1\r\n", 7, HTTP_MALFORMED},
    {"GET /?%2500%00 HTTP/1.1\r\n", 13, HTTP_MALFORMED},
    {"GET /  HTTP/1.1\r\n", 6, HTTP_MALFORMED},
    {"GET / http/1.1\r\n", 6, HTTP_MALFORMED},
    {"GET / HTTP/1,1\r\n", 12, HTTP_MALFORMED},
    {"GET / HTTP/11.1\r\n", 12, HTTP_MALFORMED},
    {"GET / HTTP/1.10\r\n", 14, HTTP_MALFORMED},
    {"GET / HTTP/1.1 \r\n", 14, HTTP_MALFORMED},
    {"GET / HTTP/1.1\n", 14, HTTP_MALFORMED},
    {"GET / HTTP/1.1\r\r", 15, HTTP_MALFORMED},
    {"PRI * HTTP/2.0\r\n", 13, HTTP_VERSION},
    {"GET / HTTP/0.9\r\n", 13, HTTP_VERSION},
    {LINE " X: a\r\n", 16, HTTP_REFUSED},
    {LINE "\tX: a\r\n", 16, HTTP_REFUSED},
    {LINE ": a\r\n", 16, HTTP_REFUSED},
    {LINE "\n", 16, HTTP_REFUSED},
    {LINE "\rX", 17, HTTP_REFUSED},
    {LINE "X\r\n", 17, HTTP_REFUSED},
    {LINE "X : a\r\n", 17, HTTP_REFUSED},
    {LINE "X\xff: a\r\n", 17, HTTP_REFUSED},
    {LINE "X: a\nY: b\r\n", 20, HTTP_REFUSED},
    {LINE "X: a\r\rb", 21, HTTP_REFUSED},
    {LINE "X: \x7f\r\n", 19, HTTP_REFUSED},
    {LINE "X: 12345678\x0b\r\n", 27, HTTP_REFUSED},
    {LINE "X: a\r\n b\r\n", 22, HTTP_REFUSED},
    /* what a whole line says is known at its end */
    {LINE "Host: a b\r\n", 26, HTTP_REFUSED},
    {LINE "Content-Length: -1\r\n", 35, HTTP_REFUSED},
    {LINE "Host: a\r\nHOST: a\r\n", 33, HTTP_REFUSED},
    /* and what the whole says, at the end of the head */
    {LINE "X: a\r\n\r\n", 23, HTTP_REFUSED},
    {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 45, HTTP_REFUSED},
};

START_TEST(a_bad_head_is_refused_with_its_first_wrong_byte)
{
	const struct bad *b = &bad[_i];
	size_t len = strlen(b->head), i;
	struct http_request r;
	enum http_read got;

	ck_assert_uint_lt(b->wrong, len);
	for (i = 0; i <= len; i++) {
		got = read_len(&r, b->head, i);
		ck_assert_msg(got == (i <= b->wrong ? HTTP_MORE : b->why), "%d after %zu of %s",
			      (int)got, i, b->head);
		ck_assert((got == HTTP_REFUSED) == (r.set.guard.fault != NULL));
	}
}
END_TEST

START_TEST(a_nul_is_refused_wherever_it_stands)
{
	static const char head[] = "GET /abc HTTP/1.1\r\nHost: a\r\nX: 123456789\r\n\r\n";
	char with[sizeof(head) + 1];
	struct http_request r;
	enum http_read got;
	size_t at;

	for (at = 0; at + 1 < sizeof(head); at++) {
		memcpy(with, head, at);
		with[at] = '\0';
		memcpy(with + at + 1, head + at, sizeof(head) - at);
		ck_assert_int_eq(read_len(&r, with, at), HTTP_MORE);
		got = read_len(&r, with, at + 1);
		ck_assert_msg(got == HTTP_MALFORMED || got == HTTP_REFUSED, "at %zu", at);
	}
}
END_TEST

/* -- what is kept -- */

START_TEST(values_are_kept_without_the_blanks_around_them)
{
	struct http_request r;

	ck_assert_int_eq(read_text(&r, LINE "Host: a\r\nUser-Agent: \t a\tb \xff \t\r\nAccept:\r\n"
					    "ORIGIN:https://a\r\nx-country: DE\r\n\r\n"),
			 HTTP_WHOLE);
	is_text(r.set.user_agent, "a\tb \xff");
	is_text(r.set.accept, "");
	is_text(r.set.origin, "https://a");
	is_text(r.set.country, "DE");
	is_text(r.set.accept_language, NULL);
	ck_assert(!r.set.guard.has_length);
}
END_TEST

START_TEST(the_path_is_unknown_until_the_request_line_is_whole)
{
	struct http_request r;

	ck_assert_int_eq(read_text(&r, "GET /a HTTP/1.1\r"), HTTP_MORE);
	is_text(r.path, NULL);
	is_text(r.method, "GET");
	ck_assert_int_eq(read_text(&r, "GET /a HTTP/1.1\r\n"), HTTP_MORE);
	is_text(r.path, "/a");
	ck_assert_int_eq(read_text(&r, "GET /a HTTP/1.1\r\n:"), HTTP_REFUSED);
	is_text(r.path, "/a");
	ck_assert_int_eq(read_text(&r, "GET /a HTTP/1.1 "), HTTP_MALFORMED);
	is_text(r.path, NULL);
}
END_TEST

/* -- paths -- */

static const struct {
	const char *path, *decoded;
} paths[] = {
    {"", ""},
    {"/a/b", "/a/b"},
    {"/a%2fb", "/a/b"},
    {"%41%4a%4A", "AJJ"},
    {"/%2525", "/%25"},
    {"/%e4%F6", "/\xe4\xf6"},
    {"/%", "/%"},
    {"/%4", "/%4"},
    {"/%4g%g4", "/%4g%g4"},
    {"/%%41", "/%A"},
    {"/a+b", "/a+b"},
};

START_TEST(a_path_is_decoded_once_and_odd_percents_stay)
{
	struct text path = text_of(paths[_i].path);
	size_t len = strlen(paths[_i].decoded), got = 99;
	char out[16];

	ck_assert(http_path_decode(path, out, len, &got));
	is_text((struct text){out, got}, paths[_i].decoded);
	if (len > 0)
		ck_assert(!http_path_decode(path, out, len - 1, &got));
}
END_TEST

/* -- answers -- */

static void
is_answer(const struct http_answer *a, const char *head, const char *body)
{
	ck_assert_uint_eq(a->head_len, strlen(head));
	ck_assert_uint_eq(a->len, strlen(head) + strlen(body));
	ck_assert_mem_eq(a->bytes, head, a->head_len);
	ck_assert_mem_eq(a->bytes + a->head_len, body, strlen(body));
}

#define DATE "\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"

START_TEST(an_answer_says_its_length_unless_its_status_has_no_body)
{
	struct http_answer a;

	ck_assert(http_answer_make(&a, 200, "X: y\r\n", false, "body", 4));
	is_answer(&a, "HTTP/1.1 200 OK" DATE "X: y\r\nContent-Length: 4\r\n\r\n", "body");
	ck_assert(!a.closes && !a.lasts);
	http_answer_free(&a);
	ck_assert_ptr_null(a.bytes);
	ck_assert(http_answer_make(&a, 404, "", true, NULL, 0));
	is_answer(
	    &a, "HTTP/1.1 404 Not Found" DATE "Connection: close\r\nContent-Length: 0\r\n\r\n", "");
	ck_assert(a.closes);
	http_answer_free(&a);
	ck_assert(http_answer_make(&a, 204, "", false, NULL, 0));
	is_answer(&a, "HTTP/1.1 204 No Content" DATE "\r\n", "");
	http_answer_free(&a);
	ck_assert(http_answer_make(&a, 304, "ETag: \"x\"\r\n", true, NULL, 0));
	is_answer(&a, "HTTP/1.1 304 Not Modified" DATE "ETag: \"x\"\r\nConnection: close\r\n\r\n",
		  "");
	http_answer_free(&a);
}
END_TEST

START_TEST(an_answer_that_does_not_fit_is_none)
{
	char bytes[HTTP_ANSWER_MAX], headers[HTTP_HEAD_MAX + 8];
	struct http_answer a;
	size_t need, cap;

	ck_assert(http_answer_write(&a, bytes, sizeof(bytes), 200, "", false, "body", 4));
	need = a.len;
	for (cap = 1; cap < need; cap++) {
		memset(bytes, '#', sizeof(bytes));
		ck_assert(!http_answer_write(&a, bytes, cap, 200, "", false, "body", 4));
		ck_assert_int_eq(bytes[cap], '#');
	}
	memset(bytes, '#', sizeof(bytes));
	ck_assert(http_answer_write(&a, bytes, need, 200, "", false, "body", 4));
	ck_assert_uint_eq(a.len, need);
	ck_assert_int_eq(bytes[need], '#');
	ck_assert(http_answer_write(&a, bytes, sizeof(bytes), 204, "", false, NULL, 0));
	need = a.len;
	for (cap = 1; cap <= need; cap++) /* it is written with a NUL behind it */
		ck_assert(!http_answer_write(&a, bytes, cap, 204, "", false, NULL, 0));
	memset(headers, 'x', sizeof(headers));
	headers[sizeof(headers) - 1] = '\0';
	ck_assert(!http_answer_make(&a, 200, headers, false, "body", 4));
	ck_assert(!http_answer_make(&a, 204, headers, true, NULL, 0));
}
END_TEST

START_TEST(a_date_is_set_where_the_date_stands)
{
	static const unsigned statuses[] = {200, 204, 304, 400, 404, 405, 411,
					    413, 414, 429, 431, 503, 505, 599};
	char expected[HTTP_HEAD_MAX], phrase[64], *end;
	struct http_answer a;
	size_t i;

	for (i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
		ck_assert(http_answer_make(&a, statuses[i], "", false, "b", 1));
		ck_assert_int_eq(sscanf(a.bytes, "HTTP/1.1 %63[^\r]", phrase), 1);
		http_answer_set_date(&a, "Sun, 06 Nov 1994 08:49:37 GMT");
		end = expected + sprintf(expected, "HTTP/1.1 %s\r\n%s\r\n", phrase,
					 "Date: Sun, 06 Nov 1994 08:49:37 GMT");
		ck_assert_mem_eq(a.bytes, expected, (size_t)(end - expected));
		ck_assert_uint_eq((unsigned)strtoul(phrase, &end, 10), statuses[i]);
		http_answer_free(&a);
	}
}
END_TEST

static const struct {
	int64_t unix_s;
	const char *date;
} dates[] = {
    {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
    {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"}, /* RFC 9110, section 5.6.7 */
    {951825599, "Tue, 29 Feb 2000 11:59:59 GMT"},
    {1709251199, "Thu, 29 Feb 2024 23:59:59 GMT"},
    {1709251200, "Fri, 01 Mar 2024 00:00:00 GMT"},
    {1767225599, "Wed, 31 Dec 2025 23:59:59 GMT"},
    {4102444800, "Fri, 01 Jan 2100 00:00:00 GMT"},
    {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
};

START_TEST(dates_are_written_as_rfc_9110_says)
{
	char date[HTTP_DATE_LEN + 1];

	http_date(dates[_i].unix_s, date);
	ck_assert_str_eq(date, dates[_i].date);
	ck_assert_uint_eq(strlen(date), HTTP_DATE_LEN);
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof(*(table)))

int
main(void)
{
	Suite *s = suite_create("http_request");
	TCase *c = tcase_create("http_request");
	SRunner *r;
	int failed;

	tcase_add_loop_test(c, a_good_head_is_known_at_its_last_byte_and_not_before, 0, N(good));
	tcase_add_loop_test(c, a_bad_head_is_refused_with_its_first_wrong_byte, 0, N(bad));
	tcase_add_test(c, a_nul_is_refused_wherever_it_stands);
	tcase_add_test(c, values_are_kept_without_the_blanks_around_them);
	tcase_add_test(c, the_path_is_unknown_until_the_request_line_is_whole);
	tcase_add_loop_test(c, a_path_is_decoded_once_and_odd_percents_stay, 0, N(paths));
	tcase_add_test(c, an_answer_says_its_length_unless_its_status_has_no_body);
	tcase_add_test(c, an_answer_that_does_not_fit_is_none);
	tcase_add_test(c, a_date_is_set_where_the_date_stands);
	tcase_add_loop_test(c, dates_are_written_as_rfc_9110_says, 0, N(dates));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
