/* Verdicts: one per event, in order, counted once, and accepted only with the journal's consent. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "node/admit.h"
#include "node/bot_count.h"
#include "node/bot_tables.h"
#include "proto/beacon.h"
#include "segment_home.h"
#include "stats/stats.h"

#define THREADS 4
#define CHROME                                                                                     \
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 " \
	"Safari/537.36"
#define MAX_SETTINGS 16

/* one agent without its transports */
static char dir[64];
static struct conf *conf;
static struct spool *spool;
static struct journal *journal;
static struct visitor_salts *salts;
static struct admit *admit;
static struct admit_worker *worker[THREADS];
static struct ledger counted_before;

static void
agent_open(void)
{
	struct journal_found found;
	unsigned i;

	ck_assert_int_eq(visitor_salts_open(dir, wall_now().ms, &salts), 0);
	ck_assert_int_eq(spool_open(conf, &spool), 0);
	ck_assert_int_eq(journal_open(conf, spool, THREADS, wall_now(), &journal, &found), 0);
	ck_assert_int_eq(admit_new(conf, salts, spool, &admit), 0);
	journal_replay(journal, admit_remember, admit);
	for (i = 0; i < THREADS; i++)
		worker[i] = admit_worker_new(admit, journal_writer(journal, i));
	stat_ledger(&counted_before);
}

static void
agent_close(void)
{
	unsigned i;

	for (i = 0; i < THREADS; i++)
		admit_worker_free(worker[i]);
	admit_free(admit);
	journal_close(journal);
	spool_close(spool);
	visitor_salts_close(salts);
}

