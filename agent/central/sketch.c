/* Stored form
 *
 *   exact      u8 1, varint n, n varints: the first hash, then each one's distance from the one before
 *              (never 0). n is at most the form's exact_max; nothing follows.
 *   registers  u8 2, one zstd frame of exactly 2^p bytes with content size and checksum. A register is
 *              at most 65 - p. Nothing follows.
 */
#include "central/sketch.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/buf.h"

#define TAG_EXACT 1
#define TAG_REGISTERS 2
#define VARINT_MAX 10

/* Registers of thousands of visitors are noise with a skewed distribution: what zstd gains it gains
 * by entropy coding, which every level has. */
#define ZSTD_LEVEL 1

const struct sketch_form sketch_site = {4096, 14};
const struct sketch_form sketch_small = {512, 12};

static size_t
registers(const struct sketch *s)
{
	return (size_t)1 << s->form.p;
}

static uint8_t
rank_max(unsigned p)
{
	return (uint8_t)(65 - p);
}

void
sketch_init(struct sketch *s, const struct sketch_form *form)
{
	*s = (struct sketch){.form = *form};
}

static void
hashes_free(struct sketch *s)
{
	if (s->cap > 0)
		free(s->hash);
	s->hash = NULL;
	s->n = s->cap = 0;
}

void
sketch_fini(struct sketch *s)
{
	hashes_free(s);
	free(s->reg);
	s->reg = NULL;
}

bool
sketch_is_exact(const struct sketch *s)
{
	return !s->reg;
}

/* -- adding -- */

static inline void
register_add(uint8_t *reg, unsigned p, uint64_t hash)
{
	uint64_t rest = hash << p;
	uint8_t rank = rest ? (uint8_t)(__builtin_clzll(rest) + 1) : rank_max(p);
	uint8_t *r = &reg[hash >> (64 - p)];

	if (*r < rank)
		*r = rank;
}

static void
registers_add(struct sketch *s, const uint64_t *hashes, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		register_add(s->reg, s->form.p, hashes[i]);
}

/* From the exact set to registers. */
static int
promote(struct sketch *s)
{
	uint8_t *reg = calloc(registers(s), 1);

	if (!reg)
		return -ENOMEM;
	s->reg = reg;
	registers_add(s, s->hash, s->n);
	hashes_free(s);
	return 0;
}

static int
reserve(struct sketch *s, uint32_t need)
{
	uint32_t cap = s->cap ? s->cap : 4;
	uint64_t *hash;

	if (need <= s->cap)
		return 0;
	while (cap < need)
		cap *= 2;
	if (cap > s->form.exact_max)
		cap = s->form.exact_max;
	hash = realloc(s->cap ? s->hash : NULL, cap * sizeof(*hash));
	if (!hash)
		return -ENOMEM;
	if (s->cap == 0 && s->n > 0)
		memcpy(hash, s->hash, s->n * sizeof(*hash));
	s->hash = hash;
	s->cap = cap;
	return 0;
}

static size_t
union_size(const struct sketch *s, const uint64_t *other, size_t n)
{
	size_t i = 0, j = 0, size = 0;

	while (i < s->n && j < n) {
		uint64_t a = s->hash[i], b = other[j];

		i += a <= b;
		j += b <= a;
		size++;
	}
	return size + (s->n - i) + (n - j);
}

/* From the back, so that the set grows in its own room. */
static void
union_into(struct sketch *s, const uint64_t *other, size_t n, size_t size)
{
	size_t i = s->n, j = n, at = size;

	while (j > 0) {
		if (i > 0 && s->hash[i - 1] >= other[j - 1]) {
			j -= s->hash[i - 1] == other[j - 1];
			s->hash[--at] = s->hash[--i];
		} else {
			s->hash[--at] = other[--j];
		}
	}
	s->n = (uint32_t)size;
}

/* `sorted` is distinct and ascending. */
static int
add_sorted(struct sketch *s, const uint64_t *sorted, size_t n)
{
	size_t size;

	if (!s->reg) {
		size = union_size(s, sorted, n);
		if (size == s->n)
			return 0;
		if (size <= s->form.exact_max) {
			if (reserve(s, (uint32_t)size) < 0)
				return -ENOMEM;
			union_into(s, sorted, n, size);
			return 0;
		}
		if (promote(s) < 0)
			return -ENOMEM;
	}
	registers_add(s, sorted, n);
	return 0;
}

