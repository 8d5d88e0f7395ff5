/* file.h -- files that are either whole or absent.
 *
 * Threads:  any; two writers of one path must not meet.
 * Durable:  file_replace returns 0 only after the bytes, the name and the directory are on disk.
 * Errors:   -errno of the call that failed; a failed fsync is final: the temporary file is removed,
 *           the old one stands.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All bytes or an error; goes on after EINTR and short writes. */
int file_write_all(int fd, const void *bytes, size_t n);

/* Writes dir/name aside (".name.tmp"), fsyncs, renames, fsyncs dir. */
int file_replace(const char *dir, const char *name, const void *bytes, size_t n, mode_t mode);

/* Whole file, at most max bytes (-EFBIG when it is longer), NUL behind; the caller frees. */
int file_read(const char *path, size_t max, char **ret_bytes, size_t *ret_len);

/* As file_read, but refuses (-EPERM) a file that others than its owner may read or write; in
 * systemd's CREDENTIALS_DIRECTORY a group may read it. */
int file_read_secret(const char *path, size_t max, char **ret_bytes, size_t *ret_len);

/* fsync of a directory. */
int file_sync_dir(const char *dir);

/* Creates a directory of mode 0700 and its missing parents. 0 also when it is there. */
int file_make_dir(const char *path);

/* Takes an exclusive lock on dir/lock for the life of the process: 0 with the descriptor in ret_fd,
 * -EWOULDBLOCK when another process has it. */
int file_lock_dir(const char *dir, int *ret_fd);

#endif
