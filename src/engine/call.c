/*
 * call.c
 *		The action `call`: an instance of another process begins, and the visit waits for its end.
 *
 * Caller and child are never locked one for the other. What the child begins with is made in the caller's transaction;
 * from then on they tell each other by notices (store/notice.h), which wait for whoever has the other one locked. Only a
 * child that begins and ends in the transaction that has called it answers in memory: nobody else knows of it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "engine/answer.h"
#include "engine/call.h"
#include "engine/send.h"
#include "engine/token.h"
#include "shmem/settings.h"
#include "store/called.h"
#include "store/privilege.h"
#include "store/query.h"
#include "store/trace.h"

/* What an index entry can hold, whether the key compresses or not. */
#define MAX_KEY_BYTES 2000
/* So many calls at most lead to an instance. */
#define MOST_DEEP 100
/* So many instances begin in the transaction that has called them, and no more once they have made so many steps, */
#define MOST_BEGUN		 256
#define MOST_BEGUN_STEPS 1000
/* or were given so many bytes of data: the others begin in transactions of their own. */
#define MOST_BEGUN_BYTES (32 * 1024 * 1024)

static WfQuery q_living_key = {
	.sql = "SELECT instance FROM workflow_data.instance "
		   "WHERE process_id = $1 AND attachment = 0 AND business_key = $2",
	.nargs = 2,
	.argtypes = {INT4OID, TEXTOID},
};

/* ---- the begin ---- */

static bool
report_missing(const WfCall *call, WfProcessMissing missing, WfFault *fault)
{
	if (missing == WF_PROCESS_UNDEFINED)
		return wf_fault(fault, WF_CODE_CALL, "process \"%s\" was undefined: it takes no new instances", call->process);
	if (missing == WF_PROCESS_VERSION)
		return wf_fault(fault, WF_CODE_CALL, "process \"%s\" has no version %d", call->process, call->version);
	return wf_fault(fault, WF_CODE_CALL, "process \"%s\" does not exist", call->process);
}

/* Find what is called; NULL with *fault if the owner of the caller's process may not start it. */
static WfProcess *
find_process(const WfVisit *visit, bool *suspended, WfFault *fault)
{
	const WfCall	*call = visit->def->call;
	Oid				 owner = wf_process_owner(visit->instance->process->process_id);
	WfProcessMissing missing;
	WfProcess		*process = wf_process_look_up(call->process, call->version, suspended, &missing);

	if (process == NULL)
		(void) report_missing(call, missing, fault);
	else if (!OidIsValid(owner))
		(void) wf_fault(fault, WF_CODE_CALL, "the owner of the process does not exist any more");
	else if (!wf_privilege_has(process->process_id, owner, WF_PRIVILEGE_START))
		(void) wf_fault(fault, WF_CODE_CALL, "the owner of the process may not start process \"%s\"", call->process);
	else
		return process;
	return NULL;
}

/* Work out the key, a copy of which is *key; NULL: the child gets none. */
static bool
render_key(const WfCall *call, const WfVariables *variables, char **key, WfFault *fault)
{
	JsonbValue value;
	Jsonb	  *rendered;

	*key = NULL;
	if (call->business_key == NULL)
		return true;
	rendered = wf_template_jsonb(call->business_key, variables, fault);
	if (rendered == NULL)
		return false;
	if (JsonbExtractScalar(&rendered->root, &value))
		*key = wf_jsonb_scalar_text(&value);
	if (*key == NULL)
		return wf_fault(fault, WF_CODE_TEMPLATE, "a business key has to be a string, a number or a boolean");
	return strlen(*key) <= MAX_KEY_BYTES ||
		   wf_fault(fault, WF_CODE_TEMPLATE, "a business key has at most %d bytes", MAX_KEY_BYTES);
}

/* The key must be free. Another transaction may take it meanwhile; then this one fails, and is tried again. */
static bool
work_out_key(const WfCall *call, const WfVariables *variables, WfProcess *process, char **key, WfFault *fault)
{
	Datum values[2] = {Int32GetDatum(process->process_id)};

	if (!render_key(call, variables, key, fault))
		return false;
	if (*key == NULL)
		return true;
	values[1] = CStringGetTextDatum(*key);
	if (wf_query_run(&q_living_key, values, NULL) == 0)
		return true;
	return wf_fault(fault, WF_CODE_CALL,
					"process \"%s\" has a living instance with business key \"%s\" already: instance " INT64_FORMAT,
					process->name, *key, wf_result_int64(0, 1));
}

