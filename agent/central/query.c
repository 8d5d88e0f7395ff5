#include "central/query.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "central/query_internal.h"

#define STANDARD_DAYS 28 /* four weeks, so that every weekday counts alike */

int
query_new(const struct conf *c, struct store *store, struct auth *auth, struct query **ret_query)
{
	struct query *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->conf = c;
	q->store = store;
	q->auth = auth;
	pthread_mutex_init(&q->clocks.lock, NULL);
	if (!rotation_find(c->central_salt_rotation, &q->rotation)) {
		query_free(q);
		return -EINVAL;
	}
	*ret_query = q;
	return 0;
}

void
query_free(struct query *q)
{
	if (q)
		pthread_mutex_destroy(&q->clocks.lock);
	free(q);
}

/* -- results -- */

bool
query_refuse(struct query_result *result, unsigned status, const char *format, ...)
{
	va_list args;

	result->status = status;
	va_start(args, format);
	vsnprintf(result->error, sizeof(result->error), format, args);
	va_end(args);
	return false;
}

void
query_fail(struct query_result *result, int err)
{
	if (err == -ENOBUFS)
		query_refuse(result, 503,
			     "more rows than fit into memory at once; ask for fewer days, "
			     "one site or one type");
	else if (err == -ENOMEM)
		query_refuse(result, 503, "out of memory");
	else
		query_refuse(result, 503, "the store cannot be read at present");
}

void
query_answer(struct query_result *result, json_t *json)
{
	result->json = json;
	result->status = 200;
	if (!json)
		query_fail(result, -ENOMEM);
}

json_t *
query_time(int64_t t_ms)
{
	char text[WALL_TEXT];

	if (t_ms == 0)
		return json_null();
	wall_format((struct wall_ms){t_ms}, text);
	return json_string(text);
}

json_t *
query_text(struct text t)
{
	return json_stringn(t.at ? t.at : "", t.len);
}

json_t *
query_number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* -- arguments -- */

static bool
take_day(const struct query_args *a, const char *name, int64_t standard_ms, int64_t *ret_ms,
	 struct query_result *result)
{
	const char *value = a->get(a->ctx, name);

	*ret_ms = standard_ms;
	if (!value || calendar_parse_day(text_of(value), ret_ms))
		return true;
	return query_refuse(result, 400, "%s: must be a date, YYYY-MM-DD", name);
}

static int64_t
days_before(int64_t day_ms, int days)
{
	while (days-- > 0) /* a moment before a day lies in the one before: exact on DST days */
		day_ms = calendar_start(GRAIN_DAY, day_ms - 1);
	return day_ms;
}

bool
query_take_range(const struct query_args *a, struct query_range *ret_range,
		 struct query_result *result)
{
	int64_t to_ms, from_ms;

	if (!take_day(a, "to", calendar_start(GRAIN_DAY, a->now_ms), &to_ms, result) ||
	    !take_day(a, "from", days_before(to_ms, STANDARD_DAYS - 1), &from_ms, result))
		return false;
	if (from_ms > to_ms)
		return query_refuse(result, 400, "from: must not lie behind `to`");
	ret_range->from_ms = from_ms;
	ret_range->until_ms = calendar_next(GRAIN_DAY, to_ms);
	if (ret_range->until_ms - from_ms > QUERY_DAYS_MAX * DAY_MS)
		return query_refuse(result, 400, "from: at most ten years before `to`");
	calendar_format(GRAIN_DAY, from_ms, ret_range->from);
	calendar_format(GRAIN_DAY, to_ms, ret_range->to);
	return true;
}

bool
query_take_name(const struct query_args *a, const char *name, struct text *ret_name,
		struct query_result *result)
{
	const char *value = a->get(a->ctx, name);

	*ret_name = (struct text){NULL, 0};
	if (!value || value[0] == '\0') /* a form's empty field */
		return true;
	if (!event_name_valid(text_of(value)))
		return query_refuse(result, 400, "%s: must be 1 to 64 of a-z A-Z 0-9 _ - .", name);
	*ret_name = text_of(value);
	return true;
}

