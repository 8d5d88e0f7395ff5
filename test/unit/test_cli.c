/* Arguments, the listen file, and lines of NDJSON as events. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/socket.h"
#include "cli/agent_emit.h"
#include "cli/cli.h"

static char dir[64];

static void
set_up(void)
{
	snprintf(dir, sizeof(dir), "%s/footfall-cli-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void
tear_down(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

/* -- arguments -- */

static struct cli seen; /* as the command got it; pointers are into argv */
static char *seen_arg[16], *seen_override[16];
static const char *seen_scope;
static bool seen_verbose, seen_bad;

static int
see(struct cli *cli)
{
	size_t i;

	seen_verbose = cli_take_flag(cli, "-v");
	seen_scope = cli_take_value(cli, "--scope", &seen_bad);
	seen = *cli;
	for (i = 0; i < cli->n_args; i++)
		seen_arg[i] = cli->arg[i];
	for (i = 0; i < cli->n_overrides; i++)
		seen_override[i] = cli->overrides[i];
	return cli_args_are(cli, 0, 2) && !seen_bad ? CLI_OK : cli_usage(cli);
}

static const struct cli_command commands[] = {
    {"look", "[-v]", "looks", true, see},
    {"node add", "NAME", "adds", true, see},
    {0},
};

/* Words are separated by blanks. */
static int
call(const char *words)
{
	static char line[256];
	char *argv[16] = {line}, *word, *rest = line;
	int argc = 0, out = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY), code;

	snprintf(line, sizeof(line), "program %s", words);
	while ((word = strsep(&rest, " ")))
		argv[argc++] = word;
	dup2(null, STDERR_FILENO); /* usage is not this program's to say */
	seen_bad = false;
	code = cli_main(CONF_AGENT, "program", commands, argc, argv);
	dup2(out, STDERR_FILENO);
	close(out);
	close(null);
	return code;
}

START_TEST(file_and_overrides_are_taken_wherever_they_stand)
{
	ck_assert_int_eq(call("look -o a.b=1 one -c file -v -o c.d=2 two"), CLI_OK);
	ck_assert_str_eq(seen.conf_path, "file");
	ck_assert_uint_eq(seen.n_overrides, 2);
	ck_assert_str_eq(seen_override[0], "a.b=1");
	ck_assert_str_eq(seen_override[1], "c.d=2");
	ck_assert_uint_eq(seen.n_args, 2);
	ck_assert_str_eq(seen_arg[0], "one");
	ck_assert_str_eq(seen_arg[1], "two");
	ck_assert(seen_verbose);
}
END_TEST

START_TEST(commands_of_two_words_and_values_of_options)
{
	ck_assert_int_eq(call("node add web-1 --scope read"), CLI_OK);
	ck_assert_str_eq(seen.command->name, "node add");
	ck_assert_str_eq(seen_scope, "read");
	ck_assert_str_eq(seen_arg[0], "web-1");
	ck_assert_int_eq(call("node add --scope=write web-1"), CLI_OK);
	ck_assert_str_eq(seen_scope, "write");
	ck_assert_int_eq(call("look -"), CLI_OK);
	ck_assert_str_eq(seen_arg[0], "-");
}
END_TEST

static const char *const wrong[] = {
    "",        "nothing",      "node",  "node remove x", "look -c", "look -o", "look one two three",
    "look -x", "look --scope", "looks",
};

START_TEST(a_wrong_command_line_is_2)
{
	ck_assert_int_eq(call(wrong[_i]), CLI_USAGE);
}
END_TEST

/* -- the listen file -- */

START_TEST(addresses_are_found_by_name)
{
	const struct cli_listen lines[] = {
	    {"http", "127.0.0.1:80"}, {"http2", "unix:/run/a=b"}, {"admin", "[::1]:9"}};
	char address[CLI_ADDRESS_MAX];

	ck_assert_int_eq(cli_listen_write(dir, lines, 3), 0);
	ck_assert_int_eq(cli_listen_read(dir, "http", address), 0);
	ck_assert_str_eq(address, "127.0.0.1:80");
	ck_assert_int_eq(cli_listen_read(dir, "http2", address), 0);
	ck_assert_str_eq(address, "unix:/run/a=b");
	ck_assert_int_eq(cli_listen_read(dir, "admin", address), 0);
	ck_assert_str_eq(address, "[::1]:9");
	ck_assert_int_eq(cli_listen_read(dir, "udp", address), -ENOENT);
	ck_assert_int_eq(cli_listen_write(dir, lines, 1), 0);
	ck_assert_int_eq(cli_listen_read(dir, "admin", address), -ENOENT);
}
END_TEST

START_TEST(a_removed_file_has_no_addresses)
{
	const struct cli_listen line = {"http", "127.0.0.1:80"};
	char address[CLI_ADDRESS_MAX];

	ck_assert_int_eq(cli_listen_read(dir, "http", address), -ENOENT);
	ck_assert_int_eq(cli_listen_write(dir, &line, 1), 0);
	cli_listen_remove(dir);
	ck_assert_int_eq(cli_listen_read(dir, "http", address), -ENOENT);
}
END_TEST

/* -- addresses -- */

static const char *const addresses[] = {"127.0.0.1:0", "0.0.0.0:65535", "[::1]:80", "[::]:1",
					"unix:/run/x.sock"};
static const char *const no_addresses[] = {"",
					   "80",
					   ":80",
					   "127.0.0.1",
					   "127.0.0.1:",
					   "127.0.0.1:65536",
					   "127.0.0.1:-1",
					   "127.0.0.1:+1",
					   "localhost:80",
					   "::1:80",
					   "[::1]",
					   "[::1]80",
					   "[127.0.0.1]:80",
					   "127.0.0.1:8 ",
					   "unix:",
					   "127.0.0.1:80x"};

