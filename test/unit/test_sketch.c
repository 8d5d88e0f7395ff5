#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "central/sketch.h"

/* SplitMix64: uniform, and the same on every machine. */
static uint64_t
uniform(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static struct sketch
filled(const struct sketch_form *form, uint64_t seed, size_t n)
{
	struct sketch s;
	int err = 0;

	sketch_init(&s, form);
	while (n-- > 0)
		err |=
		    sketch_add(&s, uniform(&seed)); /* one assertion: Check writes each to a file */
	ck_assert_int_eq(err, 0);
	return s;
}

static size_t
encoded(const struct sketch *s, uint8_t **ret_bytes)
{
	size_t cap = sketch_encoded_max(s), n;

	*ret_bytes = malloc(cap);
	n = sketch_encode(s, *ret_bytes, cap);
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_eq(sketch_encode(s, *ret_bytes, n - 1), 0);
	ck_assert_uint_eq(sketch_encode(s, *ret_bytes, cap), n);
	return n;
}

static bool
same(const struct sketch *a, const struct sketch *b)
{
	if (sketch_is_exact(a) != sketch_is_exact(b) || a->n != b->n)
		return false;
	if (a->reg)
		return memcmp(a->reg, b->reg, (size_t)1 << a->form.p) == 0;
	return a->n == 0 || memcmp(a->hash, b->hash, a->n * sizeof(*a->hash)) == 0;
}

static const struct sketch_form *const forms[] = {&sketch_site, &sketch_small};

START_TEST(counts_are_exact_up_to_the_limit)
{
	const struct sketch_form *form = forms[_i];
	struct sketch s;
	uint64_t seed = 11, again = 11;
	uint32_t i;

	sketch_init(&s, form);
	ck_assert_uint_eq(sketch_count(&s), 0);
	for (i = 1; i <= form->exact_max; i++) {
		ck_assert_int_eq(sketch_add(&s, uniform(&seed)), 0);
		ck_assert_uint_eq(sketch_count(&s), i);
	}
	for (i = 0; i < form->exact_max; i++)
		ck_assert_int_eq(sketch_add(&s, uniform(&again)), 0);
	ck_assert_uint_eq(sketch_count(&s), form->exact_max);
	ck_assert(sketch_is_exact(&s));
	ck_assert_int_eq(sketch_add(&s, uniform(&seed)), 0);
	ck_assert(!sketch_is_exact(&s));
	sketch_fini(&s);
}
END_TEST

/* 3 sigma of the theory, 1.04 / sqrt(2^p); and the spread over 20 sets no larger than it says. */
START_TEST(estimates_stay_within_three_sigma)
{
	static const size_t sizes[] = {5000, 10000, 100000, 1000000};
	const struct sketch_form *form = forms[_i / 4];
	size_t n = sizes[_i % 4];
	double sigma = 1.04 / sqrt((double)(1u << form->p)), squares = 0, err;
	unsigned seed, seeds = n > 100000 ? 3 : 20;

	for (seed = 1; seed <= seeds; seed++) {
		struct sketch s = filled(form, seed * 1000, n);

		err = (double)sketch_count(&s) / (double)n - 1;
		ck_assert_msg(fabs(err) < 3 * sigma, "p %u n %zu seed %u: %f", form->p, n, seed,
			      err);
		squares += err * err;
		sketch_fini(&s);
	}
	ck_assert_double_lt(sqrt(squares / seeds), 1.5 * sigma);
}
END_TEST

START_TEST(merging_is_commutative_associative_and_idempotent)
{
	/* each pair of exact and registers, and unions that cross the limit */
	static const size_t sizes[][3] = {{10, 20, 30},    {300, 300, 300}, {3000, 3000, 3000},
					  {10, 9000, 400}, {9000, 9000, 1}, {0, 400, 200},
					  {4096, 4096, 0}, {512, 0, 1}};
	const struct sketch_form *form = forms[_i % 2];
	const size_t *n = sizes[_i / 2];
	struct sketch a = filled(form, 1, n[0]), b = filled(form, 2, n[1]),
		      c = filled(form, 3, n[2]);
	struct sketch ab = filled(form, 1, n[0]), ba = filled(form, 2, n[1]);
	struct sketch a_bc = filled(form, 2, n[1]), again;

	ck_assert_int_eq(sketch_merge(&ab, &b), 0);
	ck_assert_int_eq(sketch_merge(&ba, &a), 0);
	ck_assert(same(&ab, &ba));
	ck_assert_int_eq(sketch_merge(&ab, &b), 0);
	ck_assert_int_eq(sketch_merge(&ab, &ab), 0);
	ck_assert(same(&ab, &ba));
	ck_assert_int_eq(sketch_merge(&ab, &c), 0);
	ck_assert_int_eq(sketch_merge(&a_bc, &c), 0);
	ck_assert_int_eq(sketch_merge(&a_bc, &a), 0);
	ck_assert(same(&ab, &a_bc));
	/* and it is the sketch of the union */
	again = filled(form, 3, n[2]);
	ck_assert_int_eq(sketch_merge(&again, &a), 0);
	ck_assert_int_eq(sketch_merge(&again, &b), 0);
	ck_assert(same(&ab, &again));
	sketch_fini(&a), sketch_fini(&b), sketch_fini(&c), sketch_fini(&ab), sketch_fini(&ba);
	sketch_fini(&a_bc), sketch_fini(&again);
}
END_TEST

static int
hash_order(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

START_TEST(order_and_repeats_do_not_matter)
{
	static const size_t sizes[] = {1, 5, 512, 513, 4096, 4097, 20000};
	const struct sketch_form *form = forms[_i % 2];
	size_t n = sizes[_i / 2], i;
	uint64_t *h = malloc(n * sizeof(*h)), seed = 77;
	struct sketch one, back, sorted, lent;
	int err = 0;

	for (i = 0; i < n; i++)
		h[i] = uniform(&seed);
	sketch_init(&one, form), sketch_init(&back, form), sketch_init(&sorted, form);
	for (i = 0; i < n; i++) {
		err |= sketch_add(&one, h[i]) | sketch_add(&one, h[i / 2]);
		err |= sketch_add(&back, h[n - 1 - i]);
	}
	qsort(h, n, sizeof(*h), hash_order);
	for (i = 0; i < n; i++)
		err |= sketch_append(&sorted, h[i]);
	err |= sketch_of(form, h, n, &lent);
	ck_assert_int_eq(err, 0);
	ck_assert(same(&one, &back) && same(&one, &sorted) && same(&one, &lent));
	sketch_fini(&one), sketch_fini(&back), sketch_fini(&sorted), sketch_fini(&lent);
	free(h);
}
END_TEST

START_TEST(lent_hashes_stay_as_they_are)
{
	uint64_t h[512] = {0}, seed = 3;
	struct sketch lent, other = filled(&sketch_small, 4, 3),
			    again = filled(&sketch_small, 4, 3);
	size_t n = _i ? 512 : 100, i;

	for (i = 0; i < n; i++)
		h[i] = uniform(&seed);
	qsort(h, n, sizeof(*h), hash_order);
	ck_assert_int_eq(sketch_of(&sketch_small, h, n, &lent), 0);
	ck_assert_int_eq(sketch_merge(&other, &lent), 0);
	ck_assert(lent.hash == h);
	ck_assert_int_eq(sketch_merge(&lent, &again), 0); /* now it has its own */
	ck_assert(lent.hash != h && same(&lent, &other));
	for (i = 0, seed = 3; i < n; i++) {
		uint64_t v = uniform(&seed);

		ck_assert(bsearch(&v, h, n, sizeof(*h), hash_order) != NULL);
	}
	sketch_fini(&lent), sketch_fini(&other), sketch_fini(&again);
}
END_TEST

START_TEST(hashes_that_are_not_uniform_are_still_a_set)
{
	static const uint64_t edges[] = {0, 1, 2, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63};
	struct sketch s, t;
	uint64_t i;

	sketch_init(&s, &sketch_site);
	sketch_init(&t, &sketch_site);
	for (i = 0; i < 3000; i++)
		ck_assert_int_eq(sketch_add(&s, (3000 - i) / 2), 0);
	ck_assert_uint_eq(sketch_count(&s), 1501);
	for (i = 0; i < 6; i++)
		ck_assert_int_eq(sketch_add(&t, edges[i]), 0);
	ck_assert_uint_eq(sketch_count(&t), 6);
	ck_assert_int_eq(sketch_merge(&s, &t), 0);
	ck_assert_uint_eq(sketch_count(&s), 1504);
	sketch_fini(&s), sketch_fini(&t);
}
END_TEST

START_TEST(other_forms_merge_only_while_exact)
{
	struct sketch site = filled(&sketch_site, 1, 600), small = filled(&sketch_small, 2, 400);
	struct sketch dense = filled(&sketch_small, 3, 600);

	ck_assert_int_eq(sketch_merge(&site, &small), 0);
	ck_assert_uint_eq(sketch_count(&site), 1000);
	ck_assert_int_eq(sketch_merge(&small, &site), 0); /* over its own limit: registers of 600 */
	ck_assert(!sketch_is_exact(&small));
	ck_assert_int_eq(sketch_merge(&site, &dense), -EINVAL);
	ck_assert_uint_eq(sketch_count(&site), 1000);
	ck_assert(sketch_is_exact(&site));
	sketch_fini(&site), sketch_fini(&small), sketch_fini(&dense);
}
END_TEST

START_TEST(stored_form_reads_back)
{
	static const size_t sizes[] = {0, 1, 2, 512, 513, 4096, 4097, 300000};
	const struct sketch_form *form = forms[_i % 2];
	struct sketch s = filled(form, 5, sizes[_i / 2]), back;
	uint8_t *bytes;
	size_t n = encoded(&s, &bytes);

	ck_assert_int_eq(sketch_decode(bytes, n, form, &back), 0);
	ck_assert(same(&s, &back));
	ck_assert_int_eq(sketch_add(&back, 42), 0); /* goes on growing */
	sketch_fini(&s), sketch_fini(&back);
	free(bytes);
}
END_TEST

static void
refused(const uint8_t *bytes, size_t n, const struct sketch_form *form)
{
	/* in memory of its own, so that reading past the end shows under ASan */
	uint8_t *copy = malloc(n ? n : 1);
	struct sketch s;

	memcpy(copy, bytes, n);
	ck_assert_int_eq(sketch_decode(copy, n, form, &s), -EBADMSG);
	ck_assert(!s.hash && !s.reg);
	free(copy);
}

START_TEST(decode_refuses_every_truncation_and_a_tail)
{
	static const size_t sizes[] = {0, 3, 512, 600};
	struct sketch s = filled(&sketch_small, 9, sizes[_i]);
	uint8_t *bytes, *longer;
	size_t n = encoded(&s, &bytes), i;

	for (i = 0; i < n; i++)
		refused(bytes, i, &sketch_small);
	longer = calloc(1, n + 1);
	memcpy(longer, bytes, n);
	refused(longer, n + 1, &sketch_small);
	sketch_fini(&s);
	free(bytes), free(longer);
}
END_TEST

START_TEST(decode_refuses_what_no_encoder_writes)
{
	static const struct {
		uint8_t n, bytes[24];
	} bad[] = {
	    {1, {0}},                /* tag */
	    {2, {3, 0}},             /* tag */
	    {3, {1, 0x80, 0x00}},    /* over-long count */
	    {4, {1, 2, 5, 0}},       /* a distance of 0: twice the same */
	    {4, {1, 1, 0x85, 0x00}}, /* over-long hash */
	    {3, {1, 2, 5}},          /* fewer than said */
	    {12, {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1}},
	    {13,
	     {1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1}}, /* over 2^64 */
	    {2, {2, 0}},                                                             /* no zstd */
	};
	struct sketch over = filled(&sketch_site, 3, 513), p14 = filled(&sketch_site, 3, 5000);
	struct sketch wild = filled(&sketch_small, 3, 5000);
	uint8_t *bytes;
	size_t i, n;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		refused(bad[i].bytes, bad[i].n, &sketch_small);
	n = encoded(&over, &bytes); /* more than the form's exact_max */
	refused(bytes, n, &sketch_small);
	free(bytes);
	n = encoded(&p14, &bytes); /* another p */
	refused(bytes, n, &sketch_small);
	free(bytes);
	wild.reg[17] = 54; /* 65 - 12 is the most */
	n = encoded(&wild, &bytes);
	refused(bytes, n, &sketch_small);
	free(bytes);
	sketch_fini(&over), sketch_fini(&p14), sketch_fini(&wild);
}
END_TEST

/* One flipped bit in registers never passes for a sketch (zstd's checksum), nor does
 * noise crash. */
START_TEST(decode_survives_flipped_bits_and_noise)
{
	struct sketch s = filled(&sketch_small, 4, 3000), back;
	uint8_t *bytes, noise[200];
	size_t n = encoded(&s, &bytes), bit, i, j, passed = 0;
	uint64_t seed = 8;

	for (bit = 0; bit < 8 * n; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (sketch_decode(bytes, n, &sketch_small, &back) == 0) {
			ck_assert(same(&s, &back)); /* bits that zstd does not read */
			passed++;
		}
		sketch_fini(&back);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_uint_lt(passed, n / 10);
	for (i = 0; i < 20000; i++) {
		for (j = 0; j < sizeof(noise); j++)
			noise[j] = (uint8_t)uniform(&seed);
		noise[0] = (uint8_t)(1 + i % 2);
		sketch_decode(noise, i % sizeof(noise), &sketch_small, &back);
		sketch_fini(&back);
	}
	sketch_fini(&s);
	free(bytes);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sketch");
	TCase *t = tcase_create("sketch");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, counts_are_exact_up_to_the_limit, 0, 2);
	tcase_add_loop_test(t, estimates_stay_within_three_sigma, 0, 8);
	tcase_add_loop_test(t, merging_is_commutative_associative_and_idempotent, 0, 16);
	tcase_add_loop_test(t, order_and_repeats_do_not_matter, 0, 14);
	tcase_add_loop_test(t, lent_hashes_stay_as_they_are, 0, 2);
	tcase_add_test(t, hashes_that_are_not_uniform_are_still_a_set);
	tcase_add_test(t, other_forms_merge_only_while_exact);
	tcase_add_loop_test(t, stored_form_reads_back, 0, 16);
	tcase_add_loop_test(t, decode_refuses_every_truncation_and_a_tail, 0, 4);
	tcase_add_test(t, decode_refuses_what_no_encoder_writes);
	tcase_add_test(t, decode_survives_flipped_bits_and_noise);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
