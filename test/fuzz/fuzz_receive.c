/* What a node posts to the central. After a byte: the whole body (RAW); the four bytes of a
 * document's size and the compressed frame (FRAME), which get the name that belongs to them; or
 * a document, which is compressed and named as an agent does it. What is taken is taken once,
 * and the books balance; what is refused changes nothing; now and then all is computed again
 * and compared. */
#include <zstd.h>

#include "base/clock.h"
#include "central/store_care.h"
#include "proto/batch.h"
#include "test/fuzz/fuzz_home.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAW 1
#define FRAME 2
#define DOCUMENT_MAX 65536 /* of a frame, to be named after it */
#define ARRIVAL INT64_C(1795348800000)
#define BATCHES_MAX 2000 /* of one store: some 100 MB */

static size_t
put_name(struct batch_name *name, const uint8_t *frame, size_t n, uint8_t *body)
{
	size_t head;

	name->compressed_bytes = (uint32_t)n;
	batch_checksum(frame, n, name->checksum);
	head = batch_name_put(name, body);
	memmove(body + head, frame, n);
	return head + n;
}

/* Named by what the document says, so that the gate has nothing to say against the name. */
static struct batch_name
name_of(const uint8_t *doc, size_t len)
{
	struct batch_name name = {.id = {.node = "web-1", .seq = 1}, .events = 1};
	struct batch b;

	if (batch_decode(doc, len, &b) == 0) {
		name.id = b.meta.id;
		name.events = b.events;
	}
	name.document_bytes = (uint32_t)len;
	return name;
}

static size_t
make_body(const uint8_t *doc, size_t len, uint8_t *body, size_t cap)
{
	struct batch_name name = name_of(doc, len);
	uint8_t *frame = body + BATCH_HEAD_BYTES;

	return put_name(&name, frame, ZSTD_compress(frame, cap - BATCH_HEAD_BYTES, doc, len, 1),
			body);
}

static size_t
make_frame_body(const uint8_t *data, size_t size, uint8_t *body)
{
	static uint8_t doc[DOCUMENT_MAX];
	struct reader in = reader_of(data, size);
	uint32_t document_bytes = get_u32(&in);
	const uint8_t *frame = data + in.at;
	size_t n = ZSTD_decompress(doc, sizeof(doc), frame, reader_left(&in));
	struct batch_name name = name_of(doc, ZSTD_isError(n) ? 0 : n);

	name.document_bytes = document_bytes;
	return put_name(&name, frame, reader_left(&in), body);
}

static int
check_row(void *ctx, const struct store_ledger_row *row)
{
	(void)ctx;
	if (ledger_verdict(&row->ledger, VERDICT_ACCEPTED) != row->stored + row->merged)
		abort();
	return 0;
}

static void
check_taken(const struct batch_name *name, struct text body, const struct store_stats *before)
{
	struct receive_answer again =
	    receive_batch(fuzz_home.gate, name->id.node, body, name->id.seq, ARRIVAL);
	struct store_stats after;

	store_stats(fuzz_home.store, &after);
	if (again.status != 200 || strcmp(again.text, "already") != 0 ||
	    after.batches != before->batches + 1 || after.events != before->events + name->events ||
	    store_ledger(fuzz_home.store, 0, ARRIVAL + DAY_MS, check_row, NULL) < 0)
		abort();
}

static void
differs(void *ctx, const struct store_difference *d)
{
	(void)ctx;
	fprintf(stderr, "%s %s: %s, not %s\n", d->where, d->field, d->stored, d->recomputed);
	abort();
}

static void
renew(void)
{
	static const struct store_report report = {.differs = differs};
	static const struct store_progress nobody = {0};
	struct store_verified v;

	if (store_verify(fuzz_home.store, &report, &nobody, &v) < 0)
		abort();
	fuzz_home_close();
	fuzz_dir_clear();
	fuzz_home_open();
}

static void
post(struct text body)
{
	struct batch_name name = {.id = {.node = "web-1"}};
	struct store_stats before, after;
	struct receive_answer said;
	struct text frame;
	int known = batch_name_get((const uint8_t *)body.at, body.len, &name, &frame);

	store_stats(fuzz_home.store, &before);
	said = receive_batch(fuzz_home.gate, name.id.node, body, name.id.seq, ARRIVAL);
	store_stats(fuzz_home.store, &after);
	if (said.status == 200 && ZSTD_findFrameCompressedSize(frame.at, frame.len) != frame.len)
		abort(); /* nothing stands behind what was read */
	if (said.status == 200 && strcmp(said.text, "stored") == 0)
		check_taken(&name, body, &before);
	else if (after.batches != before.batches || after.events != before.events)
		abort();
	if (said.status == 503 && known == 0 && name.document_bytes <= RECEIVE_DOCUMENTS_MAX)
		abort(); /* the agent would send it again for ever */
	if (after.batches >= BATCHES_MAX)
		renew();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t cap = BATCH_HEAD_BYTES + ZSTD_compressBound(size), len = size - 1;
	uint8_t *body;

	if (!fuzz_home.store)
		fuzz_home_make("UTC");
	if (size < 2)
		return 0;
	body = malloc(cap);
	if (!body)
		abort();
	if (data[0] & RAW)
		memcpy(body, data + 1, len);
	else if (data[0] & FRAME)
		len = make_frame_body(data + 1, len, body);
	else
		len = make_body(data + 1, len, body, cap);
	post((struct text){(const char *)body, len});
	free(body);
	return 0;
}
