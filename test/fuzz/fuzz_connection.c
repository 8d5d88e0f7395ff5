/* A connection of ingest_http: two bytes that say how it is cut and read, then what the client
 * sends. Cut anywhere, read at once or at the end, with room in the socket or hardly any: the
 * answers are the same bytes, the counters have moved alike, and nothing of the connection is left.
 * The agent is stopping, so that no event is remembered and each run finds what the other did. */
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "node/ingest_http_private.h"
#include "stats/stats.h"
#include "test/fuzz/fuzz_dir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TIGHT 1        /* hardly any room in the socket */
#define READS_LATE 2   /* the client reads when all is sent */
#define TURNS_MAX 4000 /* without an end: it goes in circles */
#define IN_MAX 65536
#define OUT_MAX ((size_t)16 << 20) /* as large an answer as there is to each request */

static struct ingest_http http;
static struct http_worker worker;
static struct http_rules rules;
static struct conf *conf;
static struct spool *spool;
static struct journal *journal;
static struct visitor_salts *salts;
static struct admit *admit;

/* -- an agent without its threads -- */

static void
open_admission(void)
{
	struct journal_found found;

	if (visitor_salts_open(fuzz_dir, wall_now().ms, &salts) < 0 ||
	    spool_open(conf, &spool) < 0 ||
	    journal_open(conf, spool, 1, wall_now(), &journal, &found) < 0 ||
	    admit_new(conf, salts, spool, &admit) < 0)
		abort();
	worker.admit = admit_worker_new(admit, journal_writer(journal, 0));
	if (!worker.admit)
		abort();
	admit_stop(admit);
}

static void
open_http(void)
{
	const char *bad;

	http.c = conf;
	http.country_header = text_of(conf->http_country_header);
	http.worker = &worker;
	http.n_workers = 1;
	worker.http = &http;
	worker.rules = &rules;
	worker.statics = statics_new(&conf->http_script_paths, true);
	rules.answers = answers_new(&conf->http_allowed_origins);
	rules.respect_privacy = true;
	if (client_proxies_new(&conf->http_trusted_proxies, &rules.proxies, &bad) < 0 ||
	    peer_limit_new(0, &http.peers) < 0 || http_worker_init(&worker) < 0 || !rules.answers ||
	    !worker.statics)
		abort();
	worker.now_ms = 1;
	worker.wall = wall_now();
	http_date(0, worker.date);
}

static void
start(void)
{
	char state[FUZZ_PATH_MAX];
	char *settings[] = {state,
			    (char[]){"node.name=web-1"},
			    (char[]){"journal.segment=64k"},
			    (char[]){"admit.rate=off"},
			    (char[]){"admit.retry_entries=64k"},
			    (char[]){"admit.double_click_entries=64k"},
			    (char[]){"http.connections=16"},
			    (char[]){"http.connection_memory=4k"},
			    (char[]){"http.allowed_origins=https://a.example"},
			    (char[]){"http.trusted_proxies=127.0.0.0/8"},
			    (char[]){"http.country_header=CF-IPCountry"}};

	fuzz_dir_make();
	(void)snprintf(state, sizeof(state), "node.state_dir=%s", fuzz_dir);
	log_init("fuzz", LOG_LEVEL_N);
	if (hash_init() < 0 || conf_load(CONF_AGENT, NULL, settings,
					 sizeof(settings) / sizeof(*settings), stderr, &conf) < 0)
		abort();
	open_admission();
	open_http();
}

/* -- one run -- */

struct run {
	char *out;
	size_t len;
	uint64_t moved[STAT_N]; /* the counters */
	struct ledger ledger;   /* the verdicts */
};

struct cut {
	uint32_t state; /* of the generator of pieces; 0: all at once */
	unsigned how;
};

/* Mostly a few bytes. */
static size_t
piece(struct cut *c, size_t left)
{
	size_t n;

	if (c->state == 0)
		return left;
	c->state = c->state * 1664525 + 1013904223;
	n = c->state >> 30 ? (c->state >> 24) % 7 + 1 : (c->state >> 16) % 2048 + 1;
	return n < left ? n : left;
}

