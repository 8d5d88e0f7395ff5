/* Grouping: every event adds to one row per dimension of its hour.
 *
 * What an event is, less its content and its visitor, comes back many times in a batch: such a
 * combination is looked up once per event, counted, and becomes rows when all events are read. For
 * sets of visitors, events are sorted by visitor, and visitors by hash: then each set grows at its
 * end and a repeat is the last one again. Sorted once more by content, equal contents lie together,
 * and need no table at all. */
#include <errno.h>
#include <stdlib.h>

#include "base/radix.h"
#include "central/rollup_internal.h"
#include "proto/ua_class.h"

/* Dimensions that a combination decides. */
static const enum dim dims[] = {DIM_SITE,   DIM_TYPE,   DIM_EVENT,   DIM_REFERRER, DIM_BROWSER,
				DIM_SYSTEM, DIM_DEVICE, DIM_COUNTRY, DIM_NODE,     DIM_SOURCE};
#define DIMS (sizeof(dims) / sizeof(dims[0]))

struct combination {
	/* which */
	uint64_t place;   /* hour, site, type */
	uint64_t subject; /* name, referrer, country */
	uint32_t classes; /* browser, system, device, source */
	uint32_t events, repeats;
	uint32_t seen; /* as in struct group_row */
	uint32_t row[DIMS];
};

/* Three numbers in one. */
#define PART_BITS 21
_Static_assert(BATCH_EVENTS_MAX + 1 < 1u << PART_BITS, "an index into a dictionary fits its part");

static inline uint64_t
three(uint32_t a, uint32_t b, uint32_t c)
{
	return (uint64_t)a << 2 * PART_BITS | (uint64_t)b << PART_BITS | c;
}

static inline uint32_t
part(uint64_t v, unsigned which)
{
	return (uint32_t)(v >> (2 - which) * PART_BITS) & ((1u << PART_BITS) - 1);
}

/* An event in one word, so that sorting moves little: numbers of its content and its visitor, in the
 * order of keys and of hashes, its combination, and whether it is a repeat. */
#define NUMBER_BITS 20
#define COMBINATION_AT 1
#define VISITOR_AT (COMBINATION_AT + NUMBER_BITS)
#define CONTENT_AT (VISITOR_AT + NUMBER_BITS)
_Static_assert(BATCH_EVENTS_MAX <= 1u << NUMBER_BITS, "nothing is more often than events");

static inline uint32_t
number_at(uint64_t event, unsigned at)
{
	return (uint32_t)(event >> at) & ((1u << NUMBER_BITS) - 1);
}

/* In the order in which they came: sums are made in that order. */
struct valued {
	uint32_t content, combination;
	double value;
};

struct grouping {
	struct rollup_group *g;
	const struct batch *batch;
	uint64_t *hash;       /* distinct visitors, ascending: by number */
	uint32_t *visitor_no; /* by index in the batch */
	uint64_t *event, *spare;
	uint32_t events;
	uint32_t *at;               /* of each hour of a sort; then the first row of each content */
	uint32_t *hour_rank, hours; /* in the order of time */
	struct combination *combinations;
	uint32_t combinations_n, combinations_cap;
	struct table table;
	struct valued *valued;
	uint32_t valued_n, valued_cap;
};

/* -- visitors -- */

static void
number_visitors(struct grouping *w, struct radix_item *items, struct radix_item *spare)
{
	uint32_t n = w->batch->visitors, i, no = 0;

	batch_visitors(w->batch, w->hash);
	for (i = 0; i < n; i++)
		items[i] = (struct radix_item){w->hash[i], i};
	radix_sort(items, spare, n);
	for (i = 0; i < n; i++) {
		no += i > 0 && items[i].key != items[i - 1].key;
		w->hash[no] = items[i].key;
		w->visitor_no[items[i].index] = no;
	}
}

static int
load_visitors(struct grouping *w)
{
	size_t n = (size_t)w->batch->visitors + 1;
	struct radix_item *items = malloc(n * sizeof(*items)), *spare = malloc(n * sizeof(*spare));
	int err = -ENOMEM;

	w->hash = malloc(n * sizeof(*w->hash));
	w->visitor_no = malloc(n * sizeof(*w->visitor_no));
	if (items && spare && w->hash && w->visitor_no) {
		number_visitors(w, items, spare);
		err = 0;
	}
	free(items);
	free(spare);
	return err;
}

