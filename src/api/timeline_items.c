/*
 * timeline_items.c
 *		What workflow.timeline tells of long lists.
 *
 * Nobody reads ten thousand lines that say the same. Of a list that is longer than a screen, items are told that were an
 * incident, had a bad outcome, or needed several attempts or a person; of the others the line that
 * tells how the list ended, or how far it is, says how many there are with each outcome.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "api/timeline_internal.h"

#define MOST_ITEMS 20 /* told of one list */

static const char *const outcomes[] = {"SUCCESS", "FAILED", "CANCELLED", "TIMED_OUT", "DIED", "SYSTEM_ERROR"};

/* A list, by the place of the visit that goes through it; or an item of one, by its own. */
typedef struct Listed
{
	WfPlace *whole;	  /* of an item: the place of the visit that goes through the list; NULL: it is none */
	bool	 special; /* something has happened to it that a reader looks for */
	bool	 untold;
	/* of a list */
	int n;
	int ntold;
	int ended[lengthof(outcomes)];
} Listed;

typedef struct Lists
{
	const WfPlaces *places;
	Listed		   *of; /* by place */
} Lists;

static Listed *
item_of(const Lists *items, const WfPlace *place)
{
	return &items->of[place - items->places->of];
}

/* An item is at a step of the same name as the one around it. */
static void
find_items(Lists *items)
{
	const WfPlaces *places = items->places;

	items->of = palloc_extended(sizeof(Listed) * Max(places->n, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < places->n; i++)
	{
		WfPlace *place = &places->of[i];
		WfPlace *around = place->item != WF_NO_ITEM ? wf_timeline_place(places, place->scope) : NULL;

		if (around == NULL || strcmp(around->step, place->step) != 0)
			continue;
		items->of[i].whole = around;
		item_of(items, around)->n++;
	}
}

static bool
is_special(const WfTold *event)
{
	switch (event->rank)
	{
		case WF_RANK_ENTERED:
			return false;
		case WF_RANK_ENDED:
			return strcmp(event->outcome, "SUCCESS") != 0 && strcmp(event->outcome, "CANCELLED") != 0;
		case WF_RANK_STANDING:
			return event->outcome != NULL;
		default:
			return true;
	}
}

static void
count_end(Lists *items, const Listed *item, const WfTold *event)
{
	for (int i = 0; i < lengthof(outcomes); i++)
		if (strcmp(outcomes[i], event->outcome) == 0)
			item_of(items, item->whole)->ended[i]++;
}

/* Note what has happened to items: also what happened inside of them. */
static void
note_events(Lists *items, const WfTold *events, int n)
{
	for (int i = 0; i < n; i++)
	{
		WfPlace *place = wf_timeline_place(items->places, events[i].visit);
		bool	 special = is_special(&events[i]);

		if (place != NULL && events[i].rank == WF_RANK_ENDED && item_of(items, place)->whole != NULL)
			count_end(items, item_of(items, place), &events[i]);
		for (; special && place != NULL; place = wf_timeline_place(items->places, place->scope))
			item_of(items, place)->special = true;
	}
}

/* What is in something that is not told is not told either; it has a higher number. */
static void
choose_items(Lists *items)
{
	const WfPlaces *places = items->places;

	for (int i = 0; i < places->n; i++)
	{
		Listed	*item = &items->of[i];
		WfPlace *around = wf_timeline_place(places, places->of[i].scope);
		Listed	*whole = item->whole != NULL ? item_of(items, item->whole) : NULL;

		item->untold = around != NULL && item_of(items, around)->untold;
		if (whole == NULL || whole->n <= MOST_ITEMS || item->untold)
			continue;
		item->untold = !item->special || whole->ntold == MOST_ITEMS;
		if (!item->untold)
			whole->ntold++;
	}
}

/* The text "; of 10000 items 9998 SUCCESS, 2 FAILED: 2 are told of". */
static const char *
summed_up(const Listed *list)
{
	StringInfoData text;
	int			   living = list->n;
	const char	  *separator = " ";

	initStringInfo(&text);
	appendStringInfo(&text, "; of %d items", list->n);
	for (int i = 0; i < lengthof(outcomes); i++)
	{
		living -= list->ended[i];
		if (list->ended[i] == 0)
			continue;
		appendStringInfo(&text, "%s%d %s", separator, list->ended[i], outcomes[i]);
		separator = ", ";
	}
	if (living > 0)
		appendStringInfo(&text, "%s%d not ended", separator, living);
	appendStringInfo(&text, ", %d told here", list->ntold);
	return text.data;
}

int
wf_timeline_items(WfPlaces *places, WfTold *events, int n)
{
	Lists items = {.places = places};
	int	  kept = 0;

	find_items(&items);
	note_events(&items, events, n);
	choose_items(&items);
	for (int i = 0; i < n; i++)
	{
		WfPlace *place = wf_timeline_place(places, events[i].visit);
		Listed	*item = place != NULL ? item_of(&items, place) : NULL;
		bool	 last = events[i].rank == WF_RANK_ENDED || events[i].rank == WF_RANK_STANDING;

		CHECK_FOR_INTERRUPTS();
		if (item != NULL && item->untold)
			continue;
		if (item != NULL && item->n > MOST_ITEMS && last)
			events[i].text = psprintf("%s%s", events[i].text, summed_up(item));
		events[kept++] = events[i];
	}
	return kept;
}
