#include "cli/central_maintain.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/privileges.h"
#include "central/maintain.h"
#include "cli/central_client.h"
#include "cli/cli_progress.h"

#define ASK_AGAIN_NS 50000000 /* 50 ms */

/* -- is there a central on this directory -- */

/* 1: one runs, 0: none, or -errno. */
static int
is_running(const struct conf *c)
{
	int fd, err;

	if (access(c->central_data_dir, F_OK) < 0)
		return -errno;
	err = file_lock_dir(c->central_data_dir, &fd);
	if (err == -EWOULDBLOCK)
		return 1;
	if (!err)
		close(fd);
	return err;
}

static int
prepare(const struct cli *cli)
{
	int err = calendar_init(cli->conf->central_time_zone);

	if (err)
		return cli_fail(cli, "%s: not in the tz database", cli->conf->central_time_zone);
	return CLI_OK;
}

static int
refuse_running(const struct cli *cli)
{
	int running = is_running(cli->conf);

	if (running > 0)
		return cli_fail(cli, "a central runs on %s; stop it first",
				cli->conf->central_data_dir);
	if (running < 0 && running != -ENOENT)
		return cli_fail(cli, "%s: %s", cli->conf->central_data_dir, strerror(-running));
	return CLI_OK;
}

/* -- work that the running central does -- */

/* The state of the job that ended well, or NULL. */
static json_t *
follow(struct cli *cli, json_t *state, struct cli_progress *bar)
{
	const struct timespec pause = {0, ASK_AGAIN_NS};
	int result;

	while (state && json_is_true(json_object_get(state, "running"))) {
		cli_progress_tell(bar, (uint64_t)json_integer_value(json_object_get(state, "done")),
				  (uint64_t)json_integer_value(json_object_get(state, "total")));
		json_decref(state);
		nanosleep(&pause, NULL);
		state = client_get(cli, "/api/v1/maintain");
	}
	cli_progress_end(bar);
	result = (int)json_integer_value(json_object_get(state, "result"));
	if (!result)
		return state;
	cli_fail(cli, "%s failed: %s%s", bar->what, strerror(-result),
		 strcmp(bar->what, "backup") == 0 && (result == -EROFS || result == -EACCES)
		     ? "; the running central writes it, where its unit and user let it write"
		     : "");
	json_decref(state);
	return NULL;
}

static json_t *
ask_for(struct cli *cli, const char *job, const char *dir)
{
	json_t *question = json_pack("{s:s,s:s*}", "job", job, "dir", dir);
	char *body = question ? json_dumps(question, JSON_COMPACT) : NULL;
	struct cli_progress bar;
	json_t *state = NULL;

	cli_progress_init(&bar, job);
	if (body)
		state = follow(cli, client_post(cli, "/api/v1/maintain/start", body), &bar);
	else
		cli_fail(cli, "out of memory");
	free(body);
	json_decref(question);
	return state;
}

/* -- verify -- */

static void
print_difference(void *ctx, const struct store_difference *d)
{
	(void)ctx;
	printf("%s %s: stored %s, recomputed %s\n", d->where, d->field, d->stored, d->recomputed);
}

static int
print_verified(const struct store_verified *v, int64_t us)
{
	printf("%llu batches with %llu events, %llu records compared in %.1f s",
	       (unsigned long long)v->batches, (unsigned long long)v->events,
	       (unsigned long long)(v->rows - v->kept_rows), (double)us / 1e6);
	if (v->kept_rows)
		printf(", %llu older than the batches that are kept",
		       (unsigned long long)v->kept_rows);
	if (v->differences)
		printf(": %llu differences; footfall-central rebuild makes all anew\n",
		       (unsigned long long)v->differences);
	else
		printf(": no difference\n");
	return v->differences ? CLI_FAILED : CLI_OK;
}

