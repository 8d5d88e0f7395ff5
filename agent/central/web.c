#include "central/web.h"

#include <errno.h>
#include <msgpack.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/file.h"
#include "base/log.h"
#include "central/web_internal.h"

#define LOGIN_BODY_MAX 4096
#define MAINTAIN_BODY_MAX 8192 /* a path */
#define PEM_MAX (256u << 10)

/* -- nodes -- */

static bool
admit_node(void *ctx, struct http_request *r, struct http_answer *a)
{
	struct web *w = ctx;

	_Static_assert(sizeof(r->name) >= AUTH_NAME_MAX, "a node's name must fit");
	if (auth_node(w->parts.auth, http_bearer(r), r->name))
		return true;
	http_answer_error(a, 401, "no node has this token");
	return false;
}

/* A number above 0; 0 when there is none. Other senders than agents leave these headers out. */
static int64_t
number_of(const struct http_request *r, const char *header)
{
	const char *sent = http_header(r, header);
	char *end;
	long long n;

	if (!sent)
		return 0;
	errno = 0;
	n = strtoll(sent, &end, 10);
	return !errno && end != sent && *end == '\0' && n > 0 && n < INT64_MAX / 2 ? n : 0;
}

/* The time by the node's clock when it sent the request. */
static void
note_clock(struct web *w, const struct http_request *r, int64_t now_ms)
{
	int64_t ms = number_of(r, "Footfall-Clock");

	if (ms)
		query_note_clock(w->parts.query, r->name, ms - now_ms);
}

static void
serve_batch(void *ctx, struct http_request *r, struct http_answer *a)
{
	struct web *w = ctx;
	int64_t now_ms = wall_now().ms;
	struct receive_answer said = receive_batch(
	    w->parts.receive, r->name, r->body, (uint64_t)number_of(r, "Footfall-Oldest"), now_ms);

	note_clock(w, r, now_ms);
	CRASH_POINT("receive_before_answer");
	if (said.status == 200)
		http_answer_json(a, 200, json_pack("{s:s}", "result", said.text));
	else
		http_answer_error(a, said.status, "%s", said.text);
}

static void
pack_name(msgpack_packer *p, const char *name)
{
	msgpack_pack_str_with_body(p, name, strlen(name));
}

static void
pack_salts(msgpack_packer *p, int64_t now_ms, const struct salt *salts, size_t n)
{
	size_t i;

	msgpack_pack_map(p, 3);
	pack_name(p, "v");
	msgpack_pack_uint8(p, 1);
	pack_name(p, "now");
	msgpack_pack_int64(p, now_ms);
	pack_name(p, "salts");
	msgpack_pack_array(p, n);
	for (i = 0; i < n; i++) {
		msgpack_pack_map(p, 5);
		pack_name(p, "id");
		msgpack_pack_uint32(p, salts[i].id);
		pack_name(p, "from");
		msgpack_pack_int64(p, salts[i].from_ms);
		pack_name(p, "until");
		msgpack_pack_int64(p, salts[i].until_ms);
		pack_name(p, "destroy");
		msgpack_pack_int64(p, salts[i].destroy_ms);
		pack_name(p, "key");
		msgpack_pack_bin_with_body(p, salts[i].key.bytes, HASH_KEY_BYTES);
	}
}

static void
serve_salts(void *ctx, struct http_request *r, struct http_answer *a)
{
	struct web *w = ctx;
	struct salt salts[SALTS_MAX];
	int64_t now_ms = wall_now().ms;
	int n = salts_current(w->parts.salts, now_ms, salts);
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	(void)r;
	if (n < 0) {
		http_answer_error(a, 503, "the salts cannot be saved at present");
		return;
	}
	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
	pack_salts(&packer, now_ms, salts, (size_t)n);
	a->status = 200;
	a->content_type = "application/msgpack";
	a->len = buffer.size;
	a->owned = msgpack_sbuffer_release(&buffer);
	sodium_memzero(salts, sizeof(salts));
}

/* -- the API -- */

static const char *
argument(const void *ctx, const char *name)
{
	return http_argument(ctx, name);
}

static void
serve_api(void *ctx, struct http_request *r, struct http_answer *a)
{
	struct web *w = ctx;
	struct query_args args = {
	    .get = argument, .ctx = r, .now_ms = wall_now().ms, .user = r->name};
	struct query_result result;

	query_ask(w->parts.query, r->rest, &args, &result);
	if (result.status == 200)
		http_answer_json(a, 200, result.json);
	else
		http_answer_error(a, result.status, "%s", result.error);
}

/* -- health -- */

static void
answer_text(struct http_answer *a, unsigned status, const char *text)
{
	a->status = status;
	a->content_type = "text/plain; charset=utf-8";
	a->lent = text;
	a->len = strlen(text);
}

