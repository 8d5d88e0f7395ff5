#include "base/descriptors.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static int
by_number(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int
descriptors_keep(int *fd, size_t n)
{
	unsigned from = STDERR_FILENO + 1;
	size_t i;

#ifdef __SANITIZE_THREAD__
	return -ENOSYS; /* it takes a number for the same file in all threads */
#endif
	/* nobody has that number: this only makes the table the thread's own */
	if (close_range(UINT_MAX, UINT_MAX, CLOSE_RANGE_UNSHARE) < 0)
		return -errno;
	qsort(fd, n, sizeof(*fd), by_number);
	for (i = 0; i < n; i++) {
		if (from < (unsigned)fd[i])
			close_range(from, (unsigned)fd[i] - 1, 0);
		from = (unsigned)fd[i] + 1;
	}
	close_range(from, UINT_MAX, 0);
	return 0;
}
