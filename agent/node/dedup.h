/* dedup.h -- what was accepted lately: event ids, and who had which content.
 *
 * Two tables that admission asks about every event, with the same steps. Finding says where an event
 * would stand; fetching has those lines on their way into the cache, best of several events before
 * the first of them is claimed. A claim looks the event up and keeps its line locked; the claim is
 * then kept, when the journal holds the event, or dropped. So nothing is remembered that was not
 * accepted, and of concurrent events with the same id or the same content exactly one is the first.
 *
 * Event ids are remembered in two generations of retry_window each: an id is recognised for at
 * least one window and at most two. A generation is cleared line by line, when a line is next used,
 * so that no event ever pays for a whole table. Double clicks slide by the events' own times: an
 * event repeats another when they are less than the window apart, in either order, since datagrams
 * may come late; and a repeat moves the time on (the COUNTER rule).
 *
 * Threads:  any; a line's lock is held from a claim to its keep or drop, that is for one journal
 *           append. Lock order: event id, then double click, then the journal's writer.
 * Memory:   fixed at start, 8.5 bytes per event id (two generations), 8 per double click. A full
 *           line forgets its oldest entry, which is counted when that was too early: a table filled
 *           to its nominal size forgets about one in ten early.
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

/* Has its lines fetched, if there are any. It waits for none, but the processor may for the tables
 * that say where a page is: of several events' at once, since it looks for several pages at a time. */
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
