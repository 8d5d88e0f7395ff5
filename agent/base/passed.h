/* passed.h -- sockets that the service manager holds and passed on (systemd's socket activation).
 *
 * The manager keeps a socket open while the program is restarted, so that nobody is refused: what
 * comes meanwhile waits in the socket for the next process. A passed socket is used instead of
 * binding one: by its name (FileDescriptorName=), or, where it has none of the names that the
 * program asks for, when a setting names the address that it is bound to.
 *
 * Threads:  main only, while starting.
 * Memory:   32 sockets; more are closed.
 * Errors:   logged; a socket that nothing asked for is closed, so that its clients are not left
 *           waiting for ever by this process.
 */
#ifndef BASE_PASSED_H
#define BASE_PASSED_H

#include "base/socket.h"

#define PASSED_MAX 32

/* Takes over what LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES say and removes them from the
 * environment. Once, before any socket is opened and before any other thread. */
void passed_init(void);

/* The next socket of this name and type (SOCK_STREAM: a listening one) that was not given out yet,
 * now the caller's to close; -ENOENT when there is none. */
int passed_take_named(const char *name, int type);

/* The same for a socket bound to this address, whatever its name. */
int passed_take_at(const struct socket_address *a, int type);

/* Whether any socket was given out: then a process after this one goes on where this one stops. */
bool passed_any(void);

/* Closes what nobody took, with a line in the log for each. */
void passed_close_rest(void);

#endif
