/* People and programs, by User-Agent and by headers. The User-Agents here were written for this
 * test; the lists in ../shared/data are measured where they are there. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/bot.h"
#include "node/bot_count.h"
#include "node/bot_words.h"
#include "proto/batch.h"

static struct bot_rules *rules;

static void
setup(void)
{
	ck_assert_int_eq(bot_rules_new(BOT_SOURCE_ALL, NULL, NULL, &rules), 0);
}

static void
teardown(void)
{
	bot_rules_free(rules);
}

static const char *
why_of(struct text ua)
{
	return bot_user_agent(rules, ua).why;
}

static const char *const people[] = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14.6; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/400.0.0.1;FBBV/1;FBDV/iPhone15,2]",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B; wv) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Version/4.0 Chrome/131.0.0.0 Mobile Safari/537.36 Instagram 360.0.0.1 Android",
    "Mozilla/5.0 (Linux; Android 13; CUBOT X70) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 9; CUBOT_NOVA) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/99.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 13; X; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
    "Chrome/120.0.0.0 Mobile Safari/537.36 CamScanner/6.1",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)",
    "Mozilla/5.0 (Linux; Android 14; Shop.com/26.2; wv) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Version/4.0 Chrome/120.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
    "Mozilla/5.0 (compatible; Konqueror/4.5; Linux) KHTML/4.5.4 (like Gecko)",
    "Opera/9.80 (Windows NT 6.1) Presto/2.12.388 Version/12.16",
    "Mozilla/5.0 (PlayStation 4 11.00) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Lynx/2.9.0 libwww-FM/2.14 SSL-MM/1.4.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Mobile/15E148 DocScanner/3.1",
    "SomePhone7520/4.0 Profile/MIDP-2.0 Configuration/CLDC-1.1 (Some WAP Proxy/1.0)",
    "Mozilla/5.0 (iPad; CPU OS 5_1 like Mac OS X) AppleWebKit/534.46 (KHTML, like Gecko ) "
    "Version/5.1 Mobile/9B176 Safari/7534.48.3",
    "Mozilla/5.0 (X11; U; Linux armv7l like Android; en-us) AppleWebKit/531.2+ (KHTML, like Gecko) "
    "Version/5.0 Safari/533.2+ Kindle/3.0+",
    "Mozilla/5.0 (Windows; U; Windows NT 6.1; en-GB; rv:1.9.2.3) Gecko/20100401 "
    "Firefox/3.6;TOOLBAR 1.0",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.0; Bar from: http://example.com/; .NET CLR "
    "2.0.50727)",
    "Mozilla/5.0 (AB-F100;U;Profile/MIDP-2.1 Configuration/CLDC-1.1;480*800) Dolfin/2.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) ; iPhone/17.1 SomeApp/8.15 webview",
    "Mozilla/4.08 [en] (Win98; I ;Nav)",
    "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; www.example.com; Bar [example.org])",
    "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1),gzip(gfe) (via translate.google.com)",
    "Mozilla/5.0 (X11; U; Linux i686; en-US; rv:1.6) Gecko/20040530 Debian/1.6-6.example.org.1",
    "Mozilla/5.0 (Windows NT 5.1; U) Opera 7.54 [de]",
    "Mozilla/5.0 (compatible; Opera 8.01; Windows NT 5.1)",
    "Mozilla/5.0 (Windows; U; Windows NT 5.1; en-US; rv:1.7)",
    "Mozilla/5.0 Galeon/1.2.9 (X11; Linux i686; U)",
    "Mozilla/5.0 (DTV) AppleWebKit/531.2+ (KHTML, like Gecko) SomeBrowser/2.0 (ABC01DTV;V;0001)",
    "SomePhone600/04 UP.Link/6.3.0",
    "MozacFetch/130.0",
    "NewsApp/3.2 CFNetwork/1496.0.7 Darwin/23.5.0",
    "NewsApp/3.2 Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP2A)",
    "Mozilla/5.0 (Linux; U; Android 6.0; zh-cn; AB C1 Build/MRA58K) AppleWebKit/534.30 (KHTML, "
    "like Gecko) Version/4.0 Mobile Safari/534.30 WebLight/1.4",
    "Mozilla/5.0 (ChromiumStylePlatform) Cobalt/Version",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36 OPR/116.0.0.0 (Edition utorrent)",
    "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0; OptimizedIE8;ENUS)",
    "Emacs-W3/4.0 URL/p4.0 (Unix?; X)",
    "IEMobile/10.0; ARM; Touch; SomePhone)",
};

static const char *const listeners[] = {
    "AppleCoreMedia/1.0.0.21F90 (iPhone; U; CPU OS 17_5 like Mac OS X; en_us)",
    "Podcasts/1600.2 CFNetwork/1496 Darwin/23.5.0",
    "Overcast/3.0 (+http://overcast.fm/; iOS podcast app)",
    "PodcastAddict/v5 (+https://podcastaddict.com/; Android podcast app)",
    "AntennaPod/3.5.0",
    "Pocket Casts",
    "CastBox/11.1 (Linux;Android 14) ExoPlayerLib/2.19",
    "Spotify/8.9.1 Android/34 (Pixel 8)",
    "VLC/3.0.20 LibVLC/3.0.20",
    "iTunes/12.12 (Windows; Microsoft Windows 10)",
    "AlexaMediaPlayer/2.1 (Linux;Android 7.1) ExoPlayerLib/1.5.9",
    "Linux UPnP/1.0 Sonos/80.1-55014 (ZPS22)",
    "RSSRadio/9.12",
    "Castro 2024.3/1234",
    "Player FM",
    "stagefright/1.2 (Linux;Android 9)",
    "Lavf/60.16.100",
    "GStreamer souphttpsrc 1.20 libsoup/2.74",
    "Music Player Daemon 0.23.5",
    "Kodi/20.2 (X11; Linux x86_64) App_Bitness/64 Version/20.2",
    "SomethingNeverSeenPod/1.2",
    "ListenToThis/2",
    "NeverSeen/1.0 (iPhone; iOS 17.1; Scale/3.00)",
    "NeverSeen/1.0 CFNetwork/1390 Darwin/22.0.0",
    "NeverSeenFeed/2 CFNetwork/1390 Darwin/22.0.0",
    "NeverSeenReader/2 CFNetwork/1390 Darwin/22.0.0",
    "NeverSeen/1.0 (com.example.app; build:3; iOS 17.0.0) Alamofire/5.6",
    "NeverSeen/1.0 okhttp/4.12.0",
    "NeverSeen/1.0/okhttp/4.12.0",
    "NeverSeen/1.0 Dart/3.4 (dart:io)",
    "nl.example.never.seen/1.0",
    "Never%20Seen/12",
    "%ED%8C%9F%EC%BA%90/12",
    "NeverSeen/1.0 (org.example.seen; build:7)",
    "NeverSeenMusik/2.1",
    "NeverSeenStation/7",
    "NeverSeen HiFi 2",
    "iTMS",
    "Android 14 / NeverSeen 3.30 / HttpLibrary okhttp/4.9.0",
    "NeverSeen/2 (Android 14) Apache-HttpClient/4.5",
    "Mozilla/5.0 (iPad; U; CPU iPhone OS 7_0 like Mac OS X; de-DE) NeverSeen/3.2",
    "AppleNeverSeen/14 Version/3.3",
    "NeverSeenAmp/3.1",
    "NeverSeen/2 (phone; 14.1)",
    "NeverSeen/2 (Tesla)",
    "NeverSeenTV/1.0",
    "UnityPlayer/2022.3 (UnityWebRequest/1.0, libcurl/8.5.0-DEV)",
    "com.example.never.seen/1.0",
    "NeverSeen/1.0 (+https://example.com/; iPhone 15.4)",
    "NeverSeen/0.2 Android https://example.com",
    "NeverSeen App/84",
    "neverseen-android",
    "NeverSeen_other-mobile",
    "NeverSeenCatcher/1",
    "brand;tv_model;0123456789abcdef;;tpapi;3.200",
    "Garmin Forerunner 9/1.0",
    "AndroidDownloadManager/13 (Linux; U; Android 13; Pixel 6)",
    "NeverSeen/22.09; Syndication",
    "DatadogApp/0.8 CFNetwork/811.5.4 Darwin/16.6.0",
    "Some Browser",
    "NeverSeenBrowser 2.1",
};

static const struct {
	const char *why, *ua;
} bots[] = {
    {"none", ""},
    {"crawler", "Mozilla/5.0 (compatible; FictionalBot/2.0; +http://example.com/bot.html)"},
    {"crawler", "examplebot"},
    {"crawler", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
		"Chrome/120.0.0.0 Safari/537.36 some-crawler/1.0"},
    {"crawler", "WebSpider"},
    {"ai", "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Fictional-User/1.0)"},
    {"library", "python-requests/2.32"},
    {"library", "curl/8.9.1"},
    {"library", "Java/17.0.2"},
    {"library", "okhttp/4.12.0"},
    {"library", "Dart/3.4 (dart:io)"},
    {"library", "Apache-HttpClient/4.5 (Java/17)"},
    {"library", "axios/1.7"},
    {"library", "example libcurl/8.5"},
    {"tool", "ExampleDownloader/1.0"},
    {"contact", "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; http://example.com/)"},
    {"contact", "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) "
		"Chrome/120.0.0.0 Safari/537.36 www.example.com"},
    {"library", "Go-http-client/2.0"},
    {"library", "example-http/1.0"},
    {"headless", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
		 "HeadlessChrome/131.0.0.0 Safari/537.36"},
    {"monitor", "Example Uptime Monitor 1.0"},
    {"monitor", "ExampleWatchdog/1.0"},
    {"monitor", "examplecheck/1.0"},
    {"crawler", "examplesearch/1.0"},
    {"tool", "Example Sender"},
    {"preview", "ExampleLinkPreview/1.0"},
    {"feed", "ExampleReader/2.0 (feed; 12 subscribers)"},
    {"scanner", "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) "
		"Chrome/120.0.0.0 Safari/537.36 ExampleScan/1.0"},
    {"contact", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
		"Chrome/120.0.0.0 Safari/537.36 Thing/1.0 (+https://example.net/about)"},
    {"shape", "Mozilla/5.0 Thing"},
    {"shape", "Mozilla/5.0"},
    {"shape", "Mozilla/5.0 (compatible; Thing/2.0)"},
    {"shape", "Mozilla/4.0"},
    {"shape", "Mozilla/4.0 (Thing)"},
    {"shape", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko, "
	      "Thing) Chrome/120.0.0.0 Safari/537.36"},
    {"shape", "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) "
	      "Chrome/VERSION Safari/537.36"},
    {"shape", "abc"},
    {"contact", "Mozilla/5.0 (compatible; PodThing/1.0; +http://example.com/)"},
    {"contact", "Mozilla/5.0 (Linux; Android 9; X) AppleWebKit/537.36 (KHTML, like Gecko) "
		"Chrome/90.0.0.0 Mobile Safari/537.36 (compatible; Thing; +http://example.com/)"},
    {"tool", "Example Podcast Processor/1.0"},
    {"tool", "Podcast Importer/2.0 (+https://example.com)"},
    {"tool", "ExamplePodcastTranscriber/1.0"},
    {"tool", "ExamplePodcastWorker/1.0"},
    {"tool", "Example Podcast API"},
    {"tool", "ExamplePodDownloader/1.0"},
    {"crawler", "ExamplePodIndex/1.0"},
    {"tool", "ExampleCastImageResizer/2.0"},
    {"monitor",
     "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; .NET CLR 2.0.50727; "
     "PTST 2.386)"},
    {"library", "Mozilla/4.0 (compatible; MSIE 6.0; Example Web Services Client Protocol 4.0)"},
    {"scanner", "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; Example.Security.Thing)"},
    {"unknown", "Thing/1.0"},
    {"unknown", "12345"},
};

START_TEST(people_are_people)
{
	size_t i;
	const char *why;

	for (i = 0; i < sizeof(people) / sizeof(people[0]); i++) {
		why = why_of(text_of(people[i]));
		ck_assert_msg(!why, "%s: %s", why, people[i]);
	}
}
END_TEST

START_TEST(who_listens_is_a_person_too)
{
	size_t i;
	const char *why;

	for (i = 0; i < sizeof(listeners) / sizeof(listeners[0]); i++) {
		why = why_of(text_of(listeners[i]));
		ck_assert_msg(!why, "%s: %s", why, listeners[i]);
	}
}
END_TEST

START_TEST(programs_are_told_by_words_and_by_form)
{
	size_t i;
	const char *why;

	for (i = 0; i < sizeof(bots) / sizeof(bots[0]); i++) {
		why = why_of(text_of(bots[i].ua));
		ck_assert_msg(why != NULL, "a person: %s", bots[i].ua);
		ck_assert_msg(strcmp(why, bots[i].why) == 0, "%s: %s", why, bots[i].ua);
	}
}
END_TEST

START_TEST(case_makes_no_difference)
{
	ck_assert_str_eq(why_of(TEXT_LIT("GOOGLEBOT/2.1")), "crawler");
	ck_assert_str_eq(why_of(TEXT_LIT("CURL/8")), "library");
}
END_TEST

START_TEST(any_bytes_are_judged_and_long_ones_cut)
{
	char junk[8192];
	size_t i;

	for (i = 0; i < sizeof(junk); i++)
		junk[i] = (char)(i * 7);
	ck_assert_ptr_nonnull(why_of((struct text){junk, sizeof(junk)}));
	memset(junk, '(', sizeof(junk));
	ck_assert_ptr_nonnull(why_of((struct text){junk, sizeof(junk)}));
	memset(junk, 'b', sizeof(junk));
	memcpy(junk + sizeof(junk) - 3, "bot", 3);
	ck_assert_str_eq(why_of((struct text){junk, sizeof(junk)}), "shape");
}
END_TEST

START_TEST(the_automaton_finds_what_a_search_finds)
{
	/* every literal of the rules, alone and inside others, is found where it stands */
	static const char *const words[] = {
#define BOT(literal, where, why) literal,
#define WEAK(literal, where, why, spares)
#define PERSON(literal)
#define MARK(literal, where, marks)
#include "node/bot_rules.def"
	};
	char ua[256];
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		ck_assert_msg(why_of(text_of(words[i])) != NULL, "%s", words[i]);
		snprintf(ua, sizeof(ua), "%s/1.0 (iPhone; Linux; Android 14)", words[i]);
		ck_assert_msg(why_of(text_of(ua)) != NULL, "%s", ua);
	}
}
END_TEST

