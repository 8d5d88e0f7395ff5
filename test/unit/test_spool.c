/* The spool on real files: whole or absent, oldest first, bounded, and no bad file in the way. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "node/spool.h"
#include "test/unit/scratch.h"

#define FRAME 200

static char dir[SCRATCH_MAX];
static struct conf conf;

static void
set_up(void)
{
	ck_assert_int_eq(hash_init(), 0);
	scratch_make(dir, "spool");
	conf = (struct conf){.node_state_dir = dir, .batch_spool_max = 1 << 20};
}

static void
tear_down(void)
{
	scratch_remove(dir);
}

static struct batch_id
id_of(uint8_t epoch, uint64_t seq)
{
	struct batch_id id = {.node = "web-1", .seq = seq};

	memset(id.epoch, epoch, sizeof(id.epoch));
	return id;
}

/* A body that is named rightly; what the frame holds does not matter here. */
static size_t
make_body(const struct batch_id *id, size_t frame_bytes, uint8_t *body)
{
	static uint8_t frame[1 << 20];
	struct batch_name name = {
	    .id = *id,
	    .events = 1,
	    .document_bytes = 1000,
	    .compressed_bytes = (uint32_t)frame_bytes,
	};
	size_t n;

	memset(frame, (int)id->seq, frame_bytes);
	memcpy(frame, "\x28\xb5\x2f\xfd", 4);
	crypto_generichash(name.checksum, 16, frame, frame_bytes, NULL, 0);
	n = batch_name_put(&name, body);
	memcpy(body + n, frame, frame_bytes);
	return n + frame_bytes;
}

static int
put_sized(struct spool *s, uint8_t epoch, uint64_t seq, size_t frame_bytes)
{
	static uint8_t body[BATCH_HEAD_BYTES + (1 << 20)];
	struct batch_id id = id_of(epoch, seq);
	size_t len = make_body(&id, frame_bytes, body);

	return spool_put(s, &id, body, len);
}

static int
put(struct spool *s, uint8_t epoch, uint64_t seq)
{
	return put_sized(s, epoch, seq, FRAME);
}

static struct spool *
open_spool(void)
{
	struct spool *s = NULL;

	ck_assert_int_eq(spool_open(&conf, &s), 0);
	return s;
}

static void
expect_oldest(struct spool *s, uint8_t epoch, uint64_t seq)
{
	struct batch_id id;
	char *body = NULL;
	size_t len;

	ck_assert_int_eq(spool_oldest(s, &id, &body, &len), 0);
	ck_assert_uint_eq(id.epoch[0], epoch);
	ck_assert_uint_eq(id.seq, seq);
	ck_assert_str_eq(id.node, "web-1");
	free(body);
	ck_assert_int_eq(spool_remove(s, &id), 0);
}

static void
expect_empty(struct spool *s)
{
	struct batch_id id;
	char *body;
	size_t len;

	ck_assert_int_eq(spool_oldest(s, &id, &body, &len), -ENOENT);
	ck_assert_uint_eq(spool_count(s), 0);
	ck_assert_uint_eq(spool_bytes(s), 0);
}

static void
file_of(uint8_t epoch, uint64_t seq, const char *folder, char path[192])
{
	char hex[33];
	uint8_t id[16];

	memset(id, epoch, sizeof(id));
	text_from_bytes(id, 16, hex);
	snprintf(path, 192, "%s/spool%s/%s-%020llu.batch", dir, folder, hex,
		 (unsigned long long)seq);
}

static void
damage(uint8_t epoch, uint64_t seq)
{
	char path[192], *bytes;
	size_t len;
	FILE *f;

	file_of(epoch, seq, "", path);
	ck_assert_int_eq(file_read(path, 1 << 20, &bytes, &len), 0);
	bytes[len - 1] ^= 1;
	f = fopen(path, "w");
	ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
	fclose(f);
	free(bytes);
}

START_TEST(batches_come_out_oldest_first_within_and_across_epochs)
{
	struct spool *s = open_spool();

	ck_assert_int_eq(put(s, 9, 10), 0);
	ck_assert_int_eq(put(s, 9, 9), 0);
	ck_assert_int_eq(put(s, 1, 2), 0);
	ck_assert_int_eq(put(s, 9, 100), 0);
	ck_assert_int_eq(put(s, 1, 1), 0);
	expect_oldest(s, 9, 9);
	expect_oldest(s, 9, 10);
	expect_oldest(s, 9, 100);
	expect_oldest(s, 1, 1);
	expect_oldest(s, 1, 2);
	expect_empty(s);
	spool_close(s);
}
END_TEST

