#include <check.h>
#include <errno.h>

#include "base/hash.h"
#include "central/rollup.h"
#include "proto/ua_class.h"
#include "make_batch.h"

#define NOON INT64_C(1795345200000) /* 2026-11-22T13:00 in Paris */

static void
setup(void)
{
	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(calendar_init("Europe/Paris"), 0);
}

static struct rollup_group *
group_document(struct maker *m, const uint8_t *skip)
{
	struct rollup_group *g;
	struct batch b;

	ck_assert_int_eq(batch_decode(m->doc, m->doc_len, &b), 0);
	ck_assert_int_eq(rollup_group_batch(&b, skip, &g), 0);
	memset(m->doc, 0, m->doc_len); /* the group keeps nothing of it */
	return g;
}

static struct rollup_group *
group(struct maker *m, const uint8_t *skip)
{
	maker_finish(m);
	return group_document(m, skip);
}

/* The one row of that key, or NULL. */
static const struct rollup_row *
find(const struct rollup_group *g, enum grain grain, int64_t start_ms, enum dim d, const char *key)
{
	const struct rollup_row *found = NULL, *r;
	struct rollup_key k;
	size_t i;

	for (i = 0; i < rollup_group_rows(g); i++) {
		r = rollup_group_row(g, i, &k);
		if (k.grain == grain && k.start_ms == start_ms && k.dim == d &&
		    text_is(k.key, key)) {
			ck_assert_msg(!found, "twice");
			found = r;
		}
	}
	return found;
}

static void
has(const struct rollup_row *r, uint64_t events, uint64_t repeats, uint64_t visitors)
{
	ck_assert_ptr_nonnull(r);
	ck_assert_uint_eq(r->events, events);
	ck_assert_uint_eq(r->repeats, repeats);
	ck_assert_uint_eq(rollup_views(r), events - repeats);
	ck_assert_uint_eq(sketch_count(&r->visitors), visitors);
}

START_TEST(every_dimension_of_every_grain_gets_each_event)
{
	int64_t day = calendar_start(GRAIN_DAY, NOON), month = calendar_start(GRAIN_MONTH, NOON);
	struct maker m;
	struct rollup_group *g;
	struct event e;
	unsigned d;

	maker_begin(&m, "web-1", 1, 1, NOON, 10);
	e = view_of(NOON + 5, 1, 100);
	e.browser = 1, e.system = 2, e.device = 1;
	memcpy(e.country, "FR", 2);
	maker_add(&m, &e);
	e.repeat = true;
	maker_add(&m, &e);
	e = view_of(NOON + HOUR_MS, 2, 100); /* the next hour */
	e.type = TEXT_LIT("pdf");
	e.source = SOURCE_DATAGRAM;
	e.referrer = TEXT_LIT("example.org");
	e.name = TEXT_LIT("download");
	e.browser = 250; /* of a newer agent */
	maker_add(&m, &e);
	g = group(&m, NULL);
	has(find(g, GRAIN_HOUR, NOON, DIM_SITE, ""), 2, 1, 1);
	has(find(g, GRAIN_HOUR, NOON + HOUR_MS, DIM_SITE, ""), 1, 0, 1);
	has(find(g, GRAIN_DAY, day, DIM_SITE, ""), 3, 1, 1);
	has(find(g, GRAIN_MONTH, month, DIM_SITE, ""), 3, 1, 1);
	has(find(g, GRAIN_DAY, day, DIM_TYPE, "video"), 2, 1, 1);
	has(find(g, GRAIN_DAY, day, DIM_TYPE, "pdf"), 1, 0, 1);
	has(find(g, GRAIN_DAY, day, DIM_EVENT, "view"), 2, 1, 1);
	has(find(g, GRAIN_DAY, day, DIM_EVENT, "download"), 1, 0, 1);
	has(find(g, GRAIN_DAY, day, DIM_REFERRER, ""), 2, 1, 1);
	has(find(g, GRAIN_DAY, day, DIM_REFERRER, "example.org"), 1, 0, 1);
	has(find(g, GRAIN_MONTH, month, DIM_BROWSER, "Chrome"), 2, 1, 1);
	has(find(g, GRAIN_MONTH, month, DIM_BROWSER, "unknown"), 1, 0, 1);
	has(find(g, GRAIN_MONTH, month, DIM_SYSTEM, "macOS"), 2, 1, 1);
	has(find(g, GRAIN_MONTH, month, DIM_DEVICE, "desktop"), 2, 1, 1);
	has(find(g, GRAIN_MONTH, month, DIM_COUNTRY, "FR"), 2, 1, 1);
	has(find(g, GRAIN_MONTH, month, DIM_COUNTRY, ""), 1, 0, 1);
	has(find(g, GRAIN_MONTH, month, DIM_NODE, "web-1"), 3, 1, 1);
	has(find(g, GRAIN_HOUR, NOON, DIM_SOURCE, "beacon"), 2, 1, 1);
	has(find(g, GRAIN_HOUR, NOON + HOUR_MS, DIM_SOURCE, "datagram"), 1, 0, 1);
	for (d = 0; d < DIM_N; d++) { /* each dimension adds up to the same */
		uint64_t events = 0;
		struct rollup_key k;
		size_t i;

		for (i = 0; i < rollup_group_rows(g); i++) {
			const struct rollup_row *r = rollup_group_row(g, i, &k);

			events += k.grain == GRAIN_DAY && k.dim == d ? r->events : 0;
		}
		ck_assert_msg(events == 3, "%s", dim_name((enum dim)d));
	}
	rollup_group_free(g);
	maker_free(&m);
}
END_TEST

