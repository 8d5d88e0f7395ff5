#include "node/udp_drops.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

#define NAME "udp-drops"
#define LINE 42 /* two numbers of at most 20 digits, a blank and a newline */
#define SOCKETS_MAX 64

/* Cookies begin anew with each boot. A file that claims to be from later in this boot is from an
 * earlier one. */
static int64_t
since_boot_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec;
}

static uint32_t
find_line(const char *lines, uint64_t cookie)
{
	uint64_t found, counted;
	char *end;

	while ((lines = strchr(lines, '\n')) && *++lines) {
		found = strtoull(lines, &end, 10);
		counted = strtoull(end, NULL, 10);
		if (found == cookie && counted <= UINT32_MAX)
			return (uint32_t)counted;
	}
	return 0;
}

int
udp_drops_find(const char *state_dir, int fd, struct udp_drops *ret_drops)
{
	struct udp_drops d = {0, 0};
	socklen_t size = sizeof(d.cookie);
	char path[PATH_MAX], *lines = NULL;
	size_t len;

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &d.cookie, &size) < 0)
		return -errno;
	snprintf(path, sizeof(path), "%s/" NAME, state_dir);
	if (file_read(path, (size_t)(SOCKETS_MAX + 1) * LINE, &lines, &len) == 0 &&
	    strtoll(lines, NULL, 10) <= since_boot_s())
		d.counted = find_line(lines, d.cookie);
	free(lines);
	*ret_drops = d;
	return 0;
}

static int
write_file(const char *path, const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), err;

	if (fd < 0)
		return -errno;
	err = file_write_all(fd, bytes, len);
	close(fd);
	return err;
}

/* Not file_replace: its fsync takes long enough to fill a socket's buffer. */
int
udp_drops_write(const char *state_dir, const struct udp_drops *drops, size_t n)
{
	char bytes[(SOCKETS_MAX + 1) * LINE], path[PATH_MAX], aside[PATH_MAX];
	size_t i, len;
	int err;

	snprintf(path, sizeof(path), "%s/" NAME, state_dir);
	snprintf(aside, sizeof(aside), "%s/." NAME ".tmp", state_dir);
	len = (size_t)snprintf(bytes, sizeof(bytes), "%" PRId64 "\n", since_boot_s());
	for (i = 0; i < n && i < SOCKETS_MAX; i++)
		len +=
		    (size_t)snprintf(bytes + len, sizeof(bytes) - len, "%" PRIu64 " %" PRIu32 "\n",
				     drops[i].cookie, drops[i].counted);
	err = write_file(aside, bytes, len);
	if (!err && rename(aside, path) < 0)
		err = -errno;
	return err;
}
