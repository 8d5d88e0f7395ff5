/* Columns stand at the arena's start, each with room for its widest cells, of which few pages are
 * ever touched; dictionary entries and hash tables grow from its end. */
#include <errno.h>
#include <stdio.h>

#include "base/hash.h"
#include "proto/batch_format.h"

#define RECENT 16u      /* texts: what most events of a site tell */
#define TABLE_FIRST 16u /* slots of a new hash table; doubled at three quarters */
#define BOT_ENTRY_MAX (1 + BATCH_BOT_NAME_MAX + SOURCE_N * 8) /* counts of 53 bits */
#define CONTENT_ENTRY_MAX (1 + 3 * (1 + EVENT_NAME_MAX))

/* The widest cell of each: a time's difference has 49 bits, a salt's 33, an index or a distance at
 * most 21. */
static const uint8_t widest[COLUMN_N] = {
    [COLUMN_FLAGS] = 1,       [COLUMN_TS] = 7,      [COLUMN_VISITOR_NEW] = 8, [COLUMN_VISITOR] = 3,
    [COLUMN_CONTENT] = 3,     [COLUMN_NAME] = 3,    [COLUMN_REFERRER] = 3,    [COLUMN_COUNTRY] = 3,
    [COLUMN_SALT] = 5,        [COLUMN_BROWSER] = 1, [COLUMN_SYSTEM] = 1,      [COLUMN_DEVICE] = 1,
    [COLUMN_SESSION_NEW] = 8, [COLUMN_SESSION] = 3, [COLUMN_EVENT_TAG] = 8,   [COLUMN_VALUE] = 8,
};

/* An entry's key stands behind it: its bytes in the document. */
struct entry {
	uint32_t len, index;
	uint32_t
	    next; /* in order of index; places are in units of 8 bytes from the arena's start */
};

/* With the whole hash beside it, so that hardly an entry is looked at which is not the one. */
struct slot {
	uint32_t hash, place; /* of an entry; 0: empty */
};

struct table {
	struct slot *slot;
	uint32_t slots, count;
	uint32_t first, last;
	uint32_t recent[RECENT]; /* places of texts asked for lately: many events tell the same */
};

/* Visitors and sessions. There are many, and each look-up meets memory that is in no cache: so a
 * slot is small, 1 more than the number's index with the number's uppermost bits before it, and the
 * number itself stands in its column. They are keyed hashes, which nobody outside can choose: their
 * lower bits are the slot. */
#define INDEX_BITS 21
_Static_assert(BATCH_EVENTS_MAX < 1u << INDEX_BITS, "an index fits a slot");

struct numbers {
	uint32_t *slot; /* 0: empty */
	uint32_t slots, count;
};

enum { NUMBERS_VISITOR, NUMBERS_SESSION, NUMBERS_N };

/* What is computed of an event before it is added. */
struct prepared {
	uint64_t tag;
	uint32_t hash, len; /* of its content's key */
	uint8_t key[CONTENT_ENTRY_MAX];
};

struct batch_builder {
	uint8_t *base;
	size_t bottom, top; /* free bytes lie between; the top is a multiple of 8 */
	struct hash_key key;
	struct table table[DICT_N];
	struct numbers numbers[NUMBERS_N];
	struct writer column[COLUMN_N];
	uint32_t events, events_max;
	int64_t ts_ms, salt_id; /* of the event before */
	const struct batch_bot *bot;
	size_t bots;
	struct prepared prepared[BATCH_ADD_MANY]; /* the stack would be cleared each time */
};

#define ENTRY_BYTES (sizeof(struct entry) + 7) /* beside its key */
/* All keys of one event: content, name, referrer, country. */
#define KEYS_MAX (CONTENT_ENTRY_MAX + 1 + EVENT_NAME_MAX + 1 + EVENT_HOST_MAX + 3)

static bool
is_full(uint32_t count, uint32_t slots)
{
	return 4 * (count + 1) > 3 * slots;
}

static uint32_t
next_slots(uint32_t slots)
{
	return slots ? 2 * slots : TABLE_FIRST;
}

