/* ua_class.h -- browser, system and device of a User-Agent.
 *
 * Admission asks once per distinct User-Agent (its cache remembers); what follows stores three
 * numbers of proto/ua_class.def and no User-Agent. What a browser says first counts least: the
 * tables in ua_class.c are ordered so that the name that pretends least comes first.
 *
 * Threads:  any, no state.
 * Memory:   none; of a User-Agent the first EVENT_USER_AGENT_MAX bytes are read.
 */
#ifndef NODE_UA_CLASS_H
#define NODE_UA_CLASS_H

#include "base/text.h"
#include "proto/ua_class.h"

struct ua_class {
	uint8_t browser, system, device; /* 0: unknown */
};

struct ua_class ua_classify(struct text ua);

#endif
