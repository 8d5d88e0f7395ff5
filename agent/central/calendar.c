#include "central/calendar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DAY_S INT64_C(86400)
#define HOUR_S INT64_C(3600)

/* No zone was ever further from UTC than this, and no local day that exists is further from the
 * same day of UTC. */
#define OFFSET_MAX_S (26 * HOUR_S)

/* No two changes of one zone's clock lie closer together. */
#define CHANGE_STEP_S (6 * HOUR_S)

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static void
local_time(int64_t t_s, struct tm *ret_tm)
{
	time_t t = (time_t)t_s;

	if (!localtime_r(&t, ret_tm)) {
		/* only beyond the year 2^31, which 64-bit milliseconds do not reach */
		*ret_tm = (struct tm){.tm_mday = 1, .tm_year = 70};
	}
}

static int64_t
offset_at(int64_t t_s)
{
	struct tm tm;

	local_time(t_s, &tm);
	return tm.tm_gmtoff;
}

/* First second in (from, to] that has the offset of `to`; at most one change lies between. */
static int64_t
change_between(int64_t from_s, int64_t to_s)
{
	int64_t offset = offset_at(to_s), middle;

	while (to_s - from_s > 1) {
		middle = from_s + (to_s - from_s) / 2;
		if (offset_at(middle) == offset)
			to_s = middle;
		else
			from_s = middle;
	}
	return to_s;
}

/* -- dates, as days since 1970-01-01 (Hinnant's algorithms for the proleptic Gregorian
 * calendar) -- */

static int64_t
day_of_date(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = floor_div(y, 400), of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void
date_of_day(int64_t number, int64_t *ret_year, int64_t *ret_month, int64_t *ret_day)
{
	int64_t z = number + 719468, era = floor_div(z, 146097), of_era = z - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153;

	*ret_day = of_year - (153 * m + 2) / 5 + 1;
	*ret_month = m < 10 ? m + 3 : m - 9;
	*ret_year = y + era * 400 + (*ret_month <= 2);
}

/* First instant whose local date is `day` or later. Walks the stretches of equal offset around it:
 * within one the answer is plain arithmetic. */
static int64_t
day_start_s(int64_t day)
{
	int64_t at = day * DAY_S - OFFSET_MAX_S, offset = offset_at(at), midnight, step;

	for (;;) {
		midnight = day * DAY_S - offset;
		if (midnight <= at)
			return at;
		step = midnight - at < CHANGE_STEP_S ? midnight - at : CHANGE_STEP_S;
		if (offset_at(at + step) == offset) {
			at += step;
			continue;
		}
		at = change_between(at, at + step);
		offset = offset_at(at);
	}
}

/* The day that holds an instant; later than its date where a clock was put back over midnight. */
static int64_t
day_number(int64_t t_s)
{
	int64_t day = floor_div(t_s + offset_at(t_s), DAY_S);

	while (day_start_s(day + 1) <= t_s)
		day++;
	return day;
}

static int64_t
month_first_day(int64_t day, int months_on)
{
	int64_t y, m, d;

	date_of_day(day, &y, &m, &d);
	m += months_on;
	return day_of_date(m > 12 ? y + 1 : y, m > 12 ? m - 12 : m, 1);
}

static int64_t
hour_start_s(int64_t t_s)
{
	struct tm tm;
	int64_t full;

	local_time(t_s, &tm);
	full = t_s - INT64_C(60) * tm.tm_min - tm.tm_sec;
	return full < t_s && offset_at(full) != tm.tm_gmtoff ? change_between(full, t_s) : full;
}

static int64_t
hour_next_s(int64_t start_s)
{
	struct tm tm;
	int64_t full;

	local_time(start_s, &tm);
	full = start_s + HOUR_S - INT64_C(60) * tm.tm_min - tm.tm_sec;
	return offset_at(full) != tm.tm_gmtoff ? change_between(start_s, full) : full;
}

int64_t
calendar_start(enum grain g, int64_t t_ms)
{
	int64_t t_s = floor_div(t_ms, 1000);

	if (g == GRAIN_HOUR)
		return hour_start_s(t_s) * 1000;
	if (g == GRAIN_DAY)
		return day_start_s(day_number(t_s)) * 1000;
	return day_start_s(month_first_day(day_number(t_s), 0)) * 1000;
}

/* A skipped date has the start of the next one that exists, so it is no period of its own. */
static int64_t
next_day_start_s(int64_t start_s, int64_t day)
{
	int64_t next = day_start_s(day);

	while (next <= start_s)
		next = day_start_s(++day);
	return next;
}

int64_t
calendar_next(enum grain g, int64_t start_ms)
{
	int64_t start_s = floor_div(start_ms, 1000), day;

	if (g == GRAIN_HOUR)
		return hour_next_s(start_s) * 1000;
	day = day_number(start_s);
	return next_day_start_s(start_s, g == GRAIN_DAY ? day + 1 : month_first_day(day, 1)) * 1000;
}

void
calendar_cache_init(struct calendar_cache *c)
{
	unsigned g;

	for (g = 0; g < GRAIN_N; g++) {
		c->start_ms[g] = 0;
		c->next_ms[g] = 0;
	}
}

int64_t
calendar_cached_start(struct calendar_cache *c, enum grain g, int64_t t_ms)
{
	if (t_ms < c->start_ms[g] || t_ms >= c->next_ms[g]) {
		c->start_ms[g] = calendar_start(g, t_ms);
		c->next_ms[g] = calendar_next(g, c->start_ms[g]);
	}
	return c->start_ms[g];
}

/* -- texts -- */

static bool
digits(const char *at, size_t n, int64_t *ret_value)
{
	int64_t value = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (at[i] < '0' || at[i] > '9')
			return false;
		value = value * 10 + (at[i] - '0');
	}
	*ret_value = value;
	return true;
}

