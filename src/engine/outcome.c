/*
 * outcome.c
 *		How a visit ends: success and its data, bad outcomes and who catches them, the route onwards.
 *
 * A visit that was judged a success can still fail: in its `success`, its `save` or its route. All of that is worked out
 * before anything is changed.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "engine/internal.h"

/* $result: {status, initial_response, callback_response, response, cancel_response, error} */
static Jsonb *
make_result(WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	Jsonb	   *initial = NULL;
	bool		called_back = visit->has_callback;
	WfField		fields[6];

	if (visit->reply != NULL && visit->def != NULL)
		initial = wf_jsonb_get(visit->reply, visit->def->action == WF_ACTION_HTTP ? "body" : "row");
	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "status", .kind = WF_FIELD_TEXT, .text = wf_outcome_name(outcome)};
	fields[1] = (WfField){.key = "initial_response", .jsonb = initial};
	fields[2] = (WfField){.key = "callback_response", .jsonb = called_back ? visit->callback : NULL};
	fields[3] = (WfField){.key = "response", .jsonb = called_back ? visit->callback : initial};
	fields[4] = (WfField){.key = "cancel_response", .jsonb = visit->cancel_response};
	fields[5] = (WfField){.key = "error", .jsonb = error};
	return wf_jsonb_object(fields, lengthof(fields));
}

static void
finish(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	visit->outcome = outcome;
	visit->error = error;
	if (visit->result == NULL)
		visit->result = make_result(visit, outcome, error);
	wf_state_end(batch, visit);
}

/* $caught: {serial_number, step, result, error} */
Jsonb *
wf_outcome_caught(WfVisit *visit)
{
	char		serial_number[64];
	WfField		fields[4];

	snprintf(serial_number, sizeof(serial_number), INT64_FORMAT "_" INT64_FORMAT,
			 visit->instance->id, visit->id);
	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "serial_number", .kind = WF_FIELD_TEXT, .text = serial_number};
	fields[1] = (WfField){.key = "step", .kind = WF_FIELD_TEXT, .text = visit->step};
	fields[2] = (WfField){.key = "result", .jsonb = visit->result};
	fields[3] = (WfField){.key = "error", .jsonb = visit->error};
	return wf_jsonb_object(fields, lengthof(fields));
}

char *
wf_outcome_error_code(Jsonb *error)
{
	Jsonb	   *code = error != NULL ? wf_jsonb_get(error, "code") : NULL;
	JsonbValue	value;

	if (code == NULL || !JsonbExtractScalar(&code->root, &value) || value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

static int
error_status(Jsonb *error)
{
	Jsonb	   *status = error != NULL ? wf_jsonb_get(error, "http_status") : NULL;
	JsonbValue	value;

	if (status == NULL || !JsonbExtractScalar(&status->root, &value) || value.type != jbvNumeric)
		return 0;
	return DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(value.val.numeric)));
}

static const WfCatch *
find_catch(WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	char	   *code = wf_outcome_error_code(error);
	int			status = error_status(error);

	for (int i = 0; visit->def != NULL && i < visit->def->ncatches; i++)
	{
		const WfCatch *handler = &visit->def->catches[i];

		if (handler->any || (handler->outcomes & (1U << outcome)) != 0)
			return handler;
		for (int c = 0; code != NULL && c < handler->ncodes; c++)
			if (wf_code_names(handler->codes[c], code, status))
				return handler;
	}
	return NULL;
}

/* Nobody has to mend it: a person, or the process itself, has given the instance up. */
static bool
is_cancelled_with_its_instance(const WfVisit *visit)
{
	return visit->instance->cancel_reason != NULL &&
		   (visit->def == NULL || !visit->def->ignore_cancel);
}

/* … until somebody mends it. */
static void
stand(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	visit->outcome = outcome;
	visit->error = error;
	visit->result = make_result(visit, outcome, error);
	wf_state_incident(batch, visit);
}

