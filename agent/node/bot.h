/* bot.h -- whether it is a person that asks.
 *
 * By User-Agent: the words of bot_rules.def, found in one pass by an Aho-Corasick automaton (Aho and
 * Corasick, 1975), and what its shape says. By headers: only what no real browser sends. Admission
 * asks once per distinct User-Agent, since its cache remembers; headers are looked at every time.
 *
 * Threads:  rules are constant after bot_rules_new.
 * Memory:   the automaton, below 1 MiB (bot_rules_bytes); time is linear in the User-Agent, of
 *           which the first EVENT_USER_AGENT_MAX bytes are read.
 */
#ifndef NODE_BOT_H
#define NODE_BOT_H

#include "base/text.h"
#include "proto/ledger.h"

struct bot_rules;

/* 0 or -ENOMEM. */
int bot_rules_new(struct bot_rules **ret_rules);
void bot_rules_free(struct bot_rules *b);
size_t bot_rules_bytes(const struct bot_rules *b);

/* What speaks for a bot, as a word for operators ("crawler", "library", "monitor", …), or NULL for a
 * person. The word is a constant. An empty User-Agent is a bot's ("none"). */
const char *bot_user_agent(const struct bot_rules *b, struct text ua);

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
