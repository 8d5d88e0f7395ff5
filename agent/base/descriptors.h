/* descriptors.h -- a thread with a table of descriptors of its own.
 *
 * Threads share their process's table, and so each call on a descriptor counts its file's users up
 * and down, in case another thread closes it meanwhile: two atomic operations, which a table that
 * nobody shares is spared (Linux, __fget_light in fs/file.c). A thread that lives on small reads
 * and writes gains a fiftieth of its time.
 *
 * Threads:  the calling one alone. What others open or close afterwards does not concern it, nor
 *           them what it does: a descriptor goes from one to the other by SCM_RIGHTS, and a file is
 *           closed when all its copies are.
 * Errors:   -errno; nothing has changed then.
 */
#ifndef BASE_DESCRIPTORS_H
#define BASE_DESCRIPTORS_H

#include <stddef.h>

/* Keeps these, which it sorts, and 0 to 2. The others stay open for the other threads. -ENOSYS
 * before Linux 5.9, and under ThreadSanitizer. */
int descriptors_keep(int *fd, size_t n);

#endif
