/* salts.h -- the central's salts: made at random per period, handed to agents, destroyed.
 *
 * Today's and tomorrow's salt (of the configured rotation, in the site's time zone) are given out;
 * each is destroyed 48 h after its period. Kept in data_dir/salts (0600), not in the store: its
 * logs would remember them. Overwritten in place before they are left out.
 *
 * Threads:  any; guarded inside.
 */
#ifndef CENTRAL_SALTS_H
#define CENTRAL_SALTS_H

#include <stdio.h>

#include "base/hash.h"
#include "central/calendar.h"

#define SALTS_MAX 8
#define SALTS_KEPT_MS (INT64_C(48) * 3600 * 1000)

struct salt {
	uint32_t id; /* below 2^31; from the period's start: the same for the same period */
	int64_t from_ms, until_ms, destroy_ms;
	struct hash_key key;
};

struct salts;

int salts_open(const char *data_dir, enum rotation r, int64_t now_ms, struct salts **ret_salts);
void salts_close(struct salts *s); /* overwrites memory */

/* Makes what is missing, destroys what is over, and copies those to be given out: at most
 * SALTS_MAX. Number, or -errno when they could not be saved (then none is given out). */
int salts_current(struct salts *s, int64_t now_ms, struct salt ret_salts[SALTS_MAX]);

#endif
