/* golden.h -- reads proto/vectors: NAME.hex holds the bytes, NAME.json says what they mean.
 *
 * For the tests of proto/ only. Whatever is missing or malformed fails the test that asked.
 */
#ifndef TEST_GOLDEN_H
#define TEST_GOLDEN_H

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/batch.h"
#include "proto/event.h"

#define GOLDEN_MAX 65536

static inline json_t *
golden_json(const char *name)
{
	char path[256];
	json_error_t error;
	json_t *j;

	(void)snprintf(path, sizeof(path), "proto/vectors/%s.json", name);
	j = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	ck_assert_msg(j != NULL, "%s:%d: %s", path, error.line, error.text);
	return j;
}

static inline int
golden_digit(int c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Digits in pairs; white space between them is for the reader. */
static inline size_t
golden_hex(const char *text, uint8_t *bytes)
{
	size_t n = 0;
	int high, low;

	for (; *text; text++) {
		if (*text == ' ' || *text == '\n')
			continue;
		high = golden_digit(text[0]);
		low = golden_digit(text[1]);
		ck_assert_msg(high >= 0 && low >= 0, "no hex");
		ck_assert_uint_lt(n, GOLDEN_MAX);
		bytes[n++] = (uint8_t)(high << 4 | low);
		text++;
	}
	return n;
}

static inline size_t
golden_bytes(const char *name, uint8_t bytes[GOLDEN_MAX])
{
	static char text[3 * GOLDEN_MAX];
	char path[256];
	FILE *f;
	size_t n;

	(void)snprintf(path, sizeof(path), "proto/vectors/%s.hex", name);
	f = fopen(path, "r");
	ck_assert_msg(f != NULL, "%s cannot be read", path);
	n = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	text[n] = '\0';
	return golden_hex(text, bytes);
}

static inline struct text
golden_text(const json_t *j, const char *key)
{
	return text_of(json_string_value(json_object_get(j, key)));
}

static inline int64_t
golden_int(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

/* 64-bit numbers stand as hexadecimal texts, since JSON's are not exact everywhere. */
static inline uint64_t
golden_u64(const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text ? strtoull(text, NULL, 16) : 0;
}

static inline bool
golden_uuid(const json_t *j, const char *key, uint8_t uuid[16])
{
	struct text t = golden_text(j, key);

	if (!t.at)
		return false;
	ck_assert_msg(text_to_uuid(t, uuid), "%s is no UUID", key);
	return true;
}

/* The event that an object describes; texts point into it. */
static inline struct event
golden_event(const json_t *j)
{
	struct event e = {.ts_ms = golden_int(j, "ts_ms")};
	struct text country = golden_text(j, "country");

	e.source = text_is(golden_text(j, "source"), "datagram") ? SOURCE_DATAGRAM : SOURCE_BEACON;
	e.site = golden_text(j, "site");
	e.type = golden_text(j, "type");
	e.id = golden_text(j, "slug");
	e.has_uuid = golden_uuid(j, "uuid", e.uuid);
	e.has_event_id = golden_uuid(j, "event_id", e.event_id);
	e.name = golden_text(j, "name");
	e.referrer = golden_text(j, "referrer");
	e.session = golden_text(j, "session");
	e.ip = golden_text(j, "ip");
	e.ua = golden_text(j, "ua");
	e.has_value = json_is_number(json_object_get(j, "value"));
	e.value = json_number_value(json_object_get(j, "value"));
	e.repeat = json_is_true(json_object_get(j, "repeat"));
	e.visitor = golden_u64(j, "visitor");
	e.session_hash = golden_u64(j, "session_hash");
	e.salt_id = (uint32_t)golden_int(j, "salt_id");
	e.browser = (uint8_t)golden_int(j, "browser");
	e.system = (uint8_t)golden_int(j, "system");
	e.device = (uint8_t)golden_int(j, "device");
	if (country.len == 2)
		memcpy(e.country, country.at, 2);
	return e;
}

static inline void
golden_text_eq(const char *what, struct text a, struct text b)
{
	ck_assert_msg(text_eq(a, b), "%s: \"" TEXT_FMT "\" is not \"" TEXT_FMT "\"", what,
		      TEXT_ARG(a), TEXT_ARG(b));
}

/* Everything but the text of a UUID, which need not survive. */
static inline void
golden_event_eq(const struct event *a, const struct event *b)
{
	ck_assert_int_eq(a->source, b->source);
	ck_assert_int_eq(a->ts_ms, b->ts_ms);
	golden_text_eq("site", a->site, b->site);
	golden_text_eq("type", a->type, b->type);
	ck_assert_int_eq(a->has_uuid, b->has_uuid);
	if (a->has_uuid)
		ck_assert_mem_eq(a->uuid, b->uuid, 16);
	else
		golden_text_eq("id", a->id, b->id);
	ck_assert_int_eq(a->has_event_id, b->has_event_id);
	if (a->has_event_id)
		ck_assert_mem_eq(a->event_id, b->event_id, 16);
	golden_text_eq("name", a->name, b->name);
	golden_text_eq("referrer", a->referrer, b->referrer);
	golden_text_eq("session", a->session, b->session);
	golden_text_eq("ip", a->ip, b->ip);
	golden_text_eq("ua", a->ua, b->ua);
	ck_assert_int_eq(a->has_value, b->has_value);
	ck_assert(a->value == b->value);
	ck_assert_int_eq(a->repeat, b->repeat);
	ck_assert_uint_eq(a->visitor, b->visitor);
	ck_assert_uint_eq(a->session_hash, b->session_hash);
	ck_assert_uint_eq(a->salt_id, b->salt_id);
	ck_assert_uint_eq(a->browser, b->browser);
	ck_assert_uint_eq(a->system, b->system);
	ck_assert_uint_eq(a->device, b->device);
	ck_assert_mem_eq(a->country, b->country, 2);
}

/* Runs one suite; the exit status of main. */
static inline int
golden_run(const char *name, TCase *t)
{
	Suite *s = suite_create(name);
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
