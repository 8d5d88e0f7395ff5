/* Reads a batch document. batch_decode walks everything once, the columns with the same read_block
 * that its callers' cursors use; what it returned 0 for can be walked without a further check. */
#include <endian.h>
#include <errno.h>
#include <math.h>

#include "proto/batch_format.h"

/* -- the few forms of msgpack that a document holds, every width of each -- */

static uint64_t
get_wide_be(struct reader *r, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | get_u8(r);
	return v;
}

/* A number from 0 to BATCH_COUNT_MAX, else bad. */
static uint64_t
get_number(struct reader *r)
{
	uint8_t tag = get_u8(r);
	uint64_t v = tag;

	if (tag >= 0xcc && tag <= 0xcf) /* uint 8 to 64 */
		v = get_wide_be(r, (size_t)1 << (tag - 0xcc));
	else if (tag >= 0xd0 && tag <= 0xd3) /* int 8 to 64; negative ones fail below */
		v = get_wide_be(r, (size_t)1 << (tag - 0xd0));
	else if (tag > 0x7f)
		r->bad = true;
	if (tag >= 0xd0 && tag <= 0xd2 && v >> ((8u << (tag - 0xd0)) - 1))
		r->bad = true;
	if (v > BATCH_COUNT_MAX)
		r->bad = true;
	return r->bad ? 0 : v;
}

static uint32_t
get_map(struct reader *r)
{
	uint8_t tag = get_u8(r);

	if (tag >= 0x80 && tag <= 0x8f)
		return tag & 0x0fu;
	if (tag == 0xde || tag == 0xdf)
		return (uint32_t)get_wide_be(r, tag == 0xde ? 2 : 4);
	r->bad = true;
	return 0;
}

/* Where nothing could be read: of no length, but safe to copy from and to compare. */
static const struct text nothing = {"", 0};

static struct text
get_sized(struct reader *r, size_t n)
{
	const uint8_t *bytes = get_bytes(r, n);

	return bytes ? (struct text){(const char *)bytes, n} : nothing;
}

static struct text
get_str(struct reader *r)
{
	uint8_t tag = get_u8(r);

	if (tag >= 0xa0 && tag <= 0xbf)
		return get_sized(r, tag & 0x1fu);
	if (tag >= 0xd9 && tag <= 0xdb)
		return get_sized(r, (size_t)get_wide_be(r, (size_t)1 << (tag - 0xd9)));
	r->bad = true;
	return nothing;
}

static struct text
get_bin(struct reader *r)
{
	uint8_t tag = get_u8(r);

	if (tag >= 0xc4 && tag <= 0xc6)
		return get_sized(r, (size_t)get_wide_be(r, (size_t)1 << (tag - 0xc4)));
	r->bad = true;
	return nothing;
}

static void
get_key(struct reader *r, const char *key)
{
	if (!text_is(get_str(r), key))
		r->bad = true;
}

static uint64_t
get_number_of(struct reader *r, const char *key)
{
	get_key(r, key);
	return get_number(r);
}

static int64_t
get_time_of(struct reader *r, const char *key)
{
	int64_t ms = (int64_t)get_number_of(r, key);

	if (!batch_time_valid(ms))
		r->bad = true;
	return ms;
}

static struct reader
get_bin_of(struct reader *r, const char *key)
{
	struct text bytes;

	get_key(r, key);
	bytes = get_bin(r);
	return reader_of(bytes.at, bytes.len);
}

/* -- meta and ledger -- */

/* "verdict.reason", counted once; a pair that this program does not know comes from a later one. */
static int
read_reason(struct reader *r, uint64_t count[REASON_N])
{
	struct text key = get_str(r), verdict, name;
	const char *dot = key.len ? memchr(key.at, '.', key.len) : NULL;
	uint64_t n = get_number(r);
	enum reason reason;

	if (r->bad || !dot || n == 0)
		return -EBADMSG;
	verdict = (struct text){key.at, (size_t)(dot - key.at)};
	name = (struct text){dot + 1, key.len - verdict.len - 1};
	reason = reason_find(verdict, name);
	if (reason == REASON_N)
		return -EPROTONOSUPPORT;
	if (count[reason] != 0)
		return -EBADMSG;
	count[reason] = n;
	return 0;
}

