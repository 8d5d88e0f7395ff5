/* journal.h -- what this node has accepted and not yet sealed.
 *
 * Takes verdicts and accepted events from admit; hands closed segments to seal. Segments are
 * preallocated files in state_dir/journal, mapped shared, so that an append is a memory copy and no
 * system call. A segment's header page holds the ledger of everything that was judged while it was
 * open, so that the books survive a crash like the events do. journal_segment.h begins with the
 * byte table, journal_seq.h with the rule by which numbers have no gaps and are never used twice.
 *
 * A segment is free → spare (header ready) → active (one per writer) → closed → numbered (its batch
 * has a seq) → sealed (its batch is durable in the spool) → history (kept for the retry window, so
 * that the duplicate tables can be rebuilt) → free.
 *
 * Threads:  journal_append, _count and _udp_dropped by the writer's worker; all under "the sealer" by
 *           the sealer alone. A writer's lock is held for a memory copy or a pointer swap; with
 *           sync = always also for an msync.
 * Memory:   journal.segments mapped segments of journal.segment bytes, never more (but at least two
 *           a writer). Resident is what was written and not sealed, and what is prefaulted ahead.
 * Durable:  an appended record survives the process at once; a power cut costs what `sync` allows:
 *           always: nothing, at the price of an msync by the worker for every accepted event;
 *           interval: at most sync_interval; off: what the kernel had not written. A segment is
 *           synced in any case before its batch gets a number.
 *           Counts of refused events are as durable as the header page that holds them: with
 *           sync = always they may be behind by sync_interval, since nobody was told of them.
 * Errors:   a failed msync is counted and never tried again as if it had worked: the segment gets no
 *           further record, is closed and sealed from memory at once, and the spool's own fsync
 *           decides. With sync = always the event that met the failure is refused.
 */
#ifndef NODE_JOURNAL_H
#define NODE_JOURNAL_H

#include "base/clock.h"
#include "conf/conf.h"
#include "node/spool.h"
#include "proto/batch.h"
#include "proto/event.h"

/* A worker may act on a reading of the clock that is this old. The sealer closes an interval so
 * much after its end, and says "complete" only up to so much before a rotation in its middle. */
#define JOURNAL_SETTLE_MS 100

/* Bots that a segment counts by name. An hour of a large site meets some hundred, of 1,500 that
 * have a name; whoever comes later is counted without one. */
#define SEGMENT_BOTS 204u

struct journal;
struct journal_writer; /* one per worker */
struct segment;

struct journal_found { /* what opening found on the disk */
	uint32_t unsealed, history, torn;
	uint32_t broken;  /* segments whose header was unreadable: set aside as *.broken */
	uint64_t records; /* readable ones, of unsealed segments and history */
	uint64_t lost;    /* records that unsealed segments had counted and that are not readable */
};

/* Opens or creates the directory with `writers` writers, each with an active segment for the
 * interval of `now`. Segments of an earlier run stay as they are: unsealed ones are handed out by
 * take_closed first, and none of them is appended to again. `spool` (may be NULL) tells the highest
 * seq that it holds. 0 or -errno: -ENOSPC when segments cannot be allocated, -EPROTONOSUPPORT when
 * a later version left counts that this one has no name for (logged by name). */
int journal_open(const struct conf *c, const struct spool *spool, unsigned writers,
		 struct wall_ms now, struct journal **ret_journal, struct journal_found *ret_found);
void journal_close(struct journal *j);
struct journal_writer *journal_writer(struct journal *j, unsigned i);

/* The epoch of the state directory, and the last seq given in it (0: none). The sealer's view. */
void journal_last(const struct journal *j, struct batch_id *ret_id);

/* Calls `each` for every valid record found at open, sealed or not, oldest segment first: for
 * rebuilding the duplicate tables, before the workers and the sealer start. */
void journal_replay(struct journal *j, void (*each)(void *ctx, const struct event *e), void *ctx);

/* Records an accepted event and its verdict. 0; -ENOBUFS when no segment is free, -EIO when it
 * could not be made durable (sync = always), -EINVAL when a field exceeds its limit: then
 * nothing is recorded and nothing counted. Rotates by itself when the segment is full or its
 * interval over. */
int journal_append(struct journal_writer *w, struct wall_ms now, const struct event *e,
		   enum reason r);

/* Counts a verdict other than accepted. Never fails: with no free segment at the end of an interval
 * the old segment goes on counting (its hour), with none at all memory does until there is one. */