bool
query_take_number(const struct query_args *a, const char *name, int64_t min, int64_t max,
		  int64_t standard, int64_t *ret_number, struct query_result *result)
{
	const char *value = a->get(a->ctx, name);
	char *end = NULL;
	long long n;

	*ret_number = standard;
	if (!value)
		return true;
	errno = 0;
	n = strtoll(value, &end, 10);
	if (errno || end == value || *end != '\0' || n < min || n > max)
		return query_refuse(result, 400, "%s: must be a number from %lld to %lld", name,
				    (long long)min, (long long)max);
	*ret_number = n;
	return true;
}

/* -- questions -- */

void
query_ask(struct query *q, const char *question, const struct query_args *args,
	  struct query_result *ret_result)
{
	static const struct {
		const char *name;
		void (*ask)(struct query *q, const struct query_args *a, struct query_result *r);
	} questions[] = {
	    {"summary", query_ask_summary}, {"series", query_ask_series},
	    {"top", query_ask_top},         {"breakdown", query_ask_breakdown},
	    {"nodes", query_ask_nodes},     {"ledger", query_ask_ledger},
	    {"bots", query_ask_bots},       {"me", query_ask_me},
	};
	size_t i;

	memset(ret_result, 0, sizeof(*ret_result));
	for (i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		if (strcmp(question, questions[i].name) != 0)
			continue;
		questions[i].ask(q, args, ret_result);
		return;
	}
	if (strncmp(question, "content/", 8) == 0)
		query_ask_content(q, question + 8, args, ret_result);
	else
		query_refuse(ret_result, 404,
			     "no such question; there are summary, series, top, breakdown, "
			     "content/TYPE/ID, nodes, ledger, bots and me");
}

/* -- me -- */

static int
collect_site(void *ctx, struct text site)
{
	return json_array_append_new(ctx, query_text(site)) ? -ENOMEM : 0;
}

/* A set that keeps its order. */
static int
add_type(json_t *types, struct text type)
{
	json_t *one;
	size_t i;

	json_array_foreach(types, i, one) if (text_is(type, json_string_value(one))) return 0;
	return json_array_append_new(types, query_text(type)) ? -ENOMEM : 0;
}

static int
collect_type(void *ctx, const struct rollup_key *key, const struct rollup_row *row)
{
	(void)row;
	return add_type(ctx, key->key);
}

/* Those configured here and those seen; agents may have others configured than the central. */
static int
collect_types(struct query *q, json_t *types)
{
	int err = 0;
	size_t i;

	for (i = 0; i < q->conf->admit_types.n && !err; i++)
		err = add_type(types, text_of(q->conf->admit_types.item[i]));
	if (!err)
		err = store_scan(q->store, GRAIN_MONTH, DIM_TYPE, INT64_MIN, INT64_MAX,
				 (struct text){NULL, 0}, collect_type, types);
	return err;
}

void
query_ask_me(struct query *q, const struct query_args *a, struct query_result *r)
{
	json_t *types = json_array(), *sites = json_array();
	struct nodes_state nodes = {0};
	char today[CALENDAR_TEXT];
	int err;

	err = nodes_read(q, a->now_ms, &nodes);
	if (!err)
		err = collect_types(q, types);
	if (!err)
		err = store_sites(q->store, collect_site, sites);
	if (err) {
		json_decref(types);
		json_decref(sites);
		query_fail(r, err);
		goto out;
	}
	calendar_format(GRAIN_DAY, calendar_start(GRAIN_DAY, a->now_ms), today);
	query_answer(r,
		     json_pack("{s:s, s:s, s:o, s:o, s:s, s:o}", "user", a->user, "time_zone",
			       q->conf->central_time_zone, "types", types, "sites", sites, "today",
			       today, "next_data", query_time(nodes_next_data(&nodes))));
out:
	nodes_free(&nodes);
}