bool
calendar_parse_day(struct text t, int64_t *ret_start_ms)
{
	int64_t given[3], back[3], day, start_s;

	if (t.len != 10 || t.at[4] != '-' || t.at[7] != '-' || !digits(t.at, 4, &given[0]) ||
	    !digits(t.at + 5, 2, &given[1]) || !digits(t.at + 8, 2, &given[2]))
		return false;
	if (given[0] < 1 || given[1] < 1 || given[1] > 12 || given[2] < 1 || given[2] > 31)
		return false;
	day = day_of_date(given[0], given[1], given[2]);
	date_of_day(day, &back[0], &back[1], &back[2]);
	if (memcmp(given, back, sizeof(given)) != 0)
		return false; /* such as 30 February */
	start_s = day_start_s(day);
	if (day_start_s(day + 1) == start_s)
		return false;
	*ret_start_ms = start_s * 1000;
	return true;
}

void
calendar_format(enum grain g, int64_t start_ms, char ret_text[CALENDAR_TEXT])
{
	int64_t t_s = floor_div(start_ms, 1000), offset = offset_at(t_s);
	int64_t local = t_s + offset, day = floor_div(local, DAY_S), y, m, d, of_day;

	if (g != GRAIN_HOUR)
		day = day_number(t_s);
	date_of_day(day, &y, &m, &d);
	of_day = local - day * DAY_S;
	if (g == GRAIN_MONTH)
		snprintf(ret_text, CALENDAR_TEXT, "%04d-%02d", (int)y, (int)m);
	else if (g == GRAIN_DAY)
		snprintf(ret_text, CALENDAR_TEXT, "%04d-%02d-%02d", (int)y, (int)m, (int)d);
	else
		snprintf(ret_text, CALENDAR_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d",
			 (int)y, (int)m, (int)d, (int)(of_day / 3600), (int)(of_day / 60 % 60),
			 (int)(of_day % 60), offset < 0 ? '-' : '+', abs((int)offset) / 3600,
			 abs((int)offset) / 60 % 60);
}

/* -- rotations -- */

static const char *const rotation_names[ROTATION_N] = {"day", "week", "month"};

bool
rotation_find(const char *name, enum rotation *ret_rotation)
{
	unsigned i;

	for (i = 0; i < ROTATION_N; i++) {
		if (strcmp(name, rotation_names[i]) == 0) {
			*ret_rotation = (enum rotation)i;
			return true;
		}
	}
	return false;
}

/* 1970-01-01 was a Thursday: day -3 was a Monday. */
static int64_t
monday_of(int64_t day)
{
	return floor_div(day + 3, 7) * 7 - 3;
}

int64_t
calendar_rotation_start(enum rotation r, int64_t t_ms)
{
	if (r == ROTATION_WEEK)
		return day_start_s(monday_of(day_number(floor_div(t_ms, 1000)))) * 1000;
	return calendar_start(r == ROTATION_DAY ? GRAIN_DAY : GRAIN_MONTH, t_ms);
}

int64_t
calendar_rotation_next(enum rotation r, int64_t start_ms)
{
	int64_t start_s = floor_div(start_ms, 1000);

	if (r == ROTATION_WEEK)
		return next_day_start_s(start_s, monday_of(day_number(start_s)) + 7) * 1000;
	return calendar_next(r == ROTATION_DAY ? GRAIN_DAY : GRAIN_MONTH, start_ms);
}

/* -- the zone -- */

/* glibc takes UTC for a name that it does not find, so look first. The "right/" zones count leap
 * seconds, in which no hour has 3,600. */
static bool
zone_exists(const char *zone)
{
	const char *dir = getenv("TZDIR");
	char path[512], magic[4];
	FILE *f;
	bool ok;

	if (zone[0] == '\0' || zone[0] == '/' || strstr(zone, "..") ||
	    strncmp(zone, "right/", 6) == 0 ||
	    snprintf(path, sizeof(path), "%s/%s", dir ? dir : "/usr/share/zoneinfo", zone) >=
		(int)sizeof(path))
		return false;
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fread(magic, 1, sizeof(magic), f) == sizeof(magic) && memcmp(magic, "TZif", 4) == 0;
	fclose(f);
	return ok;
}

int
calendar_init(const char *zone)
{
	char value[256];
	bool utc = strcmp(zone, "UTC") == 0;

	if (!utc && !zone_exists(zone))
		return -ENOENT;
	if (snprintf(value, sizeof(value), utc ? "UTC0" : ":%s", zone) >= (int)sizeof(value))
		return -ENOENT;
	if (setenv("TZ", value, 1) < 0)
		return -errno;
	tzset();
	return 0;
}
