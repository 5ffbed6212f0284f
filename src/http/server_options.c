/*
 * server_options.c
 *		The options of a server: read the same way when they are set and when they are used.
 */
#include "compat.h"

#include "http/options.h"
#include "http/retry_options.h"
#include "http/server_options.h"

typedef enum OptionKind
{
	URL, /* read by who calls */
	TIMEOUT,
	MILLISECONDS,
	COUNT,
	BYTES,
	BOOLEAN,
	FILE_NAME,
	RETRY
} OptionKind;

typedef struct ServerOption
{
	const char *name;
	OptionKind	kind;
	size_t		offset;
} ServerOption;

static const ServerOption options[] = {
	{"url", URL, 0},
	{"timeout", TIMEOUT, offsetof(WfServer, timeout_ms)},
	{"connect_timeout", MILLISECONDS, offsetof(WfServer, connect_timeout_ms)},
	{"idle_timeout", MILLISECONDS, offsetof(WfServer, idle_timeout_ms)},
	{"max_in_flight", COUNT, offsetof(WfServer, max_in_flight)},
	{"max_response", BYTES, offsetof(WfServer, max_response)},
	{"ca", FILE_NAME, offsetof(WfServer, ca)},
	{"allow_private", BOOLEAN, offsetof(WfServer, allow_private)},
	{"verify", BOOLEAN, offsetof(WfServer, verify)},
	{"retry_max", RETRY, 0},
	{"retry_delay", RETRY, 0},
	{"retry_backoff", RETRY, 0},
	{"retry_max_delay", RETRY, 0},
	{"retry_jitter", RETRY, 0},
	{"retry_on", RETRY, 0},
};

void
wf_server_options_init(WfServer *server)
{
	server->timeout_ms = 30000;
	server->connect_timeout_ms = 10000;
	server->idle_timeout_ms = 60000;
	server->max_in_flight = 64;
	server->max_response = 16 * 1024 * 1024;
	server->ca = NULL;
	server->allow_private = false;
	server->verify = true;
	wf_retry_options_init(&server->retry);
}

const char *
wf_server_option_name(int i)
{
	return i < lengthof(options) ? options[i].name : NULL;
}

static const char *
read_file_name(const char *value, const char **result)
{
	const char *expected = wf_option_file(value);

	if (expected == NULL)
		*result = pstrdup(value);
	return expected;
}

const char *
wf_server_option(const char *name, const char *value, WfServer *server)
{
	for (int i = 0; i < lengthof(options); i++)
	{
		void *field = (char *) server + options[i].offset;

		if (strcmp(options[i].name, name) != 0)
			continue;
		switch (options[i].kind)
		{
			case URL:
				return NULL;
			case TIMEOUT:
				return wf_option_timeout(value, field);
			case MILLISECONDS:
				return wf_option_milliseconds(value, field);
			case COUNT:
				return wf_option_count(value, field);
			case BYTES:
				return wf_option_bytes(value, field);
			case BOOLEAN:
				return wf_option_boolean(value, field);
			case FILE_NAME:
				return read_file_name(value, field);
			case RETRY:
				return wf_retry_option(name, value, &server->retry);
		}
	}
	return NULL; /* only a wrapper without its validator lets other names in */
}
