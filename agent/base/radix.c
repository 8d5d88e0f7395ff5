/* By one byte after another, the lowest first; a byte that all keys share costs nothing. */
#include "base/radix.h"

#include <string.h>

#define FEW 48 /* fewer are inserted one by one: counting bytes would cost more */

static void
insert_each(struct radix_item *items, size_t n)
{
	struct radix_item x;
	size_t i, j;

	for (i = 1; i < n; i++) {
		x = items[i];
		for (j = i; j > 0 && items[j - 1].key > x.key; j--)
			items[j] = items[j - 1];
		items[j] = x;
	}
}

static void
count_bytes(const struct radix_item *items, size_t n, size_t count[8][256])
{
	unsigned b;
	size_t i;

	memset(count, 0, sizeof(size_t[8][256]));
	for (i = 0; i < n; i++)
		for (b = 0; b < 8; b++)
			count[b][items[i].key >> (8 * b) & 0xff]++;
}

/* Moves all to where their byte belongs. */
static void
scatter(const struct radix_item *from, size_t n, unsigned shift, size_t count[256],
	struct radix_item *to)
{
	size_t at = 0, i, of_value;

	for (i = 0; i < 256; i++) {
		of_value = count[i];
		count[i] = at;
		at += of_value;
	}
	for (i = 0; i < n; i++)
		to[count[from[i].key >> shift & 0xff]++] = from[i];
}

void
radix_sort(struct radix_item *items, struct radix_item *spare, size_t n)
{
	struct radix_item *from = items, *to = spare, *swap;
	size_t count[8][256];
	unsigned b;

	if (n < FEW) {
		insert_each(items, n);
		return;
	}
	count_bytes(items, n, count);
	for (b = 0; b < 8; b++) {
		if (count[b][from[0].key >> (8 * b) & 0xff] == n)
			continue;
		scatter(from, n, 8 * b, count[b], to);
		swap = from;
		from = to;
		to = swap;
	}
	if (from != items)
		memcpy(items, from, n * sizeof(*items));
}
