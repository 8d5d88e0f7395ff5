/* store.h -- what the central keeps: batches, roll-ups, ledger, and who sent what.
 *
 * Takes verified batches from receive; answers query. The interface says nothing of the engine:
 * store_bdb.c is Berkeley DB, the embedded default.
 *
 * Threads:  store_apply by any thread, one at a time inside (one writer); scans by any, at any time,
 *           without stopping the writer: rows are copied out a stretch at a time and handed to the
 *           callback with no lock held, so it may be slow and may call the store. A scan waits while
 *           the rows it wants are being changed by the batch in hand, and sees each stretch as it is
 *           when it gets there, not all as of one moment.
 * Memory:   central.cache plus the rows of the batch in hand, and 1 MB per scan.
 * Durable:  store_apply returns STORE_STORED only after the commit of batch, ledger, increments and
 *           (node, epoch, seq) in one transaction is on the disk.
 * Errors:   a disk with less than 64 MB and 8 times the batch left, or an I/O error, gives
 *           STORE_UNAVAILABLE and changes nothing; reading goes on, and so does storing once there is
 *           room. data_dir/reserve (32 MB) is given up when opening finds no room to recover.
 *           A damaged page or a failed sync makes the engine refuse everything, -EIO and
 *           STORE_UNAVAILABLE, until the next start recovers it.
 */
#ifndef CENTRAL_STORE_H
#define CENTRAL_STORE_H

#include "central/rollup.h"
#include "conf/conf.h"

struct store;

/* After calendar_init. -EWOULDBLOCK when another process has the directory; -EINVAL when its
 * roll-ups are of another time zone, or a DB_CONFIG would overrule the settings; -EPROTONOSUPPORT
 * when a later version wrote it; else -errno. All logged. */
int store_open(const struct conf *c, struct store **ret_store);
void store_close(struct store *s);

/* The engine refuses everything until the next start. */
bool store_is_broken(const struct store *s);

enum store_result {
	STORE_STORED,
	STORE_ALREADY,  /* this (node, epoch, seq) with these very bytes was applied before */
	STORE_CONFLICT, /* applied before with other bytes: two agents with one identity */
	STORE_RIVAL,    /* made after another epoch of this node had begun: two agents, one name */
	STORE_BROKEN,   /* the document does not decode */
	STORE_UNAVAILABLE
};

/* Applies one batch: the frame as received (kept) and its decompressed document. arrival_ms is the
 * central's clock. An event whose id was stored before, with a time at most central.retry_window
 * away, is kept in the batch but left out of the roll-ups: the ledger has it as merged. */
enum store_result store_apply(struct store *s, const struct batch_name *name, const uint8_t *body,
			      size_t body_len, const uint8_t *doc, size_t doc_len,
			      int64_t arrival_ms);

/* Rows of one grain and dimension with from <= start < until, in key order; site absent: all.
 * Key and row are lent for the call; not 0 from `each` stops and is returned. Else 0 or -errno. */
typedef int store_row_fn(void *ctx, const struct rollup_key *key, const struct rollup_row *row);
int store_scan(struct store *s, enum grain g, enum dim d, int64_t from_ms, int64_t until_ms,
	       struct text site, store_row_fn *each, void *ctx);

/* One per node and UTC hour of arrival; those whose hour begins in [from, until), in order of hour.
 * Counts under names that this program does not know are kept, and not shown. */
struct store_ledger_row {
	char node[BATCH_NODE_MAX + 1];
	int64_t hour_ms;
	struct ledger ledger;
	uint64_t batches;
	uint64_t stored; /* events in the roll-ups */
	uint64_t merged; /* events whose twin was stored before */
	uint64_t lost, udp_dropped;
};
typedef int store_ledger_fn(void *ctx, const struct store_ledger_row *row);
int store_ledger(struct store *s, int64_t from_ms, int64_t until_ms, store_ledger_fn *each,
		 void *ctx);

/* One per node, day of the site, source and bot that has a name: events under bot.user_agent, of
 * hours of arrival that begin in the day. The ledger of these hours has at least as many; the rest
 * of them has no name. Days that begin in [from, until), in order of day, node, source and name. */
struct store_bot_row {
	char node[BATCH_NODE_MAX + 1];
	int64_t day_ms;
	enum event_source source;
	struct text name; /* lent for the call */
	uint64_t count;
};
typedef int store_bot_fn(void *ctx, const struct store_bot_row *row);
int store_bots(struct store *s, int64_t from_ms, int64_t until_ms, store_bot_fn *each, void *ctx);

/* One per node and epoch. */
struct store_node {
	char node[BATCH_NODE_MAX + 1];
	uint8_t epoch[16];
	int64_t first_ms, last_ms; /* arrival of the first and the latest batch, central's clock */
	int64_t first_sealed_ms;   /* earliest sealed_ms, node's clock */
	int64_t skew_ms;           /* sealed_ms less arrival, of the batch with the highest seq */
	int64_t interval_ms;       /* until - from of the highest that closed an interval */
	uint64_t batches, events, bytes;
	uint64_t contiguous_seq; /* every batch up to this one is stored, or known lost */
	uint64_t highest_seq;
	int64_t
	    complete_to_ms; /* closes_ms of the latest such within the contiguous ones; 0: none */
};
typedef int store_node_fn(void *ctx, const struct store_node *n);
int store_nodes(struct store *s, store_node_fn *each, void *ctx);

/* Rows of hours before this were removed by retain; 0: none. 0 or -errno. */
int store_hours_from(struct store *s, int64_t *ret_ms);

/* The node has no batch of this epoch below oldest->seq any more: those that are not stored are
 * lost. They are counted, and completeness goes on behind them. What nothing is stored behind of is
 * left alone. 0 or -errno. */
int store_lose(struct store *s, const struct batch_id *oldest, int64_t arrival_ms);

/* One per node and epoch that lost some. */
struct store_lost {
	char node[BATCH_NODE_MAX + 1];
	uint8_t epoch[16];
	uint64_t up_to;            /* of the numbers up to this one */
	uint64_t batches;          /* so many are lost */
	int64_t from_ms, until_ms; /* what was in them arrived within; from 0: nobody knows */
};
typedef int store_lost_fn(void *ctx, const struct store_lost *l);
int store_lost(struct store *s, store_lost_fn *each, void *ctx);

/* Sites seen so far, at most STORE_SITES_MAX; further ones are counted in their rows all
 * the same. */
#define STORE_SITES_MAX 1024
typedef int store_site_fn(void *ctx, struct text site);
int store_sites(struct store *s, store_site_fn *each, void *ctx);

struct store_stats {
	uint64_t batches, events, bytes;                           /* stored in all */
	uint64_t applied, already, conflicts, broken, unavailable; /* answers since start */
};
void store_stats(struct store *s, struct store_stats *ret_stats);

#endif
