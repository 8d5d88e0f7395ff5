/* store_bdb.h -- what the store_bdb_*.c files share; nobody else's.
 *
 * store_bdb.c: opening, closing, errors. store_bdb_record.c: keys and values of the small tables.
 * store_bdb_twin.c: events that were stored before. store_bdb_apply.c: a batch as one transaction.
 * store_bdb_scan.c: reading. store_bdb_replay.c: everything anew from the batches, in shadow
 * tables, for store_bdb_verify.c and store_bdb_rebuild.c. store_bdb_lost.c: gaps for ever.
 * store_bdb_backup.c, store_bdb_retain.c: as they say.
 *
 * Threads:  see struct store.
 * Errors:   functions here return what Berkeley DB returns: 0, an errno (positive) or a DB_ code
 *           (negative); bdb_errno turns it into the -errno of store.h.
 */
#ifndef CENTRAL_STORE_BDB_H
#define CENTRAL_STORE_BDB_H

#include <db.h>
#include <pthread.h>
#include <stdatomic.h>

#include "central/store.h"

enum bdb_table {
	TABLE_ROLLUPS,
	TABLE_APPLIED,
	TABLE_NODES,
	TABLE_LEDGER,
	TABLE_BOTS,
	TABLE_TAGS,
	TABLE_SITES,
	TABLE_META,
	TABLE_N
};

struct bdb_totals {
	uint64_t
	    ordinal; /* of the batch applied last: they are numbered in the order of application */
	uint64_t batches, events, bytes;
};

struct store {
	/* constant after start */
	DB_ENV *env;
	DB *table[TABLE_N];
	char *dir;
	int lock_fd;
	int64_t retry_window_ms;
	uint32_t recover;        /* DB_RECOVER, or DB_RECOVER_FATAL for a copy */
	bool shadow;             /* see below */
	struct copying *copying; /* store_bdb_backup.c, while it copies */

	/* guarded by writer: one batch at a time */
	pthread_mutex_t writer;
	DB *batches; /* of the month of the latest arrival */
	int batches_month;
	uint8_t *value; /* ROLLUP_VALUE_MAX */
	bool checkpoint_failed, sites_full;
	bool full; /* the disk, when last looked at */

	/* guarded by numbers */
	pthread_mutex_t numbers;
	struct bdb_totals totals;
	struct store_stats answers;

	/* atomic */
	_Atomic int64_t
	    lines_since_us; /* of what Berkeley DB says: the first few a minute are logged */
	atomic_uint lines;
	atomic_bool broken; /* the environment wants recovery: nothing works until the next start */
};

/* 0 or -errno; notes a broken environment. */
int bdb_errno(struct store *s, int rc);

/* A value for get and put: in memory of ours, so that handles may be shared by threads. */
DBT bdb_in(const void *bytes, size_t len);
DBT bdb_out(void *buf, size_t cap);

/* The batches that arrived in a month (months since year 0) stand in a file of their own, so that
 * they can be removed by the month. Opens it, closing the one before. */
int bdb_open_month(struct store *s, int64_t arrival_ms);

#define BDB_MONTH_FILE 32
void bdb_month_file(int month, char ret_file[BDB_MONTH_FILE]);

/* store_open with the kind of recovery. */
int bdb_open(const struct conf *c, uint32_t recover, struct store **ret_store);
extern const char *const bdb_table_file[TABLE_N];
int bdb_table_open(DB_ENV *env, const char *file, DB **ret_db);
int bdb_meta_get(struct store *s, const char *name, void *buf, size_t cap, size_t *ret_len);
int bdb_meta_put(struct store *s, DB_TXN *txn, const char *name, const void *bytes, size_t len);

/* Whether the disk has room for such a batch and for a recovery behind it; logs when that changes.
 * Caller is the writer. */
bool bdb_has_room(struct store *s, size_t body_len);

/* -- records of the small tables (store_bdb_record.c) -- */

#define BDB_KEY_MAX 512
#define BDB_RECORD_MAX 256

struct bdb_key {
	uint8_t bytes[BDB_KEY_MAX];
	size_t len;
};

