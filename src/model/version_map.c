/*
 * version_map.c
 *		What of one version of a process is what in another one.
 */
#include "postgres.h"

#include "model/version_map.h"

/* ---- what is the same ---- */

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same_duration(const WfDuration *a, const WfDuration *b)
{
	if (a->present != b->present || (a->tmpl == NULL) != (b->tmpl == NULL))
		return false;
	if (!a->present)
		return true;
	if (a->tmpl != NULL)
		return wf_template_is_same(a->tmpl, b->tmpl);
	return a->interval.month == b->interval.month && a->interval.day == b->interval.day &&
		   a->interval.time == b->interval.time;
}

static bool
same_task(const WfTask *a, const WfTask *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return wf_template_is_same(a->title, b->title) && wf_template_is_same(a->assignee, b->assignee) &&
		   wf_template_is_same(a->roles, b->roles) && wf_template_is_same(a->due, b->due) &&
		   wf_template_is_same(a->data, b->data);
}

static bool
same_event(const WfEvent *a, const WfEvent *b)
{
	return a->kind == b->kind && same_text(a->name, b->name) && a->times == b->times &&
		   same_duration(&a->after, &b->after) && wf_template_is_same(a->until, b->until) &&
		   wf_template_is_same(a->key, b->key) && wf_predicate_is_same(a->condition, b->condition) &&
		   same_task(a->task, b->task) && wf_template_is_same(a->data, b->data);
}

/* Is one what has become of the other, if they lead to the same? */
static bool
is_like(const WfEvent *a, const WfEvent *b)
{
	return a->kind == b->kind && same_text(a->name, b->name) &&
		   (wf_is_clock(a->kind) || a->kind == WF_EVENT_CONDITION || a->kind == WF_EVENT_MESSAGE ||
			wf_is_offered(a->kind));
}

/* ---- the entries of a step ---- */

typedef struct Pair
{
	const WfVersionMap *map;
	const WfStep	   *from;
	const WfStep	   *to;
	WfStepMap		   *step;
} Pair;

static bool
leads_to_same(const Pair *pair, const WfEntry *a, const WfEntry *b)
{
	if (a->next.n != b->next.n)
		return false;
	for (int i = 0; i < a->next.n; i++)
		if (pair->map->steps[a->next.steps[i]].to != b->next.steps[i])
			return false;
	return true;
}

typedef enum Likeness
{
	ALL_SAME,
	EVENT_SAME,
	TARGETS_SAME,
	NLIKENESSES
} Likeness;

static bool
fits(const Pair *pair, const WfEntry *a, const WfEntry *b, Likeness likeness)
{
	switch (likeness)
	{
		case ALL_SAME:
			return a->interrupt == b->interrupt && same_event(&a->event, &b->event) && leads_to_same(pair, a, b);
		case EVENT_SAME:
			return same_event(&a->event, &b->event);
		default:
			/* of tasks and topics a step has one each, wherever that leads to */
			return is_like(&a->event, &b->event) && (wf_is_offered(a->event.kind) || leads_to_same(pair, a, b));
	}
}

/* Find the mates of entries, from `first` to before `end` of each step, that are not yet paired. */
static void
pair_entries(const Pair *pair, int first, int end, int new_first, int new_end, Likeness likeness)
{
	for (int i = first; i < end; i++)
	{
		const WfEntry *entry = &pair->from->entries[i];

		if (pair->step->entries[i] >= 0 || entry->event.kind == WF_EVENT_NONE)
			continue;
		for (int j = new_first; j < new_end; j++)
		{
			if (pair->step->from[j] >= 0 || !fits(pair, entry, &pair->to->entries[j], likeness))
				continue;
			pair->step->entries[i] = j;
			pair->step->from[j] = i;
			pair->step->is_same[j] = likeness != TARGETS_SAME;
			break;
		}
	}
}

static bool
are_entries_same(const Pair *pair)
{
	if (pair->from->nentries != pair->to->nentries || pair->from->nwaits != pair->to->nwaits)
		return false;
	for (int i = 0; i < pair->from->nentries; i++)
	{
		const WfEntry *a = &pair->from->entries[i];
		const WfEntry *b = &pair->to->entries[i];

		if (a->event.kind == WF_EVENT_NONE && b->event.kind == WF_EVENT_NONE)
			continue;
		if (pair->step->entries[i] != i || !pair->step->is_same[i] || a->interrupt != b->interrupt)
			return false;
	}
	return true;
}

static void
map_entries(const WfVersionMap *map, int old)
{
	WfStepMap *step = &map->steps[old];
	Pair	   pair = {map, &map->from->steps[old], &map->to->steps[step->to], step};

	step->entries = palloc(sizeof(int) * Max(pair.from->nentries, 1));
	step->from = palloc(sizeof(int) * Max(pair.to->nentries, 1));
	step->is_same = palloc0(sizeof(bool) * Max(pair.to->nentries, 1));
	for (int i = 0; i < pair.from->nentries; i++)
		step->entries[i] = -1;
	for (int j = 0; j < pair.to->nentries; j++)
		step->from[j] = -1;
	for (int likeness = 0; likeness < NLIKENESSES; likeness++)
	{
		pair_entries(&pair, 0, pair.from->nwaits, 0, pair.to->nwaits, likeness);
		pair_entries(&pair, pair.from->nwaits, pair.from->nentries, pair.to->nwaits, pair.to->nentries, likeness);
	}
	step->same_entries = are_entries_same(&pair);
	step->same_timeout = same_duration(&pair.from->timeout, &pair.to->timeout);
	step->same_heartbeat = same_duration(&pair.from->heartbeat, &pair.to->heartbeat);
}

/* What is done for an item becomes what the whole that it is of becomes does for one; -1: that goes through no list. */
static int
map_item(const WfVersionMap *map, int item)
{
	int whole = map->steps[map->from->lists[map->from->steps[item].list].parent].to;

	return whole >= 0 && map->to->steps[whole].each != NULL ? wf_step_of_item(map->to, &map->to->steps[whole])->index
															: -1;
}

WfVersionMap *
wf_version_map(const WfDefinition *from, const WfDefinition *to, const int *steps)
{
	WfVersionMap *map = palloc(sizeof(WfVersionMap));

	*map = (WfVersionMap){from, to, palloc0(sizeof(WfStepMap) * from->nsteps)};
	/* what is done for an item is listed behind the whole */
	for (int i = 0; i < from->nsteps; i++)
		map->steps[i].to = from->steps[i].is_item ? map_item(map, i)
						   : steps[i] >= 0		  ? steps[i]
												  : wf_definition_step(to, from->steps[i].name);
	for (int i = 0; i < from->nsteps; i++)
		if (map->steps[i].to >= 0)
			map_entries(map, i);
	return map;
}

int
wf_definition_top_list(const WfDefinition *def)
{
	return def->process_step >= 0 ? def->steps[def->process_step].inner : 0;
}