START_TEST(no_literal_stands_twice)
{
	static const char *const words[] = {
#define BOT(literal, where, why) literal,
#define WEAK(literal, where, why, spares) literal,
#define PERSON(literal) literal,
#define MARK(literal, where, marks) literal,
#include "node/bot_rules.def"
	};
	size_t i, k;
	const char *p;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		for (k = 0; k < i; k++)
			ck_assert_str_ne(words[i], words[k]);
		for (p = words[i]; *p; p++)
			ck_assert_msg(*p < 'A' || *p > 'Z', "%s", words[i]);
	}
}
END_TEST

/* -- the packages' words -- */

static const char packaged[] = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
			       "(KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Hardenize";

START_TEST(a_packaged_word_tells_a_bot_where_our_rules_see_nothing)
{
	struct bot_rules *ours;

	ck_assert_int_eq(bot_rules_new(0, NULL, NULL, &ours), 0);
	ck_assert_ptr_null(bot_user_agent(ours, text_of(packaged)).why);
	ck_assert_ptr_nonnull(why_of(text_of(packaged)));
	bot_rules_free(ours);
}
END_TEST

START_TEST(a_word_is_silent_only_beside_its_own_marks)
{
	ck_assert_ptr_null(why_of(TEXT_LIT("SomeSong Agent 1.0")));
	ck_assert_str_eq(why_of(TEXT_LIT("Some Agent 1.0 (Android 14)")), "monitor");
	ck_assert_ptr_null(why_of(TEXT_LIT("SomeFeed 1.0 (Android 14)")));
	ck_assert_str_eq(why_of(TEXT_LIT("SomeSongFeed 1.0")), "feed");
}
END_TEST

