#include "node/seal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/background.h"
#include "base/log.h"

#define RETRY_MS 1000

struct sealer {
	/* constant after start */
	struct journal *journal;
	struct spool *spool;
	int64_t interval_ms, tend_ms;
	pthread_t thread;
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t wake; /* of the thread */
	pthread_cond_t done; /* of those who flush */
	bool woken, stopping;
	uint64_t asked, answered; /* flushes */
	int err;                  /* of the last round */
	struct batch_id last;
};

static struct timespec
deadline(int64_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* By the wall clock to a moment behind the end of the interval, but at most as long as the journal
 * may go untended: so a clock that steps is noticed. */
static int64_t
pause_ms(const struct sealer *k)
{
	int64_t rest = wall_now().ms % k->interval_ms;
	int64_t end = JOURNAL_SETTLE_MS - rest + (rest < JOURNAL_SETTLE_MS ? 0 : k->interval_ms);

	return end < k->tend_ms ? end : k->tend_ms;
}

static void
wait_for_work(struct sealer *k)
{
	struct timespec until = deadline(k->err ? RETRY_MS : pause_ms(k));
	int err = 0;

	/* after a failure nothing but the stop shortens the pause */
	while (!err && !k->stopping && (k->err || (!k->woken && k->asked == k->answered)))
		err = pthread_cond_timedwait(&k->wake, &k->lock, &until);
	k->woken = false;
}

static void
note_result(struct sealer *k, uint64_t ticket, int err)
{
	if (err && err != k->err)
		log_warn(err == -EDQUOT ? "spool is full; closed segments wait in the journal"
					: "a batch cannot be written; tried again every second",
			 "error=%d", -err);
	else if (!err && k->err)
		log_info("batches are written again", "batch=%llu",
			 (unsigned long long)k->last.seq);
	k->err = err;
	if (!err)
		k->answered = ticket;
	journal_last(k->journal, &k->last);
	pthread_cond_broadcast(&k->done);
}

static void
turn(struct sealer *k, enum seal_why why)
{
	uint64_t ticket = k->asked;
	int err;

	pthread_mutex_unlock(&k->lock);
	err = seal_round(k->journal, k->spool, wall_now(), why);
	pthread_mutex_lock(&k->lock);
	note_result(k, ticket, err);
}

static void *
run(void *arg)
{
	struct sealer *k = arg;

	background_begin();
	pthread_mutex_lock(&k->lock);
	while (!k->stopping) {
		turn(k, k->asked != k->answered ? SEAL_FLUSH : SEAL_TIME);
		wait_for_work(k);
	}
	turn(k, SEAL_STOP);
	if (k->err)
		log_warn(
		    "not everything could be sealed; it stays in the journal for the next start",
		    "error=%d", -k->err);
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

static void
wake(void *ctx)
{
	struct sealer *k = ctx;

	pthread_mutex_lock(&k->lock);
	k->woken = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
}

static void
sealer_free(struct sealer *k)
{
	pthread_cond_destroy(&k->wake);
	pthread_cond_destroy(&k->done);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

int
seal_start(const struct conf *c, struct journal *j, struct spool *s, struct sealer **ret_sealer)
{
	struct sealer *k = calloc(1, sizeof(*k));
	pthread_condattr_t monotonic;
	int err;

	if (!k)
		return -ENOMEM;
	k->journal = j;
	k->spool = s;
	k->interval_ms = c->batch_interval;
	k->tend_ms = c->journal_sync_interval;
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&k->wake, &monotonic);
	pthread_cond_init(&k->done, &monotonic);
	pthread_condattr_destroy(&monotonic);
	journal_on_closed(j, wake, k);
	err = -pthread_create(&k->thread, NULL, run, k);
	if (err) {
		journal_on_closed(j, NULL, NULL);
		sealer_free(k);
		return err;
	}
	*ret_sealer = k;
	return 0;
}

int
seal_flush(struct sealer *k, int64_t timeout_ms, struct batch_id *ret_last)
{
	struct timespec until = deadline(timeout_ms);
	uint64_t ticket;
	int err = 0;

	pthread_mutex_lock(&k->lock);
	ticket = ++k->asked;
	pthread_cond_signal(&k->wake);
	while (!err && k->answered < ticket)
		err = pthread_cond_timedwait(&k->done, &k->lock, &until);
	if (k->answered >= ticket) {
		err = 0;
		*ret_last = k->last;
	} else {
		err = k->err ? k->err : -ETIMEDOUT;
	}
	pthread_mutex_unlock(&k->lock);
	return err;
}

void
seal_stop(struct sealer *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&k->lock);
	k->stopping = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	journal_on_closed(k->journal, NULL, NULL);
	sealer_free(k);
}
