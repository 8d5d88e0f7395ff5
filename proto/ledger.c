#include "proto/ledger.h"

static const struct {
	enum verdict verdict;
	const char *name;
	const char *sentence;
} reasons[REASON_N] = {
#define LEDGER(symbol, verdict, name, sentence) {VERDICT_##verdict, name, sentence},
#include "proto/ledger.def"
#undef LEDGER
};

static const char *const verdicts[VERDICT_N] = {"accepted", "duplicate", "bot",
						"limited",  "invalid",   "shed"};

static const char *const sources[SOURCE_N] = {"beacon", "datagram"};

enum verdict
reason_verdict(enum reason r)
{
	return reasons[r].verdict;
}

const char *
reason_name(enum reason r)
{
	return reasons[r].name;
}

const char *
reason_sentence(enum reason r)
{
	return reasons[r].sentence;
}

const char *
verdict_name(enum verdict v)
{
	return verdicts[v];
}

const char *
source_name(enum event_source s)
{
	return sources[s];
}

enum reason
reason_find(struct text verdict, struct text name)
{
	unsigned r;

	for (r = 0; r < REASON_N; r++)
		if (text_is(name, reasons[r].name) &&
		    text_is(verdict, verdicts[reasons[r].verdict]))
			break;
	return (enum reason)r;
}

uint64_t
ledger_verdict(const struct ledger *l, enum verdict v)
{
	uint64_t sum = 0;
	unsigned s, r;

	for (s = 0; s < SOURCE_N; s++)
		for (r = 0; r < REASON_N; r++)
			if (reasons[r].verdict == v)
				sum += l->count[s][r];
	return sum;
}

uint64_t
ledger_received(const struct ledger *l)
{
	uint64_t sum = 0;
	unsigned v;

	for (v = 0; v < VERDICT_N; v++)
		sum += ledger_verdict(l, (enum verdict)v);
	return sum;
}

void
ledger_add(struct ledger *sum, const struct ledger *l)
{
	unsigned s, r;

	for (s = 0; s < SOURCE_N; s++)
		for (r = 0; r < REASON_N; r++)
			sum->count[s][r] += l->count[s][r];
}
