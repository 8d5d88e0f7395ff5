/* Any bytes as a User-Agent: verdict, name and classes are in their ranges, and case, an allocation
 * of its own and what stands beyond the limit make no difference. */
#include <stdlib.h>

#include "node/bot.h"
#include "node/ua_class.h"
#include "proto/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char bot[] = "Our Bot", person[] = "Our Kiosk";
static char *bot_item[] = {bot}, *person_item[] = {person};
static const struct conf_list bots = {bot_item, 1}, people = {person_item, 1};

static struct bot_rules *
rules_once(void)
{
	static struct bot_rules *rules;

	if (!rules && bot_rules_new(BOT_SOURCE_ALL, &bots, &people, &rules) < 0)
		abort();
	return rules;
}

static bool
same(struct bot_verdict a, struct bot_verdict b)
{
	return a.why == b.why && a.name == b.name && a.believed == b.believed;
}

/* Upper case in its own allocation of exactly its size, so that a byte too far is seen. */
static struct text
copy_upper(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);
	size_t i;

	if (!copy)
		abort();
	for (i = 0; i < size; i++)
		copy[i] = (char)(data[i] >= 'a' && data[i] <= 'z' ? data[i] - 32 : data[i]);
	return (struct text){copy, size};
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct bot_rules *rules = rules_once();
	struct text ua = {(const char *)data, size}, cut = ua, upper = copy_upper(data, size);
	struct bot_verdict v = bot_user_agent(rules, ua);
	struct ua_class c = ua_classify(ua), d = ua_classify(upper);

	if (size > EVENT_USER_AGENT_MAX)
		cut.len = EVENT_USER_AGENT_MAX;
	if (!same(v, bot_user_agent(rules, upper)) || !same(v, bot_user_agent(rules, cut)))
		abort();
	if (v.name >= bot_names_n + bots.n || (v.why && !v.why[0]) || (v.believed && v.why))
		abort();
	if (size == 0 && !v.why)
		abort();
	if (v.name > 0 && bot_name_of(&bots, v.name).len == 0)
		abort();
	if (c.browser >= UA_BROWSER_N || c.system >= UA_SYSTEM_N || c.device >= UA_DEVICE_N)
		abort();
	if (c.browser != d.browser || c.system != d.system || c.device != d.device)
		abort();
	(void)bot_engine_of(ua);
	free((void *)(uintptr_t)upper.at);
	return 0;
}