/* -- reading -- */

static inline uint32_t
combination_mix(uint64_t place, uint64_t subject, uint32_t classes)
{
	return table_mix(place, subject + (uint64_t)classes * UINT64_C(0x9fb21c651e98df25));
}

static uint32_t
combination_hash(const void *ctx, uint32_t i)
{
	const struct combination *c = &((const struct grouping *)ctx)->combinations[i];

	return combination_mix(c->place, c->subject, c->classes);
}

static int
combination_make(struct grouping *w, uint64_t place, uint64_t subject, uint32_t classes,
		 uint32_t *ret_index)
{
	uint32_t at;

	if (table_reserve(&w->table, w->combinations_n, combination_hash, w) < 0 ||
	    rollup_grow((void **)&w->combinations, w->combinations_n, &w->combinations_cap,
			sizeof(*w->combinations)) < 0)
		return -ENOMEM;
	at = combination_mix(place, subject, classes) & (w->table.buckets - 1);
	while (w->table.bucket[at])
		at = (at + 1) & (w->table.buckets - 1);
	*ret_index = w->combinations_n++;
	w->combinations[*ret_index] = (struct combination){place, subject, classes, 0, 0, 0, {0}};
	w->table.bucket[at] = w->combinations_n;
	return 0;
}

static inline int
combination_index(struct grouping *w, uint64_t place, uint64_t subject, uint32_t classes,
		  uint32_t *ret_index)
{
	const struct table *t = &w->table;
	const struct combination *c;
	uint32_t at;

	for (at = combination_mix(place, subject, classes); t->buckets; at++) {
		at &= t->buckets - 1;
		if (!t->bucket[at])
			break;
		c = &w->combinations[t->bucket[at] - 1];
		if (c->place == place && c->subject == subject && c->classes == classes) {
			*ret_index = t->bucket[at] - 1;
			return 0;
		}
	}
	return combination_make(w, place, subject, classes, ret_index);
}

/* Classes of a newer agent, which have no name here, are one with "unknown". */
static inline uint32_t
known(uint8_t number, unsigned n)
{
	return number < n ? number : 0;
}

static inline uint32_t
classes_of(const struct batch_block *b, uint32_t i)
{
	return known(b->browser[i], UA_BROWSER_N) << 24 | known(b->system[i], UA_SYSTEM_N) << 16 |
	       known(b->device[i], UA_DEVICE_N) << 8 | (uint32_t)batch_block_source(b, i);
}

static int
keep_value(struct grouping *w, uint32_t content, uint32_t combination, double value)
{
	if (rollup_grow((void **)&w->valued, w->valued_n, &w->valued_cap, sizeof(*w->valued)) < 0)
		return -ENOMEM;
	w->valued[w->valued_n++] = (struct valued){content, combination, value};
	return 0;
}

static inline int
read_event(struct grouping *w, const struct batch_block *b, uint32_t i,
	   const struct group_content *c)
{
	bool repeat = b->flags[i] & BATCH_FLAG_REPEAT;
	uint32_t hour, combination;
	int err = group_hour(w->g, b->ts_ms[i], &hour);

	if (!err)
		err = combination_index(w, three(hour, c->site, c->type),
					three(b->name[i], b->referrer[i], b->country[i]),
					classes_of(b, i), &combination);
	if (err)
		return err;
	w->combinations[combination].events++;
	w->combinations[combination].repeats += repeat;
	w->event[w->events++] = (uint64_t)c->no << CONTENT_AT |
				(uint64_t)w->visitor_no[b->visitor[i]] << VISITOR_AT |
				(uint64_t)combination << COMBINATION_AT | repeat;
	return b->flags[i] & BATCH_FLAG_VALUE
		   ? keep_value(w, c->no, combination, batch_block_value(b, i))
		   : 0;
}

