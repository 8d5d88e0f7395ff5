/* Rows grow from the arena's start, dictionary entries and hash tables from its end; the columns
 * are written straight from the rows when the batch is finished. */
#include <errno.h>
#include <stdio.h>

#include "base/hash.h"
#include "proto/batch_format.h"

#define TABLE_FIRST 16u /* slots of a new hash table; doubled at three quarters */
#define BOT_ENTRY_MAX (1 + BATCH_BOT_NAME_MAX + SOURCE_N * 8) /* counts of 53 bits */
#define CONTENT_ENTRY_MAX (1 + 3 * (1 + EVENT_NAME_MAX))

struct row {
	int64_t ts_ms;
	uint64_t event_tag;
	double value;
	uint32_t visitor, session; /* as coded in their columns */
	uint32_t content, name, referrer, country, salt_id;
	uint8_t flags, browser, system, device;
};

/* An entry's key stands behind it: its bytes in the document. */
struct entry {
	uint32_t hash, len, index;
	uint32_t
	    next; /* in order of index; places are in units of 8 bytes from the arena's start */
};

struct table {
	uint32_t *slot; /* places of entries, 0 empty */
	uint32_t slots, count;
	uint32_t first, last;
	uint32_t
	    recent; /* place of the entry last asked for: many events tell what the last one told */
};

/* Visitors and sessions stand in the table itself: there are many, and each look-up meets memory
 * that is in no cache. They are keyed hashes, which nobody outside can choose: their lower bits are
 * the slot. */
struct number {
	uint64_t v;
	uint32_t index_1; /* 1 more than its index; 0: empty */
};

struct numbers {
	struct number *slot;
	uint32_t slots, count;
};

enum { NUMBERS_VISITOR, NUMBERS_SESSION, NUMBERS_N };

