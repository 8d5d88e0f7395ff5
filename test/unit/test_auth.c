/* Who may do what: accounts in a file that changes under the running central,
 * sessions, throttling. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "central/auth.h"
#include "central/auth_session.h"
#include "central/auth_throttle.h"

#define LIFETIME_MS 60000

static char dir[40];
static struct auth *auth;
static const struct mono_us start = {INT64_C(1000000000)};

static const char *
path_of(const char *name)
{
	static char path[96];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
open_auth(void)
{
	snprintf(dir, sizeof(dir), "/tmp/footfall-auth-XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
	ck_assert_int_eq(hash_init(), 0);
	ck_assert_int_eq(auth_open(dir, LIFETIME_MS, &auth), 0);
}

static void
close_auth(void)
{
	auth_remove_local_token(auth);
	auth_close(auth);
	(void)remove(path_of("access"));
	(void)remove(path_of("access.lock"));
	ck_assert_int_eq(rmdir(dir), 0); /* nothing else was left */
}

static struct mono_us
after_s(int64_t s)
{
	return (struct mono_us){start.us + s * 1000000};
}

/* -- accounts, as the command line changes them -- */

static int
change_add(void *ctx, struct access *a)
{
	return access_add(a, ctx);
}

static int
change_remove(void *ctx, struct access *a)
{
	const struct access_entry *e = ctx;

	return access_remove(a, e->kind, text_of(e->name));
}

static struct access_entry
entry_of(enum access_kind kind, const char *name)
{
	struct access_entry e = {.kind = kind, .created_ms = 1};

	snprintf(e.name, sizeof(e.name), "%s", name);
	return e;
}

static void
add_token(enum access_kind kind, const char *name, char ret_token[ACCESS_TOKEN_TEXT])
{
	struct access_entry e = entry_of(kind, name);

	access_make_token(ret_token, e.secret);
	ck_assert_int_eq(access_change(dir, change_add, &e), 0);
}

static void
add_user(const char *name, const char *password)
{
	struct access_entry e = entry_of(ACCESS_USER, name);

	ck_assert_int_eq(access_hash_password(text_of(password), e.secret), 0);
	ck_assert_int_eq(access_change(dir, change_add, &e), 0);
}

static void
remove_account(enum access_kind kind, const char *name)
{
	struct access_entry e = entry_of(kind, name);

	ck_assert_int_eq(access_change(dir, change_remove, &e), 0);
}

static struct sockaddr *
peer(const char *address)
{
	static _Thread_local struct sockaddr_storage sa;
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
		memcpy(&sa, &in, sizeof(in));
	else if (inet_pton(AF_INET6, address, &in6.sin6_addr) == 1)
		memcpy(&sa, &in6, sizeof(in6));
	return (struct sockaddr *)&sa;
}

static enum auth_login
log_in(const char *user, const char *secret, char cookie[ACCESS_TOKEN_TEXT])
{
	unsigned wait_s;

	return auth_login(auth, peer("192.0.2.1"), start, text_of(user), text_of(secret), cookie,
			  &wait_s);
}

START_TEST(a_token_names_its_node_and_nothing_else)
{
	char token[ACCESS_TOKEN_TEXT], name[AUTH_NAME_MAX];

	add_token(ACCESS_NODE, "web-1", token);
	ck_assert(auth_node(auth, text_of(token), name));
	ck_assert_str_eq(name, "web-1");
	ck_assert(!auth_reader(auth, text_of(token), name));
	token[7] = token[7] == 'A' ? 'B' : 'A';
	ck_assert(!auth_node(auth, text_of(token), name));
	ck_assert(!auth_node(auth, TEXT_LIT(""), name));
	ck_assert(!auth_node(auth, (struct text){NULL, 0}, name));
}
END_TEST

START_TEST(the_file_holds_hashes_and_is_for_its_owner_only)
{
	char token[ACCESS_TOKEN_TEXT], *bytes;
	struct stat st;
	size_t len;

	add_token(ACCESS_NODE, "web-1", token);
	add_user("ann", "a long password");
	ck_assert_int_eq(file_read(path_of("access"), 1 << 20, &bytes, &len), 0);
	ck_assert_ptr_null(strstr(bytes, token));
	ck_assert_ptr_null(strstr(bytes, "a long password"));
	ck_assert_ptr_nonnull(strstr(bytes, "$argon2id$"));
	free(bytes);
	ck_assert_int_eq(stat(path_of("access"), &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 0777), 0600);
}
END_TEST

START_TEST(a_name_is_taken_once_per_kind)
{
	struct access_entry e = entry_of(ACCESS_NODE, "web-1");
	char token[ACCESS_TOKEN_TEXT];

	add_token(ACCESS_NODE, "web-1", token);
	add_token(ACCESS_TOKEN, "web-1", token);
	access_make_token(token, e.secret);
	ck_assert_int_eq(access_change(dir, change_add, &e), -EEXIST);
	snprintf(e.name, sizeof(e.name), "web-2");
	ck_assert_int_eq(access_change(dir, change_remove, &e), -ENOENT);
}
END_TEST