START_TEST(addresses_come_back_as_they_were_written)
{
	struct socket_address a;
	char text[SOCKET_ADDRESS_TEXT];

	ck_assert_int_eq(socket_address_parse(addresses[_i], &a), 0);
	socket_address_format(&a, text);
	ck_assert_str_eq(text, addresses[_i]);
}
END_TEST

START_TEST(what_is_no_address_is_refused)
{
	struct socket_address a;

	ck_assert_int_eq(socket_address_parse(no_addresses[_i], &a), -EINVAL);
}
END_TEST

/* -- NDJSON -- */

#define UUID "6f1c2a30-5d77-4be2-9a3c-0d4b8e6f7a11"

static const char *
parse(const char *line, struct event *e)
{
	static char scratch[4096], host[EVENT_HOST_MAX];

	return emit_parse(text_of(line), scratch, host, e);
}

START_TEST(every_key_of_a_datagram_is_taken)
{
	struct event e;

	ck_assert_ptr_null(parse("{\"type\":\"video\",\"id\":\"" UUID "\",\"eid\":\"" UUID
				 "\",\"ev\":\"play\",\"val\":-1.5e2,\"site\":\"s\","
				 "\"ts\":1432000000123,\"ip\":\"::1\",\"ua\":\"a\\u00e4\\n\","
				 "\"ref\":\"https://X.example:1/y\",\"sess\":\"z\",\"more\":[{}]}",
				 &e));
	ck_assert(text_is(e.type, "video"));
	ck_assert(e.has_uuid && e.uuid[0] == 0x6f && e.uuid[15] == 0x11);
	ck_assert(e.has_event_id && e.event_id[0] == 0x6f);
	ck_assert(text_is(e.name, "play"));
	ck_assert(e.has_value);
	ck_assert_double_eq(e.value, -150);
	ck_assert_int_eq(e.ts_ms, 1432000000123);
	ck_assert(text_is(e.site, "s") && text_is(e.ip, "::1") && text_is(e.session, "z"));
	ck_assert(text_is(e.ua, "a\xc3\xa4\n"));
	ck_assert(text_is(e.referrer, "x.example"));
}
END_TEST

START_TEST(a_slug_is_left_to_the_agent_to_judge)
{
	struct event e;

	ck_assert_ptr_null(parse("{\"type\":\"static\",\"id\":\"about/us\"}", &e));
	ck_assert(!e.has_uuid && !e.has_event_id && !e.has_value);
	ck_assert(text_is(e.id, "about/us"));
	ck_assert_int_eq(e.ts_ms, 0);
}
END_TEST

static const struct {
	const char *line, *says;
} bad_lines[] = {
    {"", ""},
    {"[]", "object"},
    {"not json", ""},
    {"{\"type\":\"video\"}", "id"},
    {"{\"id\":\"x\"}", "type"},
    {"{\"type\":\"\",\"id\":\"x\"}", "type"},
    {"{\"type\":7,\"id\":\"x\"}", "type must be a string"},
    {"{\"type\":\"video\",\"id\":null}", "id must be a string"},
    {"{\"type\":\"video\",\"id\":\"x\",\"eid\":\"y\"}", "eid must be a UUID"},
    {"{\"type\":\"video\",\"id\":\"x\",\"val\":\"1\"}", "val must be a number"},
    {"{\"type\":\"video\",\"id\":\"x\",\"val\":1e999}", "val is too large"},
    {"{\"type\":\"video\",\"id\":\"x\",\"ts\":1.5}", "ts must be a whole number"},
    {"{\"type\":\"video\",\"id\":\"x\",\"ts\":-1}", "ts must be a whole number"},
    {"{\"type\":\"video\",\"id\":\"x\",\"ts\":1e300}", "ts must be a whole number"},
    {"{\"type\":\"video\",\"id\":\"x\",\"ref\":\"no url\"}", "ref must be a URL"},
    {"{\"type\":\"video\",\"type\":\"video\",\"id\":\"x\"}", ""},
    {"{\"type\":\"video\",\"id\":\"x\"} x", ""},
    {"{\"type\":\"video\",\"id\":\"x\"", ""},
};

START_TEST(a_bad_line_is_refused_with_its_reason)
{
	struct event e;
	const char *what = parse(bad_lines[_i].line, &e);

	ck_assert_ptr_nonnull(what);
	ck_assert_msg(strstr(what, bad_lines[_i].says), "%s: %s", bad_lines[_i].line, what);
}
END_TEST

#define LOOP(c, test, table) tcase_add_loop_test(c, test, 0, sizeof(table) / sizeof(*(table)))

int
main(void)
{
	Suite *suite = suite_create("cli");
	TCase *c = tcase_create("cli");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_add_test(c, file_and_overrides_are_taken_wherever_they_stand);
	tcase_add_test(c, commands_of_two_words_and_values_of_options);
	LOOP(c, a_wrong_command_line_is_2, wrong);
	tcase_add_test(c, addresses_are_found_by_name);
	tcase_add_test(c, a_removed_file_has_no_addresses);
	LOOP(c, addresses_come_back_as_they_were_written, addresses);
	LOOP(c, what_is_no_address_is_refused, no_addresses);
	tcase_add_test(c, every_key_of_a_datagram_is_taken);
	tcase_add_test(c, a_slug_is_left_to_the_agent_to_judge);
	LOOP(c, a_bad_line_is_refused_with_its_reason, bad_lines);
	suite_add_tcase(suite, c);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
