/* Whose datagrams are taken: keys, times and sequence numbers, on a clock of the test's own. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "node/udp_keys.h"
#include "node/udp_senders.h"
#include "node/udp_tally.h"
#include "node/udp_trust.h"
#include "scratch.h"
#include "stats/stats.h"

#define START_MS INT64_C(1764158400000)
#define WINDOW_MS INT64_C(300000)
#define HEX32 "0011223344556677"
#define HEX HEX32 HEX32 HEX32 HEX32
#define OTHER_HEX "f" HEX32 HEX32 HEX32 "001122334455667"

static char dir[SCRATCH_MAX], path[SCRATCH_MAX + 8];
static struct conf *conf;
static struct udp_trust *trust;
static int64_t now_ms;

static void
write_keys(const char *text, mode_t mode)
{
	ck_assert_int_eq(file_replace(dir, "keys", text, strlen(text), mode), 0);
}

static void
set_up(void)
{
	scratch_make(dir, "trust");
	(void)snprintf(path, sizeof(path), "%s/keys", dir);
	log_init("test", LOG_ERROR + 1);
	ck_assert_int_eq(hash_init(), 0);
	now_ms = START_MS;
}

static void
tear_down(void)
{
	udp_trust_free(trust);
	conf_free(conf);
	trust = NULL;
	conf = NULL;
	scratch_remove(dir);
}

static int
open_with(const char *keys_file, const char *senders)
{
	char keys[128], room[64];
	char *overrides[] = {(char[]){"node.name=w"}, keys, room};

	(void)snprintf(keys, sizeof(keys), "udp.keys_file=%s", keys_file);
	(void)snprintf(room, sizeof(room), "udp.senders=%s", senders);
	ck_assert_int_eq(conf_load(CONF_AGENT, NULL, overrides, 3, stderr, &conf), 0);
	return udp_trust_new(conf, (struct wall_ms){START_MS}, &trust);
}

static void
open_default(void)
{
	write_keys("one " HEX "\ntwo " OTHER_HEX "\n", 0600);
	ck_assert_int_eq(open_with(path, "64"), 0);
}

/* -- datagrams -- */

struct mail {
	const char *name, *hex;
	uint64_t boot, seq;
	int64_t time_ms;
};

static enum reason
judge(struct text bytes, bool remote)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct text payload = {NULL, 0};
	enum reason r;

	from.sin_addr.s_addr = htonl(remote ? 0xc0000207u : INADDR_LOOPBACK);
	r = udp_trust_judge(trust, (const struct sockaddr *)&from, bytes, (struct wall_ms){now_ms},
			    &payload);
	ck_assert_int_eq(payload.at != NULL, r == REASON_ACCEPTED_FIRST);
	return r;
}

static enum reason
deliver(struct mail m)
{
	struct envelope e = {.key_name = text_of(m.name),
			     .boot = m.boot,
			     .seq = m.seq,
			     .time_ms = m.time_ms,
			     .payload = TEXT_LIT("\x80")};
	uint8_t key[ENVELOPE_KEY_BYTES], bytes[256];
	size_t len;

	ck_assert(text_to_bytes(text_of(m.hex), key, sizeof(key)));
	len = envelope_write(&e, key, bytes, sizeof(bytes));
	ck_assert_uint_gt(len, 0);
	return judge((struct text){(const char *)bytes, len}, true);
}

static void
open_for_signed_alone(void)
{
	char keys[128];
	char *overrides[] = {(char[]){"node.name=w"}, (char[]){"udp.require_signed=all"}, keys};

	write_keys("one " HEX "\n", 0600);
	(void)snprintf(keys, sizeof(keys), "udp.keys_file=%s", path);
	ck_assert_int_eq(conf_load(CONF_AGENT, NULL, overrides, 3, stderr, &conf), 0);
	ck_assert_int_eq(udp_trust_new(conf, (struct wall_ms){START_MS}, &trust), 0);
}

/* From the sender `boot` of key one, signed now. */
static enum reason
deliver_seq(uint64_t boot, uint64_t seq)
{
	return deliver((struct mail){"one", HEX, boot, seq, now_ms});
}

#define EXPECT(r, expected) ck_assert_str_eq(reason_name(r), reason_name(REASON_##expected))

/* -- who -- */

