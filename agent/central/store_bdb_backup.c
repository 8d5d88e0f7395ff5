/* Backup and restore.
 *
 *   DIR/db/     the tables and log files, as Berkeley DB copies them while they are in use: each page
 *               whole, but of different moments; the log brings them to one moment when it is replayed
 *   DIR/access  the accounts
 *   DIR/BACKUP  written last: without it this is no backup
 *
 * Log files are not removed while tables are being copied, since those copied first need what was
 * logged until the last one is. Restoring copies DIR, then replays all of the log
 * (DB_RECOVER_FATAL): pages of the copy are older than the last checkpoint that the log speaks of.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/file.h"
#include "base/log.h"
#include "central/store_bdb.h"
#include "central/store_care.h"

#define COPY_BYTES (1u << 20)
#define ACCESS_BYTES (16u << 20)

struct copying {
	const struct store_progress *progress;
	uint64_t done, total;
};

static int
path_join(char ret_path[PATH_MAX], const char *dir, const char *name)
{
	return snprintf(ret_path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int
copied(struct copying *c, size_t n)
{
	c->done += n;
	if (c->progress && c->progress->tell &&
	    c->progress->tell(c->progress->ctx, c->done, c->total))
		return ECANCELED;
	return 0;
}

/* -- directories -- */

/* Calls for every name but . and ..; stops at the first result that is not 0. */
typedef int name_fn(void *ctx, const char *dir, const char *name);

static int
each_name(const char *dir, name_fn *each, void *ctx)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	int err = 0;

	if (!d)
		return -errno;
	while (!err && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			err = each(ctx, dir, e->d_name);
	closedir(d);
	return err;
}

static int
refuse_any(void *ctx, const char *dir, const char *name)
{
	(void)ctx;
	(void)dir;
	(void)name;
	return -EEXIST;
}

static int
add_size(void *ctx, const char *dir, const char *name)
{
	uint64_t *sum = ctx;
	char path[PATH_MAX];
	struct stat st;

	if (path_join(path, dir, name) == 0 && stat(path, &st) == 0)
		*sum += (uint64_t)st.st_size;
	return 0;
}

static int
remove_one(void *ctx, const char *dir, const char *name)
{
	char path[PATH_MAX];
	int err = path_join(path, dir, name);

	(void)ctx;
	if (!err && unlink(path) < 0)
		err = -errno;
	return err;
}

/* There, and empty. */
static int
make_empty(const char *dir)
{
	int err = file_make_dir(dir);

	return err ? err : each_name(dir, refuse_any, NULL);
}

/* -- what Berkeley DB has copied: written by us, so that it is synced, counted and can be
 * stopped -- */

static int
target_open(DB_ENV *env, const char *name, const char *dir, void **ret_handle)
{
	char path[PATH_MAX];
	int *fd;

	(void)env;
	if (path_join(path, dir, name))
		return ENAMETOOLONG;
	fd = malloc(sizeof(*fd));
	if (!fd)
		return ENOMEM;
	*fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (*fd < 0) {
		free(fd);
		return errno;
	}
	*ret_handle = fd;
	return 0;
}