struct batch_builder {
	uint8_t *base;
	size_t bottom, top; /* free bytes lie between; both multiples of 8 */
	struct hash_key key;
	struct table table[DICT_N];
	struct numbers numbers[NUMBERS_N];
	struct row *rows;
	uint32_t events;
	const struct batch_bot *bot;
	size_t bots;
	uint8_t entry[CONTENT_ENTRY_MAX]; /* of a content; the stack would be cleared each time */
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

/* A table's slots, with those that it outgrew, are fewer than 16/3 an entry: 22 bytes, of numbers
 * 86. Of the texts, all keys of an event together are shorter than its payload. */
size_t
batch_arena_bytes(uint32_t n, size_t payload_bytes)
{
	size_t own = sizeof(struct batch_builder) + 16 + KEYS_MAX;
	size_t entries = (size_t)n + 2; /* "none", and one more so that the last event has room */
	size_t table = entries * (22 + ENTRY_BYTES) + sizeof(uint32_t[2 * TABLE_FIRST]);
	size_t numbers = entries * 86 + sizeof(struct number[2 * TABLE_FIRST]);
	size_t country = 3;

	return own + entries * (sizeof(struct row) + country) + payload_bytes + DICT_N * table +
	       NUMBERS_N * numbers;
}

size_t
batch_document_bytes(uint32_t n, size_t payload_bytes)
{
	/* the widest of every column: flags 1, ts 7, visitor 8 + 3, five indexes 3 each less the
	 * country's byte, salt 5, classes 3, session 8 + 3, tag 8, value 8 */
	return 4096 + BATCH_BOTS_MAX * BOT_ENTRY_MAX + (size_t)n * 70 + payload_bytes;
}

/* Bytes that adding any one event may take at most. What is there is checked once, so that nothing
 * half-added ever stands in the arena. */
static size_t
bytes_for_one(const struct batch_builder *b)
{
	size_t n = sizeof(struct row) + KEYS_MAX + DICT_N * ENTRY_BYTES;
	unsigned i;

	for (i = 0; i < DICT_N; i++)
		if (is_full(b->table[i].count, b->table[i].slots))
			n += next_slots(b->table[i].slots) * sizeof(uint32_t);
	for (i = 0; i < NUMBERS_N; i++)
		if (is_full(b->numbers[i].count, b->numbers[i].slots))
			n += next_slots(b->numbers[i].slots) * sizeof(struct number);
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

/* Where the key's entry is, or belongs. */
static uint32_t *
slot_of(const struct batch_builder *b, const struct table *t, uint32_t hash, const void *key,
	size_t len)
{
	uint32_t at = hash & (t->slots - 1);
	const struct entry *e;

	for (; t->slot[at]; at = (at + 1) & (t->slots - 1)) {
		e = entry_at(b, t->slot[at]);
		if (e->hash == hash && e->len == len && memcmp(e + 1, key, len) == 0)
			break;
	}
	return &t->slot[at];
}

static void
table_grow(struct batch_builder *b, struct table *t)
{
	const struct entry *e;
	uint32_t place, at;

	t->slots = next_slots(t->slots);
	t->slot = take_top(b, t->slots * sizeof(*t->slot));
	memset(t->slot, 0, t->slots * sizeof(*t->slot));
	for (place = t->first; place; place = e->next) {
		e = entry_at(b, place);
		for (at = e->hash & (t->slots - 1); t->slot[at];)
			at = (at + 1) & (t->slots - 1);
		t->slot[at] = place;
	}
}

static void
table_append(struct batch_builder *b, struct table *t, uint32_t *slot, uint32_t hash,
	     const void *key, size_t len)
{
	struct entry *e = take_top(b, sizeof(*e) + len);

	*e = (struct entry){hash, (uint32_t)len, t->count++, 0};
	memcpy(e + 1, key, len);
	*slot = (uint32_t)(b->top / 8);
	if (t->last)
		entry_at(b, t->last)->next = *slot;
	else
		t->first = *slot;
	t->last = *slot;
}

/* Index of the key, which is the table's size as it was when the key is new. */
static uint32_t
table_intern(struct batch_builder *b, struct table *t, const void *key, size_t len)
{
	uint32_t hash, *slot;

	hash = (uint32_t)hash_table(&b->key, key, len);
	if (is_full(t->count, t->slots))
		table_grow(b, t);
	slot = slot_of(b, t, hash, key, len);
	if (!*slot)
		table_append(b, t, slot, hash, key, len);
	t->recent = *slot;
	return entry_at(b, *slot)->index;
}

static uint32_t
look_up_text(struct batch_builder *b, struct table *table, struct text t)
{
	uint8_t key[1 + 255];
	struct writer w = writer_of(key, sizeof(key));

	put_text8(&w, t);
	return table_intern(b, table, key, w.len);
}

static uint32_t
intern_text(struct batch_builder *b, enum batch_dictionary d, struct text t)
{
	struct table *table = &b->table[d];
	const struct entry *recent = entry_at(b, table->recent);

	if (table->recent && recent->len == 1 + t.len &&
	    (t.len == 0 || memcmp((const uint8_t *)(recent + 1) + 1, t.at, t.len) == 0))
		return recent->index;
	return look_up_text(b, table, t);
}

static struct text
or_default(struct text t, struct text absent)
{
	return t.len ? t : absent;
}

static uint32_t
intern_content(struct batch_builder *b, const struct event *e)
{
	struct writer w = writer_of(b->entry, sizeof(b->entry));

	put_u8(&w, e->has_uuid ? CONTENT_UUID : CONTENT_SLUG);
	put_text8(&w, or_default(e->site, TEXT_LIT(EVENT_DEFAULT_SITE)));
	put_text8(&w, e->type);
	if (e->has_uuid)
		put_bytes(&w, e->uuid, 16);
	else
		put_text8(&w, e->id);
	return table_intern(b, &b->table[DICT_CONTENT], b->entry, w.len);
}

static void
numbers_grow(struct batch_builder *b, struct numbers *n)
{
	const struct number *old = n->slot;
	uint32_t before = n->slots, i, at;

	n->slots = next_slots(n->slots);
	n->slot = take_top(b, n->slots * sizeof(*n->slot));
	memset(n->slot, 0, n->slots * sizeof(*n->slot));
	for (i = 0; i < before; i++) {
		if (!old[i].index_1)
			continue;
		for (at = (uint32_t)old[i].v & (n->slots - 1); n->slot[at].index_1;)
			at = (at + 1) & (n->slots - 1);
		n->slot[at] = old[i];
	}
}

/* 0 for a number that was not there before, else how many numbers ago it was first seen. Visitors
 * that come back do so soon, so that small numbers prevail. */
static uint32_t
intern_number(struct batch_builder *b, struct numbers *n, uint64_t v)
{
	uint32_t before = n->count, at;

	if (is_full(n->count, n->slots))
		numbers_grow(b, n);
	for (at = (uint32_t)v & (n->slots - 1); n->slot[at].index_1; at = (at + 1) & (n->slots - 1))
		if (n->slot[at].v == v)
			return before - (n->slot[at].index_1 - 1);
	n->slot[at] = (struct number){v, ++n->count};
	return 0;
}

static void
expect_number(const struct numbers *n, uint64_t v)
{
	if (n->slots)
		__builtin_prefetch(&n->slot[(uint32_t)v & (n->slots - 1)]);
}

void
batch_expect(const struct batch_builder *b, const struct event *e)
{
	expect_number(&b->numbers[NUMBERS_VISITOR], e->visitor);
	if (e->session_hash)
		expect_number(&b->numbers[NUMBERS_SESSION], e->session_hash);
}

struct batch_builder *
batch_begin(void *arena, size_t arena_bytes)
{
	struct batch_builder *b = arena;
	size_t own = (sizeof(*b) + 7) & ~(size_t)7;

	if (arena_bytes < batch_arena_bytes(0, 0))
		return NULL;
	*b = (struct batch_builder){.base = arena, .bottom = own};
	b->top = arena_bytes & ~(size_t)7;
	b->rows = (struct row *)(void *)(b->base + b->bottom);
	hash_key_random(&b->key);
	(void)intern_text(b, DICT_REFERRER, (struct text){NULL, 0});
	(void)intern_text(b, DICT_COUNTRY, (struct text){NULL, 0});
	return b;
}

static uint8_t
row_flags(const struct event *e, uint64_t tag)
{
	unsigned flags = 0;

	flags |= e->source == SOURCE_DATAGRAM ? BATCH_FLAG_DATAGRAM : 0;
	flags |= e->repeat ? BATCH_FLAG_REPEAT : 0;
	flags |= e->has_value ? BATCH_FLAG_VALUE : 0;
	flags |= tag ? BATCH_FLAG_TAG : 0;
	return (uint8_t)flags;
}

static void
row_fill(struct batch_builder *b, const struct event *e, struct row *r)
{
	r->ts_ms = e->ts_ms;
	r->event_tag = e->has_event_id ? event_tag(e->event_id) : 0;
	r->value = e->has_value ? e->value : 0;
	r->salt_id = e->salt_id;
	r->browser = e->browser;
	r->system = e->system;
	r->device = e->device;
	r->flags = row_flags(e, r->event_tag);
	r->content = intern_content(b, e);
	r->name = intern_text(b, DICT_NAME, or_default(e->name, TEXT_LIT(EVENT_DEFAULT_NAME)));
	r->referrer = intern_text(b, DICT_REFERRER, e->referrer);
	r->country = intern_text(b, DICT_COUNTRY, (struct text){e->country, e->country[0] ? 2 : 0});
	r->visitor = intern_number(b, &b->numbers[NUMBERS_VISITOR], e->visitor);
	r->session = 0; /* none; 1 is new, so all others are one more than a visitor's would be */
	if (e->session_hash)
		r->session = 1 + intern_number(b, &b->numbers[NUMBERS_SESSION], e->session_hash);
}

int
batch_add(struct batch_builder *b, const struct event *e)
{
	if (!event_valid(e))
		return -EINVAL;
	if (b->events == BATCH_EVENTS_MAX || b->top - b->bottom < bytes_for_one(b))
		return -ENOSPC;
	b->bottom += sizeof(struct row);
	row_fill(b, e, &b->rows[b->events++]);
	return 0;
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

/* In order of index. */
static void
put_numbers(struct writer *w, const struct numbers *n)
{
	size_t bytes = (size_t)n->count * 8, from = w->len;
	struct writer one;
	uint32_t i;

	if (w->bad || bytes > w->cap - w->len) {
		w->bad = true;
		return;
	}
	for (i = 0; i < n->slots; i++) {
		if (!n->slot[i].index_1)
			continue;
		one = writer_of(w->base + from + (size_t)(n->slot[i].index_1 - 1) * 8, 8);
		put_u64(&one, n->slot[i].v);
	}
	w->len += bytes;
}

static void
put_cell(struct writer *w, enum batch_column c, const struct row *r, const struct row *before)
{
	switch (c) {
	case COLUMN_FLAGS:
		put_u8(w, r->flags);
		break;
	case COLUMN_TS:
		put_zigzag(w, r->ts_ms - (before ? before->ts_ms : 0));
		break;
	case COLUMN_VISITOR:
		put_varint(w, r->visitor);
		break;
	case COLUMN_CONTENT:
		put_varint(w, r->content);
		break;
	case COLUMN_NAME:
		put_varint(w, r->name);
		break;
	case COLUMN_REFERRER:
		put_varint(w, r->referrer);
		break;
	case COLUMN_COUNTRY:
		put_varint(w, r->country);
		break;
	case COLUMN_SALT:
		put_zigzag(w, (int64_t)r->salt_id - (before ? before->salt_id : 0));
		break;
	case COLUMN_BROWSER:
		put_u8(w, r->browser);
		break;
	case COLUMN_SYSTEM:
		put_u8(w, r->system);
		break;
	case COLUMN_DEVICE:
		put_u8(w, r->device);
		break;
	case COLUMN_SESSION:
		put_varint(w, r->session);
		break;
	case COLUMN_EVENT_TAG:
		if (r->flags & BATCH_FLAG_TAG)
			put_u64(w, r->event_tag);
		break;
	case COLUMN_VALUE:
		if (r->flags & BATCH_FLAG_VALUE)
			put_f64(w, r->value);
		break;
	case COLUMN_VISITOR_NEW:
	case COLUMN_SESSION_NEW:
	case COLUMN_N:
	default:
		break;
	}
}

static void
put_column(struct writer *w, const struct batch_builder *b, enum batch_column c)
{
	uint32_t i;

	if (c == COLUMN_VISITOR_NEW)
		put_numbers(w, &b->numbers[NUMBERS_VISITOR]);
	else if (c == COLUMN_SESSION_NEW)
		put_numbers(w, &b->numbers[NUMBERS_SESSION]);
	else
		for (i = 0; i < b->events; i++)
			put_cell(w, c, &b->rows[i], i ? &b->rows[i - 1] : NULL);
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
		put_column(&w, b, (enum batch_column)i);
		bin_end(&w, from);
	}
	if (w.bad)
		return -ENOSPC;
	*ret_len = w.len;
	return 0;
}