/* Contents first: so that the processor waits for the memory of many at a time. */
static int
read_block(struct grouping *w, const struct batch_block *b, const uint8_t *skip)
{
	struct group_content content[BATCH_BLOCK];
	uint32_t i;
	int err = 0;

	for (i = 0; i < b->n; i++)
		content[i] = w->g->names.content[b->content[i]];
	for (i = 0; i < b->n && !err; i++)
		if (!skip || !skip[i])
			err = read_event(w, b, i, &content[i]);
	return err;
}

static int
read_events(struct grouping *w, const uint8_t *skip)
{
	const struct batch_block *b;
	struct batch_cursor c;
	int err = 0;

	batch_cursor_init(w->batch, &c);
	while (!err && (b = batch_next_block(&c))) {
		err = read_block(w, b, skip);
		skip = skip ? skip + b->n : NULL;
	}
	return err;
}

/* -- sorting -- */

static inline uint32_t
hour_of(const struct grouping *w, uint64_t event)
{
	return part(w->combinations[number_at(event, COMBINATION_AT)].place, 0);
}

static void
swap_events(struct grouping *w)
{
	uint64_t *swap = w->event;

	w->event = w->spare;
	w->spare = swap;
}

/* What counts, in turn, become: the places of the first of each. */
static void
places(uint32_t *count, uint32_t n)
{
	uint32_t at = 0, i, of_value;

	for (i = 0; i < n; i++) {
		of_value = count[i];
		count[i] = at;
		at += of_value;
	}
}

#define DIGIT_BITS (NUMBER_BITS / 2)
#define DIGITS (1u << DIGIT_BITS)

static void
sort_by_digit(struct grouping *w, unsigned at)
{
	const uint64_t *from = w->event;
	uint64_t *to = w->spare;
	uint32_t count[DIGITS] = {0}, i;

	for (i = 0; i < w->events; i++)
		count[from[i] >> at & (DIGITS - 1)]++;
	places(count, DIGITS);
	for (i = 0; i < w->events; i++)
		to[count[from[i] >> at & (DIGITS - 1)]++] = from[i];
	swap_events(w);
}

/* By the number at this place, those of one number in the order in which they are. In two steps:
 * each has fewer places to write to than the processor's first cache and table of pages hold. */
static void
sort_by_number(struct grouping *w, unsigned at)
{
	sort_by_digit(w, at);
	sort_by_digit(w, at + DIGIT_BITS);
}

static void
sort_by_hour(struct grouping *w)
{
	const uint64_t *from = w->event;
	uint32_t i;

	memset(w->at, 0, (size_t)w->hours * sizeof(*w->at));
	for (i = 0; i < w->events; i++)
		w->at[w->hour_rank[hour_of(w, from[i])]]++;
	places(w->at, w->hours);
	for (i = 0; i < w->events; i++)
		w->spare[w->at[w->hour_rank[hour_of(w, from[i])]]++] = from[i];
	swap_events(w);
}

static int
prepare_sorts(struct grouping *w)
{
	uint32_t keys = w->batch->contents;

	w->hours = w->g->periods_n; /* there are no others yet */
	if (keys < w->hours)
		keys = w->hours;
	w->at = malloc(((size_t)keys + 1) * sizeof(*w->at));
	w->hour_rank = group_period_ranks(w->g);
	return w->at && w->hour_rank ? 0 : -ENOMEM;
}

/* -- rows of all but contents -- */

static uint32_t
value_of(const struct combination *c, enum dim d)
{
	switch (d) {
	case DIM_TYPE:
		return part(c->place, 2);
	case DIM_EVENT:
		return part(c->subject, 0);
	case DIM_REFERRER:
		return part(c->subject, 1);
	case DIM_COUNTRY:
		return part(c->subject, 2);
	case DIM_BROWSER:
		return c->classes >> 24;
	case DIM_SYSTEM:
		return c->classes >> 16 & 0xff;
	case DIM_DEVICE:
		return c->classes >> 8 & 0xff;
	case DIM_SOURCE:
		return c->classes & 0xff;
	case DIM_SITE:
	case DIM_CONTENT:
	case DIM_NODE:
	case DIM_N:
	default:
		return 0;
	}
}