static size_t
columns_bytes(uint32_t n)
{
	size_t bytes = 0;
	unsigned i;

	for (i = 0; i < COLUMN_N; i++)
		bytes += (size_t)n * widest[i];
	return bytes;
}

/* A table's slots, with those that it outgrew, are fewer than 16/3 an entry: 43 bytes, of numbers
 * 22. Of the texts, all keys of an event together are shorter than its payload. */
size_t
batch_arena_bytes(uint32_t n, size_t payload_bytes)
{
	size_t own = sizeof(struct batch_builder) + columns_bytes(n) + 16 + KEYS_MAX;
	size_t entries = (size_t)n + 2; /* "none", and one more so that the last event has room */
	size_t table = entries * (43 + ENTRY_BYTES) + sizeof(struct slot[2 * TABLE_FIRST]);
	size_t numbers = entries * 22 + sizeof(uint32_t[2 * TABLE_FIRST]);
	size_t country = 3;

	return own + entries * country + payload_bytes + DICT_N * table + NUMBERS_N * numbers;
}

size_t
batch_document_bytes(uint32_t n, size_t payload_bytes)
{
	size_t country = 3; /* all other keys of an event are shorter than its payload */

	return 4096 + BATCH_BOTS_MAX * BOT_ENTRY_MAX + columns_bytes(n) + n * country +
	       payload_bytes;
}

/* Bytes that adding any one event may take at most. What is there is checked once, so that nothing
 * half-added ever stands in the arena. */
static size_t
bytes_for_one(const struct batch_builder *b)
{
	size_t n = KEYS_MAX + DICT_N * ENTRY_BYTES;
	unsigned i;

	for (i = 0; i < DICT_N; i++)
		if (is_full(b->table[i].count, b->table[i].slots))
			n += next_slots(b->table[i].slots) * sizeof(struct slot);
	for (i = 0; i < NUMBERS_N; i++)
		if (is_full(b->numbers[i].count, b->numbers[i].slots))
			n += next_slots(b->numbers[i].slots) * sizeof(uint32_t);
	return n;
}

/* The caller has seen that there is room. */
static void *
take_top(struct batch_builder *b, size_t n)
{
	b->top -= (n + 7) & ~(size_t)7;
	return b->base + b->top;
}

static struct entry *
entry_at(const struct batch_builder *b, uint32_t place)
{
	return (struct entry *)(void *)(b->base + (size_t)place * 8);
}

/* The first slot with this hash from `at` on, or the empty one behind all of them. */
static struct slot *
next_slot(const struct table *t, uint32_t at, uint32_t hash)
{
	for (at &= t->slots - 1; t->slot[at].place && t->slot[at].hash != hash;)
		at = (at + 1) & (t->slots - 1);
	return &t->slot[at];
}

/* Where the key's entry is, or belongs. */
static struct slot *
slot_of(const struct batch_builder *b, const struct table *t, uint32_t hash, const void *key,
	size_t len)
{
	struct slot *s = next_slot(t, hash, hash);
	const struct entry *e;

	for (; s->place; s = next_slot(t, (uint32_t)(s - t->slot) + 1, hash)) {
		e = entry_at(b, s->place);
		if (e->len == len && memcmp(e + 1, key, len) == 0)
			break;
	}
	return s;
}

static void
table_grow(struct batch_builder *b, struct table *t)
{
	const struct slot *old = t->slot;
	uint32_t before = t->slots, i, at;

	t->slots = next_slots(before);
	t->slot = take_top(b, t->slots * sizeof(*t->slot));
	memset(t->slot, 0, t->slots * sizeof(*t->slot));
	for (i = 0; i < before; i++) {
		if (!old[i].place)
			continue;
		for (at = old[i].hash & (t->slots - 1); t->slot[at].place;)
			at = (at + 1) & (t->slots - 1);
		t->slot[at] = old[i];
	}
}

static void
table_append(struct batch_builder *b, struct table *t, struct slot *slot, uint32_t hash,
	     const void *key, size_t len)
{
	struct entry *e = take_top(b, sizeof(*e) + len);

	*e = (struct entry){(uint32_t)len, t->count++, 0};
	memcpy(e + 1, key, len);
	*slot = (struct slot){hash, (uint32_t)(b->top / 8)};
	if (t->last)
		entry_at(b, t->last)->next = slot->place;
	else
		t->first = slot->place;
	t->last = slot->place;
}

