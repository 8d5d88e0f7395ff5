/* The file data_dir/access (0600), text:
 *
 *   footfall-access 1
 *   node  NAME CREATED_MS BLAKE2B-256-HEX
 *   user  NAME CREATED_MS ARGON2ID-STRING
 *   token NAME CREATED_MS BLAKE2B-256-HEX
 *
 * API tokens have the one scope "read"; another scope will be another kind of line.
 */
#include "central/auth_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"

#define HEADER "footfall-access 1\n"
#define TOKEN_BYTES 32
#define SPACE " \t\r\v\f"
#define LINE_MAX_BYTES (8 + EVENT_NAME_MAX + 24 + ACCESS_SECRET_MAX)
#define FILE_MAX_BYTES (sizeof(HEADER) + ACCESS_MAX * (size_t)LINE_MAX_BYTES)

static const char *const kind_names[ACCESS_KIND_N] = {"node", "user", "token"};

const char *
access_kind_name(enum access_kind k)
{
	return kind_names[k];
}

/* -- reading -- */

static bool
parse_kind(const char *word, enum access_kind *ret_kind)
{
	unsigned k;

	for (k = 0; k < ACCESS_KIND_N; k++) {
		if (strcmp(word, kind_names[k]) != 0)
			continue;
		*ret_kind = (enum access_kind)k;
		return true;
	}
	return false;
}

/* The next word, which must fit: scanf would go on with the rest of it as the word behind. */
static bool
take_word(const char **line, char *word, size_t cap)
{
	size_t n;

	*line += strspn(*line, SPACE);
	n = strcspn(*line, SPACE);
	if (n == 0 || n >= cap)
		return false;
	memcpy(word, *line, n);
	word[n] = '\0';
	*line += n;
	return true;
}

static bool
parse_time(const char *word, int64_t *ret_ms)
{
	char *end = NULL;

	*ret_ms = strtoll(word, &end, 10); /* at its limit when there are too many digits */
	return *end == '\0' && *ret_ms >= 0 && *ret_ms <= EVENT_TS_MAX_MS;
}

static bool
parse_line(const char *line, struct access_entry *ret_entry)
{
	struct access_entry e = {0};
	char kind[8], created[24];

	if (!take_word(&line, kind, sizeof(kind)) || !take_word(&line, e.name, sizeof(e.name)) ||
	    !take_word(&line, created, sizeof(created)) ||
	    !take_word(&line, e.secret, sizeof(e.secret)) || line[strspn(line, SPACE)] != '\0')
		return false;
	if (!parse_kind(kind, &e.kind) || !event_name_valid(text_of(e.name)) ||
	    !parse_time(created, &e.created_ms))
		return false;
	*ret_entry = e;
	return true;
}

static int
parse_file(char *bytes, struct access *a)
{
	char *line, *rest = NULL;
	struct access_entry e;
	int err = 0;

	if (strncmp(bytes, HEADER, sizeof(HEADER) - 1) != 0)
		return -EBADMSG;
	line = strtok_r(bytes + sizeof(HEADER) - 1, "\n", &rest);
	for (; line && !err; line = strtok_r(NULL, "\n", &rest))
		err = parse_line(line, &e) ? access_add(a, &e) : -EBADMSG;
	return err == -EEXIST ? -EBADMSG : err;
}

