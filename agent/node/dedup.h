/* dedup.h -- what was accepted lately: event ids, and who had which content.
 *
 * Two tables that admission asks about every event, with the same steps. Finding says where an
 * event would stand; fetching has those lines on their way into the cache, best of several events
 * before the first of them is claimed. A claim looks the event up and keeps its line locked; the
 * claim is then kept, when the journal holds the event, or dropped. So nothing is remembered that
 * was not accepted, and of concurrent events with the same id or the same content exactly one is
 * the first.
 *
 * An event id is recognised for at least one window (retry_window) and at most one and a half, as
 * long as 15 newer ones have not come to its line. What is older is cleared line by line, when a
 * line is next used, so that no event ever pays for a whole table. Ids that the start takes from
 * the journal count as new then: so they are recognised for longer, and some that go in the first
 * window are counted as early though they are not. Double clicks slide by the events' own times: an
 * event repeats another when they are less than the window apart, in either order, since datagrams
 * may come late; and a repeat moves the time on (the COUNTER rule).
 *
 * Threads:  any; a line's lock is held from a claim to its keep or drop, that is for one journal
 *           append. Lock order: event id, then double click, then the journal's writer.
 * Memory:   fixed at start, 6.4 bytes per event id (ten to a line, which has room for 15), 8 per
 *           double click. A full line forgets its oldest entry, which is counted when that was too
 *           early. With as many ids in a window as the table is made for, 8.3 % are forgotten
 *           before their window is over; with half as many, 0.02 %; with twice as many, 90 %, at
 *           the age of three quarters of a window on average. The count is near, not exact (10.3 %
 *           where 8.3 % were early): an id is taken to have come in the middle of a half window.
 */
#ifndef NODE_DEDUP_H
#define NODE_DEDUP_H

#include "base/clock.h"
#include "proto/event.h"

struct line;

/* -- event ids -- */

struct dedup;

struct dedup_claim {
	struct line *bucket; /* NULL: no id was looked for */
	uint32_t tag;
	bool held;
};

/* window_ms > 0, entries >= 1. 0 or -ENOMEM. */
int dedup_new(int64_t window_ms, int64_t entries, struct dedup **ret_dedup);
void dedup_free(struct dedup *d);

/* Where the id would stand. Nothing is held yet. */
void dedup_find(const struct dedup *d, const uint8_t event_id[16], struct dedup_claim *ret_claim);

/* Has its line fetched, if there is one. It waits for none, but the processor may for the tables
 * that say where a page is: of several events' at once, since it looks for several pages at a
 * time. */
void dedup_fetch(const struct dedup_claim *c);

/* True when the id is new: it is then claimed, and dedup_keep or dedup_drop must follow soon. False
 * when it was kept within the window, and nothing is held. */
bool dedup_claim(const struct dedup *d, struct mono_us now, struct dedup_claim *c);
void dedup_keep(struct dedup_claim *c);
void dedup_drop(struct dedup_claim *c);

/* -- double clicks -- */

struct repeat;

struct repeat_claim {
	struct line *line; /* NULL: nothing was looked for */
	unsigned entry;
	uint32_t tag, time;
	bool early; /* the entry to be given up for it was still within the window */
	bool held;
};

/* 0 < window_ms <= 1 h, entries >= 1. 0 or -ENOMEM. */
int repeat_new(int64_t window_ms, int64_t entries, struct repeat **ret_repeat);
void repeat_free(struct repeat *r);

/* As dedup_find, for the event's visitor and content (site, type, id, event name). */
void repeat_find(const struct repeat *r, const struct event *e, struct repeat_claim *ret_claim);

void repeat_fetch(const struct repeat_claim *c);

/* True when the visitor had this content less than the window before or after the event's time.
 * Either way repeat_keep or repeat_drop must follow soon. */
bool repeat_claim(const struct repeat *r, struct repeat_claim *c);
void repeat_keep(struct repeat_claim *c);
void repeat_drop(struct repeat_claim *c);

#endif
