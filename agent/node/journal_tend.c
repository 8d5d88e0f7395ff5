#include <errno.h>

#include "base/log.h"
#include "node/journal_state.h"
#include "stats/stats.h"

/* What a worker may write between two visits of the sealer without a page fault: 10,000 events. */
#define PREFAULT_AHEAD ((size_t)1 << 20)
/* The first of a new segment, until the sealer has seen the rotation. */
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
	if (err)
		return err;
	segment_prefault(s, 0, PREFAULT_SPARE);
	journal_push_spare(j, s);
	return 0;
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
		if (make_spare(j, s) < 0)
			break;
	}
}

/* Syncs and prefaults without the lock: a segment that was active is unmapped by this thread only. */
static void
tend_writer(struct journal *j, struct journal_writer *w, struct wall_ms now)
{
	struct segment *s;
	size_t used = 0;
	bool failed = false;

	pthread_mutex_lock(&w->lock);
	s = w->active;
	if (s) {
		used = s->used;
		failed = s->failed;
		stat_add(STAT_JOURNAL_BYTES, used - w->reported);
		w->reported = used;
	}
	pthread_mutex_unlock(&w->lock);
	if (!s || failed)
		return;
	if (j->sync == SYNC_INTERVAL) {
		failed = segment_sync_records(s, s->synced, used) < 0 || segment_sync_header(s) < 0;
		s->synced = used;
	} else if (j->sync == SYNC_ALWAYS) {
		failed = segment_sync_header(s) < 0;
	}
	if (failed) {
		log_error("a segment did not reach the disk; closing it, to be sealed from memory",
			  "segment=%u", s->index);
		pthread_mutex_lock(&w->lock);
		s->failed = true;
		if (w->active == s)
			(void)journal_swap(w, now, now.ms - JOURNAL_SETTLE_MS);
		pthread_mutex_unlock(&w->lock);
		return;
	}
	/* also the pages just synced: writing to a clean page would fault into the file system */
	segment_prefault(s, used, PREFAULT_AHEAD);
}

void
journal_tend(struct journal *j, struct wall_ms now)
{
	unsigned i;
	int err;

	err = journal_make_spares(j);
	if (err)
		log_warn("a free segment cannot be made ready; tried again", "error=%d", -err);
	free_history(j, now);
	for (i = 0; i < j->writers_n; i++)
		tend_writer(j, &j->writers[i], now);
	stat_set(STAT_JOURNAL_FREE, atomic_load_explicit(&j->spares_seen, memory_order_relaxed));
}
