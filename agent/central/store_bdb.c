/* Berkeley DB under data_dir/db: one environment, one file per table, one per month of batches.
 *
 * The environment is private to this process (its own lock on data_dir sees to that) and recovered
 * at every start. A commit is in the log, synced, before store_apply returns; pages follow with
 * checkpoints, every 32 MB of log, after which older log files go. data_dir/reserve is given up
 * when there is no room to recover, and made again when there is.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "central/store_bdb.h"

#define FORMAT 1
#define LOG_BUFFER (4u << 20)
#define LOG_FILE (32u << 20)
#define RESERVE_BYTES (32 << 20) /* a log file: recovery may begin one */

/* A batch of 100,000 events, each of its own content, was seen to lock 14,000 pages until it
 * commits; one of a million must pass as well, or it would be refused for ever. The table grows
 * as needed. */
#define LOCKS_MAX 1000000
#define LOCK_BUCKETS 16384 /* else 76 MB are taken at once for a million */

/* Two log files. Berkeley DB gets through a full disk, but has no way to go on when it meets one
 * while recovering; so it is not led there. */
#define ROOM_MIN (64u << 20)

/* The file system's block: a page torn by a power cut would be a damaged page. */
#define PAGE 4096

const char *const bdb_table_file[TABLE_N] = {
    [TABLE_ROLLUPS] = "rollups.db", [TABLE_APPLIED] = "applied.db", [TABLE_NODES] = "nodes.db",
    [TABLE_LEDGER] = "ledger.db",   [TABLE_TAGS] = "tags.db",       [TABLE_SITES] = "sites.db",
    [TABLE_META] = "meta.db",       [TABLE_BOTS] = "bots.db",
};

/* -- small helpers -- */

int
bdb_errno(struct store *s, int rc)
{
	if (rc == DB_RUNRECOVERY)
		atomic_store(&s->broken, true);
	return rc > 0 ? -rc : rc == 0 ? 0 : -EIO;
}

bool
store_is_broken(const struct store *s)
{
	return atomic_load(&s->broken);
}

DBT
bdb_in(const void *bytes, size_t len)
{
	/* Berkeley DB's type has no const; it only reads what it is given */
	return (DBT){.data = (void *)(uintptr_t)bytes,
		     .size = (uint32_t)len,
		     .ulen = (uint32_t)len,
		     .flags = DB_DBT_USERMEM};
}

DBT
bdb_out(void *buf, size_t cap)
{
	return (DBT){.data = buf, .ulen = (uint32_t)cap, .flags = DB_DBT_USERMEM};
}

/* -- what Berkeley DB has to say -- */

#define LINES_MAX 10 /* a minute: on a full disk it has one for every page and try */
#define MINUTE_US INT64_C(60000000)

static bool
worth_a_line(struct store *s)
{
	int64_t now = mono_now().us, since = atomic_load(&s->lines_since_us);

	if (now - since > MINUTE_US &&
	    atomic_compare_exchange_strong(&s->lines_since_us, &since, now))
		atomic_store(&s->lines, 0);
	return atomic_fetch_add(&s->lines, 1) < LINES_MAX;
}

static void
on_error(const DB_ENV *env, const char *prefix, const char *message)
{
	(void)prefix;
	if (worth_a_line(env->app_private))
		log_error("berkeley db", "says=\"%s\"", message);
}

static void
on_event(DB_ENV *env, uint32_t event, void *info)
{
	struct store *s = env->app_private;

	(void)info;
	if (event == DB_EVENT_PANIC && !atomic_exchange(&s->broken, true))
		log_error(
		    "store broken; nothing is stored or read until the next start recovers it",
		    "dir=%s", s->dir);
}

/* -- opening -- */

