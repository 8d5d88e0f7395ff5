/* journal.h -- what this node has accepted and not yet sealed.
 *
 * Takes verdicts and accepted events from admit; hands closed segments to seal. Segments are
 * preallocated files in state_dir/journal, mapped shared, so that an append is a memory copy and no
 * system call. A segment's header page holds the ledger of everything that was judged while it was
 * open, so that the books survive a crash like the events do. journal.c begins with the byte table.
 *
 * A segment is free → active (one per writer) → closed → numbered (its batch's seq is in the header)
 * → sealed (its batch is durable in the spool) → history (kept for the retry window, so that the
 * duplicate tables can be rebuilt) → free.
 *
 * Threads:  journal_append and journal_count by the writer's worker; rotate, take_closed, number,
 *           sealed and sync by the sealer. A writer's lock is held for a memory copy or a pointer swap.
 * Memory:   journal.segments mapped segments of journal.segment bytes, never more.
 * Durable:  an appended record survives the process at once; a power cut costs what `sync` allows:
 *           always: nothing; interval: at most sync_interval; off: what the kernel had not written.
 */
#ifndef NODE_JOURNAL_H
#define NODE_JOURNAL_H

#include "base/clock.h"
#include "conf/conf.h"
#include "proto/batch.h"
#include "proto/event.h"

struct journal;
struct journal_writer; /* one per worker */
struct segment;

struct journal_found { /* what opening found on the disk */
	uint32_t unsealed, history, torn;
	uint64_t records;
	uint64_t lost; /* bytes behind the last valid record of torn segments */
};

/* Opens or creates the directory with `writers` writers. Segments of an earlier run stay as they
 * are: unsealed ones are handed out by take_closed first, and none of them is appended to again.
 * 0 or -errno (-ENOSPC when segments cannot be allocated). */
int journal_open(const struct conf *c, unsigned writers, struct journal **ret_journal,
                 struct journal_found *ret_found);
void journal_close(struct journal *j);
struct journal_writer *journal_writer(struct journal *j, unsigned i);

/* Calls `each` for every valid record found at open, sealed or not, oldest segment first: for
 * rebuilding the duplicate tables, before the workers start. */
void journal_replay(struct journal *j, void (*each)(void *ctx, const struct event *e), void *ctx);

/* Records an accepted event and its verdict. 0, or -ENOBUFS (nothing recorded, nothing counted) when
 * no segment is free. Rotates by itself when the segment is full or its interval over at `now`. */
int journal_append(struct journal_writer *w, struct wall_ms now, const struct event *e,
                   enum reason r);

/* Counts a verdict other than accepted. Never fails. */
void journal_count(struct journal_writer *w, struct wall_ms now, enum event_source s,
                   enum reason r);

/* True while at least one segment is free: admission sheds by it before it decides. */
bool journal_has_room(const struct journal_writer *w);

/* -- the sealer -- */

/* Closes every writer's segment whose interval is over at `now`; all of them with force. */
void journal_rotate(struct journal *j, struct wall_ms now, bool force);

/* Oldest closed segment not yet sealed, or NULL. It is the sealer's until journal_sealed. */
struct segment *journal_take_closed(struct journal *j);

/* The batch identity in the segment's header, given there and made durable (msync) if it had none:
 * epoch and seq are the journal's next. 0 or -errno. */
int segment_number(struct journal *j, struct segment *s, struct batch_id *ret_id);

/* Meta of the batch that the segment becomes: interval, ledger, known losses. */
void segment_meta(const struct segment *s, struct batch_meta *ret_meta);

/* True when nothing was judged while it was open: it needs no batch of its own. */
bool segment_is_empty(const struct segment *s);

/* Walks the valid records; *at starts as 0. False at the end. */
bool segment_next(const struct segment *s, size_t *at, struct event *ret_event);
uint32_t segment_records(const struct segment *s);
size_t segment_bytes(const struct segment *s); /* of all payloads */

/* The segment's batch is durable in the spool (or it was empty): into history, or free. */
void journal_sealed(struct journal *j, struct segment *s);

/* Frees history older than the retry window, or more of it when free segments run short; msyncs
 * active segments when `sync` says so. Called by the sealer every sync_interval. */
void journal_tend(struct journal *j, struct wall_ms now);

#endif
