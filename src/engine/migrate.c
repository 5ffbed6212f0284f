/*
 * migrate.c
 *		Taking an instance to another version of its process.
 *
 * Each visit goes on at the step that its own has become (carry.c), in the same scope; only the process as a whole may come
 * to be a scope, or cease to be one. What joins know is counted anew from the visits: where they stand,
 * how many have arrived, and who is too late is kept; who can still come is another question in another graph.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/migrate.h"
#include "engine/offer.h"
#include "engine/operations.h"
#include "engine/scope.h"
#include "engine/subscribe.h"
#include "engine/token.h"
#include "store/subscription.h"

/* Error code of the process as a scope, which it is no longer. */
#define CODE_MIGRATED "MIGRATED"

typedef struct Migrating
{
	WfBatch			  *batch;
	WfInstance		  *instance;
	const WfMigration *migration;
	WfProcess		  *before;
	WfCarried		  *visits;
	int				   n;
	WfVisit			  *process;	  /* the process as a scope in the new version; NULL: it is none, or that has ended */
	WfVisit			  *gone;	  /* the same in the old version, if the new one is none */
	bool			   is_new;	  /* `process` is made now */
	List			  *obstacles; /* of texts */
} Migrating;

/* ---- places ---- */

static const WfStepList *
list_of(const WfDefinition *def, const WfStep *step)
{
	return &def->lists[step->list];
}

static bool
is_of_process(const WfDefinition *def, const WfStep *step)
{
	int parent = list_of(def, step)->parent;

	return parent < 0 || parent == def->process_step;
}

static const char *
inside_of(bool is_item, const char *step)
{
	return psprintf("inside of %sstep \"%s\"", is_item ? "an item of " : "", step);
}

/* A token stays in its scope. */
static void
judge_place(Migrating *migrating, const WfCarried *carried)
{
	const WfDefinition *from = migrating->migration->map->from;
	const WfDefinition *to = migrating->migration->map->to;
	int					version = migrating->migration->to->version;
	const WfVisit	   *visit = carried->visit;
	int					parent = list_of(to, carried->step)->parent;
	const char		   *place = parent >= 0 && parent != to->process_step
									? inside_of(to->steps[parent].is_item, to->steps[parent].name)
									: "a step of the process itself";

	if (!carried->outermost)
	{
		if (visit->scope->def != NULL && migrating->migration->map->steps[visit->scope->def->index].to == parent)
			return;
		wf_carry_refuse(visit, &migrating->obstacles, "is %s, but step \"%s\" of version %d is %s",
						inside_of(wf_is_item(visit->scope), visit->scope->step), carried->step->name, version, place);
	}
	else if (!is_of_process(to, carried->step))
		wf_carry_refuse(visit, &migrating->obstacles,
						"is at step \"%s\" of the process itself, but step \"%s\" of version %d is %s", visit->step,
						carried->step->name, version, place);
	/* what handlers of the process lead to is apart */
	else if (from->process_step >= 0 && to->process_step >= 0 &&
			 (list_of(from, carried->old)->parent < 0) != (parent < 0))
		wf_carry_refuse(visit, &migrating->obstacles,
						"is at step \"%s\", and only in one of the versions handlers of the process lead there",
						visit->step);
}

/* Two tokens cannot stand at one join. */
static void
judge_standing(Migrating *migrating)
{
	for (int i = 0; i < migrating->n; i++)
		for (int j = 0; migrating->visits[i].stands && j < i; j++)
		{
			const WfCarried *a = &migrating->visits[i];
			const WfCarried *b = &migrating->visits[j];

			if (b->stands && a->step == b->step && a->visit->scope == b->visit->scope)
				wf_carry_refuse(a->visit, &migrating->obstacles,
								"would stand at the join of step \"%s\" beside " INT64_FORMAT "_" INT64_FORMAT,
								a->step->name, b->visit->instance->id, b->visit->id);
		}
}

static void
judge_all(Migrating *migrating)
{
	if (migrating->instance->ending != WF_STATUS_ACTIVE)
	{
		migrating->obstacles = lappend(migrating->obstacles, pstrdup("it is about to end"));
		return;
	}
	for (int i = 0; i < migrating->n; i++)
	{
		WfCarried *carried = &migrating->visits[i];

		wf_carry_judge(carried, migrating->batch->now, &migrating->obstacles);
		if (carried->step != NULL)
			judge_place(migrating, carried);
	}
	if (migrating->obstacles == NIL)
		judge_standing(migrating);
}

/* ---- the process as a scope ---- */

