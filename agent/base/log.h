/* log.h -- one line of logfmt on standard error per thing that an operator should know.
 *
 * A line says what happened and what follows from it; it never holds an address of a visitor, a
 * User-Agent or bytes that a client sent. What clients can cause is counted, not logged.
 *
 * Threads:  any; a line is one write(2).
 * Memory:   none; a line is cut at 1,000 bytes.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVEL_N };

/* At start. Lines below the level are not written; with no call: LOG_INFO. */
void log_init(const char *program, enum log_level level);

/* log_line(LOG_WARN, "central unreachable", "batch=%u retry_ms=%d", …): the message is quoted, the
 * formatted fields follow as they are; fields may be "". */
__attribute__((format(printf, 3, 4))) void log_line(enum log_level level, const char *message,
						    const char *fields, ...);

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

#endif
