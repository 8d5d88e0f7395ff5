#include "cli/agent_pace.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* The kernel's stock receive buffer is 208 KiB and charges a datagram about twice its bytes and
 * some more; a window of 64 KiB of it leaves room for other senders. */
#define WINDOW ((size_t)65536)
#define NEARLY_EMPTY 16384u
#define COST(len) (2 * (len) + 1024)
#define LOOK_US 200
#define STUCK_MS 10000
#define REMOTE_PAUSE_US 16000 /* for each window: about 2 MB/s, a quiet guest on any network */

struct queue {
	unsigned long bytes, drops;
	bool found;
};

static void
sleep_us(long us)
{
	const struct timespec t = {us / 1000000, us % 1000000 * 1000};

	nanosleep(&t, NULL);
}

/* sl local:port remote:port st tx:rx tr:when retransmits uid timeout inode ref pointer drops */
static void
look_into(const char *path, int port, struct queue *q)
{
	unsigned long rx, drops;
	unsigned local, remote;
	char line[512];
	FILE *f = fopen(path, "re");

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
		if (sscanf(line,
			   " %*u: %*32[0-9A-F]:%x %*32[0-9A-F]:%x %*x %*x:%lx %*x:%*x %*x %*u "
			   "%*u %*u %*u %*s %lu",
			   &local, &remote, &rx, &drops) != 4)
			continue;
		if ((int)local != port || remote != 0)
			continue;
		q->bytes += rx;
		q->drops += drops;
		q->found = true;
	}
	fclose(f);
}

static struct queue
look(const struct pace *p)
{
	struct queue q = {0};

	look_into("/proc/net/udp", p->port, &q);
	look_into("/proc/net/udp6", p->port, &q);
	return q;
}

static int
port_of(const struct socket_address *a)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (a->sa.ss_family == AF_INET6) {
		memcpy(&in6, &a->sa, sizeof(in6));
		return ntohs(in6.sin6_port);
	}
	memcpy(&in, &a->sa, sizeof(in));
	return ntohs(in.sin_port);
}

int
pace_open(struct pace *p, const struct socket_address *to)
{
	struct queue q;
	int err;

	if (to->sa.ss_family == AF_UNIX)
		return -EAFNOSUPPORT;
	*p = (struct pace){.port = port_of(to)};
	p->fd = socket(to->sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return -errno;
	if (connect(p->fd, (const struct sockaddr *)&to->sa, to->len) < 0) {
		err = -errno;
		close(p->fd);
		return err;
	}
	q = look(p);
	p->local = socket_is_local((const struct sockaddr *)&to->sa) && q.found;
	p->drops_before = q.drops;
	return 0;
}

void
pace_close(struct pace *p)
{
	close(p->fd);
}

/* Until the queue holds at most so many bytes. */
static int
wait_for_queue(struct pace *p, unsigned long most)
{
	int64_t until = mono_now().us + STUCK_MS * INT64_C(1000);
	struct queue q;

	for (;;) {
		q = look(p);
		if (!q.found)
			return -ECONNREFUSED;
		if (q.bytes <= most)
			return 0;
		if (mono_now().us > until)
			return -ETIMEDOUT;
		sleep_us(LOOK_US);
	}
}

static int
make_room(struct pace *p, size_t len)
{
	p->unseen += COST(len);
	if (p->unseen < WINDOW)
		return 0;
	p->unseen = COST(len);
	if (p->local)
		return wait_for_queue(p, NEARLY_EMPTY);
	sleep_us(REMOTE_PAUSE_US);
	return 0;
}

int
pace_send(struct pace *p, const void *bytes, size_t len)
{
	int err = make_room(p, len);

	while (!err && send(p->fd, bytes, len, MSG_NOSIGNAL) < 0) {
		if (errno == ENOBUFS || errno == EAGAIN || errno == EINTR)
			sleep_us(LOOK_US);
		else
			err = -errno;
	}
	return err;
}

int
pace_finish(struct pace *p, unsigned long *ret_dropped)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (p->local)
		err = wait_for_queue(p, 0);
	else if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0)
		err = -err; /* a port that nobody has answers the last datagram, too */
	if (err || !p->local)
		return err;
	*ret_dropped = look(p).drops - p->drops_before;
	return *ret_dropped ? -ENOBUFS : 0;
}