void bdb_key_applied(const struct batch_id *id, uint64_t seq, struct bdb_key *ret_key);
void bdb_key_node(const struct batch_id *id, struct bdb_key *ret_key);
void bdb_key_ledger(int64_t hour_ms, const char *node, const char *name, struct bdb_key *ret_key);
void bdb_key_ledger_from(int64_t hour_ms, struct bdb_key *ret_key);
void bdb_key_tags(int64_t hour_ms, uint64_t ordinal, struct bdb_key *ret_key);
bool bdb_key_node_read(const void *key, size_t key_len, char ret_node[BATCH_NODE_MAX + 1],
		       uint8_t ret_epoch[16]);
enum { BDB_BATCH_BODY, BDB_BATCH_SKIPPED };
void bdb_key_batch(uint64_t ordinal, uint8_t part, struct bdb_key *ret_key);

void bdb_key_bot(int64_t day_ms, const char *node, enum event_source source, struct text name,
		 struct bdb_key *ret_key);
void bdb_key_bots_from(int64_t day_ms, struct bdb_key *ret_key);
/* All but the count; the name points into the key. */
bool bdb_key_bot_read(const void *bytes, size_t len, struct store_bot_row *ret_row);

bool bdb_key_tags_read(const void *bytes, size_t len, int64_t *ret_hour_ms);
/* Name of the count in ret_name; hour and node in ret_row, the rest of it untouched. */
bool bdb_key_ledger_read(const void *bytes, size_t len, struct store_ledger_row *ret_row,
			 struct text *ret_name);

struct bdb_applied {
	uint64_t ordinal;
	int64_t arrival_ms, closes_ms;
	uint8_t checksum[16];
};

size_t bdb_applied_encode(const struct bdb_applied *a, uint8_t buf[BDB_RECORD_MAX]);
bool bdb_applied_decode(const uint8_t *buf, size_t len, struct bdb_applied *ret_applied);

size_t bdb_node_encode(const struct store_node *n, uint8_t buf[BDB_RECORD_MAX]);
/* Name and epoch come from the key. */
bool bdb_node_decode(const void *key, size_t key_len, const uint8_t *buf, size_t len,
		     struct store_node *ret_node);

size_t bdb_totals_encode(const struct bdb_totals *t, uint8_t buf[BDB_RECORD_MAX]);
bool bdb_totals_decode(const uint8_t *buf, size_t len, struct bdb_totals *ret_totals);

/* -- counts of a ledger row, by name -- */

typedef int bdb_count_fn(void *ctx, const char *name, uint64_t count);
/* Calls for every count that is not 0; stops at the first result that is not 0. */
int bdb_ledger_each(const struct store_ledger_row *row, bdb_count_fn *each, void *ctx);
/* Adds a count to what the name says; ignores names that are not known here. */
void bdb_ledger_set(struct store_ledger_row *row, struct text name, uint64_t count);

/* -- twins (store_bdb_twin.c) -- */

struct bdb_twins {
	struct twin_entry *entry; /* events with an id, sorted by tag */
	int64_t *hour;            /* in which they are, ascending */
	uint32_t n, hours;
	uint8_t *skip; /* per event of the batch: stored before. NULL: none has an id */
	uint64_t merged;
};

/* Finds events of the batch that were stored before, and equal ones within it. Caller is
 * the writer. */
int bdb_twins_find(struct store *s, const struct batch *b, struct bdb_twins *ret_twins);
/* Remembers the others' ids; reorders the entries. */
int bdb_twins_put(struct store *s, DB_TXN *txn, struct bdb_twins *t, uint64_t ordinal);
/* In place of finding them: the events that were left out when the batch was stored. */
int bdb_twins_given(struct store *s, const struct batch *b, const uint8_t *skipped, size_t len,
		    struct bdb_twins *ret_twins);
void bdb_twins_fini(struct bdb_twins *t);

/* -- rivals (store_bdb_rival.c) -- */

/* True, with the answer, when another agent sends under the batch's node name. Caller is
 * the writer. */
