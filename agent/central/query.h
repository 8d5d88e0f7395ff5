/* query.h -- the questions of the API, answered from the store.
 *
 * Takes a question by its name ("summary", "content/video/ID") and its arguments; gives the JSON of
 * the answer. Says nothing of HTTP but its statuses, so that it can be asked without a server.
 *
 * What the numbers are. total_views: all accepted events, of every event name. views: those of them
 * that are no repeats. visitors: distinct visitors of each salt period (central.salt_rotation) as
 * far as it lies in the range, summed over the periods; in series, of each point. unique_views:
 * distinct visitors of each content and day, summed. Dates are the site's days, both ends included.
 *
 * Threads:  any, several at once.
 * Memory:   rows of all questions in hand share QUERY_BYTES_MAX; a question that finds no room is
 *           answered 503. Answers are bounded by `limit` or by the length of the range.
 */
#ifndef CENTRAL_QUERY_H
#define CENTRAL_QUERY_H

#include <jansson.h>

#include "central/auth.h"
#include "central/store.h"
#include "conf/conf.h"

#define QUERY_BYTES_MAX (192u << 20) /* a million contents at about 190 bytes each */
#define QUERY_DAYS_MAX 3660          /* ten years */
#define QUERY_HOURS_DAYS_MAX 366     /* with grain=hour: 8,784 points */
#define QUERY_LIMIT_MAX 1000

struct query;

int query_new(const struct conf *c, struct store *store, struct auth *auth,
	      struct query **ret_query);
void query_free(struct query *q);

struct query_args {
	const char *(*get)(const void *ctx, const char *name); /* NULL when absent */
	const void *ctx;
	int64_t now_ms;
	const char *user; /* who asks, for "me" */
};

struct query_result {
	unsigned status; /* 200, 400, 404, 503 */
	json_t *json;    /* with 200; the caller's */
	char error[256]; /* else */
};

void query_ask(struct query *q, const char *question, const struct query_args *args,
	       struct query_result *ret_result);

/* A node's clock is ahead of ours by this much (less than 0: behind), as a batch said when it was
 * sent. */
void query_note_clock(struct query *q, const char *node, int64_t skew_ms);

/* Every known node and how far its numbers go: for /metrics. */
struct query_node {
	char name[AUTH_NAME_MAX];
	int64_t last_ms, complete_to_ms; /* 0: never */
	uint64_t batches, events, lost, lost_batches;
};

/* The caller frees them. Number, or -errno. */
int query_nodes(struct query *q, int64_t now_ms, struct query_node **ret_nodes);

#endif