START_TEST(unsigned_datagrams_are_taken_from_loopback_alone)
{
	open_default();
	EXPECT(judge(TEXT_LIT("\x80"), false), ACCEPTED_FIRST);
	EXPECT(judge(TEXT_LIT("\x80"), true), INVALID_UNTRUSTED);
	EXPECT(judge(TEXT_LIT("FFSD"), false), INVALID_ENVELOPE);
	EXPECT(judge((struct text){"", 0}, true), INVALID_UNTRUSTED);
}
END_TEST

START_TEST(with_require_signed_all_loopback_is_not_enough)
{
	open_for_signed_alone();
	EXPECT(judge(TEXT_LIT("\x80"), false), INVALID_UNTRUSTED);
	EXPECT(judge(TEXT_LIT("\x80"), true), INVALID_UNTRUSTED);
	EXPECT(deliver_seq(7, 1), ACCEPTED_FIRST);
	write_keys("two " OTHER_HEX "\n", 0600);
	udp_trust_reload(trust, path, (struct wall_ms){now_ms});
	EXPECT(deliver_seq(7, 2), INVALID_UNKNOWN_KEY);
	udp_trust_reload(trust, "", (struct wall_ms){now_ms}); /* no key at all: nothing is taken */
	EXPECT(judge(TEXT_LIT("\x80"), false), INVALID_UNTRUSTED);
}
END_TEST

START_TEST(a_signed_datagram_of_a_known_key_is_taken)
{
	open_default();
	EXPECT(deliver_seq(7, 1), ACCEPTED_FIRST);
	EXPECT(deliver((struct mail){"two", OTHER_HEX, 7, 1, now_ms}), ACCEPTED_FIRST);
}
END_TEST

START_TEST(unknown_keys_and_wrong_keys_are_told_apart)
{
	open_default();
	EXPECT(deliver((struct mail){"three", HEX, 7, 1, now_ms}), INVALID_UNKNOWN_KEY);
	EXPECT(deliver((struct mail){"two", HEX, 7, 1, now_ms}), INVALID_TAG);
	/* a forged datagram uses up nothing */
	EXPECT(deliver((struct mail){"two", OTHER_HEX, 7, 1, now_ms}), ACCEPTED_FIRST);
}
END_TEST

START_TEST(without_keys_no_signature_is_known)
{
	ck_assert_int_eq(open_with("", "64"), 0);
	EXPECT(deliver_seq(7, 1), INVALID_UNKNOWN_KEY);
	EXPECT(judge(TEXT_LIT("\x80"), false), ACCEPTED_FIRST);
}
END_TEST

/* -- when -- */

START_TEST(times_within_the_window_are_taken)
{
	open_default();
	now_ms += DAY_MS;
	EXPECT(deliver((struct mail){"one", HEX, 1, 1, now_ms - WINDOW_MS}), ACCEPTED_FIRST);
	EXPECT(deliver((struct mail){"one", HEX, 2, 1, now_ms + WINDOW_MS}), ACCEPTED_FIRST);
	EXPECT(deliver((struct mail){"one", HEX, 3, 1, now_ms - WINDOW_MS - 1}), INVALID_STALE);
	EXPECT(deliver((struct mail){"one", HEX, 3, 1, now_ms + WINDOW_MS + 1}), INVALID_STALE);
	EXPECT(deliver((struct mail){"one", HEX, 3, 1, now_ms}), ACCEPTED_FIRST);
}
END_TEST

START_TEST(what_was_signed_before_the_start_is_refused)
{
	open_default();
	now_ms += 1000;
	EXPECT(deliver((struct mail){"one", HEX, 1, 1, START_MS - 1}), INVALID_STALE);
	EXPECT(deliver((struct mail){"one", HEX, 1, 1, START_MS}), ACCEPTED_FIRST);
}
END_TEST

/* -- once -- */

START_TEST(each_sequence_number_counts_once)
{
	static const uint64_t order[] = {5, 6, 9, 7, 8, 1, 4, 3, 2, 64, 63, 65, 1000, 127, 128};
	size_t i;

	open_default();
	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		EXPECT(deliver_seq(7, order[i]), ACCEPTED_FIRST);
	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		EXPECT(deliver_seq(7, order[i]), INVALID_REPLAYED);
}
END_TEST

START_TEST(senders_have_windows_of_their_own)
{
	open_default();
	EXPECT(deliver_seq(7, 1), ACCEPTED_FIRST);
	EXPECT(deliver_seq(8, 1), ACCEPTED_FIRST);
	EXPECT(deliver((struct mail){"two", OTHER_HEX, 7, 1, now_ms}), ACCEPTED_FIRST);
	EXPECT(deliver_seq(7, 1), INVALID_REPLAYED);
	EXPECT(deliver_seq(8, 1), INVALID_REPLAYED);
}
END_TEST

