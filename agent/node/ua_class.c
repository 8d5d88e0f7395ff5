#include "node/ua_class.h"

#include "proto/event.h"

struct mark {
	const char *literal; /* lower case */
	uint8_t class;
};

/* The first line whose literal occurs wins. */
static const struct mark browser_marks[] = {
    /* podcast players, which say their names first and hide no browser behind them */
    {"podcast", UA_PODCAST},
    {"overcast/", UA_PODCAST},
    {"pocket casts", UA_PODCAST},
    {"pocketcasts", UA_PODCAST},
    {"castbox", UA_PODCAST},
    {"antennapod", UA_PODCAST},
    {"podbean", UA_PODCAST},
    {"podkicker", UA_PODCAST},
    {"podverse", UA_PODCAST},
    {"castamatic", UA_PODCAST},
    {"castro", UA_PODCAST},
    {"downcast", UA_PODCAST},
    {"icatcher", UA_PODCAST},
    {"playerfm", UA_PODCAST},
    {"player fm", UA_PODCAST},
    {"stitcher", UA_PODCAST},
    {"spotify/", UA_PODCAST},
    {"applecoremedia", UA_PODCAST},
    {"itunes/", UA_PODCAST},
    /* apps that show pages inside themselves */
    {"fban/", UA_IN_APP},
    {"fbav/", UA_IN_APP},
    {"fb_iab", UA_IN_APP},
    {"metaiab", UA_IN_APP},
    {"instagram", UA_IN_APP},
    {"barcelona", UA_IN_APP},
    {"snapchat", UA_IN_APP},
    {"twitter", UA_IN_APP},
    {"pinterest/", UA_IN_APP},
    {"[pinterest", UA_IN_APP},
    {"linkedinapp", UA_IN_APP},
    {"micromessenger", UA_IN_APP},
    {"musical_ly", UA_IN_APP},
    {"bytedancewebview", UA_IN_APP},
    {"bytelocale", UA_IN_APP},
    {"trill_", UA_IN_APP},
    {"line/", UA_IN_APP},
    {"kakaotalk", UA_IN_APP},
    {"naver(inapp", UA_IN_APP},
    {"whatsapp", UA_IN_APP},
    {"telegram", UA_IN_APP},
    {" gsa/", UA_IN_APP},
    {"newssapphire", UA_IN_APP},
    /* browsers by their own names, before the engines that they all name as well */
    {"edg/", UA_EDGE},
    {"edge/", UA_EDGE},
    {"edga/", UA_EDGE},
    {"edgios/", UA_EDGE},
    {"opr/", UA_OPERA},
    {"opios/", UA_OPERA},
    {"opt/", UA_OPERA},
    {"opx/", UA_OPERA},
    {"opera", UA_OPERA},
    {"samsungbrowser", UA_SAMSUNG},
    {"vivaldi", UA_VIVALDI},
    {"yabrowser", UA_YANDEX},
    {"yowser", UA_YANDEX},
    {"ucbrowser", UA_UC},
    {"ucweb", UA_UC},
    {"uc browser", UA_UC},
    {"brave", UA_BRAVE},
    {"duckduckgo", UA_DUCKDUCKGO},
    {"ddg/", UA_DUCKDUCKGO},
    {"mqqbrowser", UA_BROWSER_OTHER},
    {"miuibrowser", UA_BROWSER_OTHER},
    {"huaweibrowser", UA_BROWSER_OTHER},
    {"heytapbrowser", UA_BROWSER_OTHER},
    {"vivobrowser", UA_BROWSER_OTHER},
    {"whale/", UA_BROWSER_OTHER},
    {"silk/", UA_BROWSER_OTHER},
    {"maxthon", UA_BROWSER_OTHER},
    {"metasr", UA_BROWSER_OTHER},
    {"qqbrowser", UA_BROWSER_OTHER},
    {"bidubrowser", UA_BROWSER_OTHER},
    {"konqueror", UA_BROWSER_OTHER},
    {"seamonkey", UA_BROWSER_OTHER},
    {"palemoon", UA_BROWSER_OTHER},
    {"waterfox", UA_BROWSER_OTHER},
    {"epiphany", UA_BROWSER_OTHER},
    {"nokiabrowser", UA_BROWSER_OTHER},
    {"blackberry", UA_BROWSER_OTHER},
    {"lynx/", UA_BROWSER_OTHER},
    {"fxios/", UA_FIREFOX},
    {"focus/", UA_FIREFOX},
    {"firefox/", UA_FIREFOX},
    {"trident/", UA_IE},
    {"msie ", UA_IE},
    {"iemobile", UA_IE},
    {"; wv)", UA_WEBVIEW},
    {"crios/", UA_CHROME},
    {"version/4.0 chrome/", UA_WEBVIEW},
    {"chrome/", UA_CHROME},
    {"chromium/", UA_CHROME},
    {"headlesschrome", UA_CHROME},
    {"android", UA_WEBVIEW}, /* Android's own browser of old, and apps around it */
    {"safari/", UA_SAFARI},
    {"like mac os x) applewebkit", UA_IN_APP}, /* a web view without Safari's name */
    {"gecko/", UA_BROWSER_OTHER},
    {"applewebkit/", UA_BROWSER_OTHER},
    {"mozilla/", UA_BROWSER_OTHER},
};