int
sketch_add(struct sketch *s, uint64_t hash)
{
	if (s->reg) {
		register_add(s->reg, s->form.p, hash);
		return 0;
	}
	return add_sorted(s, &hash, 1);
}

int
sketch_append(struct sketch *s, uint64_t hash)
{
	if (!s->reg && s->n == s->form.exact_max && promote(s) < 0)
		return -ENOMEM;
	if (s->reg) {
		register_add(s->reg, s->form.p, hash);
		return 0;
	}
	if (s->n == s->cap && reserve(s, s->n + 1) < 0)
		return -ENOMEM;
	s->hash[s->n++] = hash;
	return 0;
}

int
sketch_of(const struct sketch_form *form, uint64_t *hashes, size_t n, struct sketch *ret_sketch)
{
	sketch_init(ret_sketch, form);
	if (n > form->exact_max) {
		if (promote(ret_sketch) < 0)
			return -ENOMEM;
		registers_add(ret_sketch, hashes, n);
	} else if (n > 0) {
		ret_sketch->hash = hashes;
		ret_sketch->n = (uint32_t)n;
	}
	return 0;
}

int
sketch_merge(struct sketch *s, const struct sketch *other)
{
	size_t i;

	if (!other->reg)
		return other->n ? add_sorted(s, other->hash, other->n) : 0;
	if (s->form.p != other->form.p)
		return -EINVAL;
	if (!s->reg && promote(s) < 0)
		return -ENOMEM;
	for (i = 0; i < registers(s); i++)
		s->reg[i] = s->reg[i] > other->reg[i] ? s->reg[i] : other->reg[i];
	return 0;
}

/* -- counting: Ertl 2017, algorithm 6 and its two series, each summed until it no longer
 * changes -- */

static double
sigma(double x)
{
	double y = 1, z = x, before;

	if (x >= 1)
		return HUGE_VAL;
	do {
		x *= x;
		before = z;
		z += x * y;
		y += y;
	} while (z > before);
	return z;
}

static double
tau(double x)
{
	double y = 1, z = 1 - x, before;

	if (x <= 0 || x >= 1)
		return 0;
	do {
		x = sqrt(x);
		before = z;
		y *= 0.5;
		z -= (1 - x) * (1 - x) * y;
	} while (z < before);
	return z / 3;
}

static double
estimate(const uint8_t *reg, unsigned p)
{
	uint32_t count[66] = {0}, more[4][66] = {{0}};
	double m = (double)((size_t)1 << p), z;
	unsigned k, q = 64 - p;
	size_t i;

	/* most are one of few values: in four tables, a count need not wait for the one before */
	for (i = 0; i < (size_t)1 << p; i++)
		more[i & 3][reg[i]]++;
	for (k = 0; k < 66; k++)
		count[k] = more[0][k] + more[1][k] + more[2][k] + more[3][k];
	z = m * tau(1 - count[q + 1] / m);
	for (k = q; k >= 1; k--)
		z = 0.5 * (z + count[k]);
	z += m * sigma(count[0] / m);
	return m / z * m / (2 * M_LN2);
}

uint64_t
sketch_count(const struct sketch *s)
{
	double e;

	if (!s->reg)
		return s->n;
	e = estimate(s->reg, s->form.p);
	return e < 0x1p63 ? (uint64_t)(e + 0.5) : UINT64_MAX; /* all registers at their end */
}

/* -- stored form -- */

/* Making a zstd context costs more than compressing 4 KiB in it, so each thread keeps its own. */
struct contexts {
	ZSTD_CCtx *c;
	ZSTD_DCtx *d;
};

static pthread_key_t contexts_key;
static pthread_once_t contexts_once = PTHREAD_ONCE_INIT;
static int contexts_err;

static void
contexts_free(void *arg)
{
	struct contexts *x = arg;

	ZSTD_freeCCtx(x->c);
	ZSTD_freeDCtx(x->d);
	free(x);
}

static void
contexts_make_key(void)
{
	contexts_err = pthread_key_create(&contexts_key, contexts_free);
}

