/* footfall.h -- reports events to a Footfall agent from a C program.
 *
 * One header, one source, nothing else: compile footfall.c with your program.
 *
 *	struct footfall f;
 *	struct footfall_event view = {.type = "video", .id = id, .ip = ip, .ua = ua};
 *
 *	footfall_open(&f, "127.0.0.1:8125", NULL);
 *	footfall_event(&f, &view);
 *
 * Nothing here blocks or fails the caller: an event that cannot be handed to the kernel at once is
 * counted in `failed`, and `error` says why the last one was.
 *
 * Threads:  a struct footfall belongs to one thread. It notices fork, and becomes a sender of its own.
 * Memory:   the caller's struct and 9 KiB of stack; no heap.
 */
#ifndef FOOTFALL_H
#define FOOTFALL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct footfall {
	/* to be read */
	uint64_t sent;     /* events handed to the kernel */
	uint64_t failed;   /* events that were not, or that nobody received on this host */
	const char *error; /* why the last one failed; NULL: none did */
	/* its own */
	int fd;
	long pid;
	size_t max, last;
	uint64_t boot, seq;
	uint8_t key[32];
	size_t key_name_len;
	char key_name[64];
};

/* What is NULL, or 0, is not sent. proto/README.md says what the keys mean. */
struct footfall_event {
	const char *type; /* needed */
	const char *id;   /* needed: a UUID's text, or a slug */
	const char *eid;  /* a UUID's text: the same as in the page's data-event-id counts once */
	const char *ev;   /* name of the event; "view" when absent */
	const double *val;
	const char *site;
	int64_t ts;          /* ms since 1970; 0: now */
	const char *ip, *ua; /* the visitor's */
	const char *ref;     /* URL the visitor came from */
	const char *sess;
};

/* address: "127.0.0.1:8125" or "[::1]:8125"; a host's name is looked up here and now, which may
 * block. key: a file with a line "NAME KEY" (KEY: 64 hexadecimal digits), or such a line itself;
 * NULL: datagrams are not signed, and taken from loopback only. 0, or -1 with f->error; what is
 * sent then is counted as failed. */
int footfall_open(struct footfall *f, const char *address, const char *key);
void footfall_close(struct footfall *f);

/* One event, at once. 0, or -1 when it was counted as failed: nobody has to look. */
int footfall_event(struct footfall *f, const struct footfall_event *e);

/* n events in as few datagrams as hold them. How many were not sent. */
size_t footfall_batch(struct footfall *f, const struct footfall_event *events, size_t n);

/* A new event id, as text. */
void footfall_event_id(char ret_id[37]);

#ifdef __cplusplus
}
#endif

#endif
