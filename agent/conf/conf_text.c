/* conf_text.c -- the texts that libconfuse is given, made such that it reads them as we
 * mean them. */
#include <string.h>

#include "base/text.h"
#include "conf/option.h"

/* The end of the quoted text that begins at p, behind its closing quote. */
static const char *
skip_quoted(const char *p)
{
	char quote = *p++;

	while (*p && *p != quote)
		p += *p == '\\' && p[1] ? 2 : 1;
	return *p ? p + 1 : p;
}

/* The end of the comment that begins at p, or p when none does. One that is never closed is none:
 * libconfuse will meet it and complain. */
static const char *
skip_comment(const char *p, bool in_word)
{
	const char *end;

	if (*p == '#' || (!in_word && p[0] == '/' && p[1] == '/'))
		return p + strcspn(p, "\n");
	if (in_word || p[0] != '/' || p[1] != '*')
		return p;
	end = strstr(p + 2, "*/");
	return end ? end + 2 : p;
}

void
conf_text_without_comments(const char *text, FILE *out)
{
	bool in_word = false;
	const char *end;

	while (*text) {
		end = skip_comment(text, in_word);
		for (; text < end; text++)
			putc(*text == '\n' ? '\n' : ' ', out);
		if (!*text)
			break;
		end = *text == '"' || *text == '\'' ? skip_quoted(text) : text + 1;
		in_word = !strchr(" \t\n\"'={}()+,", *text);
		fwrite(text, 1, (size_t)(end - text), out);
		text = end;
	}
}

void
conf_text_of_override(enum option_id id, const char *value, FILE *out)
{
	const struct option *o = &conf_options[id];
	size_t n;

	fprintf(out, "%s { %s = ", conf_sections[o->section].name, o->key);
	if (value[0] == '{' || value[0] == '"' || value[0] == '\'') {
		fputs(value, out);
	} else if (o->type != OPTION_LIST) {
		option_quote((struct text){value, strlen(value)}, out);
	} else {
		putc('{', out);
		for (; *value; value += n + (value[n] == ',')) {
			n = strcspn(value, ",");
			option_quote((struct text){value, n}, out);
			fputs(value[n] ? ", " : "", out);
		}
		putc('}', out);
	}
	fputs(" }", out);
}
