#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/agent_commands.h"
#include "proto/json.h"

#define STATUS_MS 10000
/* a flush waits as long as batches move; the agent itself ends one that does not */
#define FLUSH_MS (INT64_C(24) * 3600 * 1000)

/* -- a status for people: one "key: value" a line, nested ones indented -- */

static bool
print_text(struct json *j)
{
	struct text raw;
	char *plain;
	size_t len;

	if (!json_take_string(j, &raw))
		return false;
	plain = malloc(raw.len + 1);
	if (!plain)
		return false;
	len = json_unescape(raw, plain);
	printf(" %.*s\n", (int)len, plain);
	free(plain);
	return true;
}

static bool
print_scalar(struct json *j)
{
	const char *from;
	struct text raw;

	if (json_peek(j) == JSON_STRING)
		return print_text(j);
	if (json_peek(j) == JSON_NUMBER) {
		if (!json_number(j, &raw))
			return false;
		printf(" " TEXT_FMT "\n", TEXT_ARG(raw));
		return true;
	}
	from = j->at;
	if (!json_skip(j))
		return false;
	printf(" %.*s\n", (int)(j->at - from), from);
	return true;
}

static bool
print_object(struct json *j, int indent) /* NOLINT(misc-no-recursion): json.h bounds the depth */
{
	struct json_object o;
	struct text key;

	if (!json_object_open(j, &o))
		return false;
	while (json_object_next(j, &o, &key)) {
		printf("%*s" TEXT_FMT ":", indent, "", TEXT_ARG(key));
		if (json_peek(j) != JSON_OBJECT) {
			if (!print_scalar(j))
				return false;
			continue;
		}
		printf("\n");
		if (!print_object(j, indent + 2))
			return false;
	}
	return j->error == JSON_OK;
}

/* -- asking -- */

/* The running agent's answer, which the caller frees; NULL when it was said why there is none. */
static char *
ask(const struct cli *cli, const char *method, const char *path, int64_t timeout_ms,
    long *ret_status)
{
	const char *dir = cli->conf->node_state_dir;
	char address[CLI_ADDRESS_MAX], url[CLI_ADDRESS_MAX + 64], *body = NULL;
	int err = cli_listen_read(dir, "admin", address);

	if (err == -ENOENT) {
		cli_fail(cli, "no agent runs on %s", dir);
		return NULL;
	}
	if (err) {
		cli_fail(cli, "%s/listen: %s", dir, strerror(-err));
		return NULL;
	}
	snprintf(url, sizeof(url), "http://%s%s", address, path);
	err = cli_http(method, url, NULL, timeout_ms, ret_status, &body);
	if (err == -ECONNREFUSED)
		cli_fail(cli, "no agent runs on %s: nothing answers at %s", dir, address);
	else if (err)
		cli_fail(cli, "the agent at %s does not answer: %s", address, strerror(-err));
	return err ? NULL : body;
}

int
agent_status(struct cli *cli)
{
	bool raw = cli_take_flag(cli, "--json");
	int code = CLI_OK;
	struct json j;
	long status;
	char *body;

	if (!cli_args_are(cli, 0, 0))
		return cli_usage(cli);
	body = ask(cli, "GET", "/status", STATUS_MS, &status);
	if (!body)
		return CLI_FAILED;
	json_init(&j, body, strlen(body));
	if (status != 200)
		code = cli_fail(cli, "the agent answers %ld", status);
	else if (raw)
		fputs(body, stdout);
	else if (!print_object(&j, 0))
		code = cli_fail(cli, "the agent's answer cannot be read");
	free(body);
	return code;
}

/* -- flush -- */

static void
print_error(const struct cli *cli, const char *body, long status)
{
	char sentence[512];
	struct text key, raw;
	struct json_object o;
	struct json j;

	json_init(&j, body, strlen(body));
	if (json_object_open(&j, &o))
		while (json_object_next(&j, &o, &key)) {
			if (!text_is(key, "error") || json_peek(&j) != JSON_STRING) {
				if (!json_skip(&j))
					break;
				continue;
			}
			if (!json_take_string(&j, &raw) || raw.len >= sizeof(sentence))
				break;
			sentence[json_unescape(raw, sentence)] = '\0';
			cli_fail(cli, "not flushed: %s", sentence);
			return;
		}
	cli_fail(cli, "not flushed: the agent answers %ld", status);
}

int
agent_flush(struct cli *cli)
{
	long status;
	char *body;

	if (!cli_args_are(cli, 0, 0))
		return cli_usage(cli);
	body = ask(cli, "POST", "/flush", FLUSH_MS, &status);
	if (!body)
		return CLI_FAILED;
	if (status == 200)
		printf("flushed: the central has everything that was accepted before\n");
	else
		print_error(cli, body, status);
	free(body);
	return status == 200 ? CLI_OK : CLI_FAILED;
}
