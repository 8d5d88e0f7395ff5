#include "base/passed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define FIRST_FD 3     /* SD_LISTEN_FDS_START: part of the protocol */
#define FDNAME_MAX 255 /* as systemd bounds them */

static struct passed {
	int fd; /* -1: given out or closed */
	int type;
	char name[FDNAME_MAX + 1];
} passed[PASSED_MAX];
static size_t n_passed;
static bool given;

static bool
number_of(const char *variable, long *ret_n)
{
	const char *text = getenv(variable);
	char *end;

	if (!text || text[0] == '\0')
		return false;
	errno = 0;
	*ret_n = strtol(text, &end, 10);
	return errno == 0 && *end == '\0';
}

/* Names stand in one variable, divided by colons, in the order of the descriptors. */
static void
take_name(const char **names, char ret_name[FDNAME_MAX + 1])
{
	size_t len = strcspn(*names, ":"), take = len < FDNAME_MAX ? len : FDNAME_MAX;

	memcpy(ret_name, *names, take);
	ret_name[take] = '\0';
	*names += len + ((*names)[len] == ':');
}

static int
option_of(int fd, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -errno : value;
}

/* The manager may have made it blocking and inheritable; neither is what this program expects. */
static int
prepare(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

static void
note(int fd, const char **names)
{
	struct passed *p = &passed[n_passed];
	int err;

	take_name(names, p->name);
	p->fd = fd;
	p->type = option_of(fd, SO_TYPE);
	err = p->type < 0 ? p->type : prepare(fd);
	if (!err && p->type == SOCK_STREAM && option_of(fd, SO_ACCEPTCONN) != 1)
		err = -EINVAL; /* a connection (Accept=yes), or nobody called listen */
	if (!err) {
		n_passed++;
		return;
	}
	log_error("a descriptor passed by the service manager is no socket to listen on",
		  "fd=%d error=\"%s\"", fd, strerror(-err));
	if (err != -EBADF)
		close(fd);
}

void
passed_init(void)
{
	const char *names = getenv("LISTEN_FDNAMES");
	long pid, n, i;

	/* a variable inherited from somebody else's activation is not meant for us */
	if (number_of("LISTEN_PID", &pid) && pid == (long)getpid() && number_of("LISTEN_FDS", &n)) {
		names = names ? names : "";
		for (i = 0; i < n && i < PASSED_MAX; i++)
			note(FIRST_FD + (int)i, &names);
		if (n > PASSED_MAX)
			log_error("more sockets passed than this program uses", "n=%ld", n);
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

static int
give(struct passed *p)
{
	int fd = p->fd;

	p->fd = -1;
	given = true;
	return fd;
}

int
passed_take_named(const char *name, int type)
{
	size_t i;

	for (i = 0; i < n_passed; i++)
		if (passed[i].fd >= 0 && passed[i].type == type &&
		    strcmp(passed[i].name, name) == 0)
			return give(&passed[i]);
	return -ENOENT;
}

static bool
is_at(int fd, const char *address)
{
	char text[SOCKET_ADDRESS_TEXT];
	struct socket_address bound;

	if (socket_bound(fd, &bound) < 0)
		return false;
	socket_address_format(&bound, text);
	return strcmp(text, address) == 0;
}

int
passed_take_at(const struct socket_address *a, int type)
{
	char address[SOCKET_ADDRESS_TEXT];
	size_t i;

	socket_address_format(a, address);
	for (i = 0; i < n_passed; i++)
		if (passed[i].fd >= 0 && passed[i].type == type && is_at(passed[i].fd, address))
			return give(&passed[i]);
	return -ENOENT;
}

bool
passed_any(void)
{
	return given;
}

void
passed_close_rest(void)
{
	size_t i;

	for (i = 0; i < n_passed; i++) {
		if (passed[i].fd < 0)
			continue;
		log_error("a socket passed by the service manager serves nothing: name it http, "
			  "udp, admin or central, or bind it to an address of the settings",
			  "name=\"%s\"", passed[i].name);
		close(passed[i].fd);
		passed[i].fd = -1;
	}
}
