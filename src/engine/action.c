/*
 * action.c
 *		What a step can do: one row of callbacks for each kind of action.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "engine/action.h"
#include "http/server.h"
#include "model/each.h"
#include "shmem/wakeups.h"
#include "store/item.h"
#include "store/privilege.h"

static WfBegun
begin_nothing(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	return WF_BEGUN_DONE;
}

static WfBegun
begin_set(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	WfVariables variables;

	wf_engine_variables(visit, &variables);
	return wf_data_apply(batch, visit, visit->def->set, &variables, fault) ? WF_BEGUN_DONE : WF_BEGUN_FAULT;
}

/*
 * The queue of the server to which the request goes: the server that the step names, or the one
 * that covers a URL made of data.
 */
char *
wf_action_http_queue(WfBatch *batch, WfVisit *visit, const WfHttpAction *http, WfFault *fault)
{
	WfVariables		variables;
	StringInfoData	url;
	const WfServer *server;
	const char	   *problem;

	if (http->server != NULL)
		return MemoryContextStrdup(batch->context, psprintf(WF_QUEUE_HTTP "%s", http->server));
	wf_engine_variables(visit, &variables);
	initStringInfo(&url);
	if (!wf_template_text(http->url, &variables, WF_TEXT_URL, &url, fault))
		return NULL;
	problem = wf_server_url_problem(url.data);
	if (problem != NULL)
	{
		wf_fault(fault, WF_CODE_REQUEST, "the URL of the request %s", problem);
		return NULL;
	}
	server = wf_server_covering(url.data, wf_process_owner(visit->instance->process->process_id));
	if (server == NULL)
	{
		wf_fault(fault, WF_CODE_REQUEST, "no server that the process owner may use covers the URL");
		return NULL;
	}
	return MemoryContextStrdup(batch->context, psprintf(WF_QUEUE_HTTP "%s", server->name));
}

static WfBegun
begin_http(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	char *queue = wf_action_http_queue(batch, visit, visit->def->http, fault);

	if (queue == NULL)
		return WF_BEGUN_FAULT;
	wf_state_call(batch, visit, queue);
	return WF_BEGUN_UNDER_WAY;
}

/* Begin SQL and NOTIFY, which executors run. */
static WfBegun
begin_executor(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	wf_state_call(batch, visit, wf_state_executor_queue(batch, visit));
	return WF_BEGUN_UNDER_WAY;
}

static WfBegun
begin_send(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	return WF_BEGUN_SEND;
}

static WfBegun
begin_call(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	return WF_BEGUN_CALL;
}

/* Begin a scope: work out its fields. */
static WfBegun
begin_steps(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfVariables	  variables;
	bool		  ok = true;

	visit->local = NULL;
	visit->tokens.reached_end = false;
	if (visit->def->local != NULL)
	{
		wf_engine_variables(visit, &variables);
		visit->local = wf_template_jsonb(visit->def->local, &variables, fault);
		ok = visit->local != NULL && wf_data_fits(visit->local, fault);
	}
	if (!ok)
		visit->local = NULL;
	visit->local_changed = true;
	MemoryContextSwitchTo(old);
	if (!ok)
		return WF_BEGUN_FAULT;
	wf_state_stand(batch, visit, WF_WAITS_FOR_STEPS);
	return WF_BEGUN_INSIDE;
}

/* Begin to go through a list, as it is now. */
static WfBegun
begin_each(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfVariables	  variables;
	Jsonb		 *list;
	bool		  ok;

	wf_engine_variables(visit, &variables);
	ok = wf_each_list(visit->def->each, &variables, &list, fault);
	MemoryContextSwitchTo(old);
	if (!ok)
		return WF_BEGUN_FAULT;
	visit->items = (WfItemCounts){.n = JB_ROOT_COUNT(list)};
	visit->tokens.reached_end = false;
	visit->tokens.last_steps = visit->steps_without_wait;
	visit->instance->grown += VARSIZE(list);
	wf_items_begin(batch, visit, list);
	wf_state_stand(batch, visit, WF_WAITS_FOR_EACH);
	return WF_BEGUN_ITEMS;
}

const WfActionMethods wf_actions[] = {
	[WF_ACTION_NONE] = {begin_nothing, NULL, false},	 [WF_ACTION_SET] = {begin_set, NULL, false},
	[WF_ACTION_HTTP] = {begin_http, "body", true},		 [WF_ACTION_SQL] = {begin_executor, "row", false},
	[WF_ACTION_NOTIFY] = {begin_executor, "row", false}, [WF_ACTION_STEPS] = {begin_steps, NULL, false},
	[WF_ACTION_SEND] = {begin_send, NULL, false},		 [WF_ACTION_EACH] = {begin_each, NULL, false},
	[WF_ACTION_CALL] = {begin_call, NULL, false},
};

bool
wf_action_can_stop(const WfVisit *visit)
{
	return visit->def != NULL && visit->def->cancel != NULL && wf_actions[visit->def->action].can_be_stopped;
}

bool
wf_action_has_sent_cancel(const WfVisit *visit)
{
	return visit->cancel.outcome != WF_OUTCOME_NONE && wf_action_can_stop(visit);
}
