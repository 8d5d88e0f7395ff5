#include <errno.h>

#include "base/crash_point.h"
#include "base/log.h"
#include "node/journal_state.h"
#include "stats/stats.h"

/* What a worker may write between two visits of the sealer without a page fault: twice what
 * it wrote between the last two, and 2,500 events. Pages made present are written back, so
 * not more. */
#define PREFAULT_AHEAD(written) (2 * (written) + ((size_t)256 << 10))
/* The first of a new segment, until the sealer has seen the rotation; and all of it while nothing
 * was ever written, so that an idle agent is small. */
#define PREFAULT_SPARE ((size_t)64 << 10)

static int
make_spare(struct journal *j, struct segment *s)
{
	int err = 0;

	if (s->index >= j->segments_n) {
		err = segment_remove(j->dir, s);
		if (!err)
			journal_set_state(j, s, SEGMENT_SURPLUS);
		return err;
	}
	if (s->size != j->segment_bytes)
		err = segment_create(j->dir, s, j->segment_bytes);
	if (!err)
		err = segment_prepare(s, j->seq.epoch);
	CRASH_POINT("recycle_after_prepare");
	if (err)
		return err;
	segment_release(s);
	s->warm = false;
	journal_push_spare(j, s);
	return 0;
}

void
journal_warm_spares(struct journal *j)
{
	struct segment *s;
	unsigned i;

	for (i = 1; i <= j->writers_n; i++) {
		pthread_mutex_lock(&j->lock);
		s = j->spares >= i ? j->spare[j->spares - i] : NULL;
		pthread_mutex_unlock(&j->lock);
		if (!s || s->warm)
			continue;
		segment_prefault(s, 0, 0, PREFAULT_SPARE); /* harmless if it was taken meanwhile */
		s->warm = true;
	}
}

int
journal_make_spares(struct journal *j)
{
	unsigned i;
	int err, first = 0;

	for (i = 0; i < j->slots_n; i++) {
		enum segment_state state = journal_state(j, &j->slots[i]);

		if (state != SEGMENT_ABSENT && state != SEGMENT_DIRTY)
			continue;
		err = make_spare(j, &j->slots[i]);
		first = first ? first : err;
	}
	stat_set(STAT_JOURNAL_FREE, atomic_load_explicit(&j->spares_seen, memory_order_relaxed));
	return first;
}

static struct segment *
oldest_history(struct journal *j)
{
	struct segment *oldest = NULL;
	unsigned i;

	for (i = 0; i < j->slots_n; i++) {
		struct segment *s = &j->slots[i];

		if (journal_state(j, s) == SEGMENT_HISTORY &&
		    (!oldest || s->head->serial < oldest->head->serial))
			oldest = s;
	}
	return oldest;
}

static void
free_history(struct journal *j, struct wall_ms now)
{
	struct segment *s;

	while ((s = oldest_history(j)) && (s->head->until_ms + j->history_ms <= now.ms ||
					   atomic_load(&j->spares_seen) < j->writers_n)) {
		s->found = false;
		journal_set_state(j, s, SEGMENT_DIRTY);
		CRASH_POINT("recycle_before_prepare");
		if (make_spare(j, s) < 0)
			break;
	}
}

struct visit {
	struct segment *active;
	size_t bots, used, written; /* written: since the last visit */
};

/* What the worker did since the last visit; active is NULL when it did nothing, so that an idle
 * node leaves its disk in peace. */
static struct visit
visit(struct journal_writer *w)
{
	struct visit v = {0};

	pthread_mutex_lock(&w->lock);
	if (w->active && !w->active->failed && w->touched) {
		v.active = w->active;
		v.bots = w->active->bots;
		v.used = w->active->used;
		v.written = v.used - w->reported;
		w->reported = v.used;
		w->touched = false;
	}
	pthread_mutex_unlock(&w->lock);
	stat_add(STAT_JOURNAL_BYTES, v.written);
	return v;
}

static int
sync_active(const struct journal *j, struct segment *s, size_t used)
{
	int err = 0;

	if (j->sync == SYNC_INTERVAL) {
		err = segment_sync_records(s, s->synced, used);
		s->synced = used;
	}
	return !err && j->sync != SYNC_OFF ? segment_sync_header(s) : err;
}

static void
give_up(struct journal_writer *w, struct segment *s, struct wall_ms now)
{
	log_error("a segment did not reach the disk; closing it, to be sealed from memory",
		  "segment=%u", s->index);
	pthread_mutex_lock(&w->lock);
	s->failed = true;
	if (w->active == s)
		(void)journal_swap(w, now, now.ms - JOURNAL_SETTLE_MS);
	pthread_mutex_unlock(&w->lock);
}

/* Syncs and prefaults without the lock: a segment that was active is unmapped by this
 * thread only. */
static void
tend_writer(struct journal *j, struct journal_writer *w, struct wall_ms now)
{
	struct visit v = visit(w);
	size_t ahead;

	if (!v.active)
		return;
	j->wrote |= v.written > 0;
	ahead = j->wrote ? PREFAULT_AHEAD(v.written) : PREFAULT_SPARE;
	if (sync_active(j, v.active, v.used) < 0)
		give_up(w, v.active, now);
	else /* also the pages just synced: a store into a clean page faults into the file system */
		segment_prefault(v.active, v.bots, v.used, ahead);
}

void
journal_tend(struct journal *j, struct wall_ms now)
{
	unsigned i;
	int err = journal_make_spares(j);

	if (err && err != j->spare_err)
		log_warn("a free segment cannot be made ready; tried again", "error=%d", -err);
	j->spare_err = err;
	free_history(j, now);
	for (i = 0; i < j->writers_n; i++)
		tend_writer(j, &j->writers[i], now);
	if (j->wrote)
		journal_warm_spares(j);
	stat_set(STAT_JOURNAL_FREE, atomic_load_explicit(&j->spares_seen, memory_order_relaxed));
}
