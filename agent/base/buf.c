#include "base/buf.h"

#define VARINT_MAX 10

/* In place when the longest would fit. */
void
put_long_varint(struct writer *w, uint64_t v)
{
	bool roomy = !w->bad && w->cap - w->len >= VARINT_MAX;
	uint8_t bytes[VARINT_MAX], *at = roomy ? w->base + w->len : bytes;
	size_t n = 0;

	while (v >= 0x80) {
		at[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	at[n++] = (uint8_t)v;
	if (roomy)
		w->len += n;
	else
		put_bytes(w, bytes, n);
}

uint64_t
get_varint(struct reader *r)
{
	size_t left = reader_left(r), n;
	const uint8_t *at = r->base + r->at;
	uint64_t v = 0;

	for (n = 0; n < left && n < VARINT_MAX; n++) {
		v |= (uint64_t)(at[n] & 0x7f) << (7 * n);
		if (at[n] >= 0x80)
			continue;
		/* one form per value: no zero last byte, nothing above 64 bits */
		if ((at[n] == 0 && n > 0) || (n == VARINT_MAX - 1 && at[n] > 1))
			break;
		r->at += n + 1;
		return v;
	}
	r->bad = true;
	return 0;
}

int64_t
get_zigzag(struct reader *r)
{
	uint64_t v = get_varint(r);

	return (int64_t)(v >> 1 ^ (v & 1 ? UINT64_MAX : 0));
}
