#include <dirent.h>
#include <math.h>
#include <unistd.h>

#include "golden.h"
#include "proto/beacon.h"

#define UUID "7f1d3c5e-2b4a-4c6d-8e9f-a0b1c2d3e4f5"
#define CONTENT "\"content_type\":\"video\",\"content_id\":\"" UUID "\""

/* A copy of exactly these bytes, so that a sanitizer sees a read behind them. */
static enum reason
decode(struct text body, struct beacon_scratch *scratch, struct event *e)
{
	static char *exact; /* lent to the event until the next call */

	free(exact);
	exact = malloc(body.len ? body.len : 1);
	ck_assert(exact != NULL);
	if (body.len)
		memcpy(exact, body.at, body.len);
	return beacon_decode(exact, body.len, scratch, e);
}

static const struct {
	const char *body;
	enum reason reason;
	const char *error;
} refused[] = {
    {"", REASON_INVALID_JSON, "not a JSON object: ends too early at byte 0"},
    {"null", REASON_INVALID_JSON, "not a JSON object: unexpected character at byte 0"},
    {"[]", REASON_INVALID_JSON, NULL},
    {"{", REASON_INVALID_JSON, "not a JSON object: ends too early at byte 1"},
    {"{" CONTENT, REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT "}x", REASON_INVALID_JSON, NULL},
    {"{" CONTENT "}{}", REASON_INVALID_JSON, NULL},
    {"\xef\xbb\xbf{" CONTENT "}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":\"\\u0000\"}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":\"\\ud800\"}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":\"\\udc00\"}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":\"\x1f\"}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":\"\\udc00\\ud800\"}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":\"\\ud800\\u0041\"}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":\"\xff\"}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":\"\xc0\x80\"}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":\"\x01\"}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":\"\\x\"}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":01}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":+1}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":.5}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":1.}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":1e}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":NaN}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"x\":nul}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",x:1}", REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",'x':1}", REASON_INVALID_JSON, NULL},
    {"{\"content_type\":5," /* a bad field, but worse JSON */, REASON_INVALID_JSON, NULL},
    {"{" CONTENT ",\"content_type\":\"video\"}", REASON_INVALID_DUPLICATE_KEY, NULL},
    {"{" CONTENT ",\"content_\\u0069d\":null}", REASON_INVALID_DUPLICATE_KEY, NULL},
    {"{" CONTENT ",\"x\":1,\"x\":2}", REASON_INVALID_DUPLICATE_KEY, NULL},
    {"{" CONTENT ",\"x\":{\"y\":1,\"y\":1}}", REASON_INVALID_DUPLICATE_KEY, NULL},
    {"{}", REASON_INVALID_MISSING, "missing content_type"},
    {"{\"content_id\":\"" UUID "\"}", REASON_INVALID_MISSING, "missing content_type"},
    {"{\"content_type\":\"video\"}", REASON_INVALID_MISSING, "missing content_id"},
    {"{\"content_type\":null,\"content_id\":1}", REASON_INVALID_MISSING, "missing content_type"},
    {"{\"content_type\":\"video\",\"content_id\":null}", REASON_INVALID_MISSING,
     "missing content_id"},
    {"{\"content_type\":5,\"content_id\":\"x\"}", REASON_INVALID_TYPE,
     "content_type: not a string"},
    {"{\"content_type\":\"\",\"content_id\":\"x\"}", REASON_INVALID_TYPE, "content_type: empty"},
    {"{\"content_type\":\"a\",\"content_id\":\"\"}", REASON_INVALID_ID, "content_id: empty"},
    {"{\"content_type\":\"a\",\"content_id\":7}", REASON_INVALID_ID, "content_id: not a string"},
    {"{\"content_type\":\"a\",\"content_id\":[\"" UUID "\"]}", REASON_INVALID_ID,
     "content_id: not a string"},
    {"{\"content_type\":\"a\",\"content_id\":"
     "\"01234567890123456789012345678901234567890123456789012345678901234\"}",
     REASON_INVALID_ID, "content_id: longer than 64 bytes"},
    {"{" CONTENT ",\"event_id\":\"7f1d3c5e\"}", REASON_INVALID_EVENT_ID, "event_id: not a UUID"},
    {"{" CONTENT ",\"event_id\":true}", REASON_INVALID_EVENT_ID, "event_id: not a string"},
    {"{" CONTENT ",\"event\":\"\"}", REASON_INVALID_EVENT,
     "event: not 1 to 64 of a-z A-Z 0-9 _ - ."},
    {"{" CONTENT ",\"event\":\"a b\"}", REASON_INVALID_EVENT, NULL},
    {"{" CONTENT ",\"value\":\"1\"}", REASON_INVALID_VALUE, "value: not a number"},
    {"{" CONTENT ",\"value\":true}", REASON_INVALID_VALUE, "value: not a number"},
    {"{" CONTENT ",\"value\":1e999}", REASON_INVALID_VALUE, "value: beyond what a double holds"},
    {"{" CONTENT ",\"session\":1}", REASON_INVALID_SESSION, "session: not a string"},
    {"{" CONTENT ",\"session\":"
     "\"01234567890123456789012345678901234567890123456789012345678901234\"}",
     REASON_INVALID_SESSION, "session: longer than 64 bytes"},
    {"{" CONTENT ",\"referrer\":\"example.org\"}", REASON_INVALID_REFERRER, "referrer: not a URL"},
    {"{" CONTENT ",\"referrer\":{}}", REASON_INVALID_REFERRER, "referrer: not a string"},
    {"{" CONTENT ",\"site\":\"a/b\"}", REASON_INVALID_SITE, NULL},
    {"{" CONTENT ",\"site\":false}", REASON_INVALID_SITE, "site: not a string"},
};

