/* radix.h -- sorting by 64-bit keys, in time linear in their number.
 *
 * For tables of up to millions of hashes or prefixes, where a comparing sort spends its time on
 * branches that nobody can predict.
 *
 * Threads:  any.
 * Memory:   the caller's items, and as many beside them.
 */
#ifndef BASE_RADIX_H
#define BASE_RADIX_H

#include <stddef.h>
#include <stdint.h>

struct radix_item {
	uint64_t key;
	uint32_t index; /* the caller's */
};

/* Ascending by key; equal keys keep their order. spare has room for n, and holds
 * nothing afterwards. */
void radix_sort(struct radix_item *items, struct radix_item *spare, size_t n);

#endif
