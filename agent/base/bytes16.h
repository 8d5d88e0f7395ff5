/* bytes16.h -- sixteen bytes at once, by the vectors that gcc and clang make of plain C.
 *
 * For what runs over every byte of every request. A run that ends within the first sixteen bytes,
 * which most do, costs no branch that the processor could guess wrong.
 *
 * Threads:  plain values.
 */
#ifndef BASE_BYTES16_H
#define BASE_BYTES16_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef int8_t bytes16_mask __attribute__((vector_size(16))); /* 0 or -1 each: of a comparison */

static inline bytes16
bytes16_load(const void *p)
{
	bytes16 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline bytes16
bytes16_all(uint8_t b)
{
	return (bytes16){b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b};
}

/* Which lie between first and last, both included. */
static inline bytes16_mask
bytes16_within(bytes16 v, uint8_t first, uint8_t last)
{
	return (v - bytes16_all(first)) <= bytes16_all((uint8_t)(last - first));
}

static inline bytes16_mask
bytes16_are(bytes16 v, uint8_t b)
{
	return v == bytes16_all(b);
}

/* The first that is in the mask: 16 when none is. */
static inline unsigned
bytes16_first(bytes16_mask m)
{
#ifdef __SSE2__
	return (unsigned)__builtin_ctz((unsigned)_mm_movemask_epi8((__m128i)m) | 0x10000);
#else
	uint64_t half[2];

	memcpy(half, &m, sizeof(half));
	if (half[0])
		return (unsigned)__builtin_ctzll(le64toh(half[0])) / 8;
	return half[1] ? 8 + (unsigned)__builtin_ctzll(le64toh(half[1])) / 8 : 16;
#endif
}

#endif
