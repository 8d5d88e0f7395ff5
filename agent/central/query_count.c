#include <errno.h>
#include <stdlib.h>

#include "central/query_internal.h"

#define FIRST_CAP 256

int64_t
period_of(struct period *p, int64_t t_ms)
{
	if (t_ms < p->start_ms || t_ms >= p->next_ms) {
		p->start_ms = calendar_rotation_start(p->rotation, t_ms);
		p->next_ms = calendar_rotation_next(p->rotation, p->start_ms);
	}
	return p->start_ms;
}

/* -- one count -- */

void
count_init(struct count *c, enum dim d)
{
	memset(c, 0, sizeof(*c));
	c->period_ms = INT64_MIN;
	sketch_init(&c->sketch, d == DIM_SITE ? &sketch_site : &sketch_small);
}

void
count_fini(struct count *c)
{
	sketch_fini(&c->sketch);
}

void
count_finish(struct count *c)
{
	struct sketch_form form = c->sketch.form;

	c->visitors += sketch_count(&c->sketch);
	sketch_fini(&c->sketch);
	sketch_init(&c->sketch, &form);
}

static void
count_add_numbers(struct count *c, const struct rollup_row *row)
{
	c->events += row->events;
	c->repeats += row->repeats;
	c->unique_views += row->unique_views;
}

int
count_add(struct count *c, int64_t period_ms, const struct rollup_row *row)
{
	if (period_ms != c->period_ms)
		count_finish(c);
	c->period_ms = period_ms;
	count_add_numbers(c, row);
	return sketch_merge(&c->sketch, &row->visitors);
}

/* -- counts by key -- */

void
tally_init(struct tally *t, struct query *q, enum dim d)
{
	memset(t, 0, sizeof(*t));
	t->query = q;
	t->dim = d;
	hash_key_random(&t->hash_key);
}

void
tally_fini(struct tally *t)
{
	size_t i;

	for (i = 0; i < t->n; i++) {
		count_fini(&t->entry[i].count);
		free(t->entry[i].key);
	}
	free(t->entry);
	free(t->slot);
	atomic_fetch_sub(&t->query->bytes, t->bytes);
	memset(t, 0, sizeof(*t));
}

static int
tally_take_bytes(struct tally *t, size_t bytes)
{
	if (atomic_fetch_add(&t->query->bytes, bytes) + bytes > QUERY_BYTES_MAX) {
		atomic_fetch_sub(&t->query->bytes, bytes);
		return -ENOBUFS;
	}
	t->bytes += bytes;
	return 0;
}

static void
tally_place(struct tally *t, size_t i)
{
	size_t mask = 2 * t->cap - 1, at = t->entry[i].hash & mask;

	while (t->slot[at])
		at = (at + 1) & mask;
	t->slot[at] = (uint32_t)i + 1;
}

static int
tally_grow(struct tally *t)
{
	size_t cap = t->cap ? 2 * t->cap : FIRST_CAP, i;
	struct tally_entry *entry;
	uint32_t *slot;
	int err = tally_take_bytes(t, (cap - t->cap) * (sizeof(*entry) + 2 * sizeof(*slot)));

	if (err)
		return err;
	slot = calloc(2 * cap, sizeof(*slot));
	entry = slot ? realloc(t->entry, cap * sizeof(*entry)) : NULL;
	if (!entry) {
		free(slot);
		return -ENOMEM;
	}
	free(t->slot);
	t->slot = slot;
	t->entry = entry;
	t->cap = cap;
	for (i = 0; i < t->n; i++)
		tally_place(t, i);
	return 0;
}

static struct tally_entry *
tally_find(const struct tally *t, struct text key, uint64_t hash)
{
	size_t mask = 2 * t->cap - 1, at;
	struct tally_entry *e;

	if (t->cap == 0)
		return NULL;
	for (at = hash & mask; t->slot[at]; at = (at + 1) & mask) {
		e = &t->entry[t->slot[at] - 1];
		if (e->hash == hash && text_eq(key, (struct text){e->key, e->key_len}))
			return e;
	}
	return NULL;
}

static int
tally_insert(struct tally *t, struct text key, uint64_t hash, struct tally_entry **ret_entry)
{
	struct tally_entry *e;
	int err = t->n == t->cap ? tally_grow(t) : 0;

	if (!err)
		err = tally_take_bytes(t, key.len + 32); /* 32: what malloc adds, at worst */
	if (err)
		return err;
	e = &t->entry[t->n];
	e->key = malloc(key.len + 1);
	if (!e->key)
		return -ENOMEM;
	if (key.len)
		memcpy(e->key, key.at, key.len);
	e->key_len = key.len;
	e->hash = hash;
	count_init(&e->count, t->dim);
	tally_place(t, t->n++);
	*ret_entry = e;
	return 0;
}

static size_t
sketch_bytes(const struct sketch *s)
{
	return s->reg ? (size_t)1 << s->form.p : 8 * (size_t)s->cap;
}

int
tally_add(struct tally *t, struct text key, int64_t period_ms, const struct rollup_row *row)
{
	struct text k = key.at ? key : TEXT_LIT("");
	uint64_t hash = hash_table(&t->hash_key, k.at, k.len);
	struct tally_entry *e = tally_find(t, k, hash);
	size_t before, after;
	int err = e ? 0 : tally_insert(t, k, hash, &e);

	if (err)
		return err;
	if (t->once) {
		count_add_numbers(&e->count, row);
		e->count.visitors += sketch_count(&row->visitors);
		return 0;
	}
	before = sketch_bytes(&e->count.sketch);
	err = count_add(&e->count, period_ms, row);
	after = sketch_bytes(&e->count.sketch);
	if (after < before) {
		atomic_fetch_sub(&t->query->bytes, before - after);
		t->bytes -= before - after;
	} else if (!err && after > before) {
		err = tally_take_bytes(t, after - before);
	}
	return err;
}

/* -- order -- */

static int
falling(uint64_t a, uint64_t b)
{
	return (a < b) - (a > b);
}

static int
by_key(const struct tally_entry *a, const struct tally_entry *b)
{
	return text_cmp((struct text){a->key, a->key_len}, (struct text){b->key, b->key_len});
}

static int
order_views(const void *left, const void *right)
{
	const struct tally_entry *a = left, *b = right;
	int order = falling(a->count.events - a->count.repeats, b->count.events - b->count.repeats);

	if (order == 0)
		order = falling(a->count.visitors, b->count.visitors);
	return order ? order : by_key(a, b);
}

static int
order_visitors(const void *left, const void *right)
{
	const struct tally_entry *a = left, *b = right;
	int order = falling(a->count.visitors, b->count.visitors);

	if (order == 0)
		order =
		    falling(a->count.events - a->count.repeats, b->count.events - b->count.repeats);
	return order ? order : by_key(a, b);
}

void
tally_finish(struct tally *t, bool by_visitors)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		count_finish(&t->entry[i].count);
	if (t->n)
		qsort(t->entry, t->n, sizeof(t->entry[0]),
		      by_visitors ? order_visitors : order_views);
}