START_TEST(accounts_are_bounded)
{
	struct access a = {NULL, 0};
	struct access_entry e = entry_of(ACCESS_NODE, "");
	unsigned i;

	for (i = 0; i < ACCESS_MAX; i++) {
		snprintf(e.name, sizeof(e.name), "web-%u", i);
		if (access_add(&a, &e) != 0)
			ck_abort_msg("no room for account %u", i);
	}
	snprintf(e.name, sizeof(e.name), "one-more");
	ck_assert_int_eq(access_add(&a, &e), -ENOSPC);
	ck_assert_int_eq(access_remove(&a, ACCESS_NODE, TEXT_LIT("web-7")), 0);
	ck_assert_int_eq(access_add(&a, &e), 0);
	ck_assert_ptr_null(access_find(&a, ACCESS_NODE, TEXT_LIT("web-7")));
	ck_assert_ptr_nonnull(access_find(&a, ACCESS_NODE, TEXT_LIT("web-4095")));
	access_free(&a);
}
END_TEST

START_TEST(a_file_that_is_broken_or_open_to_others_leaves_accounts_as_they_were)
{
	char token[ACCESS_TOKEN_TEXT], other[ACCESS_TOKEN_TEXT], name[AUTH_NAME_MAX];
	static const char *const broken[] = {
	    "", "something else\n", "footfall-access 1\nnode web-1\n",
	    "footfall-access 1\nking web-1 1 00\n", "footfall-access 1\nnode we!b 1 00\n"};
	struct access a;
	size_t i;

	add_token(ACCESS_NODE, "web-1", token);
	ck_assert(auth_node(auth, text_of(token), name));
	for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		ck_assert_int_eq(file_replace(dir, "access", broken[i], strlen(broken[i]), 0600),
				 0);
		ck_assert_int_eq(access_read(dir, &a), -EBADMSG);
		access_make_token(other, (char[ACCESS_SECRET_MAX]){0});
		ck_assert(!auth_node(auth, text_of(other), name)); /* looks at the file */
		ck_assert(auth_node(auth, text_of(token), name));
	}
	ck_assert_int_eq(file_replace(dir, "access", "footfall-access 1\n", 18, 0644), 0);
	ck_assert_int_eq(access_read(dir, &a), -EPERM);
}
END_TEST

START_TEST(the_running_process_has_a_read_token_of_its_own)
{
	char *token, name[AUTH_NAME_MAX];
	size_t len;

	ck_assert_int_eq(auth_make_local_token(auth), 0);
	ck_assert_int_eq(file_read_secret(path_of("local.token"), 100, &token, &len), 0);
	ck_assert_uint_eq(len, ACCESS_TOKEN_TEXT);
	ck_assert(auth_reader(auth, (struct text){token, len - 1}, name));
	ck_assert(!auth_node(auth, (struct text){token, len - 1}, name));
	free(token);
}
END_TEST

START_TEST(a_password_opens_a_session_until_its_time_is_over)
{
	char cookie[ACCESS_TOKEN_TEXT], name[AUTH_NAME_MAX];

	add_user("ann", "a long password");
	ck_assert_int_eq(log_in("ann", "a long passwort", cookie), AUTH_WRONG);
	ck_assert_int_eq(log_in("bob", "a long password", cookie), AUTH_WRONG);
	ck_assert_int_eq(log_in("ann", "", cookie), AUTH_WRONG);
	ck_assert_int_eq(log_in("ann", "a long password", cookie), AUTH_OK);
	ck_assert(auth_session(auth, text_of(cookie), after_s(59), name));
	ck_assert_str_eq(name, "ann");
	ck_assert(!auth_session(auth, text_of(cookie), after_s(60), name));
	ck_assert(!auth_session(auth, TEXT_LIT("something"), after_s(1), name));
}
END_TEST

START_TEST(a_token_opens_a_session_and_logging_out_ends_it)
{
	char token[ACCESS_TOKEN_TEXT], cookie[ACCESS_TOKEN_TEXT], name[AUTH_NAME_MAX];

	add_token(ACCESS_TOKEN, "wall", token);
	ck_assert_int_eq(log_in(NULL, token, cookie), AUTH_OK);
	ck_assert_str_ne(cookie, token);
	ck_assert(auth_session(auth, text_of(cookie), start, name));
	ck_assert_str_eq(name, "wall");
	auth_logout(auth, text_of(cookie), start);
	ck_assert(!auth_session(auth, text_of(cookie), start, name));
	add_token(ACCESS_NODE, "web-1", token);
	ck_assert_int_eq(log_in(NULL, token, cookie), AUTH_WRONG); /* nodes do not read */
}
END_TEST

