#include "node/admin_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/passed.h"
#include "node/bot_count.h"
#include "node/udp_tally.h"
#include "stats/stats.h"

#define IDLE_S 30u
#define CONNECTION_MEMORY ((size_t)16384)
#define STACK ((size_t)262144) /* a flush needs a page or two; libmicrohttpd little more */

/* -- answers -- */

static enum MHD_Result
send_bytes(struct MHD_Connection *connection, unsigned status, const char *type, char *bytes,
	   size_t len)
{
	struct MHD_Response *r =
	    MHD_create_response_from_buffer(len, bytes, MHD_RESPMEM_MUST_FREE); /* takes bytes */
	enum MHD_Result done = MHD_NO;

	if (!r) {
		free(bytes);
		return MHD_NO;
	}
	if (MHD_add_response_header(r, "Content-Type", type) == MHD_YES &&
	    MHD_add_response_header(r, "Cache-Control", "no-store") == MHD_YES &&
	    (status != MHD_HTTP_METHOD_NOT_ALLOWED ||
	     MHD_add_response_header(r, "Allow", "GET, HEAD, POST") == MHD_YES) &&
	    (status != MHD_HTTP_BAD_REQUEST ||
	     MHD_add_response_header(r, "Connection", "close") == MHD_YES))
		done = MHD_queue_response(connection, status, r);
	MHD_destroy_response(r);
	return done;
}

/* -- pages -- */

static unsigned
print_metrics(struct admin *a, FILE *out)
{
	stats_print(out);
	bot_count_print(&a->parts.c->admit_bot_patterns, out);
	udp_tally_print(out);
	return MHD_HTTP_OK;
}

static unsigned
print_health(struct admin *a, FILE *out)
{
	(void)a;
	fputs("ok\n", out);
	return MHD_HTTP_OK;
}

static unsigned
print_readiness(struct admin *a, FILE *out)
{
	bool ready = atomic_load(&a->ready);

	/* still 200: the next batch may be taken, and who starts this must not wait for it */
	if (ready && forward_is_rival(a->parts.forwarder)) {
		fputs("ready, but the central refuses what is accepted here: see status\n", out);
		return MHD_HTTP_OK;
	}
	fputs(ready ? "ready\n" : "not ready\n", out);
	return ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned
print_status(struct admin *a, FILE *out)
{
	admin_status_print(a, out);
	return MHD_HTTP_OK;
}

#define TEXT_TYPE "text/plain; charset=utf-8"
#define JSON_TYPE "application/json"

static const struct page {
	const char *path;
	bool post;
	const char *type;
	unsigned (*print)(struct admin *a, FILE *out); /* HTTP status */
} pages[] = {
    {"/metrics", false, "text/plain; version=0.0.4; charset=utf-8", print_metrics},
    {"/healthz", false, TEXT_TYPE, print_health},
    {"/readyz", false, TEXT_TYPE, print_readiness},
    {"/status", false, JSON_TYPE, print_status},
    {"/flush", true, JSON_TYPE, admin_flush},
};

static const struct page *
find_page(const char *path)
{
	size_t i;

	for (i = 0; i < sizeof(pages) / sizeof(*pages); i++)
		if (strcmp(path, pages[i].path) == 0)
			return &pages[i];
	return NULL;
}

static bool
method_fits(const struct page *p, const char *method)
{
	if (p->post)
		return strcmp(method, MHD_HTTP_METHOD_POST) == 0;
	return strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
	       strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

static enum MHD_Result
answer(struct admin *a, struct MHD_Connection *connection, const char *url, const char *method)
{
	const struct page *p = find_page(url);
	const char *type = p ? p->type : JSON_TYPE;
	unsigned status;
	char *bytes = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&bytes, &len);

	if (!out)
		return MHD_NO;
	if (!p) {
		fputs("{\"error\":\"nothing is served here\"}\n", out);
		status = MHD_HTTP_NOT_FOUND;
	} else if (!method_fits(p, method)) {
		fputs("{\"error\":\"another method is needed\"}\n", out);
		status = MHD_HTTP_METHOD_NOT_ALLOWED;
		type = JSON_TYPE;
	} else {
		status = p->print(a, out);
	}
	if (fclose(out) == EOF) {
		free(bytes);
		return MHD_NO;
	}
	return send_bytes(connection, status, type, bytes, len);
}

static enum MHD_Result
refuse(struct MHD_Connection *connection)
{
	char *bytes = strdup("{\"error\":\"malformed headers\"}\n");

	return bytes ? send_bytes(connection, MHD_HTTP_BAD_REQUEST, JSON_TYPE, bytes, strlen(bytes))
		     : MHD_NO;
}

static enum MHD_Result
request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload_data, size_t *upload_data_size, void **req_cls)
{
	static char seen;
	enum MHD_Result done;

	(void)upload_data;
	if (!*req_cls) {
		*req_cls = &seen;
		return admin_guard(cls, connection, method, version) ? MHD_YES : refuse(connection);
	}
	if (*upload_data_size > 0) {
		*upload_data_size = 0; /* no page takes a body */
		return MHD_YES;
	}
	admin_mark(cls, connection, true);
	done = answer(cls, connection, url, method);
	admin_mark(cls, connection, false);
	return done;
}

