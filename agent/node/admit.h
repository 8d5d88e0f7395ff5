/* admit.h -- the one place where an event gets its verdict.
 *
 * Takes decoded events from ingest_http and ingest_udp; hands accepted ones to the journal. The
 * order of DESIGN.md: rate, validity, bot, duplicate, repeat, overload. The rate comes first and
 * alone (admit_rate), since ingest_http asks before it reads a body.
 *
 * Who it is: a beacon's client is the request's, whatever its body says. A datagram's is what the
 * datagram says, never the backend that sent it: its ip and ua; without an ip its session; without
 * either an address of all zeros and the ua, and then it is nobody's repeat, since people whom
 * nothing tells apart would swallow each other's views.
 *
 * What is refused for reasons of its own is refused with bots = off as well: prefetching, which is
 * nobody's view, and opting out, where it is honoured.
 *
 * Threads:  one struct admit for all workers, its tables shared (one lock bit per 64-byte line, held
 *           for at most one journal append); one struct admit_worker each.
 * Memory:   rate, duplicate and double-click tables of the configured sizes, mapped at start and
 *           backed as they fill; 96 KiB per worker for the User-Agents seen lately.
 * Durable:  a verdict of accepted is returned only after the journal holds the record; event id and
 *           double click are remembered only then.
 */
#ifndef NODE_ADMIT_H
#define NODE_ADMIT_H

#include "node/client_addr.h"
#include "node/dedup.h"
#include "node/journal.h"
#include "node/spool.h"
#include "node/visitor.h"

struct admit;
struct admit_worker;

/* Lends conf, spool and salts until admit_free. 0 or -ENOMEM. */
int admit_new(const struct conf *c, struct visitor_salts *salts, const struct spool *spool,
	      struct admit **ret_admit);
void admit_free(struct admit *a);

/* One per thread that ingests; the writer is its own. NULL when memory is short. */
struct admit_worker *admit_worker_new(struct admit *a, struct journal_writer *w);
void admit_worker_free(struct admit_worker *w);

/* True when a verdict may wait for the disk (journal_waits): q.now is read anew for each, then. */
bool admit_waits(const struct admit_worker *w);

/* For journal_replay: remembers event id and double click. */
void admit_remember(void *admit, const struct event *e);

struct admit_request { /* what the transport knows beside the event */
	struct wall_ms now;
	struct mono_us mono; /* the same moment */
	struct client_addr addr;
	struct text ua;
	/* absent: not sent; beacons only. sec_purpose: Sec-Purpose, else Purpose or X-Moz;
	 * sec_fetch: any of the Sec-Fetch- headers */
	struct text accept_language, accept, sec_purpose, sec_fetch;
	bool opted_out; /* Sec-GPC or DNT, when honoured */
	char country[2];
};

/* True when the address is within its rate; else counts and *ret_reason and the time until it is
 * again, for Retry-After. Datagrams are not rated: their senders are trusted backends. */
bool admit_rate(struct admit_worker *w, const struct admit_request *q, enum reason *ret_reason,
		int64_t *ret_retry_ms);

/* A verdict on a decoded event, in two steps, so that several are decided at once: the table lines
 * that they look at, of which none is in a cache, are asked for together. Where pages are found by
 * walking tables that have left the caches as well, asking alone costs a tenth of a verdict, and of
 * several together hardly more. Between the steps nothing is held, remembered or counted. */
struct admission {
	struct event *e; /* lent until it is decided */
	enum reason verdict;
	/* admit's own */
	struct wall_ms now;
	struct mono_us mono;
	struct dedup_claim id;
	struct repeat_claim click;
	uint16_t bot;
};

/* Fills the event's admission part (and site and ts_ms where they were not said), as far as other
 * events do not matter. Must be decided. `error` (BEACON_ERROR_MAX, or NULL) gets a sentence when
 * content or site is refused. */
void admit_prepare(struct admit_worker *w, const struct admit_request *q, struct event *e,
		   char *error, struct admission *ret_p);
/* Decides n of them, in order: their verdicts. Journals and counts each, once. */
void admit_decide(struct admit_worker *w, struct admission *p, size_t n);

/* Counts a refusal that was decided before there was an event. */
void admit_refuse(struct admit_worker *w, struct wall_ms now, enum event_source s, enum reason r);

/* From now on everything is shed as stopping. */
void admit_stop(struct admit *a);

#endif
