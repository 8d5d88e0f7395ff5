#include "base/crash_point.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool
ends_with(const char *name, const char *ending, size_t len)
{
	size_t n = strlen(name);

	return n >= len && memcmp(name + n - len, ending, len) == 0;
}

void
crash_point(const char *step, const char *name)
{
	static atomic_ulong reached;
	const char *wanted = getenv("FOOTFALL_CRASH");
	size_t len = strlen(step), ending;
	unsigned long nth = 1;

	if (!wanted || strncmp(wanted, step, len) != 0)
		return;
	wanted += len;
	if (*wanted == '@') {
		ending = strcspn(++wanted, ":");
		if (!ends_with(name, wanted, ending))
			return;
		wanted += ending;
	}
	if (*wanted == ':')
		nth = strtoul(wanted + 1, NULL, 10);
	else if (*wanted != '\0') /* a longer step's name */
		return;
	if (atomic_fetch_add(&reached, 1) + 1 == nth)
		kill(getpid(), SIGKILL);
}
