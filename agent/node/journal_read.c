#include <errno.h>

#include "base/log.h"
#include "node/journal_state.h"
#include "stats/stats.h"

bool
segment_next(const struct segment *s, size_t *at, struct event *ret_event)
{
	const uint8_t *payload;
	size_t n;

	while (*at < s->used && (payload = segment_record(s, at, &n)))
		if (event_unpack(payload, n, ret_event))
			return true;
	return false;
}

uint32_t
segment_records(const struct segment *s)
{
	return s->records;
}

size_t
segment_bytes(const struct segment *s)
{
	return s->payload;
}

/* -- the ledger, by name where the header's list differs from ours -- */

static struct text
cut(struct text *rest, char at)
{
	const char *end = rest->len ? memchr(rest->at, at, rest->len) : NULL;
	struct text head = *rest;

	if (end) {
		head.len = (size_t)(end - rest->at);
		rest->at = end + 1;
		rest->len -= head.len + 1;
	} else {
		*rest = (struct text){NULL, 0};
	}
	return head;
}

static enum event_source
source_find(struct text name)
{
	unsigned i;

	for (i = 0; i < SOURCE_N; i++)
		if (text_is(name, source_name((enum event_source)i)))
			break;
	return (enum event_source)i;
}

static int
refuse_name(struct text name, uint64_t count)
{
	log_error("journal counts a reason that this version does not know; "
		  "let the version that wrote it seal its journal (flush) first",
		  "reason=" TEXT_FMT " count=%llu", TEXT_ARG(name), (unsigned long long)count);
	return -EPROTONOSUPPORT;
}

static int
map_source(const struct segment_header *h, struct text source, struct text lines, size_t at,
	   struct ledger *sum)
{
	enum event_source to = source_find(source);
	struct text line, verdict;
	enum reason r;
	uint32_t i;

	for (i = 0; i < h->reasons; i++) {
		uint64_t count = h->count[at + i];
		struct text name = line = cut(&lines, '\n');

		verdict = cut(&name, '.');
		r = reason_find(verdict, name);
		if (count && (r == REASON_N || to == SOURCE_N))
			return refuse_name(r == REASON_N ? line : source, count);
		if (!count)
			continue;
		if (count > BATCH_COUNT_MAX - sum->count[to][r])
			return -EBADMSG;
		sum->count[to][r] += count;
	}
	return 0;
}

static int
read_ledger(const struct segment_header *h, struct ledger *ret_ledger)
{
	struct text lines = {h->names, h->names_len}, sources = cut(&lines, '\n');
	struct ledger sum = {0};
	uint32_t i;
	int err = 0;

	for (i = 0; !err && i < h->sources; i++)
		err = map_source(h, cut(&sources, ' '), lines, (size_t)i * h->reasons, &sum);
	if (!err)
		*ret_ledger = sum;
	return err;
}

int
segment_tally(struct segment *s)
{
	struct ledger l;
	struct event e;
	uint64_t counted;
	uint32_t readable = 0;
	size_t at = 0;
	unsigned i;
	int err = read_ledger(s->head, &l);

	if (err)
		return err;
	counted = ledger_verdict(&l, VERDICT_ACCEPTED);
	if (counted > BATCH_EVENTS_MAX) /* more than a segment takes */
		return -EBADMSG;
	for (i = 0; i < SOURCE_N; i++)
		l.count[i][REASON_ACCEPTED_FIRST] = l.count[i][REASON_ACCEPTED_REPEAT] = 0;
	while (segment_next(s, &at, &e)) {
		l.count[e.source][e.repeat ? REASON_ACCEPTED_REPEAT : REASON_ACCEPTED_FIRST]++;
		readable++;
	}
	s->ledger = l;
	s->records = readable;
	s->lost = counted > readable ? counted - readable : 0;
	s->tallied = true;
	return 0;
}

bool
segment_is_empty(const struct segment *s)
{
	const struct segment_header *h = s->head;
	unsigned i;

	for (i = 0; i < SEGMENT_COUNTS; i++)
		if (h->count[i])
			return false;
	return s->records == 0 && h->udp_dropped == 0;
}

void
segment_meta(const struct segment *s, struct batch_meta *ret_meta)
{
	*ret_meta = (struct batch_meta){
	    .id = s->number.id,
	    .from_ms = s->head->from_ms,
	    .until_ms = s->head->until_ms,
	    .sealed_ms = s->number.sealed_ms,
	    .closes_ms = s->number.closes_ms,
	    .udp_dropped = s->head->udp_dropped,
	    .lost = s->lost,
	    .ledger = s->ledger,
	};
}

/* -- replay -- */

static struct segment *
next_found(struct journal *j, uint64_t after)
{
	struct segment *next = NULL;
	unsigned i;

	for (i = 0; i < j->slots_n; i++) {
		struct segment *s = &j->slots[i];

		if (s->found && s->head->serial > after &&
		    (!next || s->head->serial < next->head->serial))
			next = s;
	}
	return next;
}

void
journal_replay(struct journal *j, void (*each)(void *ctx, const struct event *e), void *ctx)
{
	struct segment *s;
	struct event e;
	size_t at;

	for (s = next_found(j, 0); s; s = next_found(j, s->head->serial)) {
		for (at = 0; segment_next(s, &at, &e); stat_add(STAT_REPLAYED, 1))
			each(ctx, &e);
		segment_release(s);
	}
}
