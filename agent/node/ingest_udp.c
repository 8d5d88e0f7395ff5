#include "node/ingest_udp.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/passed.h"
#include "node/udp_drops.h"
#include "node/udp_trust.h"
#include "proto/datagram.h"
#include "stats/stats.h"

#define BATCH 64   /* datagrams per system call: 1.4 µs each against 1.9 one by one */
#define AT_ONCE 16 /* events decided together: more gain nothing */
/* Woken for each datagram, a thread spends more on waking than on the datagram, and nobody waits for
 * a verdict. The buffer must hold what comes meanwhile: a nanosecond for each byte of the smallest,
 * which is full after that at 2 million small datagrams a second; at 100,000 a second waking is
 * shared by a hundred, and more would gain nothing. */
#define GATHER_MAX_NS 1000000
#define TICK_MS 1000 /* how late the kernel's drops are noticed */
#define LAST_MS 2000 /* for what waits at stop; some 50 ms empty the buffer, a flood never ends */

_Static_assert(AT_ONCE <= DATAGRAM_LENT, "an event's texts last until it is decided");

struct udp_socket {
	int fd;
	bool passed; /* by the service manager: what stays in it is read by the next process */
	struct socket_address address;
};

struct ingest_udp {
	/* constant after start */
	struct admit_worker *worker;
	struct journal_writer *writer;
	const char *state_dir;
	long gather_ns;
	size_t n;
	int stop_fd;
	bool waits; /* for the disk, at each verdict */
	pthread_t thread;
	bool runs;
	struct udp_trust *trust;
	/* owner only */
	struct udp_socket *socket;
	struct udp_drops *drops; /* of each socket, the kernel's count as last read */
	struct pollfd *polled;
	struct datagram_decoder *decoder;
	struct admit_request request; /* its moment alone: events bring their own client */
	unsigned n_prepared;
	struct event event[AT_ONCE];
	struct admission prepared[AT_ONCE];
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_storage peer[BATCH];
	uint8_t bytes[BATCH][DATAGRAM_MAX + 1]; /* one more: longer datagrams show by MSG_TRUNC */
};

/* -- sockets -- */

static int
buffer_of(int fd)
{
	int size = 0;
	socklen_t len = sizeof(size);

	(void)getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &len);
	return size / 2; /* the kernel doubles what it was asked for, for its bookkeeping */
}

/* The buffer decides how long a burst may be before the kernel drops. A passed socket may have more
 * than we are entitled to ask for (ReceiveBuffer=), which asking would take away. */
static void
ask_buffer(struct ingest_udp *u, const struct udp_socket *s, const char *address, int64_t wanted)
{
	int size = (int)wanted, granted = buffer_of(s->fd);

	if (granted < size &&
	    setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 && !s->passed)
		(void)setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	granted = buffer_of(s->fd);
	stat_set(STAT_UDP_BUFFER, (uint64_t)granted);
	u->gather_ns = granted < u->gather_ns ? granted : u->gather_ns;
	if (granted < size)
		log_warn(
		    "smaller receive buffer than asked for: bursts may be dropped by the kernel; "
		    "raise net.core.rmem_max or start with CAP_NET_ADMIN",
		    "address=%s asked=%d granted=%d", address, size, granted);
}

static int
open_socket(struct ingest_udp *u, struct udp_socket *s, const char *address, int64_t buffer)
{
	int err = socket_address_parse(address, &s->address);

	if (!err && s->address.sa.ss_family == AF_UNIX)
		err = -EINVAL;
	if (!err) {
		s->fd = passed_take_at(&s->address, SOCK_DGRAM);
		s->passed = s->fd >= 0;
		if (!s->passed)
			s->fd = socket_listen(&s->address, SOCK_DGRAM, false);
		err = s->fd < 0 ? s->fd : socket_bound(s->fd, &s->address);
	}
	if (err)
		log_error("cannot listen for datagrams", "address=\"%s\" error=\"%s\"", address,
			  strerror(-err));
	else
		ask_buffer(u, s, address, buffer);
	return err;
}

/* Sockets that the service manager names for us stand in for all of udp.listen. */
static int
take_passed(struct ingest_udp *u, int64_t buffer)
{
	char address[SOCKET_ADDRESS_TEXT];
	int fd, err = 0;

	while (!err && (fd = passed_take_named("udp", SOCK_DGRAM)) >= 0) {
		struct udp_socket *s = &u->socket[u->n++];

		s->fd = fd;
		s->passed = true;
		err = socket_bound(fd, &s->address);
		socket_address_format(&s->address, address);
		if (!err)
			ask_buffer(u, s, address, buffer);
	}
	return err;
}

