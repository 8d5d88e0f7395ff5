#include "node/spool_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
spool_index_fini(struct spool_index *x)
{
	free(x->epochs);
	free(x->entries);
	*x = (struct spool_index){0};
}

static struct spool_epoch *
find_epoch(const struct spool_index *x, const uint8_t id[16])
{
	size_t i;

	for (i = 0; i < x->epochs_n; i++)
		if (memcmp(x->epochs[i].id, id, 16) == 0)
			return &x->epochs[i];
	return NULL;
}

int
spool_index_see(struct spool_index *x, const uint8_t epoch[16], uint64_t seq, uint32_t *ret_epoch)
{
	struct spool_epoch *e = find_epoch(x, epoch), *grown;

	if (!e) {
		grown = realloc(x->epochs, (x->epochs_n + 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		x->epochs = grown;
		e = &x->epochs[x->epochs_n++];
		memcpy(e->id, epoch, 16);
		e->last = 0;
	}
	if (seq > e->last)
		e->last = seq;
	*ret_epoch = (uint32_t)(e - x->epochs);
	return 0;
}

int
spool_index_reserve(struct spool_index *x)
{
	size_t cap = x->entries_cap ? 2 * x->entries_cap : 64;
	struct spool_entry *grown;

	if (x->entries_n < x->entries_cap)
		return 0;
	grown = realloc(x->entries, cap * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	x->entries = grown;
	x->entries_cap = cap;
	return 0;
}

static bool
is_before(const struct spool_entry *a, const struct spool_entry *b)
{
	return a->epoch != b->epoch ? a->epoch < b->epoch : a->seq < b->seq;
}

void
spool_index_add(struct spool_index *x, const struct spool_entry *e)
{
	size_t at = x->entries_n;

	/* nearly always the newest */
	while (at > 0 && is_before(e, &x->entries[at - 1]))
		at--;
	memmove(&x->entries[at + 1], &x->entries[at], (x->entries_n - at) * sizeof(*e));
	x->entries[at] = *e;
	x->entries_n++;
}

struct spool_entry *
spool_index_find(const struct spool_index *x, const uint8_t epoch[16], uint64_t seq)
{
	const struct spool_epoch *e = find_epoch(x, epoch);
	size_t i;

	for (i = 0; e && i < x->entries_n; i++)
		if (x->entries[i].seq == seq && &x->epochs[x->entries[i].epoch] == e)
			return &x->entries[i];
	return NULL;
}

void
spool_index_remove(struct spool_index *x, const struct spool_entry *e)
{
	size_t at = (size_t)(e - x->entries);

	x->entries_n--;
	memmove(&x->entries[at], &x->entries[at + 1], (x->entries_n - at) * sizeof(*e));
}

uint64_t
spool_index_last(const struct spool_index *x, const uint8_t epoch[16])
{
	const struct spool_epoch *e = find_epoch(x, epoch);

	return e ? e->last : 0;
}
