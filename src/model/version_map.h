/*
 * version_map.h
 *		What of one version of a process is what in another one: steps, and the entries of each.
 */
#ifndef WF_VERSION_MAP_H
#define WF_VERSION_MAP_H

#include "postgres.h"

#include "model/definition.h"

/* What has become of a step, and of its entries. */
typedef struct WfStepMap
{
	int	  to;	   /* its index; -1: the other version has none */
	int	 *entries; /* by entry of the old step: the entry of the new one; -1: there is none */
	int	 *from;	   /* the other way round */
	bool *is_same; /* by entry of the new step: its event is the very same as that of the old one */
	bool  same_timeout;
	bool  same_heartbeat;
	/* What is stored of its entries stays as it is: their numbers, and what handlers by events interrupt. */
	bool same_entries;
} WfStepMap;

typedef struct WfVersionMap
{
	const WfDefinition *from;
	const WfDefinition *to;
	WfStepMap		   *steps; /* by index of the old step */
} WfVersionMap;

/*
 * Map each step to the one of its name, but for those of `steps` (indexes by index of the old step; -1: by its name). Of
 * the entries of two steps those are the same that say the same and lead to the same; then those that say the same; then clocks,
 * conditions and messages that lead to the same, whatever their time, predicate and key. In CurrentMemoryContext.
 */
extern WfVersionMap *wf_version_map(const WfDefinition *from, const WfDefinition *to, const int *steps);

/* The list of steps in which an instance begins, below WF_PROCESS_STEP if there is one. */
extern int wf_definition_top_list(const WfDefinition *def);

#endif
