/* bench_parts.c -- what single stages cost, without network and without other stages.
 *
 *   bench_parts DIR ROUNDS      prints a JSON object a line; the median of the rounds is the value
 *
 * Journal: an append less the packing of the event, which is measured beside it. Batch: bytes
 * an event in the spool. Bots: a verdict without admission's cache. Central: decoding and
 * grouping, and the whole apply with its synced commit, which alone is measured by the clock,
 * not as CPU time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/hash.h"
#include "central/store.h"
#include "node/bot.h"
#include "node/journal_state.h"
#include "node/seal.h"
#include "test/unit/make_batch.h"

#define EVENTS 1000000u
#define T0 INT64_C(1763812800000) /* the start of an hour */
#define ROUNDS_MAX 25

static double
clock_s(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of this thread, so that other programs on the machine do not count; for what never waits. */
static double
cpu_s(void)
{
	return clock_s(CLOCK_THREAD_CPUTIME_ID);
}

static double
now_s(void)
{
	return clock_s(CLOCK_MONOTONIC);
}

static int
by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_size);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void
print(const char *name, double value, double goal, const char *better, const char *unit,
      const char *note)
{
	printf("{\"name\":\"%s\",\"value\":%.4f,\"goal\":%g,\"better\":\"%s\",\"unit\":\"%s\","
	       "\"note\":\"%s\"}\n",
	       name, value, goal, better, unit, note);
	fflush(stdout);
}

static void
must(int err, const char *what)
{
	if (err == 0)
		return;
	fprintf(stderr, "bench_parts: %s: %s\n", what, strerror(-err));
	exit(1);
}

/* -- events as a farm has them: 10,000 contents, 63,000 visitors, an hour, in order -- */

static struct event
event_no(uint64_t i, unsigned contents, bool ids)
{
	uint64_t r = visitor_of(i);
	struct event e = view_of(T0 + (int64_t)(i * 3600000 / EVENTS), (unsigned)(r % contents),
				 (r >> 20) % 63000);

	if (ids)
		set_event_id(&e, i);
	return e;
}

/* -- the journal and the batch -- */

struct journal_figures {
	double append_ns, seal_ns, record, batch; /* per event; the latter two in bytes */
};

static volatile size_t sink; /* so that no call is left out */

static double
pack_ns(bool ids)
{
	static uint8_t buf[EVENT_PACKED_MAX];
	double begin = cpu_s();
	uint64_t i;

	for (i = 0; i < EVENTS; i++) {
		struct event e = event_no(i, 10000, ids);

		sink += event_pack(&e, buf, sizeof(buf));
	}
	return (cpu_s() - begin) * 1e9 / EVENTS;
}

static double
append_ns(struct journal *j, bool ids)
{
	struct journal_writer *w = journal_writer(j, 0);
	double spent = 0, begin;
	uint64_t i = 0;
	unsigned part;

	while (i < EVENTS) {
		journal_tend(j, (struct wall_ms){T0}); /* the sealer's part: prefaults */
		begin = cpu_s();
		for (part = 0; part < 2000 && i < EVENTS; part++, i++) {
			struct event e = event_no(i, 10000, ids);

			must(journal_append(w, (struct wall_ms){T0}, &e, REASON_ACCEPTED_FIRST),
			     "journal_append");
		}
		spent += cpu_s() - begin;
	}
	return spent * 1e9 / EVENTS;
}

/* The segment's bytes, its records' heads and padding included. */
static double
bytes_used(const struct segment *s)
{
	struct segment_walk w = {0};
	struct event e;

	while (segment_next(s, &w, &e))
		;
	return (double)w.at;
}

