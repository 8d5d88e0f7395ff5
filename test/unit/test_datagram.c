#include <ctype.h>
#include <math.h>
#include <unistd.h>

#include "base/buf.h"
#include "golden.h"
#include "proto/datagram.h"

static const uint8_t uuid[16] = {0x7f, 0x1d, 0x3c, 0x5e, 0x2b, 0x4a, 0x4c, 0x6d,
				 0x8e, 0x9f, 0xa0, 0xb1, 0xc2, 0xd3, 0xe4, 0xf5};

#define UUID_TEXT "7f1d3c5e-2b4a-4c6d-8e9f-a0b1c2d3e4f5"
#define TYPE "\xa4type\xa5video"
#define ID "\xa2id\xd9\x24" UUID_TEXT
#define ROW(s)                     \
	{                          \
		(s), sizeof(s) - 1 \
	} /* for tables */
#define BYTES(s) ((struct text)ROW(s))

/* A decoder with a copy of exactly the datagram's bytes. */
struct fixture {
	struct datagram_decoder *d;
	uint8_t *bytes;
	unsigned events;
	enum reason reason;
	struct event e; /* the first */
};

static struct fixture
opened(struct text t)
{
	struct fixture f = {.d = datagram_decoder_new(),
			    .bytes = malloc(t.len ? t.len : 1),
			    .reason = REASON_SHED_STOPPING}; /* no decoder's */

	ck_assert(f.d != NULL && f.bytes != NULL);
	if (t.len)
		memcpy(f.bytes, t.at, t.len);
	f.events = datagram_open(f.d, f.bytes, t.len, &f.reason);
	if (f.events)
		f.reason = datagram_event(f.d, 0, &f.e);
	return f;
}

static void
closed(struct fixture *f)
{
	datagram_decoder_free(f->d);
	free(f->bytes);
}

static enum reason
reason_of(struct text t)
{
	struct fixture f = opened(t);

	closed(&f);
	return f.reason;
}