START_TEST(rows_come_sorted_by_key_and_once)
{
	uint8_t key[2][ROLLUP_KEY_MAX];
	struct rollup_group *g;
	struct text last = {0};
	struct rollup_key k;
	struct maker m;
	struct event e;
	size_t i, wrong = 0;

	maker_begin(&m, "web-1", 1, 1, NOON, 5000);
	for (i = 0; i < 5000; i++) {
		e = view_of(NOON - (int64_t)(i * i % 400) * HOUR_MS, (unsigned)(i * 7 % 300),
			    i % 77);
		e.site = i % 3 ? TEXT_LIT("default") : TEXT_LIT("b");
		maker_add(&m, &e);
	}
	g = group(&m, NULL);
	for (i = 0; i < rollup_group_rows(g); i++) {
		struct text now = {(const char *)key[i % 2], 0};

		rollup_group_row(g, i, &k);
		now.len = rollup_key_encode(&k, key[i % 2], sizeof(key[0]));
		wrong += i && text_cmp(last, now) >= 0;
		last = now;
	}
	ck_assert_uint_gt(i, 1000);
	ck_assert_uint_eq(wrong, 0);
	rollup_group_free(g);
	maker_free(&m);
}
END_TEST

/* A plain count of the same events, by nested loops. */
START_TEST(groups_equal_a_plain_count)
{
	enum { EVENTS = 20000, CONTENTS = 40, VISITORS = 3000 };
	static bool seen[CONTENTS][VISITORS];
	uint64_t events[CONTENTS] = {0}, visitors[CONTENTS] = {0};
	struct rollup_group *g;
	struct rollup_key k;
	struct maker m;
	struct event e;
	size_t i, rows = 0;
	unsigned c, v;

	maker_begin(&m, "web-1", 1, 1, NOON, EVENTS);
	for (i = 0; i < EVENTS; i++) {
		c = (unsigned)(visitor_of(i) % CONTENTS) * (unsigned)(visitor_of(i + 7) % 2);
		v = (unsigned)(visitor_of(i + 99999) % (c < 3 ? VISITORS : 400));
		e = view_of(NOON + (int64_t)(i % 3600000), c, v);
		maker_add(&m, &e);
		events[c]++;
		visitors[c] += !seen[c][v];
		seen[c][v] = true;
	}
	g = group(&m, NULL);
	for (i = 0; i < rollup_group_rows(g); i++) {
		const struct rollup_row *r = rollup_group_row(g, i, &k);
		struct batch_content content;

		if (k.dim != DIM_CONTENT || k.grain != GRAIN_DAY)
			continue;
		ck_assert(rollup_content_of(k.key, &content));
		memcpy(&c, content.uuid, sizeof(c));
		ck_assert_uint_eq(r->events, events[c]);
		if (visitors[c] <= sketch_small.exact_max)
			ck_assert_uint_eq(sketch_count(&r->visitors), visitors[c]);
		else
			ck_assert_double_eq_tol((double)sketch_count(&r->visitors),
						(double)visitors[c], 0.05 * (double)visitors[c]);
		rows++;
	}
	ck_assert_uint_eq(rows, CONTENTS);
	rollup_group_free(g);
	maker_free(&m);
}
END_TEST

