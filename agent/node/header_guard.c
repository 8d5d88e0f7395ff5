#include "node/header_guard.h"

#include <strings.h>

#include "base/http_head.h"

/* Length first: most lines of a browser match none of the names, and this runs for every line. */
#define IS(t, literal) \
	((t).len == sizeof(literal) - 1 && strncasecmp((t).at, literal, sizeof(literal) - 1) == 0)

static bool
refuse(struct header_set *h, const char *fault)
{
	h->fault = fault;
	return false;
}

static bool
see_length(struct header_set *h, struct text value)
{
	uint64_t n = 0;
	size_t i;

	if (h->content_length.at)
		return refuse(h, "Content-Length stands twice");
	/* 18 digits cannot overflow; nothing that long is ever taken */
	if (value.len == 0 || value.len > 18)
		return refuse(h, "Content-Length is no number");
	for (i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return refuse(h, "Content-Length is no number");
		n = 10 * n + (uint64_t)(value.at[i] - '0');
	}
	h->content_length = value;
	h->has_length = true;
	h->length = n;
	return true;
}

static bool
see_coding(struct header_set *h, struct text value)
{
	if (h->transfer_encoding.at)
		return refuse(h, "Transfer-Encoding stands twice");
	if (!IS(value, "chunked"))
		return refuse(h, "Transfer-Encoding is not chunked");
	h->transfer_encoding = value;
	h->chunked = true;
	return true;
}

static bool
see_host(struct header_set *h, struct text value)
{
	size_t i;

	if (h->host.at)
		return refuse(h, "Host stands twice");
	for (i = 0; i < value.len; i++)
		if (strchr(" \t,/@\\?#", value.at[i]))
			return refuse(h, "Host is no host");
	h->host = value;
	return true;
}

/* Proxies add a line of their own instead of extending the client's: HAProxy does. The right-most
 * hop decides, so when the room ends the nearest line stands alone. */
static void
see_hops(struct header_set *h, struct text *hops, struct text value)
{
	bool last = hops->at && hops->at + hops->len == h->join + h->join_used;
	size_t need = (last ? 0 : hops->len) + 2 + value.len;
	char *end = h->join + h->join_used;

	if (!hops->at || need > HEADER_JOIN_MAX - h->join_used) {
		*hops = value;
		return;
	}
	if (!last) {
		memcpy(end, hops->at, hops->len);
		hops->at = end;
		end += hops->len;
	}
	memcpy(end, ", ", 2);
	memcpy(end + 2, value.at, value.len);
	hops->len += 2 + value.len;
	h->join_used += need;
}

#define KEEP(name, field)                                                  \
	{                                                                  \
		name, sizeof(name) - 1, offsetof(struct header_set, field) \
	}

static const struct {
	const char *name;
	size_t len;
	size_t field;
} kept[] = {
    KEEP("origin", origin),
    KEEP("user-agent", user_agent),
    KEEP("accept", accept),
    KEEP("accept-language", accept_language),
    KEEP("accept-encoding", accept_encoding),
    KEEP("if-none-match", if_none_match),
    KEEP("sec-fetch-site", sec_fetch),
    KEEP("sec-fetch-mode", sec_fetch),
    KEEP("sec-fetch-dest", sec_fetch),
    KEEP("sec-purpose", sec_purpose),
    KEEP("purpose", sec_purpose),
    KEEP("x-moz", sec_purpose),
};

static bool
keep(struct header_set *h, struct text name, struct text value)
{
	struct text *field;
	void *at;
	size_t i;

	for (i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		if (name.len != kept[i].len || strncasecmp(name.at, kept[i].name, name.len) != 0)
			continue;
		at = (char *)h + kept[i].field;
		field = at;
		if (!field->at)
			*field = value;
		return true;
	}
	return false;
}

static void
see_other(struct header_set *h, struct text name, struct text value)
{
	if (keep(h, name, value))
		return;
	if (IS(name, "x-forwarded-for"))
		see_hops(h, &h->x_forwarded_for, value);
	else if (IS(name, "forwarded"))
		see_hops(h, &h->forwarded, value);
	else if (IS(name, "sec-gpc") || IS(name, "dnt"))
		h->opted_out = h->opted_out || text_is(value, "1");
	else if (IS(name, "expect"))
		h->expects = true;
	else if (IS(name, "connection"))
		h->closes = h->closes || !IS(value, "keep-alive");
}

void
header_set_init(struct header_set *h, char *join, struct text country_name)
{
	*h = (struct header_set){.join = join, .country_name = country_name};
}

bool
header_see(struct header_set *h, struct text name, struct text value)
{
	if (!value.at)
		value.at = ""; /* absent and empty differ here: a second line is one too many */
	if (!http_is_token(name))
		return refuse(h, "a header's name is no token");
	if (http_has_control(value))
		return refuse(h, "a header holds a control character");
	if (IS(name, "content-length"))
		return see_length(h, value);
	if (IS(name, "transfer-encoding"))
		return see_coding(h, value);
	if (IS(name, "host"))
		return see_host(h, value);
	if (h->country_name.len == name.len && name.len > 0 &&
	    strncasecmp(h->country_name.at, name.at, name.len) == 0)
		h->country = value; /* the last one is the nearest proxy's */
	see_other(h, name, value);
	return true;
}

bool
header_done(struct header_set *h, bool http_1_0)
{
	if (h->chunked && h->has_length)
		return refuse(h, "Transfer-Encoding beside Content-Length");
	if (h->chunked && http_1_0)
		return refuse(h, "Transfer-Encoding in HTTP/1.0");
	if (!h->host.at && !http_1_0)
		return refuse(h, "Host is missing");
	return true;
}
