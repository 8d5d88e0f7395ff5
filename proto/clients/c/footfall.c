#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "footfall.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DATAGRAM_MAX 8192u
#define REMOTE_MAX 1400u /* fits an Ethernet frame: a lost fragment would lose the whole datagram */
#define EVENTS_MAX 64u
#define ARRAY_HEAD 3u
#define TAG_BYTES 16u
#define HEAD_BYTES 30u /* of an envelope, without the key's name */

/* -- bytes -- */

struct out {
	uint8_t *base;
	size_t len, cap;
	int bad; /* something did not fit */
};

static void
put(struct out *o, const void *bytes, size_t n)
{
	if (o->bad || n > o->cap - o->len) {
		o->bad = 1;
		return;
	}
	if (n > 0)
		memcpy(o->base + o->len, bytes, n);
	o->len += n;
}

/* The low n bytes of v, the first one highest. */
static void
put_be(struct out *o, uint64_t v, unsigned n)
{
	uint8_t b[8];
	unsigned i;

	for (i = 0; i < n; i++)
		b[i] = (uint8_t)(v >> 8 * (n - 1 - i));
	put(o, b, n);
}

static void
put_le64(struct out *o, uint64_t v)
{
	uint8_t b[8];
	unsigned i;

	for (i = 0; i < 8; i++)
		b[i] = (uint8_t)(v >> 8 * i);
	put(o, b, sizeof(b));
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Takes 2n digits; 0 when there are others. */
static int
from_hex(const char *digits, uint8_t *bytes, size_t n)
{
	size_t i;
	int high, low;

	for (i = 0; i < n; i++) {
		high = hex_digit(digits[2 * i]);
		low = high < 0 ? -1 : hex_digit(digits[2 * i + 1]);
		if (low < 0)
			return 0;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return 1;
}

static void
random_bytes(void *bytes, size_t n)
{
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, bytes, n);
	struct timespec t;
	uint64_t weak;

	if (fd >= 0)
		(void)close(fd);
	if (got == (ssize_t)n)
		return;
	/* a jail without /dev: ids that are unlikely to be met twice are all that is needed */
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	weak = (uint64_t)t.tv_nsec << 32 ^ (uint64_t)t.tv_sec << 22 ^ (uint64_t)getpid();
	for (; n > 0; n--) {
		weak = weak * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		((uint8_t *)bytes)[n - 1] = (uint8_t)(weak >> 56);
	}
}

/* -- BLAKE2b (RFC 7693), with a key of 32 bytes and a digest of 16 -- */

static const uint64_t iv[8] = {
    UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b), UINT64_C(0x3c6ef372fe94f82b),
    UINT64_C(0xa54ff53a5f1d36f1), UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f),
    UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179),
};

static const uint8_t sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint64_t
rotate(uint64_t v, unsigned n)
{
	return v >> n | v << (64 - n);
}

static void
mix(uint64_t *a, uint64_t *b, uint64_t *c, uint64_t *d, uint64_t x, uint64_t y)
{
	*a += *b + x;
	*d = rotate(*d ^ *a, 32);
	*c += *d;
	*b = rotate(*b ^ *c, 24);
	*a += *b + y;
	*d = rotate(*d ^ *a, 16);
	*c += *d;
	*b = rotate(*b ^ *c, 63);
}

static void
compress(uint64_t h[8], const uint8_t block[128], uint64_t total, int last)
{
	uint64_t v[16], m[16];
	const uint8_t *s;
	size_t i, r;

	for (i = 0; i < 16; i++) {
		m[i] = 0;
		for (r = 8; r-- > 0;)
			m[i] = m[i] << 8 | block[(size_t)8 * i + r];
		v[i] = i < 8 ? h[i] : iv[i - 8];
	}
	v[12] ^= total;
	if (last)
		v[14] = ~v[14];
	for (r = 0; r < 12; r++) {
		s = sigma[r % 10];
		for (i = 0; i < 4; i++)
			mix(&v[i], &v[4 + i], &v[8 + i], &v[12 + i], m[s[2 * i]], m[s[2 * i + 1]]);
		for (i = 0; i < 4; i++)
			mix(&v[i], &v[4 + (i + 1) % 4], &v[8 + (i + 2) % 4], &v[12 + (i + 3) % 4],
			    m[s[8 + 2 * i]], m[s[9 + 2 * i]]);
	}
	for (i = 0; i < 8; i++)
		h[i] ^= v[i] ^ v[8 + i];
}

