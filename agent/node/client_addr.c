#include "node/client_addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Longest chain of trusted proxies that is followed: more would be work that a client can
 * ask for. */
#define HOPS_MAX 32

struct prefix {
	uint8_t ip[16];
	unsigned bits;
};

struct client_proxies {
	bool unix_peers;
	size_t n;
	struct prefix item[];
};

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool
client_addr_is_v4(const struct client_addr *a)
{
	return memcmp(a->ip, v4_mapped, sizeof(v4_mapped)) == 0;
}

bool
client_addr_parse(struct text t, struct client_addr *ret_addr)
{
	char s[INET6_ADDRSTRLEN];
	const char *zone = t.at ? memchr(t.at, '%', t.len) : NULL;
	struct client_addr a;

	if (zone && memchr(t.at, ':', t.len)) /* only IPv6 has zones */
		t.len = (size_t)(zone - t.at);
	if (t.len == 0 || t.len >= sizeof(s) || memchr(t.at, '\0', t.len))
		return false;
	memcpy(s, t.at, t.len);
	s[t.len] = '\0';
	memcpy(a.ip, v4_mapped, sizeof(v4_mapped));
	if (inet_pton(AF_INET, s, a.ip + 12) != 1 && inet_pton(AF_INET6, s, a.ip) != 1)
		return false;
	*ret_addr = a;
	return true;
}

/* -- trusted proxies -- */

static bool
bits_parse(struct text t, unsigned max, unsigned *ret_bits)
{
	unsigned v = 0;
	size_t i;

	if (t.len == 0 || t.len > 3)
		return false;
	for (i = 0; i < t.len; i++) {
		if (t.at[i] < '0' || t.at[i] > '9')
			return false;
		v = v * 10 + (unsigned)(t.at[i] - '0');
	}
	*ret_bits = v;
	return v <= max;
}

static bool
prefix_parse(struct text t, struct prefix *ret_prefix)
{
	const char *slash = memchr(t.at, '/', t.len);
	struct text addr = {t.at, slash ? (size_t)(slash - t.at) : t.len};
	struct client_addr a;
	bool v4;

	if (!client_addr_parse(addr, &a))
		return false;
	memcpy(ret_prefix->ip, a.ip, sizeof(a.ip));
	ret_prefix->bits = 128;
	if (!slash)
		return true;
	v4 = memchr(addr.at, ':', addr.len) == NULL;
	if (!bits_parse((struct text){slash + 1, t.len - addr.len - 1}, v4 ? 32 : 128,
			&ret_prefix->bits))
		return false;
	ret_prefix->bits += v4 ? 96 : 0;
	return true;
}

int
client_proxies_new(const struct conf_list *list, struct client_proxies **ret_proxies,
		   const char **ret_bad_item)
{
	struct client_proxies *p = calloc(1, sizeof(*p) + list->n * sizeof(p->item[0]));
	size_t i;

	if (!p)
		return -ENOMEM;
	for (i = 0; i < list->n; i++) {
		if (strcmp(list->item[i], "unix") == 0)
			p->unix_peers = true;
		else if (p->n == CLIENT_PROXIES_MAX ||
			 !prefix_parse(text_of(list->item[i]), &p->item[p->n++]))
			break;
	}
	if (i < list->n) {
		*ret_bad_item = list->item[i];
		free(p);
		return -EINVAL;
	}
	*ret_proxies = p;
	return 0;
}

void
client_proxies_free(struct client_proxies *p)
{
	free(p);
}

static bool
prefix_has(const struct prefix *p, const struct client_addr *a)
{
	unsigned bytes = p->bits / 8, rest = p->bits % 8;

	return memcmp(p->ip, a->ip, bytes) == 0 &&
	       (rest == 0 || ((p->ip[bytes] ^ a->ip[bytes]) >> (8 - rest)) == 0);
}

static bool
addr_is_trusted(const struct client_proxies *p, const struct client_addr *a)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (prefix_has(&p->item[i], a))
			return true;
	return false;
}

void
client_addr_of_peer(const struct sockaddr *peer, struct client_addr *ret_addr)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	memset(ret_addr, 0, sizeof(*ret_addr));
	if (peer && peer->sa_family == AF_INET) {
		memcpy(&v4, peer, sizeof(v4));
		memcpy(ret_addr->ip, v4_mapped, sizeof(v4_mapped));
		memcpy(ret_addr->ip + 12, &v4.sin_addr, 4);
	} else if (peer && peer->sa_family == AF_INET6) {
		memcpy(&v6, peer, sizeof(v6));
		memcpy(ret_addr->ip, &v6.sin6_addr, 16);
	}
}

bool
client_is_trusted(const struct client_proxies *p, const struct sockaddr *peer)
{
	struct client_addr a;

	if (!p || !peer)
		return false;
	if (peer->sa_family != AF_INET && peer->sa_family != AF_INET6)
		return peer->sa_family == AF_UNIX && p->unix_peers;
	client_addr_of_peer(peer, &a);
	return addr_is_trusted(p, &a);
}

