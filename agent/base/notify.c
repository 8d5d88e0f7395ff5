#include "base/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static void
tell(const char *path, const char *state)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	int fd;

	memcpy(to.sun_path, path, strlen(path));
	if (path[0] == '@')
		to.sun_path[0] = '\0'; /* an abstract name */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to, len) < 0)
		log_warn("the service manager was not told", "state=%.*s error=\"%s\"",
			 (int)strcspn(state, "="), state, strerror(errno));
	close(fd);
}

static void
notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const struct sockaddr_un *un;

	if (path && path[0] != '\0' && strlen(path) < sizeof(un->sun_path))
		tell(path, state);
}

void
notify_ready(void)
{
	notify("READY=1");
}

/* With the moment, by which Type=notify-reload tells this reload from an earlier one. */
void
notify_reloading(void)
{
	char state[64];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, mono_now().us);
	notify(state);
}

void
notify_stopping(void)
{
	notify("STOPPING=1");
}
