/* http_internal.h -- what http.c (server) and http_exchange.c (requests) share; nobody else's. */
#ifndef CENTRAL_HTTP_INTERNAL_H
#define CENTRAL_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/peer_limit.h"
#include "base/text.h"
#include "central/http.h"

#define HTTP_STATUS_MAX 600

struct http_connection {
	/* owner only: of the request, as http_guard_begin wants it */
	struct text target;
	/* guarded by the server's lock: as the sweeper sees it */
	struct http_connection *next, **back;
	int fd;
	struct mono_us opened;
	struct mono_us since; /* its start, or when busy changed */
	bool busy;            /* between the headers of a request and the end of its answer */
	bool served;          /* at least one answer */
	bool hung_up;
};

/* One thread of libmicrohttpd's, at one listening socket. */
struct http_daemon {
	/* constant after start */
	struct http_server *server;
	struct MHD_Daemon *mhd;
	int fd; /* the socket once more, as libmicrohttpd's own for as long as it listens */
	/* guarded by the server's lock */
	bool listening;
};

struct http_server {
	/* constant after start */
	struct http_setup setup;
	size_t n;
	int fd[HTTP_LISTEN_MAX];
	struct http_daemon *daemons;
	size_t n_daemons;
	char address[HTTP_LISTEN_MAX][HTTP_ADDRESS_MAX];
	bool sweeping;     /* the sweeper was started */
	bool hidden_lines; /* base/http_head.h: this libmicrohttpd must be watched */
	struct peer_limit *peers;
	pthread_t sweeper;

	/* atomic */
	atomic_bool draining;       /* each answer is the last one of its connection */
	atomic_bool stopping;       /* the sweeper ends */
	atomic_uint active;         /* requests between their headers and their end */
	atomic_size_t bodies_bytes; /* of bodies in memory, small ones aside */
	_Atomic uint64_t count[HTTP_CLASS_N][HTTP_STATUS_MAX];

	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct http_connection *connections;
	bool closing; /* daemons stop listening */
};

struct http_connection *http_connection_of(struct MHD_Connection *connection);

/* libmicrohttpd's callbacks; cls is the server. */
enum MHD_Result http_handle(void *cls, struct MHD_Connection *connection, const char *url,
			    const char *method, const char *version, const char *upload_data,
			    size_t *upload_data_size, void **req_cls);
void *http_target_seen(void *cls, const char *target, struct MHD_Connection *connection);
void http_completed(void *cls, struct MHD_Connection *connection, void **req_cls,
		    enum MHD_RequestTerminationCode why);

#endif