static const struct mark system_marks[] = {
    {"kaios", UA_SYSTEM_OTHER},
    {"windows phone", UA_SYSTEM_OTHER}, /* it also says Android and iPhone */
    {"iphone", UA_IOS},
    {"ipad", UA_IOS},
    {"ipod", UA_IOS},
    {"appletv", UA_IOS},
    {"apple tv", UA_IOS},
    {"watchos", UA_IOS},
    {"ios/", UA_IOS},
    {"ios ", UA_IOS},
    {"-ios", UA_IOS},
    {"tizen", UA_SYSTEM_OTHER},
    {"harmonyos", UA_ANDROID},
    {"openharmony", UA_SYSTEM_OTHER},
    {"android", UA_ANDROID},
    {"silk/", UA_ANDROID},
    {"dalvik/", UA_ANDROID},
    {"; cros ", UA_CHROMEOS},
    {"windows", UA_WINDOWS},
    {"win64", UA_WINDOWS},
    {"win32", UA_WINDOWS},
    {"macintosh", UA_MACOS},
    {"mac os x", UA_MACOS},
    {"mac_powerpc", UA_MACOS},
    {"freebsd", UA_BSD},
    {"openbsd", UA_BSD},
    {"netbsd", UA_BSD},
    {"dragonfly", UA_BSD},
    {"web0s", UA_SYSTEM_OTHER},
    {"webos", UA_SYSTEM_OTHER},
    {"playstation", UA_SYSTEM_OTHER},
    {"nintendo", UA_SYSTEM_OTHER},
    {"roku", UA_SYSTEM_OTHER},
    {"symbian", UA_SYSTEM_OTHER},
    {"series60", UA_SYSTEM_OTHER},
    {"blackberry", UA_SYSTEM_OTHER},
    {"bb10", UA_SYSTEM_OTHER},
    {"midp", UA_SYSTEM_OTHER},
    {"amiga", UA_SYSTEM_OTHER},
    {"linux", UA_LINUX},
    {"x11;", UA_LINUX},
    {"cfnetwork", UA_IOS}, /* Apple's HTTP library; on a Mac it names x86_64 or Mac */
};

