/* The skippable frame before a batch's zstd frame. Integers are little-endian.
 *
 *   bytes  what
 *   4      0x184d2a5f, a zstd skippable frame
 *   4      length of what follows, to the end of the table
 *   4      "FFBN"
 *   1      version, 1
 *   text   node: a length byte and its bytes
 *   16     epoch
 *   8      seq
 *   4      events
 *   4      bytes of the document
 *   4      bytes of the zstd frame that follows
 *   16     BLAKE2b-128 of the zstd frame
 *   16     BLAKE2b-128 of the bytes of this table before it
 *
 * Valid: both checksums hold, node is a name, seq is not 0, counts are within batch.h's limits, and
 * the zstd frame ends where the body does. zstd itself skips the frame, so that `zstd -d` shows a
 * batch's document.
 */
#include <errno.h>
#include <sodium.h>

#include "proto/batch.h"

#define SKIPPABLE_MAGIC 0x184d2a5fu
#define NAME_VERSION 1

static const char tag[4] = {'F', 'F', 'B', 'N'};

void
batch_checksum(const void *frame, size_t len, uint8_t ret_checksum[16])
{
	(void)crypto_generichash(ret_checksum, 16, frame, len, NULL, 0);
}

size_t
batch_name_put(const struct batch_name *n, uint8_t buf[BATCH_HEAD_BYTES])
{
	struct writer w = writer_of(buf, BATCH_HEAD_BYTES), length = writer_of(buf + 4, 4);
	uint8_t checksum[16];

	put_u32(&w, SKIPPABLE_MAGIC);
	put_u32(&w, 0);
	put_bytes(&w, tag, sizeof(tag));
	put_u8(&w, NAME_VERSION);
	put_text8(&w, text_of(n->id.node));
	put_bytes(&w, n->id.epoch, 16);
	put_u64(&w, n->id.seq);
	put_u32(&w, n->events);
	put_u32(&w, n->document_bytes);
	put_u32(&w, n->compressed_bytes);
	put_bytes(&w, n->checksum, 16);
	put_u32(&length, (uint32_t)(w.len + sizeof(checksum) - 8));
	batch_checksum(buf, w.len, checksum);
	put_bytes(&w, checksum, sizeof(checksum));
	return w.len;
}

static void
get_fields(struct reader *r, struct batch_name *n)
{
	struct text node = get_text8(r);
	const uint8_t *bytes = get_bytes(r, 16);

	if (!node.at || !event_name_valid(node) || !bytes) {
		r->bad = true;
		return;
	}
	memcpy(n->id.node, node.at, node.len);
	memcpy(n->id.epoch, bytes, 16);
	n->id.seq = get_u64(r);
	n->events = get_u32(r);
	n->document_bytes = get_u32(r);
	n->compressed_bytes = get_u32(r);
	bytes = get_bytes(r, 16);
	if (bytes)
		memcpy(n->checksum, bytes, 16);
}

static bool
checksum_holds(const void *bytes, size_t len, const uint8_t checksum[16])
{
	uint8_t actual[16];

	batch_checksum(bytes, len, actual);
	return memcmp(actual, checksum, 16) == 0;
}

/* The frame up to its own checksum: 0 with the reader behind it. */
static int
get_head(struct reader *r, struct batch_name *n)
{
	uint32_t magic = get_u32(r), length = get_u32(r);
	const uint8_t *bytes = get_bytes(r, sizeof(tag));
	uint8_t version = get_u8(r);

	if (r->bad || magic != SKIPPABLE_MAGIC || memcmp(bytes, tag, sizeof(tag)) != 0)
		return -EBADMSG;
	if (version > NAME_VERSION)
		return -EPROTONOSUPPORT;
	get_fields(r, n);
	bytes = get_bytes(r, 16);
	if (r->bad || version != NAME_VERSION || r->at != (size_t)length + 8 ||
	    !checksum_holds(r->base, r->at - 16, bytes))
		return -EBADMSG;
	return 0;
}

int
batch_name_get(const uint8_t *body, size_t len, struct batch_name *ret_name, struct text *ret_frame)
{
	struct reader r = reader_of(body, len);
	struct batch_name n = {0};
	const uint8_t *frame;
	int rc = get_head(&r, &n);

	if (rc < 0)
		return rc;
	frame = body + r.at;
	if (n.id.seq == 0 || n.id.seq > BATCH_COUNT_MAX || n.events > BATCH_EVENTS_MAX ||
	    n.document_bytes > BATCH_DOCUMENT_MAX || n.compressed_bytes != reader_left(&r) ||
	    !checksum_holds(frame, n.compressed_bytes, n.checksum))
		return -EBADMSG;
	*ret_name = n;
	*ret_frame = (struct text){(const char *)frame, n.compressed_bytes};
	return 0;
}
