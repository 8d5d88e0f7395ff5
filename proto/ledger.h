/* ledger.h -- verdicts, their reasons, and the table that counts them.
 *
 * Every received event gets exactly one reason, and through it one verdict. A struct ledger counts
 * reasons by source; ledgers live in segment headers (journal.h), travel in batches (batch.h) and
 * add up at the central.
 *
 * Threads:  a struct ledger belongs to its container.
 * Memory:   fixed.
 */
#ifndef PROTO_LEDGER_H
#define PROTO_LEDGER_H

#include <stdint.h>

#include "base/text.h"

enum verdict {
	VERDICT_ACCEPTED,
	VERDICT_DUPLICATE,
	VERDICT_BOT,
	VERDICT_LIMITED,
	VERDICT_INVALID,
	VERDICT_SHED,
	VERDICT_N
};

enum event_source { SOURCE_BEACON, SOURCE_DATAGRAM, SOURCE_N };

enum reason {
#define LEDGER(symbol, verdict, name, sentence) REASON_##symbol,
#include "proto/ledger.def"
#undef LEDGER
	REASON_N
};

struct ledger {
	uint64_t count[SOURCE_N][REASON_N];
};

enum verdict reason_verdict(enum reason r);
const char *reason_name(enum reason r);       /* "event_id" */
const char *reason_sentence(enum reason r);   /* for people */
const char *verdict_name(enum verdict v);     /* "duplicate" */
const char *source_name(enum event_source s); /* "beacon", "datagram" */

/* REASON_N when no such pair exists. */
enum reason reason_find(struct text verdict, struct text name);

uint64_t ledger_verdict(const struct ledger *l, enum verdict v); /* over both sources */
uint64_t ledger_received(const struct ledger *l);                /* all verdicts */
void ledger_add(struct ledger *sum, const struct ledger *l);

#endif
