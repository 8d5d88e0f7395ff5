#include "central/auth.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "central/auth_session.h"
#include "central/auth_throttle.h"

#define LOOK_EVERY_US 1000000

/* Checked for users that do not exist, so that they take as long as those that do. */
static const char nobody[ACCESS_SECRET_MAX] =
    "$argon2id$v=19$m=65536,t=2,p=1$uPzMyKkMOXOuqDy7Fdoo8A$"
    "vGSwJyGtBxwOTqb1IyE7bnwQHLKDEw2MrQOVhBjvUgc";

/* What tells one content of a path from the next: files are replaced, never written into. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

struct auth {
	/* constant after start */
	char data_dir[PATH_MAX];
	int64_t session_ms;

	/* guarded by lock */
	pthread_mutex_t lock;
	struct access access;
	struct stamp stamp;
	struct mono_us looked;
	bool unreadable;           /* said so already */
	struct access_entry local; /* name empty: none yet */
	unsigned hashing;
	struct sessions sessions;
	struct throttle throttle;
};

/* -- accounts, kept fresh -- */

static struct stamp
stamp_of(const char *data_dir)
{
	char path[PATH_MAX + 8];
	struct stamp s;
	struct stat st;

	memset(&s, 0, sizeof(s)); /* padding too: stamps are compared as bytes */
	snprintf(path, sizeof(path), "%s/access", data_dir);
	if (stat(path, &st) < 0)
		return s;
	s.dev = st.st_dev;
	s.ino = st.st_ino;
	s.size = st.st_size;
	s.mtime = st.st_mtim;
	return s;
}

static int
auth_load(struct auth *a, struct stamp stamp)
{
	struct access fresh;
	int err = access_read(a->data_dir, &fresh);

	if (err) {
		if (!a->unreadable)
			log_error("accounts cannot be read, those known stay valid",
				  "file=%s/access error=\"%s\"", a->data_dir, strerror(-err));
		a->unreadable = true;
		return err;
	}
	access_free(&a->access);
	a->access = fresh;
	a->stamp = stamp;
	a->unreadable = false;
	return 0;
}

/* Looks whether the file is another one. Once a second at most, unless `now`. */
static bool
auth_look(struct auth *a, bool at_once)
{
	struct mono_us now = mono_now();
	struct stamp stamp;

	if (!at_once && now.us - a->looked.us < LOOK_EVERY_US)
		return false;
	a->looked = now;
	stamp = stamp_of(a->data_dir);
	if (memcmp(&stamp, &a->stamp, sizeof(stamp)) == 0)
		return false;
	return auth_load(a, stamp) == 0;
}

int
auth_open(const char *data_dir, int64_t session_ms, struct auth **ret_auth)
{
	struct auth *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	pthread_mutex_init(&a->lock, NULL);
	throttle_init(&a->throttle);
	a->session_ms = session_ms;
	a->looked = mono_now();
	if (snprintf(a->data_dir, sizeof(a->data_dir), "%s", data_dir) >= (int)sizeof(a->data_dir))
		err = -ENAMETOOLONG;
	else
		err = auth_load(a, stamp_of(a->data_dir));
	if (err) {
		auth_close(a);
		return err;
	}
	*ret_auth = a;
	return 0;
}

void
auth_close(struct auth *a)
{
	if (!a)
		return;
	access_free(&a->access);
	pthread_mutex_destroy(&a->lock);
	sodium_memzero(a, sizeof(*a));
	free(a);
}

int
auth_make_local_token(struct auth *a)
{
	struct access_entry local = {.kind = ACCESS_TOKEN, .name = "local"};
	char token[ACCESS_TOKEN_TEXT + 1];
	int err;

	access_make_token(token, local.secret);
	token[ACCESS_TOKEN_TEXT - 1] = '\n';
	err = file_replace(a->data_dir, "local.token", token, ACCESS_TOKEN_TEXT, 0600);
	sodium_memzero(token, sizeof(token));
	if (err)
		return err;
	pthread_mutex_lock(&a->lock);
	a->local = local;
	pthread_mutex_unlock(&a->lock);
	return 0;
}

void
auth_remove_local_token(struct auth *a)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/local.token", a->data_dir);
	unlink(path);
}

/* -- tokens -- */

/* Every entry is compared, in constant time each: where a match stands shows in no timing. */
static const struct access_entry *
find_secret(const struct auth *a, enum access_kind kind, const char secret[ACCESS_SECRET_MAX])
{
	const struct access_entry *found = NULL;
	size_t i;

	for (i = 0; i < a->access.n; i++)
		if (a->access.entry[i].kind == kind &&
		    sodium_memcmp(a->access.entry[i].secret, secret, ACCESS_SECRET_MAX) == 0)
			found = &a->access.entry[i];
	if (kind == ACCESS_TOKEN && a->local.name[0] &&
	    sodium_memcmp(a->local.secret, secret, ACCESS_SECRET_MAX) == 0)
		found = &a->local;
	return found;
}

static const struct access_entry *
find_token(struct auth *a, enum access_kind kind, struct text token)
{
	char secret[ACCESS_SECRET_MAX];
	const struct access_entry *found;

	if (token.len != ACCESS_TOKEN_TEXT - 1)
		return NULL;
	access_hash_token(token, secret);
	auth_look(a, false);
	found = find_secret(a, kind, secret);
	if (!found && auth_look(a, true))
		found = find_secret(a, kind, secret);
	return found;
}

static bool
name_of_token(struct auth *a, enum access_kind kind, struct text token,
	      char ret_name[AUTH_NAME_MAX])
{
	const struct access_entry *found;

	pthread_mutex_lock(&a->lock);
	found = find_token(a, kind, token);
	if (found)
		memcpy(ret_name, found->name, AUTH_NAME_MAX);
	pthread_mutex_unlock(&a->lock);
	return found;
}

