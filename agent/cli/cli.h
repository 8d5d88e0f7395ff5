/* cli.h -- the command line of both programs: PROGRAM COMMAND [arguments] -c FILE
 * -o section.key=value
 *
 * cli_main finds the command, takes -c and -o out of its arguments wherever they stand, loads and
 * checks the configuration, opens the log and calls the command. Exit codes: 0 done, 1 it failed
 * (a sentence on standard error says why), 2 the command line was wrong.
 *
 * Threads:  before any other thread; plain functions.
 * Memory:   the command lends struct cli until it returns; arguments are those of main.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

#define CLI_OK 0
#define CLI_FAILED 1
#define CLI_USAGE 2

struct cli {
	enum conf_program program;
	const char *program_name; /* "footfall-agent" */
	const struct cli_command *command;
	struct conf *conf;     /* NULL for commands with no_conf */
	const char *conf_path; /* NULL without -c */
	char **overrides;      /* of -o, for a later reload */
	size_t n_overrides;
	char **arg; /* what is left: arguments behind the command without -c and -o */
	size_t n_args;
};

struct cli_command {
	const char *name;            /* "status", or two words: "node add" */
	const char *arguments;       /* for the usage: "NAME [--scope read]" */
	const char *sentence;        /* for the usage */
	bool no_conf;                /* needs no configuration: none is loaded */
	int (*run)(struct cli *cli); /* an exit code */
};

/* The whole of main. `commands` ends with a NULL name. */
int cli_main(enum conf_program program, const char *program_name,
	     const struct cli_command *commands, int argc, char **argv);

/* Takes an option out of the arguments: a flag ("-v", "--json"), or one with a value ("--to ADDR"
 * or "--to=ADDR"; NULL when it was not given, and *ret_bad set when its value is missing). */
bool cli_take_flag(struct cli *cli, const char *name);
const char *cli_take_value(struct cli *cli, const char *name, bool *ret_bad);

/* True when between min and max arguments are left and none of them is an unknown option ("-" alone
 * is no option). Call it after the takes; else return cli_usage. */
bool cli_args_are(const struct cli *cli, size_t min, size_t max);

/* Becomes the user that the settings name (privileges.h). `run` calls it when its sockets are open;
 * for other commands that root starts cli_main has done it, or without such a setting has
 * become the owner of the program's directory. 0, or a sentence on standard error and
 * -errno. */
int cli_become_user(const struct cli *cli);

/* Prints this command's usage on standard error: CLI_USAGE. */
int cli_usage(const struct cli *cli);

/* Prints "PROGRAM: sentence" on standard error: CLI_FAILED. */
__attribute__((format(printf, 2, 3))) int cli_fail(const struct cli *cli, const char *format, ...);

/* -- the listen file: where `run` really listens, one name=address a line -- */

#define CLI_LISTEN_MAX 64
#define CLI_ADDRESS_MAX 128

struct cli_listen {
	char name[16];                 /* "http", "http2", "udp", "admin", "central" */
	char address[CLI_ADDRESS_MAX]; /* "127.0.0.1:8080", "[::1]:8080", "unix:/path" */
};

/* Replaces dir/listen as a whole. 0 or -errno. */
int cli_listen_write(const char *dir, const struct cli_listen *lines, size_t n);

/* Address of a name in dir/listen: 0, -ENOENT when there is no such file or name, or -errno. */
int cli_listen_read(const char *dir, const char *name, char ret_address[CLI_ADDRESS_MAX]);

/* Removes dir/listen (at a clean stop, so that nobody asks an address that is another's by now). */
void cli_listen_remove(const char *dir);

/* -- asking the running program -- */

/* One request to a URL, no redirects, no proxies. 0 with status and body (NUL behind; the caller
 * frees it), or -errno: -ECONNREFUSED, -ETIMEDOUT, -EIO for the rest. Lends body; NULL: GET. */
int cli_http(const char *method, const char *url, const char *body, int64_t timeout_ms,
	     long *ret_status, char **ret_body);

#endif