static int
read_source(struct reader *r, const char *source, uint64_t count[REASON_N])
{
	uint32_t pairs;
	int rc = 0;

	get_key(r, source);
	for (pairs = get_map(r); pairs > 0 && rc == 0; pairs--)
		rc = read_reason(r, count);
	return rc;
}

static int
read_ledger(struct reader *r, struct ledger *l)
{
	unsigned s;
	int rc = 0;

	get_key(r, "ledger");
	if (get_map(r) != SOURCE_N)
		return r->bad ? -EBADMSG : -EPROTONOSUPPORT;
	for (s = 0; s < SOURCE_N && rc == 0; s++)
		rc = read_source(r, source_name((enum event_source)s), l->count[s]);
	return r->bad ? -EBADMSG : rc;
}

static void
read_id(struct reader *r, struct batch_id *id)
{
	struct text node, epoch;

	get_key(r, "node");
	node = get_str(r);
	get_key(r, "epoch");
	epoch = get_bin(r);
	id->seq = get_number_of(r, "seq");
	if (r->bad || !event_name_valid(node) || epoch.len != 16 || id->seq == 0) {
		r->bad = true;
		return;
	}
	memcpy(id->node, node.at, node.len);
	memcpy(id->epoch, epoch.at, 16);
}

static int
read_meta(struct reader *r, struct batch_meta *m, uint64_t *ret_version)
{
	uint32_t pairs = get_map(r);
	uint64_t version = get_number_of(r, "version");

	if (r->bad || version == 0)
		return -EBADMSG;
	if (version > BATCH_VERSION)
		return -EPROTONOSUPPORT;
	if (pairs != (version == 1 ? BATCH_PAIRS_1 : BATCH_PAIRS))
		return -EBADMSG;
	*ret_version = version;
	read_id(r, &m->id);
	m->from_ms = get_time_of(r, "from_ms");
	m->until_ms = get_time_of(r, "until_ms");
	m->sealed_ms = get_time_of(r, "sealed_ms");
	m->closes_ms = get_time_of(r, "closes_ms");
	m->udp_dropped = get_number_of(r, "udp_dropped");
	m->lost = get_number_of(r, "lost");
	return r->bad ? -EBADMSG : read_ledger(r, &m->ledger);
}

/* -- dictionaries -- */

bool
batch_next_content(struct reader *dict, struct batch_content *ret_content)
{
	struct batch_content c = {0};
	const uint8_t *uuid;
	uint8_t kind;

	if (reader_left(dict) == 0)
		return false;
	kind = get_u8(dict);
	c.has_uuid = kind == CONTENT_UUID;
	c.site = get_text8(dict);
	c.type = get_text8(dict);
	if (c.has_uuid) {
		uuid = get_bytes(dict, 16);
		if (uuid)
			memcpy(c.uuid, uuid, 16);
	} else {
		c.id = get_text8(dict);
	}
	if (dict->bad || kind > CONTENT_SLUG)
		return false;
	*ret_content = c;
	return true;
}

bool
batch_next_text(struct reader *dict, struct text *ret_text)
{
	struct text t;

	if (reader_left(dict) == 0)
		return false;
	t = get_text8(dict);
	if (dict->bad)
		return false;
	*ret_text = t;
	return true;
}

bool
batch_bot_name_valid(struct text name)
{
	size_t i;

	if (name.len == 0 || name.len > BATCH_BOT_NAME_MAX)
		return false;
	for (i = 0; i < name.len; i++)
		if ((unsigned char)name.at[i] < ' ' || name.at[i] == 0x7f)
			return false;
	return text_is_utf8(name);
}

bool
batch_next_bot(struct reader *dict, struct batch_bot *ret_bot)
{
	struct batch_bot bot = {.name = {NULL, 0}};
	unsigned s;

	if (reader_left(dict) == 0)
		return false;
	bot.name = get_text8(dict);
	for (s = 0; s < SOURCE_N; s++)
		bot.count[s] = get_varint(dict);
	if (dict->bad)
		return false;
	*ret_bot = bot;
	return true;
}