static int
env_settings(DB_ENV *env, const struct conf *c)
{
	uint64_t cache = (uint64_t)c->central_cache;
	int rc;

	if ((rc = env->set_cachesize(env, (uint32_t)(cache >> 30), (uint32_t)(cache & 0x3fffffff),
				     1)) ||
	    (rc = env->set_lg_bsize(env, LOG_BUFFER)) || (rc = env->set_lg_max(env, LOG_FILE)) ||
	    (rc = env->log_set_config(env, DB_LOG_AUTO_REMOVE, 1)) ||
	    (rc = env->set_lk_max_locks(env, LOCKS_MAX)) ||
	    (rc = env->set_lk_max_objects(env, LOCKS_MAX)) ||
	    (rc = env->set_lk_tablesize(env, LOCK_BUCKETS)) ||
	    /* of two that wait for each other, a reader gives way: it holds no write lock */
	    (rc = env->set_lk_detect(env, DB_LOCK_MINWRITE)))
		return rc;
	return env->set_event_notify(env, on_event);
}

static int
env_open(struct store *s, const struct conf *c)
{
	char home[PATH_MAX];
	int rc;

	if (snprintf(home, sizeof(home), "%s/db", s->dir) >= (int)sizeof(home))
		return ENAMETOOLONG;
	rc = db_env_create(&s->env, 0);
	if (rc)
		return rc;
	s->env->app_private = s;
	s->env->set_errcall(s->env, on_error);
	rc = env_settings(s->env, c);
	if (!rc)
		rc = s->env->open(s->env, home,
				  DB_INIT_TXN | DB_INIT_LOG | DB_INIT_LOCK | DB_INIT_MPOOL |
				      DB_THREAD | s->recover | DB_PRIVATE | DB_CREATE,
				  0600);
	return rc;
}

int
bdb_table_open(DB_ENV *env, const char *file, DB **ret_db)
{
	DB *db;
	int rc = db_create(&db, env, 0);

	if (rc)
		return rc;
	rc = db->set_pagesize(db, PAGE);
	if (!rc)
		rc = db->set_flags(db, DB_CHKSUM);
	if (!rc)
		rc = db->open(db, NULL, file, NULL, DB_BTREE,
			      DB_CREATE | DB_AUTO_COMMIT | DB_THREAD, 0600);
	if (rc) {
		db->close(db, DB_NOSYNC);
		return rc;
	}
	*ret_db = db;
	return 0;
}

static int
tables_open(struct store *s)
{
	unsigned i;
	int rc = 0;

	for (i = 0; i < TABLE_N && !rc; i++)
		rc = bdb_table_open(s->env, bdb_table_file[i], &s->table[i]);
	return rc;
}

static void
env_close(struct store *s)
{
	unsigned i;

	if (s->batches)
		s->batches->close(s->batches, DB_NOSYNC);
	s->batches = NULL;
	for (i = 0; i < TABLE_N; i++) {
		if (s->table[i])
			s->table[i]->close(s->table[i], DB_NOSYNC);
		s->table[i] = NULL;
	}
	if (s->env)
		s->env->close(s->env, 0);
	s->env = NULL;
}

void
bdb_month_file(int month, char ret_file[BDB_MONTH_FILE])
{
	snprintf(ret_file, BDB_MONTH_FILE, "batches-%04d-%02d.db", month / 12 % 10000,
		 month % 12 + 1);
}

int
bdb_open_month(struct store *s, int64_t arrival_ms)
{
	time_t t = (time_t)(arrival_ms / 1000);
	struct tm tm;
	char file[BDB_MONTH_FILE];
	DB *db;
	int month, rc;

	if (!gmtime_r(&t, &tm))
		return EINVAL;
	month = (tm.tm_year + 1900) * 12 + tm.tm_mon;
	if (s->batches && s->batches_month == month)
		return 0;
	bdb_month_file(month, file);
	rc = bdb_table_open(s->env, file, &db);
	if (rc)
		return rc;
	if (s->batches)
		s->batches->close(s->batches, 0);
	s->batches = db;
	s->batches_month = month;
	return 0;
}

/* -- the reserve -- */

static void
reserve_make(const char *dir)
{
	char path[PATH_MAX];
	int fd, err;

	if (snprintf(path, sizeof(path), "%s/reserve", dir) >= (int)sizeof(path))
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	err = posix_fallocate(fd, 0, RESERVE_BYTES);
	close(fd);
	if (err) {
		log_warn("no room for a reserve; a full disk may keep the store from opening",
			 "path=%s error=\"%s\"", path, strerror(err));
		unlink(path);
	}
}

