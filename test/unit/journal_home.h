/* journal_home.h -- a journal of four small segments in a directory of its own, and events to
 * append to it, for tests of journal*.c.
 *
 * Threads:  one per process.
 * Errors:   ck_assert.
 */
#ifndef TEST_JOURNAL_HOME_H
#define TEST_JOURNAL_HOME_H

#include <check.h>
#include <stdio.h>

#include "base/hash.h"
#include "node/journal_state.h"
#include "scratch.h"

#define SEGMENT_FILE ((size_t)64 << 10)
#define T0 INT64_C(1763812800000) /* 2025-11-22T12:00:00Z, the start of an hour */

static char dir[SCRATCH_MAX];
static char node_name[] = "web-1", sync_off[] = "off";
static struct conf conf;

static inline void
set_up(void)
{
	ck_assert_int_eq(hash_init(), 0);
	scratch_make(dir, "journal");
	conf = (struct conf){
	    .node_name = node_name,
	    .node_state_dir = dir,
	    .journal_segment = SEGMENT_FILE,
	    .journal_segments = 4,
	    .journal_sync = sync_off,
	    .journal_sync_interval = 1000,
	    .batch_interval = HOUR_MS,
	    .admit_retry_window = HOUR_MS,
	};
}

static inline void
tear_down(void)
{
	scratch_remove(dir);
}

static inline struct wall_ms
at(int64_t ms)
{
	return (struct wall_ms){T0 + ms};
}

static inline struct event
event_of(uint64_t n)
{
	struct event e = {
	    .source = SOURCE_BEACON,
	    .ts_ms = T0,
	    .site = TEXT_LIT("default"),
	    .type = TEXT_LIT("video"),
	    .name = TEXT_LIT("view"),
	    .has_uuid = true,
	    .uuid = {1, 2, 3},
	    .visitor = n,
	    .salt_id = 7,
	};

	return e;
}

static inline int
append(struct journal *j, struct wall_ms now, uint64_t n)
{
	struct event e = event_of(n);

	return journal_append(journal_writer(j, 0), now, &e, REASON_ACCEPTED_FIRST);
}

static inline struct journal *
open_journal_of(unsigned writers, int64_t ms, struct journal_found *ret_found)
{
	struct journal *j = NULL;

	ck_assert_int_eq(journal_open(&conf, NULL, writers, at(ms), &j, ret_found), 0);
	return j;
}

static inline struct journal *
open_journal(int64_t ms, struct journal_found *ret_found)
{
	return open_journal_of(1, ms, ret_found);
}

struct seen {
	uint64_t n, sum, last;
};

static inline void
see(void *ctx, const struct event *e)
{
	struct seen *seen = ctx;

	seen->n++;
	seen->sum += e->visitor;
	seen->last = e->visitor;
}

static inline struct seen
replay(struct journal *j)
{
	struct seen seen = {0};

	journal_replay(j, see, &seen);
	return seen;
}

static inline void
segment_file(unsigned i, char path[128])
{
	snprintf(path, 128, "%s/journal/segment-%04u", dir, i);
}

/* Appends one event at ms, closes its segment and seals it; the batch's number. */
static inline uint64_t
close_and_number(struct journal *j, int64_t ms)
{
	struct segment *s;
	struct batch_id id;

	ck_assert_int_eq(append(j, at(ms), 1), 0);
	ck_assert_int_eq(journal_rotate(j, at(ms + 200), true), 0);
	s = journal_take_closed(j);
	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(segment_number(j, s, at(ms + 200), &id), 0);
	ck_assert_str_eq(id.node, "web-1");
	ck_assert_int_eq(journal_sealed(j, s), 0);
	journal_tend(j, at(ms + 200));
	return id.seq;
}

#endif
