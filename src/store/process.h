/*
 * process.h
 *		Look-ups of processes and their versions, in compiled form.
 */
#ifndef WF_PROCESS_H
#define WF_PROCESS_H

#include "postgres.h"

#include "executor/spi.h"

#include "model/definition.h"

typedef struct WfStepPlan
{
	SPIPlanPtr plan; /* kept plan; NULL: not prepared yet */
	size_t	   bytes;
} WfStepPlan;

/* one version; valid until the end of the transaction, with all it points to */
typedef struct WfProcess
{
	int			  process_id; /* of the process; privileges belong to it */
	int			  version;
	const char	 *name;
	const char	 *search_path;
	const char	 *timezone; /* time zone of its timers and templates */
	WfDefinition *def;

	/* for process_cache.c */
	TransactionId	  passing; /* the open (sub)transaction that has defined it; or none */
	size_t			  bytes;   /* memory, with plans */
	WfStepPlan		 *plans;   /* plans of the SQL of its steps; NULL: it has none */
	struct WfProcess *next_unfound;
} WfProcess;

/*
 * The compiled version. ERROR 42704 if there is none. To be called inside wf_store_enter, as are
 * all of the following.
 */
extern WfProcess *wf_process_get(int process_id, int version);

/* The owner of a process, as it is stored: by OID and name. False: there is no such process. */
extern bool wf_process_owner_stored(int process_id, Oid *owner, NameData *name);

/*
 * The compiled version of the process with that name; version 0: the latest. *suspended, unless
 * NULL, says whether its instances start suspended. ERROR 42704 for an unknown name or version,
 * 55000 for a process that was undefined.
 */
extern WfProcess *wf_process_by_name(const char *name, int version, bool *suspended);

/*
 * The same without an error for what is not there: NULL, and *missing says why. wf_process_find looks only: it returns
 * the number of the process, or 0, and whether a version is missing (0: the latest).
 */
typedef enum WfProcessMissing
{
	WF_PROCESS_THERE,
	WF_PROCESS_UNKNOWN,
	WF_PROCESS_UNDEFINED,
	WF_PROCESS_VERSION, /* it has no such version */
} WfProcessMissing;
extern WfProcess *wf_process_look_up(const char *name, int version, bool *suspended, WfProcessMissing *missing);
extern int		  wf_process_find(const char *name, int version, WfProcessMissing *missing);

/*
 * Where the plan of a step's SQL is kept, as long as the compiled version is. wf_process_plan_used
 * has to be called once the plan was run, since it has grown then.
 */
extern SPIPlanPtr *wf_process_plan(WfProcess *process, const WfStep *step);
extern void		   wf_process_plan_used(WfProcess *process, const WfStep *step);

/* The latest version of the process with that number, as wf_process_by_name; NULL: it is not there, or was undefined. */
extern WfProcess *wf_process_latest(int process_id, bool *suspended);

/* The number of its last version, also if it was undefined. */
extern int wf_process_last_version(int process_id);

/* The name of the process with that number, palloc'd. */
extern char *wf_process_name(int process_id);

/* Do new instances of the process start suspended? */
extern bool wf_process_is_suspended(int process_id);

/* Number of the process of that name, or 0. */
extern int wf_process_id(const char *name);

/*
 * Let new instances of the process start suspended, or no longer so. Locks the row of the process.
 * Returns false if it was so already.
 */
extern bool wf_process_set_suspended(int process_id, bool suspended);

#endif
