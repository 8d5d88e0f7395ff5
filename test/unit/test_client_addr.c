/* Who a request counts for: proxies, forwarding headers, and everything that may be wrong
 * in them. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/un.h>

#include "node/client_addr.h"

static struct client_proxies *
proxies(const char *a, const char *b)
{
	char *items[2] = {strdup(a ? a : ""), strdup(b ? b : "")};
	struct conf_list list = {items, (size_t)(a != NULL) + (b != NULL)};
	struct client_proxies *p = NULL;
	const char *bad = NULL;

	ck_assert_int_eq(client_proxies_new(&list, &p, &bad), 0);
	free(items[0]);
	free(items[1]);
	return p;
}

static struct client_addr
addr(const char *s)
{
	struct client_addr a;

	ck_assert_msg(client_addr_parse(text_of(s), &a), "%s", s);
	return a;
}

static struct sockaddr_storage
peer(const char *s)
{
	struct sockaddr_storage ss = {0};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (strcmp(s, "unix") == 0) {
		ss.ss_family = AF_UNIX;
	} else if (inet_pton(AF_INET, s, &v4.sin_addr) == 1) {
		memcpy(&ss, &v4, sizeof(v4));
	} else {
		ck_assert_int_eq(inet_pton(AF_INET6, s, &v6.sin6_addr), 1);
		memcpy(&ss, &v6, sizeof(v6));
	}
	return ss;
}

/* Expects `client` of a request from `from`; '!' before it: and the headers reported
 * as malformed. */
static void
expect(const struct client_proxies *p, const char *from, const char *xff, const char *forwarded,
       const char *client)
{
	struct sockaddr_storage ss = peer(from);
	struct client_addr got, want;
	bool malformed, want_malformed = client[0] == '!';
	char text[INET6_ADDRSTRLEN];

	want = addr(client + want_malformed);
	client_addr_find(p, (const struct sockaddr *)&ss, text_of(xff), text_of(forwarded), &got,
			 &malformed);
	inet_ntop(AF_INET6, got.ip, text, sizeof(text));
	ck_assert_msg(memcmp(&got, &want, sizeof(got)) == 0,
		      "peer %s, X-Forwarded-For %s, Forwarded %s: %s instead of %s", from,
		      xff ? xff : "-", forwarded ? forwarded : "-", text, client);
	ck_assert_msg(malformed == want_malformed, "%s %s", xff ? xff : "-",
		      forwarded ? forwarded : "-");
}

START_TEST(addresses_are_read_and_ports_or_rubbish_are_not)
{
	static const char *const good[] = {"1.2.3.4", "::1", "2001:db8::7", "fe80::1%eth0",
					   "::ffff:1.2.3.4"};
	static const char *const bad[] = {"",          "1.2.3",    "1.2.3.4:80", "[::1]",
					  "1.2.3.256", "1.2.3.4%", "unknown",    "1.2.3.4 ",
					  "::1::",     "01.2.3.4x"};
	struct client_addr a, b;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(client_addr_parse(text_of(good[i]), &a), "%s", good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!client_addr_parse(text_of(bad[i]), &a), "%s", bad[i]);
	ck_assert(!client_addr_parse((struct text){NULL, 0}, &a));
	ck_assert(!client_addr_parse((struct text){"1.2.3.4\0", 8}, &a));
	a = addr("1.2.3.4");
	b = addr("::ffff:1.2.3.4");
	ck_assert_mem_eq(&a, &b, sizeof(a));
	ck_assert(client_addr_is_v4(&a));
	a = addr("2001:db8::1");
	ck_assert(!client_addr_is_v4(&a));
}
END_TEST

START_TEST(prefixes_are_checked_and_the_bad_one_is_named)
{
	static const char *const bad[] = {"10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/x",
					  "localhost",   "",       "/8",        "1.2.3.4/-1"};
	struct client_proxies *p;
	const char *name = NULL;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *item = strdup(bad[i]);
		struct conf_list list = {&item, 1};

		ck_assert_msg(client_proxies_new(&list, &p, &name) == -EINVAL, "%s", bad[i]);
		ck_assert_str_eq(name, bad[i]);
		free(item);
	}
}
END_TEST

