/* The central's answer with salts; with FILE before it, the file in which an agent keeps them, its
 * checksums made right by SUMS. Whatever is there, now has a salt; the central's wins where it gave
 * one for now; and the same visitor is the same after a restart. */
#include "base/clock.h"
#include "base/log.h"
#include "node/forward_central.h"
#include "test/fuzz/fuzz_dir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_OF_SALTS 1
#define SUMS 2
#define NOW INT64_C(1795348800000)
#define SLOT 64
#define SLOT_CHECKED 48

static void
put_file(const uint8_t *data, size_t size, bool make_right)
{
	uint8_t *bytes = malloc(size ? size : 1);
	uint64_t sum;
	size_t at;

	if (!bytes)
		abort();
	memcpy(bytes, data, size);
	for (at = SLOT; make_right && at + SLOT <= size; at += SLOT) {
		sum = hash_mix(0, bytes + at, SLOT_CHECKED);
		memcpy(bytes + at + SLOT_CHECKED, &sum, sizeof(sum));
	}
	fuzz_file("salts", bytes, size);
	free(bytes);
}

static uint64_t
who(const struct visitor_salts *s, uint32_t *ret_id)
{
	static const struct client_addr addr = {{1}};

	return visitor_hash(s, NOW, NOW, &addr, TEXT_LIT("Mozilla/5.0"), ret_id);
}

/* One for now, that no later one of the same answer replaces, and there is room for all of them
 * beside our own. */
static bool
gives_now(const struct visitor_salt *salts, int n)
{
	int i, k;

	for (i = n - 1; i >= 0 && n < VISITOR_SALTS_MAX; i--) {
		if (salts[i].from_ms > NOW || NOW >= salts[i].until_ms)
			continue;
		for (k = i + 1; k < n; k++)
			if (salts[k].from_ms < salts[i].until_ms &&
			    salts[i].from_ms < salts[k].until_ms)
				return false;
		return true;
	}
	return false;
}

/* n < 0: no answer came. */
static void
run(const struct visitor_salt *salts, int n)
{
	struct visitor_salts *s;
	uint32_t id, id_again;
	uint64_t visitor;

	if (visitor_salts_open(fuzz_dir, NOW, &s) < 0 ||
	    (n >= 0 && visitor_salts_set(s, salts, (size_t)n, NOW) < 0))
		abort();
	visitor_salts_tend(s, NOW);
	visitor = who(s, &id);
	if (visitor == 0 || (gives_now(salts, n) && id & VISITOR_OWN_SALT))
		abort();
	visitor_salts_close(s);
	if (visitor_salts_open(fuzz_dir, NOW, &s) < 0)
		abort();
	if (who(s, &id_again) != visitor || id_again != id)
		abort();
	visitor_salts_close(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct visitor_salt salts[VISITOR_SALTS_MAX];
	int n = -1, i;

	if (!fuzz_dir[0]) {
		log_init("fuzz", LOG_LEVEL_N);
		if (hash_init() < 0)
			abort();
		fuzz_dir_make();
	}
	if (size == 0)
		return 0;
	if (data[0] & FILE_OF_SALTS)
		put_file(data + 1, size - 1, data[0] & SUMS);
	else
		n = central_salts_decode(data + 1, size - 1, salts);
	if (n > VISITOR_SALTS_MAX)
		abort();
	for (i = 0; i < n; i++)
		if (salts[i].from_ms < 0 || salts[i].from_ms >= salts[i].until_ms ||
		    salts[i].until_ms > salts[i].destroy_ms || salts[i].id >= VISITOR_OWN_SALT)
			abort();
	if (n >= 0 || data[0] & FILE_OF_SALTS)
		run(salts, n);
	fuzz_dir_clear();
	return 0;
}