/* The key is the first block; bytes are never empty here, so that it is never the last one. */
static void
make_tag(const uint8_t key[32], const uint8_t *bytes, size_t n, uint8_t ret_tag[TAG_BYTES])
{
	uint8_t block[128] = {0};
	uint64_t h[8], total = sizeof(block);
	size_t i;

	memcpy(h, iv, sizeof(h));
	h[0] ^= UINT64_C(0x01010000) ^ 32u << 8 ^ TAG_BYTES;
	memcpy(block, key, 32);
	compress(h, block, total, 0);
	for (; n > sizeof(block); bytes += sizeof(block), n -= sizeof(block)) {
		total += sizeof(block);
		compress(h, bytes, total, 0);
	}
	memset(block, 0, sizeof(block));
	memcpy(block, bytes, n);
	compress(h, block, total + n, 1);
	for (i = 0; i < TAG_BYTES; i++)
		ret_tag[i] = (uint8_t)(h[i / 8] >> 8 * (i % 8));
}

/* -- msgpack -- */

static void
put_str(struct out *o, const char *s)
{
	size_t n = strlen(s);

	if (n < 32) {
		put_be(o, 0xa0u | n, 1);
	} else if (n < 256) {
		put_be(o, 0xd900u | n, 2);
	} else if (n < 65536) {
		put_be(o, 0xda0000u | n, 3);
	} else {
		o->bad = 1;
	}
	put(o, s, n);
}

static void
put_field(struct out *o, const char *key, const char *value)
{
	if (!value)
		return;
	put_str(o, key);
	put_str(o, value);
}

static int
uuid_of(const char *text, uint8_t uuid[16])
{
	char digits[32];
	size_t i, n = 0;

	if (strlen(text) != 36)
		return 0;
	for (i = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i] != '-')
				return 0;
		} else {
			digits[n++] = text[i];
		}
	}
	return from_hex(digits, uuid, 16);
}

/* UUIDs as 16 bytes; as ids only those of RFC 9562, which no slug can look like. */
static void
put_uuid(struct out *o, const char *key, const char *text, int any)
{
	uint8_t uuid[16];

	if (!text)
		return;
	if (!uuid_of(text, uuid) || (!any && (uuid[8] & 0xc0) != 0x80)) {
		put_field(o, key, text);
		return;
	}
	put_str(o, key);
	put_be(o, 0xc410, 2);
	put(o, uuid, sizeof(uuid));
}

static void
put_value(struct out *o, const double *value)
{
	uint64_t bits;

	if (!value)
		return;
	memcpy(&bits, value, sizeof(bits));
	put_str(o, "val");
	put_be(o, 0xcb, 1);
	put_be(o, bits, 8);
}

static void
put_time(struct out *o, int64_t ms)
{
	if (ms == 0)
		return;
	put_str(o, "ts");
	put_be(o, 0xcf, 1);
	put_be(o, (uint64_t)ms, 8);
}

static void
put_event(struct out *o, const struct footfall_event *e)
{
	unsigned n = 2u + !!e->eid + !!e->ev + !!e->val + !!e->site + (e->ts != 0) + !!e->ip +
		     !!e->ua + !!e->ref + !!e->sess;

	if (!e->type || !e->id) {
		o->bad = 1;
		return;
	}
	put_be(o, 0x80u | n, 1);
	put_field(o, "type", e->type);
	put_uuid(o, "id", e->id, 0);
	put_uuid(o, "eid", e->eid, 1);
	put_field(o, "ev", e->ev);
	put_value(o, e->val);
	put_field(o, "site", e->site);
	put_time(o, e->ts);
	put_field(o, "ip", e->ip);
	put_field(o, "ua", e->ua);
	put_field(o, "ref", e->ref);
	put_field(o, "sess", e->sess);
}

