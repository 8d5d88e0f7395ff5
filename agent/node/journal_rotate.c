#include <errno.h>

#include "base/crash_point.h"
#include "base/log.h"
#include "node/journal_state.h"
#include "stats/stats.h"

static bool
is_due(const struct journal_writer *w, struct wall_ms now)
{
	const struct segment *s = w->active;

	if (!s || s->failed || w->is_due)
		return true;
	/* the worker itself goes by its own clock; here it gets time to use an old reading */
	return now.ms - JOURNAL_SETTLE_MS >= s->head->until_ms ||
	       (now.ms < s->head->from_ms && journal_over(s, now.ms));
}

int
journal_rotate(struct journal *j, struct wall_ms now, bool force)
{
	unsigned i;
	int err = 0;

	for (i = 0; i < j->writers_n; i++) {
		struct journal_writer *w = &j->writers[i];

		pthread_mutex_lock(&w->lock);
		w->is_due = w->is_due || force;
		if (is_due(w, now) && journal_swap(w, now, now.ms - JOURNAL_SETTLE_MS) < 0)
			err = -ENOBUFS;
		pthread_mutex_unlock(&w->lock);
	}
	return err;
}

bool
journal_is_settling(const struct journal *j, struct wall_ms now)
{
	return now.ms % j->interval_ms < JOURNAL_SETTLE_MS;
}

struct segment *
journal_take_closed(struct journal *j)
{
	struct segment *oldest = NULL;
	unsigned i;

	pthread_mutex_lock(&j->lock);
	for (i = 0; i < j->slots_n; i++) {
		struct segment *s = &j->slots[i];

		if (s->state != SEGMENT_CLOSED)
			continue;
		if (!oldest || s->numbered || s->head->serial < oldest->head->serial)
			oldest = s;
		if (s->numbered)
			break;
	}
	pthread_mutex_unlock(&j->lock);
	return oldest;
}

void
journal_drop_empty(struct journal *j)
{
	unsigned i, closed = 0;

	for (i = 0; i < j->slots_n; i++)
		closed += journal_state(j, &j->slots[i]) == SEGMENT_CLOSED;
	for (i = 0; i < j->slots_n && closed > 1; i++) {
		struct segment *s = &j->slots[i];

		if (journal_state(j, s) != SEGMENT_CLOSED || s->numbered || !segment_is_empty(s))
			continue;
		(void)journal_sealed(j, s); /* it has no number: nothing to be made durable */
		closed--;
	}
}

/* The instant before which no segment without a number, but s, holds anything. */
static int64_t
complete_to(struct journal *j, const struct segment *s, struct wall_ms now)
{
	int64_t to = now.ms;
	unsigned i;

	pthread_mutex_lock(&j->lock);
	for (i = 0; i < j->slots_n; i++) {
		const struct segment *other = &j->slots[i];

		if (other != s && !other->numbered &&
		    (other->state == SEGMENT_ACTIVE || other->state == SEGMENT_CLOSED) &&
		    other->head->since_ms < to)
			to = other->head->since_ms;
	}
	pthread_mutex_unlock(&j->lock);
	return to;
}

/* Less than the last claim is news only after the clock was set back by more than an interval: the
 * old claim was about a time that had not come. */
static bool
is_news(const struct journal *j, int64_t to)
{
	return to > j->seq.claimed_ms || to < j->seq.claimed_ms - j->interval_ms;
}

bool
journal_closes_interval(struct journal *j, const struct segment *s, struct wall_ms now)
{
	int64_t to = complete_to(j, s, now);

	return is_news(j, to - to % j->interval_ms);
}

bool
segment_is_numbered(const struct segment *s)
{
	return s->numbered;
}

int
segment_number(struct journal *j, struct segment *s, struct wall_ms now, struct batch_id *ret_id)
{
	struct segment_number n = {.segment = s->head->id, .sealed_ms = now.ms};
	int64_t to;
	int err = 0;

	if (s->numbered) {
		*ret_id = s->number.id;
		return 0;
	}
	if (!s->ledger_read)
		err = segment_read_ledger(s);
	if (err)
		return err;
	/* whatever `sync` says: a number whose segment a power cut takes away would be a gap */
	if (segment_sync_records(s, s->synced, s->used) < 0 || segment_sync_header(s) < 0)
		log_error("a closed segment did not reach the disk; sealing it from memory",
			  "segment=%u", s->index);
	journal_last(j, &n.id);
	n.id.seq++;
	to = complete_to(j, s, now);
	n.closes_ms = is_news(j, to) ? to : 0;
	CRASH_POINT("number_before_seq");
	err = journal_seq_give(j->state_dir, &j->seq, &n);
	if (err)
		return err;
	CRASH_POINT("number_after_seq");
	s->number = n;
	pthread_mutex_lock(&j->lock);
	s->numbered = true;
	pthread_mutex_unlock(&j->lock);
	*ret_id = n.id;
	return 0;
}

/* Says in the header that the segment is sealed. When that does not reach the disk, the file must
 * go instead: a power cut would bring it back as one that was never numbered. */
static int
mark_sealed(struct journal *j, struct segment *s)
{
	int err;

	if (s->head->state == DISK_SEALED)
		return 0;
	CRASH_POINT("sealed_before_mark");
	s->head->seq = s->number.id.seq;
	__atomic_store_n(&s->head->state, DISK_SEALED, __ATOMIC_RELEASE);
	if (segment_sync_header(s) == 0)
		return 0;
	err = segment_remove(j->dir, s);
	if (err)
		__atomic_store_n(&s->head->state, DISK_OPEN, __ATOMIC_RELEASE);
	return err;
}

int
journal_sealed(struct journal *j, struct segment *s)
{
	int err = s->numbered ? mark_sealed(j, s) : 0;
	bool keep = s->numbered && s->records > 0 && j->history_ms > 0;

	if (err)
		return err;
	CRASH_POINT("sealed_after_mark");
	s->found = s->found && keep;
	if (s->head)
		segment_release(s);
	journal_set_state(j, s, !s->head ? SEGMENT_ABSENT : keep ? SEGMENT_HISTORY : SEGMENT_DIRTY);
	return 0;
}
