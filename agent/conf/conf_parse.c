/* conf_parse.c -- text of libconfuse's form into a struct conf.
 *
 * libconfuse stops at the first key that it does not know, and we want to report every fault at
 * once. So a file is read more than once: silently, until no unknown name turns up any more, each
 * one found being declared for the next round; then once aloud. A syntax error ends the reading,
 * since what follows it means nothing.
 */
#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "conf/option.h"

#define UNKNOWN_MAX 64 /* a file with more unknown names is no file of ours */
#define NAME_BYTES 64
#define NOT_SET "\001" /* default of lists: no value that option_set takes */
/* A key behind every text: libconfuse accepts one that ends inside a section or a comment. */
#define END_MARK "end-of-file"

struct unknown {
	char section[NAME_BYTES], name[NAME_BYTES];
	bool is_section;
	int line;
};

struct parse {
	struct conf_loader *loader;
	const char *override_arg; /* NULL: a file */
	int last_line;
	bool silent; /* look for unknown names only */
	bool declaring;
	bool touched[OPTION_N]; /* lists that the text gives an item */
	bool grown;             /* the silent round found an unknown name */
	struct unknown unknown[UNKNOWN_MAX];
	size_t n_unknown;
	cfg_opt_t *made[SECTION_N + UNKNOWN_MAX + 1]; /* what we declared to libconfuse */
	size_t n_made;
};

/* libconfuse's callbacks carry no pointer of ours. Set while a text is read, by its thread. */
static _Thread_local struct parse *current;

