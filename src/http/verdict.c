/*
 * verdict.c
 *		Make the reply of a failed transfer, and what it says; and the client's clock.
 */
#include "postgres.h"

#include <time.h>

#include "http/http_internal.h"

int64
wf_http_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void say(WfTransfer *transfer, int at, const char *fmt, va_list args) pg_attribute_printf(3, 0);

static void
say(WfTransfer *transfer, int at, const char *fmt, va_list args)
{
	vsnprintf(transfer->message + at, sizeof(transfer->message) - at, fmt, args);
	/* a peer's certificate may be quoted in the message, in any encoding */
	for (char *p = transfer->message; *p; p++)
	{
		if ((unsigned char) *p < 0x20 || (unsigned char) *p >= 0x7f)
			*p = '?';
	}
	transfer->reply.message = transfer->message;
}

void
wf_transfer_say(WfTransfer *transfer, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(transfer, 0, fmt, args);
	va_end(args);
}

void
wf_transfer_fail(WfTransfer *transfer, WfHttpVerdict verdict, const char *fmt, ...)
{
	int		hops = transfer->follow.hops;
	int		at = 0;
	va_list args;

	if (hops > 0)
		at =
			snprintf(transfer->message, sizeof(transfer->message), "after %d redirect%s: ", hops, hops == 1 ? "" : "s");
	va_start(args, fmt);
	say(transfer, at, fmt, args);
	va_end(args);
	transfer->reply.verdict = verdict;
	transfer->reply.status = 0;
	transfer->reply.headers = NULL;
	transfer->reply.nheaders = 0;
	transfer->reply.body = "";
	transfer->reply.body_len = 0;
	transfer->reply.cookies = NULL;
	transfer->reply.ncookies = 0;
}
