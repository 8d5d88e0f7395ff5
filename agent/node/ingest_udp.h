/* ingest_udp.h -- events from backends, as msgpack datagrams over UDP.
 *
 * Takes datagrams in batches of one system call; hands each event to admit. Senders beyond loopback
 * must sign (udp_trust.h). What the kernel dropped because a socket's buffer was full is counted
 * into the journal's ledger, so that the books show it.
 *
 * Threads:  one, for all addresses of udp.listen.
 * Memory:   64 buffers of a little more than DATAGRAM_MAX, 16 events, and udp_trust.h.
 * Errors:   what senders can cause is a verdict and a counter; nothing is answered.
 */
#ifndef NODE_INGEST_UDP_H
#define NODE_INGEST_UDP_H

#include "base/socket.h"
#include "conf/conf.h"
#include "node/admit.h"
#include "node/journal.h"

struct ingest_udp;

/* Opens the sockets, where datagrams wait for ingest_udp_start. 0 or -errno, with a
 * sentence logged. */
int ingest_udp_open(const struct conf *c, struct ingest_udp **ret_udp);

/* The worker and the writer behind it are the thread's alone until ingest_udp_stop; lends c. 0 or
 * -errno, with a sentence logged; either way ingest_udp_stop ends it. An empty udp.listen gives a
 * thread that has nothing to do. */
int ingest_udp_start(struct ingest_udp *u, const struct conf *c, struct admit_worker *worker,
		     struct journal_writer *writer);

/* Where it really listens: i from 0, in the order of udp.listen. False when there is no more. */
bool ingest_udp_address(const struct ingest_udp *u, size_t i, char ret_text[SOCKET_ADDRESS_TEXT]);

/* Reads udp.keys_file again. By another thread than the one that ingests. */
void ingest_udp_reload(struct ingest_udp *u, const char *keys_file);

/* Reads what waits in its own sockets by now (what comes while it does may be left), then ends;
 * what waits in passed ones is left to the next process. After it worker and writer are not touched
 * any more. */
void ingest_udp_stop(struct ingest_udp *u);

#endif
