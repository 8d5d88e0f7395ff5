/* agent_main.c -- the wiring of footfall-agent: its stages, in the order in which data passes them.
 *
 *   ingest_http ┐
 *               ├▶ admit ─▶ journal ═▶ seal ═▶ spool ═▶ forward ═▶ the central
 *   ingest_udp  ┘
 *
 * Threads: main waits for signals. One worker per http.workers and one for datagrams, each with its
 * own journal writer; one accepter; one sealer; one forwarder; the admin endpoint's. Sockets are
 * opened first and privileges given up (clients wait meanwhile); then starting goes from right to
 * left, so that nothing is taken in before there is somewhere to put it; stopping from left to
 * right, so that everything taken in is sealed and, if the central answers, sent.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/passed.h"
#include "base/privileges.h"
#include "cli/agent_commands.h"
#include "cli/cli.h"
#include "node/admin.h"
#include "node/admit.h"
#include "node/forward.h"
#include "node/ingest_http.h"
#include "node/ingest_udp.h"
#include "node/journal.h"
#include "node/seal.h"
#include "node/spool.h"
#include "node/visitor.h"
#include "stats/stats.h"

#define FORWARD_DRAIN_MS 5000    /* what is not sent by then is sent after the next start, */
#define FORWARD_HANDOVER_MS 1000 /* which is soon when clients wait in passed sockets */
#define OTHER_FILES 64           /* descriptors beside connections: sockets, libraries, journal */

struct agent {
	int lock_fd;
	struct spool *spool;
	struct journal *journal;
	struct visitor_salts *salts;
	struct admit *admit;
	struct admit_worker **worker; /* of HTTP; the last one is of UDP */
	size_t n_workers;
	struct sealer *sealer;
	struct forwarder *forwarder;
	struct admin *admin;
	struct ingest_udp *udp;
	struct ingest_http *http;
	struct batch_id epoch;
};

/* -- sockets, before any thread and before privileges are given up -- */

static int
open_sockets(const struct conf *c, struct agent *a)
{
	int err = admin_open(c, &a->admin);

	if (!err)
		err = ingest_udp_open(c, &a->udp);
	if (!err)
		err = ingest_http_open(c, &a->http);
	return err;
}

/* SIGHUP reads the settings again, as the user that the agent is by then. */
static int
become_user(const struct cli *cli)
{
	int err = cli_become_user(cli);

	if (err)
		return err;
	if (privileges_are_root())
		log_warn("runs as root; node.user names a user to become", "user=%s", "root");
	else if (cli->conf_path && access(cli->conf_path, R_OK) < 0)
		log_warn("the settings cannot be read again: a reload will be refused",
			 "file=%s error=\"%s\"", cli->conf_path, strerror(errno));
	return 0;
}

/* -- stages, as they start -- */

static int
take_state_dir(const struct conf *c, struct agent *a)
{
	int err = file_make_dir(c->node_state_dir);

	if (!err)
		err = file_lock_dir(c->node_state_dir, &a->lock_fd);
	if (err)
		log_error("cannot use the state directory", "dir=%s error=\"%s\"",
			  c->node_state_dir,
			  err == -EWOULDBLOCK ? "another agent runs on it" : strerror(-err));
	return err;
}

static int
open_spool(const struct conf *c, struct agent *a)
{
	int err = spool_open(c, &a->spool);

	if (err)
		log_error("cannot open the spool", "dir=%s/spool error=\"%s\"", c->node_state_dir,
			  strerror(-err));
	return err;
}

static int
open_journal(const struct conf *c, struct agent *a)
{
	struct journal_found found = {0};
	unsigned writers = (unsigned)c->http_workers + 1;
	int err = journal_open(c, a->spool, writers, wall_now(), &a->journal, &found);

	if (err) {
		log_error("cannot open the journal", "dir=%s/journal error=\"%s\"",
			  c->node_state_dir, strerror(-err));
		return err;
	}
	journal_last(a->journal, &a->epoch);
	log_info("journal opened",
		 "records=%llu unsealed=%u history=%u torn=%u broken=%u lost=%llu",
		 (unsigned long long)found.records, found.unsealed, found.history, found.torn,
		 found.broken, (unsigned long long)found.lost);
	return 0;
}

static int
open_salts(const struct conf *c, struct agent *a)
{
	int err = visitor_salts_open(c->node_state_dir, wall_now().ms, &a->salts);

	if (err)
		log_error("cannot use the salts", "file=%s/salts error=\"%s\"", c->node_state_dir,
			  strerror(-err));
	return err;
}

