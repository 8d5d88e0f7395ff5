/* http_pace.c -- beacons at fixed moments, whatever the server does, and how long each one took.
 *
 *   http_pace PORT RATE SECONDS CONNECTIONS CLIENTS
 *
 * Request n is due n / RATE seconds after the start. It goes out then, on any of the kept
 * connections that has no answer to wait for, or on the first that gets free; its latency counts
 * from when it was due. So a server that stalls is charged for every request that should have been
 * sent meanwhile, which a sender that waits for answers never sends (coordinated omission).
 *
 * Event ids and contents are as in beacon.lua. With CLIENTS > 0 requests come from so many
 * addresses in turn, by X-Forwarded-For. Prints "RESULT answered p50 p99.9 max", in us. The
 * first answer that is not the one of an accepted event, or any other failure, ends the run
 * with status 1.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
#define CONTENTS 10000
#define SECOND INT64_C(1000000000)

static const char good_head[] = "HTTP/1.1 200 ";
static const char good_body[] = "\r\n\r\n{\"success\":true,\"tracked\":true}";

static struct {
	struct pollfd poll[CONNECTIONS_MAX]; /* events == 0: no request is under way */
	uint64_t request[CONNECTIONS_MAX];   /* the one that is */
	size_t have[CONNECTIONS_MAX];        /* bytes of its answer */
	char answer[CONNECTIONS_MAX][1024];
	unsigned n, idle;
} connections;

static int64_t begin_ns, *took_ns;
static uint64_t rate, total, clients, seed;

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static int64_t
due_ns(uint64_t n)
{
	return begin_ns + (int64_t)(n / rate) * SECOND + (int64_t)(n % rate * 1000000000 / rate);
}

static _Noreturn void
fail(const char *what, const char *more)
{
	fprintf(stderr, "http_pace: %s: %s\n", what, more);
	exit(1);
}

static int
connect_to(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		fail("connect", strerror(errno));
	return fd;
}

static size_t
make(uint64_t n, char *buf, size_t cap)
{
	char body[192], from[64] = "";
	uint64_t client = clients ? n % clients : 0;
	int length = snprintf(body, sizeof(body),
			      "{\"content_type\":\"video\",\"content_id\":"
			      "\"6f1c2a30-5d77-4be2-9a3c-%012x\",\"event_id\":"
			      "\"%08x-%04x-4be2-9a3c-%012llx\"}",
			      (unsigned)((n + 1) * 7919 % CONTENTS), (unsigned)(seed >> 16),
			      (unsigned)(seed & 0xffff), (unsigned long long)n);

	if (clients)
		snprintf(from, sizeof(from), "X-Forwarded-For: 10.%u.%u.%u\r\n",
			 (unsigned)(client >> 16 & 255), (unsigned)(client >> 8 & 255),
			 (unsigned)(client & 255));
	return (size_t)snprintf(
	    buf, cap,
	    "POST /api/track-view/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	    "Content-Type: text/plain;charset=UTF-8\r\n"
	    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
	    "Chrome/141.0.0.0 Safari/537.36\r\nAccept: */*\r\nAccept-Language: en-GB,en;q=0.9\r\n"
	    "Accept-Encoding: gzip, deflate\r\nReferer: http://library.example.org/videos/17\r\n"
	    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
	    "%sContent-Length: %d\r\n\r\n%s",
	    from, length, body);
}

static void
send_one(uint64_t n)
{
	char buf[1024];
	size_t len = make(n, buf, sizeof(buf));
	unsigned i = 0;

	while (connections.poll[i].events)
		i++;
	if (send(connections.poll[i].fd, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		fail("send", strerror(errno));
	connections.poll[i].events = POLLIN;
	connections.request[i] = n;
	connections.have[i] = 0;
	connections.idle--;
}

/* True when the answer is whole; any other answer than the right one ends the program. */
static bool
take(unsigned i)
{
	char *answer = connections.answer[i];
	size_t *have = &connections.have[i], end = sizeof(good_body) - 1;
	ssize_t got = recv(connections.poll[i].fd, answer + *have,
			   sizeof(connections.answer[i]) - 1 - *have, MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0)
		fail("no whole answer", got < 0 ? strerror(errno) : "connection closed");
	*have += (size_t)got;
	answer[*have] = '\0';
	if (strncmp(answer, good_head, *have < sizeof(good_head) ? *have : sizeof(good_head) - 1) !=
	    0)
		fail("answer", answer);
	if (*have > end && memcmp(answer + *have - end, good_body, end) == 0)
		return true;
	if (*have == sizeof(connections.answer[i]) - 1)
		fail("answer", answer);
	return false;
}

/* Until something can be read, or `until_ns`; < 0: without end. */
static void
wait_until(int64_t until_ns)
{
	int64_t left = until_ns - now_ns();
	struct timespec t = {left / SECOND, left % SECOND};

	if (until_ns >= 0 && left < 0)
		t = (struct timespec){0};
	if (ppoll(connections.poll, connections.n, until_ns < 0 ? NULL : &t, NULL) < 0 &&
	    errno != EINTR)
		fail("ppoll", strerror(errno));
}

static void
run(void)
{
	uint64_t sent = 0, answered = 0;
	unsigned i;

	begin_ns = now_ns();
	while (answered < total) {
		while (sent < total && connections.idle && due_ns(sent) <= now_ns())
			send_one(sent++);
		wait_until(sent < total && connections.idle ? due_ns(sent) : -1);
		for (i = 0; i < connections.n; i++) {
			if (!connections.poll[i].events || !connections.poll[i].revents || !take(i))
				continue;
			took_ns[connections.request[i]] = now_ns() - due_ns(connections.request[i]);
			connections.poll[i].events = 0;
			connections.idle++;
			answered++;
		}
	}
}

static int
by_size(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
percentile_us(double part)
{
	uint64_t at = (uint64_t)((double)total * part);

	return (double)took_ns[at < total ? at : total - 1] / 1000;
}

int
main(int argc, char **argv)
{
	struct timespec now;
	unsigned i;

	if (argc != 6)
		fail("usage", "http_pace PORT RATE SECONDS CONNECTIONS CLIENTS");
	rate = strtoull(argv[2], NULL, 10);
	total = rate * strtoull(argv[3], NULL, 10);
	connections.n = connections.idle = (unsigned)strtoul(argv[4], NULL, 10);
	clients = strtoull(argv[5], NULL, 10);
	took_ns = calloc(total ? total : 1, sizeof(*took_ns));
	if (!total || !connections.n || connections.n > CONNECTIONS_MAX || !took_ns)
		fail("nothing to do, or too much", argv[2]);
	clock_gettime(CLOCK_REALTIME, &now);
	seed = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	prctl(PR_SET_TIMERSLACK, 1); /* ns; 50 us otherwise */
	for (i = 0; i < connections.n; i++)
		connections.poll[i].fd = connect_to((uint16_t)strtoul(argv[1], NULL, 10));
	run();
	qsort(took_ns, total, sizeof(*took_ns), by_size);
	printf("RESULT %llu %.1f %.1f %.1f\n", (unsigned long long)total, percentile_us(0.5),
	       percentile_us(0.999), percentile_us(1));
	return 0;
}
