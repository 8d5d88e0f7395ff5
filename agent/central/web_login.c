/* Logging in and out, and who may read. The session's cookie is HttpOnly, so that no script can
 * read it, and SameSite=Strict, so that no other site's page can use it; login takes
 * application/json only, which another site's form cannot send. */
#include <stdio.h>

#include "central/web_internal.h"

#define COOKIE "footfall"

static struct text
cookie_of(const struct http_request *r)
{
	return text_of(http_cookie(r, COOKIE));
}

bool
web_admit_reader(void *ctx, struct http_request *r, struct http_answer *a)
{
	struct web *w = ctx;
	struct text bearer = http_bearer(r), cookie = cookie_of(r);

	if (bearer.at && auth_reader(w->parts.auth, bearer, r->name))
		return true;
	if (cookie.at && auth_session(w->parts.auth, cookie, mono_now(), r->name))
		return true;
	http_answer_error(a, 401,
			  bearer.at ? "no reader has this token" : "log in, or send a token");
	return false;
}

/* {"user","password"} or {"token"}: user absent. Texts point into json. */
static bool
parse_login(json_t *json, struct text *ret_user, struct text *ret_secret)
{
	json_t *user = json_object_get(json, "user"), *password = json_object_get(json, "password");
	json_t *token = json_object_get(json, "token");

	if (token && !user && !password) {
		*ret_user = (struct text){NULL, 0};
		*ret_secret = (struct text){json_string_value(token), json_string_length(token)};
		return json_is_string(token);
	}
	*ret_user = (struct text){json_string_value(user), json_string_length(user)};
	*ret_secret = (struct text){json_string_value(password), json_string_length(password)};
	return json_is_string(user) && json_is_string(password);
}

static void
set_cookie(const struct http_request *r, struct http_answer *a, const char *value,
	   int64_t lifetime_ms)
{
	http_add_header(a, "Set-Cookie",
			COOKIE "=%s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Strict%s", value,
			(long long)(lifetime_ms / 1000), r->tls ? "; Secure" : "");
}

static void
log_in(struct web *w, struct http_request *r, struct http_answer *a, struct text user,
       struct text secret)
{
	char cookie[ACCESS_TOKEN_TEXT];
	unsigned wait_s = 1;

	switch (auth_login(w->parts.auth, r->peer, mono_now(), user, secret, cookie, &wait_s)) {
	case AUTH_OK:
		http_answer_json(a, 200, json_pack("{s:b}", "success", 1));
		set_cookie(r, a, cookie, w->parts.conf->central_session);
		return;
	case AUTH_WRONG:
		http_answer_error(
		    a, 401, user.at ? "user or password is wrong" : "no reader has this token");
		return;
	case AUTH_WAIT:
		http_answer_error(a, 429, "too many attempts; try again in %u s", wait_s);
		http_add_header(a, "Retry-After", "%u", wait_s);
		return;
	}
}

static bool
is_json(const struct http_request *r)
{
	const char *type = http_header(r, "Content-Type");

	return type && strncasecmp(type, "application/json", 16) == 0 &&
	       (type[16] == '\0' || type[16] == ';' || type[16] == ' ');
}

void
web_serve_login(void *ctx, struct http_request *r, struct http_answer *a)
{
	struct text user, secret;
	json_t *json;

	if (!is_json(r)) {
		http_answer_error(a, 415, "send application/json");
		return;
	}
	json = json_loadb(r->body.at ? r->body.at : "", r->body.len, JSON_REJECT_DUPLICATES, NULL);
	if (parse_login(json, &user, &secret))
		log_in(ctx, r, a, user, secret);
	else
		http_answer_error(a, 400, "send {\"user\",\"password\"} or {\"token\"}");
	json_decref(json);
}

void
web_serve_logout(void *ctx, struct http_request *r, struct http_answer *a)
{
	struct web *w = ctx;
	struct text cookie = cookie_of(r);

	if (cookie.at)
		auth_logout(w->parts.auth, cookie, mono_now());
	http_answer_json(a, 200, json_pack("{s:b}", "success", 1));
	set_cookie(r, a, "", 0);
}
