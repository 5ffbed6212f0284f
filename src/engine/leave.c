/*
 * leave.c
 *		A visit has succeeded, as far as is known: `success`, `save`, and the route onwards.
 *
 * Each of these can still fail, so everything is computed before anything is changed.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "debug.h"
#include "engine/event.h"
#include "engine/operations.h"
#include "engine/scope.h"
#include "engine/token.h"
#include "model/each.h"
#include "shmem/settings.h"
#include "store/item.h"

/* What a success leads to. */
typedef struct Leaving
{
	WfVariables		 variables; /* with the data as they will be after the visit */
	bool			 saves;		/* data differ from before */
	WfDataChange	 change;	/* how */
	WfRouteKind		 route;
	const WfTargets *next;	  /* the next steps, of a route to steps */
	char			*message; /* message of a route that ends the instance, or NULL */
	bool			 enough;  /* of an item: the others are not needed any more */
} Leaving;

static bool
is_taken(const WfBranch *branch, const WfVariables *variables, bool *answer, WfFault *fault)
{
	*answer = !branch->otherwise;
	return branch->when == NULL || wf_predicate_eval(branch->when, variables, answer, fault);
}

/* The first branch that is true. */
static bool
choose_branch(const WfRoute *route, const WfVariables *variables, const WfTargets **next, WfFault *fault)
{
	for (int i = 0; i < route->nbranches; i++)
	{
		bool answer;

		if (!is_taken(&route->branches[i], variables, &answer, fault))
			return false;
		if (answer)
		{
			*next = &route->branches[i].next;
			return true;
		}
	}
	return wf_fault(fault, WF_CODE_CHOOSE, "no branch of \"choose\" is true");
}

static void
add_targets(WfTargets *all, const WfTargets *targets)
{
	if (targets->n == 0)
		return;
	all->steps =
		all->n == 0 ? palloc(sizeof(int) * targets->n) : repalloc(all->steps, sizeof(int) * (all->n + targets->n));
	memcpy(all->steps + all->n, targets->steps, sizeof(int) * targets->n);
	all->n += targets->n;
}

/* Every branch that is true; if there is none, the one that says `else`. */
static bool
split(const WfRoute *route, const WfVariables *variables, const WfTargets **next, WfFault *fault)
{
	WfTargets *all = palloc0(sizeof(WfTargets));

	for (int i = 0; i < route->nbranches; i++)
	{
		bool answer;

		if (!is_taken(&route->branches[i], variables, &answer, fault))
			return false;
		if (answer)
			add_targets(all, &route->branches[i].next);
	}
	for (int i = 0; all->n == 0 && i < route->nbranches; i++)
		if (route->branches[i].otherwise)
			add_targets(all, &route->branches[i].next);
	*next = all;
	return all->n > 0 || wf_fault(fault, WF_CODE_CHOOSE, "no branch of \"next\" is true");
}

/* The entry of `first_of` that says where to go on, since its event has happened; NULL: the step says so. */
static const WfEntry *
entry_that_leads(const WfVisit *visit)
{
	int entry = visit->def->first_of ? wf_event_entry(visit) : -1;

	return entry >= 0 ? &visit->def->entries[entry] : NULL;
}

/* Find where the route leads. Returns false with *fault if it leads nowhere. */
static bool
choose_route(WfVisit *visit, Leaving *leaving, WfFault *fault)
{
	const WfRoute *route = &visit->def->route;
	const WfEntry *entry = entry_that_leads(visit);
	StringInfoData text;

	leaving->route = entry != NULL ? WF_ROUTE_NEXT : route->kind;
	leaving->next = entry != NULL ? &entry->next : &route->next;
	if (leaving->route == WF_ROUTE_CHOOSE)
		return choose_branch(route, &leaving->variables, &leaving->next, fault);
	if (leaving->route == WF_ROUTE_SPLIT)
		return split(route, &leaving->variables, &leaving->next, fault);
	if (entry != NULL || route->message == NULL)
		return true;
	initStringInfo(&text);
	if (!wf_template_text(route->message, &leaving->variables, WF_TEXT_PLAIN, &text, fault))
		return false;
	leaving->message = text.data;
	return true;
}

/* ---- items ---- */

/*
 * What is collected of all items, as a change of the data. An operator who goes on without them says himself what that is.
 */
static bool
collect(WfBatch *batch, WfVisit *visit, Jsonb **changes, WfFault *fault)
{
	WfField field = {.key = visit->def->each->collect};

	if (visit->accepted == WF_ACCEPTED_CALLBACK)
		field.jsonb = visit->docs.callback;
	else if (visit->items.given > (int64) wf_setting_max_data * 1024)
		return wf_fault(fault, WF_CODE_DATA,
						"the items have given " INT64_FORMAT " bytes, more than workflow.max_data allows",
						visit->items.given);
	else
		field.jsonb = wf_items_collect(batch, visit);
	*changes = wf_jsonb_object(&field, 1);
	return true;
}

