/* A batch is read back as it was written, within the sizes promised. */
#include <errno.h>
#include <zstd.h>

#include "batch_home.h"

static struct batch_content
content_at(struct reader dict, uint32_t i)
{
	struct batch_content c;
	bool ok;

	do {
		ok = batch_next_content(&dict, &c);
	} while (ok && i-- > 0);
	ck_assert(ok);
	return c;
}

static struct text
text_at(struct reader dict, uint32_t i)
{
	struct text t;
	bool ok;

	do {
		ok = batch_next_text(&dict, &t);
	} while (ok && i-- > 0);
	ck_assert(ok);
	return t;
}

static struct text
or_default(struct text t, struct text absent)
{
	return t.len ? t : absent;
}

/* The event is what the batch says at this place. */
static void
same_event(const struct batch *b, const struct batch_event *got, const struct event *want)
{
	struct batch_content c = content_at(b->dict_content, got->content);
	struct text country = {want->country, want->country[0] ? 2 : 0};

	ck_assert_int_eq(got->ts_ms, want->ts_ms);
	ck_assert_uint_eq(got->visitor, want->visitor);
	ck_assert_uint_eq(got->session, want->session_hash);
	ck_assert_uint_eq(got->event_tag, want->has_event_id ? event_tag(want->event_id) : 0);
	ck_assert_int_eq(got->has_value, want->has_value);
	ck_assert(got->value == (want->has_value ? want->value : 0));
	ck_assert_uint_eq(got->salt_id, want->salt_id);
	ck_assert_int_eq(got->source, want->source);
	ck_assert_int_eq(got->repeat, want->repeat);
	ck_assert_uint_eq(got->browser, want->browser);
	ck_assert_uint_eq(got->system, want->system);
	ck_assert_uint_eq(got->device, want->device);
	golden_text_eq("site", c.site, or_default(want->site, TEXT_LIT("default")));
	golden_text_eq("type", c.type, want->type);
	ck_assert_int_eq(c.has_uuid, want->has_uuid);
	if (c.has_uuid)
		ck_assert_mem_eq(c.uuid, want->uuid, 16);
	else
		golden_text_eq("id", c.id, want->id);
	golden_text_eq("name", text_at(b->dict_name, got->name),
		       or_default(want->name, TEXT_LIT("view")));
	golden_text_eq("referrer", text_at(b->dict_referrer, got->referrer), want->referrer);
	golden_text_eq("country", text_at(b->dict_country, got->country), country);
}

static void
same_meta(const struct batch_meta *a, const struct batch_meta *b)
{
	ck_assert_str_eq(a->id.node, b->id.node);
	ck_assert_mem_eq(a->id.epoch, b->id.epoch, 16);
	ck_assert_uint_eq(a->id.seq, b->id.seq);
	ck_assert_int_eq(a->from_ms, b->from_ms);
	ck_assert_int_eq(a->until_ms, b->until_ms);
	ck_assert_int_eq(a->sealed_ms, b->sealed_ms);
	ck_assert_int_eq(a->closes_ms, b->closes_ms);
	ck_assert_uint_eq(a->udp_dropped, b->udp_dropped);
	ck_assert_uint_eq(a->lost, b->lost);
	ck_assert_mem_eq(&a->ledger, &b->ledger, sizeof(a->ledger));
}

START_TEST(what_was_added_is_read_back_in_order)
{
	static const uint32_t sizes[] = {1, 2, 15, 16, 100, BATCH_BLOCK, BATCH_BLOCK + 1, 1000};
	uint64_t seed = (uint64_t)_i + 7, again = seed;
	struct maker m = random_batch(seed, sizes[_i]);
	struct batch_event got;
	struct batch_cursor c;
	struct event want;
	struct batch b;
	uint32_t n;

	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
	same_meta(&b.meta, &m.meta);
	ck_assert_uint_eq(b.events, sizes[_i]);
	batch_cursor_init(&b, &c);
	for (n = 0; batch_next(&c, &got); n++) {
		want = random_event(&again);
		same_event(&b, &got, &want);
	}
	ck_assert_uint_eq(n, sizes[_i]);
	maker_free(&m);
}
END_TEST

