/* What a worker is sent by others: connections arrive with their peers, and those that cannot give
 * back all that they hold. */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "node/ingest_http_private.h"
#include "stats/stats.h"

#define PLACES 8192

static const struct conf conf = {.http_connections = PLACES, .http_connection_memory = 4096};
static struct http_worker worker;
static struct ingest_http http = {.c = &conf, .worker = &worker, .n_workers = 1};
static union http_peer peer;

static void
setup(void)
{
	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(peer_limit_new(1, &http.peers), 0);
	worker.http = &http;
	ck_assert_int_eq(http_worker_init(&worker), 0);
	peer.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(4711)};
	ck_assert_int_eq(inet_pton(AF_INET, "192.0.2.7", &peer.in.sin_addr), 1);
}

static void
teardown(void)
{
	http_conn_close_all(&worker);
	http_worker_fini(&worker);
	peer_limit_free(http.peers);
}

/* As whoever accepts: with a place, counted for its address. The client's end in ret_client. */
static int
accepted(int *ret_client)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	atomic_fetch_add(&worker.n_held, 1);
	peer_limit_enter(http.peers, &peer.sa);
	*ret_client = ends[1];
	return ends[0];
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(a_connection_arrives_with_its_peer)
{
	int client, fd = accepted(&client);
	char byte = 0;

	http_worker_wake(&worker);
	ck_assert_int_eq(http_mail_connection(&worker, fd, &peer), 0);
	ck_assert(!is_open(fd));
	http_worker_wake(&worker);
	http_mail_read(&worker);
	ck_assert_ptr_nonnull(worker.open);
	ck_assert_ptr_null(worker.open->next);
	ck_assert_mem_eq(&worker.open->peer, &peer, sizeof(peer));
	ck_assert_int_eq(write(worker.open->fd, "x", 1), 1);
	ck_assert_int_eq(read(client, &byte, 1), 1);
	ck_assert_int_eq(byte, 'x');
	ck_assert_uint_eq(atomic_load(&worker.n_held), 1);
	close(client);
}
END_TEST

START_TEST(one_for_which_no_descriptor_is_free_ends_and_holds_nothing)
{
	int client, fd = accepted(&client);
	struct rlimit was, none;
	char byte;

	ck_assert_int_eq(http_mail_connection(&worker, fd, &peer), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){.rlim_max = was.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	http_mail_read(&worker);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
	ck_assert_ptr_null(worker.open);
	ck_assert_uint_eq(atomic_load(&worker.n_held), 0);
	ck_assert_uint_eq(stat_get(STAT_HTTP_FULL), 1);
	ck_assert(peer_limit_enter(http.peers, &peer.sa));
	ck_assert_int_eq(read(client, &byte, 1), 0);
	close(client);
}
END_TEST

/* Who accepted it may not have come to closing its own copy. */
START_TEST(one_that_was_closed_is_reported_no_more)
{
	int client, fd = accepted(&client), copy = dup(fd);
	struct epoll_event got;

	ck_assert_int_eq(http_mail_connection(&worker, fd, &peer), 0);
	http_mail_read(&worker);
	ck_assert_int_eq(write(client, "x", 1), 1);
	ck_assert_int_eq(epoll_wait(worker.epoll, &got, 1, 0), 1);
	ck_assert_ptr_eq(got.data.ptr, worker.open);
	http_conn_close_all(&worker);
	ck_assert_int_eq(write(client, "x", 1), 1);
	ck_assert_int_eq(epoll_wait(worker.epoll, &got, 1, 0), 0);
	close(copy);
	close(client);
}
END_TEST

START_TEST(a_full_box_takes_no_connection_and_loses_none)
{
	int client, fd = accepted(&client), extra, sent = 0, got = 0;
	struct http_conn *k;

	do
		extra = dup(fd);
	while (http_mail_connection(&worker, extra, &peer) == 0 && ++sent < PLACES);
	ck_assert_int_gt(sent, 64);
	ck_assert_int_lt(sent, PLACES);
	ck_assert(is_open(extra));
	http_worker_wake(&worker); /* it is awake */
	http_mail_read(&worker);
	for (k = worker.open; k; k = k->next)
		got++;
	ck_assert_int_eq(got, sent);
	ck_assert_int_eq(http_mail_connection(&worker, extra, &peer), 0);
	close(fd);
	close(client);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("http_mail");
	TCase *t = tcase_create("http_mail");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_connection_arrives_with_its_peer);
	tcase_add_test(t, one_for_which_no_descriptor_is_free_ends_and_holds_nothing);
	tcase_add_test(t, one_that_was_closed_is_reported_no_more);
	tcase_add_test(t, a_full_box_takes_no_connection_and_loses_none);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