static bool
bots_valid(struct batch *b)
{
	struct text before = {NULL, 0};
	struct reader dict = b->dict_bot;
	uint64_t sum[SOURCE_N] = {0};
	struct batch_bot bot;
	uint32_t n = 0;

	for (; batch_next_bot(&dict, &bot); n++, before = bot.name)
		if (n == BATCH_BOTS_MAX || !batch_bot_follows(&before, &bot, sum))
			return false;
	b->bots = n;
	return !dict.bad && batch_bots_fit(sum, &b->meta.ledger);
}

static bool
count_contents(struct reader dict, uint32_t *ret_count)
{
	struct batch_content c;
	uint32_t n = 0;

	for (; batch_next_content(&dict, &c); n++)
		if (!event_name_valid(c.site) || !event_name_valid(c.type) ||
		    !(c.has_uuid || event_slug_valid(c.id)))
			return false;
	*ret_count = n;
	return !dict.bad && dict.at == dict.len;
}

static bool
host_valid(struct text t)
{
	return t.len >= 1 && t.len <= EVENT_HOST_MAX && text_is_utf8(t);
}

static bool
country_valid(struct text t)
{
	return t.len == 2 && t.at[0] >= 'A' && t.at[0] <= 'Z' && t.at[1] >= 'A' && t.at[1] <= 'Z';
}

/* With `none`, entry 0 is the empty text. */
static bool
count_texts(struct reader dict, bool none, bool valid(struct text), uint32_t *ret_count)
{
	uint32_t n = 0;
	struct text t;

	for (; batch_next_text(&dict, &t); n++)
		if (none && n == 0 ? t.len != 0 : !valid(t))
			return false;
	*ret_count = n;
	return !dict.bad && dict.at == dict.len && (n > 0 || !none);
}

/* Entries without an event are refused in number, so that readers may reserve by these counts. */
static bool
dictionaries_valid(struct batch *b)
{
	return count_contents(b->dict_content, &b->contents) &&
	       count_texts(b->dict_name, false, event_name_valid, &b->names) &&
	       count_texts(b->dict_referrer, true, host_valid, &b->referrers) &&
	       count_texts(b->dict_country, true, country_valid, &b->countries) &&
	       b->contents <= b->events && b->names <= b->events && b->referrers <= b->events + 1 &&
	       b->countries <= b->events + 1;
}

/* -- columns, a block of events at a time: each loop keeps its reader in registers -- */

void
batch_cursor_init(const struct batch *b, struct batch_cursor *ret_cursor)
{
	memcpy(ret_cursor->column, b->column, sizeof(b->column));
	ret_cursor->left = b->events;
	ret_cursor->visitors = ret_cursor->sessions = 0;
	ret_cursor->ts_ms = ret_cursor->salt_id = 0;
	ret_cursor->at = ret_cursor->block.n = 0;
}

static inline uint32_t
load_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t
load_u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* The four groups of seven bits below the top bits of bytes. */
static inline uint32_t
sevens(uint32_t v)
{
	return (v & 0x7f) | (v >> 1 & 0x3f80) | (v >> 2 & 0x1fc000) | (v >> 3 & 0xfe00000);
}

/* Those of up to four bytes take no loop. */
static inline uint64_t
next_varint(struct reader *r)
{
	uint32_t v, ends;
	unsigned last;

	if (r->at < r->len && r->base[r->at] < 0x80)
		return r->base[r->at++];
	if (r->len - r->at < 4)
		return get_varint(r);
	v = load_u32(r->base + r->at);
	ends = ~v & 0x80808080u;
	if (ends == 0)
		return get_varint(r);
	last = (unsigned)__builtin_ctz(ends) - 7; /* bits before the last byte */
	v &= ends ^ (ends - 1);
	if (v >> last == 0) /* an over-long form */
		r->bad = true;
	r->at += last / 8 + 1;
	return sevens(v);
}

#define ENDS UINT64_C(0x8080808080808080)

/* Two at a time, since where one begins is known only when the one before has ended. False, and
 * nothing is read, where they are longer than four bytes or the column ends. */
