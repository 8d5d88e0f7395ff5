/* A configuration file; NUL bytes divide it from overrides (-o) behind it. What is accepted prints
 * to a text that reads to the same settings, and the parts of the agent take it; what is refused is
 * refused with a sentence. The program is the central when the file has its section. */
#include <errno.h>

#include "base/socket.h"
#include "conf/conf.h"
#include "node/bot.h"
#include "node/client_addr.h"
#include "test/fuzz/fuzz_dir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OVERRIDES_MAX 8

struct input {
	char *text; /* the file, then the overrides, each with a NUL behind */
	size_t file_len;
	char *overrides[OVERRIDES_MAX];
	size_t n;
};

static struct conf *
load(enum conf_program program, const struct input *in)
{
	char path[FUZZ_PATH_MAX], *faults = NULL;
	struct conf *c = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&faults, &len);
	int err;

	if (!f)
		abort();
	fuzz_file("conf", in->text, in->file_len);
	fuzz_path("conf", path);
	err = conf_load(program, path, in->overrides, in->n, f, &c);
	fclose(f);
	if (err ? err != -EINVAL || len == 0 || c : len > 0 || !c)
		abort();
	free(faults);
	return c;
}

static char *
print(const struct conf *c, enum conf_program program, size_t *ret_len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_len);

	if (!f)
		abort();
	conf_print(c, program, f);
	if (fclose(f))
		abort();
	return text;
}

static void
check_print(const struct conf *c, enum conf_program program)
{
	struct input in = {0};
	size_t again_len = 0;
	struct conf *back;
	char *again;

	in.text = print(c, program, &in.file_len);
	back = load(program, &in);
	if (!back)
		abort(); /* what `check -v` prints is no configuration */
	again = print(back, program, &again_len);
	if (again_len != in.file_len || memcmp(again, in.text, again_len) != 0)
		abort();
	conf_free(back);
	free(in.text);
	free(again);
}

static void
check_addresses(const struct conf_list *list)
{
	struct socket_address a;
	size_t i;

	for (i = 0; i < list->n; i++)
		if (socket_address_parse(list->item[i], &a) < 0)
			abort();
}

/* A start, or a reload, must not fail on what `check` calls good. */
static void
check_agent(const struct conf *c)
{
	struct client_proxies *proxies = NULL;
	struct bot_rules *rules = NULL;
	const char *bad;

	if (client_proxies_new(&c->http_trusted_proxies, &proxies, &bad) < 0)
		abort();
	if (bot_rules_new(0, &c->admit_bot_patterns, &c->admit_person_patterns, &rules) < 0)
		abort();
	check_addresses(&c->http_listen);
	check_addresses(&c->udp_listen);
	bot_rules_free(rules);
	client_proxies_free(proxies);
}

static void
split(struct input *in, size_t size)
{
	char *at;

	in->file_len = strlen(in->text);
	for (at = in->text + in->file_len + 1; at < in->text + size && in->n < OVERRIDES_MAX;
	     at += strlen(at) + 1)
		in->overrides[in->n++] = at;
}

static void
check(enum conf_program program, const struct input *in)
{
	struct conf *c = load(program, in);

	if (!c)
		return;
	check_print(c, program);
	if (program == CONF_AGENT)
		check_agent(c);
	conf_free(c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.text = malloc(size + 1)};

	if (!in.text)
		abort();
	if (!fuzz_dir[0])
		fuzz_dir_make();
	if (size > 0)
		memcpy(in.text, data, size);
	in.text[size] = '\0';
	split(&in, size);
	check(strstr(in.text, "central {") ? CONF_CENTRAL : CONF_AGENT, &in);
	free(in.text);
	return 0;
}
