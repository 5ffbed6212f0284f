/*
 * reference.c
 *		What a definition refers to outside of itself, recorded while it is read.
 */
#include "postgres.h"

#include "model/reference.h"

static bool
is_recorded(const WfReferences *references, WfReferenceKind kind, const WfJson *node)
{
	const WfReference *last = references->n > 0 ? &references->items[references->n - 1] : NULL;

	return last != NULL && last->kind == kind && last->node == node;
}

void
wf_reference_add(WfReferences *references, WfReferenceKind kind, int step, const WfJson *node)
{
	int at;

	if (references == NULL || node->type != WF_JSON_STRING || node->text[0] == '\0' ||
		is_recorded(references, kind, node))
		return;
	if (references->n == references->allocated)
	{
		references->allocated = Max(8, references->allocated * 2);
		if (references->items)
			references->items = repalloc(references->items, references->allocated * sizeof(WfReference));
		else
			references->items = palloc(references->allocated * sizeof(WfReference));
	}
	/* of the kinds that are sorted here, a step has one each */
	for (at = references->n; at > 0 && references->items[at - 1].step == step && references->items[at - 1].kind > kind;
		 at--)
		references->items[at] = references->items[at - 1];
	references->items[at] = (WfReference){kind, step, node};
	references->n++;
}
