/* central_main.c -- the wiring of footfall-central: its stages, in the order in which
 * data passes them.
 *
 *   web ─▶ receive ─▶ store          batches, from nodes
 *   web ─▶ salts                     to nodes
 *   web ─▶ auth, query ─▶ store      questions, from people
 *
 * Sockets are opened first, then privileges given up, then the rest started.
 *
 * Threads: main waits for signals and tends the salts; all requests are answered by the HTTP
 * server's pool. Stopping goes the other way round: no more connections, running requests end, the
 * store closes last.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/embedded.h"
#include "base/file.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/passed.h"
#include "base/privileges.h"
#include "central/web.h"
#include "cli/central_accounts.h"
#include "cli/central_maintain.h"
#include "cli/central_query.h"
#include "cli/cli.h"

#define TEND_S 60 /* salts are destroyed within this time of their end */

struct central {
	struct store *store;
	struct auth *auth;
	struct salts *salts;
	struct receive *receive;
	struct maintain *maintain;
	struct query *query;
	struct web *web;
};

/* -- stages -- */

static int
open_directory(const struct conf *c)
{
	int err = file_make_dir(c->central_data_dir);

	if (err)
		log_error("cannot make the data directory", "dir=%s error=\"%s\"",
			  c->central_data_dir, strerror(-err));
	return err;
}

static int
open_calendar(const struct conf *c)
{
	int err = calendar_init(c->central_time_zone);

	if (err)
		log_error("the time zone is not in the tz database", "zone=%s",
			  c->central_time_zone);
	return err;
}

static int
open_auth(const struct conf *c, struct central *s)
{
	int err = auth_open(c->central_data_dir, c->central_session, &s->auth);

	if (!err)
		err = auth_make_local_token(s->auth);
	if (err)
		log_error("cannot use the accounts", "file=%s/access error=\"%s\"",
			  c->central_data_dir, strerror(-err));
	return err;
}

static int
open_salts(const struct conf *c, struct central *s)
{
	enum rotation rotation;

	if (!rotation_find(c->central_salt_rotation, &rotation))
		return -EINVAL; /* conf_load let nothing else pass */
	return salts_open(c->central_data_dir, rotation, wall_now().ms, &s->salts);
}

static int
start_web(const struct conf *c, struct central *s)
{
	struct web_parts parts = {.conf = c,
				  .store = s->store,
				  .salts = s->salts,
				  .auth = s->auth,
				  .query = s->query,
				  .receive = s->receive,
				  .maintain = s->maintain,
				  .pages = embedded_pages};

	return web_start(s->web, &parts);
}

/* Before any thread, and before anything that could fail without root. */
static int
open_sockets(struct cli *cli, struct central *s)
{
	int err = web_open(cli->conf, &s->web);

	if (!err)
		err = cli_become_user(cli);
	if (!err && privileges_are_root())
		log_warn("runs as root; central.user names a user to become", "user=%s", "root");
	return err;
}

static int
write_listen(const struct conf *c, const struct central *s)
{
	struct cli_listen line[HTTP_LISTEN_MAX] = {{"", ""}};
	const char *address;
	size_t n;
	int err;

	passed_close_rest();
	for (n = 0; n < HTTP_LISTEN_MAX && (address = web_address(s->web, n)); n++) {
		snprintf(line[n].name, sizeof(line[n].name), n ? "central%zu" : "central", n + 1);
		snprintf(line[n].address, sizeof(line[n].address), "%s", address);
		log_info("listening", "address=%s tls=%s", address,
			 c->central_tls_cert_file[0] ? "on" : "off");
	}
	err = cli_listen_write(c->central_data_dir, line, n);
	if (err)
		log_error("cannot write the listen file", "dir=%s error=\"%s\"",
			  c->central_data_dir, strerror(-err));
	return err;
}

static int
start(const struct conf *c, struct central *s)
{
	int err = open_directory(c);

	if (!err)
		err = open_calendar(c);
	if (!err)
		err = store_open(c, &s->store);
	if (!err)
		err = open_auth(c, s);
	if (!err)
		err = open_salts(c, s);
	if (!err)
		err = receive_new(s->store, &s->receive);
	if (!err)
		err = maintain_new(c, s->store, &s->maintain);
	if (!err)
		err = query_new(c, s->store, s->auth, &s->query);
	if (!err)
		err = start_web(c, s);
	if (!err)
		err = write_listen(c, s);
	return err;
}

static void
stop(const struct conf *c, struct central *s)
{
	if (s->store) /* which has the lock; else it is another central's */
		cli_listen_remove(c->central_data_dir);
	web_stop(s->web, c->central_drain);
	query_free(s->query);
	maintain_free(s->maintain);
	receive_free(s->receive);
	salts_close(s->salts);
	if (s->auth)
		auth_remove_local_token(s->auth);
	auth_close(s->auth);
	if (s->store)
		store_close(s->store);
}

/* -- running -- */

