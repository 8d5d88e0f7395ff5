/* cli_progress.h -- how far a long command is, on standard error when that is a
 * terminal; else nothing.
 *
 * Threads:  one.
 */
#ifndef CLI_CLI_PROGRESS_H
#define CLI_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct cli_progress {
	const char *what; /* "verify" */
	bool shown;       /* standard error is a terminal */
	int64_t next_us;  /* when to draw again */
};

void cli_progress_init(struct cli_progress *p, const char *what);
/* Total 0: not known yet. Always 0, as store_care.h wants it. */
int cli_progress_tell(void *progress, uint64_t done, uint64_t total);
/* Clears the line. */
void cli_progress_end(struct cli_progress *p);

#endif
