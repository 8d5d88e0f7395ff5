#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/agent_emit.h"
#include "proto/json.h"

#define NUMBER_MAX 64    /* characters: a double needs 24 */
#define WHOLE_MAX 9.0e15 /* below 2^53: every whole number is itself */

struct parse {
	struct json json;
	struct event *e;
	char *scratch; /* what is left of it */
	char *host;
};

static const char *
take_string(struct parse *p, struct text *ret_text)
{
	struct text raw;
	size_t n;

	if (json_peek(&p->json) != JSON_STRING || !json_take_string(&p->json, &raw))
		return p->json.error ? json_error_text(p->json.error) : "must be a string";
	n = json_unescape(raw, p->scratch);
	*ret_text = (struct text){p->scratch, n};
	p->scratch += n;
	return NULL;
}

static const char *
take_number(struct parse *p, double *ret_number)
{
	char text[NUMBER_MAX + 1];
	struct text raw;

	if (json_peek(&p->json) != JSON_NUMBER || !json_number(&p->json, &raw))
		return p->json.error ? json_error_text(p->json.error) : "must be a number";
	if (raw.len > NUMBER_MAX)
		return "has too many digits";
	memcpy(text, raw.at, raw.len);
	text[raw.len] = '\0';
	*ret_number = strtod(text, NULL); /* the scanner took it for a number */
	return isfinite(*ret_number) ? NULL : "is too large";
}

static const char *
take_id(struct parse *p)
{
	const char *fault = take_string(p, &p->e->id);

	if (!fault)
		p->e->has_uuid = text_to_uuid(p->e->id, p->e->uuid);
	return fault;
}

static const char *
take_event_id(struct parse *p)
{
	struct text t = {NULL, 0};
	const char *fault = take_string(p, &t);

	if (fault)
		return fault;
	p->e->has_event_id = text_to_uuid(t, p->e->event_id);
	return p->e->has_event_id ? NULL : "must be a UUID";
}

static const char *
take_value(struct parse *p)
{
	const char *fault = take_number(p, &p->e->value);

	p->e->has_value = fault == NULL;
	return fault;
}

static const char *
take_time(struct parse *p)
{
	double ms = 0;
	const char *fault = take_number(p, &ms);

	if (fault)
		return fault;
	if (ms < 1 || ms > WHOLE_MAX || floor(ms) < ms)
		return "must be a whole number of milliseconds since 1970";
	p->e->ts_ms = (int64_t)ms;
	return NULL;
}

static const char *
take_referrer(struct parse *p)
{
	struct text url = {NULL, 0};
	const char *fault = take_string(p, &url);

	if (fault)
		return fault;
	return event_referrer_host(url, p->host, &p->e->referrer) ? NULL : "must be a URL";
}

static const char *
take_name(struct parse *p)
{
	return take_string(p, &p->e->name);
}

static const char *
take_type(struct parse *p)
{
	return take_string(p, &p->e->type);
}

static const char *
take_site(struct parse *p)
{
	return take_string(p, &p->e->site);
}

static const char *
take_ip(struct parse *p)
{
	return take_string(p, &p->e->ip);
}

static const char *
take_ua(struct parse *p)
{
	return take_string(p, &p->e->ua);
}

static const char *
take_session(struct parse *p)
{
	return take_string(p, &p->e->session);
}

static const struct {
	const char *key;
	const char *(*take)(struct parse *p);
} keys[] = {
    {"type", take_type}, {"id", take_id},        {"eid", take_event_id}, {"ev", take_name},
    {"val", take_value}, {"ts", take_time},      {"site", take_site},    {"ip", take_ip},
    {"ua", take_ua},     {"ref", take_referrer}, {"sess", take_session},
};

static const char *
take_member(struct parse *p, struct text key, const char **ret_key)
{
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (text_is(key, keys[i].key)) {
			*ret_key = keys[i].key;
			return keys[i].take(p);
		}
	return json_skip(&p->json) ? NULL : json_error_text(p->json.error);
}

const char *
emit_parse(struct text line, char *scratch, char *host, struct event *ret_event)
{
	static _Thread_local char sentence[128];
	struct parse p = {.e = ret_event, .scratch = scratch, .host = host};
	const char *fault = NULL, *at = NULL;
	struct json_object o;
	struct text key;

	*ret_event = (struct event){.source = SOURCE_DATAGRAM};
	json_init(&p.json, line.at, line.len);
	if (json_peek(&p.json) != JSON_OBJECT || !json_object_open(&p.json, &o))
		return p.json.error ? json_error_text(p.json.error) : "no JSON object";
	while (!fault && json_object_next(&p.json, &o, &key))
		fault = take_member(&p, key, &at);
	if (fault && at && !p.json.error) {
		snprintf(sentence, sizeof(sentence), "%s %s", at, fault);
		return sentence;
	}
	if (p.json.error || !json_end(&p.json))
		return json_error_text(p.json.error);
	if (ret_event->type.len == 0 || ret_event->id.len == 0)
		return "type and id are needed";
	return NULL;
}
