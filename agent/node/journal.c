#include "node/journal_state.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crash_point.h"
#include "base/file.h"
#include "base/log.h"
#include "stats/stats.h"

/* -- a worker's part -- */

bool
journal_over(const struct segment *s, int64_t now_ms)
{
	int64_t interval_ms = s->head->until_ms - s->head->from_ms;

	/* a clock that was set back by less waits for its interval to come again */
	return now_ms >= s->head->until_ms || now_ms < s->head->from_ms - interval_ms;
}

static uint64_t *
counter(struct segment *s, enum event_source source, enum reason r)
{
	return &s->head->count[(unsigned)source * REASON_N + (unsigned)r];
}

static void
note_left(struct journal_writer *w)
{
	const struct segment *s = w->active;
	bool room = s && segment_fits(s, EVENT_PACKED_MAX);

	atomic_store_explicit(&w->left, room ? segment_left(s) : 0, memory_order_relaxed);
}

static void
add_pending(struct journal_writer *w)
{
	unsigned i, r;

	for (i = 0; i < SOURCE_N; i++)
		for (r = 0; r < REASON_N; r++)
			*counter(w->active, (enum event_source)i, (enum reason)r) +=
			    w->pending.count[i][r];
	w->active->head->udp_dropped += w->pending_dropped;
	w->pending = (struct ledger){0};
	w->pending_dropped = 0;
	w->has_pending = false;
}

int
journal_swap(struct journal_writer *w, struct wall_ms now, int64_t since_ms)
{
	struct journal *j = w->journal;
	int64_t rest = now.ms % j->interval_ms;
	int64_t from = now.ms - (rest < 0 ? rest + j->interval_ms : rest);
	struct segment *next = NULL, *old = w->active;
	size_t filled = old ? old->used : 0; /* read now: once closed, it is the sealer's */

	pthread_mutex_lock(&j->lock);
	if (j->spares > 0) {
		next = j->spare[--j->spares];
		atomic_store_explicit(&j->spares_seen, j->spares, memory_order_relaxed);
		segment_begin(next, ++j->serial, from, from + j->interval_ms, since_ms);
		next->state = SEGMENT_ACTIVE;
		if (old)
			old->state = SEGMENT_CLOSED;
	}
	pthread_mutex_unlock(&j->lock);
	if (!next)
		return -ENOBUFS;
	if (old) {
		stat_add(STAT_JOURNAL_BYTES, filled - w->reported);
		stat_add(STAT_JOURNAL_ROTATIONS, 1);
	}
	w->active = next;
	journal_bots_forget(w);
	w->reported = 0;
	w->is_due = false;
	w->touched = true;
	if (w->has_pending)
		add_pending(w);
	note_left(w);
	return 0;
}

/* The worker's own rotation: its readings of the clock never go back behind `now`. */
static int
worker_swap(struct journal_writer *w, struct wall_ms now)
{
	struct journal *j = w->journal;
	int err = journal_swap(w, now, now.ms);

	if (!err && j->wake)
		j->wake(j->wake_ctx);
	return err;
}

static int
put_durably(struct segment *s, const uint8_t *payload, size_t n)
{
	size_t at = s->used;
	int err;

	segment_put(s, payload, n);
	/* the header need not follow each record: accepted ones are counted from the records */
	err = segment_sync_records(s, at, s->used);
	if (!err && at == 0)
		err = segment_sync_header(s);
	if (err) {
		s->failed = true;
		segment_take_back(s, n);
	}
	return err ? -EIO : 0;
}

int
journal_append(struct journal_writer *w, struct wall_ms now, const struct event *e, enum reason r)
{
	size_t n = event_pack(e, w->payload, sizeof(w->payload));
	int err = 0;

	if (n == 0)
		return -EINVAL;
	pthread_mutex_lock(&w->lock);
	if (!w->active || journal_over(w->active, now.ms) || !segment_fits(w->active, n))
		err = worker_swap(w, now);
	if (!err && w->journal->sync == SYNC_ALWAYS)
		err = put_durably(w->active, w->payload, n);
	else if (!err)
		segment_put(w->active, w->payload, n);
	CRASH_POINT("journal_after_put");
	if (!err)
		++*counter(w->active, e->source, r);
	CRASH_POINT("journal_after_append");
	w->touched = true;
	note_left(w);
	pthread_mutex_unlock(&w->lock);
	return err;
}

/* The one place where something refused is counted. One store: whenever the process dies, a bot is
 * counted under its name, which the ledger includes, or not at all. */
static void
count_one(struct journal_writer *w, struct wall_ms now, enum event_source s, enum reason r,
	  struct text bot)
{
	uint64_t *of_bot = NULL;

	pthread_mutex_lock(&w->lock);
	if (!w->active || journal_over(w->active, now.ms))
		(void)worker_swap(w, now);
	w->touched = true;
	if (w->active && bot.len > 0)
		of_bot = journal_bot_counter(w, s, bot);
	if (of_bot) {
		++*of_bot;
	} else if (w->active) {
		++*counter(w->active, s, r);
	} else {
		w->pending.count[s][r]++;
		w->has_pending = true;
	}
	pthread_mutex_unlock(&w->lock);
}