static void fault_at(struct parse *p, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
fault_head(const struct conf_loader *l, int line, const char *override_arg)
{
	if (override_arg)
		fprintf(l->faults, "-o %.*s: ", (int)strcspn(override_arg, "="), override_arg);
	else if (l->path && line > 0)
		fprintf(l->faults, "%s:%d: ", l->path, line);
	else if (l->path)
		fprintf(l->faults, "%s: ", l->path);
}

void
conf_fault(struct conf_loader *l, enum option_id id, const char *fmt, ...)
{
	const struct conf_origin *from = &l->origin[id];
	const struct option *o = &conf_options[id];
	va_list args;

	fault_head(l, from->line, from->override_arg);
	if (!from->override_arg)
		fprintf(l->faults, "%s.%s: ", conf_sections[o->section].name, o->key);
	va_start(args, fmt);
	vfprintf(l->faults, fmt, args);
	va_end(args);
	putc('\n', l->faults);
	l->n_faults++;
}

static void
fault_at(struct parse *p, int line, const char *fmt, ...)
{
	va_list args;

	/* a text that ends too early is noticed behind its end */
	fault_head(p->loader, line < p->last_line ? line : p->last_line, p->override_arg);
	va_start(args, fmt);
	vfprintf(p->loader->faults, fmt, args);
	va_end(args);
	putc('\n', p->loader->faults);
	p->loader->n_faults++;
}

static struct unknown *
unknown_find(struct parse *p, const char *section, const char *name)
{
	size_t i;

	for (i = 0; i < p->n_unknown; i++)
		if (strcmp(p->unknown[i].section, section) == 0 &&
		    strcmp(p->unknown[i].name, name) == 0)
			return &p->unknown[i];
	return NULL;
}

static void
unknown_add(struct parse *p, const char *section, const char *name, int line)
{
	struct unknown *u = &p->unknown[p->n_unknown];

	if (p->n_unknown == UNKNOWN_MAX || strlen(name) >= NAME_BYTES ||
	    strlen(section) >= NAME_BYTES || unknown_find(p, section, name))
		return;
	memcpy(u->section, section, strlen(section) + 1);
	memcpy(u->name, name, strlen(name) + 1);
	u->line = line;
	u->is_section = false;
	p->n_unknown++;
	p->grown = true;
}

static bool
is_format(const char *fmt, const char *words)
{
	return strncmp(fmt, words, strlen(words)) == 0;
}

/* libconfuse's only way to say what is wrong. */
__attribute__((format(printf, 2, 0))) static void
on_error(cfg_t *cfg, const char *fmt, va_list args)
{
	struct parse *p = current;
	struct unknown *u;
	char message[256];
	va_list copy;
	bool open;

	va_copy(copy, args);
	open = is_format(fmt, "no such option '%s'") &&
	       strcmp(va_arg(copy, const char *), END_MARK) == 0;
	va_end(copy);
	if (open && !p->silent) {
		fault_at(p, cfg->line - 1,
			 "section %s is not closed; allowed is: section { key = value }",
			 cfg->name);
	} else if (open) {
		return;
	} else if (!p->silent) {
		vsnprintf(message, sizeof(message), fmt, args);
		fault_at(p, cfg->line, "%s; allowed is: section { key = value }", message);
	} else if (is_format(fmt, "no such option '%s'")) {
		unknown_add(p, cfg->name, va_arg(args, const char *), cfg->line);
	} else if (is_format(fmt, "missing equal sign after option '%s'")) {
		u = unknown_find(p, cfg->name, va_arg(args, const char *));
		p->grown = u && !u->is_section;
		if (p->grown)
			u->is_section = true;
	}
}

static void
list_names(struct parse *p, enum section_id in)
{
	FILE *out = p->loader->faults;
	unsigned i;

	for (i = 0; in == SECTION_N && i < SECTION_N; i++)
		fprintf(out, " %s", conf_sections[i].name);
	for (i = 0; i < OPTION_N; i++)
		if (conf_options[i].section == in)
			fprintf(out, " %s", conf_options[i].key);
	putc('\n', out);
}

/* One of ours, met inside an unknown section that is called like one of ours: `http { http { … }
 * }`. libconfuse tells of a name only the section right around it. */
static bool
is_ours(const char *section, const char *name)
{
	return option_find(section, name) != OPTION_N ||
	       (strcmp(section, "root") == 0 && section_find(name) != SECTION_N);
}

static void
report_unknown(struct parse *p, int line, const char *section, const char *name)
{
	enum section_id in = section_find(section);

	if ((in == SECTION_N && strcmp(section, "root") != 0) || is_ours(section, name))
		return; /* the section itself is reported */
	fault_head(p->loader, line, p->override_arg);
	p->loader->n_faults++;
	if (in == SECTION_N)
		fprintf(p->loader->faults, "no section %s; allowed are:", name);
	else
		fprintf(p->loader->faults, "no key %s in section %s; allowed are:", name, section);
	list_names(p, in);
}

static int
on_unknown(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	*(const char **)result = value;
	if (!current->silent && cfg_opt_size(opt) == 1)
		report_unknown(current, cfg->line, cfg->name, opt->name);
	return 0;
}

static void
set_value(struct parse *p, enum option_id id, const char *const *text, size_t n)
{
	char why[OPTION_WHY];
	int err = option_set(p->loader->conf, id, text, n, why);

	if (err == -EINVAL)
		conf_fault(p->loader, id, "%s", why);
	else if (err)
		conf_fault(p->loader, id, "out of memory");
}

/* Called with each value of a scalar, and with each item of a list. */
static int
on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	enum option_id id = option_find(cfg->name, opt->name);
	struct conf_origin *from = &current->loader->origin[id];
	int first = from->line;

	*(const char **)result = value;
	if (current->silent || current->declaring)
		return 0;
	current->touched[id] = true;
	if (conf_options[id].type == OPTION_LIST && cfg_opt_size(opt) > 1)
		return 0; /* a further item; the whole list is set at the end */
	from->line = cfg->line;
	if (from->set && !current->override_arg)
		conf_fault(current->loader, id, "set again, first in line %d; allowed is once",
			   first);
	from->set = true;
	from->override_arg = current->override_arg;
	if (conf_options[id].type != OPTION_LIST)
		set_value(current, id, &value, 1);
	return 0;
}

/* Room for every option that one section can hold, with the end mark. */
static cfg_opt_t *
make_options(struct parse *p)
{
	cfg_opt_t *opts = calloc(SECTION_N + OPTION_N + UNKNOWN_MAX + 2, sizeof(*opts));

	if (opts)
		p->made[p->n_made++] = opts;
	return opts;
}

