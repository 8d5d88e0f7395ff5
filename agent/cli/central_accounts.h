/* central_accounts.h -- footfall-central node|user|token add|list|remove.
 *
 * Changes data_dir/access, whether the central runs or not; a running one takes the change up.
 * `node add` and `token add` print the token alone on standard output: it is shown once.
 */
#ifndef CLI_CENTRAL_ACCOUNTS_H
#define CLI_CENTRAL_ACCOUNTS_H

#include "cli/cli.h"

int central_node_add(struct cli *cli);
int central_node_list(struct cli *cli);
int central_node_remove(struct cli *cli);
int central_user_add(struct cli *cli);
int central_user_list(struct cli *cli);
int central_user_remove(struct cli *cli);
int central_token_add(struct cli *cli);
int central_token_list(struct cli *cli);
int central_token_remove(struct cli *cli);

#endif