/* The data of the child: what it is given, over the defaults of its process. */
static bool
work_out_data(const WfCall *call, const WfVariables *variables, WfProcess *process, Jsonb **data, WfFault *fault)
{
	Jsonb *given;

	*data = process->def->data;
	if (call->data == NULL)
		return true;
	given = wf_template_jsonb(call->data, variables, fault);
	if (given == NULL)
		return false;
	*data = JB_ROOT_COUNT(*data) == 0 ? given : wf_jsonb_merge(*data, given);
	return wf_data_fits(*data, fault);
}

/*
 * Each call may make several more, so their depth alone bounds nothing. What was not called itself may call as many as
 * its tokens allow.
 */
static bool
has_room(WfBatch *batch, const WfInstance *caller, WfFault *fault)
{
	if (caller->depth >= MOST_DEEP)
		return wf_fault(fault, WF_CODE_CALL, "%d calls have led to this instance, and no more may", MOST_DEEP);
	if (caller->depth == 0 || wf_called_has_room(batch, caller->root))
		return true;
	return wf_fault(fault, WF_CODE_CALL,
					"below instance " INT64_FORMAT " live as many instances as workflow.max_called allows: %d",
					caller->root, wf_setting_max_called);
}

/* Work out everything that can fail, then make the instance. */
static bool
make_child(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	const WfCall *call = visit->def->call;
	WfInstance	 *child;
	WfProcess	 *process;
	WfVariables	  variables;
	char		 *key;
	Jsonb		 *data;
	bool		  suspended;

	if (!has_room(batch, visit->instance, fault))
		return false;
	process = find_process(visit, &suspended, fault);
	wf_engine_variables(visit, &variables);
	if (process == NULL || !work_out_key(call, &variables, process, &key, fault) ||
		!work_out_data(call, &variables, process, &data, fault))
		return false;
	child = wf_batch_new_instance(batch, process, 0);
	child->business_key = key;
	child->data = data;
	child->parent = visit->instance->id;
	child->parent_visit = visit->id;
	child->root = visit->instance->depth > 0 ? visit->instance->root : visit->instance->id;
	child->depth = visit->instance->depth + 1;
	child->traceparent = wf_trace_parent(visit, visit->attempt + 1);
	if (suspended)
		child->status = WF_STATUS_SUSPENDED;
	visit->child = child->id;
	batch->called = lappend(batch->called, child);
	return true;
}

bool
wf_call_begin(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	bool		  made = make_child(batch, visit, fault);

	if (made)
		wf_state_stand(batch, visit, WF_WAITS_FOR_CALL);
	MemoryContextSwitchTo(old);
	return made;
}

/* Has enough begun in this transaction? Calls may branch, so that each level has more of them. */
static bool
is_cut(const WfBatch *batch)
{
	return batch->ncalled > MOST_BEGUN || batch->called_steps > MOST_BEGUN_STEPS ||
		   batch->called_bytes > MOST_BEGUN_BYTES;
}

WfInstance *
wf_call_next(WfBatch *batch)
{
	WfInstance *child;
	WfVisit	   *caller;
	WfVisit	   *first;

	if (batch->called == NIL)
		return NULL;
	child = linitial(batch->called);
	batch->called = list_delete_first(batch->called);
	batch->ncalled++;
	batch->called_bytes += VARSIZE(child->data);
	caller = wf_batch_visit(batch, child->parent, child->parent_visit);
	if (is_cut(batch))
		wf_token_cut(child);
	first = wf_token_start(batch, child, NULL, 0);
	first->steps_without_wait = caller->steps_without_wait + 1;
	return child;
}

/* ---- the end ---- */

/* Was it cancelled, and not ended by its own logic, which leaves an error? */
static WfOutcome
outcome_of(const WfInstance *instance)
{
	if (instance->status == WF_STATUS_COMPLETED)
		return WF_OUTCOME_SUCCESS;
	return instance->cancelled ? WF_OUTCOME_CANCELLED : WF_OUTCOME_FAILED;
}

WfInstance *
wf_call_return(WfBatch *batch, WfInstance *instance)
{
	WfEnded	 ended = {.child = instance->id,
					  .outcome = outcome_of(instance),
					  .error = instance->error,
					  .steps = instance->tokens.last_steps};
	WfVisit *caller;

	if (instance->parent == 0)
		return NULL;
	if (ended.outcome == WF_OUTCOME_SUCCESS)
		ended.data = instance->data;
	if (!instance->is_new || instance->has_escalated)
	{
		wf_notice_ended(batch, instance->parent, instance->parent_visit, &ended);
		return NULL;
	}
	caller = wf_batch_visit(batch, instance->parent, instance->parent_visit);
	wf_call_ended(batch, caller, &ended);
	return caller->instance;
}

