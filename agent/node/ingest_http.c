#include "node/ingest_http_private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/passed.h"
#include "stats/stats.h"

#define STEP_MS 10     /* how late a drained worker is noticed */
#define FINISH_MS 2000 /* for requests that have begun when nothing is accepted any more */

/* -- rules -- */

static int
rules_new(const struct conf *c, struct http_rules **ret_rules)
{
	struct http_rules *r = calloc(1, sizeof(*r));
	const char *bad = "";
	int err;

	if (!r)
		return -ENOMEM;
	err = client_proxies_new(&c->http_trusted_proxies, &r->proxies, &bad);
	if (err == -EINVAL)
		log_error("http.trusted_proxies holds what is no prefix", "item=\"%s\"", bad);
	r->answers = err ? NULL : answers_new(&c->http_allowed_origins);
	if (!err && !r->answers)
		err = -ENOMEM;
	r->respect_privacy = c->http_respect_privacy;
	if (err) {
		http_rules_free(r);
		return err;
	}
	*ret_rules = r;
	return 0;
}

/* Whom the limit of connections spares. */
static int
trust(struct ingest_http *h, const struct conf *c)
{
	struct client_proxies *p, *old;
	const char *bad = "";
	int err = client_proxies_new(&c->http_trusted_proxies, &p, &bad);

	if (err)
		return err;
	pthread_mutex_lock(&h->trust_lock);
	old = h->trusted;
	h->trusted = p;
	pthread_mutex_unlock(&h->trust_lock);
	client_proxies_free(old);
	return 0;
}

int
ingest_http_reload(struct ingest_http *h, const struct conf *c)
{
	struct http_rules **next = calloc(h->n_workers, sizeof(struct http_rules *));
	int err = next ? 0 : -ENOMEM;
	size_t i;

	for (i = 0; !err && i < h->n_workers; i++)
		err = rules_new(c, &next[i]);
	if (!err)
		err = trust(h, c); /* last: what fails changes nothing */
	for (i = 0; next && i < h->n_workers; i++)
		http_rules_free(err ? next[i] : atomic_exchange(&h->worker[i].next_rules, next[i]));
	free(next);
	return err;
}

/* -- listening -- */

static bool
is_tcp(const struct socket_address *a)
{
	return a->sa.ss_family != AF_UNIX;
}

static int
parse_addresses(struct ingest_http *h)
{
	const struct conf_list *list = &h->c->http_listen;
	size_t i;

	for (i = 0; i < list->n; i++) {
		if (socket_address_parse(list->item[i], &h->listener[i].address) < 0) {
			log_error("http.listen holds what is no address", "item=\"%s\"",
				  list->item[i]);
			return -EINVAL;
		}
		h->listener[i].fd = -1;
		h->n_listeners++;
	}
	return 0;
}

/* Sockets that the service manager names for us stand in for all of http.listen. */
static int
take_passed(struct ingest_http *h)
{
	int fd, err = 0;

	while (!err && (fd = passed_take_named("http", SOCK_STREAM)) >= 0) {
		struct http_listener *l = &h->listener[h->n_listeners++];

		l->fd = fd;
		l->passed = true;
		err = socket_bound(fd, &l->address);
	}
	return err;
}

/* SO_REUSEPORT would let a second agent share the port without a word, so the address is first
 * taken alone. */