START_TEST(a_bad_beacon_is_refused_with_its_reason_and_a_sentence)
{
	struct beacon_scratch scratch;
	struct event e;
	enum reason r = decode(text_of(refused[_i].body), &scratch, &e);
	size_t i;

	ck_assert_msg(r == refused[_i].reason, "%s: %s (%s)", refused[_i].body, reason_name(r),
		      scratch.error);
	if (refused[_i].error)
		ck_assert_str_eq(scratch.error, refused[_i].error);
	ck_assert_uint_gt(strlen(scratch.error), 0);
	for (i = 0; scratch.error[i]; i++)
		ck_assert(scratch.error[i] >= ' ' && scratch.error[i] <= '~');
}
END_TEST

/* Each is put behind the content; what matters of it is compared below. */
static const char *const accepted[] = {
    "",
    (",\"event_id\":null,\"event\":null,\"value\":null,\"session\":null,\"referrer\":null,"
     "\"site\":null"),
    ",\"session\":\"\",\"referrer\":\"\"",
    ",\"unknown\":[1,{\"a\":[true,false,null]},\"\\u00e9\"]",
    ",\"x\":1e999,\"y\":-0,\"z\":1E+2",
    ",\"a\":{\"k\":1},\"b\":{\"k\":2}",
    ",\"\":0",
    ",\"x\":\"\xf4\x8f\xbf\xbf \x7f \\ud83d\\ude00 \\uffff\"",
};

START_TEST(a_good_beacon_is_accepted_and_optional_nulls_are_absent)
{
	struct beacon_scratch scratch;
	char body[BEACON_BODY_MAX];
	struct event e;
	int n = snprintf(body, sizeof(body), " \t\r\n{" CONTENT "%s}\n", accepted[_i]);

	ck_assert_msg(decode((struct text){body, (size_t)n}, &scratch, &e) == REASON_ACCEPTED_FIRST,
		      "%s: %s", body, scratch.error);
	ck_assert_str_eq(scratch.error, "");
	golden_text_eq("type", e.type, TEXT_LIT("video"));
	golden_text_eq("id", e.id, TEXT_LIT(UUID));
	ck_assert(e.has_uuid && e.source == SOURCE_BEACON && e.ts_ms == 0);
	ck_assert(!e.has_event_id && !e.has_value && !e.name.at && !e.session.at);
	ck_assert(!e.referrer.at && !e.site.at && !e.ip.at && !e.ua.at);
}
END_TEST

