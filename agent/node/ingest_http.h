/* ingest_http.h -- beacons from browsers, over HTTP.
 *
 * Takes requests (HTTP/1.1 and 1.0, see http_request.h); hands decoded events to admit and answers
 * by its verdict. Every worker has a socket of its own for each TCP address of http.listen
 * (SO_REUSEPORT); unix sockets, and sockets that the service manager passed (base/passed.h: named
 * "http", or bound to an address of http.listen), are shared, and their connections dealt out to
 * the worker with the fewest.
 *
 * Threads:  one per worker, which owns its connections: an epoll loop, edge-triggered.
 * Memory:   per worker http.connections connections of 128 bytes; one whose request has come in
 *           part, or whose answer waits for room in its socket, holds http.connection_memory and
 *           1.3 KiB until that is over. Eight more of http.connection_memory for the requests that
 *           are being judged, with 5 KiB each. One address holds http.connections_per_address
 *           connections, which costs a fixed 256 KiB.
 * Errors:   what clients can cause is answered and counted, never logged one by one.
 */
#ifndef NODE_INGEST_HTTP_H
#define NODE_INGEST_HTTP_H

#include "base/socket.h"
#include "conf/conf.h"
#include "node/admit.h"

struct ingest_http;

/* Opens the sockets, where connections wait for ingest_http_start. Lends c until ingest_http_stop,
 * which ends it in any case. 0 or -errno, with a sentence logged. */
int ingest_http_open(const struct conf *c, struct ingest_http **ret_http);

/* One admission worker per http.workers, lent until ingest_http_stop. 0 or -errno, with a sentence
 * logged. */
int ingest_http_start(struct ingest_http *h, struct admit_worker *const *workers);

/* Where it really listens: i from 0, in the order of http.listen. False when there is no more. */
bool ingest_http_address(const struct ingest_http *h, size_t i, char ret_text[SOCKET_ADDRESS_TEXT]);

/* Takes over trusted_proxies, allowed_origins and respect_privacy, each worker before its next
 * request. 0, or -EINVAL / -ENOMEM with nothing changed. */
int ingest_http_reload(struct ingest_http *h, const struct conf *c);

/* Brings every connection to its end without an error for anybody, in two steps:
 * 1. For at most drain_ms, requests are taken as before, from new connections too, but each answer
 *    says "Connection: close"; done as soon as no connection is left that was open before.
 * 2. Nothing more is accepted: what comes waits in a passed socket for the next process (and is
 *    refused where the socket was our own). Requests that have begun are answered; connections that
 *    wait for a request get their end of stream behind whatever has arrived. 2 s at most.
 * What is cut off after that has had its time. A connection that is kept open by a client whose own
 * idle timeout is shorter than drain_ms never meets an end that it did not expect. */
void ingest_http_drain(struct ingest_http *h, int64_t drain_ms);

/* Ends, with or without a drain before. After it no worker is touched any more. */
void ingest_http_stop(struct ingest_http *h);

#endif
