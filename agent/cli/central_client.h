/* central_client.h -- one question to the central that runs on this data directory.
 *
 * Threads:  one at a time.
 * Errors:   client_get says on standard error why there is no answer.
 */
#ifndef CLI_CENTRAL_CLIENT_H
#define CLI_CENTRAL_CLIENT_H

#include <jansson.h>

#include "cli/cli.h"

/* `path` with its arguments, "/api/v1/nodes?from=…". The caller's JSON, or NULL. */
json_t *client_get(struct cli *cli, const char *path);
/* The same with a body. */
json_t *client_post(struct cli *cli, const char *path, const char *body);

#endif
