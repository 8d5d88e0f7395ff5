/* What other threads send a worker: a connection that one of them accepted for it, or nothing, to
 * wake it. Each worker has a table of descriptors of its own, so that a connection goes by
 * SCM_RIGHTS (unix(7)). */
#include "node/ingest_http_private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "stats/stats.h"

struct letter {
	bool is_connection;
	union http_peer peer;
};

union ancillary {
	struct cmsghdr aligned;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int
http_mail_open(struct http_worker *w)
{
	struct epoll_event want = {.events = EPOLLIN, .data.ptr = &w->mail};
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	w->mail = HTTP_MAIL;
	w->mail_in = ends[0];
	w->mail_out = ends[1];
	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->mail_in, &want) < 0 ? -errno : 0;
}

static int
post(struct http_worker *to, struct letter *l, void *ancillary, size_t n)
{
	struct iovec bytes = {l, sizeof(*l)};
	struct msghdr m = {
	    .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = ancillary, .msg_controllen = n};

	return sendmsg(to->mail_out, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int
http_mail_connection(struct http_worker *to, int fd, const union http_peer *peer)
{
	struct letter l = {.is_connection = true, .peer = *peer};
	union ancillary a = {.bytes = {0}};
	int err;

	a.aligned = (struct cmsghdr){
	    .cmsg_len = CMSG_LEN(sizeof(fd)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&a.aligned), &fd, sizeof(fd));
	err = post(to, &l, &a, sizeof(a));
	if (!err)
		close(fd);
	return err;
}

void
http_worker_wake(struct http_worker *w)
{
	struct letter l = {.is_connection = false};
	int err = post(w, &l, NULL, 0);

	/* one with a full box wakes up as well, and one that has ended needs not */
	if (err && err != -EAGAIN && err != -EPIPE)
		log_warn("a worker cannot be woken", "error=\"%s\"", strerror(-err));
}

/* The descriptor that came with it, or -1. */
static int
enclosed(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

void
http_mail_read(struct http_worker *w)
{
	struct letter l;
	union ancillary a;
	struct iovec bytes = {&l, sizeof(l)};
	struct msghdr m;
	int fd;

	for (;;) {
		m = (struct msghdr){.msg_iov = &bytes,
				    .msg_iovlen = 1,
				    .msg_control = &a,
				    .msg_controllen = sizeof(a)};
		if (recvmsg(w->mail_in, &m, MSG_CMSG_CLOEXEC) != sizeof(l))
			return;
		fd = l.is_connection ? enclosed(&m) : -1;
		if (fd >= 0)
			http_conn_open(w, fd, &l.peer, true);
		else if (l.is_connection)
			http_conn_refuse(w, &l.peer); /* no descriptor was free for it */
	}
}
