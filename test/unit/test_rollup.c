#include <check.h>
#include <errno.h>

#include "base/hash.h"
#include "central/rollup.h"
#include "make_batch.h"

#define NOON INT64_C(1795345200000) /* 2026-11-22T13:00 in Paris */

static void
setup(void)
{
	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(calendar_init("Europe/Paris"), 0);
}

static struct rollup_group *
group(struct maker *m, const uint8_t *skip)
{
	struct rollup_group *g;
	struct batch b;

	maker_finish(m);
	ck_assert_int_eq(batch_decode(m->doc, m->doc_len, &b), 0);
	ck_assert_int_eq(rollup_group_batch(&b, skip, &g), 0);
	memset(m->doc, 0, m->doc_len); /* the group keeps nothing of it */
	return g;
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
	struct rollup_group *g;
	struct text last = {0};
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
		wrong += i && text_cmp(last, rollup_group_key(g, i)) >= 0;
		last = rollup_group_key(g, i);
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

/* 23:59:59.999 and midnight are two days in the zone, one in UTC; and the day of a change of clocks. */
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
