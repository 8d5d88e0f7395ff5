/* calendar.h -- hours, days and months of one time zone, as instants.
 *
 * The zone is the central's time_zone, from the tz database. An hour begins at :00 of the local
 * clock and wherever the clock is put forward or back, so that it never lasts longer than 60
 * minutes (Lord Howe has hours of 30) and never crosses a midnight; zones off by 30 or 45 minutes
 * have whole hours. A day begins with the first instant that bears its date or a later one: at
 * midnight, at 01:00 where the clock skips midnight, and only once where midnight comes twice.
 * Days of 23, 24, 24.5 or 25 hours come out right; a date that the zone skipped is no day.
 *
 * Threads:  calendar_init once at start (it sets TZ for the process); the rest any.
 * Errors:   -ENOENT for a name that the tz database does not have; only "UTC" needs no database.
 */
#ifndef CENTRAL_CALENDAR_H
#define CENTRAL_CALENDAR_H

#include <stdint.h>

#include "base/text.h"

enum grain { GRAIN_HOUR, GRAIN_DAY, GRAIN_MONTH, GRAIN_N };

int calendar_init(const char *zone);

/* Start of the period that holds t, and start of the one behind the period starting at t. */
int64_t calendar_start(enum grain g, int64_t t_ms);
int64_t calendar_next(enum grain g, int64_t start_ms);

/* Remembers the period last asked for: for runs of events that lie close together. */
struct calendar_cache {
	int64_t start_ms[GRAIN_N], next_ms[GRAIN_N];
};
void calendar_cache_init(struct calendar_cache *c);
int64_t calendar_cached_start(struct calendar_cache *c, enum grain g, int64_t t_ms);

/* "2026-11-22" (a day of the zone) to its start; false for no date, or one that the
 * zone skipped. */
bool calendar_parse_day(struct text t, int64_t *ret_start_ms);

/* hour: "2026-11-22T13:00:00+01:00", day: "2026-11-22", month: "2026-11". */
#define CALENDAR_TEXT 32
void calendar_format(enum grain g, int64_t start_ms, char ret_text[CALENDAR_TEXT]);

/* Start of the salt period ("day", "week" from Monday, "month") that holds t, and of the next. */
enum rotation { ROTATION_DAY, ROTATION_WEEK, ROTATION_MONTH, ROTATION_N };
bool rotation_find(const char *name, enum rotation *ret_rotation);
int64_t calendar_rotation_start(enum rotation r, int64_t t_ms);
int64_t calendar_rotation_next(enum rotation r, int64_t start_ms);

#endif
