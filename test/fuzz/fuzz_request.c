/* Bytes where a request should begin. Whatever was read of them first, the verdict is the same: none
 * until it is final, and then no byte behind makes a difference. A head that is whole reads alike
 * for a strict program that shares nothing with the reader, and no text points beyond the bytes. */
#include <stdlib.h>

#include "node/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PREFIXES_MAX 400 /* of one input that are read alone */
#define COUNTRY TEXT_LIT("CF-IPCountry")

/* -- what was read, told by places instead of pointers -- */

#define TEXTS 15

enum { PLACE_NONE, PLACE_INPUT, PLACE_JOIN };

struct place {
	size_t where, at, len; /* of one size: compared as bytes */
};

struct seen {
	enum http_read got;
	size_t head_len;
	uint64_t length, joined; /* joined: of what the join buffer holds */
	unsigned says;           /* a bit for each thing that it says or not */
	struct place place[TEXTS];
};

struct reading {
	struct http_request r;
	char join[HEADER_JOIN_MAX];
	const char *in;
	size_t len;
};

static struct place
place_of(const struct reading *g, struct text t)
{
	const char *join_end = g->join + g->r.set.join_used;

	if (!t.at) {
		if (t.len > 0)
			abort();
		return (struct place){PLACE_NONE, 0, 0};
	}
	if (t.at >= g->in && t.at <= g->in + g->len) {
		if (t.len > g->len - (size_t)(t.at - g->in))
			abort();
		return (struct place){PLACE_INPUT, (size_t)(t.at - g->in), t.len};
	}
	if (t.at < g->join || t.at > join_end || t.len > (size_t)(join_end - t.at))
		abort();
	return (struct place){PLACE_JOIN, (size_t)(t.at - g->join), t.len};
}

static uint64_t
sum(const char *at, size_t len)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	while (len-- > 0)
		h = (h ^ (uint8_t)*at++) * 1099511628211u;
	return h;
}

static void
note(const struct reading *g, enum http_read got, struct seen *s)
{
	const struct http_request *r = &g->r;
	const struct header_set *h = &r->set;
	const struct text texts[TEXTS] = {r->method,
					  r->path,
					  h->origin,
					  h->user_agent,
					  h->x_forwarded_for,
					  h->forwarded,
					  h->accept,
					  h->accept_language,
					  h->accept_encoding,
					  h->sec_purpose,
					  h->if_none_match,
					  h->sec_fetch,
					  h->country,
					  h->guard.host,
					  h->guard.content_length};
	size_t i;

	if (h->join_used > HEADER_JOIN_MAX || (got == HTTP_REFUSED) != (h->guard.fault != NULL))
		abort();
	memset(s, 0, sizeof(*s));
	s->got = got;
	for (i = 0; i < TEXTS; i++)
		s->place[i] = place_of(g, texts[i]);
	s->joined = sum(g->join, h->join_used);
	if (got != HTTP_WHOLE)
		return;
	s->head_len = r->head_len;
	s->length = h->guard.length;
	s->says = (unsigned)r->http_1_0 | (unsigned)h->guard.chunked << 1 |
		  (unsigned)h->guard.has_length << 2 | (unsigned)h->expects << 3 |
		  (unsigned)h->closes << 4 | (unsigned)h->opted_out << 5;
}

/* In a block of exactly its size, so that reading behind it is seen. */
static void
read_alone(const uint8_t *data, size_t len, struct seen *s)
{
	struct reading g = {.len = len};
	char *block = malloc(len ? len : 1);

	if (!block)
		abort();
	if (len > 0)
		memcpy(block, data, len);
	g.in = block;
	note(&g, http_request_read(&g.r, block, len, g.join, COUNTRY), s);
	free(block);
}

/* -- any prefix -- */

static bool
same(const struct seen *a, const struct seen *b)
{
	return a->got == b->got && a->head_len == b->head_len && a->length == b->length &&
	       a->joined == b->joined && a->says == b->says &&
	       memcmp(a->place, b->place, sizeof(a->place)) == 0;
}

static void
check_prefixes(const uint8_t *data, size_t size, const struct seen *whole)
{
	size_t step = size / PREFIXES_MAX + 1, len;
	struct seen part;

	for (len = 0; len < size; len += step) {
		read_alone(data, len, &part);
		if (part.got == HTTP_MORE) {
			if (whole->got == HTTP_WHOLE && len >= whole->head_len)
				abort();
			continue;
		}
		if (!same(&part, whole))
			abort();
		if (part.got == HTTP_WHOLE && len < whole->head_len)
			abort();
		return; /* what is behind is looked at below */
	}
}

/* Exactly the head, a byte less, and other bytes behind it. */
static void
check_tail(const uint8_t *data, size_t size, const struct seen *whole)
{
	uint8_t *other = malloc(size);
	struct seen part;
	size_t i;

	if (!other || whole->head_len == 0 || whole->head_len > size)
		abort();
	read_alone(data, whole->head_len, &part);
	if (!same(&part, whole))
		abort();
	read_alone(data, whole->head_len - 1, &part);
	if (part.got != HTTP_MORE)
		abort();
	memcpy(other, data, size);
	for (i = whole->head_len; i < size; i++)
		other[i] ^= 0x55;
	read_alone(other, size, &part);
	if (!same(&part, whole))
		abort();
	free(other);
}

/* -- the strict program -- */

struct strict {
	struct text method, path, host, length, coding, user_agent;
	unsigned hosts, lengths, codings;
	bool http_1_0;
};

