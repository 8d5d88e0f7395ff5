/* stats.h -- counters and gauges of the process, and /metrics made from them.
 *
 * Threads:  any may count, relaxed atomics; readers see each value whole.
 * Memory:   fixed: 16 parts, one for each of as many threads.
 */
#ifndef STATS_STATS_H
#define STATS_STATS_H

#include <stdint.h>
#include <stdio.h>

#include "proto/ledger.h"

enum stat_id {
#define COUNTER(symbol, name, sentence) STAT_##symbol,
#define GAUGE(symbol, name, sentence) STAT_##symbol,
#include "stats/counters.def"
#undef COUNTER
#undef GAUGE
	STAT_N
};

void stat_add(enum stat_id s, uint64_t n);
void stat_set(enum stat_id s, uint64_t value);
uint64_t stat_get(enum stat_id s);

/* Since start, by source and reason: kept beside the journals' ledgers, which are sealed away. */
void stat_verdict(enum event_source source, enum reason r);
void stat_ledger(struct ledger *ret_ledger);

/* Prometheus text format 0.0.4, every counter of counters.def and footfall_events_total by source,
 * verdict and reason. */
void stats_print(FILE *out);

#endif
