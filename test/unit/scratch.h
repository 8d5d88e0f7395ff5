/* scratch.h -- a directory of its own for one test, gone afterwards.
 *
 * In memory where there is such a place, since no unit test depends on how long a
 * disk's fsync takes.
 *
 * Threads:  single-threaded tests.
 * Memory:   the caller's text.
 */
#ifndef TEST_SCRATCH_H
#define TEST_SCRATCH_H

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SCRATCH_MAX 64

static inline void
scratch_make(char ret_dir[SCRATCH_MAX], const char *what)
{
	snprintf(ret_dir, SCRATCH_MAX, "%s/footfall-%s-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", what);
	ck_assert_ptr_nonnull(mkdtemp(ret_dir));
}

static inline int
scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline void
scratch_remove(const char *dir)
{
	ck_assert_int_eq(nftw(dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
