/* lines.h -- tables of 64-byte cache lines, each with a lock bit of its own.
 *
 * What rate_limit and dedup share: a fixed array of lines, found by the high half of a keyed hash,
 * and a spin lock in the top bit of a line's first word. A lock is held for a scan of one line (or,
 * by admission, for a scan and a journal append), so that waiting for it is a matter of
 * nanoseconds, and two events meet only when their hashes fall into the same line.
 *
 * Threads:  any; words are read and written under the line's lock.
 * Memory:   mapped at start, zeroed, fixed; the kernel backs a page when it is first touched, so
 *           that an idle agent stays small.
 */
#ifndef NODE_LINES_H
#define NODE_LINES_H

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define LINE_WORDS 16
#define LINE_LOCK 0x80000000u /* in word 0, whose own value has 31 bits */

struct line {
	_Alignas(64) _Atomic uint32_t word[LINE_WORDS];
};

/* What processors find without walking page tables, roughly. */
#define LINES_HUGE ((size_t)16 << 20)

/* `n` lines that are all zero, or NULL. In a table far larger than that, each look would cost a walk
 * through page tables that are colder than the line itself, so it gets huge pages where the kernel
 * has them: who asks for such a table will fill it. */
static inline struct line *
lines_map(size_t n)
{
	void *p = mmap(NULL, n * sizeof(struct line), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (n * sizeof(struct line) >= LINES_HUGE)
		(void)madvise(p, n * sizeof(struct line), MADV_HUGEPAGE);
	return p;
}

static inline void
lines_unmap(struct line *lines, size_t n)
{
	if (lines)
		munmap(lines, n * sizeof(struct line));
}

/* Which of n lines (or groups of lines) a hash belongs to: by its high half, so that the low half
 * is free to be the tag. */
static inline size_t
lines_index(uint64_t hash, size_t n)
{
	return (size_t)(((hash >> 32) * (uint64_t)n) >> 32);
}

/* Never 0 (which marks an empty entry), nor 0 in the 31 bits that word 0 can hold. */
static inline uint32_t
line_tag(uint64_t hash)
{
	uint32_t tag = (uint32_t)hash;

	return (tag & ~LINE_LOCK) == 0 ? tag | 1 : tag;
}

/* Starts loading a line that will be written soon. A table is larger than any cache, so that the
 * first look at a line costs more than all the work on it. */
static inline void
line_fetch(const struct line *l)
{
	__builtin_prefetch(l, 1);
}

static inline void
line_lock(struct line *l)
{
	unsigned spins = 0;

	while (atomic_fetch_or_explicit(&l->word[0], LINE_LOCK, memory_order_acquire) & LINE_LOCK)
		if (++spins % 64 == 0)
			sched_yield(); /* the holder may have lost its processor */
}

/* By a store: while the lock is held, others change no bit of the word that is not set. */
static inline void
line_unlock(struct line *l)
{
	uint32_t v = atomic_load_explicit(&l->word[0], memory_order_relaxed);

	atomic_store_explicit(&l->word[0], v & ~LINE_LOCK, memory_order_release);
}

/* A word as word 0 would hold it. */
static inline uint32_t
line_fit(unsigned i, uint32_t v)
{
	return i == 0 ? v & ~LINE_LOCK : v;
}

static inline uint32_t
line_get(const struct line *l, unsigned i)
{
	return line_fit(i, atomic_load_explicit(&l->word[i], memory_order_relaxed));
}

static inline void
line_put(struct line *l, unsigned i, uint32_t v)
{
	atomic_store_explicit(&l->word[i], i == 0 ? v | LINE_LOCK : v, memory_order_relaxed);
}

#endif
