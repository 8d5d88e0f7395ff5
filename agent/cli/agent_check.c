#include <stdio.h>

#include "cli/agent_commands.h"

/* cli_main has read the file by now and said what is wrong with it. */
int
agent_check(struct cli *cli)
{
	bool whole = cli_take_flag(cli, "-v");

	if (!cli_args_are(cli, 0, 0))
		return cli_usage(cli);
	if (conf_check_files(cli->conf, CONF_AGENT, stderr))
		return CLI_FAILED;
	if (whole)
		conf_print(cli->conf, CONF_AGENT, stdout);
	else
		printf("%s: valid\n", cli->conf_path ? cli->conf_path : "defaults");
	return CLI_OK;
}
