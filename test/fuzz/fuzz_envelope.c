/* Any bytes as a signed datagram: what reads writes to the same bytes but for the tag, and only the
 * tag of the right key verifies. */
#include <stdlib.h>

#include "proto/datagram.h"
#include "proto/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[ENVELOPE_KEY_BYTES] = {1}, other[ENVELOPE_KEY_BYTES] = {2};
	static uint8_t bytes[DATAGRAM_MAX];
	struct envelope e, back;
	bool is;

	if (!envelope_read(data, size, &e) || size > sizeof(bytes))
		return 0;
	is = envelope_verify(&e, key);
	if (!envelope_is(data, size) || e.payload.len + ENVELOPE_BYTES(e.key_name.len) != size)
		abort();
	if (envelope_write(&e, key, bytes, sizeof(bytes)) != size ||
	    memcmp(bytes, data, size - ENVELOPE_TAG_BYTES) != 0)
		abort();
	if (is != (memcmp(bytes, data, size) == 0))
		abort();
	if (!envelope_read(bytes, size, &back) || !envelope_verify(&back, key) ||
	    envelope_verify(&back, other))
		abort();
	return 0;
}
