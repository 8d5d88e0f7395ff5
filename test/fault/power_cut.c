/* power_cut.c -- preloaded into a program, remembers what a power cut would have left of its files.
 *
 *   POWER_CUT_BELOW   only files and directories below this one count
 *   POWER_CUT_SHADOW  a directory on the same file system, outside of it
 *
 * What was synced is copied into the shadow, by inode number:
 *
 *   INO.bytes   the file as of its last fsync or fdatasync, with ranges that were msynced since
 *   INO.dir     the directory as of its last fsync: lines "inode name"
 *   INO.link    a hard link, so that the number is not given to another file
 *
 * Content is taken before the call and kept only if it succeeds: what another thread writes
 * meanwhile is not promised to anybody. power.py makes the state after the cut of the shadow
 * and the files.
 *
 * Threads: any. A copy is made aside and renamed, or consists of whole pages, so that the program
 * may be killed in the middle of it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RANGES 1024

struct range {
	char *at;
	size_t len;
	off_t offset;
	ino_t ino;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct range mapped[RANGES];
static unsigned long copies;

static bool
path_of(int fd, char path[PATH_MAX])
{
	const char *below = getenv("POWER_CUT_BELOW");
	size_t n = below ? strlen(below) : 0;
	char link[64];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", fd);
	len = n ? readlink(link, path, PATH_MAX - 1) : -1;
	if (len < 0)
		return false;
	path[len] = '\0';
	return strncmp(path, below, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static void
shadow_path(char path[PATH_MAX], ino_t ino, const char *kind)
{
	snprintf(path, PATH_MAX, "%s/%lu.%s", getenv("POWER_CUT_SHADOW"), (unsigned long)ino, kind);
}

static void
hold(const char *path, ino_t ino)
{
	char name[PATH_MAX];

	shadow_path(name, ino, "link");
	/* there already, or unlinked by another thread: as good */
	(void)!linkat(AT_FDCWD, path, AT_FDCWD, name, 0);
}

/* -- copies -- */

static bool
copy_bytes(int fd, int to, off_t size)
{
	char block[65536];
	off_t at = 0;

	while (at < size) {
		ssize_t n = pread(fd, block, sizeof(block), at);

		if (n <= 0)
			break;
		if (pwrite(to, block, (size_t)n, at) != n)
			return false;
		at += n;
	}
	return ftruncate(to, at) == 0;
}

/* The descriptor may be write-only. */
static bool
copy_file(const char *path, const char *aside, off_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int to = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool good = fd >= 0 && to >= 0 && copy_bytes(fd, to, size);

	if (fd >= 0)
		close(fd);
	if (to >= 0)
		close(to);
	return good;
}

static bool
list_dir(const char *path, const char *aside)
{
	DIR *dir = opendir(path);
	FILE *out = fopen(aside, "we");
	char entry[2 * PATH_MAX];
	struct dirent *d;

	while (dir && out && (d = readdir(dir))) {
		if (d->d_type != DT_REG)
			continue;
		fprintf(out, "%lu %s\n", (unsigned long)d->d_ino, d->d_name);
		snprintf(entry, sizeof(entry), "%s/%s", path, d->d_name);
		hold(entry, d->d_ino);
	}
	if (dir)
		closedir(dir);
	return out && fclose(out) == 0 && dir;
}

static int
sync_fd(int fd, long call)
{
	char path[PATH_MAX], aside[PATH_MAX], copy[PATH_MAX], kind[32];
	struct stat st;
	bool good;
	int err;

	if (!path_of(fd, path) || fstat(fd, &st) < 0)
		return (int)syscall(call, fd);
	pthread_mutex_lock(&lock);
	snprintf(kind, sizeof(kind), "%lu.tmp", ++copies);
	shadow_path(aside, st.st_ino, kind);
	shadow_path(copy, st.st_ino, S_ISDIR(st.st_mode) ? "dir" : "bytes");
	if (S_ISDIR(st.st_mode)) {
		good = list_dir(path, aside);
	} else {
		hold(path, st.st_ino);
		good = copy_file(path, aside, st.st_size);
	}
	err = (int)syscall(call, fd);
	if (err == 0 && good)
		rename(aside, copy);
	else
		unlink(aside);
	pthread_mutex_unlock(&lock);
	return err;
}

int
fsync(int fd)
{
	return sync_fd(fd, SYS_fsync);
}

int
fdatasync(int fd)
{
	return sync_fd(fd, SYS_fdatasync);
}

/* -- mappings -- */

static void
note(char *at, size_t len, off_t offset, int fd)
{
	struct stat st;
	size_t i;

	if (fstat(fd, &st) < 0)
		return;
	pthread_mutex_lock(&lock);
	for (i = 0; i < RANGES && mapped[i].at; i++)
		;
	if (i < RANGES)
		mapped[i] = (struct range){at, len, offset, st.st_ino};
	pthread_mutex_unlock(&lock);
}

void *
mmap(void *hint, size_t n, int access, int flags, int fd, off_t at)
{
	void *p = (void *)syscall(SYS_mmap, hint, n, access, flags, fd, at);
	char path[PATH_MAX];

	if (p != MAP_FAILED && fd >= 0 && (flags & MAP_SHARED) && path_of(fd, path))
		note(p, n, at, fd);
	return p;
}

int
munmap(void *at, size_t n)
{
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < RANGES; i++)
		if (mapped[i].at == at)
			mapped[i].at = NULL;
	pthread_mutex_unlock(&lock);
	return (int)syscall(SYS_munmap, at, n);
}

static void
keep_range(const struct range *r, const char *at, const char *bytes, size_t n)
{
	char path[PATH_MAX];
	int to;

	shadow_path(path, r->ino, "bytes");
	to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (to < 0)
		return;
	if (pwrite(to, bytes, n, r->offset + (at - r->at)) != (ssize_t)n)
		abort();
	close(to);
}

int
msync(void *p, size_t n, int flags)
{
	char *at = p, *bytes = malloc(n);
	size_t i;
	int err;

	if (bytes)
		memcpy(bytes, at, n);
	err = (int)syscall(SYS_msync, p, n, flags);
	pthread_mutex_lock(&lock);
	for (i = 0; i < RANGES && bytes && err == 0; i++)
		if (mapped[i].at && at >= mapped[i].at && at + n <= mapped[i].at + mapped[i].len)
			keep_range(&mapped[i], at, bytes, n);
	pthread_mutex_unlock(&lock);
	free(bytes);
	return err;
}
