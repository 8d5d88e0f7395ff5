#include <check.h>
#include <stdlib.h>

#include "base/radix.h"

/* SplitMix64: uniform, and the same on every machine. */
static uint64_t
uniform(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static const uint64_t masks[] = {UINT64_MAX, 0xff, 0x0100, UINT64_C(0xff000000000000ff), 3, 0};
static const size_t sizes[] = {0, 1, 2, 47, 48, 1000, 100000};

START_TEST(keys_ascend_and_equal_ones_keep_their_order)
{
	uint64_t mask = masks[_i % 6], seed = 1, was = 0, is = 0;
	size_t n = sizes[_i / 6], i, wrong = 0;
	struct radix_item *items = malloc((n + 1) * sizeof(*items));
	struct radix_item *spare = malloc((n + 1) * sizeof(*spare));

	for (i = 0; i < n; i++) {
		items[i] = (struct radix_item){uniform(&seed) & mask, (uint32_t)i};
		was += items[i].key ^ (uint64_t)i << 32;
	}
	radix_sort(items, spare, n);
	for (i = 0; i < n; i++) {
		is += items[i].key ^ (uint64_t)items[i].index << 32;
		wrong +=
		    i && (items[i - 1].key > items[i].key || (items[i - 1].key == items[i].key &&
							      items[i - 1].index > items[i].index));
	}
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(was, is); /* the same items */
	free(items);
	free(spare);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("radix");
	TCase *t = tcase_create("radix");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, keys_ascend_and_equal_ones_keep_their_order, 0, 42);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
