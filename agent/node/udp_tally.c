#include "node/udp_tally.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "node/udp_keys.h"

#define OTHER 0 /* the place of names beyond the maximum */

static const struct {
	const char *name, *sentence;
} described[UDP_TALLY_N] = {
    [UDP_TALLY_RECEIVED] = {"received", "Signed datagrams taken, by key"},
    [UDP_TALLY_GAPS] = {"gaps", "Sequence numbers that senders with this key skipped"},
    [UDP_TALLY_LATE] = {"late",
			"Signed datagrams that came after a later one, by key: gaps less late "
			"ones were lost"},
    [UDP_TALLY_REPLAYED] = {"replayed",
			    "Signed datagrams refused since they were taken before, by key"},
    [UDP_TALLY_REFUSED] = {"refused",
			   "Datagrams under this key's name refused for tag, time or age"},
};

/* A name is written before n says that it is there, and never again. */
static char names[UDP_KEYS_MAX][ENVELOPE_NAME_MAX + 1] = {"other"};
static _Atomic uint16_t n_names = 1;
/* atomic; nothing is ordered by them */
static _Atomic uint64_t counts[UDP_KEYS_MAX][UDP_TALLY_N];

uint16_t
udp_tally_of(const char *name)
{
	uint16_t n = atomic_load(&n_names), i;

	for (i = OTHER + 1; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	if (n == UDP_KEYS_MAX)
		return OTHER;
	(void)snprintf(names[n], sizeof(names[n]), "%s", name);
	atomic_store_explicit(&n_names, (uint16_t)(n + 1), memory_order_release);
	return n;
}

void
udp_tally_add(uint16_t place, enum udp_tally what, uint64_t n)
{
	atomic_fetch_add_explicit(&counts[place][what], n, memory_order_relaxed);
}

uint64_t
udp_tally_get(uint16_t place, enum udp_tally what)
{
	return atomic_load_explicit(&counts[place][what], memory_order_relaxed);
}

/* "other" is there only when it is needed, as a key could have that name, too. */
static uint16_t
first_shown(uint16_t n)
{
	return n == UDP_KEYS_MAX ? OTHER : OTHER + 1;
}

void
udp_tally_print(FILE *out)
{
	uint16_t n = atomic_load_explicit(&n_names, memory_order_acquire), i;
	unsigned t;

	if (n == OTHER + 1)
		return;
	for (t = 0; t < UDP_TALLY_N; t++) {
		fprintf(out,
			"# HELP footfall_udp_key_%s_total %s\n"
			"# TYPE footfall_udp_key_%s_total counter\n",
			described[t].name, described[t].sentence, described[t].name);
		for (i = first_shown(n); i < n; i++)
			fprintf(out, "footfall_udp_key_%s_total{key=\"%s\"} %" PRIu64 "\n",
				described[t].name, names[i], udp_tally_get(i, (enum udp_tally)t));
	}
}

void
udp_tally_print_json(FILE *out)
{
	uint16_t n = atomic_load_explicit(&n_names, memory_order_acquire), i;
	uint64_t gaps, late;

	fputc('{', out);
	for (i = first_shown(n); i < n; i++) {
		late = udp_tally_get(i, UDP_TALLY_LATE);
		gaps = udp_tally_get(i, UDP_TALLY_GAPS);
		fprintf(out,
			"%s\"%s\":{\"received\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"late\":%" PRIu64
			",\"replayed\":%" PRIu64 ",\"refused\":%" PRIu64 "}",
			i > first_shown(n) ? "," : "", names[i],
			udp_tally_get(i, UDP_TALLY_RECEIVED), gaps > late ? gaps - late : 0, late,
			udp_tally_get(i, UDP_TALLY_REPLAYED), udp_tally_get(i, UDP_TALLY_REFUSED));
	}
	fputc('}', out);
}
