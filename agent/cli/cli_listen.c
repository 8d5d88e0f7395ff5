#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"

#define LISTEN_FILE "listen"
#define LISTEN_FILE_MAX (CLI_LISTEN_MAX * (sizeof(struct cli_listen) + 2))

/* -- the listen file -- */

int
cli_listen_write(const char *dir, const struct cli_listen *lines, size_t n)
{
	char text[LISTEN_FILE_MAX];
	size_t len = 0, i;
	int more;

	if (n > CLI_LISTEN_MAX)
		return -E2BIG;
	for (i = 0; i < n; i++) {
		more = snprintf(text + len, sizeof(text) - len, "%s=%s\n", lines[i].name,
				lines[i].address);
		len += (size_t)more;
	}
	return file_replace(dir, LISTEN_FILE, text, len, 0644);
}

static void
listen_path(const char *dir, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s/" LISTEN_FILE, dir);
}

int
cli_listen_read(const char *dir, const char *name, char ret_address[CLI_ADDRESS_MAX])
{
	size_t len, name_len = strlen(name), size;
	char path[4096], *bytes, *line, *end;
	int err;

	listen_path(dir, path, sizeof(path));
	err = file_read(path, LISTEN_FILE_MAX, &bytes, &len);
	if (err < 0)
		return err;
	err = -ENOENT;
	for (line = bytes; (end = strchr(line, '\n')); line = end + 1) {
		if (strncmp(line, name, name_len) != 0 || line[name_len] != '=')
			continue;
		size = (size_t)(end - line) - name_len - 1;
		if (size >= CLI_ADDRESS_MAX)
			continue;
		memcpy(ret_address, line + name_len + 1, size);
		ret_address[size] = '\0';
		err = 0;
		break;
	}
	free(bytes);
	return err;
}

void
cli_listen_remove(const char *dir)
{
	char path[4096];

	listen_path(dir, path, sizeof(path));
	unlink(path);
}