/* Place of the key's entry; its index is the table's size as it was when the key is new. */
static uint32_t
table_intern(struct batch_builder *b, struct table *t, uint32_t hash, const void *key, size_t len)
{
	struct slot *slot;

	if (is_full(t->count, t->slots))
		table_grow(b, t);
	slot = slot_of(b, t, hash, key, len);
	if (!slot->place)
		table_append(b, t, slot, hash, key, len);
	return slot->place;
}

static uint32_t
look_up_text(struct batch_builder *b, struct table *table, struct text t)
{
	UNZEROED uint8_t key[1 + 255];
	struct writer w = writer_of(key, sizeof(key));

	put_text8(&w, t);
	return table_intern(b, table, (uint32_t)hash_table(&b->key, key, w.len), key, w.len);
}

/* Where a text is kept as recent; who chooses texts that meet there only makes us hash them. */
static uint32_t *
recent_place(struct table *table, struct text t)
{
	unsigned n = (unsigned)t.len;

	if (n > 0)
		n += 5u * (unsigned char)t.at[n / 2] + (unsigned char)t.at[n - 1];
	return &table->recent[n % RECENT];
}

static uint32_t
intern_text(struct batch_builder *b, enum batch_dictionary d, struct text t)
{
	struct table *table = &b->table[d];
	uint32_t *recent = recent_place(table, t);
	const struct entry *e = entry_at(b, *recent);

	if (!*recent || e->len != 1 + t.len ||
	    (t.len > 0 && memcmp((const uint8_t *)(e + 1) + 1, t.at, t.len) != 0)) {
		*recent = look_up_text(b, table, t);
		e = entry_at(b, *recent);
	}
	return e->index;
}

static struct text
or_default(struct text t, struct text absent)
{
	return t.len ? t : absent;
}

static void
prepare(const struct batch_builder *b, const struct event *e, struct prepared *ret_prepared)
{
	struct writer w = writer_of(ret_prepared->key, sizeof(ret_prepared->key));

	put_u8(&w, e->has_uuid ? CONTENT_UUID : CONTENT_SLUG);
	put_text8(&w, or_default(e->site, TEXT_LIT(EVENT_DEFAULT_SITE)));
	put_text8(&w, e->type);
	if (e->has_uuid)
		put_bytes(&w, e->uuid, 16);
	else
		put_text8(&w, e->id);
	ret_prepared->len = (uint32_t)w.len;
	ret_prepared->hash = (uint32_t)hash_table(&b->key, ret_prepared->key, w.len);
	ret_prepared->tag = e->has_event_id ? event_tag(e->event_id) : 0;
}

static uint64_t
number_at(const struct writer *fresh, uint32_t index)
{
	struct reader r = reader_of(fresh->base + (size_t)index * 8, 8);

	return get_u64(&r);
}

static uint32_t
slot_word(uint64_t v, uint32_t index)
{
	return (uint32_t)(v >> (32 + INDEX_BITS)) << INDEX_BITS | (index + 1);
}

static uint32_t
index_in(uint32_t word)
{
	return (word & ((1u << INDEX_BITS) - 1)) - 1;
}

static void
numbers_grow(struct batch_builder *b, struct numbers *n, const struct writer *fresh)
{
	uint32_t i, at;
	uint64_t v;

	n->slots = next_slots(n->slots);
	n->slot = take_top(b, n->slots * sizeof(*n->slot));
	memset(n->slot, 0, n->slots * sizeof(*n->slot));
	for (i = 0; i < n->count; i++) {
		v = number_at(fresh, i);
		for (at = (uint32_t)v & (n->slots - 1); n->slot[at];)
			at = (at + 1) & (n->slots - 1);
		n->slot[at] = slot_word(v, i);
	}
}

/* The slot of v, or the empty one where it belongs. */
static uint32_t *
number_slot(const struct numbers *n, uint64_t v, const struct writer *fresh)
{
	uint32_t at = (uint32_t)v & (n->slots - 1), index;

	for (; n->slot[at]; at = (at + 1) & (n->slots - 1)) {
		index = index_in(n->slot[at]);
		if (n->slot[at] == slot_word(v, index) && number_at(fresh, index) == v)
			break;
	}
	return &n->slot[at];
}