START_TEST(order_bytes_and_last_seq_are_the_same_after_a_restart)
{
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct batch_id nine = id_of(9, 0), one = id_of(1, 0), two = id_of(2, 0);
	struct spool *s = open_spool();
	uint64_t bytes;
	char path[192];

	ck_assert_int_eq(put(s, 9, 6), 0);
	ck_assert_int_eq(put(s, 9, 5), 0);
	ck_assert_int_eq(put(s, 1, 7), 0);
	bytes = spool_bytes(s);
	file_of(9, 6, "", path); /* epoch 9 is the older one */
	ck_assert_int_eq(utimensat(AT_FDCWD, path, old, 0), 0);
	spool_close(s);
	s = open_spool();
	ck_assert_uint_eq(spool_count(s), 3);
	ck_assert_uint_eq(spool_bytes(s), bytes);
	ck_assert_uint_eq(spool_last_seq(s, nine.epoch), 6);
	ck_assert_uint_eq(spool_last_seq(s, one.epoch), 7);
	ck_assert_uint_eq(spool_last_seq(s, two.epoch), 0);
	expect_oldest(s, 9, 5);
	expect_oldest(s, 9, 6);
	expect_oldest(s, 1, 7);
	expect_empty(s);
	spool_close(s);
}
END_TEST

START_TEST(same_batch_twice_is_stored_once)
{
	struct spool *s = open_spool();

	ck_assert_int_eq(put(s, 1, 1), 0);
	ck_assert_int_eq(put(s, 1, 1), 0);
	ck_assert_uint_eq(spool_count(s), 1);
	expect_oldest(s, 1, 1);
	expect_empty(s);
	spool_close(s);
}
END_TEST

START_TEST(same_batch_again_replaces_a_damaged_one)
{
	struct spool *s = open_spool();

	ck_assert_int_eq(put(s, 1, 1), 0);
	damage(1, 1);
	ck_assert_int_eq(put(s, 1, 1), 0);
	ck_assert_uint_eq(spool_count(s), 1);
	expect_oldest(s, 1, 1);
	ck_assert_uint_eq(spool_broken(s), 0);
	expect_empty(s);
	spool_close(s);
}
END_TEST

START_TEST(full_spool_refuses_and_leaves_nothing_of_it)
{
	struct spool *s = open_spool();
	uint64_t seq = 0;
	char path[192];
	struct stat st;
	int err;

	while ((err = put_sized(s, 1, seq + 1, 100000)) == 0) {
		seq++;
		/* admission sheds while there is still room for what was acknowledged */
		ck_assert_int_eq(spool_full(s), spool_bytes(s) >= (1 << 20) - (1 << 20) / 16);
	}
	ck_assert_int_eq(err, -EDQUOT);
	ck_assert_uint_eq(seq, 10);
	ck_assert_uint_eq(spool_count(s), 10);
	ck_assert(spool_full(s));
	file_of(1, 11, "", path);
	ck_assert_int_eq(stat(path, &st), -1);
	ck_assert_int_eq(put(s, 1, 11), 0); /* a small one, a ledger alone, finds room */
	expect_oldest(s, 1, 1);
	ck_assert(!spool_full(s));
	ck_assert_int_eq(put_sized(s, 1, 12, 100000), 0);
	spool_close(s);
}
END_TEST

START_TEST(damaged_file_is_set_aside_counted_and_does_not_stop_the_next)
{
	struct batch_id id = id_of(1, 0);
	struct spool *s = open_spool();
	char path[192];
	struct stat st;
	uint64_t seq;

	for (seq = 1; seq <= 3; seq++)
		ck_assert_int_eq(put(s, 1, seq), 0);
	damage(1, 2);
	spool_close(s);
	s = open_spool();
	expect_oldest(s, 1, 1);
	expect_oldest(s, 1, 3);
	expect_empty(s);
	ck_assert_uint_eq(spool_broken(s), 1);
	file_of(1, 2, "/broken", path);
	ck_assert_int_eq(stat(path, &st), 0);
	snprintf(path + strlen(path), 8, ".why");
	ck_assert_int_eq(stat(path, &st), 0);
	spool_close(s);
	s = open_spool(); /* and is still counted, its number still taken */
	ck_assert_uint_eq(spool_broken(s), 1);
	ck_assert_uint_eq(spool_last_seq(s, id.epoch), 2);
	spool_close(s);
}
END_TEST

