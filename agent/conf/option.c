#include "conf/option.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LIST_ITEMS_MAX 1024 /* far above any farm's proxies; bounds what a bad file can cost */

const struct section conf_sections[SECTION_N] = {
#define SECTION(section, programs, sentence) {#section, CONF_##programs, sentence},
#define OPT(section, key, type, dflt, min, max, reload, unit, sentence)
#include "conf/options.def"
#undef OPT
#undef SECTION
};

const struct option conf_options[OPTION_N] = {
#define SECTION(section, programs, sentence)
#define OPT(section, key, type, dflt, min, max, reload, unit, sentence) \
	{SECTION_##section,                                             \
	 #key,                                                          \
	 OPTION_##type,                                                 \
	 dflt,                                                          \
	 min,                                                           \
	 max,                                                           \
	 OPTION_##reload,                                               \
	 unit,                                                          \
	 sentence,                                                      \
	 offsetof(struct conf, section##_##key)},
#include "conf/options.def"
#undef OPT
#undef SECTION
};

/* A unit and its factor, the smallest first; "" is the kept unit itself. */
struct scale {
	const char *suffix;
	int64_t factor;
};

static const struct scale sizes[] = {{"", 1}, {"k", 1024}, {"m", 1048576}, {"g", 1073741824}};
static const struct scale durations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static void *
field(const struct conf *c, enum option_id id)
{
	/* through an integer: the table serves readers and writers of the same struct */
	return (void *)((uintptr_t)c + conf_options[id].offset);
}

const struct conf_list *
option_list(const struct conf *c, enum option_id id)
{
	return field(c, id);
}

const char *
option_text(const struct conf *c, enum option_id id)
{
	return *(char **)field(c, id);
}

enum section_id
section_find(const char *name)
{
	unsigned s;

	for (s = 0; s < SECTION_N; s++)
		if (strcmp(conf_sections[s].name, name) == 0)
			break;
	return (enum section_id)s;
}

enum option_id
option_find(const char *section, const char *key)
{
	unsigned i;

	for (i = 0; i < OPTION_N; i++)
		if (strcmp(conf_options[i].key, key) == 0 &&
		    strcmp(conf_sections[conf_options[i].section].name, section) == 0)
			break;
	return (enum option_id)i;
}

/* Digits at the start of text into *ret_value; returns what follows them, or NULL. */
static const char *
parse_digits(const char *text, int64_t *ret_value)
{
	int64_t v = 0;

	if (*text < '0' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *text - '0', &v))
			return NULL;
	*ret_value = v;
	return text;
}

static bool
parse_scaled(const char *text, const struct scale *scales, size_t n, int64_t *ret_value)
{
	const char *suffix = parse_digits(text, ret_value);
	size_t i;

	if (suffix && *suffix == '\0' && *ret_value == 0)
		return true; /* zero needs no unit */
	for (i = 0; suffix && i < n; i++)
		if (strcmp(suffix, scales[i].suffix) == 0)
			return !__builtin_mul_overflow(*ret_value, scales[i].factor, ret_value);
	return false;
}

static bool
parse_number(enum option_type type, const char *text, int64_t *ret_value)
{
	const char *rest;

	if (type == OPTION_SIZE)
		return parse_scaled(text, sizes, N_OF(sizes), ret_value);
	if (type == OPTION_DURATION)
		return parse_scaled(text, durations, N_OF(durations), ret_value);
	rest = parse_digits(text, ret_value);
	return rest && *rest == '\0';
}

static bool
parse_rate(const char *text, struct conf_rate *ret_rate)
{
	struct conf_rate rate = {0, 0};
	const char *slash;

	if (strcmp(text, "off") == 0) {
		*ret_rate = rate;
		return true;
	}
	slash = parse_digits(text, &rate.events);
	if (!slash || *slash != '/' || rate.events < 1 || rate.events > 1000000 ||
	    !parse_scaled(slash + 1, durations, N_OF(durations), &rate.per_ms) || rate.per_ms < 1 ||
	    rate.per_ms > 86400000)
		return false;
	*ret_rate = rate;
	return true;
}

static bool
is_word_of(const char *words, const char *text)
{
	size_t len = strlen(text);
	const char *p = words;

	while (len > 0 && (p = strstr(p, text)) != NULL) {
		if ((p == words || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0') &&
		    !strchr(text, ' '))
			return true;
		p++;
	}
	return false;
}

static bool
is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static size_t
format_scaled(char *buf, size_t cap, int64_t v, const struct scale *scales, size_t n)
{
	size_t i = n - 1;

	while (i > 0 && (v == 0 || v % scales[i].factor != 0))
		i--;
	if (v == 0 && n == N_OF(durations))
		i = 1; /* 0s reads better than 0ms */
	return (size_t)snprintf(buf, cap, "%" PRId64 "%s", v / scales[i].factor, scales[i].suffix);
}

static void
format_number(char *buf, size_t cap, enum option_type type, int64_t v)
{
	if (type == OPTION_SIZE)
		format_scaled(buf, cap, v, sizes, N_OF(sizes));
	else if (type == OPTION_DURATION)
		format_scaled(buf, cap, v, durations, N_OF(durations));
	else
		snprintf(buf, cap, "%" PRId64, v);
}

static void
format_rate(char *buf, size_t cap, const struct conf_rate *rate)
{
	char per[32];

	if (rate->events == 0) {
		snprintf(buf, cap, "off");
		return;
	}
	format_scaled(per, sizeof(per), rate->per_ms, durations, N_OF(durations));
	snprintf(buf, cap, "%" PRId64 "/%s", rate->events, per);
}

static const char *
type_allowed(const struct option *o)
{
	switch (o->type) {
	case OPTION_STR:
		return "a text without control characters";
	case OPTION_LIST:
		return "a list {\"a\", \"b\"} of at most 1024 texts, none empty, no control "
		       "characters";
	case OPTION_INT:
		return "a whole number";
	case OPTION_SIZE:
		return "a size as 500, 64k, 1m or 1g";
	case OPTION_DURATION:
		return "a duration as 500ms, 30s, 5m, 1h or 7d";
	case OPTION_RATE:
		return "events/time as 5/1s (1 to 1000000 events, 1ms to 1d), or off";
	case OPTION_BOOL:
		return "on or off";
	case OPTION_ENUM:
		break;
	}
	return "one of";
}

void
option_limits(enum option_id id, char *buf, size_t cap)
{
	const struct option *o = &conf_options[id];
	char min[32], max[32];

	format_number(min, sizeof(min), o->type, o->min);
	format_number(max, sizeof(max), o->type, o->max);
	buf[0] = '\0';
	if (o->max)
		snprintf(buf, cap, ", from %s to %s", min, max);
	else if (o->min)
		snprintf(buf, cap, ", at least %s", min);
}

static void
option_allowed(enum option_id id, char *buf, size_t cap)
{
	const struct option *o = &conf_options[id];
	char limits[80];

	option_limits(id, limits, sizeof(limits));
	if (o->type == OPTION_ENUM)
		snprintf(buf, cap, "%s: %s", type_allowed(o), o->unit);
	else
		snprintf(buf, cap, "%s%s", type_allowed(o), limits);
}

static int
set_number(struct conf *c, enum option_id id, const char *text)
{
	const struct option *o = &conf_options[id];
	int64_t v;

	if (!parse_number(o->type, text, &v) || v < o->min || (o->max && v > o->max))
		return -EINVAL;
	*(int64_t *)field(c, id) = v;
	return 0;
}

static int
set_text(struct conf *c, enum option_id id, const char *text)
{
	char *copy;

	if (!is_printable(text))
		return -EINVAL;
	if (conf_options[id].type == OPTION_ENUM && !is_word_of(conf_options[id].unit, text))
		return -EINVAL;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	option_clear(c, id);
	*(char **)field(c, id) = copy;
	return 0;
}

static void
list_free(struct conf_list *list)
{
	while (list->n > 0)
		free(list->item[--list->n]);
	free(list->item);
	list->item = NULL;
}

static int
set_list(struct conf *c, enum option_id id, const char *const *text, size_t n)
{
	struct conf_list list = {NULL, 0};
	size_t i;

	if (n > LIST_ITEMS_MAX)
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (text[i][0] == '\0' || !is_printable(text[i]))
			return -EINVAL;
	list.item = calloc(n ? n : 1, sizeof(*list.item));
	if (!list.item)
		return -ENOMEM;
	for (; list.n < n; list.n++) {
		list.item[list.n] = strdup(text[list.n]);
		if (!list.item[list.n]) {
			list_free(&list);
			return -ENOMEM;
		}
	}
	option_clear(c, id);
	*(struct conf_list *)field(c, id) = list;
	return 0;
}

static int
set_any(struct conf *c, enum option_id id, const char *const *text, size_t n)
{
	struct conf_rate rate;

	switch (conf_options[id].type) {
	case OPTION_STR:
	case OPTION_ENUM:
		return set_text(c, id, text[0]);
	case OPTION_LIST:
		return set_list(c, id, text, n);
	case OPTION_INT:
	case OPTION_SIZE:
	case OPTION_DURATION:
		return set_number(c, id, text[0]);
	case OPTION_RATE:
		if (!parse_rate(text[0], &rate))
			return -EINVAL;
		*(struct conf_rate *)field(c, id) = rate;
		return 0;
	case OPTION_BOOL:
		if (!is_word_of("on off", text[0]))
			return -EINVAL;
		*(bool *)field(c, id) = strcmp(text[0], "on") == 0;
		return 0;
	}
	return -EINVAL;
}

int
option_set(struct conf *c, enum option_id id, const char *const *text, size_t n,
	   char why[OPTION_WHY])
{
	int err = set_any(c, id, text, n);
	char allowed[OPTION_WHY / 2];

	if (err == -EINVAL) {
		option_allowed(id, allowed, sizeof(allowed));
		if (conf_options[id].type == OPTION_LIST)
			snprintf(why, OPTION_WHY, "not allowed; allowed is %s", allowed);
		else
			snprintf(why, OPTION_WHY, "\"%.100s\" is not allowed; allowed is %s",
				 text[0], allowed);
	}
	return err;
}

int
option_set_default(struct conf *c, enum option_id id)
{
	char *copy, *rest, *word;
	const char *item[16];
	size_t n = 0;
	int err;

	if (conf_options[id].type != OPTION_LIST)
		return set_any(c, id, &conf_options[id].dflt, 1);
	copy = strdup(conf_options[id].dflt);
	if (!copy)
		return -ENOMEM;
	for (word = strtok_r(copy, " ", &rest); word && n < N_OF(item);
	     word = strtok_r(NULL, " ", &rest))
		item[n++] = word;
	err = set_list(c, id, item, n);
	free(copy);
	return err;
}

void
option_clear(struct conf *c, enum option_id id)
{
	char **text = field(c, id);

	if (conf_options[id].type == OPTION_LIST) {
		list_free(field(c, id));
	} else if (conf_options[id].type == OPTION_STR || conf_options[id].type == OPTION_ENUM) {
		free(*text);
		*text = NULL;
	}
}

static bool
list_same(const struct conf_list *a, const struct conf_list *b)
{
	size_t i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (strcmp(a->item[i], b->item[i]) != 0)
			return false;
	return true;
}

static size_t
field_size(enum option_type type)
{
	switch (type) {
	case OPTION_STR:
	case OPTION_ENUM:
		return sizeof(char *);
	case OPTION_LIST:
		return sizeof(struct conf_list);
	case OPTION_RATE:
		return sizeof(struct conf_rate);
	case OPTION_BOOL:
		return sizeof(bool);
	case OPTION_INT:
	case OPTION_SIZE:
	case OPTION_DURATION:
		break;
	}
	return sizeof(int64_t);
}

bool
option_same(const struct conf *a, const struct conf *b, enum option_id id)
{
	enum option_type type = conf_options[id].type;

	if (type == OPTION_LIST)
		return list_same(field(a, id), field(b, id));
	if (type == OPTION_STR || type == OPTION_ENUM)
		return strcmp(*(char **)field(a, id), *(char **)field(b, id)) == 0;
	return memcmp(field(a, id), field(b, id), field_size(type)) == 0;
}

void
option_swap(struct conf *a, struct conf *b, enum option_id id)
{
	unsigned char kept[sizeof(struct conf_list) + sizeof(struct conf_rate)];
	size_t n = field_size(conf_options[id].type);

	memcpy(kept, field(a, id), n);
	memcpy(field(a, id), field(b, id), n);
	memcpy(field(b, id), kept, n);
}

void
option_quote(struct text t, FILE *out)
{
	size_t i;

	putc('"', out);
	for (i = 0; i < t.len; i++) {
		if (t.at[i] == '\\' || t.at[i] == '"' || t.at[i] == '$')
			putc('\\', out);
		putc(t.at[i], out);
	}
	putc('"', out);
}

static void
print_list(const struct conf_list *list, FILE *out)
{
	size_t i;

	putc('{', out);
	for (i = 0; i < list->n; i++) {
		if (i > 0)
			fputs(", ", out);
		option_quote(text_of(list->item[i]), out);
	}
	putc('}', out);
}

void
option_print(const struct conf *c, enum option_id id, FILE *out)
{
	enum option_type type = conf_options[id].type;
	char buf[64];

	if (type == OPTION_LIST) {
		print_list(field(c, id), out);
	} else if (type == OPTION_STR || type == OPTION_ENUM) {
		option_quote(text_of(*(char **)field(c, id)), out);
	} else if (type == OPTION_BOOL) {
		fputs(*(bool *)field(c, id) ? "on" : "off", out);
	} else if (type == OPTION_RATE) {
		format_rate(buf, sizeof(buf), field(c, id));
		option_quote(text_of(buf), out);
	} else {
		format_number(buf, sizeof(buf), type, *(int64_t *)field(c, id));
		fputs(buf, out);
	}
}
