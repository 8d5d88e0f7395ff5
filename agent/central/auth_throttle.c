#include "central/auth_throttle.h"

#include <string.h>

#include "base/buf.h"

#define WAYS 8 /* entries that an address may stand in */

void
throttle_init(struct throttle *t)
{
	memset(t, 0, sizeof(*t));
	hash_key_random(&t->key);
}

static uint64_t
address_tag(const struct throttle *t, const struct sockaddr *addr)
{
	uint8_t bytes[9] = {0};
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	uint64_t tag;

	if (addr && addr->sa_family == AF_INET) {
		memcpy(&in, addr, sizeof(in));
		bytes[0] = 4;
		memcpy(bytes + 1, &in.sin_addr, 4);
	} else if (addr && addr->sa_family == AF_INET6) {
		memcpy(&in6, addr, sizeof(in6));
		bytes[0] = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) ? 4 : 6;
		if (bytes[0] == 4)
			memcpy(bytes + 1, in6.sin6_addr.s6_addr + 12, 4);
		else
			memcpy(bytes + 1, in6.sin6_addr.s6_addr, 8);
	}
	tag = hash_table(&t->key, bytes, sizeof(bytes));
	return tag ? tag : 1;
}

/* The entry of this tag, or SIZE_MAX. */
static size_t
entry_find(const struct throttle *t, uint64_t tag)
{
	size_t base = tag % (THROTTLE_ENTRIES / WAYS) * WAYS, i;

	for (i = base; i < base + WAYS; i++)
		if (t->tag[i] == tag)
			return i;
	return SIZE_MAX;
}

static size_t
entry_make(struct throttle *t, uint64_t tag)
{
	size_t base = tag % (THROTTLE_ENTRIES / WAYS) * WAYS, i, idle = base;

	for (i = base; i < base + WAYS; i++)
		if (t->arrival_us[i] < t->arrival_us[idle])
			idle = i;
	t->tag[idle] = tag;
	t->arrival_us[idle] = 0;
	return idle;
}

static bool
gcra(int64_t *arrival_us, int64_t now_us, int64_t step_us, int64_t burst, int64_t *ret_wait_us)
{
	int64_t arrival = *arrival_us > now_us ? *arrival_us : now_us;

	*ret_wait_us = arrival + step_us - burst * step_us - now_us;
	if (*ret_wait_us > 0)
		return false;
	*arrival_us = arrival + step_us;
	return true;
}

bool
throttle_charge(struct throttle *t, const struct sockaddr *addr, struct mono_us now,
		unsigned *ret_wait_s)
{
	uint64_t tag = address_tag(t, addr);
	size_t at = entry_find(t, tag);
	int64_t wait_us;

	if (at == SIZE_MAX)
		at = entry_make(t, tag);
	if (gcra(&t->arrival_us[at], now.us, THROTTLE_ADDRESS_US, THROTTLE_ADDRESS_BURST,
		 &wait_us)) {
		if (gcra(&t->common_us, now.us, THROTTLE_COMMON_US, THROTTLE_COMMON_BURST,
			 &wait_us))
			return true;
		t->arrival_us[at] -= THROTTLE_ADDRESS_US;
	}
	*ret_wait_s = (unsigned)(wait_us / 1000000 + 1);
	return false;
}

void
throttle_refund(struct throttle *t, const struct sockaddr *addr)
{
	size_t at = entry_find(t, address_tag(t, addr));

	if (at != SIZE_MAX)
		t->arrival_us[at] -= THROTTLE_ADDRESS_US;
	t->common_us -= THROTTLE_COMMON_US;
}
