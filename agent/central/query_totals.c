#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "central/query_internal.h"

/* -- summary -- */

struct summary {
	struct period period;
	struct text type; /* absent: site rows, which have no key */
	struct count count;
};

static int
add_summary(void *ctx, const struct rollup_key *key, const struct rollup_row *row)
{
	struct summary *s = ctx;

	if (s->type.at && !text_eq(s->type, key->key))
		return 0;
	return count_add(&s->count, period_of(&s->period, key->start_ms), row);
}

static json_t *
summary_json(const struct query *q, const struct query_range *range, const struct count *c,
	     const struct nodes_state *nodes, uint64_t lost)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o}", "from",
			 range->from, "to", range->to, "time_zone", q->conf->central_time_zone,
			 "total_views", query_number(c->events), "views",
			 query_number(c->events - c->repeats), "unique_views",
			 query_number(c->unique_views), "visitors", query_number(c->visitors),
			 "complete", nodes_are_complete(nodes, range->from_ms, range->until_ms),
			 "missing", nodes_missing(nodes, range->from_ms, range->until_ms), "lost",
			 query_number(lost), "lost_batches",
			 query_number(nodes_lost_batches(nodes, range->from_ms, range->until_ms)));
}

void
query_ask_summary(struct query *q, const struct query_args *a, struct query_result *r)
{
	struct summary s = {.period.rotation = q->rotation};
	struct nodes_state nodes = {0};
	struct query_range range;
	struct text site;
	uint64_t lost = 0;
	enum dim dim;
	int err;

	if (!query_take_range(a, &range, r) || !query_take_name(a, "type", &s.type, r) ||
	    !query_take_name(a, "site", &site, r))
		return;
	dim = s.type.at ? DIM_TYPE : DIM_SITE;
	count_init(&s.count, dim);
	err = nodes_read(q, a->now_ms, &nodes);
	if (!err)
		err = query_lost(q, range.from_ms, range.until_ms, &lost);
	if (!err)
		err = store_scan(q->store, GRAIN_DAY, dim, range.from_ms, range.until_ms, site,
				 add_summary, &s);
	count_finish(&s.count);
	if (err)
		query_fail(r, err);
	else
		query_answer(r, summary_json(q, &range, &s.count, &nodes, lost));
	count_fini(&s.count);
	nodes_free(&nodes);
}

/* -- points: one per period, the empty ones as well -- */

struct point {
	int64_t start_ms, until_ms; /* as far as it lies in the range */
	uint64_t events, repeats, visitors;
	bool found; /* there are rows */
};

struct points {
	const struct query *query;
	enum grain grain;
	int64_t known_from_ms; /* rows of this grain from before were removed */
	struct text key;       /* absent: rows of every key */
	struct point *point;
	size_t n, at; /* at: the point whose rows are being counted */
	struct count count, total;
	struct period period;
};

static int
points_init(struct points *p, const struct query *q, enum grain g, const struct query_range *range,
	    enum dim d)
{
	int64_t t, next;
	size_t n = 0;
	int err;

	memset(p, 0, sizeof(*p));
	p->query = q;
	p->period.rotation = q->rotation;
	p->grain = g;
	count_init(&p->count, d);
	count_init(&p->total, d);
	if (g == GRAIN_HOUR) {
		err = store_hours_from(q->store, &p->known_from_ms);
		if (err)
			return err;
	}
	for (t = range->from_ms; t < range->until_ms; t = calendar_next(g, calendar_start(g, t)))
		n++;
	p->point = calloc(n + 1, sizeof(*p->point));
	if (!p->point)
		return -ENOMEM;
	for (t = range->from_ms; t < range->until_ms; t = next) {
		next = calendar_next(g, calendar_start(g, t));
		p->point[p->n].start_ms = t;
		p->point[p->n++].until_ms = next < range->until_ms ? next : range->until_ms;
	}
	return 0;
}

static void
points_fini(struct points *p)
{
	count_fini(&p->count);
	count_fini(&p->total);
	free(p->point);
}