/* -- against adding every event by itself -- */

struct shape {
	unsigned events, contents, visitors, sites, hours, skipped_in_100;
};

static const struct shape shapes[] = {{1, 1, 1, 1, 1, 0},
				      {2000, 1, 5000, 1, 1, 0},
				      {2000, 300, 40, 1, 2, 20},
				      {2000, 5, 50, 3, 3000, 0},
				      {2500, 3000, 2000, 5, 40, 50},
				      {BATCH_BLOCK, 7, 3, 1, 1, 0},
				      {BATCH_BLOCK + 1, 7, 3, 5, 70, 99}};

#define SMALL_KEY 160

struct addition {
	uint8_t key[SMALL_KEY];
	size_t len;
	uint32_t event;
};

/* Every field depends on n; values are whole, so that their sum does not depend on the order. */
static struct event
event_of(const struct shape *s, uint64_t n)
{
	static const char *const sites[] = {"default", "b", "c", "a-longer-one", "default2"};
	static const char *const names[] = {"view", "play", "download"};
	static const char *const hosts[] = {"", "example.org", "b.test", "a.b.test"};
	static const char *const slugs[] = {"article", "article/1", "article/10", "article/2", "z"};
	uint64_t r = visitor_of(n * 3), q = visitor_of(n * 3 + 1);
	struct event e = view_of(NOON + (int64_t)(visitor_of(n * 3 + 2) % s->hours) * HOUR_MS / 2,
				 (unsigned)(r % s->contents), (r >> 20) % s->visitors);

	e.type = r >> 40 & 1 ? TEXT_LIT("video") : TEXT_LIT("pdf");
	e.site = text_of(sites[q % s->sites]);
	e.name = text_of(names[(q >> 8) % 3]);
	e.referrer = text_of(hosts[q >> 16 & 3]);
	if (q >> 18 & 1)
		memcpy(e.country, q >> 19 & 1 ? "FR" : "DE", 2);
	if (q >> 20 & 1) {
		e.has_uuid = false;
		e.id = text_of(slugs[r % s->contents % 5]);
	}
	memcpy(e.uuid + 12, &r, r >> 50 & 1 ? 2 : 0);
	e.browser = q >> 24 & 31 ? q >> 24 & 3 : 250;
	e.system = q >> 29 & 3;
	e.device = q >> 31 & 3;
	e.source = q >> 33 & 1 ? SOURCE_DATAGRAM : SOURCE_BEACON;
	e.repeat = q >> 34 & 1;
	e.has_value = (q >> 35 & 3) == 0;
	e.value = (double)(q >> 40) - (1 << 23);
	return e;
}

static struct text
key_of(const struct event *e, enum dim d, char *buf)
{
	struct batch_content c = {.type = e->type, .id = e->id, .has_uuid = e->has_uuid};

	memcpy(c.uuid, e->uuid, sizeof(c.uuid));
	switch (d) {
	case DIM_CONTENT:
		return (struct text){buf, rollup_content_key(&c, buf, ROLLUP_CONTENT_KEY_MAX)};
	case DIM_TYPE:
		return e->type;
	case DIM_EVENT:
		return e->name;
	case DIM_REFERRER:
		return e->referrer;
	case DIM_BROWSER:
		return text_of(ua_browser_name(e->browser == 250 ? 0 : e->browser));
	case DIM_SYSTEM:
		return text_of(ua_system_name(e->system));
	case DIM_DEVICE:
		return text_of(ua_device_name(e->device));
	case DIM_COUNTRY:
		return (struct text){e->country, e->country[0] ? 2 : 0};
	case DIM_NODE:
		return TEXT_LIT("web-1");
	case DIM_SOURCE:
		return text_of(source_name(e->source));
	case DIM_SITE:
	case DIM_N:
	default:
		return (struct text){NULL, 0};
	}
}

