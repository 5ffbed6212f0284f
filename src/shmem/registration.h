/*
 * registration.h
 *		A worker process before it runs: its description, and the place that is reserved for it.
 */
#ifndef WF_REGISTRATION_H
#define WF_REGISTRATION_H

#include "postgres.h"

#include "postmaster/bgworker.h"

typedef enum WfWorkerKind
{
	WF_LAUNCHER,
	WF_DISPATCHER,
	WF_EXECUTOR,
} WfWorkerKind;

/* Goes with a started process, in bgw_extra. */
typedef struct WfTicket
{
	int	   index;
	uint32 generation;
} WfTicket;

/* Fill in what dispatchers and executors have in common. The caller may set bgw_notify_pid. */
extern void wf_worker_prepare(BackgroundWorker *worker, WfWorkerKind kind, Oid database, const WfTicket *ticket);

#endif
