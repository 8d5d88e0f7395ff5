/* bot_rule.h -- what a literal tells when it stands in a User-Agent, and what bot.c weighs.
 *
 * Rules come from bot_rules.def, from the packages (bot_words.h) and from the operator. They hold
 * no pointers, so that the table made at build is read from the program's file and needs no memory
 * of its own.
 *
 * Threads:  constant.
 */
#ifndef NODE_BOT_RULE_H
#define NODE_BOT_RULE_H

#include <stdint.h>

/* Where in a User-Agent a literal counts. */
enum bot_where {
	BOT_ANYWHERE,
	BOT_HEAD = 1,   /* no letter before it */
	BOT_TAIL = 2,   /* none behind it */
	BOT_START = 4,  /* first of all */
	BOT_END = 8,    /* last of all */
	BOT_JOINED = 16 /* a letter before it */
};

enum bot_source { BOT_SOURCE_CRAWLERS = 1, BOT_SOURCE_ISBOT = 2, BOT_SOURCE_ALL = 3 };

enum bot_mark {
	MARK_CONTACT = 1,
	MARK_DEVICE = 2,
	MARK_PLAYER = 4,
	MARK_ENGINE = 8,
	MARK_COMPATIBLE = 16,
	MARK_COMPATIBLE_OK = 32,
	MARK_PRODUCT = 64,
	MARK_VERSION = 128,   /* a number must follow */
	MARK_PHRASE = 256,    /* nothing of its own may follow */
	MARK_ODD = 512,       /* one of these was not so */
	MARK_DOMAIN = 1024,   /* a contact, but on a telephone: shops name their apps so */
	MARK_PERSONAL = 2048, /* in a hand, on a sofa: its models and apps are called anything */
	MARK_CONFIGURED = 4096,
	MARK_TOOLBARS = 8192, /* Internet Explorer with what was added to it, addresses included */
	MARK_BRANDED = 16384  /* with names that may be domains, but no address */
};

struct bot_rule {
	uint16_t marks;  /* evidence */
	uint16_t spares; /* marks beside which `why` says nothing */
	uint16_t name;   /* of a bot, in bot_names; 0: none */
	int16_t same;    /* the next rule with this literal, -1 if none; set by the automaton */
	uint8_t len;
	uint8_t why;    /* in bot_whys, speaks for a bot; 0: does not */
	uint8_t where;  /* enum bot_where */
	uint8_t source; /* enum bot_source; 0: our own, or the operator's */
};

#define BOT_WHY_CONFIGURED 1

#endif
