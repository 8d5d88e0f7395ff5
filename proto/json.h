/* json.h -- a strict scanner over one JSON text (RFC 8259), for beacon.c.
 *
 * Pull style: ask what stands next, then take or skip it. No duplicate key in any object, no
 * \u0000, no lone surrogate, no bad UTF-8, no control characters, no byte-order mark; containers
 * nest at most JSON_DEPTH_MAX deep and the open ones hold at most JSON_KEYS_MAX keys.
 *
 * Threads:  plain values.
 * Memory:   no malloc; strings are lent from the text.
 * Errors:   the first one sticks in `error`; everything after it says false or JSON_BAD.
 */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include "base/text.h"

#define JSON_DEPTH_MAX 16
#define JSON_KEYS_MAX 64 /* compared pairwise: 2,016 comparisons at worst, some microseconds */

enum json_type {
	JSON_BAD,
	JSON_OBJECT,
	JSON_ARRAY,
	JSON_STRING,
	JSON_NUMBER,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL
};

enum json_error {
	JSON_OK,
	JSON_SYNTAX,
	JSON_CUT, /* the text ends too early */
	JSON_TRAILING,
	JSON_CONTROL,
	JSON_ESCAPE,
	JSON_SURROGATE,
	JSON_NUL,
	JSON_UTF8,
	JSON_DEPTH,
	JSON_KEYS,
	JSON_DUPLICATE,
	JSON_ERROR_N
};

struct json {
	const char *base, *at, *end;
	enum json_error error;
	size_t error_at; /* offset in bytes */
	bool escaped;    /* the string taken last holds escapes */
	/* private */
	bool keys_escaped; /* one of them */
	unsigned depth, keys;
	struct text key[JSON_KEYS_MAX]; /* of the open objects, as written */
};

struct json_object {
	unsigned first_key;
	bool started;
};

void json_init(struct json *j, const char *text, size_t len);

/* Type of the value that stands next. */
enum json_type json_peek(struct json *j);

/* Members of the object that stands next: after json_object_open, json_object_next gives a key (as
 * written, still escaped) until the object ends or fails; the caller takes or skips each value. */
bool json_object_open(struct json *j, struct json_object *ret_object);
bool json_object_next(struct json *j, struct json_object *o, struct text *ret_key);

/* The string that stands next, as written between its quotes. */
bool json_take_string(struct json *j, struct text *ret_raw);
/* The number that stands next, as written. */
bool json_number(struct json *j, struct text *ret_raw);
/* Any value. */
bool json_skip(struct json *j);
/* Nothing but white space is left. */
bool json_end(struct json *j);

/* Resolves the escapes of a string that json_take_string gave; out takes raw.len bytes at most. */
size_t json_unescape(struct text raw, char *out);

const char *json_error_text(enum json_error e);

#endif
