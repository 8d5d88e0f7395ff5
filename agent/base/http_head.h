/* http_head.h -- what a request's head may be made of: whole lines, tokens, no control characters.
 *
 * libmicrohttpd before 1.0 takes a bare LF as the end of a line, cuts lines at a NUL and glues a
 * folded line to the header's *name*; no option forbids it, and the texts that it hands over do not
 * show it. Where they lie does. It works in place: method, target, version, names and values stay
 * where they arrived, one NUL replaces what stood behind each, two replace a line's CR LF, and it
 * tells how long the whole head was. So the pieces of a well-formed head lie end to end, and any
 * other head leaves a gap, an overlap or another length: a bare LF is one byte where two are due,
 * behind a NUL come bytes that nobody handed over, a folded line was copied elsewhere. (It is blind
 * where NULs stand anyway: a NUL before a bare LF is CR LF for it; the last four bytes may be any
 * of CR, LF, NUL and colon that end the head for libmicrohttpd; and a line before the request line
 * that begins with a NUL is skipped as if it were empty.) Only bytes within the head are looked at:
 * every line's end is followed by at least the empty line's.
 *
 * Threads:  plain values.
 * Memory:   texts stay the request's.
 */
#ifndef BASE_HTTP_HEAD_H
#define BASE_HTTP_HEAD_H

#include "base/bytes16.h"
#include "base/text.h"

struct http_head {
	const char *begin, *next; /* of the head; where the next line must begin */
	bool whole;
};

/* Whether that version of libmicrohttpd (as MHD_get_version says) works in this way. 1.0 and later
 * refuse all of it themselves, with MHD_OPTION_CLIENT_DISCIPLINE_LVL at 1. */
static inline bool
http_head_is_hidden(const char *mhd_version)
{
	return strncmp(mhd_version, "0.9.", 4) == 0;
}

/* The end of a line: the byte over CR, which ended the text, and the one over LF. */
static inline void
http_head_end_line(struct http_head *h, const char *text_end)
{
	h->whole = h->whole && text_end[0] == '\0' && text_end[1] == '\0';
	h->next = text_end + 2;
}

/* The request line; target as it came, before anything was decoded in place. */
static inline void
http_head_begin(struct http_head *h, const char *method, struct text target, const char *version)
{
	h->begin = h->next = method;
	h->whole = target.at && method + strlen(method) + 1 == target.at &&
		   target.at + target.len + 1 == version;
	if (h->whole)
		http_head_end_line(h, version + strlen(version));
}

/* A header line; its value may be absent. */
static inline void
http_head_see(struct http_head *h, struct text name, struct text value)
{
	const char *at = name.at + name.len;

	if (!h->whole)
		return;
	h->whole = name.at == h->next && *at == '\0';
	if (!h->whole)
		return;
	for (at++; *at == ' ' || *at == '\t'; at++)
		;
	h->whole = value.at ? at == value.at : *at == '\0';
	if (h->whole)
		http_head_end_line(h, at + value.len);
}

/* After the last line. len: of the head, with the empty line. */
static inline bool
http_head_done(const struct http_head *h, size_t len)
{
	return h->whole && h->next + 2 == h->begin + len && h->next[0] == '\0' &&
	       h->next[1] == '\0';
}

/* Where a run of tchar (RFC 9110, section 5.6.2) that begins at `at` ends: at most at end. */
static inline const char *
http_token_end(const char *at, const char *end)
{
	static const bool ok[256] = {
	    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1,
	    ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1,  ['~'] = 1, ['0'] = 1,
	    ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1,  ['7'] = 1, ['8'] = 1,
	    ['9'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1,  ['f'] = 1, ['g'] = 1,
	    ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1,  ['n'] = 1, ['o'] = 1,
	    ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1,  ['v'] = 1, ['w'] = 1,
	    ['x'] = 1, ['y'] = 1, ['z'] = 1, ['A'] = 1, ['B'] = 1, ['C'] = 1,  ['D'] = 1, ['E'] = 1,
	    ['F'] = 1, ['G'] = 1, ['H'] = 1, ['I'] = 1, ['J'] = 1, ['K'] = 1,  ['L'] = 1, ['M'] = 1,
	    ['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1,  ['T'] = 1, ['U'] = 1,
	    ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1, ['Z'] = 1,
	};

	while (at < end && ok[(uint8_t)*at])
		at++;
	return at;
}

static inline bool
http_is_token(struct text t)
{
	return t.len > 0 && http_token_end(t.at, t.at + t.len) == t.at + t.len;
}

/* Where the first control character other than a tab stands: at most at end. */
static inline const char *
http_control(const char *at, const char *end)
{
	bytes16 v;
	unsigned n;

	for (; end - at >= 16; at += 16) {
		v = bytes16_load(at);
		n = bytes16_first((bytes16_within(v, 0, 0x1f) & ~bytes16_are(v, '\t')) |
				  bytes16_are(v, 0x7f));
		if (n < 16)
			return at + n;
	}
	while (at < end && (((uint8_t)*at >= 0x20 && *at != 0x7f) || *at == '\t'))
		at++;
	return at;
}

static inline bool
http_has_control(struct text t)
{
	return http_control(t.at, t.at + t.len) < t.at + t.len;
}

/* A target that programs read alike: no blank or control character, and no "%00", which would end
 * the path for us and not for others. t ends with a NUL. */
static inline bool
http_target_is_plain(struct text t)
{
	const char *at = t.at;

	if (http_has_control(t) || memchr(at, ' ', t.len) || memchr(at, '\t', t.len))
		return false;
	while ((at = strchr(at, '%')) != NULL)
		if (*++at == '0' && at[1] == '0')
			return false;
	return true;
}

#endif
