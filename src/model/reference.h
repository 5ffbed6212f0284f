/*
 * reference.h
 *		What a definition refers to outside of itself, recorded while it is read.
 *
 * Reading is pure and cannot ask whether it is there; who can, goes by this list.
 */
#ifndef WF_REFERENCE_H
#define WF_REFERENCE_H

#include "postgres.h"

#include "model/definition.h"
#include "model/json.h"

/* Those of one step are listed in this order, whatever the order in which it was written. */
typedef enum WfReferenceKind
{
	WF_REFERENCE_SERVER,		/* by its name */
	WF_REFERENCE_URL,			/* of a request: some server has to cover it */
	WF_REFERENCE_CANCEL_URL,
	WF_REFERENCE_SQL,			/* a statement */
	WF_REFERENCE_WEBHOOK,		/* a template that uses the URL of one: see workflow.callback_base */
} WfReferenceKind;

typedef struct WfReference
{
	WfReferenceKind kind;
	int			step;
	const WfJson *node;			/* a string: its text is what is referred to, its place that of an issue */
} WfReference;

struct WfReferences
{
	WfReference *items;
	int			n;
	int			allocated;
};

/* Add what `node`, within that step, refers to; nothing unless it is a string that is not empty. */
extern void wf_reference_add(WfReferences *references, WfReferenceKind kind, int step, const WfJson *node);

#endif
