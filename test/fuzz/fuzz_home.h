/* fuzz_home.h -- a central's store in the process's directory, and the gate before it.
 *
 * Threads:  one.
 * Errors:   abort.
 */
#ifndef FUZZ_HOME_H
#define FUZZ_HOME_H

#include "base/hash.h"
#include "base/log.h"
#include "central/receive.h"
#include "conf/conf.h"
#include "test/fuzz/fuzz_dir.h"

static struct {
	struct conf *conf;
	struct store *store;
	struct receive *gate;
} fuzz_home;

static inline void
fuzz_home_open(void)
{
	if (store_open(fuzz_home.conf, &fuzz_home.store) < 0 ||
	    receive_new(fuzz_home.store, &fuzz_home.gate) < 0)
		abort();
}

static inline void
fuzz_home_close(void)
{
	receive_free(fuzz_home.gate);
	store_close(fuzz_home.store);
}

static inline void
fuzz_home_make(const char *zone)
{
	char data_dir[FUZZ_PATH_MAX], time_zone[FUZZ_PATH_MAX], cache[] = "central.cache=4m";
	char *overrides[] = {data_dir, time_zone, cache};

	fuzz_dir_make();
	(void)snprintf(time_zone, sizeof(time_zone), "central.time_zone=%s", zone);
	(void)snprintf(data_dir, sizeof(data_dir), "central.data_dir=%s", fuzz_dir);
	log_init("fuzz", LOG_LEVEL_N);
	if (hash_init() < 0 || calendar_init(zone) < 0 ||
	    conf_load(CONF_CENTRAL, NULL, overrides, 3, stderr, &fuzz_home.conf) < 0)
		abort();
	fuzz_home_open();
	/* before the directory goes, and since the memory of an open store looks lost to
	 * LeakSanitizer */
	if (atexit(fuzz_home_close) != 0)
		abort();
}

#endif