static int
open_sockets(struct ingest_udp *u, const struct conf *c)
{
	size_t n = c->udp_listen.n, i;
	int err;

	u->socket = calloc(n + PASSED_MAX, sizeof(*u->socket));
	u->drops = calloc(n + PASSED_MAX, sizeof(*u->drops));
	u->polled = calloc(n + PASSED_MAX + 1, sizeof(*u->polled));
	if (!u->socket || !u->drops || !u->polled)
		return -ENOMEM;
	err = take_passed(u, c->udp_receive_buffer);
	for (i = u->n > 0 ? n : 0; !err && i < n; i++) {
		u->socket[u->n].fd = -1;
		err = open_socket(u, &u->socket[u->n++], c->udp_listen.item[i],
				  c->udp_receive_buffer);
	}
	for (i = 0; i < u->n; i++) {
		u->polled[i] = (struct pollfd){.fd = u->socket[i].fd, .events = POLLIN};
	}
	u->polled[u->n] = (struct pollfd){.fd = u->stop_fd, .events = POLLIN};
	return err;
}

static int
find_drops(struct ingest_udp *u)
{
	size_t i;
	int err = 0;

	for (i = 0; !err && i < u->n; i++)
		if (u->socket[i].passed)
			err = udp_drops_find(u->state_dir, u->socket[i].fd, &u->drops[i]);
	return err;
}

bool
ingest_udp_address(const struct ingest_udp *u, size_t i, char ret_text[SOCKET_ADDRESS_TEXT])
{
	if (i >= u->n)
		return false;
	socket_address_format(&u->socket[i].address, ret_text);
	return true;
}

/* -- one datagram -- */

static void
refuse(struct ingest_udp *u, enum reason r)
{
	admit_refuse(u->worker, u->request.now, SOURCE_DATAGRAM, r);
}

static void
read_clocks(struct ingest_udp *u)
{
	u->request.now = wall_now();
	u->request.mono = mono_now();
}

static void
decide_all(struct ingest_udp *u)
{
	admit_decide(u->worker, u->prepared, u->n_prepared);
	u->n_prepared = 0;
	if (u->waits)
		read_clocks(u);
}

static void
take_event(struct ingest_udp *u, unsigned i)
{
	struct event *e = &u->event[u->n_prepared];
	enum reason r = datagram_event(u->decoder, i, e);

	if (r != REASON_ACCEPTED_FIRST) {
		refuse(u, r);
		return;
	}
	admit_prepare(u->worker, &u->request, e, NULL, &u->prepared[u->n_prepared]);
	if (++u->n_prepared == AT_ONCE || u->waits)
		decide_all(u);
}

static void
take_datagram(struct ingest_udp *u, const struct mmsghdr *m)
{
	struct text bytes = {m->msg_hdr.msg_iov->iov_base, m->msg_len}, payload;
	unsigned n = 0, i;
	enum reason r;

	if (u->n_prepared == 0)
		read_clocks(u);
	if ((m->msg_hdr.msg_flags & MSG_TRUNC) || m->msg_len > DATAGRAM_MAX) {
		stat_add(STAT_UDP_TRUNCATED, 1);
		refuse(u, REASON_INVALID_TOO_LARGE);
		return;
	}
	r = udp_trust_judge(u->trust, m->msg_hdr.msg_name, bytes, u->request.now, &payload);
	if (r == REASON_ACCEPTED_FIRST)
		n = datagram_open(u->decoder, (const uint8_t *)payload.at, payload.len, &r);
	if (n == 0)
		refuse(u, r);
	for (i = 0; i < n; i++)
		take_event(u, i);
}

/* -- the thread -- */

/* One batch; how many datagrams came. */
static int
take_batch(struct ingest_udp *u, struct udp_socket *s)
{
	int n, i;

	for (i = 0; i < BATCH; i++)
		u->msg[i].msg_hdr.msg_namelen = sizeof(u->peer[i]);
	n = recvmmsg(s->fd, u->msg, BATCH, MSG_DONTWAIT, NULL);
	if (n <= 0)
		return 0;
	stat_add(STAT_UDP_DATAGRAMS, (uint64_t)n);
	for (i = 0; i < n; i++)
		take_datagram(u, &u->msg[i]);
	decide_all(u);
	return n;
}

/* The kernel's own count, which shows drops also when no datagram comes after them (SO_RXQ_OVFL
 * does not). It wraps at 32 bits. True when the next process must know. */
