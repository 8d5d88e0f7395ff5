/* The file state_dir/salts, 0600, 576 bytes, little-endian, always written as a whole in place:
 *
 *   0   8   "ffsalts1"
 *   8   56  zero
 *   64  8 slots of 64: u32 id, u32 1 if in use, i64 from_ms, i64 until_ms, i64 destroy_ms,
 *           16 key, u64 hash_mix of the 48 bytes before, 8 zero
 *
 * In place, since a file written aside and renamed would leave the old one's salts in blocks that
 * nobody overwrites. A slot lies within one sector and has its own checksum, so that a torn write
 * costs the slots that were being changed; a slot that is not valid is taken as empty.
 */
#include "node/visitor.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/event.h"
#include "stats/stats.h"

#define SLOT_BYTES 64
#define SLOT_CHECKED 48
#define FILE_BYTES (SLOT_BYTES * (1 + VISITOR_SALTS_MAX))
#define OWN_KEEP_MS (48 * HOUR_MS)     /* as long as the central keeps its own */
#define OWN_AHEAD_MS (600 * SECOND_MS) /* some calls of visitor_salts_tend before midnight */
#define SALT_WORDS 5                   /* what readers need: id, period, key */

static const char magic[] = "ffsalts1";

struct visitor_salts {
	/* guarded by lock */
	pthread_mutex_t lock;
	int fd;
	struct visitor_salt salt[VISITOR_SALTS_MAX];
	size_t n;
	bool unsaved; /* the file could not be written and is tried again */
	/* what readers see: a copy under a sequence number, odd while it is being changed.
	 * All words are atomic and acquired, so that a reader that met a change sees a
	 * changed number. */
	_Atomic uint32_t sequence;
	_Atomic uint64_t word[VISITOR_SALTS_MAX][SALT_WORDS];
};

/* -- readers -- */

struct found {
	uint32_t id;
	struct hash_key key;
};

static void
salt_to_words(const struct visitor_salt *s, uint64_t w[SALT_WORDS])
{
	w[0] = (uint64_t)s->id << 1 | 1;
	w[1] = (uint64_t)s->from_ms;
	w[2] = (uint64_t)s->until_ms;
	memcpy(&w[3], s->key.bytes, sizeof(s->key.bytes));
}

static uint64_t
word_get(const struct visitor_salts *s, unsigned i, unsigned k)
{
	return atomic_load_explicit(&s->word[i][k], memory_order_acquire);
}

static bool
covers(int64_t from_ms, int64_t until_ms, int64_t t_ms)
{
	return t_ms >= from_ms && t_ms < until_ms;
}

/* How well a salt suits: the period of the event's own time before the current one, the central's
 * before our own, and whatever there is before nothing. */
static int
salt_rank(uint32_t id, int64_t from_ms, int64_t until_ms, int64_t ts_ms, int64_t now_ms)
{
	int central = (id & VISITOR_OWN_SALT) == 0;

	if (covers(from_ms, until_ms, ts_ms))
		return 4 + central;
	if (covers(from_ms, until_ms, now_ms))
		return 2 + central;
	return 1;
}

static unsigned
salt_best(const struct visitor_salts *s, int64_t ts_ms, int64_t now_ms)
{
	int64_t from, until, best_until = 0;
	int rank, best_rank = 0;
	unsigned i, best = 0;
	uint64_t id;

	for (i = 0; i < VISITOR_SALTS_MAX; i++) {
		id = word_get(s, i, 0);
		if (!(id & 1))
			continue;
		from = (int64_t)word_get(s, i, 1);
		until = (int64_t)word_get(s, i, 2);
		rank = salt_rank((uint32_t)(id >> 1), from, until, ts_ms, now_ms);
		if (rank > best_rank || (rank == best_rank && until > best_until)) {
			best = i;
			best_rank = rank;
			best_until = until;
		}
	}
	return best;
}

static struct found
salt_find(const struct visitor_salts *s, int64_t ts_ms, int64_t now_ms)
{
	struct found found;
	uint32_t before, after;
	uint64_t key[2];
	unsigned best;

	for (;;) {
		before = atomic_load_explicit(&s->sequence, memory_order_acquire);
		best = salt_best(s, ts_ms, now_ms);
		found.id = (uint32_t)(word_get(s, best, 0) >> 1);
		key[0] = word_get(s, best, 3);
		key[1] = word_get(s, best, 4);
		after = atomic_load_explicit(&s->sequence, memory_order_acquire);
		if (before == after && before % 2 == 0)
			break;
		sched_yield(); /* a change takes a microsecond and comes once a minute at most */
	}
	memcpy(found.key.bytes, key, sizeof(key));
	return found;
}

