#include "base/background.h"

#include <linux/sched.h> /* not <sched.h>: that redefines what these define */
#include <linux/sched/types.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS 100000000 /* the longest that Linux grants */

void
background_begin(void)
{
	struct sched_attr a = {
	    .size = sizeof(a),
	    .sched_policy = SCHED_BATCH, /* it takes the processor from nobody when it wakes */
	    .sched_nice = getpriority(PRIO_PROCESS, 0) + BACKGROUND_NICE,
	    .sched_runtime = SLICE_NS,
	};

	if (a.sched_nice > 19)
		a.sched_nice = 19;
	/* glibc has a function of this name from 2.41 */
	(void)syscall(SYS_sched_setattr, 0, &a, 0);
}
