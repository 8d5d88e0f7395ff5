#include "proto/envelope.h"

#include <sodium.h>

#include "base/buf.h"
#include "proto/event.h"

static const uint8_t magic[4] = {'F', 'F', 'S', 'D'};

#define VERSION 1

static bool
in_range(const struct envelope *e)
{
	return event_name_valid(e->key_name) && e->seq >= 1 && e->seq <= ENVELOPE_SEQ_MAX &&
	       e->time_ms >= 0 && e->time_ms <= EVENT_TS_MAX_MS && e->payload.len > 0;
}

bool
envelope_is(const uint8_t *bytes, size_t len)
{
	return len >= sizeof(magic) && memcmp(bytes, magic, sizeof(magic)) == 0;
}

bool
envelope_read(const uint8_t *bytes, size_t len, struct envelope *ret_e)
{
	struct envelope e = {.tag = NULL};
	struct reader r = reader_of(bytes, len);
	uint64_t time_ms;

	(void)get_bytes(&r, sizeof(magic));
	if (!envelope_is(bytes, len) || get_u8(&r) != VERSION)
		return false;
	e.boot = get_u64(&r);
	e.seq = get_u64(&r);
	time_ms = get_u64(&r);
	e.key_name = get_text8(&r);
	if (time_ms > (uint64_t)EVENT_TS_MAX_MS || reader_left(&r) <= ENVELOPE_TAG_BYTES)
		return false;
	e.time_ms = (int64_t)time_ms;
	e.payload.len = reader_left(&r) - ENVELOPE_TAG_BYTES;
	e.payload.at = (const char *)get_bytes(&r, e.payload.len);
	e.body = (struct text){(const char *)bytes, len - ENVELOPE_TAG_BYTES};
	e.tag = get_bytes(&r, ENVELOPE_TAG_BYTES);
	if (r.bad || !in_range(&e))
		return false;
	*ret_e = e;
	return true;
}

static void
make_tag(struct text body, const uint8_t key[ENVELOPE_KEY_BYTES],
	 uint8_t ret_tag[ENVELOPE_TAG_BYTES])
{
	(void)crypto_generichash(ret_tag, ENVELOPE_TAG_BYTES, (const uint8_t *)body.at, body.len,
				 key, ENVELOPE_KEY_BYTES);
}

bool
envelope_verify(const struct envelope *e, const uint8_t key[ENVELOPE_KEY_BYTES])
{
	uint8_t tag[ENVELOPE_TAG_BYTES];

	make_tag(e->body, key, tag);
	return sodium_memcmp(tag, e->tag, sizeof(tag)) == 0;
}

size_t
envelope_write(const struct envelope *e, const uint8_t key[ENVELOPE_KEY_BYTES], uint8_t *buf,
	       size_t cap)
{
	struct writer w = writer_of(buf, cap);
	uint8_t tag[ENVELOPE_TAG_BYTES];

	if (!in_range(e))
		return 0;
	put_bytes(&w, magic, sizeof(magic));
	put_u8(&w, VERSION);
	put_u64(&w, e->boot);
	put_u64(&w, e->seq);
	put_u64(&w, (uint64_t)e->time_ms);
	put_text8(&w, e->key_name);
	put_bytes(&w, e->payload.at, e->payload.len);
	if (w.bad)
		return 0;
	make_tag((struct text){(const char *)buf, w.len}, key, tag);
	put_bytes(&w, tag, sizeof(tag));
	return w.bad ? 0 : w.len;
}
