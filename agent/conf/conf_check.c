#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/privileges.h"
#include "base/socket.h"
#include "conf/option.h"

#define NAME_MAX_BYTES 64
#define SECRET_MAX_BYTES 65536
#define PATTERNS_MAX 128 /* of 64 bytes: with the rest below the automaton's 65535 states */
#define PROXIES_MAX 256  /* client_addr.h's: compared one by one with every hop */
#define ZONEINFO "/usr/share/zoneinfo/"

static bool
is_name(const char *text, const char *allowed)
{
	size_t len = strlen(text);

	return len >= 1 && len <= NAME_MAX_BYTES && strspn(text, allowed) == len;
}

#define NODE_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_-."
#define NAME_CHARS NODE_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool
is_listen(const char *text)
{
	struct socket_address address;

	return socket_address_parse(text, &address) == 0;
}

static bool
is_address_port(const char *text)
{
	return is_listen(text) && strncmp(text, "unix:", 5) != 0;
}

static bool
is_network(const char *text)
{
	const char *slash = strchr(text, '/');
	char host[INET6_ADDRSTRLEN];
	uint8_t address[16];
	unsigned long bits = 0, most;
	char *end = NULL;
	size_t len = slash ? (size_t)(slash - text) : strlen(text);

	if (strcmp(text, "unix") == 0)
		return true;
	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	if (inet_pton(AF_INET, host, address) == 1)
		most = 32;
	else if (inet_pton(AF_INET6, host, address) == 1)
		most = 128;
	else
		return false;
	if (slash && slash[1] >= '0' && slash[1] <= '9')
		bits = strtoul(slash + 1, &end, 10);
	return !slash || (end && *end == '\0' && bits <= most);
}

static bool
is_url(const char *text, bool with_path)
{
	const char *host;

	if (strncmp(text, "http://", 7) == 0)
		host = text + 7;
	else if (strncmp(text, "https://", 8) == 0)
		host = text + 8;
	else
		return false;
	if (strpbrk(host, " \"<>\\^`{|}@") || host[0] == '\0' || host[0] == '/' || host[0] == ':')
		return false;
	return with_path || !strpbrk(host, "/?#");
}

#define ORIGIN_MAX 512 /* of any name there is; answers repeat it */

static bool
is_origin(const char *text)
{
	return strcmp(text, "*") == 0 || (strlen(text) <= ORIGIN_MAX && is_url(text, false));
}

static bool
is_central(const char *text)
{
	return is_url(text, true) && !strpbrk(text, "?#");
}

static bool
is_path(const char *text)
{
	return text[0] == '/' && !strpbrk(text, " ?#\"<>");
}

static bool
is_directory(const char *text)
{
	return text[0] != '\0';
}

static bool
is_node(const char *text)
{
	return is_name(text, NODE_CHARS);
}

static bool
is_type(const char *text)
{
	return is_name(text, NAME_CHARS);
}

