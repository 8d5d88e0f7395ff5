#include "base/text.h"

int
text_cmp(struct text a, struct text b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n ? memcmp(a.at, b.at, n) : 0;

	if (order == 0)
		return (a.len > b.len) - (a.len < b.len);
	return order < 0 ? -1 : 1;
}

/* Length of the well-formed sequence at p, 0 if there is none. RFC 3629, section 4. */
static size_t
utf8_sequence(const uint8_t *p, size_t left)
{
	uint8_t lo = 0x80, hi = 0xbf;
	size_t n, i;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (left < n)
		return 0;
	if (p[0] == 0xe0)
		lo = 0xa0; /* overlong */
	else if (p[0] == 0xed)
		hi = 0x9f; /* surrogates */
	else if (p[0] == 0xf0)
		lo = 0x90; /* overlong */
	else if (p[0] == 0xf4)
		hi = 0x8f; /* above U+10FFFF */
	if (p[1] < lo || p[1] > hi)
		return 0;
	for (i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* How far ASCII goes for certain: eight bytes at a time, since most texts are nothing else. */
static size_t
ascii_bytes(const uint8_t *p, size_t len)
{
	uint64_t word;
	size_t at;

	for (at = 0; len - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, p + at, sizeof(word));
		if (word & UINT64_C(0x8080808080808080))
			break;
	}
	return at;
}

bool
text_is_utf8(struct text t)
{
	const uint8_t *p = (const uint8_t *)t.at;
	size_t at = ascii_bytes(p, t.len), n;

	while (at < t.len) {
		n = utf8_sequence(p + at, t.len - at);
		if (n == 0)
			return false;
		at += n;
	}
	return true;
}

/* Value of a hexadecimal digit, 0x80 and above for anything else: several may be or-ed before they
 * are looked at. */
static unsigned
hex_digit(char c)
{
	static const uint8_t more[256] = {
	    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
	    ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	    ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
	    ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
	};

	return more[(uint8_t)c] - 1u;
}

bool
text_to_uuid(struct text t, uint8_t ret_uuid[16])
{
	uint8_t uuid[16];
	size_t at = 0, n;
	unsigned high, low, seen = 0;

	if (t.len != 36)
		return false;
	for (n = 0; n < 16; n++) {
		if ((n == 4 || n == 6 || n == 8 || n == 10) && t.at[at++] != '-')
			return false;
		high = hex_digit(t.at[at]);
		low = hex_digit(t.at[at + 1]);
		seen |= high | low;
		uuid[n] = (uint8_t)(high << 4 | low);
		at += 2;
	}
	if (seen > 15)
		return false;
	memcpy(ret_uuid, uuid, 16);
	return true;
}

void
text_from_bytes(const uint8_t *bytes, size_t n, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		ret_text[2 * i] = digits[bytes[i] >> 4];
		ret_text[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret_text[2 * n] = '\0';
}

bool
text_to_bytes(struct text t, uint8_t *ret_bytes, size_t n)
{
	size_t i;
	unsigned high, low;

	if (t.len != 2 * n)
		return false;
	for (i = 0; i < n; i++) {
		high = hex_digit(t.at[2 * i]);
		low = hex_digit(t.at[2 * i + 1]);
		if ((high | low) > 15)
			return false;
		ret_bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

void
text_from_uuid(const uint8_t uuid[16], char ret_text[37])
{
	static const uint8_t groups[] = {4, 2, 2, 2, 6};
	size_t g, from = 0, at = 0;

	for (g = 0; g < 5; g++) {
		text_from_bytes(uuid + from, groups[g], ret_text + at);
		at += (size_t)2 * groups[g];
		ret_text[at++] = g < 4 ? '-' : '\0';
		from += groups[g];
	}
}