static bool
is_tchar(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static void
expect_token(struct text t)
{
	size_t i;

	if (t.len == 0)
		abort();
	for (i = 0; i < t.len; i++)
		if (!is_tchar(t.at[i]))
			abort();
}

/* A line without its CR LF, which must be there; no other control character in it than tabs. */
static struct text
take_line(struct text *rest)
{
	struct text line = {rest->at, 0};

	while (line.len < rest->len && line.at[line.len] != '\r') {
		uint8_t c = (uint8_t)line.at[line.len++];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			abort();
	}
	if (line.len + 2 > rest->len || line.at[line.len + 1] != '\n')
		abort();
	rest->at += line.len + 2;
	rest->len -= line.len + 2;
	return line;
}

/* What stands before the first c, which must be there. */
static struct text
take_until(struct text *rest, char c)
{
	const char *at = rest->len ? memchr(rest->at, c, rest->len) : NULL;
	struct text part = *rest;

	if (!at)
		abort();
	part.len = (size_t)(at - rest->at);
	rest->at += part.len + 1;
	rest->len -= part.len + 1;
	return part;
}

static bool
begins(struct text t, const char *with)
{
	return t.len >= strlen(with) && strncasecmp(t.at, with, strlen(with)) == 0;
}

/* RFC 3986, section 3: what stands between the authority and the query. */
static struct text
path_in(struct text target)
{
	size_t i = begins(target, "http://") ? 7 : begins(target, "https://") ? 8 : 0, end = i;

	while (end < target.len && target.at[end] != '?')
		end++;
	if (i > 0)
		while (i < end && target.at[i] != '/')
			i++;
	return (struct text){target.at + i, end - i};
}

static void
strict_request_line(struct text line, struct strict *s)
{
	struct text target;
	size_t i;

	s->method = take_until(&line, ' ');
	target = take_until(&line, ' ');
	expect_token(s->method);
	if (target.len == 0 || memchr(target.at, '\t', target.len))
		abort();
	for (i = 0; i + 2 < target.len; i++)
		if (memcmp(target.at + i, "%00", 3) == 0)
			abort();
	s->path = path_in(target);
	if (line.len != 8 || memcmp(line.at, "HTTP/1.", 7) != 0 || line.at[7] < '0' ||
	    line.at[7] > '9')
		abort();
	s->http_1_0 = line.at[7] == '0';
}

static void
strict_header(struct text value, struct strict *s)
{
	struct text name = take_until(&value, ':');

	expect_token(name);
	while (value.len > 0 && strchr(" \t", value.at[0]))
		value.at++, value.len--;
	while (value.len > 0 && strchr(" \t", value.at[value.len - 1]))
		value.len--;
	if (name.len == 4 && begins(name, "host"))
		s->hosts++, s->host = value;
	else if (name.len == 14 && begins(name, "content-length"))
		s->lengths++, s->length = value;
	else if (name.len == 17 && begins(name, "transfer-encoding"))
		s->codings++, s->coding = value;
	else if (name.len == 10 && begins(name, "user-agent") && !s->user_agent.at)
		s->user_agent = value;
}

static void
check_framing(const struct strict *s, const struct http_request *r)
{
	const struct http_guard *g = &r->set.guard;
	uint64_t n = 0;
	size_t i;

	if (s->hosts > 1 || s->lengths + s->codings > 1 || (s->hosts == 0 && !s->http_1_0) ||
	    (s->codings && s->http_1_0))
		abort();
	for (i = 0; i < s->length.len; i++) {
		if (s->length.at[i] < '0' || s->length.at[i] > '9' || n > UINT64_MAX / 10 - 1)
			abort();
		n = n * 10 + (uint64_t)(s->length.at[i] - '0');
	}
	if (g->has_length != (s->lengths == 1) || g->chunked != (s->codings == 1) ||
	    g->length != n || (s->lengths && s->length.len == 0))
		abort();
	if (s->codings && (s->coding.len != 7 || !begins(s->coding, "chunked")))
		abort();
	if (!text_eq(g->host, s->host))
		abort();
}

static void
check_alike(const struct reading *g)
{
	struct text rest = {g->in, g->r.head_len}, line;
	struct strict s = {.hosts = 0};

	if (rest.len >= 2 && rest.at[0] == '\r')
		(void)take_line(&rest);
	strict_request_line(take_line(&rest), &s);
	while ((line = take_line(&rest)).len > 0)
		strict_header(line, &s);
	if (rest.len > 0 || s.http_1_0 != g->r.http_1_0 || !text_eq(s.method, g->r.method) ||
	    !text_eq(s.path, g->r.path) || !text_eq(s.user_agent, g->r.set.user_agent))
		abort();
	check_framing(&s, &g->r);
}

/* -- paths -- */

static void
check_path(struct text path)
{
	char *decoded = malloc(path.len ? path.len : 1);
	size_t len, shorter;

	if (!decoded || !http_path_decode(path, decoded, path.len, &len) || len > path.len)
		abort();
	if (path.len > 0 && !memchr(path.at, '%', path.len) &&
	    (len != path.len || memcmp(decoded, path.at, len) != 0))
		abort();
	if (memchr(decoded, '\0', len) ||
	    (len > 0 && http_path_decode(path, decoded, len - 1, &shorter)))
		abort();
	free(decoded);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reading g = {.in = (const char *)data, .len = size};
	struct seen whole;

	if (size == 0)
		return 0;
	note(&g, http_request_read(&g.r, g.in, size, g.join, COUNTRY), &whole);
	check_prefixes(data, size, &whole);
	if (g.r.path.at)
		check_path(g.r.path);
	if (whole.got != HTTP_WHOLE)
		return 0;
	check_tail(data, size, &whole);
	check_alike(&g);
	return 0;
}
