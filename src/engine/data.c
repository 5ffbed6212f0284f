/*
 * data.c
 *		Changing the data of an instance and the fields of its scopes, within workflow.max_data.
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "debug.h"
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

/* Versions that nobody can refer to any more are given back: data may be large, and each of many items may change them. */
static void
replace(WfInstance *instance, Jsonb *data, bool own)
{
	Jsonb *before = instance->data;

	instance->data_changed = true;
	if (data == before)
		return;
	instance->data = data;
	instance->data_version = ++instance->versions;
	instance->grown += VARSIZE(data);
	if (instance->own_data != NULL)
	{
		WF_ASSERT(instance->own_data == before && before != instance->data_before);
		instance->grown -= VARSIZE(before);
		pfree(before);
	}
	instance->own_data = own ? data : NULL;
}

void
wf_data_replace(WfInstance *instance, Jsonb *data)
{
	replace(instance, data, false);
}

/* ---- fields of scopes ---- */

/*
 * What the tokens in a scope see as data, and which version that is. It is kept as long as what it was made of stays the same,
 * since data may be large and each step looks at them.
 */
static Jsonb *
seen_in(WfVisit *scope, uint64 *version)
{
	WfInstance	 *instance = scope->instance;
	WfInMemory	 *memory = &scope->memory;
	Jsonb		 *data = instance->data;
	MemoryContext old;

	*version = instance->data_version;
	if (scope->scope != NULL)
		data = seen_in(scope->scope, version);
	if (scope->local == NULL)
		return data;
	if (memory->seen == NULL || memory->seen_data != *version || memory->seen_local != scope->local)
	{
		wf_data_forget_seen(scope);
		memory->seen_data = *version;
		memory->seen_local = scope->local;
		memory->seen_version = ++instance->versions;
		old = MemoryContextSwitchTo(GetMemoryChunkContext(instance));
		memory->seen = wf_jsonb_merge(data, scope->local);
		MemoryContextSwitchTo(old);
		memory->owns_seen = memory->seen != data && memory->seen != scope->local;
		instance->grown += memory->owns_seen ? VARSIZE(memory->seen) : 0;
	}
	*version = memory->seen_version;
	return memory->seen;
}

void
wf_data_forget_seen(WfVisit *scope)
{
	WfInMemory *memory = &scope->memory;

	if (memory->owns_seen)
	{
		scope->instance->grown -= VARSIZE(memory->seen);
		pfree(memory->seen);
	}
	memory->seen = NULL;
	memory->owns_seen = false;
}

static bool
has_locals_around(const WfVisit *visit)
{
	for (const WfVisit *scope = visit->scope; scope != NULL; scope = scope->scope)
		if (scope->local != NULL)
			return true;
	return false;
}

static bool
find_in(const Jsonb *object, const char *name, int len, JsonbValue *value)
{
	return object != NULL &&
		   getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &object->root), name, len, value) != NULL;
}

static bool
seen_field(const WfVariables *variables, const char *name, int len, JsonbValue *value)
{
	const WfVisit *visit = variables->seen_by;

	if (find_in(variables->seen_over, name, len, value))
		return true;
	for (const WfVisit *scope = visit->scope; scope != NULL; scope = scope->scope)
		if (find_in(scope->local, name, len, value))
			return true;
	return find_in(visit->instance->data, name, len, value);
}

static Jsonb *
seen_whole(const WfVariables *variables)
{
	const WfVisit *visit = variables->seen_by;
	uint64		   ignored;
	Jsonb		  *seen = seen_in(visit->scope, &ignored);

	if (variables->seen_over == NULL)
		return seen;
	seen = wf_jsonb_merge(seen, variables->seen_over);
	visit->instance->grown += VARSIZE(seen);
	return seen;
}

/* In layers, since data may be large, and each of many items has fields of its own to lay over them. */
void
wf_data_show(WfVisit *visit, WfVariables *variables)
{
	variables->seen_over = NULL;
	variables->data = visit->instance->data;
	if (!has_locals_around(visit))
		return;
	variables->data = NULL;
	variables->seen_by = visit;
	variables->seen_field = seen_field;
	variables->seen_whole = seen_whole;
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
	change->is_own = change->data != visit->instance->data;
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
	WfInstance *instance = visit->instance;

	memset(change, 0, sizeof(*change));
	if (has_locals_around(visit))
		return plan_with_locals(visit, changes, change, fault);
	if (instance->own_data != NULL && wf_jsonb_can_overwrite(instance->data, changes))
	{
		change->data = instance->data;
		change->overwrite = changes;
		return true;
	}
	change->data = wf_jsonb_merge(instance->data, changes);
	change->is_own = change->data != instance->data && change->data != changes;
	return wf_data_fits(change->data, fault);
}

void
wf_data_foresee(WfVisit *visit, Jsonb *changes, WfDataChange *change, WfVariables *variables)
{
	if (change->overwrite != NULL)
	{
		change->data = wf_jsonb_merge(change->data, changes);
		change->overwrite = NULL;
		change->is_own = true;
	}
	if (variables->data != NULL)
		variables->data = change->data;
	else
		variables->seen_over = changes;
}

void
wf_data_make(WfVisit *visit, const WfDataChange *change)
{
	ListCell *lc;
	ListCell *local;

	if (change->overwrite != NULL)
	{
		wf_jsonb_overwrite(visit->instance->data, change->overwrite);
		visit->instance->data_version = ++visit->instance->versions;
	}
	else if (change->data != visit->instance->data)
		replace(visit->instance, change->data, change->is_own);
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
