#include "central/maintain.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

struct maintain {
	/* constant after start */
	const struct conf *conf;
	struct store *store;

	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_t thread;
	bool started; /* there is a thread to join */
	struct maintain_state state;
	char dir[PATH_MAX]; /* of the job that runs */

	atomic_bool stop;
};

static const char *const job_names[] = {"none", "backup", "retain"};

int
maintain_retain(const struct conf *c, struct store *s, const struct store_progress *progress,
		struct store_retained *ret_retained)
{
	int64_t now_ms = wall_now().ms;
	int64_t batches_ms = now_ms - c->central_retain_batches;
	int64_t hours_ms = now_ms - c->central_retain_hours;

	/* 0 s keeps for ever */
	return store_retain(s, c->central_retain_batches > 0 && batches_ms > 0 ? batches_ms : 0,
			    c->central_retain_hours > 0 && hours_ms > 0 ? hours_ms : 0, progress,
			    ret_retained);
}

int
maintain_new(const struct conf *c, struct store *s, struct maintain **ret_maintain)
{
	struct maintain *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->conf = c;
	m->store = s;
	pthread_mutex_init(&m->lock, NULL);
	*ret_maintain = m;
	return 0;
}

static int
tell(void *ctx, uint64_t done, uint64_t total)
{
	struct maintain *m = ctx;

	pthread_mutex_lock(&m->lock);
	m->state.done = done;
	m->state.total = total;
	pthread_mutex_unlock(&m->lock);
	return atomic_load(&m->stop);
}

static void *
work(void *ctx)
{
	struct maintain *m = ctx;
	const struct store_progress progress = {tell, m};
	struct store_retained retained = {0, 0, 0, 0};
	enum maintain_job job = m->state.job; /* neither changes while it runs */
	int err;

	if (job == MAINTAIN_BACKUP)
		err = store_backup(m->store, m->dir, &progress);
	else
		err = maintain_retain(m->conf, m->store, &progress, &retained);
	if (err)
		log_error("maintenance failed", "job=%s error=\"%s\"", job_names[job],
			  strerror(-err));
	else
		log_info("maintenance done", "job=%s", job_names[job]);
	pthread_mutex_lock(&m->lock);
	m->state.running = false;
	m->state.result = err;
	m->state.retained = retained;
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

/* Caller has the lock, and no job runs. */
static int
start(struct maintain *m, enum maintain_job job, const char *dir)
{
	int rc;

	if (m->started)
		pthread_join(m->thread, NULL); /* it has ended */
	m->started = false;
	m->state = (struct maintain_state){.job = job, .running = true};
	snprintf(m->dir, sizeof(m->dir), "%s", dir ? dir : "");
	rc = pthread_create(&m->thread, NULL, work, m);
	m->started = rc == 0;
	m->state.running = rc == 0;
	m->state.result = -rc;
	return -rc;
}

int
maintain_start(struct maintain *m, enum maintain_job job, const char *dir)
{
	int err;

	if (job == MAINTAIN_BACKUP && (!dir || dir[0] != '/' || strlen(dir) >= sizeof(m->dir)))
		return -EINVAL;
	/* made here it would be one that only this process may see (PrivateTmp= of its unit) */
	if (job == MAINTAIN_BACKUP && access(dir, F_OK) < 0)
		return -errno;
	pthread_mutex_lock(&m->lock);
	err = m->state.running ? -EBUSY : start(m, job, dir);
	pthread_mutex_unlock(&m->lock);
	return err;
}

void
maintain_state(struct maintain *m, struct maintain_state *ret_state)
{
	pthread_mutex_lock(&m->lock);
	*ret_state = m->state;
	pthread_mutex_unlock(&m->lock);
}

void
maintain_free(struct maintain *m)
{
	if (!m)
		return;
	atomic_store(&m->stop, true);
	if (m->started)
		pthread_join(m->thread, NULL);
	pthread_mutex_destroy(&m->lock);
	free(m);
}