static bool
count_drops(struct ingest_udp *u, const struct udp_socket *s, struct udp_drops *d)
{
	uint32_t info[SK_MEMINFO_VARS], more;
	socklen_t len = sizeof(info);

	if (getsockopt(s->fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0 ||
	    len <= SK_MEMINFO_DROPS * sizeof(*info))
		return false;
	more = info[SK_MEMINFO_DROPS] - d->counted;
	if (more == 0)
		return false;
	d->counted = info[SK_MEMINFO_DROPS];
	stat_add(STAT_UDP_DROPPED, more);
	journal_udp_dropped(u->writer, wall_now(), more);
	return s->passed;
}

static void
count_all_drops(struct ingest_udp *u)
{
	bool news = false;
	size_t i;
	int err;

	for (i = 0; i < u->n; i++)
		news = count_drops(u, &u->socket[i], &u->drops[i]) || news;
	err = news ? udp_drops_write(u->state_dir, u->drops, u->n) : 0;
	if (err)
		log_warn(
		    "the kernel's drops cannot be noted: the next process will count them again",
		    "dir=%s error=\"%s\"", u->state_dir, strerror(-err));
}

static void
take_what_is_left(struct ingest_udp *u)
{
	int64_t until = mono_now().us + LAST_MS * INT64_C(1000);
	size_t i;

	for (i = 0; i < u->n; i++)
		while (!u->socket[i].passed && take_batch(u, &u->socket[i]) > 0 &&
		       mono_now().us < until)
			;
	count_all_drops(u);
}

/* One batch of each socket; how many datagrams came from the fullest. */
static int
take_round(struct ingest_udp *u)
{
	int n, most = 0;
	size_t i;

	for (i = 0; i < u->n; i++) {
		n = take_batch(u, &u->socket[i]);
		most = n > most ? n : most;
	}
	return most;
}

/* Until something is there; but while datagrams come, for a moment in which more of them gather.
 * False when it is time to stop. */
static bool
wait_for_more(struct ingest_udp *u, int came)
{
	const struct timespec tick = {.tv_sec = TICK_MS / 1000}, gather = {.tv_nsec = u->gather_ns},
			      at_once = {0};
	struct pollfd *stop = &u->polled[u->n];
	int n;

	stop->revents = 0;
	if (came == 0)
		n = ppoll(u->polled, u->n + 1, &tick, NULL);
	else
		n = ppoll(stop, 1, came < BATCH ? &gather : &at_once, NULL);
	return n <= 0 || !stop->revents;
}

static void *
udp_main(void *ctx)
{
	struct ingest_udp *u = ctx;
	int64_t tick = mono_now().us;
	int came = 0;

	while (wait_for_more(u, came)) {
		came = take_round(u);
		if (mono_now().us - tick >= TICK_MS * INT64_C(1000)) {
			tick = mono_now().us;
			count_all_drops(u);
		}
	}
	take_what_is_left(u);
	return NULL;
}

/* -- start and stop -- */

static void
free_all(struct ingest_udp *u)
{
	size_t i;

	for (i = 0; u->socket && i < u->n; i++)
		if (u->socket[i].fd >= 0)
			close(u->socket[i].fd);
	if (u->stop_fd >= 0)
		close(u->stop_fd);
	datagram_decoder_free(u->decoder);
	udp_trust_free(u->trust);
	free(u->socket);
	free(u->drops);
	free(u->polled);
	free(u);
}

static void
point_messages(struct ingest_udp *u)
{
	size_t i;

	for (i = 0; i < BATCH; i++) {
		u->iov[i] = (struct iovec){u->bytes[i], sizeof(u->bytes[i])};
		u->msg[i].msg_hdr = (struct msghdr){
		    .msg_name = &u->peer[i],
		    .msg_iov = &u->iov[i],
		    .msg_iovlen = 1,
		};
	}
}

int
ingest_udp_open(const struct conf *c, struct ingest_udp **ret_udp)
{
	struct ingest_udp *u = calloc(1, sizeof(*u));
	int err;

	if (!u)
		return -ENOMEM;
	u->gather_ns = GATHER_MAX_NS;
	u->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	point_messages(u);
	err = u->stop_fd < 0 ? -errno : open_sockets(u, c);
	if (err)
		free_all(u);
	else
		*ret_udp = u;
	return err;
}

int
ingest_udp_start(struct ingest_udp *u, const struct conf *c, struct admit_worker *worker,
		 struct journal_writer *writer)
{
	int err;

	u->worker = worker;
	u->writer = writer;
	u->waits = journal_waits(writer);
	u->state_dir = c->node_state_dir;
	u->decoder = datagram_decoder_new();
	err = u->decoder ? udp_trust_new(c, wall_now(), &u->trust) : -ENOMEM;
	if (!err)
		err = find_drops(u);
	if (!err)
		err = -pthread_create(&u->thread, NULL, udp_main, u);
	u->runs = err == 0;
	return err;
}

void
ingest_udp_reload(struct ingest_udp *u, const char *keys_file)
{
	udp_trust_reload(u->trust, keys_file, wall_now());
}

void
ingest_udp_stop(struct ingest_udp *u)
{
	const uint64_t one = 1;

	if (!u)
		return;
	if (write(u->stop_fd, &one, sizeof(one)) < 0)
		log_warn("the UDP thread cannot be woken", "error=\"%s\"", strerror(errno));
	if (u->runs)
		pthread_join(u->thread, NULL);
	free_all(u);
}