static struct journal_figures
journal_round(const char *dir, bool ids)
{
	static char name[] = "bench", sync[] = "off";
	char path[512];
	struct conf c = {.node_name = name,
			 .node_state_dir = path,
			 .journal_segment = 160 << 20,
			 .journal_segments = 4,
			 .journal_sync = sync,
			 .journal_sync_interval = 1000,
			 .batch_interval = HOUR_MS,
			 .batch_spool_max = 1 << 30};
	struct journal_figures got;
	struct journal_found found;
	struct batch_id id;
	struct segment *seg;
	struct journal *j;
	struct spool *s;
	char *body;
	size_t len;
	double packed = pack_ns(ids), began;

	snprintf(path, sizeof(path), "%s/agent", dir);
	must(file_make_dir(path), "state directory");
	must(spool_open(&c, &s), "spool_open");
	must(journal_open(&c, s, 1, (struct wall_ms){T0}, &j, &found), "journal_open");
	got.append_ns = append_ns(j, ids) - packed;
	must(journal_rotate(j, (struct wall_ms){T0 + HOUR_MS}, true), "journal_rotate");
	seg = journal_take_closed(j);
	must(segment_records(seg) == EVENTS ? 0 : -ENODATA, "one segment for all events");
	got.record = bytes_used(seg) / EVENTS;
	began = cpu_s();
	must(segment_number(j, seg, (struct wall_ms){T0 + HOUR_MS}, &id), "segment_number");
	must(seal_encode(seg, &body, &len), "seal_encode");
	got.seal_ns = (cpu_s() - began) * 1e9 / EVENTS;
	got.batch = (double)len / EVENTS;
	free(body);
	must(journal_sealed(j, seg), "journal_sealed");
	journal_close(j);
	spool_close(s);
	return got;
}

static void
bench_journal(const char *dir, unsigned rounds)
{
	struct journal_figures plain = {0}, ids = {0};
	double append_ns[ROUNDS_MAX], seal_ns[ROUNDS_MAX];
	unsigned i;

	for (i = 0; i < rounds; i++) {
		ids = journal_round(dir, true);
		plain = journal_round(dir, false);
		append_ns[i] = plain.append_ns;
		seal_ns[i] = ids.seal_ns;
	}
	print("journal, per event", median(append_ns, rounds), 30, "lower", "ns",
	      "an append less event_pack, prefaulted");
	print("sealing, per event", median(seal_ns, rounds), 400, "lower", "ns",
	      "a segment of a million with event ids: numbered, read, encoded, compressed");
	print("journal, bytes per event", plain.record, 64, "lower", "bytes",
	      "record with its head, UUID content");
	print("journal, bytes per event with event id", ids.record, 80, "lower", "bytes", "");
	print("sealed batch, bytes per event", plain.batch, 12, "lower", "bytes",
	      "10,000 contents, 63,000 visitors");
	print("sealed batch, bytes per event with event id", ids.batch, 20, "lower", "bytes",
	      "8 of them are the id's hash");
}

/* -- bots -- */

#define VISITS 100000u

/* Browsers as most visitors have them, each in some hundred versions. */
static struct text
browser_no(unsigned i, char *buf, size_t size)
{
	static const char *const form[][2] = {
	    {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
	     "Chrome/",
	     ".0.0.0 Safari/537.36"},
	    {"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/",
	     ".0.0.0 Mobile Safari/537.36"},
	    {"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
	     "(KHTML, like Gecko) Version/",
	     ".1 Mobile/15E148 Safari/604.1"},
	    {"Mozilla/5.0 (X11; Linux x86_64; rv:", ".0) Gecko/20100101 Firefox/133.0"},
	    {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like "
	     "Gecko) Chrome/",
	     ".0.0.0 Safari/537.36 Edg/131.0.0.0"},
	};
	int len = snprintf(buf, size, "%s%u%s", form[i % 5][0], 100 + i / 5 % 100, form[i % 5][1]);

	return (struct text){buf, (size_t)len};
}