START_TEST(a_packaged_word_says_nothing_of_telephones_televisions_and_players)
{
	static const char *const theirs[] = {
	    "Mozilla/5.0 (Linux; Android 14; Hardenize 5G) AppleWebKit/537.36 (KHTML, like Gecko) "
	    "Chrome/120.0.0.0 Mobile Safari/537.36",
	    "Mozilla/5.0 (Web0S; Linux/SmartTV; Hardenize) AppleWebKit/537.36 (KHTML, like Gecko) "
	    "Chrome/94.0 Safari/537.36",
	    "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Hardenize/4.1 "
	    "Chrome/120.0.0.0 Electron/28.0 Safari/537.36",
	    "HardenizePod/1.0",
	};
	size_t i;

	for (i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++)
		ck_assert_msg(!why_of(text_of(theirs[i])), "%s", theirs[i]);
}
END_TEST

START_TEST(short_packaged_words_stand_alone)
{
	char ua[256];

	snprintf(ua, sizeof(ua), "%.*sTrove/1.0", (int)sizeof(packaged) - 10, packaged);
	ck_assert_ptr_nonnull(why_of(text_of(ua)));
	snprintf(ua, sizeof(ua), "%.*sTrovello/1.0", (int)sizeof(packaged) - 10, packaged);
	ck_assert_ptr_null(why_of(text_of(ua)));
}
END_TEST

