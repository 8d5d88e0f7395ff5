#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define HTTP_BODY_MAX (1u << 20) /* a status of hundreds of lines is some 10 KiB */

struct answer {
	char *bytes;
	size_t len;
};

static size_t
take_body(char *bytes, size_t size, size_t n, void *ctx)
{
	struct answer *a = ctx;
	char *more;

	n *= size;
	if (a->len + n > HTTP_BODY_MAX)
		return 0;
	more = realloc(a->bytes, a->len + n + 1);
	if (!more)
		return 0;
	memcpy(more + a->len, bytes, n);
	a->bytes = more;
	a->len += n;
	more[a->len] = '\0';
	return n;
}

static int
errno_of(CURLcode code)
{
	switch ((int)code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static void
set_request(CURL *curl, const char *method, const char *url, const char *body, int64_t timeout_ms)
{
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	if (body || strcmp(method, "POST") == 0)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body ? body : "");
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
}

int
cli_http(const char *method, const char *url, const char *body, int64_t timeout_ms,
	 long *ret_status, char **ret_body)
{
	struct answer a = {calloc(1, 1), 0};
	CURL *curl = NULL;
	int err = -ENOMEM;

	if (!a.bytes || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		goto out;
	curl = curl_easy_init();
	if (!curl)
		goto out;
	set_request(curl, method, url, body, timeout_ms);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &a);
	err = errno_of(curl_easy_perform(curl));
	if (!err) {
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
		*ret_body = a.bytes;
		a.bytes = NULL;
	}
out:
	curl_easy_cleanup(curl);
	free(a.bytes);
	return err;
}
