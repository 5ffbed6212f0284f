/*
 * operation.c
 *		Carrying out calls that were made asynchronously, in an executor.
 *
 * The SQL function is called again, in a subtransaction and as the role that called it: so rights, checks, errors and what goes on
 * record are those of the synchronous call, as of now. It runs no code of users. What it has done, its answer and the end of its
 * delivery commit together, so it is carried out once. An error of its own is its outcome.
 *
 * Those of an instance are carried out one after the other, in the order in which they were called, also before it has started. Whoever
 * has the first one goes on with those behind it, so that none of these has to look whether it is its turn; one that is taken before its
 * turn is put off, for longer each time, and so are all of its instance that are due.
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
#include "worker/limit.h"
#include "worker/operation.h"
#include "worker/rest.h"

/* Longest pause between two tries to lock an instance. */
#define LONGEST_PAUSE_MS 1000
/* Longest wait for a lock that the call needs besides, such as that of a business key, and longest pause until it is tried again. */
#define LONGEST_LOCK_WAIT		  "100ms"
#define LONGEST_PAUSE_FOR_LOCK_MS 10000

/* So many are carried out in a transaction, unless they take longer. */
#define MOST			64
#define LONGEST_TURN_MS 50

static int64 numbers[MOST]; /* of those begun in this transaction; 0: not known */
static int	 begun = 0;
static int	 alone = 0; /* so many get a transaction each, since some have failed together */

static bool		   played = false; /* this transaction carries out by itself what it has called */
static const char *played_error;   /* SQLSTATE with which that has failed, NULL: it has not */

void
wf_operations_none(void)
{
	begun = 0;
	numbers[0] = 0;
}

int64
wf_operation_under_work(void)
{
	return numbers[Max(begun, 1) - 1];
}

void
wf_operations_over(void)
{
	for (int i = 0; i < begun; i++)
		wf_failure_over(numbers[i], WF_LACK_OF_OPERATION);
}

bool
wf_operations_failed(void)
{
	bool together = begun > 1;

	if (together)
		alone = MOST;
	return together;
}

/* ---- whose turn it is ---- */

static void
postpone(const WfDelivery *taken, int64 pause_ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);

	wf_careful_keep();
	wf_delivery_postpone(taken->id, until);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, until);
}

/* Is it the first of its instance, and nobody else holds that? If not, it is put off. */
static bool
has_turn(const WfDelivery *taken)
{
	int64 first;
	int64 living;

	if (taken->instance == 0)
		return true;
	first = wf_operation_next(taken->instance, 0);
	if (first != taken->id)
	{
		wf_careful_keep();
		wf_operations_put_off(taken->instance, first);
		return false;
	}
	if (wf_due_lock(taken->instance) || wf_instances_living(&taken->instance, 1, &living) == 0)
		return true;
	postpone(taken, Min(2 << Min(taken->attempt, 10), LONGEST_PAUSE_MS));
	return false;
}

/* ---- as the caller ---- */

typedef struct Run
{
	const WfOperation *operation;
	MemoryContext	   context;
	char			  *answer;
} Run;

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
	if (!played)
		wf_session_user_set(OidIsValid(run->operation->session_role) ? run->operation->session_role
																	 : run->operation->role);
	set_settings(run->operation);
	set_locally("lock_timeout", LONGEST_LOCK_WAIT);
	SetUserIdAndSecContext(run->operation->role, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	answer = wf_operation_run(run->operation);
	run->answer = answer != NULL ? MemoryContextStrdup(run->context, answer) : NULL;
	SetUserIdAndSecContext(user, 0);
	AtEOXact_GUC(false, guc_level);
	SetUserIdAndSecContext(user, sec_context);
	wf_store_leave(&access);
	return true;
}

/* In a subtransaction, which begins and ends without restrictions: restoring session_user must be allowed, and changes the current user. */
static ErrorData *
try_to_run(Run *run)
{
	ErrorData *error;
	Oid		   user;
	int		   sec_context;

	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(user, 0);
	error = wf_subtransaction_run(run_as_caller, run);
	SetUserIdAndSecContext(user, sec_context);
	wf_operation_forget_reserved();
	return error;
}

static void
fail(const WfOperation *operation, const char *sqlstate, const char *message)
{
	played_error = pstrdup(sqlstate);
	wf_operation_done(operation, NULL, wf_operation_error(sqlstate, message, NULL, NULL));
}