START_TEST(bots_are_named_by_the_longest_word_that_has_a_name)
{
	struct bot_verdict v;

	v = bot_user_agent(rules, TEXT_LIT("Googlebot-Image/1.0"));
	ck_assert_str_eq(bot_name(v.name), "Googlebot-Image");
	v = bot_user_agent(rules, TEXT_LIT("Mozilla/5.0 (compatible; Googlebot/2.1)"));
	ck_assert_str_eq(bot_name(v.name), "Googlebot");
	v = bot_user_agent(rules, TEXT_LIT("PhantomJS/2.1")); /* a word of ours as well */
	ck_assert_str_eq(bot_name(v.name), "PhantomJS");
	ck_assert_str_eq(v.why, "headless");
	v = bot_user_agent(rules, TEXT_LIT("FictionalBot/2.0"));
	ck_assert_str_eq(bot_name(v.name), "other");
	v = bot_user_agent(rules, text_of(people[0]));
	ck_assert_uint_eq(v.name, 0);
}
END_TEST

START_TEST(names_can_stand_in_a_label)
{
	size_t i;

	ck_assert_uint_le(bot_names_n + 128, BOT_NAMES_MAX); /* with the operator's */
	ck_assert_uint_ge(bot_names_n, 1000);
	for (i = 0; i < bot_names_n; i++) {
		ck_assert_msg(strlen(bot_name((uint16_t)i)) >= 2, "%s", bot_name((uint16_t)i));
		ck_assert_msg(batch_bot_name_valid(text_of(bot_name((uint16_t)i))), "%s",
			      bot_name((uint16_t)i));
		ck_assert_msg(!strpbrk(bot_name((uint16_t)i), "\"\\\n\r"), "%s",
			      bot_name((uint16_t)i));
	}
	for (i = 0; i < bot_words_n; i++)
		ck_assert_uint_lt(bot_words[i].name, bot_names_n);
}
END_TEST

