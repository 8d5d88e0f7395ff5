/* client_addr.h -- whose beacon this is: the right-most hop that is not a trusted proxy.
 *
 * Nothing is trusted by default; a malformed header never widens trust: from the first hop that
 * cannot be read on (from the right), the nearest readable one stands. X-Forwarded-For and
 * Forwarded (RFC 7239) are read only when the peer itself is trusted; several lines of one header
 * are joined with commas by the caller. When both headers are there they must name the same client,
 * else they count as malformed and the peer stands: a proxy that writes one of them passes the
 * other on as a client invented it. Where every hop is trusted, the left-most is the client.
 * Addresses are IPv6, IPv4 ones mapped (::ffff:a.b.c.d); peers on unix sockets are ::.
 *
 * Threads:  pure functions of constant tables.
 * Memory:   at most CLIENT_PROXIES_MAX prefixes.
 */
#ifndef NODE_CLIENT_ADDR_H
#define NODE_CLIENT_ADDR_H

#include <sys/socket.h>

#include "base/text.h"
#include "conf/conf.h"

#define CLIENT_PROXIES_MAX 256

struct client_addr {
	uint8_t ip[16]; /* network order; IPv4 as ::ffff:a.b.c.d */
};

struct client_proxies; /* trusted_proxies, parsed */

/* 0 or -EINVAL with the item that is no prefix. Item "unix" trusts peers on unix sockets. */
int client_proxies_new(const struct conf_list *list, struct client_proxies **ret_proxies,
		       const char **ret_bad_item);
void client_proxies_free(struct client_proxies *p);

/* Dotted or colon form, optionally with a zone to be ignored; no port. */
bool client_addr_parse(struct text t, struct client_addr *ret_addr);
bool client_addr_is_v4(const struct client_addr *a);
void client_addr_of_peer(const struct sockaddr *peer, struct client_addr *ret_addr);
bool client_is_trusted(const struct client_proxies *p, const struct sockaddr *peer);

/* Headers may be absent texts. *ret_malformed tells that one could not be read to its end. */
void client_addr_find(const struct client_proxies *p, const struct sockaddr *peer,
		      struct text x_forwarded_for, struct text forwarded,
		      struct client_addr *ret_addr, bool *ret_malformed);

#endif
