/* journal_seq.h -- the two small files that give batches their names: epoch and seq.
 *
 * state_dir/epoch: 32 hexadecimal digits and a newline, made once. state_dir/seq, little-endian:
 *      0  4  magic "FFsq"          32  8  id of the segment that got it
 *      4  4  version 1             40  8  sealed_ms
 *      8 16  epoch                 48  8  closes_ms
 *     24  8  seq, 0: none yet      56  8  highest closes_ms so far
 *     64  1  length of the node's name, then the name; then 8 bytes: checksum of all before
 *
 * One number is under way at a time. Its order:
 *   1. the segment's records and header are synced, so that the batch can be made again, the same;
 *   2. seq is replaced (written aside, fsynced, renamed, directory fsynced): the number belongs to
 *      that segment for ever;
 *   3. the batch is made and put into the spool;
 *   4. the segment's header says sealed, and is synced; only then comes the next number.
 * A crash or power cut after 2 finds the segment not sealed and its id in seq: the same batch is
 * made under the same number, and spool and central know whether they have it. Before 2 the
 * number was never seen by anybody and is given again. So there is no gap and no second use.
 * Because the file is replaced as a whole, a failed fsync leaves the old one, and trying again is
 * a new file, not a second fsync of the same pages; a number in the segment's own header could
 * not be retried so.
 *
 * The directory's first start writes seq before epoch. An epoch without a readable seq therefore
 * means that somebody removed or damaged it: numbers already used are unknown, so a new epoch is
 * begun, and nothing can be taken for an old batch.
 */
#ifndef NODE_JOURNAL_SEQ_H
#define NODE_JOURNAL_SEQ_H

#include "node/journal_segment.h"

struct journal_seq {
	uint8_t epoch[16];  /* the current one */
	uint64_t last;      /* highest seq given in it */
	int64_t claimed_ms; /* highest closes_ms */
	struct segment_number
	    given; /* the last one given; seq 0: none; its epoch may be an older one */
};

/* Reads both files or makes them. A directory whose last number was given under another node name
 * begins an epoch: the central would look for the numbers before it under the new name, in vain.
 * 0 or -errno. */
int journal_seq_open(const char *state_dir, const char *node, struct journal_seq *ret_seq);

/* Makes `n` the last number given, durably; on failure q is unchanged. */
int journal_seq_give(const char *state_dir, struct journal_seq *q, const struct segment_number *n);

#endif
