/* spool_index.h -- which batches wait, in order: the spool's table of contents.
 *
 * Threads:  the spool's lock.
 * Memory:   24 bytes a batch, grown as needed to SPOOL_FILES_MAX; 32 bytes an epoch.
 */
#ifndef NODE_SPOOL_INDEX_H
#define NODE_SPOOL_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool_epoch {
	uint8_t id[16];
	uint64_t last; /* highest seq seen */
};

struct spool_entry {
	uint32_t epoch; /* its place in epochs */
	uint64_t seq;
	uint64_t bytes;
};

struct spool_index {
	struct spool_epoch *epochs;
	size_t epochs_n;
	struct spool_entry *entries; /* sorted; the first one is the oldest */
	size_t entries_n, entries_cap;
};

void spool_index_fini(struct spool_index *x);

/* Adds the epoch behind the others if it is new, and notes that seq was seen. 0 with its place, or
 * -ENOMEM. */
int spool_index_see(struct spool_index *x, const uint8_t epoch[16], uint64_t seq,
		    uint32_t *ret_epoch);

/* Makes room for one more entry, so that the next add cannot fail. 0 or -ENOMEM. */
int spool_index_reserve(struct spool_index *x);
void spool_index_add(struct spool_index *x, const struct spool_entry *e);

/* NULL when it is not there. */
struct spool_entry *spool_index_find(const struct spool_index *x, const uint8_t epoch[16],
				     uint64_t seq);
void spool_index_remove(struct spool_index *x, const struct spool_entry *e);

uint64_t spool_index_last(const struct spool_index *x, const uint8_t epoch[16]);

#endif
