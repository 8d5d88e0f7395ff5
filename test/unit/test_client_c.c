/* The C client's own bytes against the golden ones, and what it does when nothing can be sent. */
/* Its insides are under test; before Check, whose macros take the name fail. */
#include "proto/clients/c/footfall.c" /* NOLINT(bugprone-suspicious-include) */

#include "golden.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY "key-1 404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"

static uint8_t wanted[GOLDEN_MAX];
static char address[64];
static int agent; /* a socket that reads as an agent does */

static void
set_up(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int room = 1 << 20;

	agent = socket(AF_INET, SOCK_DGRAM, 0);
	ck_assert_int_eq(bind(agent, (const struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(getsockname(agent, (struct sockaddr *)&at, &len), 0);
	(void)setsockopt(agent, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	(void)snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(at.sin_port));
}

static void
tear_down(void)
{
	if (agent >= 0)
		close(agent);
}

/* -- golden bytes -- */

static const char *const datagrams[] = {"datagram-least", "datagram-full"};
static const char *const envelopes[] = {"envelope-least", "envelope-full", "envelope-block"};

static const char *
string(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

START_TEST(it_packs_the_golden_datagrams)
{
	json_t *all = golden_json(datagrams[_i]);
	const json_t *j = json_object_get(all, "event");
	size_t n = golden_bytes(datagrams[_i], wanted);
	struct footfall_event e = {0};
	uint8_t bytes[DATAGRAM_MAX];
	struct out o = {bytes, 0, sizeof(bytes), 0};
	double value = json_number_value(json_object_get(j, "value"));
	char ref[300];

	(void)snprintf(ref, sizeof(ref), "http://%s", string(j, "referrer"));
	e.type = string(j, "type");
	e.id = string(j, "uuid") ? string(j, "uuid") : string(j, "slug");
	e.eid = string(j, "event_id");
	e.ev = string(j, "name");
	e.val = json_object_get(j, "value") ? &value : NULL;
	e.site = string(j, "site");
	e.ts = golden_int(j, "ts_ms");
	e.ip = string(j, "ip");
	e.ua = string(j, "ua");
	e.ref = string(j, "referrer") ? ref : NULL;
	e.sess = string(j, "session");
	put_event(&o, &e);
	ck_assert(!o.bad);
	ck_assert_uint_eq(o.len, n);
	ck_assert_mem_eq(bytes, wanted, n);
	json_decref(all);
}
END_TEST

START_TEST(it_signs_the_golden_envelopes)
{
	json_t *j = golden_json(envelopes[_i]);
	size_t n = golden_bytes(envelopes[_i], wanted), len;
	uint8_t payload[GOLDEN_MAX], bytes[DATAGRAM_MAX];
	struct footfall f = {.boot = golden_u64(j, "boot"), .seq = (uint64_t)golden_int(j, "seq")};

	f.key_name_len = strlen(string(j, "key_name"));
	memcpy(f.key_name, string(j, "key_name"), f.key_name_len);
	ck_assert(from_hex(string(j, "key"), f.key, sizeof(f.key)));
	len = golden_hex(string(j, "payload"), payload);
	len = seal(&f, golden_int(j, "time_ms"), payload, len, bytes);
	ck_assert_uint_eq(len, n);
	ck_assert_mem_eq(bytes, wanted, n);
	json_decref(j);
}
END_TEST

/* -- sending -- */

static size_t
receive(uint8_t *bytes, size_t cap)
{
	ssize_t n = recv(agent, bytes, cap, MSG_DONTWAIT);

	return n < 0 ? 0 : (size_t)n;
}

START_TEST(events_go_in_as_few_datagrams_as_hold_them)
{
	const struct footfall_event one = {.type = "video", .id = "slug"};
	struct footfall_event events[130];
	uint8_t bytes[DATAGRAM_MAX + 1];
	struct footfall f;
	size_t i;

	for (i = 0; i < 130; i++)
		events[i] = one;
	ck_assert_int_eq(footfall_open(&f, address, NULL), 0);
	ck_assert_uint_eq(footfall_batch(&f, events, 130), 0);
	ck_assert_uint_eq(footfall_batch(&f, events, 0), 0);
	ck_assert_uint_eq(footfall_batch(&f, events, 1), 0);
	ck_assert_uint_eq(footfall_batch(&f, events, 15), 0);
	ck_assert_uint_eq(f.sent, 146);
	ck_assert_uint_eq(f.failed, 0);
	ck_assert_uint_gt(receive(bytes, sizeof(bytes)), 0);
	ck_assert_mem_eq(bytes, "\xdc\0\x40\x82", 4);
	ck_assert_uint_gt(receive(bytes, sizeof(bytes)), 0);
	ck_assert_mem_eq(bytes, "\xdc\0\x40\x82", 4);
	ck_assert_uint_gt(receive(bytes, sizeof(bytes)), 0);
	ck_assert_mem_eq(bytes, "\x92\x82", 2);
	ck_assert_uint_gt(receive(bytes, sizeof(bytes)), 0);
	ck_assert_int_eq(bytes[0], 0x82);
	ck_assert_uint_gt(receive(bytes, sizeof(bytes)), 0);
	ck_assert_mem_eq(bytes, "\x9f\x82", 2);
	ck_assert_uint_eq(receive(bytes, sizeof(bytes)), 0);
	footfall_close(&f);
}
END_TEST

START_TEST(no_datagram_is_larger_than_the_agent_takes)
{
	static char ua[3000];
	struct footfall_event events[9];
	uint8_t bytes[DATAGRAM_MAX + 1];
	struct footfall f;
	size_t i, n, total = 0;

	memset(ua, 'x', sizeof(ua) - 1);
	for (i = 0; i < 9; i++)
		events[i] = (struct footfall_event){.type = "video", .id = "slug", .ua = ua};
	ck_assert_int_eq(footfall_open(&f, address, _i ? KEY : NULL), 0);
	ck_assert_uint_eq(footfall_batch(&f, events, 9), 0);
	while ((n = receive(bytes, sizeof(bytes))) > 0) {
		ck_assert_uint_le(n, DATAGRAM_MAX);
		total++;
	}
	ck_assert_uint_eq(total, 5); /* two fit one */
	footfall_close(&f);
}
END_TEST

START_TEST(an_event_that_is_too_large_fails_alone)
{
	static char ua[DATAGRAM_MAX];
	const struct footfall_event events[3] = {{.type = "video", .id = "a"},
						 {.type = "video", .id = "b", .ua = ua},
						 {.type = "video", .id = "c"}};
	struct footfall f;

	memset(ua, 'x', sizeof(ua) - 1);
	ck_assert_int_eq(footfall_open(&f, address, NULL), 0);
	ck_assert_uint_eq(footfall_batch(&f, events, 3), 1);
	ck_assert_int_eq(footfall_event(&f, &events[1]), -1);
	ck_assert_uint_eq(f.sent, 2);
	ck_assert_uint_eq(f.failed, 2);
	ck_assert_ptr_nonnull(f.error);
	footfall_close(&f);
}
END_TEST

START_TEST(sequence_numbers_grow_and_a_child_is_another_sender)
{
	const struct footfall_event e = {.type = "video", .id = "a"};
	uint8_t bytes[3][DATAGRAM_MAX];
	struct footfall f;
	int i;

	ck_assert_int_eq(footfall_open(&f, address, KEY), 0);
	ck_assert_int_eq(footfall_event(&f, &e), 0);
	ck_assert_int_eq(footfall_event(&f, &e), 0);
	if (fork() == 0)
		_exit(footfall_event(&f, &e) < 0);
	(void)wait(NULL);
	for (i = 0; i < 3; i++)
		ck_assert_uint_gt(receive(bytes[i], sizeof(bytes[i])), 0);
	ck_assert_mem_eq(bytes[0] + 5, bytes[1] + 5, 8); /* boot */
	ck_assert_mem_ne(bytes[0] + 5, bytes[2] + 5, 8);
	ck_assert_int_eq(bytes[0][13], 1);
	ck_assert_int_eq(bytes[1][13], 2);
	ck_assert_int_eq(bytes[2][13], 1);
	footfall_close(&f);
}
END_TEST

START_TEST(without_a_listener_everything_but_the_last_is_counted_as_failed)
{
	const struct footfall_event e = {.type = "video", .id = "a"};
	struct footfall f;
	int i;

	ck_assert_int_eq(footfall_open(&f, address, NULL), 0);
	close(agent);
	agent = -1;
	for (i = 0; i < 10; i++)
		(void)footfall_event(&f, &e);
	ck_assert_uint_eq(f.sent, 1);
	ck_assert_uint_eq(f.failed, 9);
	footfall_close(&f);
}
END_TEST

static const struct {
	const char *address, *key;
} unusable[] = {
    {"127.0.0.1", NULL},    {":8125", NULL},      {"127.0.0.1:x y", NULL},
    {NULL, "/nonexistent"}, {NULL, "key-1 4041"}, {NULL, "key-1"},
};

START_TEST(what_cannot_be_used_fails_no_caller)
{
	const struct footfall_event e = {.type = "video", .id = "a"};
	struct footfall f;

	ck_assert_int_eq(footfall_open(&f, unusable[_i].address ? unusable[_i].address : address,
				       unusable[_i].key),
			 -1);
	ck_assert_int_eq(footfall_event(&f, &e), -1);
	ck_assert_uint_eq(footfall_batch(&f, &e, 1), 1);
	ck_assert_uint_eq(f.failed, 2);
	ck_assert_ptr_nonnull(f.error);
	footfall_close(&f);
	ck_assert_int_eq(footfall_event(&f, &e), -1);
}
END_TEST

START_TEST(event_ids_are_random_uuids)
{
	char a[37], b[37];
	uint8_t uuid[16];

	footfall_event_id(a);
	footfall_event_id(b);
	ck_assert(uuid_of(a, uuid));
	ck_assert_int_eq(uuid[6] >> 4, 4);
	ck_assert_int_eq(uuid[8] >> 6, 2);
	ck_assert_str_ne(a, b);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("client");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, it_packs_the_golden_datagrams, 0, 2);
	tcase_add_loop_test(t, it_signs_the_golden_envelopes, 0, 3);
	tcase_add_test(t, events_go_in_as_few_datagrams_as_hold_them);
	tcase_add_loop_test(t, no_datagram_is_larger_than_the_agent_takes, 0, 2);
	tcase_add_test(t, an_event_that_is_too_large_fails_alone);
	tcase_add_test(t, sequence_numbers_grow_and_a_child_is_another_sender);
	tcase_add_test(t, without_a_listener_everything_but_the_last_is_counted_as_failed);
	tcase_add_loop_test(t, what_cannot_be_used_fails_no_caller, 0,
			    (int)(sizeof(unusable) / sizeof(unusable[0])));
	tcase_add_test(t, event_ids_are_random_uuids);
	return golden_run("client_c", t);
}