static int
target_write(DB_ENV *env, u_int32_t gbytes, u_int32_t bytes, u_int32_t n, u_int8_t *buf,
	     void *handle)
{
	struct store *s = env->app_private;
	const int *fd = handle;
	off_t at = (off_t)gbytes << 30 | (off_t)bytes;

	while (n > 0) {
		ssize_t done = pwrite(*fd, buf, n, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? errno : EIO;
		buf += done;
		at += done;
		n -= (u_int32_t)done;
		if (copied(s->copying, (size_t)done))
			return ECANCELED;
	}
	return 0;
}

static int
target_close(DB_ENV *env, const char *name, void *handle)
{
	int *fd = handle, rc = fsync(*fd) < 0 ? errno : 0;

	(void)env;
	(void)name;
	close(*fd);
	free(fd);
	return rc;
}

/* -- backup -- */

static int
copy_store(struct store *s, const char *into, struct copying *c)
{
	int rc = s->env->set_backup_callbacks(s->env, target_open, target_write, target_close);
	int on_rc;

	if (!rc)
		rc = s->env->log_set_config(s->env, DB_LOG_AUTO_REMOVE, 0);
	if (rc)
		return rc;
	s->copying = c;
	rc = s->env->txn_checkpoint(s->env, 0, 0, DB_FORCE);
	if (!rc)
		rc = s->env->backup(s->env, into, 0);
	s->copying = NULL;
	on_rc = s->env->log_set_config(s->env, DB_LOG_AUTO_REMOVE, 1);
	return rc ? rc : on_rc;
}

static int
copy_access(const char *from, const char *into)
{
	char path[PATH_MAX], *bytes;
	size_t len;
	int err = path_join(path, from, "access");

	if (!err)
		err = file_read_secret(path, ACCESS_BYTES, &bytes, &len);
	if (err)
		return err == -ENOENT ? 0 : err;
	err = file_replace(into, "access", bytes, len, 0600);
	free(bytes);
	return err;
}

static int
write_label(struct store *s, const char *dir)
{
	char label[256];
	struct store_stats stats;
	int n;

	store_stats(s, &stats);
	n = snprintf(label, sizeof(label),
		     "footfall-central backup 1\nended_ms=%lld\nbatches=%llu\n",
		     (long long)wall_now().ms, (unsigned long long)stats.batches);
	return file_replace(dir, "BACKUP", label, (size_t)n, 0600);
}

int
store_backup(struct store *s, const char *dir, const struct store_progress *progress)
{
	struct copying c = {.progress = progress};
	char into[PATH_MAX], from[PATH_MAX];
	int err = path_join(into, dir, "db");

	if (!err)
		err = path_join(from, s->dir, "db");
	if (!err)
		err = make_empty(dir);
	if (!err)
		err = file_make_dir(into);
	if (!err)
		err = each_name(from, add_size, &c.total);
	if (!err)
		err = bdb_errno(s, copy_store(s, into, &c));
	if (!err)
		err = file_sync_dir(into);
	if (!err)
		err = copy_access(s->dir, dir);
	return err ? err : write_label(s, dir);
}

/* -- restore -- */

static int
copy_bytes(int from, int to, struct copying *c)
{
	uint8_t *buf = malloc(COPY_BYTES);
	ssize_t n = 1;
	int err = buf ? 0 : -ENOMEM;

	while (!err && n > 0) {
		n = read(from, buf, COPY_BYTES);
		if (n < 0)
			err = -errno;
		else if (n > 0)
			err = file_write_all(to, buf, (size_t)n);
		if (!err && n > 0)
			err = -copied(c, (size_t)n);
	}
	if (!err && fsync(to) < 0)
		err = -errno;
	free(buf);
	return err;
}

struct restoring {
	struct copying copying;
	char into[PATH_MAX];
};

static int
copy_file(void *ctx, const char *dir, const char *name)
{
	struct restoring *r = ctx;
	char source[PATH_MAX], target[PATH_MAX];
	int from = -1, to = -1, err = path_join(source, dir, name);

	if (!err)
		err = path_join(target, r->into, name);
	if (err)
		return err;
	from = open(source, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return -errno;
	to = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	err = to < 0 ? -errno : copy_bytes(from, to, &r->copying);
	close(from);
	if (to >= 0)
		close(to);
	return err;
}

/* An interrupted restore's files go; anybody else's are refused. */
static int
make_room(const char *data_dir, const char *into)
{
	char marker[PATH_MAX];
	int err = path_join(marker, data_dir, "restoring");

	if (err)
		return err;
	if (access(marker, F_OK) == 0 && access(into, F_OK) == 0)
		err = each_name(into, remove_one, NULL);
	if (!err)
		err = make_empty(into);
	return err ? err : file_replace(data_dir, "restoring", "", 0, 0600);
}

static int
copy_back(const char *data_dir, const char *dir, const struct store_progress *progress)
{
	struct restoring r = {.copying = {.progress = progress}};
	char from[PATH_MAX], have[PATH_MAX];
	int err = path_join(from, dir, "db");

	if (!err)
		err = path_join(r.into, data_dir, "db");
	if (!err)
		err = path_join(have, data_dir, "access");
	if (!err)
		err = make_room(data_dir, r.into);
	if (!err)
		err = each_name(from, add_size, &r.copying.total);
	if (!err)
		err = each_name(from, copy_file, &r);
	CRASH_POINT("restore_copied");
	if (!err)
		err = file_sync_dir(r.into);
	if (!err && access(have, F_OK) < 0)
		err = copy_access(dir, data_dir);
	return err;
}

/* Replays the log, and leaves a store that opens like any other. */
static int
recover(const struct conf *c)
{
	char marker[PATH_MAX];
	struct store *s;
	int err = bdb_open(c, DB_RECOVER_FATAL, &s);

	if (err)
		return err;
	store_close(s);
	CRASH_POINT("restore_recovered");
	err = path_join(marker, c->central_data_dir, "restoring");
	if (!err && unlink(marker) < 0)
		err = -errno;
	return err ? err : file_sync_dir(c->central_data_dir);
}

int
store_restore(const struct conf *c, const char *dir, const struct store_progress *progress)
{
	char label[PATH_MAX];
	int lock_fd, err = path_join(label, dir, "BACKUP");

	if (!err && access(label, R_OK) < 0)
		err = -errno;
	if (err) {
		log_error("no backup", "file=%s error=\"%s\"", label, strerror(-err));
		return err;
	}
	err = file_make_dir(c->central_data_dir);
	if (!err)
		err = file_lock_dir(c->central_data_dir, &lock_fd);
	if (err)
		return err;
	err = copy_back(c->central_data_dir, dir, progress);
	close(lock_fd);
	return err ? err : recover(c);
}

int
store_open_copy(const struct conf *c, struct store **ret_store)
{
	return bdb_open(c, DB_RECOVER_FATAL, ret_store);
}
