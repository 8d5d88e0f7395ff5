/* The forwarder against a central that answers what the test says. */
#include <check.h>
#include <errno.h>
#include <microhttpd.h>
#include <msgpack.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "node/forward.h"
#include "node/forward_central.h"
#include "stats/stats.h"

#define FRAME 200
#define SCRIPT_MAX 8
#define WAIT_MS 20000

static char dir[64];
static struct conf *conf;
static struct spool *spool;
static struct visitor_salts *salts;
static struct forwarder *forwarder;

/* -- the central: answers its script line by line, then its last line for ever -- */

struct said {
	unsigned status;
	const char *body;
};

static struct {
	pthread_mutex_t lock;
	struct said script[SCRIPT_MAX];
	size_t lines, at;
	struct batch_name got[64]; /* names of the bodies that came */
	size_t n_got;
	char authorization[64], oldest[32];
	char salts[1024];
	size_t salts_len;
	char body[4096];
	size_t body_len;
	struct MHD_Daemon *daemon;
} central = {.lock = PTHREAD_MUTEX_INITIALIZER};

static enum MHD_Result
say(struct MHD_Connection *c, unsigned status, const char *bytes, size_t len)
{
	char *copy = malloc(len + 1);
	struct MHD_Response *r;
	enum MHD_Result done;

	memcpy(copy, bytes, len);
	r = MHD_create_response_from_buffer(len, copy, MHD_RESPMEM_MUST_FREE);
	done = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return done;
}

static enum MHD_Result
take_batch(struct MHD_Connection *c)
{
	struct said line = central.script[central.at];
	struct text frame;

	if (central.at + 1 < central.lines)
		central.at++;
	if (central.n_got < 64 && batch_name_get((const uint8_t *)central.body, central.body_len,
						 &central.got[central.n_got], &frame) == 0)
		central.n_got++;
	return say(c, line.status, line.body, strlen(line.body));
}

static enum MHD_Result
request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
	const char *version, const char *data, size_t *size, void **req)
{
	const char *oldest = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Footfall-Oldest");
	const char *authorization =
	    MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
	enum MHD_Result done;

	(void)cls, (void)version, (void)method;
	pthread_mutex_lock(&central.lock);
	if (!*req) {
		*req = &central;
		central.body_len = 0;
		snprintf(central.authorization, sizeof(central.authorization), "%s",
			 authorization ? authorization : "");
		if (oldest)
			snprintf(central.oldest, sizeof(central.oldest), "%s", oldest);
		done = MHD_YES;
	} else if (*size > 0) {
		ck_assert_uint_le(central.body_len + *size, sizeof(central.body));
		memcpy(central.body + central.body_len, data, *size);
		central.body_len += *size;
		*size = 0;
		done = MHD_YES;
	} else if (strcmp(url, "/v1/salts") == 0) {
		done = say(c, central.salts_len ? 200 : 404, central.salts, central.salts_len);
	} else {
		ck_assert_str_eq(url, "/v1/batches");
		done = take_batch(c);
	}
	pthread_mutex_unlock(&central.lock);
	return done;
}

