/* A text of the batch is looked at once per dictionary entry; rows are made and found
 * by numbers. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/radix.h"
#include "central/rollup_internal.h"

/* -- distinct texts -- */

static uint32_t
text_hash(const void *ctx, uint32_t i)
{
	const struct texts *d = ctx;

	return (uint32_t)hash_mix(0, d->at[i].at, d->at[i].len);
}

static int
texts_index(struct texts *d, struct text t, uint32_t *ret_index)
{
	uint32_t at;

	if (d->n && text_eq(d->at[d->n - 1], t)) {
		*ret_index = d->n - 1;
		return 0;
	}
	if (table_reserve(&d->table, d->n, text_hash, d) < 0 ||
	    rollup_grow((void **)&d->at, d->n, &d->cap, sizeof(*d->at)) < 0)
		return -ENOMEM;
	at = (uint32_t)hash_mix(0, t.at, t.len) & (d->table.buckets - 1);
	while (d->table.bucket[at] && !text_eq(d->at[d->table.bucket[at] - 1], t))
		at = (at + 1) & (d->table.buckets - 1);
	if (!d->table.bucket[at]) {
		d->at[d->n++] = t;
		d->table.bucket[at] = d->n;
	}
	*ret_index = d->table.bucket[at] - 1;
	return 0;
}

static void
texts_fini(struct texts *d)
{
	free(d->at);
	free(d->table.bucket);
}

/* -- sorting texts -- */

static uint64_t
eight_bytes(struct text t, size_t from)
{
	uint64_t v = 0;

	if (from + sizeof(v) <= t.len)
		memcpy(&v, t.at + from, sizeof(v));
	else if (from < t.len)
		memcpy(&v, t.at + from, t.len - from);
	return be64toh(v);
}

/* Sorts items by the texts that their indexes name, whose first `from` bytes are the same: by the
 * next eight bytes, then those that are still equal by what follows. Texts that differ only in zero
 * bytes at their end count as equal; keys of contents never do. */
static void
sort_texts(const struct text *texts, struct radix_item *items, struct radix_item *spare, uint32_t n,
	   size_t from)
{
	uint32_t i, run;
	bool ends = true;

	for (i = 0; i < n; i++) {
		items[i].key = eight_bytes(texts[items[i].index], from);
		ends &= texts[items[i].index].len <= from + 8;
	}
	radix_sort(items, spare, n);
	for (i = 0; i < n && !ends; i += run) {
		for (run = 1; i + run < n && items[i + run].key == items[i].key;)
			run++;
		if (run > 1)
			sort_texts(texts, items + i, spare, run, from + 8);
	}
}

/* -- contents -- */

/* Writes site and key as rows' keys end with them, so that their bytes sort as the keys do. */
static int
load_content(struct names *n, const struct batch_content *c, struct writer *w,
	     struct group_content *ret_content, struct text *ret_sorted)
{
	const char *at = (const char *)w->base + w->len;
	size_t site = 1 + c->site.len, len;

	put_text8(w, c->site);
	if (w->bad)
		return -EBADMSG;
	len = rollup_content_key(c, (char *)w->base + w->len, w->cap - w->len);
	if (len == 0)
		return -EBADMSG;
	w->len += len;
	*ret_sorted = (struct text){at, site + len};
	if (texts_index(&n->sites, (struct text){at + 1, c->site.len}, &ret_content->site) < 0)
		return -ENOMEM;
	return texts_index(&n->types, (struct text){at + site, c->type.len}, &ret_content->type);
}

struct loading {
	struct text *sorted; /* by index: what contents are sorted by */
	struct radix_item *item, *spare;
};

static int
load_each(struct names *n, const struct batch *b, struct writer *w, struct loading *l)
{
	struct reader dict = b->dict_content;
	struct batch_content c;
	uint32_t i;
	int err = 0;

	for (i = 0; i < b->contents && !err; i++) {
		if (!batch_next_content(&dict, &c))
			return -EBADMSG;
		err = load_content(n, &c, w, &n->content[i], &l->sorted[i]);
		l->item[i].index = i;
	}
	return err;
}

static void
number_contents(struct names *n, struct loading *l)
{
	uint32_t no, i;
	size_t site;

	sort_texts(l->sorted, l->item, l->spare, n->contents, 0);
	for (no = 0; no < n->contents; no++) {
		i = l->item[no].index;
		site = 1 + n->sites.at[n->content[i].site].len;
		n->content[i].no = no;
		n->content_index[no] = i;
		n->content_key[no] = (struct text){l->sorted[i].at + site, l->sorted[i].len - site};
	}
}

static int
load_contents(struct names *n, const struct batch *b, struct writer *w)
{
	size_t cap = (size_t)b->contents + 1;
	struct loading l = {calloc(cap, sizeof(*l.sorted)), calloc(cap, sizeof(*l.item)),
			    malloc(cap * sizeof(*l.spare))};
	int err = -ENOMEM;

	n->contents = b->contents;
	n->content = calloc(cap, sizeof(*n->content));
	n->content_index = malloc(cap * sizeof(*n->content_index));
	n->content_key = malloc(cap * sizeof(*n->content_key));
	if (l.sorted && l.item && l.spare && n->content && n->content_index && n->content_key)
		err = load_each(n, b, w, &l);
	if (!err)
		number_contents(n, &l);
	free(l.sorted);
	free(l.item);
	free(l.spare);
	return err;
}

/* -- the others -- */

static int
load_texts(struct reader dict, uint32_t entries, struct writer *w, struct text **ret_texts)
{
	struct text *t = malloc(((size_t)entries + 1) * sizeof(*t));
	uint32_t i;

	*ret_texts = t;
	if (!t)
		return -ENOMEM;
	for (i = 0; i < entries; i++) {
		if (!batch_next_text(&dict, &t[i]))
			return -EBADMSG;
		put_bytes(w, t[i].at, t[i].len);
		t[i].at = (const char *)w->base + w->len - t[i].len;
	}
	return 0;
}

int
names_load(struct names *n, const struct batch *b)
{
	/* no text is longer here than it is there */
	size_t cap =
	    b->dict_content.len + b->dict_name.len + b->dict_referrer.len + b->dict_country.len + 1;
	struct writer w;
	int err;

	memcpy(n->node, b->meta.id.node, sizeof(n->node));
	n->bytes = malloc(cap);
	if (!n->bytes)
		return -ENOMEM;
	w = writer_of(n->bytes, cap);
	err = load_contents(n, b, &w);
	if (!err)
		err = load_texts(b->dict_name, b->names, &w, &n->event);
	if (!err)
		err = load_texts(b->dict_referrer, b->referrers, &w, &n->referrer);
	if (!err)
		err = load_texts(b->dict_country, b->countries, &w, &n->country);
	return !err && w.bad ? -EBADMSG : err;
}

void
names_fini(struct names *n)
{
	texts_fini(&n->sites);
	texts_fini(&n->types);
	free(n->event);
	free(n->referrer);
	free(n->country);
	free(n->content);
	free(n->content_index);
	free(n->content_key);
	free(n->bytes);
}