START_TEST(the_window_reaches_back_1023_numbers)
{
	const uint64_t newest = 5000;
	uint64_t seq;

	open_default();
	EXPECT(deliver_seq(7, newest), ACCEPTED_FIRST);
	EXPECT(deliver_seq(7, newest - UDP_WINDOW), INVALID_LATE);
	for (seq = newest - UDP_WINDOW + 1; seq < newest; seq++)
		EXPECT(deliver_seq(7, seq), ACCEPTED_FIRST);
	for (seq = newest - UDP_WINDOW + 1; seq <= newest; seq++)
		EXPECT(deliver_seq(7, seq), INVALID_REPLAYED);
	EXPECT(deliver_seq(7, 1), INVALID_LATE);
}
END_TEST

START_TEST(a_jump_of_any_size_forgets_nothing_that_is_still_in_the_window)
{
	static const uint64_t jumps[] = {1,    2,    63,   64,   65,   960,
					 1023, 1024, 1025, 1088, 1089, 99999};
	const uint64_t jump = jumps[_i];
	uint64_t base = 3000, seq;

	open_default();
	for (seq = base - 500; seq <= base; seq++)
		EXPECT(deliver_seq(7, seq), ACCEPTED_FIRST);
	EXPECT(deliver_seq(7, base + jump), ACCEPTED_FIRST);
	for (seq = base - 500; seq <= base; seq++) {
		if (seq + UDP_WINDOW <= base + jump)
			EXPECT(deliver_seq(7, seq), INVALID_LATE);
		else
			EXPECT(deliver_seq(7, seq), INVALID_REPLAYED);
	}
	for (seq = base + 1; seq < base + jump && seq < base + 3000; seq++) {
		if (seq + UDP_WINDOW <= base + jump)
			EXPECT(deliver_seq(7, seq), INVALID_LATE);
		else
			EXPECT(deliver_seq(7, seq), ACCEPTED_FIRST);
	}
}
END_TEST

START_TEST(the_largest_sequence_number_is_an_ordinary_one)
{
	open_default();
	EXPECT(deliver_seq(7, ENVELOPE_SEQ_MAX), ACCEPTED_FIRST);
	EXPECT(deliver_seq(7, ENVELOPE_SEQ_MAX), INVALID_REPLAYED);
	EXPECT(deliver_seq(7, ENVELOPE_SEQ_MAX - 1), ACCEPTED_FIRST);
	EXPECT(deliver_seq(7, 1), INVALID_LATE);
}
END_TEST

START_TEST(gaps_and_late_ones_are_counted)
{
	uint64_t gaps = stat_get(STAT_UDP_GAPS), late = stat_get(STAT_UDP_LATE);

	open_default();
	EXPECT(deliver_seq(7, 100), ACCEPTED_FIRST); /* nobody knows what was before */
	EXPECT(deliver_seq(7, 99), ACCEPTED_FIRST);
	EXPECT(deliver_seq(7, 101), ACCEPTED_FIRST);
	ck_assert_uint_eq(stat_get(STAT_UDP_GAPS) - gaps, 0);
	EXPECT(deliver_seq(7, 105), ACCEPTED_FIRST);
	ck_assert_uint_eq(stat_get(STAT_UDP_GAPS) - gaps, 3);
	ck_assert_uint_eq(stat_get(STAT_UDP_LATE) - late, 0);
	EXPECT(deliver_seq(7, 103), ACCEPTED_FIRST);
	EXPECT(deliver_seq(7, 103), INVALID_REPLAYED);
	ck_assert_uint_eq(stat_get(STAT_UDP_GAPS) - gaps, 3);
	ck_assert_uint_eq(stat_get(STAT_UDP_LATE) - late, 1);
}
END_TEST

/* Names keep their places and counts for as long as the process lives, and without forks other
 * tests count as well: so a test looks at what was added. */
struct tally {
	uint64_t count[UDP_TALLY_N];
};

static struct tally
tally_of(const char *key)
{
	struct tally t;
	unsigned i;

	for (i = 0; i < UDP_TALLY_N; i++)
		t.count[i] = udp_tally_get(udp_tally_of(key), (enum udp_tally)i);
	return t;
}