/* Does the item that is about to end make the others needless? Its own `save` counts. */
static bool
judge_until(WfVisit *visit, Leaving *leaving, WfFault *fault)
{
	const WfEach *each = wf_is_item(visit) ? visit->scope->def->each : NULL;

	return each == NULL || each->until == NULL ||
		   wf_predicate_eval(each->until, &leaving->variables, &leaving->enough, fault);
}

/* Keep what the item has given, and let go of the others if they are not needed. */
static void
end_item(WfBatch *batch, WfVisit *visit, const Leaving *leaving)
{
	WfVisit *whole = visit->scope;
	Jsonb	*response = whole->def->each->collect != NULL ? wf_jsonb_get(leaving->variables.result, "response") : NULL;

	if (response != NULL)
	{
		whole->items.given += VARSIZE(response);
		whole->changed = true;
		wf_items_give(batch, whole, visit->item, response);
	}
	if (leaving->enough)
	{
		whole->memory.has_enough = true;
		wf_push_interrupt(batch, whole, WF_OUTCOME_SUCCESS, NULL);
	}
}

/* ---- what is saved ---- */

/* Compute `save`; *changes is NULL if there is nothing to save. Returns false with *fault. */
static bool
work_out_save(WfBatch *batch, WfVisit *visit, const WfVariables *variables, Jsonb **changes, WfFault *fault)
{
	Jsonb *response;

	*changes = NULL;
	if (visit->def->each != NULL && visit->def->each->collect != NULL)
		return collect(batch, visit, changes, fault);
	if (visit->def->save_all)
	{
		response = wf_jsonb_get(variables->result, "response");
		if (response != NULL && JB_ROOT_IS_OBJECT(response))
			*changes = response;
	}
	else if (visit->def->save != NULL)
	{
		*changes = wf_template_jsonb(visit->def->save, variables, fault);
		if (*changes == NULL)
			return false;
	}
	return true;
}

/* Does anything that comes after `save` look at the data? */
static bool
looks_at_data(const WfVisit *visit)
{
	const WfRoute *route = &visit->def->route;

	return entry_that_leads(visit) != NULL || route->kind == WF_ROUTE_CHOOSE || route->kind == WF_ROUTE_SPLIT ||
		   route->message != NULL || (wf_is_item(visit) && visit->scope->def->each->until != NULL);
}

/* What is to be saved changes the data that the rest sees; all of it is made at once. */
static bool
foresee(WfVisit *visit, Leaving *leaving, Jsonb *changes, WfFault *fault)
{
	if (changes == NULL)
		return true;
	if (!wf_data_plan(visit, changes, &leaving->change, fault))
		return false;
	leaving->saves = true;
	if (looks_at_data(visit))
		wf_data_foresee(visit, changes, &leaving->change, &leaving->variables);
	return true;
}

/* `save` of the entry of `first_of` that leads on comes after that of the step. */
static bool
foresee_entry_save(WfVisit *visit, Leaving *leaving, Jsonb *changes, WfFault *fault)
{
	const WfEntry *entry = entry_that_leads(visit);
	Jsonb		  *more;

	if (entry == NULL || entry->save == NULL)
		return true;
	more = wf_template_jsonb(entry->save, &leaving->variables, fault);
	return more != NULL && foresee(visit, leaving, changes != NULL ? wf_jsonb_merge(changes, more) : more, fault);
}

/* Compute everything. Returns false with *fault; or without one, if `success` is false. */
static bool
work_out_route(WfBatch *batch, WfVisit *visit, Leaving *leaving, WfFault *fault)
{
	Jsonb *changes;
	bool   answer = true;

	if (visit->def->success != NULL && !visit->memory.skipped &&
		!wf_predicate_eval(visit->def->success, &leaving->variables, &answer, fault))
		return false;
	if (!answer || !work_out_save(batch, visit, &leaving->variables, &changes, fault))
		return false;
	return foresee(visit, leaving, changes, fault) && foresee_entry_save(visit, leaving, changes, fault) &&
		   judge_until(visit, leaving, fault) && choose_route(visit, leaving, fault) &&
		   wf_token_room(visit, leaving->next->n - 1, fault);
}

/*
 * A route ends the instance: all other visits in it are cancelled. One that ends already does so for its first reason; and only a
 * person's second cancel ends incidents in it.
 */
static void
end_instance(WfBatch *batch, WfVisit *visit, WfStatus ending, const char *reason, Jsonb *error)
{
	if (visit->instance->ending == WF_STATUS_ACTIVE)
		wf_push_close(batch, visit->instance, ending, reason, error);
}

static void
abort_by_route(WfBatch *batch, WfVisit *visit, char *message)
{
	WfFault why = {.code = "aborted", .message = message};

	end_instance(batch, visit, WF_STATUS_ABORTED, message != NULL ? message : why.code, wf_engine_error(&why, 0));
}

/* The item of a list for which the visit is, if it is in the steps of one; NULL: it is not. */
static WfVisit *
item_around(const WfVisit *visit)
{
	WfVisit *scope = visit->scope;

	while (scope != NULL && !wf_is_item(scope))
		scope = scope->scope;
	return scope;
}