int
access_read(const char *data_dir, struct access *ret_access)
{
	struct access a = {NULL, 0};
	char path[PATH_MAX], *bytes = NULL;
	size_t len = 0;
	int err;

	if (snprintf(path, sizeof(path), "%s/access", data_dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	err = file_read_secret(path, FILE_MAX_BYTES, &bytes, &len);
	if (!err)
		err = strlen(bytes) == len ? parse_file(bytes, &a) : -EBADMSG;
	else if (err == -ENOENT)
		err = 0;
	free(bytes);
	if (err) {
		access_free(&a);
		return err;
	}
	*ret_access = a;
	return 0;
}

void
access_free(struct access *a)
{
	free(a->entry);
	a->entry = NULL;
	a->n = 0;
}

const struct access_entry *
access_find(const struct access *a, enum access_kind kind, struct text name)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		if (a->entry[i].kind == kind && text_is(name, a->entry[i].name))
			return &a->entry[i];
	return NULL;
}

/* -- changing -- */

int
access_add(struct access *a, const struct access_entry *entry)
{
	struct access_entry *grown;

	if (access_find(a, entry->kind, text_of(entry->name)))
		return -EEXIST;
	if (a->n == ACCESS_MAX)
		return -ENOSPC;
	if ((a->n & (a->n - 1)) == 0) { /* room is the next power of two, or more after removals */
		grown = realloc(a->entry, (a->n ? 2 * a->n : 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		a->entry = grown;
	}
	a->entry[a->n++] = *entry;
	return 0;
}

int
access_remove(struct access *a, enum access_kind kind, struct text name)
{
	const struct access_entry *found = access_find(a, kind, name);
	size_t i;

	if (!found)
		return -ENOENT;
	i = (size_t)(found - a->entry);
	memmove(&a->entry[i], &a->entry[i + 1], (a->n - i - 1) * sizeof(a->entry[0]));
	a->n--;
	return 0;
}

static int
write_file(const char *data_dir, const struct access *a)
{
	char *bytes = NULL;
	size_t len = 0, i;
	FILE *f = open_memstream(&bytes, &len);
	int err;

	if (!f)
		return -ENOMEM;
	fputs(HEADER, f);
	for (i = 0; i < a->n; i++)
		fprintf(f, "%s %s %" PRId64 " %s\n", kind_names[a->entry[i].kind], a->entry[i].name,
			a->entry[i].created_ms, a->entry[i].secret);
	err = fclose(f) ? -ENOMEM : file_replace(data_dir, "access", bytes, len, 0600);
	free(bytes);
	return err;
}

/* A file of its own, since `access` itself is replaced, and a lock would stay with the old one. */
static int
take_lock(const char *data_dir, int *ret_fd)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/access.lock", data_dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX) < 0) {
		if (errno == EINTR)
			continue;
		close(fd);
		return -errno;
	}
	*ret_fd = fd;
	return 0;
}

int
access_change(const char *data_dir, access_change_fn *change, void *ctx)
{
	struct access a = {NULL, 0};
	int fd = -1, err;

	err = file_make_dir(data_dir);
	if (!err)
		err = take_lock(data_dir, &fd);
	if (!err)
		err = access_read(data_dir, &a);
	if (!err)
		err = change(ctx, &a);
	if (!err)
		err = write_file(data_dir, &a);
	access_free(&a);
	if (fd >= 0)
		close(fd);
	return err;
}

/* -- secrets -- */

void
access_hash_token(struct text token, char ret_secret[ACCESS_SECRET_MAX])
{
	uint8_t hash[32];

	crypto_generichash(hash, sizeof(hash), (const uint8_t *)token.at, token.len, NULL, 0);
	memset(ret_secret, 0, ACCESS_SECRET_MAX);
	text_from_bytes(hash, sizeof(hash), ret_secret);
}

void
access_make_token(char ret_token[ACCESS_TOKEN_TEXT], char ret_secret[ACCESS_SECRET_MAX])
{
	uint8_t bytes[TOKEN_BYTES];

	_Static_assert(
	    sodium_base64_ENCODED_LEN(TOKEN_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING) ==
		ACCESS_TOKEN_TEXT,
	    "43 characters and a NUL");
	randombytes_buf(bytes, sizeof(bytes));
	sodium_bin2base64(ret_token, ACCESS_TOKEN_TEXT, bytes, sizeof(bytes),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(bytes, sizeof(bytes));
	access_hash_token(text_of(ret_token), ret_secret);
}

int
access_hash_password(struct text password, char ret_secret[ACCESS_SECRET_MAX])
{
	_Static_assert(crypto_pwhash_STRBYTES == ACCESS_SECRET_MAX, "libsodium's string form");
	if (crypto_pwhash_str(ret_secret, password.at, password.len,
			      crypto_pwhash_OPSLIMIT_INTERACTIVE,
			      crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0)
		return -ENOMEM;
	return 0;
}
