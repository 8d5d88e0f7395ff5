/* A spool's directory that an earlier run left: one good batch, and a file of any name with any
 * bytes. After a byte of flags and a sequence number (NAMED: the file is called by it) the name,
 * with a length byte, then the bytes (SOUND: behind a head whose checksum is right). The spool
 * opens, hands out what is whole under the name that it has, loses nothing, and stands in
 * nobody's way. */
#include <errno.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "node/spool.h"
#include "test/fuzz/fuzz_dir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAMED 1
#define SOUND 2
#define GOOD_SEQ 5
#define BODY_MAX 65536

static const uint8_t epoch[16] = {7};
static struct conf conf = {.node_state_dir = fuzz_dir, .batch_spool_max = 1 << 20};

struct input {
	char name[256];
	uint64_t seq;
	bool waits;   /* the spool must take it for a batch */
	bool removed; /* the leftover of an unfinished write */
	bool is_good; /* the good one's name */
	bool is_why;  /* not counted among the broken: called like what is said of one */
	uint8_t body[BODY_MAX + BATCH_HEAD_BYTES];
	size_t len;
};

static size_t
put_head(uint64_t seq, const uint8_t *frame, size_t n, uint8_t ret_head[BATCH_HEAD_BYTES])
{
	struct batch_name name = {.id = {.node = "web-1", .seq = seq},
				  .events = 1,
				  .document_bytes = 100,
				  .compressed_bytes = (uint32_t)n};

	memcpy(name.id.epoch, epoch, sizeof(epoch));
	batch_checksum(frame, n, name.checksum);
	return batch_name_put(&name, ret_head);
}

static void
file_name(uint64_t seq, char ret_name[256])
{
	(void)snprintf(ret_name, 256, "07000000000000000000000000000000-%020llu.batch",
		       (unsigned long long)seq);
}

static bool
read_input(const uint8_t *data, size_t size, struct input *in)
{
	struct reader r = reader_of(data, size);
	uint8_t flags = get_u8(&r), head[BATCH_HEAD_BYTES];
	uint64_t seq = get_u64(&r);
	struct text name = get_text8(&r);
	size_t n = reader_left(&r), head_n = 0;

	if (r.bad || n > BODY_MAX)
		return false;
	in->seq = seq;
	if (flags & NAMED)
		file_name(seq, in->name);
	else
		(void)snprintf(in->name, sizeof(in->name), TEXT_FMT, TEXT_ARG(name));
	if (in->name[0] == '\0' || strchr(in->name, '/') || strcmp(in->name, ".") == 0 ||
	    strcmp(in->name, "..") == 0 || strcmp(in->name, "broken") == 0)
		return false;
	if (flags & SOUND)
		head_n = put_head(seq, data + r.at, n, head);
	memcpy(in->body, head, head_n);
	memcpy(in->body + head_n, data + r.at, n);
	in->len = head_n + n;
	return true;
}

/* A batch by its name; by the byte table, not by the spool's own reading. */
static void
judge(struct input *in)
{
	char proper[256];
	struct batch_name name;
	struct text frame;
	size_t n = strlen(in->name);
	bool whole = batch_name_get(in->body, in->len, &name, &frame) == 0;

	file_name(whole ? name.id.seq : in->seq, proper);
	in->waits = whole && name.id.seq < BATCH_COUNT_MAX &&
		    memcmp(name.id.epoch, epoch, 16) == 0 && strcmp(in->name, proper) == 0;
	in->removed = in->name[0] == '.' && n > 4 && strcmp(in->name + n - 4, ".tmp") == 0;
	in->is_why = n >= 4 && strcmp(in->name + n - 4, ".why") == 0;
	file_name(GOOD_SEQ, proper);
	in->is_good = strcmp(in->name, proper) == 0;
}

static void
put_files(const struct input *in)
{
	uint8_t good[BATCH_HEAD_BYTES + 4];
	char path[FUZZ_PATH_MAX], name[256 + 8] = "spool/";
	size_t n = put_head(GOOD_SEQ, (const uint8_t *)"good", 4, good);

	fuzz_path("spool/broken", path);
	if (file_make_dir(path) < 0)
		abort();
	memcpy(good + n, "good", 4);
	file_name(GOOD_SEQ, name + 6);
	fuzz_file(name, good, n + 4);
	(void)snprintf(name + 6, sizeof(name) - 6, "%s", in->name);
	fuzz_file(name, in->body, in->len);
}

/* True when it was the file of the input. */
static bool
take_one(struct spool *s, const struct input *in)
{
	struct batch_id id;
	char *body, name[256];
	bool is_input;
	size_t len;

	if (spool_oldest(s, &id, &body, &len) < 0)
		abort();
	file_name(id.seq, name);
	is_input = strcmp(name, in->name) == 0;
	if (memcmp(id.epoch, epoch, 16) != 0 || (is_input && !in->waits) ||
	    (!is_input && id.seq != GOOD_SEQ))
		abort();
	if (is_input && (len != in->len || memcmp(body, in->body, len) != 0))
		abort();
	free(body);
	if (spool_remove(s, &id) < 0)
		abort();
	return is_input;
}

static void
run(const struct input *in)
{
	struct spool *s = NULL;
	struct batch_id id;
	char *body;
	size_t len;
	unsigned n = 0, wanted = in->waits + !in->is_good;
	bool seen = false;

	if (spool_open(&conf, &s) < 0)
		abort();
	for (; n < wanted; n++)
		seen |= take_one(s, in);
	if (seen != in->waits || spool_oldest(s, &id, &body, &len) != -ENOENT)
		abort();
	if (spool_count(s) != 0 || spool_bytes(s) != 0 ||
	    spool_broken(s) != (in->waits || in->removed || in->is_why ? 0 : 1))
		abort();
	if (spool_last_seq(s, epoch) >= BATCH_COUNT_MAX ||
	    spool_last_seq(s, epoch) < (in->is_good ? 0 : GOOD_SEQ) ||
	    (in->waits && spool_last_seq(s, epoch) < in->seq))
		abort();
	spool_close(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct input in;

	if (!fuzz_dir[0]) {
		log_init("fuzz", LOG_LEVEL_N);
		if (hash_init() < 0)
			abort();
		fuzz_dir_make();
	}
	if (!read_input(data, size, &in))
		return 0;
	judge(&in);
	put_files(&in);
	run(&in);
	fuzz_dir_clear();
	return 0;
}
