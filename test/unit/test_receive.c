/* The gate for batches: what is wrong with one is found before anything is stored. */
#include "central_home.h"

#include <string.h>

#include "central/receive.h"

#define HOUR INT64_C(1795348800000) /* 2026-11-22T12:00:00Z */
#define ARRIVAL (HOUR + HOUR_MS + 1000)

static struct receive *gate;
static struct maker batch;

static void
make_batch(void)
{
	struct event e = view_of(HOUR + 1, 7, 1);

	home_open("UTC", "day");
	ck_assert_int_eq(receive_new(home.store, &gate), 0);
	maker_begin(&batch, "web-1", 1, 1, HOUR, 8);
	maker_add(&batch, &e);
	maker_finish(&batch);
}

static void
free_batch(void)
{
	maker_free(&batch);
	receive_free(gate);
	home_close();
}

static struct text
body_of(const struct maker *m)
{
	return (struct text){(const char *)m->body, m->body_len};
}

static uint64_t
stored(void)
{
	struct store_stats s;

	store_stats(home.store, &s);
	return s.batches;
}

/* Another name before the same frame, with the right checksum of it: the node lies. */
static void
rename_batch(void)
{
	uint8_t head[BATCH_HEAD_BYTES], *body;
	size_t frame = batch.name.compressed_bytes, n = batch_name_put(&batch.name, head);

	body = malloc(n + frame);
	ck_assert_ptr_nonnull(body);
	memcpy(body, head, n);
	memcpy(body + n, batch.body + batch.body_len - frame, frame);
	free(batch.body);
	batch.body = body;
	batch.body_len = n + frame;
}

START_TEST(a_batch_is_stored_once)
{
	struct receive_answer said = receive_batch(gate, "web-1", body_of(&batch), 0, ARRIVAL);

	ck_assert_uint_eq(said.status, 200);
	ck_assert_str_eq(said.text, "stored");
	said = receive_batch(gate, "web-1", body_of(&batch), 0, ARRIVAL + 1);
	ck_assert_uint_eq(said.status, 200);
	ck_assert_str_eq(said.text, "already");
	ck_assert_uint_eq(stored(), 1);
}
END_TEST

START_TEST(a_token_of_another_node_stores_nothing)
{
	ck_assert_uint_eq(receive_batch(gate, "web-2", body_of(&batch), 0, ARRIVAL).status, 403);
	ck_assert_uint_eq(receive_batch(gate, "web-11", body_of(&batch), 0, ARRIVAL).status, 403);
	ck_assert_uint_eq(receive_batch(gate, "web-", body_of(&batch), 0, ARRIVAL).status, 403);
	ck_assert_uint_eq(stored(), 0);
}
END_TEST

START_TEST(other_bytes_under_the_same_number_are_a_conflict)
{
	struct event e = view_of(HOUR + 2, 8, 2);
	struct maker other;

	ck_assert_uint_eq(receive_batch(gate, "web-1", body_of(&batch), 0, ARRIVAL).status, 200);
	maker_begin(&other, "web-1", 1, 1, HOUR, 8);
	maker_add(&other, &e);
	maker_finish(&other);
	ck_assert_uint_eq(receive_batch(gate, "web-1", body_of(&other), 0, ARRIVAL).status, 409);
	maker_free(&other);
	ck_assert_uint_eq(stored(), 1);
}
END_TEST

START_TEST(a_body_that_was_cut_short_or_grew_is_broken)
{
	struct text body = body_of(&batch);
	char longer[4096];

	for (body.len = 0; body.len < batch.body_len; body.len++)
		if (receive_batch(gate, "web-1", body, 0, ARRIVAL).status != 400)
			ck_abort_msg("cut to %zu bytes", body.len);
	ck_assert_uint_lt(batch.body_len, sizeof(longer));
	memcpy(longer, batch.body, batch.body_len);
	longer[batch.body_len] = 0;
	body = (struct text){longer, batch.body_len + 1};
	ck_assert_uint_eq(receive_batch(gate, "web-1", body, 0, ARRIVAL).status, 400);
	ck_assert_uint_eq(stored(), 0);
}
END_TEST

START_TEST(a_changed_bit_anywhere_stores_nothing)
{
	unsigned status;
	size_t i;

	for (i = 0; i < batch.body_len; i++) {
		batch.body[i] ^= 0x10;
		status = receive_batch(gate, "web-1", body_of(&batch), 0, ARRIVAL).status;
		batch.body[i] ^= 0x10;
		if (status == 200)
			ck_abort_msg("a changed byte %zu was stored", i);
	}
	ck_assert_uint_eq(stored(), 0);
}
END_TEST

START_TEST(a_declared_size_that_is_not_the_documents_is_broken)
{
	batch.name.document_bytes++;
	rename_batch();
	ck_assert_uint_eq(receive_batch(gate, "web-1", body_of(&batch), 0, ARRIVAL).status, 422);
	batch.name.document_bytes = UINT32_MAX;
	rename_batch();
	ck_assert_uint_ge(receive_batch(gate, "web-1", body_of(&batch), 0, ARRIVAL).status, 400);
	ck_assert_uint_eq(stored(), 0);
}
END_TEST

START_TEST(a_name_that_differs_from_the_documents_is_broken)
{
	batch.name.id.seq = 2;
	rename_batch();
	ck_assert_uint_eq(receive_batch(gate, "web-1", body_of(&batch), 0, ARRIVAL).status, 422);
	memcpy(batch.name.id.node, "web-9", 6);
	rename_batch();
	ck_assert_uint_eq(receive_batch(gate, "web-9", body_of(&batch), 0, ARRIVAL).status, 422);
	ck_assert_uint_eq(stored(), 0);
}
END_TEST

/* A kilobyte that unpacks to 255 MiB of zeros: decompressed within its declared size,
 * then refused. */
START_TEST(a_bomb_is_refused)
{
	size_t size = 255u << 20, cap = ZSTD_compressBound(size), n;
	uint8_t *zeros = calloc(1, size), *frame = malloc(cap);
	uint8_t head[BATCH_HEAD_BYTES];

	ck_assert(zeros && frame);
	n = ZSTD_compress(frame, cap, zeros, size, 1);
	ck_assert(!ZSTD_isError(n));
	free(zeros);
	batch.name.document_bytes = (uint32_t)size;
	batch.name.compressed_bytes = (uint32_t)n;
	batch_checksum(frame, n, batch.name.checksum);
	free(batch.body);
	batch.body = malloc(BATCH_HEAD_BYTES + n);
	batch.body_len = batch_name_put(&batch.name, head);
	memcpy(batch.body, head, batch.body_len);
	memcpy(batch.body + batch.body_len, frame, n);
	batch.body_len += n;
	free(frame);
	ck_assert_uint_eq(receive_batch(gate, "web-1", body_of(&batch), 0, ARRIVAL).status, 422);
	ck_assert_uint_eq(stored(), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("receive");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, make_batch, free_batch);
	tcase_set_timeout(t, 120); /* a store each, under a sanitizer */
	tcase_add_test(t, a_batch_is_stored_once);
	tcase_add_test(t, a_token_of_another_node_stores_nothing);
	tcase_add_test(t, other_bytes_under_the_same_number_are_a_conflict);
	tcase_add_test(t, a_body_that_was_cut_short_or_grew_is_broken);
	tcase_add_test(t, a_changed_bit_anywhere_stores_nothing);
	tcase_add_test(t, a_declared_size_that_is_not_the_documents_is_broken);
	tcase_add_test(t, a_name_that_differs_from_the_documents_is_broken);
	tcase_add_test(t, a_bomb_is_refused);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
