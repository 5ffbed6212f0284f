/*
 * graph.h
 *		The steps of a definition by name and list, and the ways between them.
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

typedef struct WfEdge /* a way from one step to another */
{
	int from;
	int to;
} WfEdge;

typedef struct WfGraph
{
	WfDefinition   def;		/* must be first: callers see only this */
	int			  *by_name; /* indexes of steps, sorted by name, but for those that are the items of others */
	int			   nnamed;
	const WfJson **nodes; /* the JSON of each step, while it is read */
	/*
	 * Ways that the definition's structs do not hold: misspelt ones as they were meant. While the
	 * definition is read.
	 */
	WfEdge *edges;
	int		nedges;
	int		edges_allocated;
	WfUse  *uses;
	int		nuses;
	int		uses_allocated;
	bool	has_bad_routes; /* a route leads nowhere, or where it must not */
	bool   *unread;			/* lists with a route that could not be read, or names no step */
} WfGraph;

/*
 * Make the lists of steps of the definition `root`, take the names from them, and sort them. Steps
 * without a usable name get "". Returns false, with an issue, if there are too many.
 */
extern bool wf_graph_index(WfGraph *graph, const WfJson *root, WfIssues *issues);

/*
 * The step that the string `node` names, in step `from` (-1: outside of steps). Returns -1, with an
 * issue, if there is none, or if it is one of another list.
 */
extern int wf_graph_route(WfGraph *graph, int from, const WfJson *node, WfIssues *issues);

/*
 * Note that step `from` (-1: the process) has a route that could not be read: it may lead to any
 * step of its list.
 */
extern void wf_graph_unread(WfGraph *graph, int from);

/* Is there such a route in the list of the step? */
extern bool wf_graph_is_unread(const WfGraph *graph, int step);

/* The step that comes after a step that does not say where it goes; -1: none, it ends. */
extern int wf_graph_following(const WfGraph *graph, int step);

/* The list of steps in which an instance begins, below WF_PROCESS_STEP if there is one. */
extern int wf_graph_top_list(const WfGraph *graph);

/* The target of one step; -1: of none. */
extern WfTargets wf_graph_target(int step);

/* Add a way that only serves to find what is reached. Does nothing if one of the steps is -1. */
extern void wf_graph_add_edge(WfGraph *graph, int from, int to);

/* Note that a variable which only handlers set is used in `node`, within that step. */
extern void wf_graph_add_use(WfGraph *graph, int step, const WfJson *node, int variable);

#endif
