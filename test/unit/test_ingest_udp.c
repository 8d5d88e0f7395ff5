/* Datagrams over a real socket: every one gets a verdict, also those that wait when it stops. */
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "node/ingest_udp.h"
#include "proto/datagram.h"
#include "stats/stats.h"

#define BURST 200 /* some 150 KiB as the kernel charges them: fits the buffer of any user */

/* one agent with this transport only */
static char dir[64];
static struct conf *conf;
static struct spool *spool;
static struct journal *journal;
static struct visitor_salts *salts;
static struct admit *admit;
static struct admit_worker *worker;
static struct ingest_udp *udp;
static struct ledger before;

static void
start(const char *listen, const char *receive_buffer)
{
	char state[96], address[96], buffer[64];
	char *overrides[] = {
	    (char[]){"node.name=web-1"},    state, address, (char[]){"admit.bots=off"},
	    (char[]){"journal.segment=1m"}, buffer};
	struct journal_found found;

	log_init("test", LOG_ERROR);
	ck_assert_int_eq(hash_init(), 0);
	snprintf(state, sizeof(state), "node.state_dir=%s", dir);
	snprintf(address, sizeof(address), "udp.listen=%s", listen);
	snprintf(buffer, sizeof(buffer), "udp.receive_buffer=%s", receive_buffer);
	ck_assert_int_eq(conf_load(CONF_AGENT, NULL, overrides, 6, stderr, &conf), 0);
	ck_assert_int_eq(visitor_salts_open(dir, wall_now().ms, &salts), 0);
	ck_assert_int_eq(spool_open(conf, &spool), 0);
	ck_assert_int_eq(journal_open(conf, spool, 1, wall_now(), &journal, &found), 0);
	ck_assert_int_eq(admit_new(conf, salts, spool, &admit), 0);
	worker = admit_worker_new(admit, journal_writer(journal, 0));
	stat_ledger(&before);
	ck_assert_int_eq(ingest_udp_open(conf, &udp), 0);
	ck_assert_int_eq(ingest_udp_start(udp, conf, worker, journal_writer(journal, 0)), 0);
}

static void
stop(void)
{
	ingest_udp_stop(udp);
	admit_worker_free(worker);
	admit_free(admit);
	journal_close(journal);
	spool_close(spool);
	visitor_salts_close(salts);
	conf_free(conf);
}