static size_t
additions_of(const struct event *e, uint32_t event, struct addition *a)
{
	char buf[ROLLUP_CONTENT_KEY_MAX];
	size_t n = 0;
	unsigned g, d;

	for (g = 0; g < GRAIN_N; g++) {
		for (d = 0; d < DIM_N; d++, n++) {
			struct rollup_key k = {(enum grain)g,
					       calendar_start((enum grain)g, e->ts_ms), (enum dim)d,
					       e->site, key_of(e, (enum dim)d, buf)};

			a[n].len = rollup_key_encode(&k, a[n].key, SMALL_KEY);
			a[n].event = event;
			if (a[n].len == 0)
				ck_abort_msg("a key longer than this test thinks");
		}
	}
	return n;
}

static int
addition_order(const void *x, const void *y)
{
	const struct addition *a = x, *b = y;
	int c = text_cmp((struct text){(const char *)a->key, a->len},
			 (struct text){(const char *)b->key, b->len});

	return c ? c : (a->event > b->event) - (a->event < b->event);
}

static void
add_one(struct rollup_row *r, const struct event *e)
{
	r->events++;
	r->repeats += e->repeat;
	if (sketch_add(&r->visitors, e->visitor) < 0)
		abort();
	if (e->has_value)
		rollup_row_add_value(r, e->value);
}

/* Key and stored bytes are those of row i. */
static bool
is_row(const struct rollup_group *g, size_t i, const struct addition *a,
       const struct rollup_row *want)
{
	static uint8_t value[2][ROLLUP_VALUE_MAX];
	uint8_t key[ROLLUP_KEY_MAX];
	struct rollup_key k;
	const struct rollup_row *r = rollup_group_row(g, i, &k);
	size_t n = rollup_row_encode(want, value[0], ROLLUP_VALUE_MAX);

	return rollup_key_encode(&k, key, sizeof(key)) == a->len &&
	       memcmp(key, a->key, a->len) == 0 &&
	       rollup_row_encode(r, value[1], ROLLUP_VALUE_MAX) == n &&
	       memcmp(value[0], value[1], n) == 0;
}

START_TEST(a_group_is_what_adding_each_event_by_itself_gives)
{
	const struct shape *s = &shapes[_i];
	struct addition *a = malloc(s->events * GRAIN_N * DIM_N * sizeof(*a));
	uint8_t *skip = calloc(s->events, 1);
	size_t n = 0, from, until, row = 0, wrong = 0;
	struct rollup_group *g;
	struct maker m;
	struct event e;
	uint32_t i;

	maker_begin(&m, "web-1", 1, 1, NOON, s->events);
	for (i = 0; i < s->events; i++) {
		e = event_of(s, i);
		maker_add(&m, &e);
		skip[i] = visitor_of(i + 5000000) % 100 < s->skipped_in_100;
		if (!skip[i])
			n += additions_of(&e, i, a + n);
	}
	g = group(&m, skip);
	qsort(a, n, sizeof(*a), addition_order);
	for (from = 0; from < n; from = until, row++) {
		struct rollup_row want;
		struct rollup_key k;

		ck_assert(rollup_key_decode(a[from].key, a[from].len, &k));
		rollup_row_init(&want, k.dim);
		for (until = from; until < n; until++) {
			if (a[until].len != a[from].len ||
			    memcmp(a[until].key, a[from].key, a[from].len) != 0)
				break;
			e = event_of(s, a[until].event);
			add_one(&want, &e);
		}
		wrong += row >= rollup_group_rows(g) || !is_row(g, row, &a[from], &want);
		rollup_row_fini(&want);
	}
	ck_assert_uint_eq(row, rollup_group_rows(g));
	ck_assert_uint_eq(wrong, 0);
	rollup_group_free(g);
	maker_free(&m);
	free(a);
	free(skip);
}
END_TEST

