/* journal_segment.h -- one segment: a preallocated file of records behind a header page.
 *
 * Host byte order: a segment is read by this program on this machine, never sent.
 *
 *      0  8  magic "FFjourn" and version 2   64  8  serial: order of opening
 *      8  4  bytes of the names              72  8  from_ms  \ the interval of arrival, whole
 *     12  4  bytes of the table of bots      80  8  until_ms / multiples of batch.interval
 *     16  8  id, random at each preparation  88  8  since_ms: nothing in it arrived before
 *     24  8  size of the file                96  8  checksum of 64..96, seeded with id
 *     32 16  epoch                          104  4  state: 0 free, 1 open, 2 sealed
 *     48  4  sources  \ of the table        112  8  seq, once sealed
 *     52  4  reasons  / of counts           120  8  datagrams dropped by the kernel
 *     56  8  checksum of 0..56 and the names
 *    512     u64 count[source][reason]: the ledger, by position in
 *   2560     the names: "beacon datagram\n", then "verdict.reason\n" for each reason
 *   4096     the table of bots, whole pages: places of 80 bytes
 *            u8 length, name (47), u64 count[source] (3), u64 checksum of length and name
 *  20480     records: u32 length, u32 checksum, payload (event_pack), zeros to a multiple of 8
 *
 * Version 1 had no table of bots, and a zero for its bytes: its records begin at 4096.
 *
 * Everything that says what a segment is stands in the first 512 bytes, which disks write whole.
 *
 * A record is valid when its length is 1 to EVENT_PACKED_MAX, it ends inside the file, and its
 * checksum is hash_mix of the payload seeded with id + offset. The first record that is not
 * valid is the end: what was written after the last valid one was never acknowledged, or was
 * lost. Segments are reused without being cleared; the new id makes every old record invalid,
 * whatever its place.
 *
 * Length is stored last, and the record is counted after that. So a process that dies
 * leaves records that are not counted, never counted ones that are not there; accepted
 * counts are therefore taken from the records, and what the header counted beyond them was
 * lost (in a power cut).
 *
 * The ledger is kept by position with the list of names beside it, in every segment. A program
 * whose ledger.def differs maps the counts by name; a name that it does not know and whose count is
 * not zero (a later version's segment) makes journal_open refuse, naming it. So no count is ever
 * misread or dropped.
 *
 * Bots by name: what the User-Agent gave away is counted in the bot's place and nowhere else, and
 * in the ledger (bot.user_agent) only when there is no name or no place left; first come, first
 * kept. The ledger that is read has both, so that no death can set names and ledger apart.
 * A place is valid when its checksum, which is stored last, is that of the name seeded with id +
 * its number; like a record, it is made invalid by the segment's next id and never cleared.
 *
 * Threads:  an active segment belongs to its writer's lock; all others to the sealer.
 * Memory:   the mapping.
 */
#ifndef NODE_JOURNAL_SEGMENT_H
#define NODE_JOURNAL_SEGMENT_H

#include <stddef.h>

#include "node/journal.h"

#define SEGMENT_PAGE 4096u
#define SEGMENT_NAMES 1536u
#define SEGMENT_COUNTS 256u
#define SEGMENT_BOTS_BYTES ((size_t)4 * SEGMENT_PAGE) /* resident as far as there are names */
#define SEGMENT_BOT_SOURCES 3                         /* room for one more */
#define SEGMENT_RECORDS (SEGMENT_PAGE + SEGMENT_BOTS_BYTES)
#define SEGMENT_RECORD_MAX (8u + EVENT_PACKED_MAX)
/* A document of a batch is not larger than its payloads; half leaves room for dictionaries. */
#define SEGMENT_DATA_MAX ((size_t)BATCH_DOCUMENT_MAX / 2)

enum segment_disk { DISK_FREE, DISK_OPEN, DISK_SEALED };

struct segment_header {
	uint8_t magic[8];
	uint32_t names_len, bots_bytes;
	uint64_t id;
	uint64_t bytes;
	uint8_t epoch[16];
	uint32_t sources, reasons;
	uint64_t sum;
	uint64_t serial;
	int64_t from_ms, until_ms, since_ms;
	uint64_t interval_sum;
	uint32_t state;
	uint32_t zero2;
	uint64_t seq;
	uint64_t udp_dropped;
	uint8_t reserved[384];
	uint64_t count[SEGMENT_COUNTS];
	char names[SEGMENT_NAMES];
};

_Static_assert(sizeof(struct segment_header) == SEGMENT_PAGE, "one page");
_Static_assert(offsetof(struct segment_header, sum) == 56, "byte table");
_Static_assert(offsetof(struct segment_header, interval_sum) == 96, "byte table");
_Static_assert(offsetof(struct segment_header, count) == 512, "byte table");
_Static_assert(offsetof(struct segment_header, names) == 2560, "byte table");
_Static_assert((size_t)SOURCE_N *REASON_N <= SEGMENT_COUNTS, "the ledger fits the header page");