static uint64_t
tallied(const char *key, const struct tally *before, enum udp_tally what)
{
	return udp_tally_get(udp_tally_of(key), what) - before->count[what];
}

START_TEST(what_came_of_a_keys_datagrams_is_counted_by_its_name)
{
	struct tally one, two;

	open_default();
	one = tally_of("one");
	two = tally_of("two");
	EXPECT(deliver_seq(7, 100), ACCEPTED_FIRST);
	EXPECT(deliver_seq(7, 105), ACCEPTED_FIRST);
	EXPECT(deliver_seq(7, 103), ACCEPTED_FIRST);
	EXPECT(deliver_seq(7, 103), INVALID_REPLAYED);
	EXPECT(deliver_seq(8, 1), ACCEPTED_FIRST); /* another process with this key */
	EXPECT(deliver_seq(7, 2000), ACCEPTED_FIRST);
	EXPECT(deliver_seq(7, 1), INVALID_LATE);
	EXPECT(deliver((struct mail){"one", OTHER_HEX, 7, 2001, now_ms}), INVALID_TAG);
	EXPECT(deliver((struct mail){"one", HEX, 9, 1, now_ms - WINDOW_MS - 1}), INVALID_STALE);
	EXPECT(deliver((struct mail){"two", OTHER_HEX, 7, 1, now_ms}), ACCEPTED_FIRST);
	EXPECT(deliver((struct mail){"three", HEX, 7, 1, now_ms}), INVALID_UNKNOWN_KEY);
	ck_assert_uint_eq(tallied("one", &one, UDP_TALLY_RECEIVED), 5);
	ck_assert_uint_eq(tallied("one", &one, UDP_TALLY_GAPS), 4 + 1894);
	ck_assert_uint_eq(tallied("one", &one, UDP_TALLY_LATE), 1);
	ck_assert_uint_eq(tallied("one", &one, UDP_TALLY_REPLAYED), 1);
	ck_assert_uint_eq(tallied("one", &one, UDP_TALLY_REFUSED), 3);
	ck_assert_uint_eq(tallied("two", &two, UDP_TALLY_RECEIVED), 1);
	ck_assert_uint_eq(tallied("two", &two, UDP_TALLY_REFUSED), 0);
}
END_TEST

START_TEST(names_beyond_the_maximum_are_counted_together)
{
	char name[16], *text = NULL;
	uint16_t place = 0;
	size_t size;
	FILE *out;
	unsigned i;

	for (i = 0; i < 2 * UDP_KEYS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "k%u", i);
		place = udp_tally_of(name);
		ck_assert_uint_lt(place, UDP_KEYS_MAX);
		ck_assert_uint_eq(place, udp_tally_of(name));
	}
	ck_assert_uint_eq(place, 0);
	udp_tally_add(place, UDP_TALLY_GAPS, 3);
	udp_tally_add(udp_tally_of("k0"), UDP_TALLY_GAPS, 2);
	out = open_memstream(&text, &size);
	udp_tally_print(out);
	udp_tally_print_json(out);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_ptr_nonnull(strstr(text, "footfall_udp_key_gaps_total{key=\"other\"} 3\n"));
	ck_assert_ptr_nonnull(strstr(text, "footfall_udp_key_gaps_total{key=\"k0\"} 2\n"));
	ck_assert_ptr_nonnull(strstr(text, "{\"other\":{\"received\":0,\"lost\":3,"));
	free(text);
}
END_TEST

/* -- bounded -- */

START_TEST(a_full_table_takes_new_senders_and_no_replay)
{
	uint64_t evicted = stat_get(STAT_UDP_SENDERS_EVICTED), boot;

	open_default(); /* room for 64 */
	for (boot = 1; boot <= 1000; boot++, now_ms++)
		EXPECT(deliver_seq(boot, 1), ACCEPTED_FIRST);
	ck_assert_uint_ge(stat_get(STAT_UDP_SENDERS_EVICTED) - evicted, 1000 - 64);
	for (boot = 1; boot <= 1000; boot++)
		ck_assert_int_ne(
		    deliver((struct mail){"one", HEX, boot, 1, START_MS + (int64_t)boot - 1}),
		    REASON_ACCEPTED_FIRST);
}
END_TEST

