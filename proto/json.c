#include "proto/json.h"

#include "base/bytes16.h"

void
json_init(struct json *j, const char *text, size_t len)
{
	j->base = j->at = text;
	j->end = text + len;
	j->error = JSON_OK;
	j->error_at = 0;
	j->escaped = j->keys_escaped = false;
	j->depth = j->keys = 0;
}

const char *
json_error_text(enum json_error e)
{
	static const char *const texts[JSON_ERROR_N] = {
	    [JSON_OK] = "well formed",
	    [JSON_SYNTAX] = "unexpected character",
	    [JSON_CUT] = "ends too early",
	    [JSON_TRAILING] = "something behind the end",
	    [JSON_CONTROL] = "control character in a string",
	    [JSON_ESCAPE] = "unknown escape in a string",
	    [JSON_SURROGATE] = "lone surrogate in a string",
	    [JSON_NUL] = "\\u0000 in a string",
	    [JSON_UTF8] = "not UTF-8",
	    [JSON_DEPTH] = "nested too deep",
	    [JSON_KEYS] = "too many keys",
	    [JSON_DUPLICATE] = "a key stands twice",
	};

	return texts[e];
}

static bool
fail(struct json *j, enum json_error e, const char *at)
{
	if (j->error == JSON_OK) {
		j->error = e;
		j->error_at = (size_t)(at - j->base);
	}
	j->at = j->end;
	return false;
}

static bool
fail_syntax(struct json *j)
{
	return fail(j, j->at == j->end ? JSON_CUT : JSON_SYNTAX, j->at);
}

static void
skip_space(struct json *j)
{
	while (j->at < j->end &&
	       (*j->at == ' ' || *j->at == '\n' || *j->at == '\t' || *j->at == '\r'))
		j->at++;
}

/* Takes c when it stands next. */
static bool
accept(struct json *j, char c)
{
	if (j->at == j->end || *j->at != c)
		return false;
	j->at++;
	return true;
}

enum json_type
json_peek(struct json *j)
{
	skip_space(j);
	if (j->at == j->end || j->error != JSON_OK)
		return JSON_BAD;
	switch (*j->at) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
		return JSON_TRUE;
	case 'f':
		return JSON_FALSE;
	case 'n':
		return JSON_NULL;
	default:
		return *j->at == '-' || (*j->at >= '0' && *j->at <= '9') ? JSON_NUMBER : JSON_BAD;
	}
}

/* -- strings -- */

/* Value of four hexadecimal digits, or above 0xffff. */
static uint32_t
hex4(const char *p)
{
	uint32_t v = 0;
	int i;

	for (i = 0; i < 4; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint32_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v = v << 4 | (uint32_t)(c - 'A' + 10);
		else
			return UINT32_MAX;
	}
	return v;
}

static bool
is_high(uint32_t u)
{
	return u >= 0xd800 && u <= 0xdbff;
}

static bool
is_low(uint32_t u)
{
	return u >= 0xdc00 && u <= 0xdfff;
}

/* At the backslash of \uXXXX: checks it, and its second half, and steps over. */
static bool
scan_unicode(struct json *j)
{
	const char *from = j->at;
	uint32_t u = j->end - from >= 6 ? hex4(from + 2) : UINT32_MAX;

	if (u == UINT32_MAX)
		return fail(j, JSON_ESCAPE, from);
	if (u == 0)
		return fail(j, JSON_NUL, from);
	j->at += 6;
	if (is_low(u))
		return fail(j, JSON_SURROGATE, from);
	if (!is_high(u))
		return true;
	if (j->end - from < 12 || from[6] != '\\' || from[7] != 'u' || !is_low(hex4(from + 8)))
		return fail(j, JSON_SURROGATE, from);
	j->at += 6;
	return true;
}

static bool
scan_escape(struct json *j)
{
	char c = j->end - j->at >= 2 ? j->at[1] : '\0';

	if (c == 'u')
		return scan_unicode(j);
	if (c == '\0' || !strchr("\"\\/bfnrt", c))
		return fail(j, JSON_ESCAPE, j->at);
	j->at += 2;
	return true;
}

