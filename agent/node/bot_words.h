/* bot_words.h -- words that packaged lists of bots know, as a table made at build.
 *
 * bot_sources/generate.mjs makes it from crawler-user-agents (MIT) and isbot (Unlicense), in the
 * versions of bot_sources/package-lock.json, for bot_sources/tables.c, which makes bot_tables.h of
 * it. The programs have no need of it.
 *
 * Threads:  constant.
 */
#ifndef NODE_BOT_WORDS_H
#define NODE_BOT_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "node/bot_rule.h"

struct bot_word {
	const char *literal; /* lower case */
	const char *why;     /* as bot_verdict's */
	uint16_t name;       /* in bot_word_names; 0: none is known */
	uint8_t where, source;
};

extern const struct bot_word bot_words[];
extern const size_t bot_words_n;

extern const char *const bot_word_names[]; /* the first one is "other" */
extern const size_t bot_word_names_n;

#endif
