/* ingest_http_private.h -- what the files of ingest_http share.
 *
 * ingest_http.c starts and stops, ingest_http_conn.c keeps connections and their deadlines,
 * ingest_http_request.c turns a request into an answer.
 *
 * Threads:  see struct http_worker.
 * Memory:   see ingest_http.h.
 */
#ifndef NODE_INGEST_HTTP_PRIVATE_H
#define NODE_INGEST_HTTP_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/peer_limit.h"
#include "node/client_addr.h"
#include "node/header_guard.h"
#include "node/ingest_http.h"
#include "node/ingest_http_answer.h"
#include "node/ingest_http_static.h"
#include "proto/beacon.h"

/* What SIGHUP may change; a worker takes its own at the start of a request. */
struct http_rules {
	struct client_proxies *proxies;
	struct answers *answers;
	bool respect_privacy;
};

/* A connection's turns, as another thread may see them. */
enum http_turn {
	TURN_FRESH, /* accepted, no request yet */
	TURN_BUSY,  /* from the first line of a request to the end of its answer */
	TURN_WAITS  /* kept open for another request */
};

enum http_stage {
	STAGE_IDLE,    /* between two requests */
	STAGE_BODY,    /* a beacon whose body is awaited */
	STAGE_DECIDED, /* its answer is known; what is left of the body is thrown away */
	STAGE_ANSWERED
};

struct http_body {
	union {
		char bytes[BEACON_BODY_MAX];
		struct http_body *next_free;
	};
};

struct http_conn {
	/* constant while open */
	const struct sockaddr *peer;
	int fd;
	int64_t since_ms; /* monotonic */
	/* owner only */
	enum http_stage stage;
	enum answer answer;
	const struct static_file *file; /* answered with this instead */
	bool close;                     /* our answer says so */
	bool last;                      /* or the request does: no further one is read */
	struct text target;             /* as http_guard_begin wants it */
	struct text origin, accept_encoding, if_none_match; /* lent by the request's headers */
	int64_t retry_ms;
	uint64_t length;        /* of the body, as announced */
	uint64_t bytes;         /* of all requests so far, bodies included */
	struct http_body *body; /* when it came in pieces */
	size_t have;
	struct admit_request q;
	char sentence[BEACON_ERROR_MAX];
	/* guarded by the worker's lock */
	struct http_conn *prev, *next; /* among the open, or next among the free */
	bool hung_up;
	/* atomic: written by the owner, read by the sweep and the drain */
	_Atomic enum http_turn turn;
	_Atomic int64_t waits_since_ms; /* in TURN_WAITS; monotonic */
	_Atomic int64_t deadline_ms;    /* monotonic */
};

struct http_worker {
	/* constant after start */
	struct ingest_http *http;
	struct MHD_Daemon *daemon;
	struct admit_worker *admit;
	struct statics *statics;
	struct http_conn *conns; /* the whole pool */
	struct http_body *bodies;
	int listen_fd; /* -1: none of its own */
	/* owner only */
	struct http_rules *rules;
	struct http_body *free_body;
	size_t bodies_used; /* of the pool, ever: what is beyond was not touched yet */
	bool unborn;        /* a connection of its own socket was admitted, and is not open yet */
	struct sockaddr_storage unborn_peer;
	struct beacon_scratch scratch;
	char join[HEADER_JOIN_MAX];
	/* handed over: NULL, or what the owner takes next */
	_Atomic(struct http_rules *) next_rules;
	/* guarded */
	pthread_mutex_t lock;
	struct http_conn *open, *free;
	size_t conns_used;
	/* atomic */
	_Atomic size_t n_held; /* open, or on their way: never more than libmicrohttpd is told */
	_Atomic size_t n_open;
	_Atomic size_t n_dealt; /* given to the daemon by the accepting thread, and not open yet */
};

struct http_listener {
	struct socket_address address;
	int fd;      /* of the accepting thread; -1: the workers have one each */
	bool passed; /* by the service manager, who holds it as well */
};

struct ingest_http {
	/* constant after start */
	const struct conf *c;
	struct text country_header;
	bool hidden_lines; /* http_head.h: this libmicrohttpd must be watched */
	struct http_worker *worker;
	size_t n_workers;
	struct http_listener *listener;
	size_t n_listeners;
	pthread_t accepter;
	bool accepter_runs;
	int stop_fd; /* eventfd: the accepting thread ends */
	struct peer_limit *peers;
	/* guarded by trust_lock: who is excepted from the limit; asked only when it is met */
	pthread_mutex_t trust_lock;
	struct client_proxies *trusted;
	/* atomic */
	_Atomic bool draining;
};

/* -- ingest_http_conn.c -- */

int http_worker_init(struct http_worker *w);
void http_worker_fini(struct http_worker *w);

/* Whether a new connection of peer is taken: then it has a place until http_worker_part. */
bool http_worker_admit(struct http_worker *w, const struct sockaddr *peer);
void http_worker_part(struct http_worker *w, const struct sockaddr *peer);

/* The accepting thread admits by itself: from here on libmicrohttpd's question, asked in this
 * thread, is answered with yes. */
void http_conn_deals(void);

/* libmicrohttpd's question and notifications; cls is the worker. */
enum MHD_Result http_conn_accept(void *cls, const struct sockaddr *peer, socklen_t len);
void http_conn_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
		      enum MHD_ConnectionNotificationCode what);
void http_conn_completed(void *cls, struct MHD_Connection *connection, void **req_cls,
			 enum MHD_RequestTerminationCode how);
void *http_conn_uri_seen(void *cls, const char *uri, struct MHD_Connection *connection);

struct http_conn *http_conn_of(struct MHD_Connection *connection);

/* Adds to the body what came: false when the pool is empty (it never is: as many
 * as connections). */
bool http_conn_keep(struct http_worker *w, struct http_conn *k, const char *bytes, size_t n);

/* Shuts down the sockets of requests whose time is over. */
void http_worker_sweep(struct http_worker *w);

/* For the drain: connections that were open at a moment, and hanging up on those that have waited
 * for another request for idle_ms, or for their first one for fresh_ms. */
size_t http_worker_older(struct http_worker *w, int64_t moment_ms);
void http_worker_hang_up(struct http_worker *w, int64_t idle_ms, int64_t fresh_ms);

/* -- ingest_http_request.c -- */

enum MHD_Result http_request(void *cls, struct MHD_Connection *connection, const char *url,
			     const char *method, const char *version, const char *upload_data,
			     size_t *upload_data_size, void **req_cls);

void http_rules_free(struct http_rules *r);

#endif