static void
serve_health(void *ctx, struct http_request *r, struct http_answer *a)
{
	(void)ctx;
	(void)r;
	answer_text(a, 200, "ok\n");
}

static void
serve_ready(void *ctx, struct http_request *r, struct http_answer *a)
{
	struct web *w = ctx;

	(void)r;
	if (store_is_broken(w->parts.store))
		answer_text(a, 503, "store broken: restart this, and it recovers\n");
	else if (atomic_load(&w->ready))
		answer_text(a, 200, "ready\n");
	else
		answer_text(a, 503, "not ready\n");
}

/* Everybody on this machine may read them, as long as no proxy stands between. */
static bool
admit_metrics(void *ctx, struct http_request *r, struct http_answer *a)
{
	return http_is_local(r) || web_admit_reader(ctx, r, a);
}

/* -- start and stop -- */

static struct http_route *
make_routes(const struct conf *c)
{
	const struct http_route routes[] = {
	    {HTTP_POST, "/v1/batches", false, HTTP_BATCHES, (size_t)c->central_batch_max,
	     admit_node, serve_batch},
	    {HTTP_GET, "/v1/salts", false, HTTP_SALTS, 0, admit_node, serve_salts},
	    {HTTP_POST, "/api/v1/login", false, HTTP_LOGIN, LOGIN_BODY_MAX, NULL, web_serve_login},
	    {HTTP_POST, "/api/v1/logout", false, HTTP_LOGIN, LOGIN_BODY_MAX, NULL,
	     web_serve_logout},
	    {HTTP_POST, "/api/v1/maintain/start", false, HTTP_API, MAINTAIN_BODY_MAX,
	     web_admit_local, web_serve_maintain},
	    {HTTP_GET, "/api/v1/maintain", false, HTTP_API, 0, web_admit_local,
	     web_serve_maintain_state},
	    {HTTP_GET, "/api/v1/", true, HTTP_API, 0, web_admit_reader, serve_api},
	    {HTTP_GET, "/healthz", false, HTTP_HEALTH, 0, NULL, serve_health},
	    {HTTP_GET, "/readyz", false, HTTP_HEALTH, 0, NULL, serve_ready},
	    {HTTP_GET, "/metrics", false, HTTP_METRICS, 0, admit_metrics, web_serve_metrics},
	    {HTTP_GET, "/", true, HTTP_PAGES, 0, NULL, web_serve_page},
	    {HTTP_GET, NULL, false, HTTP_OTHER, 0, NULL, NULL},
	};
	struct http_route *copy = malloc(sizeof(routes));

	if (copy)
		memcpy(copy, routes, sizeof(routes));
	return copy;
}

static int
load_tls(struct web *w, const struct conf *c)
{
	size_t len;
	int err;

	if (c->central_tls_cert_file[0] == '\0')
		return 0;
	err = file_read(c->central_tls_cert_file, PEM_MAX, &w->tls_cert, &len);
	if (err) {
		log_error("cannot read the certificate", "file=%s error=\"%s\"",
			  c->central_tls_cert_file, strerror(-err));
		return err;
	}
	err = file_read_secret(c->central_tls_key_file, PEM_MAX, &w->tls_key, &len);
	if (err)
		log_error("cannot read the key; it must be of mode 0600", "file=%s error=\"%s\"",
			  c->central_tls_key_file, strerror(-err));
	return err;
}

static int
start_http(struct web *w, const struct conf *c)
{
	struct http_setup setup = {
	    .threads = (unsigned)c->central_threads,
	    .bodies_max = 2 * (size_t)c->central_batch_max,
	    .tls_cert = w->tls_cert,
	    .tls_key = w->tls_key,
	    .routes = w->routes,
	    .ctx = w,
	};

	return http_start(w->http, &setup);
}

int
web_open(const struct conf *c, struct web **ret_web)
{
	struct web *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	err = http_open(c->central_listen.item, c->central_listen.n, &w->http);
	if (err)
		web_stop(w, 0);
	else
		*ret_web = w;
	return err;
}

int
web_start(struct web *w, const struct web_parts *parts)
{
	int err;

	w->parts = *parts;
	w->started_ms = wall_now().ms;
	w->routes = make_routes(parts->conf);
	err = w->routes ? load_tls(w, parts->conf) : -ENOMEM;
	if (!err)
		err = start_http(w, parts->conf);
	return err;
}

const char *
web_address(const struct web *w, size_t i)
{
	return http_address(w->http, i);
}

void
web_set_ready(struct web *w, bool ready)
{
	atomic_store(&w->ready, ready);
}

void
web_stop(struct web *w, int64_t drain_ms)
{
	if (!w)
		return;
	atomic_store(&w->ready, false);
	http_stop(w->http, drain_ms);
	free(w->routes);
	free(w->tls_cert);
	if (w->tls_key)
		sodium_memzero(w->tls_key, strlen(w->tls_key));
	free(w->tls_key);
	free(w);
}
