/* sketch.h -- how many distinct visitors, in sets that merge.
 *
 * Exact (a sorted set of 64-bit hashes) up to a limit, above it HyperLogLog with byte registers
 * (Flajolet et al. 2007) and the improved raw estimator of Ertl (2017). Merging is commutative,
 * associative and idempotent, and does not depend on when a set became a sketch.
 *
 * Threads:  plain objects.
 * Memory:   exact: 8 bytes a visitor up to the limit; then 2^p bytes. Heap, owned by the sketch.
 */
#ifndef CENTRAL_SKETCH_H
#define CENTRAL_SKETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sketch_form {
	uint32_t exact_max;
	uint8_t p;
};

extern const struct sketch_form sketch_site;  /* 4,096 and p = 14: 16 KiB */
extern const struct sketch_form sketch_small; /* 512 and p = 12: 4 KiB */

struct sketch {
	struct sketch_form form;
	uint32_t n, cap; /* exact: hashes in use and room */
	uint64_t *hash;  /* exact: sorted, distinct; NULL once registers are in use */
	uint8_t *reg;    /* 2^p registers, or NULL */
};

void sketch_init(struct sketch *s, const struct sketch_form *form);
void sketch_fini(struct sketch *s);

/* 0 or -ENOMEM, and then the sketch is as it was. */
int sketch_add(struct sketch *s, uint64_t hash);
int sketch_merge(struct sketch *s, const struct sketch *other); /* same p, else -EINVAL; forms with another p merge only while other is exact */

/* Exact while exact, else rounded to the nearest. */
uint64_t sketch_count(const struct sketch *s);
bool sketch_is_exact(const struct sketch *s);

/* Stored form: a tag byte, then hashes (delta-coded) or registers (zstd). */
size_t sketch_encoded_max(const struct sketch *s);
size_t sketch_encode(const struct sketch *s, uint8_t *buf, size_t cap); /* bytes; 0 no room */
int sketch_decode(const uint8_t *buf, size_t len, const struct sketch_form *form,
                  struct sketch *ret_sketch); /* 0, -EBADMSG, -ENOMEM; initialises ret_sketch */

#endif