/* 0 for a number that was not there before, which is appended to `fresh`; else how many numbers ago
 * it was first seen. Visitors that come back do so soon, so that small numbers prevail. */
static uint32_t
intern_number(struct batch_builder *b, struct numbers *n, uint64_t v, struct writer *fresh)
{
	uint32_t *slot;

	if (is_full(n->count, n->slots))
		numbers_grow(b, n, fresh);
	slot = number_slot(n, v, fresh);
	if (*slot)
		return n->count - index_in(*slot);
	*slot = slot_word(v, n->count++);
	put_u64(fresh, v);
	return 0;
}

static void
expect_number(const struct numbers *n, uint64_t v)
{
	if (n->slots)
		__builtin_prefetch(&n->slot[(uint32_t)v & (n->slots - 1)]);
}

/* Asks for the memory that adding the events will look at: slots first, and the entries once these
 * have come. */
static void
expect(struct batch_builder *b, const struct event *e, size_t n)
{
	const struct table *t = &b->table[DICT_CONTENT];
	const struct slot *s;
	size_t i;

	for (i = 0; i < n; i++) {
		prepare(b, &e[i], &b->prepared[i]);
		if (t->slots)
			__builtin_prefetch(&t->slot[b->prepared[i].hash & (t->slots - 1)]);
		expect_number(&b->numbers[NUMBERS_VISITOR], e[i].visitor);
		if (e[i].session_hash)
			expect_number(&b->numbers[NUMBERS_SESSION], e[i].session_hash);
	}
	for (i = 0; i < n && t->slots; i++) {
		s = next_slot(t, b->prepared[i].hash, b->prepared[i].hash);
		__builtin_prefetch(entry_at(b, s->place));
	}
}

struct batch_builder *
batch_begin(void *arena, size_t arena_bytes, uint32_t events_max)
{
	struct batch_builder *b = arena;
	unsigned i;

	if (events_max > BATCH_EVENTS_MAX)
		events_max = BATCH_EVENTS_MAX;
	if (arena_bytes < batch_arena_bytes(0, 0) + columns_bytes(events_max))
		return NULL;
	*b = (struct batch_builder){.base = arena, .bottom = sizeof(*b), .events_max = events_max};
	for (i = 0; i < COLUMN_N; i++) {
		b->column[i] = writer_of(b->base + b->bottom, (size_t)events_max * widest[i]);
		b->bottom += b->column[i].cap;
	}
	b->top = arena_bytes & ~(size_t)7;
	hash_key_random(&b->key);
	(void)intern_text(b, DICT_REFERRER, (struct text){NULL, 0});
	(void)intern_text(b, DICT_COUNTRY, (struct text){NULL, 0});
	return b;
}

static uint8_t
flags_of(const struct event *e, uint64_t tag)
{
	unsigned flags = 0;

	flags |= e->source == SOURCE_DATAGRAM ? BATCH_FLAG_DATAGRAM : 0;
	flags |= e->repeat ? BATCH_FLAG_REPEAT : 0;
	flags |= e->has_value ? BATCH_FLAG_VALUE : 0;
	flags |= tag ? BATCH_FLAG_TAG : 0;
	return (uint8_t)flags;
}

static void
add_content(struct batch_builder *b, const struct event *e, const struct prepared *p)
{
	struct writer *c = b->column;
	struct text country = {e->country, e->country[0] ? 2 : 0};
	uint32_t place = table_intern(b, &b->table[DICT_CONTENT], p->hash, p->key, p->len);

	put_varint(&c[COLUMN_CONTENT], entry_at(b, place)->index);
	put_varint(&c[COLUMN_NAME],
		   intern_text(b, DICT_NAME, or_default(e->name, TEXT_LIT(EVENT_DEFAULT_NAME))));
	put_varint(&c[COLUMN_REFERRER], intern_text(b, DICT_REFERRER, e->referrer));
	put_varint(&c[COLUMN_COUNTRY], intern_text(b, DICT_COUNTRY, country));
}

