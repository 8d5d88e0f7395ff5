#include "cli/cli_progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define WIDTH 40
#define REDRAW_US 100000

void
cli_progress_init(struct cli_progress *p, const char *what)
{
	*p = (struct cli_progress){.what = what, .shown = isatty(STDERR_FILENO) == 1};
}

int
cli_progress_tell(void *progress, uint64_t done, uint64_t total)
{
	struct cli_progress *p = progress;
	char bar[WIDTH + 1];
	double share;

	if (!p->shown || mono_now().us < p->next_us)
		return 0;
	p->next_us = mono_now().us + REDRAW_US;
	share = total == 0 ? 0 : done >= total ? 1 : (double)done / (double)total;
	memset(bar, '.', WIDTH);
	memset(bar, '#', (size_t)(share * WIDTH));
	bar[WIDTH] = '\0';
	fprintf(stderr, "\r%s [%s] %3d %%", p->what, bar, (int)(share * 100));
	return 0;
}

void
cli_progress_end(struct cli_progress *p)
{
	if (p->shown)
		fprintf(stderr, "\r\033[K");
}
