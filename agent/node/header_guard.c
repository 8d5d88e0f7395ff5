#include "node/header_guard.h"

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
		if (!http_name_is(name, kept[i].name, kept[i].len))
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
	if (HTTP_NAME_IS(name, "x-forwarded-for"))
		see_hops(h, &h->x_forwarded_for, value);
	else if (HTTP_NAME_IS(name, "forwarded"))
		see_hops(h, &h->forwarded, value);
	else if (HTTP_NAME_IS(name, "sec-gpc") || HTTP_NAME_IS(name, "dnt"))
		h->opted_out = h->opted_out || text_is(value, "1");
	else if (HTTP_NAME_IS(name, "expect"))
		h->expects = true;
	else if (HTTP_NAME_IS(name, "connection"))
		h->closes = h->closes || !HTTP_NAME_IS(value, "keep-alive");
}

void
header_set_init(struct header_set *h, char *join, struct text country_name)
{
	*h = (struct header_set){.join = join, .country_name = country_name};
}

bool
header_see(struct header_set *h, struct text name, struct text value)
{
	if (!http_guard_rule(&h->guard, name, value))
		return false;
	if (h->country_name.len == name.len && name.len > 0 &&
	    strncasecmp(h->country_name.at, name.at, name.len) == 0)
		h->country = value; /* the last one is the nearest proxy's */
	see_other(h, name, value);
	return true;
}
