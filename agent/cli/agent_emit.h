/* agent_emit.h -- a line of NDJSON with a datagram's keys, as an event.
 *
 * type, id, ev, site, ip, ua, ref, sess are strings (id and eid UUIDs as text, or a slug as id),
 * val a number, ts a whole number of milliseconds. Unknown keys are skipped. What the agent judges
 * (types, times, addresses) is left to it.
 *
 * Threads:  plain function.
 * Memory:   scratch takes as many bytes as the line has; the event's texts point there.
 */
#ifndef CLI_AGENT_EMIT_H
#define CLI_AGENT_EMIT_H

#include "proto/event.h"

/* NULL, or what is wrong with the line. host takes EVENT_HOST_MAX bytes. */
const char *emit_parse(struct text line, char *scratch, char *host, struct event *ret_event);

#endif