/* No writer does that; a reader must not count him twice. */
START_TEST(a_visitor_that_a_batch_lists_twice_is_one)
{
	struct event a = view_of(NOON, 1, 1), b = view_of(NOON, 1, 2);
	struct rollup_group *g;
	struct maker m;
	uint8_t *at;

	maker_begin(&m, "web-1", 1, 1, NOON, 2);
	maker_add(&m, &a);
	maker_add(&m, &b);
	maker_finish(&m);
	at = memmem(m.doc, m.doc_len, &b.visitor, sizeof(b.visitor));
	ck_assert(at != NULL);
	memcpy(at, &a.visitor, sizeof(a.visitor));
	g = group_document(&m, NULL);
	has(find(g, GRAIN_HOUR, NOON, DIM_SITE, ""), 2, 0, 1);
	has(find(g, GRAIN_DAY, calendar_start(GRAIN_DAY, NOON), DIM_TYPE, "video"), 2, 0, 1);
	rollup_group_free(g);
	maker_free(&m);
}
END_TEST

START_TEST(skipped_events_leave_no_trace)
{
	uint8_t skip[2] = {0, 1};
	struct rollup_group *g;
	struct maker m;
	struct event e = view_of(NOON, 1, 1);

	maker_begin(&m, "web-1", 1, 1, NOON, 2);
	maker_add(&m, &e);
	e = view_of(NOON, 2, 2);
	e.type = TEXT_LIT("pdf");
	maker_add(&m, &e);
	g = group(&m, skip);
	has(find(g, GRAIN_HOUR, NOON, DIM_SITE, ""), 1, 0, 1);
	ck_assert_ptr_null(find(g, GRAIN_HOUR, NOON, DIM_TYPE, "pdf"));
	rollup_group_free(g);
	maker_free(&m);
}
END_TEST

START_TEST(an_empty_batch_gives_no_rows)
{
	struct rollup_group *g;
	struct maker m;

	maker_begin(&m, "web-1", 1, 1, NOON, 0);
	g = group(&m, NULL);
	ck_assert_uint_eq(rollup_group_rows(g), 0);
	rollup_group_free(g);
	maker_free(&m);
}
END_TEST

/* 23:59:59.999 and midnight are two days in the zone, one in UTC; and the day of a change
 * of clocks. */
START_TEST(events_belong_to_the_periods_of_the_zone)
{
	int64_t midnight, dst;
	struct rollup_group *g;
	struct maker m;
	struct event e;

	ck_assert(calendar_parse_day(TEXT_LIT("2026-12-01"), &midnight));
	ck_assert(calendar_parse_day(TEXT_LIT("2026-10-25"), &dst));
	maker_begin(&m, "web-1", 1, 1, midnight, 10);
	e = view_of(midnight - 1, 1, 1);
	maker_add(&m, &e);
	e = view_of(midnight, 1, 1);
	maker_add(&m, &e);
	e = view_of(dst + 25 * HOUR_MS - 1, 1, 1);
	maker_add(&m, &e);
	e = view_of(dst + 25 * HOUR_MS, 1, 1);
	maker_add(&m, &e);
	g = group(&m, NULL);
	has(find(g, GRAIN_MONTH, midnight, DIM_SITE, ""), 1, 0, 1);
	has(find(g, GRAIN_DAY, midnight, DIM_SITE, ""), 1, 0, 1);
	has(find(g, GRAIN_DAY, midnight - DAY_MS, DIM_SITE, ""), 1, 0, 1);
	has(find(g, GRAIN_DAY, dst, DIM_SITE, ""), 1, 0, 1);
	has(find(g, GRAIN_HOUR, dst + 24 * HOUR_MS, DIM_SITE, ""), 1, 0, 1);
	has(find(g, GRAIN_DAY, dst + 25 * HOUR_MS, DIM_SITE, ""), 1, 0, 1);
	rollup_group_free(g);
	maker_free(&m);
}
END_TEST