/* -- start and stop -- */

static int
open_listener(struct admin *a, const char *address)
{
	int err = socket_address_parse(address, &a->address);
	int fd = passed_take_named("admin", SOCK_STREAM);

	if (fd < 0 && !err)
		fd = passed_take_at(&a->address, SOCK_STREAM);
	if (fd < 0)
		fd = err ? err : socket_listen(&a->address, SOCK_STREAM, false);
	if (fd >= 0)
		err = socket_bound(fd, &a->address);
	if (fd < 0 || err) {
		log_error("cannot listen for operators", "address=\"%s\" error=\"%s\"", address,
			  strerror(fd < 0 ? -fd : -err));
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : err;
	}
	return fd;
}

int
admin_open(const struct conf *c, struct admin **ret_admin)
{
	struct admin *a = calloc(1, sizeof(*a));
	int fd;

	if (!a)
		return -ENOMEM;
	a->started = wall_now();
	a->started_mono = mono_now();
	fd = admin_conns_init(a);
	if (fd == 0)
		fd = open_listener(a, c->admin_listen);
	if (fd < 0) {
		free(a);
		return fd;
	}
	a->listen_fd = fd;
	*ret_admin = a;
	return 0;
}

int
admin_start(struct admin *a, const struct admin_parts *parts)
{
	a->parts = *parts;
	/* one place more than there are, so that admin_accept is asked when they are taken */
	a->daemon = MHD_start_daemon(
	    MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
		MHD_USE_ITC,
	    0, admin_accept, a, request, a, MHD_OPTION_LISTEN_SOCKET, a->listen_fd,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)ADMIN_CONNECTIONS + 1,
	    MHD_OPTION_NOTIFY_CONNECTION, admin_notify, a, MHD_OPTION_URI_LOG_CALLBACK,
	    admin_target_seen, a, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
	    MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_THREAD_STACK_SIZE, STACK,
#if MHD_VERSION >= 0x00097701
	    MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
#endif
	    MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (!a->daemon) {
		log_error("libmicrohttpd does not start", "error=\"%s\"", strerror(errno));
		return -EIO;
	}
	return 0;
}

void
admin_address(const struct admin *a, char ret_text[SOCKET_ADDRESS_TEXT])
{
	socket_address_format(&a->address, ret_text);
}

void
admin_ready(struct admin *a, bool ready)
{
	atomic_store(&a->ready, ready);
}

void
admin_stop(struct admin *a)
{
	if (!a)
		return;
	atomic_store(&a->stopping, true);
	if (a->daemon)
		MHD_stop_daemon(a->daemon); /* closes the listening socket as well */
	else
		close(a->listen_fd);
	admin_conns_fini(a);
	free(a);
}
