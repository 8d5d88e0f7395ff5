#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "node/journal_state.h"
#include "stats/stats.h"

bool
segment_next(const struct segment *s, struct segment_walk *w, struct event *ret_event)
{
	const uint8_t *payload;
	size_t n;

	while (w->at < s->used && (payload = segment_record(s, &w->at, &n))) {
		if (!event_unpack(payload, n, ret_event))
			continue;
		w->accepted[ret_event->source][ret_event->repeat]++;
		w->payload += n;
		w->events++;
		return true;
	}
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
map_bots(const struct segment *s, struct text source, uint32_t nth, struct ledger *sum)
{
	enum event_source to = source_find(source);
	const struct segment_bot *bot;
	size_t i;

	for (i = 0; i < segment_bot_places(s); i++) {
		bot = segment_bot_at(s, i);
		if (!bot || bot->count[nth] == 0)
			continue;
		if (to == SOURCE_N)
			return refuse_name(source, bot->count[nth]);
		if (bot->count[nth] > BATCH_COUNT_MAX - sum->count[to][REASON_BOT_USER_AGENT])
			return -EBADMSG;
		sum->count[to][REASON_BOT_USER_AGENT] += bot->count[nth];
	}
	return 0;
}

static int
map_source(const struct segment *s, struct text source, struct text lines, uint32_t nth,
	   struct ledger *sum)
{
	enum event_source to = source_find(source);
	const struct segment_header *h = s->head;
	struct text line, verdict;
	enum reason r;
	uint32_t i;

	for (i = 0; i < h->reasons; i++) {
		uint64_t count = h->count[(size_t)nth * h->reasons + i];
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
	return nth < SEGMENT_BOT_SOURCES ? map_bots(s, source, nth, sum) : 0;
}

int
segment_read_ledger(struct segment *s)
{
	const struct segment_header *h = s->head;
	struct text lines = {h->names, h->names_len}, sources = cut(&lines, '\n');
	struct ledger sum = {0};
	uint32_t i;
	int err = 0;

	for (i = 0; !err && i < h->sources; i++)
		err = map_source(s, cut(&sources, ' '), lines, i, &sum);
	if (err)
		return err;
	if (ledger_verdict(&sum, VERDICT_ACCEPTED) > BATCH_EVENTS_MAX) /* more than it takes */
		return -EBADMSG;
	s->ledger = sum;
	s->ledger_read = true;
	return 0;
}

uint64_t
segment_lost(const struct segment *s, const struct segment_walk *w)
{
	uint64_t counted = ledger_verdict(&s->ledger, VERDICT_ACCEPTED);

	return counted > w->events ? counted - w->events : 0;
}

bool
segment_is_empty(const struct segment *s)
{
	const struct segment_header *h = s->head;
	size_t i;

	for (i = 0; i < SEGMENT_COUNTS; i++)
		if (h->count[i])
			return false;
	for (i = 0; i < segment_bot_places(s); i++)
		if (segment_bot_at(s, i))
			return false;
	return s->records == 0 && h->udp_dropped == 0;
}

/* -- bots -- */

/* Counts of a place, by the names that the header has for its sources. */
static void
bot_counts(const struct segment *s, const struct segment_bot *from, uint64_t ret_count[SOURCE_N])
{
	const struct segment_header *h = s->head;
	struct text lines = {h->names, h->names_len}, sources = cut(&lines, '\n');
	enum event_source to;
	uint32_t i;

	for (i = 0; i < h->sources && i < SEGMENT_BOT_SOURCES; i++) {
		to = source_find(cut(&sources, ' '));
		if (to < SOURCE_N)
			ret_count[to] += from->count[i];
	}
}

static int
bot_order(const void *a, const void *b)
{
	const struct batch_bot *x = a, *y = b;

	return text_cmp(x->name, y->name);
}

/* A name has one place; but should a damaged file say otherwise, its batch must be
 * possible still. */
static size_t
merge_same(struct batch_bot *bot, size_t n)
{
	size_t i, kept = 0;
	unsigned k;

	for (i = 0; i < n; i++) {
		if (kept == 0 || !text_eq(bot[kept - 1].name, bot[i].name)) {
			bot[kept++] = bot[i];
			continue;
		}
		for (k = 0; k < SOURCE_N; k++)
			bot[kept - 1].count[k] += bot[i].count[k];
	}
	return kept;
}

size_t
segment_bots(const struct segment *s, struct batch_bot ret_bot[SEGMENT_BOTS])
{
	const struct segment_bot *from;
	struct batch_bot bot;
	size_t i, n = 0;

	for (i = 0; i < segment_bot_places(s); i++) {
		from = segment_bot_at(s, i);
		if (!from)
			continue;
		bot = (struct batch_bot){.name = {from->name, from->len}};
		bot_counts(s, from, bot.count);
		if (bot.count[SOURCE_BEACON] + bot.count[SOURCE_DATAGRAM] > 0)
			ret_bot[n++] = bot;
	}
	qsort(ret_bot, n, sizeof(*ret_bot), bot_order);
	return merge_same(ret_bot, n);
}

void
segment_meta(const struct segment *s, const struct segment_walk *w, struct batch_meta *ret_meta)
{
	unsigned i;

	*ret_meta = (struct batch_meta){
	    .id = s->number.id,
	    .from_ms = s->head->from_ms,
	    .until_ms = s->head->until_ms,
	    .sealed_ms = s->number.sealed_ms,
	    .closes_ms = s->number.closes_ms,
	    .udp_dropped = s->head->udp_dropped,
	    .lost = segment_lost(s, w),
	    .ledger = s->ledger,
	};
	for (i = 0; i < SOURCE_N; i++) {
		ret_meta->ledger.count[i][REASON_ACCEPTED_FIRST] = w->accepted[i][false];
		ret_meta->ledger.count[i][REASON_ACCEPTED_REPEAT] = w->accepted[i][true];
	}
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
	struct segment_walk w;
	struct segment *s;
	struct event e;

	for (s = next_found(j, 0); s; s = next_found(j, s->head->serial)) {
		for (w = (struct segment_walk){0}; segment_next(s, &w, &e);
		     stat_add(STAT_REPLAYED, 1))
			each(ctx, &e);
		segment_release(s);
	}
}
