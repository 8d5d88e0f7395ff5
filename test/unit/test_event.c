#include <math.h>

#include "base/buf.h"
#include "golden.h"

static char filler[300];

static void
fill(void)
{
	memset(filler, 'a', sizeof(filler));
}

static struct text
of_len(size_t n)
{
	return (struct text){filler, n};
}

START_TEST(names_hold_letters_digits_and_three_signs_up_to_64_bytes)
{
	static const char *const good[] = {"view", "a", "A-Z_0.9", "video.play"};
	static const char *const bad[] = {"", "a b", "a/b", "\xc3\xa9", "a\n", "a:b", "*"};
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(event_name_valid(text_of(good[i])), "%s", good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!event_name_valid(text_of(bad[i])), "%s", bad[i]);
	ck_assert(event_name_valid(of_len(64)));
	ck_assert(!event_name_valid(of_len(65)));
	ck_assert(!event_name_valid((struct text){"a\0b", 3}));
	ck_assert(!event_name_valid((struct text){NULL, 0}));
}
END_TEST

/* Wherever in the text it stands. */
START_TEST(no_other_byte_is_in_a_name_or_slug)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-.";
	char text[3];
	unsigned c, i;

	for (c = 0; c < 256; c++) {
		bool may = c && strchr(letters, (int)c);

		for (i = 0; i < 3; i++) {
			memcpy(text, "aaa", 3);
			text[i] = (char)c;
			ck_assert(event_name_valid((struct text){text, 3}) == may);
			ck_assert(event_slug_valid((struct text){text, 3}) == (may || c == '/'));
		}
	}
}
END_TEST

START_TEST(slugs_may_hold_slashes_as_well)
{
	ck_assert(event_slug_valid(TEXT_LIT("blog/2026/hello-world")));
	ck_assert(event_slug_valid(of_len(64)));
	ck_assert(!event_slug_valid(of_len(65)));
	ck_assert(!event_slug_valid(TEXT_LIT("")));
	ck_assert(!event_slug_valid(TEXT_LIT("a?b")));
}
END_TEST

static const struct {
	const char *url;
	const char *host; /* NULL: no host, and that is fine; "!" : refused */
} referrers[] = {
    {"", NULL},
    {"https://example.org", "example.org"},
    {"http://Example.ORG/Path?q=1#f", "example.org"},
    {"https://example.org:8443/", "example.org"},
    {"https://example.org:/", "example.org"},
    {"https://user:pa@ss@example.org/", "example.org"},
    {"https://example.org./", "example.org"},
    {"https://example.org?q=a:b@c", "example.org"},
    {"https://example.org\\evil", "example.org"},
    {"HTTPS://EXAMPLE.ORG/", "example.org"},
    {"https://[2001:DB8::1]:80/x", "[2001:db8::1]"},
    {"https://b\xc3\xbc"
     "cher.example/",
     "b\xc3\xbc"
     "cher.example"},
    {"android-app://com.Example.app/", "com.example.app"},
    {"about:blank", NULL},
    {"data:text/html,x", NULL},
    {"file:///home/x", NULL},
    {"http://", NULL},
    {"http:///path", NULL},
    {"http:example.org", NULL},
    {"http://\\xe4\\xe5/", NULL}, /* stands so in a real log */
    {"http://a b/", NULL},
    {"http://exa<mple/", NULL},
    {"http://a:b:80/", NULL},
    {"http://[::1/", NULL},
    {"http://\xff\xfe/", NULL},
    {"example.org/path", "!"},
    {"//example.org/", "!"},
    {"/path", "!"},
    {"-", "!"},
    {"1http://example.org/", "!"},
    {" https://example.org/", "!"},
    {"://example.org", "!"},
};

START_TEST(only_the_host_of_a_referrer_is_kept)
{
	char buf[EVENT_HOST_MAX];
	struct text host = TEXT_LIT("untouched");
	const char *want = referrers[_i].host;
	bool ok = event_referrer_host(text_of(referrers[_i].url), buf, &host);

	if (want && want[0] == '!') {
		ck_assert_msg(!ok, "%s", referrers[_i].url);
		golden_text_eq("host", host, TEXT_LIT("untouched"));
		return;
	}
	ck_assert_msg(ok, "%s", referrers[_i].url);
	golden_text_eq(referrers[_i].url, host, text_of(want));
	ck_assert_int_eq(host.at == NULL, want == NULL);
}
END_TEST

