/* fuzz_replay.c -- main of a fuzz target without a fuzzer: runs the files given, and those in the
 * folders given, once each. So every input that ever broke a decoder is part of `make test`.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define INPUT_MAX 1048576

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes in a block of exactly their size, so that reading behind them is seen. */
static int
run_file(const char *path)
{
	char *bytes = NULL;
	uint8_t *exact;
	size_t len;

	if (file_read(path, INPUT_MAX, &bytes, &len)) {
		fprintf(stderr, "%s: cannot be read\n", path);
		return -1;
	}
	exact = malloc(len ? len : 1);
	if (!exact) {
		free(bytes);
		return -1;
	}
	memcpy(exact, bytes, len);
	fprintf(stderr, "%s\n", path); /* the last one named is the one that crashed */
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	free(bytes);
	return 0;
}

static int
run_folder(const char *folder, DIR *dir)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int n = 0;

	while ((entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= PATH_MAX ||
		    run_file(path))
			return -1;
		n++;
	}
	return n;
}

int
main(int argc, char **argv)
{
	int i, n, total = 0;
	DIR *dir;

	for (i = 1; i < argc; i++) {
		dir = opendir(argv[i]);
		n = dir ? run_folder(argv[i], dir) : run_file(argv[i]) ? -1 : 1;
		if (dir)
			closedir(dir);
		if (n < 0)
			return 1;
		total += n;
	}
	printf("%d inputs\n", total);
	return total > 0 ? 0 : 1;
}
