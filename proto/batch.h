/* batch.h -- what one sealed journal segment became: columns of accepted events with its ledger.
 *
 * On the wire and in the spool a batch is a zstd skippable frame that names it (identity, sizes,
 * checksum), then one zstd frame holding a msgpack document; README.md has the bytes. This file
 * writes and reads the document and the name; compressing is the caller's.
 *
 * Threads:  one builder or cursor per thread.
 * Memory:   no malloc. A builder works in the caller's arena; a struct batch and its texts point
 *           into the document, lent until it goes.
 * Errors:   everything that is read is checked before it is used: counts against bytes left,
 *           indexes against their dictionaries, texts as UTF-8, exact length. A document that fails
 *           gives -EBADMSG; one of a later version -EPROTONOSUPPORT.
 */
#ifndef PROTO_BATCH_H
#define PROTO_BATCH_H

#include "base/buf.h"
#include "proto/event.h"

#define BATCH_VERSION 2 /* 1 had no bots; it is still read */
#define BATCH_NODE_MAX 64
#define BATCH_EVENTS_MAX (1u << 20)         /* bounds an apply: about half a second */
#define BATCH_BOT_NAME_MAX 47               /* the longest of the packaged lists has 41 bytes */
#define BATCH_BOTS_MAX 1024                 /* a row each, to be written while a batch is applied */
#define BATCH_COUNT_MAX (UINT64_C(1) << 53) /* of anything: exact in JSON, and sums cannot wrap */
#define BATCH_DOCUMENT_MAX (256u << 20)     /* what a receiver may be made to reserve */
#define BATCH_ADD_MANY 8                    /* keys and events stay in the first-level cache */
#define BATCH_HEAD_BYTES 160                /* room for the skippable frame with the name: 146 */

struct batch_id {
	char node[BATCH_NODE_MAX + 1]; /* configured name, NUL-terminated */
	uint8_t epoch[16];             /* of the state directory */
	uint64_t seq;                  /* from 1, no gaps within an epoch */
};

struct batch_meta {
	struct batch_id id;
	int64_t from_ms, until_ms; /* arrival interval: wall time, within one hour of UTC */
	int64_t sealed_ms;
	int64_t closes_ms;    /* not 0: all that arrived before this is in batches up to this seq */
	uint64_t udp_dropped; /* datagrams the kernel dropped in the interval */
	uint64_t lost;        /* records found torn or unreadable, known lost */
	struct ledger ledger;
};

/* What one bot sent, of the events that the ledger has under bot.user_agent: all names of a source
 * together at most as many. The rest has no name. */
struct batch_bot {
	struct text name;
	uint64_t count[SOURCE_N];
};

/* 1 to BATCH_BOT_NAME_MAX bytes, UTF-8, no control characters. */
bool batch_bot_name_valid(struct text name);

/* -- writing -- */

struct batch_builder; /* lives in the arena */

/* Arena bytes that a builder for n events with packed payloads of payload_bytes in all may need. */
size_t batch_arena_bytes(uint32_t n, size_t payload_bytes);

/* Most bytes of the document that such a batch becomes. */
size_t batch_document_bytes(uint32_t n, size_t payload_bytes);

/* Starts a batch of at most events_max events, at most BATCH_EVENTS_MAX, in the arena (16-byte
 * aligned, at least batch_arena_bytes; needs not be zeroed). NULL when it is too small for their
 * columns. */
struct batch_builder *batch_begin(void *arena, size_t arena_bytes, uint32_t events_max);

/* Adds n unpacked events, each event_valid; copies what it needs. An absent site becomes
 * EVENT_DEFAULT_SITE, an absent name EVENT_DEFAULT_NAME. BATCH_ADD_MANY at once cost least: memory
 * that they will look at is asked for before the first one looks. 0, or -ENOSPC (arena or
 * events_max) with the batch as it was before the event that had no room. */
int batch_add(struct batch_builder *b, const struct event *e, size_t n);

/* The bots of the batch, ascending by name, none with zeros alone; lent until batch_finish. */
void batch_set_bots(struct batch_builder *b, const struct batch_bot *bot, size_t n);

/* Writes the document. 0 with its length in ret_len; -ENOSPC; -EINVAL when meta has no valid node
 * name (event_name_valid), no seq, a time beyond 0 to EVENT_TS_MAX_MS or a count above
 * BATCH_COUNT_MAX, or when the bots are not as struct batch_bot and batch_set_bots say. */
int batch_finish(struct batch_builder *b, const struct batch_meta *meta, uint8_t *buf, size_t cap,
		 size_t *ret_len);

/* -- reading -- */

struct batch_content {
	struct text site, type, id; /* id empty when has_uuid */
	bool has_uuid;
	uint8_t uuid[16];
};

#define BATCH_COLUMNS 16

