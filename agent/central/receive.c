#include "central/receive.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/log.h"
#include "proto/batch.h"

struct receive {
	struct store *store;           /* constant after start */
	atomic_size_t documents_bytes; /* being decompressed or applied */
};

int
receive_new(struct store *store, struct receive **ret_receive)
{
	struct receive *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->store = store;
	*ret_receive = r;
	return 0;
}

void
receive_free(struct receive *r)
{
	free(r);
}

/* The frame must be exactly one, and of exactly the declared size; then decompressing in one call
 * can use no more than that: its window is the output itself. */
static bool
frame_is_sound(const struct batch_name *name, struct text frame)
{
	return name->document_bytes > 0 && name->document_bytes <= BATCH_DOCUMENT_MAX &&
	       ZSTD_getFrameContentSize(frame.at, frame.len) == name->document_bytes &&
	       ZSTD_findFrameCompressedSize(frame.at, frame.len) == frame.len;
}

static struct receive_answer
answer_of(enum store_result result)
{
	switch (result) {
	case STORE_STORED:
		return (struct receive_answer){200, "stored"};
	case STORE_ALREADY:
		return (struct receive_answer){200, "already"};
	case STORE_CONFLICT:
		return (struct receive_answer){
		    409, "another batch of this node, epoch and number is stored: two agents "
			 "share one identity"};
	case STORE_RIVAL:
		return (struct receive_answer){
		    409, "another agent sends under this node's name: two agents share one name"};
	case STORE_BROKEN:
		return (struct receive_answer){422, "the document does not decode"};
	case STORE_UNAVAILABLE:
		break;
	}
	return (struct receive_answer){503, "the store cannot take batches at present"};
}

static struct receive_answer
apply(struct receive *r, const struct batch_name *name, struct text body, struct text frame,
      int64_t arrival_ms)
{
	uint8_t *document = malloc(name->document_bytes);
	struct receive_answer answer = {503, "out of memory"};
	size_t n;

	if (!document)
		return answer;
	n = ZSTD_decompress(document, name->document_bytes, frame.at, frame.len);
	if (n != name->document_bytes)
		answer = (struct receive_answer){422, "the document does not decompress"};
	else
		answer = answer_of(store_apply(r->store, name, (const uint8_t *)body.at, body.len,
					       document, n, arrival_ms));
	free(document);
	return answer;
}

static struct receive_answer
apply_bounded(struct receive *r, const struct batch_name *name, struct text body, struct text frame,
	      int64_t arrival_ms)
{
	struct receive_answer answer = {503, "too many large batches at once"};
	size_t before = atomic_fetch_add(&r->documents_bytes, name->document_bytes);

	if (before + name->document_bytes <= RECEIVE_DOCUMENTS_MAX)
		answer = apply(r, name, body, frame, arrival_ms);
	atomic_fetch_sub(&r->documents_bytes, name->document_bytes);
	return answer;
}

struct receive_answer
receive_batch(struct receive *r, const char *node, struct text body, uint64_t oldest_seq,
	      int64_t arrival_ms)
{
	struct receive_answer answer;
	struct batch_name name;
	struct text frame;
	int err = batch_name_get((const uint8_t *)body.at, body.len, &name, &frame);

	if (err ==
	    -EPROTONOSUPPORT) /* not the batch's fault: it is taken once the central is newer */
		return (struct receive_answer){503,
					       "a batch of a later version; upgrade the central"};
	if (err)
		return (struct receive_answer){400, "no batch, or not whole"};
	if (strcmp(name.id.node, node) != 0)
		return (struct receive_answer){
		    403, "this token belongs to another node than the one that the batch names"};
	if (!frame_is_sound(&name, frame))
		return (struct receive_answer){422,
					       "the compressed document is not what its name says"};
	answer = apply_bounded(r, &name, body, frame, arrival_ms);
	if (answer.status == 200 && oldest_seq > 0 && oldest_seq <= name.id.seq) {
		name.id.seq = oldest_seq;
		(void)store_lose(r->store, &name.id, arrival_ms); /* its next batch says it too */
	}
	return answer;
}
