/*
 * failure.c
 *		Whose fault a failure is. Nothing else judges that.
 *
 * An error is judged by its origin, and not by its SQLSTATE alone: "out of memory" or "canceling statement" can come
 * from a machine that has no memory left, or from a limit that only this piece of work exceeds.
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "shmem/careful.h"
#include "worker/failure.h"
#include "worker/limit.h"
#include "worker/memory.h"

/* ---- what was lacking ---- */

/*
 * Does the message begin like this, in PostgreSQL's source, before it is translated? Some SQLSTATEs stand for several
 * errors, which only their messages tell apart.
 */
static bool
says(const ErrorData *error, const char *beginning)
{
	return error->message_id != NULL && strncmp(error->message_id, beginning, strlen(beginning)) == 0;
}

/*
 * What was lacking, by the error's errno? PostgreSQL has SQLSTATEs only for the commonest errors of the system. An
 * errno counts only if the message names it, since it may be left over from something else.
 */
static WfLack
lack_of_errno(const ErrorData *error)
{
	int code = error->saved_errno;

	if (code == 0 || error->message == NULL || strstr(error->message, strerror(code)) == NULL)
		return WF_LACK_NONE;
	switch (code)
	{
		case ENOSPC:
		case EDQUOT:
		case EIO:
		case EROFS:
			return WF_LACK_DISK;
		case ENOMEM:
			return WF_LACK_MEMORY;
		case EMFILE:
		case ENFILE:
		case EAGAIN:
			return WF_LACK_RESOURCES;
		default:
			return WF_LACK_NONE;
	}
}

/*
 * Judge errors of class 53, insufficient resources. Exceeding temp_file_limit, or the memory limit of this worker, is
 * the fault of the work.
 */
static WfLack
lack_of_resources(int sqlerrcode)
{
	switch (sqlerrcode)
	{
		case ERRCODE_CONFIGURATION_LIMIT_EXCEEDED:
			return WF_LACK_NONE;
		case ERRCODE_DISK_FULL:
			return WF_LACK_DISK;
		case ERRCODE_OUT_OF_MEMORY:
			return wf_memory_limit_was_hit() ? WF_LACK_NONE : WF_LACK_MEMORY;
		default:
			return WF_LACK_RESOURCES;
	}
}

/*
 * Judge errors of class 57, operator intervention. A cancel comes from an operator, who means this work, or from our
 * own time limit; that is the fault of the work, unless it was waiting for another transaction's lock. A shutdown of
 * this server is no error: an error that speaks of one comes from another server or a parallel worker, or from RAISE
 * in a function.
 */
static WfLack
lack_of_intervention(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_QUERY_CANCELED:
			return wf_limit_hit_in_lock() ? WF_LACK_LOCK : WF_LACK_NONE;
		case ERRCODE_ADMIN_SHUTDOWN:
		case ERRCODE_CRASH_SHUTDOWN:
		case ERRCODE_CANNOT_CONNECT_NOW:
			return error->funcname != NULL && strcmp(error->funcname, "exec_stmt_raise") == 0 ? WF_LACK_NONE
																							  : WF_LACK_SERVER;
		default:
			return WF_LACK_NONE;
	}
}

/* Has something been used up by other sessions: by listeners that do not read, or by old transactions? */
static bool
is_exhausted(const ErrorData *error)
{
	return says(error, "too many notifications in the NOTIFY queue") ||
		   says(error, "database is not accepting commands");
}

/*
 * Has another transaction taken the business key of an instance that a step calls, after that had found it free? When it
 * is tried again, it finds that instance.
 */
static bool
took_key(const ErrorData *error)
{
	return error->constraint_name != NULL && strcmp(error->constraint_name, "instance_business_key") == 0 &&
		   error->schema_name != NULL && strcmp(error->schema_name, "workflow_data") == 0;
}

