#include "node/bot_count.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "node/bot_tables.h"

/* Atomic; nothing is ordered by them. */
static _Atomic uint64_t counts[BOT_NAMES_MAX];

void
bot_count(uint16_t name)
{
	atomic_fetch_add_explicit(&counts[name < BOT_NAMES_MAX ? name : 0], 1,
				  memory_order_relaxed);
}

uint64_t
bot_counted(uint16_t name)
{
	return name < BOT_NAMES_MAX ? atomic_load_explicit(&counts[name], memory_order_relaxed) : 0;
}

/* Names come from the packages, without quotes, backslashes and line ends: the generator sees
 * to it. */
void
bot_count_print(FILE *out)
{
	uint64_t n;
	size_t i;

	fputs("# HELP footfall_bots_total Events refused for their User-Agent, by the bot's name\n"
	      "# TYPE footfall_bots_total counter\n",
	      out);
	for (i = 0; i < bot_names_n && i < BOT_NAMES_MAX; i++) {
		n = bot_counted((uint16_t)i);
		if (n > 0 || i == 0)
			fprintf(out, "footfall_bots_total{name=\"%s\"} %" PRIu64 "\n",
				bot_name((uint16_t)i), n);
	}
}