START_TEST(met_bots_are_counted_by_name_and_printed)
{
	struct bot_verdict v = bot_user_agent(rules, TEXT_LIT("bingbot/2.0"));
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	bot_count(v.name);
	bot_count(v.name);
	bot_count(BOT_NAMES_MAX);
	ck_assert_uint_eq(bot_counted(v.name), 2);
	bot_count_print(NULL, out);
	fclose(out);
	ck_assert_ptr_nonnull(strstr(text, "\nfootfall_bots_total{name=\"bingbot\"} 2\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nfootfall_bots_total{name=\"other\"} 1\n"));
	ck_assert_ptr_null(strstr(text, "Googlebot"));
	free(text);
}
END_TEST

/* -- the operator's words -- */

START_TEST(the_operator_adds_bots_and_people)
{
	static char site[] = "SiteGlancer", watch[] = "watch 9", curl[] = "OurKiosk";
	char *bot_items[] = {site, watch}, *person_items[] = {curl};
	const struct conf_list bots_list = {bot_items, 2}, people_list = {person_items, 1};
	struct bot_rules *theirs;
	struct bot_verdict v;
	char ua[256];

	ck_assert_int_eq(bot_rules_new(BOT_SOURCE_ALL, &bots_list, &people_list, &theirs), 0);
	snprintf(ua, sizeof(ua), "%s siteglancer/2", people[0]);
	ck_assert_ptr_null(why_of(text_of(ua)));
	ck_assert_str_eq(bot_user_agent(theirs, text_of(ua)).why, "configured");
	snprintf(ua, sizeof(ua), "%s Watch 9", people[4]);
	ck_assert_str_eq(bot_user_agent(theirs, text_of(ua)).why, "configured");
	v = bot_user_agent(theirs, TEXT_LIT("ourkiosk/1.0 curl/8 (+http://example.com)"));
	ck_assert_ptr_null(v.why);
	ck_assert(v.believed);
	v = bot_user_agent(theirs, TEXT_LIT("OurKiosk SiteGlancer"));
	ck_assert_ptr_null(v.why);
	ck_assert(!bot_user_agent(theirs, text_of(people[0])).believed);
	bot_rules_free(theirs);
}
END_TEST

