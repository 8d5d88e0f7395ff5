/* epoll_server.c -- the least that answers a beacon: what any server could reach at best.
 *
 *   epoll_server PORT
 *
 * One thread, one epoll, SO_REUSEADDR; reads until a request with its Content-Length is whole,
 * answers the agent's own bytes, parses nothing else, keeps connections alive. A reference for
 * benchmarks, not a server: whatever it does not understand closes the connection.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 65536
#define BUFFER 4096

static const char answer[] = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n"
			     "Content-Type: application/json\r\nContent-Length: 31\r\n\r\n"
			     "{\"success\":true,\"tracked\":true}";

struct connection {
	size_t have;
	char bytes[BUFFER];
};

static struct connection *connections[CONNECTIONS];

static int
listen_on(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4096) < 0) {
		perror("epoll_server");
		exit(1);
	}
	return fd;
}

/* Bytes of the first whole request, 0 when it is not whole, -1 when it never will be. */
static ssize_t
whole_request(const struct connection *c)
{
	const char *end = memmem(c->bytes, c->have, "\r\n\r\n", 4), *length;
	size_t head, body = 0;

	if (!end)
		return c->have == BUFFER ? -1 : 0;
	head = (size_t)(end - c->bytes) + 4;
	length = memmem(c->bytes, head, "Content-Length: ", 16);
	if (length)
		body = strtoul(length + 16, NULL, 10);
	if (head + body > BUFFER)
		return -1;
	return c->have >= head + body ? (ssize_t)(head + body) : 0;
}

static bool
serve(int fd, struct connection *c)
{
	ssize_t n = recv(fd, c->bytes + c->have, BUFFER - c->have, 0);

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	c->have += (size_t)n;
	while ((n = whole_request(c)) > 0) {
		if (send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
			return false;
		c->have -= (size_t)n;
		memmove(c->bytes, c->bytes + n, c->have);
	}
	return n == 0;
}

static void
take(int listener, int epoll)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), on = 1;
	struct epoll_event want = {.events = EPOLLIN, .data.fd = fd};

	if (fd < 0)
		return;
	if (fd >= CONNECTIONS ||
	    (!connections[fd] && !(connections[fd] = malloc(sizeof(struct connection))))) {
		close(fd);
		return;
	}
	connections[fd]->have = 0;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &want) < 0)
		close(fd);
}

int
main(int argc, char **argv)
{
	int listener = listen_on(argc > 1 ? (uint16_t)strtoul(argv[1], NULL, 10) : 0);
	int epoll = epoll_create1(0), n, i;
	struct epoll_event want = {.events = EPOLLIN, .data.fd = listener}, got[64];

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &want) < 0)
		return 1;
	for (;;) {
		n = epoll_wait(epoll, got, 64, -1);
		for (i = 0; i < n; i++) {
			int fd = got[i].data.fd;

			if (fd == listener)
				take(listener, epoll);
			else if (!serve(fd, connections[fd]))
				close(fd);
		}
	}
}
