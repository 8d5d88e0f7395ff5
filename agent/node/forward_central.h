/* forward_central.h -- one request to the central and what its answer means.
 *
 * POST /v1/batches and GET /v1/salts under the node's token, by libcurl, over one kept connection.
 *
 * Threads:  the forwarder's alone.
 * Memory:   the body lent for the call; answers of at most CENTRAL_ANSWER_MAX bytes.
 */
#ifndef NODE_FORWARD_CENTRAL_H
#define NODE_FORWARD_CENTRAL_H

#include "conf/conf.h"
#include "node/visitor.h"

#define CENTRAL_ANSWER_MAX 4096
#define CENTRAL_WHY_MAX 256

struct central;

enum central_answer {
	CENTRAL_STORED,
	CENTRAL_ALREADY,
	CENTRAL_BROKEN, /* 400, 413, 422 in the central's own words: never again with this batch */
	CENTRAL_CONFLICT, /* 409: it has another batch under this name */
	CENTRAL_DENIED,   /* 401, 403: the token */
	CENTRAL_FOREIGN,  /* 403 in its own words: the token is not that of the batch's node */
	CENTRAL_RETRY,    /* anything else */
	CENTRAL_ANSWER_N
};

/* `give_up` is asked once a second while a request runs, and ends it by saying true. Lends c. NULL
 * when memory is short. */
struct central *central_new(const struct conf *c, bool (*give_up)(void *ctx), void *ctx);
void central_free(struct central *z);

/* Reads the token. A missing or readable-by-others file gives requests that fail saying so. */
void central_read_token(struct central *z, const char *token_file);

/* oldest_seq: the lowest of the batch's epoch that is still here. `why` (CENTRAL_WHY_MAX) gets a
 * sentence with every answer but the first two. */
enum central_answer central_send(struct central *z, const void *body, size_t len,
				 uint64_t oldest_seq, int64_t timeout_ms, char *why);

/* Number of salts, or -errno with a sentence in `why`. */
int central_salts(struct central *z, int64_t timeout_ms,
		  struct visitor_salt ret_salts[VISITOR_SALTS_MAX], char *why);

/* Decodes {"v":1,"now":ms,"salts":[{"id","from","until","destroy","key"}]}: number of salts, or
 * -EBADMSG. */
int central_salts_decode(const uint8_t *bytes, size_t len,
			 struct visitor_salt ret_salts[VISITOR_SALTS_MAX]);

/* True when an answer's JSON says "result":"(word)". */
bool central_says(struct text answer, const char *word);

#endif