static uint16_t
central_start(const struct said *script, size_t lines)
{
	central.lines = lines;
	memcpy(central.script, script, lines * sizeof(*script));
	central.daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, request,
					  NULL, MHD_OPTION_END);
	ck_assert_ptr_nonnull(central.daemon);
	return MHD_get_daemon_info(central.daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static size_t
got(void)
{
	size_t n;

	pthread_mutex_lock(&central.lock);
	n = central.n_got;
	pthread_mutex_unlock(&central.lock);
	return n;
}

/* -- the node -- */

static void
start(uint16_t port)
{
	char state[96], url[64], token[128], path[96];
	char *overrides[] = {
	    (char[]){"node.name=web-1"},   state, url, token, (char[]){"forward.retry_max=100ms"},
	    (char[]){"forward.timeout=5s"}};

	snprintf(path, sizeof(path), "%s/token", dir);
	ck_assert_int_eq(file_replace(dir, "token", "secret\n", 7, 0600), 0);
	snprintf(state, sizeof(state), "node.state_dir=%s", dir);
	snprintf(url, sizeof(url), "forward.central=http://127.0.0.1:%u/", port);
	snprintf(token, sizeof(token), "forward.token_file=%s", path);
	ck_assert_int_eq(conf_load(CONF_AGENT, NULL, overrides, 6, stderr, &conf), 0);
	ck_assert_int_eq(visitor_salts_open(dir, wall_now().ms, &salts), 0);
	ck_assert_int_eq(spool_open(conf, &spool), 0);
	ck_assert_int_eq(forward_start(conf, spool, salts, &forwarder), 0);
}

static void
put_of(const char *node, uint64_t seq)
{
	uint8_t frame[FRAME], body[BATCH_HEAD_BYTES + FRAME];
	struct batch_name name = {.id = {.epoch = {1}, .seq = seq},
				  .events = 1,
				  .document_bytes = 1000,
				  .compressed_bytes = FRAME};
	size_t n;

	snprintf(name.id.node, sizeof(name.id.node), "%s", node);
	memset(frame, (int)seq, sizeof(frame));
	memcpy(frame, "\x28\xb5\x2f\xfd", 4);
	crypto_generichash(name.checksum, sizeof(name.checksum), frame, FRAME, NULL, 0);
	n = batch_name_put(&name, body);
	memcpy(body + n, frame, FRAME);
	ck_assert_int_eq(spool_put(spool, &name.id, body, n + FRAME), 0);
}

static void
put(uint64_t seq)
{
	put_of("web-1", seq);
}

static int
wait_for(uint64_t seq, int64_t ms, char *why)
{
	struct batch_id id = {.node = "web-1", .epoch = {1}, .seq = seq};

	return forward_wait(forwarder, &id, ms, why, CENTRAL_WHY_MAX);
}

static void
set_up(void)
{
	log_init("test", LOG_LEVEL_N);
	ck_assert_int_eq(hash_init(), 0);
	snprintf(dir, sizeof(dir), "%s/footfall-forward-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

/* Nothing is left for the next test, which may run in the same process. */
static void
tear_down(void)
{
	char command[96];

	if (forwarder)
		forward_stop(forwarder, 0);
	spool_close(spool);
	visitor_salts_close(salts);
	conf_free(conf);
	if (central.daemon)
		MHD_stop_daemon(central.daemon);
	central.daemon = NULL;
	central.at = central.lines = central.n_got = central.salts_len = 0;
	forwarder = NULL;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

/* -- tests -- */

START_TEST(batches_go_oldest_first_under_the_token_and_are_then_removed)
{
	const struct said script[] = {{200, "{\"result\":\"stored\"}"},
				      {200, "{ \"result\" : \"already\" }"}};
	char why[CENTRAL_WHY_MAX];
	uint64_t before = stat_get(STAT_FORWARDED);
	uint64_t seq;

	start(central_start(script, 2));
	for (seq = 1; seq <= 5; seq++)
		put(seq);
	ck_assert_int_eq(wait_for(5, WAIT_MS, why), 0);
	ck_assert_uint_eq(spool_count(spool), 0);
	ck_assert_uint_eq(got(), 5);
	for (seq = 1; seq <= 5; seq++)
		ck_assert_uint_eq(central.got[seq - 1].id.seq, seq);
	ck_assert_str_eq(central.authorization, "Bearer secret");
	ck_assert_str_eq(central.oldest, "5");
	ck_assert_uint_eq(stat_get(STAT_FORWARDED) - before, 1);
	forward_status(forwarder, why, sizeof(why));
	ck_assert_uint_eq(spool_broken(spool), 0);
}
END_TEST

static const struct said retried[] = {
    {500, ""},
    {503, "{\"result\":\"stored\"}"},
    {429, ""},
    {408, ""},
    {404, ""},
    {401, ""},
    {403, ""},
    {403, "{\"error\":\"this token is another node's\"}"}, /* the token may be put right */
    {302, ""},
    {400, "<html>bad request</html>"}, /* these are a proxy's, not the central's */
    {409, ""},
    {413, "<html>request entity too large</html>"},
    {422, "{}"},
    {200, ""},
    {200, "<html>welcome</html>"},
    {200, "{\"result\":\"stored\"} trailing"},
    {200, "{\"result\":\"storedx\"}"},
    {200, "{\"result\":\"stored\""},
    {200, "{\"other\":\"stored\"}"},
    {204, "{\"result\":\"stored\"}"},
};

START_TEST(whatever_is_no_clear_answer_is_tried_again_and_nothing_is_removed)
{
	const struct said script[] = {retried[_i], retried[_i], {200, "{\"result\":\"stored\"}"}};
	char why[CENTRAL_WHY_MAX];

	start(central_start(script, 3));
	put(1);
	ck_assert_int_eq(wait_for(1, WAIT_MS, why), 0);
	ck_assert_uint_eq(got(), 3);
	ck_assert_uint_eq(spool_count(spool), 0);
	ck_assert_uint_eq(spool_broken(spool), 0);
}
END_TEST

static const unsigned refused[] = {400, 409, 413, 422};

START_TEST(a_refused_batch_is_set_aside_and_does_not_stop_the_next)
{
	const struct said script[] = {{refused[_i], "{\"error\":\"no\"}"},
				      {200, "{\"result\":\"stored\"}"}};
	char why[CENTRAL_WHY_MAX];

	start(central_start(script, 2));
	put(1);
	put(2);
	ck_assert_int_eq(wait_for(2, WAIT_MS, why), -EPROTO);
	ck_assert_ptr_nonnull(strstr(why, "batch 1"));
	ck_assert_uint_eq(spool_count(spool), 0);
	ck_assert_uint_eq(spool_broken(spool), 1);
	ck_assert_uint_eq(got(), 2);
}
END_TEST

static const struct said denied[] = {
    {401, "{\"error\":\"no node has this token\"}"},
    {403, "<html>forbidden</html>"},
    {403, "{\"error\":\"this token is another node's\"}"},
};

/* The central's own 403 is about the name; a token that it does not know, and a proxy's no, are
 * put right by somebody. */
START_TEST(a_batch_under_a_former_name_is_set_aside_only_when_its_name_is_refused)
{
	const struct said script[] = {denied[_i], {200, "{\"result\":\"stored\"}"}};
	char why[CENTRAL_WHY_MAX];
	bool aside = _i == 2;

	start(central_start(script, 2));
	put_of("web-0", 1);
	put(2);
	ck_assert_int_eq(wait_for(2, WAIT_MS, why), aside ? -EPROTO : 0);
	ck_assert_uint_eq(spool_count(spool), 0);
	ck_assert_uint_eq(spool_broken(spool), aside);
	ck_assert_uint_eq(got(), aside ? 2 : 3);
	ck_assert_str_eq(central.got[0].id.node, "web-0");
	ck_assert_uint_eq(central.got[got() - 1].id.seq, 2);
}
END_TEST

/* Pauses of up to 100 ms: 20 tries in a second, and 64 are out of reach; without pauses there are
 * hundreds. */
START_TEST(a_failing_central_is_not_tried_without_pause)
{
	const struct said script[] = {{500, ""}};
	char why[CENTRAL_WHY_MAX] = "";

	start(central_start(script, 1));
	put(1);
	ck_assert_int_eq(wait_for(1, 1000, why), -ETIMEDOUT);
	ck_assert_uint_ge(got(), 1);
	ck_assert_uint_lt(got(), 64);
}
END_TEST

START_TEST(waiting_for_an_unreachable_central_ends_with_the_reason)
{
	char why[CENTRAL_WHY_MAX] = "";

	start(1); /* nobody listens there */
	put(1);
	ck_assert_int_eq(wait_for(1, 300, why), -ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(why, "127.0.0.1"));
	ck_assert_uint_eq(spool_count(spool), 1);
}
END_TEST

START_TEST(stopping_sends_what_waits)
{
	const struct said script[] = {{200, "{\"result\":\"stored\"}"}};

	start(central_start(script, 1));
	put(1);
	put(2);
	forward_stop(forwarder, WAIT_MS);
	forwarder = NULL;
	ck_assert_uint_eq(got(), 2);
	ck_assert_uint_eq(spool_count(spool), 0);
}
END_TEST

START_TEST(a_token_that_others_may_read_is_not_sent)
{
	const struct said script[] = {{200, "{\"result\":\"stored\"}"}};
	char why[CENTRAL_WHY_MAX], path[96];

	start(central_start(script, 1));
	snprintf(path, sizeof(path), "%s/token", dir);
	ck_assert_int_eq(chmod(path, 0644), 0);
	forward_reload(forwarder, path);
	put(1);
	/* the thread may have been sending with the good one when the bad one came */
	(void)wait_for(1, 300, why);
	put(2);
	ck_assert_int_eq(wait_for(2, 300, why), -ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(why, "token file"));
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert_int_eq(wait_for(2, WAIT_MS, why), 0); /* read anew without a signal */
}
END_TEST

/* -- salts -- */

struct salt_form {
	int64_t version;
	unsigned n;
	uint64_t id, from, until, destroy;
	size_t key;
};

static size_t
pack_salts(const struct salt_form *f, char *ret_bytes)
{
	msgpack_sbuffer b;
	msgpack_packer pk;
	size_t len;
	unsigned i;

	msgpack_sbuffer_init(&b);
	msgpack_packer_init(&pk, &b, msgpack_sbuffer_write);
	msgpack_pack_map(&pk, 3);
	msgpack_pack_str_with_body(&pk, "v", 1);
	msgpack_pack_int64(&pk, f->version);
	msgpack_pack_str_with_body(&pk, "now", 3);
	msgpack_pack_int64(&pk, 5);
	msgpack_pack_str_with_body(&pk, "salts", 5);
	msgpack_pack_array(&pk, f->n);
	for (i = 0; i < f->n; i++) {
		msgpack_pack_map(&pk, 5);
		msgpack_pack_str_with_body(&pk, "id", 2);
		msgpack_pack_uint64(&pk, f->id + i);
		msgpack_pack_str_with_body(&pk, "from", 4);
		msgpack_pack_uint64(&pk, f->from);
		msgpack_pack_str_with_body(&pk, "until", 5);
		msgpack_pack_uint64(&pk, f->until);
		msgpack_pack_str_with_body(&pk, "destroy", 7);
		msgpack_pack_uint64(&pk, f->destroy);
		msgpack_pack_str_with_body(&pk, "key", 3);
		msgpack_pack_bin_with_body(&pk, "0123456789abcdefg", f->key);
	}
	ck_assert_uint_le(b.size, 1024);
	memcpy(ret_bytes, b.data, b.size);
	len = b.size;
	msgpack_sbuffer_destroy(&b);
	return len;
}

static const struct {
	struct salt_form form;
	int n;
} forms[] = {
    {{1, 2, 7, 10, 20, 30, 16}, 2},
    {{1, 0, 7, 10, 20, 30, 16}, 0},
    {{1, 8, 7, 10, 20, 30, 16}, 8},
    {{1, 9, 7, 10, 20, 30, 16}, -EBADMSG},
    {{2, 1, 7, 10, 20, 30, 16}, -EBADMSG},
    {{1, 1, 7, 20, 20, 30, 16}, -EBADMSG},
    {{1, 1, 7, 10, 20, 19, 16}, -EBADMSG},
    {{1, 1, 7, 10, 20, 30, 15}, -EBADMSG},
    {{1, 1, 7, 10, 20, 30, 17}, -EBADMSG},
    {{1, 1, 0x80000000u, 10, 20, 30, 16}, -EBADMSG},
    {{1, 1, 7, 10, UINT64_MAX, UINT64_MAX, 16}, -EBADMSG},
};

START_TEST(salts_are_read_whole_or_not_at_all)
{
	struct visitor_salt out[VISITOR_SALTS_MAX];
	char bytes[1024];
	size_t len = pack_salts(&forms[_i].form, bytes);
	int n = central_salts_decode((const uint8_t *)bytes, len, out);

	ck_assert_int_eq(n, forms[_i].n);
	if (n <= 0)
		return;
	ck_assert_uint_eq(out[n - 1].id, forms[_i].form.id + (unsigned)n - 1);
	ck_assert_int_eq(out[0].from_ms, 10);
	ck_assert_int_eq(out[0].until_ms, 20);
	ck_assert_int_eq(out[0].destroy_ms, 30);
	ck_assert_mem_eq(out[0].key.bytes, "0123456789abcdef", 16);
}
END_TEST

START_TEST(a_damaged_answer_never_gives_salts)
{
	struct salt_form form = {1, 2, 7, 10, 20, 30, 16};
	struct visitor_salt out[VISITOR_SALTS_MAX];
	char bytes[1024];
	size_t len = pack_salts(&form, bytes), cut;

	for (cut = 0; cut < len; cut++)
		ck_assert_int_eq(central_salts_decode((const uint8_t *)bytes, cut, out), -EBADMSG);
	ck_assert_int_eq(central_salts_decode((const uint8_t *)"\xdf\xff\xff\xff\xff", 5, out),
			 -EBADMSG);
}
END_TEST

START_TEST(salts_are_there_when_start_returns)
{
	const struct said script[] = {{200, "{\"result\":\"stored\"}"}};
	int64_t now = wall_now().ms;
	struct salt_form form = {1,
				 1,
				 7,
				 (uint64_t)(now - DAY_MS),
				 (uint64_t)(now + DAY_MS),
				 (uint64_t)(now + 2 * DAY_MS),
				 16};
	struct client_addr addr = {{1}};
	uint32_t id;

	central.salts_len = pack_salts(&form, central.salts);
	start(central_start(script, 1));
	visitor_hash(salts, now, now, &addr, TEXT_LIT("a"), &id);
	ck_assert_uint_eq(id, 7);
}
END_TEST

#define LOOP(c, test, table) tcase_add_loop_test(c, test, 0, sizeof(table) / sizeof(*(table)))

int
main(void)
{
	Suite *suite = suite_create("forward");
	TCase *c = tcase_create("batches"), *s = tcase_create("salts");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, batches_go_oldest_first_under_the_token_and_are_then_removed);
	LOOP(c, whatever_is_no_clear_answer_is_tried_again_and_nothing_is_removed, retried);
	LOOP(c, a_refused_batch_is_set_aside_and_does_not_stop_the_next, refused);
	LOOP(c, a_batch_under_a_former_name_is_set_aside_only_when_its_name_is_refused, denied);
	tcase_add_test(c, a_failing_central_is_not_tried_without_pause);
	tcase_add_test(c, waiting_for_an_unreachable_central_ends_with_the_reason);
	tcase_add_test(c, stopping_sends_what_waits);
	tcase_add_test(c, a_token_that_others_may_read_is_not_sent);
	tcase_add_test(c, salts_are_there_when_start_returns);
	LOOP(s, salts_are_read_whole_or_not_at_all, forms);
	tcase_add_test(s, a_damaged_answer_never_gives_salts);
	suite_add_tcase(suite, c);
	suite_add_tcase(suite, s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
