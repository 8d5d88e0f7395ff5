#include "node/bot_count.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "node/bot.h"

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

/* A label's value; names have no line ends. */
static void
print_name(struct text name, FILE *out)
{
	size_t i;

	for (i = 0; i < name.len; i++) {
		if (name.at[i] == '"' || name.at[i] == '\\')
			fputc('\\', out);
		fputc(name.at[i], out);
	}
}

void
bot_count_print(const struct conf_list *patterns, FILE *out)
{
	size_t names = bot_names_n + (patterns ? patterns->n : 0), i;
	uint64_t n;

	fputs("# HELP footfall_bots_total Events refused for their User-Agent, by the bot's name\n"
	      "# TYPE footfall_bots_total counter\n",
	      out);
	for (i = 0; i < names && i < BOT_NAMES_MAX; i++) {
		n = bot_counted((uint16_t)i);
		if (n == 0 && i > 0)
			continue;
		fputs("footfall_bots_total{name=\"", out);
		print_name(bot_name_of(patterns, (uint16_t)i), out);
		fprintf(out, "\"} %" PRIu64 "\n", n);
	}
}
