/* A journal's segment that an earlier run left. After a byte of flags: with RAW the file itself,
 * else a description of one, whose checksums are made right, so that what stands behind them is
 * reached. Whatever is there: the journal opens, takes exactly the records that are whole, and
 * every segment that it hands out becomes a batch that decodes and balances, once. */
#include <errno.h>
#include <zstd.h>

#include "base/hash.h"
#include "base/log.h"
#include "node/journal_seq.h"
#include "node/seal.h"
#include "test/fuzz/fuzz_dir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAW 1       /* the rest is the file */
#define SUMS 2      /* checksums of records are made right as well */
#define DAMAGE 4    /* then a byte is changed */
#define TORN 8      /* then all from there on is lost */
#define SEQ_FILE 16 /* a length byte and the file `seq`, its checksum made right */
#define BOTS 32     /* of version 2: a length byte and so many bots, their checksums made right */

#define FILE_MAX 65536
#define SEGMENT_ID UINT64_C(0x5eed)
#define NOW ((struct wall_ms){INT64_C(1795348800000)})
#define RECORDS_MAX (FILE_MAX / 16)

static const uint8_t epoch[16] = {7};
static struct conf conf = {
    .node_name = (char[]){"web-1"},
    .node_state_dir = fuzz_dir,
    .journal_sync = (char[]){"off"},
    .journal_segment = SEGMENT_RECORDS + SEGMENT_PAGE,
    .journal_segments = 3,
    .batch_interval = HOUR_MS,
    .admit_retry_window = HOUR_MS,
};
static _Alignas(SEGMENT_PAGE) union {
	uint8_t bytes[FILE_MAX];
	struct segment_header head;
} file;
static size_t file_len, begin; /* begin: of the records */

/* What stands whole in the file, by the rule of journal_segment.h. */
static struct {
	size_t at, len; /* of the payload */
} record[RECORDS_MAX];
static size_t records, replayed; /* replayed: of them, those that are no events included */
static uint32_t events;          /* that the journal replayed */

static size_t
end_of(size_t at, size_t len)
{
	return at + segment_record_bytes(len);
}

static uint32_t
record_sum(size_t at, size_t len)
{
	uint64_t h = hash_mix(file.head.id + at - begin, file.bytes + at + 8, len);

	return (uint32_t)(h ^ h >> 32);
}

static void
find_records(bool make_right)
{
	size_t at = begin;
	uint32_t len, sum;

	for (records = 0; at + 16 <= file_len; at = end_of(at, len)) {
		memcpy(&len, file.bytes + at, 4);
		if (len == 0 || len > EVENT_PACKED_MAX || end_of(at, len) > file_len)
			break;
		sum = record_sum(at, len);
		if (make_right)
			memcpy(file.bytes + at + 4, &sum, 4);
		if (memcmp(file.bytes + at + 4, &sum, 4) != 0)
			break;
		record[records].at = at + 8;
		record[records++].len = len;
	}
}

static void
make_bots(struct reader *in)
{
	struct segment_bot *bot = (struct segment_bot *)(void *)(file.bytes + SEGMENT_PAGE);
	const uint8_t *name;
	unsigned i, n;

	memset(bot, 0, SEGMENT_BOTS_BYTES);
	for (n = get_u8(in), i = 0; i < n && i < SEGMENT_BOTS && !in->bad; i++) {
		bot[i].len = get_u8(in);
		name = get_bytes(in, bot[i].len % (BATCH_BOT_NAME_MAX + 1));
		if (name)
			memcpy(bot[i].name, name, bot[i].len % (BATCH_BOT_NAME_MAX + 1));
		bot[i].count[0] = get_u64(in);
		bot[i].count[1] = get_u64(in);
		bot[i].sum = hash_mix(SEGMENT_ID + i, &bot[i], offsetof(struct segment_bot, count));
	}
}

