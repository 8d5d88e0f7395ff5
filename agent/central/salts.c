/* The file data_dir/salts (0600), little-endian:
 *
 *    0  8   "FFSALTS1"
 *    8  n   up to SALTS_MAX slots of SLOT_BYTES: id u32, from i64, until i64, destroy i64, key[16]
 *
 * It is replaced as a whole. A salt that is destroyed is first overwritten with zeros where it
 * stands and fsynced, since the blocks of a file that was replaced keep their bytes until they are
 * used again. (A file system that never writes in place defeats this; what remains then is a file
 * nobody can open any more.) A file that is no such file is an error: to make new salts silently
 * would split every visitor of the period in two.
 */
#include "central/salts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"

#define MAGIC "FFSALTS1"
#define HEAD_BYTES 8
#define SLOT_BYTES (4 + 3 * 8 + HASH_KEY_BYTES)
#define FILE_BYTES (HEAD_BYTES + SALTS_MAX * SLOT_BYTES)
#define MINUTE_MS 60000

struct salts {
	/* constant after start */
	char data_dir[PATH_MAX];
	char path[PATH_MAX];
	enum rotation rotation;

	/* guarded by lock */
	pthread_mutex_t lock;
	size_t n;
	struct salt salt[SALTS_MAX]; /* sorted by from_ms */
	bool unsaved; /* the last save failed: nothing is given out before one succeeds */
};

/* -- the file -- */

static int
salts_save(struct salts *s)
{
	uint8_t bytes[FILE_BYTES];
	struct writer w = writer_of(bytes, sizeof(bytes));
	size_t i;
	int err;

	put_bytes(&w, MAGIC, HEAD_BYTES);
	for (i = 0; i < s->n; i++) {
		put_u32(&w, s->salt[i].id);
		put_u64(&w, (uint64_t)s->salt[i].from_ms);
		put_u64(&w, (uint64_t)s->salt[i].until_ms);
		put_u64(&w, (uint64_t)s->salt[i].destroy_ms);
		put_bytes(&w, s->salt[i].key.bytes, HASH_KEY_BYTES);
	}
	err = file_replace(s->data_dir, "salts", bytes, w.len, 0600);
	sodium_memzero(bytes, sizeof(bytes));
	s->unsaved = err != 0;
	return err;
}

static bool
salts_parse(struct salts *s, const char *bytes, size_t len)
{
	struct reader r = reader_of(bytes, len);
	const uint8_t *magic = get_bytes(&r, HEAD_BYTES), *key;
	struct salt *x;

	if (!magic || memcmp(magic, MAGIC, HEAD_BYTES) != 0)
		return false;
	while (reader_left(&r) > 0) {
		if (s->n == SALTS_MAX)
			return false;
		x = &s->salt[s->n];
		x->id = get_u32(&r);
		x->from_ms = (int64_t)get_u64(&r);
		x->until_ms = (int64_t)get_u64(&r);
		x->destroy_ms = (int64_t)get_u64(&r);
		key = get_bytes(&r, HASH_KEY_BYTES);
		if (!key || x->from_ms >= x->until_ms || x->until_ms > x->destroy_ms)
			return false;
		memcpy(x->key.bytes, key, HASH_KEY_BYTES);
		if (!sodium_is_zero(key, HASH_KEY_BYTES)) /* else it was being destroyed */
			s->n++;
	}
	return !r.bad;
}

static int
salts_load(struct salts *s)
{
	char *bytes = NULL;
	size_t len = 0;
	int err;

	err = file_read_secret(s->path, FILE_BYTES, &bytes, &len);
	if (err == -ENOENT)
		return 0;
	if (err)
		return err;
	if (!salts_parse(s, bytes, len))
		err = -EBADMSG;
	sodium_memzero(bytes, len);
	free(bytes);
	return err;
}