START_TEST(more_prefixes_than_the_table_holds_are_refused)
{
	char *items[CLIENT_PROXIES_MAX + 1];
	struct conf_list list = {items, CLIENT_PROXIES_MAX};
	struct client_proxies *p;
	const char *name;
	size_t i;

	for (i = 0; i <= CLIENT_PROXIES_MAX; i++)
		items[i] = strdup("10.0.0.0/8");
	ck_assert_int_eq(client_proxies_new(&list, &p, &name), 0);
	client_proxies_free(p);
	list.n++;
	ck_assert_int_eq(client_proxies_new(&list, &p, &name), -EINVAL);
	for (i = 0; i <= CLIENT_PROXIES_MAX; i++)
		free(items[i]);
}
END_TEST

START_TEST(prefixes_cover_exactly_their_bits)
{
	struct client_proxies *p = proxies("10.32.0.0/11", "2001:db8:4::/46");
	struct sockaddr_storage in = peer("10.63.255.255"), out = peer("10.64.0.0");
	struct sockaddr_storage in6 = peer("2001:db8:7:ffff::1"), out6 = peer("2001:db8:8::");
	struct sockaddr_storage mapped = peer("::ffff:10.32.0.1"), un = peer("unix");

	ck_assert(client_is_trusted(p, (struct sockaddr *)&in));
	ck_assert(!client_is_trusted(p, (struct sockaddr *)&out));
	ck_assert(client_is_trusted(p, (struct sockaddr *)&in6));
	ck_assert(!client_is_trusted(p, (struct sockaddr *)&out6));
	ck_assert(client_is_trusted(p, (struct sockaddr *)&mapped));
	ck_assert(!client_is_trusted(p, (struct sockaddr *)&un));
	client_proxies_free(p);
}
END_TEST

START_TEST(headers_of_peers_that_are_not_trusted_are_ignored)
{
	struct client_proxies *p = proxies(NULL, NULL);

	expect(p, "127.0.0.1", "9.9.9.9", NULL, "127.0.0.1");
	expect(p, "127.0.0.1", NULL, "for=9.9.9.9", "127.0.0.1");
	expect(p, "unix", "9.9.9.9", NULL, "::");
	expect(NULL, "::1", "9.9.9.9", "for=8.8.8.8", "::1");
	client_proxies_free(p);
}
END_TEST

START_TEST(the_right_most_hop_that_is_not_trusted_is_the_client)
{
	struct client_proxies *p = proxies("10.0.0.0/8", "unix");

	expect(p, "10.0.0.1", NULL, NULL, "10.0.0.1");
	expect(p, "10.0.0.1", "9.9.9.9", NULL, "9.9.9.9");
	expect(p, "unix", "9.9.9.9", NULL, "9.9.9.9");
	expect(p, "10.0.0.1", "1.1.1.1, 9.9.9.9", NULL, "9.9.9.9");
	expect(p, "10.0.0.1", "1.1.1.1,9.9.9.9 ,\t10.2.0.1", NULL, "9.9.9.9");
	expect(p, "10.0.0.1", "rubbish, 9.9.9.9, 10.0.0.7", NULL, "9.9.9.9");
	expect(p, "10.0.0.1", "10.0.0.3, 10.0.0.2", NULL, "10.0.0.3"); /* all trusted: left-most */
	expect(p, "10.0.0.1", "9.9.9.9:4711", NULL, "9.9.9.9");
	expect(p, "10.0.0.1", "2001:db8::1", NULL, "2001:db8::1");
	expect(p, "10.0.0.1", "[2001:db8::1]:443", NULL, "2001:db8::1");
	expect(p, "10.0.0.1", "::ffff:9.9.9.9", NULL, "9.9.9.9");
	client_proxies_free(p);
}
END_TEST

