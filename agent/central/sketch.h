/* sketch.h -- how many distinct visitors, in sets that merge.
 *
 * Exact (a sorted set of 64-bit hashes) up to a limit, above it HyperLogLog with byte registers
 * (Flajolet et al. 2007) and the improved raw estimator of Ertl, "New cardinality estimation
 * algorithms for HyperLogLog sketches" (2017). Merging is commutative, associative and idempotent:
 * what a sketch is depends on the set alone, not on the order in which it grew.
 *
 * Hashes must be uniform over 64 bits, as visitors of events are; they are not hashed again.
 *
 * Threads:  plain objects; encoding keeps a zstd context per thread, freed when the thread ends.
 * Memory:   exact: 8 bytes a visitor up to the limit; then 2^p bytes. Heap, owned by the sketch.
 */
#ifndef CENTRAL_SKETCH_H
#define CENTRAL_SKETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sketch_form {
	uint32_t exact_max;
	uint8_t p; /* 4 to 18 */
};

extern const struct sketch_form sketch_site;  /* 4,096 and p = 14: 16 KiB */
extern const struct sketch_form sketch_small; /* 512 and p = 12: 4 KiB */

struct sketch {
	struct sketch_form form;
	uint32_t n, cap; /* exact: hashes in use and room */
	uint64_t
	    *hash; /* exact: sorted, distinct; NULL while empty and once registers are in use. Lent
		       * by somebody else while cap is 0 */
	uint8_t *reg; /* 2^p registers, or NULL */
};

void sketch_init(struct sketch *s, const struct sketch_form *form);
void sketch_fini(struct sketch *s);

/* 0 or -ENOMEM, and then the sketch is as it was. */
int sketch_add(struct sketch *s, uint64_t hash);

/* Adds a hash above all that were added before: what sorting has prepared. */
int sketch_append(struct sketch *s, uint64_t hash);

/* A sketch of n hashes, ascending and distinct. As long as they are exact and nothing is added they
 * are not copied: lent until sketch_fini. 0 or -ENOMEM; initialises ret_sketch in either case. */
int sketch_of(const struct sketch_form *form, uint64_t *hashes, size_t n,
	      struct sketch *ret_sketch);

/* Same p, else -EINVAL; a form with another p merges only while `other` is exact. */
int sketch_merge(struct sketch *s, const struct sketch *other);

/* Exact while exact, else rounded to the nearest. */
uint64_t sketch_count(const struct sketch *s);
bool sketch_is_exact(const struct sketch *s);

/* Stored form: a tag byte, then hashes (delta-coded) or registers (zstd with a checksum). */
size_t sketch_encoded_max(const struct sketch *s);
size_t sketch_encode(const struct sketch *s, uint8_t *buf,
		     size_t cap); /* bytes; 0: no room, or no memory */

/* Exactly one sketch of this form and nothing behind it. 0, -EBADMSG, -ENOMEM; initialises
 * ret_sketch in every case. */
int sketch_decode(const uint8_t *buf, size_t len, const struct sketch_form *form,
		  struct sketch *ret_sketch);

#endif