/* `more`: settings with blanks between them. */
static void
start(const char *more)
{
	char *settings[MAX_SETTINGS], state[96], *text = strdup(more), *save = NULL, *one;
	size_t n = 0;

	ck_assert_int_eq(hash_init(), 0);
	log_init("test", LOG_ERROR);
	strcpy(dir, "/tmp/footfall-admit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(state, sizeof(state), "node.state_dir=%s", dir);
	settings[n++] = state;
	settings[n++] = (char[]){"node.name=web-1"};
	settings[n++] = (char[]){"journal.segment=64k"};
	settings[n++] = (char[]){"admit.retry_entries=64k"};
	settings[n++] = (char[]){"admit.double_click_entries=64k"};
	for (one = strtok_r(text, " ", &save); one; one = strtok_r(NULL, " ", &save))
		settings[n++] = one;
	ck_assert_int_eq(conf_load(CONF_AGENT, NULL, settings, n, stderr, &conf), 0);
	free(text);
	agent_open();
}

static void
stop(void)
{
	char command[128];

	agent_close();
	conf_free(conf);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static struct admit_request
request(void)
{
	struct admit_request q = {.now = wall_now(),
				  .mono = mono_now(),
				  .ua = TEXT_LIT(CHROME),
				  .accept = TEXT_LIT("*/*"),
				  .accept_language = TEXT_LIT("en")};

	ck_assert(client_addr_parse(TEXT_LIT("192.0.2.1"), &q.addr));
	return q;
}

static struct event
beacon(uint8_t content)
{
	return (struct event){.source = SOURCE_BEACON,
			      .type = TEXT_LIT("video"),
			      .has_uuid = true,
			      .uuid = {content}};
}

static struct event
with_id(uint8_t content, uint64_t id)
{
	struct event e = beacon(content);

	e.has_event_id = true;
	memcpy(e.event_id, &id, sizeof(id));
	return e;
}

static struct event
datagram(uint8_t content)
{
	struct event e = beacon(content);

	e.source = SOURCE_DATAGRAM;
	e.ip = TEXT_LIT("198.51.100.7");
	e.ua = TEXT_LIT(CHROME);
	return e;
}

static enum reason
admit_event(struct admit_worker *w, const struct admit_request *q, struct event *e, char *error)
{
	struct admission p;

	admit_prepare(w, q, e, error, &p);
	admit_decide(w, &p, 1);
	return p.verdict;
}

static enum reason
judge(struct event e)
{
	struct admit_request q = request();

	return admit_event(worker[0], &q, &e, NULL);
}

static uint64_t
counted(enum event_source s, enum reason r)
{
	struct ledger l;

	stat_ledger(&l);
	return l.count[s][r] - counted_before.count[s][r];
}

/* What the journal's segments say: records, and every verdict. */
static uint32_t
drain(struct ledger *ret_ledger)
{
	struct segment *s;
	struct batch_meta meta;
	struct batch_id id;
	uint32_t records = 0;
	int err;

	memset(ret_ledger, 0, sizeof(*ret_ledger));
	do { /* again, when a segment stayed open because none was free */
		err = journal_rotate(journal, wall_now(), true);
		while ((s = journal_take_closed(journal)) != NULL) {
			ck_assert_int_eq(segment_number(journal, s, wall_now(), &id), 0);
			meta = meta_of(s);
			ledger_add(ret_ledger, &meta.ledger);
			records += segment_records(s);
			journal_sealed(journal, s);
		}
		journal_tend(journal, wall_now());
	} while (err);
	return records;
}

START_TEST(an_accepted_event_is_in_the_journal_and_counted_once)
{
	struct ledger l;

	start("");
	ck_assert_int_eq(judge(beacon(1)), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(judge(beacon(1)), REASON_ACCEPTED_REPEAT);
	ck_assert_int_eq(judge(beacon(2)), REASON_ACCEPTED_FIRST);
	ck_assert_uint_eq(counted(SOURCE_BEACON, REASON_ACCEPTED_FIRST), 2);
	ck_assert_uint_eq(counted(SOURCE_BEACON, REASON_ACCEPTED_REPEAT), 1);
	ck_assert_uint_eq(drain(&l), 3);
	ck_assert_uint_eq(l.count[SOURCE_BEACON][REASON_ACCEPTED_FIRST], 2);
	ck_assert_uint_eq(l.count[SOURCE_BEACON][REASON_ACCEPTED_REPEAT], 1);
	ck_assert_uint_eq(ledger_received(&l), 3);
	stop();
}
END_TEST

START_TEST(admission_fills_what_only_it_may_say)
{
	struct event e = beacon(1);
	struct admit_request q = request();
	uint32_t id;

	start("");
	e.ts_ms = 12345; /* a client's clock */
	e.ip = TEXT_LIT("8.8.8.8");
	e.session = TEXT_LIT("s");
	memcpy(q.country, "FR", 2);
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(e.ts_ms, q.now.ms);
	ck_assert_uint_eq(e.visitor,
			  visitor_hash(salts, q.now.ms, q.now.ms, &q.addr, TEXT_LIT(CHROME), &id));
	ck_assert_uint_eq(e.salt_id, id);
	ck_assert_uint_eq(e.session_hash,
			  visitor_session(salts, q.now.ms, q.now.ms, TEXT_LIT("s")));
	ck_assert_uint_ne(e.browser, 0);
	ck_assert_mem_eq(e.country, "FR", 2);
	stop();
}
END_TEST

START_TEST(invalid_events_are_refused_by_reason)
{
	struct event e;
	char error[BEACON_ERROR_MAX] = "";
	struct admit_request q = request();

	start("");
	e = beacon(1), e.type = TEXT_LIT("movie");
	ck_assert_int_eq(admit_event(worker[0], &q, &e, error), REASON_INVALID_TYPE);
	ck_assert_str_eq(error, "content_type is none of video, audio, pdf, static");
	e = beacon(1), e.has_uuid = false, e.id = TEXT_LIT("a-slug");
	ck_assert_int_eq(admit_event(worker[0], &q, &e, error), REASON_INVALID_ID);
	ck_assert_str_eq(error, "content_id is no UUID");
	e = datagram(1), e.ip = TEXT_LIT("localhost");
	ck_assert_int_eq(judge(e), REASON_INVALID_ADDRESS);
	e = datagram(1), e.ts_ms = q.now.ms - 8 * DAY_MS;
	ck_assert_int_eq(judge(e), REASON_INVALID_TIME_OLD);
	e = datagram(1), e.ts_ms = q.now.ms + HOUR_MS;
	ck_assert_int_eq(judge(e), REASON_INVALID_TIME_FUTURE);
	e = datagram(1), e.ts_ms = q.now.ms - 6 * DAY_MS;
	ck_assert_int_eq(judge(e), REASON_ACCEPTED_FIRST);
	ck_assert_uint_eq(counted(SOURCE_DATAGRAM, REASON_INVALID_TIME_OLD), 1);
	ck_assert_uint_eq(counted(SOURCE_BEACON, REASON_INVALID_TYPE), 1);
	stop();
}
END_TEST

START_TEST(events_of_any_age_pass_without_max_age)
{
	struct event e = datagram(1);

	start("admit.max_age=0s");
	e.ts_ms = INT64_C(1431000000000);
	ck_assert_int_eq(judge(e), REASON_ACCEPTED_FIRST);
	stop();
}
END_TEST

START_TEST(slugs_pass_where_they_are_configured)
{
	struct event e = beacon(1);

	start("admit.slug_types=pdf");
	e.has_uuid = false;
	e.id = TEXT_LIT("docs/intro");
	ck_assert_int_eq(judge(e), REASON_INVALID_ID);
	e.type = TEXT_LIT("pdf");
	ck_assert_int_eq(judge(e), REASON_ACCEPTED_FIRST);
	e.id = TEXT_LIT("docs intro");
	ck_assert_int_eq(judge(e), REASON_INVALID_ID);
	ck_assert_int_eq(judge((struct event){.type = TEXT_LIT("pdf"), .has_uuid = true}),
			 REASON_ACCEPTED_FIRST);
	stop();
}
END_TEST

START_TEST(sixteen_bytes_that_make_a_slug_are_one_where_slugs_are_configured)
{
	struct event e = datagram(1);
	struct admit_request q = request();

	start("admit.slug_types=pdf");
	e.id = TEXT_LIT("getting-started/");
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_ACCEPTED_FIRST);
	ck_assert(e.has_uuid);
	e.type = TEXT_LIT("pdf");
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_ACCEPTED_FIRST);
	ck_assert(!e.has_uuid);
	stop();
}
END_TEST

START_TEST(sites_are_checked_and_the_first_is_the_default)
{
	struct event e = beacon(1);
	struct admit_request q = request();

	start("admit.sites=shop");
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_ACCEPTED_FIRST);
	ck_assert(text_is(e.site, "shop"));
	e = beacon(2), e.site = TEXT_LIT("blog");
	ck_assert_int_eq(judge(e), REASON_INVALID_SITE);
	stop();
}
END_TEST

