/* auth.h -- who is asking: nodes by token, readers by API token or session, people by password.
 *
 * Accounts stand in data_dir/access (auth_file.h) and are read again when that file changes: looked
 * at once a second at most, and whenever somebody was not recognised. One read token more belongs
 * to the running process alone: data_dir/local.token (0600), for the command line.
 *
 * Threads:  any; guarded inside. Logging in with a password takes 0.1 s and 64 MiB; at most
 *           AUTH_HASHING_MAX run at once, further ones are told to come again.
 * Memory:   bounded by ACCESS_MAX, SESSIONS_MAX and THROTTLE_ENTRIES.
 * Errors:   when the file cannot be read any more, the accounts stay as they were, and it is logged.
 */
#ifndef CENTRAL_AUTH_H
#define CENTRAL_AUTH_H

#include <sys/socket.h>

#include "base/clock.h"
#include "central/auth_file.h"

#define AUTH_HASHING_MAX 2 /* 128 MiB in all */
#define AUTH_NAME_MAX (EVENT_NAME_MAX + 1)

struct auth;

int auth_open(const char *data_dir, int64_t session_ms, struct auth **ret_auth);
void auth_close(struct auth *a);

/* Makes the process's own read token and writes it to data_dir/local.token. */
int auth_make_local_token(struct auth *a);
void auth_remove_local_token(struct auth *a);

/* The node, or the reader, that this token belongs to. */
bool auth_node(struct auth *a, struct text token, char ret_name[AUTH_NAME_MAX]);
bool auth_reader(struct auth *a, struct text token, char ret_name[AUTH_NAME_MAX]);

enum auth_login {
	AUTH_OK,
	AUTH_WRONG,
	AUTH_WAIT, /* too many failed, or too many at once: *ret_wait_s */
};

/* This is the process's own token. */
bool auth_is_local(struct auth *a, struct text token);

/* Password (user present) or API token (user absent). ret_cookie: the session's token. */
enum auth_login auth_login(struct auth *a, const struct sockaddr *peer, struct mono_us now,
			   struct text user, struct text secret, char ret_cookie[ACCESS_TOKEN_TEXT],
			   unsigned *ret_wait_s);

bool auth_session(struct auth *a, struct text cookie, struct mono_us now,
		  char ret_name[AUTH_NAME_MAX]);
void auth_logout(struct auth *a, struct text cookie, struct mono_us now);
size_t auth_sessions(struct auth *a, struct mono_us now);

struct auth_node {
	char name[AUTH_NAME_MAX];
	int64_t created_ms;
};

/* All nodes that were added, in that order; the caller frees them. Number, or -ENOMEM. */
int auth_nodes(struct auth *a, struct auth_node **ret_nodes);

#endif