START_TEST(file_under_another_batchs_name_is_set_aside)
{
	char from[192], to[192];
	struct spool *s = open_spool();

	ck_assert_int_eq(put(s, 1, 1), 0);
	spool_close(s);
	file_of(1, 1, "", from);
	file_of(1, 2, "", to);
	ck_assert_int_eq(rename(from, to), 0);
	s = open_spool();
	expect_empty((spool_oldest(s, &(struct batch_id){0}, &(char *){0}, &(size_t){0}), s));
	ck_assert_uint_eq(spool_broken(s), 1);
	spool_close(s);
}
END_TEST

START_TEST(leftovers_of_unfinished_writes_are_removed_and_strangers_set_aside)
{
	char path[192];
	struct spool *s = open_spool();
	struct stat st;
	FILE *f;

	ck_assert_int_eq(put(s, 1, 1), 0);
	spool_close(s);
	snprintf(path, sizeof(path), "%s/spool/notes.txt", dir);
	f = fopen(path, "w");
	fclose(f);
	snprintf(path, sizeof(path), "%s/spool/.x.batch.tmp", dir);
	f = fopen(path, "w");
	fputs("half", f);
	fclose(f);
	s = open_spool();
	ck_assert_int_eq(stat(path, &st), -1);
	ck_assert_uint_eq(spool_broken(s), 1);
	expect_oldest(s, 1, 1);
	expect_empty(s);
	spool_close(s);
}
END_TEST

START_TEST(batch_that_the_central_refuses_is_set_aside_with_its_reason)
{
	struct spool *s = open_spool();
	struct batch_id id = id_of(1, 1);
	char path[192], *why;
	size_t len;

	ck_assert_int_eq(put(s, 1, 1), 0);
	ck_assert_int_eq(put(s, 1, 2), 0);
	ck_assert_int_eq(spool_set_aside(s, &id, "422 unknown column"), 0);
	ck_assert_int_eq(spool_set_aside(s, &id, "again"), -ENOENT);
	file_of(1, 1, "/broken", path);
	snprintf(path + strlen(path), 8, ".why");
	ck_assert_int_eq(file_read(path, 100, &why, &len), 0);
	ck_assert_str_eq(why, "422 unknown column");
	free(why);
	expect_oldest(s, 1, 2);
	expect_empty(s);
	ck_assert_int_eq(spool_remove(s, &id), 0);
	spool_close(s);
}
END_TEST

START_TEST(the_lowest_number_at_hand_is_one_that_was_set_aside_until_somebody_removes_it)
{
	struct spool *s = open_spool();
	struct batch_id id = id_of(1, 2), later = id_of(1, 3), other = id_of(2, 3);
	char path[192];

	ck_assert_int_eq(put(s, 1, 2), 0);
	ck_assert_int_eq(put(s, 1, 3), 0);
	ck_assert_uint_eq(spool_lowest(s, &later), 3); /* who sends it has 2 answered for */
	ck_assert_int_eq(spool_set_aside(s, &id, "422 unknown column"), 0);
	ck_assert_uint_eq(spool_lowest(s, &later), 2);
	ck_assert_uint_eq(spool_lowest(s, &other), 3);
	file_of(1, 2, "/broken", path);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_uint_eq(spool_lowest(s, &later), 3);
	spool_close(s);
}
END_TEST

START_TEST(wait_returns_when_a_batch_waits_or_it_is_woken)
{
	struct spool *s = open_spool();

	spool_wait(s, 0);
	spool_wake(s);
	spool_wait(s, 3600000);
	ck_assert_int_eq(put(s, 1, 1), 0);
	spool_wait(s, 3600000);
	spool_close(s);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("spool");
	TCase *c = tcase_create("spool");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_add_test(c, batches_come_out_oldest_first_within_and_across_epochs);
	tcase_add_test(c, order_bytes_and_last_seq_are_the_same_after_a_restart);
	tcase_add_test(c, same_batch_twice_is_stored_once);
	tcase_add_test(c, same_batch_again_replaces_a_damaged_one);
	tcase_add_test(c, full_spool_refuses_and_leaves_nothing_of_it);
	tcase_add_test(c, damaged_file_is_set_aside_counted_and_does_not_stop_the_next);
	tcase_add_test(c, file_under_another_batchs_name_is_set_aside);
	tcase_add_test(c, leftovers_of_unfinished_writes_are_removed_and_strangers_set_aside);
	tcase_add_test(c, batch_that_the_central_refuses_is_set_aside_with_its_reason);
	tcase_add_test(
	    c, the_lowest_number_at_hand_is_one_that_was_set_aside_until_somebody_removes_it);
	tcase_add_test(c, wait_returns_when_a_batch_waits_or_it_is_woken);
	suite_add_tcase(suite, c);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
