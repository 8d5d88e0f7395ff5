/* Rows are found by numbers alone (period, dimension, site, value). Those of days are the sums of
 * their hours' rows, and those of months of their days'.
 *
 * Contents are by far the most, and most of them have events in one hour only. So they are neither
 * looked up nor copied: their rows of hours stand sorted by number and time, what belongs to one
 * day lies together, and a day with one such row shares it. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "central/rollup_internal.h"
#include "proto/ua_class.h"

#define QUARTER_MS INT64_C(900000)
#define HUGE_PAGE ((size_t)2 << 20)

void *
rollup_alloc(size_t bytes)
{
	void *p;

	if (bytes < HUGE_PAGE)
		return malloc(bytes);
	bytes = (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	p = aligned_alloc(HUGE_PAGE, bytes);
	if (p)
		(void)madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

int
rollup_grow(void **at, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t bigger = *cap ? *cap * 2 : 64;
	void *p;

	if (n < *cap)
		return 0;
	p = realloc(*at, bigger * size);
	if (!p)
		return -ENOMEM;
	*at = p;
	*cap = bigger;
	return 0;
}

int
table_reserve(struct table *t, uint32_t n, uint32_t (*hash)(const void *ctx, uint32_t i),
	      const void *ctx)
{
	uint32_t buckets = t->buckets ? t->buckets * 2 : 128, i, at;
	uint32_t *bucket;

	if (n < t->buckets / 2)
		return 0;
	bucket = calloc(buckets, sizeof(*bucket));
	if (!bucket)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		for (at = hash(ctx, i) & (buckets - 1); bucket[at];)
			at = (at + 1) & (buckets - 1);
		bucket[at] = i + 1;
	}
	free(t->bucket);
	t->bucket = bucket;
	t->buckets = buckets;
	return 0;
}

/* -- periods -- */

static uint32_t
period_hash(const void *ctx, uint32_t i)
{
	const struct rollup_group *g = ctx;

	return table_mix((uint64_t)g->periods[i].start_ms, g->periods[i].grain);
}

static int
period_index(struct rollup_group *g, enum grain grain, int64_t t_ms, uint32_t *ret_index)
{
	int64_t start = calendar_cached_start(&g->calendar, grain, t_ms);
	struct table *t = &g->period_table;
	const struct period *p;
	uint32_t at;

	if (table_reserve(t, g->periods_n, period_hash, g) < 0 ||
	    rollup_grow((void **)&g->periods, g->periods_n, &g->periods_cap, sizeof(*g->periods)) <
		0)
		return -ENOMEM;
	for (at = table_mix((uint64_t)start, grain);; at++) {
		at &= t->buckets - 1;
		if (!t->bucket[at])
			break;
		p = &g->periods[t->bucket[at] - 1];
		if (p->start_ms == start && p->grain == grain) {
			*ret_index = t->bucket[at] - 1;
			return 0;
		}
	}
	g->periods[g->periods_n] = (struct period){grain, start, g->calendar.next_ms[grain], NONE};
	*ret_index = g->periods_n++;
	t->bucket[at] = g->periods_n;
	return 0;
}

int
group_hour(struct rollup_group *g, int64_t t_ms, uint32_t *ret_period)
{
	uint32_t *recent = &g->recent[(uint64_t)(t_ms / QUARTER_MS) % RECENT];
	int err = 0;

	if (*recent == NONE || t_ms < g->periods[*recent].start_ms ||
	    t_ms >= g->periods[*recent].next_ms)
		err = period_index(g, GRAIN_HOUR, t_ms, recent);
	*ret_period = *recent;
	return err;
}

static int
period_parent(struct rollup_group *g, uint32_t period, uint32_t *ret_parent)
{
	const struct period *p = &g->periods[period];
	uint32_t parent = p->parent;
	int err = 0;

	if (parent == NONE)
		err = period_index(g, (enum grain)(p->grain + 1), p->start_ms, &parent);
	if (err)
		return err;
	g->periods[period].parent = *ret_parent = parent;
	return 0;
}

static int
period_order(const void *a, const void *b, void *periods)
{
	const struct period *x = (const struct period *)periods + *(const uint32_t *)a;
	const struct period *y = (const struct period *)periods + *(const uint32_t *)b;

	if (x->grain != y->grain)
		return x->grain < y->grain ? -1 : 1;
	return (x->start_ms > y->start_ms) - (x->start_ms < y->start_ms);
}

uint32_t *
group_period_ranks(const struct rollup_group *g)
{
	uint32_t *order = malloc(((size_t)g->periods_n + 1) * sizeof(*order));
	uint32_t *rank = malloc(((size_t)g->periods_n + 1) * sizeof(*rank)), i;

	if (order && rank) {
		for (i = 0; i < g->periods_n; i++)
			order[i] = i;
		qsort_r(order, g->periods_n, sizeof(*order), period_order, g->periods);
		for (i = 0; i < g->periods_n; i++)
			rank[order[i]] = i;
	} else {
		free(rank);
		rank = NULL;
	}
	free(order);
	return rank;
}

