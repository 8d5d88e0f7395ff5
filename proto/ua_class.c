#include "proto/ua_class.h"

#define BROWSER(number, name) [number] = name,
static const char *const browsers[UA_BROWSER_N] = {
#include "proto/ua_class.def"
};

#define SYSTEM(number, name) [number] = name,
static const char *const systems[UA_SYSTEM_N] = {
#include "proto/ua_class.def"
};

#define DEVICE(number, name) [number] = name,
static const char *const devices[UA_DEVICE_N] = {
#include "proto/ua_class.def"
};

const char *
ua_browser_name(uint8_t number)
{
	return browsers[number < UA_BROWSER_N ? number : 0];
}

const char *
ua_system_name(uint8_t number)
{
	return systems[number < UA_SYSTEM_N ? number : 0];
}

const char *
ua_device_name(uint8_t number)
{
	return devices[number < UA_DEVICE_N ? number : 0];
}