/* The name of what `patterns` find in `ua`. */
static struct text
name_by(const struct conf_list *patterns, const char *ua)
{
	struct bot_rules *theirs;
	struct bot_verdict v;

	ck_assert_int_eq(bot_rules_new(BOT_SOURCE_ALL, patterns, NULL, &theirs), 0);
	v = bot_user_agent(theirs, text_of(ua));
	bot_rules_free(theirs);
	return bot_name_of(patterns, v.name);
}

START_TEST(what_the_operators_pattern_finds_has_its_name)
{
	static char kiosk[] = "Kiosk", longer[] = "Kiosk 9", bot[] = "googlebot", other[] = "other",
		    listed[] = "bingbot",
		    cut[] = "0123456789012345678901234567890123456789012345678",
		    same[] = "01234567890123456789012345678901234567890123456-and-more";
	char *items[] = {kiosk, longer, bot, other, listed, cut, same};
	const struct conf_list patterns = {items, 7};

	ck_assert(text_is(name_by(&patterns, "Mozilla/5.0 (iPhone) KIOSK 8"), "Kiosk"));
	ck_assert(text_is(name_by(&patterns, "Mozilla/5.0 (iPhone) kiosk 9"), "Kiosk 9"));
	ck_assert(text_is(name_by(&patterns, "Googlebot-Image/1.0"), "googlebot"));
	ck_assert(text_is(name_by(&patterns, "curl/8"), "curl"));
	ck_assert(text_is(name_by(&patterns, "FictionalBot/1"), "other"));
	ck_assert_uint_eq(name_by(&patterns, cut).len, BATCH_BOT_NAME_MAX);
	/* names that were there before: one counter each */
	ck_assert_ptr_eq(name_by(&patterns, "other/1").at, bot_name(0));
	ck_assert_ptr_ne(name_by(&patterns, "bingbot/1").at, listed);
	ck_assert_ptr_eq(name_by(&patterns, same).at, cut);
}
END_TEST

