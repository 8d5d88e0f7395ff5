/* How many connections an address may hold. */
#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/hash.h"
#include "base/peer_limit.h"
#include "base/socket.h"

static struct socket_address
at(const char *text)
{
	struct socket_address a;

	ck_assert_int_eq(socket_address_parse(text, &a), 0);
	return a;
}

static bool
enters(struct peer_limit *l, const char *text)
{
	struct socket_address a = at(text);

	return peer_limit_enter(l, (struct sockaddr *)&a.sa);
}

static void
leaves(struct peer_limit *l, const char *text)
{
	struct socket_address a = at(text);

	peer_limit_leave(l, (struct sockaddr *)&a.sa);
}

static struct peer_limit *
limit_of(uint32_t most)
{
	struct peer_limit *l = NULL;

	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(peer_limit_new(most, &l), 0);
	return l;
}

START_TEST(an_address_holds_so_many_and_no_more)
{
	struct peer_limit *l = limit_of(2);

	ck_assert(enters(l, "192.0.2.1:1"));
	ck_assert(enters(l, "192.0.2.1:2"));
	ck_assert(!enters(l, "192.0.2.1:3"));
	leaves(l, "192.0.2.1:3");
	ck_assert(enters(l, "192.0.2.2:1"));
	leaves(l, "192.0.2.1:1");
	ck_assert(enters(l, "192.0.2.1:4"));
	ck_assert(!enters(l, "192.0.2.1:5"));
	peer_limit_free(l);
}
END_TEST

START_TEST(a_slash_64_is_one_address)
{
	struct peer_limit *l = limit_of(1);

	ck_assert(enters(l, "[2001:db8:0:1::1]:1"));
	ck_assert(!enters(l, "[2001:db8:0:1:ffff::2]:1"));
	ck_assert(enters(l, "[2001:db8:0:2::1]:1"));
	peer_limit_free(l);
}
END_TEST

START_TEST(a_mapped_address_is_the_ipv4_one)
{
	struct peer_limit *l = limit_of(1);

	ck_assert(enters(l, "[::ffff:192.0.2.1]:1"));
	ck_assert(!enters(l, "192.0.2.1:1"));
	ck_assert(enters(l, "[::ffff:192.0.2.2]:1"));
	peer_limit_free(l);
}
END_TEST

START_TEST(nobody_is_counted_without_a_limit_nor_on_unix_sockets)
{
	struct peer_limit *off = limit_of(0), *one = limit_of(1);
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int i;

	for (i = 0; i < 10; i++) {
		ck_assert(enters(off, "192.0.2.1:1"));
		ck_assert(peer_limit_enter(one, (struct sockaddr *)&un));
	}
	peer_limit_leave(one, (struct sockaddr *)&un);
	peer_limit_free(off);
	peer_limit_free(one);
}
END_TEST

/* Four connections in mean in each counter: hardly anybody finds eight in both of his. */
START_TEST(a_flood_of_addresses_crowds_nobody_out)
{
	struct peer_limit *l = limit_of(8);
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	uint32_t i, refused = 0;

	for (i = 0; i < 4 * 32768; i++) {
		v4.sin_addr.s_addr = htonl(0x0a000000 + i);
		refused += !peer_limit_enter(l, (struct sockaddr *)&v4);
	}
	ck_assert_uint_lt(refused, 4 * 32768 / 100);
	for (i = 0; i < 4 * 32768; i++) {
		v4.sin_addr.s_addr = htonl(0x0a000000 + i);
		peer_limit_leave(l, (struct sockaddr *)&v4);
	}
	for (i = 0; i < 8; i++)
		ck_assert(enters(l, "10.0.0.1:1"));
	ck_assert(!enters(l, "10.0.0.1:1"));
	peer_limit_free(l);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("peer_limit");
	TCase *c = tcase_create("peer_limit");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(c, an_address_holds_so_many_and_no_more);
	tcase_add_test(c, a_slash_64_is_one_address);
	tcase_add_test(c, a_mapped_address_is_the_ipv4_one);
	tcase_add_test(c, nobody_is_counted_without_a_limit_nor_on_unix_sockets);
	tcase_add_test(c, a_flood_of_addresses_crowds_nobody_out);
	suite_add_tcase(suite, c);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