static void
add_client(struct batch_builder *b, const struct event *e)
{
	/* 0 is none and 1 is new, so that all others are one more than a visitor's would be */
	uint32_t session = 0;
	struct writer *c = b->column;

	put_varint(&c[COLUMN_VISITOR], intern_number(b, &b->numbers[NUMBERS_VISITOR], e->visitor,
						     &c[COLUMN_VISITOR_NEW]));
	if (e->session_hash)
		session = 1 + intern_number(b, &b->numbers[NUMBERS_SESSION], e->session_hash,
					    &c[COLUMN_SESSION_NEW]);
	put_varint(&c[COLUMN_SESSION], session);
	put_u8(&c[COLUMN_BROWSER], e->browser);
	put_u8(&c[COLUMN_SYSTEM], e->system);
	put_u8(&c[COLUMN_DEVICE], e->device);
}

static int
add_one(struct batch_builder *b, const struct event *e, const struct prepared *p)
{
	struct writer *c = b->column;

	if (b->events == b->events_max || b->top - b->bottom < bytes_for_one(b))
		return -ENOSPC;
	put_u8(&c[COLUMN_FLAGS], flags_of(e, p->tag));
	put_zigzag(&c[COLUMN_TS], e->ts_ms - b->ts_ms);
	put_zigzag(&c[COLUMN_SALT], (int64_t)e->salt_id - b->salt_id);
	add_content(b, e, p);
	add_client(b, e);
	if (p->tag)
		put_u64(&c[COLUMN_EVENT_TAG], p->tag);
	if (e->has_value)
		put_f64(&c[COLUMN_VALUE], e->value);
	b->ts_ms = e->ts_ms;
	b->salt_id = e->salt_id;
	b->events++;
	return 0;
}

int
batch_add(struct batch_builder *b, const struct event *e, size_t n)
{
	size_t i, part;
	int err = 0;

	for (; n > 0 && !err; e += part, n -= part) {
		part = n < BATCH_ADD_MANY ? n : BATCH_ADD_MANY;
		expect(b, e, part);
		for (i = 0; i < part && !err; i++)
			err = add_one(b, &e[i], &b->prepared[i]);
	}
	return err;
}

void
batch_set_bots(struct batch_builder *b, const struct batch_bot *bot, size_t n)
{
	b->bot = bot;
	b->bots = n;
}

static bool
bots_valid(const struct batch_builder *b, const struct ledger *l)
{
	struct text before = {NULL, 0};
	uint64_t sum[SOURCE_N] = {0};
	size_t i;

	if (b->bots > BATCH_BOTS_MAX)
		return false;
	for (i = 0; i < b->bots; before = b->bot[i++].name)
		if (!batch_bot_follows(&before, &b->bot[i], sum))
			return false;
	return batch_bots_fit(sum, l);
}

/* -- the document -- */

static void
put_key(struct writer *w, const char *key)
{
	size_t n = strlen(key);

	put_u8(w, (uint8_t)(0xa0 | n)); /* fixstr: every key is shorter than 32 */
	put_bytes(w, key, n);
}

static void
put_map(struct writer *w, uint32_t pairs)
{
	put_u8(w, 0xdf);
	put_u32_be(w, pairs);
}

static void
put_number(struct writer *w, const char *key, uint64_t v)
{
	put_key(w, key);
	if (v < 0x80) {
		put_u8(w, (uint8_t)v);
		return;
	}
	put_u8(w, 0xcf);
	put_u64_be(w, v);
}

/* Starts a bin whose length is known at its end. */
static size_t
bin_begin(struct writer *w, const char *key)
{
	put_key(w, key);
	put_u8(w, 0xc6);
	put_u32_be(w, 0);
	return w->len;
}

static void
bin_end(struct writer *w, size_t from)
{
	struct writer length;

	if (w->bad)
		return;
	length = writer_of(w->base + from - 4, 4);
	put_u32_be(&length, (uint32_t)(w->len - from));
}

