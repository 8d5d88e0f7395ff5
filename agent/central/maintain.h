/* maintain.h -- work on the store that takes long, beside the running central: backup and retain.
 *
 * The command line asks for a job over the API with the process's own token (local.token), and asks
 * again how far it is. One job at a time, in a thread of its own, so that no thread that answers
 * requests is kept from its connections.
 *
 * Threads:  any; guarded inside.
 * Errors:   of a job, in its state and in the log.
 */
#ifndef CENTRAL_MAINTAIN_H
#define CENTRAL_MAINTAIN_H

#include "central/store_care.h"

struct maintain;

int maintain_new(const struct conf *c, struct store *s, struct maintain **ret_maintain);
/* Stops a job that runs. */
void maintain_free(struct maintain *m);

enum maintain_job { MAINTAIN_NONE, MAINTAIN_BACKUP, MAINTAIN_RETAIN };

/* dir: absolute and there, for a backup. 0, -EBUSY while one runs, -EINVAL, or -errno: -ENOENT or
 * -EACCES for a dir that this process does not see. */
int maintain_start(struct maintain *m, enum maintain_job job, const char *dir);

struct maintain_state {
	enum maintain_job job; /* the latest; NONE: none since start */
	bool running;
	int result; /* of one that ended: 0 or -errno */
	uint64_t done, total;
	struct store_retained retained; /* of MAINTAIN_RETAIN */
};
void maintain_state(struct maintain *m, struct maintain_state *ret_state);

/* What configured times mean now. */
int maintain_retain(const struct conf *c, struct store *s, const struct store_progress *progress,
		    struct store_retained *ret_retained);

#endif