START_TEST(growth_of_contents_counts_for_site_and_type)
{
	struct rollup_group *g;
	struct rollup_key k;
	struct maker m;
	struct event e = view_of(NOON, 1, 1);
	int64_t day = calendar_start(GRAIN_DAY, NOON);
	size_t i;

	maker_begin(&m, "web-1", 1, 1, NOON, 2);
	maker_add(&m, &e);
	e = view_of(NOON, 2, 1);
	e.type = TEXT_LIT("pdf");
	maker_add(&m, &e);
	g = group(&m, NULL);
	for (i = 0; i < rollup_group_rows(g); i++) {
		rollup_group_row(g, i, &k);
		if (k.dim == DIM_CONTENT && k.grain == GRAIN_DAY)
			rollup_group_grew(g, i, memcmp(k.key.at, "pdf", 3) == 0 ? 5 : 2);
	}
	ck_assert_uint_eq(find(g, GRAIN_DAY, day, DIM_SITE, "")->unique_views, 7);
	ck_assert_uint_eq(find(g, GRAIN_DAY, day, DIM_TYPE, "pdf")->unique_views, 5);
	ck_assert_uint_eq(find(g, GRAIN_DAY, day, DIM_TYPE, "video")->unique_views, 2);
	ck_assert_uint_eq(find(g, GRAIN_HOUR, NOON, DIM_SITE, "")->unique_views, 0);
	rollup_group_free(g);
	maker_free(&m);
}
END_TEST

/* 0.1 ten times and 1e17 and back, in two orders: the same bits. */
START_TEST(sums_do_not_depend_on_order)
{
	static const double v[] = {0.1, 1e17, 0.1, -3.25, 0.1, 0.1, -1e17, 0.1, 1e-9, 0.1};
	struct rollup_row up, down, one;
	size_t i;

	rollup_row_init(&up, DIM_TYPE);
	rollup_row_init(&down, DIM_TYPE);
	rollup_row_init(&one, DIM_TYPE);
	one.values = 1;
	for (i = 0; i < 10; i++) {
		one.sum = one.min = one.max = v[i];
		ck_assert_int_eq(rollup_row_add(&up, &one), 0);
		one.sum = one.min = one.max = v[9 - i];
		ck_assert_int_eq(rollup_row_add(&down, &one), 0);
	}
	ck_assert(up.sum == down.sum);
	ck_assert_double_eq_tol(up.sum, 0.6 - 3.25 + 1e-9, 1e-14);
	ck_assert(up.min == -1e17 && up.max == 1e17 && up.values == 10);
}
END_TEST

START_TEST(keys_sort_by_time_and_read_back)
{
	static const int64_t starts[] = {INT64_MIN, -3600000, 0, NOON, INT64_MAX};
	uint8_t buf[ROLLUP_KEY_MAX], last[ROLLUP_KEY_MAX];
	struct rollup_key k, back;
	size_t n, i, cut;

	for (i = 0; i < 5; i++) {
		k = (struct rollup_key){GRAIN_DAY, starts[i], DIM_EVENT, TEXT_LIT("s"),
					TEXT_LIT("view")};
		n = rollup_key_encode(&k, buf, sizeof(buf));
		ck_assert(rollup_key_decode(buf, n, &back));
		ck_assert(back.grain == k.grain && back.start_ms == k.start_ms &&
			  back.dim == k.dim);
		ck_assert(text_eq(back.site, k.site) && text_eq(back.key, k.key));
		ck_assert(i == 0 || memcmp(last, buf, n) < 0);
		memcpy(last, buf, n);
		for (cut = 0; cut < 13;
		     cut++) /* the key may be empty, what stands before may not */
			ck_assert(!rollup_key_decode(buf, cut, &back));
	}
	ck_assert_uint_eq(rollup_key_encode(&k, buf, n - 1), 0);
	buf[0] = 2;
	ck_assert(!rollup_key_decode(buf, n, &back));
	buf[0] = 1, buf[1] = GRAIN_N;
	ck_assert(!rollup_key_decode(buf, n, &back));
	buf[1] = 0, buf[10] = DIM_N;
	ck_assert(!rollup_key_decode(buf, n, &back));
}
END_TEST