static uint64_t
hash_under(const struct hash_key *key, const uint8_t head[16], struct text tail)
{
	uint8_t input[16 + EVENT_USER_AGENT_MAX] UNZEROED;
	uint64_t h;

	if (tail.len > EVENT_USER_AGENT_MAX)
		tail.len = EVENT_USER_AGENT_MAX;
	memcpy(input, head, 16);
	if (tail.len > 0)
		memcpy(input + 16, tail.at, tail.len);
	h = hash_sip(key, input, 16 + tail.len);
	return h ? h : 1;
}

uint64_t
visitor_hash(const struct visitor_salts *s, int64_t ts_ms, int64_t now_ms,
	     const struct client_addr *addr, struct text ua, uint32_t *ret_salt_id)
{
	struct found salt = salt_find(s, ts_ms, now_ms);

	*ret_salt_id = salt.id;
	return hash_under(&salt.key, addr->ip, ua);
}

uint64_t
visitor_session(const struct visitor_salts *s, int64_t ts_ms, int64_t now_ms, struct text session)
{
	/* stands where the address does, and is none that the Internet routes */
	static const uint8_t head[16] = "footfall session";
	struct found salt = salt_find(s, ts_ms, now_ms);

	return hash_under(&salt.key, head, session);
}

/* -- the table, under lock -- */

static void
publish(struct visitor_salts *s, int64_t now_ms)
{
	uint32_t sequence = atomic_load_explicit(&s->sequence, memory_order_relaxed);
	uint64_t w[SALT_WORDS];
	struct found current;
	size_t i;
	unsigned k;

	atomic_store_explicit(&s->sequence, sequence + 1, memory_order_relaxed);
	for (i = 0; i < VISITOR_SALTS_MAX; i++) {
		memset(w, 0, sizeof(w));
		if (i < s->n)
			salt_to_words(&s->salt[i], w);
		for (k = 0; k < SALT_WORDS; k++)
			atomic_store_explicit(&s->word[i][k], w[k], memory_order_release);
	}
	atomic_store_explicit(&s->sequence, sequence + 2, memory_order_release);
	sodium_memzero(w, sizeof(w));
	current = salt_find(s, now_ms, now_ms);
	stat_set(STAT_SALT_OWN, (current.id & VISITOR_OWN_SALT) != 0);
	sodium_memzero(&current, sizeof(current));
}

static void
drop(struct visitor_salts *s, size_t i)
{
	s->n--;
	s->salt[i] = s->salt[s->n];
	sodium_memzero(&s->salt[s->n], sizeof(s->salt[s->n]));
}

static void
add(struct visitor_salts *s, const struct visitor_salt *salt)
{
	size_t i, oldest = 0;

	if (s->n == VISITOR_SALTS_MAX) {
		for (i = 1; i < s->n; i++)
			if (s->salt[i].until_ms < s->salt[oldest].until_ms)
				oldest = i;
		drop(s, oldest);
	}
	s->salt[s->n++] = *salt;
}

static bool
drop_expired(struct visitor_salts *s, int64_t now_ms)
{
	size_t i = 0, before = s->n;

	while (i < s->n)
		if (now_ms >= s->salt[i].destroy_ms)
			drop(s, i);
		else
			i++;
	return s->n != before;
}

/* A salt of our own for the UTC day of t_ms, unless some salt covers it. Its id is the day's
 * number, so that the period can be told from the id. */
static bool
cover(struct visitor_salts *s, int64_t t_ms)
{
	int64_t day = t_ms / DAY_MS - (t_ms % DAY_MS < 0);
	struct visitor_salt own = {.id = VISITOR_OWN_SALT | ((uint32_t)day & ~VISITOR_OWN_SALT),
				   .from_ms = day * DAY_MS,
				   .until_ms = (day + 1) * DAY_MS,
				   .destroy_ms = (day + 1) * DAY_MS + OWN_KEEP_MS};
	size_t i;

	for (i = 0; i < s->n; i++)
		if (covers(s->salt[i].from_ms, s->salt[i].until_ms, t_ms))
			return false;
	hash_key_random(&own.key);
	add(s, &own);
	sodium_memzero(&own, sizeof(own));
	return true;
}

/* -- the file -- */

static void
slot_put(struct writer *w, const struct visitor_salt *s)
{
	static const uint8_t zero[SLOT_BYTES];
	size_t start = w->len;

	if (!s) {
		put_bytes(w, zero, SLOT_BYTES);
		return;
	}
	put_u32(w, s->id);
	put_u32(w, 1);
	put_u64(w, (uint64_t)s->from_ms);
	put_u64(w, (uint64_t)s->until_ms);
	put_u64(w, (uint64_t)s->destroy_ms);
	put_bytes(w, s->key.bytes, sizeof(s->key.bytes));
	put_u64(w, hash_mix(0, w->base + start, SLOT_CHECKED));
	put_bytes(w, zero, 8);
}

