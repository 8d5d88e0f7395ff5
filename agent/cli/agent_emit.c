#include "cli/agent_emit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/agent_commands.h"
#include "cli/agent_pace.h"
#include "base/clock.h"
#include "base/hash.h"
#include "node/udp_keys.h"
#include "proto/datagram.h"

#define REMOTE_MAX 1400 /* fits one Ethernet frame: a lost fragment would lose the whole datagram */
#define HEAD 3          /* array16 of msgpack */
#define FAULTS_SHOWN 20

struct emit {
	const struct cli *cli;
	const char *name; /* of the input, for faults */
	struct pace pace;
	size_t most; /* bytes of a datagram, without its envelope */
	/* signing; no keys: unsigned */
	struct udp_keys *keys;
	uint64_t boot, seq;
	/* the datagram that is being filled: events behind room for an array's head */
	uint8_t bytes[HEAD + DATAGRAM_MAX];
	size_t len;
	unsigned n;
	/* so far */
	unsigned long line, events, datagrams, faults;
	char *scratch;
	size_t scratch_size;
};

/* -- datagrams -- */

static size_t
envelope_bytes(const struct emit *m)
{
	return m->keys ? ENVELOPE_BYTES(strlen(udp_keys_at(m->keys, 0)->name)) : 0;
}

static int
send_datagram(struct emit *m, const uint8_t *bytes, size_t len)
{
	const struct udp_key *key;
	uint8_t sealed[DATAGRAM_MAX];
	struct envelope e;

	if (!m->keys)
		return pace_send(&m->pace, bytes, len);
	key = udp_keys_at(m->keys, 0);
	e = (struct envelope){.key_name = text_of(key->name),
			      .boot = m->boot,
			      .seq = ++m->seq,
			      .time_ms = wall_now().ms,
			      .payload = {(const char *)bytes, len}};
	len = envelope_write(&e, key->secret, sealed, sizeof(sealed));
	return len > 0 ? pace_send(&m->pace, sealed, len) : -EMSGSIZE;
}

/* One event goes as a map, several as an array of maps. */
static int
send_filled(struct emit *m)
{
	uint8_t *from = m->bytes + HEAD;
	size_t len = m->len;
	int err;

	if (m->n == 0)
		return 0;
	if (m->n > 1) {
		from -= HEAD;
		len += HEAD;
		from[0] = 0xdc; /* array16 */
		from[1] = 0;
		from[2] = (uint8_t)m->n;
	}
	err = send_datagram(m, from, len);
	if (err)
		return err;
	m->events += m->n;
	m->datagrams++;
	m->n = 0;
	m->len = 0;
	return 0;
}

static void
fault(struct emit *m, const char *what)
{
	if (m->faults++ < FAULTS_SHOWN)
		fprintf(stderr, "%s:%lu: %s\n", m->name, m->line, what);
}

static int
add_event(struct emit *m, const struct event *e)
{
	uint8_t packed[DATAGRAM_MAX];
	size_t len = datagram_encode(e, packed, sizeof(packed));
	int err = 0;

	if (len == 0 || len > DATAGRAM_MAX - envelope_bytes(m)) {
		fault(m, "larger than a datagram may be");
		return 0;
	}
	if (m->n == DATAGRAM_EVENTS_MAX || HEAD + m->len + len > m->most)
		err = send_filled(m);
	if (err)
		return err;
	memcpy(m->bytes + HEAD + m->len, packed, len);
	m->len += len;
	m->n++;
	return 0;
}

/* -- lines -- */

static int
take_line(struct emit *m, struct text line)
{
	char host[EVENT_HOST_MAX];
	const char *what;
	struct event e;

	m->line++;
	while (line.len > 0 && strchr(" \t\r\n", line.at[line.len - 1]))
		line.len--;
	if (line.len == 0)
		return 0;
	what = emit_parse(line, m->scratch, host, &e);
	if (what) {
		fault(m, what);
		return 0;
	}
	return add_event(m, &e);
}