bool
auth_node(struct auth *a, struct text token, char ret_name[AUTH_NAME_MAX])
{
	return name_of_token(a, ACCESS_NODE, token, ret_name);
}

bool
auth_reader(struct auth *a, struct text token, char ret_name[AUTH_NAME_MAX])
{
	return name_of_token(a, ACCESS_TOKEN, token, ret_name);
}

int
auth_nodes(struct auth *a, struct auth_node **ret_nodes)
{
	struct auth_node *nodes;
	int n = 0;
	size_t i;

	pthread_mutex_lock(&a->lock);
	auth_look(a, false);
	nodes = calloc(a->access.n + 1, sizeof(*nodes));
	for (i = 0; nodes && i < a->access.n; i++) {
		if (a->access.entry[i].kind != ACCESS_NODE)
			continue;
		memcpy(nodes[n].name, a->access.entry[i].name, AUTH_NAME_MAX);
		nodes[n++].created_ms = a->access.entry[i].created_ms;
	}
	pthread_mutex_unlock(&a->lock);
	if (!nodes)
		return -ENOMEM;
	*ret_nodes = nodes;
	return n;
}

/* -- logging in -- */

/* The account as a copy: hashing happens outside the lock. False for nobody, with a secret that
 * takes as long to check. */
static bool
copy_user(struct auth *a, struct text user, struct access_entry *ret_account)
{
	const struct access_entry *found;

	auth_look(a, false);
	found = access_find(&a->access, ACCESS_USER, user);
	if (!found && auth_look(a, true))
		found = access_find(&a->access, ACCESS_USER, user);
	if (found) {
		*ret_account = *found;
		return true;
	}
	memset(ret_account, 0, sizeof(*ret_account));
	memcpy(ret_account->secret, nobody, sizeof(nobody));
	return false;
}

/* Called and returns with the lock held; lets go of it while hashing. */
static bool
password_is_right(struct auth *a, struct text user, struct text password,
		  struct access_entry *ret_account)
{
	bool known = copy_user(a, user, ret_account), right;

	a->hashing++;
	pthread_mutex_unlock(&a->lock);
	right = crypto_pwhash_str_verify(ret_account->secret, password.at, password.len) == 0;
	pthread_mutex_lock(&a->lock);
	a->hashing--;
	return known && right;
}

static bool
token_is_right(struct auth *a, struct text token, struct access_entry *ret_account)
{
	const struct access_entry *found = find_token(a, ACCESS_TOKEN, token);

	if (found)
		*ret_account = *found;
	return found;
}

enum auth_login
auth_login(struct auth *a, const struct sockaddr *peer, struct mono_us now, struct text user,
	   struct text secret, char ret_cookie[ACCESS_TOKEN_TEXT], unsigned *ret_wait_s)
{
	enum auth_login result = AUTH_WRONG;
	struct access_entry account;

	if (secret.len > ACCESS_PASSWORD_MAX)
		return AUTH_WRONG;
	*ret_wait_s = 1;
	pthread_mutex_lock(&a->lock);
	if (a->hashing >= AUTH_HASHING_MAX ||
	    !throttle_charge(&a->throttle, peer, now, ret_wait_s)) {
		result = AUTH_WAIT;
	} else if (user.at ? password_is_right(a, user, secret, &account)
			   : token_is_right(a, secret, &account)) {
		throttle_refund(&a->throttle, peer);
		sessions_open(&a->sessions, &account, now, a->session_ms, ret_cookie);
		result = AUTH_OK;
	}
	pthread_mutex_unlock(&a->lock);
	return result;
}

bool
auth_is_local(struct auth *a, struct text token)
{
	const struct access_entry *found;
	bool is_local;

	pthread_mutex_lock(&a->lock);
	found = find_token(a, ACCESS_TOKEN, token);
	is_local = found && found == &a->local;
	pthread_mutex_unlock(&a->lock);
	return is_local;
}

/* -- sessions -- */

/* The account must be as it was when the session began. */
static bool
session_stands(struct auth *a, const struct session *one)
{
	const struct access_entry *account;

	if (one->kind == ACCESS_TOKEN &&
	    sodium_memcmp(one->secret, a->local.secret, sizeof(one->secret)) == 0)
		return true;
	account = access_find(&a->access, one->kind, text_of(one->name));
	return account && memcmp(account->secret, one->secret, sizeof(one->secret)) == 0;
}

bool
auth_session(struct auth *a, struct text cookie, struct mono_us now, char ret_name[AUTH_NAME_MAX])
{
	struct session *one;

	pthread_mutex_lock(&a->lock);
	auth_look(a, false);
	one = sessions_find(&a->sessions, cookie, now);
	if (one && !session_stands(a, one)) {
		sessions_end(one);
		one = NULL;
	}
	if (one)
		memcpy(ret_name, one->name, AUTH_NAME_MAX);
	pthread_mutex_unlock(&a->lock);
	return one;
}

void
auth_logout(struct auth *a, struct text cookie, struct mono_us now)
{
	struct session *one;

	pthread_mutex_lock(&a->lock);
	one = sessions_find(&a->sessions, cookie, now);
	if (one)
		sessions_end(one);
	pthread_mutex_unlock(&a->lock);
}

size_t
auth_sessions(struct auth *a, struct mono_us now)
{
	size_t n;

	pthread_mutex_lock(&a->lock);
	n = sessions_count(&a->sessions, now);
	pthread_mutex_unlock(&a->lock);
	return n;
}