static int
make_rows(struct grouping *w)
{
	struct rollup_group *g = w->g;
	struct combination *c;
	uint32_t i;
	unsigned d;
	int err = 0;

	for (i = 0; i < w->combinations_n; i++) {
		c = &w->combinations[i];
		for (d = 0; d < DIMS && !err; d++) {
			err = group_row(g, part(c->place, 0), dims[d], part(c->place, 1),
					value_of(c, dims[d]), &c->row[d]);
			if (err)
				return err;
			g->rows[c->row[d]].row.events += c->events;
			g->rows[c->row[d]].row.repeats += c->repeats;
		}
	}
	return 0;
}

/* Events are sorted by visitor. */
static int
add_visitors(struct grouping *w)
{
	struct combination *c;
	struct group_row *r;
	uint32_t i, visitor;
	unsigned d;
	int err = 0;

	for (i = 0; i < w->events && !err; i++) {
		c = &w->combinations[number_at(w->event[i], COMBINATION_AT)];
		visitor = number_at(w->event[i], VISITOR_AT);
		if (c->seen == visitor + 1)
			continue;
		c->seen = visitor + 1;
		for (d = 0; d < DIMS && !err; d++) {
			r = &w->g->rows[c->row[d]];
			if (r->seen != visitor + 1)
				err = sketch_append(&r->row.visitors, w->hash[visitor]);
			r->seen = visitor + 1;
		}
	}
	return err;
}

static void
add_values(struct grouping *w)
{
	const struct valued *v;
	uint32_t i;
	unsigned d;

	for (i = 0; i < w->valued_n; i++) {
		v = &w->valued[i];
		for (d = 0; d < DIMS; d++)
			rollup_row_add_value(
			    &w->g->rows[w->combinations[v->combination].row[d]].row, v->value);
	}
}

/* -- rows of contents -- */

/* One row of the events from `from` on, which are of one content and hour, and its hashes behind
 * those of the others. */
static int
make_content(struct grouping *w, uint32_t from, uint32_t until, uint64_t *hashes,
	     uint32_t *ret_hashes)
{
	const struct names *names = &w->g->names;
	const uint64_t *e = w->event;
	uint32_t content = number_at(e[from], CONTENT_AT), n = 0, repeats = 0, i, row;
	uint32_t site = names->content[names->content_index[content]].site;
	struct group_row *r;
	int err = group_row_append(w->g, hour_of(w, e[from]), DIM_CONTENT, site, content, &row);

	if (err)
		return err;
	for (i = from; i < until; i++) { /* the last event of each visitor keeps its place */
		repeats += e[i] & 1;
		hashes[n] = w->hash[number_at(e[i], VISITOR_AT)];
		n += i + 1 == until || (e[i] ^ e[i + 1]) >> VISITOR_AT;
	}
	r = &w->g->rows[row];
	r->row.events = until - from;
	r->row.repeats = repeats;
	err = sketch_of(&r->row.visitors.form, hashes, n, &r->row.visitors);
	*ret_hashes = r->row.visitors.reg ? 0 : n;
	return err;
}

static uint32_t
content_end(const struct grouping *w, uint32_t from)
{
	const uint64_t *e = w->event;
	uint32_t until = from + 1, hour = hour_of(w, e[from]);

	while (until < w->events && (e[until] ^ e[from]) >> CONTENT_AT == 0 &&
	       (w->hours == 1 || hour_of(w, e[until]) == hour))
		until++;
	return until;
}

/* Events are sorted by content, hour and visitor. */
static int
make_contents(struct grouping *w)
{
	struct rollup_group *g = w->g;
	uint32_t from, until, hashes = 0, n = 0, content = 0;
	int err = 0;

	g->contents_from = g->rows_n;
	g->hashes = w->spare; /* nothing is sorted any more */
	w->spare = NULL;
	for (from = 0; from < w->events && !err; from = until) {
		until = content_end(w, from);
		while (content <= number_at(w->event[from], CONTENT_AT))
			w->at[content++] = g->rows_n;
		err = make_content(w, from, until, g->hashes + hashes, &n);
		hashes += n;
	}
	while (content <= w->batch->contents)
		w->at[content++] = g->rows_n;
	return err;
}