START_TEST(content_keys_read_back)
{
	struct batch_content slug = {.type = TEXT_LIT("page"), .id = TEXT_LIT("docs/a")}, back;
	struct batch_content uuid = {
	    .type = TEXT_LIT("video"), .has_uuid = true, .uuid = {1, 0, 2}};
	char buf[ROLLUP_CONTENT_KEY_MAX];
	size_t n = rollup_content_key(&slug, buf, sizeof(buf));

	ck_assert(rollup_content_of((struct text){buf, n}, &back));
	ck_assert(!back.has_uuid && text_is(back.type, "page") && text_is(back.id, "docs/a"));
	ck_assert_uint_eq(rollup_content_key(&slug, buf, n - 1), 0);
	n = rollup_content_key(&uuid, buf, sizeof(buf));
	ck_assert(rollup_content_of((struct text){buf, n}, &back));
	ck_assert(back.has_uuid && memcmp(back.uuid, uuid.uuid, 16) == 0);
	ck_assert(!rollup_content_of((struct text){buf, n - 1}, &back));
	ck_assert(!rollup_content_of((struct text){buf, 6}, &back));
	ck_assert(!rollup_content_of((struct text){buf, 5}, &back));
	ck_assert(!rollup_content_of((struct text){NULL, 0}, &back));
	buf[6] = 'x';
	ck_assert(!rollup_content_of((struct text){buf, n}, &back));
}
END_TEST

START_TEST(rows_read_back_and_damage_is_refused)
{
	static uint8_t buf[ROLLUP_VALUE_MAX];
	struct rollup_row r, back;
	size_t n, i;

	rollup_row_init(&r, DIM_SITE);
	r.events = 1000000, r.repeats = 999, r.unique_views = 77;
	r.values = 3, r.sum = 1.5, r.sum_low = 1e-20, r.min = -1, r.max = 2;
	for (i = 0; i < sketch_site.exact_max; i++)
		sketch_add(&r.visitors, visitor_of(i));
	n = rollup_row_encode(&r, buf, sizeof(buf));
	ck_assert_uint_gt(n, 7 * 4096); /* the largest exact set fits ROLLUP_VALUE_MAX */
	ck_assert_int_eq(rollup_row_decode(buf, n, DIM_SITE, &back), 0);
	ck_assert(back.events == r.events && back.repeats == r.repeats && back.values == 3);
	ck_assert(back.unique_views == 77 && back.sum == 1.5 && back.sum_low == 1e-20);
	ck_assert(back.min == -1 && back.max == 2);
	ck_assert_uint_eq(sketch_count(&back.visitors), 4096);
	rollup_row_fini(&back);
	for (i = 0; i < 50; i++) {
		ck_assert_int_eq(rollup_row_decode(buf, i, DIM_SITE, &back), -EBADMSG);
		rollup_row_fini(&back);
	}
	ck_assert_int_eq(rollup_row_decode(buf, n, DIM_TYPE, &back), -EBADMSG); /* over its limit */
	rollup_row_fini(&back);
	buf[0] = 2;
	ck_assert_int_eq(rollup_row_decode(buf, n, DIM_SITE, &back), -EPROTONOSUPPORT);
	rollup_row_fini(&back);
	rollup_row_fini(&r);
}
END_TEST

START_TEST(dimensions_are_found_by_name)
{
	enum dim d;
	unsigned i;

	for (i = 0; i < DIM_N; i++)
		ck_assert(dim_find(text_of(dim_name((enum dim)i)), &d) && d == i);
	ck_assert(!dim_find(TEXT_LIT("colour"), &d));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rollup");
	TCase *t = tcase_create("rollup");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, every_dimension_of_every_grain_gets_each_event);
	tcase_add_test(t, rows_come_sorted_by_key_and_once);
	tcase_add_test(t, groups_equal_a_plain_count);
	tcase_add_loop_test(t, a_group_is_what_adding_each_event_by_itself_gives, 0,
			    sizeof(shapes) / sizeof(shapes[0]));
	tcase_add_test(t, a_visitor_that_a_batch_lists_twice_is_one);
	tcase_add_test(t, skipped_events_leave_no_trace);
	tcase_add_test(t, an_empty_batch_gives_no_rows);
	tcase_add_test(t, events_belong_to_the_periods_of_the_zone);
	tcase_add_test(t, growth_of_contents_counts_for_site_and_type);
	tcase_add_test(t, sums_do_not_depend_on_order);
	tcase_add_test(t, keys_sort_by_time_and_read_back);
	tcase_add_test(t, content_keys_read_back);
	tcase_add_test(t, rows_read_back_and_damage_is_refused);
	tcase_add_test(t, dimensions_are_found_by_name);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