/* True when there was one to give. */
static bool
reserve_release(const char *dir)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/reserve", dir) >= (int)sizeof(path) ||
	    unlink(path) < 0)
		return false;
	log_warn("store cannot be recovered; tried again with the reserve given up", "path=%s",
		 path);
	return true;
}

/* Log, pages and their copies in the log took 8 times a batch's bytes. */
bool
bdb_has_room(struct store *s, size_t body_len)
{
	struct statvfs fs;
	uint64_t need = ROOM_MIN + 8 * (uint64_t)body_len;
	bool room = statvfs(s->dir, &fs) < 0 || (uint64_t)fs.f_bavail * fs.f_frsize >= need;

	if (!room && !s->full)
		log_error("disk nearly full; batches are refused and stay with their nodes",
			  "dir=%s needed_bytes=%llu", s->dir, (unsigned long long)need);
	if (room && s->full)
		log_info("there is room again; batches are stored", "dir=%s", s->dir);
	s->full = !room;
	return room;
}

static int
open_all(struct store *s, const struct conf *c)
{
	int rc = env_open(s, c);

	if (!rc)
		rc = tables_open(s);
	/* recovery that finds no room for a page says nothing but that it wants recovery */
	if ((rc != ENOSPC && rc != DB_RUNRECOVERY) || !reserve_release(s->dir))
		return rc;
	env_close(s);
	atomic_store(&s->broken, false);
	atomic_store(&s->lines, 0);
	rc = env_open(s, c);
	return rc ? rc : tables_open(s);
}

/* -- what stands in meta -- */

int
bdb_meta_get(struct store *s, const char *name, void *buf, size_t cap, size_t *ret_len)
{
	DBT key = bdb_in(name, strlen(name)), value = bdb_out(buf, cap);
	int rc = s->table[TABLE_META]->get(s->table[TABLE_META], NULL, &key, &value, 0);

	*ret_len = rc ? 0 : value.size;
	return rc;
}

int
bdb_meta_put(struct store *s, DB_TXN *txn, const char *name, const void *bytes, size_t len)
{
	DBT key = bdb_in(name, strlen(name)), value = bdb_in(bytes, len);

	return s->table[TABLE_META]->put(s->table[TABLE_META], txn, &key, &value, 0);
}

/* A new store: all of it or nothing. */
static int
meta_create(struct store *s, const struct conf *c)
{
	uint8_t format[4], totals[BDB_RECORD_MAX];
	struct writer w = writer_of(format, sizeof(format));
	DB_TXN *txn;
	int rc = s->env->txn_begin(s->env, NULL, &txn, 0);

	if (rc)
		return rc;
	put_u32(&w, FORMAT);
	rc = bdb_meta_put(s, txn, "format", format, sizeof(format));
	if (!rc)
		rc = bdb_meta_put(s, txn, "time_zone", c->central_time_zone,
				  strlen(c->central_time_zone));
	if (!rc)
		rc = bdb_meta_put(s, txn, "totals", totals, bdb_totals_encode(&s->totals, totals));
	if (rc) {
		txn->abort(txn);
		return rc;
	}
	return txn->commit(txn, 0);
}

static int
meta_check_zone(struct store *s, const char *wanted)
{
	char zone[256];
	size_t len;
	int rc = bdb_meta_get(s, "time_zone", zone, sizeof(zone) - 1, &len);

	if (rc)
		return bdb_errno(s, rc);
	zone[len] = '\0';
	if (strcmp(zone, wanted) == 0)
		return 0;
	log_error("the roll-ups are of another time zone; set central.time_zone back to it",
		  "stored=%s configured=%s", zone, wanted);
	return -EINVAL;
}

