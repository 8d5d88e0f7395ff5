#include "node/http_request.h"

#define VERSION_LEN 8 /* HTTP/1.1 */

struct cursor {
	const char *at, *end;
};

/* -- the request line -- */

/* CR LF: HTTP_WHOLE, and behind it; anything else is the fault. */
static enum http_read
read_line_end(struct cursor *c, enum http_read fault)
{
	if (c->at == c->end)
		return HTTP_MORE;
	if (*c->at != '\r')
		return fault;
	if (c->at + 1 == c->end)
		return HTTP_MORE;
	if (c->at[1] != '\n')
		return fault;
	c->at += 2;
	return HTTP_WHOLE;
}

static enum http_read
read_method(struct cursor *c, struct text *ret_method)
{
	const char *end = http_token_end(c->at, c->end);

	if (end == c->end)
		return HTTP_MORE;
	if (end == c->at || *end != ' ')
		return HTTP_MALFORMED;
	*ret_method = (struct text){c->at, (size_t)(end - c->at)};
	c->at = end + 1;
	return HTTP_WHOLE;
}

/* "%00" would end the path for programs that are written in C. */
static bool
holds_encoded_nul(struct text t)
{
	const char *at = t.at, *end = t.at + t.len;

	while ((at = memchr(at, '%', (size_t)(end - at))) != NULL)
		if (++at + 2 <= end && at[0] == '0' && at[1] == '0')
			return true;
	return false;
}

/* Of "/path?query" and "http://host/path?query" (RFC 9112, section 3.2) the path; of "*" and what
 * CONNECT names the whole, which is nobody's path. */
static struct text
path_of(struct text target)
{
	const char *query = memchr(target.at, '?', target.len), *end, *slash;
	size_t scheme = 0;

	if (query) /* it may hold slashes, and follow a host that none does */
		target.len = (size_t)(query - target.at);
	end = target.at + target.len;
	if (target.len > 0 && target.at[0] == '/')
		return target;
	if (target.len >= 7 && strncasecmp(target.at, "http://", 7) == 0)
		scheme = 7;
	else if (target.len >= 8 && strncasecmp(target.at, "https://", 8) == 0)
		scheme = 8;
	if (scheme > 0) {
		slash = memchr(target.at + scheme, '/', target.len - scheme);
		target.at = slash ? slash : end;
		target.len = (size_t)(end - target.at);
	}
	return target;
}

static enum http_read
read_target(struct cursor *c, struct text *ret_path)
{
	const char *stop = http_control(c->at, c->end);
	const char *blank = memchr(c->at, ' ', (size_t)(stop - c->at));
	struct text target = {c->at, (size_t)((blank ? blank : stop) - c->at)};

	if (!blank && stop < c->end)
		return HTTP_MALFORMED;
	if (memchr(target.at, '\t', target.len) || (blank && target.len == 0) ||
	    holds_encoded_nul(target))
		return HTTP_MALFORMED;
	if (!blank)
		return HTTP_MORE;
	*ret_path = path_of(target);
	c->at = blank + 1;
	return HTTP_WHOLE;
}

static enum http_read
read_version(struct cursor *c, bool *ret_http_1_0)
{
	static const char form[] = "HTTP/d.d";
	const char *v = c->at;
	size_t i;

	for (i = 0; i < VERSION_LEN; i++) {
		if (v + i == c->end)
			return HTTP_MORE;
		if (form[i] == 'd' ? v[i] < '0' || v[i] > '9' : v[i] != form[i])
			return HTTP_MALFORMED;
	}
	c->at += VERSION_LEN;
	if (v[5] != '1')
		return HTTP_VERSION;
	*ret_http_1_0 = v[7] == '0';
	return HTTP_WHOLE;
}

static enum http_read
read_request_line(struct http_request *r, struct cursor *c)
{
	struct text path = {NULL, 0};
	enum http_read got = HTTP_WHOLE;

	if (c->at < c->end && *c->at == '\r')
		got = read_line_end(c, HTTP_MALFORMED);
	if (got == HTTP_WHOLE)
		got = read_method(c, &r->method);
	if (got == HTTP_WHOLE)
		got = read_target(c, &path);
	if (got == HTTP_WHOLE)
		got = read_version(c, &r->http_1_0);
	if (got == HTTP_WHOLE)
		got = read_line_end(c, HTTP_MALFORMED);
	if (got == HTTP_WHOLE)
		r->path = path;
	return got;
}

/* -- header lines -- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static enum http_read
refuse(struct http_request *r, const char *fault)
{
	http_guard_refuse(&r->set.guard, fault);
	return HTTP_REFUSED;
}

static enum http_read
read_header(struct http_request *r, struct cursor *c)
{
	const char *colon = http_token_end(c->at, c->end);
	struct text name = {c->at, (size_t)(colon - c->at)}, value;
	const char *end;
	enum http_read got;

	if (colon == c->end)
		return HTTP_MORE;
	if (name.len == 0 || *colon != ':')
		return refuse(r, "a header's name is no token");
	c->at = colon + 1;
	while (c->at < c->end && is_blank(*c->at))
		c->at++;
	end = http_control(c->at, c->end);
	value.at = c->at;
	c->at = end;
	got = read_line_end(c, HTTP_REFUSED);
	if (got == HTTP_REFUSED)
		return refuse(r, "a header holds a control character");
	if (got != HTTP_WHOLE)
		return got;
	while (end > value.at && is_blank(end[-1]))
		end--;
	value.len = (size_t)(end - value.at);
	return header_see(&r->set, name, value) ? HTTP_WHOLE : HTTP_REFUSED;
}

enum http_read
http_request_read(struct http_request *r, const char *at, size_t len, char *join,
		  struct text country_name)
{
	struct cursor c = {at, at + len};
	enum http_read got;

	r->method = r->path = (struct text){NULL, 0};
	header_set_init(&r->set, join, country_name);
	got = read_request_line(r, &c);
	while (got == HTTP_WHOLE) {
		if (c.at == c.end)
			return HTTP_MORE;
		if (*c.at != '\r') {
			got = read_header(r, &c);
			continue;
		}
		got = read_line_end(&c, HTTP_REFUSED);
		if (got == HTTP_REFUSED)
			return refuse(r, "a line does not end with CR LF");
		if (got == HTTP_MORE)
			return got;
		r->head_len = (size_t)(c.at - at);
		return http_guard_done(&r->set.guard, r->http_1_0, 0) ? HTTP_WHOLE : HTTP_REFUSED;
	}
	return got;
}

/* -- paths -- */

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
http_path_decode(struct text path, char *ret_path, size_t size, size_t *ret_len)
{
	size_t i, n = 0;
	int high, low;

	for (i = 0; i < path.len; i++) {
		if (n == size)
			return false;
		ret_path[n] = path.at[i];
		if (path.at[i] == '%' && i + 2 < path.len) {
			high = digit(path.at[i + 1]);
			low = digit(path.at[i + 2]);
			if (high >= 0 && low >= 0) {
				ret_path[n] = (char)(high * 16 + low);
				i += 2;
			}
		}
		n++;
	}
	*ret_len = n;
	return true;
}
