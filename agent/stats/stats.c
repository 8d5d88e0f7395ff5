#include "stats/stats.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Every thread counts in a part of its own, while there are no more threads than parts: a line that two
 * processors write in turns costs each of them more than the rest of the counting. Atomic; nothing
 * is ordered by them. */
#define PARTS 16

static struct part {
	_Alignas(64) _Atomic uint64_t values[STAT_N];
	_Atomic uint64_t verdicts[SOURCE_N][REASON_N];
} parts[PARTS];

static struct part *
part_of_thread(void)
{
	static _Atomic unsigned threads;
	static _Thread_local struct part *mine;

	if (!mine)
		mine = &parts[atomic_fetch_add(&threads, 1) % PARTS];
	return mine;
}

static const struct {
	const char *name;
	const char *sentence;
	bool gauge;
} described[STAT_N] = {
#define COUNTER(symbol, name, sentence) {name, sentence, false},
#define GAUGE(symbol, name, sentence) {name, sentence, true},
#include "stats/counters.def"
#undef COUNTER
#undef GAUGE
};

void
stat_add(enum stat_id s, uint64_t n)
{
	atomic_fetch_add_explicit(&part_of_thread()->values[s], n, memory_order_relaxed);
}

void
stat_set(enum stat_id s, uint64_t value)
{
	/* a gauge is set and never added to: it has one place */
	atomic_store_explicit(&parts[0].values[s], value, memory_order_relaxed);
}

uint64_t
stat_get(enum stat_id s)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < PARTS; i++)
		sum += atomic_load_explicit(&parts[i].values[s], memory_order_relaxed);
	return sum;
}

void
stat_verdict(enum event_source source, enum reason r)
{
	atomic_fetch_add_explicit(&part_of_thread()->verdicts[source][r], 1, memory_order_relaxed);
}

void
stat_ledger(struct ledger *ret_ledger)
{
	unsigned i, s, r;

	*ret_ledger = (struct ledger){0};
	for (i = 0; i < PARTS; i++)
		for (s = 0; s < SOURCE_N; s++)
			for (r = 0; r < REASON_N; r++)
				ret_ledger->count[s][r] += atomic_load_explicit(
				    &parts[i].verdicts[s][r], memory_order_relaxed);
}

/* Every pair is printed, zeros as well: a series that appears late has no first increase. */
static void
print_events(FILE *out)
{
	struct ledger l;
	unsigned s, r;

	stat_ledger(&l);
	fputs("# HELP footfall_events_total Events received, by source, verdict and reason\n"
	      "# TYPE footfall_events_total counter\n",
	      out);
	for (s = 0; s < SOURCE_N; s++)
		for (r = 0; r < REASON_N; r++)
			fprintf(out,
				"footfall_events_total{source=\"%s\",verdict=\"%s\",reason=\"%s\"} "
				"%" PRIu64 "\n",
				source_name((enum event_source)s),
				verdict_name(reason_verdict((enum reason)r)),
				reason_name((enum reason)r), l.count[s][r]);
}

void
stats_print(FILE *out)
{
	unsigned s;

	for (s = 0; s < STAT_N; s++)
		fprintf(out,
			"# HELP footfall_%s %s\n# TYPE footfall_%s %s\nfootfall_%s %" PRIu64 "\n",
			described[s].name, described[s].sentence, described[s].name,
			described[s].gauge ? "gauge" : "counter", described[s].name,
			stat_get((enum stat_id)s));
	print_events(out);
}
