/* journal_state.h -- the structs behind journal.h, for journal*.c alone.
 *
 * Locks: a writer's lock, inside it the journal's. The journal's guards which segment is in which
 * state, and is taken at rotations, by the sealer, and never for a single event.
 */
#ifndef NODE_JOURNAL_STATE_H
#define NODE_JOURNAL_STATE_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "node/journal_seq.h"

#define JOURNAL_BOT_SLOTS 512 /* of a hash table: more than twice the places of a segment */

enum journal_sync { SYNC_OFF, SYNC_INTERVAL, SYNC_ALWAYS };

struct journal_writer {
	_Alignas(64) pthread_mutex_t lock;
	/* constant */
	struct journal *journal;
	/* the worker's */
	uint8_t payload[EVENT_PACKED_MAX]; /* of an event; the stack would be cleared each time */
	/* guarded by lock */
	struct segment *active;               /* NULL: no segment was free */
	size_t reported;                      /* bytes of active that are in STAT_JOURNAL_BYTES */
	uint16_t bot_slot[JOURNAL_BOT_SLOTS]; /* where a name's place is, 1 the first; 0 empty */
	struct ledger pending; /* judged while there was no segment: bots without their names */
	uint64_t pending_dropped;
	bool has_pending;
	bool touched; /* something was judged since the sealer's last visit */
	bool is_due; /* a forced rotation found no segment: the next one, forced or not, makes up */
	/* atomic */
	atomic_size_t left; /* bytes that active has room for */
};

struct journal {
	/* constant after open */
	char dir[PATH_MAX], state_dir[PATH_MAX];
	char node[BATCH_NODE_MAX + 1];
	enum journal_sync sync;
	int64_t interval_ms, history_ms;
	size_t segment_bytes;
	unsigned writers_n, segments_n; /* segments_n: of the configuration */
	unsigned slots_n;               /* with those of an earlier, larger one */
	struct journal_writer *writers;
	struct segment *slots;
	void (*wake)(void *ctx);
	void *wake_ctx;
	/* the sealer's */
	struct journal_seq seq;
	bool wrote;    /* anything since the journal was opened */
	int spare_err; /* of the last try to make segments ready: logged when it changes */
	/* guarded by lock, with every segment's state */
	pthread_mutex_t lock;
	struct segment **spare; /* slots_n places, the last one is taken first */
	unsigned spares;
	uint64_t serial; /* of the segment opened last */
	/* atomic */
	atomic_uint spares_seen;
};

/* Closes the writer's segment, if it has one, and opens a spare one for `now`; since_ms as in the
 * header. Writer's lock held. 0, or -ENOBUFS with everything as it was. */
int journal_swap(struct journal_writer *w, struct wall_ms now, int64_t since_ms);

/* What counts the named bot in the active segment, or NULL: the name is none, or there is no place
 * for it. Writer's lock held. */
uint64_t *journal_bot_counter(struct journal_writer *w, enum event_source s, struct text name);
/* Before another segment becomes the active one. */
void journal_bots_forget(struct journal_writer *w);

/* True when a segment's interval is over: at its end, or when the clock was set back by more than
 * an hour before it. Less than that, and the segment keeps its interval. */
bool journal_over(const struct segment *s, int64_t now_ms);

void journal_push_spare(struct journal *j, struct segment *s);

/* Which segment is in which state; with the journal's lock taken inside. */
enum segment_state journal_state(struct journal *j, const struct segment *s);
void journal_set_state(struct journal *j, struct segment *s, enum segment_state state);

/* Makes every free segment ready. 0 or the first error. */
int journal_make_spares(struct journal *j);

/* Makes the first pages present of those that the writers take next: no worker waits for a page
 * fault when it rotates, and the spares behind them hold no memory. */
void journal_warm_spares(struct journal *j);

#endif
