/* state_dir/spool/<epoch, 32 hex>-<seq, 20 digits>.batch   a batch body as batch.h has it
 *                 .<name>.tmp                              an unfinished write: removed at open
 *                 broken/<name>, broken/<name>.why         set aside, and the reason as a line
 *
 * A file is valid when batch_name_get says so (its checksum covers every byte of the frame) and the
 * identity inside is that of its name. spool_put fsyncs the file before the rename, so that the
 * name never stands for less than the whole, and the directory after it, so that the name is there
 * when the segment is released. spool_remove fsyncs nothing: a file that comes back after a power
 * cut is sent again, and the central has it already.
 */
#include "node/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/crash_point.h"
#include "base/file.h"
#include "base/log.h"
#include "node/spool_index.h"
#include "stats/stats.h"

#define NAME_BYTES 64 /* 32 + 1 + 20 + 6 and a NUL */
#define FILE_MAX ((size_t)BATCH_DOCUMENT_MAX + BATCH_HEAD_BYTES)

struct spool {
	/* constant after open */
	char dir[PATH_MAX], broken_dir[PATH_MAX];
	uint64_t max, shed_at;
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool woken;
	struct spool_index index;
	/* atomic; written under lock */
	_Atomic uint64_t bytes, broken_bytes;
	atomic_uint count, broken;
};

/* -- names -- */

static void
make_name(const uint8_t epoch[16], uint64_t seq, char ret_name[NAME_BYTES])
{
	char hex[33];

	text_from_bytes(epoch, 16, hex);
	snprintf(ret_name, NAME_BYTES, "%s-%020llu.batch", hex, (unsigned long long)seq);
}

static bool
parse_name(const char *name, uint8_t ret_epoch[16], uint64_t *ret_seq)
{
	char again[NAME_BYTES];

	if (strlen(name) != 59 || !text_to_bytes((struct text){name, 32}, ret_epoch, 16))
		return false;
	*ret_seq = strtoull(name + 33, NULL, 10);
	make_name(ret_epoch, *ret_seq, again);
	/* no batch could have the number behind a larger one */
	return *ret_seq < BATCH_COUNT_MAX && strcmp(name, again) == 0;
}

