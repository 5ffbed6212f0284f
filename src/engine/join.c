/*
 * join.c
 *		Tokens come to a join: the first one stands there, the others end in it, until it goes on.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/call.h"
#include "engine/operations.h"
#include "engine/scope.h"
#include "engine/send.h"
#include "engine/token.h"
#include "shmem/wakeups.h"

/*
 * A token has come. One that is too late for the join ends. One that finds another standing ends, too, and is
 * counted. (If that one has gone on, `standing` is 0.)
 */
void
wf_op_arrive(WfBatch *batch, WfVisit *visit)
{
	WfJoinCount *join = wf_scope_join(visit);

	if (wf_scope_is_late(visit, visit->def->join.slot))
	{
		/* nobody has called it off */
		wf_scope_tokens(visit->instance, visit->scope)->reached_end = true;
		wf_token_absorb(batch, visit);
	}
	else if (join->standing != 0)
	{
		join->arrived++;
		wf_scope_merge(batch, visit, join->standing);
		wf_token_absorb(batch, visit);
	}
	else
	{
		wf_scope_tokens(visit->instance, visit->scope)->last_steps = visit->steps_without_wait;
		wf_scope_stand(visit);
		if (visit->instance->status == WF_STATUS_SUSPENDED)
			wf_token_defer(batch, visit, WF_QUEUE_MOVE);
		else
			wf_token_begin(batch, visit);
		wf_scope_judge_soon(batch, visit->instance, visit->scope);
	}
}

/* ---- which joins go on ---- */

/* Does the visit wait at its join, and may it go on? */
static bool
waits(const WfVisit *visit)
{
	return !visit->ended && !wf_state_is_ending(visit) && visit->state == WF_STATE_WAITING &&
		   visit->waits_for == WF_WAITS_FOR_JOIN;
}

/* In a suspended instance it becomes ready, and begins when that is resumed. */
static void
go_on(WfBatch *batch, WfVisit *visit)
{
	if (visit->def->join.kind == WF_JOIN_COUNT)
		wf_scope_mark_late(batch, visit);
	wf_scope_pass(visit);
	/* counted on from the token that came last, so that a loop through the join still meets the step limit */
	visit->steps_without_wait = wf_scope_tokens(visit->instance, visit->scope)->last_steps;
	wf_state_go_on(visit);
	wf_token_begin_in_turn(batch, visit);
}

static void
lack_tokens(WfBatch *batch, WfVisit *visit, const char *others)
{
	WfFault fault = {0};

	wf_fault(&fault, WF_CODE_JOIN, "the join waits for %d tokens, of which " INT64_FORMAT " came and %s",
			 visit->def->join.n, wf_scope_join(visit)->arrived, others);
	wf_push_fault(batch, visit, &fault);
}

typedef enum Verdict
{
	STANDS,
	GOES_ON,
	LACKS, /* fewer tokens can come than it waits for */
} Verdict;

static Verdict
judge(const WfStep *step, const WfJoinCount *join)
{
	if (step->join.kind == WF_JOIN_ALL)
		return join->upstream == 0 ? GOES_ON : STANDS;
	if (join->arrived >= step->join.n)
		return GOES_ON;
	return join->upstream == 0 ? LACKS : STANDS;
}

static bool
stands_longer(const WfVisit *visit, const WfVisit *than)
{
	return visit->entered_at < than->entered_at || (visit->entered_at == than->entered_at && visit->id < than->id);
}

/*
 * All tokens of a scope stand at joins, which wait for each other: of those that wait for all, the
 * one that stands longest goes on. Those that wait for a number of tokens cannot get it.
 */
static void
break_the_tie(WfBatch *batch, WfInstance *instance, const WfStepList *list, WfTokens *tokens)
{
	const WfStep *steps = instance->process->def->steps;
	WfVisit		 *longest = NULL;
	bool		  all = false;

	for (int slot = 0; slot < list->njoins; slot++)
	{
		WfVisit *visit = tokens->joins[slot].standing != 0
							 ? wf_batch_need_visit(batch, instance, tokens->joins[slot].standing)
							 : NULL;
		bool	 is_all = steps[list->joins[slot]].join.kind == WF_JOIN_ALL;

		if (tokens->joins[slot].standing == 0)
			continue;
		/* an incident may still go on */
		if (!waits(visit))
			return;
		if (all && !is_all)
			continue;
		if (longest == NULL || is_all != all || stands_longer(visit, longest))
			longest = visit;
		all = is_all;
	}
	if (longest == NULL)
		return;
	if (all)
		go_on(batch, longest);
	else
		lack_tokens(batch, longest, "the others wait at joins");
}

void
wf_op_judge(WfBatch *batch, WfInstance *instance, WfVisit *scope)
{
	const WfStepList *list = wf_scope_list(instance, scope);
	const WfStep	 *steps = instance->process->def->steps;
	WfTokens		 *tokens = wf_scope_tokens(instance, scope);
	int				  nstanding = 0;
	int				  nmoving = 0;

	tokens->is_judged = false;
	if (scope != NULL && scope->ended)
		return;
	for (int slot = 0; slot < tokens->njoins; slot++)
	{
		WfJoinCount *join = &tokens->joins[slot];
		Verdict		 verdict = join->standing != 0 ? judge(&steps[list->joins[slot]], join) : STANDS;
		WfVisit		*visit;

		nstanding += join->standing != 0;
		if (verdict == STANDS)
			continue;
		nmoving++;
		visit = wf_batch_need_visit(batch, instance, join->standing);
		if (!waits(visit))
			continue;
		if (verdict == GOES_ON)
			go_on(batch, visit);
		else
			lack_tokens(batch, visit, "no other can come");
	}
	if (nstanding > 0 && nmoving == 0 && tokens->n == nstanding)
		break_the_tie(batch, instance, list, tokens);
}
