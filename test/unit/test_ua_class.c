/* Browser, system and device of User-Agents, by name. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/ua_class.h"

#define KIT "AppleWebKit/537.36 (KHTML, like Gecko) "
#define WIN "Mozilla/5.0 (Windows NT 10.0; Win64; x64) " KIT
#define DROID "Mozilla/5.0 (Linux; Android 14; Pixel 8) " KIT
#define IPHONE                                                                                 \
	"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, " \
	"like Gecko) "

static const struct {
	const char *browser, *system, *device, *ua;
} table[] = {
    {"Chrome", "Windows", "desktop", WIN "Chrome/131.0.0.0 Safari/537.36"},
    {"Edge", "Windows", "desktop", WIN "Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0"},
    {"Opera", "Windows", "desktop", WIN "Chrome/131.0.0.0 Safari/537.36 OPR/116.0.0.0"},
    {"Vivaldi", "Windows", "desktop", WIN "Chrome/131.0.0.0 Safari/537.36 Vivaldi/7.0"},
    {"Yandex", "Windows", "desktop", WIN "Chrome/130.0.0.0 YaBrowser/24.12 Safari/537.36"},
    {"Firefox", "Linux", "desktop",
     "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"},
    {"Firefox", "macOS", "desktop",
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 14.6; rv:133.0) Gecko/20100101 Firefox/133.0"},
    {"Firefox", "BSD", "desktop",
     "Mozilla/5.0 (X11; FreeBSD amd64; rv:133.0) Gecko/20100101 Firefox/133.0"},
    {"Chrome", "ChromeOS", "desktop",
     "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) " KIT "Chrome/131.0.0.0 Safari/537.36"},
    {"Safari", "macOS", "desktop",
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
     "Version/18.1 Safari/605.1.15"},
    {"Safari", "iOS", "phone", IPHONE "Version/17.5 Mobile/15E148 Safari/604.1"},
    {"Chrome", "iOS", "phone", IPHONE "CriOS/131.0 Mobile/15E148 Safari/604.1"},
    {"Firefox", "iOS", "phone", IPHONE "FxiOS/133.0 Mobile/15E148 Safari/605.1.15"},
    {"In-app", "iOS", "phone", IPHONE "Mobile/15E148 Instagram 330.0"},
    {"In-app", "iOS", "phone", IPHONE "Mobile/15E148"},
    {"Safari", "iOS", "tablet",
     "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
     "Version/16.6 Mobile/15E148 Safari/604.1"},
    {"Chrome", "Android", "phone", DROID "Chrome/131.0.0.0 Mobile Safari/537.36"},
    {"Chrome", "Android", "tablet",
     "Mozilla/5.0 (Linux; Android 13; Some Tab) " KIT "Chrome/131.0.0.0 Safari/537.36"},
    {"Samsung Internet", "Android", "phone",
     DROID "SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36"},
    {"DuckDuckGo", "Android", "phone",
     DROID "Version/4.0 Chrome/131.0 Mobile DuckDuckGo/5 Safari/537.36"},
    {"Android WebView", "Android", "phone",
     "Mozilla/5.0 (Linux; Android 14; SM-A1; wv) " KIT
     "Version/4.0 Chrome/131.0.0.0 Mobile Safari/537.36"},
    {"UC Browser", "Android", "phone",
     "Mozilla/5.0 (Linux; U; Android 12; en-US; X) " KIT
     "Version/4.0 Chrome/100.0 UCBrowser/13.4 Mobile Safari/537.36"},
    {"Internet Explorer", "Windows", "desktop",
     "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko"},
    {"Internet Explorer", "Windows", "desktop",
     "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)"},
    {"Podcast player", "iOS", "phone",
     "AppleCoreMedia/1.0.0.21F90 (iPhone; U; CPU OS 17_5 like Mac OS X; en_us)"},
    {"Podcast player", "unknown", "unknown", "AntennaPod/3.5.0"},
    {"Chrome", "Other", "tv",
     "Mozilla/5.0 (Web0S; Linux/SmartTV) " KIT "Chrome/94.0 Safari/537.36"},
    {"Chrome", "Android", "tv",
     "Mozilla/5.0 (Linux; Android 9; AFTKA) " KIT "Chrome/131.0.0.0 Safari/537.36"},
    {"Edge", "Windows", "console",
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) " KIT
     "Chrome/90.0 Safari/537.36 Edge/44.18363"},
    {"unknown", "Linux", "speaker", "Linux UPnP/1.0 Sonos/80.1-55014 (ZPS22)"},
    {"unknown", "iOS", "watch", "Podmark/1 watchOS/10.1"},
    {"Firefox", "Other", "phone",
     "Mozilla/5.0 (Mobile; Nokia; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5"},
    {"unknown", "unknown", "unknown", ""},
    {"unknown", "unknown", "unknown", "x"},
};

START_TEST(the_name_that_pretends_least_wins)
{
	struct ua_class c;
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		c = ua_classify(text_of(table[i].ua));
		ck_assert_msg(strcmp(ua_browser_name(c.browser), table[i].browser) == 0, "%s: %s",
			      ua_browser_name(c.browser), table[i].ua);
		ck_assert_msg(strcmp(ua_system_name(c.system), table[i].system) == 0, "%s: %s",
			      ua_system_name(c.system), table[i].ua);
		ck_assert_msg(strcmp(ua_device_name(c.device), table[i].device) == 0, "%s: %s",
			      ua_device_name(c.device), table[i].ua);
	}
}
END_TEST

START_TEST(every_number_of_the_table_has_its_name)
{
#define BROWSER(number, name) ck_assert_str_eq(ua_browser_name(number), name);
#define SYSTEM(number, name) ck_assert_str_eq(ua_system_name(number), name);
#define DEVICE(number, name) ck_assert_str_eq(ua_device_name(number), name);
#include "proto/ua_class.def"
	ck_assert_str_eq(ua_browser_name(255), "unknown");
	ck_assert_str_eq(ua_system_name(255), "unknown");
	ck_assert_str_eq(ua_device_name(255), "unknown");
	ck_assert_str_eq(ua_browser_name(UA_BROWSER_N - 1), "Other");
}
END_TEST

START_TEST(a_long_one_is_read_to_its_limit)
{
	static char ua[65536];

	memset(ua, 'x', sizeof(ua));
	memcpy(ua, "Firefox/1 ", 10);
	ck_assert_str_eq(ua_browser_name(ua_classify((struct text){ua, sizeof(ua)}).browser),
			 "Firefox");
	memcpy(ua, "xxxxxxxxxx", 10);
	memcpy(ua + 60000, "Firefox/1 ", 10);
	ck_assert_uint_eq(ua_classify((struct text){ua, sizeof(ua)}).browser, 0);
}
END_TEST

START_TEST(nearly_every_browser_of_a_list_has_a_system)
{
	FILE *f = fopen("../shared/data/isbot-browsers.txt", "re");
	char line[8192];
	unsigned n = 0, known = 0, desktop_phones = 0;

	if (!f) {
		printf("SKIP ../shared/data/isbot-browsers.txt is not there\n");
		return;
	}
	for (; fgets(line, sizeof(line), f); n++) {
		struct ua_class c = ua_classify((struct text){line, strcspn(line, "\n")});

		known += c.system != UA_SYSTEM_UNKNOWN;
		desktop_phones += c.device == UA_DESKTOP && strstr(line, "iPhone; ") != NULL;
	}
	fclose(f);
	printf("system known: %u of %u\n", known, n);
	/* the rest are text browsers, cut-off heads and systems of the last century */
	ck_assert_uint_ge(known * 100, n * 90);
	ck_assert_uint_eq(desktop_phones, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ua_class");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, the_name_that_pretends_least_wins);
	tcase_add_test(t, every_number_of_the_table_has_its_name);
	tcase_add_test(t, a_long_one_is_read_to_its_limit);
	tcase_add_test(t, nearly_every_browser_of_a_list_has_a_system);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
