#include <errno.h>
#include <msgpack.h>

#include "node/forward_central.h"
#include "proto/datagram.h"

static bool
key_is(const msgpack_object *o, const char *name)
{
	return o->type == MSGPACK_OBJECT_STR && o->via.str.size == strlen(name) &&
	       memcmp(o->via.str.ptr, name, o->via.str.size) == 0;
}

static const msgpack_object *
member(const msgpack_object *map, const char *name)
{
	uint32_t i;

	if (map->type != MSGPACK_OBJECT_MAP)
		return NULL;
	for (i = 0; i < map->via.map.size; i++)
		if (key_is(&map->via.map.ptr[i].key, name))
			return &map->via.map.ptr[i].val;
	return NULL;
}

static bool
take_number(const msgpack_object *map, const char *name, uint64_t max, int64_t *ret_n)
{
	const msgpack_object *o = member(map, name);

	if (!o || o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > max)
		return false;
	*ret_n = (int64_t)o->via.u64;
	return true;
}

static bool
take_salt(const msgpack_object *o, struct visitor_salt *ret_salt)
{
	const msgpack_object *key = member(o, "key");
	struct visitor_salt s = {0};
	int64_t id;

	/* the top bit marks salts of an agent's own making */
	if (!take_number(o, "id", VISITOR_OWN_SALT - 1, &id) ||
	    !take_number(o, "from", INT64_MAX, &s.from_ms) ||
	    !take_number(o, "until", INT64_MAX, &s.until_ms) ||
	    !take_number(o, "destroy", INT64_MAX, &s.destroy_ms))
		return false;
	if (!key || key->type != MSGPACK_OBJECT_BIN || key->via.bin.size != HASH_KEY_BYTES)
		return false;
	s.id = (uint32_t)id;
	memcpy(s.key.bytes, key->via.bin.ptr, HASH_KEY_BYTES);
	*ret_salt = s;
	return s.from_ms < s.until_ms && s.until_ms <= s.destroy_ms;
}

static int
take_salts(const msgpack_object *o, struct visitor_salt ret_salts[VISITOR_SALTS_MAX])
{
	const msgpack_object *list = member(o, "salts");
	int64_t version;
	uint32_t i;

	if (!take_number(o, "v", 1, &version) || version != 1 || !list ||
	    list->type != MSGPACK_OBJECT_ARRAY || list->via.array.size > VISITOR_SALTS_MAX)
		return -EBADMSG;
	for (i = 0; i < list->via.array.size; i++)
		if (!take_salt(&list->via.array.ptr[i], &ret_salts[i]))
			return -EBADMSG;
	return (int)list->via.array.size;
}

/* msgpack-c believes what counts say, so the shape is scanned first, as for datagrams. */
int
central_salts_decode(const uint8_t *bytes, size_t len,
		     struct visitor_salt ret_salts[VISITOR_SALTS_MAX])
{
	msgpack_unpacked result;
	int n = -EBADMSG;

	if (len > CENTRAL_ANSWER_MAX || !datagram_scan(bytes, len))
		return -EBADMSG;
	msgpack_unpacked_init(&result);
	if (msgpack_unpack_next(&result, (const char *)bytes, len, NULL) == MSGPACK_UNPACK_SUCCESS)
		n = take_salts(&result.data, ret_salts);
	msgpack_unpacked_destroy(&result);
	return n;
}