START_TEST(bots_are_counted_and_not_recorded)
{
	struct admit_request q;
	struct ledger l;
	struct event e;

	start("");
	q = request(), q.ua = TEXT_LIT("Googlebot/2.1"), e = beacon(1);
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_BOT_USER_AGENT);
	q = request(), q.ua = (struct text){NULL, 0}, e = beacon(1);
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_BOT_NO_USER_AGENT);
	q = request(), q.sec_purpose = TEXT_LIT("prefetch;prerender"), e = beacon(1);
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_BOT_PREFETCH);
	q = request(), q.sec_fetch = TEXT_LIT("cors"), q.accept_language.len = 0, e = beacon(1);
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_BOT_HEADERS);
	q = request(), q.opted_out = true, e = beacon(1);
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_BOT_OPTED_OUT);
	e = datagram(1), e.ua = TEXT_LIT("curl/8.0");
	ck_assert_int_eq(judge(e), REASON_BOT_USER_AGENT);
	e = datagram(1), e.ua = (struct text){NULL, 0};
	ck_assert_int_eq(judge(e), REASON_ACCEPTED_FIRST);
	ck_assert_uint_eq(drain(&l), 1);
	ck_assert_uint_eq(ledger_verdict(&l, VERDICT_BOT), 6);
	stop();
}
END_TEST

