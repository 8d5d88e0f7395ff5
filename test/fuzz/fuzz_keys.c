/* Any bytes as the file of keys for signed datagrams: when it is taken, every line of it is. What
 * is wrong with a file is said without its secrets. */
#include <sodium.h>

#include "base/hash.h"
#include "node/udp_keys.h"
#include "proto/event.h"
#include "test/fuzz/fuzz_dir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FLOOR ((struct wall_ms){77})

static void
check_key(struct udp_keys *keys, struct text line)
{
	char *text = strndup(line.at, line.len), *rest = NULL, *name, *digits;
	uint8_t secret[ENVELOPE_KEY_BYTES];
	const struct udp_key *key;

	name = strtok_r(text, " \t\r", &rest);
	if (name && name[0] != '#') {
		key = udp_keys_find(keys, text_of(name));
		digits = strtok_r(NULL, " \t\r", &rest);
		if (!key || !event_name_valid(text_of(key->name)) || key->floor_ms != FLOOR.ms ||
		    udp_keys_find_id(keys, key->id) != key)
			abort();
		if (!digits || !text_to_bytes(text_of(digits), secret, sizeof(secret)) ||
		    memcmp(secret, key->secret, sizeof(secret)) != 0)
			abort();
	}
	free(text);
}

static void
check_lines(struct udp_keys *keys, struct text file)
{
	const char *end;
	size_t n;

	for (; file.len > 0; file.at += n, file.len -= n) {
		end = memchr(file.at, '\n', file.len);
		n = end ? (size_t)(end - file.at) : file.len;
		check_key(keys, (struct text){file.at, n});
		n += end ? 1 : 0;
	}
	if (!udp_keys_at(keys, 0))
		abort();
}

/* No 16 digits of the file stand in the sentence. */
static void
check_fault(const char *fault, struct text file)
{
	char digits[17];
	size_t i, n;

	if (!memchr(fault, '\0', UDP_KEYS_FAULT_MAX) || fault[0] == '\0')
		abort();
	for (i = n = 0; i < file.len; i++) {
		n = strchr("0123456789abcdefABCDEF", file.at[i]) && file.at[i] ? n + 1 : 0;
		if (n < 16)
			continue;
		memcpy(digits, file.at + i - 15, 16);
		digits[16] = '\0';
		if (strstr(fault, digits))
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[FUZZ_PATH_MAX], fault[UDP_KEYS_FAULT_MAX] = "";
	struct text file = {(const char *)data, size};
	struct udp_keys *keys = NULL;

	if (!fuzz_dir[0]) {
		if (hash_init() < 0)
			abort();
		fuzz_dir_make();
	}
	fuzz_file("keys", data, size);
	fuzz_path("keys", path);
	if (udp_keys_read(path, FLOOR, &keys, fault) == 0)
		check_lines(keys, file);
	else if (keys)
		abort();
	else
		check_fault(fault, file);
	udp_keys_free(keys);
	return 0;
}
