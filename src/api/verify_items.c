/*
 * verify_items.c
 *		Do the visits that go through lists count their items right?
 *
 * An item that was begun lives, or has ended; none is begun twice. Those in which something is an incident are counted
 * anew, from the inside outwards.
 */
#include "postgres.h"

#include "api/verify_internal.h"

static bool
is(const char *name, const char *expected)
{
	return name != NULL && strcmp(name, expected) == 0;
}

/* The visit of which this one is an item; NULL: it is none. */
static const WfVerifiedVisit *
whole_of(const WfVerify *verify, const WfVerifiedVisit *visit)
{
	const WfVerifiedVisit *around =
		visit->def != NULL && visit->def->is_item ? wf_verify_find(verify, visit->scope) : NULL;

	return around != NULL && around->def != NULL && around->def->action == WF_ACTION_EACH ? around : NULL;
}

/* Count an incident for the items that it is in, as the engine does. */
static void
count_incident(const WfVerify *verify, const WfVerifiedVisit *visit, int64 *stuck)
{
	while (visit != NULL)
	{
		const WfVerifiedVisit *around = visit->scope != 0 ? wf_verify_find(verify, visit->scope) : NULL;
		bool				   is_scope = visit->def != NULL && visit->def->action == WF_ACTION_STEPS;

		if (whole_of(verify, visit) != NULL && (!is_scope || stuck[visit - verify->visits]++ == 0))
			stuck[around - verify->visits]++;
		visit = around;
	}
}

static void
verify_counts(WfVerify *verify, const WfVerifiedVisit *visit, int64 stuck)
{
	const WfVerifiedItems *items = &visit->items;

	if (items->begun < 0 || items->begun > items->n)
		wf_verify_report(verify, visit, "has begun " INT64_FORMAT " of " INT64_FORMAT " items", items->begun, items->n);
	if (items->stuck != stuck)
		wf_verify_report(verify, visit, "counts " INT64_FORMAT " incidents of its items, but there are " INT64_FORMAT,
						 items->stuck, stuck);
	if (is(visit->waits_for, "each") && visit->tokens.n == 0 && items->begun < items->n && visit->queue == NULL)
		wf_verify_report(verify, visit, "has not begun all of its items, but nothing begins the next one");
}

static int
compare_items(const void *a, const void *b)
{
	const WfVerifiedVisit *left = *(const WfVerifiedVisit *const *) a;
	const WfVerifiedVisit *right = *(const WfVerifiedVisit *const *) b;

	if (left->scope != right->scope)
		return left->scope < right->scope ? -1 : 1;
	return left->item < right->item ? -1 : left->item > right->item;
}

/* Is each item one of those that were begun, and there once? */
static void
verify_each_once(WfVerify *verify)
{
	const WfVerifiedVisit **items = palloc(sizeof(WfVerifiedVisit *) * Max(verify->n, 1));
	int						n = 0;

	for (int i = 0; i < verify->n; i++)
		if (whole_of(verify, &verify->visits[i]) != NULL)
			items[n++] = &verify->visits[i];
	qsort(items, n, sizeof(items[0]), compare_items);
	for (int i = 0; i < n; i++)
	{
		if (items[i]->item < 0 || items[i]->item >= whole_of(verify, items[i])->items.begun)
			wf_verify_report(verify, items[i], "is of item %d, which has not been begun", items[i]->item);
		if (i > 0 && compare_items(&items[i - 1], &items[i]) == 0)
			wf_verify_report(verify, items[i], "is of item %d, which lives already", items[i]->item);
	}
}

void
wf_verify_items(WfVerify *verify)
{
	int64 *stuck = palloc0(sizeof(int64) * Max(verify->n, 1));

	for (int i = 0; i < verify->n; i++)
		if (is(verify->visits[i].state, "incident"))
			count_incident(verify, &verify->visits[i], stuck);
	for (int i = 0; i < verify->n; i++)
	{
		const WfVerifiedVisit *visit = &verify->visits[i];
		bool is_plain = visit->def == NULL || (visit->def->action != WF_ACTION_EACH && !visit->def->is_item);

		if (!is_plain || visit->items.n != 0 || visit->items.begun != 0 || visit->items.stuck != 0)
			verify_counts(verify, visit, stuck[i]);
	}
	verify_each_once(verify);
}
