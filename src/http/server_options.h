/*
 * server_options.h
 *		The options of a server: read the same way when they are set and when they are used.
 */
#ifndef WF_SERVER_OPTIONS_H
#define WF_SERVER_OPTIONS_H

#include "http/server.h"

/* Set the defaults, before the options are read. */
extern void wf_server_options_init(WfServer *server);

/* The name of the i-th option, or NULL if there are no more. */
extern const char *wf_server_option_name(int i);

/*
 * Read the option `name`, which is not `url`, into *server, with strings in CurrentMemoryContext. Returns NULL, or what
 * is expected instead, a text to follow "expected".
 */
extern const char *wf_server_option(const char *name, const char *value, WfServer *server);

/* After all options were read: give those that follow from others their defaults. */
extern void wf_server_options_finish(WfServer *server);

#endif