void
journal_count(struct journal_writer *w, struct wall_ms now, enum event_source s, enum reason r)
{
	count_one(w, now, s, r, (struct text){NULL, 0});
}

void
journal_count_bot(struct journal_writer *w, struct wall_ms now, enum event_source s,
		  struct text name)
{
	count_one(w, now, s, REASON_BOT_USER_AGENT, name);
}

void
journal_udp_dropped(struct journal_writer *w, struct wall_ms now, uint64_t n)
{
	pthread_mutex_lock(&w->lock);
	if (!w->active || journal_over(w->active, now.ms))
		(void)worker_swap(w, now);
	w->touched = true;
	if (w->active) {
		w->active->head->udp_dropped += n;
	} else {
		w->pending_dropped += n;
		w->has_pending = true;
	}
	pthread_mutex_unlock(&w->lock);
}

bool
journal_has_room(const struct journal_writer *w)
{
	return atomic_load_explicit(&w->left, memory_order_relaxed) > 0 ||
	       atomic_load_explicit(&w->journal->spares_seen, memory_order_relaxed) > 0;
}

/* -- open and close -- */

enum segment_state
journal_state(struct journal *j, const struct segment *s)
{
	enum segment_state state;

	pthread_mutex_lock(&j->lock);
	state = s->state;
	pthread_mutex_unlock(&j->lock);
	return state;
}

void
journal_set_state(struct journal *j, struct segment *s, enum segment_state state)
{
	pthread_mutex_lock(&j->lock);
	s->state = state;
	pthread_mutex_unlock(&j->lock);
}

void
journal_push_spare(struct journal *j, struct segment *s)
{
	pthread_mutex_lock(&j->lock);
	s->state = SEGMENT_SPARE;
	j->spare[j->spares++] = s;
	atomic_store_explicit(&j->spares_seen, j->spares, memory_order_relaxed);
	pthread_mutex_unlock(&j->lock);
}

bool
journal_waits(const struct journal_writer *w)
{
	return w->journal->sync == SYNC_ALWAYS;
}

static int
set_up(struct journal *j, const struct conf *c, unsigned writers)
{
	const char *sync = c->journal_sync;

	j->sync = strcmp(sync, "always") == 0 ? SYNC_ALWAYS
		  : strcmp(sync, "off") == 0  ? SYNC_OFF
					      : SYNC_INTERVAL;
	j->interval_ms = c->batch_interval;
	j->history_ms = c->admit_retry_window > c->admit_double_click ? c->admit_retry_window
								      : c->admit_double_click;
	j->segment_bytes = ((size_t)c->journal_segment + SEGMENT_PAGE - 1) & ~(SEGMENT_PAGE - 1);
	j->writers_n = writers;
	j->segments_n = (unsigned)c->journal_segments;
	if (j->segments_n < 2 * writers) {
		log_warn("journal.segments raised to two a worker", "segments=%u", 2 * writers);
		j->segments_n = 2 * writers;
	}
	if (snprintf(j->state_dir, sizeof(j->state_dir), "%s", c->node_state_dir) >=
		(int)sizeof(j->state_dir) ||
	    snprintf(j->dir, sizeof(j->dir), "%s/journal", c->node_state_dir) >=
		(int)sizeof(j->dir) ||
	    snprintf(j->node, sizeof(j->node), "%s", c->node_name) >= (int)sizeof(j->node))
		return -ENAMETOOLONG;
	return file_make_dir(j->dir);
}

/* -1 for any other name. */
static long
index_of(const char *name)
{
	const char *digits = name + strlen("segment-");
	char *end;
	long index;

	if (strncmp(name, "segment-", strlen("segment-")) != 0)
		return -1;
	index = strtol(digits, &end, 10);
	return end - digits == 4 && !*end && index >= 0 ? index : -1;
}

/* One more than the highest index of a segment file: an earlier configuration may have had more. */
static int
count_slots(struct journal *j)
{
	DIR *dir = opendir(j->dir);
	struct dirent *d;

	if (!dir)
		return -errno;
	j->slots_n = j->segments_n;
	while ((d = readdir(dir))) {
		long index = index_of(d->d_name);

		if (index >= (long)j->slots_n)
			j->slots_n = (unsigned)index + 1;
	}
	closedir(dir);
	return 0;
}

static int
allocate(struct journal *j)
{
	unsigned i;

	j->slots = calloc(j->slots_n, sizeof(*j->slots));
	j->spare = calloc(j->slots_n, sizeof(struct segment *));
	j->writers = aligned_alloc(64, j->writers_n * sizeof(*j->writers));
	if (!j->slots || !j->spare || !j->writers)
		return -ENOMEM;
	memset(j->writers, 0, j->writers_n * sizeof(*j->writers));
	for (i = 0; i < j->slots_n; i++)
		j->slots[i].index = i;
	for (i = 0; i < j->writers_n; i++) {
		pthread_mutex_init(&j->writers[i].lock, NULL);
		j->writers[i].journal = j;
	}
	return 0;
}

