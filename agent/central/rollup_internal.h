/* rollup_internal.h -- what the rollup_*.c files share; nobody else's.
 *
 * rollup.c: keys and rows as they are stored. rollup_group.c: from the events of a batch to its
 * rows. rollup_names.c: the dictionaries of a batch. rollup_rows.c: rows and periods by numbers,
 * days and months, the order of all.
 *
 * Threads:  none of its own.
 * Memory:   all belongs to the group.
 */
#ifndef CENTRAL_ROLLUP_INTERNAL_H
#define CENTRAL_ROLLUP_INTERNAL_H

#include "central/rollup.h"

#define NONE UINT32_MAX

/* As malloc, for what is large and soon gone: in huge pages, where the kernel has them, it costs no
 * fault for every 4 KiB. */
void *rollup_alloc(size_t bytes);

/* Room for one element more behind n; doubles. */
int rollup_grow(void **at, uint32_t n, uint32_t *cap, size_t size);

/* Finds an entry of an array by its hash; bucket holds index + 1. */
struct table {
	uint32_t *bucket;
	uint32_t buckets; /* a power of two */
};

/* Room for one entry more, at most half full; hash gives those of the n entries that are there. */
int table_reserve(struct table *t, uint32_t n, uint32_t (*hash)(const void *ctx, uint32_t i),
		  const void *ctx);

static inline uint32_t
table_mix(uint64_t a, uint64_t b)
{
	uint64_t z = a * UINT64_C(0x9e3779b97f4a7c15) ^ (b + UINT64_C(0x632be59bd9b4e019));

	z = (z ^ (z >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(z ^ (z >> 32));
}

/* -- what the events are about (rollup_names.c) -- */

/* Distinct texts, in the order in which they were first seen. */
struct texts {
	struct text *at;
	uint32_t n, cap;
	struct table table;
};

/* Which content an entry of the batch's dictionary is. */
struct group_content {
	uint32_t no; /* in the order of keys */
	uint32_t site, type;
};

/* Copies of the batch's dictionaries. Contents are numbered in the order of their keys, so that
 * what is sorted by number is sorted by key. */
struct names {
	char node[BATCH_NODE_MAX + 1];
	struct texts sites, types;
	struct text *event, *referrer, *country; /* by index */
	struct group_content *content;           /* by index */
	uint32_t *content_index;                 /* by number */
	struct text *content_key;                /* likewise: as in rows of DIM_CONTENT */
	uint32_t contents;
	uint8_t *bytes; /* of all texts */
};

int names_load(struct names *n, const struct batch *b);
void names_fini(struct names *n);

/* -- rows (rollup_rows.c) -- */

struct group_row {
	struct rollup_row row;
	uint32_t period, site;
	uint32_t value; /* index or number in names, or class number */
	uint32_t seen;  /* visitor that came last: number + 1 */
	enum dim dim;
};

struct period {
	enum grain grain;
	int64_t start_ms, next_ms;
	uint32_t parent; /* day of an hour, month of a day */
};

/* A row of a period. One row may stand for a content's hour, day and month: where a day has one
 * hour with events, it has that hour's counts. */
struct ref {
	uint32_t period, row;
};

struct refs {
	struct ref *at;
	uint32_t n, cap;
};

#define RECENT 16 /* quarters of an hour: a batch spans an hour, with few exceptions */

struct rollup_group {
	struct names names;
	/* first those of all dimensions but DIM_CONTENT, found by table; then contents */
	struct group_row *rows;
	uint32_t rows_n, rows_cap;
	struct table table;
	uint32_t contents_from;
	uint64_t *hashes; /* visitors of contents: exact sets lie here */
	struct period *periods;
	uint32_t periods_n, periods_cap;
	struct table period_table;
	uint32_t recent[RECENT]; /* hours, by quarter of an hour of time */
	struct calendar_cache calendar;
	struct refs contents; /* while grouping: by content, then grain, then time */
	struct refs order;    /* all, by key */
};

/* Index of the hour. */
int group_hour(struct rollup_group *g, int64_t t_ms, uint32_t *ret_period);
/* Place of each period in the order of time, within its grain; the caller frees. NULL:
 * no memory. */
uint32_t *group_period_ranks(const struct rollup_group *g);

/* Room for so many rows more, before they are appended. */
int group_rows_reserve(struct rollup_group *g, uint32_t rows);

/* Finds the row or makes it. */
int group_row(struct rollup_group *g, uint32_t period, enum dim dim, uint32_t site, uint32_t value,
	      uint32_t *ret_row);
uint32_t group_row_find(const struct rollup_group *g, uint32_t period, enum dim dim, uint32_t site,
			uint32_t value); /* NONE: there is none */
/* One more at the end, not found by group_row. */
int group_row_append(struct rollup_group *g, uint32_t period, enum dim dim, uint32_t site,
		     uint32_t value, uint32_t *ret_row);

/* Days and months of rows of hours: of all but contents; then of contents, whose hours are rows
 * from contents_from on, by number and time. */
int group_add_up(struct rollup_group *g);
int group_add_up_contents(struct rollup_group *g);

/* Puts all in order of their keys. */
int group_sort(struct rollup_group *g);

#endif
