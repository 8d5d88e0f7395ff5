#include "cli/central_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define ANSWER_MAX (64u << 20) /* hours of a year, with room */
#define TOKEN_MAX 256
#define TIMEOUT_S 120L

struct answer {
	char *bytes;
	size_t len;
};

static size_t
gather(char *bytes, size_t size, size_t n, void *ctx)
{
	struct answer *a = ctx;
	char *grown;

	n *= size;
	if (a->len + n > ANSWER_MAX)
		return 0; /* curl gives up */
	grown = realloc(a->bytes, a->len + n + 1);
	if (!grown)
		return 0;
	a->bytes = grown;
	memcpy(a->bytes + a->len, bytes, n);
	a->len += n;
	return n;
}

/* An address of "any" is reached through loopback. */
static void
make_url(const struct cli *cli, const char *address, const char *path, char *ret_url, size_t size)
{
	const char *scheme = cli->conf->central_tls_cert_file[0] ? "https" : "http";

	if (strncmp(address, "0.0.0.0:", 8) == 0)
		snprintf(ret_url, size, "%s://127.0.0.1:%s%s", scheme, address + 8, path);
	else if (strncmp(address, "[::]:", 5) == 0)
		snprintf(ret_url, size, "%s://[::1]:%s%s", scheme, address + 5, path);
	else
		snprintf(ret_url, size, "%s://%s%s", scheme, address, path);
}

static struct curl_slist *
make_header(const char *data_dir, int *ret_err)
{
	char path[PATH_MAX], *token = NULL, header[TOKEN_MAX + 32];
	struct curl_slist *list = NULL;
	size_t len;

	snprintf(path, sizeof(path), "%s/local.token", data_dir);
	*ret_err = file_read_secret(path, TOKEN_MAX, &token, &len);
	if (*ret_err)
		return NULL;
	snprintf(header, sizeof(header), "Authorization: Bearer %.*s", (int)strcspn(token, "\n"),
		 token);
	list = curl_slist_append(NULL, header);
	sodium_memzero(token, len);
	sodium_memzero(header, sizeof(header));
	free(token);
	*ret_err = list ? 0 : -ENOMEM;
	return list;
}

/* The certificate is made out to the central's public name, not to loopback; but it must be the one
 * that the configuration names. */
static void
trust_own_certificate(CURL *curl, const struct conf *c)
{
	if (!c->central_tls_cert_file[0])
		return;
	curl_easy_setopt(curl, CURLOPT_CAINFO, c->central_tls_cert_file);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
}

static CURLcode
perform(CURL *curl, const char *url, struct curl_slist *headers, struct answer *a, long *ret_status)
{
	CURLcode code;

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, gather);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, a);
	code = curl_easy_perform(curl);
	if (code == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
	return code;
}

static json_t *
read_answer(struct cli *cli, const struct answer *a, long status)
{
	json_t *json = json_loadb(a->bytes ? a->bytes : "", a->len, 0, NULL);
	const char *error = json_string_value(json_object_get(json, "error"));

	if (status == 200 && json)
		return json;
	if (error)
		cli_fail(cli, "%s", error);
	else
		cli_fail(cli, "the central answered with status %ld", status);
	json_decref(json);
	return NULL;
}

static json_t *
ask(struct cli *cli, const char *url, const char *body, struct curl_slist *headers)
{
	struct answer a = {NULL, 0};
	json_t *json = NULL;
	long status = 0;
	CURLcode code = CURLE_FAILED_INIT;
	CURL *curl;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	curl = curl_easy_init();
	if (curl) {
		trust_own_certificate(curl, cli->conf);
		if (body)
			curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		code = perform(curl, url, headers, &a, &status);
	}
	if (code == CURLE_OK)
		json = read_answer(cli, &a, status);
	else
		cli_fail(cli, "no central answers at %.*s: %s", (int)strcspn(url + 8, "/") + 8, url,
			 curl_easy_strerror(code));
	free(a.bytes);
	curl_easy_cleanup(curl);
	curl_global_cleanup();
	return json;
}

static json_t *
client_ask(struct cli *cli, const char *path, const char *body)
{
	const char *dir = cli->conf->central_data_dir;
	char address[CLI_ADDRESS_MAX], url[4096];
	struct curl_slist *headers = NULL;
	json_t *json;
	int err = cli_listen_read(dir, "central", address);

	if (err == -ENOENT) {
		cli_fail(cli, "no central is running on %s", dir);
		return NULL;
	}
	if (!err)
		headers = make_header(dir, &err);
	if (err) {
		cli_fail(cli, "%s: cannot read listen and local.token: %s", dir, strerror(-err));
		return NULL;
	}
	make_url(cli, address, path, url, sizeof(url));
	json = ask(cli, url, body, headers);
	curl_slist_free_all(headers);
	return json;
}

json_t *
client_get(struct cli *cli, const char *path)
{
	return client_ask(cli, path, NULL);
}

json_t *
client_post(struct cli *cli, const char *path, const char *body)
{
	return client_ask(cli, path, body);
}