/* auth_look reads the file again at once when somebody is not recognised. */
static void
make_it_look(void)
{
	char token[ACCESS_TOKEN_TEXT], secret[ACCESS_SECRET_MAX], name[AUTH_NAME_MAX];

	access_make_token(token, secret);
	ck_assert(!auth_node(auth, text_of(token), name));
}

START_TEST(removing_an_account_or_its_password_ends_its_sessions)
{
	char cookie[ACCESS_TOKEN_TEXT], name[AUTH_NAME_MAX];

	add_user("ann", "a long password");
	ck_assert_int_eq(log_in("ann", "a long password", cookie), AUTH_OK);
	remove_account(ACCESS_USER, "ann");
	add_user("ann", "another long password");
	make_it_look();
	ck_assert(!auth_session(auth, text_of(cookie), start, name));
	ck_assert_int_eq(log_in("ann", "another long password", cookie), AUTH_OK);
	remove_account(ACCESS_USER, "ann");
	make_it_look();
	ck_assert(!auth_session(auth, text_of(cookie), start, name));
}
END_TEST

START_TEST(a_removed_token_is_refused)
{
	char token[ACCESS_TOKEN_TEXT], name[AUTH_NAME_MAX];

	add_token(ACCESS_TOKEN, "wall", token);
	ck_assert(auth_reader(auth, text_of(token), name));
	remove_account(ACCESS_TOKEN, "wall");
	make_it_look();
	ck_assert(!auth_reader(auth, text_of(token), name));
}
END_TEST

START_TEST(nodes_are_listed_in_the_order_in_which_they_were_added)
{
	struct auth_node *nodes;
	char token[ACCESS_TOKEN_TEXT];

	add_token(ACCESS_NODE, "web-2", token);
	add_token(ACCESS_TOKEN, "wall", token);
	add_token(ACCESS_NODE, "web-1", token);
	make_it_look();
	ck_assert_int_eq(auth_nodes(auth, &nodes), 2);
	ck_assert_str_eq(nodes[0].name, "web-2");
	ck_assert_str_eq(nodes[1].name, "web-1");
	free(nodes);
}
END_TEST

START_TEST(a_full_table_of_sessions_ends_the_oldest)
{
	struct sessions *s = calloc(1, sizeof(*s));
	struct access_entry e = entry_of(ACCESS_USER, "ann");
	char first[ACCESS_TOKEN_TEXT], second[ACCESS_TOKEN_TEXT], more[ACCESS_TOKEN_TEXT];
	unsigned i;

	sessions_open(s, &e, after_s(0), LIFETIME_MS, first);
	sessions_open(s, &e, after_s(1), LIFETIME_MS, second);
	for (i = 2; i < SESSIONS_MAX; i++)
		sessions_open(s, &e, after_s(2), LIFETIME_MS, more);
	ck_assert_ptr_nonnull(sessions_find(s, text_of(first), after_s(2)));
	ck_assert_uint_eq(sessions_count(s, after_s(2)), SESSIONS_MAX);
	sessions_open(s, &e, after_s(2), LIFETIME_MS, more);
	ck_assert_ptr_null(sessions_find(s, text_of(first), after_s(2)));
	ck_assert_ptr_nonnull(sessions_find(s, text_of(second), after_s(2)));
	ck_assert_ptr_nonnull(sessions_find(s, text_of(more), after_s(2)));
	free(s);
}
END_TEST

/* -- throttling -- */

static unsigned
charge_until_refused(struct throttle *t, const char *address, struct mono_us now)
{
	unsigned n = 0, wait_s;

	while (n < 1000 && throttle_charge(t, peer(address), now, &wait_s))
		n++;
	return n;
}

START_TEST(an_address_may_fail_a_few_times_and_then_slowly)
{
	struct throttle t;
	unsigned wait_s = 0;

	throttle_init(&t);
	ck_assert_uint_eq(charge_until_refused(&t, "192.0.2.1", start), THROTTLE_ADDRESS_BURST);
	ck_assert(!throttle_charge(&t, peer("192.0.2.1"), start, &wait_s));
	ck_assert_uint_ge(wait_s, 10);
	ck_assert_uint_le(wait_s, 11);
	ck_assert_uint_eq(charge_until_refused(&t, "192.0.2.2", start), THROTTLE_ADDRESS_BURST);
	ck_assert_uint_eq(charge_until_refused(&t, "192.0.2.1", after_s(9)), 0);
	ck_assert_uint_eq(charge_until_refused(&t, "192.0.2.1", after_s(10)), 1);
}
END_TEST

