/*
 * scope.c
 *		The tokens of a scope: how many there are, and which of them can still come to its joins.
 *
 * Counters stand in the row of the scope, or of the instance, so that nobody has to load the other
 * visits of a scope to judge a join. A token counts for each join that its step can reach, by routes
 * and handlers, and for the one into which it is on its way; not for one at which it stands, or for
 * which it is too late. What is suspended, cancelled or an incident counts where it stands.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "debug.h"
#include "engine/scope.h"

WfTokens *
wf_scope_tokens(WfInstance *instance, WfVisit *scope)
{
	return scope != NULL ? &scope->tokens : &instance->tokens;
}

const WfStepList *
wf_scope_list(const WfInstance *instance, const WfVisit *scope)
{
	const WfDefinition *def = instance->process->def;

	return scope == NULL ? &def->lists[0] : scope->def != NULL ? &def->lists[scope->def->inner] : NULL;
}

static bool
contains(const WfSlots *slots, int slot)
{
	for (int i = 0; i < slots->n; i++)
		if (slots->slots[i] == slot)
			return true;
	return false;
}

bool
wf_scope_is_late(const WfVisit *visit, int slot)
{
	return contains(&visit->late, slot);
}

/* ---- counting ---- */

/* The counters of all joins of the visit's scope. */
static WfJoinCount *
joins_around(WfVisit *visit)
{
	WfTokens *tokens = wf_scope_tokens(visit->instance, visit->scope);
	int		  n = wf_scope_list(visit->instance, visit->scope)->njoins;

	if (tokens->njoins < n)
	{
		Size		 size = sizeof(WfJoinCount) * n;
		WfJoinCount *joins = MemoryContextAllocZero(GetMemoryChunkContext(visit->instance), size);

		if (tokens->njoins > 0)
			memcpy(joins, tokens->joins, sizeof(WfJoinCount) * tokens->njoins);
		tokens->joins = joins;
		tokens->njoins = n;
	}
	return tokens->joins;
}

WfJoinCount *
wf_scope_join(WfVisit *visit)
{
	return &joins_around(visit)[visit->def->join.slot];
}

bool
wf_scope_stands(const WfVisit *visit)
{
	const WfTokens *tokens = visit->scope != NULL ? &visit->scope->tokens : &visit->instance->tokens;

	return visit->def != NULL && visit->def->join.kind != WF_JOIN_NONE && visit->def->join.slot < tokens->njoins &&
		   tokens->joins[visit->def->join.slot].standing == visit->id;
}

bool
wf_scope_has_stood(const WfVisit *visit)
{
	return visit->def->join.kind != WF_JOIN_NONE && !visit->again && !wf_scope_stands(visit);
}

/* Has the list of steps in which the visit is any joins? */
static bool
has_joins_around(const WfVisit *visit)
{
	const WfStepList *list = wf_scope_list(visit->instance, visit->scope);

	return visit->def != NULL && list != NULL && list->njoins > 0;
}

/* Let the token count at its step, or no longer. */
static void
count(WfVisit *visit, int by)
{
	const WfStep *step = visit->def;
	int			  own = -1;
	bool		  stands = false;

	if (!has_joins_around(visit))
		return;
	if (step->join.kind != WF_JOIN_NONE)
	{
		own = step->join.slot;
		stands = wf_scope_stands(visit);
		if (visit->memory.arriving && !wf_scope_is_late(visit, own))
			joins_around(visit)[own].upstream += by;
	}
	for (int i = 0; i < step->reaches.n; i++)
	{
		int slot = step->reaches.slots[i];

		if ((slot == own && (stands || visit->memory.arriving)) || wf_scope_is_late(visit, slot))
			continue;
		joins_around(visit)[slot].upstream += by;
		WF_ASSERT(joins_around(visit)[slot].upstream >= 0);
	}
}

void
wf_scope_judge_soon(WfBatch *batch, WfInstance *instance, WfVisit *scope)
{
	const WfStepList *list = wf_scope_list(instance, scope);
	WfTokens		 *tokens = wf_scope_tokens(instance, scope);

	if (tokens->is_judged || list == NULL || list->njoins == 0)
		return;
	tokens->is_judged = true;
	wf_push_judge(batch, instance, scope);
}

void
wf_scope_add(WfBatch *batch, WfVisit *visit)
{
	WfTokens *tokens = wf_scope_tokens(visit->instance, visit->scope);

	tokens->n++;
	count(visit, 1);
}

void
wf_scope_count_anew(WfVisit *visit)
{
	count(visit, 1);
}

