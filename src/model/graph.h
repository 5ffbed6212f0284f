/*
 * graph.h
 *		The steps of a definition by name, and the ways between them.
 */
#ifndef WF_GRAPH_H
#define WF_GRAPH_H

#include "postgres.h"

#include "model/definition.h"
#include "model/json.h"

/* A variable that is there only in what follows a handler. */
typedef struct WfUse
{
	const WfJson *node;
	int			step;
	int			variable;
} WfUse;

/* A way that the definition's structs do not hold: of what is not supported yet, or a misspelt one as it was meant. */
typedef struct WfEdge
{
	int			from;
	int			to;
} WfEdge;

typedef struct WfGraph
{
	WfDefinition def;			/* first: callers see only this */
	int		   *by_name;		/* indexes of steps, sorted by name */
	const WfJson **nodes;		/* of each step, while it is being read */
	WfEdge	   *edges;			/* while it is being read */
	int			nedges;
	int			edges_allocated;
	WfUse	   *uses;
	int			nuses;
	int			uses_allocated;
} WfGraph;

/* Make a list of the array of steps, take the names from it, and sort them. Steps without a usable name get "". */
extern void wf_graph_index(WfGraph *graph, const WfJson *steps, WfIssues *issues);

/* The step that the string `node` in step `from` (-1: outside of steps) names; -1 with an issue if there is none. */
extern int	wf_graph_route(WfGraph *graph, int from, const WfJson *node, WfIssues *issues);

/* One step, or (-1) none. */
extern WfTargets wf_graph_target(int step);

/* A way that only serves to find what is reached; nothing if one of the two is -1. */
extern void wf_graph_add_edge(WfGraph *graph, int from, int to);

/* In `node`, within that step, stands a variable that only handlers set. */
extern void wf_graph_add_use(WfGraph *graph, int step, const WfJson *node, int variable);

/* Steps that are never reached, loops that can never be left, variables that no handler has set. */
extern void wf_graph_check(WfGraph *graph, WfIssues *issues);

#endif
