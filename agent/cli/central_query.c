#include "cli/central_query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/central_client.h"

#define COLUMNS_MAX 32
#define CELL_MAX 160

/* -- tables: whatever array of objects the answer has, in the order of its own keys -- */

static void
print_value(const json_t *v, char *cell)
{
	char *dumped;

	if (json_is_string(v)) {
		snprintf(cell, CELL_MAX, "%s", json_string_value(v));
	} else if (!v || json_is_null(v)) {
		snprintf(cell, CELL_MAX, "-");
	} else {
		dumped = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
		snprintf(cell, CELL_MAX, "%s", dumped ? dumped : "");
		free(dumped);
	}
}

static size_t
take_columns(const json_t *row, const char *name[COLUMNS_MAX])
{
	const char *key;
	json_t *value;
	size_t n = 0;

	json_object_foreach((json_t *)(uintptr_t)row, key,
			    value) if (n < COLUMNS_MAX && !json_is_object(value)) name[n++] = key;
	return n;
}

static void
widen(const json_t *rows, const char *const *name, size_t *width, size_t n)
{
	char cell[CELL_MAX];
	size_t row, i, len;

	for (i = 0; i < n; i++)
		width[i] = strlen(name[i]);
	for (row = 0; row < json_array_size(rows); row++)
		for (i = 0; i < n; i++) {
			print_value(json_object_get(json_array_get(rows, row), name[i]), cell);
			len = strlen(cell);
			width[i] = len > width[i] ? len : width[i];
		}
}

static void
print_table(const json_t *rows)
{
	const char *name[COLUMNS_MAX];
	size_t width[COLUMNS_MAX], n, row, i;
	char cell[CELL_MAX];
	const json_t *v;

	n = take_columns(json_array_get(rows, 0), name);
	widen(rows, name, width, n);
	for (i = 0; i < n; i++)
		printf("%-*s%s", (int)width[i], name[i], i + 1 < n ? "  " : "\n");
	for (row = 0; row < json_array_size(rows); row++)
		for (i = 0; i < n; i++) {
			v = json_object_get(json_array_get(rows, row), name[i]);
			print_value(v, cell);
			printf(json_is_number(v) ? "%*s%s" : "%-*s%s", (int)width[i], cell,
			       i + 1 < n ? "  " : "\n");
		}
}

static void
print_answer(json_t *answer)
{
	char cell[CELL_MAX];
	const char *key;
	json_t *value;

	json_object_foreach(answer, key, value)
	{
		if (json_is_array(value)) {
			if (json_array_size(value))
				print_table(value);
			else
				printf("%s: none\n", key);
		} else if (!json_is_object(value)) {
			print_value(value, cell);
			printf("%s: %s\n", key, cell);
		}
	}
}

/* -- query -- */

static bool
is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       strchr("-_.~/", c);
}

/* Appends percent-encoded. */
static void
append_escaped(char *path, size_t size, const char *text)
{
	size_t len = strlen(path);

	for (; *text && len + 4 < size; text++)
		len += (size_t)snprintf(path + len, size - len, is_plain(*text) ? "%c" : "%%%02X",
					(unsigned char)*text);
}

static void
append_argument(char *path, size_t size, const char *name, const char *value)
{
	size_t len = strlen(path);

	snprintf(path + len, size - len, "%c%s=", strchr(path, '?') ? '&' : '?', name);
	append_escaped(path, size, value);
}

/* Takes --NAME VALUE out of the command line and into the path. */
static bool
pass_options(struct cli *cli, char *path, size_t size)
{
	static const char *const options[] = {"--from",  "--to",     "--type",  "--site",
					      "--grain", "--dim",    "--limit", "--sort",
					      "--node",  "--reason", "--source"};
	const char *value;
	bool bad = false;
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		value = cli_take_value(cli, options[i], &bad);
		if (value)
			append_argument(path, size, options[i] + 2, value);
	}
	return !bad;
}

int
central_query(struct cli *cli)
{
	char path[2048] = "/api/v1/", arguments[1024] = "";
	bool bad = false;
	const char *format = cli_take_value(cli, "--format", &bad);
	json_t *answer;

	if (bad || !pass_options(cli, arguments, sizeof(arguments)) || !cli_args_are(cli, 1, 1))
		return cli_usage(cli);
	if (format && strcmp(format, "json") != 0 && strcmp(format, "table") != 0)
		return cli_fail(cli, "--format: must be json or table");
	append_escaped(path, sizeof(path) - sizeof(arguments), cli->arg[0]);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "%s", arguments);
	answer = client_get(cli, path);
	if (!answer)
		return CLI_FAILED;
	if (format && strcmp(format, "json") == 0) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_answer(answer);
	}
	json_decref(answer);
	return CLI_OK;
}

/* -- status -- */

static void
print_status(json_t *me, json_t *summary, json_t *nodes)
{
	printf("today %s (%s): %lld views, %lld visitors, %lld lost\n",
	       json_string_value(json_object_get(me, "today")),
	       json_string_value(json_object_get(me, "time_zone")),
	       (long long)json_integer_value(json_object_get(summary, "views")),
	       (long long)json_integer_value(json_object_get(summary, "visitors")),
	       (long long)json_integer_value(json_object_get(summary, "lost")));
	print_answer(nodes);
}

int
central_status(struct cli *cli)
{
	json_t *me = NULL, *summary = NULL, *nodes = NULL;
	char path[128] = "/api/v1/summary";
	int code = CLI_FAILED;

	if (!cli_args_are(cli, 0, 0))
		return cli_usage(cli);
	me = client_get(cli, "/api/v1/me");
	if (me) {
		append_argument(path, sizeof(path), "from",
				json_string_value(json_object_get(me, "today")));
		summary = client_get(cli, path);
	}
	if (summary)
		nodes = client_get(cli, "/api/v1/nodes");
	if (nodes) {
		print_status(me, summary, nodes);
		code = CLI_OK;
	}
	json_decref(me);
	json_decref(summary);
	json_decref(nodes);
	return code;
}