static void
turn(void)
{
	struct epoll_event got[4];
	int i, n, turns = 0;

	while ((n = epoll_wait(worker.epoll, got, 4, 0)) > 0) {
		if (++turns > TURNS_MAX)
			abort();
		for (i = 0; i < n; i++)
			if (*(const enum http_source *)got[i].data.ptr == HTTP_CONN)
				http_conn_event(&worker, got[i].data.ptr, got[i].events);
	}
}

static bool
read_some(int fd, struct run *r)
{
	ssize_t n = recv(fd, r->out + r->len, OUT_MAX - r->len, 0);

	if (n > 0)
		r->len += (size_t)n;
	return n > 0;
}

static void
converse(int fd, const uint8_t *data, size_t size, struct cut c, struct run *r)
{
	size_t at = 0, n;
	int turns;

	while (at < size) {
		n = piece(&c, size - at);
		if (send(fd, data + at, n, MSG_NOSIGNAL) != (ssize_t)n)
			break; /* the other end has closed */
		at += n;
		turn();
		if (!(c.how & READS_LATE))
			(void)read_some(fd, r);
	}
	(void)shutdown(fd, SHUT_WR);
	for (turns = 0; worker.open || read_some(fd, r); turns++) {
		if (turns > TURNS_MAX)
			abort(); /* everything was sent and read, and it does not go */
		turn();
		(void)read_some(fd, r);
	}
}

static void
count(struct run *r)
{
	unsigned i, k;
	struct ledger now;

	stat_ledger(&now);
	for (i = 0; i < STAT_N; i++)
		r->moved[i] = stat_get((enum stat_id)i) - r->moved[i];
	for (i = 0; i < SOURCE_N; i++)
		for (k = 0; k < REASON_N; k++)
			r->ledger.count[i][k] = now.count[i][k] - r->ledger.count[i][k];
}

static void
run(const uint8_t *data, size_t size, struct cut c, struct run *r)
{
	const union http_peer peer = {
	    .in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
	const int least = 1;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0)
		abort();
	if (c.how & TIGHT)
		(void)setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	r->len = 0;
	memset(r->moved, 0, sizeof(r->moved));
	memset(&r->ledger, 0, sizeof(r->ledger));
	count(r); /* what was before */
	(void)peer_limit_enter(http.peers, &peer.sa);
	atomic_fetch_add(&worker.n_held, 1);
	http_conn_open(&worker, fd[1], &peer);
	converse(fd[0], data, size, c, r);
	count(r);
	close(fd[0]);
	if (worker.buffers_lent > 0 || atomic_load(&worker.n_held) > 0 ||
	    atomic_load(&worker.n_open) > 0)
		abort();
}

/* -- two of them -- */

static bool
is_like(const struct run *a, const struct run *b)
{
	return a->len == b->len && memcmp(a->out, b->out, a->len) == 0 &&
	       memcmp(a->moved, b->moved, sizeof(a->moved)) == 0 &&
	       memcmp(&a->ledger, &b->ledger, sizeof(a->ledger)) == 0;
}

/* Whether a client that waits for "100 Continue" is sent one, and whether the connection is kept
 * behind a refusal, does depend on what has come by then. */
static bool
expects(const uint8_t *data, size_t size)
{
	size_t i;

	for (i = 0; i + 6 <= size; i++)
		if (strncasecmp((const char *)data + i, "expect", 6) == 0)
			return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run whole, cut;
	struct cut at_once = {0, 0}, pieces;

	if (size < 2 || size > IN_MAX)
		return 0;
	if (!conf) {
		start();
		whole.out = malloc(OUT_MAX);
		cut.out = malloc(OUT_MAX);
		if (!whole.out || !cut.out)
			abort();
	}
	pieces = (struct cut){0x10000u + data[1] * 2654435761u, data[0]};
	data += 2;
	size -= 2;
	run(data, size, at_once, &whole);
	run(data, size, pieces, &cut);
	if (!expects(data, size) && !is_like(&whole, &cut))
		abort();
	return 0;
}
