/* bot_lists -- how well the classifier does on lists of User-Agents, with and without the packages.
 *
 *     bot_lists (NAME FILE)...     prints a row of a Markdown table for each list
 *
 * Columns: our own rules alone; with crawler-user-agents; with isbot; with both, which is what
 * runs; and what one User-Agent costs then. Each number is the share that is called a bot: for
 * lists of bots the recall, for lists of people the share refused wrongly.
 * test/bench/bot-lists calls it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/bot.h"
#include "node/bot_words.h"

#define ROUNDS 50

struct list {
	struct text *ua;
	size_t n;
};

static bool
list_read(struct list *l, const char *path)
{
	size_t cap = 0, most = 0;
	FILE *f = fopen(path, "re");
	ssize_t len;
	char *line = NULL;

	*l = (struct list){.n = 0};
	if (!f)
		return false;
	while ((len = getline(&line, &cap, f)) > 0) {
		if (l->n == most) {
			most = most ? 2 * most : 1024;
			l->ua = realloc(l->ua, most * sizeof(*l->ua));
			if (!l->ua)
				abort();
		}
		if (line[len - 1] == '\n')
			len--;
		l->ua[l->n++] = (struct text){strndup(line, (size_t)len), (size_t)len};
	}
	free(line);
	fclose(f);
	return l->n > 0;
}

static void
list_free(struct list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free((void *)(uintptr_t)l->ua[i].at);
	free(l->ua);
}

static size_t
count_bots(const struct list *l, const struct bot_rules *rules)
{
	size_t n = 0, i;

	for (i = 0; i < l->n; i++)
		n += bot_user_agent(rules, l->ua[i]).why != NULL;
	return n;
}

static int64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* CPU time, the best of some rounds: on a shared machine the others are somebody else's. */
static double
nanoseconds_each(const struct list *l, const struct bot_rules *rules)
{
	int64_t start, passed, best = INT64_MAX;
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		start = cpu_ns();
		count_bots(l, rules);
		passed = cpu_ns() - start;
		if (passed < best)
			best = passed;
	}
	return (double)best / (double)l->n;
}

static void
row(const char *name, const struct list *l)
{
	struct bot_rules *rules;
	unsigned sources;
	double ns = 0;

	printf("| %s | %zu |", name, l->n);
	for (sources = 0; sources <= BOT_SOURCE_ALL; sources++) {
		if (bot_rules_new(sources, NULL, NULL, &rules) < 0)
			abort();
		printf(" %.2f %% |", 100.0 * (double)count_bots(l, rules) / (double)l->n);
		if (sources == BOT_SOURCE_ALL)
			ns = nanoseconds_each(l, rules);
		bot_rules_free(rules);
	}
	printf(" %.2f µs |\n", ns / 1000);
}

int
main(int argc, char **argv)
{
	struct bot_rules *rules;
	struct list l;
	int i;

	for (i = 1; i + 1 < argc; i += 2) {
		if (!list_read(&l, argv[i + 1])) {
			fprintf(stderr, "bot_lists: cannot read %s\n", argv[i + 1]);
			return 1;
		}
		row(argv[i], &l);
		list_free(&l);
	}
	if (bot_rules_new(BOT_SOURCE_ALL, NULL, NULL, &rules) < 0)
		abort();
	printf("\n%zu words of packages, %zu names, %zu bytes of tables\n", bot_words_n,
	       bot_names_n, bot_rules_bytes(rules));
	bot_rules_free(rules);
	return argc < 3;
}
