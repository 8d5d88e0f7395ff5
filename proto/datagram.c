#include "proto/datagram.h"

#include <math.h>
#include <msgpack.h>
#include <stdlib.h>

#include "base/buf.h"

/* Every item takes a byte of the datagram and at most one object of the zone (a map's pair is two
 * items), so that a zone of this size never grows: no malloc while decoding. */
#define ZONE_BYTES (DATAGRAM_MAX * sizeof(msgpack_object) + 4096)

struct datagram_decoder {
	msgpack_zone zone;
	const msgpack_object *first; /* the map, or the maps, of the opened datagram */
	msgpack_object root;
	unsigned events, hosts; /* in the datagram; decoded so far, wrapping */
	char host[DATAGRAM_LENT][EVENT_HOST_MAX];
};

struct datagram_decoder *
datagram_decoder_new(void)
{
	struct datagram_decoder *d = calloc(1, sizeof(*d));

	if (d && !msgpack_zone_init(&d->zone, ZONE_BYTES)) {
		free(d);
		d = NULL;
	}
	return d;
}

void
datagram_decoder_free(struct datagram_decoder *d)
{
	if (!d)
		return;
	msgpack_zone_destroy(&d->zone);
	free(d);
}

/* -- the scan -- */

/* What one item announces: bytes behind it, items within it. */
struct item {
	uint32_t bytes, items;
	bool container, bad;
};

static uint32_t
get_length(struct reader *r, unsigned width_log2)
{
	uint32_t n = 0;
	unsigned i;

	for (i = 0; i < 1u << width_log2; i++)
		n = n << 8 | get_u8(r);
	return n;
}

static struct item
item_map(uint32_t pairs)
{
	if (pairs > DATAGRAM_KEYS_MAX)
		return (struct item){.bad = true};
	return (struct item){.items = 2 * pairs, .container = true};
}

static struct item
item_array(uint32_t n)
{
	return (struct item){.items = n, .container = true};
}

static struct item
item_bytes(uint32_t n)
{
	return (struct item){.bytes = n};
}

/* The first bytes from 0xc0 to 0xdf: the msgpack specification's "formats" table. */
static struct item
scan_tagged(struct reader *r, uint8_t tag)
{
	switch (tag) {
	case 0xc0: /* nil */
	case 0xc2: /* false, true */
	case 0xc3:
		return item_bytes(0);
	case 0xc4: /* bin 8, 16, 32 */
	case 0xc5:
	case 0xc6:
		return item_bytes(get_length(r, tag - 0xc4u));
	case 0xca: /* float 32, 64 */
	case 0xcb:
		return item_bytes(tag == 0xca ? 4 : 8);
	case 0xcc: /* uint 8 to 64 */
	case 0xcd:
	case 0xce:
	case 0xcf:
		return item_bytes(1u << (tag - 0xcc));
	case 0xd0: /* int 8 to 64 */
	case 0xd1:
	case 0xd2:
	case 0xd3:
		return item_bytes(1u << (tag - 0xd0));
	case 0xd9: /* str 8, 16, 32 */
	case 0xda:
	case 0xdb:
		return item_bytes(get_length(r, tag - 0xd9u));
	case 0xdc: /* array 16, 32 */
	case 0xdd:
		return item_array(get_length(r, tag - 0xdcu + 1));
	case 0xde: /* map 16, 32 */
	case 0xdf:
		return item_map(get_length(r, tag - 0xdeu + 1));
	default: /* ext, and the one that is never used */
		return (struct item){.bad = true};
	}
}

static struct item
scan_item(struct reader *r)
{
	uint8_t tag = get_u8(r);

	if (tag <= 0x7f || tag >= 0xe0)
		return item_bytes(0); /* fixint */
	if (tag <= 0x8f)
		return item_map(tag & 0x0fu);
	if (tag <= 0x9f)
		return item_array(tag & 0x0fu);
	if (tag <= 0xbf)
		return item_bytes(tag & 0x1fu);
	return scan_tagged(r, tag);
}