/* A bad outcome goes to the step's handler, else it becomes an incident, unless all of the instance is being cancelled. */
WfVisit *
wf_outcome_bad(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	const WfCatch *handler = find_catch(visit, outcome, error);
	WfVisit    *next = NULL;

	if (handler != NULL)
	{
		visit->result = NULL;
		finish(batch, visit, outcome, error);
		next = wf_move_enter(batch, visit->instance, handler->next, wf_outcome_caught(visit), 0);
	}
	else if (is_cancelled_with_its_instance(visit))
	{
		visit->result = NULL;
		finish(batch, visit, outcome, error);
	}
	else if (visit->state != WF_STATE_INCIDENT)
		stand(batch, visit, outcome, error);
	MemoryContextSwitchTo(old);
	return next;
}

WfVisit *
wf_outcome_fault(WfBatch *batch, WfVisit *visit, const WfFault *fault)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb	   *error = wf_engine_error(fault, visit->attempt);

	MemoryContextSwitchTo(old);
	return wf_outcome_bad(batch, visit, WF_OUTCOME_SYSTEM_ERROR, error);
}

/* Not even its handlers are to go on: they may be the reason. */
void
wf_outcome_stuck(WfBatch *batch, WfVisit *visit, const WfFault *fault)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	stand(batch, visit, WF_OUTCOME_SYSTEM_ERROR, wf_engine_error(fault, visit->attempt));
	MemoryContextSwitchTo(old);
}

/* Why the instance has ended with it: with the reason that was given, if any. */
static char *
cancelled_alone(WfVisit *visit, Jsonb *error)
{
	Jsonb	   *message = error != NULL ? wf_jsonb_get(error, "message") : NULL;
	char	   *what = psprintf("visit " INT64_FORMAT "_" INT64_FORMAT " was cancelled",
								visit->instance->id, visit->id);
	JsonbValue	value;

	if (message == NULL || !JsonbExtractScalar(&message->root, &value) || value.type != jbvString ||
		value.val.string.len == 0)
		return what;
	return psprintf("%s: %.*s", what, value.val.string.len, value.val.string.val);
}

static bool
was_moved(Jsonb *error)
{
	char	   *code = wf_outcome_error_code(error);

	return code != NULL && strcmp(code, WF_CODE_MOVED) == 0;
}

/*
 * It is cancelled: its handler goes on, if `handled`, unless its token is elsewhere; else nobody does. An instance whose
 * last token goes that way is itself cancelled.
 */
WfVisit *
wf_outcome_cancelled(WfBatch *batch, WfVisit *visit, Jsonb *error, bool handled)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfInstance *instance = visit->instance;
	bool		moved = was_moved(error);
	const WfCatch *handler =
		!handled || moved ? NULL : find_catch(visit, WF_OUTCOME_CANCELLED, error);
	WfVisit    *next = NULL;

	visit->result = NULL;
	finish(batch, visit, WF_OUTCOME_CANCELLED, error);
	if (handler != NULL)
		next = wf_move_enter(batch, instance, handler->next, wf_outcome_caught(visit), 0);
	else if (instance->tokens == 0 && instance->cancel_reason == NULL && !moved)
		instance->cancel_reason = cancelled_alone(visit, error);
	MemoryContextSwitchTo(old);
	return next;
}

/* An interrupting handler ends it: its result is known, in CurrentMemoryContext, before anything can still fail. */
void
wf_outcome_interrupt(WfVisit *visit)
{
	visit->result = make_result(visit, WF_OUTCOME_CANCELLED, visit->error);
}

/* … and goes on. */
WfVisit *
wf_outcome_interrupted(WfBatch *batch, WfVisit *visit, int next)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfVisit    *entered;

	finish(batch, visit, WF_OUTCOME_CANCELLED, visit->error);
	entered = wf_move_enter(batch, visit->instance, next, wf_outcome_caught(visit), 0);
	MemoryContextSwitchTo(old);
	return entered;
}

/* Where a success leads. False with a fault if nowhere. */
static bool
choose_route(WfVisit *visit, const WfScope *scope, int *next, char **message, WfFault *fault)
{
	const WfRoute *route = &visit->def->route;
	StringInfoData text;

	*next = route->next;
	if (route->kind == WF_ROUTE_CHOOSE)
	{
		for (int i = 0; i < route->nbranches; i++)
		{
			bool		answer = true;

			if (route->branches[i].when != NULL &&
				!wf_predicate_eval(route->branches[i].when, scope, &answer, fault))
				return false;
			if (answer)
			{
				*next = route->branches[i].next;
				return true;
			}
		}
		return wf_fault(fault, WF_CODE_CHOOSE, "no branch of \"choose\" is true");
	}
	if (route->message == NULL)
		return true;
	initStringInfo(&text);
	if (!wf_template_text(route->message, scope, WF_TEXT_PLAIN, &text, fault))
		return false;
	*message = text.data;
	return true;
}