void journal_count(struct journal_writer *w, struct wall_ms now, enum event_source s,
		   enum reason r);

/* The same for REASON_BOT_USER_AGENT, under the bot's name: 1 to BATCH_BOT_NAME_MAX bytes, UTF-8
 * without control characters. An absent or other name, and one that is new where the segment has no
 * place left, is counted all the same, without a name. */
void journal_count_bot(struct journal_writer *w, struct wall_ms now, enum event_source s,
		       struct text name);

/* Adds n datagrams that the kernel dropped before this worker could read them. */
void journal_udp_dropped(struct journal_writer *w, struct wall_ms now, uint64_t n);

/* True while an event would find room: in the active segment or in a free one. Admission sheds by
 * it before it decides; relaxed, so that append may still say -ENOBUFS. */
bool journal_has_room(const struct journal_writer *w);

/* True when each append waits for the disk (sync = always): what the caller then holds of the clock
 * is too old for the next one. */
bool journal_waits(const struct journal_writer *w);

/* -- the sealer -- */

/* `wake` is called, by whichever thread rotates, each time a segment is closed by a worker. Set it
 * while no worker runs. */
void journal_on_closed(struct journal *j, void (*wake)(void *ctx), void *ctx);

/* Closes every writer's segment whose interval was over JOURNAL_SETTLE_MS before `now`; all of them
 * with force. 0, or -ENOBUFS when a segment stays open for want of a free one; the next call,
 * forced or not, closes that one. */
int journal_rotate(struct journal *j, struct wall_ms now, bool force);

/* True in the first JOURNAL_SETTLE_MS of an interval: busy workers have closed their segments, idle
 * ones not yet, and what is sealed now could not say that the interval is complete. */
bool journal_is_settling(const struct journal *j, struct wall_ms now);

/* The closed segment to be sealed next, or NULL: one that has its number already, else the oldest.
 * The same one until journal_sealed. */
struct segment *journal_take_closed(struct journal *j);

/* Frees closed segments in which nothing was judged, so that the last one with content is the last;
 * when none has content, one of them stays, for the sealer to decide. */
void journal_drop_empty(struct journal *j);

/* True when a batch of s, given the next number, would be the first to say that an interval is
 * complete: no other segment without a number holds anything that arrived before its end. */
bool journal_closes_interval(struct journal *j, const struct segment *s, struct wall_ms now);

/* The identity of the batch that the segment becomes; given now, and made durable together with
 * sealed_ms = now and closes_ms, if it had none. closes_ms is the instant before which no other
 * segment without a number holds anything, at most `now`; 0 when an earlier batch said as much.
 * 0 or -errno (no number given). */
int segment_number(struct journal *j, struct segment *s, struct wall_ms now,
		   struct batch_id *ret_id);

/* A walk over the valid records, begun as {0}: where it is, and what it met. */
struct segment_walk {
	size_t at;
	size_t payload; /* bytes */
	uint32_t events;
	uint64_t accepted[SOURCE_N][2]; /* of these: first, repeat */
};

/* False at the end. Texts point into the segment. */
bool segment_next(const struct segment *s, struct segment_walk *w, struct event *ret_event);

/* Meta of a numbered segment's batch, of which `w` has come to the end. The same whenever it is
 * asked, also after a restart. */
void segment_meta(const struct segment *s, const struct segment_walk *w,
		  struct batch_meta *ret_meta);

bool segment_is_numbered(const struct segment *s);

/* True when nothing was judged, dropped or lost while it was open: it needs no batch of its own. */
bool segment_is_empty(const struct segment *s);

/* At least as many as a walk will meet; a torn segment's are known when it is found. */
uint32_t segment_records(const struct segment *s);
size_t segment_bytes(const struct segment *s); /* of their payloads */

/* Bots by name, of a numbered segment: their number, ascending, with counts that the ledger
 * includes. Names point into the segment. */
size_t segment_bots(const struct segment *s, struct batch_bot ret_bot[SEGMENT_BOTS]);

/* The segment's batch is durable in the spool (or it was empty): into history, or free. -errno when
 * that could not be made durable: the caller must come again before it numbers another one. */
int journal_sealed(struct journal *j, struct segment *s);

/* Frees history older than the retry window, or more of it when free segments run short; makes free
 * segments ready; msyncs active ones when `sync` says so; prefaults what workers write next. Called
 * by the sealer every sync_interval and after each round. */
void journal_tend(struct journal *j, struct wall_ms now);

#endif
