/* Settings: every type's forms, every fault with its line, and what is printed is read again. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "conf/conf.h"
#include "conf/option.h"

static char dir[32], path[64];
static char *faults; /* of the last load */

static void
make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/footfall-conf-XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/conf", dir);
}

static void
remove_dir(void)
{
	free(faults);
	faults = NULL;
	(void)unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static struct conf *
load(enum conf_program program, const char *file, char *const overrides[], size_t n)
{
	struct conf *c = NULL;
	size_t size;
	FILE *out;
	int err;

	free(faults);
	faults = NULL;
	out = open_memstream(&faults, &size);
	ck_assert(out != NULL);
	err = conf_load(program, file, overrides, n, out, &c);
	(void)fclose(out);
	ck_assert_int_eq(err, c ? 0 : -EINVAL);
	ck_assert((c == NULL) == (faults[0] != '\0'));
	return c;
}

static struct conf *
load_text(enum conf_program program, const char *text)
{
	ck_assert_int_eq(file_replace(dir, "conf", text, strlen(text), 0600), 0);
	return load(program, path, NULL, 0);
}

static struct conf *
agent(const char *text)
{
	char whole[4096];

	snprintf(whole, sizeof(whole), "%s\nnode { name = w }", text);
	return load_text(CONF_AGENT, whole);
}

static struct conf *
with(const char *override)
{
	char *all[] = {strdup("node.name=w"), strdup(override)};
	struct conf *c = load(CONF_AGENT, NULL, all, 2);

	free(all[0]);
	free(all[1]);
	return c;
}

/* The faults less the path before each. */
static void
expect_faults(const char *expected)
{
	char got[4096] = "";
	const char *line;
	size_t len, at = 0;

	for (line = faults; *line; line += len + 1) {
		len = strcspn(line, "\n");
		if (strncmp(line, path, strlen(path)) == 0) {
			line += strlen(path);
			len -= strlen(path);
		}
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%.*s\n", (int)len, line);
	}
	ck_assert_str_eq(got, expected);
}

START_TEST(without_a_file_the_defaults_hold)
{
	struct conf *c = with("http.workers=2");

	ck_assert(c != NULL);
	ck_assert_str_eq(c->node_name, "w");
	ck_assert_str_eq(c->node_state_dir, "/var/lib/footfall");
	ck_assert_uint_eq(c->admit_types.n, 4);
	ck_assert_str_eq(c->admit_types.item[3], "static");
	ck_assert_uint_eq(c->http_trusted_proxies.n, 0);
	ck_assert_int_eq(c->admit_rate.events, 5);
	ck_assert_int_eq(c->admit_rate.per_ms, 1000);
	ck_assert_int_eq(c->admit_double_click, 30000);
	ck_assert_int_eq(c->admit_max_age, INT64_C(7) * 86400000);
	ck_assert_int_eq(c->batch_spool_max, 1 << 30);
	ck_assert(c->admit_bots && !c->http_demo);
	conf_free(c);
}
END_TEST

START_TEST(the_form_of_the_design_is_read)
{
	struct conf *c;

	c = load_text(
	    CONF_BOTH,
	    "node { name = \"web-1\"  state_dir = \"/var/lib/footfall\" }\n"
	    "http { listen = {\"127.0.0.1:8080\", \"unix:/run/footfall/http.sock\"}\n"
	    "       track_paths = {\"/api/track-view/\"}\n"
	    "       trusted_proxies = {\"127.0.0.1/32\", \"::1/128\"}  allowed_origins = {} }\n"
	    "udp  { listen = {\"127.0.0.1:8125\"} }\n"
	    "admin { listen = \"127.0.0.1:9101\" }              # a comment\n"
	    "admit { types = {\"video\",\"audio\",\"pdf\",\"static\"}  rate = \"5/1s\"\n"
	    "        burst = 100  bots = \"on\"  double_click = 30s  retry_window = 1h\n"
	    "        max_age = 7d }   // another\n"
	    "batch { interval = 1h  spool_max = 1g }\n"
	    "forward { central = \"https://stats.example.org:8443\"\n"
	    "          token_file = \"/etc/footfall/token\"  ca_file = \"\" }\n"
	    "central { listen = {\"127.0.0.1:8090\"}  data_dir = \"/var/lib/footfall-central\"\n"
	    "          store = \"bdb\"  time_zone = \"UTC\"  salt_rotation = \"day\"\n"
	    "          retain_batches = 400d  retain_hours = 90d }\n");
	ck_assert_msg(c != NULL, "%s", faults);
	ck_assert_str_eq(c->http_listen.item[1], "unix:/run/footfall/http.sock");
	ck_assert_int_eq(c->central_retain_batches, INT64_C(400) * 86400000);
	conf_free(c);
}
END_TEST

static const struct {
	const char *text;
	int64_t ms; /* -1: refused */
} durations[] = {
    {"0", 0},
    {"0s", 0},
    {"500ms", 500},
    {"30s", 30000},
    {"5m", 300000},
    {"1h", 3600000},
    {"2h", -1},
    {"3600001ms", -1},
    {"30", -1},
    {"-1s", -1},
    {"1.5s", -1},
    {"s", -1},
    {"1 s", -1},
    {"1S", -1},
    {"", -1},
    {"99999999999999999999d", -1},
    {"9223372036854775807d", -1},
};

START_TEST(durations_have_a_unit_and_limits)
{
	char override[64];
	struct conf *c;
	size_t i;

	for (i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		snprintf(override, sizeof(override), "admit.double_click=%s", durations[i].text);
		c = with(override);
		ck_assert_msg((c != NULL) == (durations[i].ms >= 0), "%s", override);
		if (c)
			ck_assert_int_eq(c->admit_double_click, durations[i].ms);
		conf_free(c);
	}
}
END_TEST

static const struct {
	const char *text;
	int64_t bytes; /* -1: refused */
} sizes[] = {
    {"65536", 65536}, {"64k", 65536}, {"63k", -1},         {"1m", 1 << 20},
    {"1g", 1 << 30},  {"2g", -1},     {"1t", -1},          {"1K", -1},
    {"0x10000", -1},  {"1kb", -1},    {"8589934592g", -1},
};

START_TEST(sizes_count_in_powers_of_1024)
{
	char override[64];
	struct conf *c;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(override, sizeof(override), "journal.segment=%s", sizes[i].text);
		c = with(override);
		ck_assert_msg((c != NULL) == (sizes[i].bytes >= 0), "%s", override);
		if (c)
			ck_assert_int_eq(c->journal_segment, sizes[i].bytes);
		conf_free(c);
	}
}
END_TEST

