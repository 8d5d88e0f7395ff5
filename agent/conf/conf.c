#include "conf/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "conf/option.h"

#define FILE_MAX_BYTES 1048576 /* every option at its longest is far below */

struct conf *
conf_defaults(void)
{
	struct conf *c = calloc(1, sizeof(*c));
	unsigned i;

	for (i = 0; c && i < OPTION_N; i++) {
		if (option_set_default(c, (enum option_id)i)) {
			conf_free(c);
			return NULL;
		}
	}
	return c;
}

static int
load_file(struct conf_loader *l)
{
	char *text = NULL;
	size_t len;
	int err;

	err = file_read(l->path, FILE_MAX_BYTES, &text, &len);
	if (err) {
		fprintf(l->faults, "%s: cannot be read: %s\n", l->path, strerror(-err));
		return -EINVAL;
	}
	if (strlen(text) != len) {
		fprintf(l->faults, "%s: holds a NUL byte; only text is allowed\n", l->path);
		err = -EINVAL;
	} else {
		err = conf_parse_file(l, text);
	}
	free(text);
	return err;
}

int
conf_load(enum conf_program program, const char *path, char *const overrides[], size_t n,
	  FILE *faults, struct conf **ret_conf)
{
	struct conf_loader l = {.conf = NULL, .faults = faults, .path = path};
	size_t i;
	int err = 0;

	l.conf = conf_defaults();
	if (!l.conf)
		return -ENOMEM;
	if (path)
		err = load_file(&l);
	for (i = 0; !err && i < n; i++)
		err = conf_parse_override(&l, overrides[i]);
	if (!err)
		conf_check(&l, program);
	if (!err && l.n_faults > 0)
		err = -EINVAL;
	if (err) {
		conf_free(l.conf);
		return err;
	}
	*ret_conf = l.conf;
	return 0;
}

void
conf_free(struct conf *c)
{
	unsigned i;

	if (!c)
		return;
	for (i = 0; i < OPTION_N; i++)
		option_clear(c, (enum option_id)i);
	free(c);
}

void
conf_reload(struct conf *c, struct conf *next, FILE *faults)
{
	const struct option *o;
	unsigned i;

	for (i = 0; i < OPTION_N; i++) {
		o = &conf_options[i];
		if (option_same(c, next, (enum option_id)i))
			continue;
		if (o->reload == OPTION_RELOAD)
			option_swap(c, next, (enum option_id)i);
		else
			fprintf(faults, "%s.%s\n", conf_sections[o->section].name, o->key);
	}
}