/* The route says that the instance ends here, one way or the other: what else lives in it is cancelled. */
static void
end_by_route(WfBatch *batch, WfVisit *visit, char *message)
{
	const WfRoute *route = &visit->def->route;
	WfFault		why = {.code = route->kind == WF_ROUTE_ERROR ? route->error_code : "aborted",
		.message = message};

	wf_control_stop(batch, visit->instance, message != NULL ? message : why.code,
					wf_engine_error(&why, 0));
}

/* `save` against the data as the visit leaves it; NULL in *changes: nothing to save. */
static bool
work_out_save(WfVisit *visit, const WfScope *scope, Jsonb **changes, WfFault *fault)
{
	Jsonb	   *response;

	*changes = NULL;
	if (visit->def->save_all)
	{
		response = wf_jsonb_get(scope->result, "response");
		if (response != NULL && JB_ROOT_IS_OBJECT(response))
			*changes = response;
	}
	else if (visit->def->save != NULL)
	{
		*changes = wf_template_jsonb(visit->def->save, scope, fault);
		if (*changes == NULL)
			return false;
	}
	return true;
}

static WfVisit *
success(WfBatch *batch, WfVisit *visit)
{
	WfInstance *instance = visit->instance;
	WfFault		fault = {0};
	WfScope		scope;
	Jsonb	   *changes;
	char	   *message = NULL;
	bool		answer = true;
	int			next;

	if (visit->def == NULL)
	{
		wf_fault(&fault, WF_CODE_MOVE, "version %d of the process has no step \"%s\"",
				 instance->process->version, visit->step);
		return wf_outcome_fault(batch, visit, &fault);
	}
	visit->result = make_result(visit, WF_OUTCOME_SUCCESS, NULL);
	wf_engine_scope(visit, &scope);
	if (visit->def->success != NULL && !visit->skipped &&
		!wf_predicate_eval(visit->def->success, &scope, &answer, &fault))
		return wf_outcome_fault(batch, visit, &fault);
	if (!answer)
	{
		fault.code = "FAILED";
		fault.message = "the predicate \"success\" is false";
		return wf_outcome_bad(batch, visit, WF_OUTCOME_FAILED,
							  wf_engine_error(&fault, visit->attempt));
	}
	if (!work_out_save(visit, &scope, &changes, &fault))
		return wf_outcome_fault(batch, visit, &fault);
	if (changes != NULL)
		scope.data = wf_jsonb_merge(instance->data, changes);
	if (changes != NULL && !wf_data_fits(scope.data, &fault))
		return wf_outcome_fault(batch, visit, &fault);
	if (!choose_route(visit, &scope, &next, &message, &fault))
		return wf_outcome_fault(batch, visit, &fault);

	if (changes != NULL)
		wf_data_replace(instance, scope.data);
	finish(batch, visit, WF_OUTCOME_SUCCESS, NULL);
	switch (visit->def->route.kind)
	{
		case WF_ROUTE_NEXT:
		case WF_ROUTE_CHOOSE:
			return wf_move_enter(batch, instance, next, visit->caught, 0);
		case WF_ROUTE_END:
			break;
		case WF_ROUTE_ERROR:
		case WF_ROUTE_ABORT:
			end_by_route(batch, visit, message);
			break;
	}
	return NULL;
}

WfVisit *
wf_outcome_success(WfBatch *batch, WfVisit *visit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfVisit    *next = success(batch, visit);

	MemoryContextSwitchTo(old);
	return next;
}

/* The visit ends by the callback that was accepted for it. */
WfVisit *
wf_outcome_callback(WfBatch *batch, WfVisit *visit)
{
	Assert(visit->has_callback);
	if (visit->callback_error != NULL)
		return wf_outcome_bad(batch, visit, WF_OUTCOME_FAILED, visit->callback_error);
	return wf_outcome_success(batch, visit);
}
