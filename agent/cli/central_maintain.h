/* central_maintain.h -- footfall-central verify, rebuild, backup, restore and retain.
 *
 * Where a central runs on the data directory, backup and retain are done by it, and verify looks at
 * a backup of that moment, made in data_dir/tmp and removed again; rebuild and restore refuse.
 */
#ifndef CLI_CENTRAL_MAINTAIN_H
#define CLI_CENTRAL_MAINTAIN_H

#include "cli/cli.h"

int central_verify(struct cli *cli);
int central_rebuild(struct cli *cli);
int central_backup(struct cli *cli);
int central_restore(struct cli *cli);
int central_retain(struct cli *cli);

#endif
