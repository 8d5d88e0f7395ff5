/* privileges.h -- what the process may do, given up before it meets anything from outside.
 *
 * Started as root with a user to become, a program opens its listening sockets, then becomes that
 * user for good, and only then touches files, starts threads and reads requests. Whatever it was
 * started with, it keeps no capability, and nothing that it executed could gain any.
 *
 * Threads:  main only, before any other thread: what a thread may do it has from its creator.
 * Errors:   -errno, and a sentence in ret_fault; then the program must end.
 */
#ifndef BASE_PRIVILEGES_H
#define BASE_PRIVILEGES_H

#include <stdbool.h>

#define PRIVILEGES_FAULT_MAX 512
#define PRIVILEGES_ERROR_MAX 128

/* For the whole process (PR_SET_NO_NEW_PRIVS). First thing in main; cannot fail on Linux 3.5
 * or newer. */
void privileges_never_gain(void);

/* Whether there is something to give up. */
bool privileges_are_root(void);

/* Becomes `user` with its groups, without capabilities, and proves that there is no way back. As
 * root it first makes `dir` if it is missing, for that user. Then checks that `dir` and what
 * stands in it belong to the user. With an empty user only capabilities are given up, unless it
 * is root's. */
int privileges_drop(const char *user, const char *dir, char ret_fault[PRIVILEGES_FAULT_MAX]);

/* The same for a command that root starts beside a program that somebody else runs, as a service
 * manager does: the user is the owner of `dir`, whoever has what stands in it (a volume has root's
 * lost+found). Without root, or with a `dir` that is missing or root's, nothing happens. */
int privileges_drop_to_owner(const char *dir, char ret_fault[PRIVILEGES_FAULT_MAX]);

/* strerror(-err), and of -EACCES to whom: a command that root started is another user by then. It
 * stands in `text`, or is constant. */
const char *privileges_strerror(int err, char text[PRIVILEGES_ERROR_MAX]);

#endif