START_TEST(a_batch_without_events_has_its_ledger)
{
	struct maker m = maker_of(0, 0);
	struct batch_meta meta = some_meta();
	struct batch_event e;
	struct batch_cursor c;
	struct batch b;

	maker_finish(&m);
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
	same_meta(&b.meta, &meta);
	ck_assert_uint_eq(b.events, 0);
	ck_assert_uint_eq(b.contents, 0);
	ck_assert_uint_eq(b.names, 0);
	ck_assert_uint_eq(b.referrers, 1);
	ck_assert_uint_eq(b.countries, 1);
	batch_cursor_init(&b, &c);
	ck_assert(!batch_next(&c, &e));
	maker_free(&m);
}
END_TEST

START_TEST(every_reason_of_the_ledger_survives)
{
	struct maker m = maker_of(0, 0);
	struct batch_meta meta = some_meta();
	unsigned s, r;
	struct batch b;

	for (s = 0; s < SOURCE_N; s++)
		for (r = 0; r < REASON_N; r++)
			if (reason_verdict((enum reason)r) != VERDICT_ACCEPTED) /* no events */
				meta.ledger.count[s][r] = 1 + s * 1000 + r;
	ck_assert_int_eq(batch_finish(m.b, &meta, m.doc, m.cap, &m.len), 0);
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
	same_meta(&b.meta, &meta);
	maker_free(&m);
}
END_TEST

/* Texts at their limits, all of them different: the most that an event can cost. */
static void
widest_event(struct event *e, char text[3][EVENT_HOST_MAX], uint32_t i)
{
	size_t k;

	for (k = 0; k < 3; k++) {
		memset(text[k], 'a', EVENT_HOST_MAX);
		(void)snprintf(text[k], 9, "%08x", i);
		text[k][8] = 'x';
	}
	*e = (struct event){.ts_ms = i % 2 ? EVENT_TS_MAX_MS : 0, .has_value = true};
	e->site = e->type = e->id = (struct text){text[0], 64};
	e->name = (struct text){text[1], 64};
	e->referrer = (struct text){text[2], EVENT_HOST_MAX};
	e->visitor = e->session_hash = i + 1;
	e->salt_id = i % 2 ? UINT32_MAX : 0;
	e->has_event_id = true;
	memset(e->event_id, 0xff, 16);
	e->country[0] = (char)('A' + i % 26);
	e->country[1] = (char)('A' + i / 26 % 26);
}

START_TEST(the_promised_arena_and_buffer_hold_the_widest_batch)
{
	static const uint32_t sizes[] = {1,  5,  6,  11,  12,  13,  23,  24,
					 25, 47, 48, 767, 768, 769, 3000};
	char text[3][EVENT_HOST_MAX];
	uint32_t n = sizes[_i], i;
	struct maker m;
	struct event e;
	struct batch b;
	int err = 0;

	widest_event(&e, text, 0);
	m = maker_of(n, n * packed_bytes(&e));
	for (i = 0; i < n; i++) {
		widest_event(&e, text, i);
		err |= maker_add(&m, &e);
	}
	ck_assert_int_eq(err, 0);
	maker_finish(&m);
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
	ck_assert_uint_eq(b.contents, n);
	maker_free(&m);
}
END_TEST

START_TEST(a_full_arena_refuses_the_event_and_keeps_the_batch)
{
	char text[3][EVENT_HOST_MAX];
	struct maker m = maker_of(10, 0); /* their texts have no room in it */
	struct event e;
	struct batch b;
	uint32_t i;
	int rc = 0;

	for (i = 0; rc == 0; i++) {
		widest_event(&e, text, i);
		rc = maker_add(&m, &e);
	}
	ck_assert_int_eq(rc, -ENOSPC);
	ck_assert_uint_gt(i, 1);
	ck_assert_uint_le(i, 10);
	free(m.doc);
	m.cap = batch_document_bytes(i, 600 * i);
	m.doc = malloc(m.cap);
	ck_assert(m.doc != NULL);
	maker_finish(&m);
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
	ck_assert_uint_eq(b.events, i - 1);
	maker_free(&m);
}
END_TEST