/* Steps to what ends the string or needs a look, or to less than sixteen bytes before the end, and
 * says whether all it met was ASCII. */
static bool
skip_plain(struct json *j)
{
	bytes16_mask stop, high = {0};
	unsigned n = 16;
	bytes16 v;

	while (n == 16 && j->end - j->at >= 16) {
		v = bytes16_load(j->at);
		stop = bytes16_are(v, '"') | bytes16_are(v, '\\') | bytes16_within(v, 0, 0x1f);
		high |= bytes16_within(v, 0x80, 0xff);
		n = bytes16_first(stop);
		j->at += n;
	}
	return bytes16_first(high) == 16;
}

bool
json_take_string(struct json *j, struct text *ret_raw)
{
	const char *from;
	uint8_t high = 0;

	skip_space(j);
	if (!accept(j, '"'))
		return fail_syntax(j);
	from = j->at;
	j->escaped = false;
	if (!skip_plain(j))
		high = 0x80;
	while (j->at < j->end && *j->at != '"') {
		uint8_t c = (uint8_t)*j->at;

		if (c < 0x20)
			return fail(j, JSON_CONTROL, j->at);
		high |= c;
		if (c != '\\')
			j->at++;
		else if (!scan_escape(j))
			return false;
		else
			j->escaped = true;
	}
	*ret_raw = (struct text){from, (size_t)(j->at - from)};
	if (high >= 0x80 && !text_is_utf8(*ret_raw))
		return fail(j, JSON_UTF8, from);
	return accept(j, '"') || fail_syntax(j);
}