static double
verdict_us(const struct bot_rules *rules)
{
	static char buf[500][256];
	static struct text ua[500];
	unsigned i, refused = 0;
	double begin;

	for (i = 0; i < 500; i++)
		ua[i] = browser_no(i, buf[i], sizeof(buf[i]));
	begin = cpu_s();
	for (i = 0; i < VISITS; i++)
		refused += bot_user_agent(rules, ua[i * 7919 % 500]).why != NULL;
	begin = cpu_s() - begin;
	must(refused ? -EINVAL : 0, "a browser was called a bot");
	return begin * 1e6 / VISITS;
}

static void
bench_bots(unsigned rounds)
{
	struct bot_rules *rules;
	double us[ROUNDS_MAX];
	unsigned i;

	must(bot_rules_new(BOT_SOURCE_ALL, NULL, NULL, &rules), "bot_rules_new");
	for (i = 0; i < rounds; i++)
		us[i] = verdict_us(rules);
	print("bots, a verdict", median(us, rounds), 0.5, "lower", "µs",
	      "500 User-Agents of browsers, 105 bytes, no cache");
	print("bots, tables", (double)bot_rules_bytes(rules) / (1 << 20), 4, "lower", "MiB",
	      "in the program's file");
	bot_rules_free(rules);
}

/* -- the central -- */

static void
make(struct maker *m, uint64_t seq, unsigned contents)
{
	uint32_t i;

	maker_begin(m, "bench", 1, seq, T0, EVENTS);
	for (i = 0; i < EVENTS; i++) {
		struct event e = event_no(i + seq * 17, contents, false);

		maker_add(m, &e);
	}
	maker_finish(m);
}

static double
group_s(const struct maker *m)
{
	struct rollup_group *g;
	struct batch b;
	double begin = cpu_s();

	must(batch_decode(m->doc, m->doc_len, &b), "batch_decode");
	must(rollup_group_batch(&b, NULL, &g), "rollup_group_batch");
	begin = cpu_s() - begin;
	rollup_group_free(g);
	return begin;
}

static void
bench_group(unsigned rounds, unsigned contents, double goal, const char *name)
{
	double rate[ROUNDS_MAX];
	struct maker m;
	unsigned i;

	make(&m, 1, contents);
	for (i = 0; i < rounds; i++)
		rate[i] = EVENTS / group_s(&m) / 1e6;
	maker_free(&m);
	print(name, median(rate, rounds), goal, "higher", "M/s",
	      "events, by one core's CPU time, its page faults included");
}

static void
bench_apply(const char *dir, unsigned rounds)
{
	char path[512];
	struct conf c = {
	    .central_data_dir = path, .central_cache = 256 << 20, .central_retry_window = HOUR_MS};
	static char zone[] = "UTC";
	double s[ROUNDS_MAX] = {0}, begin;
	struct store *store;
	unsigned i;

	c.central_time_zone = zone;
	snprintf(path, sizeof(path), "%s/central", dir);
	must(file_make_dir(path), "data directory");
	must(store_open(&c, &store), "store_open");
	for (i = 0; i < rounds; i++) {
		struct maker m;

		make(&m, i + 1, 10000);
		begin = now_s();
		if (store_apply(store, &m.name, m.body, m.body_len, m.doc, m.doc_len, T0) !=
		    STORE_STORED)
			must(-EIO, "store_apply");
		s[i] = now_s() - begin;
		maker_free(&m);
	}
	store_close(store);
	print("central, apply a batch of 1M events", median(s, rounds), 0.5, "lower", "s",
	      "10,000 contents, decoded, committed and synced");
}

int
main(int argc, char **argv)
{
	unsigned rounds = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;

	if (rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: bench_parts DIR ROUNDS\n");
		return 2;
	}
	must(hash_init(), "hash_init");
	must(calendar_init("UTC"), "calendar_init");
	must(file_make_dir(argv[1]), "directory");
	bench_journal(argv[1], rounds);
	bench_bots(rounds);
	bench_group(rounds, 10000, 10, "central, decode and group, 10,000 contents");
	bench_group(rounds, 1000000, 2, "central, decode and group, 1M contents");
	bench_apply(argv[1], rounds);
	return 0;
}
