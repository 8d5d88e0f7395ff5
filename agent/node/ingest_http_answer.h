/* ingest_http_answer.h -- what beacons are answered: responses that stand ready.
 *
 * One group per allowed origin, and each response twice, since the one that closes the connection
 * has another header. Only what has a sentence of its own, a 400, is written when it is needed.
 *
 * Threads:  one struct answers per worker, used by it alone.
 * Memory:   about 70 responses of 250 bytes per worker and allowed origin, made at start and reload.
 */
#ifndef NODE_INGEST_HTTP_ANSWER_H
#define NODE_INGEST_HTTP_ANSWER_H

#include "base/text.h"
#include "conf/conf.h"
#include "node/http_answer.h"

enum answer {
	ANSWER_TRACKED,
	ANSWER_UNTRACKED,
	ANSWER_INVALID, /* with a sentence */
	ANSWER_BAD_HEADERS,
	ANSWER_BAD_VERSION,
	ANSWER_LONG_TARGET,
	ANSWER_LONG_HEADERS,
	ANSWER_NOT_FOUND,
	ANSWER_NOT_POST,
	ANSWER_NOT_GET,
	ANSWER_NO_LENGTH,
	ANSWER_TOO_LARGE,
	ANSWER_LIMITED, /* with a time */
	ANSWER_BUSY,
	ANSWER_PREFLIGHT,
	ANSWER_N
};

struct answers;

/* NULL when memory is short. Copies the origins; "*" stands for all. */
struct answers *answers_new(const struct conf_list *origins);
void answers_free(struct answers *a);

/* How a request is answered beside its answer. */
struct answer_how {
	struct text origin;   /* as the request says; absent: none */
	bool close;           /* and the connection is closed */
	int64_t retry_ms;     /* ANSWER_LIMITED */
	const char *sentence; /* ANSWER_INVALID: ASCII */
};

/* Lent until the next call, or answers_free. */
struct http_answer *answers_find(struct answers *a, enum answer what, const struct answer_how *how);

#endif
