/* bot_tables.h -- the rules and the automaton that finds them, made at build.
 *
 * bot_sources/tables.c makes them of bot_rules.def and bot_words.h. bot.c reads them.
 *
 * Threads:  constant.
 * Memory:   in the program's file, without pointers but for the automaton's few: what nobody looks at is
 *           not in memory, and what is is shared by all who run the program.
 */
#ifndef NODE_BOT_TABLES_H
#define NODE_BOT_TABLES_H

#include <stddef.h>

#include "node/bot_automaton.h"
#include "node/bot_rule.h"

extern const struct bot_rule bot_table_rules[];
extern const struct bot_automaton bot_table;
extern const size_t bot_table_bytes; /* of all that is in this header */

extern const char *const bot_whys[]; /* the first is NULL, the second "configured" */

extern const size_t bot_names_n;
extern const uint16_t bot_names_at[];
extern const char bot_names_text[];

/* A bot's name, of bot_verdict; the first one is "other". */
static inline const char *
bot_name(uint16_t name)
{
	return bot_names_text + bot_names_at[name < bot_names_n ? name : 0];
}

#endif
