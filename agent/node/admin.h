/* admin.h -- the agent's door for operators and their monitoring.
 *
 * GET /metrics (Prometheus), /healthz (the process answers), /readyz (it takes events), /status
 * (JSON); POST /flush seals and returns when the central has everything that was accepted before.
 *
 * Threads:  one of libmicrohttpd's, and one per connection, since a flush blocks.
 * Memory:   at most ADMIN_CONNECTIONS connections; answers of some 10 KiB.
 * Errors:   answered as JSON with "error".
 */
#ifndef NODE_ADMIN_H
#define NODE_ADMIN_H

#include "base/socket.h"
#include "conf/conf.h"
#include "node/forward.h"
#include "node/seal.h"
#include "node/spool.h"

#define ADMIN_CONNECTIONS 32

struct admin;

struct admin_parts { /* lent until admin_stop */
	const struct conf *c;
	struct sealer *sealer;
	struct spool *spool;
	struct forwarder *forwarder;
	struct batch_id epoch; /* node and epoch of it are shown */
};

/* Opens the socket; from admin_start on there are answers, /readyz says no at first. 0 or -errno,
 * with a sentence logged; what is open is ended by admin_stop. */
int admin_open(const struct conf *c, struct admin **ret_admin);
int admin_start(struct admin *a, const struct admin_parts *parts);
void admin_address(const struct admin *a, char ret_text[SOCKET_ADDRESS_TEXT]);

/* What /readyz answers. */
void admin_ready(struct admin *a, bool ready);

/* A flush under way fails with "stopping". Before seal_stop and forward_stop. */
void admin_stop(struct admin *a);

#endif
