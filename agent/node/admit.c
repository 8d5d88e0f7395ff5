#include "node/admit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/bot.h"
#include "node/bot_count.h"
#include "node/rate_limit.h"
#include "node/ua_class.h"
#include "proto/beacon.h"
#include "stats/stats.h"

/* Distinct User-Agents that a worker remembers: 96 KiB, and the few hundred that make up nearly all
 * of a site's traffic seldom meet in one place. */
#define CACHE_ENTRIES 4096

struct admit {
	/* constant after start */
	const struct conf *conf;
	struct visitor_salts *salts;
	const struct spool *spool;
	struct bot_rules *bots;  /* NULL: everybody is a person */
	struct rate_limit *rate; /* NULL: off */
	struct dedup *dedup;     /* NULL: off */
	struct repeat *repeat;   /* NULL: off */
	struct hash_key cache_key;
	/* atomic */
	atomic_bool stopping;
};

struct cached { /* what a User-Agent says, by its hash: 64 bits under a secret key */
	uint64_t hash;
	struct ua_class class;
	uint8_t engine; /* enum bot_engine */
	bool bot;
	uint16_t name; /* the bot's */
};

struct admit_worker {
	/* owner only */
	struct admit *admit;
	struct journal_writer *writer;
	struct cached cache[CACHE_ENTRIES];
};

/* -- life cycle -- */

static int
tables_new(struct admit *a, const struct conf *c)
{
	int err = 0;

	if (c->admit_bots)
		err = bot_rules_new(BOT_SOURCE_ALL, &c->admit_bot_patterns,
				    &c->admit_person_patterns, &a->bots);
	if (!err && c->admit_rate.events > 0)
		err =
		    rate_limit_new(c->admit_rate, c->admit_burst, c->admit_rate_clients, &a->rate);
	if (!err && c->admit_retry_window > 0)
		err = dedup_new(c->admit_retry_window, c->admit_retry_entries, &a->dedup);
	if (!err && c->admit_double_click > 0)
		err = repeat_new(c->admit_double_click, c->admit_double_click_entries, &a->repeat);
	return err;
}

int
admit_new(const struct conf *c, struct visitor_salts *salts, const struct spool *spool,
	  struct admit **ret_admit)
{
	struct admit *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	a->conf = c;
	a->salts = salts;
	a->spool = spool;
	atomic_init(&a->stopping, false);
	hash_key_random(&a->cache_key);
	err = tables_new(a, c);
	if (err) {
		admit_free(a);
		return err;
	}
	*ret_admit = a;
	return 0;
}

void
admit_free(struct admit *a)
{
	if (!a)
		return;
	bot_rules_free(a->bots);
	rate_limit_free(a->rate);
	dedup_free(a->dedup);
	repeat_free(a->repeat);
	free(a);
}

struct admit_worker *
admit_worker_new(struct admit *a, struct journal_writer *w)
{
	struct admit_worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	worker->admit = a;
	worker->writer = w;
	return worker;
}

void
admit_worker_free(struct admit_worker *w)
{
	free(w);
}

bool
admit_waits(const struct admit_worker *w)
{
	return journal_waits(w->writer);
}

void
admit_stop(struct admit *a)
{
	atomic_store_explicit(&a->stopping, true, memory_order_relaxed);
}

/* -- counting -- */

void
admit_refuse(struct admit_worker *w, struct wall_ms now, enum event_source s, enum reason r)
{
	stat_verdict(s, r);
	journal_count(w->writer, now, s, r);
}

/* The one place where a bot is counted by its name: in /metrics, and in the journal for
 * the central. */
static void
refuse_bot(struct admit_worker *w, struct wall_ms now, enum event_source s, uint16_t bot)
{
	bot_count(bot);
	stat_verdict(s, REASON_BOT_USER_AGENT);
	journal_count_bot(w->writer, now, s,
			  bot > 0 ? bot_name_of(&w->admit->conf->admit_bot_patterns, bot)
				  : (struct text){NULL, 0});
}

bool
admit_rate(struct admit_worker *w, const struct admit_request *q, enum reason *ret_reason,
	   int64_t *ret_retry_ms)
{
	struct admit *a = w->admit;

	if (!a->rate || rate_limit_take(a->rate, &q->addr, q->mono, ret_reason, ret_retry_ms))
		return true;
	admit_refuse(w, q->now, SOURCE_BEACON, *ret_reason);
	return false;
}

/* -- validity -- */

static bool
list_has(const struct conf_list *l, struct text t)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (text_is(t, l->item[i]))
			return true;
	return false;
}

/* "content_type is none of video, audio, …", as far as it fits. Our own settings, no
 * client bytes. */
static void
say_list(char *error, const char *what, const struct conf_list *l)
{
	size_t at, i;
	int n;

	if (!error)
		return;
	n = snprintf(error, BEACON_ERROR_MAX, "%s is none of", what);
	for (i = 0, at = (size_t)n; i < l->n && at < BEACON_ERROR_MAX; i++) {
		n = snprintf(error + at, BEACON_ERROR_MAX - at, "%s %s", i ? "," : "", l->item[i]);
		at += (size_t)n;
	}
}

