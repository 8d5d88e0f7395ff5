/* http_answer.h -- a response whose bytes stand ready; only its date changes.
 *
 * Threads:  none: each belongs to one worker.
 * Memory:   one allocation per answer, or the caller's bytes.
 */
#ifndef NODE_HTTP_ANSWER_H
#define NODE_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEAD_MAX 1024   /* of an answer */
#define HTTP_ANSWER_MAX 1280 /* head and body of one that does not last */
#define HTTP_DATE_LEN 29     /* Sun, 06 Nov 1994 08:49:37 GMT */

struct http_answer {
	char *bytes;
	size_t len, head_len; /* head and body; the head alone answers HEAD */
	size_t date_at;
	bool closes; /* says so, and whoever sends it does */
	bool lasts;  /* its bytes stay as long as their worker */
};

/* headers: whole lines. The length is said except where a status has no body. With closes, that as
 * well. False when memory is short, or the head too long. */
bool http_answer_make(struct http_answer *a, unsigned status, const char *headers, bool closes,
		      const void *body, size_t len);
void http_answer_free(struct http_answer *a);

/* The same into bytes of the caller's, of which there are cap. */
bool http_answer_write(struct http_answer *a, char *bytes, size_t cap, unsigned status,
		       const char *headers, bool closes, const void *body, size_t len);

/* Date, as RFC 9110 section 5.6.7 writes it, into HTTP_DATE_LEN bytes and a NUL. */
void http_date(int64_t unix_s, char ret_date[HTTP_DATE_LEN + 1]);
void http_answer_set_date(struct http_answer *a, const char date[HTTP_DATE_LEN + 1]);

#endif
