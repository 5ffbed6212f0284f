/*
 * server_options.c
 *		The options of a server: read the same way when they are set and when they are used.
 */
#include "compat.h"

#include <math.h>

#include "http/options.h"
#include "http/retry_options.h"
#include "http/server_options.h"
#include "http/url.h"

#define MAX_COUNT 10000
#define MAX_RATE  1000000
/* A burst is as many requests as the rate allows in so many seconds, if no option says otherwise. */
#define BURST_S 0.05
/* How many redirects are followed at most, and where the option says just that they are. */
#define MAX_REDIRECTS	  20
#define DEFAULT_REDIRECTS 5

typedef enum OptionKind
{
	URL, /* read by who calls */
	TIMEOUT,
	MILLISECONDS,
	COUNT,	/* from 0 */
	NUMBER, /* from 1 */
	PERCENT,
	BYTES,
	BOOLEAN,
	FILE_NAME,
	RATE,
	BREAKER,
	REDIRECTS,
	PROXY,
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
	{"rate", RATE, offsetof(WfServer, rate)},
	{"burst", NUMBER, offsetof(WfServer, burst)},
	{"max_response", BYTES, offsetof(WfServer, max_response)},
	{"ca", FILE_NAME, offsetof(WfServer, ca)},
	{"allow_private", BOOLEAN, offsetof(WfServer, allow_private)},
	{"verify", BOOLEAN, offsetof(WfServer, verify)},
	{"trace", BOOLEAN, offsetof(WfServer, trace)},
	{"follow_redirects", REDIRECTS, offsetof(WfServer, follow_redirects)},
	{"proxy", PROXY, offsetof(WfServer, proxy)},
	{"breaker", BREAKER, offsetof(WfServer, breaker.mode)},
	{"breaker_min_calls", NUMBER, offsetof(WfServer, breaker.min_calls)},
	{"breaker_failure_rate", PERCENT, offsetof(WfServer, breaker.failure_rate)},
	{"breaker_window", TIMEOUT, offsetof(WfServer, breaker.window_ms)},
	{"breaker_open", TIMEOUT, offsetof(WfServer, breaker.open_ms)},
	{"breaker_probes", NUMBER, offsetof(WfServer, breaker.probes)},
	{"breaker_slow", TIMEOUT, offsetof(WfServer, breaker.slow_ms)},
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
	server->rate = 0;
	server->burst = 0;
	server->max_response = 16 * 1024 * 1024;
	server->ca = NULL;
	server->allow_private = false;
	server->verify = true;
	server->trace = true;
	server->follow_redirects = 0;
	server->proxy = NULL;
	server->breaker = (WfBreakerOptions){.mode = WF_BREAKER_ON,
										 .min_calls = 20,
										 .failure_rate = 50,
										 .window_ms = 10000,
										 .open_ms = 10000,
										 .probes = 3};
	wf_retry_options_init(&server->retry);
}

void
wf_server_options_finish(WfServer *server)
{
	if (server->burst == 0)
		server->burst = (int) Max(1, server->rate * BURST_S);
}

const char *
wf_server_option_name(int i)
{
	return i < lengthof(options) ? options[i].name : NULL;
}

static const char *
read_number(const char *value, int max, int *result)
{
	int number;

	if (wf_option_count(value, &number) != NULL || number < 1 || number > max)
		return psprintf("a whole number between 1 and %d", max);
	*result = number;
	return NULL;
}

static const char *
read_rate(const char *value, double *result)
{
	char  *end;
	double rate = strtod(value, &end);

	if (end == value || *end != '\0' || !(rate >= 0.001 && rate <= MAX_RATE))
		return "a number of requests a second between 0.001 and " CppAsString2(MAX_RATE);
	*result = rate;
	return NULL;
}

/* Also what a switch is mostly set to: true and false. */
static const char *
read_breaker(const char *value, WfBreakerMode *result)
{
	bool on;

	if (pg_strcasecmp(value, "open") == 0)
		*result = WF_BREAKER_OPEN;
	else if (wf_option_boolean(value, &on) == NULL)
		*result = on ? WF_BREAKER_ON : WF_BREAKER_OFF;
	else
		return "on, off or open";
	return NULL;
}

/* A number is one of redirects, also 0 and 1. */
static const char *
read_redirects(const char *value, int *result)
{
	size_t digits = strspn(value, "0123456789");
	bool   on;

	if (digits > 0 && digits <= 4 && value[digits] == '\0' && atoi(value) <= MAX_REDIRECTS)
		*result = atoi(value);
	else if (digits == 0 && wf_option_boolean(value, &on) == NULL)
		*result = on ? DEFAULT_REDIRECTS : 0;
	else
		return "on, off or a number of redirects between 0 and " CppAsString2(MAX_REDIRECTS);
	return NULL;
}

static const char *
read_proxy(const char *value, const char **result)
{
	const char *problem = wf_url_proxy_problem(value);

	if (problem != NULL)
		return psprintf("http://host:port or socks5h://host:port; this %s", problem);
	*result = pstrdup(value);
	return NULL;
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
			case NUMBER:
				return read_number(value, MAX_COUNT, field);
			case PERCENT:
				return read_number(value, 100, field);
			case BYTES:
				return wf_option_bytes(value, field);
			case BOOLEAN:
				return wf_option_boolean(value, field);
			case FILE_NAME:
				return read_file_name(value, field);
			case RATE:
				return read_rate(value, field);
			case BREAKER:
				return read_breaker(value, field);
			case REDIRECTS:
				return read_redirects(value, field);
			case PROXY:
				return read_proxy(value, field);
			case RETRY:
				return wf_retry_option(name, value, &server->retry);
		}
	}
	return NULL; /* only a wrapper without its validator lets other names in */
}
