#include <errno.h>
#include <stdlib.h>

#include "central/query_internal.h"

struct rows {
	struct tally tally;
	struct period period;
	struct text type; /* only this one; absent: all */
};

/* -- top: the key is site, 0, content key -- */

static bool
is_of_type(struct text content_key, struct text type)
{
	return content_key.len > type.len && memcmp(content_key.at, type.at, type.len) == 0 &&
	       content_key.at[type.len] == '\0';
}

static int
add_content(void *ctx, const struct rollup_key *key, const struct rollup_row *row)
{
	struct rows *rows = ctx;
	char bytes[ROLLUP_KEY_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));

	if (rows->type.at && !is_of_type(key->key, rows->type))
		return 0;
	put_bytes(&w, key->key.at, key->key.len);
	put_bytes(&w, key->site.at, key->site.len);
	put_u8(&w,
	       (uint8_t)key->site.len); /* last, so that equal counts come in order of content */
	if (w.bad)
		return -EIO;
	return tally_add(&rows->tally, (struct text){bytes, w.len},
			 period_of(&rows->period, key->start_ms), row);
}

static json_t *
content_row(const struct tally_entry *e)
{
	size_t site_len = (uint8_t)e->key[e->key_len - 1];
	size_t len = e->key_len - 1 - site_len;
	struct text site = {e->key + len, site_len};
	struct batch_content content;
	char uuid[37];

	if (!rollup_content_of((struct text){e->key, len}, &content))
		return NULL;
	if (content.has_uuid) {
		text_from_uuid(content.uuid, uuid);
		content.id = text_of(uuid);
	}
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "type", query_text(content.type), "id",
			 query_text(content.id), "site", query_text(site), "views",
			 query_number(e->count.events - e->count.repeats), "visitors",
			 query_number(e->count.visitors), "total_views",
			 query_number(e->count.events));
}

static json_t *
key_row(const struct tally_entry *e)
{
	return json_pack(
	    "{s:o, s:o, s:o, s:o}", "key", query_text((struct text){e->key, e->key_len}), "views",
	    query_number(e->count.events - e->count.repeats), "visitors",
	    query_number(e->count.visitors), "total_views", query_number(e->count.events));
}

static json_t *
rows_json(const struct tally *t, size_t limit, json_t *(*row)(const struct tally_entry *e))
{
	json_t *rows = json_array();
	size_t i;

	for (i = 0; i < t->n && i < limit; i++)
		json_array_append_new(rows, row(&t->entry[i]));
	return json_pack("{s:o}", "rows", rows);
}

static bool
take_sort(const struct query_args *a, bool *ret_by_visitors, struct query_result *r)
{
	const char *value = a->get(a->ctx, "sort");

	*ret_by_visitors = value && strcmp(value, "visitors") == 0;
	if (!value || *ret_by_visitors || strcmp(value, "views") == 0)
		return true;
	return query_refuse(r, 400, "sort: must be views or visitors");
}

void
query_ask_top(struct query *q, const struct query_args *a, struct query_result *r)
{
	struct rows rows = {.period.rotation = q->rotation};
	struct query_range range;
	struct text site;
	bool by_visitors;
	int64_t limit;
	int err;

	if (!query_take_range(a, &range, r) || !query_take_name(a, "type", &rows.type, r) ||
	    !query_take_name(a, "site", &site, r) || !take_sort(a, &by_visitors, r) ||
	    !query_take_number(a, "limit", 1, QUERY_LIMIT_MAX, 20, &limit, r))
		return;
	tally_init(&rows.tally, q, DIM_CONTENT);
	rows.tally.once = q->rotation == ROTATION_DAY;
	err = store_scan(q->store, GRAIN_DAY, DIM_CONTENT, range.from_ms, range.until_ms, site,
			 add_content, &rows);
	tally_finish(&rows.tally, by_visitors);
	if (err)
		query_fail(r, err);
	else
		query_answer(r, rows_json(&rows.tally, (size_t)limit, content_row));
	tally_fini(&rows.tally);
}

/* -- breakdown -- */

static int
add_key(void *ctx, const struct rollup_key *key, const struct rollup_row *row)
{
	struct rows *rows = ctx;

	return tally_add(&rows->tally, key->dim == DIM_SITE ? key->site : key->key,
			 period_of(&rows->period, key->start_ms), row);
}

static bool
take_dim(const struct query_args *a, enum dim *ret_dim, struct query_result *r)
{
	const char *value = a->get(a->ctx, "dim");

	if (value && dim_find(text_of(value), ret_dim) && *ret_dim != DIM_CONTENT)
		return true;
	return query_refuse(r, 400,
			    "dim: must be site, type, event, referrer, browser, system, device, "
			    "country, node or source");
}

/* Every dimension is counted on its own, so there is no breakdown within a type; nobody may take
 * all types for one. */
void
query_ask_breakdown(struct query *q, const struct query_args *a, struct query_result *r)
{
	struct rows rows = {.period.rotation = q->rotation};
	struct query_range range;
	struct text site;
	bool by_visitors;
	int64_t limit;
	enum dim dim = DIM_SITE;
	int err;

	if (a->get(a->ctx, "type")) {
		query_refuse(r, 400,
			     "type: there is no breakdown within a type; top, series and "
			     "summary take one");
		return;
	}
	if (!query_take_range(a, &range, r) || !take_dim(a, &dim, r) ||
	    !query_take_name(a, "site", &site, r) || !take_sort(a, &by_visitors, r) ||
	    !query_take_number(a, "limit", 1, QUERY_LIMIT_MAX, QUERY_LIMIT_MAX, &limit, r))
		return;
	tally_init(&rows.tally, q, dim);
	err = store_scan(q->store, GRAIN_DAY, dim, range.from_ms, range.until_ms, site, add_key,
			 &rows);
	tally_finish(&rows.tally, by_visitors);
	if (err)
		query_fail(r, err);
	else
		query_answer(r, rows_json(&rows.tally, (size_t)limit, key_row));
	tally_fini(&rows.tally);
}