/* -- the envelope -- */

static int64_t
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Writes the bytes as they are sent; their number. */
static size_t
seal(const struct footfall *f, int64_t ms, const uint8_t *payload, size_t n, uint8_t *buf)
{
	struct out o = {buf, 0, DATAGRAM_MAX, 0};
	uint8_t tag[TAG_BYTES];

	put(&o, "FFSD\1", 5);
	put_le64(&o, f->boot);
	put_le64(&o, f->seq);
	put_le64(&o, (uint64_t)ms);
	put_be(&o, f->key_name_len, 1);
	put(&o, f->key_name, f->key_name_len);
	put(&o, payload, n);
	make_tag(f->key, buf, o.len, tag);
	put(&o, tag, sizeof(tag));
	return o.len;
}

/* -- sending -- */

static int
fail(struct footfall *f, size_t events, const char *why)
{
	f->failed += events;
	f->error = why;
	return -1;
}

/* A child of fork would use its parent's sequence numbers again. */
static void
be_a_sender(struct footfall *f)
{
	if (f->pid == (long)getpid())
		return;
	f->pid = (long)getpid();
	random_bytes(&f->boot, sizeof(f->boot));
	f->seq = 0;
	f->last = 0;
}

/* ECONNREFUSED says that nobody received an earlier datagram; this one was not sent yet. */
static int
transmit(struct footfall *f, const uint8_t *bytes, size_t n, size_t events)
{
	ssize_t done = send(f->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (done < 0 && errno == ECONNREFUSED) {
		f->sent -= f->last;
		(void)fail(f, f->last, "nobody listens there");
		f->last = 0;
		done = send(f->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	if (done < 0)
		return fail(f, events, strerror(errno));
	f->sent += events;
	f->last = events;
	return 0;
}

static int
send_payload(struct footfall *f, const uint8_t *payload, size_t n, size_t events)
{
	uint8_t sealed[DATAGRAM_MAX];

	if (f->fd < 0)
		return fail(f, events, f->error);
	be_a_sender(f);
	if (f->key_name_len == 0)
		return transmit(f, payload, n, events);
	f->seq++;
	n = seal(f, now_ms(), payload, n, sealed);
	return transmit(f, sealed, n, events);
}

/* What a payload may have. */
static size_t
room(const struct footfall *f)
{
	return f->max - (f->key_name_len ? HEAD_BYTES + f->key_name_len + TAG_BYTES : 0);
}

/* Events behind room for an array's head, which a single one goes without. */
static int
send_array(struct footfall *f, uint8_t *bytes, size_t len, unsigned n)
{
	struct out head = {bytes, 0, ARRAY_HEAD, 0};

	if (n == 0)
		return 0;
	if (n == 1)
		return send_payload(f, bytes + ARRAY_HEAD, len - ARRAY_HEAD, 1);
	if (n > 15) {
		put_be(&head, 0xdc0000u | n, 3);
		return send_payload(f, bytes, len, n);
	}
	bytes[ARRAY_HEAD - 1] = (uint8_t)(0x90u | n);
	return send_payload(f, bytes + ARRAY_HEAD - 1, len - ARRAY_HEAD + 1, n);
}

size_t
footfall_batch(struct footfall *f, const struct footfall_event *events, size_t n)
{
	uint8_t bytes[ARRAY_HEAD + DATAGRAM_MAX];
	struct out o = {bytes, ARRAY_HEAD, room(f), 0};
	uint64_t before = f->failed;
	unsigned filled = 0;
	size_t i, start;

	for (i = 0; i < n; i++) {
		start = o.len;
		put_event(&o, &events[i]);
		if (filled > 0 && (o.bad || filled == EVENTS_MAX)) {
			(void)send_array(f, bytes, start, filled);
			filled = 0;
			o = (struct out){bytes, ARRAY_HEAD, room(f), 0};
			put_event(&o, &events[i]);
		}
		if (o.bad) {
			(void)fail(f, 1, "no type or id, or larger than a datagram may be");
			o = (struct out){bytes, ARRAY_HEAD, room(f), 0};
		} else {
			filled++;
		}
	}
	(void)send_array(f, bytes, o.len, filled);
	return (size_t)(f->failed - before);
}

int
footfall_event(struct footfall *f, const struct footfall_event *e)
{
	uint8_t bytes[DATAGRAM_MAX];
	struct out o = {bytes, 0, room(f), 0};

	put_event(&o, e);
	if (o.bad)
		return fail(f, 1, "no type or id, or larger than a datagram may be");
	return send_payload(f, bytes, o.len, 1);
}

/* -- opening -- */

/* A line "NAME KEY"; 0 when it is none. */
static int
take_key(struct footfall *f, const char *line)
{
	size_t name;

	line += strspn(line, " \t");
	name = strcspn(line, " \t\r\n");
	if (name == 0 || name > sizeof(f->key_name) || line[0] == '#')
		return 0;
	memcpy(f->key_name, line, name);
	line += name;
	line += strspn(line, " \t");
	if (strcspn(line, " \t\r\n") != 64 || !from_hex(line, f->key, sizeof(f->key)))
		return 0;
	f->key_name_len = name;
	return 1;
}

static int
read_key(struct footfall *f, const char *path)
{
	FILE *file = fopen(path, "r");
	char line[256];
	int found = 0;

	if (!file)
		return 0;
	while (!found && fgets(line, sizeof(line), file))
		found = take_key(f, line);
	(void)fclose(file);
	memset(line, 0, sizeof(line));
	return found;
}

static int
is_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr) >>
			   24 ==
		       127;
	return sa->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
}

static int
connect_to(struct footfall *f, const char *host, const char *port)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
	struct addrinfo *found = NULL;

	if (getaddrinfo(host, port, &hints, &found) != 0 || !found)
		return 0;
	f->fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (f->fd >= 0 && connect(f->fd, found->ai_addr, found->ai_addrlen) < 0) {
		(void)close(f->fd);
		f->fd = -1;
	}
	f->max = is_loopback(found->ai_addr) ? DATAGRAM_MAX : REMOTE_MAX;
	freeaddrinfo(found);
	return f->fd >= 0;
}

