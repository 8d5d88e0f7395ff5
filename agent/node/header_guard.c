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

/* Where the value of that header is kept, the first one that comes: NULL when it is not. By length,
 * since this is asked for every line of every request. */
static struct text *
field_of(struct header_set *h, struct text name)
{
	switch (name.len) {
	case 5:
		return HTTP_NAME_IS(name, "x-moz") ? &h->sec_purpose : NULL;
	case 6:
		if (HTTP_NAME_IS(name, "origin"))
			return &h->origin;
		return HTTP_NAME_IS(name, "accept") ? &h->accept : NULL;
	case 7:
		return HTTP_NAME_IS(name, "purpose") ? &h->sec_purpose : NULL;
	case 10:
		return HTTP_NAME_IS(name, "user-agent") ? &h->user_agent : NULL;
	case 11:
		return HTTP_NAME_IS(name, "sec-purpose") ? &h->sec_purpose : NULL;
	case 13:
		return HTTP_NAME_IS(name, "if-none-match") ? &h->if_none_match : NULL;
	case 14:
		return HTTP_NAME_IS(name, "sec-fetch-site") ||
			       HTTP_NAME_IS(name, "sec-fetch-mode") ||
			       HTTP_NAME_IS(name, "sec-fetch-dest")
			   ? &h->sec_fetch
			   : NULL;
	case 15:
		if (HTTP_NAME_IS(name, "accept-language"))
			return &h->accept_language;
		return HTTP_NAME_IS(name, "accept-encoding") ? &h->accept_encoding : NULL;
	default:
		return NULL;
	}
}

/* What says something by more than its value. */
static void
see_other(struct header_set *h, struct text name, struct text value)
{
	switch (name.len) {
	case 3:
	case 7:
		if (HTTP_NAME_IS(name, "dnt") || HTTP_NAME_IS(name, "sec-gpc"))
			h->opted_out = h->opted_out || text_is(value, "1");
		break;
	case 6:
		h->expects = h->expects || HTTP_NAME_IS(name, "expect");
		break;
	case 9:
		if (HTTP_NAME_IS(name, "forwarded"))
			see_hops(h, &h->forwarded, value);
		break;
	case 10:
		if (HTTP_NAME_IS(name, "connection"))
			h->closes = h->closes || !HTTP_NAME_IS(value, "keep-alive");
		break;
	case 15:
		if (HTTP_NAME_IS(name, "x-forwarded-for"))
			see_hops(h, &h->x_forwarded_for, value);
		break;
	}
}

void
header_set_init(struct header_set *h, char *join, struct text country_name)
{
	*h = (struct header_set){.join = join, .country_name = country_name};
}

bool
header_see(struct header_set *h, struct text name, struct text value)
{
	struct text *field;

	if (!http_guard_rule(&h->guard, name, value))
		return false;
	if (h->country_name.len == name.len && name.len > 0 &&
	    strncasecmp(h->country_name.at, name.at, name.len) == 0)
		h->country = value; /* the last one is the nearest proxy's */
	field = field_of(h, name);
	if (!field)
		see_other(h, name, value);
	else if (!field->at)
		*field = value;
	return true;
}
