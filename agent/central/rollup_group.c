/* Grouping: every event adds to one row per dimension of its hour. Rows are found by numbers alone
 * (period, dimension, site, index into the batch's dictionary); texts are looked at once per dictionary
 * entry and once per finished row. Rows of days are then the sums of their hours' rows, and those of
 * months of their days'. */
#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "central/rollup.h"
#include "proto/ua_class.h"

#define NONE UINT32_MAX
#define PENDING_MAX 1024 /* what sketch_add_many sorts in one go */

struct group_row {
	/* which: value is an index into the dictionary of dim, or a class number */
	uint32_t period, site, value;
	enum dim dim;
	struct rollup_row row;
	/* visitors that wait to be sorted into the row's exact set */
	uint64_t *pending;
	uint32_t pending_n, pending_cap;
	uint32_t up_site, up_type; /* of a content's day: rows that count its growth */
	const uint8_t *key;        /* encoded, in g->keys */
	size_t key_len;
};

struct period {
	enum grain grain;
	int64_t start_ms, next_ms;
	uint32_t parent; /* day of an hour, month of a day */
};

/* Numbers that stand for themselves; bucket holds index + 1. */
struct table {
	uint32_t *bucket;
	uint32_t buckets; /* a power of two */
};

/* Distinct texts, in the order in which they were first seen. */
struct texts {
	struct text *at;
	uint32_t n, cap;
	struct table table;
};

#define RECENT 16 /* quarters of an hour: a batch spans an hour, with few exceptions */
#define QUARTER_MS INT64_C(900000)

struct rollup_group {
	struct group_row *rows;
	uint32_t n, cap;
	struct table table;
	struct period *periods;
	uint32_t periods_n, periods_cap;
	struct table period_table;
	uint32_t recent[RECENT]; /* hours, by quarter of an hour of time */
	struct calendar_cache calendar;
	uint32_t *order; /* rows sorted by key */
	uint8_t *keys;
	/* lent from the batch while grouping */
	const struct batch *batch;
	struct batch_content *contents;
	uint32_t *content_site, *content_type; /* by content */
	struct text *names, *referrers, *countries;
	struct texts sites, types;
};

/* -- tables and arrays that grow -- */

