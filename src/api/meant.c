/*
 * meant.c
 *		Which event of a visit workflow.complete and workflow.fail mean.
 *
 * A serial number names a visit, and that may wait for a callback, a task and work at once. A step has at most one of each, and
 * the rights of the caller say which he means.
 */
#include "postgres.h"

#include "api/lock.h"
#include "api/meant.h"
#include "engine/engine.h"
#include "store/privilege.h"

/* The task of the visit, if it is there. */
static WfTaskRow *
task_of(const WfVisit *visit, const WfSerial *serial)
{
	int entry = wf_step_entry(visit->def, WF_EVENT_TASK);

	if (entry < 0 || !wf_subscription_may_be_there(visit, entry))
		return NULL;
	return wf_task_read(serial->instance, serial->visit);
}

/* The work of the visit, if it is there: else its number is 0. */
static WfWork
work_of(const WfVisit *visit, const WfSerial *serial)
{
	int entry = wf_step_entry(visit->def, WF_EVENT_TOPIC);

	if (entry < 0 || !wf_subscription_may_be_there(visit, entry))
		return (WfWork){0};
	return wf_work_read(serial->instance, serial->visit);
}

/* Can neither a task nor work of it be done? Of an incident nothing is left but the callback, by hand. */
static bool
offers_nothing(const WfVisit *visit)
{
	return visit->def == NULL || visit->def->noffered == 0 || wf_has_accepted(visit) ||
		   visit->state == WF_STATE_INCIDENT;
}

/* Is it an incident of a step that waits for a task, and for nothing that the privilege complete is for? */
static bool
is_incident_of_task(const WfVisit *visit)
{
	bool waits = false;

	if (visit->state != WF_STATE_INCIDENT || visit->def == NULL || visit->def->noffered == 0)
		return false;
	for (int i = 0; i < visit->def->nwaits; i++)
	{
		WfEventKind kind = visit->def->entries[i].event.kind;

		if (kind == WF_EVENT_CALLBACK || kind == WF_EVENT_TOPIC)
			return false;
		waits |= kind == WF_EVENT_TASK;
	}
	return waits;
}

/*
 * The privilege is looked for only where somebody without it may have come so far, since the task is his, or once was: that gives no
 * right on anything else of the visit, and none on what has become of it.
 */
static bool
has_right(const WfTarget *target, Oid role)
{
	return !target->by_task || wf_privilege_has_step(target->process_id, role, target->visit->step);
}

static WfMeant
meant_by_token(const WfTarget *target, const WfSerial *serial, const pg_uuid_t *token, Oid role)
{
	WfMeant meant = {WF_MEANT_LOST};

	if (offers_nothing(target->visit) || !has_right(target, role))
		return meant;
	meant.work = work_of(target->visit, serial);
	if (wf_work_has_token(&meant.work, token))
		meant.what = WF_MEANT_WORK;
	return meant;
}

WfMeant
wf_meant(const WfTarget *target, const WfSerial *serial, const WfCompletion *completion, Oid role)
{
	WfVisit *visit = target->visit;
	WfMeant	 meant = {WF_MEANT_CALLBACK};
	bool	 takes_callback;
	bool	 is_admin;

	if (completion->lock_token != NULL)
		return meant_by_token(target, serial, completion->lock_token, role);
	/* a plain step pays nothing for the others */
	if (completion->webhook)
		return meant;
	if (offers_nothing(visit))
	{
		if (!has_right(target, role))
			meant.what = WF_MEANT_LOST;
		else if (is_incident_of_task(visit) && !wf_privilege_has(target->process_id, role, WF_PRIVILEGE_ADMIN))
			meant.what = WF_MEANT_BY_HAND;
		return meant;
	}
	meant.task = task_of(visit, serial);
	meant.work = work_of(visit, serial);
	takes_callback = wf_engine_takes_callback(visit);
	is_admin = meant.task != NULL && wf_privilege_has(target->process_id, role, WF_PRIVILEGE_ADMIN);
	if (wf_task_standing(meant.task, role) == WF_TASK_HOLDER && !(is_admin && takes_callback))
		meant.what = WF_MEANT_TASK;
	else if (!is_admin && !has_right(target, role))
		meant.what = meant.task != NULL ? WF_MEANT_NOTHING : WF_MEANT_LOST;
	else if (takes_callback)
		meant.what = WF_MEANT_CALLBACK;
	else if (meant.task != NULL && (is_admin || meant.work.number == 0))
		meant.what = is_admin ? WF_MEANT_TASK : WF_MEANT_NOTHING;
	else if (meant.work.number != 0)
		meant.what = wf_work_is_taken(&meant.work, target->batch->now) ? WF_MEANT_LOCKED : WF_MEANT_WORK;
	return meant;
}

void
wf_meant_refuse(const WfMeant *meant, const WfSerial *serial)
{
	bool is_taken = meant->task != NULL && meant->task->holder != NULL;
	bool is_gone = is_taken && !OidIsValid(meant->task->assignee);

	if (meant->what == WF_MEANT_LOCKED)
		wf_lock_refuse(&meant->work, serial);
	if (meant->what == WF_MEANT_BY_HAND)
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("permission denied for the incident " INT64_FORMAT "_" INT64_FORMAT, serial->instance,
					   serial->visit),
				errdetail("It is of a task, which nobody has any more."),
				errhint(
					"Who may administer the process completes it by hand, or offers the task anew by workflow.retry."));
	ereport(
		ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		errmsg("permission denied for the task of " INT64_FORMAT "_" INT64_FORMAT, serial->instance, serial->visit),
		is_gone	   ? errdetail(WF_TASK_HOLDER_GONE, meant->task->holder)
		: is_taken ? errdetail("Role \"%s\" has it.", meant->task->holder)
				   : errdetail("It is for members of other roles."),
		is_gone ? errhint(WF_TASK_HOLDER_GONE_HINT)
		: is_taken
			? errhint(
				  "Whoever has it gives it back by workflow.unclaim, or to somebody else by workflow.reassign; so does who may administer the process.")
			: errhint(
				  "The privilege \"complete\" is for callbacks; a task is done by whoever may claim it: see the view workflow.tasks."));
}
