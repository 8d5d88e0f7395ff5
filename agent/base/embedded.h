/* embedded.h -- files that were built into a program: the tracker, the operator's pages.
 *
 * Made at build time from js/ and dashboards/web/ (see the Makefile); arrays end with name NULL.
 *
 * Threads:  constant.
 */
#ifndef BASE_EMBEDDED_H
#define BASE_EMBEDDED_H

#include <stddef.h>
#include <stdint.h>

struct embedded {
	const char *name; /* "index.html" */
	const char *content_type;
	const char *etag; /* quoted, from the content's hash */
	const uint8_t *bytes;
	size_t len;
	const uint8_t *gzip; /* the same, gzip -9 */
	size_t gzip_len;
};

extern const struct embedded embedded_tracker[]; /* analytics-tracking.js, demo.html */
extern const struct embedded embedded_pages[];

#endif