START_TEST(forwarded_elements_are_read_as_rfc_7239_writes_them)
{
	struct client_proxies *p = proxies("10.0.0.0/8", NULL);

	expect(p, "10.0.0.1", NULL, "for=9.9.9.9", "9.9.9.9");
	expect(p, "10.0.0.1", NULL, "For=\"9.9.9.9:80\"; proto=http;by=10.0.0.1", "9.9.9.9");
	expect(p, "10.0.0.1", NULL, "for=1.1.1.1, proto=https;for=9.9.9.9", "9.9.9.9");
	expect(p, "10.0.0.1", NULL, "for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17");
	expect(p, "10.0.0.1", NULL, "for=9.9.9.9, for=10.0.0.9;host=\"a,b;c\"", "9.9.9.9");
	expect(p, "10.0.0.1", NULL, "for=\"1.1.1.1, for=9.9.9.9",
	       "9.9.9.9"); /* a client's open quote */
	client_proxies_free(p);
}
END_TEST

START_TEST(a_hop_that_cannot_be_read_never_widens_trust)
{
	static const char *const x[] = {
	    "",     "unknown",   "_hidden",  "9.9.9.9,", "9.9.9.9;",    "1.2.3.4:port",
	    "[::1", "[9.9.9.9]", "[::1]443", "9.9.9.9:", "\"9.9.9.9\"", "1.1.1.1 2.2.2.2"};
	static const char *const f[] = {"",
					"9.9.9.9",
					"for=unknown",
					"for=_x",
					"for=\"9.9.9.9",
					"proto=http",
					"for=1.1.1.1;for=9.9.9.9",
					"for=9.9.9.9,",
					"for=\"\""};
	struct client_proxies *p = proxies("10.0.0.0/8", NULL);
	size_t i;

	for (i = 0; i < sizeof(x) / sizeof(x[0]); i++)
		expect(p, "10.0.0.1", x[i], NULL, "!10.0.0.1");
	for (i = 0; i < sizeof(f) / sizeof(f[0]); i++)
		expect(p, "10.0.0.1", NULL, f[i], "!10.0.0.1");
	expect(p, "10.0.0.1", "9.9.9.9, x, 10.0.0.2", NULL, "!10.0.0.2");
	expect(p, "10.0.0.1", NULL, "for=9.9.9.9, for=unknown, for=10.0.0.2", "!10.0.0.2");
	client_proxies_free(p);
}
END_TEST

START_TEST(two_headers_must_name_the_same_client)
{
	struct client_proxies *p = proxies("10.0.0.0/8", NULL);

	expect(p, "10.0.0.1", "9.9.9.9", "for=9.9.9.9", "9.9.9.9");
	expect(p, "10.0.0.1", "9.9.9.9", "for=8.8.8.8", "!10.0.0.1");
	expect(p, "10.0.0.1", "9.9.9.9", "for=unknown", "!10.0.0.1");
	expect(p, "10.0.0.1", "x", "for=9.9.9.9", "!10.0.0.1");
	expect(p, "10.0.0.1", "x, 10.0.0.2", "for=x, for=10.0.0.2", "!10.0.0.1");
	client_proxies_free(p);
}
END_TEST

START_TEST(a_chain_without_end_is_followed_for_a_bounded_number_of_hops)
{
	struct client_proxies *p = proxies("10.0.0.0/8", NULL);
	char header[16000] = "9.9.9.9";
	unsigned i;

	for (i = 0; i < 31; i++)
		strcat(header, ",10.0.0.2");
	expect(p, "10.0.0.1", header, NULL, "9.9.9.9");
	for (i = 0; i < 1000; i++)
		strcat(header, ",10.0.0.2");
	expect(p, "10.0.0.1", header, NULL, "!10.0.0.2");
	client_proxies_free(p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("client_addr");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, addresses_are_read_and_ports_or_rubbish_are_not);
	tcase_add_test(t, prefixes_are_checked_and_the_bad_one_is_named);
	tcase_add_test(t, more_prefixes_than_the_table_holds_are_refused);
	tcase_add_test(t, prefixes_cover_exactly_their_bits);
	tcase_add_test(t, headers_of_peers_that_are_not_trusted_are_ignored);
	tcase_add_test(t, the_right_most_hop_that_is_not_trusted_is_the_client);
	tcase_add_test(t, forwarded_elements_are_read_as_rfc_7239_writes_them);
	tcase_add_test(t, a_hop_that_cannot_be_read_never_widens_trust);
	tcase_add_test(t, two_headers_must_name_the_same_client);
	tcase_add_test(t, a_chain_without_end_is_followed_for_a_bounded_number_of_hops);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