static int
listen_alone(const struct socket_address *a)
{
	int fd = socket_listen(a, SOCK_STREAM, false);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

/* A socket for every worker, among which the kernel spreads connections. */
static int
listen_each(struct ingest_http *h, struct socket_address *a)
{
	size_t i;
	int fd, err = listen_alone(a);

	for (i = 0; !err && i < h->n_workers; i++) {
		fd = socket_listen(a, SOCK_STREAM, true);
		err = fd < 0 ? fd : http_worker_add_door(&h->worker[i], fd, false, false);
		if (err && fd >= 0)
			close(fd);
		else if (!err && i == 0)
			err = socket_bound(fd, a); /* port 0 is known now */
	}
	return err;
}

/* A passed socket cannot have siblings (SO_REUSEPORT must be set before the first bind): it is
 * shared, and so are unix sockets. Who accepts from a shared one deals the connection out. */
static int
open_listener(struct ingest_http *h, struct http_listener *l)
{
	l->fd = passed_take_at(&l->address, SOCK_STREAM);
	l->passed = l->fd >= 0;
	if (l->passed)
		return 0;
	if (is_tcp(&l->address))
		return listen_each(h, &l->address);
	l->fd = socket_listen(&l->address, SOCK_STREAM, false);
	return l->fd < 0 ? l->fd : socket_bound(l->fd, &l->address);
}

static int
listen_all(struct ingest_http *h)
{
	char text[SOCKET_ADDRESS_TEXT];
	size_t i;
	int err;

	h->listener = calloc(h->c->http_listen.n + PASSED_MAX, sizeof(*h->listener));
	if (!h->listener)
		return -ENOMEM;
	err = take_passed(h);
	if (err || h->n_listeners > 0)
		return err;
	err = parse_addresses(h);
	for (i = 0; !err && i < h->n_listeners; i++) {
		err = open_listener(h, &h->listener[i]);
		if (err) {
			socket_address_format(&h->listener[i].address, text);
			log_error("cannot listen for beacons", "address=%s error=\"%s\"", text,
				  strerror(-err));
		}
	}
	return err;
}

bool
ingest_http_address(const struct ingest_http *h, size_t i, char ret_text[SOCKET_ADDRESS_TEXT])
{
	if (i >= h->n_listeners)
		return false;
	socket_address_format(&h->listener[i].address, ret_text);
	return true;
}

/* -- start and stop -- */

static struct ingest_http *
http_new(const struct conf *c)
{
	struct ingest_http *h = calloc(1, sizeof(*h));
	int err = 0;
	size_t i;

	if (!h)
		return NULL;
	h->c = c;
	pthread_mutex_init(&h->trust_lock, NULL);
	h->country_header = text_of(c->http_country_header);
	h->worker = calloc((size_t)c->http_workers, sizeof(*h->worker));
	if (!h->worker || peer_limit_new((uint32_t)c->http_connections_per_address, &h->peers) < 0)
		err = -ENOMEM;
	for (i = 0; !err && i < (size_t)c->http_workers; i++) {
		h->worker[i].http = h;
		h->n_workers++;
		err = http_worker_init(&h->worker[i]);
	}
	if (!err)
		return h;
	ingest_http_stop(h);
	return NULL;
}

int
ingest_http_open(const struct conf *c, struct ingest_http **ret_http)
{
	struct ingest_http *h = http_new(c);
	int err = h ? listen_all(h) : -ENOMEM;

	if (err)
		ingest_http_stop(h);
	else
		*ret_http = h;
	return err;
}

/* Answers go out whole and at once. Accepted sockets inherit it. */
static void
send_at_once(int fd)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a unix socket has no need */
}

static int
share(struct http_worker *w, const struct http_listener *l)
{
	int fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
	int err = fd < 0 ? -errno : http_worker_add_door(w, fd, true, l->passed);

	if (err && fd >= 0)
		close(fd);
	return err;
}

static int
start_worker(struct ingest_http *h, struct http_worker *w)
{
	size_t i;
	int err = rules_new(h->c, &w->rules);

	w->waits = admit_waits(w->admit);
	w->statics = statics_new(&h->c->http_script_paths, h->c->http_demo);
	if (!err && !w->statics)
		err = -ENOMEM;
	for (i = 0; !err && i < h->n_listeners; i++)
		if (h->listener[i].fd >= 0)
			err = share(w, &h->listener[i]);
	for (i = 0; !err && i < w->n_doors; i++)
		send_at_once(w->door[i].fd);
	return err ? err : http_worker_start(w);
}

