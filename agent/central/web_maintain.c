/* POST /api/v1/maintain/start {"job":"backup","dir":"/…"} or {"job":"retain"}; GET
 * /api/v1/maintain: how far. For the command line alone: it proves by local.token that it may read
 * the data directory. */
#include <errno.h>

#include "central/web_internal.h"

bool
web_admit_local(void *ctx, struct http_request *r, struct http_answer *a)
{
	struct web *w = ctx;

	if (auth_is_local(w->parts.auth, http_bearer(r)))
		return true;
	http_answer_error(a, 403, "only the command line beside the data directory may ask this");
	return false;
}

static json_t *
pack_state(const struct maintain_state *s)
{
	static const char *const jobs[] = {"none", "backup", "retain"};
	json_t *retained =
	    json_pack("{s:I,s:I,s:I,s:I}", "months", (json_int_t)s->retained.months, "batches",
		      (json_int_t)s->retained.batches, "rows", (json_int_t)s->retained.rows, "tags",
		      (json_int_t)s->retained.tags);

	return json_pack("{s:s,s:b,s:i,s:I,s:I,s:o}", "job", jobs[s->job], "running", s->running,
			 "result", s->result, "done", (json_int_t)s->done, "total",
			 (json_int_t)s->total, "retained", retained);
}

void
web_serve_maintain_state(void *ctx, struct http_request *r, struct http_answer *a)
{
	struct web *w = ctx;
	struct maintain_state state;

	(void)r;
	maintain_state(w->parts.maintain, &state);
	http_answer_json(a, 200, pack_state(&state));
}

void
web_serve_maintain(void *ctx, struct http_request *r, struct http_answer *a)
{
	struct web *w = ctx;
	json_t *body = json_loadb(r->body.at ? r->body.at : "", r->body.len, 0, NULL);
	const char *name = json_string_value(json_object_get(body, "job"));
	const char *dir = json_string_value(json_object_get(body, "dir"));
	int err = -EINVAL;

	if (name && strcmp(name, "backup") == 0)
		err = maintain_start(w->parts.maintain, MAINTAIN_BACKUP, dir);
	else if (name && strcmp(name, "retain") == 0)
		err = maintain_start(w->parts.maintain, MAINTAIN_RETAIN, NULL);
	json_decref(body);
	if (err == -EBUSY)
		http_answer_error(a, 409, "a backup or a retain is running already");
	else if (err == -EINVAL)
		http_answer_error(a, 400, "job must be backup, with an absolute dir, or retain");
	else if (err == -ENOENT || err == -EACCES)
		http_answer_error(
		    a, 400,
		    "the running central, which writes the copy, does not see that "
		    "directory (%s); its unit may give it a /tmp or a /home of its own",
		    strerror(-err));
	else if (err)
		http_answer_error(a, 503, "not started: %s", strerror(-err));
	else
		web_serve_maintain_state(ctx, r, a);
}
