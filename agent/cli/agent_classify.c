#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/agent_commands.h"
#include "node/bot.h"
#include "node/ua_class.h"
#include "proto/ua_class.h"

static void
classify_line(const struct bot_rules *rules, struct text ua)
{
	const char *reason = bot_user_agent(rules, ua);
	struct ua_class c = ua_classify(ua);

	printf("%s\t%s\t%s\t%s\t%s\n", reason ? "bot" : "person", reason ? reason : "",
	       ua_browser_name(c.browser), ua_system_name(c.system), ua_device_name(c.device));
}

static int
classify_all(const struct cli *cli, FILE *in)
{
	struct bot_rules *rules;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int code = CLI_OK;

	if (bot_rules_new(&rules) < 0)
		return cli_fail(cli, "out of memory");
	while ((len = getline(&line, &size, in)) >= 0) {
		while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
			len--;
		classify_line(rules, (struct text){line, (size_t)len});
	}
	if (ferror(in))
		code = cli_fail(cli, "cannot read: %s", strerror(errno));
	free(line);
	bot_rules_free(rules);
	return code;
}

int
agent_classify(struct cli *cli)
{
	bool standard = cli->n_args == 0 || strcmp(cli->arg[0], "-") == 0;
	FILE *in = stdin;
	int code;

	if (!cli_args_are(cli, 0, 1))
		return cli_usage(cli);
	if (!standard) {
		in = fopen(cli->arg[0], "re");
		if (!in)
			return cli_fail(cli, "%s: %s", cli->arg[0], strerror(errno));
	}
	code = classify_all(cli, in);
	if (!standard && fclose(in) == EOF && code == CLI_OK)
		code = cli_fail(cli, "%s: %s", cli->arg[0], strerror(errno));
	return code;
}