/* -- forwarding headers, read from the right: what stands left of the first hop that is not a
 * trusted proxy was written by the client, and is never looked at -- */

static struct text
trim(struct text t)
{
	while (t.len > 0 && (t.at[0] == ' ' || t.at[0] == '\t'))
		t.at++, t.len--;
	while (t.len > 0 && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t'))
		t.len--;
	return t;
}

/* Cuts the part behind the last `sep` that is in no quotes off *rest. Seen from the right,
 * since the last element is a proxy's own and has its quotes in order, whatever a client put
 * before it. */
static bool
take_last(struct text *rest, char sep, struct text *ret_part)
{
	size_t i = rest->len;
	bool quoted = false;

	while (i > 0 && (quoted || rest->at[i - 1] != sep)) {
		quoted ^= rest->at[i - 1] == '"';
		i--;
	}
	*ret_part = trim((struct text){rest->at + i, rest->len - i});
	if (i == 0)
		*rest = (struct text){NULL, 0};
	else
		rest->len = i - 1;
	return !quoted;
}

static bool
port_valid(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++)
		if (t.at[i] < '0' || t.at[i] > '9')
			return false;
	return t.len >= 1 && t.len <= 5;
}

/* An address, an IPv4 one with :port, or [IPv6] with or without :port. */
static bool
node_parse(struct text t, struct client_addr *ret_addr)
{
	const char *end;
	size_t len;

	if (t.len == 0)
		return false;
	if (t.at[0] == '[') {
		end = memchr(t.at, ']', t.len);
		if (!end)
			return false;
		len = (size_t)(end - t.at);
		if (len + 1 < t.len &&
		    (end[1] != ':' || !port_valid((struct text){end + 2, t.len - len - 2})))
			return false;
		return memchr(t.at, ':', len) != NULL &&
		       client_addr_parse((struct text){t.at + 1, len - 1}, ret_addr);
	}
	end = memchr(t.at, ':', t.len);
	if (!end || memchr(end + 1, ':', t.len - (size_t)(end - t.at) - 1))
		return client_addr_parse(t, ret_addr);
	len = (size_t)(end - t.at);
	return port_valid((struct text){end + 1, t.len - len - 1}) &&
	       client_addr_parse((struct text){t.at, len}, ret_addr);
}

/* One element of Forwarded: its only for= parameter. */
static bool
forwarded_parse(struct text element, struct client_addr *ret_addr)
{
	struct text rest = element, part;
	bool found = false;

	while (rest.at) {
		if (!take_last(&rest, ';', &part))
			return false;
		if (part.len < 4 || strncasecmp(part.at, "for=", 4) != 0)
			continue;
		part = (struct text){part.at + 4, part.len - 4};
		if (part.len >= 2 && part.at[0] == '"' && part.at[part.len - 1] == '"')
			part = (struct text){part.at + 1, part.len - 2};
		if (found || !node_parse(part, ret_addr))
			return false;
		found = true;
	}
	return found;
}

/* From *addr, which is trusted, to the left. False when an element could not be read; then *addr is
 * the nearest hop that could. */
static bool
walk(const struct client_proxies *p, struct text header, bool rfc7239, struct client_addr *addr)
{
	struct text rest = header, element;
	struct client_addr a;
	unsigned hops;

	for (hops = 0; rest.at; hops++) {
		if (hops == HOPS_MAX || !take_last(&rest, ',', &element))
			return false;
		if (!(rfc7239 ? forwarded_parse(element, &a) : node_parse(element, &a)))
			return false;
		*addr = a;
		if (!addr_is_trusted(p, &a))
			return true;
	}
	return true;
}

void
client_addr_find(const struct client_proxies *p, const struct sockaddr *peer,
		 struct text x_forwarded_for, struct text forwarded, struct client_addr *ret_addr,
		 bool *ret_malformed)
{
	struct client_addr x, f;
	bool x_good = true, f_good = true;

	client_addr_of_peer(peer, ret_addr);
	*ret_malformed = false;
	if ((!x_forwarded_for.at && !forwarded.at) || !client_is_trusted(p, peer))
		return;
	x = f = *ret_addr;
	if (x_forwarded_for.at)
		x_good = walk(p, x_forwarded_for, false, &x);
	if (forwarded.at)
		f_good = walk(p, forwarded, true, &f);
	*ret_malformed = !x_good || !f_good;
	if (!forwarded.at)
		*ret_addr = x;
	else if (!x_forwarded_for.at)
		*ret_addr = f;
	else if (x_good && f_good && memcmp(&x, &f, sizeof(x)) == 0)
		*ret_addr = x;
	else /* a proxy appended to one, a client may have written the other */
		*ret_malformed = true;
}
