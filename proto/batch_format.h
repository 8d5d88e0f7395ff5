/* batch_format.h -- the order of keys in a batch document, shared by batch_write.c
 * and batch_read.c.
 *
 * The document is a msgpack map whose keys stand in exactly this order: version, node, epoch, seq,
 * the times, the two counts, ledger, bots (not in version 1), events, then the dictionaries and
 * columns below as bin.
 * README.md says what each holds.
 *
 * Threads:  constant.
 */
#ifndef PROTO_BATCH_FORMAT_H
#define PROTO_BATCH_FORMAT_H

#include "proto/batch.h"

enum batch_dictionary { DICT_CONTENT, DICT_NAME, DICT_REFERRER, DICT_COUNTRY, DICT_N };

enum batch_column {
	COLUMN_FLAGS,
	COLUMN_TS,
	COLUMN_VISITOR_NEW,
	COLUMN_VISITOR,
	COLUMN_CONTENT,
	COLUMN_NAME,
	COLUMN_REFERRER,
	COLUMN_COUNTRY,
	COLUMN_SALT,
	COLUMN_BROWSER,
	COLUMN_SYSTEM,
	COLUMN_DEVICE,
	COLUMN_SESSION_NEW,
	COLUMN_SESSION,
	COLUMN_EVENT_TAG,
	COLUMN_VALUE,
	COLUMN_N
};

_Static_assert(COLUMN_N == BATCH_COLUMNS, "struct batch holds a reader per column");

#define BATCH_DICTIONARY_KEYS                                 \
	{                                                     \
		"contents", "names", "referrers", "countries" \
	}
#define BATCH_COLUMN_KEYS                                                                          \
	{                                                                                          \
		"flags", "ts", "visitor_new", "visitor", "content", "name", "referrer", "country", \
		    "salt", "browser", "system", "device", "session_new", "session", "event_tag",  \
		    "value"                                                                        \
	}

#define BATCH_PAIRS_1 (12 + DICT_N + COLUMN_N)
#define BATCH_PAIRS (1 + BATCH_PAIRS_1)

enum { CONTENT_UUID = 0, CONTENT_SLUG = 1 }; /* first byte of an entry of the contents */

/* Called for every bot in order: that it stands where it may, and adds it to `sum`. */
static inline bool
batch_bot_follows(const struct text *before, const struct batch_bot *bot, uint64_t sum[SOURCE_N])
{
	uint64_t n = 0;
	unsigned s;

	for (s = 0; s < SOURCE_N; s++) {
		if (bot->count[s] > BATCH_COUNT_MAX)
			return false;
		sum[s] += bot->count[s]; /* of at most 1,024 below 2^53: cannot wrap */
		n += bot->count[s];
	}
	return n > 0 && batch_bot_name_valid(bot->name) &&
	       (!before->at || text_cmp(*before, bot->name) < 0);
}

static inline bool
batch_bots_fit(const uint64_t sum[SOURCE_N], const struct ledger *l)
{
	unsigned s;

	for (s = 0; s < SOURCE_N; s++)
		if (sum[s] > l->count[s][REASON_BOT_USER_AGENT])
			return false;
	return true;
}

static inline bool
batch_time_valid(int64_t ms)
{
	return ms >= 0 && ms <= EVENT_TS_MAX_MS;
}

#endif