/* The visit is being cancelled, and was told how its child ended. What that brought may be needed by handlers. */
static void
finish_cancel(WfBatch *batch, WfVisit *visit, const WfEnded *ended)
{
	WfFault ignored = {0};

	visit->changed = true;
	if (ended->outcome == WF_OUTCOME_SUCCESS && visit->def != NULL)
	{
		visit->docs.reply = ended->data;
		visit->docs.has_reply = true;
		visit->docs.changed = true;
		(void) wf_answer_save(batch, visit, &ignored);
	}
	wf_push(batch, visit, WF_FINISH_CANCEL);
}

/* The child was aborted, or cancelled. What was accepted ends the visit all the same. */
static void
not_completed(WfBatch *batch, WfVisit *visit, const WfEnded *ended)
{
	visit->attempt++;
	if (wf_has_accepted(visit))
		wf_push(batch, visit, WF_HAPPEN);
	else if (ended->outcome == WF_OUTCOME_FAILED)
		wf_push_fail(batch, visit, WF_OUTCOME_FAILED, ended->error);
	else
		wf_push_interrupt(batch, visit, WF_OUTCOME_CANCELLED, ended->error);
}

void
wf_call_ended(WfBatch *batch, WfVisit *visit, const WfEnded *ended)
{
	if (visit->ended || visit->child != ended->child || !wf_state_awaits_child(visit))
		return;
	visit->steps_without_wait = Max(visit->steps_without_wait, ended->steps);
	if (visit->state == WF_STATE_CANCELLING)
	{
		visit->attempt++;
		finish_cancel(batch, visit, ended);
		return;
	}
	wf_state_go_on(visit);
	if (visit->def == NULL)
		wf_push(batch, visit, WF_LEAVE); /* which says so */
	else if (ended->outcome == WF_OUTCOME_SUCCESS)
		wf_answer_apply(batch, visit, &(WfAnswer){.reply = ended->data});
	else
		not_completed(batch, visit, ended);
}

bool
wf_call_give_up(WfBatch *batch, WfVisit *visit)
{
	if (visit->state == WF_STATE_CANCELLING)
	{
		wf_push(batch, visit, WF_FINISH_CANCEL);
		return true;
	}
	wf_state_go_on(visit);
	visit->attempt++; /* an event that was accepted does not wait for a call any more */
	return false;
}

/* ---- in between ---- */

void
wf_call_escalated(WfBatch *batch, WfVisit *visit, const WfEscalation *escalation)
{
	int own_steps = visit->steps_without_wait;

	if (visit->ended || visit->child != escalation->child || (visit->waits_for & WF_WAITS_FOR_CALL) == 0 ||
		wf_state_is_ending(visit))
		return;
	visit->steps_without_wait = Max(own_steps, escalation->steps);
	(void) wf_send_escalate(batch, visit, wf_has_accepted(visit) ? visit->scope : visit, escalation->code,
							escalation->data, escalation->at);
	visit->steps_without_wait = own_steps;
}

/* Why the child is cancelled: what became of its caller. */
static char *
reason_for(WfBatch *batch, const WfVisit *visit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb		 *message = visit->error != NULL ? wf_jsonb_get(visit->error, "message") : NULL;
	char		 *reason = psprintf("step \"%s\" has called it, and ends", visit->step);
	JsonbValue	  value;

	/* what was called by many, one by the other, is told the first reason */
	if (visit->instance->parent != 0 && visit->instance->ending == WF_STATUS_ABORTED && visit->instance->error == NULL)
		reason = pstrdup(visit->instance->cancel_reason);
	else if (message != NULL && JsonbExtractScalar(&message->root, &value) && value.type == jbvString)
		reason = psprintf("%s: %.*s", reason, value.val.string.len, value.val.string.val);
	MemoryContextSwitchTo(old);
	return reason;
}

/* Is it one that has not begun yet, so that nobody has to be told? */
static bool
is_to_begin(const WfBatch *batch, const WfInstance *child)
{
	return child != NULL && child->is_new && child->visits == NIL;
}

void
wf_call_order(WfBatch *batch, const WfVisit *visit, WfOrder order)
{
	WfInstance *child;

	if (!wf_state_awaits_child(visit))
		return;
	child = wf_batch_instance(batch, visit->child);
	if (!is_to_begin(batch, child))
		wf_notice_order(batch, visit->child, order, order == WF_ORDER_CANCEL ? reason_for(batch, visit) : NULL);
	else if (order == WF_ORDER_CANCEL)
	{
		child->ending = WF_STATUS_ABORTED;
		child->cancel_reason = reason_for(batch, visit);
	}
}