START_TEST(addresses_of_one_v6_network_are_one)
{
	struct throttle t;

	throttle_init(&t);
	ck_assert_uint_eq(charge_until_refused(&t, "2001:db8::1", start), THROTTLE_ADDRESS_BURST);
	ck_assert_uint_eq(charge_until_refused(&t, "2001:db8::2:3", start), 0);
	ck_assert_uint_eq(charge_until_refused(&t, "2001:db8:0:1::1", start),
			  THROTTLE_ADDRESS_BURST);
	ck_assert_uint_eq(charge_until_refused(&t, "192.0.2.1", start), THROTTLE_ADDRESS_BURST);
	ck_assert_uint_eq(charge_until_refused(&t, "::ffff:192.0.2.1", start), 0);
}
END_TEST

START_TEST(many_addresses_together_meet_the_common_limit)
{
	struct throttle t;
	char address[32];
	unsigned i, n = 0, wait_s;

	throttle_init(&t);
	for (i = 0; i < 500; i++) {
		snprintf(address, sizeof(address), "10.0.%u.%u", i / 250, i % 250);
		n += throttle_charge(&t, peer(address), start, &wait_s);
	}
	ck_assert_uint_eq(n, THROTTLE_COMMON_BURST);
}
END_TEST

START_TEST(right_passwords_cost_nothing)
{
	struct throttle t;
	unsigned i, wait_s;

	throttle_init(&t);
	for (i = 0; i < 1000; i++) {
		if (!throttle_charge(&t, peer("192.0.2.1"), start, &wait_s))
			ck_abort_msg("refused after %u right ones", i);
		throttle_refund(&t, peer("192.0.2.1"));
	}
}
END_TEST

START_TEST(guessing_tokens_is_throttled_and_knowing_one_is_not)
{
	char token[ACCESS_TOKEN_TEXT], secret[ACCESS_SECRET_MAX], cookie[ACCESS_TOKEN_TEXT];
	unsigned i;

	add_token(ACCESS_TOKEN, "wall", token);
	for (i = 0; i < 3 * THROTTLE_ADDRESS_BURST; i++)
		ck_assert_int_eq(log_in(NULL, token, cookie), AUTH_OK);
	access_make_token(token, secret);
	for (i = 0; i < THROTTLE_ADDRESS_BURST; i++)
		ck_assert_int_eq(log_in(NULL, token, cookie), AUTH_WRONG);
	ck_assert_int_eq(log_in(NULL, token, cookie), AUTH_WAIT);
}
END_TEST

static void *
log_in_slowly(void *arg)
{
	enum auth_login *result = arg;
	char cookie[ACCESS_TOKEN_TEXT];

	*result = log_in("ann", "a long password", cookie);
	return NULL;
}

/* 64 MiB each: the others are told to come again, and nobody is let in by that. */
START_TEST(few_passwords_are_hashed_at_once)
{
	enum auth_login result[8];
	pthread_t thread[8];
	unsigned i, ok = 0;

	add_user("ann", "a long password");
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, log_in_slowly, &result[i]), 0);
	for (i = 0; i < 8; i++) {
		pthread_join(thread[i], NULL);
		ck_assert(result[i] == AUTH_OK || result[i] == AUTH_WAIT);
		ok += result[i] == AUTH_OK;
	}
	ck_assert_uint_ge(ok, 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("auth");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, open_auth, close_auth);
	tcase_set_timeout(t, 60); /* argon2id under a sanitizer */
	tcase_add_test(t, a_token_names_its_node_and_nothing_else);
	tcase_add_test(t, the_file_holds_hashes_and_is_for_its_owner_only);
	tcase_add_test(t, a_name_is_taken_once_per_kind);
	tcase_add_test(t, accounts_are_bounded);
	tcase_add_test(t, a_file_that_is_broken_or_open_to_others_leaves_accounts_as_they_were);
	tcase_add_test(t, the_running_process_has_a_read_token_of_its_own);
	tcase_add_test(t, a_password_opens_a_session_until_its_time_is_over);
	tcase_add_test(t, a_token_opens_a_session_and_logging_out_ends_it);
	tcase_add_test(t, removing_an_account_or_its_password_ends_its_sessions);
	tcase_add_test(t, a_removed_token_is_refused);
	tcase_add_test(t, nodes_are_listed_in_the_order_in_which_they_were_added);
	tcase_add_test(t, a_full_table_of_sessions_ends_the_oldest);
	tcase_add_test(t, an_address_may_fail_a_few_times_and_then_slowly);
	tcase_add_test(t, addresses_of_one_v6_network_are_one);
	tcase_add_test(t, many_addresses_together_meet_the_common_limit);
	tcase_add_test(t, right_passwords_cost_nothing);
	tcase_add_test(t, guessing_tokens_is_throttled_and_knowing_one_is_not);
	tcase_add_test(t, few_passwords_are_hashed_at_once);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
