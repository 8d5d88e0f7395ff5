#include "node/journal_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "stats/stats.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older kernels refuse it and pages fault one by one */
#endif

static const uint8_t magic[8] = {'F', 'F', 'j', 'o', 'u', 'r', 'n', 2};

static int
segment_path(const char *dir, const struct segment *s, const char *suffix, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/segment-%04u%s", dir, s->index, suffix);

	return n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

size_t
segment_names(char ret_names[SEGMENT_NAMES])
{
	size_t len = 0;
	unsigned i;

	for (i = 0; i < SOURCE_N; i++)
		len += (size_t)snprintf(ret_names + len, SEGMENT_NAMES - len, "%s%s", i ? " " : "",
					source_name((enum event_source)i));
	for (i = 0; i < REASON_N && len < SEGMENT_NAMES; i++)
		len += (size_t)snprintf(ret_names + len, SEGMENT_NAMES - len, "\n%s.%s",
					verdict_name(reason_verdict((enum reason)i)),
					reason_name((enum reason)i));
	return len;
}

static int
map_fd(struct segment *s, int fd, size_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	s->base = base;
	s->head = base;
	s->size = size;
	s->records_at = SEGMENT_RECORDS;
	return 0;
}

int
segment_create(const char *dir, struct segment *s, size_t bytes)
{
	char path[PATH_MAX];
	int fd = -1, err = segment_path(dir, s, "", path);

	segment_unmap(s);
	if (err)
		return err;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* posix_fallocate: on a full disk a store into a hole would be SIGBUS */
	if (ftruncate(fd, (off_t)bytes) < 0)
		err = -errno;
	if (!err)
		err = -posix_fallocate(fd, 0, (off_t)bytes);
	if (!err && fsync(fd) < 0)
		err = -errno;
	if (!err)
		err = map_fd(s, fd, bytes);
	if (err)
		unlink(path);
	close(fd);
	return err ? err : file_sync_dir(dir);
}

int
segment_map(const char *dir, struct segment *s)
{
	char path[PATH_MAX];
	struct stat st;
	int fd = -1, err = segment_path(dir, s, "", path);

	if (err)
		return err;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (st.st_size < (off_t)SEGMENT_PAGE)
		err = -ENODATA;
	else
		err = map_fd(s, fd, (size_t)st.st_size);
	close(fd);
	return err;
}

void
segment_unmap(struct segment *s)
{
	if (s->base)
		munmap(s->base, s->size);
	s->base = NULL;
	s->head = NULL;
	s->size = 0;
}

int
segment_remove(const char *dir, struct segment *s)
{
	char path[PATH_MAX];
	int err = segment_path(dir, s, "", path);

	if (!err && unlink(path) < 0 && errno != ENOENT)
		err = -errno;
	if (!err)
		err = file_sync_dir(dir);
	if (!err)
		segment_unmap(s);
	return err;
}

int
segment_set_aside(const char *dir, struct segment *s)
{
	char path[PATH_MAX], aside[PATH_MAX];
	int err = segment_path(dir, s, "", path);

	segment_unmap(s);
	if (!err)
		err = segment_path(dir, s, ".broken", aside);
	if (!err && rename(path, aside) < 0)
		err = -errno;
	return err ? err : file_sync_dir(dir);
}

static uint64_t
header_sum(const struct segment_header *h)
{
	uint64_t sum = hash_mix(h->id, h, offsetof(struct segment_header, sum));

	return hash_mix(sum, h->names, h->names_len);
}

static uint64_t
interval_sum(const struct segment_header *h)
{
	return hash_mix(h->id, &h->serial, 4 * sizeof(uint64_t));
}

int
segment_prepare(struct segment *s, const uint8_t epoch[16])
{
	struct segment_header *h = s->head;

	/* free before anything else changes: a header that is half new must not look like an
	 * open one */
	__atomic_store_n(&h->state, DISK_FREE, __ATOMIC_SEQ_CST);
	memset(&h->serial, 0, SEGMENT_PAGE - offsetof(struct segment_header, serial));
	memcpy(h->magic, magic, sizeof(magic));
	h->bots_bytes = (uint32_t)SEGMENT_BOTS_BYTES;
	s->records_at = SEGMENT_RECORDS;
	h->names_len = (uint32_t)segment_names(h->names);
	hash_random(&h->id, sizeof(h->id));
	h->bytes = s->size;
	memcpy(h->epoch, epoch, sizeof(h->epoch));
	h->sources = SOURCE_N;
	h->reasons = REASON_N;
	h->sum = header_sum(h);
	s->found = s->numbered = s->ledger_read = s->failed = false;
	s->synced = s->bots = s->used = s->payload = 0;
	s->records = 0;
	s->lost = 0;
	return segment_sync_header(s);
}

void
segment_begin(struct segment *s, uint64_t serial, int64_t from_ms, int64_t until_ms,
	      int64_t since_ms)
{
	struct segment_header *h = s->head;

	h->serial = serial;
	h->from_ms = from_ms;
	h->until_ms = until_ms;
	h->since_ms = since_ms;
	h->interval_sum = interval_sum(h);
	__atomic_store_n(&h->state, DISK_OPEN, __ATOMIC_RELEASE);
}

static uint32_t
record_sum(const struct segment *s, size_t at, const uint8_t *payload, size_t n)
{
	uint64_t h = hash_mix(s->head->id + at, payload, n);

	return (uint32_t)(h ^ h >> 32);
}

bool
segment_fits(const struct segment *s, size_t payload)
{
	return !s->failed && s->records < BATCH_EVENTS_MAX &&
	       s->payload + payload <= SEGMENT_DATA_MAX &&
	       segment_record_bytes(payload) <= segment_left(s);
}

size_t
segment_left(const struct segment *s)
{
	return s->size - s->records_at - s->used;
}

void
segment_put(struct segment *s, const uint8_t *payload, size_t n)
{
	uint8_t *at = s->base + s->records_at + s->used;
	uint32_t sum = record_sum(s, s->used, payload, n);

	memcpy(at + 8, payload, n);
	memset(at + 8 + n, 0, segment_record_bytes(n) - 8 - n);
	memcpy(at + 4, &sum, sizeof(sum));
	__atomic_store_n((uint32_t *)(void *)at, (uint32_t)n, __ATOMIC_RELEASE);
	/* counted after it is there, should the process die between the two */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	s->used += segment_record_bytes(n);
	s->records++;
	s->payload += n;
}

void
segment_take_back(struct segment *s, size_t n)
{
	s->used -= segment_record_bytes(n);
	s->records--;
	s->payload -= n;
	__atomic_store_n((uint32_t *)(void *)(s->base + s->records_at + s->used), 0,
			 __ATOMIC_RELEASE);
}

const uint8_t *
segment_record(const struct segment *s, size_t *at, size_t *ret_len)
{
	const size_t room = s->size - s->records_at;
	const uint8_t *record = s->base + s->records_at + *at;
	uint32_t len, sum;

	if (room - *at < 16)
		return NULL;
	memcpy(&len, record, sizeof(len));
	memcpy(&sum, record + 4, sizeof(sum));
	if (len == 0 || len > EVENT_PACKED_MAX || segment_record_bytes(len) > room - *at ||
	    sum != record_sum(s, *at, record + 8, len))
		return NULL;
	*at += segment_record_bytes(len);
	*ret_len = len;
	return record + 8;
}

static int
sync_range(const struct segment *s, size_t from, size_t to)
{
	from -= from % SEGMENT_PAGE;
	if (msync(s->base + from, to - from, MS_SYNC) == 0)
		return 0;
	stat_add(STAT_JOURNAL_SYNC_ERRORS, 1);
	return -errno;
}

int
segment_sync_header(const struct segment *s)
{
	return sync_range(s, 0, s->records_at);
}

int
segment_sync_records(const struct segment *s, size_t from, size_t to)
{
	return to > from ? sync_range(s, s->records_at + from, s->records_at + to) : 0;
}

void
segment_prefault(const struct segment *s, size_t bots, size_t used, size_t ahead)
{
	size_t places = bots * sizeof(struct segment_bot);
	size_t from = s->records_at + used, to = from + ahead;

	from -= from % SEGMENT_PAGE;
	if (to > s->size)
		to = s->size;
	/* only a hint: without it the worker's store faults */
	if (madvise(s->base, SEGMENT_PAGE + places, MADV_POPULATE_WRITE) == 0 && to > from)
		(void)madvise(s->base + from, to - from, MADV_POPULATE_WRITE);
}

void
segment_release(const struct segment *s)
{
	(void)madvise(s->base, s->size, MADV_DONTNEED);
}

/* -- what an earlier run left -- */

/* State, seq and counts change while the segment is open, so that no checksum stands over them;
 * with absurd ones no batch could be made, and every other segment would wait behind this one. */
static bool
header_is_sane(const struct segment_header *h)
{
	return h->serial > 0 && h->serial <= INT64_MAX && h->from_ms >= 0 &&
	       h->from_ms < h->until_ms && h->until_ms <= EVENT_TS_MAX_MS && h->since_ms >= 0 &&
	       h->since_ms <= EVENT_TS_MAX_MS && h->state <= DISK_SEALED &&
	       h->seq < BATCH_COUNT_MAX && h->udp_dropped <= BATCH_COUNT_MAX;
}

static int
check_header(const struct segment *s)
{
	const struct segment_header *h = s->head;

	if (memcmp(h->magic, magic, 7) != 0)
		return -EBADMSG;
	if (h->magic[7] > magic[7])
		return -EPROTONOSUPPORT;
	if (h->bots_bytes != (h->magic[7] > 1 ? SEGMENT_BOTS_BYTES : 0) ||
	    h->bots_bytes > s->size - SEGMENT_PAGE || h->names_len > SEGMENT_NAMES ||
	    h->sum != header_sum(h) || h->interval_sum != interval_sum(h) || !header_is_sane(h) ||
	    (uint64_t)h->sources * h->reasons > SEGMENT_COUNTS)
		return -EBADMSG;
	return 0;
}

static bool
page_is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, SEGMENT_PAGE - 1) == 0;
}

int
segment_load(struct segment *s)
{
	struct segment_walk w = {0};
	struct event e;
	int err = 0;

	s->state = SEGMENT_DIRTY;
	if (page_is_zero(s->base) || (memcmp(s->head->magic, magic, 7) == 0 &&
				      s->head->magic[7] <= magic[7] && s->head->state == DISK_FREE))
		return 0;
	err = check_header(s);
	if (err)
		return err;
	s->records_at = SEGMENT_PAGE + s->head->bots_bytes;
	err = segment_read_ledger(s);
	if (err)
		return err;
	s->used = s->size - s->records_at; /* how far they reach is what the walk finds */
	while (segment_next(s, &w, &e))
		;
	s->used = w.at;
	s->records = w.events;
	s->payload = w.payload;
	s->lost = segment_lost(s, &w);
	s->state = s->head->state == DISK_SEALED ? SEGMENT_HISTORY : SEGMENT_CLOSED;
	s->found = true;
	return 0;
}
