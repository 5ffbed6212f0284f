/*
 * fault.c
 *		Faults as values, and the one place that turns a thrown error into one.
 *
 * No state; messages are in the CurrentMemoryContext of the caller.
 *
 * Catching without a subtransaction is sound because what is run here (parsers of jsonpath,
 * interval and the like, the jsonpath executor, building of jsonb) takes memory and nothing else.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "model/fault.h"
#include "model/guard.h"

bool
wf_fault(WfFault *fault, const char *code, const char *fmt, ...)
{
	StringInfoData message;

	initStringInfo(&message);
	for (;;)
	{
		va_list args;
		int		needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(&message, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}

	fault->code = code;
	fault->message = message.data;
	fault->http_status = 0;
	fault->sqlstate[0] = '\0';
	return false;
}

/* Can data or text of a user cause such an error? */
static bool
caused_by_content(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case MAKE_SQLSTATE('0', 'A', '0', '0', '0'): /* feature not supported */
		case MAKE_SQLSTATE('2', '2', '0', '0', '0'): /* data exception */
		case MAKE_SQLSTATE('4', '2', '0', '0', '0'): /* syntax */
		case MAKE_SQLSTATE('5', '4', '0', '0', '0'): /* too large, too deep */
			return true;
		default:
			/* "invalid memory alloc request size" has this code */
			return sqlerrcode == ERRCODE_INTERNAL_ERROR;
	}
}

bool
wf_guard_run(WfGuarded work, void *arg, const char **message)
{
	MemoryContext context = CurrentMemoryContext;
	uint32		  holdoff = InterruptHoldoffCount;
	uint32		  cancel_holdoff = QueryCancelHoldoffCount;
	volatile bool done = false;

	PG_TRY();
	{
		work(arg);
		done = true;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		if (!caused_by_content(geterrcode()))
			PG_RE_THROW();
		error = CopyErrorData();
		FlushErrorState();
		/* throwing has reset them */
		InterruptHoldoffCount = holdoff;
		QueryCancelHoldoffCount = cancel_holdoff;
		*message = error->message ? error->message : "unknown error";
	}
	PG_END_TRY();

	return done;
}
