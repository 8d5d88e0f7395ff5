/* event.h -- one thing that happened to one content, as it is passed along inside a program.
 *
 * Decoders (beacon.h, datagram.h) fill the part that a reporter may say; admission adds what only
 * it may decide; event_pack writes both, less address and User-Agent, as a journal record's payload
 * (byte table in README.md). Nothing that leaves admission can name a person.
 *
 * Threads:  plain values.
 * Memory:   texts point into the body, datagram or record that was decoded: lent until it changes.
 */
#ifndef PROTO_EVENT_H
#define PROTO_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "proto/ledger.h"

#define EVENT_NAME_MAX 64 /* event, site, type, slug: what fits a table column */
#define EVENT_SESSION_MAX 64
#define EVENT_HOST_MAX 253 /* a DNS name, RFC 1035 */
#define EVENT_USER_AGENT_MAX 2048
#define EVENT_PACKED_MAX 1024 /* the largest payload: all texts at their limits is 573 */
#define EVENT_TS_MAX_MS INT64_C(253402300799999) /* the last ms of the year 9999 */

struct event {
	/* from the reporter */
	enum event_source source;
	int64_t ts_ms;    /* its own wall time; 0: not said, admission sets its arrival */
	struct text site; /* absent: the configured default */
	struct text type; /* one of the configured types, once admitted */
	struct text
	    id; /* a slug as sent; for UUIDs their text as sent, absent in unpacked records */
	/* The id is a UUID, in uuid. With an id of 16 bytes beside it, the reporter sent 16 bytes
	 * that make a slug as well: where slugs are configured, that is what they are */
	bool has_uuid;
	uint8_t uuid[16];
	bool has_event_id;
	uint8_t event_id[16];
	struct text name;     /* absent: "view" */
	struct text referrer; /* host only, lower case; absent: direct */
	struct text session;  /* not stored: see session_hash */
	bool has_value;
	double value;
	bool automated; /* the browser says that a program drives it; beacons only, never stored */
	struct text ip; /* datagrams only; never stored */
	struct text ua; /* never stored */

	/* from admission */
	bool repeat;
	uint64_t visitor;      /* keyed hash of address and User-Agent under the salt of salt_id */
	uint64_t session_hash; /* keyed likewise; 0 when there is none */
	uint32_t salt_id; /* which salt (salts of an agent's own making have the top bit set) */
	uint8_t browser, system, device; /* ua_class.def; 0 unknown */
	char country[2];                 /* ISO 3166-1, or two NULs */
};

#define EVENT_DEFAULT_NAME "view"
#define EVENT_DEFAULT_SITE "default"

/* 1 to EVENT_NAME_MAX of a-z A-Z 0-9 _ - . and for slugs also / */
bool event_name_valid(struct text t);
bool event_slug_valid(struct text t);

/* Host of an absolute URL, lower-cased into buf (EVENT_HOST_MAX bytes), without port and userinfo.
 * Absent text and true for an empty URL, one that names no host (about:blank; android-app://x gives
 * x) and one whose host is none: real logs hold such, and a view is not lost for its referrer.
 * False for what does not begin with a scheme. */
bool event_referrer_host(struct text url, char *buf, struct text *ret_host);

/* What holds for every event in a journal or batch: type and id (UUID or slug) are there, names and
 * slug valid, texts within their limits, the value finite, ts_ms from 0 to EVENT_TS_MAX_MS. */
bool event_valid(const struct event *e);

/* What stands for an event id where 8 bytes must do: a fixed hash of all 16, since ids may begin
 * with the time (UUIDv7) or a counter. Never 0. */
uint64_t event_tag(const uint8_t event_id[16]);

/* Payload of a journal record into buf. Bytes written, or 0 when the event is not valid or does not
 * fit. */
size_t event_pack(const struct event *e, uint8_t *buf, size_t cap);

/* False, with *ret_event undefined, unless the payload is exactly one well-formed event. Texts
 * point into buf. Address, User-Agent and session are always absent. */
bool event_unpack(const uint8_t *buf, size_t len, struct event *ret_event);

#endif
