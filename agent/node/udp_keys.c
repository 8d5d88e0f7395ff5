#include "node/udp_keys.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "proto/event.h"

#define LINE_MAX_BYTES 256
#define SPACE " \t\r"

struct udp_keys {
	size_t n;
	struct udp_key key[UDP_KEYS_MAX];
};

/* -- finding -- */

struct udp_key *
udp_keys_find(struct udp_keys *k, struct text name)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		if (text_is(name, k->key[i].name))
			return &k->key[i];
	return NULL;
}

struct udp_key *
udp_keys_find_id(struct udp_keys *k, uint64_t id)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		if (k->key[i].id == id)
			return &k->key[i];
	return NULL;
}

struct udp_key *
udp_keys_at(struct udp_keys *k, size_t i)
{
	return i < k->n ? &k->key[i] : NULL;
}

void
udp_keys_inherit(struct udp_keys *k, struct udp_keys *old)
{
	const struct udp_key *was;
	size_t i;

	for (i = 0; i < k->n; i++) {
		was = udp_keys_find_id(old, k->key[i].id);
		if (was)
			k->key[i].floor_ms = was->floor_ms;
	}
}

/* -- reading -- */

static uint64_t
key_id(const struct udp_key *key)
{
	uint8_t digest[crypto_generichash_BYTES_MIN];
	uint64_t id;

	(void)crypto_generichash(digest, sizeof(digest), (const uint8_t *)key->name,
				 strlen(key->name), key->secret, sizeof(key->secret));
	memcpy(&id, digest, sizeof(id));
	return id;
}

static const char *
add_key(struct udp_keys *k, struct text name, struct text digits, struct wall_ms floor)
{
	struct udp_key *key;

	if (k->n == UDP_KEYS_MAX)
		return "too many keys";
	key = &k->key[k->n];
	if (!event_name_valid(name))
		return "the name is not 1 to 64 of a-z A-Z 0-9 _ - .";
	if (!text_to_bytes(digits, key->secret, sizeof(key->secret)))
		return "the key is not 64 hexadecimal digits";
	if (udp_keys_find(k, name))
		return "this name stands twice";
	memcpy(key->name, name.at, name.len);
	key->name[name.len] = '\0';
	key->floor_ms = floor.ms;
	key->id = key_id(key);
	k->n++;
	return NULL;
}

/* NULL, or what is wrong with the line, which is not left as it was. */
static const char *
take_line(struct udp_keys *k, char *line, struct wall_ms floor)
{
	struct text name, digits;

	line += strspn(line, SPACE);
	if (*line == '\0' || *line == '#')
		return NULL;
	name = (struct text){line, strcspn(line, SPACE)};
	line += name.len;
	line += strspn(line, SPACE);
	digits = (struct text){line, strcspn(line, SPACE)};
	line += digits.len;
	if (line[strspn(line, SPACE)] != '\0')
		return "something stands behind the key";
	return add_key(k, name, digits, floor);
}

static int
take_lines(struct udp_keys *k, char *text, struct wall_ms floor, const char *path, char *ret_fault)
{
	const char *what;
	unsigned n = 0;
	char *line;

	while ((line = strsep(&text, "\n"))) {
		n++;
		what = take_line(k, line, floor);
		if (!what)
			continue;
		(void)snprintf(ret_fault, UDP_KEYS_FAULT_MAX,
			       "%.128s:%u: %s; a line is NAME and "
			       "64 hexadecimal digits",
			       path, n, what);
		return -EINVAL;
	}
	if (k->n > 0)
		return 0;
	(void)snprintf(ret_fault, UDP_KEYS_FAULT_MAX, "%.128s: holds no key", path);
	return -EINVAL;
}

static int
refuse_nul(const char *path, char *ret_fault)
{
	(void)snprintf(ret_fault, UDP_KEYS_FAULT_MAX, "%.128s: holds a NUL byte", path);
	return -EINVAL;
}

int
udp_keys_read(const char *path, struct wall_ms floor, struct udp_keys **ret_keys,
	      char ret_fault[UDP_KEYS_FAULT_MAX])
{
	struct udp_keys *k = NULL;
	char *text = NULL;
	size_t len = 0;
	int err;

	err = file_read_secret(path, (size_t)UDP_KEYS_MAX * LINE_MAX_BYTES, &text, &len);
	if (!err) {
		k = udp_keys_none();
		err = k ? 0 : -ENOMEM;
	}
	if (err)
		(void)snprintf(ret_fault, UDP_KEYS_FAULT_MAX, "%.128s: %s", path,
			       err == -EPERM ? "others than its owner may read it"
					     : strerror(-err));
	else if (strlen(text) != len) /* the keys behind it would not be seen */
		err = refuse_nul(path, ret_fault);
	else
		err = take_lines(k, text, floor, path, ret_fault);
	if (text)
		sodium_memzero(text, len);
	free(text);
	if (err)
		udp_keys_free(k);
	else
		*ret_keys = k;
	return err;
}

struct udp_keys *
udp_keys_none(void)
{
	return calloc(1, sizeof(struct udp_keys));
}

void
udp_keys_free(struct udp_keys *k)
{
	if (!k)
		return;
	sodium_memzero(k, sizeof(*k));
	free(k);
}
