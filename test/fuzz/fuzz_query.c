/* A question of the API as a browser writes it, "summary?from=2026-11-20&site=shop", its arguments
 * decoded. It is answered or refused with a sentence, and what the same arguments give by day,
 * month, hour and type adds up to what summary says. */
#include "central/query.h"
#include "test/fuzz/fuzz_home.h"
#include "test/unit/make_batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1795348800000) /* 2026-11-22T12:00:00Z */
#define ZONE "Europe/Paris"
#define BATCHES 4
#define EVENTS 24
#define ARGS_MAX 16

static struct query *query;
static struct auth *auth;

struct args {
	char *text;
	const char *name[ARGS_MAX], *value[ARGS_MAX];
	size_t n;
	const char *grain; /* instead of what the question says, or NULL */
	const char *dim;
};

/* Some days on both sides of the end of summer time. */
static void
put_batch(unsigned n)
{
	static const char *const types[] = {"video", "pdf", "audio"}, *const sites[] = {"shop",
											"blog"};
	int64_t from = hour_of(NOW) - (int64_t)n * 12 * DAY_MS;
	struct maker m;
	struct event e;
	unsigned i;

	maker_begin(&m, n % 2 ? "web-1" : "web-2", 1, 1 + n / 2, from, EVENTS);
	for (i = 0; i < EVENTS; i++) {
		e = view_of(from - (int64_t)(i * n) * HOUR_MS, i % 5, i % 7);
		e.type = text_of(types[i % 3]);
		e.site = text_of(sites[i % 2]);
		e.repeat = i % 4 == 3;
		maker_add(&m, &e);
	}
	m.meta.closes_ms = m.meta.until_ms;
	maker_finish(&m);
	if (receive_batch(fuzz_home.gate, m.meta.id.node,
			  (struct text){(const char *)m.body, m.body_len}, 0, from + HOUR_MS)
		.status != 200)
		abort();
	maker_free(&m);
}

static void
stop(void)
{
	query_free(query);
	auth_close(auth);
}

static void
start(void)
{
	static const char accounts[] = "footfall-access 1\n"
				       "node web-1 1794000000000 00\n"
				       "node web-2 1794000000000 01\n"
				       "node web-9 1794000000000 02\n";
	unsigned n;

	fuzz_home_make(ZONE);
	for (n = BATCHES; n > 0; n--)
		put_batch(n - 1);
	fuzz_file("access", accounts, sizeof(accounts) - 1);
	if (auth_open(fuzz_dir, 60000, &auth) < 0 ||
	    query_new(fuzz_home.conf, fuzz_home.store, auth, &query) < 0 || atexit(stop) != 0)
		abort();
}

static const char *
get(const void *ctx, const char *name)
{
	const struct args *a = ctx;
	size_t i;

	if (a->grain && strcmp(name, "grain") == 0)
		return a->grain;
	if (a->dim && strcmp(name, "dim") == 0)
		return a->dim;
	for (i = 0; i < a->n; i++)
		if (strcmp(a->name[i], name) == 0)
			return a->value[i];
	return NULL;
}

/* NULL when it is refused. */
static json_t *
ask(const char *question, const struct args *a)
{
	struct query_args args = {.get = get, .ctx = a, .now_ms = NOW, .user = "ann"};
	struct query_result r;
	char *text;

	query_ask(query, question, &args, &r);
	if (r.status != 200) {
		if ((r.status != 400 && r.status != 404) || r.json || r.error[0] == '\0' ||
		    !text_is_utf8(text_of(r.error)))
			abort();
		return NULL;
	}
	text = json_dumps(r.json, JSON_COMPACT);
	if (!text)
		abort();
	free(text);
	return r.json;
}

static json_int_t
sum(const json_t *list)
{
	json_int_t total = 0;
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one) total +=
	    json_integer_value(json_object_get(one, "total_views"));
	return total;
}

/* -1 when that may not be asked. */
static json_int_t
sum_of(struct args a, const char *question, const char *grain, const char *dim)
{
	json_int_t total = -1;
	json_t *json;

	a.grain = grain;
	a.dim = dim;
	json = ask(question, &a);
	if (json)
		total = sum(json_object_get(json, grain ? "points" : "rows"));
	json_decref(json);
	return total;
}

static void
check_sums(const struct args *a)
{
	json_t *json = ask("summary", a);
	json_int_t total = json_integer_value(json_object_get(json, "total_views")), hours;

	if (!json)
		return;
	hours = sum_of(*a, "series", "hour", NULL);
	if (sum_of(*a, "series", "day", NULL) != total ||
	    sum_of(*a, "series", "month", NULL) != total || (hours >= 0 && hours != total))
		abort();
	/* a breakdown knows no type; sort and limit are its own */
	if (!get(a, "type") && !get(a, "sort") && !get(a, "limit") &&
	    sum_of(*a, "breakdown", NULL, "type") != total)
		abort();
	json_decref(json);
}

static void
split(struct args *a)
{
	char *rest = strchr(a->text, '?'), *pair, *value;

	if (!rest)
		return;
	*rest++ = '\0';
	while (a->n < ARGS_MAX && (pair = strsep(&rest, "&"))) {
		value = strchr(pair, '=');
		if (value)
			*value++ = '\0';
		a->name[a->n] = pair;
		a->value[a->n++] = value ? value : "";
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct args a = {.text = strndup((const char *)data, size)};

	if (!a.text)
		abort();
	if (!query)
		start();
	split(&a);
	json_decref(ask(a.text, &a));
	check_sums(&a);
	free(a.text);
	return 0;
}
