#include "cli/cli.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"

#define LISTEN_FILE "listen"
#define LISTEN_FILE_MAX (CLI_LISTEN_MAX * (sizeof(struct cli_listen) + 2))
#define HTTP_BODY_MAX (1u << 20) /* a status of hundreds of lines is some 10 KiB */

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

static int
run_command(struct cli *cli)
{
	const struct conf *c;
	int code;

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

int
cli_main(enum conf_program program, const char *program_name, const struct cli_command *commands,
	 int argc, char **argv)
{
	struct cli cli = {.program = program, .program_name = program_name};
	int taken = 0, code = CLI_USAGE;

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

/* -- the listen file -- */

int
cli_listen_write(const char *dir, const struct cli_listen *lines, size_t n)
{
	char text[LISTEN_FILE_MAX];
	size_t len = 0, i;
	int more;

	if (n > CLI_LISTEN_MAX)
		return -E2BIG;
	for (i = 0; i < n; i++) {
		more = snprintf(text + len, sizeof(text) - len, "%s=%s\n", lines[i].name,
				lines[i].address);
		len += (size_t)more;
	}
	return file_replace(dir, LISTEN_FILE, text, len, 0644);
}

static void
listen_path(const char *dir, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s/" LISTEN_FILE, dir);
}

int
cli_listen_read(const char *dir, const char *name, char ret_address[CLI_ADDRESS_MAX])
{
	size_t len, name_len = strlen(name), size;
	char path[4096], *bytes, *line, *end;
	int err;

	listen_path(dir, path, sizeof(path));
	err = file_read(path, LISTEN_FILE_MAX, &bytes, &len);
	if (err < 0)
		return err;
	err = -ENOENT;
	for (line = bytes; (end = strchr(line, '\n')); line = end + 1) {
		if (strncmp(line, name, name_len) != 0 || line[name_len] != '=')
			continue;
		size = (size_t)(end - line) - name_len - 1;
		if (size >= CLI_ADDRESS_MAX)
			continue;
		memcpy(ret_address, line + name_len + 1, size);
		ret_address[size] = '\0';
		err = 0;
		break;
	}
	free(bytes);
	return err;
}

void
cli_listen_remove(const char *dir)
{
	char path[4096];

	listen_path(dir, path, sizeof(path));
	unlink(path);
}

/* -- asking the running program -- */

struct answer {
	char *bytes;
	size_t len;
};

static size_t
take_body(char *bytes, size_t size, size_t n, void *ctx)
{
	struct answer *a = ctx;
	char *more;

	n *= size;
	if (a->len + n > HTTP_BODY_MAX)
		return 0;
	more = realloc(a->bytes, a->len + n + 1);
	if (!more)
		return 0;
	memcpy(more + a->len, bytes, n);
	a->bytes = more;
	a->len += n;
	more[a->len] = '\0';
	return n;
}

static int
errno_of(CURLcode code)
{
	switch ((int)code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static void
set_request(CURL *curl, const char *method, const char *url, const char *body, int64_t timeout_ms)
{
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	if (body || strcmp(method, "POST") == 0)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body ? body : "");
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
}

int
cli_http(const char *method, const char *url, const char *body, int64_t timeout_ms,
	 long *ret_status, char **ret_body)
{
	struct answer a = {calloc(1, 1), 0};
	CURL *curl = NULL;
	int err = -ENOMEM;

	if (!a.bytes || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		goto out;
	curl = curl_easy_init();
	if (!curl)
		goto out;
	set_request(curl, method, url, body, timeout_ms);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &a);
	err = errno_of(curl_easy_perform(curl));
	if (!err) {
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
		*ret_body = a.bytes;
		a.bytes = NULL;
	}
out:
	curl_easy_cleanup(curl);
	free(a.bytes);
	return err;
}