START_TEST(a_senders_place_is_free_once_its_time_is_over)
{
	uint64_t evicted = stat_get(STAT_UDP_SENDERS_EVICTED), boot;

	open_default();
	for (boot = 1; boot <= 1000; boot++) {
		EXPECT(deliver_seq(boot, 1), ACCEPTED_FIRST);
		now_ms += WINDOW_MS + 1;
	}
	ck_assert_uint_eq(stat_get(STAT_UDP_SENDERS_EVICTED), evicted);
}
END_TEST

START_TEST(a_key_whose_clock_is_ahead_harms_itself_alone)
{
	uint64_t boot;

	open_default();
	for (boot = 1; boot <= 1000; boot++)
		(void)deliver((struct mail){"two", OTHER_HEX, boot, 1, now_ms + WINDOW_MS});
	EXPECT(deliver((struct mail){"two", OTHER_HEX, 2000, 1, now_ms}), INVALID_STALE);
	EXPECT(deliver_seq(2000, 1), ACCEPTED_FIRST);
}
END_TEST

/* -- files of keys -- */

static const struct {
	const char *text, *fault; /* NULL: it is good */
} files[] = {
    {"one " HEX, NULL},
    {"# keys\n\n \t\r\n  one\t" HEX " \r\ntwo " HEX "\n", NULL},
    {"", "holds no key"},
    {"# one " HEX "\n", "holds no key"},
    {"one\n", "keys:1: the key is not 64"},
    {"one " HEX32 "\n", "keys:1: the key is not 64"},
    {"one " HEX "0\n", "keys:1: the key is not 64"},
    {"one x" HEX32 HEX32 HEX32 "001122334455667\n", "keys:1: the key is not 64"},
    {"\none " HEX "\none " OTHER_HEX "\n", "keys:3: this name stands twice"},
    {"one " HEX " x\n", "keys:1: something stands behind"},
    {"o/ne " HEX "\n", "keys:1: the name"},
};

START_TEST(files_of_keys_are_read_or_refused_with_the_line)
{
	struct udp_keys *keys = NULL;
	char fault[UDP_KEYS_FAULT_MAX] = "";
	int err;

	write_keys(files[_i].text, 0600);
	err = udp_keys_read(path, (struct wall_ms){0}, &keys, fault);
	if (!files[_i].fault) {
		ck_assert_int_eq(err, 0);
		ck_assert_str_eq(udp_keys_at(keys, 0)->name, "one");
	} else {
		ck_assert_int_eq(err, -EINVAL);
		ck_assert_msg(strstr(fault, files[_i].fault) != NULL, "%s", fault);
		ck_assert_ptr_null(strstr(fault, "00112233"));
	}
	udp_keys_free(keys);
}
END_TEST

START_TEST(a_file_that_others_may_read_is_refused)
{
	struct udp_keys *keys = NULL;
	char fault[UDP_KEYS_FAULT_MAX];

	write_keys("one " HEX "\n", 0640);
	ck_assert_int_eq(udp_keys_read(path, (struct wall_ms){0}, &keys, fault), -EPERM);
	ck_assert_int_eq(open_with(path, "64"), -EPERM);
}
END_TEST

START_TEST(more_keys_than_the_maximum_are_refused)
{
	static char text[(UDP_KEYS_MAX + 1) * 80];
	struct udp_keys *keys = NULL;
	char fault[UDP_KEYS_FAULT_MAX];
	size_t len = 0, half = 0;
	int i;

	for (i = 0; i <= UDP_KEYS_MAX; i++) {
		half = len;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "k%d " HEX "\n", i);
	}
	write_keys(text, 0600);
	ck_assert_int_eq(udp_keys_read(path, (struct wall_ms){0}, &keys, fault), -EINVAL);
	text[half] = '\0';
	write_keys(text, 0600);
	ck_assert_int_eq(udp_keys_read(path, (struct wall_ms){0}, &keys, fault), 0);
	udp_keys_free(keys);
}
END_TEST

START_TEST(a_reload_changes_keys_and_forgets_no_sequence_number)
{
	open_default();
	EXPECT(deliver_seq(7, 1), ACCEPTED_FIRST);
	write_keys("one " HEX "\nthree " OTHER_HEX "\n", 0600);
	now_ms += 1000;
	udp_trust_reload(trust, path, (struct wall_ms){now_ms});
	EXPECT(deliver_seq(7, 1), INVALID_REPLAYED);
	/* a key that stays has no new floor, one that is new begins now */
	EXPECT(deliver((struct mail){"one", HEX, 8, 1, now_ms - 500}), ACCEPTED_FIRST);
	EXPECT(deliver((struct mail){"three", OTHER_HEX, 7, 1, now_ms - 500}), INVALID_STALE);
	EXPECT(deliver((struct mail){"three", OTHER_HEX, 7, 1, now_ms}), ACCEPTED_FIRST);
	EXPECT(deliver((struct mail){"two", OTHER_HEX, 7, 2, now_ms}), INVALID_UNKNOWN_KEY);
	udp_trust_reload(trust, "", (struct wall_ms){now_ms});
	EXPECT(deliver_seq(7, 3), INVALID_UNKNOWN_KEY);
}
END_TEST

