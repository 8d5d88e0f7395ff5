/* option.h -- one setting: its line of options.def, and its value as text and as bytes.
 *
 * For the files of conf/ only; everybody else reads struct conf.
 *
 * Threads:  the tables are constant.
 * Memory:   option_set allocates what the struct conf then owns.
 * Errors:   -EINVAL with a sentence in `why`: what the value is not, and what is allowed.
 */
#ifndef CONF_OPTION_H
#define CONF_OPTION_H

#include "base/text.h"
#include "conf/conf.h"

enum option_type {
	OPTION_STR,
	OPTION_ENUM,
	OPTION_LIST,
	OPTION_INT,
	OPTION_SIZE,
	OPTION_DURATION,
	OPTION_RATE,
	OPTION_BOOL
};

enum option_reload { OPTION_START, OPTION_RELOAD };

enum section_id {
#define SECTION(section, programs, sentence) SECTION_##section,
#define OPT(section, key, type, dflt, min, max, reload, unit, sentence)
#include "conf/options.def"
#undef OPT
#undef SECTION
	SECTION_N
};

enum option_id {
#define SECTION(section, programs, sentence)
#define OPT(section, key, type, dflt, min, max, reload, unit, sentence) OPTION_##section##_##key,
#include "conf/options.def"
#undef OPT
#undef SECTION
	OPTION_N
};

struct section {
	const char *name;
	enum conf_program programs;
	const char *sentence;
};

struct option {
	enum section_id section;
	const char *key;
	enum option_type type;
	const char *dflt;
	int64_t min, max; /* max 0: no upper limit */
	enum option_reload reload;
	const char *unit; /* for ENUM: the words, separated by spaces */
	const char *sentence;
	size_t offset; /* of the field in struct conf */
};

extern const struct section conf_sections[SECTION_N];
extern const struct option conf_options[OPTION_N];

#define OPTION_WHY 512

/* OPTION_N when there is no such setting; SECTION_N when there is no such section. */
enum option_id option_find(const char *section, const char *key);
enum section_id section_find(const char *name);

/* Reads the value of a scalar, or the n items of a LIST, into its field of *c and frees what was
 * there. The field is untouched on -EINVAL. */
int option_set(struct conf *c, enum option_id id, const char *const *text, size_t n,
	       char why[OPTION_WHY]);

/* A struct conf with every default; NULL when out of memory. Freed by conf_free. */
struct conf *conf_defaults(void);

/* The default as options.def has it; cannot fail but for -ENOMEM. */
int option_set_default(struct conf *c, enum option_id id);

/* The field of a LIST, and of a STR or ENUM: lent until it is set again. */
const struct conf_list *option_list(const struct conf *c, enum option_id id);
const char *option_text(const struct conf *c, enum option_id id);

/* Frees the field and leaves it empty. */
void option_clear(struct conf *c, enum option_id id);

/* True when both hold the same value. */
bool option_same(const struct conf *a, const struct conf *b, enum option_id id);

/* Swaps the field's values. */
void option_swap(struct conf *a, struct conf *b, enum option_id id);

/* As a file has it: quoted where a string, `{"a", "b"}` for lists. */
void option_print(const struct conf *c, enum option_id id, FILE *out);

/* In double quotes, with what libconfuse would expand or take as an escape escaped. */
void option_quote(struct text t, FILE *out);

/* ", from 1s to 1h", ", at least 1m" or nothing. */
void option_limits(enum option_id id, char *buf, size_t cap);

/* -- conf_parse.c: text of libconfuse's form into a struct conf -- */

struct conf_origin {
	int line;                 /* 0: not known */
	const char *override_arg; /* "section.key=value" that set it last */
	bool set;
};

struct conf_loader {
	struct conf *conf;
	FILE *faults;
	unsigned n_faults;
	const char *path;
	struct conf_origin origin[OPTION_N];
};

/* Reads a whole file's text. Faults are written and counted, the return value is 0 or -ENOMEM. */
int conf_parse_file(struct conf_loader *l, const char *text);
/* Reads "section.key=value". */
int conf_parse_override(struct conf_loader *l, const char *arg);

/* Writes "path:line: section.key: message" as it was set, and counts it. */
__attribute__((format(printf, 3, 4))) void conf_fault(struct conf_loader *l, enum option_id id,
						      const char *fmt, ...);

/* -- conf_text.c: what libconfuse is given -- */

/* The text with blanks for comments: libconfuse counts a line three times when it ends in one. */
void conf_text_without_comments(const char *text, FILE *out);

/* `section { key = value }` of an override. Values are taken as they stand, lists divided at
 * commas, so that no quoting is needed inside them; what begins like a list or a quoted text is
 * read as in a file. */
void conf_text_of_override(enum option_id id, const char *value, FILE *out);

/* -- conf_check.c: what holds between settings, and what strings must look like -- */
void conf_check(struct conf_loader *l, enum conf_program program);

#endif
