/* What the decoder of batches refuses: documents cut short, flipped and forged. */
#include <errno.h>
#include <math.h>

#include "batch_home.h"

START_TEST(a_ledger_that_counts_other_events_is_refused)
{
	enum reason r = _i & 1 ? REASON_ACCEPTED_REPEAT : REASON_ACCEPTED_FIRST;
	struct maker m = random_batch(9, 50);
	struct batch b;

	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
	m.meta.ledger.count[_i >> 1][r]++;
	ck_assert_int_eq(batch_finish(m.b, &m.meta, m.doc, m.len, &m.len), 0);
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), -EBADMSG);
	m.meta.ledger.count[_i >> 1][r] -= 2;
	ck_assert_int_eq(batch_finish(m.b, &m.meta, m.doc, m.len, &m.len), 0);
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), -EBADMSG);
	maker_free(&m);
}
END_TEST

START_TEST(every_cut_and_a_tail_are_refused)
{
	struct maker m = random_batch(11, 30);
	struct batch b;
	uint8_t *cut;
	size_t n;

	for (n = 0; n < m.len; n++) {
		cut = malloc(n ? n : 1);
		ck_assert(cut != NULL);
		memcpy(cut, m.doc, n);
		ck_assert_int_eq(batch_decode(cut, n, &b), -EBADMSG);
		free(cut);
	}
	cut = calloc(1, n + 1);
	ck_assert(cut != NULL);
	memcpy(cut, m.doc, n);
	ck_assert_int_eq(batch_decode(cut, n + 1, &b), -EBADMSG);
	free(cut);
	ck_assert_int_eq(batch_decode(NULL, 0, &b), -EBADMSG);
	maker_free(&m);
}
END_TEST

/* Whatever a decoder says yes to can be walked without leaving its dictionaries. */
static void
walk(const struct batch *b)
{
	struct batch_cursor c;
	struct batch_event e;
	uint32_t n = 0;

	for (batch_cursor_init(b, &c); batch_next(&c, &e); n++) {
		if (e.content >= b->contents || e.name >= b->names || e.referrer >= b->referrers ||
		    e.country >= b->countries)
			ck_abort_msg("event %u points beyond a dictionary", n);
		if (e.ts_ms < 0 || e.ts_ms > EVENT_TS_MAX_MS || !isfinite(e.value))
			ck_abort_msg("event %u has an impossible value", n);
	}
	ck_assert_uint_eq(n, b->events);
}

START_TEST(flipped_bits_are_refused_or_harmless)
{
	struct maker m = random_batch(5, 40);
	unsigned bit, refused = 0, taken = 0;
	struct batch b;
	size_t at;

	for (at = 0; at < m.len; at++) {
		for (bit = 1; bit < 256; bit <<= 1) {
			m.doc[at] ^= (uint8_t)bit;
			if (batch_decode(m.doc, m.len, &b) == 0) {
				walk(&b);
				taken++;
			} else {
				refused++;
			}
			m.doc[at] ^= (uint8_t)bit;
		}
	}
	ck_assert_uint_gt(refused, 1000);
	ck_assert_uint_gt(taken, 1000); /* a tag, a visitor, a value may be any number */
	maker_free(&m);
}
END_TEST