/* -- rows -- */

static inline uint32_t
row_key_hash(uint32_t period, enum dim dim, uint32_t site, uint32_t value)
{
	return table_mix((uint64_t)period << 32 | value, (uint64_t)site << 8 | dim);
}

static uint32_t
row_hash(const void *ctx, uint32_t i)
{
	const struct group_row *r = &((const struct rollup_group *)ctx)->rows[i];

	return row_key_hash(r->period, r->dim, r->site, r->value);
}

int
group_rows_reserve(struct rollup_group *g, uint32_t rows)
{
	size_t need = (size_t)g->rows_n + rows;
	struct group_row *r;

	if (need <= g->rows_cap)
		return 0;
	r = need <= UINT32_MAX ? rollup_alloc(need * sizeof(*r)) : NULL;
	if (!r)
		return -ENOMEM;
	if (g->rows_n)
		memcpy(r, g->rows, g->rows_n * sizeof(*r));
	free(g->rows);
	g->rows = r;
	g->rows_cap = (uint32_t)need;
	return 0;
}

int
group_row_append(struct rollup_group *g, uint32_t period, enum dim dim, uint32_t site,
		 uint32_t value, uint32_t *ret_row)
{
	struct group_row *r;

	if (rollup_grow((void **)&g->rows, g->rows_n, &g->rows_cap, sizeof(*g->rows)) < 0)
		return -ENOMEM;
	r = &g->rows[g->rows_n];
	*r = (struct group_row){.period = period, .dim = dim, .site = site, .value = value};
	rollup_row_init(&r->row, dim);
	*ret_row = g->rows_n++;
	return 0;
}

/* The row's bucket, or the empty one where it belongs. There are buckets. */
static uint32_t *
row_bucket(const struct rollup_group *g, uint32_t period, enum dim dim, uint32_t site,
	   uint32_t value)
{
	const struct table *t = &g->table;
	const struct group_row *r;
	uint32_t at;

	for (at = row_key_hash(period, dim, site, value);; at++) {
		at &= t->buckets - 1;
		if (!t->bucket[at])
			return &t->bucket[at];
		r = &g->rows[t->bucket[at] - 1];
		if (r->value == value && r->period == period && r->dim == dim && r->site == site)
			return &t->bucket[at];
	}
}

uint32_t
group_row_find(const struct rollup_group *g, uint32_t period, enum dim dim, uint32_t site,
	       uint32_t value)
{
	return g->table.buckets ? *row_bucket(g, period, dim, site, value) - 1 : NONE;
}

int
group_row(struct rollup_group *g, uint32_t period, enum dim dim, uint32_t site, uint32_t value,
	  uint32_t *ret_row)
{
	uint32_t *bucket;
	int err = 0;

	if (table_reserve(&g->table, g->rows_n, row_hash, g) < 0)
		return -ENOMEM;
	bucket = row_bucket(g, period, dim, site, value);
	if (!*bucket) {
		err = group_row_append(g, period, dim, site, value, ret_row);
		*bucket = err ? 0 : *ret_row + 1;
	}
	*ret_row = *bucket - 1;
	return err;
}

/* -- days and months -- */

/* Adds the rows from `from` on, which are of one grain, to their parents of the next. */
static int
add_up(struct rollup_group *g, uint32_t from)
{
	uint32_t until = g->rows_n, i, up, parent;
	const struct group_row *r;
	int err = 0;

	for (i = from; i < until && !err; i++) {
		r = &g->rows[i];
		err = period_parent(g, r->period, &parent);
		if (!err)
			err = group_row(g, parent, r->dim, r->site, r->value, &up);
		if (!err)
			err = rollup_row_add(&g->rows[up].row, &g->rows[i].row);
	}
	return err;
}

int
group_add_up(struct rollup_group *g)
{
	uint32_t days = g->rows_n;
	int err = add_up(g, 0);

	return err ? err : add_up(g, days);
}

static int
refs_add(struct refs *l, uint32_t period, uint32_t row)
{
	if (rollup_grow((void **)&l->at, l->n, &l->cap, sizeof(*l->at)) < 0)
		return -ENOMEM;
	l->at[l->n++] = (struct ref){period, row};
	return 0;
}

/* Refs of one content, from..until, which all belong to one period of the next grain:
 * adds theirs. */
static int
add_parent(struct rollup_group *g, uint32_t parent, uint32_t from, uint32_t until)
{
	uint32_t row = g->contents.at[from].row, child = row, i;
	int err = 0;

	if (until - from > 1)
		err = group_row_append(g, parent, DIM_CONTENT, g->rows[child].site,
				       g->rows[child].value, &row);
	for (i = from; i < until && until - from > 1 && !err; i++)
		err = rollup_row_add(&g->rows[row].row, &g->rows[g->contents.at[i].row].row);
	return err ? err : refs_add(&g->contents, parent, row);
}

/* Refs of one content from `from` on, of one grain and ascending in time: adds those of
 * the next. */