/* What bot.h's automaton holds, and nothing so short that it would be in everybody's name. */
static bool
is_pattern(const char *text)
{
	size_t len = strlen(text), i;

	for (i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return len >= 3 && len <= 64;
}

/* RFC 9110's token, in the characters that headers use. */
static bool
is_header(const char *text)
{
	return is_name(text, NAME_CHARS) && !strchr(text, '.');
}

static bool
is_zone(const char *text)
{
	char path[sizeof(ZONEINFO) + NAME_MAX_BYTES + 1], *bytes = NULL;
	size_t len;
	bool is;

	if (!is_name(text, NAME_CHARS "/+") || text[0] == '/' || strstr(text, ".."))
		return false;
	memcpy(path, ZONEINFO, sizeof(ZONEINFO));
	memcpy(path + sizeof(ZONEINFO) - 1, text, strlen(text) + 1);
	if (file_read(path, SECRET_MAX_BYTES, &bytes, &len))
		return strcmp(text, "UTC") == 0; /* known without any file */
	is = len > 4 && memcmp(bytes, "TZif", 4) == 0;
	free(bytes);
	return is;
}

/* What texts must look like. */
static const struct {
	enum option_id id;
	bool (*is)(const char *text);
	bool may_be_empty;
	const char *allowed;
} forms[] = {
    {OPTION_node_name, is_node, false, "1 to 64 of a-z 0-9 _ - ."},
    {OPTION_node_state_dir, is_directory, false, "the path of a directory"},
    {OPTION_http_listen, is_listen, true, "address:port, [address]:port, *:port or unix:path"},
    {OPTION_http_track_paths, is_path, true, "a path that begins with /"},
    {OPTION_http_script_paths, is_path, true, "a path that begins with /"},
    {OPTION_http_trusted_proxies, is_network, true, "address, address/prefix or unix"},
    {OPTION_http_country_header, is_header, true, "a header's name"},
    {OPTION_http_allowed_origins, is_origin, true, "https://host, https://host:port or *"},
    {OPTION_udp_listen, is_address_port, true, "address:port, [address]:port or *:port"},
    {OPTION_admin_listen, is_address_port, false, "address:port, [address]:port or *:port"},
    {OPTION_admit_types, is_type, false, "1 to 64 of a-z A-Z 0-9 _ - ."},
    {OPTION_admit_sites, is_type, true, "1 to 64 of a-z A-Z 0-9 _ - ."},
    {OPTION_admit_bot_patterns, is_pattern, true, "3 to 64 printable ASCII characters"},
    {OPTION_admit_person_patterns, is_pattern, true, "3 to 64 printable ASCII characters"},
    {OPTION_forward_central, is_central, true, "http://host:port or https://host:port"},
    {OPTION_central_listen, is_address_port, false, "address:port, [address]:port or *:port"},
    {OPTION_central_data_dir, is_directory, false, "the path of a directory"},
    {OPTION_central_time_zone, is_zone, false,
     "a name from the tz database, as Europe/Paris (Debian package tzdata)"},
};

static void
check_form(struct conf_loader *l, size_t f)
{
	enum option_id id = forms[f].id;
	const struct conf_list *list;
	const char *text;
	size_t i;

	if (conf_options[id].type != OPTION_LIST) {
		text = option_text(l->conf, id);
		if (!(text[0] == '\0' && forms[f].may_be_empty) && !forms[f].is(text))
			conf_fault(l, id, "\"%.100s\" is not allowed; allowed is %s", text,
				   forms[f].allowed);
		return;
	}
	list = option_list(l->conf, id);
	if (list->n == 0 && !forms[f].may_be_empty)
		conf_fault(l, id, "is empty; at least one is needed: %s", forms[f].allowed);
	for (i = 0; i < list->n; i++)
		if (!forms[f].is(list->item[i]))
			conf_fault(l, id, "\"%.100s\" is not allowed; allowed is %s", list->item[i],
				   forms[f].allowed);
}

static bool
list_has(const struct conf_list *list, const char *text)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (strcmp(list->item[i], text) == 0)
			return true;
	return false;
}

static bool
is_remote(const char *address)
{
	struct socket_address a;

	return socket_address_parse(address, &a) == 0 &&
	       !socket_is_local((const struct sockaddr *)&a.sa);
}

/* Nothing that comes from there could be taken. */
static void
check_udp(struct conf_loader *l)
{
	const struct conf *c = l->conf;
	size_t i;

	if (c->udp_keys_file[0] != '\0')
		return;
	if (strcmp(c->udp_require_signed, "all") == 0)
		conf_fault(l, OPTION_udp_require_signed,
			   "\"all\" without any key would take nothing; allowed is that with "
			   "udp.keys_file only");
	for (i = 0; i < c->udp_listen.n; i++)
		if (is_remote(c->udp_listen.item[i]))
			conf_fault(l, OPTION_udp_listen,
				   "\"%.100s\" is beyond loopback, where datagrams must be signed; "
				   "allowed is that with udp.keys_file only",
				   c->udp_listen.item[i]);
}

