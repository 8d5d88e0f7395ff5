/* auth_session.h -- who is logged in: a bounded table of sessions.
 *
 * A session is named by a random token that only the browser keeps; the table has its hash. It
 * belongs to an account as it was at login: a new password or a removed account ends it.
 *
 * Threads:  guarded by its owner (auth.c).
 * Memory:   fixed: SESSIONS_MAX; a further login ends the session that would end first.
 */
#ifndef CENTRAL_AUTH_SESSION_H
#define CENTRAL_AUTH_SESSION_H

#include "base/clock.h"
#include "central/auth_file.h"

#define SESSIONS_MAX 1024

struct session {
	uint8_t hash[32];     /* BLAKE2b of the session's token */
	struct mono_us until; /* 0: free */
	enum access_kind kind;
	char name[EVENT_NAME_MAX + 1];
	char secret[ACCESS_SECRET_MAX]; /* of the account at login */
};

struct sessions {
	struct session slot[SESSIONS_MAX];
};

/* Opens one for the account; its token goes to the browser and nowhere else. */
void sessions_open(struct sessions *s, const struct access_entry *account, struct mono_us now,
		   int64_t lifetime_ms, char ret_token[ACCESS_TOKEN_TEXT]);

/* NULL when there is none, or its time is over. */
struct session *sessions_find(struct sessions *s, struct text token, struct mono_us now);

void sessions_end(struct session *one);

size_t sessions_count(const struct sessions *s, struct mono_us now);

#endif