/* Is there a token that would live in it? */
static bool
is_process_needed(const Migrating *migrating)
{
	const WfDefinition *to = migrating->migration->map->to;

	for (int i = 0; i < migrating->n; i++)
	{
		const WfCarried *carried = &migrating->visits[i];

		if (carried->step != NULL && carried->outermost && list_of(to, carried->step)->parent == to->process_step)
			return true;
	}
	return false;
}

static void
find_process(Migrating *migrating)
{
	for (int i = 0; i < migrating->n; i++)
	{
		WfVisit *visit = migrating->visits[i].visit;

		if (migrating->visits[i].ends)
			migrating->gone = visit;
		else if (visit->def->index == migrating->migration->map->from->process_step)
			migrating->process = visit;
	}
}

/* Plan its begin, as of the start of the instance. */
static bool
begin_process(Migrating *migrating, WfFault *fault)
{
	WfInstance	 *instance = migrating->instance;
	WfDefinition *def = migrating->migration->to->def;
	WfVisit		 *visit = wf_batch_new_visit(migrating->batch, instance, &def->steps[def->process_step], 0);
	WfVariables	  variables;

	migrating->process = visit;
	migrating->is_new = true;
	visit->entered_at = instance->started_at;
	wf_engine_variables(visit, &variables);
	return (!visit->def->timeout.present || wf_clock_after(visit, &visit->def->timeout, &variables, visit->entered_at,
														   &visit->clocks.deadline, fault)) &&
		   wf_clock_plan_handlers(migrating->batch, visit, fault) &&
		   wf_subscribe(migrating->batch, visit, 0, visit->def->nentries, fault) &&
		   wf_offer_handlers(migrating->batch, visit, fault);
}

/* Leave no trace of it. */
static void
undo_process(Migrating *migrating)
{
	if (!migrating->is_new)
		return;
	wf_subscriptions_drop(migrating->batch, migrating->process);
	migrating->process->memory.absorbed = true;
	migrating->process->ended = true;
}

/* It is there now. Its conditions are judged soon. */
static void
make_process(Migrating *migrating)
{
	WfVisit *visit = migrating->process;

	wf_state_set_suspended(migrating->batch, visit, migrating->instance->status == WF_STATUS_SUSPENDED);
	wf_state_stand(migrating->batch, visit, WF_WAITS_FOR_STEPS);
	for (int i = 0; i < visit->def->nentries; i++)
		if (visit->def->entries[i].event.kind == WF_EVENT_CONDITION)
			(void) wf_subscription_add(migrating->batch, visit, i, NULL);
	visit->tokens.reached_end = migrating->instance->tokens.reached_end;
	migrating->instance->tokens.reached_end = false;
	migrating->instance->tokens.n++;
}

static void
end_process(Migrating *migrating)
{
	WfVisit *visit = migrating->gone;
	WfFault	 why = {.code = CODE_MIGRATED};

	why.message =
		psprintf("version %d has neither \"timeout\" nor \"catch\" of the process", migrating->migration->to->version);
	visit->outcome = WF_OUTCOME_CANCELLED;
	visit->error = wf_engine_error(&why, visit->attempt);
	visit->docs.result = wf_token_result(migrating->batch, visit, visit->outcome, visit->error);
	migrating->instance->tokens.reached_end |= visit->tokens.reached_end;
	migrating->instance->tokens.n--;
	wf_state_end(migrating->batch, visit);
}

/* The scope in which a visit lives from now on. */
static WfVisit *
new_scope(const Migrating *migrating, const WfCarried *carried)
{
	const WfDefinition *to = migrating->migration->map->to;

	if (!carried->outermost)
		return carried->visit->scope;
	return list_of(to, carried->step)->parent == to->process_step ? migrating->process : NULL;
}

static void
place(Migrating *migrating, const WfCarried *carried)
{
	WfVisit *visit = carried->visit;
	WfVisit *scope = new_scope(migrating, carried);

	if (visit->scope == scope)
		return;
	wf_scope_tokens(visit->instance, visit->scope)->n--;
	wf_scope_tokens(visit->instance, scope)->n++;
	visit->scope = scope;
	visit->scope_id = scope != NULL ? scope->id : 0;
	visit->place_changed = true;
	visit->changed = true;
}

/* ---- joins ---- */

/* The joins for which the token is too late, as the new version numbers them. */
static WfSlots
late_in(const Migrating *migrating, const WfCarried *carried)
{
	const WfVersionMap *map = migrating->migration->map;
	const WfStepList   *before = list_of(map->from, carried->old);
	const WfSlots	   *late = &carried->visit->late;
	WfSlots				now = {.slots = palloc(sizeof(int) * Max(late->n, 1))};

	for (int slot = 0; slot < list_of(map->to, carried->step)->njoins; slot++)
	{
		int join = list_of(map->to, carried->step)->joins[slot];

		if (map->to->steps[join].join.kind != WF_JOIN_COUNT)
			continue;
		for (int i = 0; i < late->n; i++)
		{
			if (map->steps[before->joins[late->slots[i]]].to != join)
				continue;
			now.slots[now.n++] = slot;
			break;
		}
	}
	return now;
}

