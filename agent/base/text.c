#include "base/text.h"

#include "base/bytes16.h"

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

/* Value of a hexadecimal digit, above 15 for anything else. */
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

/* Sixteen digits into eight bytes. */
static bool
hex_to_bytes(const char digits[16], uint8_t ret_bytes[8])
{
	typedef uint16_t pairs __attribute__((vector_size(16)));
	typedef uint8_t bytes8 __attribute__((vector_size(8)));
	const bytes16 v = bytes16_load(digits), low = v | bytes16_all(0x20);
	const bytes16_mask number = bytes16_within(v, '0', '9'),
			   letter = bytes16_within(low, 'a', 'f');
	const bytes16 digit = (((bytes16)number) & (v - bytes16_all('0'))) |
			      (((bytes16)letter) & (low - bytes16_all('a' - 10)));
	pairs pair;
	bytes8 bytes;

	memcpy(&pair, &digit, sizeof(pair));
#if __BYTE_ORDER == __LITTLE_ENDIAN
	pair = pair << 4 | pair >> 8;
#else
	pair = pair >> 4 | pair;
#endif
	bytes = __builtin_convertvector(pair, bytes8);
	memcpy(ret_bytes, &bytes, sizeof(bytes));
	return bytes16_first(~(number | letter)) == 16;
}

bool
text_to_uuid(struct text t, uint8_t ret_uuid[16])
{
	char digits[32];
	uint8_t uuid[16];

	if (t.len != 36 || t.at[8] != '-' || t.at[13] != '-' || t.at[18] != '-' || t.at[23] != '-')
		return false;
	memcpy(digits, t.at, 8);
	memcpy(digits + 8, t.at + 9, 4);
	memcpy(digits + 12, t.at + 14, 4);
	memcpy(digits + 16, t.at + 19, 4);
	memcpy(digits + 20, t.at + 24, 12);
	if (!hex_to_bytes(digits, uuid) || !hex_to_bytes(digits + 16, uuid + 8))
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