static int
verify(struct cli *cli, struct store *s)
{
	const struct store_report report = {print_difference, NULL};
	int64_t began = mono_now().us;
	struct store_verified sum;
	struct cli_progress bar;
	int err;

	cli_progress_init(&bar, "verify");
	err = store_verify(s, &report, &(struct store_progress){cli_progress_tell, &bar}, &sum);
	cli_progress_end(&bar);
	if (err)
		return cli_fail(cli, "not verified: %s", strerror(-err));
	return print_verified(&sum, mono_now().us - began);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void
remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int
verify_copy(struct cli *cli, char *copy)
{
	struct conf conf = *cli->conf;
	int code = CLI_FAILED, err = file_make_dir(copy);
	struct store *s;
	json_t *state;

	if (err)
		return cli_fail(cli, "%s: %s", copy, strerror(-err));
	state = ask_for(cli, "backup", copy);
	if (!state)
		return CLI_FAILED;
	json_decref(state);
	conf.central_data_dir = copy;
	err = store_open_copy(&conf, &s);
	if (err)
		return cli_fail(cli, "the copy cannot be opened: %s", strerror(-err));
	code = verify(cli, s);
	store_close(s);
	return code;
}

/* The central goes on meanwhile; the copy is of one moment. */
static int
verify_running(struct cli *cli)
{
	char tmp[PATH_MAX], copy[PATH_MAX];
	int lock_fd, err, code;

	if (!realpath(cli->conf->central_data_dir, tmp) || strlen(tmp) + 16 > sizeof(copy))
		return cli_fail(cli, "%s: %s", cli->conf->central_data_dir, strerror(errno));
	memcpy(tmp + strlen(tmp), "/tmp", sizeof("/tmp"));
	snprintf(copy, sizeof(copy), "%.*s/verify", (int)sizeof(copy) - 16, tmp);
	err = file_make_dir(tmp);
	if (!err)
		err = file_lock_dir(tmp, &lock_fd);
	if (err == -EWOULDBLOCK)
		return cli_fail(cli, "another verify is running");
	if (err)
		return cli_fail(cli, "%s: %s", tmp, strerror(-err));
	remove_tree(copy); /* of a verify that was killed */
	code = verify_copy(cli, copy);
	remove_tree(copy);
	close(lock_fd);
	return code;
}

static int
verify_stopped(struct cli *cli)
{
	struct store *s;
	int code;

	if (store_open(cli->conf, &s))
		return cli_fail(cli, "the store cannot be opened; the reason stands above");
	code = verify(cli, s);
	store_close(s);
	return code;
}

/* For what can be done inside the running central and beside a stopped one. */
static int
either_way(struct cli *cli, int (*if_running)(struct cli *cli), int (*if_stopped)(struct cli *cli))
{
	int running;

	if (!cli_args_are(cli, 0, 0))
		return cli_usage(cli);
	if (prepare(cli))
		return CLI_FAILED;
	running = is_running(cli->conf);
	if (running < 0)
		return cli_fail(cli, "%s: %s", cli->conf->central_data_dir, strerror(-running));
	return running ? if_running(cli) : if_stopped(cli);
}

int
central_verify(struct cli *cli)
{
	return either_way(cli, verify_running, verify_stopped);
}

/* -- rebuild -- */

int
central_rebuild(struct cli *cli)
{
	struct store_verified sum;
	struct cli_progress bar;
	int err;

	if (!cli_args_are(cli, 0, 0))
		return cli_usage(cli);
	if (prepare(cli) || refuse_running(cli))
		return CLI_FAILED;
	cli_progress_init(&bar, "rebuild");
	err = store_rebuild(cli->conf, &(struct store_progress){cli_progress_tell, &bar}, &sum);
	cli_progress_end(&bar);
	if (err)
		return cli_fail(cli, "not rebuilt: %s", strerror(-err));
	printf("rebuilt from %llu batches with %llu events\n", (unsigned long long)sum.batches,
	       (unsigned long long)sum.events);
	return CLI_OK;
}

/* -- backup and restore -- */

static int
backup_stopped(struct cli *cli, const char *dir)
{
	char text[PRIVILEGES_ERROR_MAX];
	struct cli_progress bar;
	struct store *s;
	int err;

	if (store_open(cli->conf, &s))
		return cli_fail(cli, "the store cannot be opened; the reason stands above");
	cli_progress_init(&bar, "backup");
	err = store_backup(s, dir, &(struct store_progress){cli_progress_tell, &bar});
	cli_progress_end(&bar);
	store_close(s);
	return err ? cli_fail(cli, "%s: no backup: %s", dir, privileges_strerror(err, text))
		   : CLI_OK;
}

/* A central with a /tmp of its own (PrivateTmp= of its unit) may have the directory there, too, and
 * writes where nobody finds it. */
static int
see_backup(struct cli *cli, const char *dir)
{
	char path[PATH_MAX + sizeof("/BACKUP")];

	snprintf(path, sizeof(path), "%s/BACKUP", dir);
	if (access(path, F_OK) < 0)
		return cli_fail(cli, "no backup: the running central has another %s than this one",
				dir);
	return CLI_OK;
}

static int
backup_to(struct cli *cli, const char *dir)
{
	int running = is_running(cli->conf);
	json_t *state;

	if (running < 0)
		return cli_fail(cli, "%s: %s", cli->conf->central_data_dir, strerror(-running));
	if (!running)
		return backup_stopped(cli, dir);
	state = ask_for(cli, "backup", dir);
	if (!state)
		return CLI_FAILED;
	json_decref(state);
	return see_backup(cli, dir);
}

int
central_backup(struct cli *cli)
{
	char dir[PATH_MAX], text[PRIVILEGES_ERROR_MAX];
	int err;

	if (!cli_args_are(cli, 1, 1))
		return cli_usage(cli);
	if (prepare(cli))
		return CLI_FAILED;
	err = file_make_dir(cli->arg[0]); /* the running central has another working directory */
	if (err || !realpath(cli->arg[0], dir))
		return cli_fail(cli, "%s: %s", cli->arg[0],
				privileges_strerror(err ? err : -errno, text));
	if (backup_to(cli, dir))
		return CLI_FAILED;
	printf("backed up to %s\n", dir);
	return CLI_OK;
}

int
central_restore(struct cli *cli)
{
	char text[PRIVILEGES_ERROR_MAX];
	struct cli_progress bar;
	int err;

	if (!cli_args_are(cli, 1, 1))
		return cli_usage(cli);
	if (prepare(cli) || refuse_running(cli))
		return CLI_FAILED;
	cli_progress_init(&bar, "restore");
	err = store_restore(cli->conf, cli->arg[0],
			    &(struct store_progress){cli_progress_tell, &bar});
	cli_progress_end(&bar);
	if (err == -EEXIST)
		return cli_fail(cli, "%s holds a store already", cli->conf->central_data_dir);
	if (err)
		return cli_fail(cli, "%s: not restored: %s", cli->arg[0],
				privileges_strerror(err, text));
	printf("restored from %s\n", cli->arg[0]);
	return verify_stopped(cli);
}

/* -- retain -- */

static void
print_retained(uint64_t months, uint64_t batches, uint64_t rows)
{
	printf("removed %llu months with %llu batches, %llu rows of hours\n",
	       (unsigned long long)months, (unsigned long long)batches, (unsigned long long)rows);
}

static int
retain_running(struct cli *cli)
{
	json_t *state = ask_for(cli, "retain", NULL), *r = json_object_get(state, "retained");

	if (!state)
		return CLI_FAILED;
	print_retained((uint64_t)json_integer_value(json_object_get(r, "months")),
		       (uint64_t)json_integer_value(json_object_get(r, "batches")),
		       (uint64_t)json_integer_value(json_object_get(r, "rows")));
	json_decref(state);
	return CLI_OK;
}

static int
retain_stopped(struct cli *cli)
{
	struct store_retained sum;
	struct cli_progress bar;
	struct store *s;
	int err;

	if (store_open(cli->conf, &s))
		return cli_fail(cli, "the store cannot be opened; the reason stands above");
	cli_progress_init(&bar, "retain");
	err =
	    maintain_retain(cli->conf, s, &(struct store_progress){cli_progress_tell, &bar}, &sum);
	cli_progress_end(&bar);
	store_close(s);
	if (err)
		return cli_fail(cli, "not all removed: %s", strerror(-err));
	print_retained(sum.months, sum.batches, sum.rows);
	return CLI_OK;
}

int
central_retain(struct cli *cli)
{
	return either_way(cli, retain_running, retain_stopped);
}