static void
make_header(struct reader *in, bool bots)
{
	struct segment_header *h = &file.head;
	const uint8_t *times;
	unsigned i, counts;

	memset(h, 0, sizeof(*h));
	memcpy(h->magic, bots ? "FFjourn\2" : "FFjourn\1", 8);
	h->bots_bytes = bots ? (uint32_t)SEGMENT_BOTS_BYTES : 0;
	h->names_len = (uint32_t)segment_names(h->names);
	h->id = SEGMENT_ID;
	memcpy(h->epoch, epoch, sizeof(epoch));
	h->sources = SOURCE_N;
	h->reasons = REASON_N;
	h->sum = hash_mix(hash_mix(h->id, h, 56), h->names, h->names_len);
	times = get_bytes(in, 32);
	if (times)
		memcpy(&h->serial, times, 32);
	h->interval_sum = hash_mix(h->id, &h->serial, 32);
	h->state = get_u8(in);
	h->seq = get_u64(in);
	h->udp_dropped = get_u64(in);
	for (counts = get_u8(in), i = 0; i < counts && !in->bad; i++)
		h->count[get_u8(in)] = get_u64(in);
}

/* Changes or loses bytes from a place among the records on; what was touched is whole no more. */
static void
harm(size_t at, uint8_t change, bool torn)
{
	static uint8_t before[FILE_MAX];
	size_t n, from;

	if (file_len <= begin)
		return;
	at = begin + at % (file_len - begin);
	memcpy(before, file.bytes, file_len);
	file.bytes[at] ^= change;
	if (torn)
		memset(file.bytes + at, 0, file_len - at);
	for (n = 0; n < records; n++) {
		from = record[n].at - 8;
		if (memcmp(before + from, file.bytes + from, 8 + record[n].len) != 0)
			break;
	}
	records = n;
}

static void
make_seq(struct reader *in)
{
	struct text seq = get_text8(in);
	uint8_t bytes[255];
	uint64_t sum;

	if (seq.len < 8)
		return;
	memcpy(bytes, seq.at, seq.len);
	sum = hash_mix(0x71734646, bytes, seq.len - 8);
	memcpy(bytes + seq.len - 8, &sum, 8);
	fuzz_file("seq", bytes, seq.len);
}

static bool
make_file(struct reader *in)
{
	uint8_t flags = get_u8(in), change;
	struct text rest;
	size_t at;

	if (flags & SEQ_FILE)
		make_seq(in);
	begin = flags & BOTS ? SEGMENT_RECORDS : SEGMENT_PAGE;
	at = flags & RAW ? 0 : begin;
	if (!(flags & RAW))
		make_header(in, flags & BOTS);
	if (!(flags & RAW) && flags & BOTS)
		make_bots(in);
	change = flags & DAMAGE ? get_u8(in) : 0;
	file.head.zero2 = 0;
	rest.len = reader_left(in);
	if (at + rest.len > FILE_MAX)
		return false;
	memcpy(file.bytes + at, in->base + in->at, rest.len);
	file_len = at + rest.len;
	if (flags & RAW)
		begin = file_len > 8 && file.head.magic[7] == 2 ? SEGMENT_RECORDS : SEGMENT_PAGE;
	find_records(!(flags & RAW) && flags & SUMS);
	if (!(flags & RAW) && flags & SUMS && flags & (DAMAGE | TORN))
		harm((size_t)change * 7, change, flags & TORN);
	return true;
}

/* -- what the journal makes of it -- */

static void
see_event(void *ctx, const struct event *e)
{
	uint8_t packed[EVENT_PACKED_MAX];
	struct event whole;
	size_t n;

	(void)ctx;
	/* records that are whole but no events are skipped */
	while (replayed < records &&
	       !event_unpack(file.bytes + record[replayed].at, record[replayed].len, &whole))
		replayed++;
	n = event_pack(e, packed, sizeof(packed));
	if (replayed == records || n != record[replayed].len ||
	    memcmp(packed, file.bytes + record[replayed].at, n) != 0)
		abort(); /* a record that is not there, or in another order */
	replayed++;
	events++;
}

static uint32_t
events_whole(void)
{
	struct event e;
	uint32_t n = 0;
	size_t i;

	for (i = 0; i < records; i++)
		n += event_unpack(file.bytes + record[i].at, record[i].len, &e);
	return n;
}