START_TEST(a_host_is_kept_up_to_253_bytes)
{
	char url[8 + 260], buf[EVENT_HOST_MAX];
	struct text host;

	memcpy(url, "https://", 8);
	memset(url + 8, 'a', 260);
	ck_assert(event_referrer_host((struct text){url, 8 + 253}, buf, &host));
	ck_assert_uint_eq(host.len, 253);
	ck_assert(event_referrer_host((struct text){url, 8 + 254}, buf, &host));
	ck_assert_uint_eq(host.len, 0);
}
END_TEST

static const char *const vectors[] = {"payload-full", "payload-least", "payload-slug"};

START_TEST(payloads_are_the_golden_bytes)
{
	static uint8_t want[GOLDEN_MAX];
	size_t want_len = golden_bytes(vectors[_i], want), len;
	json_t *j = golden_json(vectors[_i]);
	struct event e = golden_event(json_object_get(j, "event")), back;
	uint8_t buf[EVENT_PACKED_MAX];

	len = event_pack(&e, buf, sizeof(buf));
	ck_assert_uint_eq(len, want_len);
	ck_assert_mem_eq(buf, want, len);
	ck_assert(event_unpack(want, want_len, &back));
	golden_event_eq(&back, &e);
	json_decref(j);
}
END_TEST

static struct event
full_event(void)
{
	struct event e = {.source = SOURCE_DATAGRAM, .ts_ms = EVENT_TS_MAX_MS};

	e.site = e.type = e.id = e.name = of_len(64);
	e.referrer = of_len(EVENT_HOST_MAX);
	e.has_event_id = e.has_value = e.repeat = true;
	memset(e.event_id, 7, 16);
	e.value = -1e300;
	e.visitor = UINT64_MAX;
	e.session_hash = 1;
	e.salt_id = UINT32_MAX;
	e.browser = e.system = e.device = 255;
	memcpy(e.country, "FR", 2);
	return e;
}

START_TEST(an_event_with_everything_at_its_limit_is_573_bytes_and_comes_back)
{
	struct event e = full_event(), back;
	uint8_t buf[EVENT_PACKED_MAX];
	size_t n, len = event_pack(&e, buf, sizeof(buf));

	ck_assert_uint_eq(len, 573);
	ck_assert(event_unpack(buf, len, &back));
	golden_event_eq(&back, &e);
	for (n = 0; n < len; n++) {
		ck_assert_uint_eq(event_pack(&e, buf, n), 0);
		ck_assert(!event_unpack(buf, n, &back));
	}
	ck_assert(!event_unpack(buf, len + 1, &back));
}
END_TEST

START_TEST(what_identifies_a_person_is_not_packed)
{
	struct event e = full_event(), back;
	uint8_t buf[EVENT_PACKED_MAX];
	size_t len;

	e.ip = TEXT_LIT("192.0.2.77");
	e.ua = TEXT_LIT("Mozilla/5.0");
	e.session = TEXT_LIT("session-secret");
	len = event_pack(&e, buf, sizeof(buf));
	ck_assert_uint_gt(len, 0);
	ck_assert(!memmem(buf, len, "192.0.2.77", 10));
	ck_assert(!memmem(buf, len, "Mozilla", 7));
	ck_assert(!memmem(buf, len, "secret", 6));
	ck_assert(event_unpack(buf, len, &back));
	ck_assert(!back.ip.at && !back.ua.at && !back.session.at);
}
END_TEST

/* One way each in which an event is not valid. */
static void
spoil(struct event *e, int way)
{
	switch (way) {
	case 0:
		e->type = (struct text){NULL, 0};
		break;
	case 1:
		e->type = of_len(65);
		break;
	case 2:
		e->id = of_len(65);
		break;
	case 3:
		e->id = (struct text){NULL, 0};
		break;
	case 4:
		e->id = TEXT_LIT("a b");
		break;
	case 5:
		e->site = of_len(65);
		break;
	case 6:
		e->name = TEXT_LIT("a/b");
		break;
	case 7:
		e->referrer = of_len(254);
		break;
	case 8:
		e->referrer = TEXT_LIT("\xc3");
		break;
	case 9:
		e->value = (double)NAN;
		break;
	case 10:
		e->value = HUGE_VAL;
		break;
	case 11:
		e->ts_ms = -1;
		break;
	case 12:
		e->ts_ms = EVENT_TS_MAX_MS + 1;
		break;
	case 13:
		memcpy(e->country, "fr", 2);
		break;
	case 14:
		e->country[1] = '\0';
		break;
	case 15:
		e->country[0] = '\0';
		break;
	default:
		e->source = SOURCE_N;
		break;
	}
}

