/*
 * wait_for.c
 *		CALL workflow.wait_for(instance, timeout, status, step): block until an instance has ended, or has come to a step.
 *
 * Between two looks the procedure has committed: it holds no snapshot, no lock and no transaction
 * id, so that it may wait for days without holding back vacuum. Whoever changes the status of an
 * instance wakes those that wait for it; whoever moves its tokens, those that wait for a step.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "shmem/wakeups.h"
#include "shmem/shmem.h"
#include "store/access.h"
#include "store/batch.h"
#include "store/durable.h"
#include "store/history.h"
#include "store/privilege.h"
#include "store/process.h"
#include "store/query.h"
#include "store/version.h"

#define STATUS_LEN 16

typedef struct Wait
{
	int64		instance;
	char	   *status;	  /* the status to wait for; NULL: the end */
	char	   *step;	  /* the step to wait for, beside these; NULL: none */
	bool		is_there; /* a token has come to it */
	TimestampTz until;	  /* DT_NOEND: no timeout */
	char		now[STATUS_LEN];
} Wait;

static WfQuery q_status = {
	.sql = "SELECT process_id, status, version FROM workflow_data.instance WHERE instance = $1 "
		   "UNION ALL "
		   "SELECT process_id, status, version FROM " WF_ENDED("instance") " h WHERE instance = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_step = {
	.sql = "SELECT EXISTS (SELECT FROM workflow_data.visit v WHERE v.instance = $1 AND v.step = $2 AND "
		   "v.state IN ('waiting', 'incident')) OR "
		   "EXISTS (SELECT FROM " WF_ENDED("visit") " h WHERE h.instance = $1 AND h.step = $2)",
	.nargs = 2,
	.argtypes = {INT8OID, TEXTOID},
};

WF_FUNCTION(workflow_wait_for);

/* ---- arguments ---- */

static void
check_status(const char *status)
{
	for (WfStatus known = WF_STATUS_ACTIVE; known <= WF_STATUS_FAILED; known++)
	{
		if (strcmp(status, wf_status_name(known)) == 0)
			return;
	}
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("an instance has no status \"%s\"", status),
			errhint("It is one of active, suspended, completed, aborted, failed."));
}

static TimestampTz
deadline(Interval *timeout)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz until = DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), IntervalPGetDatum(timeout)));

	if (until < now)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the timeout must not be negative"));
	return until;
}

static void
read_wait_arguments(FunctionCallInfo fcinfo, Wait *wait)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the instance must not be null"));
	wait->instance = PG_GETARG_INT64(0);
	wait->until = PG_ARGISNULL(1) ? DT_NOEND : deadline(PG_GETARG_INTERVAL_P(1));
	wait->status = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (wait->status != NULL)
		check_status(wait->status);
	wait->step = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
}

static void
require_waiting_makes_sense(FunctionCallInfo fcinfo)
{
	CallContext *context = castNode(CallContext, fcinfo->context);

	if (context == NULL || context->atomic || IsSubTransaction())
		ereport(ERROR, errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				errmsg("workflow.wait_for cannot run inside a transaction block"),
				errdetail("The instance could not be seen to end, and the open transaction would hold back vacuum."),
				errhint("Call it by itself, after COMMIT."));
	if (RecoveryInProgress())
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("workflow.wait_for cannot run on a standby"), errhint("Call it on the primary server."));
}

/* ---- looking and waiting ---- */

static void
report_unknown_waited(const Wait *wait)
{
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("instance " INT64_FORMAT " does not exist", wait->instance));
}

/* The version that it follows may be another one by now. */
static void
look_at_step(Wait *wait, int process_id, int version)
{
	const WfProcess *process = wf_process_get(process_id, version);
	Datum			 values[2] = {Int64GetDatum(wait->instance), CStringGetTextDatum(wait->step)};
	bool			 isnull;

	wf_query_run(&q_step, values, NULL);
	wait->is_there = DatumGetBool(wf_result(0, 1, &isnull));
	if (!wait->is_there && wf_definition_step(process->def, wait->step) < 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("process \"%s\" has no step \"%s\" in version %d", process->name, wait->step, version));
}

