/* bot.h -- whether it is a person that asks.
 *
 * By User-Agent: the words of bot_rules.def, those of packaged lists (bot_words.h) and the
 * operator's, found in one pass by an automaton, and what its shape says. By headers: only what no
 * real browser sends. Admission asks once per distinct User-Agent, since its cache remembers;
 * headers are looked at every time. BOTS.md says how well it does, and how to measure that.
 *
 * Threads:  rules are constant after bot_rules_new.
 * Memory:   the tables made at build, half a megabyte of the program's file (bot_tables.h); of the
 *           heap only what the operator's patterns need, below 8 MiB for as many as he may add. Time is
 *           linear in the User-Agent, of which the first EVENT_USER_AGENT_MAX bytes are read.
 */
#ifndef NODE_BOT_H
#define NODE_BOT_H

#include "base/text.h"
#include "conf/conf.h"
#include "node/bot_tables.h"
#include "proto/ledger.h"

struct bot_rules;

/* `sources` of the packaged words (enum bot_source) beside our own; the operator's literals of
 * admit.bot_patterns and admit.person_patterns, lent until bot_rules_free, or NULL. 0, -ENOMEM, or
 * -E2BIG for more literals than an automaton holds, which conf_check's limits exclude. */
int bot_rules_new(unsigned sources, const struct conf_list *bots, const struct conf_list *people,
		  struct bot_rules **ret_rules);
void bot_rules_free(struct bot_rules *b);
size_t bot_rules_bytes(const struct bot_rules *b); /* with the tables made at build */

struct bot_verdict {
	const char
	    *why; /* a constant word for operators ("crawler", "library", …); NULL: a person */
	uint16_t name; /* of the bot, for bot_name_of; 0 when none is known */
	bool believed; /* a person because the operator says so: its headers prove nothing */
};

/* An empty User-Agent is a bot's ("none"). */
struct bot_verdict bot_user_agent(const struct bot_rules *b, struct text ua);

/* A verdict's name: one of the table's, or behind them the operator's pattern that found the bot, its
 * first BATCH_BOT_NAME_MAX characters. `patterns` are those of bot_rules_new, which lend it. */
struct text bot_name_of(const struct conf_list *patterns, uint16_t name);

struct bot_headers { /* absent: not sent */
	struct text accept, accept_language, sec_fetch, sec_purpose;
};

/* What a browser's User-Agent remembers for bot_headers_judge: a small value for a cache. */
enum bot_engine {
	BOT_ENGINE_OTHER, /* claims to be no browser */
	BOT_ENGINE_OLD,   /* one that never knew Sec-Fetch */
	BOT_ENGINE_NEW
};
enum bot_engine bot_engine_of(struct text ua);

/* REASON_BOT_PREFETCH, REASON_BOT_HEADERS, or REASON_ACCEPTED_FIRST when nothing speaks against a
 * person. A missing header alone is no contradiction: proxies and privacy tools remove them. */
enum reason bot_headers_judge(enum bot_engine engine, const struct bot_headers *h);

#endif