/* Puts the finished count into its point and starts an empty one. */
static void
points_settle(struct points *p)
{
	struct sketch_form form = p->count.sketch.form;
	struct point *at = &p->point[p->at];

	count_finish(&p->count);
	at->events = p->count.events;
	at->repeats = p->count.repeats;
	at->visitors = p->count.visitors;
	count_fini(&p->count);
	memset(&p->count, 0, sizeof(p->count));
	p->count.period_ms = INT64_MIN;
	sketch_init(&p->count.sketch, &form);
}

/* Visitors of an hour or a day are those of that point; of a month, summed over its
 * salt periods. */
static int
add_point(void *ctx, const struct rollup_key *key, const struct rollup_row *row)
{
	struct points *p = ctx;
	int64_t period;
	int err;

	if (p->key.at && !text_eq(p->key, key->key))
		return 0;
	while (p->at + 1 < p->n && key->start_ms >= p->point[p->at].until_ms) {
		points_settle(p);
		p->at++;
	}
	p->point[p->at].found = true;
	period = period_of(&p->period, key->start_ms);
	err =
	    count_add(&p->count, p->grain == GRAIN_MONTH ? period : p->point[p->at].start_ms, row);
	return err ? err : count_add(&p->total, period, row);
}

/* Month points come from day rows: a month may lie partly in the range, and what is summed here is
 * then what summary says. */
static int
points_scan(struct points *p, enum dim d, const struct query_range *range, struct text site)
{
	enum grain rows = p->grain == GRAIN_MONTH ? GRAIN_DAY : p->grain;
	int err = store_scan(p->query->store, rows, d, range->from_ms, range->until_ms, site,
			     add_point, p);

	points_settle(p);
	count_finish(&p->total);
	return err;
}

/* Something is known of a period when it has rows, or when a node was reporting during it; but not
 * when rows of it were removed: what was added since is not all of it. */
static json_t *
point_json(const struct points *p, const struct point *at, const struct nodes_state *nodes)
{
	bool known = at->start_ms >= p->known_from_ms &&
		     (at->found || (nodes->first_ms && at->until_ms > nodes->first_ms &&
				    at->start_ms < nodes->now_ms));
	char t[CALENDAR_TEXT];

	calendar_format(p->grain, calendar_start(p->grain, at->start_ms), t);
	return json_pack("{s:s, s:o, s:o, s:o, s:b}", "t", t, "views",
			 known ? query_number(at->events - at->repeats) : json_null(), "visitors",
			 known ? query_number(at->visitors) : json_null(), "total_views",
			 known ? query_number(at->events) : json_null(), "complete",
			 known && nodes_are_complete(nodes, at->start_ms, at->until_ms));
}

static json_t *
points_json(const struct points *p, const struct nodes_state *nodes)
{
	json_t *points = json_array();
	size_t i;

	for (i = 0; i < p->n; i++)
		json_array_append_new(points, point_json(p, &p->point[i], nodes));
	return points;
}

/* -- series -- */

static bool
take_grain(const struct query_args *a, const struct query_range *range, enum grain *ret_grain,
	   const char **ret_name, struct query_result *r)
{
	static const char *const names[GRAIN_N] = {"hour", "day", "month"};
	const char *value = a->get(a->ctx, "grain");
	unsigned g;

	for (g = 0; g < GRAIN_N; g++)
		if (strcmp(value ? value : "day", names[g]) == 0)
			break;
	if (g == GRAIN_N)
		return query_refuse(r, 400, "grain: must be hour, day or month");
	if (g == GRAIN_HOUR && range->until_ms - range->from_ms > QUERY_HOURS_DAYS_MAX * DAY_MS)
		return query_refuse(r, 400, "grain: hours only for at most %d days",
				    QUERY_HOURS_DAYS_MAX);
	*ret_grain = (enum grain)g;
	*ret_name = names[g];
	return true;
}

