/* notify.h -- tells the service manager how the program fares (systemd's sd_notify protocol).
 *
 * One datagram to the socket that NOTIFY_SOCKET names; nothing happens where it names none.
 *
 * Threads:  any; main alone makes sense.
 * Errors:   a message that cannot be sent is logged: the service goes on, its manager may not know.
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

void notify_ready(void);     /* takes requests; also ends a reload */
void notify_reloading(void); /* reads its configuration again */
void notify_stopping(void);  /* ends by itself; no more than the manager's patience is needed */

#endif
