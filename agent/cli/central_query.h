/* central_query.h -- footfall-central query and status: questions to the running central.
 *
 * Finds it by data_dir/listen and shows data_dir/local.token, so they work for whoever may read the
 * data directory, and fail with a sentence when no central runs there.
 */
#ifndef CLI_CENTRAL_QUERY_H
#define CLI_CENTRAL_QUERY_H

#include "cli/cli.h"

#define CENTRAL_QUERY_ARGUMENTS                                                                   \
	"summary|series|top|breakdown|nodes|ledger|bots|content/TYPE/ID [--from YYYY-MM-DD] "     \
	"[--to YYYY-MM-DD] [--type T] [--site S] [--grain hour|day|month] [--dim D] [--limit N] " \
	"[--sort views|visitors] [--node N] [--reason R] [--source beacon|datagram] "             \
	"[--format json|table]"

int central_query(struct cli *cli);
int central_status(struct cli *cli);

#endif