static int
load(struct journal *j, struct segment *s, struct journal_found *found)
{
	int err = segment_map(j->dir, s);

	s->state = SEGMENT_ABSENT;
	if (err == -ENOENT || err == -ENODATA)
		return 0;
	err = err ? err : segment_load(s);
	if (err == -EBADMSG) {
		log_error("segment has no readable header; set aside, its events are not counted",
			  "segment=%u", s->index);
		found->broken++;
		s->state = SEGMENT_ABSENT;
		return segment_set_aside(j->dir, s);
	}
	if (err == -EPROTONOSUPPORT)
		log_error("segment of a later version; start that one to have it sealed",
			  "segment=%u", s->index);
	if (err)
		return err;
	if (s->found && s->head->serial > j->serial)
		j->serial = s->head->serial;
	if (s->state == SEGMENT_CLOSED && segment_is_empty(s)) {
		s->state = SEGMENT_DIRTY;
		s->found = false;
	}
	return 0;
}

static void
note_found(struct journal *j, struct segment *s, struct journal_found *found)
{
	if (!s->found)
		return;
	found->records += s->records;
	if (s->state == SEGMENT_HISTORY) {
		found->history++;
	} else {
		found->unsealed++;
		found->torn += s->lost > 0;
		found->lost += s->lost;
	}
	/* the number that was under way: the batch is made again under it */
	if (s->state == SEGMENT_CLOSED && j->seq.given.id.seq > 0 &&
	    j->seq.given.segment == s->head->id) {
		s->number = j->seq.given;
		s->numbered = true;
	}
	if (memcmp(s->head->epoch, j->seq.epoch, 16) == 0 && s->head->seq > j->seq.last)
		j->seq.last = s->head->seq;
}

static int
load_all(struct journal *j, struct journal_found *found)
{
	unsigned i;
	int err = 0;

	for (i = 0; !err && i < j->slots_n; i++) {
		err = load(j, &j->slots[i], found);
		if (!err)
			note_found(j, &j->slots[i], found);
	}
	if (found->torn > 0) {
		stat_add(STAT_JOURNAL_TORN, found->torn);
		log_warn("journal was torn; its books say how many records are lost",
			 "segments=%u records=%llu", found->torn, (unsigned long long)found->lost);
	}
	return err;
}

int
journal_open(const struct conf *c, const struct spool *spool, unsigned writers, struct wall_ms now,
	     struct journal **ret_journal, struct journal_found *ret_found)
{
	struct journal *j = calloc(1, sizeof(*j));
	struct journal_found found = {0};
	uint64_t last;
	unsigned i;
	int err;

	if (!j)
		return -ENOMEM;
	pthread_mutex_init(&j->lock, NULL);
	err = set_up(j, c, writers);
	if (!err)
		err = journal_seq_open(j->state_dir, j->node, &j->seq);
	if (!err)
		err = count_slots(j);
	if (!err)
		err = allocate(j);
	if (!err)
		err = load_all(j, &found);
	last = !err && spool ? spool_last_seq(spool, j->seq.epoch) : 0;
	if (last > j->seq.last)
		j->seq.last = last;
	if (!err)
		err = journal_make_spares(j);
	if (err) {
		journal_close(j);
		return err;
	}
	journal_warm_spares(j);
	/* a writer that finds none opens one as soon as the sealer has freed it, and sheds
	 * till then */
	for (i = 0; i < writers; i++)
		(void)journal_swap(&j->writers[i], now, now.ms);
	*ret_journal = j;
	*ret_found = found;
	return 0;
}

void
journal_close(struct journal *j)
{
	unsigned i;

	if (!j)
		return;
	for (i = 0; j->slots && i < j->slots_n; i++)
		segment_unmap(&j->slots[i]);
	for (i = 0; j->writers && i < j->writers_n; i++)
		pthread_mutex_destroy(&j->writers[i].lock);
	pthread_mutex_destroy(&j->lock);
	free(j->writers);
	free(j->spare);
	free(j->slots);
	free(j);
}

struct journal_writer *
journal_writer(struct journal *j, unsigned i)
{
	return i < j->writers_n ? &j->writers[i] : NULL;
}

void
journal_last(const struct journal *j, struct batch_id *ret_id)
{
	struct batch_id id = {.seq = j->seq.last};

	memcpy(id.node, j->node, sizeof(id.node));
	memcpy(id.epoch, j->seq.epoch, sizeof(id.epoch));
	*ret_id = id;
}

void
journal_on_closed(struct journal *j, void (*wake)(void *ctx), void *ctx)
{
	j->wake = wake;
	j->wake_ctx = ctx;
}