/* Walks every item that a count promises, so that none is promised which is not there. */
bool
datagram_scan(const uint8_t *bytes, size_t len)
{
	struct reader r = reader_of(bytes, len);
	uint32_t left[DATAGRAM_DEPTH_MAX + 1]; /* items still to come at each depth */
	unsigned depth = 0;
	struct item item;

	if (len == 0 || len > DATAGRAM_MAX)
		return false;
	left[0] = 1;
	for (;;) {
		while (left[depth] == 0) {
			if (depth-- == 0)
				return reader_left(&r) == 0;
		}
		left[depth]--;
		item = scan_item(&r);
		if (item.bad || r.bad)
			return false;
		if (item.bytes && !get_bytes(&r, item.bytes))
			return false;
		if (item.container) {
			if (depth == DATAGRAM_DEPTH_MAX)
				return false;
			left[++depth] = item.items;
		}
	}
}

/* -- opening -- */

unsigned
datagram_open(struct datagram_decoder *d, const uint8_t *bytes, size_t len, enum reason *ret_reason)
{
	size_t off = 0;

	d->events = 0;
	if (len > DATAGRAM_MAX) {
		*ret_reason = REASON_INVALID_TOO_LARGE;
		return 0;
	}
	*ret_reason = REASON_INVALID_MSGPACK;
	if (!datagram_scan(bytes, len))
		return 0;
	msgpack_zone_clear(&d->zone);
	if (msgpack_unpack((const char *)bytes, len, &off, &d->zone, &d->root) !=
	    MSGPACK_UNPACK_SUCCESS)
		return 0;
	if (d->root.type == MSGPACK_OBJECT_MAP) {
		d->first = &d->root;
		d->events = 1;
	} else if (d->root.type == MSGPACK_OBJECT_ARRAY) {
		if (d->root.via.array.size > DATAGRAM_EVENTS_MAX)
			*ret_reason = REASON_INVALID_TOO_LARGE;
		else
			d->events = d->root.via.array.size;
		d->first = d->root.via.array.ptr;
	}
	return d->events;
}

/* -- fields -- */

enum field {
	FIELD_TYPE,
	FIELD_ID,
	FIELD_EID,
	FIELD_EV,
	FIELD_VAL,
	FIELD_SITE,
	FIELD_TS,
	FIELD_IP,
	FIELD_UA,
	FIELD_REF,
	FIELD_SESS,
	FIELD_N
};

#define FIELD(name, reason)                                         \
	{                                                           \
		{(name), sizeof(name) - 1}, REASON_INVALID_##reason \
	}

static const struct {
	struct text name;
	enum reason reason; /* when its value does not do */
} fields[FIELD_N] = {
    [FIELD_TYPE] = FIELD("type", TYPE),    [FIELD_ID] = FIELD("id", ID),
    [FIELD_EID] = FIELD("eid", EVENT_ID),  [FIELD_EV] = FIELD("ev", EVENT),
    [FIELD_VAL] = FIELD("val", VALUE),     [FIELD_SITE] = FIELD("site", SITE),
    [FIELD_TS] = FIELD("ts", TIME),        [FIELD_IP] = FIELD("ip", ADDRESS),
    [FIELD_UA] = FIELD("ua", USER_AGENT),  [FIELD_REF] = FIELD("ref", REFERRER),
    [FIELD_SESS] = FIELD("sess", SESSION),
};

/* Bytes of a str or bin. */
static bool
object_bytes(const msgpack_object *o, struct text *ret_bytes)
{
	if (o->type == MSGPACK_OBJECT_STR)
		*ret_bytes = (struct text){o->via.str.ptr, o->via.str.size};
	else if (o->type == MSGPACK_OBJECT_BIN)
		*ret_bytes = (struct text){o->via.bin.ptr, o->via.bin.size};
	else
		return false;
	return true;
}

static bool
object_text(const msgpack_object *o, struct text *ret_text)
{
	return object_bytes(o, ret_text) && text_is_utf8(*ret_text);
}

