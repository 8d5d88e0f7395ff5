#include "base/clock.h"

#include <stdio.h>
#include <time.h>

struct wall_ms
wall_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (struct wall_ms){(int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000};
}

struct mono_us
mono_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (struct mono_us){(int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000};
}

void
wall_format(struct wall_ms t, char ret_text[WALL_TEXT])
{
	int64_t rest = t.ms % 1000 + (t.ms % 1000 < 0 ? 1000 : 0);
	time_t seconds = (time_t)((t.ms - rest) / 1000);
	struct tm tm;
	char date[WALL_TEXT];

	if (!gmtime_r(&seconds, &tm) ||
	    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) != 19)
		snprintf(date, sizeof(date), "0000-00-00T00:00:00"); /* beyond year 9999 */
	snprintf(ret_text, WALL_TEXT, "%.19s.%03uZ", date, (unsigned)rest % 1000u);
}
