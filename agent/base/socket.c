#include "base/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

static int
parse_unix(const char *path, struct socket_address *ret_address)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(un.sun_path))
		return -EINVAL;
	memcpy(un.sun_path, path, len + 1);
	memset(ret_address, 0, sizeof(*ret_address));
	memcpy(&ret_address->sa, &un, sizeof(un));
	ret_address->len = sizeof(un);
	return 0;
}

static int
parse_port(const char *text, in_port_t *ret_port)
{
	char *end;
	long n;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || *end || n > 65535)
		return -EINVAL;
	*ret_port = htons((uint16_t)n);
	return 0;
}

static int
parse_v6(const char *host, in_port_t port, struct socket_address *ret_address)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = port};

	if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
		return -EINVAL;
	memset(ret_address, 0, sizeof(*ret_address));
	memcpy(&ret_address->sa, &in6, sizeof(in6));
	ret_address->len = sizeof(in6);
	return 0;
}

static int
parse_v4(const char *host, in_port_t port, struct socket_address *ret_address)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port};

	if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
		return -EINVAL;
	memset(ret_address, 0, sizeof(*ret_address));
	memcpy(&ret_address->sa, &in, sizeof(in));
	ret_address->len = sizeof(in);
	return 0;
}

int
socket_address_parse(const char *text, struct socket_address *ret_address)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	size_t len;
	in_port_t port;

	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, ret_address);
	if (!colon || parse_port(colon + 1, &port) < 0)
		return -EINVAL;
	len = (size_t)(colon - text);
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (strcmp(host, "*") == 0)
		return parse_v6("::", port, ret_address);
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		return parse_v6(host + 1, port, ret_address);
	}
	return parse_v4(host, port, ret_address);
}

void
socket_address_format(const struct socket_address *a, char ret_text[SOCKET_ADDRESS_TEXT])
{
	char host[INET6_ADDRSTRLEN] = "";
	struct sockaddr_in6 in6;
	struct sockaddr_in in;
	struct sockaddr_un un;

	switch (a->sa.ss_family) {
	case AF_INET:
		memcpy(&in, &a->sa, sizeof(in));
		inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
		snprintf(ret_text, SOCKET_ADDRESS_TEXT, "%s:%u", host, ntohs(in.sin_port));
		return;
	case AF_INET6:
		memcpy(&in6, &a->sa, sizeof(in6));
		inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
		snprintf(ret_text, SOCKET_ADDRESS_TEXT, "[%s]:%u", host, ntohs(in6.sin6_port));
		return;
	case AF_UNIX:
		memcpy(&un, &a->sa, sizeof(un));
		un.sun_path[sizeof(un.sun_path) - 1] = '\0';
		snprintf(ret_text, SOCKET_ADDRESS_TEXT, "unix:%s", un.sun_path);
		return;
	default:
		snprintf(ret_text, SOCKET_ADDRESS_TEXT, "?");
	}
}

bool
socket_is_local(const struct sockaddr *sa)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (sa->sa_family == AF_UNIX)
		return true;
	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		return ntohl(in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	if (sa->sa_family != AF_INET6)
		return false;
	memcpy(&in6, sa, sizeof(in6));
	return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) ||
	       (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) &&
		in6.sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
}

int
socket_bound(int fd, struct socket_address *ret_address)
{
	struct socket_address a = {.len = sizeof(a.sa)};

	if (getsockname(fd, (struct sockaddr *)&a.sa, &a.len) < 0)
		return -errno;
	*ret_address = a;
	return 0;
}

/* A socket file outlives its process. Whether somebody still listens is seen by connecting. */
static void
remove_stale(const struct socket_address *a)
{
	struct sockaddr_un un;
	struct stat st;
	int fd;

	memcpy(&un, &a->sa, sizeof(un));
	if (lstat(un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)&a->sa, a->len) < 0 && errno == ECONNREFUSED)
		unlink(un.sun_path);
	close(fd);
}

static int
prepare(int fd, const struct socket_address *a, int type, bool share)
{
	const int on = 1, off = 0;

	if (a->sa.ss_family == AF_UNIX)
		return 0;
	/* a restart must not wait for the old connections' TIME_WAIT */
	if (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		return -errno;
	if (a->sa.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
		return -errno;
	return 0;
}

static int
bind_and_listen(int fd, const struct socket_address *a, int type)
{
	/* chmod afterwards would follow what somebody put in its place */
	mode_t mask = a->sa.ss_family == AF_UNIX ? umask(0111) : 0;
	int err = bind(fd, (const struct sockaddr *)&a->sa, a->len) < 0 ? -errno : 0;

	if (a->sa.ss_family == AF_UNIX)
		umask(mask);
	if (err)
		return err;
	if (type == SOCK_STREAM && listen(fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

int
socket_listen(const struct socket_address *a, int type, bool share)
{
	int fd, err;

	if (a->sa.ss_family == AF_UNIX)
		remove_stale(a);
	fd = socket(a->sa.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = prepare(fd, a, type, share);
	if (!err)
		err = bind_and_listen(fd, a, type);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}
