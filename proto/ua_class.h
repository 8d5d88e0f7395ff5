/* ua_class.h -- names of the classes that a User-Agent is reduced to (ua_class.def).
 *
 * Numbers stand in journals and batches; names are for the API, the pages and the CLI.
 *
 * Threads:  constant.
 */
#ifndef PROTO_UA_CLASS_H
#define PROTO_UA_CLASS_H

#include <stdint.h>

/* Names behind the numbers of ua_class.def, for the code that finds them. */
enum ua_browser {
	UA_BROWSER_UNKNOWN,
	UA_CHROME,
	UA_FIREFOX,
	UA_SAFARI,
	UA_EDGE,
	UA_OPERA,
	UA_SAMSUNG,
	UA_IE,
	UA_WEBVIEW,
	UA_IN_APP,
	UA_PODCAST,
	UA_VIVALDI,
	UA_YANDEX,
	UA_UC,
	UA_BRAVE,
	UA_DUCKDUCKGO,
	UA_BROWSER_OTHER,
	UA_BROWSER_N
};

enum ua_system {
	UA_SYSTEM_UNKNOWN,
	UA_WINDOWS,
	UA_MACOS,
	UA_IOS,
	UA_ANDROID,
	UA_LINUX,
	UA_CHROMEOS,
	UA_BSD,
	UA_SYSTEM_OTHER,
	UA_SYSTEM_N
};

enum ua_device {
	UA_DEVICE_UNKNOWN,
	UA_DESKTOP,
	UA_PHONE,
	UA_TABLET,
	UA_TV,
	UA_CONSOLE,
	UA_SPEAKER,
	UA_WATCH,
	UA_DEVICE_N
};

/* "unknown" for 0 and for numbers of a newer version than this one. */
const char *ua_browser_name(uint8_t number);
const char *ua_system_name(uint8_t number);
const char *ua_device_name(uint8_t number);

#endif
