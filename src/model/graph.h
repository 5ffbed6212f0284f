/*
 * graph.h
 *		The steps of a definition by name, and the ways between them.
 */
#ifndef WF_GRAPH_H
#define WF_GRAPH_H

#include "postgres.h"

#include "model/definition.h"
#include "model/json.h"

/* A use of a variable that exists only in steps behind a handler. */
typedef struct WfUse
{
	const WfJson *node;
	int			  step;
	int			  variable;
} WfUse;

/*
 * A way that the definition's structs do not hold: of a part that is not supported yet, or a
 * misspelt one as it was meant.
 */
typedef struct WfEdge
{
	int from;
	int to;
} WfEdge;

typedef struct WfGraph
{
	WfDefinition   def;		/* must be first: callers see only this */
	int			  *by_name; /* indexes of steps, sorted by name */
	const WfJson **nodes;	/* the JSON of each step, while it is read */
	WfEdge		  *edges;	/* while the definition is read */
	int			   nedges;
	int			   edges_allocated;
	WfUse		  *uses;
	int			   nuses;
	int			   uses_allocated;
} WfGraph;

/*
 * Make a list of the array of steps, take the names from it, and sort them. Steps without a usable
 * name get "".
 */
extern void wf_graph_index(WfGraph *graph, const WfJson *steps, WfIssues *issues);

/*
 * The step that the string `node` names, in step `from` (-1: outside of steps). Returns -1, with an
 * issue, if there is none.
 */
extern int wf_graph_route(WfGraph *graph, int from, const WfJson *node, WfIssues *issues);

/* The target of one step; -1: of none. */
extern WfTargets wf_graph_target(int step);

/* Add a way that only serves to find what is reached. Does nothing if one of the steps is -1. */
extern void wf_graph_add_edge(WfGraph *graph, int from, int to);

/* Note that a variable which only handlers set is used in `node`, within that step. */
extern void wf_graph_add_use(WfGraph *graph, int step, const WfJson *node, int variable);

/*
 * Check the graph: steps that are never reached, loops that never end, variables that no handler
 * has set.
 */
extern void wf_graph_check(WfGraph *graph, WfIssues *issues);

#endif
