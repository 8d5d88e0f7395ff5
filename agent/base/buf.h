/* buf.h -- writing and reading bytes inside fixed bounds, with an error that sticks.
 *
 * A chain of puts or gets is checked once at its end: after the first one that does not fit every
 * later one does nothing and `bad` stays set. All integers are little-endian unless named _be.
 *
 * They stand here whole, so that a put or get of known width becomes a store or load where it is
 * called: an event takes some fifty of them.
 *
 * Threads:  plain values.
 * Memory:   the caller's buffer, lent until the caller is done with the writer or reader.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <endian.h>

#include "base/text.h"

/* For a large local buffer of which only what was written is read. The release build zeroes locals
 * (Makefile, HARDEN), which for 2 KiB on the way of every event costs more than hashing what is put
 * there. */
#define UNZEROED __attribute__((uninitialized))

struct writer {
	uint8_t *base;
	size_t len; /* bytes written */
	size_t cap;
	bool bad; /* something did not fit */
};

struct reader {
	const uint8_t *base;
	size_t at; /* bytes read */
	size_t len;
	bool bad; /* something was missing */
};

static inline struct writer
writer_of(void *base, size_t cap)
{
	return (struct writer){base, 0, cap, false};
}

static inline struct reader
reader_of(const void *base, size_t len)
{
	return (struct reader){base, 0, len, false};
}

/* -- putting -- */

static inline void
put_bytes(struct writer *w, const void *bytes, size_t n)
{
	if (w->bad || n > w->cap - w->len || (n > 0 && !bytes)) {
		w->bad = true;
		return;
	}
	if (n > 0)
		memcpy(w->base + w->len, bytes, n);
	w->len += n;
}

/* n from 1 to 8 bytes. */
static inline void
put_le(struct writer *w, uint64_t v, size_t n)
{
	v = htole64(v);
	put_bytes(w, &v, n);
}

static inline void
put_big_endian(struct writer *w, uint64_t v, size_t n)
{
	v = htobe64(v << (64 - 8 * n));
	put_bytes(w, &v, n);
}

static inline void
put_u8(struct writer *w, uint8_t v)
{
	put_bytes(w, &v, 1);
}

static inline void
put_u16(struct writer *w, uint16_t v)
{
	put_le(w, v, 2);
}

static inline void
put_u32(struct writer *w, uint32_t v)
{
	put_le(w, v, 4);
}

static inline void
put_u64(struct writer *w, uint64_t v)
{
	put_le(w, v, 8);
}

static inline void
put_u32_be(struct writer *w, uint32_t v)
{
	put_big_endian(w, v, 4);
}

static inline void
put_u64_be(struct writer *w, uint64_t v)
{
	put_big_endian(w, v, 8);
}

static inline void
put_f64(struct writer *w, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, 8);
	put_le(w, bits, 8);
}

/* A length byte and the bytes; bad when longer than 255. */
static inline void
put_text8(struct writer *w, struct text t)
{
	if (t.len > 255) {
		w->bad = true;
		return;
	}
	put_u8(w, (uint8_t)t.len);
	put_bytes(w, t.at, t.len);
}

/* LEB128 of more than one byte. */
void put_long_varint(struct writer *w, uint64_t v);

/* LEB128, at most 10 bytes; signed values by zigzag. */
static inline void
put_varint(struct writer *w, uint64_t v)
{
	if (v < 0x80)
		put_u8(w, (uint8_t)v);
	else
		put_long_varint(w, v);
}

static inline void
put_zigzag(struct writer *w, int64_t v)
{
	put_varint(w, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

/* -- getting: absent values read as zero; check `bad` at the end -- */

/* Lent from the buffer; NULL when missing. */
static inline const uint8_t *
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

	if (bytes)
		memcpy(&v, bytes, n);
	return le64toh(v);
}

static inline uint64_t
get_be(struct reader *r, size_t n)
{
	const uint8_t *bytes = get_bytes(r, n);
	uint64_t v = 0;

	if (bytes)
		memcpy(&v, bytes, n);
	return be64toh(v) >> (64 - 8 * n);
}

static inline uint8_t
get_u8(struct reader *r)
{
	return (uint8_t)get_le(r, 1);
}

static inline uint16_t
get_u16(struct reader *r)
{
	return (uint16_t)get_le(r, 2);
}

static inline uint32_t
get_u32(struct reader *r)
{
	return (uint32_t)get_le(r, 4);
}

static inline uint64_t
get_u64(struct reader *r)
{
	return get_le(r, 8);
}

static inline uint32_t
get_u32_be(struct reader *r)
{
	return (uint32_t)get_be(r, 4);
}

static inline uint64_t
get_u64_be(struct reader *r)
{
	return get_be(r, 8);
}

static inline double
get_f64(struct reader *r)
{
	uint64_t bits = get_le(r, 8);
	double v;

	memcpy(&v, &bits, 8);
	return v;
}

static inline struct text
get_text8(struct reader *r)
{
	size_t n = get_u8(r);
	const uint8_t *bytes = get_bytes(r, n);

	return (struct text){n && bytes ? (const char *)bytes : NULL, bytes ? n : 0};
}

uint64_t get_varint(struct reader *r); /* over-long forms are bad */
int64_t get_zigzag(struct reader *r);

static inline size_t
reader_left(const struct reader *r)
{
	return r->bad ? 0 : r->len - r->at;
}

#endif