WfLack
wf_failure_lack(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
		case ERRCODE_T_R_DEADLOCK_DETECTED:
			return WF_LACK_CONFLICT;
		case ERRCODE_UNIQUE_VIOLATION:
			return took_key(error) ? WF_LACK_CONFLICT : WF_LACK_NONE;
		case ERRCODE_LOCK_NOT_AVAILABLE:
			return WF_LACK_LOCK;
		case ERRCODE_IO_ERROR:
			return WF_LACK_DISK;
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			return is_exhausted(error) ? WF_LACK_RESOURCES : WF_LACK_NONE;
	}
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'): /* insufficient resources */
			return lack_of_resources(error->sqlerrcode);
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'): /* operator intervention */
			return lack_of_intervention(error);
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'): /* system error; that of a missing library has no such errno */
		case MAKE_SQLSTATE('4', '2', '0', '0', '0'): /* "insufficient privilege": a file system became read-only */
		case MAKE_SQLSTATE('X', 'X', '0', '0', '0'):
			return lack_of_errno(error);
		default:
			return WF_LACK_NONE;
	}
}

/* ---- remembering and logging ---- */

/* The number under which work is remembered in shmem/lacks.h: for work of no visit, this worker's process ID. */
static int64
key_of(int64 instance, int64 visit)
{
	return visit != 0 ? instance : MyProcPid;
}

static int
wait_for_it(WfLackRow *row, const char *message, int longest_ms)
{
	const char *code = row->sqlstate;
	bool		first;
	int			pause_ms;

	strlcpy(row->message, message, pg_mbcliplen(message, strlen(message), sizeof(row->message) - 1) + 1);
	row->instance = key_of(row->instance, row->visit);
	pause_ms = wf_lack_record(row, longest_ms, &first);
	if (first)
		ereport(
			WARNING, errcode(MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4])),
			errmsg("workflow has to wait: %s", message),
			errdetail(
				"What cannot be done now is tried again until it works. What has arrived is kept, and no attempt is spent."),
			errhint("The views workflow.visits and workflow.operations show in blocked_by what waits, and for what."));
	return pause_ms;
}

int
wf_failure_wait(int64 instance, int64 visit, WfLack lack, const ErrorData *error, int longest_ms)
{
	WfLackRow row = {.instance = instance, .visit = visit, .lack = lack, .said = true};

	strlcpy(row.sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(row.sqlstate));
	return wait_for_it(&row, error->message, longest_ms);
}

int
wf_failure_wait_sql(int64 instance, int64 visit, WfLack lack, const WfFault *fault, int longest_ms)
{
	WfLackRow row = {.instance = instance,
					 .visit = visit,
					 .lack = lack,
					 .said = lack != WF_LACK_CONFLICT && lack != WF_LACK_LOCK};
	int		  pause_ms;

	strlcpy(row.sqlstate, fault->sqlstate, sizeof(row.sqlstate));
	pause_ms = wait_for_it(&row, fault->message, longest_ms);
	/* At random, so that statements that were in each other's way are not so again. */
	return pause_ms - (int) (pause_ms / 2 * pg_prng_double(&pg_global_prng_state));
}

static void
say_that_it_is_over(void)
{
	ereport(LOG, errmsg("workflow goes on: what it had to wait for is there again"));
}

void
wf_failure_over(int64 instance, int64 visit)
{
	if (wf_lack_over(key_of(instance, visit), visit))
		say_that_it_is_over();
}

TimestampTz
wf_failures_expire(void)
{
	bool		last;
	TimestampTz next = wf_lacks_expire(GetCurrentTimestamp(), &last);

	if (last)
		say_that_it_is_over();
	return next;
}

/* ---- after a crash ---- */

void
wf_failure_died(WfFault *fault)
{
	memset(fault, 0, sizeof(*fault));
	fault->code = WF_CODE_DIED;
	fault->message = psprintf("the server died %d times in a row while nothing else was under work", WF_MOST_DEATHS);
}
