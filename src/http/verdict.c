/*
 * verdict.c
 *		Make the reply of a failed transfer; and the client's clock.
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

void
wf_transfer_fail(WfTransfer *transfer, WfHttpVerdict verdict, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(transfer->message, sizeof(transfer->message), fmt, args);
	va_end(args);
	/* a peer's certificate may be quoted in the message, in any encoding */
	for (char *p = transfer->message; *p; p++)
	{
		if ((unsigned char) *p < 0x20 || (unsigned char) *p >= 0x7f)
			*p = '?';
	}
	transfer->reply.verdict = verdict;
	transfer->reply.message = transfer->message;
	transfer->reply.status = 0;
	transfer->reply.headers = NULL;
	transfer->reply.nheaders = 0;
	transfer->reply.body = "";
	transfer->reply.body_len = 0;
	transfer->reply.cookies = NULL;
	transfer->reply.ncookies = 0;
}