static void
set_up(void)
{
	snprintf(dir, sizeof(dir), "%s/footfall-udp-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void
tear_down(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static int
sender(size_t listener)
{
	char text[SOCKET_ADDRESS_TEXT];
	struct socket_address to;
	int fd;

	ck_assert(ingest_udp_address(udp, listener, text));
	ck_assert_int_eq(socket_address_parse(text, &to), 0);
	fd = socket(to.sa.ss_family, SOCK_DGRAM, 0);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to.sa, to.len), 0);
	return fd;
}

static size_t
encode(uint32_t n, uint8_t *buf)
{
	struct event e = {.type = TEXT_LIT("video"), .has_uuid = true};

	memcpy(e.uuid, &n, sizeof(n));
	return datagram_encode(&e, buf, DATAGRAM_MAX);
}

static uint64_t
counted(enum reason r)
{
	struct ledger now;

	stat_ledger(&now);
	return now.count[SOURCE_DATAGRAM][r] - before.count[SOURCE_DATAGRAM][r];
}

START_TEST(what_waits_in_the_socket_at_stop_is_read)
{
	uint8_t buf[DATAGRAM_MAX];
	size_t len;
	uint32_t i;
	int fd;

	start("127.0.0.1:0", "16m");
	fd = sender(0);
	for (i = 0; i < BURST; i++) {
		len = encode(i, buf);
		ck_assert_int_eq(send(fd, buf, len, 0), (ssize_t)len);
	}
	stop();
	ck_assert_uint_eq(counted(REASON_ACCEPTED_FIRST), BURST);
	close(fd);
}
END_TEST

START_TEST(a_bad_datagram_costs_only_itself)
{
	uint8_t buf[DATAGRAM_MAX + 2] = {0xc1};
	size_t len;
	int fd;

	start("127.0.0.1:0", "16m");
	fd = sender(0);
	ck_assert_int_eq(send(fd, buf, 1, 0), 1);
	ck_assert_int_eq(send(fd, buf, 0, 0), 0);
	ck_assert_int_eq(send(fd, buf, DATAGRAM_MAX + 1, 0), DATAGRAM_MAX + 1);
	ck_assert_int_eq(send(fd, buf, DATAGRAM_MAX + 2, 0), DATAGRAM_MAX + 2);
	len = encode(7, buf);
	ck_assert_int_eq(send(fd, buf, len, 0), (ssize_t)len);
	stop();
	ck_assert_uint_eq(counted(REASON_INVALID_MSGPACK), 2);
	ck_assert_uint_eq(counted(REASON_INVALID_TOO_LARGE), 2);
	ck_assert_uint_eq(counted(REASON_ACCEPTED_FIRST), 1);
	close(fd);
}
END_TEST

START_TEST(the_events_of_an_array_are_judged_one_by_one)
{
	uint8_t buf[DATAGRAM_MAX] = {0x93};
	size_t len = 1;
	int fd;

	start("127.0.0.1:0", "16m");
	fd = sender(0);
	len += encode(1, buf + len);
	buf[len++] = 0x80; /* an empty map */
	len += encode(2, buf + len);
	ck_assert_int_eq(send(fd, buf, len, 0), (ssize_t)len);
	stop();
	ck_assert_uint_eq(counted(REASON_INVALID_MISSING), 1);
	ck_assert_uint_eq(counted(REASON_ACCEPTED_FIRST), 2);
	close(fd);
}
END_TEST

/* Neighbours are prepared together, before either is decided. */
START_TEST(twins_within_one_datagram_count_once)
{
	uint8_t buf[DATAGRAM_MAX] = {0xdc, 0, DATAGRAM_EVENTS_MAX};
	struct event e = {.type = TEXT_LIT("video"), .has_uuid = true, .has_event_id = true};
	size_t len = 3;
	unsigned i;
	int fd;

	for (i = 0; i < DATAGRAM_EVENTS_MAX; i++) {
		e.event_id[0] = (uint8_t)(i / 2);
		len += datagram_encode(&e, buf + len, sizeof(buf) - len);
	}
	start("127.0.0.1:0", "16m");
	fd = sender(0);
	ck_assert_int_eq(send(fd, buf, len, 0), (ssize_t)len);
	stop();
	ck_assert_uint_eq(counted(REASON_ACCEPTED_FIRST), DATAGRAM_EVENTS_MAX / 2);
	ck_assert_uint_eq(counted(REASON_DUPLICATE_EVENT_ID), DATAGRAM_EVENTS_MAX / 2);
	close(fd);
}
END_TEST

START_TEST(several_addresses_are_read)
{
	uint8_t buf[DATAGRAM_MAX];
	char text[SOCKET_ADDRESS_TEXT];
	size_t i, len;
	int fd;

	start("{\"127.0.0.1:0\", \"127.0.0.2:0\"}", "16m");
	for (i = 0; i < 2; i++) {
		fd = sender(i);
		len = encode((uint32_t)i, buf);
		ck_assert_int_eq(send(fd, buf, len, 0), (ssize_t)len);
		close(fd);
	}
	ck_assert(!ingest_udp_address(udp, 2, text));
	stop();
	ck_assert_uint_eq(counted(REASON_ACCEPTED_FIRST), 2);
}
END_TEST

/* A small buffer, and datagrams that cost the reader ten times what they cost the sender. */
START_TEST(what_the_kernel_dropped_is_counted)
{
	uint8_t buf[DATAGRAM_MAX] = {0xdc, 0, DATAGRAM_EVENTS_MAX};
	uint64_t drops = stat_get(STAT_UDP_DROPPED), read = stat_get(STAT_UDP_DATAGRAMS);
	uint64_t sent;
	size_t len = 3;
	uint32_t i;
	int fd;

	for (i = 0; i < DATAGRAM_EVENTS_MAX; i++)
		len += encode(i, buf + len);
	start("127.0.0.1:0", "64k");
	fd = sender(0);
	for (sent = 0; sent < 20000; sent++)
		ck_assert_int_eq(send(fd, buf, len, 0), (ssize_t)len);
	stop();
	drops = stat_get(STAT_UDP_DROPPED) - drops;
	ck_assert_uint_gt(drops, 0);
	read = stat_get(STAT_UDP_DATAGRAMS) - read;
	ck_assert_uint_eq(drops + read, sent);
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ingest_udp");
	TCase *c = tcase_create("ingest_udp");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, what_waits_in_the_socket_at_stop_is_read);
	tcase_add_test(c, a_bad_datagram_costs_only_itself);
	tcase_add_test(c, the_events_of_an_array_are_judged_one_by_one);
	tcase_add_test(c, twins_within_one_datagram_count_once);
	tcase_add_test(c, several_addresses_are_read);
	tcase_add_test(c, what_the_kernel_dropped_is_counted);
	suite_add_tcase(suite, c);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
