/*
 * process.h
 *		Processes and their versions: look-ups of their compiled form.
 */
#ifndef WF_PROCESS_H
#define WF_PROCESS_H

#include "postgres.h"

#include "executor/spi.h"

#include "model/definition.h"

typedef struct WfStepPlan
{
	SPIPlanPtr	plan; /* kept; NULL: not prepared yet */
	size_t		bytes;
} WfStepPlan;

typedef struct WfProcess /* one version: good until the end of the transaction, with all it points to */
{
	int			process_id; /* of the name; privileges hang on it */
	int			version;
	const char *name;
	const char *search_path;
	const char *timezone; /* in which its clocks are read */
	WfDefinition *def;

	/* of its cache */
	bool		passing;
	size_t		bytes; /* plans included */
	WfStepPlan *plans; /* of the SQL of its steps; NULL: none */
} WfProcess;

/* Inside wf_store_enter. ERROR 42704 if there is none. */
extern WfProcess *wf_process_get(int process_id, int version);

/*
 * version 0: the latest. ERROR 42704 for an unknown name or version, 55000 for one that was undefined. *suspended (or
 * NULL): its instances start suspended.
 */
extern WfProcess *wf_process_by_name(const char *name, int version, bool *suspended);

/*
 * Where the plan of a step's SQL is kept, for as long as the process is; once it was run, say so, since it has grown then.
 */
extern SPIPlanPtr *wf_process_plan(WfProcess *process, const WfStep *step);
extern void wf_process_plan_used(WfProcess *process, const WfStep *step);

/* Number of the process of that name, or 0. */
extern int	wf_process_id(const char *name);

/* From now on its instances start suspended, or no longer do. Locks the row of the process. False: it was so already. */
extern bool wf_process_set_suspended(int process_id, bool suspended);

#endif
