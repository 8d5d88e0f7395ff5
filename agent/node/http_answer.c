#include "node/http_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *
phrase_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *phrase;
	} phrases[] = {
	    {200, "OK"},
	    {204, "No Content"},
	    {304, "Not Modified"},
	    {400, "Bad Request"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {411, "Length Required"},
	    {413, "Content Too Large"},
	    {414, "URI Too Long"},
	    {429, "Too Many Requests"},
	    {431, "Request Header Fields Too Large"},
	    {503, "Service Unavailable"},
	    {505, "HTTP Version Not Supported"},
	};
	size_t i;

	for (i = 0; i < sizeof(phrases) / sizeof(*phrases); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "";
}

#define VERSION "HTTP/1.1 "
#define DATE "\r\nDate: "
#define EPOCH "Thu, 01 Jan 1970 00:00:00 GMT"

/* Bytes of the head, 0 when they are more than cap. */
static size_t
write_head(char *to, size_t cap, unsigned status, const char *headers, bool closes, size_t len)
{
	char length[48] = "";
	int n;

	if (status != 204 && status != 304)
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n", len);
	n = snprintf(to, cap, VERSION "%03u %s" DATE EPOCH "\r\n%s%s%s\r\n", status,
		     phrase_of(status), headers, closes ? "Connection: close\r\n" : "", length);
	return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

bool
http_answer_write(struct http_answer *a, char *bytes, size_t cap, unsigned status,
		  const char *headers, bool closes, const void *body, size_t len)
{
	size_t head = write_head(bytes, cap, status, headers, closes, len);

	if (head == 0 || len > cap - head)
		return false;
	if (len > 0)
		memcpy(bytes + head, body, len);
	*a = (struct http_answer){
	    .bytes = bytes,
	    .len = head + len,
	    .head_len = head,
	    .date_at = strlen(VERSION "200 ") + strlen(phrase_of(status)) + strlen(DATE),
	    .closes = closes,
	};
	return true;
}

bool
http_answer_make(struct http_answer *a, unsigned status, const char *headers, bool closes,
		 const void *body, size_t len)
{
	size_t cap = HTTP_HEAD_MAX + len;
	char *bytes = malloc(cap), *less;

	if (!bytes || !http_answer_write(a, bytes, cap, status, headers, closes, body, len)) {
		free(bytes);
		return false;
	}
	less = realloc(bytes, a->len);
	if (less)
		a->bytes = less;
	return true;
}

void
http_answer_free(struct http_answer *a)
{
	free(a->bytes);
	*a = (struct http_answer){0};
}

/* Not by strftime, whose names of days and months are the locale's. */
void
http_date(int64_t unix_s, char ret_date[HTTP_DATE_LEN + 1])
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t t = (time_t)unix_s;
	struct tm tm = {0};

	if (!gmtime_r(&t, &tm))
		tm.tm_mday = 1; /* beyond the years that it can write */
	snprintf(ret_date, HTTP_DATE_LEN + 1, "%s, %02u %s %04u %02u:%02u:%02u GMT",
		 days[tm.tm_wday], (unsigned)tm.tm_mday % 100, months[tm.tm_mon],
		 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
		 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

void
http_answer_set_date(struct http_answer *a, const char date[HTTP_DATE_LEN + 1])
{
	memcpy(a->bytes + a->date_at, date, HTTP_DATE_LEN);
}
