#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/privileges.h"

/* -- usage -- */

static void
print_command(FILE *out, const char *program, const struct cli_command *c)
{
	fprintf(out, "  %s %s%s%s\n        %s\n", program, c->name, c->arguments[0] ? " " : "",
		c->arguments, c->sentence);
}

static void
print_usage(FILE *out, const char *program, const struct cli_command *commands)
{
	const struct cli_command *c;

	fprintf(out, "usage: %s COMMAND [arguments] -c FILE [-o section.key=value ...]\n", program);
	for (c = commands; c->name; c++)
		print_command(out, program, c);
}

int
cli_usage(const struct cli *cli)
{
	fprintf(stderr, "usage:\n");
	print_command(stderr, cli->program_name, cli->command);
	return CLI_USAGE;
}

int
cli_fail(const struct cli *cli, const char *format, ...)
{
	char sentence[512];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	fprintf(stderr, "%s: %s\n", cli->program_name, sentence);
	return CLI_FAILED;
}

/* -- arguments -- */

/* Number of words of the command's name that stand at words, 0 when it is another. */
static int
name_matches(const char *name, int n, char *const *words)
{
	const char *space = strchr(name, ' ');
	size_t first = space ? (size_t)(space - name) : strlen(name);

	if (n < 1 || strlen(words[0]) != first || strncmp(words[0], name, first) != 0)
		return 0;
	if (!space)
		return 1;
	return n > 1 && strcmp(words[1], space + 1) == 0 ? 2 : 0;
}

static const struct cli_command *
find_command(const struct cli_command *commands, int n, char *const *words, int *ret_taken)
{
	const struct cli_command *c;

	for (c = commands; c->name; c++) {
		*ret_taken = name_matches(c->name, n, words);
		if (*ret_taken)
			return c;
	}
	return NULL;
}

/* Sorts what stands behind the command into -c, -o and the rest. False when a value is missing. */
static bool
sort_arguments(struct cli *cli, int n, char **words)
{
	int i;

	for (i = 0; i < n; i++) {
		if (strcmp(words[i], "-c") != 0 && strcmp(words[i], "-o") != 0) {
			cli->arg[cli->n_args++] = words[i];
			continue;
		}
		if (i + 1 == n)
			return false;
		if (words[i++][1] == 'c')
			cli->conf_path = words[i];
		else
			cli->overrides[cli->n_overrides++] = words[i];
	}
	return true;
}

static void
drop_args(struct cli *cli, size_t at, size_t n)
{
	memmove(cli->arg + at, cli->arg + at + n, (cli->n_args - at - n) * sizeof(*cli->arg));
	cli->n_args -= n;
}

bool
cli_take_flag(struct cli *cli, const char *name)
{
	size_t i;

	for (i = 0; i < cli->n_args; i++)
		if (strcmp(cli->arg[i], name) == 0) {
			drop_args(cli, i, 1);
			return true;
		}
	return false;
}

const char *
cli_take_value(struct cli *cli, const char *name, bool *ret_bad)
{
	size_t len = strlen(name), i;
	const char *value;

	for (i = 0; i < cli->n_args; i++) {
		if (strncmp(cli->arg[i], name, len) != 0)
			continue;
		if (cli->arg[i][len] == '=') {
			value = cli->arg[i] + len + 1;
			drop_args(cli, i, 1);
			return value;
		}
		if (cli->arg[i][len] != '\0')
			continue;
		if (i + 1 == cli->n_args) {
			*ret_bad = true;
			return NULL;
		}
		value = cli->arg[i + 1];
		drop_args(cli, i, 2);
		return value;
	}
	return NULL;
}

bool
cli_args_are(const struct cli *cli, size_t min, size_t max)
{
	size_t i;

	for (i = 0; i < cli->n_args; i++)
		if (cli->arg[i][0] == '-' && cli->arg[i][1] != '\0')
			return false;
	return cli->n_args >= min && cli->n_args <= max;
}

/* -- main -- */

