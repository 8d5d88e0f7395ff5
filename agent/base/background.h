/* background.h -- threads whose work can wait for that of others.
 *
 * The worker of a processor shall answer at once though its neighbour encodes a batch. A time slice
 * longer than everybody's lets any thread that wakes take the processor away at once (Linux 6.12; in
 * those before, one that slept may do so anyway). Five steps of nice, each about a quarter: beside
 * workers that never rest there remains a quarter of one processor, eight times what sealing takes
 * of what they fill; a lower priority could let the journal fill.
 *
 * Threads:  acts on the one that calls.
 * Errors:   a hint: where it is refused (a filter of system calls), everything works as before.
 */
#ifndef BASE_BACKGROUND_H
#define BASE_BACKGROUND_H

#define BACKGROUND_NICE 5

/* From now on the calling thread gives way. There is no way back without privileges. */
void background_begin(void);

#endif
