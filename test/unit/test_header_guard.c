/* What a request's headers may say, and what is kept of them. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/http_request.h"
#include "node/ingest_http_static.h"

#define LINES_MAX 10

static char join[HEADER_JOIN_MAX];

struct line {
	const char *name, *value;
};

/* True when all lines and the whole pass, in a request that is well-formed but for them. */
static bool
read_lines(struct header_set *h, const struct line *lines, bool http_1_0)
{
	static char head[4096];
	struct http_request r;
	enum http_read got;
	size_t i;
	int n = sprintf(head, "POST / HTTP/1.%d\r\n", http_1_0 ? 0 : 1);

	for (i = 0; i < LINES_MAX && lines[i].name; i++)
		n += sprintf(head + n, "%s: %s\r\n", lines[i].name, lines[i].value);
	n += sprintf(head + n, "\r\n");
	got = http_request_read(&r, head, (size_t)n, join, TEXT_LIT("X-Country"));
	*h = r.set;
	ck_assert(got == HTTP_WHOLE ? !h->guard.fault : got == HTTP_REFUSED && h->guard.fault);
	return got == HTTP_WHOLE;
}

static const struct line refused[][LINES_MAX] = {
    {{"Host", "a"}, {"Content-Length", "5"}, {"Content-Length", "5"}},
    {{"Host", "a"}, {"Content-Length", ""}, {"Content-Length", "5"}},
    {{"Host", "a"}, {"Content-Length", "+5"}},
    {{"Host", "a"}, {"Content-Length", "-1"}},
    {{"Host", "a"}, {"Content-Length", "0x5"}},
    {{"Host", "a"}, {"Content-Length", "5, 5"}},
    {{"Host", "a"}, {"Content-Length", ""}},
    {{"Host", "a"}, {"Content-Length", "1000000000000000000000000"}},
    {{"Host", "a"}, {"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}},
    {{"Host", "a"}, {"Transfer-Encoding", "chunked"}, {"Content-Length", "5"}},
    {{"Host", "a"}, {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}},
    {{"Host", "a"}, {"Transfer-Encoding", "xchunked"}},
    {{"Host", "a"}, {"Transfer-Encoding", "gzip, chunked"}},
    {{"Host", "a"}, {"Transfer-Encoding", ""}},
    {{"Host", "a"}, {"Transfer-Encoding ", "chunked"}},
    {{"Host", "a"}, {"Content-Length\t", "5"}},
    {{"Host", "a"}, {" X", "1"}},
    {{"Host", "a"}, {"", "1"}},
    {{"Host", "a"}, {"X\x80", "1"}},
    {{"Host", "a"}, {"X", "a\rb"}},
    {{"Host", "a"}, {"X", "a\nb"}},
    {{"Host", "a"}, {"X", "a\x7f"}},
    {{"Host", "a"}, {"X", "12345678\x01"}},
    {{"Host", "a"},
     {"X", "\x01"
	   "12345678"}},
    {{"Host", "a"}, {"Host", "a"}},
    {{"Host", "a b"}},
    {{"Host", "a,b"}},
    {{"Host", "a/b"}},
    {{"Accept", "*/*"}}, /* no Host */
};

START_TEST(what_two_programs_could_understand_differently_is_refused)
{
	struct header_set h;

	ck_assert(!read_lines(&h, refused[_i], false));
	ck_assert_ptr_nonnull(h.guard.fault);
}
END_TEST

static const struct line taken[][LINES_MAX] = {
    {{"Host", "a"}},
    {{"hOST", "[::1]:8080"}, {"content-length", "0"}},
    {{"Host", ""}, {"Content-Length", "2048"}},
    {{"Host", "a"}, {"Transfer-Encoding", "Chunked"}},
    {{"Host", "a"}, {"X", "tab\tand \xc3\xa4 \xff pass"}},
    {{"Host", "a"}, {"X!#$%&'*+-.^_`|~9", "12345678\t12345678"}},
    {{"Host", "a"}, {"X", ""}},
    {{"Host", "a"}, {"X:Y", "1"}}, /* Y is of the value */
    {{"Host", "a"}, {"Content-Length", "  5 "}, {"X", " \t"}},
    {{"Host", "a"}, {"Transfer-Encoding", "chunked "}},
    {{"Host", "a"}, {"User-Agent", "a"}, {"User-Agent", "b"}},
};

START_TEST(what_is_clear_passes)
{
	struct header_set h;

	ck_assert(read_lines(&h, taken[_i], false));
	ck_assert_ptr_null(h.guard.fault);
}
END_TEST

START_TEST(http_1_0_needs_no_host_and_knows_no_coding)
{
	const struct line bare[LINES_MAX] = {{"Content-Length", "5"}};
	const struct line coded[LINES_MAX] = {{"Transfer-Encoding", "chunked"}};
	struct header_set h;

	ck_assert(read_lines(&h, bare, true));
	ck_assert(!read_lines(&h, coded, true));
}
END_TEST

START_TEST(length_coding_and_expectation_are_told)
{
	const struct line a[LINES_MAX] = {
	    {"Host", "a"}, {"Content-Length", "1234"}, {"Expect", "100-continue"}};
	const struct line b[LINES_MAX] = {{"Host", "a"}, {"Transfer-Encoding", "chunked"}};
	struct header_set h;

	ck_assert(read_lines(&h, a, false));
	ck_assert(h.guard.has_length && !h.guard.chunked && h.expects);
	ck_assert_uint_eq(h.guard.length, 1234);
	ck_assert(read_lines(&h, b, false));
	ck_assert(!h.guard.has_length && h.guard.chunked && !h.expects);
}
END_TEST

START_TEST(whatever_is_not_keep_alive_may_end_the_connection)
{
	const struct line keep[LINES_MAX] = {{"Host", "a"}, {"Connection", "Keep-Alive"}};
	const struct line close[LINES_MAX] = {{"Host", "a"}, {"connection", "close"}};
	const struct line odd[LINES_MAX] = {
	    {"Host", "a"}, {"Connection", "x, close"}, {"Connection", "keep-alive"}};
	struct header_set h;

	ck_assert(read_lines(&h, keep, false) && !h.closes);
	ck_assert(read_lines(&h, close, false) && h.closes);
	ck_assert(read_lines(&h, odd, false) && h.closes);
}
END_TEST

START_TEST(what_admission_needs_is_kept)
{
	const struct line a[LINES_MAX] = {{"Host", "h"},
					  {"ORIGIN", "https://x"},
					  {"user-agent", "Firefox"},
					  {"Accept-Language", "en"},
					  {"X-Moz", "prefetch"},
					  {"Sec-Fetch-Mode", "no-cors"},
					  {"X-COUNTRY", "fr"}};
	struct header_set h;

	ck_assert(read_lines(&h, a, false));
	ck_assert(text_is(h.origin, "https://x"));
	ck_assert(text_is(h.user_agent, "Firefox"));
	ck_assert(text_is(h.accept_language, "en"));
	ck_assert(text_is(h.sec_purpose, "prefetch"));
	ck_assert(text_is(h.sec_fetch, "no-cors"));
	ck_assert(text_is(h.country, "fr"));
	ck_assert_ptr_null(h.accept.at);
}
END_TEST

START_TEST(only_a_one_opts_out)
{
	const struct line gpc[LINES_MAX] = {{"Host", "a"}, {"Sec-GPC", "1"}};
	const struct line dnt[LINES_MAX] = {{"Host", "a"}, {"DNT", "1"}, {"Sec-GPC", "0"}};
	const struct line no[LINES_MAX] = {{"Host", "a"}, {"DNT", "0"}};
	struct header_set h;

	ck_assert(read_lines(&h, gpc, false) && h.opted_out);
	ck_assert(read_lines(&h, dnt, false) && h.opted_out);
	ck_assert(read_lines(&h, no, false) && !h.opted_out);
}
END_TEST

START_TEST(forwarding_headers_in_several_lines_are_one_list)
{
	const struct line a[LINES_MAX] = {{"Host", "a"},
					  {"X-Forwarded-For", "192.0.2.1"},
					  {"Forwarded", "for=192.0.2.9"},
					  {"x-forwarded-for", "192.0.2.2, 192.0.2.3"},
					  {"Forwarded", "for=192.0.2.8"},
					  {"X-Forwarded-For", "192.0.2.4"}};
	struct header_set h;

	ck_assert(read_lines(&h, a, false));
	ck_assert(text_is(h.x_forwarded_for, "192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4"));
	ck_assert(text_is(h.forwarded, "for=192.0.2.9, for=192.0.2.8"));
}
END_TEST

START_TEST(more_lines_than_fit_leave_the_nearest_one)
{
	char wide[HEADER_JOIN_MAX];
	struct header_set h;
	int i;

	memset(wide, ' ', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	header_set_init(&h, join, (struct text){NULL, 0});
	ck_assert(header_see(&h, TEXT_LIT("X-Forwarded-For"), text_of(wide)));
	for (i = 0; i < 100; i++)
		ck_assert(header_see(&h, TEXT_LIT("X-Forwarded-For"), text_of(wide)));
	ck_assert(header_see(&h, TEXT_LIT("X-Forwarded-For"), TEXT_LIT("192.0.2.4")));
	ck_assert(text_is(h.x_forwarded_for, "192.0.2.4"));
}
END_TEST

static const struct {
	const char *header;
	bool gzip;
} codings[] = {
    {"gzip", true},      {"br, gzip", true},
    {"GZIP", true},      {"gzip;q=0.5", true},
    {"gzip; q=1", true}, {"br;q=1.0,\tgzip ;q=0.8", true},
    {"", false},         {"br", false},
    {"gzip;q=0", false}, {"gzip; q=0.000", false},
    {"xgzip", false},    {"identity", false},
};

START_TEST(gzip_is_sent_only_where_it_is_taken)
{
	ck_assert_int_eq(accepts_gzip(text_of(codings[_i].header)), codings[_i].gzip);
}
END_TEST

START_TEST(an_entity_tag_is_found_in_its_list)
{
	ck_assert(etag_matches(TEXT_LIT("\"a\""), "\"a\""));
	ck_assert(etag_matches(TEXT_LIT("\"b\", W/\"a\""), "\"a\""));
	ck_assert(etag_matches(TEXT_LIT("*"), "\"a\""));
	ck_assert(!etag_matches(TEXT_LIT("\"b\""), "\"a\""));
	ck_assert(!etag_matches(TEXT_LIT("a"), "\"a\""));
	ck_assert(!etag_matches((struct text){NULL, 0}, "\"a\""));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("header_guard");
	TCase *c = tcase_create("header_guard");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(c, what_two_programs_could_understand_differently_is_refused, 0,
			    sizeof(refused) / sizeof(*refused));
	tcase_add_loop_test(c, what_is_clear_passes, 0, sizeof(taken) / sizeof(*taken));
	tcase_add_test(c, http_1_0_needs_no_host_and_knows_no_coding);
	tcase_add_test(c, length_coding_and_expectation_are_told);
	tcase_add_test(c, whatever_is_not_keep_alive_may_end_the_connection);
	tcase_add_test(c, what_admission_needs_is_kept);
	tcase_add_test(c, only_a_one_opts_out);
	tcase_add_test(c, forwarding_headers_in_several_lines_are_one_list);
	tcase_add_test(c, more_lines_than_fit_leave_the_nearest_one);
	tcase_add_loop_test(c, gzip_is_sent_only_where_it_is_taken, 0,
			    sizeof(codings) / sizeof(*codings));
	tcase_add_test(c, an_entity_tag_is_found_in_its_list);
	suite_add_tcase(suite, c);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
