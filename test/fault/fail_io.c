/* fail_io.c -- preloaded into a program, makes one of its calls to the disk fail.
 *
 *   FAIL_IO_CALL    write, fsync, rename, unlink, open, mmap, msync, fallocate or truncate
 *   FAIL_IO_BELOW   only calls on files below this directory count
 *   FAIL_IO_FROM    the first of them that fails, 1 for the first (0 or absent: none)
 *   FAIL_IO_WHILE   besides, every one of them fails while this file exists
 *   FAIL_IO_ERRNO   EIO (default) or ENOSPC
 *   FAIL_IO_REPORT  a file that says how many calls counted, and how many failed
 *
 * A write that fails writes the first half of its bytes before, as a full disk does. A msync that
 * fails leaves the pages as they are: what a failed write-back does to them is test power_cut's.
 *
 * Threads: any; the count is of all threads together.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RANGES 1024

struct range {
	char *at;
	size_t len;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long calls, failed;
static struct range mapped[RANGES]; /* files mapped from below the directory, for msync */

/* The calls themselves, past the functions that stand in for them. */
#define SYS_OPEN(path, flags, mode) ((int)syscall(SYS_openat, AT_FDCWD, path, flags, mode))
#define SYS_WRITE(fd, bytes, n) ((ssize_t)syscall(SYS_write, fd, bytes, n))

static unsigned long
number(const char *name)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 10) : 0;
}

static bool
is_below(const char *path)
{
	const char *below = getenv("FAIL_IO_BELOW");
	size_t n = below ? strlen(below) : 0;

	return n && strncmp(path, below, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool
fd_is_below(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	return is_below(path);
}

static void
report(void)
{
	const char *path = getenv("FAIL_IO_REPORT");
	char line[64];
	int fd = path ? SYS_OPEN(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
	int n = snprintf(line, sizeof(line), "%lu %lu\n", calls, failed);

	if (fd < 0)
		return;
	if (SYS_WRITE(fd, line, (size_t)n) < 0)
		abort();
	close(fd);
}

static bool
is_wanted(const char *call)
{
	const char *wanted = getenv("FAIL_IO_CALL");

	return wanted && strcmp(wanted, call) == 0;
}

/* Counts this call; true, with errno set, when it is to fail. */
static bool
fails(const char *call, bool counts)
{
	unsigned long from = number("FAIL_IO_FROM");
	const char *err = getenv("FAIL_IO_ERRNO"), *switched = getenv("FAIL_IO_WHILE");
	bool now;

	if (!counts || !is_wanted(call))
		return false;
	pthread_mutex_lock(&lock);
	calls++;
	now = calls == from || (switched && access(switched, F_OK) == 0);
	failed += now;
	report();
	pthread_mutex_unlock(&lock);
	errno = err && strcmp(err, "ENOSPC") == 0 ? ENOSPC : EIO;
	return now;
}

/* -- bytes -- */

ssize_t
write(int fd, const void *bytes, size_t n)
{
	if (is_wanted("write") && fails("write", fd_is_below(fd))) {
		int err = errno;

		if (n > 1 && SYS_WRITE(fd, bytes, n / 2) < 0)
			err = errno;
		errno = err;
		return -1;
	}
	return SYS_WRITE(fd, bytes, n);
}

ssize_t
pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	if (is_wanted("write") && fails("write", fd_is_below(fd)))
		return -1;
	return (ssize_t)syscall(SYS_pwrite64, fd, bytes, n, at);
}

ssize_t
pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
	if (is_wanted("write") && fails("write", fd_is_below(fd)))
		return -1;
	return (ssize_t)syscall(SYS_pwrite64, fd, bytes, n, at);
}

int
fsync(int fd)
{
	if (is_wanted("fsync") && fails("fsync", fd_is_below(fd)))
		return -1;
	return (int)syscall(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
	if (is_wanted("fsync") && fails("fsync", fd_is_below(fd)))
		return -1;
	return (int)syscall(SYS_fdatasync, fd);
}

/* -- names -- */

int
rename(const char *from, const char *to)
{
	if (fails("rename", is_below(from)))
		return -1;
	return (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int
unlink(const char *path)
{
	if (fails("unlink", is_below(path)))
		return -1;
	return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

/* What reads or looks may not fail here: only files that are made or written to. */
static bool
open_fails(const char *path, int flags)
{
	return (flags & (O_WRONLY | O_RDWR)) && fails("open", is_below(path));
}

int
open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list more;

	if (flags & O_CREAT) {
		va_start(more, flags);
		mode = va_arg(more, mode_t);
		va_end(more);
	}
	return open_fails(path, flags) ? -1 : SYS_OPEN(path, flags, mode);
}

int
open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list more;

	if (flags & O_CREAT) {
		va_start(more, flags);
		mode = va_arg(more, mode_t);
		va_end(more);
	}
	return open_fails(path, flags) ? -1 : SYS_OPEN(path, flags, mode);
}

/* -- room -- */

int
posix_fallocate(int fd, off_t at, off_t n)
{
	if (is_wanted("fallocate") && fails("fallocate", fd_is_below(fd)))
		return errno;
	return syscall(SYS_fallocate, fd, 0, at, n) < 0 ? errno : 0;
}

int
ftruncate(int fd, off_t n)
{
	if (is_wanted("truncate") && fails("truncate", fd_is_below(fd)))
		return -1;
	return (int)syscall(SYS_ftruncate, fd, n);
}

/* -- mappings -- */

static void
note_mapped(char *at, size_t len)
{
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < RANGES && mapped[i].at && mapped[i].at != at; i++)
		;
	if (i < RANGES)
		mapped[i] = (struct range){at, len};
	pthread_mutex_unlock(&lock);
}

static bool
is_mapped(const char *at)
{
	bool found = false;
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < RANGES && mapped[i].at; i++)
		found |= at >= mapped[i].at && at < mapped[i].at + mapped[i].len;
	pthread_mutex_unlock(&lock);
	return found;
}

void *
mmap(void *hint, size_t n, int access, int flags, int fd, off_t at)
{
	bool ours = fd >= 0 && (flags & MAP_SHARED) && fd_is_below(fd);
	void *p;

	if (fails("mmap", ours))
		return MAP_FAILED;
	p = (void *)syscall(SYS_mmap, hint, n, access, flags, fd, at);
	if (ours && p != MAP_FAILED)
		note_mapped(p, n);
	return p;
}

int
msync(void *at, size_t n, int flags)
{
	if (fails("msync", is_mapped(at)))
		return -1;
	return (int)syscall(SYS_msync, at, n, flags);
}
