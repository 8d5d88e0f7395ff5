/* spool.h -- sealed batches on the disk, until the central has them.
 *
 * Takes whole batch bodies from seal; lends them, oldest first, to forward. One file per batch in
 * state_dir/spool, named by epoch and seq, written aside, fsynced, renamed, directory fsynced.
 * Oldest first is: epochs in the order in which they were first seen, seqs within an epoch.
 *
 * Threads:  put by the sealer, the rest by the forwarder; counts and spool_wake by anybody.
 * Memory:   names of at most SPOOL_FILES_MAX waiting files. Files, broken ones included, take at most
 *           spool_max bytes. Admission sheds a sixteenth earlier, so that what was acknowledged before,
 *           and the ledger of what is shed, still finds room.
 * Durable:  spool_put returns 0 only when the file and its name are on the disk.
 * Errors:   a file that cannot be read or fails its checksum is moved to spool/broken, counted and
 *           logged; it never stops the others, nor the start.
 */
#ifndef NODE_SPOOL_H
#define NODE_SPOOL_H

#include "conf/conf.h"
#include "proto/batch.h"

#define SPOOL_FILES_MAX 65536

struct spool;

/* Opens or creates; removes leftovers of unfinished writes. 0 or -errno. */
int spool_open(const struct conf *c, struct spool **ret_spool);
void spool_close(struct spool *s);

/* Stores a batch. 0 (also when the very same batch is there already and readable), -EDQUOT when
 * spool_max or SPOOL_FILES_MAX would be exceeded, else -errno; then nothing remains of it. */
int spool_put(struct spool *s, const struct batch_id *id, const void *body, size_t len);

/* The oldest batch: 0 with a body that the caller frees, -ENOENT when there is none. Broken files
 * are set aside on the way. */
int spool_oldest(struct spool *s, struct batch_id *ret_id, char **ret_body, size_t *ret_len);

/* The lowest number of id's epoch that is waiting, id's, or lies in spool/broken. */
uint64_t spool_lowest(const struct spool *s, const struct batch_id *id);

/* The central has it: removes the file. 0 also when it is gone already. */
int spool_remove(struct spool *s, const struct batch_id *id);

/* The central calls it broken: into spool/broken, with `why` beside it. */
int spool_set_aside(struct spool *s, const struct batch_id *id, const char *why);

bool spool_full(const struct spool *s); /* admission sheds by it; relaxed */
uint64_t spool_bytes(const struct spool *s);
uint32_t spool_count(const struct spool *s);
uint32_t spool_broken(const struct spool *s); /* files set aside, earlier ones included */
/* Highest seq of an epoch that was seen since open, broken ones included, 0 if none: for
 * journal_open's numbering. */
uint64_t spool_last_seq(const struct spool *s, const uint8_t epoch[16]);

/* Blocks the forwarder until a batch waits, the spool is woken (spool_wake) or
 * timeout_ms passed. */
void spool_wait(struct spool *s, int64_t timeout_ms);
void spool_wake(struct spool *s);

#endif