/* Wherever its end lies, also where a table of visitors, or of contents, would have to grow. */
START_TEST(an_arena_of_any_size_holds_what_it_took)
{
	size_t least = batch_arena_bytes(0, 0), bytes;
	struct batch_cursor c;
	struct batch_event got;
	struct event e = {.type = TEXT_LIT("v"), .has_uuid = true};
	struct maker m;
	struct batch b;
	uint32_t n, wrong = 0;

	m = maker_of(1000, 0);
	while (!batch_begin(m.arena, least, 1000))
		least += 8;
	maker_free(&m);
	for (bytes = least; bytes < least + 40000; bytes += 88) {
		m = maker_of(1000, 0);
		m.b = batch_begin(m.arena, bytes, 1000);
		for (n = 0, e.visitor = 1; maker_add(&m, &e) == 0; n++) {
			e.visitor += UINT64_C(0x9e3779b97f4a7c15);
			e.session_hash = ~e.visitor;
			if (_i == 1)
				memcpy(e.uuid, &e.visitor, sizeof(e.visitor));
		}
		maker_finish(&m);
		ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
		batch_cursor_init(&b, &c);
		for (e.visitor = 1; batch_next(&c, &got); n--) {
			wrong += got.visitor != e.visitor;
			e.visitor += UINT64_C(0x9e3779b97f4a7c15);
		}
		wrong += n;
		maker_free(&m);
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

#define MANY (3 * BATCH_ADD_MANY + 5)

static void
many_events(struct event ret_event[MANY])
{
	uint64_t i;

	for (i = 0; i < MANY; i++) {
		ret_event[i] = (struct event){.type = TEXT_LIT("v"), .has_uuid = true};
		ret_event[i].uuid[0] = (uint8_t)(i % 7);
		ret_event[i].visitor = i % 5 * UINT64_C(0x9e3779b97f4a7c15);
		ret_event[i].session_hash = i % 3;
		ret_event[i].has_event_id = i % 4 > 0;
		ret_event[i].event_id[0] = (uint8_t)i;
	}
}

START_TEST(many_events_at_once_are_as_one_by_one)
{
	struct maker singly = maker_of(MANY, MANY * 100), at_once = maker_of(MANY, MANY * 100);
	struct event e[MANY];
	size_t i;

	many_events(e);
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(maker_add(&singly, &e[i]), 0);
	ck_assert_int_eq(batch_add(at_once.b, e, MANY), 0);
	at_once.meta = singly.meta;
	maker_finish(&singly);
	maker_finish(&at_once);
	ck_assert_uint_eq(at_once.len, singly.len);
	ck_assert_mem_eq(at_once.doc, singly.doc, singly.len);
	maker_free(&singly);
	maker_free(&at_once);
}
END_TEST

START_TEST(of_many_events_those_are_added_that_have_room)
{
	const uint32_t room = 2 * BATCH_ADD_MANY + 3;
	struct maker m = maker_of(room, MANY * 100);
	struct event e[MANY];
	struct batch b;

	many_events(e);
	ck_assert_int_eq(batch_add(m.b, e, MANY), -ENOSPC);
	m.meta.ledger.count[SOURCE_BEACON][REASON_ACCEPTED_FIRST] = room;
	maker_finish(&m);
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
	ck_assert_uint_eq(b.events, room);
	maker_free(&m);
}
END_TEST

/* Longest first, shortest first, and each twice in turn. */
START_TEST(names_that_begin_with_each_other_are_told_apart)
{
	const uint32_t all = 4 * EVENT_NAME_MAX;
	struct maker m = maker_of(all, (size_t)all * 100);
	struct event e = {.type = TEXT_LIT("v"), .has_uuid = true};
	char text[EVENT_NAME_MAX];
	struct batch_cursor c;
	struct batch_event got;
	struct batch b;
	uint32_t i;

	memset(text, 'a', sizeof(text));
	for (i = 0; i < all; i++) {
		e.name = (struct text){text, i < 64 ? 64 - i : i < 128 ? i - 63 : i / 2 - 63};
		ck_assert_int_eq(maker_add(&m, &e), 0);
	}
	maker_finish(&m);
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
	ck_assert_uint_eq(b.names, EVENT_NAME_MAX);
	for (i = 0, batch_cursor_init(&b, &c); batch_next(&c, &got); i++)
		ck_assert_uint_eq(got.name, i < 64 ? i : i < 128 ? 127 - i : 127 - i / 2);
	ck_assert_uint_eq(i, all);
	maker_free(&m);
}
END_TEST

/* Slots hold the uppermost bits of a hash, and are chosen by the lowest. */
START_TEST(visitors_and_sessions_that_differ_in_one_bit_are_told_apart)
{
	struct maker m = maker_of(64, 64 * 100);
	struct event e = {.type = TEXT_LIT("v"), .has_uuid = true};
	struct batch_cursor c;
	struct batch_event got;
	struct batch b;
	uint32_t i;

	for (i = 0; i < 64; i++) {
		e.visitor = UINT64_C(0x123456789abcdef0) ^ UINT64_C(1) << i;
		e.session_hash = ~e.visitor;
		ck_assert_int_eq(maker_add(&m, &e), 0);
	}
	maker_finish(&m);
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
	ck_assert_uint_eq(b.visitors, 64);
	for (i = 0, batch_cursor_init(&b, &c); batch_next(&c, &got); i++) {
		ck_assert_uint_eq(got.visitor, UINT64_C(0x123456789abcdef0) ^ UINT64_C(1) << i);
		ck_assert_uint_eq(got.session, ~got.visitor);
	}
	ck_assert_uint_eq(i, 64);
	maker_free(&m);
}
END_TEST

/* Of so many contents, some ten pairs have the same 32 bits of a hash, whatever its key is: that
 * there is none happens once in 35,000 times. */
START_TEST(contents_whose_hashes_are_the_same_are_told_apart)
{
	const uint32_t all = 300000;
	struct maker m = maker_of(all, (size_t)all * 50);
	struct event e = {.type = TEXT_LIT("v"), .has_uuid = true};
	struct batch b;
	uint32_t i;
	int err = 0;

	for (i = 0; i < all; i++) {
		memcpy(e.uuid, &i, sizeof(i));
		err |= maker_add(&m, &e);
	}
	ck_assert_int_eq(err, 0);
	maker_finish(&m);
	ck_assert_int_eq(batch_decode(m.doc, m.len, &b), 0);
	ck_assert_uint_eq(b.contents, all);
	maker_free(&m);
}
END_TEST

START_TEST(an_arena_too_small_is_refused)
{
	_Alignas(16) uint8_t small[64];

	ck_assert(batch_begin(small, sizeof(small), 0) == NULL);
}
END_TEST

START_TEST(meta_that_no_reader_would_take_is_not_written)
{
	struct maker m = maker_of(0, 0);
	struct batch_meta meta = some_meta();

	switch (_i) {
	case 0:
		meta.id.node[0] = '\0';
		break;
	case 1:
		meta.id.seq = 0;
		break;
	case 2:
		meta.from_ms = -1;
		break;
	case 3:
		meta.closes_ms = EVENT_TS_MAX_MS + 1;
		break;
	case 4:
		meta.lost = BATCH_COUNT_MAX + 1;
		break;
	default:
		meta.ledger.count[0][0] = UINT64_MAX;
		break;
	}
	ck_assert_int_eq(batch_finish(m.b, &meta, m.doc, m.cap, &m.len), -EINVAL);
	maker_free(&m);
}
END_TEST

START_TEST(a_buffer_too_small_is_said_so)
{
	struct maker m = random_batch(3, 20);
	uint8_t *buf = malloc(m.len);
	size_t n, len = 0;

	ck_assert(buf != NULL);
	for (n = 0; n < m.len; n++)
		ck_assert_int_eq(batch_finish(m.b, &m.meta, buf, n, &len), -ENOSPC);
	ck_assert_int_eq(batch_finish(m.b, &m.meta, buf, n, &len), 0);
	ck_assert_uint_eq(len, m.len);
	free(buf);
	maker_free(&m);
}
END_TEST

/* -- golden bytes -- */

static struct batch_meta
golden_meta(const json_t *j)
{
	struct batch_meta m = {.id = {.seq = (uint64_t)golden_int(j, "seq")}};
	const char *source, *reason;
	json_t *counts, *count;
	unsigned s;

	(void)snprintf(m.id.node, sizeof(m.id.node), "%s",
		       json_string_value(json_object_get(j, "node")));
	ck_assert(golden_uuid(j, "epoch", m.id.epoch));
	m.from_ms = golden_int(j, "from_ms");
	m.until_ms = golden_int(j, "until_ms");
	m.sealed_ms = golden_int(j, "sealed_ms");
	m.closes_ms = golden_int(j, "closes_ms");
	m.udp_dropped = (uint64_t)golden_int(j, "udp_dropped");
	m.lost = (uint64_t)golden_int(j, "lost");
	json_object_foreach(json_object_get(j, "ledger"), source, counts)
	{
		s = strcmp(source, "beacon") == 0 ? SOURCE_BEACON : SOURCE_DATAGRAM;
		json_object_foreach(counts, reason, count)
		{
			const char *dot = strchr(reason, '.');
			struct text verdict = {reason, (size_t)(dot - reason)};

			m.ledger.count[s][reason_find(verdict, text_of(dot + 1))] =
			    (uint64_t)json_integer_value(count);
		}
	}
	return m;
}

static size_t
golden_bots(const json_t *j, struct batch_bot bot[16])
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(j, "bots"), i, item)
	{
		ck_assert_uint_lt(i, 16);
		bot[i].name = golden_text(item, "name");
		bot[i].count[SOURCE_BEACON] = (uint64_t)golden_int(item, "beacon");
		bot[i].count[SOURCE_DATAGRAM] = (uint64_t)golden_int(item, "datagram");
	}
	return i;
}

