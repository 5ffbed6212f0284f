/*
 * each.h
 *		`each`: which list a step goes through, and how.
 */
#ifndef WF_EACH_H
#define WF_EACH_H

#include "postgres.h"

#include "model/definition.h"
#include "model/expression.h"

struct WfEach
{
	WfExpression *in;
	/*
	 * The part of `in` that names where the list is: it must be there, though nothing may be found in
	 * it. NULL: `in` names a place itself.
	 */
	WfExpression *place;
	int			  parallel; /* how many items at most are under way; 0: all */
	WfPredicate	 *until;	/* NULL: none */
	const char	 *collect;	/* field that gets what the items gave; NULL: none does */
};

/*
 * The list, as an array in CurrentMemoryContext. Returns false with *fault if it cannot be worked out, or
 * if there is none at that place.
 */
extern bool wf_each_list(const WfEach *each, const WfVariables *variables, Jsonb **list, WfFault *fault);

#endif