static size_t
utf8_put(uint32_t u, char *out)
{
	if (u < 0x80) {
		out[0] = (char)u;
		return 1;
	}
	if (u < 0x800) {
		out[0] = (char)(0xc0 | u >> 6);
		out[1] = (char)(0x80 | (u & 0x3f));
		return 2;
	}
	if (u < 0x10000) {
		out[0] = (char)(0xe0 | u >> 12);
		out[1] = (char)(0x80 | (u >> 6 & 0x3f));
		out[2] = (char)(0x80 | (u & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | u >> 18);
	out[1] = (char)(0x80 | (u >> 12 & 0x3f));
	out[2] = (char)(0x80 | (u >> 6 & 0x3f));
	out[3] = (char)(0x80 | (u & 0x3f));
	return 4;
}

/* Bytes that the character or escape at *p stands for, into out[4]; steps over it. The string was
 * scanned, so that every escape is whole. */
static size_t
step(const char **p, char *out)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *known;
	uint32_t u;

	if (**p != '\\') {
		out[0] = *(*p)++;
		return 1;
	}
	if ((*p)[1] != 'u') {
		known = strchr(from, (*p)[1]);
		out[0] = known ? to[known - from] : (*p)[1];
		*p += 2;
		return 1;
	}
	u = hex4(*p + 2);
	*p += 6;
	if (is_high(u)) {
		u = 0x10000 + ((u - 0xd800) << 10) + (hex4(*p + 2) - 0xdc00);
		*p += 6;
	}
	return utf8_put(u, out);
}

size_t
json_unescape(struct text raw, char *out)
{
	const char *p = raw.at, *end = raw.at + raw.len;
	size_t n = 0;

	while (p < end)
		n += step(&p, out + n);
	return n;
}

/* -- objects -- */

/* The next byte of a key, escapes resolved: -1 at its end. */
struct key_bytes {
	const char *at, *end;
	char out[4];
	size_t n, i;
};

static int
key_byte(struct key_bytes *k)
{
	if (k->i == k->n) {
		if (k->at == k->end)
			return -1;
		k->n = step(&k->at, k->out);
		k->i = 0;
	}
	return (unsigned char)k->out[k->i++];
}

static bool
same_key(struct text a, struct text b)
{
	struct key_bytes x = {a.at, a.at + a.len, {0}, 0, 0}, y = {b.at, b.at + b.len, {0}, 0, 0};
	int c;

	do {
		c = key_byte(&x);
		if (c != key_byte(&y))
			return false;
	} while (c >= 0);
	return true;
}

static bool
remember_key(struct json *j, const struct json_object *o, struct text key)
{
	unsigned i;

	j->keys_escaped = j->keys_escaped || j->escaped;
	for (i = o->first_key; i < j->keys; i++)
		if (j->keys_escaped ? same_key(j->key[i], key) : text_eq(j->key[i], key))
			return fail(j, JSON_DUPLICATE, key.at);
	if (j->keys == JSON_KEYS_MAX)
		return fail(j, JSON_KEYS, key.at);
	j->key[j->keys++] = key;
	return true;
}

static bool
container_open(struct json *j, char bracket)
{
	skip_space(j);
	if (j->depth == JSON_DEPTH_MAX)
		return fail(j, JSON_DEPTH, j->at);
	if (!accept(j, bracket))
		return fail_syntax(j);
	j->depth++;
	return true;
}

/* True when another member or element follows; false at the closing bracket, taken, and
 * on errors. */
static bool
container_next(struct json *j, bool *started, char bracket)
{
	if (j->error != JSON_OK)
		return false;
	skip_space(j);
	if (accept(j, bracket)) {
		j->depth--;
		return false;
	}
	if (*started && !accept(j, ','))
		return fail_syntax(j);
	*started = true;
	return true;
}

bool
json_object_open(struct json *j, struct json_object *ret_object)
{
	*ret_object = (struct json_object){j->keys, false};
	return container_open(j, '{');
}

bool
json_object_next(struct json *j, struct json_object *o, struct text *ret_key)
{
	if (!container_next(j, &o->started, '}')) {
		j->keys = o->first_key;
		return false;
	}
	if (!json_take_string(j, ret_key) || !remember_key(j, o, *ret_key))
		return false;
	skip_space(j);
	return accept(j, ':') || fail_syntax(j);
}

/* -- the other values -- */

static bool
digits(struct json *j)
{
	const char *from = j->at;

	while (j->at < j->end && *j->at >= '0' && *j->at <= '9')
		j->at++;
	return j->at > from || fail_syntax(j);
}

bool
json_number(struct json *j, struct text *ret_raw)
{
	const char *from;

	skip_space(j);
	from = j->at;
	(void)accept(j, '-');
	if (!accept(j, '0') && !digits(j))
		return false;
	if (accept(j, '.') && !digits(j))
		return false;
	if (accept(j, 'e') || accept(j, 'E')) {
		if (!accept(j, '+'))
			(void)accept(j, '-');
		if (!digits(j))
			return false;
	}
	*ret_raw = (struct text){from, (size_t)(j->at - from)};
	return true;
}

static bool
word(struct json *j, const char *w)
{
	for (; *w; w++)
		if (!accept(j, *w))
			return fail_syntax(j);
	return true;
}

static bool
skip_object(struct json *j)
{
	struct json_object o;
	struct text key = {"", 0};

	if (json_object_open(j, &o))
		while (json_object_next(j, &o, &key))
			if (!json_skip(j))
				return false;
	return j->error == JSON_OK;
}

static bool
skip_array(struct json *j)
{
	bool started = false;

	if (container_open(j, '['))
		while (container_next(j, &started, ']'))
			if (!json_skip(j))
				return false;
	return j->error == JSON_OK;
}

/* Recurses as deep as containers nest: JSON_DEPTH_MAX at most. */
bool
json_skip(struct json *j)
{
	struct text raw;

	switch (json_peek(j)) {
	case JSON_OBJECT:
		return skip_object(j);
	case JSON_ARRAY:
		return skip_array(j);
	case JSON_STRING:
		return json_take_string(j, &raw);
	case JSON_NUMBER:
		return json_number(j, &raw);
	case JSON_TRUE:
		return word(j, "true");
	case JSON_FALSE:
		return word(j, "false");
	case JSON_NULL:
		return word(j, "null");
	case JSON_BAD:
	default:
		return fail_syntax(j);
	}
}

bool
json_end(struct json *j)
{
	if (j->error != JSON_OK)
		return false;
	skip_space(j);
	return j->at == j->end || fail(j, JSON_TRAILING, j->at);
}
