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
	struct bot_verdict v = bot_user_agent(rules, ua);
	struct ua_class c = ua_classify(ua);

	printf("%s\t%s\t%s\t%s\t%s\n", v.why ? "bot" : "person", v.why ? v.why : "",
	       ua_browser_name(c.browser), ua_system_name(c.system), ua_device_name(c.device));
}

/* As the agent with this configuration would; without -c and -o as one with none of its own. */
static int
rules_of(struct cli *cli, struct bot_rules **ret_rules)
{
	const struct conf_list *bots = NULL, *people = NULL;

	if (cli->conf_path || cli->n_overrides > 0) {
		if (conf_load(cli->program, cli->conf_path, cli->overrides, cli->n_overrides,
			      stderr, &cli->conf) < 0)
			return -EINVAL;
		bots = &cli->conf->admit_bot_patterns;
		people = &cli->conf->admit_person_patterns;
	}
	return bot_rules_new(BOT_SOURCE_ALL, bots, people, ret_rules);
}

static int
classify_all(struct cli *cli, FILE *in)
{
	struct bot_rules *rules;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int code = CLI_OK, err = rules_of(cli, &rules);

	if (err) {
		conf_free(cli->conf);
		return err == -EINVAL ? CLI_FAILED : cli_fail(cli, "%s", strerror(-err));
	}
	while ((len = getline(&line, &size, in)) >= 0) {
		while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
			len--;
		classify_line(rules, (struct text){line, (size_t)len});
	}
	if (ferror(in))
		code = cli_fail(cli, "cannot read: %s", strerror(errno));
	free(line);
	bot_rules_free(rules);
	conf_free(cli->conf);
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