struct segment_bot {
	uint8_t len;
	char name[BATCH_BOT_NAME_MAX];
	uint64_t count[SEGMENT_BOT_SOURCES]; /* by position, as the header's */
	uint64_t sum;
};

_Static_assert(sizeof(struct segment_bot) == 80 && SOURCE_N <= SEGMENT_BOT_SOURCES, "byte table");
_Static_assert(SEGMENT_BOTS * sizeof(struct segment_bot) <= SEGMENT_BOTS_BYTES, "byte table");

enum segment_state {
	SEGMENT_ABSENT,  /* no file: tend makes it */
	SEGMENT_DIRTY,   /* free, header not yet ready */
	SEGMENT_SPARE,   /* free, for a writer to take */
	SEGMENT_ACTIVE,  /* a writer's */
	SEGMENT_CLOSED,  /* to be sealed */
	SEGMENT_HISTORY, /* sealed, kept for replay */
	SEGMENT_SURPLUS, /* of an earlier, larger configuration: removed once sealed */
};

/* What is made durable when a segment gets its number: see journal_seq.h. */
struct segment_number {
	struct batch_id id;
	uint64_t segment; /* id of the segment that got it */
	int64_t sealed_ms, closes_ms;
};

struct segment {
	/* the sealer's */
	unsigned index; /* of its file */
	size_t size;    /* mapped bytes, 0 when absent */
	struct segment_header *head;
	uint8_t *base;     /* the mapping: head, bots, records */
	size_t records_at; /* where these begin */
	bool found;        /* of an earlier run */
	bool numbered;
	bool ledger_read;
	bool warm;     /* its first pages were made present */
	size_t synced; /* bytes of records known to be on the disk */
	struct segment_number number;
	struct ledger ledger; /* once read: as header and bots count it, `accepted` included */
	uint64_t lost;        /* of one that was found */
	/* the writer's while active */
	bool failed; /* an msync failed: no further record */
	size_t bots; /* places taken */
	size_t used; /* bytes of records */
	uint32_t records;
	size_t payload;
	/* guarded by the journal's lock */
	enum segment_state state;
};

/* The names of this program's ledger as a header holds them: their length. */
size_t segment_names(char ret_names[SEGMENT_NAMES]);

/* Creates or resizes the file, every block allocated, and maps it. 0 or -errno, then absent. */
int segment_create(const char *dir, struct segment *s, size_t bytes);

/* Maps an existing file with the size it has (at least a page). 0 or -errno. */
int segment_map(const char *dir, struct segment *s);
void segment_unmap(struct segment *s);

/* Unmaps and removes; durable. */
int segment_remove(const char *dir, struct segment *s);

/* Unmaps and renames to segment-NNNN.broken. */
int segment_set_aside(const char *dir, struct segment *s);

/* A fresh header with a new id, on the disk. 0 or -errno: it must be prepared again. */
int segment_prepare(struct segment *s, const uint8_t epoch[16]);

/* Activation of a prepared segment, by the thread that takes it. No system call. */
void segment_begin(struct segment *s, uint64_t serial, int64_t from_ms, int64_t until_ms,
		   int64_t since_ms);

static inline size_t
segment_record_bytes(size_t payload)
{
	return (8 + payload + 7) & ~(size_t)7;
}

bool segment_fits(const struct segment *s, size_t payload);
void segment_put(struct segment *s, const uint8_t *payload, size_t n);
/* Bytes that records may still take. */
size_t segment_left(const struct segment *s);
/* Takes the last record back, of n bytes of payload. */
void segment_take_back(struct segment *s, size_t n);

/* The header page with the bots, or the records from..to (offsets of records), to the disk. 0 or
 * -errno, which is counted. */
int segment_sync_header(const struct segment *s);
int segment_sync_records(const struct segment *s, size_t from, size_t to);

/* Makes the header page, the pages of the first `bots` places and `ahead` bytes behind `used`
 * present and writable, so that no worker waits for a page fault. */
void segment_prefault(const struct segment *s, size_t bots, size_t used, size_t ahead);

/* Gives the pages back; the file keeps its content. */
void segment_release(const struct segment *s);

/* Payload of the valid record at *at, which moves behind it; NULL at the end. */
const uint8_t *segment_record(const struct segment *s, size_t *at, size_t *ret_len);

/* Reads the header of a mapped segment that an earlier run left, finds its records and its ledger.
 * 0 with state, used, records, payload, ledger and lost set; -EBADMSG when it must be set aside;
 * -EPROTONOSUPPORT as journal_open says. */
int segment_load(struct segment *s);

/* Ledger of a closed segment, from its header and its bots. 0, -EBADMSG or -EPROTONOSUPPORT as of
 * segment_load. */
int segment_read_ledger(struct segment *s);

/* Records that its ledger counts and a walk to the end did not meet. */
uint64_t segment_lost(const struct segment *s, const struct segment_walk *w);

/* -- bots (journal_bots.c) -- */

/* Places that the segment has: SEGMENT_BOTS, or none. */
size_t segment_bot_places(const struct segment *s);
/* Place i, or NULL when it is not valid. */
struct segment_bot *segment_bot_at(const struct segment *s, size_t i);

#endif
