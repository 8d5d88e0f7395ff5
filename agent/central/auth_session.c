#include "central/auth_session.h"

#include <sodium.h>
#include <stdio.h>

static void
hash_of(struct text token, uint8_t ret_hash[32])
{
	crypto_generichash(ret_hash, 32, (const uint8_t *)token.at, token.len, NULL, 0);
}

void
sessions_open(struct sessions *s, const struct access_entry *account, struct mono_us now,
	      int64_t lifetime_ms, char ret_token[ACCESS_TOKEN_TEXT])
{
	struct session *one = &s->slot[0];
	char secret[ACCESS_SECRET_MAX];
	size_t i;

	for (i = 1; i < SESSIONS_MAX; i++)
		if (s->slot[i].until.us < one->until.us)
			one = &s->slot[i];
	access_make_token(ret_token, secret);
	hash_of(text_of(ret_token), one->hash);
	one->until = (struct mono_us){now.us + lifetime_ms * 1000};
	one->kind = account->kind;
	memcpy(one->name, account->name, sizeof(one->name));
	memcpy(one->secret, account->secret, sizeof(one->secret));
}

struct session *
sessions_find(struct sessions *s, struct text token, struct mono_us now)
{
	struct session *found = NULL;
	uint8_t hash[32];
	size_t i;

	hash_of(token, hash);
	for (i = 0; i < SESSIONS_MAX; i++)
		if (s->slot[i].until.us > now.us && sodium_memcmp(s->slot[i].hash, hash, 32) == 0)
			found = &s->slot[i];
	return found;
}

void
sessions_end(struct session *one)
{
	sodium_memzero(one, sizeof(*one));
}

size_t
sessions_count(const struct sessions *s, struct mono_us now)
{
	size_t i, n = 0;

	for (i = 0; i < SESSIONS_MAX; i++)
		n += s->slot[i].until.us > now.us;
	return n;
}
