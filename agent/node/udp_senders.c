#include "node/udp_senders.h"

#include <stdlib.h>

#include "base/hash.h"
#include "node/udp_tally.h"
#include "stats/stats.h"

#define WAYS 8                      /* senders a line */
#define WORDS (UDP_WINDOW / 64 + 1) /* one more, so that a word is cleared as a whole */

struct sender {
	uint64_t key, boot;
	uint64_t first, newest; /* sequence numbers; newest 0: the place is free */
	int64_t newest_ms;
	uint64_t seen[WORDS]; /* bit of seq: seq % 64 of word seq / 64 % WORDS */
};

struct udp_senders {
	size_t lines; /* a power of two */
	struct hash_key hash;
	struct sender (*line)[WAYS];
};

struct udp_senders *
udp_senders_new(size_t n)
{
	struct udp_senders *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	for (s->lines = 1; s->lines * WAYS < n;)
		s->lines *= 2;
	hash_key_random(&s->hash);
	s->line = calloc(s->lines, sizeof(*s->line));
	if (!s->line) {
		free(s);
		s = NULL;
	}
	return s;
}

void
udp_senders_free(struct udp_senders *s)
{
	if (!s)
		return;
	free(s->line);
	free(s);
}

/* -- the window -- */

static uint64_t *
word_of(struct sender *s, uint64_t seq)
{
	return &s->seen[seq / 64 % WORDS];
}

/* Clears the words between the newest number and a newer one. */
static void
slide(struct sender *s, uint64_t seq, uint16_t tally)
{
	uint64_t more = seq / 64 - s->newest / 64, i;

	if (more > WORDS)
		more = WORDS;
	for (i = 0; i < more; i++)
		*word_of(s, seq - 64 * i) = 0;
	stat_add(STAT_UDP_GAPS, seq - s->newest - 1);
	udp_tally_add(tally, UDP_TALLY_GAPS, seq - s->newest - 1);
	s->newest = seq;
}

static enum reason
take_seq(struct sender *s, uint64_t seq, uint16_t tally)
{
	const uint64_t bit = UINT64_C(1) << seq % 64;

	if (seq + UDP_WINDOW <= s->newest)
		return REASON_INVALID_LATE;
	if (seq > s->newest)
		slide(s, seq, tally);
	else if (*word_of(s, seq) & bit)
		return REASON_INVALID_REPLAYED;
	else if (seq > s->first) {
		stat_add(STAT_UDP_LATE, 1);
		udp_tally_add(tally, UDP_TALLY_LATE, 1);
	}
	*word_of(s, seq) |= bit;
	return REASON_ACCEPTED_FIRST;
}

/* -- the table -- */

static struct sender *
line_of(struct udp_senders *s, uint64_t key, uint64_t boot)
{
	const uint64_t id[2] = {key, boot};

	return s->line[hash_table(&s->hash, id, sizeof(id)) & (s->lines - 1)];
}

/* Silent for more than the window: whatever it signed is refused by its time. */
static void
forget(struct udp_keys *keys, const struct sender *s, struct wall_ms now, int64_t window_ms)
{
	struct udp_key *key = udp_keys_find_id(keys, s->key);

	if (key && key->floor_ms < s->newest_ms)
		key->floor_ms = s->newest_ms;
	if (s->newest_ms >= now.ms - window_ms)
		stat_add(STAT_UDP_SENDERS_EVICTED, 1);
}

static struct sender *
find(struct sender *line, uint64_t key, uint64_t boot)
{
	size_t i;

	for (i = 0; i < WAYS; i++)
		if (line[i].newest && line[i].key == key && line[i].boot == boot)
			return &line[i];
	return NULL;
}

static struct sender *
oldest(struct sender *line)
{
	struct sender *it = line;
	size_t i;

	for (i = 0; i < WAYS && it->newest; i++)
		if (!line[i].newest || line[i].newest_ms < it->newest_ms)
			it = &line[i];
	return it;
}

enum reason
udp_senders_take(struct udp_senders *s, struct udp_keys *keys, struct udp_key *key,
		 const struct envelope *e, struct wall_ms now, int64_t window_ms)
{
	struct sender *line = line_of(s, key->id, e->boot), *it = find(line, key->id, e->boot);
	enum reason r;

	if (!it) {
		if (e->time_ms <= key->floor_ms)
			return REASON_INVALID_STALE;
		it = oldest(line);
		if (it->newest)
			forget(keys, it, now, window_ms);
		*it = (struct sender){.key = key->id, .boot = e->boot};
		it->first = it->newest = e->seq;
	}
	r = take_seq(it, e->seq, key->tally);
	if (r == REASON_ACCEPTED_FIRST && e->time_ms > it->newest_ms)
		it->newest_ms = e->time_ms;
	return r;
}