static void
record_error(const WfOperation *operation, const ErrorData *error)
{
	played_error = pstrdup(unpack_sql_state(error->sqlerrcode));
	if (!played && wf_limit_was_hit())
		fail(operation, "57014", "the call took longer than workflow.sql_timeout allows");
	else
		wf_operation_done(operation, NULL,
						  wf_operation_error(played_error, error->message, error->detail, error->hint));
}

/* Returns false if it has to wait for a lock that somebody else holds: then nothing has happened. */
static bool
run(const WfOperation *operation)
{
	Run		   run = {.operation = operation, .context = CurrentMemoryContext};
	ErrorData *error = try_to_run(&run);
	WfLack	   lack = error != NULL ? wf_failure_lack(error) : WF_LACK_NONE;

	if (played && error != NULL && (lack != WF_LACK_NONE || error->sqlerrcode == ERRCODE_QUERY_CANCELED))
		ReThrowError(error);
	if (lack == WF_LACK_LOCK || lack == WF_LACK_CONFLICT)
		return false;
	if (lack != WF_LACK_NONE)
		ReThrowError(error);
	if (error != NULL)
		record_error(operation, error);
	else
	{
		wf_operation_done(operation, run.answer, NULL);
		if (operation->callback_url != NULL)
			wf_rest_after_operation(operation->instance, operation->process_id);
	}
	return true;
}

static bool
carry_out(const WfOperation *operation, int deaths)
{
	WfFault fault = {0};

	if (deaths >= WF_MOST_DEATHS)
	{
		wf_failure_died(&fault);
		fail(operation, "58000", fault.message);
		return true;
	}
	if (!OidIsValid(operation->role))
	{
		fail(operation, "42704",
			 psprintf("role \"%s\", which called it, does not exist any more", operation->role_name));
		return true;
	}
	return run(operation);
}

/* ---- one after the other ---- */

/* It is its turn. Returns false if it waits for something else. */
static bool
work_on(const WfDelivery *taken, int deaths)
{
	WfOperation operation = {0};
	bool		pending;

	numbers[begun++] = 0;
	pending = wf_operation_read(taken, &operation);
	numbers[begun - 1] = operation.id;
	if (pending && !carry_out(&operation, deaths))
	{
		postpone(taken, Min(INT64CONST(50) << Min(taken->attempt, 10), LONGEST_PAUSE_FOR_LOCK_MS));
		return false;
	}
	wf_delivery_delete(taken->id);
	return true;
}

/* May another one be carried out in this transaction? */
static bool
may_go_on(TimestampTz since)
{
	return alone == 0 && begun < MOST && !wf_careful() &&
		   !TimestampDifferenceExceeds(since, GetCurrentTimestamp(), LONGEST_TURN_MS);
}

/* Carry it out, and those behind it; the first of those that are left is due at once. Returns false if one waits. */
static bool
work_on_line(const WfDelivery *taken, int deaths, TimestampTz since)
{
	WfDelivery next = *taken;
	int64	   id;

	if (!has_turn(taken))
		return false;
	for (;;)
	{
		if (!work_on(&next, deaths))
			return false;
		id = next.instance != 0 ? wf_operation_next(next.instance, next.id) : 0;
		if (id == 0)
			return true;
		if (!may_go_on(since))
		{
			wf_operation_hasten(id);
			return true;
		}
		deaths = 0;
		if (!wf_operation_take(id, &next))
			return true;
	}
}

/* Whoever waits is left at once: rows that are put off are waited for by those who have the turn. */
void
wf_operation_carry_out(const WfDelivery *taken, int deaths)
{
	TimestampTz		  since = GetCurrentTimestamp();
	const WfDelivery *next = taken;

	if (alone > 0)
		alone--;
	while (next != NULL && strcmp(next->kind, WF_DELIVERY_OPERATION) == 0 && work_on_line(next, deaths, since))
	{
		deaths = 0;
		next = may_go_on(since) ? wf_delivery_take(taken->queue, since, next) : NULL;
	}
}

char *
wf_operation_play(const WfDelivery *taken)
{
	WfOperation operation = {0};
	char	   *told = NULL;

	played = true;
	played_error = NULL;
	PG_TRY();
	{
		if (wf_operation_read(taken, &operation))
		{
			(void) carry_out(&operation, 0);
			told = psprintf("call: %s%s%s", wf_operation_call_name(&operation), played_error != NULL ? ": " : "",
							played_error != NULL ? played_error : "");
		}
		wf_delivery_delete(taken->id);
	}
	PG_FINALLY();
	{
		played = false;
	}
	PG_END_TRY();
	return told;
}