int
ingest_http_start(struct ingest_http *h, struct admit_worker *const *workers)
{
	size_t i;
	int err = trust(h, h->c);

	for (i = 0; i < h->n_workers; i++)
		h->worker[i].admit = workers[i];
	/* a worker deals connections out to the others as soon as it runs, into their mail */
	for (i = 0; !err && i < h->n_workers; i++)
		err = start_worker(h, &h->worker[i]);
	if (err)
		log_error("cannot take beacons", "error=\"%s\"", strerror(-err));
	return err;
}

static void
close_listener(struct http_listener *l)
{
	struct sockaddr_un un;

	if (l->fd < 0)
		return;
	close(l->fd);
	l->fd = -1;
	if (is_tcp(&l->address) || l->passed)
		return;
	memcpy(&un, &l->address.sa, sizeof(un));
	unlink(un.sun_path);
}

static void
enter(struct ingest_http *h, enum http_phase phase)
{
	size_t i;

	atomic_store(&h->phase, phase);
	for (i = 0; i < h->n_workers; i++)
		if (h->worker[i].runs)
			http_worker_wake(&h->worker[i]);
}

static bool
all_entered(struct ingest_http *h, enum http_phase phase)
{
	size_t i;

	for (i = 0; i < h->n_workers; i++)
		if (atomic_load(&h->worker[i].phase) < (int)phase)
			return false;
	return true;
}

static bool
none_older(struct ingest_http *h)
{
	size_t i, n = 0;

	if (!all_entered(h, PHASE_DRAINS))
		return false; /* before that, nobody has counted */
	for (i = 0; i < h->n_workers; i++)
		n += atomic_load(&h->worker[i].n_older);
	return n == 0;
}

static bool
none_held(struct ingest_http *h)
{
	size_t i, n = 0;

	for (i = 0; i < h->n_workers; i++)
		n += atomic_load(&h->worker[i].n_held);
	return n == 0;
}

static bool
none_accepts(struct ingest_http *h)
{
	return all_entered(h, PHASE_ENDS);
}

/* False when it did not come to that in time. */
static bool
wait_until(struct ingest_http *h, bool (*is_so)(struct ingest_http *), int64_t most_ms)
{
	const struct timespec step = {0, STEP_MS * 1000000L};
	int64_t until = mono_now().us / 1000 + most_ms;

	while (!is_so(h)) {
		if (mono_now().us / 1000 >= until)
			return false;
		nanosleep(&step, NULL);
	}
	return true;
}

void
ingest_http_drain(struct ingest_http *h, int64_t drain_ms)
{
	size_t i;

	if (!h || h->n_workers == 0 || !h->worker[0].runs)
		return;
	h->drain_since_ms = mono_now().us / 1000;
	h->drain_ms = drain_ms;
	enter(h, PHASE_DRAINS);
	log_info("draining: every answer is its connection's last", "most_ms=%lld",
		 (long long)drain_ms);
	wait_until(h, none_older, drain_ms);
	enter(h, PHASE_ENDS);
	if (!wait_until(h, none_accepts, FINISH_MS))
		return;
	log_info("nothing more is accepted; what has begun is answered", "most_ms=%d", FINISH_MS);
	for (i = 0; i < h->n_listeners; i++)
		close_listener(&h->listener[i]);
	wait_until(h, none_held, FINISH_MS);
}

void
ingest_http_stop(struct ingest_http *h)
{
	size_t i;

	if (!h)
		return;
	enter(h, PHASE_STOPS);
	for (i = 0; i < h->n_workers; i++)
		http_worker_join(&h->worker[i]);
	for (i = 0; i < h->n_workers; i++)
		http_worker_fini(&h->worker[i]);
	for (i = 0; i < h->n_listeners; i++)
		close_listener(&h->listener[i]);
	client_proxies_free(h->trusted);
	peer_limit_free(h->peers);
	pthread_mutex_destroy(&h->trust_lock);
	free(h->worker);
	free(h->listener);
	free(h);
}
