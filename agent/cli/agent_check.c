#include <stdio.h>

#include "base/clock.h"
#include "cli/agent_commands.h"
#include "node/udp_keys.h"

static bool
keys_are_good(const char *path)
{
	struct udp_keys *keys = NULL;
	char fault[UDP_KEYS_FAULT_MAX];

	if (path[0] == '\0')
		return true;
	if (udp_keys_read(path, wall_now(), &keys, fault) == 0)
		udp_keys_free(keys);
	else
		fprintf(stderr, "udp.keys_file: %s\n", fault);
	return keys != NULL;
}

/* cli_main has read the file by now and said what is wrong with it. */
int
agent_check(struct cli *cli)
{
	bool whole = cli_take_flag(cli, "-v");

	if (!cli_args_are(cli, 0, 0))
		return cli_usage(cli);
	if (conf_check_files(cli->conf, CONF_AGENT, stderr))
		return CLI_FAILED;
	if (!keys_are_good(cli->conf->udp_keys_file))
		return CLI_FAILED;
	if (whole)
		conf_print(cli->conf, CONF_AGENT, stdout);
	else
		printf("%s: valid\n", cli->conf_path ? cli->conf_path : "defaults");
	return CLI_OK;
}