START_TEST(rates_are_events_in_a_time_or_off)
{
	static const char *const bad[] = {"admit.rate=5",     "admit.rate=5/",   "admit.rate=/1s",
					  "admit.rate=0/1s",  "admit.rate=5/0s", "admit.rate=on",
					  "admit.rate=5/1s ", "admit.rate="};
	struct conf *c = with("admit.rate=100/5m");
	size_t i;

	ck_assert_int_eq(c->admit_rate.events, 100);
	ck_assert_int_eq(c->admit_rate.per_ms, 300000);
	conf_free(c);
	c = with("admit.rate=off");
	ck_assert_int_eq(c->admit_rate.events, 0);
	conf_free(c);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!with(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(switches_and_words_are_what_the_table_names)
{
	static const char *const bad[] = {
	    "admit.bots=yes",      "admit.bots=",     "admit.bots=o",
	    "journal.sync=alway",  "journal.sync=",   "node.log_level=info warn",
	    "node.log_level=INFO", "http.workers=two"};
	struct conf *c = with("admit.bots=off");
	size_t i;

	ck_assert(!c->admit_bots);
	conf_free(c);
	c = with("journal.sync=always");
	ck_assert_str_eq(c->journal_sync, "always");
	conf_free(c);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!with(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(every_fault_is_reported_with_its_line)
{
	ck_assert(!load_text(CONF_AGENT, "node { name = \"We B\"\n"
					 "  nme = 4 }\n"
					 "admit { types = {\"a\",\n"
					 "  \"b\"} slug_types = {\"c\"}\n"
					 "  burst = 1x\n"
					 "  rate = {1} }\n"));
	expect_faults(
	    ":2: no key nme in section node; allowed are: name state_dir user log_level\n"
	    ":5: admit.burst: \"1x\" is not allowed; allowed is a whole number, from 1 "
	    "to 1000000\n"
	    ":6: unexpected token '{'; allowed is: section { key = value }\n"
	    ":1: node.name: \"We B\" is not allowed; allowed is 1 to 64 of a-z 0-9 _ - .\n"
	    ":4: admit.slug_types: \"c\" is no type; allowed are those of admit.types\n");
}
END_TEST

START_TEST(unknown_names_do_not_hide_what_follows)
{
	ck_assert(!agent("http { lisen = {\"x\"}\n"
			 "  workers = 0\n"
			 "  deep { a = 1 } }\n"
			 "htp { b = 2\n"
			 "  c = 3 }\n"
			 "top = 1\n"
			 "batch { interval = 7m }"));
	expect_faults(
	    ":1: no key lisen in section http; allowed are: listen workers track_paths "
	    "script_paths trusted_proxies country_header allowed_origins respect_privacy "
	    "connections connections_per_address connection_memory idle_timeout request_timeout "
	    "drain "
	    "demo\n"
	    ":2: http.workers: \"0\" is not allowed; allowed is a whole number, from 1 to 64\n"
	    ":6: no section top; allowed are: node http udp admin admit journal batch forward "
	    "central\n"
	    ":3: no key deep in section http; allowed are: listen workers track_paths "
	    "script_paths trusted_proxies country_header allowed_origins respect_privacy "
	    "connections connections_per_address connection_memory idle_timeout request_timeout "
	    "drain "
	    "demo\n"
	    ":4: no section htp; allowed are: node http udp admin admit journal batch forward "
	    "central\n"
	    ":7: batch.interval: does not divide an hour; allowed are 1h, 30m, 20m, 15m, 10m, "
	    "5m, 1m, 5s and the like\n");
}
END_TEST

START_TEST(comments_of_every_kind_are_skipped_and_lines_counted)
{
	struct conf *c;

	ck_assert(!agent("# one\n"
			 "http { // two\n"
			 "  workers = 0#three\n"
			 "  /* four\n"
			 "     five */ burst = 1\n"
			 "  idle_timeout = \"# \\\" //\" }\n"
			 "#\n"
			 "admit { burst = 'a\nb' rate = 1 }\n"));
	ck_assert(strstr(faults, ":3: http.workers") && strstr(faults, ":5: no key burst") &&
		  strstr(faults, ":6: http.idle_timeout: \"# \" //\"") &&
		  strstr(faults, ":9: admit.rate"));
	c = agent("forward { central = http://h/a#c\n token_file = '/t#o//k/*' /**/ }");
	ck_assert_msg(c != NULL, "%s", faults);
	ck_assert_str_eq(c->forward_central, "http://h/a");
	ck_assert_str_eq(c->forward_token_file, "/t#o//k/*");
	conf_free(c);
}
END_TEST

START_TEST(a_key_is_set_once)
{
	ck_assert(!agent("http { workers = 2 }\nhttp { workers = 3 }"));
	expect_faults(":2: http.workers: set again, first in line 1; allowed is once\n");
	ck_assert(!agent("admit { types = {\"a\"}\n types = {\"b\"} }"));
	expect_faults(":2: admit.types: set again, first in line 1; allowed is once\n");
}
END_TEST

static const struct {
	const char *text;
	const char *fault;
} torn[] = {
    {"http { workers = 2", ":1: section http is not closed; allowed is: section { key = value }\n"},
    {"http { workers = \"2", ":1: premature end of file; allowed is: section { key = value }\n"},
    {"http { workers = '2",
     ":1: unterminated string constant; allowed is: section { key = value }\n"},
    {"http { workers = 2 } /* ",
     ":1: the text ends inside a comment; allowed is /* and */ in pairs\n"},
    {"http { workers = 2 } }",
     ":1: unexpected closing brace; allowed is: section { key = value }\n"},
    {"http { workers }",
     ":1: missing equal sign after option 'workers'; allowed is: section { key = value }\n"},
};

START_TEST(a_torn_text_is_a_fault_and_harms_no_later_one)
{
	struct conf *c;
	size_t i;

	for (i = 0; i < sizeof(torn) / sizeof(torn[0]); i++) {
		ck_assert(!load_text(CONF_CENTRAL, torn[i].text));
		expect_faults(torn[i].fault);
		c = agent("http { workers = 3 }");
		ck_assert_msg(c && c->http_workers == 3, "after %s: %s", torn[i].text, faults);
		conf_free(c);
	}
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_a_fault)
{
	ck_assert(!load(CONF_CENTRAL, dir, NULL, 0));
	ck_assert(strstr(faults, "cannot be read: Is a directory") != NULL);
	ck_assert(!load(CONF_CENTRAL, path, NULL, 0));
	ck_assert(strstr(faults, "cannot be read: No such file") != NULL);
	ck_assert_int_eq(file_replace(dir, "conf", "a\0b", 3, 0600), 0);
	ck_assert(!load(CONF_CENTRAL, path, NULL, 0));
	ck_assert(strstr(faults, "NUL") != NULL);
}
END_TEST

START_TEST(overrides_win_over_the_file_and_later_ones_over_earlier)
{
	char *all[] = {strdup("http.workers=4"), strdup("http.workers=5")};
	struct conf *c;

	ck_assert_int_eq(file_replace(dir, "conf", "node{name=a}http{workers=3}", 27, 0600), 0);
	c = load(CONF_AGENT, path, all, 2);
	ck_assert_msg(c != NULL, "%s", faults);
	ck_assert_int_eq(c->http_workers, 5);
	ck_assert_str_eq(c->node_name, "a");
	conf_free(c);
	free(all[0]);
	free(all[1]);
}
END_TEST

START_TEST(overrides_are_taken_literally_and_lists_at_commas)
{
	struct conf *c = with("node.state_dir=/tmp/a \"b\" ${HOME} \\ # = {}");

	ck_assert_msg(c != NULL, "%s", faults);
	ck_assert_str_eq(c->node_state_dir, "/tmp/a \"b\" ${HOME} \\ # = {}");
	conf_free(c);
	c = with("http.listen=127.0.0.1:0,unix:/tmp/x");
	ck_assert_uint_eq(c->http_listen.n, 2);
	ck_assert_str_eq(c->http_listen.item[1], "unix:/tmp/x");
	conf_free(c);
	c = with("http.listen={\"127.0.0.1:1\", \"[::1]:2\"}");
	ck_assert_uint_eq(c->http_listen.n, 2);
	ck_assert_str_eq(c->http_listen.item[1], "[::1]:2");
	conf_free(c);
	c = with("udp.listen=");
	ck_assert_uint_eq(c->udp_listen.n, 0);
	conf_free(c);
	c = with("udp.listen={}");
	ck_assert_uint_eq(c->udp_listen.n, 0);
	conf_free(c);
}
END_TEST

START_TEST(faults_of_overrides_name_them)
{
	ck_assert(!with("http.workers=99"));
	expect_faults(
	    "-o http.workers: \"99\" is not allowed; allowed is a whole number, from 1 to "
	    "64\n");
	ck_assert(!with("http.wrkers=1"));
	expect_faults("-o http.wrkers=1: no such setting; allowed is section.key=value\n");
	ck_assert(!with("http.workers"));
	ck_assert(!with("workers=1"));
	ck_assert(!with("=1"));
	ck_assert(!with("http.listen={\"127.0.0.1:1\""));
	ck_assert(!with("http.listen=nowhere"));
	expect_faults("-o http.listen: \"nowhere\" is not allowed; allowed is address:port, "
		      "[address]:port, *:port or unix:path\n");
}
END_TEST

static const struct {
	const char *setting;
	bool good;
} forms[] = {
    {"node.name=web-1.example_x", true},
    {"node.name=", false},
    {"node.name=Web", false},
    {"node.name=0123456789012345678901234567890123456789012345678901234567890123", true},
    {"node.name=01234567890123456789012345678901234567890123456789012345678901234", false},
    {"node.state_dir=", false},
    {"http.listen=127.0.0.1:0", true},
    {"http.listen=*:80", true},
    {"http.listen=localhost:80", false},
    {"http.listen=127.0.0.1", false},
    {"http.listen=127.0.0.1:65536", false},
    {"http.listen=::1:80", false},
    {"http.listen=unix:", false},
    {"http.listen=,", false},
    {"udp.listen=unix:/tmp/x", false},
    {"udp.listen=127.0.0.2:0,[::1]:0", true},
    {"udp.listen=127.0.0.1:0,*:8125", false}, /* without udp.keys_file */
    {"udp.listen=192.0.2.1:8125", false},
    {"udp.require_signed=remote", true},
    {"udp.require_signed=all", false}, /* nor this */
    {"udp.require_signed=none", false},
    {"admin.listen=", false},
    {"http.track_paths=/a/,/b", true},
    {"http.track_paths=a", false},
    {"http.trusted_proxies=10.0.0.0/8,::1,unix,fc00::/7", true},
    {"http.trusted_proxies=10.0.0.0/33", false},
    {"http.trusted_proxies=10.0.0.0/", false},
    {"http.trusted_proxies=::/129", false},
    {"http.trusted_proxies=10.0.0/8", false},
    {"http.trusted_proxies=proxy", false},
    {"http.allowed_origins=https://a.example,http://b:8080", true},
    {"http.allowed_origins=*", true},
    {"http.allowed_origins=a.example", false},
    {"http.allowed_origins=https://a.example/path", false},
    {"http.country_header=X-Country", true},
    {"http.country_header=X Country", false},
    {"admit.types=", false},
    {"admit.types=a b", false},
    {"admit.slug_types=pdf", true},
    {"admit.slug_types=pfd", false},
    {"admit.bot_patterns=", true},
    {"admit.bot_patterns=SiteTester,kiosk 9", true},
    {"admit.bot_patterns=ab", false},
    {"admit.person_patterns=OurReader/", true},
    {"admit.person_patterns=caf\xc3\xa9", false},
    {"admit.person_patterns="
     "123456789012345678901234567890123456789012345678901234567890123456789",
     false},
    {"admit.sites=a,B.c", true},
    {"admit.sites=a/b", false},
    {"forward.central=https://stats.example.org:8443", true},
    {"forward.central=http://127.0.0.1:1/footfall", true},
    {"forward.central=", true},
    {"forward.central=ftp://stats", false},
    {"forward.central=https://", false},
    {"forward.central=https://user@host", false},
    {"forward.central=stats.example.org", false},
    {"batch.interval=5s", true},
    {"batch.interval=7s", false},
    {"journal.segments=6", true},
    {"journal.segments=5", false},
};

START_TEST(texts_have_the_form_that_their_users_read)
{
	struct conf *c;
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		c = with(forms[i].setting);
		ck_assert_msg((c != NULL) == forms[i].good, "%s: %s", forms[i].setting, faults);
		conf_free(c);
	}
}
END_TEST

START_TEST(an_agent_needs_something_to_listen_on)
{
	char *all[] = {strdup("node.name=w"), strdup("http.listen="), strdup("udp.listen=")};

	ck_assert(!load(CONF_AGENT, NULL, all, 3));
	expect_faults(
	    "-o http.listen: is empty and udp.listen as well; an agent needs one of them\n");
	free(all[0]);
	free(all[1]);
	free(all[2]);
}
END_TEST

START_TEST(each_program_checks_what_it_uses)
{
	struct conf *c = load_text(CONF_CENTRAL, "http { listen = {\"nowhere\"} }");

	ck_assert_msg(c != NULL, "%s", faults); /* and no node.name either */
	conf_free(c);
	ck_assert(!load_text(CONF_CENTRAL, "central { time_zone = Europe/Atlantis }"));
	ck_assert(!load_text(CONF_CENTRAL, "central { time_zone = \"../zoneinfo/UTC\" }"));
	ck_assert(!load_text(CONF_CENTRAL, "central { time_zone = \"Europe\" }"));
	ck_assert(!load_text(CONF_CENTRAL, "central { store = lmdb }"));
	ck_assert(!load_text(CONF_CENTRAL, "central { tls_cert_file = \"/x\" }"));
	c = load_text(CONF_CENTRAL, "central { time_zone = Asia/Kathmandu salt_rotation = week }");
	ck_assert_msg(c != NULL, "%s", faults);
	conf_free(c);
	c = agent("central { time_zone = Nowhere }");
	ck_assert_msg(c != NULL, "%s", faults);
	conf_free(c);
}
END_TEST

static char *
printed(const struct conf *c, enum conf_program program)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert(out != NULL);
	conf_print(c, program, out);
	(void)fclose(out);
	return text;
}

START_TEST(what_is_printed_is_read_as_the_same)
{
	struct conf *c, *again;
	char *text;
	unsigned i;

	c = load_text(
	    CONF_BOTH,
	    "node { name = w state_dir = \"/tmp/\\\"a\\\\ ${HOME} \\${HOME} #x\" }\n"
	    "http { workers = 7 listen = {\"unix:/tmp/a,b {}\"} respect_privacy = on\n"
	    "  connection_memory = 5000 idle_timeout = 1500ms }\n"
	    "udp { listen = {} }\n"
	    "admit { types = {\"a\", \"b\"} slug_types += {\"b\"} rate = off max_age = 0s }\n"
	    "forward { central = \"http://h:1/a%20b$x\" }\n"
	    "central { time_zone = Europe/Paris retain_hours = 0 cache = 3m }\n");
	ck_assert_msg(c != NULL, "%s", faults);
	text = printed(c, CONF_BOTH);
	again = load_text(CONF_BOTH, text);
	ck_assert_msg(again != NULL, "%s\n%s", faults, text);
	for (i = 0; i < OPTION_N; i++)
		ck_assert_msg(option_same(c, again, (enum option_id)i), "%s", conf_options[i].key);
	free(text);
	conf_free(again);
	conf_free(c);
}
END_TEST

START_TEST(a_program_prints_its_own_sections_only)
{
	struct conf *c = with("http.workers=3");
	char *text = printed(c, CONF_AGENT);

	ck_assert(strstr(text, "\nhttp {\n") && strstr(text, "\tworkers = 3\n"));
	ck_assert(!strstr(text, "central {"));
	free(text);
	text = printed(c, CONF_CENTRAL);
	ck_assert(strncmp(text, "central {\n", 10) == 0 && !strstr(text, "http {"));
	free(text);
	conf_free(c);
}
END_TEST

START_TEST(the_example_is_current_and_valid_for_both)
{
	static const enum conf_program programs[] = {CONF_AGENT, CONF_CENTRAL, CONF_BOTH};
	char *text = NULL, *file = NULL;
	size_t size, len, i;
	FILE *out = open_memstream(&text, &size);
	struct conf *c, *dflt = conf_defaults();

	ck_assert(out != NULL && dflt != NULL);
	conf_print_example(out);
	(void)fclose(out);
	ck_assert_int_eq(file_read("agent.conf.example", 1 << 20, &file, &len), 0);
	ck_assert_msg(strcmp(file, text) == 0, "agent.conf.example: run `make example`");
	for (i = 0; i < 3; i++) {
		c = load(programs[i], "agent.conf.example", NULL, 0);
		ck_assert_msg(c != NULL, "%s", faults);
		ck_assert(option_same(c, dflt, OPTION_central_cache));
		conf_free(c);
	}
	conf_free(dflt);
	free(file);
	free(text);
}
END_TEST

START_TEST(a_reload_takes_over_what_may_change_and_names_the_rest)
{
	struct conf *c = with("http.trusted_proxies=10.0.0.0/8"), *next;
	char *names = NULL;
	size_t size;
	FILE *out = open_memstream(&names, &size);

	next = agent("http { trusted_proxies = {\"::1\", unix} workers = 5 respect_privacy = on }\n"
		     "admit { burst = 7 }");
	ck_assert(c && next && out);
	conf_reload(c, next, out);
	(void)fclose(out);
	conf_free(next);
	ck_assert_str_eq(names, "http.workers\nadmit.burst\n");
	ck_assert_uint_eq(c->http_trusted_proxies.n, 2);
	ck_assert_str_eq(c->http_trusted_proxies.item[1], "unix");
	ck_assert(c->http_respect_privacy);
	ck_assert_int_eq(c->http_workers, 2);
	ck_assert_int_eq(c->admit_burst, 100);
	conf_free(c);
	free(names);
}
END_TEST

START_TEST(files_of_secrets_are_readable_by_their_owner_only)
{
	struct conf *c;
	char override[128];
	FILE *out;

	snprintf(override, sizeof(override), "forward.token_file=%s", path);
	ck_assert_int_eq(file_replace(dir, "conf", "token", 5, 0644), 0);
	c = with(override);
	out = fopen("/dev/null", "w");
	ck_assert(c && out);
	ck_assert_int_eq(conf_check_files(c, CONF_AGENT, out), -EINVAL);
	ck_assert_int_eq(conf_check_files(c, CONF_CENTRAL, out), 0);
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert_int_eq(conf_check_files(c, CONF_AGENT, out), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(conf_check_files(c, CONF_AGENT, out), -EINVAL);
	conf_free(c);
	(void)fclose(out);
}
END_TEST

START_TEST(every_line_of_the_table_is_sound)
{
	const struct option *o;
	unsigned i;

	for (i = 0; i < OPTION_N; i++) {
		o = &conf_options[i];
		ck_assert_msg(o->sentence[0] != '\0', "%s", o->key);
		ck_assert_msg(option_find(conf_sections[o->section].name, o->key) == i,
			      "%s stands twice", o->key);
		ck_assert_msg(!o->max || o->min <= o->max, "%s", o->key);
	}
	ck_assert_int_eq(option_find("node", "nothing"), OPTION_N);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("conf");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, make_dir, remove_dir);
	tcase_add_test(t, without_a_file_the_defaults_hold);
	tcase_add_test(t, the_form_of_the_design_is_read);
	tcase_add_test(t, durations_have_a_unit_and_limits);
	tcase_add_test(t, sizes_count_in_powers_of_1024);
	tcase_add_test(t, rates_are_events_in_a_time_or_off);
	tcase_add_test(t, switches_and_words_are_what_the_table_names);
	tcase_add_test(t, every_fault_is_reported_with_its_line);
	tcase_add_test(t, unknown_names_do_not_hide_what_follows);
	tcase_add_test(t, comments_of_every_kind_are_skipped_and_lines_counted);
	tcase_add_test(t, a_key_is_set_once);
	tcase_add_test(t, a_torn_text_is_a_fault_and_harms_no_later_one);
	tcase_add_test(t, a_file_that_cannot_be_read_is_a_fault);
	tcase_add_test(t, overrides_win_over_the_file_and_later_ones_over_earlier);
	tcase_add_test(t, overrides_are_taken_literally_and_lists_at_commas);
	tcase_add_test(t, faults_of_overrides_name_them);
	tcase_add_test(t, texts_have_the_form_that_their_users_read);
	tcase_add_test(t, an_agent_needs_something_to_listen_on);
	tcase_add_test(t, each_program_checks_what_it_uses);
	tcase_add_test(t, what_is_printed_is_read_as_the_same);
	tcase_add_test(t, a_program_prints_its_own_sections_only);
	tcase_add_test(t, the_example_is_current_and_valid_for_both);
	tcase_add_test(t, a_reload_takes_over_what_may_change_and_names_the_rest);
	tcase_add_test(t, files_of_secrets_are_readable_by_their_owner_only);
	tcase_add_test(t, every_line_of_the_table_is_sound);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
