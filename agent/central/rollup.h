/* rollup.h -- additive rows by hour, day and month, and how a batch becomes them.
 *
 * Takes a decoded batch from store; gives increments, grouped in memory, one per row that the batch
 * touches. Every row belongs to one grain, period, site and dimension key; rows only ever add up
 * (sets merge), so a batch that comes a month late lands in its own hour and nothing is recomputed.
 *
 * Keys, time first (big-endian, version byte first): version, grain, period start (ms), dimension,
 * site, key. Values carry their own version byte. rollup.c begins with the byte tables. Grains and
 * dimensions are stored by their numbers: append to the enums, never reorder.
 *
 * Threads:  one grouping at a time per struct rollup_group.
 * Memory:   while grouping 16 bytes an event, 44 a visitor of the batch and 80 a content, and the rows
 *           that the batch touches; freed with the group.
 */
#ifndef CENTRAL_ROLLUP_H
#define CENTRAL_ROLLUP_H

#include "base/buf.h"
#include "central/calendar.h"
#include "central/sketch.h"
#include "proto/batch.h"

enum dim {
	DIM_SITE,    /* the site's total; key empty */
	DIM_CONTENT, /* key: type, 0, 'u' + 16 bytes or 's' + slug */
	DIM_TYPE,
	DIM_EVENT,
	DIM_REFERRER, /* key empty: direct */
	DIM_BROWSER,  /* keys of these three: names of ua_class.def */
	DIM_SYSTEM,
	DIM_DEVICE,
	DIM_COUNTRY, /* key empty: not known */
	DIM_NODE,
	DIM_SOURCE, /* source_name */
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
	uint64_t events;       /* all accepted */
	uint64_t repeats;      /* of which are no views */
	uint64_t unique_views; /* distinct visitors of each content and day, summed: in day rows of
	                        * DIM_SITE and DIM_TYPE only, 0 in all others */
	uint64_t values;       /* events that had a value */
	double sum,
	    sum_low;     /* of those: the sum, and what rounding took from it, so that the order in
	                        * which batches come does not show */
	double min, max; /* meaningless when values is 0 */
	struct sketch visitors; /* of views and repeats alike */
};

/* Views of a row: events that are no repeats. */
static inline uint64_t
rollup_views(const struct rollup_row *r)
{
	return r->events - r->repeats;
}

#define ROLLUP_KEY_MAX 512
#define ROLLUP_VALUE_MAX (64u << 10) /* an exact site set of 4,096 is 40 KB at worst */

/* Bytes, or 0 when it does not fit. Keys of one grain, period, dimension and site
 * stand together. */
size_t rollup_key_encode(const struct rollup_key *k, uint8_t *buf, size_t cap);
bool rollup_key_decode(const uint8_t *buf, size_t len, struct rollup_key *ret_key);

void rollup_row_init(struct rollup_row *r, enum dim d);
void rollup_row_fini(struct rollup_row *r);
/* 0; -ENOMEM or -EINVAL (sketches of another form), and then the row is as it was. */
int rollup_row_add(struct rollup_row *r, const struct rollup_row *other);
void rollup_row_add_value(struct rollup_row *r, double value);
size_t rollup_row_encode(const struct rollup_row *r, uint8_t *buf, size_t cap);
/* 0, -EBADMSG, -EPROTONOSUPPORT (a later version), -ENOMEM; initialises ret_row in every case. */
int rollup_row_decode(const uint8_t *buf, size_t len, enum dim d, struct rollup_row *ret_row);

/* The key of a content in rows of DIM_CONTENT (bytes, 0 when it does not fit), and back; the site
 * stays absent. */
#define ROLLUP_CONTENT_KEY_MAX (EVENT_NAME_MAX + 2 + EVENT_NAME_MAX)
size_t rollup_content_key(const struct batch_content *c, char *buf, size_t cap);
bool rollup_content_of(struct text key, struct batch_content *ret_content);

/* All increments of one batch. */
struct rollup_group;

/* skip[i] (NULL: none) leaves out event i: its twin was stored before. 0, -ENOMEM, or -EBADMSG for
 * dictionaries that end early. The batch is not needed afterwards. */
int rollup_group_batch(const struct batch *b, const uint8_t *skip, struct rollup_group **ret_group);
void rollup_group_free(struct rollup_group *g);

/* Increments sorted by encoded key. Row and texts of the key are lent until the group is freed. */
size_t rollup_group_rows(const struct rollup_group *g);
const struct rollup_row *rollup_group_row(const struct rollup_group *g, size_t i,
					  struct rollup_key *ret_key);

/* unique_views of a batch is known only where it meets what is stored. Row i being the day row of a
 * content: the count of its visitors has grown by so many; adds that to the increments of its
 * site's and its type's row. Both stand at other places, so apply contents first. */
void rollup_group_grew(struct rollup_group *g, size_t i, int64_t by);

/* Forgets all growth: before the same group is applied once more, after a deadlock. */
void rollup_group_forget_growth(struct rollup_group *g);

#endif