static bool
slot_get(const uint8_t *slot, struct visitor_salt *ret_salt)
{
	struct reader r = reader_of(slot, SLOT_BYTES);
	bool used;

	ret_salt->id = get_u32(&r);
	used = get_u32(&r) == 1;
	ret_salt->from_ms = (int64_t)get_u64(&r);
	ret_salt->until_ms = (int64_t)get_u64(&r);
	ret_salt->destroy_ms = (int64_t)get_u64(&r);
	memcpy(ret_salt->key.bytes, get_bytes(&r, HASH_KEY_BYTES), HASH_KEY_BYTES);
	return used && get_u64(&r) == hash_mix(0, slot, SLOT_CHECKED);
}

static int
save(struct visitor_salts *s)
{
	uint8_t bytes[FILE_BYTES] = {0};
	struct writer w = writer_of(bytes, sizeof(bytes));
	ssize_t done;
	size_t i;
	int err = 0;

	put_bytes(&w, magic, 8);
	w.len = SLOT_BYTES;
	for (i = 0; i < VISITOR_SALTS_MAX; i++)
		slot_put(&w, i < s->n ? &s->salt[i] : NULL);
	do
		done = pwrite(s->fd, bytes, sizeof(bytes), 0);
	while (done < 0 && errno == EINTR);
	if (done < 0)
		err = -errno;
	else if ((size_t)done < sizeof(bytes))
		err = -ENOSPC;
	if (!err && fdatasync(s->fd) < 0)
		err = -errno;
	sodium_memzero(bytes, sizeof(bytes));
	return err;
}

static void
load(struct visitor_salts *s)
{
	uint8_t bytes[FILE_BYTES] = {0};
	struct visitor_salt salt;
	size_t i;

	if (pread(s->fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) &&
	    memcmp(bytes, magic, 8) == 0)
		for (i = 1; i <= VISITOR_SALTS_MAX; i++)
			if (slot_get(bytes + i * SLOT_BYTES, &salt))
				add(s, &salt);
	sodium_memzero(bytes, sizeof(bytes));
	sodium_memzero(&salt, sizeof(salt));
}

static int
file_open(const char *state_dir, int *ret_fd)
{
	char path[4096];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/salts", state_dir) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

/* -- life cycle and the forwarder's calls -- */

int
visitor_salts_open(const char *state_dir, int64_t now_ms, struct visitor_salts **ret_salts)
{
	struct visitor_salts *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	err = file_open(state_dir, &s->fd);
	if (err) {
		free(s);
		return err;
	}
	pthread_mutex_init(&s->lock, NULL);
	load(s);
	drop_expired(s, now_ms);
	cover(s, now_ms);
	err = save(s);
	publish(s, now_ms);
	if (err) {
		visitor_salts_close(s);
		return err;
	}
	*ret_salts = s;
	return 0;
}

void
visitor_salts_close(struct visitor_salts *s)
{
	if (!s)
		return;
	close(s->fd);
	pthread_mutex_destroy(&s->lock);
	sodium_memzero(s, sizeof(*s));
	free(s);
}

/* A salt of the central's replaces those of the central that it shares time with: after the central
 * was set up anew, its old salts must not win. Others stay until they are to be destroyed, for
 * events that come late. */
static void
take(struct visitor_salts *s, const struct visitor_salt *salt)
{
	size_t i = 0;

	while (i < s->n)
		if (!(s->salt[i].id & VISITOR_OWN_SALT) && salt->from_ms < s->salt[i].until_ms &&
		    s->salt[i].from_ms < salt->until_ms)
			drop(s, i);
		else
			i++;
	add(s, salt);
}

int
visitor_salts_set(struct visitor_salts *s, const struct visitor_salt *salts, size_t n,
		  int64_t now_ms)
{
	size_t i;
	int err;

	if (n > VISITOR_SALTS_MAX)
		return -EINVAL;
	for (i = 0; i < n; i++)
		if ((salts[i].id & VISITOR_OWN_SALT) || salts[i].from_ms >= salts[i].until_ms)
			return -EINVAL;
	pthread_mutex_lock(&s->lock);
	drop_expired(s, now_ms);
	for (i = 0; i < n; i++)
		if (now_ms < salts[i].destroy_ms)
			take(s, &salts[i]);
	cover(s, now_ms);
	publish(s, now_ms);
	err = save(s);
	s->unsaved = err != 0;
	pthread_mutex_unlock(&s->lock);
	return err;
}

void
visitor_salts_tend(struct visitor_salts *s, int64_t now_ms)
{
	bool changed;
	int err = 0;

	pthread_mutex_lock(&s->lock);
	changed = drop_expired(s, now_ms);
	changed |= cover(s, now_ms);
	changed |= cover(s, now_ms + OWN_AHEAD_MS);
	publish(s, now_ms);
	if (changed || s->unsaved)
		err = save(s);
	if (err && !s->unsaved)
		log_warn("salts cannot be saved; visitors will be new ones after a restart",
			 "errno=%d", -err);
	s->unsaved = err != 0;
	pthread_mutex_unlock(&s->lock);
}