START_TEST(a_refused_bot_is_counted_by_its_name)
{
	const uint16_t other = 0;
	uint64_t before;
	struct event e = datagram(1);

	start("");
	before = bot_counted(other);
	e.ua = TEXT_LIT("FictionalBot/1.0");
	ck_assert_int_eq(judge(e), REASON_BOT_USER_AGENT);
	ck_assert_int_eq(judge(e), REASON_BOT_USER_AGENT);
	ck_assert_uint_eq(bot_counted(other), before + 2);
	stop();
}
END_TEST

START_TEST(the_journal_has_the_names_of_bots)
{
	struct batch_bot bot[SEGMENT_BOTS] = {{.count = {0}}};
	struct admit_request q = request();
	struct event e = beacon(1);
	struct batch_meta meta = {.lost = 0};
	struct segment *s;
	struct batch_id id;

	start("");
	q.ua = TEXT_LIT("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)");
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_BOT_USER_AGENT);
	e = datagram(1), e.ua = q.ua;
	ck_assert_int_eq(judge(e), REASON_BOT_USER_AGENT);
	e = datagram(1), e.ua = TEXT_LIT("FictionalBot/1.0");
	ck_assert_int_eq(judge(e), REASON_BOT_USER_AGENT);
	ck_assert_int_eq(journal_rotate(journal, wall_now(), true), 0);
	for (s = journal_take_closed(journal); s && segment_is_empty(s);
	     s = journal_take_closed(journal))
		ck_assert_int_eq(journal_sealed(journal, s), 0);
	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(segment_number(journal, s, wall_now(), &id), 0);
	meta = meta_of(s);
	ck_assert_uint_eq(segment_bots(s, bot), 1);
	ck_assert(text_is(bot[0].name, "Googlebot"));
	ck_assert_uint_eq(bot[0].count[SOURCE_BEACON], 1);
	ck_assert_uint_eq(bot[0].count[SOURCE_DATAGRAM], 1);
	ck_assert_uint_eq(meta.ledger.count[SOURCE_BEACON][REASON_BOT_USER_AGENT], 1);
	ck_assert_uint_eq(meta.ledger.count[SOURCE_DATAGRAM][REASON_BOT_USER_AGENT], 2);
	stop();
}
END_TEST

START_TEST(the_operators_patterns_decide)
{
	struct admit_request q;
	struct event e;

	start("admit.bot_patterns=kiosk admit.person_patterns=OurReader,chrome");
	q = request(), q.ua = TEXT_LIT("Mozilla/5.0 (iPhone) KIOSK"), e = beacon(1);
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_BOT_USER_AGENT);
	ck_assert_uint_eq(bot_counted((uint16_t)bot_names_n), 1);
	q = request(), q.ua = TEXT_LIT("ourreader/1 kiosk bot"), e = beacon(1);
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_ACCEPTED_FIRST);
	q = request(), q.sec_fetch = TEXT_LIT("cors"), q.accept_language.len = 0, e = beacon(2);
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_ACCEPTED_FIRST);
	q = request(), q.sec_purpose = TEXT_LIT("prefetch"), e = beacon(3);
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_BOT_PREFETCH);
	stop();
}
END_TEST

START_TEST(with_bots_off_everybody_is_a_person)
{
	struct admit_request q;
	struct event e;

	start("admit.bots=off");
	q = request(), q.ua = TEXT_LIT("Googlebot/2.1"), e = beacon(1);
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_ACCEPTED_FIRST);
	q = request(), q.ua = (struct text){NULL, 0}, e = beacon(1);
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_ACCEPTED_FIRST);
	q = request(), q.opted_out = true, e = beacon(1);
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_BOT_OPTED_OUT);
	stop();
}
END_TEST

