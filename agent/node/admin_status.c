#include "node/admin_private.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "node/udp_tally.h"
#include "stats/stats.h"

#define ERROR_MAX 512

/* Bytes beyond ASCII pass only as well-formed UTF-8. */
void
admin_print_string(FILE *out, const char *s)
{
	bool utf8 = text_is_utf8(text_of(s));
	const char *c;

	fputc('"', out);
	for (c = s; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(out, "\\%c", *c);
		else if ((uint8_t)*c < 0x20 || (!utf8 && (uint8_t)*c >= 0x80))
			fprintf(out, "\\u%04x", (unsigned)(uint8_t)*c);
		else
			fputc(*c, out);
	}
	fputc('"', out);
}

static void
print_verdicts(const struct ledger *l, FILE *out)
{
	unsigned v;

	fprintf(out, "\"received\":%" PRIu64 ",\"verdicts\":{", ledger_received(l));
	for (v = 0; v < VERDICT_N; v++)
		fprintf(out, "%s\"%s\":%" PRIu64, v ? "," : "", verdict_name((enum verdict)v),
			ledger_verdict(l, (enum verdict)v));
	fprintf(out, "}");
}

static void
print_reasons(const struct ledger *l, FILE *out)
{
	const char *comma = "";
	unsigned s, r;

	fprintf(out, "\"reasons\":{");
	for (s = 0; s < SOURCE_N; s++)
		for (r = 0; r < REASON_N; r++) {
			if (l->count[s][r] == 0)
				continue;
			fprintf(out, "%s\"%s.%s.%s\":%" PRIu64, comma,
				source_name((enum event_source)s),
				verdict_name(reason_verdict((enum reason)r)),
				reason_name((enum reason)r), l->count[s][r]);
			comma = ",";
		}
	fprintf(out, "}");
}

static void
print_node(const struct admin *a, FILE *out)
{
	char epoch[33], started[WALL_TEXT];

	text_from_bytes(a->parts.epoch.epoch, sizeof(a->parts.epoch.epoch), epoch);
	wall_format(a->started, started);
	fprintf(out, "\"node\":");
	admin_print_string(out, a->parts.c->node_name);
	fprintf(out, ",\"epoch\":\"%s\",\"state\":\"%s\",\"started\":\"%s\",\"uptime_s\":%" PRId64,
		epoch, atomic_load(&a->ready) ? "running" : "not ready", started,
		(mono_now().us - a->started_mono.us) / 1000000);
}

static void
print_journal(const struct admin *a, FILE *out)
{
	const struct spool *s = a->parts.spool;

	fprintf(out,
		"\"journal\":{\"free_segments\":%" PRIu64 ",\"replayed\":%" PRIu64
		",\"batches_sealed\":%" PRIu64 ",\"seal_errors\":%" PRIu64 "}",
		stat_get(STAT_JOURNAL_FREE), stat_get(STAT_REPLAYED), stat_get(STAT_BATCHES_SEALED),
		stat_get(STAT_SEAL_ERRORS));
	fprintf(out,
		",\"spool\":{\"batches\":%" PRIu32 ",\"bytes\":%" PRIu64 ",\"max_bytes\":%" PRId64
		",\"broken\":%" PRIu32 ",\"full\":%s}",
		spool_count(s), spool_bytes(s), a->parts.c->batch_spool_max, spool_broken(s),
		spool_full(s) ? "true" : "false");
}

static void
print_forward(const struct admin *a, FILE *out)
{
	char error[ERROR_MAX];

	forward_status(a->parts.forwarder, error, sizeof(error));
	fprintf(out,
		"\"forward\":{\"configured\":%s,\"stored\":%" PRIu64 ",\"already\":%" PRIu64
		",\"refused\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"last_error\":",
		a->parts.c->forward_central[0] ? "true" : "false", stat_get(STAT_FORWARDED),
		stat_get(STAT_FORWARD_ALREADY), stat_get(STAT_FORWARD_REFUSED),
		stat_get(STAT_FORWARD_ERRORS));
	admin_print_string(out, error);
	fprintf(out, "},\"salts\":{\"own\":%s,\"fetched\":%" PRIu64 "}",
		stat_get(STAT_SALT_OWN) ? "true" : "false", stat_get(STAT_SALT_FETCHES));
}

void
admin_status_print(const struct admin *a, FILE *out)
{
	struct ledger l;

	stat_ledger(&l);
	fprintf(out, "{");
	print_node(a, out);
	fprintf(out, ",");
	print_verdicts(&l, out);
	fprintf(out, ",");
	print_reasons(&l, out);
	fprintf(out, ",");
	print_journal(a, out);
	fprintf(out, ",");
	print_forward(a, out);
	fprintf(out,
		",\"http\":{\"connections_open\":%" PRIu64 ",\"requests\":%" PRIu64
		",\"malformed\":%" PRIu64 ",\"timeouts\":%" PRIu64
		",\"crowded_connections\":%" PRIu64 "}",
		stat_get(STAT_HTTP_OPEN), stat_get(STAT_HTTP_REQUESTS),
		stat_get(STAT_HTTP_REFUSED) + stat_get(STAT_HTTP_GUARD),
		stat_get(STAT_HTTP_TIMEOUT), stat_get(STAT_HTTP_CROWDED));
	fprintf(out,
		",\"udp\":{\"datagrams\":%" PRIu64 ",\"dropped\":%" PRIu64
		",\"buffer_bytes\":%" PRIu64 ",\"keys\":",
		stat_get(STAT_UDP_DATAGRAMS), stat_get(STAT_UDP_DROPPED),
		stat_get(STAT_UDP_BUFFER));
	udp_tally_print_json(out);
	fprintf(out, "}}\n");
}
