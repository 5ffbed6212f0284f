/*
 * process.h
 *		Processes and their versions: look-ups, and the cache of compiled definitions.
 */
#ifndef WF_PROCESS_H
#define WF_PROCESS_H

#include "postgres.h"

#include "model/definition.h"

typedef struct WfProcess /* one version, cached for the backend's life */
{
	int			process_id; /* of the name; privileges hang on it */
	int			version;
	const char *name;
	const char *search_path;
	const char *timezone; /* in which its clocks are read */
	WfDefinition *def;
} WfProcess;

/* Inside wf_store_enter. ERROR 42704 if there is none. */
extern WfProcess *wf_process_get(int process_id, int version);

/*
 * version 0: the latest. ERROR 42704 for an unknown name or version, 55000 for one that was undefined. *suspended (or
 * NULL): its instances start suspended.
 */
extern WfProcess *wf_process_by_name(const char *name, int version, bool *suspended);

/* Number of the process of that name, or 0. */
extern int	wf_process_id(const char *name);

/* From now on its instances start suspended, or no longer do. Locks the row of the process. */
extern void wf_process_set_suspended(int process_id, bool suspended);

#endif