/*
 * The route throws an error: the nearest scope around that catches it is interrupted. If none does, the item that it
 * is for fails, so that the others go on; without a list, the instance is aborted. In a scope that ends early already it
 * says nothing new.
 */
static void
throw_error(WfBatch *batch, WfVisit *visit, char *message)
{
	WfFault		   why = {.code = visit->def->route.error_code, .message = message};
	Jsonb		  *error = wf_engine_error(&why, 0);
	const WfEntry *handler = NULL;
	bool		   ending;
	WfVisit		  *scope = wf_token_catch_around(visit, WF_OUTCOME_FAILED, error, &handler, &ending);
	WfVisit		  *item = item_around(visit);

	if (scope != NULL)
	{
		visit->error = error;
		wf_token_caught(batch, scope, handler, wf_event_caught(visit, batch->now), NULL);
	}
	else if (!ending && item != NULL)
		wf_push_interrupt(batch, item, WF_OUTCOME_FAILED, error);
	else if (!ending)
		end_instance(batch, visit, WF_STATUS_ABORTED, message != NULL ? message : why.code, error);
}

/* The route ends the scope that it is in, successfully; that of the process is the instance. */
static void
end_scope(WfBatch *batch, WfVisit *visit)
{
	WfVisit *scope = visit->scope;

	if (scope != NULL)
		wf_push_interrupt(batch, scope, WF_OUTCOME_SUCCESS, NULL);
	if (scope == NULL || wf_state_is_process(scope))
		end_instance(batch, visit, WF_STATUS_COMPLETED, NULL, NULL);
}

/* What the route does beside ending the token. */
static void
end_around(WfBatch *batch, WfVisit *visit, WfRouteKind route, char *message)
{
	switch (route)
	{
		case WF_ROUTE_END_SCOPE:
			end_scope(batch, visit);
			break;
		case WF_ROUTE_ERROR:
			throw_error(batch, visit, message);
			break;
		case WF_ROUTE_ABORT:
			abort_by_route(batch, visit, message);
			break;
		case WF_ROUTE_NEXT:
		case WF_ROUTE_CHOOSE:
		case WF_ROUTE_SPLIT:
		case WF_ROUTE_END:
			break;
	}
}

static void
leave_by(WfBatch *batch, WfVisit *visit, const Leaving *leaving)
{
	if (leaving->saves)
		wf_data_make(visit, &leaving->change);
	if (leaving->next->n == 0)
		wf_scope_tokens(visit->instance, visit->scope)->reached_end = true;
	/* first, since a scope is left when its last token has ended */
	if (wf_is_item(visit))
		end_item(batch, visit, leaving);
	end_around(batch, visit, leaving->route, leaving->message);
	wf_token_end(batch, visit, WF_OUTCOME_SUCCESS, NULL);
	wf_token_follow(batch, visit, leaving->next, visit->caught);
}

void
wf_op_leave(WfBatch *batch, WfVisit *visit)
{
	MemoryContext old;
	WfFault		  fault = {0};
	Leaving		  leaving = {0};

	if (visit->state == WF_STATE_INCIDENT)
		return;
	if (wf_is_item(visit) && visit->scope->memory.has_enough && !wf_has_accepted(visit))
	{
		wf_token_cancelled(batch, visit, wf_token_ending_error(batch, visit), false);
		return;
	}
	old = MemoryContextSwitchTo(batch->context);
	if (visit->def == NULL)
	{
		wf_fault(&fault, WF_CODE_MOVE, "version %d of the process has no step \"%s\"",
				 visit->instance->process->version, visit->step);
		wf_push_fault(batch, visit, &fault);
		MemoryContextSwitchTo(old);
		return;
	}
	visit->docs.result = wf_token_result(batch, visit, WF_OUTCOME_SUCCESS, NULL);
	wf_engine_variables(visit, &leaving.variables);
	leaving.variables.result = wf_token_result_at_hand(batch, visit, WF_OUTCOME_SUCCESS, NULL);
	if (visit->def->uses_event)
		leaving.variables.event = wf_event_of(visit, batch->now);
	if (work_out_route(batch, visit, &leaving, &fault))
		leave_by(batch, visit, &leaving);
	else if (fault.code != NULL)
		wf_push_fault(batch, visit, &fault);
	else
	{
		fault.code = "FAILED";
		fault.message = "the predicate \"success\" is false";
		wf_push_fail(batch, visit, WF_OUTCOME_FAILED, wf_engine_error(&fault, visit->attempt));
	}
	MemoryContextSwitchTo(old);
}

/* The accepted event ends the visit. */
void
wf_op_happen(WfBatch *batch, WfVisit *visit)
{
	WF_ASSERT(wf_has_accepted(visit));
	if (visit->docs.callback_error != NULL)
		wf_push_fail(batch, visit, WF_OUTCOME_FAILED, visit->docs.callback_error);
	else
		wf_push(batch, visit, WF_LEAVE);
}
