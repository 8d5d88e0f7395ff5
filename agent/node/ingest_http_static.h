/* ingest_http_static.h -- the tracker, under its own name and one that changes with its content.
 *
 * script_paths give an ETag and a short time in caches; the same path with the first eight digits
 * of the content's hash before ".js" (/js/analytics-tracking.1a2b3c4d.js) may be kept for a year.
 *
 * Threads:  one struct statics per worker, used by it alone.
 * Memory:   six responses of each file's size per path, made at start.
 */
#ifndef NODE_INGEST_HTTP_STATIC_H
#define NODE_INGEST_HTTP_STATIC_H

#include "base/text.h"
#include "conf/conf.h"
#include "node/http_answer.h"

struct statics;

/* NULL when memory is short. With demo: a page with tracked elements under /demo. */
struct statics *statics_new(const struct conf_list *script_paths, bool demo);
void statics_free(struct statics *s);

struct static_file;

/* The file of a path, or NULL. */
struct static_file *statics_find(struct statics *s, struct text path);

/* 200, or 304 when if_none_match knows it; gzip when accept_encoding takes it. Lent until
 * statics_free. */
struct http_answer *static_answer(struct static_file *f, struct text accept_encoding,
				  struct text if_none_match, bool closes);

/* True when a list of codings (RFC 9110, section 12.5.3) takes gzip. */
bool accepts_gzip(struct text accept_encoding);

/* True when a list of entity tags holds this one, weak or strong, or is "*". */
bool etag_matches(struct text if_none_match, const char *etag);

#endif
