/* query_home.h -- a central's questions asked of a store that the test fills, for
 * tests of query_*.c.
 *
 * Threads:  one per process.
 * Errors:   ck_assert.
 */
#ifndef TEST_QUERY_HOME_H
#define TEST_QUERY_HOME_H

#include <jansson.h>
#include <string.h>

#include "central/query.h"
#include "central_home.h"

#define ROOM 64 /* events in a batch */

static struct query *query;
static uint64_t seq;

/* Days of Paris: midnight is 23:00 of UTC in November. */
static inline int64_t
at(const char *day, int hour)
{
	int64_t start_ms = 0;

	ck_assert_msg(calendar_parse_day(text_of(day), &start_ms), "%s", day);
	return start_ms + hour * HOUR_MS;
}

static inline void
open_query(void)
{
	home_open("Europe/Paris", "day");
	ck_assert_int_eq(query_new(home.conf, home.store, home.auth, &query), 0);
	seq = 0;
}

static inline void
close_query(void)
{
	query_free(query);
	home_close();
}

static inline void
reopen(const char *rotation)
{
	close_query();
	home_open("Europe/Paris", rotation);
	ck_assert_int_eq(query_new(home.conf, home.store, home.auth, &query), 0);
}

/* -- feeding -- */

static inline struct maker
begin(const char *node, int64_t from_ms)
{
	struct maker m;

	maker_begin(&m, node, 1, ++seq, hour_of(from_ms), ROOM);
	return m;
}

/* Closes its hour, and arrives a second later. */
static inline void
store_closed(struct maker *m)
{
	m->meta.closes_ms = m->meta.until_ms;
	ck_assert_int_eq(home_store(m, m->meta.until_ms + 1000), STORE_STORED);
}

static inline void
add_view(struct maker *m, int64_t ts_ms, unsigned content, uint64_t visitor)
{
	struct event e = view_of(ts_ms, content, visitor);

	maker_add(m, &e);
}

/* -- asking -- */

static inline const char *
get(const void *ctx, const char *name)
{
	const char *const *pairs = ctx;

	for (; pairs[0]; pairs += 2)
		if (strcmp(pairs[0], name) == 0)
			return pairs[1];
	return NULL;
}

static inline struct query_result
ask(const char *question, int64_t now_ms, const char *const *pairs)
{
	struct query_args args = {.get = get, .ctx = pairs, .now_ms = now_ms, .user = "ann"};
	struct query_result r;

	query_ask(query, question, &args, &r);
	return r;
}

#define ASK(question, now_ms, ...) ask(question, now_ms, (const char *const[]){__VA_ARGS__ NULL})

static inline json_t *
answer(struct query_result r)
{
	ck_assert_msg(r.status == 200, "%u: %s", r.status, r.error);
	return r.json;
}

static inline json_int_t
number(const json_t *j, const char *name)
{
	const json_t *n = json_object_get(j, name);

	ck_assert_msg(json_is_integer(n), "%s", name);
	return json_integer_value(n);
}

static inline const char *
string(const json_t *j, const char *name)
{
	const json_t *s = json_object_get(j, name);

	ck_assert_msg(json_is_string(s), "%s", name);
	return json_string_value(s);
}

static inline const json_t *
item(const json_t *j, const char *name, size_t i)
{
	const json_t *array = json_object_get(j, name);

	ck_assert_msg(i < json_array_size(array), "%s has %zu items", name, json_array_size(array));
	return json_array_get(array, i);
}

#define NOW at("2026-11-22", 15)
#define NOV(d) "from", "2026-11-" d, "to", "2026-11-" d

#endif
