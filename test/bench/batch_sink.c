/* batch_sink.c -- a central that only keeps what it is sent: none does less to its machine.
 *
 *   batch_sink PORT FILE
 *
 * One thread and one connection at a time, of which an agent has no more. Each batch is appended to
 * FILE, behind its length in 4 bytes of this machine's order, and answered as stored; it is neither
 * read nor synced. There are no salts: the agent goes on with its own. A stand-in for benchmarks,
 * not a central: whatever it does not understand closes the connection, so that the agent says that
 * it could not forward, and a file that cannot be written ends it with status 1.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BUFFER (16 << 20) /* many times what a segment of 64 KiB becomes */

static const char stored[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
			     "Content-Length: 19\r\n\r\n{\"result\":\"stored\"}";
/* {"v": 1, "salts": []} */
static const char no_salts[] = "HTTP/1.1 200 OK\r\nContent-Type: application/msgpack\r\n"
			       "Content-Length: 11\r\n\r\n\x82\xa1v\x01\xa5salts\x90";

static char bytes[BUFFER];
static size_t have;

struct request {
	size_t head, body; /* bytes */
};

static int
listen_on(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 16) < 0) {
		perror("batch_sink");
		exit(1);
	}
	return fd;
}

static void
keep(int file, char *body, size_t len)
{
	uint32_t length = (uint32_t)len;
	struct iovec parts[] = {{&length, sizeof(length)}, {body, len}};

	if (writev(file, parts, 2) != (ssize_t)(sizeof(length) + len)) {
		perror("batch_sink");
		exit(1);
	}
}

/* False when it is not whole. */
static bool
whole_request(struct request *ret_r)
{
	const char *end = memmem(bytes, have, "\r\n\r\n", 4), *length;
	struct request r = {0};

	if (!end)
		return false;
	r.head = (size_t)(end - bytes) + 4;
	length = memmem(bytes, r.head, "Content-Length: ", 16);
	if (length)
		r.body = strtoul(length + 16, NULL, 10);
	*ret_r = r;
	return have - r.head >= r.body;
}

static bool
begins(const struct request *r, const char *line)
{
	return r->head >= strlen(line) && memcmp(bytes, line, strlen(line)) == 0;
}

static bool
answer(int fd, int file, const struct request *r)
{
	if (begins(r, "POST /v1/batches HTTP/1.1\r\n")) {
		keep(file, bytes + r->head, r->body);
		return send(fd, stored, sizeof(stored) - 1, MSG_NOSIGNAL) > 0;
	}
	if (begins(r, "GET /v1/salts HTTP/1.1\r\n"))
		return send(fd, no_salts, sizeof(no_salts) - 1, MSG_NOSIGNAL) > 0;
	return false;
}

static void
serve(int fd, int file)
{
	struct request r;
	ssize_t n;

	have = 0;
	while (have < BUFFER && (n = recv(fd, bytes + have, BUFFER - have, 0)) > 0) {
		have += (size_t)n;
		if (!whole_request(&r))
			continue;
		if (!answer(fd, file, &r))
			return;
		have -= r.head + r.body;
		memmove(bytes, bytes + r.head + r.body, have);
	}
}

int
main(int argc, char **argv)
{
	int listener = listen_on(argc > 1 ? (uint16_t)strtoul(argv[1], NULL, 10) : 0), on = 1, fd;
	int file = open(argc > 2 ? argv[2] : "", O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600);

	if (file < 0) {
		perror("batch_sink");
		return 1;
	}
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0)
			serve(fd, file);
		close(fd);
	}
	perror("batch_sink");
	return 1;
}
