/* bot_count.h -- how many events each bot sent, by the name that bot.h gives it.
 *
 * Events refused for their User-Agent, since start. The names are those of the table made at build
 * (bot_words.h), about 1,500, and the operator's patterns, so that no client can add one; whoever has
 * none is "other".
 *
 * Threads:  any may count, relaxed atomics.
 * Memory:   BOT_NAMES_MAX counters of 8 bytes, and never more series than that in /metrics.
 */
#ifndef NODE_BOT_COUNT_H
#define NODE_BOT_COUNT_H

#include <stdint.h>
#include <stdio.h>

#include "conf/conf.h"

#define BOT_NAMES_MAX 2048 /* test_bot checks that the table and the patterns have fewer */

/* Names beyond the maximum count as other. */
void bot_count(uint16_t name);
uint64_t bot_counted(uint16_t name);

/* Prometheus text format, footfall_bots_total by name: "other", and those that were met; patterns as
 * bot_name_of's. */
void bot_count_print(const struct conf_list *patterns, FILE *out);

#endif
