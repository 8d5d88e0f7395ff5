/* Key: time first, so that what a batch touches lies close together
 *
 *   u8 version 1, u8 grain, u64 big-endian start (ms) with its sign bit turned (so that bytes sort as
 *   times), u8 dimension, u8 length of site, site, key to the end
 *
 * Row
 *
 *   u8 version 1, varint events, varint repeats, varint unique_views, varint values;
 *   when values is not 0: f64 sum, f64 sum_low, f64 min, f64 max;
 *   the visitors to the end (sketch.c)
 */
#include "central/rollup.h"

#include <errno.h>
#include <math.h>

#define KEY_VERSION 1
#define ROW_VERSION 1
#define SIGN (UINT64_C(1) << 63)

static const char *const dim_names[DIM_N] = {"site",     "content", "type",   "event",
					     "referrer", "browser", "system", "device",
					     "country",  "node",    "source"};

const char *
dim_name(enum dim d)
{
	return dim_names[d];
}

bool
dim_find(struct text name, enum dim *ret_dim)
{
	unsigned d;

	for (d = 0; d < DIM_N; d++) {
		if (text_is(name, dim_names[d])) {
			*ret_dim = (enum dim)d;
			return true;
		}
	}
	return false;
}

/* -- keys -- */

size_t
rollup_key_encode(const struct rollup_key *k, uint8_t *buf, size_t cap)
{
	struct writer w = writer_of(buf, cap);

	put_u8(&w, KEY_VERSION);
	put_u8(&w, (uint8_t)k->grain);
	put_u64_be(&w, (uint64_t)k->start_ms ^ SIGN);
	put_u8(&w, (uint8_t)k->dim);
	put_text8(&w, k->site);
	put_bytes(&w, k->key.at, k->key.len);
	return w.bad ? 0 : w.len;
}

bool
rollup_key_decode(const uint8_t *buf, size_t len, struct rollup_key *ret_key)
{
	struct reader r = reader_of(buf, len);
	struct rollup_key k;
	uint8_t version = get_u8(&r), grain = get_u8(&r), dim;

	k.start_ms = (int64_t)(get_u64_be(&r) ^ SIGN);
	dim = get_u8(&r);
	k.site = get_text8(&r);
	if (r.bad || version != KEY_VERSION || grain >= GRAIN_N || dim >= DIM_N)
		return false;
	k.grain = (enum grain)grain;
	k.dim = (enum dim)dim;
	k.key = (struct text){(const char *)buf + r.at, len - r.at};
	*ret_key = k;
	return true;
}

size_t
rollup_content_key(const struct batch_content *c, char *buf, size_t cap)
{
	struct writer w = writer_of(buf, cap);

	put_bytes(&w, c->type.at, c->type.len);
	put_u8(&w, 0);
	put_u8(&w, c->has_uuid ? 'u' : 's');
	if (c->has_uuid)
		put_bytes(&w, c->uuid, sizeof(c->uuid));
	else
		put_bytes(&w, c->id.at, c->id.len);
	return w.bad ? 0 : w.len;
}

bool
rollup_content_of(struct text key, struct batch_content *ret_content)
{
	const char *end = key.len ? memchr(key.at, 0, key.len) : NULL;
	struct batch_content c = {0};
	size_t left;

	if (!end)
		return false;
	c.type = (struct text){key.at, (size_t)(end - key.at)};
	left = key.len - c.type.len - 1;
	if (left == 0 || (end[1] != 'u' && end[1] != 's'))
		return false;
	c.has_uuid = end[1] == 'u';
	if (c.has_uuid && left != 1 + sizeof(c.uuid))
		return false;
	if (c.has_uuid)
		memcpy(c.uuid, end + 2, sizeof(c.uuid));
	else
		c.id = (struct text){end + 2, left - 1};
	*ret_content = c;
	return true;
}

/* -- rows -- */

void
rollup_row_init(struct rollup_row *r, enum dim d)
{
	*r = (struct rollup_row){0};
	sketch_init(&r->visitors, d == DIM_SITE ? &sketch_site : &sketch_small);
}

void
rollup_row_fini(struct rollup_row *r)
{
	sketch_fini(&r->visitors);
}

/* Adds the exact value high + low, keeping what rounding takes (Knuth's two-sum). */
static void
sum_add(struct rollup_row *r, double high, double low)
{
	double sum = r->sum + high, of_high = sum - r->sum;

	low += r->sum_low + ((r->sum - (sum - of_high)) + (high - of_high));
	r->sum = sum + low;
	r->sum_low = isfinite(r->sum) ? low - (r->sum - sum) : 0;
}

static void
values_add(struct rollup_row *r, const struct rollup_row *other)
{
	if (other->values == 0)
		return;
	if (r->values == 0 || other->min < r->min)
		r->min = other->min;
	if (r->values == 0 || other->max > r->max)
		r->max = other->max;
	sum_add(r, other->sum, other->sum_low);
	r->values += other->values;
}

int
rollup_row_add(struct rollup_row *r, const struct rollup_row *other)
{
	int err = sketch_merge(&r->visitors, &other->visitors);

	if (err)
		return err;
	r->events += other->events;
	r->repeats += other->repeats;
	r->unique_views += other->unique_views;
	values_add(r, other);
	return 0;
}

void
rollup_row_add_value(struct rollup_row *r, double value)
{
	const struct rollup_row one = {.values = 1, .sum = value, .min = value, .max = value};

	values_add(r, &one);
}

size_t
rollup_row_encode(const struct rollup_row *r, uint8_t *buf, size_t cap)
{
	struct writer w = writer_of(buf, cap);
	size_t n;

	put_u8(&w, ROW_VERSION);
	put_varint(&w, r->events);
	put_varint(&w, r->repeats);
	put_varint(&w, r->unique_views);
	put_varint(&w, r->values);
	if (r->values) {
		put_f64(&w, r->sum);
		put_f64(&w, r->sum_low);
		put_f64(&w, r->min);
		put_f64(&w, r->max);
	}
	if (w.bad)
		return 0;
	n = sketch_encode(&r->visitors, buf + w.len, cap - w.len);
	return n ? w.len + n : 0;
}

int
rollup_row_decode(const uint8_t *buf, size_t len, enum dim d, struct rollup_row *ret_row)
{
	struct reader r = reader_of(buf, len);
	uint8_t version = get_u8(&r);

	rollup_row_init(ret_row, d);
	if (!r.bad && version > ROW_VERSION)
		return -EPROTONOSUPPORT;
	ret_row->events = get_varint(&r);
	ret_row->repeats = get_varint(&r);
	ret_row->unique_views = get_varint(&r);
	ret_row->values = get_varint(&r);
	if (ret_row->values) {
		ret_row->sum = get_f64(&r);
		ret_row->sum_low = get_f64(&r);
		ret_row->min = get_f64(&r);
		ret_row->max = get_f64(&r);
	}
	if (r.bad || version != ROW_VERSION || ret_row->repeats > ret_row->events)
		return -EBADMSG;
	return sketch_decode(buf + r.at, len - r.at, &ret_row->visitors.form, &ret_row->visitors);
}