void
wf_scope_remove(WfBatch *batch, WfVisit *visit)
{
	WfTokens *tokens = wf_scope_tokens(visit->instance, visit->scope);

	tokens->n--;
	tokens->last_steps = visit->steps_without_wait;
	count(visit, -1);
	if (wf_scope_stands(visit))
		*wf_scope_join(visit) = (WfJoinCount){.upstream = wf_scope_join(visit)->upstream};
	WF_ASSERT(tokens->n >= 0);
	if (visit->scope != NULL && wf_has_more_items(visit->scope))
		wf_push(batch, visit->scope, WF_ITEMS);
	if (tokens->n == 0 && visit->scope != NULL)
		wf_push(batch, visit->scope, WF_CONCLUDE);
	else
		wf_scope_judge_soon(batch, visit->instance, visit->scope);
}

/* ---- joins ---- */

void
wf_scope_stand(WfVisit *visit)
{
	WfJoinCount *join = wf_scope_join(visit);

	count(visit, -1);
	visit->memory.arriving = false;
	join->standing = visit->id;
	join->arrived = 1;
	count(visit, 1);
}

void
wf_scope_pass(WfVisit *visit)
{
	bool		 stands = wf_scope_stands(visit);
	WfJoinCount *join = wf_scope_join(visit);

	count(visit, -1);
	visit->memory.arriving = false;
	if (stands)
	{
		join->standing = 0;
		join->arrived = 0;
	}
	count(visit, 1);
}

/* Is there a join for which a token of the list can be too late, other than that at its own step? */
static bool
can_be_late(const WfVisit *visit)
{
	const WfDefinition *def = visit->instance->process->def;
	const WfStepList   *list = wf_scope_list(visit->instance, visit->scope);

	for (int i = 0; i < list->njoins; i++)
		if (list->joins[i] != visit->def->index && def->steps[list->joins[i]].join.kind == WF_JOIN_COUNT)
			return true;
	return false;
}

void
wf_scope_merge(WfBatch *batch, WfVisit *visit, int64 id)
{
	WfVisit *standing;
	int		 n = 0;

	if (!can_be_late(visit))
		return;
	standing = wf_batch_need_visit(batch, visit->instance, id);
	if (standing->late.n == 0)
		return;
	count(standing, -1);
	for (int i = 0; i < standing->late.n; i++)
		if (wf_scope_is_late(visit, standing->late.slots[i]))
			standing->late.slots[n++] = standing->late.slots[i];
	standing->changed |= n != standing->late.n;
	standing->late.n = n;
	count(standing, 1);
}

static void
make_late(WfBatch *batch, WfVisit *visit, int slot)
{
	int *slots = MemoryContextAlloc(batch->context, sizeof(int) * (visit->late.n + 1));

	if (visit->late.n > 0)
		memcpy(slots, visit->late.slots, sizeof(int) * visit->late.n);
	slots[visit->late.n] = slot;
	visit->late = (WfSlots){slots, visit->late.n + 1};
	visit->changed = true;
}

/* The names of the steps of a list from which a join can be reached. */
static const char **
steps_before(const WfInstance *instance, const WfStepList *list, int slot, int *n)
{
	const char **names = palloc(sizeof(char *) * Max(list->n, 1));

	*n = 0;
	for (int i = list->first; i < list->first + list->n; i++)
	{
		const WfStep *step = &instance->process->def->steps[i];

		if (contains(&step->reaches, slot))
			names[(*n)++] = step->name;
	}
	return names;
}

void
wf_scope_mark_late(WfBatch *batch, WfVisit *visit)
{
	WfInstance	*instance = visit->instance;
	int			 slot = visit->def->join.slot;
	WfJoinCount *join = wf_scope_join(visit);
	const char **names;
	int			 n;
	ListCell	*lc;

	WF_ASSERT(wf_scope_stands(visit));
	if (join->upstream == 0)
		return;
	foreach (lc, instance->visits)
	{
		WfVisit *other = lfirst(lc);
		bool	 arriving = other->memory.arriving && other->def == visit->def;

		if (other == visit || other->ended || other->def == NULL || other->scope != visit->scope ||
			wf_scope_is_late(other, slot) || !(arriving || contains(&other->def->reaches, slot)))
			continue;
		make_late(batch, other, slot);
	}
	names = steps_before(instance, wf_scope_list(instance, visit->scope), slot, &n);
	wf_batch_mark_late(batch, instance, visit->scope, names, n, slot);
	pfree(names);
	join->upstream = 0;
}

WfSlots
wf_scope_late_after(WfBatch *batch, const WfVisit *from, const WfStep *to)
{
	WfSlots late = {0};

	if (from->late.n == 0)
		return late;
	late.slots = MemoryContextAlloc(batch->context, sizeof(int) * from->late.n);
	for (int i = 0; i < from->late.n; i++)
		if (!contains(&to->renews, from->late.slots[i]))
			late.slots[late.n++] = from->late.slots[i];
	return late;
}