static void
look_at_waited(Wait *wait)
{
	WfAccess access;
	Datum	 values[1] = {Int64GetDatum(wait->instance)};
	bool	 isnull;
	int		 process_id;
	int		 version;

	wf_store_enter(&access);
	if (wf_query_run(&q_status, values, NULL) == 0)
		report_unknown_waited(wait);
	strlcpy(wait->now, wf_result_text(0, 2), STATUS_LEN);
	process_id = DatumGetInt32(wf_result(0, 1, &isnull));
	version = DatumGetInt32(wf_result(0, 3, &isnull));
	if (!wf_privilege_admits(process_id, access.caller, WF_PRIVILEGE_VIEW, WF_PRIVILEGE_START))
		report_unknown_waited(wait);
	if (wait->step != NULL)
		look_at_step(wait, process_id, version);
	wf_store_leave(&access);
}

/*
 * Is the waiting over? A failed instance ends a wait for the end, since it may take a person to get
 * it beyond its incident. It does not end a wait for a status that only comes after the incident
 * was resolved.
 */
static bool
is_reached(const Wait *wait)
{
	if (wait->is_there || (wait->status != NULL && strcmp(wait->now, wait->status) == 0))
		return true;
	if (strcmp(wait->now, "completed") == 0 || strcmp(wait->now, "aborted") == 0)
		return true;
	return strcmp(wait->now, "failed") == 0 &&
		   (wait->status == NULL || strcmp(wait->status, "completed") == 0 || strcmp(wait->status, "aborted") == 0);
}

static void
report_timeout(const Wait *wait)
{
	if (wait->step != NULL)
		ereport(ERROR, errcode(ERRCODE_QUERY_CANCELED),
				errmsg("instance " INT64_FORMAT " did not come to step \"%s\" within the timeout", wait->instance,
					   wait->step),
				errdetail("Its status is \"%s\".", wait->now));
	if (wait->status == NULL)
		ereport(ERROR, errcode(ERRCODE_QUERY_CANCELED),
				errmsg("instance " INT64_FORMAT " did not end within the timeout", wait->instance),
				errdetail("Its status is \"%s\".", wait->now));
	ereport(ERROR, errcode(ERRCODE_QUERY_CANCELED),
			errmsg("instance " INT64_FORMAT " did not become \"%s\" within the timeout", wait->instance, wait->status),
			errdetail("Its status is \"%s\".", wait->now));
}

/* Sleep until this waiter is woken; throws at the timeout. */
static void
sleep_until_woken(const Wait *wait)
{
	int	 events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	long left = -1;

	while (!wf_waiter_woken())
	{
		CHECK_FOR_INTERRUPTS();
		if (wait->until != DT_NOEND)
		{
			events |= WL_TIMEOUT;
			left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), wait->until);
			if (left <= 0)
				report_timeout(wait);
			left = Min(left, INT_MAX);
		}
		(void) WaitLatch(MyLatch, events, left, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

static Datum
result_row(FunctionCallInfo fcinfo, const Wait *wait)
{
	TupleDesc desc;
	Datum	  values[1] = {CStringGetTextDatum(wait->now)};
	bool	  nulls[1] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

Datum
workflow_wait_for(PG_FUNCTION_ARGS)
{
	Wait wait = {0};

	wf_shmem_require();
	read_wait_arguments(fcinfo, &wait);
	require_waiting_makes_sense(fcinfo);
	if (wait.instance <= 0)
		/* In the table of waiters, 0 means an unused entry. */
		report_unknown_waited(&wait);
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");

	wf_waiter_add(wait.instance, wait.step != NULL);
	for (look_at_waited(&wait); !is_reached(&wait); look_at_waited(&wait))
	{
		SPI_commit();
		sleep_until_woken(&wait);
	}
	wf_waiter_remove();
	/* Waiting for durability may last, too, if a synchronous standby lags. */
	SPI_commit();
	wf_durable_require();

	SPI_finish();
	PG_RETURN_DATUM(result_row(fcinfo, &wait));
}
