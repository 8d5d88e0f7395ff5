#include "node/forward.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/background.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "node/forward_central.h"
#include "stats/stats.h"

#define PAUSE_FIRST_MS 250 /* doubles with every failure, up to forward.retry_max */
#define SALTS_EVERY_MS HOUR_MS
#define TEND_EVERY_MS (60 * SECOND_MS)
#define FIRST_SALTS_MS (3 * SECOND_MS)
#define TOKEN_FILE_MAX 1024

enum step { STEP_DONE, STEP_FAILED, STEP_NOTHING };
enum errand { BATCHES, SALTS, ERRANDS }; /* what the central is asked for */

struct forwarder {
	/* constant after start */
	const struct conf *c;
	struct spool *spool;
	struct visitor_salts *salts;
	pthread_t thread;
	/* owner only */
	struct central *central; /* NULL: forward.central is empty */
	unsigned failures, salt_failures;
	int64_t salts_at, tend_at; /* monotonic ms */
	/* guarded */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* monotonic clock */
	bool stopping, kicked, reload, salts_asked;
	int64_t stop_at;     /* monotonic ms: when stopping must have ended */
	uint64_t round;      /* looks into the spool, begun */
	uint64_t seen_round; /* the look that what follows came from */
	bool seen_empty;
	struct batch_id seen; /* the oldest, unless empty */
	bool is_rival;        /* by the last answer about a batch */
	bool aside_any;
	struct batch_id aside; /* of those the central called broken, the lowest seq */
	char error[ERRANDS][CENTRAL_WHY_MAX]; /* the last failure, "" after a success */
	char token_file[TOKEN_FILE_MAX];
};

static int64_t
now_ms(void)
{
	return mono_now().us / 1000;
}

static struct timespec
at_ms(int64_t ms)
{
	return (struct timespec){ms / 1000, (long)(ms % 1000) * 1000000};
}

/* Full jitter: anything between nothing and the doubled pause, so that a farm's agents do not come
 * back together. */
static int64_t
jitter(unsigned failures, int64_t max)
{
	int64_t top = failures < 16 ? (int64_t)PAUSE_FIRST_MS << failures : max;
	uint64_t r;

	hash_random(&r, sizeof(r));
	if (top > max)
		top = max;
	return (int64_t)(r % ((uint64_t)top + 1));
}

static bool
is_stopping(struct forwarder *f)
{
	bool stopping;

	pthread_mutex_lock(&f->lock);
	stopping = f->stopping;
	pthread_mutex_unlock(&f->lock);
	return stopping;
}

static bool
must_give_up(void *ctx)
{
	struct forwarder *f = ctx;
	bool over;

	pthread_mutex_lock(&f->lock);
	over = f->stopping && now_ms() >= f->stop_at;
	pthread_mutex_unlock(&f->lock);
	return over;
}

/* A request's time: what is configured, or what stopping leaves of it. */
static int64_t
request_ms(struct forwarder *f)
{
	int64_t ms = f->c->forward_timeout, left;

	pthread_mutex_lock(&f->lock);
	left = f->stopping ? f->stop_at - now_ms() : ms;
	pthread_mutex_unlock(&f->lock);
	if (left < 1)
		left = 1;
	return left < ms ? left : ms;
}

/* -- what is said of it -- */

/* Logs the first failure and every change of its reason, not each try. */
static void
failed(struct forwarder *f, enum errand errand, const char *what, const char *why)
{
	bool news;

	pthread_mutex_lock(&f->lock);
	news = strcmp(f->error[errand], why) != 0;
	snprintf(f->error[errand], sizeof(f->error[errand]), "%s", why);
	pthread_mutex_unlock(&f->lock);
	stat_add(STAT_FORWARD_ERRORS, 1);
	if (news)
		log_warn(what, "error=\"%s\" batches=%u", why, spool_count(f->spool));
}

static void
recovered(struct forwarder *f, enum errand errand, const char *what)
{
	bool news;

	pthread_mutex_lock(&f->lock);
	news = f->error[errand][0] != '\0';
	f->error[errand][0] = '\0';
	pthread_mutex_unlock(&f->lock);
	if (news)
		log_info(what, "batches=%u", spool_count(f->spool));
}

static void
token_was_denied(struct forwarder *f)
{
	pthread_mutex_lock(&f->lock);
	f->reload = true; /* somebody may have put another one into the file */
	pthread_mutex_unlock(&f->lock);
}

