/*
 * data.c
 *		Changing the data of an instance and the fields of its scopes, within workflow.max_data.
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "engine/variables.h"
#include "shmem/settings.h"

bool
wf_data_fits(const Jsonb *data, WfFault *fault)
{
	if (VARSIZE(data) <= (Size) wf_setting_max_data * 1024)
		return true;
	return wf_fault(fault, WF_CODE_DATA, "the data would have %zu bytes, more than workflow.max_data allows",
					(Size) VARSIZE(data));
}

/* ERROR 54000 if data that a caller gives are too large. */
void
wf_data_require_fit(const Jsonb *data)
{
	WfFault fault = {0};

	if (!wf_data_fits(data, &fault))
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the data of an instance are too large"),
				errdetail("They would have %zu bytes; workflow.max_data allows %d kB.", (Size) VARSIZE(data),
						  wf_setting_max_data),
				errhint("Keep large documents in tables, and their keys in the data."));
}

void
wf_data_replace(WfInstance *instance, Jsonb *data)
{
	instance->data = data;
	instance->data_changed = true;
	instance->grown += VARSIZE(data);
}

/* ---- fields of scopes ---- */

/*
 * What the tokens in a scope see as data. It is kept as long as what it was made of stays the same, since data may be large
 * and each step looks at them.
 */
static Jsonb *
seen_in(WfVisit *scope)
{
	WfInstance	 *instance = scope->instance;
	Jsonb		 *data = scope->scope != NULL ? seen_in(scope->scope) : instance->data;
	WfInMemory	 *memory = &scope->memory;
	MemoryContext old;

	if (scope->local == NULL)
		return data;
	if (memory->seen != NULL && memory->seen_data == data && memory->seen_local == scope->local)
		return memory->seen;
	old = MemoryContextSwitchTo(GetMemoryChunkContext(instance));
	memory->seen = wf_jsonb_merge(data, scope->local);
	memory->seen_data = data;
	memory->seen_local = scope->local;
	instance->grown += VARSIZE(memory->seen);
	MemoryContextSwitchTo(old);
	return memory->seen;
}

Jsonb *
wf_data_seen(const WfVisit *visit)
{
	return visit->scope != NULL ? seen_in(visit->scope) : visit->instance->data;
}

static bool
has_field(const WfVisit *scope, const JsonbValue *name)
{
	for (int i = 0; scope->def != NULL && scope->local != NULL && i < scope->def->nlocals; i++)
	{
		const char *local = scope->def->local_names[i];

		if ((int) strlen(local) == name->val.string.len &&
			memcmp(local, name->val.string.val, name->val.string.len) == 0)
			return true;
	}
	return false;
}

/* The scope around a visit to whose fields this name belongs; NULL: to the instance. */
static WfVisit *
scope_with(const WfVisit *visit, const JsonbValue *name)
{
	WfVisit *scope = visit->scope;

	while (scope != NULL && !has_field(scope, name))
		scope = scope->scope;
	return scope;
}

static bool
has_locals_around(const WfVisit *visit)
{
	for (const WfVisit *scope = visit->scope; scope != NULL; scope = scope->scope)
		if (scope->local != NULL)
			return true;
	return false;
}

/* Of the changes, those that belong to a scope; NULL: to the instance. */
static Jsonb *
changes_of(const WfVisit *visit, const WfVisit *scope, Jsonb *changes)
{
	MemoryContext	   old = wf_jsonb_begin();
	WfJsonbState	   state = {0};
	JsonbIterator	  *it = JsonbIteratorInit(&changes->root);
	JsonbIteratorToken token;
	JsonbValue		   value;
	bool			   wanted = false;

	wf_jsonb_push(&state, WJB_BEGIN_OBJECT, NULL);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			wanted = scope_with(visit, &value) == scope;
		if (wanted && (token == WJB_KEY || token == WJB_VALUE))
			wf_jsonb_push(&state, token, &value);
	}
	return wf_jsonb_end(old, JsonbValueToJsonb(wf_jsonb_push(&state, WJB_END_OBJECT, NULL)));
}

static bool
plan_with_locals(const WfVisit *visit, Jsonb *changes, WfDataChange *change, WfFault *fault)
{
	change->data = wf_jsonb_merge(visit->instance->data, changes_of(visit, NULL, changes));
	if (!wf_data_fits(change->data, fault))
		return false;
	for (WfVisit *scope = visit->scope; scope != NULL; scope = scope->scope)
	{
		Jsonb *own = scope->local != NULL ? changes_of(visit, scope, changes) : NULL;

		if (own == NULL || JB_ROOT_COUNT(own) == 0)
			continue;
		change->scopes = lappend(change->scopes, scope);
		change->locals = lappend(change->locals, wf_jsonb_merge(scope->local, own));
		if (!wf_data_fits(llast(change->locals), fault))
			return false;
	}
	return true;
}

bool
wf_data_plan(const WfVisit *visit, Jsonb *changes, WfDataChange *change, WfFault *fault)
{
	memset(change, 0, sizeof(*change));
	if (has_locals_around(visit))
		return plan_with_locals(visit, changes, change, fault);
	change->data = wf_jsonb_merge(visit->instance->data, changes);
	return wf_data_fits(change->data, fault);
}

Jsonb *
wf_data_foreseen(const WfVisit *visit, Jsonb *changes, const WfDataChange *change)
{
	Jsonb *seen;

	if (!has_locals_around(visit))
		return change->data;
	seen = wf_jsonb_merge(wf_data_seen(visit), changes);
	visit->instance->grown += VARSIZE(seen);
	return seen;
}

void
wf_data_make(WfVisit *visit, const WfDataChange *change)
{
	ListCell *lc;
	ListCell *local;

	if (change->data != visit->instance->data)
		wf_data_replace(visit->instance, change->data);
	/* conditions are judged once that is at rest */
	visit->instance->judges_conditions = true;
	visit->instance->judges_all |= change->scopes != NIL;
	visit->instance->data_steps = visit->steps_without_wait;
	forboth(lc, change->scopes, local, change->locals)
	{
		WfVisit *scope = lfirst(lc);

		scope->local = lfirst(local);
		scope->local_changed = true;
		scope->changed = true;
		visit->instance->grown += VARSIZE(scope->local);
	}
}

bool
wf_data_apply(WfBatch *batch, WfVisit *visit, const WfTemplate *changes, const WfVariables *variables, WfFault *fault)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb		 *rendered = wf_template_jsonb(changes, variables, fault);
	WfDataChange  change;
	bool		  ok = rendered != NULL && wf_data_plan(visit, rendered, &change, fault);

	if (ok)
		wf_data_make(visit, &change);
	MemoryContextSwitchTo(old);
	return ok;
}
