/* The same event told twice: by the browser to one node and by the backend to another.
 *
 * Every stored batch leaves the tags of its events (64-bit hashes of event ids), sorted, one record
 * per hour of the events. A new batch's tags are merged against the records of the hours that its
 * events' retry window touches: reading a record is one pass over memory, and nothing is written
 * per event. An id is recognised at least for the window, at most for an hour more on either side.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/radix.h"
#include "central/store_bdb.h"

struct twin_entry {
	uint64_t tag;
	int64_t ts_ms;
	uint32_t event;
};

static uint64_t
by_tag(const struct twin_entry *e)
{
	return e->tag;
}

/* Of times as they are in batches: none is negative. */
static uint64_t
by_hour(const struct twin_entry *e)
{
	return (uint64_t)hour_of(e->ts_ms);
}

/* Those of one key stay in the order in which they are. */
static int
sort_entries(struct bdb_twins *t, uint64_t (*key)(const struct twin_entry *))
{
	struct twin_entry *sorted = malloc((t->n + 1) * sizeof(*sorted));
	struct radix_item *item = malloc((t->n + 1) * sizeof(*item));
	struct radix_item *spare = malloc((t->n + 1) * sizeof(*spare));
	int rc = sorted && item && spare ? 0 : ENOMEM;
	uint32_t i;

	for (i = 0; i < t->n && !rc; i++)
		item[i] = (struct radix_item){key(&t->entry[i]), i};
	if (!rc)
		radix_sort(item, spare, t->n);
	for (i = 0; i < t->n && !rc; i++)
		sorted[i] = t->entry[item[i].index];
	free(item);
	free(spare);
	if (rc) {
		free(sorted);
		return rc;
	}
	free(t->entry);
	t->entry = sorted;
	return 0;
}

static int
time_order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Distinct hours of the entries, ascending. Before they are sorted by tag: as they come, an hour
 * follows another seldom. */
static int
collect_hours(struct bdb_twins *t)
{
	int64_t *hour = malloc((t->n + 1) * sizeof(*hour));
	uint32_t i, n = 0;

	if (!hour)
		return ENOMEM;
	for (i = 0; i < t->n; i++)
		if (n == 0 || hour[n - 1] != hour_of(t->entry[i].ts_ms))
			hour[n++] = hour_of(t->entry[i].ts_ms);
	qsort(hour, n, sizeof(*hour), time_order);
	for (i = 0; i < n; i++)
		if (t->hours == 0 || hour[i] != hour[t->hours - 1])
			hour[t->hours++] = hour[i];
	t->hour = hour;
	return 0;
}

static int
collect(const struct batch *b, struct bdb_twins *t)
{
	const struct batch_block *block;
	struct batch_cursor c;
	uint32_t first, i;
	int rc;

	t->entry = malloc(((size_t)b->tagged + 1) * sizeof(*t->entry));
	t->skip = calloc(b->events + 1, 1);
	if (!t->entry || !t->skip)
		return ENOMEM;
	if (b->tagged == 0)
		return 0;
	batch_cursor_init(b, &c);
	for (first = 0; (block = batch_next_block(&c)); first += block->n)
		for (i = 0; i < block->n; i++)
			if (block->event_tag[i])
				t->entry[t->n++] = (struct twin_entry){block->event_tag[i],
								       block->ts_ms[i], first + i};
	rc = collect_hours(t);
	return rc ? rc : sort_entries(t, by_tag);
}

static void
merge_event(struct bdb_twins *t, uint32_t event)
{
	t->merged += !t->skip[event];
	t->skip[event] = 1;
}

static bool
within(const struct twin_entry *e, int64_t hour_ms, int64_t window_ms)
{
	return hour_of(e->ts_ms - window_ms) <= hour_ms && hour_ms <= hour_of(e->ts_ms + window_ms);
}

/* Two of one batch: the first one counts. */
static void
merge_own(struct bdb_twins *t, int64_t window_ms)
{
	uint32_t i, first = 0;

	for (i = 1; i < t->n; i++) {
		if (t->entry[i].tag == t->entry[first].tag &&
		    within(&t->entry[i], hour_of(t->entry[first].ts_ms), window_ms))
			merge_event(t, t->entry[i].event);
		else
			first = i;
	}
}

/* Tags of one record are ascending, as the entries are. */
static int
merge_record(struct bdb_twins *t, const uint8_t *bytes, size_t len, int64_t hour_ms,
	     int64_t window_ms)
{
	struct reader r = reader_of(bytes, len);
	uint64_t tag;
	uint32_t i = 0, j;

	if (len % 8 != 0)
		return EINVAL;
	while (i < t->n && reader_left(&r) > 0) {
		tag = get_u64(&r);
		while (i < t->n && t->entry[i].tag < tag)
			i++;
		for (j = i; j < t->n && t->entry[j].tag == tag; j++)
			if (within(&t->entry[j], hour_ms, window_ms))
				merge_event(t, t->entry[j].event);
	}
	return 0;
}