START_TEST(an_invalid_event_is_not_packed)
{
	struct event e = full_event();
	uint8_t buf[EVENT_PACKED_MAX];

	ck_assert(event_valid(&e));
	spoil(&e, _i);
	ck_assert(!event_valid(&e));
	ck_assert_uint_eq(event_pack(&e, buf, sizeof(buf)), 0);
}
END_TEST

/* Whatever unpacks packs to the same bytes: there is one form for each event. */
START_TEST(no_byte_of_a_payload_can_be_changed_unseen_or_crash)
{
	struct event e = full_event(), back;
	uint8_t buf[EVENT_PACKED_MAX], again[EVENT_PACKED_MAX];
	size_t len = event_pack(&e, buf, sizeof(buf)), at;
	unsigned bit;

	for (at = 0; at < len; at++) {
		for (bit = 1; bit < 256; bit <<= 1) {
			buf[at] ^= (uint8_t)bit;
			if (event_unpack(buf, len, &back)) {
				ck_assert_uint_eq(event_pack(&back, again, sizeof(again)), len);
				ck_assert(memcmp(again, buf, len) == 0);
			}
			buf[at] ^= (uint8_t)bit;
		}
	}
}
END_TEST

START_TEST(a_payload_cut_anywhere_is_refused)
{
	struct event e = full_event(), back;
	uint8_t buf[EVENT_PACKED_MAX], *exact;
	size_t len = event_pack(&e, buf, sizeof(buf)), n;

	for (n = 1; n < len; n++) {
		exact = malloc(n); /* so that a sanitizer sees a read behind it */
		ck_assert(exact != NULL);
		memcpy(exact, buf, n);
		ck_assert(!event_unpack(exact, n, &back));
		free(exact);
	}
}
END_TEST

START_TEST(unpack_refuses_what_pack_never_writes)
{
	struct event e = full_event(), back;
	uint8_t buf[EVENT_PACKED_MAX];
	size_t len = event_pack(&e, buf, sizeof(buf));

	buf[0] = 2; /* a later version */
	ck_assert(!event_unpack(buf, len, &back));
	buf[0] = 1;
	buf[1] |= 128; /* an unknown flag */
	ck_assert(!event_unpack(buf, len, &back));
	ck_assert(!event_unpack(NULL, 0, &back));
	e.session_hash = UINT64_MAX;
	e.salt_id = 1;
	e.has_value = e.has_event_id = false;
	e.country[0] = e.country[1] = '\0';
	len = event_pack(&e, buf, sizeof(buf));
	memset(memmem(buf, len, "\xff\xff\xff\xff\xff\xff\xff\xff\x40", 9), 0, 8);
	ck_assert(!event_unpack(buf, len, &back)); /* flagged session of 0 */
}
END_TEST

/* Ids of one millisecond begin alike (UUIDv7); ids of one sender may end alike. */
START_TEST(tags_differ_wherever_the_event_ids_differ)
{
	uint8_t id[16] = {0}, other[16];
	size_t i;

	ck_assert_uint_ne(event_tag(id), 0);
	for (i = 0; i < 16; i++) {
		memcpy(other, id, sizeof(id));
		other[i] = 1;
		ck_assert_uint_ne(event_tag(id), event_tag(other));
	}
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("event");

	fill();
	tcase_add_test(t, names_hold_letters_digits_and_three_signs_up_to_64_bytes);
	tcase_add_test(t, no_other_byte_is_in_a_name_or_slug);
	tcase_add_test(t, slugs_may_hold_slashes_as_well);
	tcase_add_loop_test(t, only_the_host_of_a_referrer_is_kept, 0,
			    sizeof(referrers) / sizeof(referrers[0]));
	tcase_add_test(t, a_host_is_kept_up_to_253_bytes);
	tcase_add_loop_test(t, payloads_are_the_golden_bytes, 0, 3);
	tcase_add_test(t, an_event_with_everything_at_its_limit_is_573_bytes_and_comes_back);
	tcase_add_test(t, what_identifies_a_person_is_not_packed);
	tcase_add_loop_test(t, an_invalid_event_is_not_packed, 0, 17);
	tcase_add_test(t, no_byte_of_a_payload_can_be_changed_unseen_or_crash);
	tcase_add_test(t, a_payload_cut_anywhere_is_refused);
	tcase_add_test(t, unpack_refuses_what_pack_never_writes);
	tcase_add_test(t, tags_differ_wherever_the_event_ids_differ);
	return golden_run("event", t);
}