static void
same_bots(const struct batch *b, const struct batch_bot *want, size_t n)
{
	struct reader dict = b->dict_bot;
	struct batch_bot got;
	size_t i;

	ck_assert_uint_eq(b->bots, n);
	for (i = 0; i < n; i++) {
		ck_assert(batch_next_bot(&dict, &got));
		golden_text_eq("bot", got.name, want[i].name);
		ck_assert_mem_eq(got.count, want[i].count, sizeof(got.count));
	}
	ck_assert(!batch_next_bot(&dict, &got));
}

/* Of every version; the latest is what is written. */
static const char *const golden_documents[] = {"batch-document", "batch-document-2"};

START_TEST(the_golden_document_is_written_and_read)
{
	static uint8_t want[GOLDEN_MAX];
	size_t want_len = golden_bytes(golden_documents[_i], want), i, bots;
	json_t *j = golden_json(golden_documents[_i]), *item;
	struct batch_bot bot[16];
	struct batch_meta meta = golden_meta(json_object_get(j, "meta"));
	struct maker m = maker_of(16, 4096);
	struct batch_event got;
	struct batch_cursor c;
	struct event e;
	struct batch b;

	json_array_foreach(json_object_get(j, "events"), i, item)
	{
		e = golden_event(item);
		ck_assert_int_eq(batch_add(m.b, &e, 1), 0);
	}
	bots = golden_bots(j, bot);
	batch_set_bots(m.b, bot, bots);
	ck_assert_int_eq(batch_finish(m.b, &meta, m.doc, m.cap, &m.len), 0);
	if (_i + 1 == BATCH_VERSION) {
		ck_assert_uint_eq(m.len, want_len);
		ck_assert_mem_eq(m.doc, want, want_len);
	}
	ck_assert_int_eq(batch_decode(want, want_len, &b), 0);
	same_meta(&b.meta, &meta);
	same_bots(&b, bot, bots);
	batch_cursor_init(&b, &c);
	json_array_foreach(json_object_get(j, "events"), i, item)
	{
		e = golden_event(item);
		ck_assert(batch_next(&c, &got));
		same_event(&b, &got, &e);
	}
	maker_free(&m);
	json_decref(j);
}
END_TEST