static int
meta_load(struct store *s, const struct conf *c)
{
	uint8_t buf[BDB_RECORD_MAX];
	struct reader r;
	uint32_t format;
	size_t len;
	int rc = bdb_meta_get(s, "format", buf, sizeof(buf), &len);

	if (rc == DB_NOTFOUND)
		return bdb_errno(s, meta_create(s, c));
	if (rc)
		return bdb_errno(s, rc);
	r = reader_of(buf, len);
	format = get_u32(&r);
	if (r.bad || format != FORMAT) {
		log_error("the store was written by a later version", "format=%u known=%u", format,
			  (unsigned)FORMAT);
		return -EPROTONOSUPPORT;
	}
	rc = bdb_meta_get(s, "totals", buf, sizeof(buf), &len);
	if (rc)
		return bdb_errno(s, rc);
	if (!bdb_totals_decode(buf, len, &s->totals))
		return -EBADMSG;
	return meta_check_zone(s, c->central_time_zone);
}

/* -- life -- */

static int
directory_take(struct store *s)
{
	char path[PATH_MAX];
	int err;

	if (snprintf(path, sizeof(path), "%s/restoring", s->dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (s->recover == DB_RECOVER && access(path, F_OK) == 0) {
		log_error("a restore did not end; run it again, or remove this", "path=%s", path);
		return -EINVAL;
	}
	if (snprintf(path, sizeof(path), "%s/db/DB_CONFIG", s->dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	*strrchr(path, '/') = '\0';
	err = file_make_dir(path);
	if (!err)
		err = file_lock_dir(s->dir, &s->lock_fd);
	if (err)
		return err;
	path[strlen(path)] = '/';
	if (access(path, F_OK) < 0)
		return 0;
	log_error("a DB_CONFIG would overrule the settings; remove it", "path=%s", path);
	return -EINVAL;
}

int
bdb_close_env(struct store *s)
{
	int rc = s->env->txn_checkpoint(s->env, 0, 0, DB_FORCE);

	if (!rc)
		env_close(s);
	return rc;
}

static struct store *
store_new(const struct conf *c)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->lock_fd = -1;
	s->retry_window_ms = c->central_retry_window;
	s->dir = strdup(c->central_data_dir);
	s->value = malloc(ROLLUP_VALUE_MAX);
	pthread_mutex_init(&s->writer, NULL);
	pthread_mutex_init(&s->numbers, NULL);
	if (!s->dir || !s->value) {
		store_close(s);
		return NULL;
	}
	return s;
}

int
bdb_open(const struct conf *c, uint32_t recover, struct store **ret_store)
{
	struct store *s = store_new(c);
	int err;

	if (!s)
		return -ENOMEM;
	s->recover = recover;
	err = directory_take(s);
	if (!err)
		err = bdb_exchange_files(s);
	if (!err)
		err = bdb_errno(s, open_all(s, c));
	if (!err)
		err = meta_load(s, c);
	if (!err)
		err = bdb_exchange_totals(s);
	if (!err)
		err = bdb_errno(s, bdb_shadow_remove(s));
	if (err) {
		log_error("store not opened", "dir=%s error=\"%s\"", s->dir, strerror(-err));
		store_close(s);
		return err;
	}
	reserve_make(s->dir);
	*ret_store = s;
	return 0;
}

int
store_open(const struct conf *c, struct store **ret_store)
{
	return bdb_open(c, DB_RECOVER, ret_store);
}

void
store_close(struct store *s)
{
	if (!s)
		return;
	if (s->env && s->table[TABLE_META] && !atomic_load(&s->broken))
		s->env->txn_checkpoint(s->env, 0, 0, DB_FORCE);
	env_close(s);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_mutex_destroy(&s->writer);
	pthread_mutex_destroy(&s->numbers);
	free(s->value);
	free(s->dir);
	free(s);
}

void
store_stats(struct store *s, struct store_stats *ret_stats)
{
	pthread_mutex_lock(&s->numbers);
	*ret_stats = s->answers;
	ret_stats->batches = s->totals.batches;
	ret_stats->events = s->totals.events;
	ret_stats->bytes = s->totals.bytes;
	pthread_mutex_unlock(&s->numbers);
}