void
query_ask_series(struct query *q, const struct query_args *a, struct query_result *r)
{
	struct nodes_state nodes = {0};
	struct query_range range;
	struct text type, site;
	struct points p;
	const char *name = NULL;
	enum grain grain = GRAIN_DAY;
	enum dim dim;
	int err;

	if (!query_take_range(a, &range, r) || !take_grain(a, &range, &grain, &name, r) ||
	    !query_take_name(a, "type", &type, r) || !query_take_name(a, "site", &site, r))
		return;
	dim = type.at ? DIM_TYPE : DIM_SITE;
	err = points_init(&p, q, grain, &range, dim);
	p.key = type;
	if (!err)
		err = nodes_read(q, a->now_ms, &nodes);
	if (!err)
		err = points_scan(&p, dim, &range, site);
	if (err)
		query_fail(r, err);
	else
		query_answer(
		    r, json_pack("{s:s, s:o}", "grain", name, "points", points_json(&p, &nodes)));
	points_fini(&p);
	nodes_free(&nodes);
}

/* -- content/TYPE/ID -- */

/* The roll-up key of a content: type, 0, 'u' and 16 bytes, or 's' and a slug. */
struct content_key {
	char bytes[2 * EVENT_NAME_MAX + 2];
	size_t len;
	struct text type;
	char id[EVENT_NAME_MAX + 1];
};

static bool
take_content(const char *which, struct content_key *ret_key, struct query_result *r)
{
	const char *slash = strchr(which, '/');
	struct text type = {which, slash ? (size_t)(slash - which) : 0};
	struct text id = text_of(slash ? slash + 1 : "");
	struct writer w = writer_of(ret_key->bytes, sizeof(ret_key->bytes));
	uint8_t uuid[16];

	if (!event_name_valid(type))
		return query_refuse(r, 404,
				    "content/TYPE/ID: TYPE must be 1 to 64 of a-z A-Z 0-9 _ - .");
	put_bytes(&w, type.at, type.len);
	put_u8(&w, 0);
	ret_key->type = type;
	if (text_to_uuid(id, uuid)) {
		put_u8(&w, 'u');
		put_bytes(&w, uuid, sizeof(uuid));
		text_from_uuid(uuid, ret_key->id);
	} else if (event_slug_valid(id)) {
		put_u8(&w, 's');
		put_bytes(&w, id.at, id.len);
		snprintf(ret_key->id, sizeof(ret_key->id), "%s", id.at);
	} else {
		return query_refuse(r, 404, "content/TYPE/ID: ID must be a UUID or a slug");
	}
	ret_key->len = w.len;
	return true;
}

static json_t *
content_json(const struct content_key *key, const struct points *p, uint64_t unique_views,
	     const struct nodes_state *nodes)
{
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "type", query_text(key->type), "id",
			 key->id, "total_views", query_number(p->total.events), "views",
			 query_number(p->total.events - p->total.repeats), "visitors",
			 query_number(p->total.visitors), "unique_views",
			 query_number(unique_views), "points", points_json(p, nodes));
}

/* Reads the content rows of all contents in the range: keys begin with the time. */
void
query_ask_content(struct query *q, const char *which, const struct query_args *a,
		  struct query_result *r)
{
	struct nodes_state nodes = {0};
	struct query_range range;
	struct content_key key;
	struct points p;
	uint64_t unique_views = 0;
	struct text site;
	size_t i;
	int err;

	if (!take_content(which, &key, r) || !query_take_range(a, &range, r) ||
	    !query_take_name(a, "site", &site, r))
		return;
	err = points_init(&p, q, GRAIN_DAY, &range, DIM_CONTENT);
	p.key = (struct text){key.bytes, key.len};
	if (!err)
		err = nodes_read(q, a->now_ms, &nodes);
	if (!err)
		err = points_scan(&p, DIM_CONTENT, &range, site);
	for (i = 0; !err && i < p.n; i++)
		unique_views += p.point[i].visitors; /* distinct visitors of each day, summed */
	if (err)
		query_fail(r, err);
	else
		query_answer(r, content_json(&key, &p, unique_views, &nodes));
	points_fini(&p);
	nodes_free(&nodes);
}
