#include <string.h>

#include "conf/option.h"

void
conf_print(const struct conf *c, enum conf_program program, FILE *out)
{
	unsigned s, i;

	for (s = 0; s < SECTION_N; s++) {
		if (!(conf_sections[s].programs & program))
			continue;
		fprintf(out, "%s {\n", conf_sections[s].name);
		for (i = 0; i < OPTION_N; i++) {
			if (conf_options[i].section != s)
				continue;
			fprintf(out, "\t%s = ", conf_options[i].key);
			option_print(c, (enum option_id)i, out);
			putc('\n', out);
		}
		fputs("}\n", out);
	}
}

static const char *
type_word(enum option_type type)
{
	switch (type) {
	case OPTION_STR:
		return "text";
	case OPTION_ENUM:
		return "one of";
	case OPTION_LIST:
		return "list";
	case OPTION_INT:
		return "number";
	case OPTION_SIZE:
		return "size";
	case OPTION_DURATION:
		return "duration";
	case OPTION_RATE:
		return "rate";
	case OPTION_BOOL:
		break;
	}
	return "switch";
}

static void
print_option(const struct conf *dflt, enum option_id id, FILE *out)
{
	const struct option *o = &conf_options[id];
	const char *dot;
	char limits[80];

	option_limits(id, limits, sizeof(limits));
	dot = o->sentence[strlen(o->sentence) - 1] == '.' ? "" : ".";
	fprintf(out, "\n\t# %s%s\n\t# %s", o->sentence, dot, type_word(o->type));
	if (o->unit[0])
		fprintf(out, o->type == OPTION_ENUM ? " %s" : " (%s)", o->unit);
	fprintf(out, "%s%s\n", limits,
		o->reload == OPTION_RELOAD ? "; SIGHUP applies a change" : "");
	fprintf(out, "\t%s = ", o->key);
	option_print(dflt, id, out);
	putc('\n', out);
}

void
conf_print_example(FILE *out)
{
	static const char *const name = "web-1";
	struct conf *c = conf_defaults();
	char why[OPTION_WHY];
	unsigned s, i;

	if (!c || option_set(c, OPTION_node_name, &name, 1, why)) {
		conf_free(c);
		return;
	}
	fputs("# Every setting of footfall-agent and footfall-central, with its default.\n"
	      "#\n"
	      "# Made from agent/conf/options.def by `make example`. Both programs read the same "
	      "form of\n"
	      "# file and skip the other's sections; every key but node.name may be left\n"
	      "# out. Sizes are written as 64k, 1m, 1g; durations as 500ms, 30s, 5m, 1h, 7d; lists "
	      "as\n"
	      "# {\"a\", \"b\"}. `check` says what is wrong with a file, `check -v` what it comes "
	      "to.\n",
	      out);
	for (s = 0; s < SECTION_N; s++) {
		fprintf(out, "\n# %s\n%s {", conf_sections[s].sentence, conf_sections[s].name);
		for (i = 0; i < OPTION_N; i++)
			if (conf_options[i].section == s)
				print_option(c, (enum option_id)i, out);
		fputs("}\n", out);
	}
	conf_free(c);
}
