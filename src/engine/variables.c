/*
 * variables.c
 *		The variables that templates of a visit see, and errors as they see them.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "engine/variables.h"
#include "store/token.h"

/* $item and $index are those of the nearest item: that of the visit, or of one around it. */
static void
set_item(const WfVisit *visit, WfVariables *variables)
{
	while (visit != NULL && !wf_is_item(visit))
		visit = visit->scope;
	if (visit == NULL)
		return;
	variables->item = visit->item_value;
	variables->index = visit->item;
}

void
wf_engine_variables(WfVisit *visit, WfVariables *variables)
{
	WfInstance *instance = visit->instance;
	bool		under_way =
		visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING || visit->state == WF_STATE_READY;

	memset(variables, 0, sizeof(*variables));
	wf_data_show(visit, variables);
	variables->timezone = instance->process->timezone;
	variables->instance = instance->id;
	variables->visit = visit->id;
	variables->business_key = instance->business_key;
	variables->process = instance->process->name;
	variables->step = visit->step;
	variables->attempt = visit->attempt + (under_way && !visit->docs.has_reply ? 1 : 0);
	variables->reply = visit->docs.reply;
	variables->result = visit->docs.result;
	variables->caught = visit->caught;
	/* a handler's visit without an error of its own shows the error that was caught */
	variables->error =
		visit->error != NULL || visit->caught == NULL ? visit->error : wf_jsonb_get(visit->caught, "error");
	variables->index = WF_NO_ITEM;
	set_item(visit, variables);
	wf_token_offer_urls(variables);
}

Jsonb *
wf_engine_error(const WfFault *fault, int attempt)
{
	WfField fields[5];

	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "code", .kind = WF_FIELD_TEXT, .text = fault->code};
	fields[1] = (WfField){.key = "message", .kind = WF_FIELD_TEXT, .text = fault->message};
	fields[2] = (WfField){.key = "http_status",
						  .kind = fault->http_status != 0 ? WF_FIELD_INT : WF_FIELD_JSONB,
						  .number = fault->http_status};
	fields[3] = (WfField){.key = "sqlstate",
						  .kind = WF_FIELD_TEXT,
						  .text = fault->sqlstate[0] != '\0' ? fault->sqlstate : NULL};
	fields[4] = (WfField){.key = "attempt", .kind = WF_FIELD_INT, .number = attempt};
	return wf_jsonb_object(fields, lengthof(fields));
}

char *
wf_error_code(Jsonb *error)
{
	return wf_jsonb_get_text(error, "code");
}

int
wf_error_status(Jsonb *error)
{
	return (int) wf_jsonb_get_int64(error, "http_status");
}

Jsonb *
wf_caught(WfVisit *visit, Jsonb *event)
{
	char		serial_number[64];
	WfVariables variables = {.index = WF_NO_ITEM};
	WfField		fields[7];

	snprintf(serial_number, sizeof(serial_number), INT64_FORMAT "_" INT64_FORMAT, visit->instance->id, visit->id);
	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "serial_number", .kind = WF_FIELD_TEXT, .text = serial_number};
	fields[1] = (WfField){.key = "step", .kind = WF_FIELD_TEXT, .text = visit->step};
	fields[2] = (WfField){.key = "result", .jsonb = visit->docs.result};
	fields[3] = (WfField){.key = "error", .jsonb = visit->error};
	fields[4] = (WfField){.key = "event", .jsonb = event};
	set_item(visit, &variables);
	fields[5] = (WfField){.key = "item", .jsonb = variables.item, .omit = variables.index == WF_NO_ITEM};
	fields[6] = (WfField){.key = "index",
						  .kind = WF_FIELD_INT,
						  .number = variables.index,
						  .omit = variables.index == WF_NO_ITEM};
	return wf_jsonb_object(fields, lengthof(fields));
}

Jsonb *
wf_cancel_error(WfBatch *batch, const char *reason)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfFault		  why = {.code = "CANCELLED", .message = reason != NULL && *reason != '\0' ? reason : NULL};
	Jsonb		 *error = wf_engine_error(&why, 0);

	MemoryContextSwitchTo(old);
	return error;
}