/* One replacement each in a good document; same length, so that only the meaning changes. */
static const struct {
	const char *what, *from, *to;
	size_t n;
	int rc;
} forged[] = {
    {"later version", "\xa7version\x02", "\xa7version\x03", 9, -EPROTONOSUPPORT},
    {"version 0", "\xa7version\x02", "\xa7version\x00", 9, -EBADMSG},
    {"version 1 with bots", "\xa7version\x02", "\xa7version\x01", 9, -EBADMSG},
    {"another key", "\xa7version", "\xa7Version", 8, -EBADMSG},
    {"unknown reason", "accepted.first", "accepted.fourt", 14, -EPROTONOSUPPORT},
    {"unknown verdict", "accepted.first", "acclaims.first", 14, -EPROTONOSUPPORT},
    {"a reason twice", "limited.v6_56", "limited.v6_64", 13, -EBADMSG},
    {"no dot", "accepted.first", "accepted_first", 14, -EBADMSG},
    {"unknown source",
     "\xa6"
     "beacon",
     "\xa6"
     "bacon!",
     7, -EBADMSG},
    {"node with a space", "web-1", "web 1", 5, -EBADMSG},
    {"seq 0", "\xa3seq\x29", "\xa3seq\x00", 5, -EBADMSG},
    {"negative seq", "\xa3seq\x29", "\xa3seq\xff", 5, -EBADMSG},
    {"count is no number", "\xa4lost\x02", "\xa4lost\xc0", 6, -EBADMSG},
    {"more events",
     "\xa6"
     "events\x14",
     "\xa6"
     "events\x15",
     8, -EBADMSG},
    {"fewer events",
     "\xa6"
     "events\x14",
     "\xa6"
     "events\x13",
     8, -EBADMSG},
    {"type with a space", "\x05video",
     "\x05"
     "vid o",
     6, -EBADMSG},
    {"country in small letters",
     "\x02"
     "FR",
     "\x02"
     "fr",
     3, -EBADMSG},
    {"site empty and more",
     "\x07"
     "default",
     "\x00"
     "default",
     8, -EBADMSG},
};

START_TEST(a_forged_document_is_refused)
{
	struct maker m = random_batch(2, 20);
	struct batch b;
	uint8_t *at;

	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
	at = memmem(m.doc, m.len, forged[_i].from, forged[_i].n);
	ck_assert_msg(at != NULL, "%s: not there", forged[_i].what);
	memcpy(at, forged[_i].to, forged[_i].n);
	ck_assert_msg(batch_decode(m.doc, m.len, &b) == forged[_i].rc, "%s", forged[_i].what);
	maker_free(&m);
}
END_TEST

/* Puts bytes at the end of the bin that stands under the key. */
static void
lengthen(struct maker *m, const char *key, const char *bytes, size_t n)
{
	uint8_t *doc = malloc(m->len + n), *found;
	char head[32];
	int head_len = snprintf(head, sizeof(head), "%c%s\xc6", (int)(0xa0 | strlen(key)), key);
	size_t at, len;

	ck_assert(doc != NULL);
	memcpy(doc, m->doc, m->len);
	found = memmem(doc, m->len, head, (size_t)head_len);
	ck_assert(found != NULL);
	found += head_len;
	len = (size_t)found[2] << 8 | found[3];
	at = (size_t)(found - doc) + 4 + len;
	found[2] = (uint8_t)((len + n) >> 8);
	found[3] = (uint8_t)(len + n);
	memmove(doc + at + n, doc + at, m->len - at);
	memcpy(doc + at, bytes, n);
	free(m->doc);
	m->doc = doc;
	m->len += n;
}

static const char *const columns[] = {
    "flags", "ts",      "visitor_new", "visitor", "content",     "name",    "referrer",  "country",
    "salt",  "browser", "system",      "device",  "session_new", "session", "event_tag", "value"};

START_TEST(a_column_that_goes_on_behind_its_last_event_is_refused)
{
	struct maker m = random_batch(4, 20);
	struct batch b;

	lengthen(&m, columns[_i], "\0", 1);
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), -EBADMSG);
	maker_free(&m);
}
END_TEST

