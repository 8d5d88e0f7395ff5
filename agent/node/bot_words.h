/* bot_words.h -- words that packaged lists of bots know, as a table made at build.
 *
 * bot_sources/generate.mjs makes it from crawler-user-agents (MIT) and isbot (Unlicense), in the
 * versions of bot_sources/package-lock.json. bot.c weighs these words less than our own rules.
 *
 * Threads:  constant.
 */
#ifndef NODE_BOT_WORDS_H
#define NODE_BOT_WORDS_H

#include <stddef.h>
#include <stdint.h>

/* Where in a User-Agent a literal counts. */
enum bot_where {
	BOT_ANYWHERE,
	BOT_HEAD = 1,  /* no letter before it */
	BOT_TAIL = 2,  /* none behind it */
	BOT_START = 4, /* first of all */
	BOT_END = 8    /* last of all */
};

enum bot_source { BOT_SOURCE_CRAWLERS = 1, BOT_SOURCE_ISBOT = 2, BOT_SOURCE_ALL = 3 };

struct bot_word {
	const char *literal; /* lower case */
	const char *why;     /* as bot_verdict's */
	uint16_t name;       /* in bot_names; 0: none is known */
	uint8_t where, source;
};

extern const struct bot_word bot_words[];
extern const size_t bot_words_n;

extern const char *const bot_names[]; /* the first one is "other" */
extern const size_t bot_names_n;

#endif
