#include "node/udp_trust.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/socket.h"
#include "node/udp_senders.h"
#include "node/udp_tally.h"
#include "stats/stats.h"

struct udp_trust {
	/* constant after start */
	bool all_sign; /* senders on this host as well */
	int64_t window_ms;
	size_t n_senders;
	/* atomic: keys that the UDP thread takes over with the next signed datagram */
	_Atomic(struct udp_keys *) next;
	/* UDP thread only */
	struct udp_keys *keys; /* NULL: none are known */
	struct udp_senders *senders;
};

/* What is signed at this very moment is taken already. */
static int
read_keys(const char *path, struct wall_ms now, struct udp_keys **ret_keys)
{
	const struct wall_ms floor = {now.ms - 1};
	char fault[UDP_KEYS_FAULT_MAX];
	struct udp_key *key;
	size_t i;
	int err;

	*ret_keys = NULL;
	if (path[0] == '\0')
		return 0;
	err = udp_keys_read(path, floor, ret_keys, fault);
	if (err)
		log_error("the keys of signed datagrams cannot be used", "fault=\"%s\"", fault);
	for (i = 0; !err && (key = udp_keys_at(*ret_keys, i)); i++)
		key->tally = udp_tally_of(key->name);
	return err;
}

int
udp_trust_new(const struct conf *c, struct wall_ms now, struct udp_trust **ret_t)
{
	struct udp_trust *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->all_sign = strcmp(c->udp_require_signed, "all") == 0;
	t->window_ms = c->udp_signed_window;
	t->n_senders = (size_t)c->udp_senders;
	err = read_keys(c->udp_keys_file, now, &t->keys);
	if (!err && t->keys) {
		t->senders = udp_senders_new(t->n_senders);
		err = t->senders ? 0 : -ENOMEM;
	}
	if (err)
		udp_trust_free(t);
	else
		*ret_t = t;
	return err;
}

void
udp_trust_free(struct udp_trust *t)
{
	if (!t)
		return;
	udp_keys_free(atomic_load(&t->next));
	udp_keys_free(t->keys);
	udp_senders_free(t->senders);
	free(t);
}

/* -- reload -- */

void
udp_trust_reload(struct udp_trust *t, const char *keys_file, struct wall_ms now)
{
	struct udp_keys *keys = NULL;

	if (read_keys(keys_file, now, &keys))
		return;
	if (!keys)
		keys = udp_keys_none();
	if (keys)
		udp_keys_free(atomic_exchange(&t->next, keys));
}

static void
take_over(struct udp_trust *t)
{
	struct udp_keys *keys = atomic_exchange(&t->next, NULL);

	if (!keys)
		return;
	if (t->keys)
		udp_keys_inherit(keys, t->keys);
	udp_keys_free(t->keys);
	t->keys = keys;
	if (!t->senders)
		t->senders = udp_senders_new(t->n_senders);
}

/* -- judging -- */

/* Tag, time and sequence number, which are the key's business. */
static enum reason
judge_key(struct udp_trust *t, struct udp_key *key, const struct envelope *e, struct wall_ms now)
{
	if (!envelope_verify(e, key->secret))
		return REASON_INVALID_TAG;
	if (e->time_ms < now.ms - t->window_ms || e->time_ms > now.ms + t->window_ms)
		return REASON_INVALID_STALE;
	return udp_senders_take(t->senders, t->keys, key, e, now, t->window_ms);
}

static enum udp_tally
tally_of(enum reason r)
{
	if (r == REASON_ACCEPTED_FIRST)
		return UDP_TALLY_RECEIVED;
	return r == REASON_INVALID_REPLAYED ? UDP_TALLY_REPLAYED : UDP_TALLY_REFUSED;
}

static enum reason
judge_signed(struct udp_trust *t, struct text bytes, struct wall_ms now, struct text *ret_payload)
{
	struct udp_key *key;
	struct envelope e;
	enum reason r;

	if (atomic_load_explicit(&t->next, memory_order_relaxed))
		take_over(t);
	if (!envelope_read((const uint8_t *)bytes.at, bytes.len, &e))
		return REASON_INVALID_ENVELOPE;
	key = t->keys && t->senders ? udp_keys_find(t->keys, e.key_name) : NULL;
	if (!key)
		return REASON_INVALID_UNKNOWN_KEY;
	r = judge_key(t, key, &e, now);
	udp_tally_add(key->tally, tally_of(r), 1);
	if (r == REASON_ACCEPTED_FIRST) {
		stat_add(STAT_UDP_SIGNED, 1);
		*ret_payload = e.payload;
	}
	return r;
}

enum reason
udp_trust_judge(struct udp_trust *t, const struct sockaddr *peer, struct text bytes,
		struct wall_ms now, struct text *ret_payload)
{
	if (envelope_is((const uint8_t *)bytes.at, bytes.len))
		return judge_signed(t, bytes, now, ret_payload);
	if (t->all_sign || !socket_is_local(peer))
		return REASON_INVALID_UNTRUSTED;
	*ret_payload = bytes;
	return REASON_ACCEPTED_FIRST;
}
