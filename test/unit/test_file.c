/* Whole files: replaced or untouched, secrets kept, one owner per directory. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static char dir[32];

static void
make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/footfall-file-XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
}

static const char *
in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
remove_dir(void)
{
	static const char *const names[] = {"name", "lock", "a/b/c", "a/b", "a", "sub"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)remove(in_dir(names[i]));
	ck_assert_int_eq(rmdir(dir), 0); /* nothing else was left */
}

START_TEST(a_file_is_replaced_as_a_whole_with_its_mode)
{
	char *bytes;
	size_t len;
	struct stat st;

	ck_assert_int_eq(file_replace(dir, "name", "first", 5, 0644), 0);
	ck_assert_int_eq(file_replace(dir, "name", "x\0y", 3, 0600), 0);
	ck_assert_int_eq(file_read(in_dir("name"), 3, &bytes, &len), 0);
	ck_assert_uint_eq(len, 3);
	ck_assert_mem_eq(bytes, "x\0y", 4); /* and a NUL behind */
	free(bytes);
	ck_assert_int_eq(stat(in_dir("name"), &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 0777), 0600);
}
END_TEST

START_TEST(a_replacement_that_fails_leaves_nothing_behind)
{
	ck_assert_int_eq(mkdir(in_dir("name"), 0700), 0);
	ck_assert_int_eq(file_replace(dir, "name", "x", 1, 0600), -EISDIR);
	ck_assert_int_eq(access(in_dir(".name.tmp"), F_OK), -1);
	ck_assert_int_eq(file_replace("/nonexistent", "name", "x", 1, 0600), -ENOENT);
}
END_TEST

START_TEST(a_file_longer_than_allowed_is_refused)
{
	char *bytes = NULL;
	size_t len = 7;

	ck_assert_int_eq(file_replace(dir, "name", "four", 4, 0600), 0);
	ck_assert_int_eq(file_read(in_dir("name"), 3, &bytes, &len), -EFBIG);
	ck_assert(bytes == NULL && len == 7);
	ck_assert_int_eq(file_read(in_dir("absent"), 3, &bytes, &len), -ENOENT);
}
END_TEST

START_TEST(an_empty_file_is_read_as_empty)
{
	char *bytes;
	size_t len;

	ck_assert_int_eq(file_replace(dir, "name", "", 0, 0600), 0);
	ck_assert_int_eq(file_read(in_dir("name"), 0, &bytes, &len), 0);
	ck_assert_uint_eq(len, 0);
	ck_assert_str_eq(bytes, "");
	free(bytes);
}
END_TEST

START_TEST(a_secret_that_others_may_read_is_refused)
{
	static const mode_t open_modes[] = {0640, 0604, 0620, 0602, 0644, 0660};
	char *bytes;
	size_t len, i;

	for (i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
		ck_assert_int_eq(file_replace(dir, "name", "s", 1, open_modes[i]), 0);
		ck_assert_int_eq(file_read_secret(in_dir("name"), 10, &bytes, &len), -EPERM);
	}
	ck_assert_int_eq(chmod(in_dir("name"), 0600), 0);
	ck_assert_int_eq(file_read_secret(in_dir("name"), 10, &bytes, &len), 0);
	ck_assert_str_eq(bytes, "s");
	free(bytes);
}
END_TEST

START_TEST(a_credential_of_the_service_manager_may_be_readable_by_a_group)
{
	char *bytes = NULL;
	size_t len;

	ck_assert_int_eq(file_replace(dir, "name", "abc", 3, 0440), 0);
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", dir, 1), 0);
	ck_assert_int_eq(file_read_secret(in_dir("name"), 10, &bytes, &len), 0);
	free(bytes);
	ck_assert_int_eq(file_replace(dir, "name", "abc", 3, 0444), 0);
	ck_assert_int_eq(file_read_secret(in_dir("name"), 10, &bytes, &len), -EPERM);
	ck_assert_int_eq(file_replace(dir, "name", "abc", 3, 0440), 0);
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", "/else", 1), 0);
	ck_assert_int_eq(file_read_secret(in_dir("name"), 10, &bytes, &len), -EPERM);
	ck_assert_int_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}
END_TEST

START_TEST(missing_parents_are_made)
{
	struct stat st;

	ck_assert_int_eq(file_make_dir(in_dir("a/b/c")), 0);
	ck_assert_int_eq(file_make_dir(in_dir("a/b/c")), 0);
	ck_assert_int_eq(stat(in_dir("a/b/c"), &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	ck_assert_int_eq((int)(st.st_mode & 0777), 0700);
	ck_assert_int_eq(file_make_dir(""), -ENAMETOOLONG);
}
END_TEST

START_TEST(a_file_in_the_way_of_a_directory_is_an_error)
{
	ck_assert_int_eq(file_replace(dir, "name", "", 0, 0600), 0);
	ck_assert_int_eq(file_make_dir(in_dir("name")), -ENOTDIR);
	ck_assert_int_eq(file_make_dir(in_dir("name/sub")), -ENOTDIR);
}
END_TEST

START_TEST(a_directory_has_one_owner)
{
	int first, second = -1;

	ck_assert_int_eq(file_lock_dir(dir, &first), 0);
	ck_assert_int_eq(file_lock_dir(dir, &second), -EWOULDBLOCK);
	ck_assert_int_eq(second, -1);
	close(first);
	ck_assert_int_eq(file_lock_dir(dir, &second), 0);
	close(second);
}
END_TEST

START_TEST(what_a_pipe_takes_in_parts_arrives_whole)
{
	static char big[1 << 20], got[1 << 20];
	size_t at = 0, i;
	ssize_t n;
	int fd[2];

	for (i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 31 >> 4);
	ck_assert_int_eq(pipe(fd), 0);
	if (fork() == 0) {
		close(fd[0]);
		_exit(file_write_all(fd[1], big, sizeof(big)) ? 1 : 0);
	}
	close(fd[1]);
	while ((n = read(fd[0], got + at, sizeof(got) - at)) > 0)
		at += (size_t)n;
	close(fd[0]);
	ck_assert_uint_eq(at, sizeof(big));
	ck_assert_mem_eq(got, big, sizeof(big));
	ck_assert_int_eq(file_write_all(-1, "x", 1), -EBADF);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("file");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, make_dir, remove_dir);
	tcase_add_test(t, a_file_is_replaced_as_a_whole_with_its_mode);
	tcase_add_test(t, a_replacement_that_fails_leaves_nothing_behind);
	tcase_add_test(t, a_file_longer_than_allowed_is_refused);
	tcase_add_test(t, an_empty_file_is_read_as_empty);
	tcase_add_test(t, a_secret_that_others_may_read_is_refused);
	tcase_add_test(t, a_credential_of_the_service_manager_may_be_readable_by_a_group);
	tcase_add_test(t, missing_parents_are_made);
	tcase_add_test(t, a_file_in_the_way_of_a_directory_is_an_error);
	tcase_add_test(t, a_directory_has_one_owner);
	tcase_add_test(t, what_a_pipe_takes_in_parts_arrives_whole);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