static int
add_parents(struct rollup_group *g, uint32_t from)
{
	uint32_t until = g->contents.n, i, parent = NONE, of_first = NONE;
	int err = 0;

	for (i = from; i < until && !err; i++) {
		err = period_parent(g, g->contents.at[i].period, &parent);
		if (!err && i > from && parent != of_first) {
			err = add_parent(g, of_first, from, i);
			from = i;
		}
		of_first = parent;
	}
	return err ? err : add_parent(g, of_first, from, until);
}

int
group_add_up_contents(struct rollup_group *g)
{
	uint32_t hours = g->rows_n, i, until, from, days;
	int err = 0;

	for (i = g->contents_from; i < hours && !err; i = until) {
		from = g->contents.n;
		for (until = i; until < hours && !err; until++) {
			if (g->rows[until].value != g->rows[i].value)
				break;
			err = refs_add(&g->contents, g->rows[until].period, until);
		}
		days = g->contents.n;
		if (!err)
			err = add_parents(g, from);
		if (!err)
			err = add_parents(g, days);
	}
	return err;
}

/* -- keys and their order -- */

static struct text
row_value(const struct rollup_group *g, const struct group_row *r)
{
	const struct names *n = &g->names;

	switch (r->dim) {
	case DIM_CONTENT:
		return n->content_key[r->value];
	case DIM_TYPE:
		return n->types.at[r->value];
	case DIM_EVENT:
		return n->event[r->value];
	case DIM_REFERRER:
		return n->referrer[r->value];
	case DIM_BROWSER:
		return text_of(ua_browser_name((uint8_t)r->value));
	case DIM_SYSTEM:
		return text_of(ua_system_name((uint8_t)r->value));
	case DIM_DEVICE:
		return text_of(ua_device_name((uint8_t)r->value));
	case DIM_COUNTRY:
		return n->country[r->value];
	case DIM_NODE:
		return text_of(n->node);
	case DIM_SOURCE:
		return text_of(source_name((enum event_source)r->value));
	case DIM_SITE:
	case DIM_N:
	default:
		return (struct text){NULL, 0};
	}
}

size_t
rollup_group_rows(const struct rollup_group *g)
{
	return g->order.n;
}

const struct rollup_row *
rollup_group_row(const struct rollup_group *g, size_t i, struct rollup_key *ret_key)
{
	const struct period *p = &g->periods[g->order.at[i].period];
	const struct group_row *r = &g->rows[g->order.at[i].row];

	*ret_key = (struct rollup_key){p->grain, p->start_ms, r->dim, g->names.sites.at[r->site],
				       row_value(g, r)};
	return &r->row;
}

/* As keys are encoded, less the period: the length of a site comes before its bytes. */
static int
key_order(const void *a, const void *b, void *group)
{
	const struct rollup_group *g = group;
	const struct group_row *x = &g->rows[((const struct ref *)a)->row];
	const struct group_row *y = &g->rows[((const struct ref *)b)->row];
	struct text s = g->names.sites.at[x->site], t = g->names.sites.at[y->site];

	if (x->dim != y->dim)
		return x->dim < y->dim ? -1 : 1;
	if (s.len != t.len)
		return s.len < t.len ? -1 : 1;
	if (x->site != y->site)
		return text_cmp(s, t);
	return text_cmp(row_value(g, x), row_value(g, y));
}

/* Contents come behind sites and before all others. */
static void
collect(struct rollup_group *g, struct ref *all)
{
	uint32_t others = g->contents_from, i, sites = 0;

	for (i = 0; i < others; i++)
		all[i] = (struct ref){g->rows[i].period, i};
	qsort_r(all, others, sizeof(*all), key_order, g);
	while (sites < others && g->rows[all[sites].row].dim < DIM_CONTENT)
		sites++;
	memmove(all + sites + g->contents.n, all + sites, (others - sites) * sizeof(*all));
	if (g->contents.n)
		memcpy(all + sites, g->contents.at, g->contents.n * sizeof(*all));
}

/* By period, those of one period in the order in which they are. */
static int
sort_by_period(const struct rollup_group *g, const struct ref *all, uint32_t n, struct ref *ret)
{
	uint32_t *rank = group_period_ranks(g), i;
	uint32_t *at = calloc((size_t)g->periods_n + 1, sizeof(*at));
	int err = rank && at ? 0 : -ENOMEM;

	for (i = 0; i < n && !err; i++)
		at[rank[all[i].period] + 1]++;
	for (i = 0; i < g->periods_n && !err; i++)
		at[i + 1] += at[i];
	for (i = 0; i < n && !err; i++)
		ret[at[rank[all[i].period]]++] = all[i];
	free(rank);
	free(at);
	return err;
}

int
group_sort(struct rollup_group *g)
{
	uint32_t n = g->contents_from + g->contents.n;
	struct ref *all = rollup_alloc(((size_t)n + 1) * sizeof(*all));
	int err = -ENOMEM;

	g->order.at = rollup_alloc(((size_t)n + 1) * sizeof(*all));
	if (all && g->order.at) {
		collect(g, all);
		err = sort_by_period(g, all, n, g->order.at);
	}
	g->order.n = n;
	free(all);
	return err;
}
