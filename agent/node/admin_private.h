/* admin_private.h -- what the files of admin share.
 *
 * admin.c serves, admin_status.c writes /status, admin_flush.c does a flush.
 *
 * Threads:  see struct admin.
 * Memory:   see admin.h.
 */
#ifndef NODE_ADMIN_PRIVATE_H
#define NODE_ADMIN_PRIVATE_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "node/admin.h"

struct admin {
	/* constant after start */
	struct admin_parts parts;
	int listen_fd; /* the daemon's, once it runs */
	struct MHD_Daemon *daemon;
	struct socket_address address;
	struct wall_ms started;
	struct mono_us started_mono;
	/* atomic */
	_Atomic bool ready, stopping;
};

/* The JSON of /status. */
void admin_status_print(const struct admin *a, FILE *out);

/* A quoted JSON string of what may hold any byte. */
void admin_print_string(FILE *out, const char *s);

/* Writes the JSON answer to a flush: HTTP status. Blocks. */
unsigned admin_flush(struct admin *a, FILE *out);

#endif
