/* admin_private.h -- what the files of admin share.
 *
 * admin.c serves, admin_conn.c keeps connections and refuses what is malformed, admin_status.c
 * writes /status, admin_flush.c does a flush.
 *
 * Threads:  see struct admin.
 * Memory:   see admin.h.
 */
#ifndef NODE_ADMIN_PRIVATE_H
#define NODE_ADMIN_PRIVATE_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "node/admin.h"

struct admin_conn {
	/* owner only: of the request, as http_guard_begin wants it */
	struct text target;
	/* guarded */
	bool open, busy; /* busy: its answer is being made */
	int fd;
	struct mono_us since; /* its start, or when busy changed */
};

struct admin {
	/* constant after start */
	struct admin_parts parts;
	int listen_fd; /* the daemon's, once it runs */
	struct MHD_Daemon *daemon;
	struct socket_address address;
	struct wall_ms started;
	struct mono_us started_mono;
	bool hidden_lines; /* base/http_head.h: this libmicrohttpd must be watched */
	/* guarded */
	pthread_mutex_t lock;
	struct admin_conn conn[ADMIN_CONNECTIONS];
	/* atomic */
	_Atomic bool ready, stopping;
};

int admin_conns_init(struct admin *a);
void admin_conns_fini(struct admin *a);

/* libmicrohttpd's question and notifications; cls is the admin. */
enum MHD_Result admin_accept(void *cls, const struct sockaddr *peer, socklen_t len);
void admin_notify(void *cls, struct MHD_Connection *connection, void **context,
		  enum MHD_ConnectionNotificationCode what);
void *admin_target_seen(void *cls, const char *target, struct MHD_Connection *connection);

void admin_mark(struct admin *a, struct MHD_Connection *connection, bool busy);

/* Whether a request's head is whole and clear (base/http_guard.h). */
bool admin_guard(const struct admin *a, struct MHD_Connection *connection, const char *method,
		 const char *version);

/* The JSON of /status. */
void admin_status_print(const struct admin *a, FILE *out);

/* A quoted JSON string of what may hold any byte. */
void admin_print_string(FILE *out, const char *s);

/* Writes the JSON answer to a flush: HTTP status. Blocks. */
unsigned admin_flush(struct admin *a, FILE *out);

#endif