/* What the header says was accepted, when its names are ours. */
static bool
events_counted(uint64_t *ret_events)
{
	const struct segment_header *h = &file.head;
	char names[SEGMENT_NAMES];
	uint64_t sum = 0;
	unsigned s;

	if (h->sources != SOURCE_N || h->reasons != REASON_N ||
	    h->names_len != segment_names(names) || memcmp(h->names, names, h->names_len) != 0)
		return false;
	for (s = 0; s < SOURCE_N; s++)
		sum += h->count[s * REASON_N + REASON_ACCEPTED_FIRST] +
		       h->count[s * REASON_N + REASON_ACCEPTED_REPEAT];
	*ret_events = sum;
	return true;
}

static void
check_body(const struct segment *s, const struct batch_id *id, const char *body, size_t len)
{
	struct batch_name name;
	struct text frame;
	struct batch b;
	uint8_t *document;
	uint64_t counted;

	if (batch_name_get((const uint8_t *)body, len, &name, &frame) < 0 ||
	    memcmp(&name.id.epoch, id->epoch, 16) != 0 || name.id.seq != id->seq ||
	    !(document = malloc(name.document_bytes)))
		abort();
	if (ZSTD_decompress(document, name.document_bytes, frame.at, frame.len) !=
		name.document_bytes ||
	    batch_decode(document, name.document_bytes, &b) < 0)
		abort();
	if (b.events != events_whole() || b.events != segment_records(s) ||
	    ledger_verdict(&b.meta.ledger, VERDICT_ACCEPTED) != b.events)
		abort();
	if (events_counted(&counted) &&
	    b.meta.lost != (counted > b.events ? counted - b.events : 0))
		abort();
	free(document);
}

/* The number of segments sealed. */
static unsigned
seal(struct journal *j)
{
	struct segment *s;
	struct batch_id id;
	unsigned n = 0;
	char *body;
	size_t len;

	while ((s = journal_take_closed(j))) {
		if (segment_number(j, s, NOW, &id) < 0 || seal_encode(s, &body, &len) < 0)
			abort(); /* it would stand in the way of all others for ever */
		check_body(s, &id, body, len);
		free(body);
		if (journal_sealed(j, s) < 0 || ++n > 1)
			abort();
	}
	return n;
}

static void
run(void)
{
	struct journal_found found, again;
	struct journal *j = NULL;
	unsigned sealed;
	int err = journal_open(&conf, NULL, 1, NOW, &j, &found);

	if (err == -EPROTONOSUPPORT)
		return;
	if (err || found.broken + found.history + found.unsealed > 1)
		abort();
	replayed = events = 0;
	journal_replay(j, see_event, NULL);
	if (found.records != events ||
	    events != (found.history + found.unsealed ? events_whole() : 0))
		abort();
	sealed = seal(j);
	journal_close(j);
	if (sealed != found.unsealed || journal_open(&conf, NULL, 1, NOW, &j, &again) < 0 ||
	    again.unsealed > 0 || again.broken > 0)
		abort();
	if (again.records != (again.history ? found.records : 0))
		abort();
	journal_close(j);
}

static void
start(void)
{
	log_init("fuzz", LOG_LEVEL_N);
	if (hash_init() < 0)
		abort();
	fuzz_dir_make();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char hex[] = "07000000000000000000000000000000\n";
	struct journal_seq seq = {.last = 0};
	struct segment_number given = {.id = {.node = "web-1", .seq = 6}, .sealed_ms = 1};
	struct reader in = reader_of(data, size);
	char path[FUZZ_PATH_MAX];

	if (!fuzz_dir[0])
		start();
	memcpy(given.id.epoch, epoch, sizeof(epoch));
	fuzz_file("epoch", hex, sizeof(hex) - 1);
	if (journal_seq_give(fuzz_dir, &seq, &given) < 0)
		abort();
	fuzz_path("journal", path);
	if (file_make_dir(path) < 0)
		abort();
	if (make_file(&in)) {
		fuzz_file("journal/segment-0001", file.bytes, file_len);
		run();
	}
	fuzz_dir_clear();
	return 0;
}
