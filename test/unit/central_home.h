/* central_home.h -- a data directory with a store and accounts, for tests that need a whole central
 * without its server.
 *
 * Threads:  one home per process.
 * Errors:   ck_assert.
 */
#ifndef TEST_CENTRAL_HOME_H
#define TEST_CENTRAL_HOME_H

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "central/auth.h"
#include "central/store.h"
#include "conf/conf.h"
#include "make_batch.h"

static struct {
	char dir[40];
	struct conf *conf;
	struct store *store;
	struct auth *auth;
} home;

static int
home_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void
home_open(const char *zone, const char *rotation)
{
	char data_dir[96], time_zone[96], salt_rotation[96];
	char cache[] = "central.cache=4m";
	char *overrides[] = {data_dir, time_zone, salt_rotation, cache};

	snprintf(home.dir, sizeof(home.dir), "/tmp/footfall-home-XXXXXX");
	ck_assert(mkdtemp(home.dir) != NULL);
	log_init("test", LOG_ERROR);
	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(calendar_init(zone), 0);
	snprintf(data_dir, sizeof(data_dir), "central.data_dir=%s", home.dir);
	snprintf(time_zone, sizeof(time_zone), "central.time_zone=%s", zone);
	snprintf(salt_rotation, sizeof(salt_rotation), "central.salt_rotation=%s", rotation);
	ck_assert_int_eq(conf_load(CONF_CENTRAL, NULL, overrides, 4, stderr, &home.conf), 0);
	ck_assert_int_eq(store_open(home.conf, &home.store), 0);
	ck_assert_int_eq(auth_open(home.dir, 60000, &home.auth), 0);
}

static inline void
home_close(void)
{
	auth_close(home.auth);
	store_close(home.store);
	conf_free(home.conf);
	ck_assert_int_eq(nftw(home.dir, home_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline int
home_add_entry(void *ctx, struct access *a)
{
	return access_add(a, ctx);
}

static inline void
home_add_node(const char *name, int64_t created_ms)
{
	struct access_entry e = {.kind = ACCESS_NODE, .created_ms = created_ms};
	char token[ACCESS_TOKEN_TEXT], unknown[ACCESS_TOKEN_TEXT], secret[ACCESS_SECRET_MAX];
	char found[AUTH_NAME_MAX];

	snprintf(e.name, sizeof(e.name), "%s", name);
	access_make_token(token, e.secret);
	ck_assert_int_eq(access_change(home.dir, home_add_entry, &e), 0);
	access_make_token(unknown, secret);
	ck_assert(!auth_node(home.auth, text_of(unknown), found)); /* makes it read the file */
}

/* Finishes the batch, stores it, and frees it. */
static inline enum store_result
home_store(struct maker *m, int64_t arrival_ms)
{
	enum store_result result;

	maker_finish(m);
	result =
	    store_apply(home.store, &m->name, m->body, m->body_len, m->doc, m->doc_len, arrival_ms);
	maker_free(m);
	return result;
}

#endif
