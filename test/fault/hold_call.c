/* hold_call.c -- preloaded into the central, holds one thread where a stop may overtake it.
 *
 *   HOLD_CALL   accept: whoever has just accepted a connection, until main has gone to sleep
 *               SLEEPS times, or waits for the end of that very thread
 *               forget: main, about to take a listening socket out of a set of epoll's, until
 *               another thread has done so
 *   HOLD_FILE   the next such call is held once this file exists; it is renamed to FILE.held then
 *
 * Threads: any; one is held at most.
 */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLEEPS 20 /* so many steps of a drain: who only paused for one or two is found out */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_t held;
static unsigned sleeps;
static bool is_held, joined, forgotten;

static bool
is_main(void)
{
	return gettid() == getpid();
}

/* True for the one call that is to be held. */
static bool
is_due(const char *call)
{
	const char *wanted = getenv("HOLD_CALL"), *file = getenv("HOLD_FILE");
	char aside[PATH_MAX];

	if (!wanted || !file || strcmp(wanted, call) != 0)
		return false;
	snprintf(aside, sizeof(aside), "%s.held", file);
	pthread_mutex_lock(&lock);
	held = pthread_self();
	is_held = rename(file, aside) == 0;
	pthread_mutex_unlock(&lock);
	return is_held;
}

int
accept4(int fd, __SOCKADDR_ARG ret_address, socklen_t *restrict len, int flags)
{
	int taken = (int)syscall(SYS_accept4, fd, ret_address.__sockaddr__, len, flags);

	if (taken < 0 || !is_due("accept"))
		return taken;
	pthread_mutex_lock(&lock);
	while (sleeps < SLEEPS && !joined)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return taken;
}

int
nanosleep(const struct timespec *time, struct timespec *left)
{
	if (is_main()) {
		pthread_mutex_lock(&lock);
		sleeps += is_held;
		pthread_cond_signal(&changed);
		pthread_mutex_unlock(&lock);
	}
	return (int)syscall(SYS_nanosleep, time, left);
}

int
pthread_join(pthread_t thread, void **ret_value)
{
	int (*real)(pthread_t, void **) =
	    (int (*)(pthread_t, void **))(uintptr_t)dlsym(RTLD_NEXT, "pthread_join");

	pthread_mutex_lock(&lock);
	joined |= is_held && pthread_equal(thread, held);
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return real(thread, ret_value);
}

int
epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
	socklen_t len = sizeof(int);
	int listens = 0, got;

	getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
	if (op != EPOLL_CTL_DEL || !listens)
		return (int)syscall(SYS_epoll_ctl, set, op, fd, event);
	if (is_main() && is_due("forget")) {
		pthread_mutex_lock(&lock);
		while (!forgotten)
			pthread_cond_wait(&changed, &lock);
		pthread_mutex_unlock(&lock);
	}
	got = (int)syscall(SYS_epoll_ctl, set, op, fd, event);
	if (!is_main()) {
		pthread_mutex_lock(&lock);
		forgotten = true;
		pthread_cond_signal(&changed);
		pthread_mutex_unlock(&lock);
	}
	return got;
}
