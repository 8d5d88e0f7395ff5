#include "base/crash_point.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int
file_write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;
	ssize_t done;

	while (n > 0) {
		done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int
file_sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int
write_aside(const char *path, const void *bytes, size_t n, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	int err;

	if (fd < 0)
		return -errno;
	err = fchmod(fd, mode) < 0 ? -errno : 0;
	if (!err)
		err = file_write_all(fd, bytes, n);
	if (!err && fsync(fd) < 0)
		err = -errno;
	if (close(fd) < 0 && !err)
		err = -errno;
	return err;
}

int
file_replace(const char *dir, const char *name, const void *bytes, size_t n, mode_t mode)
{
	char aside[PATH_MAX], path[PATH_MAX];
	int err;

	if (snprintf(aside, sizeof(aside), "%s/.%s.tmp", dir, name) >= (int)sizeof(aside) ||
	    snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	err = write_aside(aside, bytes, n, mode);
	CRASH_POINT_OF("replace_before_rename", name);
	if (!err && rename(aside, path) < 0)
		err = -errno;
	if (err) {
		unlink(aside);
		return err;
	}
	CRASH_POINT_OF("replace_after_rename", name);
	return file_sync_dir(dir);
}

static int
read_whole(int fd, size_t max, char **ret_bytes, size_t *ret_len)
{
	struct stat st;
	char *bytes = NULL;
	size_t len = 0;
	ssize_t n;
	int err = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return -EFBIG;
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	while (len < (size_t)st.st_size) {
		n = read(fd, bytes + len, (size_t)st.st_size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (err) {
		free(bytes);
		return err;
	}
	bytes[len] = '\0';
	*ret_bytes = bytes;
	*ret_len = len;
	return 0;
}

/* Which bits of a secret's mode must not be set. systemd may give a credential to the service by an
 * ACL, whose mask shows as the group's bits; its folder lets nobody else in. */
static mode_t
forbidden_bits(const char *path)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	size_t len = dir ? strlen(dir) : 0;

	if (len > 0 && strncmp(path, dir, len) == 0 && path[len] == '/' && !strstr(path, "/../"))
		return 037;
	return 077;
}

static int
read_path(const char *path, size_t max, bool secret, char **ret_bytes, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int err;

	if (fd < 0)
		return -errno;
	if (secret && (fstat(fd, &st) < 0 || (st.st_mode & forbidden_bits(path))))
		err = -EPERM;
	else
		err = read_whole(fd, max, ret_bytes, ret_len);
	close(fd);
	return err;
}

int
file_read(const char *path, size_t max, char **ret_bytes, size_t *ret_len)
{
	return read_path(path, max, false, ret_bytes, ret_len);
}

int
file_read_secret(const char *path, size_t max, char **ret_bytes, size_t *ret_len)
{
	return read_path(path, max, true, ret_bytes, ret_len);
}

int
file_make_dir(const char *path)
{
	char part[PATH_MAX];
	size_t len = strlen(path), i;
	struct stat st;

	if (len == 0 || len >= sizeof(part))
		return -ENAMETOOLONG;
	memcpy(part, path, len + 1);
	for (i = 1; i <= len; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return -errno;
		part[i] = path[i];
	}
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR; /* EEXIST is said of files as well */
}

int
file_lock_dir(const char *dir, int *ret_fd)
{
	char path[PATH_MAX];
	int fd, err;

	if (snprintf(path, sizeof(path), "%s/lock", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}
