#include "node/forward_central.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "proto/json.h"

#define TOKEN_MAX 512
#define CONNECT_MS 10000 /* a host that is there answers a SYN sooner; the rest is for the body */

struct central {
	const struct conf *c;
	CURL *curl;
	struct curl_slist *batch_headers, *salt_headers;
	char *base; /* URL without a slash at its end */
	bool loopback;
	char token_fault[CENTRAL_WHY_MAX]; /* "" when there is a token, or none is wanted */
	char answer[CENTRAL_ANSWER_MAX + 1];
	size_t answer_len;
	bool answer_too_long;
	bool (*give_up)(void *ctx);
	void *give_up_ctx;
};

/* -- token -- */

static bool
add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (longer)
		*list = longer;
	return longer != NULL;
}

/* Headers of both requests; token is NULL for none. */
static void
set_headers(struct central *z, const char *token)
{
	char line[TOKEN_MAX + 32];
	bool ok;

	curl_slist_free_all(z->batch_headers);
	curl_slist_free_all(z->salt_headers);
	z->batch_headers = z->salt_headers = NULL;
	/* no "Expect: 100-continue": it costs a round trip, and the central judges whole batches */
	ok = add_header(&z->batch_headers, "Content-Type: application/zstd") &&
	     add_header(&z->batch_headers, "Expect:");
	ok = ok && add_header(&z->salt_headers, "Accept: application/msgpack");
	if (token) {
		snprintf(line, sizeof(line), "Authorization: Bearer %s", token);
		ok =
		    ok && add_header(&z->batch_headers, line) && add_header(&z->salt_headers, line);
	}
	if (!ok)
		snprintf(z->token_fault, sizeof(z->token_fault), "out of memory");
}

static size_t
trimmed(const char *bytes, size_t len)
{
	while (len > 0 && strchr(" \t\r\n", bytes[len - 1]))
		len--;
	return len;
}

static bool
is_token(const char *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (bytes[i] <= ' ' || bytes[i] > '~')
			return false;
	return len > 0;
}

void
central_read_token(struct central *z, const char *token_file)
{
	char *token = NULL;
	size_t len = 0;
	int err;

	z->token_fault[0] = '\0';
	if (token_file[0] == '\0') {
		set_headers(z, NULL);
		return;
	}
	err = file_read_secret(token_file, TOKEN_MAX, &token, &len);
	if (!err) {
		len = trimmed(token, len);
		token[len] = '\0';
	}
	if (err)
		snprintf(z->token_fault, sizeof(z->token_fault), "token file %s: %s", token_file,
			 err == -EPERM ? "others than its owner may read it" : strerror(-err));
	else if (!is_token(token, len))
		snprintf(z->token_fault, sizeof(z->token_fault), "token file %s: holds no token",
			 token_file);
	set_headers(z, z->token_fault[0] ? NULL : token);
	if (token)
		explicit_bzero(token, len);
	free(token);
}

/* -- life -- */

static bool
is_loopback_url(const char *url)
{
	static const char *const hosts[] = {"127.", "localhost", "[::1]"};
	CURLU *u = curl_url();
	char *host = NULL;
	bool found = false;
	size_t i;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK)
		for (i = 0; i < sizeof(hosts) / sizeof(*hosts); i++)
			found = found || strncmp(host, hosts[i], strlen(hosts[i])) == 0;
	curl_free(host);
	curl_url_cleanup(u);
	return found;
}

struct central *
central_new(const struct conf *c, bool (*give_up)(void *ctx), void *ctx)
{
	struct central *z;
	size_t len;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return NULL;
	z = calloc(1, sizeof(*z));
	if (!z)
		return NULL;
	z->c = c;
	z->give_up = give_up;
	z->give_up_ctx = ctx;
	z->curl = curl_easy_init();
	z->base = strdup(c->forward_central);
	if (!z->curl || !z->base) {
		central_free(z);
		return NULL;
	}
	for (len = strlen(z->base); len > 0 && z->base[len - 1] == '/'; len--)
		z->base[len - 1] = '\0';
	z->loopback = is_loopback_url(z->base);
	if (strncmp(z->base, "http://", 7) == 0 && !z->loopback)
		log_warn(
		    "forward.central is plain http: its token and batches can be read on the way",
		    "central=%s", z->base);
	central_read_token(z, c->forward_token_file);
	return z;
}

void
central_free(struct central *z)
{
	if (!z)
		return;
	curl_easy_cleanup(z->curl);
	curl_slist_free_all(z->batch_headers);
	curl_slist_free_all(z->salt_headers);
	free(z->base);
	free(z);
}

/* -- requests -- */

static size_t
take_answer(char *bytes, size_t size, size_t n, void *ctx)
{
	struct central *z = ctx;
	size_t room = CENTRAL_ANSWER_MAX - z->answer_len, take;

	n *= size;
	take = n < room ? n : room;
	memcpy(z->answer + z->answer_len, bytes, take);
	z->answer_len += take;
	z->answer[z->answer_len] = '\0';
	z->answer_too_long = z->answer_too_long || take < n;
	return n;
}

static int
progress(void *ctx, curl_off_t dl_total, curl_off_t dl, curl_off_t ul_total, curl_off_t ul)
{
	struct central *z = ctx;

	(void)dl_total, (void)dl, (void)ul_total, (void)ul;
	return z->give_up(z->give_up_ctx);
}

static void
set_common(struct central *z, const char *url, int64_t timeout_ms)
{
	CURL *curl = z->curl;

	curl_easy_reset(curl); /* keeps the connection */
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)(timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS));
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "footfall-agent");
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, z);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, z);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	if (z->c->forward_ca_file[0])
		curl_easy_setopt(curl, CURLOPT_CAINFO, z->c->forward_ca_file);
	if (z->loopback) /* no proxy of the environment stands between us and ourselves */
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
}