START_TEST(the_golden_frame_is_written_and_read)
{
	static uint8_t want[GOLDEN_MAX];
	size_t want_len = golden_bytes("batch-frame", want), n;
	json_t *j = golden_json("batch-frame"), *name = json_object_get(j, "name");
	struct text behind = golden_text(j, "behind"), frame;
	struct batch_name made = {.id = golden_meta(name).id}, got;
	uint8_t head[BATCH_HEAD_BYTES];

	made.events = (uint32_t)golden_int(name, "events");
	made.document_bytes = (uint32_t)golden_int(name, "document_bytes");
	made.compressed_bytes = (uint32_t)behind.len;
	batch_checksum(behind.at, behind.len, made.checksum);
	n = batch_name_put(&made, head);
	ck_assert_uint_eq(n + behind.len, want_len);
	ck_assert_mem_eq(head, want, n);
	ck_assert_int_eq(batch_name_get(want, want_len, &got, &frame), 0);
	golden_text_eq("frame", frame, behind);
	ck_assert_str_eq(got.id.node, made.id.node);
	ck_assert_mem_eq(got.id.epoch, made.id.epoch, 16);
	ck_assert_uint_eq(got.id.seq, made.id.seq);
	ck_assert_uint_eq(got.events, made.events);
	ck_assert_uint_eq(got.document_bytes, made.document_bytes);
	ck_assert_mem_eq(got.checksum, made.checksum, 16);
	json_decref(j);
}
END_TEST