static bool
object_number(const msgpack_object *o, double *ret_value)
{
	if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
		*ret_value = (double)o->via.u64;
	else if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
		*ret_value = (double)o->via.i64;
	else if (o->type == MSGPACK_OBJECT_FLOAT32 || o->type == MSGPACK_OBJECT_FLOAT64)
		*ret_value = o->via.f64;
	else
		return false;
	return isfinite(*ret_value);
}

/* 1 to EVENT_TS_MAX_MS, below 2^53: every whole double of it is exact. 0 would say nothing. */
static bool
object_time(const msgpack_object *o, int64_t *ret_ms)
{
	double v;

	if (!object_number(o, &v) || !(v >= 1 && v <= (double)EVENT_TS_MAX_MS) || v != floor(v))
		return false;
	*ret_ms = (int64_t)v;
	return true;
}

/* 16 bytes as they are, or the text of a UUID. */
static bool
object_uuid(const msgpack_object *o, uint8_t ret_uuid[16])
{
	struct text t;

	if (!object_bytes(o, &t))
		return false;
	if (t.len != 16)
		return text_to_uuid(t, ret_uuid);
	memcpy(ret_uuid, t.at, 16);
	return true;
}

static bool
take_id(struct event *e, const msgpack_object *o)
{
	struct text t;

	if (!object_bytes(o, &t))
		return false;
	e->has_uuid = object_uuid(o, e->uuid);
	if (!e->has_uuid || t.len != 16 || event_slug_valid(t))
		e->id = t;
	return e->has_uuid || (t.len >= 1 && t.len <= EVENT_NAME_MAX && text_is_utf8(t));
}

static bool
take_name(struct text *field, const msgpack_object *o)
{
	return object_text(o, field) && event_name_valid(*field);
}

/* Backends without a value often send "": absent. */
static bool
take_text(struct text *field, const msgpack_object *o, size_t max)
{
	if (!object_text(o, field) || field->len > max)
		return false;
	if (field->len == 0)
		field->at = NULL;
	return true;
}

static bool
take_referrer(struct event *e, const msgpack_object *o, char *host)
{
	struct text url;

	return object_text(o, &url) && event_referrer_host(url, host, &e->referrer);
}

static bool
take_field(struct event *e, enum field f, const msgpack_object *o, char *host)
{
	switch (f) {
	case FIELD_TYPE:
		return object_text(o, &e->type) && e->type.len > 0;
	case FIELD_ID:
		return take_id(e, o);
	case FIELD_EID:
		return e->has_event_id = object_uuid(o, e->event_id);
	case FIELD_EV:
		return take_name(&e->name, o);
	case FIELD_VAL:
		return e->has_value = object_number(o, &e->value);
	case FIELD_SITE:
		return take_name(&e->site, o);
	case FIELD_TS:
		return object_time(o, &e->ts_ms);
	case FIELD_IP:
		return take_text(&e->ip, o, DATAGRAM_MAX);
	case FIELD_UA:
		return take_text(&e->ua, o, EVENT_USER_AGENT_MAX);
	case FIELD_REF:
		return take_referrer(e, o, host);
	case FIELD_SESS:
		return take_text(&e->session, o, EVENT_SESSION_MAX);
	case FIELD_N:
	default:
		return true;
	}
}

static enum field
field_find(const msgpack_object *key)
{
	struct text name;
	unsigned f;

	if (!object_bytes(key, &name) || name.len < 2)
		return FIELD_N;
	for (f = 0; f < FIELD_N; f++) /* length and second byte tell nearly all apart */
		if (name.len == fields[f].name.len && name.at[1] == fields[f].name.at[1] &&
		    text_eq(name, fields[f].name))
			break;
	return (enum field)f;
}

