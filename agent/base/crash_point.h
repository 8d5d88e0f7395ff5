/* crash_point.h -- named steps at which a test has the program die, as kill -9 would have it.
 *
 * Built with VARIANT=crash only; in every other build a point is no code at all. The environment's
 * FOOTFALL_CRASH says where: "step", "step@ending" for steps that have a file name, and ":n" behind
 * either for the nth time that the step is reached (1 if not given).
 *
 * Threads:  any; the count is of all threads together.
 */
#ifndef BASE_CRASH_POINT_H
#define BASE_CRASH_POINT_H

#ifdef FOOTFALL_CRASH_POINTS
#define CRASH_POINT(step) crash_point(step, "")
#define CRASH_POINT_OF(step, name) crash_point(step, name)
#else
#define CRASH_POINT(step) ((void)0)
#define CRASH_POINT_OF(step, name) ((void)0)
#endif

/* Does not return when this is the step, the name and the time that the environment asks for. */
void crash_point(const char *step, const char *name);

#endif
