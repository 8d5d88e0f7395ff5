/* text.h -- a run of bytes that somebody else owns.
 *
 * Decoders hand out texts that point into the datagram, body or record they were given, so that
 * reading an event copies nothing. Not NUL-terminated; may hold any byte unless its source says
 * that it was checked as UTF-8.
 *
 * Threads:  plain values.
 * Memory:   none of its own; a text is lent until its buffer changes or goes.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
	const char *at; /* NULL when absent, and then len is 0 */
	size_t len;
};

#define TEXT_LIT(s) ((struct text){(s), sizeof(s) - 1})
#define TEXT_FMT "%.*s"
#define TEXT_ARG(t) (int)(t).len, (t).at ? (t).at : ""

static inline struct text
text_of(const char *s)
{
	return (struct text){s, s ? strlen(s) : 0};
}

static inline bool
text_eq(struct text a, struct text b)
{
	return a.len == b.len && (a.len == 0 || (a.at && b.at && memcmp(a.at, b.at, a.len) == 0));
}

static inline bool
text_is(struct text a, const char *s)
{
	/* nearly all that differ do so in the first byte */
	return !(a.at && a.len > 0 && a.at[0] != s[0]) && text_eq(a, text_of(s));
}

/* Order by bytes, a prefix first: -1, 0 or 1. */
int text_cmp(struct text a, struct text b);

/* True for well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
bool text_is_utf8(struct text t);

/* 36 characters, 8-4-4-4-12 hexadecimal of either case, into 16 bytes. False and untouched else. */
bool text_to_uuid(struct text t, uint8_t ret_uuid[16]);

/* Writes 36 lower-case characters and a NUL. */
void text_from_uuid(const uint8_t uuid[16], char ret_text[37]);

/* Lower-case hexadecimal of n bytes and a NUL: needs 2n + 1 bytes. */
void text_from_bytes(const uint8_t *bytes, size_t n, char *ret_text);

/* Exactly 2n hexadecimal digits of either case into n bytes. False, with bytes undefined, else. */
bool text_to_bytes(struct text t, uint8_t *ret_bytes, size_t n);

#endif
