/*
 * lock.c
 *		What a worker does with the lock of work that he has fetched; workflow.release.
 *
 * The instance is locked, so nobody but another fetcher can be about to change the work: then the lock has run out, and it is lost.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "api/arguments.h"
#include "api/lock.h"
#include "engine/engine.h"
#include "store/access.h"
#include "store/audit.h"
#include "store/durable.h"
#include "store/played.h"
#include "store/privilege.h"
#include "store/version.h"

WF_FUNCTION(workflow_release);

TimestampTz
wf_lock_until(Interval *lock, TimestampTz now, const char *argument)
{
	TimestampTz until = DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), IntervalPGetDatum(lock)));

	if (until <= now || until - now > WF_LONGEST_LOCK)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"%s\" must be positive, and at most a year", argument),
				errhint("It says for how long nobody else fetches the same work."));
	return until;
}

bool
wf_lock_find(const WfTarget *target, const WfSerial *serial, const pg_uuid_t *token, WfWork *work)
{
	if (target->visit == NULL || target->visit->def == NULL || wf_step_entry(target->visit->def, WF_EVENT_TOPIC) < 0 ||
		!wf_engine_wanted(target->visit))
		return false;
	*work = wf_work_read(serial->instance, serial->visit);
	return token != NULL ? wf_work_has_token(work, token) : work->is_locked;
}

void
wf_lock_require_free(const WfTarget *target, const WfSerial *serial)
{
	WfWork work;

	if ((target->visit->waits_for & WF_WAITS_FOR_TOPIC) == 0 || (target->visit->waits_for & WF_WAITS_FOR_CALLBACK) != 0)
		return;
	work = wf_work_read(serial->instance, serial->visit);
	if (wf_work_is_taken(&work, target->batch->now))
		wf_lock_refuse(&work, serial);
}

void
wf_lock_refuse(const WfWork *work, const WfSerial *serial)
{
	ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("the work of " INT64_FORMAT "_" INT64_FORMAT " is locked", serial->instance, serial->visit),
			errdetail("Worker \"%s\" has it until %s.", work->worker, timestamptz_to_str(work->free_at)),
			errhint("Give the lock_token that workflow.fetch has returned."));
}

TimestampTz
wf_lock_extend(const WfTarget *target, const WfSerial *serial, const pg_uuid_t *token, Interval *by)
{
	TimestampTz until = wf_lock_until(by, wf_now(), "by");
	WfWork		work;

	if (!wf_lock_find(target, serial, token, &work))
		return 0;
	until = Max(until, work.free_at);
	return wf_work_extend(&work, until) ? until : 0;
}

static void
audit_release(const WfTarget *target, const WfSerial *serial, Oid caller, const char *from)
{
	wf_audit(&(WfAudit){.call = "release",
						.caller = caller,
						.process_id = target->process_id,
						.at = target->batch->now,
						.instance = serial->instance,
						.visit = serial->visit,
						.arguments = {WF_AUDIT_TEXT("from", from)}});
}

/*
 * workflow.release(serial_number text, lock_token uuid) → boolean
 *
 * Without a token it is an administrator who frees what a worker will never end. False: the visit has ended, somebody else
 * has the work, or nobody has. Errors: 22P02 malformed, 42704 unknown, 42501 without the privilege complete, or admin.
 */
Datum
workflow_release(PG_FUNCTION_ARGS)
{
	WfSerial	serial = wf_argument_serial(fcinfo, 0);
	pg_uuid_t  *token = wf_argument_uuid(fcinfo, 1);
	WfPrivilege privilege = token != NULL ? WF_PRIVILEGE_COMPLETE : WF_PRIVILEGE_ADMIN;
	WfAccess	access;
	WfTarget	target;
	WfWork		work;
	bool		released;

	PreventCommandIfReadOnly("workflow.release()");
	wf_store_enter(&access);
	wf_target_visit(&target, &serial, access.caller, privilege, privilege);
	released = wf_lock_find(&target, &serial, token, &work) && wf_engine_released(target.batch, target.visit, &work);
	if (released)
		wf_batch_flush(target.batch);
	if (released && token == NULL)
		audit_release(&target, &serial, access.caller, work.worker);
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (!released)
		wf_durable_require();
	PG_RETURN_BOOL(released);
}
