#include "base/peer_limit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/hash.h"

/* with 30 crowded addresses, one in a million innocent ones meets two of them */
#define CELLS ((size_t)32768)

struct peer_limit {
	/* constant after start */
	uint32_t most;
	struct hash_key key;
	/* atomic */
	_Atomic uint32_t *cell[2];
};

int
peer_limit_new(uint32_t most, struct peer_limit **ret_limit)
{
	struct peer_limit *l = calloc(1, sizeof(*l));
	void *cells;

	if (!l)
		return -ENOMEM;
	cells = mmap(NULL, 2 * CELLS * sizeof(*l->cell[0]), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (cells == MAP_FAILED) {
		free(l);
		return -ENOMEM;
	}
	l->most = most;
	l->cell[0] = cells;
	l->cell[1] = l->cell[0] + CELLS;
	hash_key_random(&l->key);
	*ret_limit = l;
	return 0;
}

void
peer_limit_free(struct peer_limit *l)
{
	if (!l)
		return;
	munmap(l->cell[0], 2 * CELLS * sizeof(*l->cell[0]));
	free(l);
}

/* What stands for a peer; 0 bytes when it is not counted. */
static size_t
peer_name(const struct sockaddr *peer, uint8_t ret_name[8])
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (peer->sa_family == AF_INET) {
		memcpy(&v4, peer, sizeof(v4));
		memcpy(ret_name, &v4.sin_addr, 4);
		return 4;
	}
	if (peer->sa_family != AF_INET6)
		return 0;
	memcpy(&v6, peer, sizeof(v6));
	if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
		memcpy(ret_name, v6.sin6_addr.s6_addr + 12, 4);
		return 4;
	}
	memcpy(ret_name, v6.sin6_addr.s6_addr, 8);
	return 8;
}

static bool
find_cells(struct peer_limit *l, const struct sockaddr *peer, _Atomic uint32_t *ret_cell[2])
{
	uint8_t name[8];
	size_t len = l->most > 0 ? peer_name(peer, name) : 0;
	uint64_t hash;

	if (len == 0)
		return false;
	hash = hash_table(&l->key, name, len);
	ret_cell[0] = &l->cell[0][hash % CELLS];
	ret_cell[1] = &l->cell[1][(hash >> 32) % CELLS];
	return true;
}

bool
peer_limit_enter(struct peer_limit *l, const struct sockaddr *peer)
{
	_Atomic uint32_t *cell[2];
	uint32_t a, b;

	if (!find_cells(l, peer, cell))
		return true;
	a = atomic_fetch_add_explicit(cell[0], 1, memory_order_relaxed);
	b = atomic_fetch_add_explicit(cell[1], 1, memory_order_relaxed);
	return (a < b ? a : b) < l->most;
}

void
peer_limit_leave(struct peer_limit *l, const struct sockaddr *peer)
{
	_Atomic uint32_t *cell[2];

	if (!find_cells(l, peer, cell))
		return;
	atomic_fetch_sub_explicit(cell[0], 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(cell[1], 1, memory_order_relaxed);
}