static void
say(char *error, const char *sentence)
{
	if (error)
		snprintf(error, BEACON_ERROR_MAX, "%s", sentence);
}

static enum reason
judge_content(const struct conf *c, struct event *e, char *error)
{
	bool slugs;

	if (!list_has(&c->admit_types, e->type)) {
		say_list(error, "content_type", &c->admit_types);
		return REASON_INVALID_TYPE;
	}
	slugs = list_has(&c->admit_slug_types, e->type);
	if (slugs && e->id.len == 16)
		e->has_uuid = false; /* 16 bytes that might be either (event.h): here a slug */
	if (!e->has_uuid && !(slugs && event_slug_valid(e->id))) {
		say(error, slugs ? "content_id is neither a UUID nor 1 to 64 of a-z A-Z 0-9 _ - . /"
				 : "content_id is no UUID");
		return REASON_INVALID_ID;
	}
	return REASON_ACCEPTED_FIRST;
}

/* A beacon's time is its arrival: clients' clocks are not believed. */
static enum reason
judge_time(const struct conf *c, struct wall_ms now, struct event *e)
{
	if (e->source == SOURCE_BEACON || e->ts_ms == 0)
		e->ts_ms = now.ms;
	else if (e->ts_ms > now.ms + c->admit_max_future)
		return REASON_INVALID_TIME_FUTURE;
	else if (c->admit_max_age > 0 && e->ts_ms < now.ms - c->admit_max_age)
		return REASON_INVALID_TIME_OLD;
	return REASON_ACCEPTED_FIRST;
}

static enum reason
judge_site(const struct conf *c, struct event *e, char *error)
{
	if (!e->site.at && c->admit_sites.n > 0)
		e->site = text_of(c->admit_sites.item[0]);
	if (c->admit_sites.n == 0 || list_has(&c->admit_sites, e->site))
		return REASON_ACCEPTED_FIRST;
	say_list(error, "site", &c->admit_sites);
	return REASON_INVALID_SITE;
}

/* -- who it is -- */

struct client { /* a datagram's own words override what the transport knows */
	struct client_addr addr;
	struct text ua;
	bool has_addr;
	uint16_t bot; /* for bot_name_of: who it is when the verdict is REASON_BOT_USER_AGENT */
};

static enum reason
client_of(const struct admit_request *q, const struct event *e, struct client *ret_client)
{
	if (e->source == SOURCE_BEACON) {
		*ret_client = (struct client){.addr = q->addr, .ua = q->ua, .has_addr = true};
		return REASON_ACCEPTED_FIRST;
	}
	*ret_client = (struct client){.ua = e->ua};
	if (!e->ip.at)
		return REASON_ACCEPTED_FIRST;
	ret_client->has_addr = true;
	return client_addr_parse(e->ip, &ret_client->addr) ? REASON_ACCEPTED_FIRST
							   : REASON_INVALID_ADDRESS;
}

static const struct cached *
ua_look_up(struct admit_worker *w, struct text ua)
{
	uint64_t hash = hash_table(&w->admit->cache_key, ua.at ? ua.at : "", ua.len);
	struct cached *c = &w->cache[hash % CACHE_ENTRIES];
	struct bot_verdict v = {.why = NULL};

	if (c->hash != hash) {
		c->hash = hash;
		c->class = ua_classify(ua);
		if (w->admit->bots)
			v = bot_user_agent(w->admit->bots, ua);
		c->engine = (uint8_t)(v.believed ? BOT_ENGINE_OTHER : bot_engine_of(ua));
		c->bot = v.why != NULL;
		c->name = v.name;
	}
	return c;
}

/* Prefetching is nobody's view, and opting out is somebody's wish: both count whether bots are
 * looked for or not. A backend's own report without a User-Agent is no bot's. */
static enum reason
judge_bot(struct admit_worker *w, const struct admit_request *q, const struct event *e,
	  const struct client *who, const struct cached *ua)
{
	const struct bot_headers h = {q->accept, q->accept_language, q->sec_fetch, q->sec_purpose};
	enum reason by_headers = REASON_ACCEPTED_FIRST;

	if (e->source == SOURCE_BEACON)
		by_headers = bot_headers_judge((enum bot_engine)ua->engine, &h);
	if (by_headers == REASON_BOT_PREFETCH)
		return by_headers;
	if (w->admit->bots) {
		if (who->ua.len == 0 && e->source == SOURCE_BEACON)
			return REASON_BOT_NO_USER_AGENT;
		if (who->ua.len > 0 && ua->bot)
			return REASON_BOT_USER_AGENT;
		if (by_headers != REASON_ACCEPTED_FIRST)
			return by_headers;
		if (e->automated)
			return REASON_BOT_HEADERS;
	}
	return q->opted_out ? REASON_BOT_OPTED_OUT : REASON_ACCEPTED_FIRST;
}