static bool
add_unknown(struct parse *p, cfg_opt_t **at, const char *section, bool with_sections)
{
	cfg_opt_t *subopts;
	struct unknown *u;

	for (u = p->unknown; u < p->unknown + p->n_unknown; u++) {
		if (strcmp(u->section, section) != 0 ||
		    (with_sections && is_ours(section, u->name)))
			continue; /* with_sections: this is no unknown section itself */
		if (u->is_section && with_sections) {
			subopts = make_options(p);
			if (!subopts)
				return false;
			*(*at)++ = (cfg_opt_t)CFG_SEC(u->name, subopts, CFGF_NONE);
			if (!add_unknown(p, &subopts, u->name, false))
				return false;
		} else {
			*(*at)++ =
			    (cfg_opt_t)CFG_STR_LIST_CB(u->name, NULL, CFGF_NODEFAULT, on_unknown);
		}
	}
	return true;
}

static bool
add_section(struct parse *p, cfg_opt_t **at, enum section_id id)
{
	cfg_opt_t *subopts = make_options(p);
	const struct option *o;
	static char not_set[] = "{" NOT_SET "}";

	if (!subopts)
		return false;
	*(*at)++ = (cfg_opt_t)CFG_SEC(conf_sections[id].name, subopts, CFGF_NONE);
	for (o = conf_options; o < conf_options + OPTION_N; o++) {
		if (o->section != id)
			continue;
		if (o->type == OPTION_LIST)
			*subopts++ =
			    (cfg_opt_t)CFG_STR_LIST_CB(o->key, not_set, CFGF_NONE, on_value);
		else
			*subopts++ = (cfg_opt_t)CFG_STR_CB(o->key, NULL, CFGF_NODEFAULT, on_value);
	}
	return add_unknown(p, &subopts, conf_sections[id].name, true);
}

static cfg_t *
declare(struct parse *p)
{
	cfg_opt_t *root = make_options(p), *at = root;
	cfg_t *cfg = NULL;
	unsigned s;

	p->declaring = true;
	for (s = 0; root && s < SECTION_N; s++)
		if (!add_section(p, &at, (enum section_id)s))
			root = NULL;
	if (root && add_unknown(p, &at, "root", true)) {
		*at = (cfg_opt_t)CFG_STR(END_MARK, NULL, CFGF_NODEFAULT);
		cfg = cfg_init(root, CFGF_NONE); /* copies them */
	}
	while (p->n_made > 0)
		free(p->made[--p->n_made]);
	if (cfg)
		cfg_set_error_function(cfg, on_error);
	p->declaring = false;
	return cfg;
}

/* Reports unknown sections: they have no value, so that no callback saw them. */
static void
report_sections(struct parse *p)
{
	size_t i;

	for (i = 0; i < p->n_unknown; i++)
		if (p->unknown[i].is_section)
			report_unknown(p, p->unknown[i].line, p->unknown[i].section,
				       p->unknown[i].name);
}