/* No setting of the central can be reloaded; say what a restart would change, or what is wrong. */
static void
reload(const struct cli *cli)
{
	struct conf *next = NULL;

	log_info("reload: the central's settings are read at start only; accounts need no reload",
		 "file=%s", cli->conf_path ? cli->conf_path : "");
	if (conf_load(cli->program, cli->conf_path, cli->overrides, cli->n_overrides, stderr,
		      &next))
		log_warn("the file has faults; the next start would fail", "file=%s",
			 cli->conf_path ? cli->conf_path : "");
	else
		conf_free(next);
}

static void
tend(struct central *s, bool *failing)
{
	struct salt salts[SALTS_MAX];
	int n = salts_current(s->salts, wall_now().ms, salts);

	if (n < 0 && !*failing)
		log_error("salts cannot be saved: none is given out", "error=\"%s\"", strerror(-n));
	*failing = n < 0;
	explicit_bzero(salts, sizeof(salts));
}

/* Returns the signal that ended it. */
static int
serve(struct cli *cli, struct central *s, const sigset_t *signals)
{
	const struct timespec pause = {TEND_S, 0};
	bool failing = false;
	int got;

	for (;;) {
		got = sigtimedwait(signals, NULL, &pause);
		if (got == SIGTERM || got == SIGINT)
			return got;
		if (got == SIGHUP) {
			notify_reloading();
			reload(cli);
			notify_ready();
		}
		tend(s, &failing);
	}
}

static void
take_signals(sigset_t *ret_signals)
{
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(ret_signals);
	sigaddset(ret_signals, SIGTERM);
	sigaddset(ret_signals, SIGINT);
	sigaddset(ret_signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, ret_signals,
			NULL); /* before any thread, so that all inherit it */
}

static int
run(struct cli *cli)
{
	struct central s = {0};
	sigset_t signals;
	int err, got;

	if (!cli_args_are(cli, 0, 0))
		return cli_usage(cli);
	take_signals(&signals);
	passed_init();
	err = open_sockets(cli, &s);
	if (!err)
		err = start(cli->conf, &s);
	if (!err) {
		web_set_ready(s.web, true);
		notify_ready();
		log_info("ready", "data_dir=%s time_zone=%s", cli->conf->central_data_dir,
			 cli->conf->central_time_zone);
		got = serve(cli, &s, &signals);
		log_info("stopping", "signal=%s", got == SIGINT ? "INT" : "TERM");
		notify_stopping();
	}
	stop(cli->conf, &s);
	if (err)
		return cli_fail(cli, "not started; the reason stands above");
	log_info("stopped", "clean=%s", "yes");
	return CLI_OK;
}

static int
check(struct cli *cli)
{
	bool verbose = cli_take_flag(cli, "-v");

	if (!cli_args_are(cli, 0, 0))
		return cli_usage(cli);
	if (conf_check_files(cli->conf, CONF_CENTRAL, stderr))
		return CLI_FAILED;
	if (verbose)
		conf_print(cli->conf, CONF_CENTRAL, stdout);
	return CLI_OK; /* faults were found before */
}

int
main(int argc, char **argv)
{
	static const struct cli_command commands[] = {
	    {"run", "", "Takes batches and answers, in the foreground, until SIGTERM.", false, run},
	    {"check", "[-v]", "Checks the configuration; -v prints all of it as it is in effect.",
	     false, check},
	    {"status", "", "Says how the running central and its nodes are.", false,
	     central_status},
	    {"query", CENTRAL_QUERY_ARGUMENTS, "Asks the running central.", false, central_query},
	    {"verify", "", "Computes all numbers again from the stored batches and compares.",
	     false, central_verify},
	    {"rebuild", "", "Makes all numbers anew from the stored batches.", false,
	     central_rebuild},
	    {"backup", "DIR", "Copies store and accounts to an empty directory.", false,
	     central_backup},
	    {"restore", "DIR", "Takes a backup back into an empty data directory.", false,
	     central_restore},
	    {"retain", "", "Removes what is older than retain_batches and retain_hours.", false,
	     central_retain},
	    {"node add", "NAME", "Adds a node and prints its token.", false, central_node_add},
	    {"node list", "", "Lists the nodes.", false, central_node_list},
	    {"node remove", "NAME", "Removes a node: its batches are taken no more.", false,
	     central_node_remove},
	    {"user add", "NAME", "Adds a user; the password is read from standard input.", false,
	     central_user_add},
	    {"user list", "", "Lists the users.", false, central_user_list},
	    {"user remove", "NAME", "Removes a user and ends their sessions.", false,
	     central_user_remove},
	    {"token add", "NAME --scope read", "Adds an API token and prints it.", false,
	     central_token_add},
	    {"token list", "", "Lists the API tokens.", false, central_token_list},
	    {"token remove", "NAME", "Removes an API token.", false, central_token_remove},
	    {NULL, NULL, NULL, false, NULL},
	};

	return cli_main(CONF_CENTRAL, "footfall-central", commands, argc, argv);
}
