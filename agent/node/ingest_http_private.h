/* ingest_http_private.h -- what the files of ingest_http share.
 *
 * ingest_http.c opens, starts and stops; ingest_http_worker.c is a worker's loop, its doors and its
 * clock; ingest_http_mail.c what others send it; ingest_http_conn.c moves a connection's bytes;
 * ingest_http_request.c turns a request into an answer.
 *
 * Threads:  see struct http_worker.
 * Memory:   see ingest_http.h.
 */
#ifndef NODE_INGEST_HTTP_PRIVATE_H
#define NODE_INGEST_HTTP_PRIVATE_H

#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "base/peer_limit.h"
#include "node/client_addr.h"
#include "node/http_request.h"
#include "node/ingest_http.h"
#include "node/ingest_http_answer.h"
#include "node/ingest_http_static.h"
#include "proto/beacon.h"

#define HTTP_PATH_MAX 1024 /* no path that is served is longer */
/* Of a body that nobody wants, or behind an answer that closes: read and thrown away, so that the
 * client gets the answer and not a reset connection. What is larger is cut off. */
#define HTTP_DISCARD_MAX 65536

/* What SIGHUP may change; a worker takes its own at the start of a request. */
struct http_rules {
	struct client_proxies *proxies;
	struct answers *answers;
	bool respect_privacy;
};

/* What a worker's epoll reports, told apart by its first member. */
enum http_source { HTTP_CONN, HTTP_DOOR, HTTP_MAIL };