struct batch {
	struct batch_meta meta;
	uint32_t events;
	/* dictionaries: number of entries, no more than events; entries by the calls below. Entry 0
	 * of referrers and countries is the empty text, "none", and counts beside these */
	uint32_t contents, names, referrers, countries;
	uint32_t bots;     /* at most BATCH_BOTS_MAX */
	uint32_t visitors; /* hashes in the list of visitors */
	uint32_t tagged;   /* events with an event_tag */
	/* encoded parts, validated by batch_decode; private to batch_read.c */
	struct reader column[BATCH_COLUMNS];
	struct reader dict_content, dict_name, dict_referrer, dict_country, dict_bot;
};

/* One event of a batch. Indexes are below the dictionary's size. */
struct batch_event {
	int64_t ts_ms;
	uint64_t visitor;
	uint64_t event_tag; /* event_tag of the event id; 0 when it has none */
	uint64_t session;   /* 0 when it has none */
	double value;       /* when has_value */
	uint32_t content, name, referrer, country, salt_id; /* referrer, country: 0 is "none" */
	uint8_t browser, system, device;
	enum event_source source;
	bool repeat, has_value;
};

enum { /* of an event */
       BATCH_FLAG_DATAGRAM = 1,
       BATCH_FLAG_REPEAT = 2,
       BATCH_FLAG_VALUE = 4,
       BATCH_FLAG_TAG = 8,
       BATCH_FLAGS_UNUSED = 0xf0
};

#define BATCH_BLOCK 256 /* its columns stay in the first-level cache: 16 KiB */

/* The next events of a batch, by columns: for who reads all of them. */
struct batch_block {
	uint32_t n; /* 1 to BATCH_BLOCK; what lies behind is undefined */
	const uint8_t *flags, *browser, *system, *device; /* lent from the document */
	int64_t ts_ms[BATCH_BLOCK], salt_id[BATCH_BLOCK];
	uint32_t visitor[BATCH_BLOCK]; /* index into batch_visitors */
	uint32_t session[BATCH_BLOCK]; /* 0: none, else numbered by first appearance from 1 */
	uint32_t content[BATCH_BLOCK], name[BATCH_BLOCK], referrer[BATCH_BLOCK],
	    country[BATCH_BLOCK];
	uint64_t event_tag[BATCH_BLOCK];  /* 0: none */
	uint64_t value_bits[BATCH_BLOCK]; /* of the double, when flagged */
};

static inline enum event_source
batch_block_source(const struct batch_block *b, uint32_t i)
{
	return b->flags[i] & BATCH_FLAG_DATAGRAM ? SOURCE_DATAGRAM : SOURCE_BEACON;
}

/* 0 when it has none. */
static inline double
batch_block_value(const struct batch_block *b, uint32_t i)
{
	double v;

	memcpy(&v, &b->value_bits[i], sizeof(v));
	return v;
}

struct batch_cursor {
	struct reader column[BATCH_COLUMNS];
	uint32_t left;               /* events behind the block */
	uint32_t visitors, sessions; /* distinct ones so far */
	int64_t ts_ms, salt_id;      /* of the last event */
	uint32_t at;                 /* in the block: for batch_next */
	struct batch_block block;
};

/* Checks the whole document, every column to its end included. */
int batch_decode(const uint8_t *doc, size_t len, struct batch *ret_batch);

/* Events in the order in which they were added: one at a time, or a block at a time (NULL behind
 * the last; lent until the next call); not both with one cursor. */
void batch_cursor_init(const struct batch *b, struct batch_cursor *ret_cursor);
bool batch_next(struct batch_cursor *c, struct batch_event *ret_event);
const struct batch_block *batch_next_block(struct batch_cursor *c);

/* The hashes of b->visitors visitors, in order of first appearance. */
void batch_visitors(const struct batch *b, uint64_t *ret_hash);

/* Walks a dictionary from its start: call with i = 0, 1, 2, … (sequential; the reader is copied by
 * the caller from the batch). */
bool batch_next_content(struct reader *dict, struct batch_content *ret_content);
bool batch_next_text(struct reader *dict, struct text *ret_text);
bool batch_next_bot(struct reader *dict, struct batch_bot *ret_bot);

/* -- the frame around the document -- */

/* BLAKE2b-128. */
void batch_checksum(const void *frame, size_t len, uint8_t ret_checksum[16]);

struct batch_name {
	struct batch_id id;
	uint32_t events;
	uint32_t document_bytes;   /* uncompressed */
	uint32_t compressed_bytes; /* of the zstd frame behind */
	uint8_t checksum[16];      /* batch_checksum of the zstd frame */
};

/* Writes the skippable frame for a zstd frame that stands ready: bytes written. The node name must
 * be valid. */
size_t batch_name_put(const struct batch_name *n, uint8_t buf[BATCH_HEAD_BYTES]);

/* Reads the skippable frame of a whole body and verifies length and checksum of what follows:
 * 0 with the zstd frame in ret_frame, -EBADMSG, or -EPROTONOSUPPORT. */
int batch_name_get(const uint8_t *body, size_t len, struct batch_name *ret_name,
		   struct text *ret_frame);

#endif
