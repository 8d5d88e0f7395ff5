/* rollup.h -- additive rows by hour, day and month, and how a batch becomes them.
 *
 * Takes a decoded batch from store; gives increments, grouped in memory, one per row that the batch
 * touches. Every row belongs to one grain, period, site and dimension key; rows only ever add up
 * (sets merge), so a batch that comes a month late lands in its own hour and nothing is recomputed.
 *
 * Keys, time first (big-endian, version byte first): version, grain, period start (ms), dimension,
 * site, key. Values carry their own version byte. rollup.c begins with the byte tables.
 *
 * Threads:  one grouping at a time per struct rollup_group.
 * Memory:   grows with the number of rows that a batch touches; freed with the group.
 */
#ifndef CENTRAL_ROLLUP_H
#define CENTRAL_ROLLUP_H

#include "base/buf.h"
#include "central/calendar.h"
#include "central/sketch.h"
#include "proto/batch.h"

enum dim {
	DIM_SITE, /* the site's total; key empty */
	DIM_CONTENT, /* key: type, 0, 'u' + 16 bytes or 's' + slug */
	DIM_TYPE,
	DIM_EVENT,
	DIM_REFERRER, /* key empty: direct */
	DIM_BROWSER,
	DIM_SYSTEM,
	DIM_DEVICE,
	DIM_COUNTRY,
	DIM_NODE,
	DIM_SOURCE,
	DIM_N
};

const char *dim_name(enum dim d); /* "site", "content", "type", … */
bool dim_find(struct text name, enum dim *ret_dim);

struct rollup_key {
	enum grain grain;
	int64_t start_ms;
	enum dim dim;
	struct text site, key; /* lent by whoever filled it */
};

struct rollup_row {
	uint64_t events;  /* all accepted */
	uint64_t repeats; /* of which are no views */
	uint64_t unique_views; /* day rows of DIM_SITE and DIM_TYPE: distinct visitors of each content and day, summed */
	uint64_t values;  /* events that had a value */
	double sum, min, max; /* of those; min and max meaningless when values is 0 */
	struct sketch visitors;
};

#define ROLLUP_KEY_MAX 512
#define ROLLUP_VALUE_MAX (64u << 10) /* an exact site set of 4,096 is 40 KB at worst */

size_t rollup_key_encode(const struct rollup_key *k, uint8_t *buf, size_t cap);
bool rollup_key_decode(const uint8_t *buf, size_t len, struct rollup_key *ret_key);

void rollup_row_init(struct rollup_row *r, enum dim d);
void rollup_row_fini(struct rollup_row *r);
int rollup_row_add(struct rollup_row *r, const struct rollup_row *other); /* 0, -ENOMEM */
size_t rollup_row_encode(const struct rollup_row *r, uint8_t *buf, size_t cap);
int rollup_row_decode(const uint8_t *buf, size_t len, enum dim d, struct rollup_row *ret_row);

/* The content of a DIM_CONTENT key. */
bool rollup_content_of(struct text key, struct batch_content *ret_content);

/* All increments of one batch. */
struct rollup_group;

/* skip[i] (NULL: none) leaves out event i: its twin was stored before. 0, -ENOMEM. */
int rollup_group_batch(const struct batch *b, const uint8_t *skip, struct rollup_group **ret_group);
void rollup_group_free(struct rollup_group *g);

/* Increments sorted by encoded key. Lent until the group is freed. */
size_t rollup_group_rows(const struct rollup_group *g);
const struct rollup_row *rollup_group_row(const struct rollup_group *g, size_t i,
                                          struct rollup_key *ret_key);

#endif
