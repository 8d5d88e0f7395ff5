/* agent_commands.h -- the subcommands of footfall-agent that are not run.
 *
 * Threads:  each runs alone.
 * Memory:   what it needs until it returns.
 * Errors:   exit codes of cli.h, with a sentence on standard error.
 */
#ifndef CLI_AGENT_COMMANDS_H
#define CLI_AGENT_COMMANDS_H

#include "cli/cli.h"

int agent_check(struct cli *cli);
int agent_status(struct cli *cli);
int agent_flush(struct cli *cli);
int agent_emit(struct cli *cli);
int agent_classify(struct cli *cli);

#endif