static void
put_reasons(struct writer *w, const uint64_t count[REASON_N])
{
	uint32_t pairs = 0;
	char key[64];
	unsigned r;

	for (r = 0; r < REASON_N; r++)
		pairs += count[r] != 0;
	put_map(w, pairs);
	for (r = 0; r < REASON_N; r++) {
		if (count[r] == 0)
			continue;
		(void)snprintf(key, sizeof(key), "%s.%s", verdict_name(reason_verdict(r)),
			       reason_name(r));
		put_number(w, key, count[r]);
	}
}

static void
put_meta(struct writer *w, const struct batch_meta *m)
{
	unsigned s;

	put_number(w, "version", BATCH_VERSION);
	put_key(w, "node");
	put_u8(w, 0xd9);
	put_text8(w, text_of(m->id.node));
	put_key(w, "epoch");
	put_u8(w, 0xc4);
	put_u8(w, 16);
	put_bytes(w, m->id.epoch, 16);
	put_number(w, "seq", m->id.seq);
	put_number(w, "from_ms", (uint64_t)m->from_ms);
	put_number(w, "until_ms", (uint64_t)m->until_ms);
	put_number(w, "sealed_ms", (uint64_t)m->sealed_ms);
	put_number(w, "closes_ms", (uint64_t)m->closes_ms);
	put_number(w, "udp_dropped", m->udp_dropped);
	put_number(w, "lost", m->lost);
	put_key(w, "ledger");
	put_map(w, SOURCE_N);
	for (s = 0; s < SOURCE_N; s++) {
		put_key(w, source_name(s));
		put_reasons(w, m->ledger.count[s]);
	}
}

static void
put_bots(struct writer *w, const struct batch_builder *b)
{
	size_t from = bin_begin(w, "bots"), i;
	unsigned s;

	for (i = 0; i < b->bots; i++) {
		put_text8(w, b->bot[i].name);
		for (s = 0; s < SOURCE_N; s++)
			put_varint(w, b->bot[i].count[s]);
	}
	bin_end(w, from);
}

static void
put_entries(struct writer *w, const struct batch_builder *b, const struct table *t)
{
	const struct entry *e;
	uint32_t place;

	for (place = t->first; place; place = e->next) {
		e = entry_at(b, place);
		put_bytes(w, e + 1, e->len);
	}
}

static bool
meta_valid(const struct batch_meta *m)
{
	unsigned s, r;

	for (s = 0; s < SOURCE_N; s++)
		for (r = 0; r < REASON_N; r++)
			if (m->ledger.count[s][r] > BATCH_COUNT_MAX)
				return false;
	return event_name_valid(text_of(m->id.node)) && m->id.seq >= 1 &&
	       m->id.seq <= BATCH_COUNT_MAX && batch_time_valid(m->from_ms) &&
	       batch_time_valid(m->until_ms) && batch_time_valid(m->sealed_ms) &&
	       batch_time_valid(m->closes_ms) && m->udp_dropped <= BATCH_COUNT_MAX &&
	       m->lost <= BATCH_COUNT_MAX;
}

int
batch_finish(struct batch_builder *b, const struct batch_meta *meta, uint8_t *buf, size_t cap,
	     size_t *ret_len)
{
	static const char *const dict_keys[] = BATCH_DICTIONARY_KEYS;
	static const char *const column_keys[] = BATCH_COLUMN_KEYS;
	struct writer w = writer_of(buf, cap < BATCH_DOCUMENT_MAX ? cap : BATCH_DOCUMENT_MAX);
	size_t from;
	unsigned i;

	if (!meta_valid(meta) || !bots_valid(b, &meta->ledger))
		return -EINVAL;
	put_map(&w, BATCH_PAIRS);
	put_meta(&w, meta);
	put_bots(&w, b);
	put_number(&w, "events", b->events);
	for (i = 0; i < DICT_N; i++) {
		from = bin_begin(&w, dict_keys[i]);
		put_entries(&w, b, &b->table[i]);
		bin_end(&w, from);
	}
	for (i = 0; i < COLUMN_N; i++) {
		from = bin_begin(&w, column_keys[i]);
		put_bytes(&w, b->column[i].base, b->column[i].len);
		w.bad = w.bad || b->column[i].bad;
		bin_end(&w, from);
	}
	if (w.bad)
		return -ENOSPC;
	*ret_len = w.len;
	return 0;
}