/* The first, second or last number is made longer: its end says that another byte follows, which is 0. */
START_TEST(numbers_have_one_form)
{
	static const char *const numbers[] = {"visitor", "content", "name",    "referrer",
					      "country", "salt",    "session", "ts"};
	const char *key = numbers[_i / 3];
	struct maker m = random_batch(4, 20);
	uint8_t *found, *end;
	struct batch b;
	char head[32];
	int head_len = snprintf(head, sizeof(head), "%c%s\xc6", (int)(0xa0 | strlen(key)), key);

	lengthen(&m, key, "\0", 1);
	found = memmem(m.doc, m.len, head, (size_t)head_len);
	ck_assert(found != NULL);
	found += head_len;
	end = found + 4 + ((size_t)found[2] << 8 | found[3]);
	found = _i % 3 == 2 ? end - 2 : found + 4;
	while (*found >= 0x80)
		found++;
	if (_i % 3 == 1)
		while (*++found >= 0x80)
			;
	memmove(found + 2, found + 1, (size_t)(end - found) - 2);
	found[0] |= 0x80;
	found[1] = 0;
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), -EBADMSG);
	maker_free(&m);
}
END_TEST

/* One column's first or last number is another: visitors and sessions that nobody had yet, entries
 * behind their dictionary. */
START_TEST(a_number_out_of_bounds_is_refused)
{
	static const struct {
		const char *column;
		bool last;
		uint8_t as;
	} numbers[] = {{"visitor", false, 1},    {"visitor", true, 0x7f},  {"session", false, 2},
		       {"session", true, 0x7f},  {"content", false, 0x7f}, {"name", true, 0x7f},
		       {"referrer", true, 0x7f}, {"country", true, 0x7f},  {"flags", true, 0x10}};
	struct maker m = random_batch(4, 20);
	const char *key = numbers[_i].column;
	uint8_t *found;
	struct batch b;
	char head[32];
	int head_len = snprintf(head, sizeof(head), "%c%s\xc6", (int)(0xa0 | strlen(key)), key);

	found = memmem(m.doc, m.len, head, (size_t)head_len);
	ck_assert(found != NULL);
	found += head_len;
	found += 4 + (numbers[_i].last ? ((size_t)found[2] << 8 | found[3]) - 1 : 0);
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
	*found = numbers[_i].as;
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), -EBADMSG);
	maker_free(&m);
}
END_TEST

START_TEST(a_dictionary_has_no_more_entries_than_there_are_events)
{
	static const struct {
		const char *key, *entry;
		size_t n;
	} entries[] = {{"names", "\x01x", 2},
		       {"contents", "\x01\x01s\x01t\x01i", 7},
		       {"referrers", "\x01x", 2},
		       {"countries",
			"\x02"
			"XX",
			3}};
	struct maker m = random_batch(4, 2);
	struct batch b;
	int rc = 0, n;

	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
	for (n = 0; rc == 0 && n < 4; n++) {
		uint32_t before = b.names + b.contents + b.referrers + b.countries;

		lengthen(&m, entries[_i].key, entries[_i].entry, entries[_i].n);
		rc = batch_decode(m.doc, m.len, &b);
		if (rc == 0)
			ck_assert_uint_eq(b.names + b.contents + b.referrers + b.countries,
					  before + 1);
	}
	ck_assert_int_eq(rc, -EBADMSG);
	maker_free(&m);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("batch");

	tcase_add_loop_test(t, a_ledger_that_counts_other_events_is_refused, 0, 2 * SOURCE_N);
	tcase_add_test(t, every_cut_and_a_tail_are_refused);
	tcase_add_test(t, flipped_bits_are_refused_or_harmless);
	tcase_add_loop_test(t, a_forged_document_is_refused, 0, sizeof(forged) / sizeof(forged[0]));
	tcase_add_loop_test(t, a_column_that_goes_on_behind_its_last_event_is_refused, 0,
			    BATCH_COLUMNS);
	tcase_add_loop_test(t, numbers_have_one_form, 0, 24);
	tcase_add_loop_test(t, a_number_out_of_bounds_is_refused, 0, 9);
	tcase_add_loop_test(t, a_dictionary_has_no_more_entries_than_there_are_events, 0, 4);
	return golden_run("batch_hostile", t);
}
