/* udp_flood.c -- sends datagrams of one event each at a steady rate, each with an event id
 * of its own.
 *
 *   udp_flood PORT RATE SECONDS      prints how many were sent, and in how many seconds
 *
 * To loopback only. Ids differ from run to run: an agent takes none of them for a duplicate.
 */
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "proto/datagram.h"

#define BATCH 32
#define CONTENTS 10000
#define VISITORS 50000

static uint64_t seed;

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static size_t
make(uint64_t i, uint8_t *buf, size_t cap)
{
	static const char ua[] =
	    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
	uint64_t r = hash_mix(seed, &i, sizeof(i)), s = hash_mix(seed + 1, &i, sizeof(i));
	struct event e = {.source = SOURCE_DATAGRAM,
			  .type = TEXT_LIT("video"),
			  .has_uuid = true,
			  .has_event_id = true,
			  .ua = {ua, sizeof(ua) - 1}};
	uint64_t content = r % CONTENTS, visitor = s % VISITORS;
	char ip[16];

	memcpy(e.uuid, &content, sizeof(content));
	memcpy(e.event_id, &r, sizeof(r));
	memcpy(e.event_id + 8, &s, sizeof(s));
	snprintf(ip, sizeof(ip), "10.%u.%u.%u", (unsigned)(visitor >> 16),
		 (unsigned)(visitor >> 8 & 255), (unsigned)(visitor & 255));
	e.ip = text_of(ip);
	return datagram_encode(&e, buf, cap);
}

int
main(int argc, char **argv)
{
	static uint8_t bytes[BATCH][512];
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct mmsghdr messages[BATCH] = {0};
	struct iovec vectors[BATCH];
	uint64_t rate, total, sent = 0;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), i, n;
	int64_t begin;

	if (argc != 4 || hash_init() < 0)
		return 2;
	to.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	rate = strtoull(argv[2], NULL, 10);
	total = rate * strtoull(argv[3], NULL, 10);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 1;
	begin = now_ns();
	seed = (uint64_t)wall_now().ms;
	while (sent < total) {
		for (i = 0; i < BATCH; i++) {
			vectors[i] =
			    (struct iovec){bytes[i], make(sent + (uint64_t)i, bytes[i], 512)};
			messages[i].msg_hdr.msg_iov = &vectors[i];
			messages[i].msg_hdr.msg_iovlen = 1;
		}
		n = sendmmsg(fd, messages, BATCH, 0);
		if (n <= 0) {
			perror("udp_flood");
			return 1;
		}
		sent += (uint64_t)n;
		while (now_ns() - begin < (int64_t)(sent * 1000000000 / rate))
			continue; /* spins: a sleeping sender would send in bursts */
	}
	printf("%llu %.3f\n", (unsigned long long)sent, (double)(now_ns() - begin) / 1e9);
	return 0;
}
