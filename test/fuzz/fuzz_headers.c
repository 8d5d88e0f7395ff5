/* A request's head: a line "PEER TRUSTED..." (addresses, prefixes, "unix"), then header lines. What the guard lets through keeps its promises, and nothing that a
 * client writes into forwarding headers outweighs what a trusted proxy appends. */
#include <netinet/in.h>
#include <stdlib.h>

#include "node/client_addr.h"
#include "node/header_guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TRUSTED_MAX 16
#define APPENDED "203.0.113.9" /* the client as the proxy saw it */

struct head {
	struct sockaddr_in6 peer; /* its family may be AF_UNIX */
	struct client_addr peer_addr;
	struct client_proxies *proxies;
	struct text lines;
};

/* Cuts off what stands before the first `at`. */
static struct text
cut(struct text *rest, char at)
{
	const char *end = rest->len ? memchr(rest->at, at, rest->len) : NULL;
	struct text part = *rest;

	if (end)
		part.len = (size_t)(end - rest->at);
	rest->at += part.len + (end ? 1 : 0);
	rest->len -= part.len + (end ? 1 : 0);
	return part;
}

static struct client_proxies *
proxies_of(struct text words)
{
	struct conf_list list = {calloc(TRUSTED_MAX, sizeof(char *)), 0};
	struct client_proxies *p = NULL;
	const char *bad;
	struct text word;

	if (!list.item)
		abort();
	while (words.len > 0 && list.n < TRUSTED_MAX) {
		word = cut(&words, ' ');
		list.item[list.n++] = strndup(word.at, word.len);
	}
	if (client_proxies_new(&list, &p, &bad) < 0)
		p = NULL;
	while (list.n > 0)
		free(list.item[--list.n]);
	free(list.item);
	return p;
}

static bool
read_head(struct text in, struct head *h)
{
	struct text first = cut(&in, '\n'), peer = cut(&first, ' ');

	*h = (struct head){.peer.sin6_family = AF_INET6, .lines = in};
	if (text_is(peer, "unix"))
		h->peer.sin6_family = AF_UNIX;
	else if (!client_addr_parse(peer, &h->peer_addr))
		return false;
	memcpy(&h->peer.sin6_addr, h->peer_addr.ip, 16);
	h->proxies = proxies_of(first);
	return h->proxies != NULL;
}

static bool
see_lines(struct text lines, struct header_set *set)
{
	struct text value, name;

	while (lines.len > 0) {
		value = cut(&lines, '\n');
		name = cut(&value, ':');
		while (value.len > 0 && (value.at[0] == ' ' || value.at[0] == '\t'))
			value.at++, value.len--;
		if (!http_is_token(name) || http_has_control(value)) {
			set->guard.fault = "no line of a head";
			return false;
		}
		if (!header_see(set, name, value))
			return false;
	}
	return true;
}

static void
check_text(struct text t, const char *forbidden)
{
	size_t i;

	for (i = 0; i < t.len; i++)
		if (((uint8_t)t.at[i] < 0x20 && t.at[i] != '\t') || t.at[i] == 0x7f ||
		    strchr(forbidden, t.at[i]))
			abort();
}

static void
check_set(const struct header_set *set)
{
	if (set->guard.fault || (set->guard.chunked && set->guard.has_length) ||
	    set->guard.length > 999999999999999999 || set->join_used > HEADER_JOIN_MAX)
		abort();
	check_text(set->guard.host, " \t,/@\\?#");
	check_text(set->user_agent, "");
	check_text(set->x_forwarded_for, "");
	check_text(set->forwarded, "");
}

static struct client_addr
find(const struct head *h, const struct header_set *set, bool *ret_malformed)
{
	struct client_addr a;

	client_addr_find(h->proxies, (const struct sockaddr *)&h->peer, set->x_forwarded_for,
			 set->forwarded, &a, ret_malformed);
	return a;
}

static bool
same(const struct client_addr *a, const struct client_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool
trusts(const struct head *h, const struct client_addr *a)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6};

	memcpy(&sa.sin6_addr, a->ip, 16);
	return client_is_trusted(h->proxies, (const struct sockaddr *)&sa);
}

static void
check_address(const struct head *h, const struct header_set *set)
{
	static const struct conf_list none = {NULL, 0};
	bool trusted = client_is_trusted(h->proxies, (const struct sockaddr *)&h->peer), malformed;
	struct client_addr a = find(h, set, &malformed);
	struct head open = *h;
	const char *bad;

	if (!same(&a, &h->peer_addr) && (!trusted || (malformed && !trusts(h, &a))))
		abort(); /* a hop was believed that nobody vouches for */
	if (!trusted && malformed)
		abort();
	if (client_proxies_new(&none, &open.proxies, &bad) < 0)
		abort();
	a = find(&open, set, &malformed);
	if (!same(&a, &h->peer_addr) || malformed)
		abort();
	client_proxies_free(open.proxies);
}

/* What the client wrote, then the lines of the proxy. */
static void
check_appended(const struct head *h, const char *x_forwarded_for, const char *forwarded)
{
	char join[HEADER_JOIN_MAX];
	struct client_addr a, appended;
	struct header_set set;
	bool malformed, sure;

	header_set_init(&set, join, (struct text){NULL, 0});
	if (!client_addr_parse(text_of(APPENDED), &appended) || !see_lines(h->lines, &set))
		abort();
	sure = (x_forwarded_for || !set.x_forwarded_for.at) && (forwarded || !set.forwarded.at);
	if ((x_forwarded_for &&
	     !header_see(&set, text_of("X-Forwarded-For"), text_of(x_forwarded_for))) ||
	    (forwarded && !header_see(&set, text_of("Forwarded"), text_of(forwarded))))
		abort();
	a = find(h, &set, &malformed);
	if (trusts(h, &appended) || !client_is_trusted(h->proxies, (const void *)&h->peer))
		return;
	if (!same(&a, &appended) && (sure || !same(&a, &h->peer_addr)))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char join[HEADER_JOIN_MAX];
	struct header_set set;
	struct head h;

	if (size == 0 || !read_head((struct text){(const char *)data, size}, &h))
		return 0;
	header_set_init(&set, join, (struct text){"CF-IPCountry", 12});
	if (see_lines(h.lines, &set)) {
		if (http_guard_done(&set.guard, false, 0))
			check_set(&set);
		check_address(&h, &set);
		check_appended(&h, APPENDED, NULL);
		check_appended(&h, NULL, "for=" APPENDED);
		check_appended(&h, APPENDED, "by=unknown;for=\"" APPENDED ":443\"; proto=https");
	} else if (!set.guard.fault) {
		abort();
	}
	client_proxies_free(h.proxies);
	return 0;
}
