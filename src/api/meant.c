/*
 * meant.c
 *		Which event of a visit workflow.complete and workflow.fail mean.
 *
 * A serial number names a visit, and that may wait for a callback, a task and work at once. A step has at most one of each, and
 * the rights of the caller say which he means.
 */
#include "postgres.h"

#include "api/meant.h"
#include "engine/engine.h"

/* The task of the visit, if it is there. */
static WfTaskRow *
task_of(const WfVisit *visit, const WfSerial *serial)
{
	int entry = wf_step_entry(visit->def, WF_EVENT_TASK);

	if (entry < 0 || !wf_subscription_may_be_there(visit, entry))
		return NULL;
	return wf_task_read(serial->instance, serial->visit);
}

WfMeant
wf_meant(const WfTarget *target, const WfSerial *serial, const WfCompletion *completion, Oid role)
{
	WfVisit *visit = target->visit;
	WfMeant	 meant = {WF_MEANT_CALLBACK};
	bool	 is_admin;
	bool	 has_right;

	/* a plain step pays nothing for the others; of an incident nothing is left but the callback, by hand */
	if (completion->webhook || visit->def == NULL || visit->def->noffered == 0 || wf_has_accepted(visit) ||
		visit->state == WF_STATE_INCIDENT)
		return meant;
	meant.task = task_of(visit, serial);
	is_admin = wf_privilege_has(target->process_id, role, WF_PRIVILEGE_ADMIN);
	if (wf_task_standing(meant.task, role) == WF_TASK_HOLDER && !(is_admin && wf_engine_takes_callback(visit)))
		meant.what = WF_MEANT_TASK;
	if (meant.what == WF_MEANT_TASK || meant.task == NULL)
		return meant;
	has_right = is_admin || wf_privilege_has_step(target->process_id, role, visit->step);
	if (has_right && wf_engine_takes_callback(visit))
		return meant;
	meant.what = is_admin ? WF_MEANT_TASK : WF_MEANT_NOTHING;
	return meant;
}

void
wf_meant_refuse(const WfMeant *meant, const WfSerial *serial)
{
	bool is_taken = meant->task->holder != NULL;

	ereport(
		ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		errmsg("permission denied for the task of " INT64_FORMAT "_" INT64_FORMAT, serial->instance, serial->visit),
		is_taken ? errdetail("Role \"%s\" has it.", meant->task->holder)
				 : errdetail("It is for members of other roles."),
		is_taken
			? errhint(
				  "Whoever has it gives it back by workflow.unclaim, or to somebody else by workflow.reassign; so does who may administer the process.")
			: errhint(
				  "The privilege \"complete\" is for callbacks; a task is done by whoever may claim it: see the view workflow.tasks."));
}