START_TEST(an_operators_name_can_stand_in_a_label)
{
	static char quoted[] = "a \"b\\c";
	char *items[] = {quoted}, *text = NULL;
	const struct conf_list patterns = {items, 1};
	size_t len;
	FILE *out = open_memstream(&text, &len);

	bot_count((uint16_t)bot_names_n);
	bot_count_print(&patterns, out);
	fclose(out);
	ck_assert_ptr_nonnull(strstr(text, "\nfootfall_bots_total{name=\"a \\\"b\\\\c\"} 1\n"));
	free(text);
}
END_TEST

START_TEST(the_operator_may_add_a_word_that_is_a_rule_already)
{
	static char cubot[] = "CUBOT", headless[] = "headless";
	char *bot_items[] = {cubot}, *person_items[] = {headless};
	const struct conf_list bots_list = {bot_items, 1}, people_list = {person_items, 1};
	struct bot_rules *theirs;

	ck_assert_int_eq(bot_rules_new(BOT_SOURCE_ALL, &bots_list, &people_list, &theirs), 0);
	ck_assert_str_eq(bot_user_agent(theirs, text_of(people[6])).why, "configured");
	ck_assert_ptr_null(bot_user_agent(theirs, TEXT_LIT("HeadlessChrome/1")).why);
	bot_rules_free(theirs);
}
END_TEST

START_TEST(as_many_and_as_long_words_as_conf_allows_fit)
{
	static char text[256][65];
	char *item[256];
	const struct conf_list half = {item, 128}, other = {item + 128, 128};
	struct bot_rules *theirs;
	size_t i;

	for (i = 0; i < 256; i++) {
		memset(text[i], '!' + (int)(i % 90), 64);
		snprintf(text[i], 4, "%03zu", i);
		text[i][3] = '~';
		item[i] = text[i];
	}
	ck_assert_int_eq(bot_rules_new(BOT_SOURCE_ALL, &half, &other, &theirs), 0);
	ck_assert_uint_le(bot_rules_bytes(theirs), 8 << 20);
	ck_assert_str_eq(bot_user_agent(theirs, text_of(text[7])).why, "configured");
	ck_assert_ptr_null(bot_user_agent(theirs, text_of(text[200])).why);
	bot_rules_free(theirs);
}
END_TEST

START_TEST(the_table_is_small)
{
	ck_assert_uint_le(bot_rules_bytes(rules), 1 << 20);
}
END_TEST

/* -- headers -- */

static enum reason
judge(const char *ua, const char *language, const char *fetch, const char *purpose)
{
	struct bot_headers h = {.accept_language = text_of(language),
				.sec_fetch = text_of(fetch),
				.sec_purpose = text_of(purpose)};

	return bot_headers_judge(bot_engine_of(text_of(ua)), &h);
}

