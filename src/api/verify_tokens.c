/*
 * verify_tokens.c
 *		Do the scopes of an instance count their tokens and joins right?
 *
 * A scope is the instance itself or a visit whose step has `steps`. What its row says is compared
 * with the visits that live directly in it: how many there are, which of them stand at joins, and
 * how many can still reach each join.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "api/verify_internal.h"

typedef struct Scope
{
	WfVerifiedVisit	 *visit; /* NULL: the instance */
	WfVerifiedTokens *tokens;
	const WfStepList *list;	 /* NULL: unknown */
	int				  index; /* of the list */
	int				  living;
	int				  waiting;	/* how many of these wait at joins */
	int64			 *upstream; /* by slot: how many can reach that join */
} Scope;

typedef struct Tally
{
	WfVerify *verify;
	Scope	  instance;
	Scope	 *scopes; /* by visit; those of visits that are no scopes stay empty */
} Tally;

static bool
is(const char *name, const char *expected)
{
	return name != NULL && strcmp(name, expected) == 0;
}

static bool
is_scope_step(const WfVerifiedVisit *visit)
{
	return visit->def != NULL && (visit->def->action == WF_ACTION_STEPS || visit->def->action == WF_ACTION_EACH);
}

static bool
waits_at_join(const WfVerifiedVisit *visit)
{
	return is(visit->waits_for, "join");
}

/* ---- counting ---- */

static void
begin_scope(Scope *scope, WfVerifiedVisit *visit, WfVerifiedTokens *tokens, const WfDefinition *def, int list)
{
	scope->visit = visit;
	scope->tokens = tokens;
	scope->index = list;
	if (def == NULL)
		return;
	scope->list = &def->lists[list];
	scope->upstream = palloc0(sizeof(int64) * Max(scope->list->njoins, 1));
}

static void
begin_scopes(Tally *tally)
{
	WfVerify		   *verify = tally->verify;
	const WfDefinition *def = verify->instance.def;

	begin_scope(&tally->instance, NULL, &verify->instance.tokens, def, 0);
	tally->scopes = palloc0(sizeof(Scope) * Max(verify->n, 1));
	for (int i = 0; i < verify->n; i++)
	{
		WfVerifiedVisit *visit = &verify->visits[i];

		if (is_scope_step(visit))
			begin_scope(&tally->scopes[i], visit, &visit->tokens, def, visit->def->inner);
		else if (visit->def != NULL && (visit->tokens.n != 0 || visit->tokens.joins != NULL))
			wf_verify_report(verify, visit, "counts tokens, but its step has no \"steps\"");
	}
}

/* The scope in which the visit lives; NULL, and reported, if it cannot live there. */
static Scope *
scope_of(Tally *tally, const WfVerifiedVisit *visit)
{
	WfVerify		*verify = tally->verify;
	Scope			*scope = &tally->instance;
	WfVerifiedVisit *around;

	if (visit->scope != 0)
	{
		around = wf_verify_find(verify, visit->scope);
		if (around == NULL)
		{
			wf_verify_report(verify, visit, "its scope " INT64_FORMAT "_" INT64_FORMAT " does not live",
							 verify->instance.id, visit->scope);
			return NULL;
		}
		if (around->def == NULL)
			return NULL; /* reported for that visit */
		scope = &tally->scopes[around - verify->visits];
	}
	if (scope->tokens == NULL || (visit->def != NULL && scope->list != NULL && visit->def->list != scope->index))
	{
		wf_verify_report(verify, visit, "at step \"%s\", which is not in the \"steps\" of its scope", visit->step);
		return NULL;
	}
	return scope;
}

static bool
is_late(const WfVerifiedVisit *visit, int slot)
{
	for (int i = 0; i < visit->nlate; i++)
		if (visit->late[i] == slot)
			return true;
	return false;
}

/* Is the visit the one that stands at the join of its step, as its scope says? */
static bool
stands(const Scope *scope, const WfVerifiedVisit *visit)
{
	const WfJoin *join = &visit->def->join;

	return join->kind != WF_JOIN_NONE && join->slot < scope->tokens->njoins &&
		   scope->tokens->joins[join->slot].standing == visit->id;
}

/* Count the visit for the joins that it can reach. One that stands at a join does not count there. */
static void
count_upstream(Scope *scope, const WfVerifiedVisit *visit)
{
	int own = stands(scope, visit) ? visit->def->join.slot : -1;

	for (int i = 0; i < visit->def->reaches.n; i++)
	{
		int slot = visit->def->reaches.slots[i];

		if (slot != own && !is_late(visit, slot))
			scope->upstream[slot]++;
	}
}

static void
verify_late(Tally *tally, const Scope *scope, const WfVerifiedVisit *visit)
{
	for (int i = 0; i < visit->nlate; i++)
		if (visit->late[i] < 0 || visit->late[i] >= scope->list->njoins)
			wf_verify_report(tally->verify, visit, "too late for join %d, which its list of steps does not have",
							 visit->late[i]);
}

static void
count_visit(Tally *tally, const WfVerifiedVisit *visit)
{
	Scope *scope = scope_of(tally, visit);

	if (scope == NULL)
		return;
	scope->living++;
	if (waits_at_join(visit))
		scope->waiting++;
	if (scope->list == NULL || visit->def == NULL)
		return;
	verify_late(tally, scope, visit);
	count_upstream(scope, visit);
	if (waits_at_join(visit) && !stands(scope, visit))
		wf_verify_report(tally->verify, visit, "waits at a join, but does not stand there");
}

/* ---- joins ---- */

