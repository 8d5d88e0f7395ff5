/* Payload of a journal record, version 1. Integers are little-endian; a text is a length byte and
 * its bytes, length 0 when absent.
 *
 *   bytes  what
 *   1      version, 1
 *   1      flags: 1 UUID, 2 event id, 4 value, 8 repeat, 16 datagram (else beacon), 32 country,
 *          64 session; 128 is 0
 *   8      ts, ms since 1970
 *   8      visitor
 *   4      salt id
 *   1 1 1  browser, system, device
 *   text   type
 *   16     UUID when flagged, else text: slug
 *   16     event id when flagged
 *   8      value when flagged, IEEE 754
 *   2      country when flagged, two capital letters
 *   8      session hash when flagged
 *   text   site
 *   text   name
 *   text   referrer host
 *
 * Valid: version and flags as above, every text within its limit and of its characters, the value
 * finite, nothing behind the last text. Whether the bytes are those that were written is for the
 * journal's checksum to say.
 */
#include "proto/event.h"

#include <math.h>

#include "base/buf.h"
#include "base/hash.h"

#define PAYLOAD_VERSION 1
#define FIXED_BYTES 25 /* up to the type */

enum {
	FLAG_UUID = 1,
	FLAG_EVENT_ID = 2,
	FLAG_VALUE = 4,
	FLAG_REPEAT = 8,
	FLAG_DATAGRAM = 16,
	FLAG_COUNTRY = 32,
	FLAG_SESSION = 64
};

/* The characters of a name below 64, and from there to 127: a bit each. */
#define NAME_LOW (UINT64_C(0x3ff) << '0' | UINT64_C(1) << '-' | UINT64_C(1) << '.')
#define NAME_HIGH                                                                \
	(UINT64_C(0x3ffffff) << ('A' - 64) | UINT64_C(0x3ffffff) << ('a' - 64) | \
	 UINT64_C(1) << ('_' - 64))

static inline bool
all_of(struct text t, uint64_t low)
{
	uint64_t all = 1;
	size_t i;

	if (t.len == 0 || t.len > EVENT_NAME_MAX)
		return false;
	for (i = 0; i < t.len; i++) {
		unsigned char c = (unsigned char)t.at[i];

		all &= (c < 64 ? low : NAME_HIGH) >> (c & 63) & (c < 128);
	}
	return all;
}

bool
event_name_valid(struct text t)
{
	return all_of(t, NAME_LOW);
}

bool
event_slug_valid(struct text t)
{
	return all_of(t, NAME_LOW | UINT64_C(1) << '/');
}

/* Bytes of a URL's scheme (RFC 3986, 3.1), without the colon; 0 when there is none. */
static size_t
scheme_bytes(struct text url)
{
	size_t i;

	for (i = 0; i < url.len && url.at[i] != ':'; i++) {
		char c = url.at[i];
		bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		bool later = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';

		if (!alpha && !(later && i > 0))
			return 0;
	}
	return i < url.len ? i : 0;
}

/* Cuts userinfo and port off an authority. */
static struct text
authority_host(struct text authority)
{
	const char *from = authority.at, *end = authority.at + authority.len, *p;

	for (p = end; p > from && p[-1] != '@'; p--)
		;
	from = p;
	for (p = end; p > from && p[-1] >= '0' && p[-1] <= '9'; p--)
		;
	if (p > from && p[-1] == ':')
		end = p - 1;
	return (struct text){from, (size_t)(end - from)};
}

/* False for characters that no host holds: browsers percent-encode or refuse them. A colon or
 * bracket only in an IPv6 literal. */
static bool
host_char(char c, bool literal)
{
	if ((unsigned char)c <= ' ' || c == 0x7f)
		return false;
	return !strchr(literal ? "\"#%/<>?@\\^`{|}" : "\"#%/<>?@\\^`{|}[]:", c);
}

