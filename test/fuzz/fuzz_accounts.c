/* Any bytes as the central's file of accounts: what is read is written to a file that reads alike,
 * word for word, and nothing of a file is taken when any of it is wrong. */
#include <errno.h>

#include "central/auth_file.h"
#include "test/fuzz/fuzz_dir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_entries(const struct access *a)
{
	const struct access_entry *e;
	size_t i;

	for (i = 0; i < a->n; i++) {
		e = &a->entry[i];
		if (e->kind >= ACCESS_KIND_N || !event_name_valid(text_of(e->name)) ||
		    e->secret[0] == '\0' || !memchr(e->secret, '\0', sizeof(e->secret)) ||
		    access_find(a, e->kind, text_of(e->name)) != e)
			abort();
	}
}

static int
keep(void *ctx, struct access *a)
{
	(void)ctx;
	(void)a;
	return 0;
}

/* A line is the entry's four words, none of them cut, and no more. */
static void
check_line(char *line, const struct access_entry *e)
{
	const char *word[5] = {NULL};
	char *rest = NULL;
	unsigned i;

	for (i = 0; i < 5 && (word[i] = strtok_r(i ? NULL : line, " \t\r\v\f", &rest)); i++)
		;
	if (i != 4 || strcmp(word[0], access_kind_name(e->kind)) != 0 ||
	    strcmp(word[1], e->name) != 0 || strcmp(word[3], e->secret) != 0)
		abort();
}

static void
check_lines(const struct access *a, const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), *rest = NULL, *line;
	size_t n = 0;

	if (!text)
		abort();
	(void)strtok_r(text, "\n", &rest); /* which says what the file is */
	for (; (line = strtok_r(NULL, "\n", &rest)); n++)
		if (n < a->n)
			check_line(line, &a->entry[n]);
	if (n != a->n)
		abort();
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct access a = {NULL, 0}, again = {NULL, 0};
	int err;

	if (!fuzz_dir[0])
		fuzz_dir_make();
	fuzz_file("access", data, size);
	err = access_read(fuzz_dir, &a);
	if (err) {
		if ((err != -EBADMSG && err != -EFBIG && err != -ENOSPC) || a.n > 0)
			abort();
		return 0;
	}
	check_entries(&a);
	check_lines(&a, data, size);
	if (access_change(fuzz_dir, keep, NULL) < 0 || access_read(fuzz_dir, &again) < 0)
		abort();
	if (again.n != a.n ||
	    (a.n > 0 && memcmp(again.entry, a.entry, a.n * sizeof(a.entry[0])) != 0))
		abort();
	access_free(&a);
	access_free(&again);
	return 0;
}