START_TEST(a_reload_of_a_bad_file_leaves_the_keys)
{
	open_default();
	write_keys("one\n", 0600);
	udp_trust_reload(trust, path, (struct wall_ms){now_ms});
	EXPECT(deliver_seq(7, 1), ACCEPTED_FIRST);
}
END_TEST

START_TEST(keys_may_come_with_a_reload)
{
	ck_assert_int_eq(open_with("", "64"), 0);
	write_keys("one " HEX "\n", 0600);
	udp_trust_reload(trust, path, (struct wall_ms){now_ms});
	udp_trust_reload(trust, path,
			 (struct wall_ms){now_ms}); /* the first was not taken up yet */
	EXPECT(deliver_seq(7, 1), ACCEPTED_FIRST);
}
END_TEST

static void *
reload_often(void *ctx)
{
	int i;

	(void)ctx;
	for (i = 0; i < 200; i++)
		udp_trust_reload(trust, path, (struct wall_ms){START_MS});
	return NULL;
}

START_TEST(reloads_may_happen_while_datagrams_come)
{
	pthread_t thread;
	uint64_t seq;

	open_default();
	ck_assert_int_eq(pthread_create(&thread, NULL, reload_often, NULL), 0);
	for (seq = 1; seq <= 5000; seq++)
		EXPECT(deliver_seq(7, seq), ACCEPTED_FIRST);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	EXPECT(deliver_seq(7, 5000), INVALID_REPLAYED);
}
END_TEST

static void
add_tests(TCase *t)
{
	tcase_add_test(t, unsigned_datagrams_are_taken_from_loopback_alone);
	tcase_add_test(t, with_require_signed_all_loopback_is_not_enough);
	tcase_add_test(t, a_signed_datagram_of_a_known_key_is_taken);
	tcase_add_test(t, unknown_keys_and_wrong_keys_are_told_apart);
	tcase_add_test(t, without_keys_no_signature_is_known);
	tcase_add_test(t, times_within_the_window_are_taken);
	tcase_add_test(t, what_was_signed_before_the_start_is_refused);
	tcase_add_test(t, each_sequence_number_counts_once);
	tcase_add_test(t, senders_have_windows_of_their_own);
	tcase_add_test(t, the_window_reaches_back_1023_numbers);
	tcase_add_loop_test(t, a_jump_of_any_size_forgets_nothing_that_is_still_in_the_window, 0,
			    12);
	tcase_add_test(t, the_largest_sequence_number_is_an_ordinary_one);
	tcase_add_test(t, gaps_and_late_ones_are_counted);
	tcase_add_test(t, what_came_of_a_keys_datagrams_is_counted_by_its_name);
	tcase_add_test(t, names_beyond_the_maximum_are_counted_together);
	tcase_add_test(t, a_full_table_takes_new_senders_and_no_replay);
	tcase_add_test(t, a_senders_place_is_free_once_its_time_is_over);
	tcase_add_test(t, a_key_whose_clock_is_ahead_harms_itself_alone);
	tcase_add_loop_test(t, files_of_keys_are_read_or_refused_with_the_line, 0,
			    (int)(sizeof(files) / sizeof(files[0])));
	tcase_add_test(t, a_file_that_others_may_read_is_refused);
	tcase_add_test(t, more_keys_than_the_maximum_are_refused);
	tcase_add_test(t, a_reload_changes_keys_and_forgets_no_sequence_number);
	tcase_add_test(t, a_reload_of_a_bad_file_leaves_the_keys);
	tcase_add_test(t, keys_may_come_with_a_reload);
	tcase_add_test(t, reloads_may_happen_while_datagrams_come);
}

int
main(void)
{
	Suite *suite = suite_create("udp_trust");
	TCase *t = tcase_create("udp_trust");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	add_tests(t);
	suite_add_tcase(suite, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