static void
identify(struct admit_worker *w, const struct admit_request *q, const struct client *who,
	 const struct cached *ua, struct event *e)
{
	struct visitor_salts *salts = w->admit->salts;

	e->session_hash = 0;
	e->visitor = visitor_hash(salts, e->ts_ms, q->now.ms, &who->addr, who->ua, &e->salt_id);
	if (e->session.len > 0)
		e->session_hash = visitor_session(salts, e->ts_ms, q->now.ms, e->session);
	if (!who->has_addr && e->session_hash)
		e->visitor = e->session_hash;
	e->browser = ua->class.browser;
	e->system = ua->class.system;
	e->device = ua->class.device;
	memcpy(e->country, q->country, sizeof(e->country));
}

/* -- the verdict -- */

/* Everything that an event and its request tell by themselves, in DESIGN.md's order. */
static enum reason
judge_alone(struct admit_worker *w, const struct admit_request *q, struct event *e,
	    struct client *who, char *error)
{
	const struct conf *c = w->admit->conf;
	const struct cached *ua;
	enum reason r;

	r = judge_content(c, e, error);
	if (r == REASON_ACCEPTED_FIRST)
		r = judge_site(c, e, error);
	if (r == REASON_ACCEPTED_FIRST)
		r = judge_time(c, q->now, e);
	if (r == REASON_ACCEPTED_FIRST)
		r = client_of(q, e, who);
	if (r != REASON_ACCEPTED_FIRST)
		return r;
	ua = ua_look_up(w, who->ua);
	who->bot = ua->name;
	r = judge_bot(w, q, e, who, ua);
	if (r == REASON_ACCEPTED_FIRST)
		identify(w, q, who, ua, e);
	return r;
}

/* What it is beside others, and the journal's word. The claims are held meanwhile: dedup.h. */
static enum reason
judge_beside_others(struct admit_worker *w, struct admission *p)
{
	struct admit *a = w->admit;
	struct event *e = p->e;
	enum reason r = REASON_ACCEPTED_FIRST;
	int err;

	if (p->id.bucket && !dedup_claim(a->dedup, p->mono, &p->id))
		return REASON_DUPLICATE_EVENT_ID;
	e->repeat = p->click.line && repeat_claim(a->repeat, &p->click);
	if (spool_full(a->spool))
		r = REASON_SHED_SPOOL_FULL;
	else if (e->repeat)
		r = REASON_ACCEPTED_REPEAT;
	err = r == REASON_SHED_SPOOL_FULL ? 0 : journal_append(w->writer, p->now, e, r);
	if (err) /* -EINVAL: a field that no decoder should have let pass */
		r = err == -EINVAL ? REASON_INVALID_TOO_LARGE : REASON_SHED_JOURNAL_FULL;
	if (reason_verdict(r) == VERDICT_ACCEPTED) {
		repeat_keep(&p->click);
		dedup_keep(&p->id);
	} else {
		repeat_drop(&p->click);
		dedup_drop(&p->id);
	}
	return r;
}

void
admit_prepare(struct admit_worker *w, const struct admit_request *q, struct event *e, char *error,
	      struct admission *ret_p)
{
	struct admit *a = w->admit;
	struct client who = {.bot = 0};

	*ret_p = (struct admission){
	    .e = e, .now = q->now, .mono = q->mono, .verdict = REASON_SHED_STOPPING};
	if (atomic_load_explicit(&a->stopping, memory_order_relaxed))
		return;
	ret_p->verdict = judge_alone(w, q, e, &who, error);
	ret_p->bot = who.bot;
	if (ret_p->verdict != REASON_ACCEPTED_FIRST)
		return;
	if (a->dedup && e->has_event_id)
		dedup_find(a->dedup, e->event_id, &ret_p->id);
	if (a->repeat && (who.has_addr || e->session.len > 0))
		repeat_find(a->repeat, e, &ret_p->click);
}

static void
decide(struct admit_worker *w, struct admission *p)
{
	enum event_source s = p->e->source;

	if (p->verdict == REASON_ACCEPTED_FIRST)
		p->verdict = judge_beside_others(w, p);
	if (reason_verdict(p->verdict) == VERDICT_ACCEPTED)
		stat_verdict(s, p->verdict); /* the journal counted it with the record */
	else if (p->verdict == REASON_BOT_USER_AGENT)
		refuse_bot(w, p->now, s, p->bot);
	else
		admit_refuse(w, p->now, s, p->verdict);
}

void
admit_decide(struct admit_worker *w, struct admission *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		dedup_fetch(&p[i].id);
		repeat_fetch(&p[i].click);
	}
	for (i = 0; i < n; i++)
		decide(w, &p[i]);
}

void
admit_remember(void *admit, const struct event *e)
{
	struct admit *a = admit;
	struct dedup_claim id;
	struct repeat_claim click;

	if (a->dedup && e->has_event_id) {
		dedup_find(a->dedup, e->event_id, &id);
		if (dedup_claim(a->dedup, mono_now(), &id))
			dedup_keep(&id);
	}
	if (a->repeat) {
		repeat_find(a->repeat, e, &click);
		repeat_claim(a->repeat, &click);
		repeat_keep(&click);
	}
}