static const struct mark device_marks[] = {
    {"apple watch", UA_WATCH},
    {"watchos", UA_WATCH},
    {"sm-r8", UA_WATCH},
    {"wear os", UA_WATCH},
    {"playstation", UA_CONSOLE},
    {"nintendo", UA_CONSOLE},
    {"xbox", UA_CONSOLE},
    {"sonos", UA_SPEAKER},
    {"homepod", UA_SPEAKER},
    {"alexa", UA_SPEAKER},
    {"aiortc", UA_SPEAKER},
    {"echo/", UA_SPEAKER},
    {"smart-tv", UA_TV},
    {"smarttv", UA_TV},
    {"smart tv", UA_TV},
    {"appletv", UA_TV},
    {"apple tv", UA_TV},
    {"tvos", UA_TV},
    {"hbbtv", UA_TV},
    {"googletv", UA_TV},
    {"google tv", UA_TV},
    {"android tv", UA_TV},
    {"chromecast", UA_TV},
    {"crkey", UA_TV},
    {"roku", UA_TV},
    {"; aft", UA_TV}, /* Fire TV's models */
    {"bravia", UA_TV},
    {"netcast", UA_TV},
    {"web0s", UA_TV},
    {"sonydtv", UA_TV},
    {"vizio", UA_TV},
    {"viera", UA_TV},
    {"inettvbrowser", UA_TV},
    {" tv;", UA_TV},
    {" tv ", UA_TV},
    {"ipad", UA_TABLET},
    {"tablet pc", UA_DESKTOP}, /* what Internet Explorer says of a Windows component */
    {"tablet", UA_TABLET},
    {"; kf", UA_TABLET}, /* Kindle Fire's models */
    {"kindle", UA_TABLET},
    {"playbook", UA_TABLET},
    {"nexus 7", UA_TABLET},
    {"nexus 9", UA_TABLET},
    {"nexus 10", UA_TABLET},
    {"nook", UA_TABLET},
    {"sm-t", UA_TABLET},
    {"sm-x", UA_TABLET},
    {"gt-p", UA_TABLET},
    {"iphone", UA_PHONE},
    {"ipod", UA_PHONE},
    {"windows phone", UA_PHONE},
    {"iemobile", UA_PHONE},
    {"mobile", UA_PHONE},
    {"phone", UA_PHONE},
    {"midp", UA_PHONE},
    {"blackberry", UA_PHONE},
    {"bb10", UA_PHONE},
    {"symbian", UA_PHONE},
    {"series60", UA_PHONE},
    {"opera mini", UA_PHONE},
    {"opera mobi", UA_PHONE},
    {"kaios", UA_PHONE},
    {"dalvik/", UA_PHONE},
    {"android", UA_TABLET}, /* by Google's rule a browser on a phone says Mobile */
    {"windows", UA_DESKTOP},
    {"macintosh", UA_DESKTOP},
    {"mac os x", UA_DESKTOP},
    {"x11", UA_DESKTOP},
    {"; cros ", UA_DESKTOP},
    {"linux", UA_DESKTOP},
    {"bsd", UA_DESKTOP},
    {"amiga", UA_DESKTOP},
};

/* Which pairs of neighbouring bytes occur, by a small hash: a literal with a pair that does not is
 * not there, and most are told so by their first, at a twentieth of the price of a search. */
#define PAIR_BITS 2048

struct pairs {
	uint64_t bit[PAIR_BITS / 64];
};

static unsigned
pair_of(const char *p)
{
	return ((unsigned)(uint8_t)p[0] * 37 + (uint8_t)p[1]) % PAIR_BITS;
}

static bool
may_hold(const struct pairs *pairs, const char *literal)
{
	unsigned pair;

	for (; literal[1]; literal++) {
		pair = pair_of(literal);
		if (!(pairs->bit[pair / 64] >> pair % 64 & 1))
			return false;
	}
	return true;
}

static uint8_t
first_of(struct text ua, const struct pairs *pairs, const struct mark *marks, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (may_hold(pairs, marks[i].literal) &&
		    memmem(ua.at, ua.len, marks[i].literal, strlen(marks[i].literal)))
			return marks[i].class;
	return 0;
}

#define FIRST_OF(ua, pairs, marks) first_of(ua, pairs, marks, sizeof(marks) / sizeof((marks)[0]))

struct ua_class
ua_classify(struct text ua)
{
	char lower[EVENT_USER_AGENT_MAX];
	struct text t = {lower, ua.len < sizeof(lower) ? ua.len : sizeof(lower)};
	struct pairs pairs = {{0}};
	struct ua_class c;
	unsigned pair;
	size_t i;

	for (i = 0; i < t.len; i++)
		lower[i] = ua.at[i] >= 'A' && ua.at[i] <= 'Z' ? (char)(ua.at[i] + 32) : ua.at[i];
	for (i = 1; i < t.len; i++) {
		pair = pair_of(lower + i - 1);
		pairs.bit[pair / 64] |= UINT64_C(1) << pair % 64;
	}
	c.browser = FIRST_OF(t, &pairs, browser_marks);
	c.system = FIRST_OF(t, &pairs, system_marks);
	c.device = FIRST_OF(t, &pairs, device_marks);
	return c;
}