static enum log_level
log_level_of(const char *name)
{
	static const char *const names[LOG_LEVEL_N] = {"debug", "info", "warn", "error"};
	unsigned i;

	for (i = 0; i < LOG_LEVEL_N; i++)
		if (strcmp(name, names[i]) == 0)
			return (enum log_level)i;
	return LOG_INFO;
}

int
cli_become_user(const struct cli *cli)
{
	const struct conf *c = cli->conf;
	bool central = cli->program == CONF_CENTRAL;
	char why[PRIVILEGES_FAULT_MAX];
	int err = privileges_drop(central ? c->central_user : c->node_user,
				  central ? c->central_data_dir : c->node_state_dir, why);

	if (err)
		cli_fail(cli, "%s.user: %s", central ? "central" : "node", why);
	return err;
}

/* What root's command writes must be of the user that `run` is: the settings' one, or, where those
 * leave it to a service manager, the owner of what is there. */
static int
become_user_of_run(const struct cli *cli)
{
	const struct conf *c = cli->conf;
	bool central = cli->program == CONF_CENTRAL;
	char why[PRIVILEGES_FAULT_MAX];
	int err;

	if (central ? c->central_user[0] : c->node_user[0])
		return cli_become_user(cli);
	err = privileges_drop_to_owner(central ? c->central_data_dir : c->node_state_dir, why);
	if (err)
		cli_fail(cli, "%s", why);
	return err;
}

static int
run_command(struct cli *cli)
{
	const struct conf *c;
	int code = CLI_FAILED;

	if (hash_init() < 0)
		return cli_fail(cli, "libsodium cannot be initialised");
	log_init(cli->program_name, LOG_INFO);
	if (cli->command->no_conf)
		return cli->command->run(cli);
	if (conf_load(cli->program, cli->conf_path, cli->overrides, cli->n_overrides, stderr,
		      &cli->conf) < 0)
		return CLI_FAILED;
	c = cli->conf;
	log_init(cli->program_name, log_level_of(cli->program == CONF_CENTRAL ? c->central_log_level
									      : c->node_log_level));
	if (strcmp(cli->command->name, "run") == 0 || !privileges_are_root() ||
	    become_user_of_run(cli) == 0)
		code = cli->command->run(cli);
	conf_free(cli->conf);
	return code;
}

/* Output that did not get out is a failure: a full disk must not look like success. */
static int
close_stdout(const struct cli *cli, int code)
{
	if (fflush(stdout) == EOF || ferror(stdout))
		return code ? code : cli_fail(cli, "standard output: %s", strerror(errno));
	return code;
}

static bool
asks_for_help(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			return true;
	return argc > 1 && strcmp(argv[1], "help") == 0;
}

/* A core file would hold addresses, User-Agents, salts and tokens. */
static void
leave_no_core(void)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		log_warn("core files stay possible; they would hold addresses", "error=%d", errno);
}

int
cli_main(enum conf_program program, const char *program_name, const struct cli_command *commands,
	 int argc, char **argv)
{
	struct cli cli = {.program = program, .program_name = program_name};
	int taken = 0, code = CLI_USAGE;

	leave_no_core();
	privileges_never_gain();
	if (asks_for_help(argc, argv)) {
		print_usage(stdout, program_name, commands);
		return close_stdout(&cli, CLI_OK);
	}
	cli.command = find_command(commands, argc - 1, argv + 1, &taken);
	if (!cli.command) {
		print_usage(stderr, program_name, commands);
		return CLI_USAGE;
	}
	cli.overrides = calloc((size_t)argc, sizeof(*cli.overrides));
	cli.arg = calloc((size_t)argc, sizeof(*cli.arg));
	if (!cli.overrides || !cli.arg)
		code = cli_fail(&cli, "out of memory");
	else if (!sort_arguments(&cli, argc - 1 - taken, argv + 1 + taken))
		code = cli_usage(&cli);
	else
		code = close_stdout(&cli, run_command(&cli));
	free(cli.overrides);
	free(cli.arg);
	return code;
}