/* -- the frame -- */

static size_t
framed(uint8_t *body, const char *node, struct text frame)
{
	struct batch_name n = {.id = {.seq = 9}, .events = 5, .document_bytes = 77};
	uint8_t head[BATCH_HEAD_BYTES];
	size_t len;

	memcpy(n.id.node, node, strlen(node));
	n.compressed_bytes = (uint32_t)frame.len;
	batch_checksum(frame.at, frame.len, n.checksum);
	len = batch_name_put(&n, head);
	memcpy(body, head, len);
	memcpy(body + len, frame.at, frame.len);
	return len + frame.len;
}

START_TEST(no_bit_of_a_named_body_can_change_unseen)
{
	uint8_t body[BATCH_HEAD_BYTES + 32];
	size_t len = framed(body, "web-1", TEXT_LIT("not really zstd")), at;
	struct batch_name name;
	struct text frame;
	unsigned bit;

	ck_assert_int_eq(batch_name_get(body, len, &name, &frame), 0);
	for (at = 0; at < len; at++) {
		for (bit = 1; bit < 256; bit <<= 1) {
			body[at] ^= (uint8_t)bit;
			ck_assert_int_lt(batch_name_get(body, len, &name, &frame), 0);
			body[at] ^= (uint8_t)bit;
		}
		ck_assert_int_eq(batch_name_get(body, at, &name, &frame), -EBADMSG);
	}
	ck_assert_int_eq(batch_name_get(body, len + 1, &name, &frame), -EBADMSG);
	body[12] = 2; /* the version */
	ck_assert_int_eq(batch_name_get(body, len, &name, &frame), -EPROTONOSUPPORT);
}
END_TEST

START_TEST(the_longest_name_fits_its_head)
{
	char node[BATCH_NODE_MAX + 1];
	uint8_t body[BATCH_HEAD_BYTES + 1];
	struct batch_name name;
	struct text frame;
	size_t len;

	memset(node, 'n', BATCH_NODE_MAX);
	node[BATCH_NODE_MAX] = '\0';
	len = framed(body, node, TEXT_LIT("x"));
	ck_assert_uint_eq(len - 1, 146);
	ck_assert_int_eq(batch_name_get(body, len, &name, &frame), 0);
	ck_assert_str_eq(name.id.node, node);
}
END_TEST