/* Report a problem of a join, which is one of its scope's row. */
static void
report_join(Tally *tally, const Scope *scope, int slot, const char *problem)
{
	const WfDefinition *def = tally->verify->instance.def;

	wf_verify_report(tally->verify, scope->visit, "join \"%s\": %s", def->steps[scope->list->joins[slot]].name,
					 problem);
}

/* Does what is around end, or is it suspended? Joins are not judged then. */
static bool
is_held(const WfVerify *verify, const WfVerifiedVisit *scope)
{
	for (; scope != NULL; scope = scope->scope != 0 ? wf_verify_find(verify, scope->scope) : NULL)
		if (is(scope->state, "cancelling"))
			return true;
	return verify->instance.cancelled || is(verify->instance.status, "suspended");
}

/* Does the visit wait at the join for tokens that do not come any more? */
static void
verify_waiting(Tally *tally, const Scope *scope, int slot, const WfVerifiedJoin *join, const WfVerifiedVisit *standing)
{
	const WfJoin *def = &standing->def->join;

	if (is_held(tally->verify, scope->visit))
		return;
	if (def->kind == WF_JOIN_COUNT && join->arrived >= def->n)
		report_join(tally, scope, slot,
					psprintf(INT64_FORMAT " tokens have arrived, but it has not gone on with %d", join->arrived,
							 def->n));
	else if (join->upstream == 0)
		report_join(tally, scope, slot, "it waits, but no token can reach it any more");
}

static void
verify_standing(Tally *tally, const Scope *scope, int slot, const WfVerifiedJoin *join)
{
	const WfVerify		  *verify = tally->verify;
	const WfVerifiedVisit *visit = wf_verify_find(verify, join->standing);

	if (join->arrived < 1)
		report_join(tally, scope, slot, "a visit stands at it, but none has arrived");
	if (visit == NULL || visit->scope != (scope->visit != NULL ? scope->visit->id : 0) || visit->def == NULL ||
		visit->def->index != scope->list->joins[slot])
		report_join(tally, scope, slot, psprintf("visit " INT64_FORMAT " does not stand at it", join->standing));
	else if (waits_at_join(visit))
		verify_waiting(tally, scope, slot, join, visit);
	else if (!is(visit->state, "incident") && !is(visit->state, "ready")) /* ready: it came while suspended */
		report_join(tally, scope, slot,
					psprintf("visit " INT64_FORMAT " has gone on, but still stands at it", join->standing));
}

static void
verify_join(Tally *tally, const Scope *scope, int slot)
{
	static const WfVerifiedJoin nobody = {0};
	const WfVerifiedJoin	   *join = scope->tokens->joins != NULL ? &scope->tokens->joins[slot] : &nobody;

	if (join->upstream != scope->upstream[slot])
		report_join(tally, scope, slot,
					psprintf(INT64_FORMAT " tokens are said to be able to reach it, but " INT64_FORMAT " can",
							 join->upstream, scope->upstream[slot]));
	else if (join->standing != 0)
		verify_standing(tally, scope, slot, join);
	else if (join->arrived != 0)
		report_join(tally, scope, slot, "tokens have arrived, but none stands at it");
}

static void
verify_joins(Tally *tally, const Scope *scope)
{
	const WfVerifiedTokens *tokens = scope->tokens;

	if (scope->list == NULL)
		return;
	if (tokens->joins != NULL && (tokens->is_torn || tokens->njoins != scope->list->njoins))
	{
		wf_verify_report(tally->verify, scope->visit, "the numbers of its joins are not those of %d joins",
						 scope->list->njoins);
		return;
	}
	for (int slot = 0; slot < scope->list->njoins; slot++)
		verify_join(tally, scope, slot);
	if (scope->waiting > 0 && scope->waiting == scope->living && !is_held(tally->verify, scope->visit))
		wf_verify_report(tally->verify, scope->visit, "all its tokens wait for each other at joins");
}

/* ---- scopes ---- */

static void
verify_count(Tally *tally, const Scope *scope)
{
	if (scope->tokens->n != scope->living)
		wf_verify_report(tally->verify, scope->visit, "counts %d tokens, but %d visits live directly in it",
						 scope->tokens->n, scope->living);
}

/* A scope waits for its steps, or is being ended, while and only while tokens live in it. */
static void
verify_scope_state(Tally *tally, const Scope *scope)
{
	const WfVerifiedVisit *visit = scope->visit;
	bool open = is(visit->waits_for, "steps") || is(visit->waits_for, "each") || is(visit->cancel_phase, "inside");
	bool more = is(visit->waits_for, "each") && visit->queue != NULL; /* its next items are due */

	if (scope->living > 0 && !open)
		wf_verify_report(tally->verify, visit, "in state \"%s\", but tokens live in it", visit->state);
	else if (scope->living == 0 && open && !more && !visit->accepted)
		wf_verify_report(tally->verify, visit, "waits for its steps, but no token lives in it");
}

void
wf_verify_tokens(WfVerify *verify)
{
	Tally tally = {.verify = verify};

	begin_scopes(&tally);
	for (int i = 0; i < verify->n; i++)
		count_visit(&tally, &verify->visits[i]);
	verify_count(&tally, &tally.instance);
	verify_joins(&tally, &tally.instance);
	for (int i = 0; i < verify->n; i++)
	{
		const Scope *scope = &tally.scopes[i];

		CHECK_FOR_INTERRUPTS();
		if (scope->tokens == NULL)
			continue;
		verify_count(&tally, scope);
		verify_joins(&tally, scope);
		verify_scope_state(&tally, scope);
	}
}