static int
make_workers(const struct conf *c, struct agent *a)
{
	size_t n = (size_t)c->http_workers + 1;
	struct journal_writer *w;

	if (admit_new(c, a->salts, a->spool, &a->admit) < 0)
		goto short_of_memory;
	a->worker = calloc(n, sizeof(struct admit_worker *));
	while (a->worker && a->n_workers < n) {
		w = journal_writer(a->journal, (unsigned)a->n_workers);
		a->worker[a->n_workers] = admit_worker_new(a->admit, w);
		if (!a->worker[a->n_workers])
			break;
		a->n_workers++;
	}
	if (a->n_workers == n)
		return 0;
short_of_memory:
	log_error("not enough memory for the tables of admit", "workers=%zu", n);
	return -ENOMEM;
}

/* What was accepted before the stop or the crash is recognised when it is sent again. */
static int
replay_journal(const struct conf *c, struct agent *a)
{
	(void)c;
	journal_replay(a->journal, admit_remember, a->admit);
	return 0;
}

static int
start_sealer(const struct conf *c, struct agent *a)
{
	return seal_start(c, a->journal, a->spool, &a->sealer);
}

static int
start_forwarder(const struct conf *c, struct agent *a)
{
	if (c->forward_central[0] == '\0')
		log_warn("forward.central is empty: batches stay in the spool", "spool_max=%lld",
			 (long long)c->batch_spool_max);
	return forward_start(c, a->spool, a->salts, &a->forwarder);
}

static int
start_admin(const struct conf *c, struct agent *a)
{
	struct admin_parts parts = {.c = c,
				    .sealer = a->sealer,
				    .spool = a->spool,
				    .forwarder = a->forwarder,
				    .epoch = a->epoch};

	return admin_start(a->admin, &parts);
}

static int
start_udp(const struct conf *c, struct agent *a)
{
	unsigned last = (unsigned)a->n_workers - 1;

	return ingest_udp_start(a->udp, c, a->worker[last], journal_writer(a->journal, last));
}

static int
start_http(const struct conf *c, struct agent *a)
{
	(void)c;
	return ingest_http_start(a->http, a->worker);
}

static void
add_line(struct cli_listen *lines, size_t *n, const char *name, size_t i, const char *address)
{
	struct cli_listen *line = &lines[*n];

	if (*n == CLI_LISTEN_MAX)
		return;
	if (i == 0)
		snprintf(line->name, sizeof(line->name), "%s", name);
	else
		snprintf(line->name, sizeof(line->name), "%s%zu", name, i + 1);
	snprintf(line->address, sizeof(line->address), "%s", address);
	(*n)++;
	log_info("listening", "%s=%s", line->name, address);
}

static int
say_where(const struct conf *c, struct agent *a)
{
	struct cli_listen lines[CLI_LISTEN_MAX];
	char address[SOCKET_ADDRESS_TEXT];
	size_t n = 0, i;
	int err;

	for (i = 0; ingest_http_address(a->http, i, address); i++)
		add_line(lines, &n, "http", i, address);
	for (i = 0; ingest_udp_address(a->udp, i, address); i++)
		add_line(lines, &n, "udp", i, address);
	passed_close_rest();
	admin_address(a->admin, address);
	add_line(lines, &n, "admin", 0, address);
	err = cli_listen_write(c->node_state_dir, lines, n);
	if (err)
		log_error("cannot write the listen file", "dir=%s error=\"%s\"", c->node_state_dir,
			  strerror(-err));
	return err;
}

static int
start(const struct conf *c, struct agent *a)
{
	static int (*const stages[])(const struct conf *c, struct agent *a) = {
	    take_state_dir, open_spool,      open_journal, open_salts, make_workers, replay_journal,
	    start_sealer,   start_forwarder, start_admin,  start_udp,  start_http,   say_where,
	};
	size_t i;
	int err;

	for (i = 0; i < sizeof(stages) / sizeof(*stages); i++) {
		err = stages[i](c, a);
		if (err)
			return err;
	}
	return 0;
}

/* -- and as they stop, also from half a start -- */

static void
stop(const struct conf *c, struct agent *a)
{
	size_t i;

	if (a->admin)
		admin_ready(a->admin, false);
	if (a->lock_fd >= 0) /* else it is another agent's */
		cli_listen_remove(c->node_state_dir);
	/* datagrams are taken all the while: a long drain must not fill the sockets' buffers. Those
	 * that came before the signal count; nobody can be told to send them again */
	ingest_http_drain(a->http, c->http_drain);
	ingest_udp_stop(a->udp);
	if (a->admit)
		admit_stop(a->admit);
	ingest_http_stop(a->http);
	admin_stop(a->admin);
	if (a->sealer)
		seal_stop(a->sealer);
	forward_stop(a->forwarder, passed_any() ? FORWARD_HANDOVER_MS : FORWARD_DRAIN_MS);
	for (i = 0; i < a->n_workers; i++)
		admit_worker_free(a->worker[i]);
	free(a->worker);
	admit_free(a->admit);
	visitor_salts_close(a->salts);
	journal_close(a->journal);
	spool_close(a->spool);
	if (a->lock_fd >= 0)
		close(a->lock_fd);
}

/* -- signals -- */

