/* proto/clients/c for the tests; see drive.py. Its golden bytes are test/unit/test_client_c.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/clients/c/footfall.h"

#define BATCH 100

static void
send_all(const char *address, const char *key, const char *event_id)
{
	static char id[BATCH + 2][37];
	struct footfall_event batch[BATCH];
	struct footfall f;
	const double value = 2.5;
	struct footfall_event e = {
	    .type = "video",
	    .id = id[BATCH],
	    .eid = event_id,
	    .ev = "play",
	    .val = &value,
	    .site = "shop",
	    .ip = "192.0.2.1",
	    .ua = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	    .ref = "https://a.example/b?c",
	    .sess = "s-\xc3\xa9",
	};
	int i;

	for (i = 0; i < BATCH + 2; i++)
		footfall_event_id(id[i]);
	for (i = 0; i < BATCH; i++)
		batch[i] = (struct footfall_event){.type = "pdf", .id = id[i]};
	(void)footfall_open(&f, address, strcmp(key, "-") == 0 ? NULL : key);
	(void)footfall_event(&f, &e);
	(void)footfall_batch(&f, batch, BATCH);
	e.type = NULL;
	(void)footfall_event(&f, &e);
	printf("sent %d failed %d\n", (int)f.sent, (int)f.failed);
	fflush(stdout);
	if (fork() == 0) {
		batch[0] = (struct footfall_event){.type = "static", .id = id[BATCH + 1]};
		_exit(footfall_event(&f, &batch[0]) < 0);
	}
	(void)wait(NULL);
	footfall_close(&f);
}

static void
twin(const char *address, const char *event_id, const char *content)
{
	struct footfall_event e = {.type = "video", .id = content, .eid = event_id};
	struct footfall f;

	(void)footfall_open(&f, address, NULL);
	(void)footfall_event(&f, &e);
	footfall_close(&f);
}

int
main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "send") == 0)
		send_all(argv[2], argv[3], argv[4]);
	else if (argc == 5 && strcmp(argv[1], "twin") == 0)
		twin(argv[2], argv[3], argv[4]);
	else
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
