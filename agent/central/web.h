/* web.h -- what the central serves over HTTP: batches and salts to nodes, the API and the pages to
 * people, /healthz, /readyz and /metrics to monitoring.
 *
 * Joins http.h's server with the parts that answer. Who may ask what is decided here, per route:
 * nodes by their tokens, the command line by the process's own, readers by a session's cookie or an
 * API token, /metrics also by anybody on this machine whose request no proxy passed on.
 *
 * Threads:  web_start and web_stop by main; requests in the server's threads.
 * Memory:   that of http.h, receive.h and query.h.
 */
#ifndef CENTRAL_WEB_H
#define CENTRAL_WEB_H

#include "base/embedded.h"
#include "central/auth.h"
#include "central/http.h"
#include "central/maintain.h"
#include "central/query.h"
#include "central/receive.h"
#include "central/salts.h"
#include "central/store.h"
#include "conf/conf.h"

/* Lent until web_stop has returned. */
struct web_parts {
	const struct conf *conf;
	struct store *store;
	struct salts *salts;
	struct auth *auth;
	struct query *query;
	struct receive *receive;
	struct maintain *maintain;
	const struct embedded *pages;
};

struct web;

/* Opens the sockets; from web_start on there are answers. To be ended by web_stop in any case. */
int web_open(const struct conf *c, struct web **ret_web);
int web_start(struct web *w, const struct web_parts *parts);

/* The address that the i-th of central.listen became, NULL behind the last. */
const char *web_address(const struct web *w, size_t i);

/* What /readyz says; not ready at first. */
void web_set_ready(struct web *w, bool ready);

/* As http_stop; /readyz says no from the beginning. */
void web_stop(struct web *w, int64_t drain_ms);

#endif