/* Zeros over one key where it stands in the present file, found by its bytes: slots move. */
static int
salts_overwrite(const struct salts *s, const struct salt *gone)
{
	static const uint8_t zeros[HASH_KEY_BYTES];
	uint8_t slot[SLOT_BYTES];
	int fd = open(s->path, O_RDWR | O_CLOEXEC);
	off_t at;
	int err = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	for (at = HEAD_BYTES; pread(fd, slot, SLOT_BYTES, at) == SLOT_BYTES; at += SLOT_BYTES)
		if (memcmp(slot + SLOT_BYTES - HASH_KEY_BYTES, gone->key.bytes, HASH_KEY_BYTES) ==
			0 &&
		    pwrite(fd, zeros, sizeof(zeros), at + SLOT_BYTES - HASH_KEY_BYTES) !=
			(ssize_t)sizeof(zeros))
			err = -EIO;
	sodium_memzero(slot, sizeof(slot));
	if (!err && fsync(fd) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* -- which there are -- */

/* Over, or of another rotation or time zone: two salts for one moment would make nodes disagree. */
static bool
salt_is_over(const struct salts *s, const struct salt *x, int64_t now_ms)
{
	return now_ms >= x->destroy_ms ||
	       calendar_rotation_start(s->rotation, x->from_ms) != x->from_ms ||
	       calendar_rotation_next(s->rotation, x->from_ms) != x->until_ms;
}

static void
salts_drop(struct salts *s, size_t i)
{
	memmove(&s->salt[i], &s->salt[i + 1], (s->n - i - 1) * sizeof(s->salt[0]));
	s->n--;
	sodium_memzero(&s->salt[s->n], sizeof(s->salt[0]));
}

static int
salts_destroy_over(struct salts *s, int64_t now_ms, bool *ret_changed)
{
	size_t i = 0;
	int err;

	while (i < s->n) {
		if (!salt_is_over(s, &s->salt[i], now_ms)) {
			i++;
			continue;
		}
		err = salts_overwrite(s, &s->salt[i]);
		if (err)
			return err;
		salts_drop(s, i);
		*ret_changed = true;
	}
	return 0;
}

static bool
salts_have(const struct salts *s, int64_t from_ms)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->salt[i].from_ms == from_ms)
			return true;
	return false;
}

/* A clock that ran ahead may have filled the list with salts of days to come: those go first. */
static int
salts_make(struct salts *s, int64_t from_ms)
{
	struct salt fresh;
	size_t i;
	int err;

	if (s->n == SALTS_MAX) {
		err = salts_overwrite(s, &s->salt[s->n - 1]);
		if (err)
			return err;
		salts_drop(s, s->n - 1);
	}
	fresh.from_ms = from_ms;
	fresh.until_ms = calendar_rotation_next(s->rotation, from_ms);
	fresh.destroy_ms = fresh.until_ms + SALTS_KEPT_MS;
	fresh.id = (uint32_t)(from_ms / MINUTE_MS) & 0x7fffffff; /* minutes: enough until 6053 */
	hash_key_random(&fresh.key);
	for (i = s->n; i > 0 && s->salt[i - 1].from_ms > from_ms; i--)
		s->salt[i] = s->salt[i - 1];
	s->salt[i] = fresh;
	s->n++;
	sodium_memzero(&fresh, sizeof(fresh));
	return 0;
}

static int
salts_tend(struct salts *s, int64_t now_ms)
{
	int64_t today = calendar_rotation_start(s->rotation, now_ms);
	int64_t tomorrow = calendar_rotation_next(s->rotation, today);
	bool changed = s->unsaved;
	int err;

	err = salts_destroy_over(s, now_ms, &changed);
	if (!err && !salts_have(s, tomorrow)) {
		changed = true;
		err = salts_make(s, tomorrow);
	}
	if (!err && !salts_have(s, today)) {
		changed = true;
		err = salts_make(s, today);
	}
	if (changed && !err)
		err = salts_save(s);
	else if (err)
		s->unsaved = true;
	return err;
}

/* -- front door -- */

int
salts_open(const char *data_dir, enum rotation r, int64_t now_ms, struct salts **ret_salts)
{
	struct salts *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->rotation = r;
	if (snprintf(s->data_dir, sizeof(s->data_dir), "%s", data_dir) >=
		(int)sizeof(s->data_dir) ||
	    snprintf(s->path, sizeof(s->path), "%s/salts", data_dir) >= (int)sizeof(s->path))
		err = -ENAMETOOLONG;
	else
		err = salts_load(s);
	if (!err)
		err = salts_tend(s, now_ms);
	if (err) {
		log_error("salts cannot be used", "file=%s/salts error=\"%s\"", data_dir,
			  strerror(-err));
		salts_close(s);
		return err;
	}
	*ret_salts = s;
	return 0;
}

void
salts_close(struct salts *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	sodium_memzero(s, sizeof(*s));
	free(s);
}

int
salts_current(struct salts *s, int64_t now_ms, struct salt ret_salts[SALTS_MAX])
{
	int result;

	pthread_mutex_lock(&s->lock);
	result = salts_tend(s, now_ms);
	if (result == 0) {
		memcpy(ret_salts, s->salt, s->n * sizeof(s->salt[0]));
		result = (int)s->n;
	}
	pthread_mutex_unlock(&s->lock);
	return result;
}
