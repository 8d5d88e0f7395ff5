/* conf.h -- the settings of a program, as one struct of plain values.
 *
 * Read once at start from a file of libconfuse's form, overridden by -o section.key=value, checked
 * as a whole, and constant from then on. Field names are section_key of options.def: sizes in
 * bytes, durations in ms, strings never NULL.
 *
 * Threads:  constant after conf_load; any may read.
 * Memory:   all strings belong to the struct conf, until conf_free.
 * Errors:   conf_load reports every fault as "file:line: what and what is allowed", one a line.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum conf_program { CONF_AGENT = 1, CONF_CENTRAL = 2, CONF_BOTH = 3 };

struct conf_list {
	char **item;
	size_t n;
};

struct conf_rate {
	int64_t events; /* 0: off */
	int64_t per_ms;
};

#define CONF_C_STR char *
#define CONF_C_ENUM char *
#define CONF_C_LIST struct conf_list
#define CONF_C_INT int64_t
#define CONF_C_SIZE int64_t
#define CONF_C_DURATION int64_t
#define CONF_C_RATE struct conf_rate
#define CONF_C_BOOL bool

struct conf {
#define SECTION(section, programs, sentence)
#define OPT(section, key, type, dflt, min, max, reload, unit, sentence) \
	CONF_C_##type section##_##key;
#include "conf/options.def"
#undef OPT
#undef SECTION
};

/* Reads path (NULL: only defaults and overrides), applies the overrides "section.key=value", checks
 * what `program` uses. Both programs accept a file that holds the other's sections too. 0 with
 * *ret_conf to be freed by conf_free, or -EINVAL with the faults written to `faults`. */
int conf_load(enum conf_program program, const char *path, char *const overrides[], size_t n,
	      FILE *faults, struct conf **ret_conf);
void conf_free(struct conf *c);

/* For `run` and `check`: that the files which `program` will need can be read, secrets with mode
 * 0600. 0, or -EINVAL with the faults written to `faults`. */
int conf_check_files(const struct conf *c, enum conf_program program, FILE *faults);

/* The whole effective configuration of `program`, in a form that conf_load reads again. */
void conf_print(const struct conf *c, enum conf_program program, FILE *out);

/* agent.conf.example: every option with its sentence, default and limits as comments. */
void conf_print_example(FILE *out);

/* Takes over from `next` what options.def marks RELOAD; names of START options that differ are
 * written to `faults`, one a line. Caller must own `c` alone (see agent_main.c). */
void conf_reload(struct conf *c, struct conf *next, FILE *faults);

#endif
