/* Connections of ingest_http: two bytes that say how they are cut and read, then what the client
 * sends. Alone and at once, or more beside each other than are decided together, the first one cut
 * anywhere, read at once or at the end, with room in the socket or hardly any: each gets the same
 * bytes as answers, the counters have moved alike, and nothing of a connection is left.
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
#define ALIKE 4        /* all are cut in the same places, and not only the first one */
#define TURNS_MAX 4000 /* without an end: it goes in circles */
#define IN_MAX 65536
#define CLIENTS (HTTP_TURNS + 2)
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

struct client {
	int fd;
	size_t at;      /* of the bytes: sent so far */
	bool done;      /* and its half closed */
	uint32_t state; /* of the generator of pieces; 0: all at once */
	char *out;
	size_t len;
};

struct run {
	unsigned n, how;
	struct client client[CLIENTS];
	uint64_t moved[STAT_N]; /* the counters */
	struct ledger ledger;   /* the verdicts */
};

/* Mostly a few bytes. */
static size_t
piece(struct client *c, size_t left)
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
	struct epoll_event got[CLIENTS];
	int n, turns = 0;

	while ((n = epoll_wait(worker.epoll, got, CLIENTS, 0)) > 0) {
		if (++turns > TURNS_MAX)
			abort();
		http_worker_take(&worker, got, n);
	}
}

static bool
read_some(struct client *c)
{
	ssize_t n = recv(c->fd, c->out + c->len, OUT_MAX - c->len, 0);

	if (n > 0)
		c->len += (size_t)n;
	return n > 0;
}

static void
send_some(struct client *c, const uint8_t *data, size_t size)
{
	size_t n;

	n = piece(c, size - c->at);
	/* fails when the other end has closed */
	c->done = c->done || send(c->fd, data + c->at, n, MSG_NOSIGNAL) != (ssize_t)n;
	c->at += n;
	c->done = c->done || c->at == size;
	if (c->done)
		(void)shutdown(c->fd, SHUT_WR);
}

static bool
have_sent(const struct run *r)
{
	unsigned i;

	for (i = 0; i < r->n; i++)
		if (!r->client[i].done)
			return false;
	return true;
}

/* Whether anything was left to read. */
static bool
read_all(struct run *r)
{
	bool some = false;
	unsigned i;

	for (i = 0; i < r->n; i++)
		some = read_some(&r->client[i]) || some;
	return some;
}

static void
converse(struct run *r, const uint8_t *data, size_t size)
{
	unsigned i;
	int turns;

	do {
		for (i = 0; i < r->n; i++)
			if (!r->client[i].done)
				send_some(&r->client[i], data, size);
		turn();
		if (!(r->how & READS_LATE))
			(void)read_all(r);
	} while (!have_sent(r));
	for (turns = 0; worker.open || read_all(r); turns++) {
		if (turns > TURNS_MAX)
			abort(); /* everything was sent and read, and it does not go */
		turn();
		(void)read_all(r);
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
open_client(struct client *c, unsigned how)
{
	const union http_peer peer = {
	    .in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
	const int least = 1;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0)
		abort();
	if (how & TIGHT)
		(void)setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	c->fd = fd[0];
	c->at = c->len = 0;
	c->done = false;
	(void)peer_limit_enter(http.peers, &peer.sa);
	atomic_fetch_add(&worker.n_held, 1);
	http_conn_open(&worker, fd[1], &peer, false);
}

static void
run(struct run *r, const uint8_t *data, size_t size)
{
	unsigned i;

	memset(r->moved, 0, sizeof(r->moved));
	memset(&r->ledger, 0, sizeof(r->ledger));
	count(r); /* what was before */
	for (i = 0; i < r->n; i++)
		open_client(&r->client[i], r->how);
	converse(r, data, size);
	count(r);
	for (i = 0; i < r->n; i++)
		close(r->client[i].fd);
	if (worker.buffers_lent > 0 || atomic_load(&worker.n_held) > 0 ||
	    atomic_load(&worker.n_open) > 0)
		abort();
}

/* -- several of them -- */

static bool
is_like(const struct run *alone, const struct run *r)
{
	const struct client *a = &alone->client[0], *c;
	unsigned i, k;

	for (c = r->client; c < r->client + r->n; c++)
		if (a->len != c->len || memcmp(a->out, c->out, a->len) != 0)
			return false;
	for (i = 0; i < STAT_N; i++)
		if (r->n * alone->moved[i] != r->moved[i])
			return false;
	for (i = 0; i < SOURCE_N; i++)
		for (k = 0; k < REASON_N; k++)
			if (r->n * alone->ledger.count[i][k] != r->ledger.count[i][k])
				return false;
	return true;
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
	static struct run alone = {.n = 1}, beside = {.n = CLIENTS};
	unsigned i;

	if (size < 2 || size > IN_MAX)
		return 0;
	if (!conf) {
		start();
		alone.client[0].out = malloc(OUT_MAX);
		for (i = 0; i < CLIENTS; i++)
			beside.client[i].out = malloc(OUT_MAX);
		for (i = 0; i < CLIENTS; i++)
			if (!alone.client[0].out || !beside.client[i].out)
				abort();
	}
	beside.how = data[0];
	beside.client[0].state = 0x10000u + data[1] * 2654435761u;
	for (i = 1; i < CLIENTS; i++)
		beside.client[i].state = data[0] & ALIKE ? beside.client[0].state : 0;
	run(&alone, data + 2, size - 2);
	run(&beside, data + 2, size - 2);
	if (!expects(data + 2, size - 2) && !is_like(&alone, &beside))
		abort();
	return 0;
}
