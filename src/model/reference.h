/*
 * reference.h
 *		What a definition refers to outside of itself, recorded while it is read.
 *
 * Reading is pure and cannot ask whether these things exist; callers that can go by this list.
 */
#ifndef WF_REFERENCE_H
#define WF_REFERENCE_H

#include "postgres.h"

#include "model/definition.h"
#include "model/json.h"

/*
 * References of one step are listed in this order, whatever the order in which they were written.
 */
typedef enum WfReferenceKind
{
	WF_REFERENCE_SERVER, /* by its name */
	WF_REFERENCE_URL,	 /* URL of a request, which some server has to cover */
	WF_REFERENCE_CANCEL_URL,
	WF_REFERENCE_SQL, /* an SQL statement */
	/* The name of a process that is called; the version, if one is given, stands beside it. */
	WF_REFERENCE_PROCESS,
	/* A template that uses the URL of a webhook: see workflow.callback_base. */
	WF_REFERENCE_WEBHOOK,
	/* The name of a server, whose user mapping has the secret of a signature. */
	WF_REFERENCE_SECRET,
} WfReferenceKind;

typedef struct WfReference
{
	WfReferenceKind kind;
	int				step;
	/* A string: its text is what is referred to, its place that of an issue. */
	const WfJson *node;
} WfReference;

struct WfReferences
{
	WfReference *items;
	int			 n;
	int			 allocated;
};

/*
 * Add what `node`, within that step, refers to. Does nothing unless it is a string that is not
 * empty, nor if `references` is NULL: nobody asks.
 */
extern void wf_reference_add(WfReferences *references, WfReferenceKind kind, int step, const WfJson *node);

#endif
