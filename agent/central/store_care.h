/* store_care.h -- looking after a store: verify, rebuild, backup, restore, retain.
 *
 * Batches are kept as they came, with the list of events that were left out because their twin was
 * stored; so everything else can be computed again from them, whatever the settings are by then.
 *
 * Threads:  store_backup and store_retain beside a store that is in use, one at a time; the others
 *           are for a store that nobody uses.
 * Memory:   central.cache, the largest batch with its rows, and two rows that are being compared.
 * Durable:  rebuild is one transaction: after a crash there are the old tables or the new ones.
 *           A backup counts from the moment its file BACKUP exists; a restore that was cut off leaves
 *           data_dir/restoring, and the store does not open before it is done again.
 * Errors:   -errno; -ECANCELED when the progress function asked to stop.
 */
#ifndef CENTRAL_STORE_CARE_H
#define CENTRAL_STORE_CARE_H

#include "central/store.h"

/* Bytes done of about so many; not 0 stops the work. */
struct store_progress {
	int (*tell)(void *ctx, uint64_t done, uint64_t total); /* NULL: nobody asks */
	void *ctx;
};

/* -- verify -- */

#define STORE_WHERE_MAX 800
#define STORE_FIGURE_MAX 64

struct store_difference {
	char
	    where[STORE_WHERE_MAX]; /* "rollup hour 2026-11-22T13:00:00+01:00 site=… dim=… key=…" */
	char field[STORE_FIGURE_MAX]; /* "events"; "record" for one that is missing or left over */
	char stored[STORE_FIGURE_MAX], recomputed[STORE_FIGURE_MAX];
};

struct store_verified {
	uint64_t batches, events, rows; /* read; rows of all tables */
	uint64_t kept_rows; /* of which older than the batches that are kept: not comparable */
	uint64_t differences;
};

struct store_report {
	void (*differs)(void *ctx, const struct store_difference *d);
	void *ctx;
};

/* Computes everything again beside what is stored, in tables of its own that go afterwards, and
 * compares. Needs room for as much again as the tables (not the batches) have. */
int store_verify(struct store *s, const struct store_report *report,
		 const struct store_progress *progress, struct store_verified *ret_verified);

/* -- rebuild -- */

/* Opens, rebuilds and closes. Rows older than the batches that are kept stay as they are. */
int store_rebuild(const struct conf *c, const struct store_progress *progress,
		  struct store_verified *ret_verified);

/* -- backup and restore -- */

/* Copies the store and the accounts into dir, which must not exist or be empty. Salts are not
 * copied: they have to be forgotten after their time, and a backup would remember them. */
int store_backup(struct store *s, const char *dir, const struct store_progress *progress);

/* Into c's data_dir, which must hold no store. */
int store_restore(const struct conf *c, const char *dir, const struct store_progress *progress);

/* Opens a backup where it is, as c says otherwise. The directory is used up by that: it is a
 * store then. */
int store_open_copy(const struct conf *c, struct store **ret_store);

/* -- retain -- */

struct store_retained {
	uint64_t months, batches; /* removed */
	uint64_t rows, tags;
};

/* Removes months of batches that arrived before batches_ms as a whole, and rows of hours, and ids
 * of events, before hours_ms. 0 for either: nothing of it. */
int store_retain(struct store *s, int64_t batches_ms, int64_t hours_ms,
		 const struct store_progress *progress, struct store_retained *ret_retained);

#endif
