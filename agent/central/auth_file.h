/* auth_file.h -- who may do what, as the file data_dir/access.
 *
 * One account a line: nodes that send batches, users that log in, API tokens that read. It holds
 * hashes only. The command line changes it while the central runs; auth.h takes the change up.
 *
 * Threads:  plain functions; access_change excludes other processes by a lock file.
 * Memory:   a struct access owns its entries until access_free.
 * Durable:  access_change returns 0 only after the whole new file is on the disk.
 * Errors:   -EBADMSG for a file that is none of ours, -EPERM for one that others may read.
 */
#ifndef CENTRAL_AUTH_FILE_H
#define CENTRAL_AUTH_FILE_H

#include "base/text.h"
#include "proto/event.h"

enum access_kind { ACCESS_NODE, ACCESS_USER, ACCESS_TOKEN, ACCESS_KIND_N };

#define ACCESS_MAX 4096       /* accounts of all kinds: a request compares with each, 0.1 ms */
#define ACCESS_SECRET_MAX 128 /* an argon2id string of libsodium, its NUL included */
#define ACCESS_TOKEN_TEXT 44  /* 32 random bytes as base64url, and a NUL */
#define ACCESS_PASSWORD_MIN 8 /* NIST SP 800-63B */
#define ACCESS_PASSWORD_MAX 1024

struct access_entry {
	enum access_kind kind;
	char name[EVENT_NAME_MAX + 1];
	int64_t created_ms;
	char secret[ACCESS_SECRET_MAX]; /* users: argon2id; others: BLAKE2b-256 of the token, hex */
};

struct access {
	struct access_entry *entry; /* in the order in which they were added */
	size_t n;
};

const char *access_kind_name(enum access_kind k); /* "node", "user", "token" */

/* An absent file is an empty one. */
int access_read(const char *data_dir, struct access *ret_access);
void access_free(struct access *a);

const struct access_entry *access_find(const struct access *a, enum access_kind kind,
				       struct text name);

/* Reads, lets `change` work on it, and replaces the file if that returned 0. Else returns what it
 * returned. Creates data_dir when it is missing. */
typedef int access_change_fn(void *ctx, struct access *a);
int access_change(const char *data_dir, access_change_fn *change, void *ctx);

/* For use by a change. -EEXIST; -ENOSPC at ACCESS_MAX; -ENOMEM. Copies the entry. */
int access_add(struct access *a, const struct access_entry *entry);
/* -ENOENT. */
int access_remove(struct access *a, enum access_kind kind, struct text name);

/* A new token, and what is kept of it. */
void access_make_token(char ret_token[ACCESS_TOKEN_TEXT], char ret_secret[ACCESS_SECRET_MAX]);
void access_hash_token(struct text token, char ret_secret[ACCESS_SECRET_MAX]);

/* Takes about 0.1 s and 64 MiB. -ENOMEM. */
int access_hash_password(struct text password, char ret_secret[ACCESS_SECRET_MAX]);

#endif
