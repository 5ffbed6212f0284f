/*
 * blocked.c
 *		What the view visits shows of visits that workers do not move on: why, since when, and until
 *		when; why executors do not carry out what the view operations shows.
 *
 * What workers lacked, and what they are working on, is in shared memory; the rest follows from the
 * rows. Anybody could ask for any number, so each function checks that the caller may see the
 * process before it returns anything.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "engine/engine.h"
#include "http/server.h"
#include "shmem/counters.h"
#include "shmem/database.h"
#include "shmem/lacks.h"
#include "shmem/wakeups.h"
#include "shmem/settings.h"
#include "shmem/shown.h"
#include "store/access.h"
#include "store/executor_work.h"
#include "store/locked.h"
#include "store/privilege.h"
#include "store/query.h"
#include "store/version.h"

/*
 * A visit that no worker takes up for so long is held up by something; before that, its turn may
 * just be coming.
 */
#define LATE_MS 1000

WF_FUNCTION(workflow_blocked_by);
WF_FUNCTION(workflow_blocked_error);
WF_FUNCTION(workflow_blocked_until);
WF_FUNCTION(workflow_operation_blocked_by);

static WfQuery q_process = {
	.sql = "SELECT process_id FROM workflow_data.instance WHERE instance = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_reply = {
	.sql = "SELECT queue FROM workflow_data.delivery WHERE kind = 'reply' AND instance = $1 AND visit = $2 LIMIT 1",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

static WfQuery q_operation = {
	.sql =
		"SELECT role, role_name, process_id, instance FROM workflow_data.operation WHERE operation = $1 AND done_at IS NULL",
	.nargs = 1,
	.argtypes = {INT8OID},
};

typedef struct Asked
{
	int64	  instance;
	int64	  visit;
	int		  process_id;
	char	 *queue; /* NULL: in no queue */
	bool	  due;	 /* due: a worker of the queue should be working on it */
	bool	  late;	 /* due for longer than LATE_MS */
	WfServing serving;
} Asked;

/* May the caller see the instance? Finds its process. To be called inside wf_store_enter. */
static bool
may_be_seen(int64 instance, Oid caller, int *process_id)
{
	Datum values[1] = {Int64GetDatum(instance)};
	bool  isnull;

	if (wf_query_run(&q_process, values, NULL) == 0)
		return false;
	*process_id = DatumGetInt32(wf_result(0, 1, &isnull));
	return wf_privilege_has(*process_id, caller, WF_PRIVILEGE_VIEW);
}

/* ---- why a visit is not moved on, as far as nothing is lacking ---- */

/* Why no executor works on the visit; NULL if nothing that is known stands in the way. */
static const char *
why_unexecuted(const Asked *asked)
{
	if (wf_visit_waits_for_lock(asked->visit))
		return "lock";
	if (!asked->late || wf_visit_is_shown(asked->visit))
		return NULL;
	if (wf_instance_is_locked(asked->instance))
		return "lock";
	if (asked->serving.executors_refused)
		return "worker slot";
	return asked->serving.executors_busy ? "executors" : NULL;
}

/*
 * The queue in which the reply to the visit's request waits to be handled; NULL if there is no such
 * reply.
 */
static char *
answered_in(const Asked *asked)
{
	Datum values[2] = {Int64GetDatum(asked->instance), Int64GetDatum(asked->visit)};

	return wf_query_run(&q_reply, values, NULL) > 0 ? wf_result_text(0, 1) : NULL;
}

static const char *
why_unsent(const Asked *asked, const char *name, bool perhaps_under_way)
{
	const WfServer *server = wf_server_by_name(name);

	if (server == NULL)
		return "server dropped";
	if (server->max_in_flight == 0)
		return "server paused";
	if (perhaps_under_way)
		return NULL;
	if (wf_server_state(name) != WF_SERVER_OK)
		return "server tripped";
	if (asked->late && wf_token_is_awaited(name, wf_process_owner(asked->process_id)))
		return "token";
	if (wf_server_in_flight(name) >= server->max_in_flight)
		return "server full";
	if (!asked->late)
		return NULL;
	if (wf_lack_said() != WF_LACK_NONE)
		return wf_lack_name(wf_lack_said());
	if (server->rate > 0)
		return "server rate";
	return asked->serving.in_flight >= wf_setting_max_connections_http / 2 ? "connections" : NULL;
}

static const char *
why_late(const Asked *asked)
{
	return asked->late && wf_instance_is_locked(asked->instance) ? "lock" : NULL;
}

/*
 * Why a visit in the queue of a server does not move on: its request waits to be sent, or is in
 * flight, or has been answered.
 */
static const char *
why_calling(const Asked *asked, const char *server)
{
	bool  unknown;
	char *answered;

	if (wf_request_is_shown(asked->visit, &unknown))
		return NULL;
	answered = answered_in(asked);
	if (answered != NULL)
		return wf_is_executor_queue(answered) ? why_unexecuted(asked) : why_late(asked);
	return why_unsent(asked, server, unknown);
}

static const char *
why_nobody_works(const WfServing *serving)
{
	if (serving->pause == WF_PAUSED_COPY || serving->pause == WF_PAUSED_SETTING)
		return "paused";
	if (serving->dispatcher)
		return NULL;
	return serving->dispatcher_refused ? "worker slot" : "dispatcher";
}

/* Why the visit does not move on, or NULL. To be called inside wf_store_enter. */
static const char *
why(Asked *asked)
{
	const char *word = NULL;

	wf_serving(&asked->serving);
	if (asked->late)
		word = why_nobody_works(&asked->serving);
	if (word != NULL || !asked->serving.dispatcher)
		return word;
	if (asked->due && strncmp(asked->queue, WF_QUEUE_HTTP, strlen(WF_QUEUE_HTTP)) == 0)
		return why_calling(asked, asked->queue + strlen(WF_QUEUE_HTTP));
	if (asked->due && wf_is_executor_queue(asked->queue))
		return why_unexecuted(asked);
	return why_late(asked);
}

static bool
is_over(TimestampTz at, int ms)
{
	return at != 0 && TimestampTzPlusMilliseconds(at, ms) <= GetCurrentTimestamp();
}

/*
 * workflow_data.blocked_by(instance bigint, visit bigint, queue text, due_at timestamptz, next_timer
 * timestamptz) → text
 *
 * The last three arguments are those of the visit's row. The result says what was lacking when the
 * visit was tried (disk, memory, resources, lock, conflict, server), or what it waits for (lock,
 * paused, dispatcher, worker slot, executors, connections, server dropped, server paused, server
 * tripped, server full, server rate, token); NULL: nothing.
 */
Datum
workflow_blocked_by(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	Asked		  asked = {0};
	TimestampTz	  due_at = PG_ARGISNULL(3) || PG_ARGISNULL(2) ? 0 : PG_GETARG_TIMESTAMPTZ(3);
	TimestampTz	  next_timer = PG_ARGISNULL(4) ? 0 : PG_GETARG_TIMESTAMPTZ(4);
	WfLackRow	  lack;
	WfAccess	  access;
	const char	 *word = NULL;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	asked.instance = PG_GETARG_INT64(0);
	asked.visit = PG_GETARG_INT64(1);
	asked.due = is_over(due_at, 0);
	asked.late = is_over(due_at, LATE_MS) || is_over(next_timer, LATE_MS);
	if (wf_lack_find(asked.instance, asked.visit, &lack))
		word = wf_lack_name(lack.lack);
	else if ((!asked.due && !asked.late) || RecoveryInProgress())
		/* A standby does not know what workers do. */
		PG_RETURN_NULL();
	asked.queue = asked.due ? text_to_cstring(PG_GETARG_TEXT_PP(2)) : NULL;
	wf_store_enter(&access);
	if (!may_be_seen(asked.instance, access.caller, &asked.process_id))
		word = NULL;
	else if (word == NULL)
		word = why(&asked);
	wf_store_leave(&access);
	MemoryContextSwitchTo(context);
	if (word == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(word));
}

/* ---- what workers were short of ---- */

/* Find what the visit lacked. Returns false if it lacked nothing, or the caller may not know. */
static bool
find_lack_of_visit(FunctionCallInfo fcinfo, WfLackRow *row)
{
	MemoryContext context = CurrentMemoryContext;
	WfAccess	  access;
	bool		  found;
	int			  process_id;

	if (!wf_lack_find(PG_GETARG_INT64(0), PG_GETARG_INT64(1), row))
		return false;
	wf_store_enter(&access);
	found = may_be_seen(row->instance, access.caller, &process_id);
	wf_store_leave(&access);
	MemoryContextSwitchTo(context);
	return found;
}

/*
 * workflow_data.blocked_error(instance bigint, visit bigint, attempt integer) → jsonb: the error of
 * the last try, as in workflow.incidents, or NULL
 */
Datum
workflow_blocked_error(PG_FUNCTION_ARGS)
{
	WfLackRow row;
	WfFault	  fault = {0};

	if (!find_lack_of_visit(fcinfo, &row))
		PG_RETURN_NULL();
	fault.code = row.sqlstate;
	fault.message = row.message;
	strlcpy(fault.sqlstate, row.sqlstate, sizeof(fault.sqlstate));
	PG_RETURN_JSONB_P(wf_engine_error(&fault, PG_GETARG_INT32(2)));
}

/*
 * workflow_data.blocked_until(instance bigint, visit bigint) → timestamptz: when the visit is tried
 * again, or NULL
 */
Datum
workflow_blocked_until(PG_FUNCTION_ARGS)
{
	WfLackRow row;

	if (!find_lack_of_visit(fcinfo, &row))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(row.again_at);
}

/* ---- operations ---- */

/* Find the instance of a pending operation, 0 if it has none. Returns false if there is none that the caller may see. */
static bool
find_operation(int64 operation, Oid caller, Asked *asked)
{
	Datum values[1] = {Int64GetDatum(operation)};
	Oid	  role;
	char *role_name;
	bool  isnull;

	if (wf_query_run(&q_operation, values, NULL) == 0)
		return false;
	role = DatumGetObjectId(wf_result(0, 1, &isnull));
	role_name = pstrdup(NameStr(*DatumGetName(wf_result(0, 2, &isnull))));
	asked->process_id = DatumGetInt32(wf_result(0, 3, &isnull));
	asked->instance = wf_result_int64(0, 4);
	role = wf_role_resolve(role, role_name);
	return (OidIsValid(role) && has_privs_of_role(caller, role)) ||
		   wf_privilege_has(asked->process_id, caller, WF_PRIVILEGE_VIEW);
}

/*
 * workflow_data.operation_blocked_by(operation bigint, requested_at timestamptz) → text: as blocked_by of a visit that an
 * executor should be working on
 */
Datum
workflow_operation_blocked_by(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	Asked		  asked = {.visit = WF_LACK_OF_OPERATION, .queue = WF_QUEUE_EXECUTOR, .due = true};
	WfLackRow	  lack = {0};
	WfAccess	  access;
	const char	 *word = NULL;
	bool		  lacks = wf_lack_find(PG_GETARG_INT64(0), WF_LACK_OF_OPERATION, &lack);

	asked.late = is_over(PG_GETARG_TIMESTAMPTZ(1), LATE_MS);
	if (!lacks && (!asked.late || RecoveryInProgress()))
		PG_RETURN_NULL();
	wf_store_enter(&access);
	if (find_operation(PG_GETARG_INT64(0), access.caller, &asked))
		word = lacks ? wf_lack_name(lack.lack) : why(&asked);
	wf_store_leave(&access);
	MemoryContextSwitchTo(context);
	if (word == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(word));
}