START_TEST(only_contradictions_speak_against_a_person)
{
	const char *chrome = people[0], *ie = people[9], *opera = people[13], *app = people[17];

	ck_assert_int_eq(judge(chrome, "en", "cors", NULL), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(judge(chrome, NULL, NULL, NULL), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(judge(chrome, "en", NULL, NULL), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(judge(app, NULL, "cors", NULL), REASON_ACCEPTED_FIRST);
	ck_assert_int_eq(judge(chrome, NULL, "cors", NULL), REASON_BOT_HEADERS);
	ck_assert_int_eq(judge(chrome, "*", NULL, NULL), REASON_BOT_HEADERS);
	ck_assert_int_eq(judge(ie, "en", "cors", NULL), REASON_BOT_HEADERS);
	ck_assert_int_eq(judge(opera, "en", "cors", NULL), REASON_BOT_HEADERS);
	ck_assert_int_eq(judge(ie, "en", NULL, NULL), REASON_ACCEPTED_FIRST);
}
END_TEST

START_TEST(prefetching_is_told_by_its_header)
{
	ck_assert_int_eq(judge(people[0], "en", "cors", "prefetch"), REASON_BOT_PREFETCH);
	ck_assert_int_eq(judge(people[0], "en", NULL, "prefetch;prerender"), REASON_BOT_PREFETCH);
	ck_assert_int_eq(judge(people[0], "en", NULL, ""), REASON_ACCEPTED_FIRST);
}
END_TEST

/* -- the lists -- */

static bool
measure(const char *path, unsigned *ret_n, unsigned *ret_bots)
{
	FILE *f = fopen(path, "re");
	char line[8192];

	if (!f) {
		printf("SKIP %s is not there\n", path);
		return false;
	}
	for (*ret_n = *ret_bots = 0; fgets(line, sizeof(line), f); ++*ret_n) {
		line[strcspn(line, "\n")] = '\0';
		*ret_bots += why_of(text_of(line)) != NULL;
	}
	fclose(f);
	return true;
}

START_TEST(most_bots_of_a_list_not_ours_are_found)
{
	unsigned n, found;

	if (!measure("../shared/data/isbot-bots.txt", &n, &found))
		return;
	printf("bots found: %u of %u\n", found, n);
	ck_assert_uint_ge(found * 100, n * 95); /* 9 of them stand in the other list as well */
}
END_TEST

START_TEST(hardly_a_browser_of_a_list_not_ours_is_refused)
{
	unsigned n, refused;

	if (!measure("../shared/data/isbot-browsers.txt", &n, &refused))
		return;
	printf("browsers refused: %u of %u\n", refused, n);
	/* the list has attack strings, templates and a known crawler among its browsers: 2 % */
	ck_assert_uint_le(refused * 1000, n * 25);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bot");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, people_are_people);
	tcase_add_test(t, who_listens_is_a_person_too);
	tcase_add_test(t, programs_are_told_by_words_and_by_form);
	tcase_add_test(t, case_makes_no_difference);
	tcase_add_test(t, any_bytes_are_judged_and_long_ones_cut);
	tcase_add_test(t, the_automaton_finds_what_a_search_finds);
	tcase_add_test(t, no_literal_stands_twice);
	tcase_add_test(t, a_packaged_word_tells_a_bot_where_our_rules_see_nothing);
	tcase_add_test(t, a_word_is_silent_only_beside_its_own_marks);
	tcase_add_test(t, a_packaged_word_says_nothing_of_telephones_televisions_and_players);
	tcase_add_test(t, short_packaged_words_stand_alone);
	tcase_add_test(t, bots_are_named_by_the_longest_word_that_has_a_name);
	tcase_add_test(t, names_can_stand_in_a_label);
	tcase_add_test(t, met_bots_are_counted_by_name_and_printed);
	tcase_add_test(t, the_operator_adds_bots_and_people);
	tcase_add_test(t, what_the_operators_pattern_finds_has_its_name);
	tcase_add_test(t, an_operators_name_can_stand_in_a_label);
	tcase_add_test(t, the_operator_may_add_a_word_that_is_a_rule_already);
	tcase_add_test(t, as_many_and_as_long_words_as_conf_allows_fit);
	tcase_add_test(t, the_table_is_small);
	tcase_add_test(t, only_contradictions_speak_against_a_person);
	tcase_add_test(t, prefetching_is_told_by_its_header);
	tcase_add_test(t, most_bots_of_a_list_not_ours_are_found);
	tcase_add_test(t, hardly_a_browser_of_a_list_not_ours_is_refused);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