/* HTTP status of the answer, or -errno with a sentence. */
static long
perform(struct central *z, const char *path, struct curl_slist *headers, const void *body,
	size_t len, int64_t timeout_ms, char *why)
{
	char url[2048], detail[CURL_ERROR_SIZE] = "";
	CURLcode code;
	long status = 0;

	if (z->token_fault[0]) {
		snprintf(why, CENTRAL_WHY_MAX, "%s", z->token_fault);
		return -EACCES;
	}
	snprintf(url, sizeof(url), "%s%s", z->base, path);
	set_common(z, url, timeout_ms);
	curl_easy_setopt(z->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(z->curl, CURLOPT_ERRORBUFFER, detail);
	if (body) {
		curl_easy_setopt(z->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
		curl_easy_setopt(z->curl, CURLOPT_POSTFIELDS, body); /* lent */
	}
	z->answer_len = 0;
	z->answer_too_long = false;
	code = curl_easy_perform(z->curl);
	curl_easy_setopt(z->curl, CURLOPT_ERRORBUFFER, NULL);
	if (code != CURLE_OK) {
		snprintf(why, CENTRAL_WHY_MAX, "%.200s",
			 detail[0] ? detail : curl_easy_strerror(code));
		return -EIO;
	}
	curl_easy_getinfo(z->curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* -- what answers mean -- */

/* True when the answer is an object in which `name` is a string; `word`, unless NULL,
 * says which. */
static bool
has_string(struct text answer, const char *name, const char *word)
{
	struct json_object o;
	struct json j;
	struct text key, value;
	bool found = false;

	json_init(&j, answer.at ? answer.at : "", answer.len);
	if (!json_object_open(&j, &o))
		return false;
	while (json_object_next(&j, &o, &key)) {
		if (text_is(key, name) && json_peek(&j) == JSON_STRING) {
			if (!json_take_string(&j, &value))
				return false;
			found = !word || text_is(value, word);
		} else if (!json_skip(&j)) {
			return false;
		}
	}
	return json_end(&j) && found;
}

bool
central_says(struct text answer, const char *word)
{
	return has_string(answer, "result", word);
}

/* The answer's words go into logs and beside broken batches: printable ASCII, one line. */
static void
quote_answer(struct central *z, long status, char *why)
{
	size_t i, len = z->answer_len < 120 ? z->answer_len : 120;

	for (i = 0; i < len; i++)
		if (z->answer[i] < ' ' || z->answer[i] > '~' || z->answer[i] == '"')
			z->answer[i] = z->answer[i] == '"' ? '\'' : ' ';
	snprintf(why, CENTRAL_WHY_MAX, "the central answers %ld %.*s", status, (int)len, z->answer);
}

static enum central_answer
answer_of(struct central *z, long status, char *why)
{
	struct text answer = {z->answer, z->answer_len};
	bool refused = !z->answer_too_long && has_string(answer, "error", NULL);

	if (status == 200 && !z->answer_too_long) {
		if (central_says(answer, "stored"))
			return CENTRAL_STORED;
		if (central_says(answer, "already"))
			return CENTRAL_ALREADY;
	}
	/* a 200 that says neither is another server's, and so is a refusal without a JSON error: a
	 * proxy that takes no large bodies must not make us give up a batch */
	quote_answer(z, status, why);
	switch (status) {
	case 400:
	case 413:
	case 422:
		return refused ? CENTRAL_BROKEN : CENTRAL_RETRY;
	case 409:
		return refused ? CENTRAL_CONFLICT : CENTRAL_RETRY;
	case 403:
		return refused ? CENTRAL_FOREIGN : CENTRAL_DENIED;
	case 401:
		return CENTRAL_DENIED;
	default:
		return CENTRAL_RETRY;
	}
}

enum central_answer
central_send(struct central *z, const void *body, size_t len, uint64_t oldest_seq,
	     int64_t timeout_ms, char *why)
{
	char oldest_line[64]; /* what it misses below is lost */
	char clock_line[64];  /* by which it tells a wrong clock from a batch that had to wait */
	struct curl_slist oldest = {oldest_line, z->batch_headers};
	struct curl_slist clock = {clock_line, &oldest};
	long status;

	snprintf(oldest_line, sizeof(oldest_line), "Footfall-Oldest: %" PRIu64, oldest_seq);
	snprintf(clock_line, sizeof(clock_line), "Footfall-Clock: %" PRId64, wall_now().ms);
	status = perform(z, "/v1/batches", &clock, body, len, timeout_ms, why);
	if (status < 0)
		return status == -EACCES ? CENTRAL_DENIED : CENTRAL_RETRY;
	return answer_of(z, status, why);
}

int
central_salts(struct central *z, int64_t timeout_ms,
	      struct visitor_salt ret_salts[VISITOR_SALTS_MAX], char *why)
{
	long status = perform(z, "/v1/salts", z->salt_headers, NULL, 0, timeout_ms, why);
	int n = -EBADMSG;

	if (status < 0)
		return (int)status;
	if (status != 200) {
		quote_answer(z, status, why);
		return status == 401 || status == 403 ? -EACCES : -EIO;
	}
	if (!z->answer_too_long)
		n = central_salts_decode((const uint8_t *)z->answer, z->answer_len, ret_salts);
	if (n < 0)
		snprintf(why, CENTRAL_WHY_MAX, "the central's salts cannot be read");
	explicit_bzero(z->answer, sizeof(z->answer));
	return n;
}