/* A list that was assigned to: the items, after the default's when it was extended with +=. */
static int
set_list(struct parse *p, enum option_id id, cfg_opt_t *opt)
{
	size_t n = cfg_opt_size(opt), kept = 0, i;
	struct conf_list dflt = {NULL, 0};
	const char **items;

	if (n == 1 && !p->touched[id])
		return 0;
	if (n > 0 && strcmp(cfg_opt_getnstr(opt, 0), NOT_SET) == 0) {
		dflt = *option_list(p->loader->conf, id);
		kept = 1;
	}
	if (n == 0 && p->touched[id])
		conf_fault(p->loader, id, "set again; allowed is once");
	items = calloc(dflt.n + n + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (i = 0; i < dflt.n; i++)
		items[i] = dflt.item[i];
	for (; kept < n; kept++)
		items[i++] = cfg_opt_getnstr(opt, (unsigned)kept);
	if (p->override_arg)
		p->loader->origin[id].override_arg = p->override_arg;
	set_value(p, id, items, i);
	free(items);
	return 0;
}

static int
set_lists(struct parse *p, cfg_t *cfg)
{
	const struct option *o;
	unsigned i;
	int err = 0;

	for (i = 0; !err && i < OPTION_N; i++) {
		o = &conf_options[i];
		if (o->type == OPTION_LIST)
			err = set_list(
			    p, (enum option_id)i,
			    cfg_getopt(cfg_getsec(cfg, conf_sections[o->section].name), o->key));
	}
	return err;
}

static void
ignore_error(cfg_t *cfg, const char *fmt, va_list args)
{
	(void)cfg;
	(void)fmt;
	(void)args;
}

static bool
scanner_reads(const char *text)
{
	cfg_opt_t opts[] = {CFG_STR("probe", NULL, CFGF_NODEFAULT), CFG_END()};
	cfg_t *cfg = cfg_init(opts, CFGF_NONE);
	bool seen = false;

	if (!cfg)
		return false;
	cfg_set_error_function(cfg, ignore_error);
	cfg_parse_buf(cfg, text);
	seen = cfg_getstr(cfg, "probe") != NULL;
	cfg_free(cfg);
	return seen;
}

/* libconfuse's scanner is one per process and keeps its state: after a text that ends inside quotes
 * or a comment it would take the next one, at a reload say, for their rest. */
static void
scanner_reset(void)
{
	static const char *const closers[] = {"\"", "'", "*/"};
	size_t i;

	for (i = 0; i < 3 && !scanner_reads("probe = 1"); i++)
		scanner_reads(closers[i]);
}

static void
report_open(struct parse *p, cfg_t *cfg)
{
	if (!p->silent)
		fault_at(p, cfg->line,
			 "the text ends inside a comment; allowed is /* and */ in pairs");
	scanner_reset();
}

static int
read_once(struct parse *p, const char *text, bool silent)
{
	cfg_t *cfg = declare(p);
	int err = 0;

	if (!cfg)
		return -ENOMEM;
	p->silent = silent;
	p->grown = false;
	if (cfg_parse_buf(cfg, text) != CFG_SUCCESS)
		scanner_reset();
	else if (!cfg_getstr(cfg, END_MARK))
		report_open(p, cfg);
	if (!silent) {
		report_sections(p);
		err = set_lists(p, cfg);
	}
	cfg_free(cfg);
	return err;
}

static int
parse(struct conf_loader *l, const char *override_arg, const char *text)
{
	struct parse *p = calloc(1, sizeof(*p));
	const char *at;
	int err;

	if (!p)
		return -ENOMEM;
	p->loader = l;
	p->override_arg = override_arg;
	for (at = text; (at = strchr(at, '\n')) != NULL && at[1] != '\0'; at++)
		p->last_line++;
	current = p;
	do
		err = read_once(p, text, true);
	while (!err && p->grown);
	if (!err)
		err = read_once(p, text, false);
	current = NULL;
	free(p);
	return err;
}

/* Ends the text in *buf, that `out` was opened on, and reads it. */
static int
parse_stream(struct conf_loader *l, const char *override_arg, FILE *out, char *const *buf)
{
	int err;

	fputs("\n" END_MARK " = 1\n", out);
	err = fclose(out) == EOF ? -ENOMEM : parse(l, override_arg, *buf);
	free(*buf);
	return err;
}

int
conf_parse_file(struct conf_loader *l, const char *text)
{
	char *buf = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&buf, &size);

	if (!out)
		return -ENOMEM;
	conf_text_without_comments(text, out);
	return parse_stream(l, NULL, out, &buf);
}

int
conf_parse_override(struct conf_loader *l, const char *arg)
{
	char name[2 * NAME_BYTES], *dot, *text = NULL;
	size_t len = strcspn(arg, "="), size = 0;
	enum option_id id = OPTION_N;
	FILE *out;

	if (len < sizeof(name) && arg[len] == '=') {
		memcpy(name, arg, len);
		name[len] = '\0';
		dot = strchr(name, '.');
		if (dot) {
			*dot = '\0';
			id = option_find(name, dot + 1);
		}
	}
	if (id == OPTION_N) {
		fprintf(l->faults, "-o %s: no such setting; allowed is section.key=value\n", arg);
		l->n_faults++;
		return 0;
	}
	out = open_memstream(&text, &size);
	if (!out)
		return -ENOMEM;
	conf_text_of_override(id, arg + len + 1, out);
	return parse_stream(l, arg, out, &text);
}
