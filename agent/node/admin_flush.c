#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "node/admin_private.h"
#include "stats/stats.h"

#define SEAL_MS (30 * SECOND_MS)   /* a full journal is sealed in a few seconds */
#define SLICE_MS 500               /* how late a stop ends a flush */
#define FAILING_MS (5 * SECOND_MS) /* so long nothing but failures: several tries */
#define QUIET_MS (5 * SECOND_MS)   /* beyond the time that one request may take */
#define WHY_MAX 512

static unsigned
fail(FILE *out, unsigned status, const char *why)
{
	fprintf(out, "{\"flushed\":false,\"error\":");
	admin_print_string(out, why);
	fprintf(out, "}\n");
	return status;
}

static uint64_t
answered(void)
{
	return stat_get(STAT_FORWARDED) + stat_get(STAT_FORWARD_ALREADY) +
	       stat_get(STAT_FORWARD_REFUSED);
}

static bool
is_failing(struct admin *a)
{
	char error[WHY_MAX];

	forward_status(a->parts.forwarder, error, sizeof(error));
	return error[0] != '\0';
}

/* Waits as long as batches move; a long backlog may take its time, a dead central may not. */
static int
wait_for_central(struct admin *a, const struct batch_id *last, char *why)
{
	int64_t since = mono_now().us / 1000, patience;
	uint64_t before = answered(), now;
	int err;

	for (;;) {
		err = forward_wait(a->parts.forwarder, last, SLICE_MS, why, WHY_MAX);
		if (err != -ETIMEDOUT)
			return err;
		if (atomic_load(&a->stopping))
			return -ECANCELED;
		now = answered();
		if (now != before) {
			before = now;
			since = mono_now().us / 1000;
		}
		patience = is_failing(a) ? FAILING_MS : a->parts.c->forward_timeout + QUIET_MS;
		if (mono_now().us / 1000 - since > patience)
			return -ETIMEDOUT;
	}
}

unsigned
admin_flush(struct admin *a, FILE *out)
{
	char why[WHY_MAX] = "";
	struct batch_id last = {0};
	int err = seal_flush(a->parts.sealer, SEAL_MS, &last);

	if (err) {
		snprintf(why, sizeof(why), "what was accepted cannot be sealed: %s%s",
			 strerror(-err), err == -EDQUOT ? " (batch.spool_max is reached)" : "");
		return fail(out, MHD_HTTP_SERVICE_UNAVAILABLE, why);
	}
	err = wait_for_central(a, &last, why);
	if (err == -ECANCELED)
		return fail(out, MHD_HTTP_SERVICE_UNAVAILABLE, "the agent is stopping");
	if (err)
		return fail(
		    out, err == -ETIMEDOUT ? MHD_HTTP_GATEWAY_TIMEOUT : MHD_HTTP_BAD_GATEWAY, why);
	fprintf(out, "{\"flushed\":true,\"seq\":%" PRIu64 "}\n", last.seq);
	return MHD_HTTP_OK;
}
