/* segment_home.h -- what a closed segment's batch would say of it, for tests that do not seal.
 *
 * Threads:  any, with a segment of its own.
 */
#ifndef TEST_SEGMENT_HOME_H
#define TEST_SEGMENT_HOME_H

#include "node/journal.h"

static inline struct batch_meta
meta_of(const struct segment *s)
{
	struct segment_walk w = {0};
	struct batch_meta meta;
	struct event e;

	while (segment_next(s, &w, &e))
		;
	segment_meta(s, &w, &meta);
	return meta;
}

#endif