static int
join(char path[PATH_MAX], const char *dir, const char *name)
{
	return snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* -- what is known -- */

static void
note_levels(struct spool *s)
{
	stat_set(STAT_SPOOL_BYTES, atomic_load(&s->bytes));
	stat_set(STAT_SPOOL_BATCHES, atomic_load(&s->count));
}

static int
note_file(struct spool *s, const uint8_t epoch[16], uint64_t seq, uint64_t bytes)
{
	struct spool_entry e = {.seq = seq, .bytes = bytes};
	int err = spool_index_see(&s->index, epoch, seq, &e.epoch);

	if (!err)
		err = spool_index_reserve(&s->index);
	if (err)
		return err;
	spool_index_add(&s->index, &e);
	s->bytes += bytes;
	s->count++;
	note_levels(s);
	return 0;
}

static void
forget_file(struct spool *s, const struct spool_entry *e)
{
	s->bytes -= e->bytes;
	s->count--;
	spool_index_remove(&s->index, e);
	note_levels(s);
}

/* -- open -- */

struct found {
	char name[NAME_BYTES];
	int64_t modified_ns;
	uint64_t bytes;
};

static int
by_age(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->modified_ns != y->modified_ns)
		return x->modified_ns < y->modified_ns ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int
set_aside(struct spool *s, const char *name, uint64_t bytes, const char *why)
{
	char from[PATH_MAX], to[PATH_MAX], why_name[NAME_BYTES + 300];
	int err = join(from, s->dir, name);

	if (!err)
		err = join(to, s->broken_dir, name);
	if (!err && rename(from, to) < 0)
		err = -errno;
	if (err)
		return err;
	snprintf(why_name, sizeof(why_name), "%s.why", name);
	(void)file_replace(s->broken_dir, why_name, why, strlen(why), 0600);
	s->broken++;
	s->broken_bytes += bytes;
	stat_add(STAT_SPOOL_SET_ASIDE, 1);
	log_error("batch set aside as broken; it is not counted until somebody repairs it",
		  "file=spool/broken/%s", name);
	return file_sync_dir(s->dir);
}

static int
add_found(struct found **list, size_t *n, const char name[NAME_BYTES], const struct stat *st)
{
	struct found *grown;

	if ((*n & (*n - 1)) == 0) { /* a power of two: full */
		grown = realloc(*list, (*n ? 2 * *n : 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		*list = grown;
	}
	(*list)[*n] = (struct found){
	    .modified_ns = st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec,
	    .bytes = (uint64_t)st->st_size,
	};
	memcpy((*list)[*n].name, name, NAME_BYTES);
	++*n;
	return 0;
}

static int
look_at(struct spool *s, int dir_fd, const char *name, struct found **list, size_t *n)
{
	size_t len = strlen(name);
	char proper[NAME_BYTES] = "";
	uint8_t epoch[16];
	struct stat st;
	uint64_t seq;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (name[0] == '.' && len > 4 && strcmp(name + len - 4, ".tmp") == 0)
		return unlinkat(dir_fd, name, 0) < 0 ? -errno : 0;
	if (parse_name(name, epoch, &seq)) {
		make_name(epoch, seq, proper);
		return add_found(list, n, proper, &st);
	}
	(void)set_aside(s, name, (uint64_t)st.st_size, "its name is none of a batch");
	return 0;
}

/* Epochs are ordered by their oldest file, so files are noted in the order of their age. */
static int
read_dir(struct spool *s)
{
	DIR *dir = opendir(s->dir);
	struct found *list = NULL;
	uint8_t epoch[16];
	struct dirent *d;
	size_t n = 0, i;
	uint64_t seq;
	int err = 0;

	if (!dir)
		return -errno;
	while (!err && (d = readdir(dir)))
		err = look_at(s, dirfd(dir), d->d_name, &list, &n);
	closedir(dir);
	if (n > 1)
		qsort(list, n, sizeof(*list), by_age);
	for (i = 0; !err && i < n; i++)
		if (parse_name(list[i].name, epoch, &seq))
			err = note_file(s, epoch, seq, list[i].bytes);
	free(list);
	return err;
}

static int
read_broken(struct spool *s)
{
	DIR *dir = opendir(s->broken_dir);
	uint8_t epoch[16];
	struct dirent *d;
	struct stat st;
	uint32_t place;
	uint64_t seq;
	int err = 0;

	if (!dir)
		return -errno;
	s->broken = 0; /* what read_dir has moved here is seen again */
	s->broken_bytes = 0;
	while (!err && (d = readdir(dir))) {
		size_t len = strlen(d->d_name);

		if (fstatat(dirfd(dir), d->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode))
			continue;
		s->broken_bytes += (uint64_t)st.st_size;
		s->broken += len < 4 || strcmp(d->d_name + len - 4, ".why") != 0;
		if (parse_name(d->d_name, epoch, &seq))
			err = spool_index_see(&s->index, epoch, seq, &place);
	}
	closedir(dir);
	return err;
}

int
spool_open(const struct conf *c, struct spool **ret_spool)
{
	struct spool *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;
	int err;

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	s->max = (uint64_t)c->batch_spool_max;
	s->shed_at = s->max - s->max / 16;
	err = join(s->dir, c->node_state_dir, "spool");
	if (!err)
		err = join(s->broken_dir, s->dir, "broken");
	if (!err)
		err = file_make_dir(s->broken_dir);
	if (!err)
		err = read_dir(s);
	if (!err)
		err = read_broken(s);
	if (err)
		spool_close(s);
	else
		*ret_spool = s;
	return err;
}

void
spool_close(struct spool *s)
{
	if (!s)
		return;
	spool_index_fini(&s->index);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* -- the sealer's part -- */

/* 0 when the file is whole and what its name says; else -EBADMSG or why it cannot be read. */
static int
read_batch(const struct spool *s, const char *name, const uint8_t epoch[16], uint64_t seq,
	   struct batch_id *ret_id, char **ret_body, size_t *ret_len)
{
	char path[PATH_MAX], *body = NULL;
	struct batch_name n;
	struct text frame;
	size_t len = 0;
	int err = join(path, s->dir, name);

	if (!err)
		err = file_read(path, FILE_MAX, &body, &len);
	if (err)
		return err;
	err = batch_name_get((const uint8_t *)body, len, &n, &frame);
	if (!err && (memcmp(n.id.epoch, epoch, 16) != 0 || n.id.seq != seq))
		err = -EBADMSG;
	if (err) {
		free(body);
		return err;
	}
	*ret_id = n.id;
	*ret_body = body;
	*ret_len = len;
	return 0;
}

static bool
is_there(struct spool *s, const struct batch_id *id, const char *name)
{
	struct batch_id found;
	char *body = NULL;
	bool known;
	size_t len;

	pthread_mutex_lock(&s->lock);
	known = spool_index_find(&s->index, id->epoch, id->seq) != NULL;
	pthread_mutex_unlock(&s->lock);
	if (!known || read_batch(s, name, id->epoch, id->seq, &found, &body, &len) < 0)
		return false;
	free(body);
	return true;
}

static bool
has_room(const struct spool *s, size_t len)
{
	return atomic_load(&s->bytes) + atomic_load(&s->broken_bytes) + len <= s->max &&
	       atomic_load(&s->count) < SPOOL_FILES_MAX;
}

static int
note_put(struct spool *s, const struct batch_id *id, size_t len)
{
	const struct spool_entry *old;
	int err;

	pthread_mutex_lock(&s->lock);
	old = spool_index_find(&s->index, id->epoch, id->seq);
	if (old) /* it was unreadable, and is replaced */
		forget_file(s, old);
	err = note_file(s, id->epoch, id->seq, len);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	return err;
}

int
spool_put(struct spool *s, const struct batch_id *id, const void *body, size_t len)
{
	char name[NAME_BYTES], path[PATH_MAX];
	int err;

	make_name(id->epoch, id->seq, name);
	if (is_there(s, id, name))
		return 0;
	if (!has_room(s, len))
		return -EDQUOT;
	err = join(path, s->dir, name);
	if (!err)
		err = file_replace(s->dir, name, body, len, 0600);
	if (!err)
		err = note_put(s, id, len);
	if (err)
		unlink(path);
	return err;
}

/* -- the forwarder's part -- */

static bool
first(struct spool *s, struct spool_entry *ret_entry, uint8_t ret_epoch[16])
{
	bool any;

	pthread_mutex_lock(&s->lock);
	any = s->index.entries_n > 0;
	if (any) {
		*ret_entry = s->index.entries[0];
		memcpy(ret_epoch, s->index.epochs[ret_entry->epoch].id, 16);
	}
	pthread_mutex_unlock(&s->lock);
	return any;
}

static int
move_aside(struct spool *s, const uint8_t epoch[16], uint64_t seq, const char *why)
{
	const struct spool_entry *e;
	char name[NAME_BYTES];
	int err = -ENOENT;

	make_name(epoch, seq, name);
	pthread_mutex_lock(&s->lock);
	e = spool_index_find(&s->index, epoch, seq);
	if (e) {
		err = set_aside(s, name, e->bytes, why);
		if (!err || err == -ENOENT)
			forget_file(s, e);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

int
spool_oldest(struct spool *s, struct batch_id *ret_id, char **ret_body, size_t *ret_len)
{
	struct spool_entry e;
	uint8_t epoch[16];
	char name[NAME_BYTES];
	int err;

	while (first(s, &e, epoch)) {
		make_name(epoch, e.seq, name);
		err = read_batch(s, name, epoch, e.seq, ret_id, ret_body, ret_len);
		if (!err || err == -ENOMEM || err == -EMFILE || err == -ENFILE)
			return err;
		err = move_aside(s, epoch, e.seq,
				 err == -EBADMSG ? "checksum or name wrong" : "cannot be read");
		if (err && err != -ENOENT)
			return err;
	}
	return -ENOENT;
}

/* Reads the directory, if there is anything in it: somebody may have cleared it up meanwhile. */
uint64_t
spool_lowest(const struct spool *s, const struct batch_id *id)
{
	DIR *dir = spool_broken(s) ? opendir(s->broken_dir) : NULL;
	uint64_t lowest = id->seq, seq;
	uint8_t epoch[16];
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (parse_name(d->d_name, epoch, &seq) && seq < lowest &&
		    memcmp(epoch, id->epoch, sizeof(epoch)) == 0)
			lowest = seq;
	if (dir)
		closedir(dir);
	return lowest;
}

int
spool_remove(struct spool *s, const struct batch_id *id)
{
	const struct spool_entry *e;
	char name[NAME_BYTES], path[PATH_MAX];
	int err;

	make_name(id->epoch, id->seq, name);
	err = join(path, s->dir, name);
	CRASH_POINT("spool_before_remove");
	if (!err && unlink(path) < 0 && errno != ENOENT)
		err = -errno;
	CRASH_POINT("spool_after_remove");
	if (err)
		return err;
	pthread_mutex_lock(&s->lock);
	e = spool_index_find(&s->index, id->epoch, id->seq);
	if (e)
		forget_file(s, e);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

int
spool_set_aside(struct spool *s, const struct batch_id *id, const char *why)
{
	return move_aside(s, id->epoch, id->seq, why);
}

/* -- levels, and waiting -- */

bool
spool_full(const struct spool *s)
{
	return atomic_load_explicit(&s->bytes, memory_order_relaxed) +
		       atomic_load_explicit(&s->broken_bytes, memory_order_relaxed) >=
		   s->shed_at ||
	       atomic_load_explicit(&s->count, memory_order_relaxed) >=
		   SPOOL_FILES_MAX - SPOOL_FILES_MAX / 16;
}

uint64_t
spool_bytes(const struct spool *s)
{
	return atomic_load_explicit(&s->bytes, memory_order_relaxed);
}

uint32_t
spool_count(const struct spool *s)
{
	return atomic_load_explicit(&s->count, memory_order_relaxed);
}

uint32_t
spool_broken(const struct spool *s)
{
	return atomic_load_explicit(&s->broken, memory_order_relaxed);
}

uint64_t
spool_last_seq(const struct spool *s, const uint8_t epoch[16])
{
	return spool_index_last(&s->index, epoch);
}

void
spool_wait(struct spool *s, int64_t timeout_ms)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (timeout_ms % 1000) * 1000000;
	until.tv_sec += timeout_ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&s->lock);
	while (!err && !s->woken && s->index.entries_n == 0)
		err = pthread_cond_timedwait(&s->wake, &s->lock, &until);
	s->woken = false;
	pthread_mutex_unlock(&s->lock);
}

void
spool_wake(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
	s->woken = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}
