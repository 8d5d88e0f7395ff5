/* query_internal.h -- what the query_*.c files share; nobody else's.
 *
 * query.c: questions and their arguments. query_count.c: adding rows up. query_nodes.c:
 * completeness, nodes, ledger. query_clock.c: the nodes' clocks. query_totals.c: summary, series,
 * content. query_rows.c: top, breakdown. query_bots.c: bots.
 */
#ifndef CENTRAL_QUERY_INTERNAL_H
#define CENTRAL_QUERY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/hash.h"
#include "central/query.h"

#define QUERY_CLOCKS_MAX 1024 /* nodes beyond show what their batches say */

struct query_clocks {
	pthread_mutex_t lock;
	/* guarded */
	size_t n;
	struct query_clock {
		char node[AUTH_NAME_MAX];
		int64_t skew_ms;
	} clock[QUERY_CLOCKS_MAX];
};

struct query {
	/* constant after start */
	const struct conf *conf;
	struct store *store;
	struct auth *auth;
	enum rotation rotation;

	atomic_size_t bytes; /* of tallies in hand */
	struct query_clocks clocks;
};

/* How far a node's clock is ahead of ours; otherwise_ms when it did not say so since the start. */
int64_t query_skew_ms(struct query *q, const char *node, int64_t otherwise_ms);

/* -- arguments: false, with the result filled in, when one is wrong -- */

struct query_range {
	int64_t from_ms, until_ms; /* starts of the first day and of the one behind the last */
	char from[CALENDAR_TEXT], to[CALENDAR_TEXT];
};

bool query_take_range(const struct query_args *a, struct query_range *ret_range,
		      struct query_result *result);
/* A name of 1 to 64 of a-z A-Z 0-9 _ - . or absent. */
bool query_take_name(const struct query_args *a, const char *name, struct text *ret_name,
		     struct query_result *result);
bool query_take_number(const struct query_args *a, const char *name, int64_t min, int64_t max,
		       int64_t standard, int64_t *ret_number, struct query_result *result);

__attribute__((format(printf, 3, 4))) bool query_refuse(struct query_result *result,
							unsigned status, const char *format, ...);
/* Of a -errno of store or tally. */
void query_fail(struct query_result *result, int err);
/* Takes json. */
void query_answer(struct query_result *result, json_t *json);

json_t *query_time(int64_t t_ms); /* RFC 3339 in UTC; null for 0 */
json_t *query_text(struct text t);
json_t *query_number(uint64_t n);

/* -- adding rows up (query_count.c) -- */

/* The salt period of a time; remembers the latest, since rows come in order of time. */
struct period {
	enum rotation rotation;
	int64_t start_ms, next_ms;
};

int64_t period_of(struct period *p, int64_t t_ms);

struct count {
	uint64_t events, repeats, unique_views;
	uint64_t visitors; /* of finished periods */
	int64_t period_ms; /* whose visitors are in the sketch */
	struct sketch sketch;
};

void count_init(struct count *c, enum dim d);
void count_fini(struct count *c);
/* Rows must come in order of their periods. 0, -ENOMEM. */
int count_add(struct count *c, int64_t period_ms, const struct rollup_row *row);
/* Ends the period in hand, so that `visitors` holds all. */
void count_finish(struct count *c);

/* Counts by key, in a hash table whose bytes are taken from query.bytes. */
struct tally_entry {
	struct count count;
	char *key;
	size_t key_len;
	uint64_t hash;
};

struct tally {
	struct query *query;
	enum dim dim;
	struct hash_key hash_key;
	struct tally_entry *entry;
	size_t n, cap;
	uint32_t *slot; /* index + 1, or 0; twice cap of them */
	size_t bytes;   /* taken from query.bytes */
	bool once;      /* every key comes at most once a period: nothing to merge */
};

void tally_init(struct tally *t, struct query *q, enum dim d);
void tally_fini(struct tally *t);
/* 0, -ENOMEM, -ENOBUFS (no room below QUERY_BYTES_MAX). */
int tally_add(struct tally *t, struct text key, int64_t period_ms, const struct rollup_row *row);
/* Finishes all counts and sorts: views or visitors falling, then the other, then key. */
void tally_finish(struct tally *t, bool by_visitors);

/* -- completeness (query_nodes.c) -- */

/* In the order in which they are said: what may still come before what never will. */
enum node_verdict { NODE_COMPLETE, NODE_LOST, NODE_WAITING, NODE_SILENT, NODE_NEVER };

const char *node_verdict_name(enum node_verdict v); /* of a range: never is silent */

struct node_state {
	char name[AUTH_NAME_MAX];
	int64_t since_ms; /* when it was added, or its first batch if that was earlier */
	int64_t last_ms;  /* 0: never sent */
	int64_t complete_to_ms;
	int64_t interval_ms;
	int64_t current_ms; /* last_ms of the epoch that skew and interval are of */
	int64_t skew_ms;
	int64_t gap_from_ms, gap_until_ms;   /* span of epochs with a missing number; equal: none */
	int64_t lost_from_ms, lost_until_ms; /* span of the batches that will never come */
	uint64_t batches, events, lost, lost_batches;
};

struct nodes_state {
	struct node_state *node;
	size_t n;
	int64_t first_ms; /* arrival of the first batch of any; 0: none yet */
	int64_t now_ms;
};

int nodes_read(struct query *q, int64_t now_ms, struct nodes_state *ret_state);
void nodes_free(struct nodes_state *s);

/* Whether everything that the node took in [from, until), as far as its intervals are over,
 * is here. */
enum node_verdict node_verdict(const struct node_state *n, int64_t from_ms, int64_t until_ms,
			       int64_t now_ms);
bool nodes_are_complete(const struct nodes_state *s, int64_t from_ms, int64_t until_ms);
json_t *nodes_missing(const struct nodes_state *s, int64_t from_ms, int64_t until_ms);
/* Batches that will never come, if some of what was in them may have arrived in [from, until). */
uint64_t node_lost_batches(const struct node_state *n, int64_t from_ms, int64_t until_ms);
/* Since when what it stands for is missing. */
int64_t node_since(const struct node_state *n, enum node_verdict v);
uint64_t nodes_lost_batches(const struct nodes_state *s, int64_t from_ms, int64_t until_ms);
/* End of the interval that will bring the next numbers; 0 when unknown. */
int64_t nodes_next_data(const struct nodes_state *s);

/* Known lost events and datagrams that kernels dropped, by arrival. 0 or -errno. */
int query_lost(struct query *q, int64_t from_ms, int64_t until_ms, uint64_t *ret_lost);

/* -- questions -- */

void query_ask_summary(struct query *q, const struct query_args *a, struct query_result *r);
void query_ask_series(struct query *q, const struct query_args *a, struct query_result *r);
void query_ask_content(struct query *q, const char *which, const struct query_args *a,
		       struct query_result *r);
void query_ask_top(struct query *q, const struct query_args *a, struct query_result *r);
void query_ask_breakdown(struct query *q, const struct query_args *a, struct query_result *r);
void query_ask_nodes(struct query *q, const struct query_args *a, struct query_result *r);
void query_ask_ledger(struct query *q, const struct query_args *a, struct query_result *r);
void query_ask_bots(struct query *q, const struct query_args *a, struct query_result *r);
void query_ask_me(struct query *q, const struct query_args *a, struct query_result *r);

#endif