static struct text
host_copy(struct text host, char *buf)
{
	bool literal = host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
	size_t i;

	if (host.len > 1 && host.at[host.len - 1] == '.')
		host.len--; /* the root's dot: the same host */
	if (host.len == 0 || host.len > EVENT_HOST_MAX || !text_is_utf8(host))
		return (struct text){NULL, 0};
	for (i = 0; i < host.len; i++) {
		char c = host.at[i];

		if (!host_char(c, literal))
			return (struct text){NULL, 0};
		buf[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
	}
	return (struct text){buf, host.len};
}

bool
event_referrer_host(struct text url, char *buf, struct text *ret_host)
{
	size_t scheme = scheme_bytes(url), from = scheme + 3, end;
	struct text host = {NULL, 0};

	if (scheme == 0 && url.len > 0)
		return false;
	if (url.len >= from && memcmp(url.at + scheme, "://", 3) == 0) {
		for (end = from; end < url.len && !memchr("/?#\\", url.at[end], 4); end++)
			;
		host = host_copy(authority_host((struct text){url.at + from, end - from}), buf);
	}
	*ret_host = host;
	return true;
}

static bool
country_valid(const char country[2])
{
	return country[0] >= 'A' && country[0] <= 'Z' && country[1] >= 'A' && country[1] <= 'Z';
}

static bool
absent_or_name(struct text t)
{
	return t.len == 0 || event_name_valid(t);
}

bool
event_valid(const struct event *e)
{
	return e->source < SOURCE_N && e->ts_ms >= 0 && e->ts_ms <= EVENT_TS_MAX_MS &&
	       event_name_valid(e->type) && (e->has_uuid || event_slug_valid(e->id)) &&
	       absent_or_name(e->site) && absent_or_name(e->name) &&
	       e->referrer.len <= EVENT_HOST_MAX && text_is_utf8(e->referrer) &&
	       (!e->has_value || isfinite(e->value)) &&
	       ((e->country[0] == '\0' && e->country[1] == '\0') || country_valid(e->country));
}

static uint8_t
event_flags(const struct event *e)
{
	unsigned flags = 0;

	flags |= e->has_uuid ? FLAG_UUID : 0;
	flags |= e->has_event_id ? FLAG_EVENT_ID : 0;
	flags |= e->has_value ? FLAG_VALUE : 0;
	flags |= e->repeat ? FLAG_REPEAT : 0;
	flags |= e->source == SOURCE_DATAGRAM ? FLAG_DATAGRAM : 0;
	flags |= e->country[0] ? FLAG_COUNTRY : 0;
	flags |= e->session_hash ? FLAG_SESSION : 0;
	return (uint8_t)flags;
}

size_t
event_pack(const struct event *e, uint8_t *buf, size_t cap)
{
	struct writer w = writer_of(buf, cap);
	uint8_t flags = event_flags(e);

	if (!event_valid(e))
		return 0;
	put_u8(&w, PAYLOAD_VERSION);
	put_u8(&w, flags);
	put_u64(&w, (uint64_t)e->ts_ms);
	put_u64(&w, e->visitor);
	put_u32(&w, e->salt_id);
	put_u8(&w, e->browser);
	put_u8(&w, e->system);
	put_u8(&w, e->device);
	put_text8(&w, e->type);
	if (flags & FLAG_UUID)
		put_bytes(&w, e->uuid, 16);
	else
		put_text8(&w, e->id);
	if (flags & FLAG_EVENT_ID)
		put_bytes(&w, e->event_id, 16);
	if (flags & FLAG_VALUE)
		put_f64(&w, e->value);
	if (flags & FLAG_COUNTRY)
		put_bytes(&w, e->country, 2);
	if (flags & FLAG_SESSION)
		put_u64(&w, e->session_hash);
	put_text8(&w, e->site);
	put_text8(&w, e->name);
	put_text8(&w, e->referrer);
	return w.bad ? 0 : w.len;
}

static inline void
get_into(struct reader *r, void *ret_bytes, size_t n)
{
	const uint8_t *bytes = get_bytes(r, n);

	if (bytes)
		memcpy(ret_bytes, bytes, n);
}

static void
unpack_flagged(struct reader *r, uint8_t flags, struct event *e)
{
	e->has_uuid = flags & FLAG_UUID;
	e->has_event_id = flags & FLAG_EVENT_ID;
	e->has_value = flags & FLAG_VALUE;
	if (e->has_uuid)
		get_into(r, e->uuid, 16);
	else
		e->id = get_text8(r);
	if (e->has_event_id)
		get_into(r, e->event_id, 16);
	if (e->has_value)
		e->value = get_f64(r);
	if (flags & FLAG_COUNTRY)
		get_into(r, e->country, 2);
	if (flags & FLAG_SESSION)
		e->session_hash = get_u64(r);
}

bool
event_unpack(const uint8_t *buf, size_t len, struct event *ret_event)
{
	/* of known length, so that these are loads */
	struct reader fixed = reader_of(buf, FIXED_BYTES);
	struct reader r = {buf, FIXED_BYTES, len, false};
	struct event *e = ret_event;
	uint8_t version, flags;

	if (len < FIXED_BYTES)
		return false;
	version = get_u8(&fixed);
	flags = get_u8(&fixed);
	*e = (struct event){.source = flags & FLAG_DATAGRAM ? SOURCE_DATAGRAM : SOURCE_BEACON,
			    .repeat = flags & FLAG_REPEAT};
	e->ts_ms = (int64_t)get_u64(&fixed);
	e->visitor = get_u64(&fixed);
	e->salt_id = get_u32(&fixed);
	e->browser = get_u8(&fixed);
	e->system = get_u8(&fixed);
	e->device = get_u8(&fixed);
	e->type = get_text8(&r);
	unpack_flagged(&r, flags, e);
	e->site = get_text8(&r);
	e->name = get_text8(&r);
	e->referrer = get_text8(&r);
	return !r.bad && reader_left(&r) == 0 && version == PAYLOAD_VERSION && event_valid(e) &&
	       event_flags(e) == flags;
}

uint64_t
event_tag(const uint8_t event_id[16])
{
	/* no secret: the same on every node and for ever */
	static const struct hash_key zeros;
	uint64_t h = hash_sip(&zeros, event_id, 16);

	return h ? h : 1;
}