/* NULL when memory is short. */
static struct contexts *
contexts_get(void)
{
	struct contexts *x;

	pthread_once(&contexts_once, contexts_make_key);
	if (contexts_err)
		return NULL;
	x = pthread_getspecific(contexts_key);
	if (x)
		return x;
	x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->c = ZSTD_createCCtx();
	x->d = ZSTD_createDCtx();
	if (!x->c || !x->d || pthread_setspecific(contexts_key, x) != 0) {
		contexts_free(x);
		return NULL;
	}
	ZSTD_CCtx_setParameter(x->c, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	ZSTD_CCtx_setParameter(x->c, ZSTD_c_checksumFlag, 1);
	return x;
}

size_t
sketch_encoded_max(const struct sketch *s)
{
	if (s->reg)
		return 1 + ZSTD_compressBound(registers(s));
	return 1 + VARINT_MAX + (size_t)s->n * VARINT_MAX;
}

static size_t
encode_registers(const struct sketch *s, uint8_t *buf, size_t cap)
{
	struct contexts *x = contexts_get();
	size_t n;

	if (!x || cap < 1)
		return 0;
	buf[0] = TAG_REGISTERS;
	n = ZSTD_compress2(x->c, buf + 1, cap - 1, s->reg, registers(s));
	return ZSTD_isError(n) ? 0 : 1 + n;
}

size_t
sketch_encode(const struct sketch *s, uint8_t *buf, size_t cap)
{
	struct writer w = writer_of(buf, cap);
	uint64_t before = 0;
	uint32_t i;

	if (s->reg)
		return encode_registers(s, buf, cap);
	put_u8(&w, TAG_EXACT);
	put_varint(&w, s->n);
	for (i = 0; i < s->n; i++) {
		put_varint(&w, s->hash[i] - before);
		before = s->hash[i];
	}
	return w.bad ? 0 : w.len;
}

static int
decode_exact(struct reader *r, struct sketch *s)
{
	uint64_t n = get_varint(r), at = 0, delta;
	uint32_t i;

	if (r->bad || n > s->form.exact_max || n > reader_left(r))
		return -EBADMSG;
	if (n == 0)
		return reader_left(r) == 0 ? 0 : -EBADMSG;
	s->hash = malloc((size_t)n * sizeof(*s->hash));
	if (!s->hash)
		return -ENOMEM;
	s->cap = (uint32_t)n;
	for (i = 0; i < n; i++) {
		delta = get_varint(r);
		if (r->bad || (i > 0 && delta == 0) || delta > UINT64_MAX - at)
			return -EBADMSG;
		at += delta;
		s->hash[i] = at;
	}
	s->n = (uint32_t)n;
	return reader_left(r) == 0 ? 0 : -EBADMSG;
}

static int
decode_registers(struct reader *r, struct sketch *s)
{
	const uint8_t *frame = r->base + r->at;
	size_t len = reader_left(r), size = registers(s), i;
	struct contexts *x = contexts_get();

	if (!x)
		return -ENOMEM;
	/* sizes first: nothing is unpacked that is not exactly what it should be */
	if (ZSTD_getFrameContentSize(frame, len) != size ||
	    ZSTD_findFrameCompressedSize(frame, len) != len)
		return -EBADMSG;
	s->reg = malloc(size);
	if (!s->reg)
		return -ENOMEM;
	if (ZSTD_decompressDCtx(x->d, s->reg, size, frame, len) != size)
		return -EBADMSG;
	for (i = 0; i < size; i++)
		if (s->reg[i] > rank_max(s->form.p))
			return -EBADMSG;
	return 0;
}

int
sketch_decode(const uint8_t *buf, size_t len, const struct sketch_form *form,
	      struct sketch *ret_sketch)
{
	struct reader r = reader_of(buf, len);
	int err = -EBADMSG;
	uint8_t tag;

	sketch_init(ret_sketch, form);
	tag = get_u8(&r);
	if (tag == TAG_EXACT)
		err = decode_exact(&r, ret_sketch);
	else if (tag == TAG_REGISTERS)
		err = decode_registers(&r, ret_sketch);
	if (err)
		sketch_fini(ret_sketch);
	return err;
}
