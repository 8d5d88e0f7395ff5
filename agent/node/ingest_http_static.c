#include "node/ingest_http_static.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/embedded.h"

#define SCRIPT "analytics-tracking.js"
#define DEMO "demo.html"
#define HASH_DIGITS 8
/* a new tracker is everywhere an hour after an upgrade */
#define CACHE_NAMED "public, max-age=3600"
#define CACHE_HASHED "public, max-age=31536000, immutable"

enum form { FORM_PLAIN, FORM_GZIP, FORM_NOT_MODIFIED, FORM_N };

struct static_file {
	char *path;
	const struct embedded *file;
	struct http_answer form[FORM_N][2]; /* the second one closes the connection */
};

struct statics {
	size_t n;
	struct static_file file[];
};

static bool
in_list(struct text list, bool (*matches)(struct text item, const void *ctx), const void *ctx)
{
	const char *comma;
	struct text item;

	while (list.len > 0) {
		comma = memchr(list.at, ',', list.len);
		item = (struct text){list.at, comma ? (size_t)(comma - list.at) : list.len};
		list.at += item.len + (comma != NULL);
		list.len -= item.len + (comma != NULL);
		while (item.len && (item.at[0] == ' ' || item.at[0] == '\t'))
			item.at++, item.len--;
		while (item.len && (item.at[item.len - 1] == ' ' || item.at[item.len - 1] == '\t'))
			item.len--;
		if (matches(item, ctx))
			return true;
	}
	return false;
}

/* "gzip", "gzip;q=0.5", not "gzip;q=0" */
static bool
is_gzip(struct text item, const void *ctx)
{
	size_t i;

	(void)ctx;
	if (item.len < 4 || strncasecmp(item.at, "gzip", 4) != 0)
		return false;
	if (item.len == 4)
		return true;
	for (i = 4; i < item.len && strchr(" \t;qQ=", item.at[i]); i++)
		;
	for (; i < item.len; i++)
		if (item.at[i] >= '1' && item.at[i] <= '9')
			return true;
	return false;
}

bool
accepts_gzip(struct text accept_encoding)
{
	return in_list(accept_encoding, is_gzip, NULL);
}

static bool
is_etag(struct text item, const void *ctx)
{
	if (item.len > 2 && item.at[0] == 'W' && item.at[1] == '/') {
		item.at += 2;
		item.len -= 2;
	}
	return text_is(item, ctx) || text_is(item, "*");
}

bool
etag_matches(struct text if_none_match, const char *etag)
{
	return in_list(if_none_match, is_etag, etag);
}

static bool
make(struct http_answer *a, const struct embedded *e, enum form form, const char *cache,
     bool closes)
{
	bool ok, same = form == FORM_NOT_MODIFIED;
	const uint8_t *body = form == FORM_PLAIN ? e->bytes : e->gzip;
	size_t len = form == FORM_PLAIN ? e->len : form == FORM_GZIP ? e->gzip_len : 0;
	char headers[HTTP_HEAD_MAX];
	/* the two forms differ in bytes and not in meaning: a weak tag for one of them */
	int n = snprintf(headers, sizeof(headers),
			 "Cache-Control: %s\r\nETag: %s%s\r\nVary: Accept-Encoding\r\n%s%s%s%s",
			 cache, form == FORM_GZIP ? "W/" : "", e->etag,
			 same ? "" : "Content-Type: ", same ? "" : e->content_type,
			 same ? "" : "\r\nX-Content-Type-Options: nosniff\r\n",
			 form == FORM_GZIP ? "Content-Encoding: gzip\r\n" : "");

	ok = n > 0 && (size_t)n < sizeof(headers) &&
	     http_answer_make(a, same ? 304 : 200, headers, closes, body, len);
	a->lasts = true;
	return ok;
}

static const struct embedded *
find_embedded(const char *name)
{
	const struct embedded *e;

	for (e = embedded_tracker; e->name; e++)
		if (strcmp(e->name, name) == 0)
			return e;
	return NULL;
}

static bool
add(struct statics *s, const char *path, const struct embedded *e, const char *cache)
{
	struct static_file *f = &s->file[s->n++];
	unsigned form, closes;

	f->file = e;
	f->path = strdup(path);
	if (!f->path)
		return false;
	for (form = 0; form < FORM_N; form++)
		for (closes = 0; closes < 2; closes++)
			if (!make(&f->form[form][closes], e, (enum form)form, cache, closes))
				return false;
	return true;
}

/* /js/x.js and the quoted tag "1a2b3c4d…" give /js/x.1a2b3c4d.js. False when path is no .js. */
static bool
hashed_path(const char *path, const char *etag, char *ret_path, size_t size)
{
	size_t len = strlen(path);

	if (len < 3 || strcmp(path + len - 3, ".js") != 0 || strlen(etag) < HASH_DIGITS + 2)
		return false;
	return snprintf(ret_path, size, "%.*s.%.*s.js", (int)(len - 3), path, HASH_DIGITS,
			etag + 1) < (int)size;
}

struct statics *
statics_new(const struct conf_list *script_paths, bool demo)
{
	const struct embedded *script = find_embedded(SCRIPT), *page = find_embedded(DEMO);
	struct statics *s =
	    calloc(1, sizeof(*s) + (2 * script_paths->n + 1) * sizeof(struct static_file));
	char hashed[1024];
	size_t i;

	if (!s || !script)
		goto fail;
	for (i = 0; i < script_paths->n; i++) {
		if (!add(s, script_paths->item[i], script, CACHE_NAMED))
			goto fail;
		if (hashed_path(script_paths->item[i], script->etag, hashed, sizeof(hashed)) &&
		    !add(s, hashed, script, CACHE_HASHED))
			goto fail;
	}
	if (demo && page && !add(s, "/demo", page, "no-store"))
		goto fail;
	return s;
fail:
	statics_free(s);
	return NULL;
}

void
statics_free(struct statics *s)
{
	unsigned form, closes;
	size_t i;

	if (!s)
		return;
	for (i = 0; i < s->n; i++) {
		for (form = 0; form < FORM_N; form++)
			for (closes = 0; closes < 2; closes++)
				http_answer_free(&s->file[i].form[form][closes]);
		free(s->file[i].path);
	}
	free(s);
}

struct static_file *
statics_find(struct statics *s, struct text path)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (text_is(path, s->file[i].path))
			return &s->file[i];
	return NULL;
}

struct http_answer *
static_answer(struct static_file *f, struct text accept_encoding, struct text if_none_match,
	      bool closes)
{
	enum form form = FORM_PLAIN;

	if (etag_matches(if_none_match, f->file->etag))
		form = FORM_NOT_MODIFIED;
	else if (f->file->gzip_len > 0 && accepts_gzip(accept_encoding))
		form = FORM_GZIP;
	return &f->form[form][closes];
}
