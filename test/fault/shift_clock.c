/* shift_clock.c -- a wall clock that is wrong, for a program that is preloaded with it.
 *
 * SHIFT_CLOCK names a file with a number of milliseconds, which is added to CLOCK_REALTIME and read
 * anew at each call: replace the file, and the clock steps. All other clocks stay right.
 * SHIFT_CLOCK_MSYNC, so many milliseconds, are added for each msync: the disk seems to be slow.
 *
 * Threads:  any.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t msyncs;

int
msync(void *at, size_t len, int how)
{
	atomic_fetch_add(&msyncs, 1);
	return (int)syscall(SYS_msync, at, len, how);
}

static int64_t
waited_ms(void)
{
	const char *each = getenv("SHIFT_CLOCK_MSYNC");

	return each ? strtoll(each, NULL, 10) * atomic_load(&msyncs) : 0;
}

static int64_t
shift_ms(void)
{
	const char *path = getenv("SHIFT_CLOCK");
	char text[32] = "";
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? strtoll(text, NULL, 10) : 0;
}

int
clock_gettime(clockid_t clock, struct timespec *ret_time)
{
	int64_t ms;

	if (syscall(SYS_clock_gettime, clock, ret_time) < 0)
		return -1;
	if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
		return 0;
	ms = ret_time->tv_sec * INT64_C(1000) + ret_time->tv_nsec / 1000000 + shift_ms() +
	     waited_ms();
	ret_time->tv_sec = ms / 1000;
	ret_time->tv_nsec = ms % 1000 * 1000000 + ret_time->tv_nsec % 1000000;
	return 0;
}

int
gettimeofday(struct timeval *restrict ret_time, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &t) < 0)
		return -1;
	*ret_time = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
	return 0;
}

time_t
time(time_t *ret_time)
{
	struct timespec t;

	if (clock_gettime(CLOCK_REALTIME, &t) < 0)
		return -1;
	if (ret_time)
		*ret_time = t.tv_sec;
	return t.tv_sec;
}
