/* Any bytes as a stored sketch, of either form by the first byte: one form for each set, and a set
 * that is added to itself stays what it is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "central/sketch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As it is stored now; the caller frees. */
static uint8_t *
encode(const struct sketch *s, size_t *ret_len)
{
	size_t cap = sketch_encoded_max(s);
	uint8_t *buf = malloc(cap);

	*ret_len = buf ? sketch_encode(s, buf, cap) : 0;
	if (*ret_len == 0)
		abort();
	return buf;
}

static void
check_same(const struct sketch *a, const struct sketch *b)
{
	size_t a_len, b_len;
	uint8_t *x = encode(a, &a_len), *y = encode(b, &b_len);

	if (a_len != b_len || memcmp(x, y, a_len) != 0 || sketch_count(a) != sketch_count(b))
		abort();
	free(x);
	free(y);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct sketch_form *form;
	struct sketch s, back;
	uint8_t *stored;
	size_t len;
	int err;

	if (size == 0)
		return 0;
	form = data[0] & 1 ? &sketch_site : &sketch_small;
	err = sketch_decode(data + 1, size - 1, form, &s);
	if (err && err != -EBADMSG)
		abort();
	if (!err) {
		stored = encode(&s, &len);
		if (sketch_decode(stored, len, form, &back) < 0)
			abort();
		check_same(&s, &back);
		if (sketch_merge(&back, &s) < 0)
			abort();
		check_same(&s, &back);
		sketch_fini(&back);
		free(stored);
	}
	sketch_fini(&s);
	return 0;
}