static void
log_lines(const char *message, const char *field, char *lines)
{
	char *line, *rest = lines;

	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_warn(message, "%s=\"%s\"", field, line);
}

static int
load_again(const struct cli *cli, struct conf **ret_next)
{
	char *faults = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&faults, &size);
	int err = out ? conf_load(cli->program, cli->conf_path, cli->overrides, cli->n_overrides,
				  out, ret_next)
		      : -ENOMEM;

	if (out && fclose(out) == 0 && err)
		log_lines("reload refused, the running configuration stands", "fault", faults);
	free(faults);
	return err;
}

static void
take_over(struct conf *c, struct conf *next)
{
	char *fixed = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&fixed, &size);

	if (!out)
		return;
	conf_reload(c, next, out);
	if (fclose(out) == 0)
		log_lines("this setting needs a restart", "option", fixed);
	free(fixed);
}

static void
reload(const struct cli *cli, struct agent *a)
{
	struct conf *next = NULL;
	int err = load_again(cli, &next);

	if (err)
		return;
	take_over(cli->conf, next);
	conf_free(next);
	err = ingest_http_reload(a->http, cli->conf);
	if (err)
		log_error("reload failed for HTTP, its running rules stand", "error=\"%s\"",
			  strerror(-err));
	forward_reload(a->forwarder, cli->conf->forward_token_file);
	ingest_udp_reload(a->udp, cli->conf->udp_keys_file);
	log_info("reloaded", "file=%s", cli->conf_path ? cli->conf_path : "");
}

static void
wait_for_stop(const struct cli *cli, struct agent *a, const sigset_t *signals)
{
	int number;

	for (;;) {
		number = sigwaitinfo(signals, NULL);
		if (number == SIGHUP) {
			notify_reloading();
			reload(cli, a);
			notify_ready();
		} else if (number == SIGTERM || number == SIGINT) {
			break;
		}
	}
	log_info("stopping", "signal=%d", number);
}

/* -- run -- */

/* Before the first thread, so that all inherit it: signals are main's to wait for. */
static int
block_signals(sigset_t *ret_signals)
{
	sigemptyset(ret_signals);
	sigaddset(ret_signals, SIGTERM);
	sigaddset(ret_signals, SIGINT);
	sigaddset(ret_signals, SIGHUP);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	return sigprocmask(SIG_BLOCK, ret_signals, NULL) < 0 ? -errno : 0;
}

/* The usual soft limit of 1024 descriptors is less than the connections that are configured. */
static void
raise_file_limit(const struct conf *c)
{
	rlim_t need = (rlim_t)(c->http_workers * c->http_connections + OTHER_FILES);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
		return;
	limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < need)
		log_warn("fewer descriptors than http.workers x http.connections: "
			 "connections beyond are not accepted",
			 "allowed=%llu wanted=%llu", (unsigned long long)limit.rlim_cur,
			 (unsigned long long)need);
}

/* What a seal takes for some milliseconds shall go back to the kernel: left alone, malloc raises
 * this threshold to the largest block that was ever freed, and keeps the next one. */
static void
return_large_blocks(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
}

static int
run(struct cli *cli)
{
	struct agent a = {.lock_fd = -1};
	sigset_t signals;
	int err;

	if (!cli_args_are(cli, 0, 0))
		return cli_usage(cli);
	umask(077);
	err = block_signals(&signals);
	if (err)
		return cli_fail(cli, "signals: %s", strerror(-err));
	raise_file_limit(cli->conf);
	return_large_blocks();
	passed_init();
	err = open_sockets(cli->conf, &a);
	if (!err)
		err = become_user(cli);
	if (!err)
		err = start(cli->conf, &a);
	if (!err) {
		admin_ready(a.admin, true);
		notify_ready();
		log_info("ready", "node=%s", cli->conf->node_name);
		wait_for_stop(cli, &a, &signals);
		notify_stopping();
	}
	stop(cli->conf, &a);
	if (err)
		return cli_fail(cli, "not started: %s; more stands above", strerror(-err));
	log_info("stopped", "node=%s", cli->conf->node_name);
	return CLI_OK;
}

int
main(int argc, char **argv)
{
	static const struct cli_command commands[] = {
	    {"run", "", "take events and forward them; stays in the foreground", false, run},
	    {"check", "[-v]", "check the configuration; -v prints all of it", false, agent_check},
	    {"status", "[--json]", "what the running agent has counted", false, agent_status},
	    {"flush", "", "return when the central has all that was accepted before", false,
	     agent_flush},
	    {"emit", "--to ADDRESS:PORT [--key FILE] FILE|-",
	     "send events (NDJSON, keys as in datagrams) to an agent", true, agent_emit},
	    {"classify", "[FILE|-]", "bot or person, and which browser: one User-Agent a line",
	     true, agent_classify},
	    {0},
	};

	return cli_main(CONF_AGENT, "footfall-agent", commands, argc, argv);
}
