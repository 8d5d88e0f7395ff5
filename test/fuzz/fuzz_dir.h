/* fuzz_dir.h -- a directory of this process in memory, for decoders that are given a path.
 *
 * Threads:  one.
 * Memory:   its files; all is removed when the process ends, but for a crash.
 * Errors:   abort: a target without its files has nothing to say.
 */
#ifndef FUZZ_DIR_H
#define FUZZ_DIR_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

#define FUZZ_DIR_MAX 64
#define FUZZ_PATH_MAX 512

static char fuzz_dir[FUZZ_DIR_MAX];

static inline int
fuzz_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	return at->level > 0 ? remove(path) : 0;
}

/* Removes what is in it. */
static inline void
fuzz_dir_clear(void)
{
	if (nftw(fuzz_dir, fuzz_remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0)
		abort();
}

static inline void
fuzz_dir_remove(void)
{
	fuzz_dir_clear();
	(void)rmdir(fuzz_dir);
}

static inline void
fuzz_dir_make(void)
{
	(void)snprintf(fuzz_dir, sizeof(fuzz_dir), "%s/footfall-fuzz-XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(fuzz_dir) || atexit(fuzz_dir_remove) != 0)
		abort();
}

/* Into ret_path: the path of a file of it. */
static inline void
fuzz_path(const char *name, char ret_path[FUZZ_PATH_MAX])
{
	if (snprintf(ret_path, FUZZ_PATH_MAX, "%s/%s", fuzz_dir, name) >= FUZZ_PATH_MAX)
		abort();
}

/* The file of that name holds these bytes, mode 0600. */
static inline void
fuzz_file(const char *name, const void *bytes, size_t n)
{
	char path[FUZZ_PATH_MAX];
	int fd;

	fuzz_path(name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || file_write_all(fd, bytes, n) < 0 || close(fd) < 0)
		abort();
}

#endif
