/* web_internal.h -- what the web_*.c files share; nobody else's. */
#ifndef CENTRAL_WEB_INTERNAL_H
#define CENTRAL_WEB_INTERNAL_H

#include <stdatomic.h>

#include "central/web.h"

struct web {
	/* constant after start */
	struct web_parts parts;
	struct http_server *http;
	struct http_route *routes;
	char *tls_cert, *tls_key;
	int64_t started_ms;

	atomic_bool ready;
};

/* Routes' functions; ctx is the struct web. */
bool web_admit_reader(void *ctx, struct http_request *r, struct http_answer *a);
void web_serve_page(void *ctx, struct http_request *r, struct http_answer *a);
void web_serve_metrics(void *ctx, struct http_request *r, struct http_answer *a);
void web_serve_login(void *ctx, struct http_request *r, struct http_answer *a);
void web_serve_logout(void *ctx, struct http_request *r, struct http_answer *a);
bool web_admit_local(void *ctx, struct http_request *r, struct http_answer *a);
void web_serve_maintain(void *ctx, struct http_request *r, struct http_answer *a);
void web_serve_maintain_state(void *ctx, struct http_request *r, struct http_answer *a);

#endif