static const struct {
	struct text bytes;
	enum reason reason;
} refused[] = {
    {ROW(""), REASON_INVALID_MSGPACK},
    {ROW("\xc0"), REASON_INVALID_MSGPACK},
    {ROW("\x01"), REASON_INVALID_MSGPACK},
    {ROW("\xa5video"), REASON_INVALID_MSGPACK},
    {ROW("\x90"), REASON_INVALID_MSGPACK},                /* no events */
    {ROW("\x91\x01"), REASON_INVALID_MSGPACK},            /* an element that is no map */
    {ROW("\x82" TYPE ID "\xc0"), REASON_INVALID_MSGPACK}, /* something behind */
    {ROW("\x83" TYPE ID), REASON_INVALID_MSGPACK},        /* a pair is missing */
    {ROW("\x83" TYPE ID "\xc1\xc0"), REASON_INVALID_MSGPACK},
    {ROW("\x83" TYPE ID "\xa1x\xd4\x01\x00"), REASON_INVALID_MSGPACK}, /* ext */
    {ROW("\x83" TYPE ID "\xa1x\xc7\x00\x01"), REASON_INVALID_MSGPACK},
    {ROW("\x83" TYPE ID "\xa1x\xdd\xff\xff\xff\xff"), REASON_INVALID_MSGPACK}, /* huge counts */
    {ROW("\x83" TYPE ID "\xa1x\xdf\xff\xff\xff\xff"), REASON_INVALID_MSGPACK},
    {ROW("\x83" TYPE ID "\xa1x\xc6\xff\xff\xff\xff"), REASON_INVALID_MSGPACK},
    {ROW("\x83" TYPE ID "\xa1x\x91\x91\x91\x91\x90"), REASON_INVALID_MSGPACK}, /* too deep */
    {ROW("\x80"), REASON_INVALID_MISSING},
    {ROW("\x81" TYPE), REASON_INVALID_MISSING},
    {ROW("\x81" ID), REASON_INVALID_MISSING},
    {ROW("\x82\xa4type\xc0" ID), REASON_INVALID_MISSING},
    {ROW("\x82" TYPE "\xa2id\xc0"), REASON_INVALID_MISSING},
    {ROW("\x83" TYPE ID TYPE), REASON_INVALID_DUPLICATE_KEY},
    {ROW("\x83" TYPE ID "\xc4\x02id\xc0"), REASON_INVALID_DUPLICATE_KEY}, /* bin, then nil */
    {ROW("\x82\xa4type\x05" ID), REASON_INVALID_TYPE},
    {ROW("\x82\xa4type\xa0" ID), REASON_INVALID_TYPE},
    {ROW("\x82\xa4type\xa1\xff" ID), REASON_INVALID_TYPE},
    {ROW("\x82" TYPE "\xa2id\x05"), REASON_INVALID_ID},
    {ROW("\x82" TYPE "\xa2id\xa0"), REASON_INVALID_ID},
    {ROW("\x82" TYPE "\xa2id\xa2\xff\xfe"), REASON_INVALID_ID},
    {ROW("\x82" TYPE "\xa2id\xd9\x41"
	 "01234567890123456789012345678901234567890123456789012345678901234"),
     REASON_INVALID_ID},
    {ROW("\x83" TYPE ID "\xa3"
	 "eid\xaf"
	 "0123456789abcde"),
     REASON_INVALID_EVENT_ID},
    {ROW("\x83" TYPE ID "\xa3"
	 "eid\x01"),
     REASON_INVALID_EVENT_ID},
    {ROW("\x83" TYPE ID "\xa2"
	 "ev\xa0"),
     REASON_INVALID_EVENT},
    {ROW("\x83" TYPE ID "\xa2"
	 "ev\xa3"
	 "a b"),
     REASON_INVALID_EVENT},
    {ROW("\x83" TYPE ID "\xa3val\xa1"
	 "1"),
     REASON_INVALID_VALUE},
    {ROW("\x83" TYPE ID "\xa3val\xc3"), REASON_INVALID_VALUE},
    {ROW("\x83" TYPE ID "\xa3val\xca\x7f\x80\x00\x00"), REASON_INVALID_VALUE}, /* infinite */
    {ROW("\x83" TYPE ID "\xa3val\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), REASON_INVALID_VALUE},
    {ROW("\x83" TYPE ID "\xa4site\xa1/"), REASON_INVALID_SITE},
    {ROW("\x83" TYPE ID "\xa2ts\x00"), REASON_INVALID_TIME},
    {ROW("\x83" TYPE ID "\xa2ts\xff"), REASON_INVALID_TIME}, /* -1 */
    {ROW("\x83" TYPE ID "\xa2ts\xa1"
	 "1"),
     REASON_INVALID_TIME},
    {ROW("\x83" TYPE ID "\xa2ts\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"), REASON_INVALID_TIME},
    {ROW("\x83" TYPE ID "\xa2ts\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), REASON_INVALID_TIME},
    {ROW("\x83" TYPE ID "\xa2ip\x01"), REASON_INVALID_ADDRESS},
    {ROW("\x83" TYPE ID "\xa2ua\x90"), REASON_INVALID_USER_AGENT},
    {ROW("\x83" TYPE ID "\xa2ua\xa1\xff"), REASON_INVALID_USER_AGENT},
    {ROW("\x83" TYPE ID "\xa3ref\xa3"
	 "a/b"),
     REASON_INVALID_REFERRER},
    {ROW("\x83" TYPE ID "\xa3ref\x80"), REASON_INVALID_REFERRER},
    {ROW("\x83" TYPE ID "\xa4sess\xd9\x41"
	 "01234567890123456789012345678901234567890123456789012345678901234"),
     REASON_INVALID_SESSION},
};

START_TEST(a_bad_datagram_is_refused_with_its_reason)
{
	enum reason r = reason_of(refused[_i].bytes);

	ck_assert_msg(r == refused[_i].reason, "row %d: %s", _i, reason_name(r));
}
END_TEST

static const struct text accepted[] = {
    ROW("\x82" TYPE ID),
    ROW("\x91\x82" TYPE ID),
    ROW("\xdc\x00\x01\xde\x00\x02" TYPE ID),                                  /* array 16, map 16 */
    ROW("\xdd\x00\x00\x00\x01\xdf\x00\x00\x00\x02" TYPE ID),                  /* array 32, map 32 */
    ROW("\x82\xc4\x04type\xc4\x05video\xc5\x00\x02id\xc5\x00\x24" UUID_TEXT), /* all bin */
    ROW("\x82\xda\x00\x04type\xdb\x00\x00\x00\x05video\xd9\x02id\xc6\x00\x00\x00\x24" UUID_TEXT),
    ROW("\x8b" TYPE ID "\xa3"
	"eid\xc0\xa2"
	"ev\xc0\xa3val\xc0\xa4site\xc0\xa2ts\xc0\xa2ip\xc0"
	"\xa2ua\xc0\xa3ref\xc0\xa4sess\xc0"),
    ROW("\x86" TYPE ID "\xa2ip\xa0\xa2ua\xa0\xa3ref\xa0\xa4sess\xa0"),
    ROW("\x85" TYPE ID "\x01\x02\xa1x\x91\x81\xa1y\xc3\xa1x\xc2"), /* unknown keys, one twice */
};

START_TEST(maps_and_arrays_of_every_width_with_str_or_bin_are_read)
{
	struct fixture f = opened(accepted[_i]);

	ck_assert_uint_eq(f.events, 1);
	ck_assert_msg(f.reason == REASON_ACCEPTED_FIRST, "row %d: %s", _i, reason_name(f.reason));
	golden_text_eq("type", f.e.type, TEXT_LIT("video"));
	golden_text_eq("id", f.e.id, TEXT_LIT(UUID_TEXT));
	ck_assert(f.e.has_uuid && f.e.source == SOURCE_DATAGRAM && f.e.ts_ms == 0);
	ck_assert_mem_eq(f.e.uuid, uuid, 16);
	ck_assert(!f.e.has_event_id && !f.e.has_value && !f.e.name.at && !f.e.session.at);
	ck_assert(!f.e.referrer.at && !f.e.site.at && !f.e.ip.at && !f.e.ua.at);
	closed(&f);
}
END_TEST

START_TEST(an_id_of_16_raw_bytes_is_a_uuid_as_str_or_bin)
{
	static const char *const heads[] = {"\x82" TYPE "\xa2id\xb0", "\x82" TYPE "\xa2id\xc4\x10",
					    "\x82" TYPE "\xa2id\xd9\x10"};
	char bytes[64];
	size_t n = strlen(heads[_i]);
	struct fixture f;

	memcpy(bytes, heads[_i], n);
	memcpy(bytes + n, uuid, 16);
	f = opened((struct text){bytes, n + 16});
	ck_assert_int_eq(f.reason, REASON_ACCEPTED_FIRST);
	ck_assert(f.e.has_uuid && !f.e.id.at);
	ck_assert_mem_eq(f.e.uuid, uuid, 16);
	closed(&f);
}
END_TEST

START_TEST(sixteen_bytes_that_make_a_slug_are_given_as_both)
{
	struct fixture f = opened(BYTES("\x82" TYPE "\xa2id\xb0"
					"getting-started/"));

	ck_assert_int_eq(f.reason, REASON_ACCEPTED_FIRST);
	ck_assert(f.e.has_uuid);
	golden_text_eq("id", f.e.id, TEXT_LIT("getting-started/"));
	closed(&f);
}
END_TEST

START_TEST(a_slug_stays_text_for_admission_to_judge)
{
	struct fixture f = opened(BYTES("\x82" TYPE "\xa2id\xa5"
					"a b/c"));

	ck_assert_int_eq(f.reason, REASON_ACCEPTED_FIRST);
	ck_assert(!f.e.has_uuid);
	golden_text_eq("id", f.e.id, TEXT_LIT("a b/c"));
	closed(&f);
}
END_TEST

/* Milliseconds as every kind of number that an encoder may choose. */
static const struct {
	struct text bytes;
	int64_t ts_ms;
} times[] = {
    {ROW("\x01"), 1},
    {ROW("\xcc\xff"), 255},
    {ROW("\xcd\xff\xff"), 65535},
    {ROW("\xce\xff\xff\xff\xff"), 4294967295},
    {ROW("\xcf\x00\x00\x01\x9a\xbc\xde\xf0\x12"), 0x19abcdef012},
    {ROW("\xd0\x7f"), 127},
    {ROW("\xd3\x00\x00\x01\x9a\xbc\xde\xf0\x12"), 0x19abcdef012},
    {ROW("\xcb\x42\x79\xab\xcd\xef\x01\x20\x00"), 0x19abcdef012},
    {ROW("\xca\x53\x80\x00\x00"), INT64_C(1) << 40},
};

START_TEST(times_come_as_integers_and_whole_floats)
{
	char bytes[128] = "\x83" TYPE ID "\xa2ts";
	size_t n = sizeof("\x83" TYPE ID "\xa2ts") - 1;
	struct fixture f;

	memcpy(bytes + n, times[_i].bytes.at, times[_i].bytes.len);
	f = opened((struct text){bytes, n + times[_i].bytes.len});
	ck_assert_int_eq(f.reason, REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(f.e.ts_ms, times[_i].ts_ms);
	closed(&f);
}
END_TEST

START_TEST(an_array_gives_each_event_its_own_reason_and_referrer)
{
	static const char bytes[] = "\x94\x83" TYPE ID "\xa3ref\xafhttps://a.test/\xc0\x81" TYPE
				    "\x83" TYPE ID "\xa3ref\xafhttps://b.test/";
	struct fixture f = opened(BYTES(bytes));
	struct event e;

	ck_assert_uint_eq(f.events, 4);
	ck_assert_int_eq(f.reason, REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(datagram_event(f.d, 1, &e), REASON_INVALID_MSGPACK);
	ck_assert_int_eq(datagram_event(f.d, 2, &e), REASON_INVALID_MISSING);
	ck_assert_int_eq(datagram_event(f.d, 3, &e), REASON_ACCEPTED_FIRST);
	golden_text_eq("second", e.referrer, TEXT_LIT("b.test"));
	golden_text_eq("first, still", f.e.referrer, TEXT_LIT("a.test"));
	ck_assert_int_eq(datagram_event(f.d, 4, &e), REASON_INVALID_MSGPACK);
	closed(&f);
}
END_TEST

START_TEST(a_referrer_lasts_while_63_more_events_are_decoded)
{
	struct fixture f = opened(BYTES("\x83" TYPE ID "\xa3ref\xafhttps://a.test/"));
	static const char other[] = "\x83" TYPE ID "\xa3ref\xafhttps://b.test/";
	unsigned i;

	for (i = 1; i < DATAGRAM_LENT; i++) {
		enum reason r;
		struct event e;

		ck_assert_uint_eq(datagram_open(f.d, (const uint8_t *)other, sizeof(other) - 1, &r),
				  1);
		ck_assert_int_eq(datagram_event(f.d, 0, &e), REASON_ACCEPTED_FIRST);
		golden_text_eq("later", e.referrer, TEXT_LIT("b.test"));
	}
	golden_text_eq("first, still", f.e.referrer, TEXT_LIT("a.test"));
	closed(&f);
}
END_TEST

START_TEST(arrays_hold_64_events_and_maps_32_keys)
{
	char bytes[256] = "\xdc\x00";
	struct fixture f;

	memset(bytes + 3, '\x80', 65);
	bytes[2] = 64;
	f = opened((struct text){bytes, 3 + 64});
	ck_assert_uint_eq(f.events, 64);
	closed(&f);
	bytes[2] = 65;
	ck_assert_int_eq(reason_of((struct text){bytes, 3 + 65}), REASON_INVALID_TOO_LARGE);
	memcpy(bytes, "\xde\x00\x20", 3);
	memset(bytes + 3, 1, 66);
	ck_assert_int_eq(reason_of((struct text){bytes, 3 + 64}), REASON_INVALID_MISSING);
	bytes[2] = 33;
	ck_assert_int_eq(reason_of((struct text){bytes, 3 + 66}), REASON_INVALID_MSGPACK);
}
END_TEST

START_TEST(a_datagram_is_taken_up_to_8192_bytes)
{
	static char bytes[DATAGRAM_MAX + 1] = "\x83" TYPE ID "\xa1x\xc5";
	size_t n = sizeof("\x83" TYPE ID "\xa1x\xc5") - 1, rest = DATAGRAM_MAX - n - 2;

	bytes[n] = (char)(rest >> 8);
	bytes[n + 1] = (char)(rest & 0xff);
	ck_assert_int_eq(reason_of((struct text){bytes, DATAGRAM_MAX}), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(reason_of((struct text){bytes, DATAGRAM_MAX + 1}),
			 REASON_INVALID_TOO_LARGE);
}
END_TEST

START_TEST(a_user_agent_is_taken_up_to_2048_bytes)
{
	char bytes[4096] = "\x83" TYPE ID "\xa2ua\xda\x08";
	size_t n = sizeof("\x83" TYPE ID "\xa2ua\xda\x08") - 1;

	memset(bytes + n, 'a', sizeof(bytes) - n);
	bytes[n] = 0;
	ck_assert_int_eq(reason_of((struct text){bytes, n + 1 + 2048}), REASON_ACCEPTED_FIRST);
	bytes[n] = 1;
	ck_assert_int_eq(reason_of((struct text){bytes, n + 1 + 2049}), REASON_INVALID_USER_AGENT);
}
END_TEST

START_TEST(the_fullest_datagram_fits_the_zone)
{
	static char bytes[DATAGRAM_MAX];
	struct fixture f;

	/* one map whose one unknown value is an array of as many items as there are bytes */
	memset(bytes, '\x01', sizeof(bytes));
	memcpy(bytes, "\x81\xa1x\xdc\x1f\xfa", 6);
	f = opened((struct text){bytes, sizeof(bytes)});
	ck_assert_uint_eq(f.events, 1);
	ck_assert_int_eq(f.reason, REASON_INVALID_MISSING);
	closed(&f);
}
END_TEST

START_TEST(every_cut_of_a_good_datagram_is_refused)
{
	static uint8_t bytes[GOLDEN_MAX];
	size_t len = golden_bytes("datagram-full", bytes), n;

	for (n = 0; n < len; n++)
		ck_assert_int_eq(reason_of((struct text){(char *)bytes, n}),
				 REASON_INVALID_MSGPACK);
}
END_TEST

START_TEST(a_flipped_bit_is_another_value_or_refused_as_invalid)
{
	static uint8_t bytes[GOLDEN_MAX];
	size_t len = golden_bytes("datagram-full", bytes), at, taken = 0;
	enum reason r;
	unsigned bit;

	for (at = 0; at < len; at++) {
		for (bit = 1; bit < 256; bit <<= 1) {
			bytes[at] ^= (uint8_t)bit;
			r = reason_of((struct text){(char *)bytes, len});
			bytes[at] ^= (uint8_t)bit;
			taken += r == REASON_ACCEPTED_FIRST;
			ck_assert_msg(r == REASON_ACCEPTED_FIRST ||
					  reason_verdict(r) == VERDICT_INVALID,
				      "byte %zu, bit %#x: %s", at, bit, reason_name(r));
		}
	}
	ck_assert(taken > 0 && taken < 8 * len);
}
END_TEST

START_TEST(the_golden_datagrams_decode_and_encode)
{
	static const char *const names[] = {"datagram-full", "datagram-least"};
	json_t *j = golden_json(names[_i]);
	struct event want = golden_event(json_object_get(j, "event"));
	static uint8_t bytes[GOLDEN_MAX];
	size_t len = golden_bytes(names[_i], bytes), n;
	struct fixture f = opened((struct text){(char *)bytes, len});
	uint8_t again[1024];

	ck_assert_int_eq(f.reason, REASON_ACCEPTED_FIRST);
	golden_event_eq(&f.e, &want);
	ck_assert_uint_eq(datagram_encode(&want, again, sizeof(again)), len);
	ck_assert_mem_eq(again, bytes, len);
	ck_assert_uint_eq(datagram_encode(&f.e, again, sizeof(again)), len);
	ck_assert_mem_eq(again, bytes, len);
	for (n = 0; n < len; n++)
		ck_assert_uint_eq(datagram_encode(&want, again, n), 0);
	closed(&f);
	json_decref(j);
}
END_TEST

START_TEST(encode_keeps_a_url_and_refuses_an_event_without_content)
{
	struct event e = {.type = TEXT_LIT("video"), .id = TEXT_LIT("slug")};
	uint8_t bytes[256];
	struct fixture f;
	size_t n;

	e.referrer = TEXT_LIT("https://example.org/page");
	n = datagram_encode(&e, bytes, sizeof(bytes));
	f = opened((struct text){(char *)bytes, n});
	ck_assert_int_eq(f.reason, REASON_ACCEPTED_FIRST);
	golden_text_eq("id", f.e.id, TEXT_LIT("slug"));
	golden_text_eq("referrer", f.e.referrer, TEXT_LIT("example.org"));
	closed(&f);
	e.id = (struct text){NULL, 0};
	ck_assert_uint_eq(datagram_encode(&e, bytes, sizeof(bytes)), 0);
	e = (struct event){.id = TEXT_LIT("slug")};
	ck_assert_uint_eq(datagram_encode(&e, bytes, sizeof(bytes)), 0);
}
END_TEST

/* -- every encoding of the msgpack suite -- */

struct tally {
	unsigned numbers, strings, others, refused;
};

static size_t
suite_bytes(const char *dashed, uint8_t *bytes)
{
	char text[1024];
	size_t n = 0;

	for (; *dashed; dashed++)
		if (*dashed != '-')
			text[n++] = (char)tolower((unsigned char)*dashed);
	text[n] = '\0';
	return golden_hex(text, bytes);
}

/* A good map whose last key has the encoding as its value. */
static struct fixture
with_value(const char *key, const uint8_t *value, size_t n)
{
	uint8_t bytes[2048];
	struct writer w = writer_of(bytes, sizeof(bytes));

	put_bytes(&w, "\x83" TYPE ID, sizeof("\x83" TYPE ID) - 1);
	put_u8(&w, (uint8_t)(0xa0 | strlen(key)));
	put_bytes(&w, key, strlen(key));
	put_bytes(&w, value, n);
	ck_assert(!w.bad);
	return opened((struct text){(char *)bytes, w.len});
}

static void
compare_number(const json_t *j, const uint8_t *bytes, size_t n, struct tally *tally)
{
	const char *big = json_string_value(json_object_get(j, "bignum"));
	double want = json_number_value(json_object_get(j, "number"));
	struct fixture f = with_value("val", bytes, n);

	if (big)
		want = strtod(big, NULL);
	ck_assert_int_eq(f.reason, REASON_ACCEPTED_FIRST);
	ck_assert_msg(f.e.has_value && f.e.value == want, "%g is not %g", f.e.value, want);
	closed(&f);
	tally->numbers++;
}

/* As a session where it fits; empty ones are absent, long ones refused by rule. */
static void
compare_string(struct text want, const uint8_t *bytes, size_t n, struct tally *tally)
{
	struct fixture f = with_value("sess", bytes, n);

	if (want.len > EVENT_SESSION_MAX || !text_is_utf8(want)) {
		ck_assert_int_eq(f.reason, REASON_INVALID_SESSION);
	} else {
		ck_assert_int_eq(f.reason, REASON_ACCEPTED_FIRST);
		golden_text_eq("session", f.e.session, want);
	}
	closed(&f);
	tally->strings++;
}

/* nil is absent; true, arrays and maps are no session, and harmless under an unknown key unless
 * they nest too deep; ext and timestamps refuse the whole datagram. */
static void
compare_other(const json_t *j, const uint8_t *bytes, size_t n, struct tally *tally)
{
	bool ext = json_object_get(j, "ext") || json_object_get(j, "timestamp");
	struct fixture unknown = with_value("x", bytes, n), known = with_value("sess", bytes, n);

	ck_assert_int_eq(unknown.reason, ext ? REASON_INVALID_MSGPACK : REASON_ACCEPTED_FIRST);
	if (ext)
		ck_assert_int_eq(known.reason, REASON_INVALID_MSGPACK);
	else if (json_object_get(j, "nil"))
		ck_assert_int_eq(known.reason, REASON_ACCEPTED_FIRST);
	else
		ck_assert_int_eq(known.reason, REASON_INVALID_SESSION);
	closed(&unknown);
	closed(&known);
	tally->others += !ext;
	tally->refused += ext;
}

static void
compare_encoding(const json_t *j, const char *dashed, struct tally *tally)
{
	static uint8_t bytes[1024], binary[1024];
	size_t n = suite_bytes(dashed, bytes);
	const char *bin = json_string_value(json_object_get(j, "binary"));

	if (json_object_get(j, "number") || json_object_get(j, "bignum"))
		compare_number(j, bytes, n, tally);
	else if (json_object_get(j, "string"))
		compare_string(golden_text(j, "string"), bytes, n, tally);
	else if (bin)
		compare_string((struct text){(char *)binary, suite_bytes(bin, binary)}, bytes, n,
			       tally);
	else
		compare_other(j, bytes, n, tally);
}

START_TEST(every_encoding_of_the_msgpack_suite_decodes_or_is_refused_by_rule)
{
	const char *shared = getenv("FOOTFALL_SHARED"), *name;
	struct tally tally = {0};
	json_t *suite, *group, *value, *encoding;
	size_t i, k;
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/msgpack-test-suite.json",
		       shared ? shared : "../shared/data");
	if (access(path, R_OK) != 0) {
		printf("SKIP the msgpack suite is not there\n");
		return;
	}
	suite = json_load_file(path, 0, NULL);
	ck_assert(suite != NULL);
	json_object_foreach(suite, name, group) json_array_foreach(group, i, value)
	    json_array_foreach(json_object_get(value, "msgpack"), k, encoding)
		compare_encoding(value, json_string_value(encoding), &tally);
	json_decref(suite);
	ck_assert_uint_gt(tally.numbers, 120);
	ck_assert_uint_gt(tally.strings, 30);
	ck_assert_uint_gt(tally.others, 20);
	ck_assert_uint_gt(tally.refused, 20);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("datagram");

	tcase_add_loop_test(t, a_bad_datagram_is_refused_with_its_reason, 0,
			    sizeof(refused) / sizeof(refused[0]));
	tcase_add_loop_test(t, maps_and_arrays_of_every_width_with_str_or_bin_are_read, 0,
			    sizeof(accepted) / sizeof(accepted[0]));
	tcase_add_loop_test(t, an_id_of_16_raw_bytes_is_a_uuid_as_str_or_bin, 0, 3);
	tcase_add_test(t, sixteen_bytes_that_make_a_slug_are_given_as_both);
	tcase_add_test(t, a_slug_stays_text_for_admission_to_judge);
	tcase_add_loop_test(t, times_come_as_integers_and_whole_floats, 0,
			    sizeof(times) / sizeof(times[0]));
	tcase_add_test(t, an_array_gives_each_event_its_own_reason_and_referrer);
	tcase_add_test(t, a_referrer_lasts_while_63_more_events_are_decoded);
	tcase_add_test(t, arrays_hold_64_events_and_maps_32_keys);
	tcase_add_test(t, a_datagram_is_taken_up_to_8192_bytes);
	tcase_add_test(t, a_user_agent_is_taken_up_to_2048_bytes);
	tcase_add_test(t, the_fullest_datagram_fits_the_zone);
	tcase_add_test(t, every_cut_of_a_good_datagram_is_refused);
	tcase_add_test(t, a_flipped_bit_is_another_value_or_refused_as_invalid);
	tcase_add_loop_test(t, the_golden_datagrams_decode_and_encode, 0, 2);
	tcase_add_test(t, encode_keeps_a_url_and_refuses_an_event_without_content);
	tcase_add_test(t, every_encoding_of_the_msgpack_suite_decodes_or_is_refused_by_rule);
	return golden_run("datagram", t);
}