static int
open_address(struct footfall *f, const char *address)
{
	const char *colon = strrchr(address, ':'), *from = address;
	char host[256];
	size_t n;

	if (!colon)
		return 0;
	n = (size_t)(colon - address);
	if (n >= 2 && from[0] == '[' && from[n - 1] == ']') {
		from++;
		n -= 2;
	}
	if (n == 0 || n >= sizeof(host))
		return 0;
	memcpy(host, from, n);
	host[n] = '\0';
	return connect_to(f, host, colon + 1);
}

int
footfall_open(struct footfall *f, const char *address, const char *key)
{
	memset(f, 0, sizeof(*f));
	f->fd = -1;
	f->max = REMOTE_MAX;
	be_a_sender(f);
	if (key && !take_key(f, key) && !read_key(f, key)) {
		f->error = "the key cannot be read";
		return -1;
	}
	if (!open_address(f, address)) {
		f->error = "the address cannot be used";
		return -1;
	}
	return 0;
}

void
footfall_close(struct footfall *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
	f->error = "closed";
	memset(f->key, 0, sizeof(f->key));
}

void
footfall_event_id(char ret_id[37])
{
	uint8_t b[16];
	size_t i;
	int at = 0;

	random_bytes(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	for (i = 0; i < sizeof(b); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			ret_id[at++] = '-';
		(void)snprintf(ret_id + at, 3, "%02x", b[i]);
		at += 2;
	}
}
