/*
 * operation.c
 *		Carrying out calls that were made asynchronously, in an executor.
 *
 * The SQL function is called again, in a subtransaction and as the role that called it: so rights, checks, errors and what goes on
 * record are those of the synchronous call, as of now. It runs no code of users. What it has done, its answer and the end of its
 * delivery commit together, so it is carried out once. An error of its own is its outcome.
 *
 * Those of an instance are carried out one after the other, in the order in which they were called, also before it has started.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "model/template.h"
#include "shmem/careful.h"
#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/due.h"
#include "store/operation.h"
#include "store/session_user.h"
#include "store/subtransaction.h"
#include "worker/failure.h"
#include "worker/operation.h"

/* Longest pause between two tries to lock an instance, or to find it to be the turn of the operation. */
#define LONGEST_PAUSE_MS 1000

static void
wait_for_turn(const WfDelivery *taken)
{
	int64		pause_ms = Min(2 << Min(taken->attempt, 10), LONGEST_PAUSE_MS);
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);

	wf_careful_keep();
	wf_delivery_postpone(taken->id, until);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, until);
}

/* Is it the first of its instance, and nobody else holds that? */
static bool
is_its_turn(const WfDelivery *taken)
{
	int64 living;

	if (taken->instance == 0)
		return true;
	if (wf_operation_first(taken->instance) != taken->id)
		return false;
	return wf_due_lock(taken->instance) || wf_instances_living(&taken->instance, 1, &living) == 0;
}

/* ---- as the caller ---- */

typedef struct Run
{
	const WfOperation *operation;
	MemoryContext	   context;
	char			  *answer;
} Run;

/* Who had logged in, for the record. */
static Oid
session_role(const WfOperation *operation)
{
	Oid role = get_role_oid(operation->session_role, true);

	return OidIsValid(role) ? role : operation->role;
}

static void
set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* What the call's own session said, as it says it now. */
static void
set_settings(const WfOperation *operation)
{
	if (operation->traceparent != NULL)
		set_locally("workflow.traceparent", operation->traceparent);
	if (operation->headers != NULL)
		set_locally("workflow.on_behalf", JsonbToCString(NULL, &operation->headers->root, VARSIZE(operation->headers)));
}

/* An error needs no clean-up: the end of the subtransaction restores user and settings. */
static bool
run_as_caller(void *arg)
{
	Run		*run = arg;
	WfAccess access;
	int		 guc_level;
	Oid		 user;
	int		 sec_context;
	char	*answer;

	wf_store_enter(&access);
	GetUserIdAndSecContext(&user, &sec_context);
	guc_level = NewGUCNestLevel();
	SetUserIdAndSecContext(user, 0); /* else session_user may not be set */
	wf_session_user_set(session_role(run->operation));
	set_settings(run->operation);
	SetUserIdAndSecContext(run->operation->role, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	answer = wf_operation_run(run->operation);
	run->answer = answer != NULL ? MemoryContextStrdup(run->context, answer) : NULL;
	SetUserIdAndSecContext(user, 0);
	AtEOXact_GUC(false, guc_level);
	SetUserIdAndSecContext(user, sec_context);
	wf_store_leave(&access);
	return true;
}

static Jsonb *
error_jsonb(const char *sqlstate, const char *message, const char *detail, const char *hint)
{
	WfField fields[] = {{.key = "sqlstate", .kind = WF_FIELD_TEXT, .text = sqlstate},
						{.key = "message", .kind = WF_FIELD_TEXT, .text = message},
						{.key = "detail", .kind = WF_FIELD_TEXT, .text = detail, .omit = detail == NULL},
						{.key = "hint", .kind = WF_FIELD_TEXT, .text = hint, .omit = hint == NULL}};

	return wf_jsonb_object(fields, lengthof(fields));
}

static void
run(const WfOperation *operation)
{
	Run		   run = {.operation = operation, .context = CurrentMemoryContext};
	ErrorData *error = wf_subtransaction_run(run_as_caller, &run);

	wf_operation_forget_reserved();
	if (error == NULL)
		wf_operation_done(operation, run.answer, NULL);
	else if (wf_error_is_of_server(error->sqlerrcode) || wf_failure_lack(error) != WF_LACK_NONE)
		ReThrowError(error);
	else
		wf_operation_done(operation, NULL,
						  error_jsonb(unpack_sql_state(error->sqlerrcode), error->message, error->detail, error->hint));
}

static void
fail(const WfOperation *operation, const char *sqlstate, const char *message)
{
	wf_operation_done(operation, NULL, error_jsonb(sqlstate, message, NULL, NULL));
}

static void
carry_out(const WfOperation *operation, int deaths)
{
	WfFault fault = {0};

	if (deaths >= WF_MOST_DEATHS)
	{
		wf_failure_died(&fault);
		fail(operation, "58000", fault.message);
	}
	else if (!OidIsValid(operation->role))
		fail(operation, "42704",
			 psprintf("role \"%s\", which called it, does not exist any more", operation->role_name));
	else
		run(operation);
}

void
wf_operation_carry_out(const WfDelivery *taken, int deaths)
{
	WfOperation operation;

	if (!is_its_turn(taken))
	{
		wait_for_turn(taken);
		return;
	}
	if (wf_operation_read(taken, &operation))
		carry_out(&operation, deaths);
	wf_delivery_delete(taken->id);
}