bool bdb_has_rival(struct store *s, const struct batch_meta *m, enum store_result *ret_result);

/* -- nodes, and batches that will never come (store_bdb_lost.c) -- */

int bdb_node_get(struct store *s, DB_TXN *txn, const struct batch_id *id,
		 struct store_node *ret_node);
/* Over what is stored behind the contiguous ones, then into the table. */
int bdb_node_advance(struct store *s, DB_TXN *txn, const struct batch_id *id, struct store_node *n);

/* Leads the node, whose batch `id` is being applied, past what was lost. When the batch was, too,
 * it is counted as lost no longer; not by a shadow, for which that was done. */
int bdb_lost_pass(struct store *s, DB_TXN *txn, const struct batch_id *id, struct store_node *n);

#define BDB_LOST_PREFIX "lost" /* of keys in meta; the rest is a key of the nodes */
#define BDB_LOST_PREFIX_LEN (sizeof(BDB_LOST_PREFIX) - 1)
bool bdb_lost_decode(const void *bytes, size_t len, struct store_lost *ret_lost);

/* -- everything anew, from the batches -- */

/* What retain removed. Zeros: nothing. */
struct bdb_retained {
	int64_t batches_ms; /* batches that arrived before this are gone */
	int64_t covered_ms; /* no event or hour of those is at or after this */
	int64_t hours_ms;   /* rows of hours, and ids of events, before this are gone */
};

int bdb_retained_get(struct store *s, struct bdb_retained *ret_retained);
int bdb_retained_put(struct store *s, DB_TXN *txn, const struct bdb_retained *r);

struct bdb_stored {
	uint64_t ordinal;
	int64_t arrival_ms;
	struct batch_name name;
	const uint8_t *body, *skipped; /* skipped absent: NULL */
	size_t body_len, skipped_len;
};

/* The stored batches in the order in which they were applied. */
struct bdb_batches;
int bdb_batches_open(struct store *s, int before_month, struct bdb_batches **ret_batches);
/* 0, DB_NOTFOUND behind the last, or an error. Lent until the next call. arrival_ms is not
 * filled in. */
int bdb_batches_next(struct bdb_batches *b, struct bdb_stored *ret_stored);
void bdb_batches_close(struct bdb_batches *b);

/* Months that have a file, ascending, at most cap. Number, or -errno. */
int bdb_months(const struct store *s, int *ret_month, size_t cap);
#define BDB_MONTHS_MAX 1200

/* The decompressed document; the caller frees. */
int bdb_stored_document(const struct bdb_stored *b, uint8_t **ret_doc);

/* A shadow is a store of the same environment whose roll-ups, ledger, bots, nodes, tags and sites
 * are tables beside the real ones; applied and meta are the real ones, and only read. */
int bdb_shadow_open(struct store *s, struct store **ret_shadow);
void bdb_shadow_close(struct store *shadow);
/* Removes the tables of a shadow, also those that a killed process left. */
int bdb_shadow_remove(struct store *s);
bool bdb_shadow_has(enum bdb_table t);
void bdb_shadow_file(enum bdb_table t, char ret_file[BDB_MONTH_FILE]);

/* A rebuild that has come so far: its files take their names before the environment opens, its
 * totals after. */
int bdb_exchange_files(const struct store *s);
int bdb_exchange_totals(struct store *s);
/* With all pages written. */
int bdb_close_env(struct store *s);

/* Applies a stored batch to a shadow. */
int bdb_replay(struct store *shadow, const struct bdb_stored *b);

struct store_progress;
/* Applies all; each (may be NULL) sees every batch with what stands about it in applied,
 * or NULL. */
typedef void bdb_stored_fn(void *ctx, const struct bdb_stored *b, const struct bdb_applied *a);
int bdb_replay_all(struct store *s, struct store *shadow, bdb_stored_fn *each, void *ctx,
		   const struct store_progress *progress);
int bdb_applied_get(struct store *s, DB_TXN *txn, uint64_t seq, const struct batch_id *id,
		    struct bdb_applied *ret_applied);

#endif