union http_peer { /* a unix socket's is its family alone */
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Taken while a request is incomplete, or an answer not sent, and given back then. */
struct http_buffer {
	union {
		struct http_buffer *next_free;
		char out[HTTP_ANSWER_MAX];
	};
	char in[]; /* http.connection_memory */
};

enum http_state {
	HTTP_READS,
	HTTP_WAITS,  /* for a verdict, which comes before anything else of the connection's */
	HTTP_WRITES, /* an answer waits for room in the socket; nothing is read meanwhile */
	HTTP_LINGERS /* answered, our half closed; the client's last bytes are thrown away */
};

struct http_conn {
	enum http_source source;
	int fd;
	union http_peer peer;
	enum http_state state;
	bool dealt;    /* out by another worker, whose copy may outlive ours for a moment */
	bool asked;    /* a request has been answered, or begun to be */
	bool busy;     /* from a request's first byte to the last one of its answer */
	bool begun;    /* its head was judged, its body is awaited */
	bool last;     /* no further request is read */
	bool broken;   /* nothing can be written */
	bool hung_up;  /* for the drain */
	bool more;     /* the last read may have left bytes, or the end */
	uint64_t skip; /* bytes of a body that nobody wants; in HTTP_LINGERS: so many at most */
	struct http_buffer *buffer;
	size_t have;     /* in buffer->in */
	const char *out; /* what is left of the answer */
	size_t out_len;
	int64_t since_ms, idle_since_ms, deadline_ms; /* monotonic */
	struct http_conn *prev, *next;                /* among the open, or next among the free */
};

/* A request that was read and waits for its verdict. Of what a wake-up brings, so many are read one
 * after the other and decided together (admit_decide), which costs each less; a request alone waits
 * for nobody. */
#define HTTP_TURNS 8

struct http_turn {
	struct http_conn *conn; /* whose request waits, or NULL */
	struct http_request request;
	struct beacon_scratch scratch;
	struct event event;
	char join[HEADER_JOIN_MAX];
	char *arena; /* http_worker.room: where a request is read that comes in one piece */
};

/* A listening socket in a worker's epoll. */
struct http_door {
	enum http_source source;
	int fd;      /* the worker's own; the socket may have others */
	bool shared; /* with the other workers */
	bool passed; /* what waits there waits for the next process */
	bool closed; /* for a moment: no place, or no descriptor */
};

struct http_worker {
	/* constant after start */
	struct ingest_http *http;
	struct admit_worker *admit;
	struct statics *statics;
	pthread_t thread;
	bool runs, has_run;
	bool apart;         /* has a table of descriptors of its own */
	bool waits;         /* for the disk, at each verdict */
	int epoll, mail_in; /* once it runs, its own: nobody else uses or closes them */
	int *own;           /* what it keeps of the process's descriptors */
	size_t n_own;
	sem_t has_begun;
	size_t room, stride; /* of a buffer: what it takes in; from one to the next */
	/* any thread, by ingest_http_mail.c */
	int mail_out;
	/* owner only */
	enum http_source mail;
	struct http_door *door;
	size_t n_doors;
	bool doors_closed; /* one of them */
	bool freed;        /* and since then a connection of ours has ended */
	bool told_open;    /* the gauge knows of connections of ours */
	struct http_rules *rules;
	struct http_conn *conns, *open, *free_conn; /* conns: the whole pool */
	size_t conns_used;                          /* ever: what is beyond was not touched yet */
	char *buffers;                              /* the whole pool */
	struct http_buffer *free_buffer;
	size_t buffers_used, buffers_lent;
	/* as of the last wake-up, for all that it brought, or (waits) the last beacon; now_ms: mono's */
	struct wall_ms wall;
	struct mono_us mono;
	int64_t now_ms, tick_at_ms;
	int64_t date_s;
	char date[HTTP_DATE_LEN + 1];
	struct http_turn turn[HTTP_TURNS];
	struct admission admission[HTTP_TURNS]; /* of each turn's event */
	unsigned n_waiting;                     /* turns; behind them the one in which is read */
	struct http_turn *next;                 /* that one */
	/* handed over: NULL, or what the owner takes next */
	_Atomic(struct http_rules *) next_rules;
	/* atomic */
	_Atomic size_t n_held; /* places taken: open, or on their way */
	_Atomic size_t n_open;
	_Atomic size_t n_older; /* than the beginning of the drain */
	_Atomic int phase;      /* that it has seen */
};

enum http_phase {
	PHASE_SERVES,
	PHASE_DRAINS, /* every answer is its connection's last */
	PHASE_ENDS,   /* nothing more is accepted */
	PHASE_STOPS
};

struct http_listener {
	struct socket_address address;
	int fd;      /* of a socket that the workers share; -1: they have one each */
	bool passed; /* by the service manager, who holds it as well */
};

struct ingest_http {
	/* constant after start */
	const struct conf *c;
	struct text country_header;
	struct http_worker *worker;
	size_t n_workers;
	struct http_listener *listener;
	size_t n_listeners;
	struct peer_limit *peers;
	/* set before the phase that they belong to */
	int64_t drain_since_ms, drain_ms;
	/* guarded by trust_lock: who is excepted from the limit; asked only when it is met */
	pthread_mutex_t trust_lock;
	struct client_proxies *trusted;
	/* atomic */
	_Atomic int phase; /* enum http_phase */
};

/* -- ingest_http_worker.c -- */

/* The worker's own listening sockets, and descriptors of its own for those that are shared, come by
 * http_worker_add_door before it starts, and are closed by it. All 0 or -errno. */
int http_worker_init(struct http_worker *w);
int http_worker_add_door(struct http_worker *w, int fd, bool shared, bool passed);
int http_worker_start(struct http_worker *w);
void http_worker_read_clocks(struct http_worker *w);
/* What one wake-up brought, each connection at most once. No verdict waits afterwards: nothing else
 * meets HTTP_WAITS. */
void http_worker_take(struct http_worker *w, const struct epoll_event *got, int n);
void http_worker_join(struct http_worker *w);
void http_worker_fini(struct http_worker *w);

/* A connection that has a place of that worker's, and cannot be taken: any thread. */
void http_conn_refuse(struct http_worker *to, const union http_peer *peer);

void http_rules_free(struct http_rules *r);

/* -- ingest_http_mail.c: any thread, but http_mail_read -- */

int http_mail_open(struct http_worker *w);

/* A connection for the worker, in a place of its own; fd is closed here. 0 or -errno: fd is still
 * the caller's. */
int http_mail_connection(struct http_worker *to, int fd, const union http_peer *peer);
void http_worker_wake(struct http_worker *w);
void http_mail_read(struct http_worker *w);

/* -- ingest_http_conn.c -- */

/* A connection that has a place; reads what has come already. */
void http_conn_open(struct http_worker *w, int fd, const union http_peer *peer, bool dealt);
void http_conn_event(struct http_worker *w, struct http_conn *k, uint32_t events);

/* Sends an answer, or the beginning of it; bytes: a->len, or a->head_len. */
void http_conn_send(struct http_worker *w, struct http_conn *k, struct http_answer *a,
		    size_t bytes);

/* The verdict is there: answers the request of that turn, and goes on with its connection. */
void http_conn_settle(struct http_worker *w, struct http_turn *t, enum reason verdict);

/* An interim answer: lost when it does not go out at once, which costs the client a second; the
 * connection's end when half of it does. */
void http_conn_send_interim(struct http_conn *k, struct text line);

/* Ends what has run out of time. */
void http_conn_sweep(struct http_worker *w);

/* Hangs up on those that have waited for another request for idle_ms, or for their first one for
 * fresh_ms: only the reading half is shut. A request that has arrived by then is still read and
 * answered; behind it is the end of the stream. So the only request that can meet a closed
 * connection is one under way at that moment. */
void http_conn_hang_up(struct http_worker *w, int64_t idle_ms, int64_t fresh_ms);
void http_conn_close_all(struct http_worker *w);

/* -- ingest_http_request.c -- */

/* Reads the request that begins at `at`, and judges and answers it as soon as it is whole, or has it
 * wait (HTTP_WAITS): then the bytes that it took, else 0. */
size_t http_request_serve(struct http_worker *w, struct http_conn *k, const char *at, size_t len);

/* What http_conn_settle calls: of a request that waited. */
void http_request_answer(struct http_worker *w, struct http_turn *t, enum reason verdict);

/* A beacon whose body never came. */
void http_request_cut(struct http_worker *w);

#endif
