/*
 * flow.h
 *		How tokens can go: what is checked of the graph, and what joins have to know.
 */
#ifndef WF_FLOW_H
#define WF_FLOW_H

#include "postgres.h"

#include "model/graph.h"

/*
 * Check where tokens can go: steps that are never reached, loops that never end, branches of a fork
 * that run into each other, variables that no handler has set.
 */
extern void wf_flow_check(WfGraph *graph, WfIssues *issues);

/*
 * Number the joins of each list, find from where they are reached and where new rounds begin, and
 * check that they can fill. No route may lead to another list.
 */
extern void wf_flow_joins(WfGraph *graph, WfIssues *issues);

#endif
