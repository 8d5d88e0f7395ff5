/* socket.h -- addresses as settings write them, and sockets that listen there.
 *
 * "127.0.0.1:8080", "[::1]:8080", "*:8080" (every address, IPv4 as well) or "unix:/path". Numbers
 * only: a setting must not mean something else when the DNS does.
 *
 * Threads:  any.
 * Errors:   0 or a descriptor, else -errno.
 */
#ifndef BASE_SOCKET_H
#define BASE_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define SOCKET_ADDRESS_TEXT 128 /* sun_path is 108 bytes */

struct socket_address {
	struct sockaddr_storage sa;
	socklen_t len;
};

/* 0 or -EINVAL. */
int socket_address_parse(const char *text, struct socket_address *ret_address);

/* The form that socket_address_parse reads. */
void socket_address_format(const struct socket_address *a, char ret_text[SOCKET_ADDRESS_TEXT]);

/* Loopback addresses (IPv4 ones mapped to IPv6, too) and unix sockets. */
bool socket_is_local(const struct sockaddr *sa);

/* Where a socket is bound. */
int socket_bound(int fd, struct socket_address *ret_address);

/* A bound socket, non-blocking and close-on-exec, that streams (SOCK_STREAM) listen on. With share,
 * several sockets of this process may have the same port (SO_REUSEPORT). A unix socket that nobody
 * listens on any more is replaced; the new one is open to every local user (0666), since a proxy
 * runs as somebody else and whoever can reach the TCP port may do the same; umask is another one
 * meanwhile, so open it before there are threads that make files. */
int socket_listen(const struct socket_address *a, int type, bool share);

#endif