static inline bool
next_two(struct reader *r, uint32_t *ret_v)
{
	uint64_t word, ends, rest, a, b;
	unsigned first, second; /* bits up to their ends */

	if (r->len - r->at < 8)
		return false;
	word = load_u64(r->base + r->at);
	ends = ~word & ENDS;
	rest = ends & (ends - 1);
	if (rest == 0)
		return false;
	first = (unsigned)__builtin_ctzll(ends) + 1;
	second = (unsigned)__builtin_ctzll(rest) + 1 - first;
	if (first > 32 || second > 32)
		return false;
	a = word & (UINT64_MAX >> (64 - first));
	b = word >> first & (UINT64_MAX >> (64 - second));
	r->bad |= (first > 8 && a >> (first - 8) == 0) | (second > 8 && b >> (second - 8) == 0);
	r->at += (first + second) / 8;
	ret_v[0] = sevens((uint32_t)a);
	ret_v[1] = sevens((uint32_t)b);
	return true;
}

/* The next BATCH_BLOCK bytes when each is a number of its own, as in most columns, and then they
 * are read; else NULL. */
static const uint8_t *
next_bytes(struct reader *r)
{
	const uint8_t *at;
	uint8_t all = 0;
	unsigned i;

	if (r->len - r->at < BATCH_BLOCK)
		return NULL;
	at = r->base + r->at;
	for (i = 0; i < BATCH_BLOCK; i++)
		all |= at[i];
	if (all >= 0x80)
		return NULL;
	r->at += BATCH_BLOCK;
	return at;
}

static inline uint64_t
zigzag(uint64_t v)
{
	return v >> 1 ^ (v & 1 ? UINT64_MAX : 0);
}

static void
read_deltas(struct reader *column, uint32_t n, int64_t *last, int64_t *ret_v)
{
	struct reader r = *column;
	const uint8_t *byte = n == BATCH_BLOCK ? next_bytes(&r) : NULL;
	uint64_t at = (uint64_t)*last;
	uint32_t i;

	for (i = 0; i < n; i++) {
		at += zigzag(byte ? byte[i] : next_varint(&r));
		ret_v[i] = (int64_t)at;
	}
	*last = (int64_t)at;
	*column = r;
}

/* Numbers of 32 bits; larger ones are bad. */
static void
read_numbers(struct reader *column, uint32_t n, uint32_t *ret_v)
{
	struct reader r = *column;
	const uint8_t *byte = n == BATCH_BLOCK ? next_bytes(&r) : NULL;
	uint64_t v, all = 0;
	uint32_t i;

	for (i = 0; byte && i < BATCH_BLOCK; i++)
		ret_v[i] = byte[i];
	for (; i < n; i++) {
		while (n - i >= 2 && next_two(&r, ret_v + i))
			i += 2;
		if (i == n)
			break;
		v = next_varint(&r);
		all |= v;
		ret_v[i] = (uint32_t)v;
	}
	r.bad |= all > UINT32_MAX;
	*column = r;
}

/* How many numbers ago a number was first seen, 0 for a new one, becomes which of those seen it is.
 * With `none`, 0 says that there is none, and all others are one more, before and after. */
static void
read_seen(struct reader *column, uint32_t n, bool none, uint32_t *seen, uint32_t *ret_which)
{
	uint32_t count = *seen, bad = 0, code, i;

	read_numbers(column, n, ret_which);
	for (i = 0; i < n; i++) {
		code = ret_which[i];
		if (none && code == 0)
			continue;
		code -= none;
		bad |= code > count;
		ret_which[i] = count - code + none;
		count += code == 0;
	}
	column->bad |= bad;
	*seen = count;
}

/* 8 bytes of the column for every event that has the flag. */
static void
read_flagged(struct reader *column, const struct batch_block *b, unsigned flag, uint64_t *ret_bits)
{
	const uint8_t *at;
	uint32_t i;

	for (i = 0; i < b->n; i++) {
		ret_bits[i] = 0;
		if (!(b->flags[i] & flag))
			continue;
		at = get_bytes(column, 8);
		ret_bits[i] = at ? load_u64(at) : 0;
	}
}

static bool
any_bad(const struct reader column[COLUMN_N])
{
	unsigned bad = 0, i;

	for (i = 0; i < COLUMN_N; i++)
		bad |= column[i].bad;
	return bad;
}

