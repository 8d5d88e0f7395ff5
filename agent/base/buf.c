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

void
put_varint(struct writer *w, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;

	while (v >= 0x80) {
		bytes[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	bytes[n++] = (uint8_t)v;
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

static uint64_t
get_le(struct reader *r, size_t n)
{
	const uint8_t *bytes = get_bytes(r, n);
	uint64_t v = 0;

	while (bytes && n-- > 0)
		v = v << 8 | bytes[n];
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
	uint64_t v = 0;
	unsigned shift;
	uint8_t byte;

	for (shift = 0; shift < 64; shift += 7) {
		byte = get_u8(r);
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			/* one form per value: no zero last byte, nothing above 64 bits */
			if ((byte == 0 && shift > 0) || (shift == 63 && byte > 1))
				r->bad = true;
			return r->bad ? 0 : v;
		}
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