START_TEST(a_slug_stays_text_for_admission_to_judge)
{
	struct beacon_scratch scratch;
	struct event e;

	ck_assert_int_eq(
	    decode(TEXT_LIT("{\"content_type\":\"x\",\"content_id\":\"a b\"}"), &scratch, &e),
	    REASON_ACCEPTED_FIRST);
	ck_assert(!e.has_uuid);
	golden_text_eq("id", e.id, TEXT_LIT("a b"));
}
END_TEST

START_TEST(escapes_are_resolved_in_keys_and_values)
{
	struct beacon_scratch scratch;
	struct event e;

	ck_assert_int_eq(
	    decode(
		TEXT_LIT("{\"\\u0063ontent_type\":\"vid\\u0065o\",\"content_id\":\"" UUID "\","
			 "\"session\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\\ud83d\\ude00\","
			 "\"referrer\":\"https:\\/\\/Example.org\\/\"}"),
		&scratch, &e),
	    REASON_ACCEPTED_FIRST);
	golden_text_eq("type", e.type, TEXT_LIT("video"));
	golden_text_eq("session", e.session,
		       TEXT_LIT("\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
	golden_text_eq("referrer", e.referrer, TEXT_LIT("example.org"));
}
END_TEST

/* Strings are read sixteen bytes at once, but for the last ones of the body. */
START_TEST(each_byte_at_each_place_of_a_string_is_what_it_is)
{
	static struct beacon_scratch scratch;
	char head[] = "{" CONTENT ",\"x\":\"", body[sizeof(head) + 64];
	enum reason expected;
	struct event e;
	size_t len, at, n = sizeof(head) - 1;
	unsigned byte;

	memcpy(body, head, n);
	for (len = 1; len <= 40; len += 3)
		for (at = 0; at < len; at++)
			for (byte = 0; byte < 256; byte++) {
				memset(body + n, 'x', len);
				body[n + at] = (char)byte;
				memcpy(body + n + len, "\"}", 2);
				expected = byte < 0x20 || byte == '"' || byte == '\\' || byte > 0x7f
					       ? REASON_INVALID_JSON
					       : REASON_ACCEPTED_FIRST;
				ck_assert_msg(decode((struct text){body, n + len + 2}, &scratch,
						     &e) == expected,
					      "byte %u at %zu of %zu", byte, at, len);
			}
}
END_TEST

START_TEST(values_keep_their_double)
{
	static const struct {
		const char *text;
		double value;
	} values[] = {{"0", 0},      {"-0.0", 0},
		      {"1.5", 1.5},  {"-12e-1", -1.2},
		      {"1E3", 1000}, {"9007199254740993", 9007199254740992.0},
		      {"0.1", 0.1},  {"1e308", 1e308},
		      {"1e-400", 0}, {"123456789012345678901234567890", 1.2345678901234568e29}};
	struct beacon_scratch scratch;
	char body[256];
	struct event e;
	size_t i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		int n = snprintf(body, sizeof(body), "{" CONTENT ",\"value\":%s}", values[i].text);

		ck_assert_int_eq(decode((struct text){body, (size_t)n}, &scratch, &e),
				 REASON_ACCEPTED_FIRST);
		ck_assert(e.has_value && e.value == values[i].value);
	}
}
END_TEST

START_TEST(a_body_is_taken_up_to_2048_bytes)
{
	char body[BEACON_BODY_MAX + 1];
	struct beacon_scratch scratch;
	struct event e;

	memset(body, ' ', sizeof(body));
	memcpy(body, "{" CONTENT "}", strlen("{" CONTENT "}"));
	ck_assert_int_eq(decode((struct text){body, BEACON_BODY_MAX}, &scratch, &e),
			 REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(decode((struct text){body, BEACON_BODY_MAX + 1}, &scratch, &e),
			 REASON_INVALID_TOO_LARGE);
}
END_TEST

START_TEST(a_number_that_fills_the_body_is_read)
{
	char body[BEACON_BODY_MAX];
	struct beacon_scratch scratch;
	struct event e;
	int n = snprintf(body, sizeof(body), "{" CONTENT ",\"value\":");

	memset(body + n, '1', sizeof(body) - (size_t)n);
	body[n + 1] = '.';
	body[sizeof(body) - 1] = '}';
	ck_assert_int_eq(decode((struct text){body, sizeof(body)}, &scratch, &e),
			 REASON_ACCEPTED_FIRST);
	ck_assert(e.value > 1.11 && e.value < 1.12);
}
END_TEST

START_TEST(containers_nest_16_deep_and_no_deeper)
{
	char text[64];
	size_t depth;

	for (depth = 1; depth <= 20; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		ck_assert_int_eq(beacon_json_valid(text, 2 * depth), depth <= BEACON_DEPTH_MAX);
	}
}
END_TEST

START_TEST(open_objects_hold_64_keys_and_no_more)
{
	char text[2048];
	unsigned keys, i;

	for (keys = 60; keys <= 70; keys++) {
		int n = snprintf(text, sizeof(text), "{\"k\":0");

		for (i = 1; i < keys; i++)
			n += snprintf(text + n, sizeof(text) - (size_t)n, ",\"%u\":0", i);
		n += snprintf(text + n, sizeof(text) - (size_t)n, "}");
		ck_assert_int_eq(beacon_json_valid(text, (size_t)n), keys <= 64);
	}
}
END_TEST

START_TEST(every_cut_of_a_good_beacon_is_refused)
{
	static const char body[] = "{" CONTENT ",\"value\":-1.5e+3,\"session\":\"\\ud83d\\ude00\","
				   "\"x\":[true,{\"y\":null}]}";
	struct beacon_scratch scratch;
	struct event e;
	size_t n;

	for (n = 0; n < sizeof(body) - 1; n++)
		ck_assert_int_eq(decode((struct text){body, n}, &scratch, &e), REASON_INVALID_JSON);
	ck_assert_int_eq(decode((struct text){body, n}, &scratch, &e), REASON_ACCEPTED_FIRST);
}
END_TEST

START_TEST(the_golden_beacons_decode)
{
	static const char *const names[] = {"beacon-full", "beacon-least"};
	json_t *j = golden_json(names[_i]);
	struct event want = golden_event(json_object_get(j, "event")), e;
	static uint8_t body[GOLDEN_MAX];
	size_t len = golden_bytes(names[_i], body);
	struct beacon_scratch scratch;

	ck_assert_int_eq(decode((struct text){(char *)body, len}, &scratch, &e),
			 REASON_ACCEPTED_FIRST);
	golden_event_eq(&e, &want);
	json_decref(j);
}
END_TEST

/* -- the same verdict as jansson on every document of the JSON suite -- */

struct tally {
	unsigned accepted, refused, either;
};

/* Rules by which we may refuse what jansson takes; both refuse \u0000 and lone surrogates. */
static bool
stricter_rule(const char *text, size_t len)
{
	size_t i, depth = 0, deepest = 0, colons = 0;

	for (i = 0; i < len; i++) {
		depth += text[i] == '[' || text[i] == '{';
		deepest = depth > deepest ? depth : deepest;
		depth -= depth > 0 && (text[i] == ']' || text[i] == '}');
		colons += text[i] == ':';
	}
	return deepest > BEACON_DEPTH_MAX || colons > 64;
}

static void
compare(const char *name, const char *text, size_t len, struct tally *tally)
{
	bool ours = beacon_json_valid(text, len);
	json_error_t error;
	json_t *j = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
	bool theirs = j != NULL && (size_t)error.position == len; /* it takes a NUL for an end */

	json_decref(j);
	if (name[0] == 'i') {
		tally->either++;
		return;
	}
	ck_assert_msg(ours == theirs || (theirs && stricter_rule(text, len)),
		      "%s: we say %d, jansson %d (%s)", name, ours, theirs, error.text);
	if (name[0] == 'n')
		ck_assert_msg(!ours, "%s accepted", name);
	tally->accepted += ours;
	tally->refused += !ours;
}

static void
compare_file(const char *dir, const char *name, struct tally *tally)
{
	static char text[1 << 20], *exact;
	char path[512];
	size_t len;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	ck_assert(f != NULL);
	len = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	exact = malloc(len ? len : 1);
	ck_assert(exact != NULL);
	memcpy(exact, text, len);
	compare(name, exact, len, tally);
	free(exact);
}

static void
compare_dir(const char *dir, struct tally *tally)
{
	const struct dirent *entry;
	DIR *d = opendir(dir);

	ck_assert(d != NULL);
	while ((entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.')
			compare_file(dir, entry->d_name, tally);
	(void)closedir(d);
}

START_TEST(every_document_of_the_json_suite_gets_janssons_verdict)
{
	char template[] = "/tmp/test_beacon.XXXXXX", command[1024], dir[64];
	const char *shared = getenv("FOOTFALL_SHARED");
	struct tally tally = {0};

	(void)snprintf(command, sizeof(command), "%s/json-test-suite.tar.gz",
		       shared ? shared : "../shared/data");
	if (access(command, R_OK) != 0) {
		printf("SKIP the JSON suite is not there\n");
		return;
	}
	ck_assert(mkdtemp(template) != NULL);
	(void)snprintf(command, sizeof(command), "tar xzf '%s/json-test-suite.tar.gz' -C %s",
		       shared ? shared : "../shared/data", template);
	ck_assert_int_eq(system(command), 0);
	(void)snprintf(dir, sizeof(dir), "%s/test_parsing", template);
	compare_dir(dir, &tally);
	(void)snprintf(command, sizeof(command), "rm -r %s", template);
	ck_assert_int_eq(system(command), 0);
	ck_assert_uint_gt(tally.accepted, 80);
	ck_assert_uint_gt(tally.refused, 180);
	ck_assert_uint_gt(tally.either, 30);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("beacon");

	tcase_add_loop_test(t, a_bad_beacon_is_refused_with_its_reason_and_a_sentence, 0,
			    sizeof(refused) / sizeof(refused[0]));
	tcase_add_loop_test(t, a_good_beacon_is_accepted_and_optional_nulls_are_absent, 0,
			    sizeof(accepted) / sizeof(accepted[0]));
	tcase_add_test(t, a_slug_stays_text_for_admission_to_judge);
	tcase_add_test(t, escapes_are_resolved_in_keys_and_values);
	tcase_add_test(t, each_byte_at_each_place_of_a_string_is_what_it_is);
	tcase_add_test(t, values_keep_their_double);
	tcase_add_test(t, a_body_is_taken_up_to_2048_bytes);
	tcase_add_test(t, a_number_that_fills_the_body_is_read);
	tcase_add_test(t, containers_nest_16_deep_and_no_deeper);
	tcase_add_test(t, open_objects_hold_64_keys_and_no_more);
	tcase_add_test(t, every_cut_of_a_good_beacon_is_refused);
	tcase_add_loop_test(t, the_golden_beacons_decode, 0, 2);
	tcase_add_test(t, every_document_of_the_json_suite_gets_janssons_verdict);
	return golden_run("beacon", t);
}
