/* buf.h -- writing and reading bytes inside fixed bounds, with an error that sticks.
 *
 * A chain of puts or gets is checked once at its end: after the first one that does not fit every
 * later one does nothing and `bad` stays set. All integers are little-endian unless named _be.
 *
 * Threads:  plain values.
 * Memory:   the caller's buffer, lent until the caller is done with the writer or reader.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

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

void put_bytes(struct writer *w, const void *bytes, size_t n);
void put_u8(struct writer *w, uint8_t v);
void put_u16(struct writer *w, uint16_t v);
void put_u32(struct writer *w, uint32_t v);
void put_u64(struct writer *w, uint64_t v);
void put_u32_be(struct writer *w, uint32_t v);
void put_u64_be(struct writer *w, uint64_t v);
void put_f64(struct writer *w, double v);
/* LEB128, at most 10 bytes; signed values by zigzag. */
void put_varint(struct writer *w, uint64_t v);
void put_zigzag(struct writer *w, int64_t v);
/* A length byte and the bytes; bad when longer than 255. */
void put_text8(struct writer *w, struct text t);

/* Absent values read as zero; check `bad` at the end. */
const uint8_t *get_bytes(struct reader *r, size_t n); /* lent from the buffer; NULL when missing */
uint8_t get_u8(struct reader *r);
uint16_t get_u16(struct reader *r);
uint32_t get_u32(struct reader *r);
uint64_t get_u64(struct reader *r);
uint32_t get_u32_be(struct reader *r);
uint64_t get_u64_be(struct reader *r);
double get_f64(struct reader *r);
uint64_t get_varint(struct reader *r); /* over-long forms are bad */
int64_t get_zigzag(struct reader *r);
struct text get_text8(struct reader *r);

static inline size_t
reader_left(const struct reader *r)
{
	return r->bad ? 0 : r->len - r->at;
}

#endif
