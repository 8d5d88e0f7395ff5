#include "proto/beacon.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "proto/json.h"

_Static_assert(BEACON_DEPTH_MAX == JSON_DEPTH_MAX, "one limit, two names");

enum field {
	FIELD_CONTENT_TYPE,
	FIELD_CONTENT_ID,
	FIELD_EVENT_ID,
	FIELD_EVENT,
	FIELD_VALUE,
	FIELD_SESSION,
	FIELD_REFERRER,
	FIELD_SITE,
	FIELD_N
};

#define FIELD_NAME(literal)                  \
	{                                    \
		literal, sizeof(literal) - 1 \
	}

static const struct {
	struct text name;
	enum reason reason; /* when its value does not do */
} fields[FIELD_N] = {
    [FIELD_CONTENT_TYPE] = {FIELD_NAME("content_type"), REASON_INVALID_TYPE},
    [FIELD_CONTENT_ID] = {FIELD_NAME("content_id"), REASON_INVALID_ID},
    [FIELD_EVENT_ID] = {FIELD_NAME("event_id"), REASON_INVALID_EVENT_ID},
    [FIELD_EVENT] = {FIELD_NAME("event"), REASON_INVALID_EVENT},
    [FIELD_VALUE] = {FIELD_NAME("value"), REASON_INVALID_VALUE},
    [FIELD_SESSION] = {FIELD_NAME("session"), REASON_INVALID_SESSION},
    [FIELD_REFERRER] = {FIELD_NAME("referrer"), REASON_INVALID_REFERRER},
    [FIELD_SITE] = {FIELD_NAME("site"), REASON_INVALID_SITE},
};

struct decoding {
	struct json json;
	struct beacon_scratch *scratch;
	size_t used; /* of scratch->bytes */
	struct event *event;
	enum reason reason; /* of the first field that does not do */
};

static const char not_name[] = "not 1 to 64 of a-z A-Z 0-9 _ - .";

/* Remembers why a field does not do; the scan goes on, since bad JSON is the graver reason. */
static void
refuse(struct decoding *d, enum field f, const char *why)
{
	if (d->reason != REASON_ACCEPTED_FIRST)
		return;
	d->reason = fields[f].reason;
	(void)snprintf(d->scratch->error, BEACON_ERROR_MAX, "%s: %s", fields[f].name.at, why);
}

/* The string that was taken last. */
static struct text
unescaped(struct decoding *d, struct text raw)
{
	struct text t = {d->scratch->bytes + d->used, 0};

	if (!d->json.escaped)
		return raw;
	t.len = json_unescape(raw, d->scratch->bytes + d->used);
	d->used += t.len;
	return t;
}

static const char *
take_event_id(struct event *e, struct text t)
{
	e->has_event_id = text_to_uuid(t, e->event_id);
	return e->has_event_id ? NULL : "not a UUID";
}

static const char *
take_content_id(struct event *e, struct text t)
{
	e->id = t;
	e->has_uuid = text_to_uuid(t, e->uuid);
	if (t.len == 0)
		return "empty";
	return t.len > EVENT_NAME_MAX ? "longer than 64 bytes" : NULL;
}

static const char *
take_name(struct text *field, struct text t)
{
	*field = t;
	return event_name_valid(t) ? NULL : not_name;
}

static const char *
take_session(struct event *e, struct text t)
{
	e->session = t.len ? t : (struct text){NULL, 0};
	return t.len > EVENT_SESSION_MAX ? "longer than 64 bytes" : NULL;
}

/* Puts a string into the event: NULL, or why not. */
static const char *
take_string(struct decoding *d, enum field f, struct text t)
{
	struct event *e = d->event;

	switch (f) {
	case FIELD_CONTENT_TYPE:
		e->type = t;
		return t.len ? NULL : "empty";
	case FIELD_CONTENT_ID:
		return take_content_id(e, t);
	case FIELD_EVENT_ID:
		return take_event_id(e, t);
	case FIELD_EVENT:
		return take_name(&e->name, t);
	case FIELD_SESSION:
		return take_session(e, t);
	case FIELD_REFERRER:
		return event_referrer_host(t, d->scratch->host, &e->referrer) ? NULL : "not a URL";
	case FIELD_SITE:
		return take_name(&e->site, t);
	case FIELD_VALUE:
	case FIELD_N:
	default:
		return "not a number";
	}
}

