/*
 * offer.c
 *		A visit begins to wait for tasks and topics: what people and workers see of it is worked out.
 *
 * They are offered when they can be done: those for which a visit waits once its action is done, those that begin handlers
 * from its begin on.
 */
#include "postgres.h"

#include "utils/acl.h"
#include "utils/memutils.h"

#include "engine/offer.h"

#define MAX_TITLE_BYTES 1000

/* Add the role of that name. */
static bool
add_role(WfOffer *offer, const char *name, WfFault *fault)
{
	Oid role = get_role_oid(name, true);

	if (!OidIsValid(role))
		return wf_fault(fault, WF_CODE_TASK, "role \"%s\" does not exist", name);
	for (int i = 0; i < offer->nroles; i++)
		if (offer->roles[i] == role)
			return true;
	if (offer->nroles == WF_TASK_MAX_ROLES)
		return wf_fault(fault, WF_CODE_TASK, "a task is for more than %d roles", WF_TASK_MAX_ROLES);
	offer->roles[offer->nroles++] = role;
	return true;
}

/* Read the rendered name of a role, or several: a string, a list of these, or null. */
static bool
read_roles(WfOffer *offer, Jsonb *rendered, const char *what, WfFault *fault)
{
	JsonbIterator	  *iterator = JsonbIteratorInit(&rendered->root);
	JsonbIteratorToken token;
	JsonbValue		   value;
	bool			   is_list = JB_ROOT_IS_ARRAY(rendered);

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM && is_list)
			continue;
		if (token == WJB_ELEM && value.type == jbvString)
		{
			if (!add_role(offer, pnstrdup(value.val.string.val, value.val.string.len), fault))
				return false;
		}
		else if (token != WJB_ELEM || value.type != jbvNull)
			return wf_fault(fault, WF_CODE_TASK, "%s of a task must be %s", what,
							"the name of a role, or a list of such names");
		else if (!JB_ROOT_IS_SCALAR(rendered))
			return wf_fault(fault, WF_CODE_TASK, "one of %s of a task is null: leave it out of the list", what);
	}
	return true;
}

static bool
make_roles(WfOffer *offer, const WfTask *task, const WfVariables *variables, WfFault *fault)
{
	Jsonb *assignee = task->assignee != NULL ? wf_template_jsonb(task->assignee, variables, fault) : NULL;
	Jsonb *roles;

	offer->roles = palloc(sizeof(Oid) * WF_TASK_MAX_ROLES);
	if (task->assignee != NULL && (assignee == NULL || !read_roles(offer, assignee, "the assignee", fault)))
		return false;
	if (offer->nroles > 1 || (assignee != NULL && !JB_ROOT_IS_SCALAR(assignee)))
		return wf_fault(fault, WF_CODE_TASK, "the assignee of a task must be one role");
	if (offer->nroles == 1)
		offer->assignee = offer->roles[0];
	offer->nroles = 0;
	roles = task->roles != NULL ? wf_template_jsonb(task->roles, variables, fault) : NULL;
	if (task->roles != NULL && (roles == NULL || !read_roles(offer, roles, "the roles", fault)))
		return false;
	if (offer->nroles == 0 && !OidIsValid(offer->assignee))
		return wf_fault(fault, WF_CODE_TASK, "the task is for nobody: it has neither an assignee nor roles");
	return true;
}

static bool
make_due(WfOffer *offer, WfVisit *visit, const WfTemplate *due, const WfVariables *variables, TimestampTz now,
		 WfFault *fault)
{
	Jsonb	  *rendered;
	JsonbValue value;

	if (due == NULL)
		return true;
	rendered = wf_template_jsonb(due, variables, fault);
	if (rendered == NULL)
		return false;
	if (!JsonbExtractScalar(&rendered->root, &value) || (value.type != jbvString && value.type != jbvNull))
		return wf_fault(fault, WF_CODE_TEMPLATE, "what a task is due by must be a text: an interval or a timestamp");
	return value.type == jbvNull || wf_clock_due(visit, wf_jsonb_scalar_text(&value), now, &offer->due, fault);
}

static bool
make_title(WfOffer *offer, const WfTemplate *title, const WfVariables *variables, WfFault *fault)
{
	StringInfoData text;

	initStringInfo(&text);
	if (!wf_template_text(title, variables, WF_TEXT_PLAIN, &text, fault))
		return false;
	if (text.len > MAX_TITLE_BYTES)
		return wf_fault(fault, WF_CODE_TEMPLATE, "the title of a task has %d bytes, more than %d", text.len,
						MAX_TITLE_BYTES);
	offer->title = text.data;
	return true;
}

WfOffer *
wf_offer_make(WfBatch *batch, WfVisit *visit, int entry, const WfVariables *variables, WfFault *fault)
{
	const WfEvent *event = &visit->def->entries[entry].event;
	const WfTask  *task = event->task;
	WfTemplate	  *data = task != NULL ? task->data : event->data;
	WfOffer		  *offer = palloc0(sizeof(WfOffer));

	offer->since = batch->now;
	offer->item = variables->item;
	offer->index = variables->index;
	if (data != NULL)
	{
		offer->data = wf_template_jsonb(data, variables, fault);
		if (offer->data == NULL || !wf_data_fits(offer->data, fault))
			return NULL;
	}
	if (task != NULL &&
		(!make_title(offer, task->title, variables, fault) || !make_roles(offer, task, variables, fault) ||
		 !make_due(offer, visit, task->due, variables, batch->now, fault)))
		return NULL;
	return offer;
}

/* Offer what entries from `first` to before `end` have to offer; `open` says by entry which; NULL: all. */
static bool
offer_entries(WfBatch *batch, WfVisit *visit, const WfVariables *variables, int first, int end, const bool *open,
			  WfFault *fault)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	bool		  ok = true;

	for (int i = first; i < end && ok; i++)
	{
		WfOffer *offer;

		if (!wf_is_offered(visit->def->entries[i].event.kind) || (open != NULL && !open[i]))
			continue;
		offer = wf_offer_make(batch, visit, i, variables, fault);
		ok = offer != NULL;
		if (ok)
			wf_subscription_add(batch, visit, i, NULL)->offer = offer;
	}
	MemoryContextSwitchTo(old);
	return ok;
}

bool
wf_offer_handlers(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	WfVariables variables;

	if (visit->def->noffered == 0)
		return true;
	wf_engine_variables(visit, &variables);
	return offer_entries(batch, visit, &variables, visit->def->nwaits, visit->def->nentries, NULL, fault);
}

bool
wf_offer_waits(WfBatch *batch, WfVisit *visit, const WfVariables *variables, const bool *open, WfFault *fault)
{
	return offer_entries(batch, visit, variables, 0, visit->def->nwaits, open, fault);
}