static uint32_t
mix(uint64_t a, uint64_t b)
{
	uint64_t z = a * UINT64_C(0x9e3779b97f4a7c15) ^ (b + UINT64_C(0x632be59bd9b4e019));

	z = (z ^ (z >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(z ^ (z >> 32));
}

static int
grow(void **at, uint32_t n, uint32_t *cap, size_t size)
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

/* Room for one entry more, at most half full; hash gives those of the n entries that are there. */
static int
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

/* -- dictionaries -- */

static uint32_t
text_hash(const void *ctx, uint32_t i)
{
	const struct texts *d = ctx;

	return (uint32_t)hash_mix(0, d->at[i].at, d->at[i].len);
}

static int
texts_index(struct texts *d, struct text t, uint32_t *ret_index)
{
	uint32_t at;

	if (d->n && text_eq(d->at[d->n - 1], t)) {
		*ret_index = d->n - 1;
		return 0;
	}
	if (table_reserve(&d->table, d->n, text_hash, d) < 0 ||
	    grow((void **)&d->at, d->n, &d->cap, sizeof(*d->at)) < 0)
		return -ENOMEM;
	at = (uint32_t)hash_mix(0, t.at, t.len) & (d->table.buckets - 1);
	while (d->table.bucket[at] && !text_eq(d->at[d->table.bucket[at] - 1], t))
		at = (at + 1) & (d->table.buckets - 1);
	if (!d->table.bucket[at]) {
		d->at[d->n++] = t;
		d->table.bucket[at] = d->n;
	}
	*ret_index = d->table.bucket[at] - 1;
	return 0;
}

static void
texts_fini(struct texts *d)
{
	free(d->at);
	free(d->table.bucket);
	*d = (struct texts){0};
}

static int
load_contents(struct rollup_group *g)
{
	uint32_t n = g->batch->contents, i;
	struct reader dict = g->batch->dict_content;

	g->contents = malloc((n + 1) * sizeof(*g->contents));
	g->content_site = malloc((n + 1) * sizeof(*g->content_site));
	g->content_type = malloc((n + 1) * sizeof(*g->content_type));
	if (!g->contents || !g->content_site || !g->content_type)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		if (!batch_next_content(&dict, &g->contents[i]))
			return -EBADMSG;
		if (texts_index(&g->sites, g->contents[i].site, &g->content_site[i]) < 0 ||
		    texts_index(&g->types, g->contents[i].type, &g->content_type[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int
load_texts(struct reader dict, uint32_t n, struct text **ret_texts)
{
	uint32_t i;

	*ret_texts = malloc((n + 1) * sizeof(**ret_texts));
	if (!*ret_texts)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		if (!batch_next_text(&dict, &(*ret_texts)[i]))
			return -EBADMSG;
	return 0;
}

static int
load_dictionaries(struct rollup_group *g)
{
	const struct batch *b = g->batch;
	int err = load_contents(g);

	if (!err)
		err = load_texts(b->dict_name, b->names, &g->names);
	if (!err)
		err = load_texts(b->dict_referrer, b->referrers, &g->referrers);
	if (!err)
		err = load_texts(b->dict_country, b->countries, &g->countries);
	return err;
}

/* -- periods -- */

static uint32_t
period_hash(const void *ctx, uint32_t i)
{
	const struct rollup_group *g = ctx;

	return mix((uint64_t)g->periods[i].start_ms, g->periods[i].grain);
}

static int
period_index(struct rollup_group *g, enum grain grain, int64_t t_ms, uint32_t *ret_index)
{
	int64_t start = calendar_cached_start(&g->calendar, grain, t_ms);
	struct table *t = &g->period_table;
	const struct period *p;
	uint32_t at;

	if (table_reserve(t, g->periods_n, period_hash, g) < 0 ||
	    grow((void **)&g->periods, g->periods_n, &g->periods_cap, sizeof(*g->periods)) < 0)
		return -ENOMEM;
	for (at = mix((uint64_t)start, grain);; at++) {
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

static inline int
hour_index(struct rollup_group *g, int64_t t_ms, uint32_t *ret_index)
{
	uint32_t *recent = &g->recent[(uint64_t)(t_ms / QUARTER_MS) % RECENT];
	int err = 0;

	if (*recent == NONE || t_ms < g->periods[*recent].start_ms ||
	    t_ms >= g->periods[*recent].next_ms)
		err = period_index(g, GRAIN_HOUR, t_ms, recent);
	*ret_index = *recent;
	return err;
}

/* -- rows -- */

static inline uint32_t
row_key_hash(uint32_t period, enum dim dim, uint32_t site, uint32_t value)
{
	return mix((uint64_t)period << 32 | value, (uint64_t)site << 8 | dim);
}

static uint32_t
row_hash(const void *ctx, uint32_t i)
{
	const struct group_row *r = &((const struct rollup_group *)ctx)->rows[i];

	return row_key_hash(r->period, r->dim, r->site, r->value);
}

static int
row_make(struct rollup_group *g, uint32_t period, enum dim dim, uint32_t site, uint32_t value,
	 uint32_t *ret_row)
{
	struct group_row *r;
	uint32_t at;

	if (table_reserve(&g->table, g->n, row_hash, g) < 0 ||
	    grow((void **)&g->rows, g->n, &g->cap, sizeof(*g->rows)) < 0)
		return -ENOMEM;
	r = &g->rows[g->n];
	*r = (struct group_row){period, site, value, dim, .up_site = NONE, .up_type = NONE};
	rollup_row_init(&r->row, dim);
	at = row_hash(g, g->n) & (g->table.buckets - 1);
	while (g->table.bucket[at])
		at = (at + 1) & (g->table.buckets - 1);
	*ret_row = g->n++;
	g->table.bucket[at] = g->n;
	return 0;
}

static inline int
row_index(struct rollup_group *g, uint32_t period, enum dim dim, uint32_t site, uint32_t value,
	  uint32_t *ret_row)
{
	const struct table *t = &g->table;
	const struct group_row *r;
	uint32_t at;

	for (at = row_key_hash(period, dim, site, value); t->buckets; at++) {
		at &= t->buckets - 1;
		if (!t->bucket[at])
			break;
		r = &g->rows[t->bucket[at] - 1];
		if (r->value == value && r->period == period && r->dim == dim && r->site == site) {
			*ret_row = t->bucket[at] - 1;
			return 0;
		}
	}
	return row_make(g, period, dim, site, value, ret_row);
}

static int
flush_visitors(struct group_row *r)
{
	int err = sketch_add_many(&r->row.visitors, r->pending, r->pending_n);

	r->pending_n = 0;
	return err;
}

/* As many wait as the set holds already, so that merging costs a constant per visitor. */
static int
make_room_for_visitor(struct group_row *r)
{
	uint32_t worth = r->row.visitors.n > 64 ? r->row.visitors.n : 64;
	uint32_t cap = r->pending_cap ? r->pending_cap * 2 : 4;
	uint64_t *p;

	if (r->pending_cap >= PENDING_MAX || r->pending_cap >= worth)
		return flush_visitors(r);
	p = realloc(r->pending, cap * sizeof(*p));
	if (!p)
		return -ENOMEM;
	r->pending = p;
	r->pending_cap = cap;
	return 0;
}

static inline int
add_visitor(struct group_row *r, uint64_t visitor)
{
	if (r->row.visitors.reg)
		return sketch_add(&r->row.visitors, visitor);
	if (r->pending_n > 0 && r->pending[r->pending_n - 1] == visitor)
		return 0;
	if (r->pending_n == r->pending_cap && make_room_for_visitor(r) < 0)
		return -ENOMEM;
	r->pending[r->pending_n++] = visitor;
	return 0;
}

static int
add_value(struct group_row *r, double value)
{
	struct rollup_row one;
	int err;

	rollup_row_init(&one, r->dim);
	one.values = 1;
	one.sum = one.min = one.max = value;
	err = rollup_row_add(&r->row, &one);
	rollup_row_fini(&one);
	return err;
}

/* Classes of a newer agent, which have no name here, are one with "unknown". */
static inline uint32_t
known(uint8_t number, unsigned n)
{
	return number < n ? number : 0;
}

static int
add_event(struct rollup_group *g, const struct batch_event *e)
{
	uint32_t value[DIM_N] = {[DIM_CONTENT] = e->content,
				 [DIM_TYPE] = g->content_type[e->content],
				 [DIM_EVENT] = e->name,
				 [DIM_REFERRER] = e->referrer,
				 [DIM_BROWSER] = known(e->browser, UA_BROWSER_N),
				 [DIM_SYSTEM] = known(e->system, UA_SYSTEM_N),
				 [DIM_DEVICE] = known(e->device, UA_DEVICE_N),
				 [DIM_COUNTRY] = e->country,
				 [DIM_SOURCE] = (uint32_t)e->source};
	uint32_t hour, site = g->content_site[e->content], i;
	struct group_row *r;
	unsigned d;
	int err = hour_index(g, e->ts_ms, &hour);

	for (d = 0; d < DIM_N && !err; d++) {
		err = row_index(g, hour, (enum dim)d, site, value[d], &i);
		if (err)
			break;
		r = &g->rows[i];
		r->row.events++;
		r->row.repeats += e->repeat;
		err = add_visitor(r, e->visitor);
		if (!err && e->has_value)
			err = add_value(r, e->value);
	}
	return err;
}

static int
add_events(struct rollup_group *g, const uint8_t *skip)
{
	struct batch_cursor c;
	struct batch_event e;
	uint32_t i;
	int err = 0;

	batch_cursor_init(g->batch, &c);
	for (i = 0; !err && batch_next(&c, &e); i++)
		if (!skip || !skip[i])
			err = add_event(g, &e);
	return err;
}

static int
flush_all(struct rollup_group *g)
{
	uint32_t i;
	int err = 0;

	for (i = 0; i < g->n && !err; i++) {
		err = flush_visitors(&g->rows[i]);
		free(g->rows[i].pending);
		g->rows[i].pending = NULL;
		g->rows[i].pending_cap = 0;
	}
	return err;
}

/* -- days and months -- */

/* Adds the rows from `from` on, which are of one grain, to their parents of the next. */
static int
add_up(struct rollup_group *g, uint32_t from, enum grain grain)
{
	uint32_t until = g->n, i, up, period, parent;
	int err = 0;

	for (i = from; i < until && !err; i++) {
		period = g->rows[i].period;
		parent = g->periods[period].parent;
		if (parent == NONE)
			err = period_index(g, grain, g->periods[period].start_ms, &parent);
		if (err)
			break;
		g->periods[period].parent = parent;
		err = row_index(g, parent, g->rows[i].dim, g->rows[i].site, g->rows[i].value, &up);
		if (!err)
			err = rollup_row_add(&g->rows[up].row, &g->rows[i].row);
	}
	return err;
}

/* Site and type rows of the same day stand among the rows: every event made one of each. */
static int
link_contents(struct rollup_group *g, uint32_t from, uint32_t until)
{
	struct group_row *r;
	uint32_t i;
	int err = 0;

	for (i = from; i < until && !err; i++) {
		if (g->rows[i].dim != DIM_CONTENT)
			continue;
		r = &g->rows[i];
		err = row_index(g, r->period, DIM_SITE, r->site, 0, &r->up_site);
		if (!err)
			err = row_index(g, r->period, DIM_TYPE, r->site, g->content_type[r->value],
					&r->up_type);
	}
	return err;
}

static int
derive(struct rollup_group *g)
{
	uint32_t hours = g->n, days;
	int err = add_up(g, 0, GRAIN_DAY);

	days = g->n;
	if (!err)
		err = link_contents(g, hours, days);
	if (!err)
		err = add_up(g, hours, GRAIN_MONTH);
	return err;
}

/* -- keys and their order -- */

/* scratch: ROLLUP_CONTENT_KEY_MAX bytes, in which a content's key is made. */
static struct text
row_value(const struct rollup_group *g, const struct group_row *r, char *scratch)
{
	switch (r->dim) {
	case DIM_CONTENT:
		return (struct text){scratch, rollup_content_key(&g->contents[r->value], scratch,
								 ROLLUP_CONTENT_KEY_MAX)};
	case DIM_TYPE:
		return g->types.at[r->value];
	case DIM_EVENT:
		return g->names[r->value];
	case DIM_REFERRER:
		return g->referrers[r->value];
	case DIM_BROWSER:
		return text_of(ua_browser_name((uint8_t)r->value));
	case DIM_SYSTEM:
		return text_of(ua_system_name((uint8_t)r->value));
	case DIM_DEVICE:
		return text_of(ua_device_name((uint8_t)r->value));
	case DIM_COUNTRY:
		return g->countries[r->value];
	case DIM_NODE:
		return text_of(g->batch->meta.id.node);
	case DIM_SOURCE:
		return text_of(source_name((enum event_source)r->value));
	case DIM_SITE:
	case DIM_N:
	default:
		return (struct text){NULL, 0};
	}
}

static size_t
row_encode_key(const struct rollup_group *g, const struct group_row *r, uint8_t *buf)
{
	const struct period *p = &g->periods[r->period];
	char scratch[ROLLUP_CONTENT_KEY_MAX];
	struct text value = row_value(g, r, scratch);
	struct rollup_key k = {p->grain, p->start_ms, r->dim, g->sites.at[r->site], value};

	if (r->dim == DIM_CONTENT && value.len == 0)
		return 0;
	return rollup_key_encode(&k, buf, ROLLUP_KEY_MAX);
}

static int
encode_keys(struct rollup_group *g)
{
	uint8_t key[ROLLUP_KEY_MAX], *at;
	size_t bytes = 0;
	uint32_t i;

	for (i = 0; i < g->n; i++) {
		g->rows[i].key_len = row_encode_key(g, &g->rows[i], key);
		if (g->rows[i].key_len == 0)
			return -EBADMSG;
		bytes += g->rows[i].key_len;
	}
	g->keys = at = malloc(bytes + 1);
	if (!at)
		return -ENOMEM;
	for (i = 0; i < g->n; i++) {
		row_encode_key(g, &g->rows[i], key);
		memcpy(at, key, g->rows[i].key_len);
		g->rows[i].key = at;
		at += g->rows[i].key_len;
	}
	return 0;
}

static int
key_order(const void *a, const void *b, void *rows)
{
	const struct group_row *x = (const struct group_row *)rows + *(const uint32_t *)a;
	const struct group_row *y = (const struct group_row *)rows + *(const uint32_t *)b;
	int c = memcmp(x->key, y->key, x->key_len < y->key_len ? x->key_len : y->key_len);

	return c ? c : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

static int
sort_rows(struct rollup_group *g)
{
	uint32_t i;

	g->order = malloc((g->n + 1) * sizeof(*g->order));
	if (!g->order)
		return -ENOMEM;
	for (i = 0; i < g->n; i++)
		g->order[i] = i;
	qsort_r(g->order, g->n, sizeof(*g->order), key_order, g->rows);
	return 0;
}

/* -- the whole -- */

/* What is needed only while grouping, the texts lent from the batch among it. */
static void
forget_batch(struct rollup_group *g)
{
	free(g->contents);
	free(g->content_site);
	free(g->content_type);
	free(g->names);
	free(g->referrers);
	free(g->countries);
	g->contents = NULL;
	g->content_site = g->content_type = NULL;
	g->names = g->referrers = g->countries = NULL;
	texts_fini(&g->sites);
	texts_fini(&g->types);
	g->batch = NULL;
}

int
rollup_group_batch(const struct batch *b, const uint8_t *skip, struct rollup_group **ret_group)
{
	struct rollup_group *g = calloc(1, sizeof(*g));
	int err;

	if (!g)
		return -ENOMEM;
	g->batch = b;
	memset(g->recent, 0xff, sizeof(g->recent));
	calendar_cache_init(&g->calendar);
	err = load_dictionaries(g);
	if (!err)
		err = add_events(g, skip);
	if (!err)
		err = flush_all(g);
	if (!err)
		err = derive(g);
	if (!err)
		err = encode_keys(g);
	if (!err)
		err = sort_rows(g);
	forget_batch(g);
	if (err) {
		rollup_group_free(g);
		return err;
	}
	*ret_group = g;
	return 0;
}

void
rollup_group_free(struct rollup_group *g)
{
	uint32_t i;

	if (!g)
		return;
	for (i = 0; i < g->n; i++) {
		rollup_row_fini(&g->rows[i].row);
		free(g->rows[i].pending);
	}
	free(g->rows);
	free(g->table.bucket);
	free(g->periods);
	free(g->period_table.bucket);
	free(g->order);
	free(g->keys);
	free(g);
}

size_t
rollup_group_rows(const struct rollup_group *g)
{
	return g->n;
}

struct text
rollup_group_key(const struct rollup_group *g, size_t i)
{
	const struct group_row *r = &g->rows[g->order[i]];

	return (struct text){(const char *)r->key, r->key_len};
}

const struct rollup_row *
rollup_group_row(const struct rollup_group *g, size_t i, struct rollup_key *ret_key)
{
	const struct group_row *r = &g->rows[g->order[i]];

	(void)rollup_key_decode(r->key, r->key_len, ret_key);
	return &r->row;
}

void
rollup_group_grew(struct rollup_group *g, size_t i, int64_t by)
{
	const struct group_row *r = &g->rows[g->order[i]];

	/* unsigned, so that a set which became a sketch may shrink its sums by its error */
	g->rows[r->up_site].row.unique_views += (uint64_t)by;
	g->rows[r->up_type].row.unique_views += (uint64_t)by;
}

void
rollup_group_forget_growth(struct rollup_group *g)
{
	uint32_t i;

	for (i = 0; i < g->n; i++)
		g->rows[i].row.unique_views = 0;
}