static void
check_length(struct conf_loader *l, enum option_id id, int max)
{
	if (option_list(l->conf, id)->n > (size_t)max)
		conf_fault(l, id, "has more than %d items, which are allowed", max);
}

static void
check_agent(struct conf_loader *l)
{
	const struct conf *c = l->conf;
	int64_t least = 2 * (c->http_workers + 1);
	size_t i;

	if (HOUR_MS % c->batch_interval != 0)
		conf_fault(l, OPTION_batch_interval,
			   "does not divide an hour; allowed are 1h, 30m, 20m, 15m, 10m, 5m, 1m, "
			   "5s and the like");
	if (c->journal_segments < least)
		conf_fault(l, OPTION_journal_segments,
			   "too few for %lld workers; allowed is 2 * (http.workers + 1) = %lld or "
			   "more",
			   (long long)c->http_workers, (long long)least);
	for (i = 0; i < c->admit_slug_types.n; i++)
		if (!list_has(&c->admit_types, c->admit_slug_types.item[i]))
			conf_fault(l, OPTION_admit_slug_types,
				   "\"%.64s\" is no type; allowed are those of admit.types",
				   c->admit_slug_types.item[i]);
	check_length(l, OPTION_admit_bot_patterns, PATTERNS_MAX);
	check_length(l, OPTION_admit_person_patterns, PATTERNS_MAX);
	check_length(l, OPTION_http_trusted_proxies, PROXIES_MAX);
	check_udp(l);
	if (c->http_listen.n == 0 && c->udp_listen.n == 0)
		conf_fault(l, OPTION_http_listen,
			   "is empty and udp.listen as well; an agent needs one of them");
}

static void
check_central(struct conf_loader *l)
{
	const struct conf *c = l->conf;

	if (!c->central_tls_cert_file[0] != !c->central_tls_key_file[0])
		conf_fault(l, OPTION_central_tls_cert_file,
			   "allowed is both tls_cert_file and tls_key_file, or neither");
}

void
conf_check(struct conf_loader *l, enum conf_program program)
{
	size_t f;

	for (f = 0; f < sizeof(forms) / sizeof(forms[0]); f++)
		if (conf_sections[conf_options[forms[f].id].section].programs & program)
			check_form(l, f);
	if (program & CONF_AGENT)
		check_agent(l);
	if (program & CONF_CENTRAL)
		check_central(l);
}

static unsigned
check_file(const struct conf *c, enum option_id id, bool secret, FILE *faults)
{
	const struct option *o = &conf_options[id];
	const char *path = option_text(c, id);
	char *bytes = NULL, text[PRIVILEGES_ERROR_MAX];
	size_t len;
	int err;

	if (path[0] == '\0')
		return 0;
	if (!secret)
		err = access(path, R_OK) < 0 ? -errno : 0;
	else
		err = file_read_secret(path, SECRET_MAX_BYTES, &bytes, &len);
	free(bytes);
	if (!err)
		return 0;
	fprintf(faults, "%s.%s: %s: %s; allowed is a %s\n", conf_sections[o->section].name, o->key,
		path,
		err == -EPERM ? "others than its owner may read it"
			      : privileges_strerror(err, text),
		secret ? "readable file of mode 0600" : "readable file");
	return 1;
}

int
conf_check_files(const struct conf *c, enum conf_program program, FILE *faults)
{
	unsigned n = 0;

	if (program & CONF_AGENT) {
		n += check_file(c, OPTION_forward_token_file, true, faults);
		n += check_file(c, OPTION_forward_ca_file, false, faults);
		n += check_file(c, OPTION_udp_keys_file, true, faults);
	}
	if (program & CONF_CENTRAL) {
		n += check_file(c, OPTION_central_tls_cert_file, false, faults);
		n += check_file(c, OPTION_central_tls_key_file, true, faults);
	}
	return n > 0 ? -EINVAL : 0;
}