START_TEST(an_event_id_counts_once_by_beacon_and_datagram)
{
	struct event twin = datagram(1);

	start("");
	ck_assert_int_eq(judge(with_id(1, 77)), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(judge(with_id(1, 77)), REASON_DUPLICATE_EVENT_ID);
	twin.has_event_id = true;
	memcpy(twin.event_id, with_id(1, 77).event_id, 16);
	ck_assert_int_eq(judge(twin), REASON_DUPLICATE_EVENT_ID);
	ck_assert_uint_eq(counted(SOURCE_DATAGRAM, REASON_DUPLICATE_EVENT_ID), 1);
	stop();
}
END_TEST

START_TEST(a_prepared_event_holds_nothing_until_it_is_decided)
{
	struct admit_request q = request();
	struct event first = with_id(1, 1), twin = first;
	struct event other = with_id(3, 2), other_twin = other;
	struct admission p[2];

	start("");
	admit_prepare(worker[0], &q, &first, NULL, &p[0]);
	admit_prepare(worker[0], &q, &twin, NULL, &p[1]);
	ck_assert_uint_eq(counted(SOURCE_BEACON, REASON_ACCEPTED_FIRST), 0);
	ck_assert_int_eq(judge(with_id(2, 1)), REASON_ACCEPTED_FIRST);
	admit_decide(worker[0], p, 2);
	ck_assert_int_eq(p[0].verdict, REASON_DUPLICATE_EVENT_ID);
	ck_assert_int_eq(p[1].verdict, REASON_DUPLICATE_EVENT_ID);
	admit_prepare(worker[0], &q, &other, NULL, &p[0]);
	admit_prepare(worker[0], &q, &other_twin, NULL, &p[1]);
	admit_decide(worker[0], p, 2);
	ck_assert_int_eq(p[0].verdict, REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(p[1].verdict, REASON_DUPLICATE_EVENT_ID);
	ck_assert_uint_eq(counted(SOURCE_BEACON, REASON_DUPLICATE_EVENT_ID), 3);
	stop();
}
END_TEST

START_TEST(a_refused_event_does_not_use_up_its_id)
{
	struct admit_request q = request();
	struct event e = with_id(1, 5);

	start("");
	q.ua = TEXT_LIT("curl/8.0");
	ck_assert_int_eq(admit_event(worker[0], &q, &e, NULL), REASON_BOT_USER_AGENT);
	ck_assert_int_eq(judge(with_id(1, 5)), REASON_ACCEPTED_FIRST);
	stop();
}
END_TEST

START_TEST(switched_off_tables_let_everything_pass)
{
	start("admit.retry_window=0s admit.double_click=0s admit.rate=off");
	ck_assert_int_eq(judge(with_id(1, 5)), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(judge(with_id(1, 5)), REASON_ACCEPTED_FIRST);
	stop();
}
END_TEST

START_TEST(people_whom_nothing_tells_apart_repeat_nobody)
{
	struct event e = datagram(1);

	start("");
	e.ip = (struct text){NULL, 0};
	ck_assert_int_eq(judge(e), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(judge(e), REASON_ACCEPTED_FIRST);
	e.session = TEXT_LIT("abc");
	ck_assert_int_eq(judge(e), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(judge(e), REASON_ACCEPTED_REPEAT);
	e.session = TEXT_LIT("abd");
	ck_assert_int_eq(judge(e), REASON_ACCEPTED_FIRST);
	stop();
}
END_TEST

START_TEST(the_backend_is_not_the_visitor)
{
	struct event a = datagram(1), b = datagram(1);

	start("");
	b.ip = TEXT_LIT("198.51.100.8");
	ck_assert_int_eq(judge(a), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(judge(b), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(judge(a), REASON_ACCEPTED_REPEAT);
	stop();
}
END_TEST

START_TEST(a_full_journal_sheds_and_the_retry_is_accepted)
{
	struct ledger before, after;
	uint64_t id = 0, shed;
	enum reason r;

	start("admit.double_click=0s");
	do
		r = judge(with_id(1, ++id));
	while (r == REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(r, REASON_SHED_JOURNAL_FULL);
	ck_assert_int_eq(judge(with_id(1, id)), REASON_SHED_JOURNAL_FULL);
	ck_assert_int_eq(judge(with_id(1, 1)), REASON_DUPLICATE_EVENT_ID);
	ck_assert_uint_eq(drain(&before), id - 1);
	ck_assert_int_eq(judge(with_id(1, id)), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(judge(with_id(1, id)), REASON_DUPLICATE_EVENT_ID);
	ck_assert_uint_eq(drain(&after), 1);
	ledger_add(&before, &after);
	shed = ledger_verdict(&before, VERDICT_SHED);
	ck_assert_uint_eq(shed, 2);
	ck_assert_uint_eq(ledger_received(&before), id + 4);
	stop();
}
END_TEST

START_TEST(a_shed_click_is_not_the_first_of_its_window)
{
	struct ledger l;
	uint64_t id = 0;

	start("");
	while (judge(with_id(1, ++id)) != REASON_SHED_JOURNAL_FULL)
		;
	ck_assert_int_eq(judge(beacon(9)), REASON_SHED_JOURNAL_FULL);
	drain(&l);
	ck_assert_int_eq(judge(beacon(9)), REASON_ACCEPTED_FIRST);
	stop();
}
END_TEST

START_TEST(a_stopping_agent_sheds_everything)
{
	start("");
	admit_stop(admit);
	ck_assert_int_eq(judge(beacon(1)), REASON_SHED_STOPPING);
	ck_assert_uint_eq(counted(SOURCE_BEACON, REASON_SHED_STOPPING), 1);
	stop();
}
END_TEST

START_TEST(ids_and_clicks_are_remembered_across_a_restart)
{
	start("");
	ck_assert_int_eq(judge(with_id(1, 5)), REASON_ACCEPTED_FIRST);
	agent_close();
	agent_open();
	ck_assert_int_eq(judge(with_id(1, 5)), REASON_DUPLICATE_EVENT_ID);
	ck_assert_int_eq(judge(beacon(1)), REASON_ACCEPTED_REPEAT);
	ck_assert_int_eq(judge(beacon(2)), REASON_ACCEPTED_FIRST);
	stop();
}
END_TEST

START_TEST(the_rate_is_asked_alone_and_counted)
{
	struct admit_request q = request();
	enum reason r = REASON_N;
	int64_t retry = 0;
	unsigned taken = 0, i;

	start("admit.rate=1/1h admit.burst=3");
	for (i = 0; i < 10; i++)
		taken += admit_rate(worker[i % THREADS], &q, &r, &retry);
	ck_assert_uint_eq(taken, 3);
	ck_assert_int_eq(r, REASON_LIMITED_V4);
	ck_assert_int_gt(retry, 3000000);
	ck_assert_uint_eq(counted(SOURCE_BEACON, REASON_LIMITED_V4), 7);
	stop();
}
END_TEST

/* -- threads -- */

#define ROUNDS 500

static pthread_barrier_t together;

struct racer {
	unsigned number;
	bool with_ids;
	unsigned first, repeat, duplicate, other;
};

static void *
race(void *arg)
{
	struct racer *me = arg;
	struct admit_request q = request();
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		struct event e = me->with_ids ? with_id(1, i) : beacon(0);
		enum reason r;

		memcpy(e.uuid, &i, sizeof(i));
		pthread_barrier_wait(&together);
		r = admit_event(worker[me->number], &q, &e, NULL);
		if (r == REASON_ACCEPTED_FIRST)
			me->first++;
		else if (r == REASON_ACCEPTED_REPEAT)
			me->repeat++;
		else if (r == REASON_DUPLICATE_EVENT_ID)
			me->duplicate++;
		else
			me->other++;
	}
	return NULL;
}

static struct racer
race_all(bool with_ids)
{
	pthread_t thread[THREADS];
	struct racer racer[THREADS] = {{0}}, sum = {0};
	unsigned i;

	pthread_barrier_init(&together, NULL, THREADS);
	for (i = 0; i < THREADS; i++) {
		racer[i].number = i;
		racer[i].with_ids = with_ids;
		pthread_create(&thread[i], NULL, race, &racer[i]);
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		sum.first += racer[i].first;
		sum.repeat += racer[i].repeat;
		sum.duplicate += racer[i].duplicate;
		sum.other += racer[i].other;
	}
	pthread_barrier_destroy(&together);
	return sum;
}

START_TEST(of_concurrent_events_with_one_id_exactly_one_is_accepted)
{
	struct racer sum;
	struct ledger l;

	start("journal.segment=256k");
	sum = race_all(true);
	ck_assert_uint_eq(sum.first, ROUNDS);
	ck_assert_uint_eq(sum.duplicate, (THREADS - 1) * ROUNDS);
	ck_assert_uint_eq(drain(&l), ROUNDS);
	ck_assert_uint_eq(ledger_received(&l), THREADS * ROUNDS);
	stop();
}
END_TEST

START_TEST(of_concurrent_identical_events_all_are_accepted_and_one_is_no_repeat)
{
	struct racer sum;
	struct ledger l;

	start("journal.segment=256k");
	sum = race_all(false);
	ck_assert_uint_eq(sum.first, ROUNDS);
	ck_assert_uint_eq(sum.repeat, (THREADS - 1) * ROUNDS);
	ck_assert_uint_eq(drain(&l), THREADS * ROUNDS);
	ck_assert_uint_eq(l.count[SOURCE_BEACON][REASON_ACCEPTED_FIRST], ROUNDS);
	stop();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("admit");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, an_accepted_event_is_in_the_journal_and_counted_once);
	tcase_add_test(t, admission_fills_what_only_it_may_say);
	tcase_add_test(t, invalid_events_are_refused_by_reason);
	tcase_add_test(t, events_of_any_age_pass_without_max_age);
	tcase_add_test(t, slugs_pass_where_they_are_configured);
	tcase_add_test(t, sixteen_bytes_that_make_a_slug_are_one_where_slugs_are_configured);
	tcase_add_test(t, sites_are_checked_and_the_first_is_the_default);
	tcase_add_test(t, bots_are_counted_and_not_recorded);
	tcase_add_test(t, a_refused_bot_is_counted_by_its_name);
	tcase_add_test(t, the_journal_has_the_names_of_bots);
	tcase_add_test(t, the_operators_patterns_decide);
	tcase_add_test(t, with_bots_off_everybody_is_a_person);
	tcase_add_test(t, an_event_id_counts_once_by_beacon_and_datagram);
	tcase_add_test(t, a_prepared_event_holds_nothing_until_it_is_decided);
	tcase_add_test(t, a_refused_event_does_not_use_up_its_id);
	tcase_add_test(t, switched_off_tables_let_everything_pass);
	tcase_add_test(t, people_whom_nothing_tells_apart_repeat_nobody);
	tcase_add_test(t, the_backend_is_not_the_visitor);
	tcase_add_test(t, a_full_journal_sheds_and_the_retry_is_accepted);
	tcase_add_test(t, a_shed_click_is_not_the_first_of_its_window);
	tcase_add_test(t, a_stopping_agent_sheds_everything);
	tcase_add_test(t, ids_and_clicks_are_remembered_across_a_restart);
	tcase_add_test(t, the_rate_is_asked_alone_and_counted);
	tcase_add_test(t, of_concurrent_events_with_one_id_exactly_one_is_accepted);
	tcase_add_test(t, of_concurrent_identical_events_all_are_accepted_and_one_is_no_repeat);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
