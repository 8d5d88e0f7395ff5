#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 1000 /* below PIPE_BUF, so that lines of several threads never mix */

/* Constant after start. */
static struct {
	const char *program;
	enum log_level level;
} log_state = {"footfall", LOG_INFO};

void
log_init(const char *program, enum log_level level)
{
	log_state.program = program;
	log_state.level = level;
}

void
log_line(enum log_level level, const char *message, const char *fields, ...)
{
	static const char *const names[LOG_LEVEL_N] = {"debug", "info", "warn", "error"};
	char line[LINE_MAX_BYTES], when[WALL_TEXT];
	size_t len;
	va_list args;
	int n;

	if (level < log_state.level)
		return;
	wall_format(wall_now(), when);
	n = snprintf(line, sizeof(line) - 1, "time=%s level=%s program=%s msg=\"%s\" ", when,
		     names[level], log_state.program, message);
	len = n < 0 ? 0 : (size_t)n < sizeof(line) - 2 ? (size_t)n : sizeof(line) - 2;
	va_start(args, fields);
	n = vsnprintf(line + len, sizeof(line) - 1 - len, fields, args);
	va_end(args);
	len += n < 0 ? 0 : (size_t)n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	while (len > 0 && line[len - 1] == ' ')
		len--;
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere left to say it */
}