/* By halves, among the rows of the content. */
static struct rollup_row *
content_row(const struct grouping *w, uint32_t content, uint32_t hour)
{
	uint32_t low = w->at[content], high = w->at[content + 1], middle;

	while (high - low > 1) {
		middle = low + (high - low) / 2;
		if (w->hour_rank[w->g->rows[middle].period] > w->hour_rank[hour])
			high = middle;
		else
			low = middle;
	}
	return &w->g->rows[low].row;
}

static void
add_contents_values(struct grouping *w)
{
	const struct valued *v;
	uint32_t i;

	for (i = 0; i < w->valued_n; i++) {
		v = &w->valued[i];
		rollup_row_add_value(
		    content_row(w, v->content, part(w->combinations[v->combination].place, 0)),
		    v->value);
	}
}

/* -- the whole -- */

static int
group_others(struct grouping *w)
{
	int err = make_rows(w);

	if (err)
		return err;
	sort_by_number(w, VISITOR_AT);
	err = add_visitors(w);
	add_values(w);
	return err;
}

static int
group_contents(struct grouping *w)
{
	int err;

	if (w->hours > 1)
		sort_by_hour(w);
	sort_by_number(w, CONTENT_AT);
	err = group_rows_reserve(w->g, w->batch->contents);
	if (!err)
		err = make_contents(w);
	if (!err)
		add_contents_values(w);
	return err;
}

static int
group(struct grouping *w, const uint8_t *skip)
{
	int err = names_load(&w->g->names, w->batch);

	if (!err)
		err = load_visitors(w);
	w->event = rollup_alloc(((size_t)w->batch->events + 1) * sizeof(*w->event));
	w->spare = rollup_alloc(((size_t)w->batch->events + 1) * sizeof(*w->spare));
	if (!err && (!w->event || !w->spare))
		err = -ENOMEM;
	if (!err)
		err = read_events(w, skip);
	if (!err)
		err = prepare_sorts(w);
	if (!err)
		err = group_others(w);
	if (!err)
		err = group_add_up(w->g);
	if (!err)
		err = group_contents(w);
	if (!err)
		err = group_add_up_contents(w->g);
	return err ? err : group_sort(w->g);
}

static void
grouping_fini(struct grouping *w)
{
	free(w->hash);
	free(w->visitor_no);
	free(w->event);
	free(w->spare);
	free(w->at);
	free(w->hour_rank);
	free(w->combinations);
	free(w->table.bucket);
	free(w->valued);
}

int
rollup_group_batch(const struct batch *b, const uint8_t *skip, struct rollup_group **ret_group)
{
	struct rollup_group *g = calloc(1, sizeof(*g));
	struct grouping w = {.g = g, .batch = b};
	int err;

	if (!g)
		return -ENOMEM;
	memset(g->recent, 0xff, sizeof(g->recent));
	calendar_cache_init(&g->calendar);
	err = group(&w, skip);
	grouping_fini(&w);
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
	for (i = 0; i < g->rows_n; i++)
		rollup_row_fini(&g->rows[i].row);
	free(g->rows);
	free(g->table.bucket);
	free(g->hashes);
	free(g->periods);
	free(g->period_table.bucket);
	free(g->contents.at);
	free(g->order.at);
	names_fini(&g->names);
	free(g);
}

/* -- growth -- */

void
rollup_group_grew(struct rollup_group *g, size_t i, int64_t by)
{
	uint32_t day = g->order.at[i].period;
	const struct group_row *r = &g->rows[g->order.at[i].row];
	uint32_t type = g->names.content[g->names.content_index[r->value]].type;

	/* unsigned, so that a set which became a sketch may shrink its sums by its error; every
	 * event of a content made one of each */
	g->rows[group_row_find(g, day, DIM_SITE, r->site, 0)].row.unique_views += (uint64_t)by;
	g->rows[group_row_find(g, day, DIM_TYPE, r->site, type)].row.unique_views += (uint64_t)by;
}

void
rollup_group_forget_growth(struct rollup_group *g)
{
	uint32_t i;

	for (i = 0; i < g->contents_from; i++)
		g->rows[i].row.unique_views = 0;
}