/* -- batches -- */

static void
saw(struct forwarder *f, uint64_t round, const struct batch_id *oldest)
{
	pthread_mutex_lock(&f->lock);
	f->seen_round = round;
	f->seen_empty = oldest == NULL;
	if (oldest)
		f->seen = *oldest;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static void
note_rival(struct forwarder *f, bool is_rival)
{
	pthread_mutex_lock(&f->lock);
	f->is_rival = is_rival;
	pthread_mutex_unlock(&f->lock);
}

static void
note_aside(struct forwarder *f, const struct batch_id *id)
{
	pthread_mutex_lock(&f->lock);
	if (!f->aside_any || memcmp(f->aside.epoch, id->epoch, sizeof(id->epoch)) != 0 ||
	    id->seq < f->aside.seq)
		f->aside = *id;
	f->aside_any = true;
	pthread_mutex_unlock(&f->lock);
}

static enum step
set_aside(struct forwarder *f, const struct batch_id *id, enum central_answer answer,
	  const char *why)
{
	int err = spool_set_aside(f->spool, id, why);

	if (err) {
		failed(f, BATCHES, "a batch that the central refused cannot be set aside",
		       strerror(-err));
		return STEP_FAILED;
	}
	note_aside(f, id);
	note_rival(f, answer == CENTRAL_CONFLICT);
	stat_add(STAT_FORWARD_REFUSED, 1);
	log_error(
	    answer == CENTRAL_CONFLICT
		? "the central has another batch under this name: is this node's name used "
		  "twice, or its state copied? the batch lies in spool/broken"
	    : answer == CENTRAL_FOREIGN
		? "a batch from before this node was renamed needs the token of that name; it "
		  "lies in spool/broken, the next go on"
		: "the central calls a batch broken; it lies in spool/broken, the next go on",
	    "node=%s seq=%llu error=\"%s\"", id->node, (unsigned long long)id->seq, why);
	return STEP_DONE;
}

static enum step
stored(struct forwarder *f, const struct batch_id *id, enum stat_id counter)
{
	int err = spool_remove(f->spool, id);

	if (err && err != -ENOENT) {
		failed(f, BATCHES,
		       "a batch that the central has cannot be removed; it is sent again",
		       strerror(-err));
		return STEP_FAILED;
	}
	stat_add(counter, 1);
	note_rival(f, false);
	recovered(f, BATCHES, "the central takes batches again");
	return STEP_DONE;
}

static enum step
send_batch(struct forwarder *f, const struct batch_id *id, const char *body, size_t len)
{
	char why[CENTRAL_WHY_MAX] = "";
	enum central_answer answer;

	CRASH_POINT("forward_before_send");
	answer =
	    central_send(f->central, body, len, spool_lowest(f->spool, id), request_ms(f), why);
	CRASH_POINT("forward_after_answer");

	if (answer == CENTRAL_FOREIGN && strcmp(id->node, f->c->node_name) == 0)
		answer = CENTRAL_DENIED; /* the token is to be put right, not the batch */
	switch (answer) {
	case CENTRAL_STORED:
		return stored(f, id, STAT_FORWARDED);
	case CENTRAL_ALREADY:
		return stored(f, id, STAT_FORWARD_ALREADY);
	case CENTRAL_BROKEN:
	case CENTRAL_CONFLICT:
	case CENTRAL_FOREIGN:
		return set_aside(f, id, answer, why);
	case CENTRAL_DENIED:
		failed(f, BATCHES,
		       "the central refuses this node's token; batches stay in the spool", why);
		token_was_denied(f);
		return STEP_FAILED;
	case CENTRAL_RETRY:
	case CENTRAL_ANSWER_N:
		break;
	}
	failed(f, BATCHES, "the central did not take a batch; batches stay in the spool", why);
	return STEP_FAILED;
}

static enum step
send_oldest(struct forwarder *f)
{
	struct batch_id id;
	uint64_t round;
	enum step step;
	char *body;
	size_t len;
	int err;

	pthread_mutex_lock(&f->lock);
	round = ++f->round;
	pthread_mutex_unlock(&f->lock);
	err = spool_oldest(f->spool, &id, &body, &len);
	if (err == 0 || err == -ENOENT)
		saw(f, round, err ? NULL : &id);
	if (err == -ENOENT)
		return STEP_NOTHING;
	if (err) {
		failed(f, BATCHES, "the spool cannot be read", strerror(-err));
		return STEP_FAILED;
	}
	step = send_batch(f, &id, body, len);
	free(body);
	return step;
}

/* -- salts -- */

static void
fetch_salts(struct forwarder *f)
{
	struct visitor_salt salts[VISITOR_SALTS_MAX];
	char why[CENTRAL_WHY_MAX] = "";
	int n = central_salts(f->central, request_ms(f), salts, why);
	int err;

	if (n < 0) {
		failed(f, SALTS, "no salts from the central; those at hand go on", why);
		if (n == -EACCES)
			token_was_denied(f);
		f->salts_at = now_ms() + jitter(++f->salt_failures, f->c->forward_retry_max);
		return;
	}
	err = visitor_salts_set(f->salts, salts, (size_t)n, wall_now().ms);
	explicit_bzero(salts, sizeof(salts));
	if (err)
		log_warn("the central's salts are not kept across a restart", "error=\"%s\"",
			 strerror(-err));
	stat_add(STAT_SALT_FETCHES, 1);
	f->salt_failures = 0;
	f->salts_at = now_ms() + SALTS_EVERY_MS;
	recovered(f, SALTS, "the central gives salts again");
}

static void
tend(struct forwarder *f)
{
	char token_file[TOKEN_FILE_MAX];
	bool reload;

	pthread_mutex_lock(&f->lock);
	reload = f->reload;
	f->reload = false;
	snprintf(token_file, sizeof(token_file), "%s", f->token_file);
	pthread_mutex_unlock(&f->lock);
	if (reload && f->central)
		central_read_token(f->central, token_file);
	if (f->central && now_ms() >= f->salts_at)
		fetch_salts(f);
	if (now_ms() >= f->tend_at) {
		visitor_salts_tend(f->salts, wall_now().ms);
		f->tend_at = now_ms() + TEND_EVERY_MS;
	}
	pthread_mutex_lock(&f->lock);
	f->salts_asked = true;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

/* -- the thread -- */

static int64_t
until_due(const struct forwarder *f)
{
	int64_t due = f->central && f->salts_at < f->tend_at ? f->salts_at : f->tend_at;
	int64_t left = due - now_ms();

	return left > 0 ? left : 0;
}

/* Ends early when somebody waits, at a reload and at a stop. */
static void
pause_for(struct forwarder *f, int64_t ms)
{
	struct timespec until = at_ms(now_ms() + ms);

	pthread_mutex_lock(&f->lock);
	while (!f->stopping && !f->kicked)
		if (pthread_cond_timedwait(&f->changed, &f->lock, &until) != 0)
			break;
	if (f->kicked)
		f->failures = 0;
	f->kicked = false;
	pthread_mutex_unlock(&f->lock);
}

/* Nothing was to be done: until there is. Without a central, batches that wait are nothing. */
static void
wait_for_work(struct forwarder *f)
{
	if (f->central)
		spool_wait(f->spool, until_due(f));
	else
		pause_for(f, until_due(f));
}

static void
last_tries(struct forwarder *f)
{
	while (f->central && !must_give_up(f) && send_oldest(f) == STEP_DONE)
		;
	if (spool_count(f->spool) > 0)
		log_info("batches stay in the spool until the next start", "batches=%u",
			 spool_count(f->spool));
}

static void *
forward_main(void *ctx)
{
	struct forwarder *f = ctx;
	enum step step;

	background_begin();
	while (!is_stopping(f)) {
		tend(f);
		step = f->central ? send_oldest(f) : STEP_NOTHING;
		if (step == STEP_FAILED)
			pause_for(f, jitter(f->failures++, f->c->forward_retry_max));
		else
			f->failures = 0;
		if (step == STEP_NOTHING && !is_stopping(f))
			wait_for_work(f);
	}
	last_tries(f);
	return NULL;
}

/* -- from other threads -- */

static void
wake(struct forwarder *f)
{
	pthread_mutex_lock(&f->lock);
	f->kicked = true;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	spool_wake(f->spool);
}

static bool
same_epoch(const struct batch_id *a, const struct batch_id *b)
{
	return memcmp(a->epoch, b->epoch, sizeof(a->epoch)) == 0;
}

/* Everything up to id was answered, as a look into the spool that began after `round` shows. */
static bool
is_answered(const struct forwarder *f, const struct batch_id *id, uint64_t round)
{
	if (f->seen_round <= round)
		return false;
	return f->seen_empty || (same_epoch(&f->seen, id) && f->seen.seq > id->seq);
}

static int
wait_locked(struct forwarder *f, const struct batch_id *id, int64_t timeout_ms, char *why,
	    size_t why_size)
{
	struct timespec until = at_ms(now_ms() + timeout_ms);
	uint64_t round = f->round;
	uint32_t broken = spool_broken(f->spool);

	while (!is_answered(f, id, round)) {
		if (pthread_cond_timedwait(&f->changed, &f->lock, &until) == 0)
			continue;
		snprintf(why, why_size, "%s",
			 f->error[BATCHES][0] ? f->error[BATCHES]
					      : "the central has not answered yet");
		return -ETIMEDOUT;
	}
	if (f->aside_any && same_epoch(&f->aside, id) && f->aside.seq <= id->seq)
		snprintf(why, why_size,
			 "the central calls batch %llu broken; it lies in spool/broken",
			 (unsigned long long)f->aside.seq);
	else if (spool_broken(f->spool) != broken)
		snprintf(why, why_size, "a batch was set aside; it lies in spool/broken");
	else
		return 0;
	return -EPROTO;
}

int
forward_wait(struct forwarder *f, const struct batch_id *id, int64_t timeout_ms, char *why,
	     size_t why_size)
{
	int err;

	if (!f->central) {
		snprintf(why, why_size, "forward.central is empty: batches stay in the spool");
		return -ENOTCONN;
	}
	wake(f);
	pthread_mutex_lock(&f->lock);
	err = wait_locked(f, id, timeout_ms, why, why_size);
	pthread_mutex_unlock(&f->lock);
	return err;
}

bool
forward_is_rival(struct forwarder *f)
{
	bool is_rival;

	pthread_mutex_lock(&f->lock);
	is_rival = f->is_rival;
	pthread_mutex_unlock(&f->lock);
	return is_rival;
}

void
forward_status(struct forwarder *f, char *ret_text, size_t size)
{
	pthread_mutex_lock(&f->lock);
	snprintf(ret_text, size, "%s",
		 f->error[BATCHES][0] ? f->error[BATCHES]
		 : f->is_rival ? "another agent sends under this node's name, or from a copy of "
				 "its state; batches are set aside in spool/broken"
			       : f->error[SALTS]);
	pthread_mutex_unlock(&f->lock);
}

void
forward_reload(struct forwarder *f, const char *token_file)
{
	pthread_mutex_lock(&f->lock);
	snprintf(f->token_file, sizeof(f->token_file), "%s", token_file);
	f->reload = true;
	pthread_mutex_unlock(&f->lock);
	wake(f);
}

/* -- life -- */

static int
init_lock(struct forwarder *f)
{
	pthread_condattr_t attr;
	int err = pthread_condattr_init(&attr);

	if (err)
		return -err;
	err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!err)
		err = pthread_cond_init(&f->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (!err)
		err = pthread_mutex_init(&f->lock, NULL);
	return -err;
}

static void
wait_for_salts(struct forwarder *f)
{
	struct timespec until = at_ms(now_ms() + FIRST_SALTS_MS);

	pthread_mutex_lock(&f->lock);
	while (!f->salts_asked)
		if (pthread_cond_timedwait(&f->changed, &f->lock, &until) != 0)
			break;
	pthread_mutex_unlock(&f->lock);
}

int
forward_start(const struct conf *c, struct spool *s, struct visitor_salts *salts,
	      struct forwarder **ret_forwarder)
{
	struct forwarder *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	f->c = c;
	f->spool = s;
	f->salts = salts;
	snprintf(f->token_file, sizeof(f->token_file), "%s", c->forward_token_file);
	err = init_lock(f);
	if (!err && c->forward_central[0] != '\0') {
		f->central = central_new(c, must_give_up, f);
		if (!f->central)
			err = -ENOMEM;
	}
	if (!err)
		err = -pthread_create(&f->thread, NULL, forward_main, f);
	if (err) {
		central_free(f->central);
		free(f);
		return err;
	}
	wait_for_salts(f);
	*ret_forwarder = f;
	return 0;
}

void
forward_stop(struct forwarder *f, int64_t drain_ms)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->stopping = true;
	f->stop_at = now_ms() + drain_ms;
	pthread_mutex_unlock(&f->lock);
	wake(f);
	pthread_join(f->thread, NULL);
	central_free(f->central);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