/* Unescaped strings are never longer than their line. */
static int
fit_scratch(struct emit *m, size_t size)
{
	char *more;

	if (size <= m->scratch_size)
		return 0;
	more = realloc(m->scratch, size);
	if (!more)
		return -ENOMEM;
	m->scratch = more;
	m->scratch_size = size;
	return 0;
}

static int
take_lines(struct emit *m, FILE *in)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int err = 0;

	while (!err && (len = getline(&line, &size, in)) >= 0) {
		err = fit_scratch(m, size);
		if (!err)
			err = take_line(m, (struct text){line, (size_t)len});
	}
	if (!err && ferror(in))
		err = -EIO;
	free(line);
	return err;
}

/* -- the command -- */

static int
report(struct emit *m, const char *to, int err, unsigned long dropped)
{
	printf("sent %lu events in %lu datagrams\n", m->events, m->datagrams);
	if (m->faults > FAULTS_SHOWN)
		fprintf(stderr, "%s: %lu more lines like these\n", m->name,
			m->faults - FAULTS_SHOWN);
	if (err == -ECONNREFUSED)
		return cli_fail(m->cli, "nobody listens at %s", to);
	if (err == -ETIMEDOUT)
		return cli_fail(m->cli, "the agent at %s stopped reading", to);
	if (err == -ENOBUFS)
		return cli_fail(m->cli, "the kernel dropped %lu datagrams on their way to %s",
				dropped, to);
	if (err)
		return cli_fail(m->cli, "%s: %s", to, strerror(-err));
	if (m->faults)
		return cli_fail(m->cli, "%lu of %lu lines were not sent", m->faults, m->line);
	return CLI_OK;
}

/* Takes the keys. */
static int
emit_all(struct cli *cli, const char *to, const struct socket_address *address,
	 struct udp_keys *keys, FILE *in, const char *name)
{
	struct emit *m = calloc(1, sizeof(*m));
	unsigned long dropped = 0;
	int err, code;

	if (!m) {
		udp_keys_free(keys);
		return cli_fail(cli, "out of memory");
	}
	m->cli = cli;
	m->keys = keys;
	hash_random(&m->boot, sizeof(m->boot));
	m->name = name;
	m->most =
	    socket_is_local((const struct sockaddr *)&address->sa) ? DATAGRAM_MAX : REMOTE_MAX;
	m->most -= envelope_bytes(m);
	err = pace_open(&m->pace, address);
	if (!err) {
		err = take_lines(m, in);
		if (!err)
			err = send_filled(m);
		if (!err)
			err = pace_finish(&m->pace, &dropped);
		pace_close(&m->pace);
	}
	code = report(m, to, err, dropped);
	udp_keys_free(m->keys);
	free(m->scratch);
	free(m);
	return code;
}

int
agent_emit(struct cli *cli)
{
	struct socket_address address;
	bool bad = false, standard;
	const char *to = cli_take_value(cli, "--to", &bad);
	const char *key = cli_take_value(cli, "--key", &bad);
	char fault_text[UDP_KEYS_FAULT_MAX];
	struct udp_keys *keys = NULL;
	FILE *in = stdin;
	int code;

	if (bad || !to || !cli_args_are(cli, 1, 1))
		return cli_usage(cli);
	if (socket_address_parse(to, &address) < 0)
		return cli_fail(cli, "--to %s: must be address:port or [address]:port", to);
	if (key && udp_keys_read(key, wall_now(), &keys, fault_text) < 0)
		return cli_fail(cli, "--key %s", fault_text);
	standard = strcmp(cli->arg[0], "-") == 0;
	if (!standard)
		in = fopen(cli->arg[0], "re");
	if (!in) {
		udp_keys_free(keys);
		return cli_fail(cli, "%s: %s", cli->arg[0], strerror(errno));
	}
	code = emit_all(cli, to, &address, keys, in, cli->arg[0]);
	if (!standard)
		(void)fclose(in);
	return code;
}
