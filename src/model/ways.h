/*
 * ways.h
 *		The ways between steps as lists of edges, and the loops in them.
 */
#ifndef WF_WAYS_H
#define WF_WAYS_H

#include "postgres.h"

#include "model/graph.h"

/* Ways, sorted by the step from which they lead: those of step i begin at edges[first[i]]. */
typedef struct WfWays
{
	WfEdge *edges;
	int		n;
	int		allocated;
	int	   *first;
} WfWays;

/*
 * Steps that lead to each other in a loop are one component, any other step is one of its own. Ways
 * lead from a component to those with lower numbers only.
 */
typedef struct WfComponents
{
	int	 *of; /* the component of each step */
	int	  n;
	bool *loops; /* which of them are loops */
	int	 *order; /* all steps, sorted by the number of their component */
} WfComponents;

/* Add ways; then sort them, once. */
extern void wf_ways_add(WfWays *ways, int from, int to);
extern void wf_ways_sort(WfWays *ways, int nsteps);

/* The ways between steps of the same list: routes and handlers. */
extern WfWays wf_ways_in_lists(const WfDefinition *def);
/* The same ways, backwards. */
extern WfWays wf_ways_reversed(const WfWays *ways, int nsteps);

extern WfComponents wf_ways_components(const WfWays *ways, int nsteps);

/* Which steps do ways lead to from those that are set in `reached`? They are set there. */
extern void wf_ways_follow(const WfWays *ways, int nsteps, bool *reached);

#endif