static void
forget_joins(WfTokens *tokens)
{
	tokens->joins = NULL;
	tokens->njoins = 0;
}

static void
count_anew(Migrating *migrating)
{
	forget_joins(&migrating->instance->tokens);
	if (migrating->process != NULL)
		forget_joins(&migrating->process->tokens);
	for (int i = 0; i < migrating->n; i++)
		if (!migrating->visits[i].ends)
			forget_joins(&migrating->visits[i].visit->tokens);
	for (int i = 0; i < migrating->n; i++)
	{
		const WfCarried *carried = &migrating->visits[i];

		if (!carried->stands)
			continue;
		wf_scope_join(carried->visit)->standing = carried->visit->id;
		wf_scope_join(carried->visit)->arrived = carried->arrived;
	}
	for (int i = 0; i < migrating->n; i++)
		if (!migrating->visits[i].ends)
			wf_scope_count_anew(migrating->visits[i].visit);
}

/* ---- planning, and doing so ---- */

static void
turn(Migrating *migrating, bool back)
{
	migrating->instance->process = back ? migrating->before : migrating->migration->to;
	for (int i = 0; i < migrating->n; i++)
		wf_carry_turn(&migrating->visits[i], back);
}

static void
plan(Migrating *migrating)
{
	const WfDefinition *to = migrating->migration->map->to;
	WfFault				fault = {0};

	for (int i = 0; i < migrating->n; i++)
	{
		WfCarried *carried = &migrating->visits[i];

		if (carried->ends || wf_carry_plan(migrating->batch, carried, &fault))
			continue;
		wf_carry_refuse(carried->visit, &migrating->obstacles, "cannot be at step \"%s\" of version %d: %s",
						carried->step->name, migrating->migration->to->version, fault.message);
		fault = (WfFault){0};
	}
	if (migrating->process == NULL && to->process_step >= 0 && migrating->migration->map->from->process_step < 0 &&
		is_process_needed(migrating) && !begin_process(migrating, &fault))
		migrating->obstacles =
			lappend(migrating->obstacles, psprintf("the \"timeout\" and \"catch\" of version %d cannot begin: %s",
												   migrating->migration->to->version, fault.message));
}

static void
make(Migrating *migrating)
{
	WfInstance *instance = migrating->instance;

	for (int i = 0; i < migrating->n; i++)
	{
		WfCarried *carried = &migrating->visits[i];

		if (carried->ends)
			continue;
		carried->visit->late = late_in(migrating, carried);
		wf_carry_make(migrating->batch, carried);
	}
	if (migrating->is_new)
		make_process(migrating);
	for (int i = 0; i < migrating->n; i++)
		if (!migrating->visits[i].ends)
			place(migrating, &migrating->visits[i]);
	if (migrating->gone != NULL)
		end_process(migrating);
	count_anew(migrating);
	instance->changed = true;
}

List *
wf_engine_migrate(WfBatch *batch, WfInstance *instance, const WfMigration *migration)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Migrating migrating = {.batch = batch, .instance = instance, .migration = migration, .before = instance->process};
	ListCell *lc;

	migrating.visits = palloc(sizeof(WfCarried) * Max(list_length(instance->visits), 1));
	foreach (lc, instance->visits)
		wf_carry_begin(&migrating.visits[migrating.n++], migration, lfirst(lc));
	judge_all(&migrating);
	if (migrating.obstacles == NIL)
	{
		find_process(&migrating);
		turn(&migrating, false);
		plan(&migrating);
		if (migrating.obstacles != NIL)
		{
			undo_process(&migrating);
			turn(&migrating, true);
		}
		else
			make(&migrating);
	}
	MemoryContextSwitchTo(old);
	return migrating.obstacles;
}

void
wf_engine_migrated(WfBatch *batch, WfInstance *instance)
{
	ListCell *lc;

	wf_scope_judge_soon(batch, instance, NULL);
	foreach (lc, instance->visits)
	{
		WfVisit *visit = lfirst(lc);

		if (visit->ended)
			continue;
		if (visit->tokens.n > 0)
			wf_scope_judge_soon(batch, instance, visit);
		/* more of them may be under way now */
		if (wf_has_more_items(visit))
			wf_push(batch, visit, WF_ITEMS);
	}
	if (instance->process->def->has_conditions)
	{
		instance->judges_conditions = true;
		instance->judges_all = true;
		instance->data_steps = 0;
	}
	wf_agenda_run(batch, instance);
}
