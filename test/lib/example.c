/* example.c -- prints agent.conf.example, for `make example` and the test that it is current. */
#include "conf/conf.h"

int
main(void)
{
	conf_print_example(stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}