/* False when a column holds what no writer writes; then the block is not to be used. */
static bool
read_block(struct batch_cursor *c)
{
	struct reader *col = c->column;
	struct batch_block *b = &c->block;
	uint32_t n = b->n = c->left < BATCH_BLOCK ? c->left : BATCH_BLOCK;

	b->flags = get_bytes(&col[COLUMN_FLAGS], n);
	b->browser = get_bytes(&col[COLUMN_BROWSER], n);
	b->system = get_bytes(&col[COLUMN_SYSTEM], n);
	b->device = get_bytes(&col[COLUMN_DEVICE], n);
	if (any_bad(col))
		return false;
	read_deltas(&col[COLUMN_TS], n, &c->ts_ms, b->ts_ms);
	read_seen(&col[COLUMN_VISITOR], n, false, &c->visitors, b->visitor);
	read_numbers(&col[COLUMN_CONTENT], n, b->content);
	read_numbers(&col[COLUMN_NAME], n, b->name);
	read_numbers(&col[COLUMN_REFERRER], n, b->referrer);
	read_numbers(&col[COLUMN_COUNTRY], n, b->country);
	read_deltas(&col[COLUMN_SALT], n, &c->salt_id, b->salt_id);
	read_seen(&col[COLUMN_SESSION], n, true, &c->sessions, b->session);
	read_flagged(&col[COLUMN_EVENT_TAG], b, BATCH_FLAG_TAG, b->event_tag);
	read_flagged(&col[COLUMN_VALUE], b, BATCH_FLAG_VALUE, b->value_bits);
	c->left -= n;
	return !any_bad(col);
}

const struct batch_block *
batch_next_block(struct batch_cursor *c)
{
	return c->left > 0 && read_block(c) ? &c->block : NULL;
}

static uint64_t
number_of(const struct reader *list, uint32_t which)
{
	return load_u64(list->base + (size_t)which * 8);
}

bool
batch_next(struct batch_cursor *c, struct batch_event *ret_event)
{
	const struct batch_block *b = &c->block;
	uint32_t i = c->at;

	if (i == b->n) {
		if (!batch_next_block(c))
			return false;
		i = 0;
	}
	c->at = i + 1;
	*ret_event = (struct batch_event){
	    .ts_ms = b->ts_ms[i],
	    .visitor = number_of(&c->column[COLUMN_VISITOR_NEW], b->visitor[i]),
	    .event_tag = b->event_tag[i],
	    .value = batch_block_value(b, i),
	    .content = b->content[i],
	    .name = b->name[i],
	    .referrer = b->referrer[i],
	    .country = b->country[i],
	    .salt_id = (uint32_t)b->salt_id[i],
	    .browser = b->browser[i],
	    .system = b->system[i],
	    .device = b->device[i],
	    .source = batch_block_source(b, i),
	    .repeat = b->flags[i] & BATCH_FLAG_REPEAT,
	    .has_value = b->flags[i] & BATCH_FLAG_VALUE,
	};
	if (b->session[i])
		ret_event->session = number_of(&c->column[COLUMN_SESSION_NEW], b->session[i] - 1);
	return true;
}

void
batch_visitors(const struct batch *b, uint64_t *ret_hash)
{
	uint32_t i;

	for (i = 0; i < b->visitors; i++)
		ret_hash[i] = number_of(&b->column[COLUMN_VISITOR_NEW], i);
}

static bool
all_below(const uint32_t *v, uint32_t n, uint32_t limit)
{
	uint32_t i, out = 0;

	for (i = 0; i < n; i++)
		out |= v[i] >= limit;
	return !out;
}

static bool
all_between(const int64_t *v, uint32_t n, int64_t most)
{
	uint32_t i, out = 0;

	for (i = 0; i < n; i++)
		out |= (uint64_t)v[i] > (uint64_t)most;
	return !out;
}

static bool
flags_valid(const struct batch_block *b)
{
	uint32_t i;
	bool finite = true;
	unsigned all = 0;

	for (i = 0; i < b->n; i++)
		all |= b->flags[i];
	for (i = 0; i < b->n && all & BATCH_FLAG_VALUE; i++)
		finite &= isfinite(batch_block_value(b, i));
	return !(all & BATCH_FLAGS_UNUSED) && finite;
}