START_TEST(zstd_skips_the_name)
{
	uint8_t body[512], back[64];
	char frame[128];
	size_t n = ZSTD_compress(frame, sizeof(frame), "document", 8, 3);
	size_t len = framed(body, "web-1", (struct text){frame, n});

	ck_assert_uint_eq(ZSTD_decompress(back, sizeof(back), body, len), 8);
	ck_assert_mem_eq(back, "document", 8);
}
END_TEST

/* -- size -- */

START_TEST(views_of_10000_contents_take_at_most_12_bytes_each)
{
	uint32_t n = 100000, i;
	uint64_t seed = 1, r;
	struct maker m = maker_of(n, n * 70);
	size_t cap = ZSTD_compressBound(m.cap), len;
	void *z = malloc(cap);
	int err = 0;

	ck_assert(z != NULL);
	for (i = 0; i < n; i++) {
		struct event e = {.type = TEXT_LIT("video"), .has_uuid = true, .salt_id = 20};

		r = uniform(&seed);
		e.ts_ms = INT64_C(1764158400000) + i * 36 + (int64_t)(r % 30);
		e.visitor =
		    (i / 200 * 200 + uniform(&seed) % 200) / 3 * UINT64_C(0x9e3779b97f4a7c15);
		r = uniform(&seed) % 100 * (uniform(&seed) % 100);
		memcpy(e.uuid, &(uint64_t){r * UINT64_C(0xbf58476d1ce4e5b9)}, 8);
		memcpy(e.uuid + 8, &(uint64_t){r * UINT64_C(0x94d049bb133111eb)}, 8);
		e.browser = (uint8_t)(uniform(&seed) % 4);
		e.system = (uint8_t)(uniform(&seed) % 3);
		e.device = (uint8_t)(uniform(&seed) % 3);
		err |= maker_add(&m, &e);
	}
	ck_assert_int_eq(err, 0);
	maker_finish(&m);
	len = ZSTD_compress(z, cap, m.doc, m.len, 1);
	ck_assert(!ZSTD_isError(len));
	ck_assert_msg(len <= 12 * (size_t)n, "%.2f bytes an event", (double)len / n);
	free(z);
	maker_free(&m);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("batch");

	tcase_add_loop_test(t, what_was_added_is_read_back_in_order, 0, 8);
	tcase_add_test(t, a_batch_without_events_has_its_ledger);
	tcase_add_test(t, every_reason_of_the_ledger_survives);
	tcase_add_loop_test(t, the_promised_arena_and_buffer_hold_the_widest_batch, 0, 15);
	tcase_add_test(t, a_full_arena_refuses_the_event_and_keeps_the_batch);
	tcase_add_loop_test(t, an_arena_of_any_size_holds_what_it_took, 0, 2);
	tcase_add_test(t, names_that_begin_with_each_other_are_told_apart);
	tcase_add_test(t, many_events_at_once_are_as_one_by_one);
	tcase_add_test(t, of_many_events_those_are_added_that_have_room);
	tcase_add_test(t, visitors_and_sessions_that_differ_in_one_bit_are_told_apart);
	tcase_add_test(t, contents_whose_hashes_are_the_same_are_told_apart);
	tcase_add_test(t, an_arena_too_small_is_refused);
	tcase_add_loop_test(t, meta_that_no_reader_would_take_is_not_written, 0, 6);
	tcase_add_test(t, a_buffer_too_small_is_said_so);
	tcase_add_loop_test(t, the_golden_document_is_written_and_read, 0, BATCH_VERSION);
	tcase_add_test(t, the_golden_frame_is_written_and_read);
	tcase_add_test(t, no_bit_of_a_named_body_can_change_unseen);
	tcase_add_test(t, the_longest_name_fits_its_head);
	tcase_add_test(t, zstd_skips_the_name);
	tcase_add_test(t, views_of_10000_contents_take_at_most_12_bytes_each);
	return golden_run("batch", t);
}