enum reason
datagram_event(struct datagram_decoder *d, unsigned i, struct event *ret_event)
{
	enum reason reason = REASON_ACCEPTED_FIRST;
	const msgpack_object_kv *kv;
	char *host = d->host[d->hosts++ % DATAGRAM_LENT];
	unsigned n, seen = 0, given = 0;
	enum field f;

	*ret_event = (struct event){.source = SOURCE_DATAGRAM};
	if (i >= d->events || d->first[i].type != MSGPACK_OBJECT_MAP)
		return REASON_INVALID_MSGPACK;
	for (n = 0; n < d->first[i].via.map.size; n++) {
		kv = &d->first[i].via.map.ptr[n];
		f = field_find(&kv->key);
		if (f == FIELD_N)
			continue;
		if (seen & 1u << f)
			return REASON_INVALID_DUPLICATE_KEY;
		seen |= 1u << f;
		if (kv->val.type == MSGPACK_OBJECT_NIL)
			continue;
		given |= 1u << f;
		if (!take_field(ret_event, f, &kv->val, host) && reason == REASON_ACCEPTED_FIRST)
			reason = fields[f].reason;
	}
	if (!(given & 1u << FIELD_TYPE) || !(given & 1u << FIELD_ID))
		return REASON_INVALID_MISSING;
	return reason;
}

/* -- encoding -- */

static int
write_into(void *data, const char *bytes, size_t n)
{
	struct writer *w = data;

	put_bytes(w, bytes, n);
	return w->bad ? -1 : 0;
}

static void
pack_name(msgpack_packer *pk, enum field f)
{
	(void)msgpack_pack_str_with_body(pk, fields[f].name.at, fields[f].name.len);
}

static void
pack_text(msgpack_packer *pk, enum field f, struct text t)
{
	if (t.len == 0)
		return;
	pack_name(pk, f);
	(void)msgpack_pack_str_with_body(pk, t.at, t.len);
}

static void
pack_uuid(msgpack_packer *pk, enum field f, const uint8_t uuid[16])
{
	pack_name(pk, f);
	(void)msgpack_pack_bin_with_body(pk, uuid, 16);
}

/* Decoders want a URL; an event that was decoded knows the host alone. */
static void
pack_referrer(msgpack_packer *pk, struct text ref)
{
	char url[sizeof("http://") + EVENT_HOST_MAX];

	if (ref.len <= EVENT_HOST_MAX && !memchr(ref.at, ':', ref.len)) {
		memcpy(url, "http://", 7);
		memcpy(url + 7, ref.at, ref.len);
		ref = (struct text){url, ref.len + 7};
	}
	pack_text(pk, FIELD_REF, ref);
}

static size_t
fields_present(const struct event *e)
{
	return 2u + e->has_event_id + (e->name.len > 0) + e->has_value + (e->site.len > 0) +
	       (e->ts_ms != 0) + (e->ip.len > 0) + (e->ua.len > 0) + (e->referrer.len > 0) +
	       (e->session.len > 0);
}

size_t
datagram_encode(const struct event *e, uint8_t *buf, size_t cap)
{
	struct writer w = writer_of(buf, cap);
	msgpack_packer pk;

	if (e->type.len == 0 || (!e->has_uuid && e->id.len == 0))
		return 0;
	msgpack_packer_init(&pk, &w, write_into);
	(void)msgpack_pack_map(&pk, fields_present(e));
	pack_text(&pk, FIELD_TYPE, e->type);
	if (e->has_uuid)
		pack_uuid(&pk, FIELD_ID, e->uuid);
	else
		pack_text(&pk, FIELD_ID, e->id);
	if (e->has_event_id)
		pack_uuid(&pk, FIELD_EID, e->event_id);
	pack_text(&pk, FIELD_EV, e->name);
	if (e->has_value) {
		pack_name(&pk, FIELD_VAL);
		(void)msgpack_pack_double(&pk, e->value);
	}
	pack_text(&pk, FIELD_SITE, e->site);
	if (e->ts_ms != 0) {
		pack_name(&pk, FIELD_TS);
		(void)msgpack_pack_int64(&pk, e->ts_ms);
	}
	pack_text(&pk, FIELD_IP, e->ip);
	pack_text(&pk, FIELD_UA, e->ua);
	if (e->referrer.len > 0)
		pack_referrer(&pk, e->referrer);
	pack_text(&pk, FIELD_SESS, e->session);
	return w.bad ? 0 : w.len;
}
