/* clock.h -- two clocks that the compiler keeps apart.
 *
 * Wall time is for what is stored and for hours by the clock; monotonic time is for what is
 * measured: delays, deadlines, ages. A wall clock that steps must change no duration.
 *
 * Threads:  any.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct wall_ms {
	int64_t ms; /* since 1970-01-01 UTC */
};

struct mono_us {
	int64_t us; /* since some moment of this boot */
};

#define SECOND_MS INT64_C(1000)
#define HOUR_MS (INT64_C(3600) * SECOND_MS)
#define DAY_MS (24 * HOUR_MS)

struct wall_ms wall_now(void);
struct mono_us mono_now(void);

/* Start of the hour of UTC that holds t. */
static inline int64_t
hour_of(int64_t t_ms)
{
	int64_t rest = t_ms % HOUR_MS;

	return t_ms - (rest < 0 ? rest + HOUR_MS : rest);
}

#define WALL_TEXT 25 /* "2026-11-22T13:00:00.000Z" and its NUL */

/* RFC 3339 in UTC with milliseconds. */
void wall_format(struct wall_ms t, char ret_text[WALL_TEXT]);

#endif
