/* http_guard.h -- refuses requests that two programs in a row would understand differently.
 *
 * A proxy before us may have seen another request than we do (request smuggling, RFC 9112 section
 * 11.2): Content-Length twice or beside Transfer-Encoding, codings other than chunked, names with
 * blanks, several Hosts, lines that end otherwise than with CR LF. Each is refused, none repaired;
 * who asks closes the connection.
 *
 * Threads:  plain values.
 * Memory:   texts point into the request's headers.
 */
#ifndef BASE_HTTP_GUARD_H
#define BASE_HTTP_GUARD_H

#include "base/http_head.h"

struct http_guard {
	struct http_head head;
	struct text host, content_length, transfer_encoding;
	uint64_t length; /* Content-Length, when has_length */
	bool has_length, chunked;
	const char *fault; /* the first thing that is wrong, NULL while nothing is */
};

/* Whether t, a text without control characters, is `lower` in any case: of len letters in lower case
 * and hyphens, in which the bit of the case makes no other difference. By words, since this runs for
 * every line of every request. */
static inline bool
http_name_is(struct text t, const char *lower, size_t len)
{
	const uint64_t cases = 0x2020202020202020;
	uint64_t a, b;
	size_t i = 0;

	if (t.len != len)
		return false;
	for (; i + 8 <= len; i += 8) {
		memcpy(&a, t.at + i, 8);
		memcpy(&b, lower + i, 8);
		if ((a | cases) != b)
			return false;
	}
	for (; i < len; i++)
		if ((t.at[i] | 0x20) != lower[i])
			return false;
	return true;
}

#define HTTP_NAME_IS(t, literal) http_name_is(t, literal, sizeof(literal) - 1)

static inline bool
http_guard_refuse(struct http_guard *g, const char *fault)
{
	g->fault = fault;
	return false;
}

static inline bool
http_guard_see_length(struct http_guard *g, struct text value)
{
	uint64_t n = 0;
	size_t i;

	if (g->content_length.at)
		return http_guard_refuse(g, "Content-Length stands twice");
	/* 18 digits cannot overflow; nothing that long is ever taken */
	if (value.len == 0 || value.len > 18)
		return http_guard_refuse(g, "Content-Length is no number");
	for (i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return http_guard_refuse(g, "Content-Length is no number");
		n = 10 * n + (uint64_t)(value.at[i] - '0');
	}
	g->content_length = value;
	g->has_length = true;
	g->length = n;
	return true;
}

static inline bool
http_guard_see_coding(struct http_guard *g, struct text value)
{
	if (g->transfer_encoding.at)
		return http_guard_refuse(g, "Transfer-Encoding stands twice");
	if (!HTTP_NAME_IS(value, "chunked"))
		return http_guard_refuse(g, "Transfer-Encoding is not chunked");
	g->transfer_encoding = value;
	g->chunked = true;
	return true;
}

static inline bool
http_guard_see_host(struct http_guard *g, struct text value)
{
	static const bool odd[256] = {
	    [' '] = 1, ['\t'] = 1, [','] = 1, ['/'] = 1,
	    ['@'] = 1, ['\\'] = 1, ['?'] = 1, ['#'] = 1,
	};
	size_t i;

	if (g->host.at)
		return http_guard_refuse(g, "Host stands twice");
	for (i = 0; i < value.len; i++)
		if (odd[(uint8_t)value.at[i]])
			return http_guard_refuse(g, "Host is no host");
	g->host = value;
	return true;
}

/* The request line; target with the length that it came with, or absent when it was not plain then:
 * by now it was decoded in place. False when it is refused, with g->fault. */
static inline bool
http_guard_begin(struct http_guard *g, const char *method, struct text target, const char *version)
{
	http_head_begin(&g->head, method, target, version);
	if (!target.at)
		return http_guard_refuse(g, "the target is not plain");
	return http_is_token(text_of(method)) || http_guard_refuse(g, "the method is no token");
}

/* What a whole line says; name is a token, value has no control character. False when it is refused,
 * with g->fault. */
static inline bool
http_guard_rule(struct http_guard *g, struct text name, struct text value)
{
	if (HTTP_NAME_IS(name, "content-length"))
		return http_guard_see_length(g, value);
	if (HTTP_NAME_IS(name, "transfer-encoding"))
		return http_guard_see_coding(g, value);
	if (HTTP_NAME_IS(name, "host"))
		return http_guard_see_host(g, value);
	return true;
}

/* One header line of libmicrohttpd's. False when it is refused, with g->fault. */
static inline bool
http_guard_see(struct http_guard *g, struct text name, struct text value)
{
	http_head_see(&g->head, name, value);
	if (!value.at)
		value.at = ""; /* absent and empty differ here: a second line is one too many */
	if (!http_is_token(name))
		return http_guard_refuse(g, "a header's name is no token");
	if (http_has_control(value))
		return http_guard_refuse(g, "a header holds a control character");
	return http_guard_rule(g, name, value);
}

/* After the last line: what only shows in the whole. head_len: of the head, where its lines must be
 * watched (http_head_is_hidden), else 0. False when it is refused, with g->fault. */
static inline bool
http_guard_done(struct http_guard *g, bool http_1_0, size_t head_len)
{
	if (g->fault)
		return false;
	if (head_len > 0 && !http_head_done(&g->head, head_len))
		return http_guard_refuse(g, "a line does not end with CR LF, or holds a NUL");
	if (g->chunked && g->has_length)
		return http_guard_refuse(g, "Transfer-Encoding beside Content-Length");
	if (g->chunked && http_1_0)
		return http_guard_refuse(g, "Transfer-Encoding in HTTP/1.0");
	if (!g->host.at && !http_1_0)
		return http_guard_refuse(g, "Host is missing");
	return true;
}

#endif