/* The programs never call setlocale, so that strtod reads the point of the C locale. */
static const char *
take_number(struct event *e, struct text raw)
{
	char digits[BEACON_BODY_MAX + 1];

	memcpy(digits, raw.at, raw.len);
	digits[raw.len] = '\0';
	e->value = strtod(digits, NULL);
	e->has_value = isfinite(e->value);
	return e->has_value ? NULL : "beyond what a double holds";
}

/* Reads the value of a known field, of whatever type it is. */
static void
read_field(struct decoding *d, enum field f)
{
	enum json_type type = json_peek(&d->json);
	const char *why = NULL;
	struct text raw;

	if (type == JSON_STRING && json_take_string(&d->json, &raw))
		why = take_string(d, f, unescaped(d, raw));
	else if (type == JSON_NUMBER && f == FIELD_VALUE && json_number(&d->json, &raw))
		why = take_number(d->event, raw);
	else if (json_skip(&d->json) && type != JSON_NULL)
		why = f == FIELD_VALUE ? "not a number" : "not a string";
	if (why)
		refuse(d, f, why);
}

/* navigator.webdriver as the tracker found it: anything but true is as good as absent. */
static void
read_webdriver(struct decoding *d)
{
	bool is_true = json_peek(&d->json) == JSON_TRUE;

	d->event->automated = json_skip(&d->json) && is_true;
}

static enum field
field_find(struct text key)
{
	unsigned f;

	for (f = 0; f < FIELD_N; f++)
		if (text_eq(key, fields[f].name))
			break;
	return (enum field)f;
}

static void
read_object(struct decoding *d)
{
	struct json_object o;
	struct text key;
	enum field f;

	if (!json_object_open(&d->json, &o))
		return;
	while (json_object_next(&d->json, &o, &key)) {
		key = unescaped(d, key);
		f = field_find(key);
		if (f != FIELD_N)
			read_field(d, f);
		else if (text_is(key, "webdriver"))
			read_webdriver(d);
		else
			(void)json_skip(&d->json);
	}
}

static enum reason
refuse_body(struct beacon_scratch *scratch, enum reason r, const char *why)
{
	(void)snprintf(scratch->error, BEACON_ERROR_MAX, "%s", why);
	return r;
}

static enum reason
refuse_json(const struct json *j, struct beacon_scratch *scratch)
{
	(void)snprintf(scratch->error, BEACON_ERROR_MAX, "not a JSON object: %s at byte %zu",
		       json_error_text(j->error), j->error_at);
	return j->error == JSON_DUPLICATE ? REASON_INVALID_DUPLICATE_KEY : REASON_INVALID_JSON;
}

enum reason
beacon_decode(const char *body, size_t len, struct beacon_scratch *scratch, struct event *ret_event)
{
	struct decoding d UNZEROED;

	*ret_event = (struct event){.source = SOURCE_BEACON};
	scratch->error[0] = '\0';
	if (len > BEACON_BODY_MAX)
		return refuse_body(scratch, REASON_INVALID_TOO_LARGE, "body too large");
	d.scratch = scratch;
	d.used = 0;
	d.event = ret_event;
	d.reason = REASON_ACCEPTED_FIRST;
	json_init(&d.json, len ? body : "", len);
	read_object(&d);
	if (!json_end(&d.json))
		return refuse_json(&d.json, scratch);
	if (!ret_event->type.at && d.reason != REASON_INVALID_TYPE)
		return refuse_body(scratch, REASON_INVALID_MISSING, "missing content_type");
	if (!ret_event->id.at && d.reason != REASON_INVALID_ID)
		return refuse_body(scratch, REASON_INVALID_MISSING, "missing content_id");
	return d.reason;
}

bool
beacon_json_valid(const char *text, size_t len)
{
	struct json j;

	json_init(&j, len ? text : "", len);
	return json_skip(&j) && json_end(&j);
}
