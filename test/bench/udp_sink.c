/* udp_sink.c -- recvmmsg that only counts: what any receiver of datagrams could reach at best.
 *
 *   udp_sink PORT        on SIGTERM prints the number of datagrams and ends
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64
#define DATAGRAM 8192

static volatile sig_atomic_t stopping;

static void
stop(int number)
{
	(void)number;
	stopping = 1;
}

int
main(int argc, char **argv)
{
	static char bytes[BATCH][DATAGRAM];
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port =
				     htons(argc > 1 ? (uint16_t)strtoul(argv[1], NULL, 10) : 0),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sigaction act = {.sa_handler = stop};
	struct mmsghdr messages[BATCH] = {0};
	struct iovec vectors[BATCH];
	struct timeval patience = {.tv_sec = 1}; /* for a signal that comes just before a call */
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 16 << 20, n, i;
	unsigned long long count = 0;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 &&
	     setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    sigaction(SIGTERM, &act, NULL) < 0) {
		perror("udp_sink");
		return 1;
	}
	for (i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){bytes[i], DATAGRAM};
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (!stopping) {
		n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
		if (n > 0)
			count += (unsigned)n;
	}
	printf("%llu\n", count);
	return 0;
}