/* Only the writer changes this table, so a cursor outside of any transaction sees it whole. */
static int
merge_hour(struct store *s, DBC *cursor, DBT *value, struct bdb_twins *t, int64_t hour_ms)
{
	uint8_t found[BDB_KEY_MAX];
	struct bdb_key from;
	int64_t at;
	DBT key;
	int rc;

	bdb_key_tags(hour_ms, 0, &from);
	memcpy(found, from.bytes, from.len);
	key = bdb_out(found, sizeof(found));
	key.size = (uint32_t)from.len;
	rc = cursor->get(cursor, &key, value, DB_SET_RANGE);
	while (!rc && bdb_key_tags_read(found, key.size, &at) && at == hour_ms) {
		rc = merge_record(t, value->data, value->size, hour_ms, s->retry_window_ms);
		if (!rc)
			rc = cursor->get(cursor, &key, value, DB_NEXT);
	}
	return rc == DB_NOTFOUND ? 0 : rc;
}

static int
merge_stored(struct store *s, struct bdb_twins *t)
{
	int64_t around = hour_of(s->retry_window_ms + HOUR_MS - 1), at = 0, last;
	DB *db = s->table[TABLE_TAGS];
	DBT value = {.flags = DB_DBT_REALLOC};
	DBC *cursor;
	uint32_t i;
	int rc = db->cursor(db, NULL, &cursor, 0);

	if (rc)
		return rc;
	for (i = 0; i < t->hours && !rc; i++) {
		last = t->hour[i] + around;
		if (at < t->hour[i] - around)
			at = t->hour[i] - around;
		for (; at <= last && !rc; at += HOUR_MS)
			rc = merge_hour(s, cursor, &value, t, at);
	}
	cursor->close(cursor);
	free(value.data);
	return rc;
}

int
bdb_twins_find(struct store *s, const struct batch *b, struct bdb_twins *ret_twins)
{
	struct bdb_twins t = {0};
	int rc = 0;

	if (s->retry_window_ms > 0) {
		rc = collect(b, &t);
		if (!rc && t.n > 0) {
			merge_own(&t, s->retry_window_ms);
			rc = merge_stored(s, &t);
		}
	}
	if (rc) {
		bdb_twins_fini(&t);
		return rc;
	}
	*ret_twins = t;
	return 0;
}

static int
skip_given(struct bdb_twins *t, uint32_t events, const uint8_t *skipped, size_t len)
{
	struct reader r = reader_of(skipped, len);
	uint64_t at = 0;

	while (reader_left(&r) > 0) {
		at += get_varint(&r);
		if (r.bad || at >= events)
			return EBADMSG;
		merge_event(t, (uint32_t)at);
	}
	return 0;
}

int
bdb_twins_given(struct store *s, const struct batch *b, const uint8_t *skipped, size_t len,
		struct bdb_twins *ret_twins)
{
	struct bdb_twins t = {0};
	int rc = 0;

	if (s->retry_window_ms > 0) {
		rc = collect(b, &t);
	} else if (skipped) { /* it was not 0 then */
		t.skip = calloc(b->events + 1, 1);
		rc = t.skip ? 0 : ENOMEM;
	}
	if (!rc && skipped)
		rc = skip_given(&t, b->events, skipped, len);
	if (rc) {
		bdb_twins_fini(&t);
		return rc;
	}
	*ret_twins = t;
	return 0;
}

/* Writes the new tags of the hour that begins at entry `from` to buf; returns where the
 * next begins. */
static uint32_t
take_hour(const struct bdb_twins *t, uint32_t from, struct writer *buf)
{
	int64_t hour_ms = hour_of(t->entry[from].ts_ms);
	uint32_t i;

	for (i = from; i < t->n && hour_of(t->entry[i].ts_ms) == hour_ms; i++)
		if (!t->skip[t->entry[i].event])
			put_u64(buf, t->entry[i].tag);
	return i;
}

int
bdb_twins_put(struct store *s, DB_TXN *txn, struct bdb_twins *t, uint64_t ordinal)
{
	DB *db = s->table[TABLE_TAGS];
	uint8_t *buf;
	struct bdb_key k;
	struct writer w;
	DBT key, value;
	uint32_t i, next;
	int rc = 0;

	if (t->n == 0)
		return 0;
	buf = malloc((size_t)t->n * 8);
	if (!buf)
		return ENOMEM;
	rc = sort_entries(t, by_hour); /* by tag they are */
	for (i = 0; i < t->n && !rc; i = next) {
		w = writer_of(buf, (size_t)t->n * 8);
		next = take_hour(t, i, &w);
		bdb_key_tags(hour_of(t->entry[i].ts_ms), ordinal, &k);
		key = bdb_in(k.bytes, k.len);
		value = bdb_in(buf, w.len);
		rc = w.len ? db->put(db, txn, &key, &value, 0) : 0;
	}
	free(buf);
	return rc;
}

void
bdb_twins_fini(struct bdb_twins *t)
{
	free(t->entry);
	free(t->hour);
	free(t->skip);
	*t = (struct bdb_twins){0};
}