static bool
block_in_bounds(const struct batch *b, const struct batch_block *k)
{
	return flags_valid(k) && all_between(k->ts_ms, k->n, EVENT_TS_MAX_MS) &&
	       all_between(k->salt_id, k->n, UINT32_MAX) &&
	       all_below(k->content, k->n, b->contents) && all_below(k->name, k->n, b->names) &&
	       all_below(k->referrer, k->n, b->referrers) &&
	       all_below(k->country, k->n, b->countries);
}

/* Every new number has its 8 bytes, and there are no others. */
static bool
list_is_whole(const struct reader *list, uint32_t n)
{
	return list->len == (size_t)n * 8;
}

struct accepted {
	uint32_t repeats, datagrams, both;
};

static void
count_accepted(const struct batch_block *b, struct accepted *a)
{
	uint32_t i, repeat, datagram;

	for (i = 0; i < b->n; i++) {
		repeat = (b->flags[i] & BATCH_FLAG_REPEAT) != 0;
		datagram = (b->flags[i] & BATCH_FLAG_DATAGRAM) != 0;
		a->repeats += repeat;
		a->datagrams += datagram;
		a->both += repeat & datagram;
	}
}

/* Else the books of whoever stores the batch would not balance. */
static bool
ledger_fits(const struct batch *b, const struct accepted *a)
{
	const uint64_t *beacon = b->meta.ledger.count[SOURCE_BEACON];
	const uint64_t *datagram = b->meta.ledger.count[SOURCE_DATAGRAM];

	return datagram[REASON_ACCEPTED_REPEAT] == a->both &&
	       datagram[REASON_ACCEPTED_FIRST] == a->datagrams - a->both &&
	       beacon[REASON_ACCEPTED_REPEAT] == a->repeats - a->both &&
	       beacon[REASON_ACCEPTED_FIRST] == b->events - a->datagrams - (a->repeats - a->both);
}

static bool
columns_valid(struct batch *b)
{
	struct accepted accepted = {0};
	struct batch_cursor c;
	unsigned i;

	for (batch_cursor_init(b, &c); c.left > 0; count_accepted(&c.block, &accepted))
		if (!read_block(&c) || !block_in_bounds(b, &c.block))
			return false;
	for (i = 0; i < COLUMN_N; i++)
		if (i != COLUMN_VISITOR_NEW && i != COLUMN_SESSION_NEW &&
		    c.column[i].at != c.column[i].len)
			return false;
	b->visitors = c.visitors;
	b->tagged = (uint32_t)(c.column[COLUMN_EVENT_TAG].len / 8);
	return list_is_whole(&c.column[COLUMN_VISITOR_NEW], c.visitors) &&
	       list_is_whole(&c.column[COLUMN_SESSION_NEW], c.sessions) &&
	       ledger_fits(b, &accepted);
}

int
batch_decode(const uint8_t *doc, size_t len, struct batch *ret_batch)
{
	static const char *const dict_keys[] = BATCH_DICTIONARY_KEYS;
	static const char *const column_keys[] = BATCH_COLUMN_KEYS;
	struct reader r = reader_of(doc, len);
	struct batch b = {0};
	struct reader *const dict[] = {&b.dict_content, &b.dict_name, &b.dict_referrer,
				       &b.dict_country};
	uint64_t events, version = 0;
	unsigned i;
	int rc;

	if (len > BATCH_DOCUMENT_MAX)
		return -EBADMSG;
	rc = read_meta(&r, &b.meta, &version);
	if (rc < 0)
		return rc;
	b.dict_bot = version > 1 ? get_bin_of(&r, "bots") : reader_of(NULL, 0);
	events = get_number_of(&r, "events");
	for (i = 0; i < DICT_N; i++)
		*dict[i] = get_bin_of(&r, dict_keys[i]);
	for (i = 0; i < COLUMN_N; i++)
		b.column[i] = get_bin_of(&r, column_keys[i]);
	if (r.bad || r.at != r.len || events > BATCH_EVENTS_MAX)
		return -EBADMSG;
	b.events = (uint32_t)events;
	if (!bots_valid(&b) || !dictionaries_valid(&b) || !columns_valid(&b))
		return -EBADMSG;
	*ret_batch = b;
	return 0;
}
