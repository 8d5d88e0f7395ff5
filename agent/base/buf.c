#include "base/buf.h"

void
put_bytes(struct writer *w, const void *bytes, size_t n)
{
	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return;
	}
	if (n)
		memcpy(w->base + w->len, bytes, n);
	w->len += n;
}

static void
put_le(struct writer *w, uint64_t v, size_t n)
{
	uint8_t bytes[8];
	size_t i;

	for (i = 0; i < n; i++)
		bytes[i] = (uint8_t)(v >> (8 * i));
	put_bytes(w, bytes, n);
}

static void
put_be(struct writer *w, uint64_t v, size_t n)
{
	uint8_t bytes[8];
	size_t i;

	for (i = 0; i < n; i++)
		bytes[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	put_bytes(w, bytes, n);
}

void
put_u8(struct writer *w, uint8_t v)
{
	put_bytes(w, &v, 1);
}

void
put_u16(struct writer *w, uint16_t v)
{
	put_le(w, v, 2);
}

void
put_u32(struct writer *w, uint32_t v)
{
	put_le(w, v, 4);
}

void
put_u64(struct writer *w, uint64_t v)
{
	put_le(w, v, 8);
}

void
put_u32_be(struct writer *w, uint32_t v)
{
	put_be(w, v, 4);
}

void
put_u64_be(struct writer *w, uint64_t v)
{
	put_be(w, v, 8);
}

void
put_f64(struct writer *w, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, 8);
	put_le(w, bits, 8);
}

#define VARINT_MAX 10

/* In place when the longest would fit. */
void
put_varint(struct writer *w, uint64_t v)
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

void
put_zigzag(struct writer *w, int64_t v)
{
	put_varint(w, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

void
put_text8(struct writer *w, struct text t)
{
	if (t.len > 255) {
		w->bad = true;
		return;
	}
	put_u8(w, (uint8_t)t.len);
	put_bytes(w, t.at, t.len);
}

const uint8_t *
get_bytes(struct reader *r, size_t n)
{
	if (r->bad || n > r->len - r->at) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	return r->base + (r->at - n);
}

static inline uint64_t
get_le(struct reader *r, size_t n)
{
	const uint8_t *bytes = get_bytes(r, n);
	uint64_t v = 0;
	size_t i;

	for (i = 0; bytes && i < n; i++) /* compilers make one load of it */
		v |= (uint64_t)bytes[i] << (8 * i);
	return v;
}

static uint64_t
get_be(struct reader *r, size_t n)
{
	const uint8_t *bytes = get_bytes(r, n);
	uint64_t v = 0;
	size_t i;

	for (i = 0; bytes && i < n; i++)
		v = v << 8 | bytes[i];
	return v;
}

uint8_t
get_u8(struct reader *r)
{
	return (uint8_t)get_le(r, 1);
}

uint16_t
get_u16(struct reader *r)
{
	return (uint16_t)get_le(r, 2);
}

uint32_t
get_u32(struct reader *r)
{
	return (uint32_t)get_le(r, 4);
}

uint64_t
get_u64(struct reader *r)
{
	return get_le(r, 8);
}

uint32_t
get_u32_be(struct reader *r)
{
	return (uint32_t)get_be(r, 4);
}

uint64_t
get_u64_be(struct reader *r)
{
	return get_be(r, 8);
}

double
get_f64(struct reader *r)
{
	uint64_t bits = get_le(r, 8);
	double v;

	memcpy(&v, &bits, 8);
	return v;
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

struct text
get_text8(struct reader *r)
{
	size_t n = get_u8(r);
	const uint8_t *bytes = get_bytes(r, n);

	return (struct text){n && bytes ? (const char *)bytes : NULL, bytes ? n : 0};
}
