/*
 * message_start.h
 *		Messages that start an instance: which processes start on one, and what such an instance begins with.
 *
 * A role starts instances of processes on which it has the privilege start; it does not hear of others. All functions
 * are called inside wf_store_enter.
 */
#ifndef WF_MESSAGE_START_H
#define WF_MESSAGE_START_H

#include "postgres.h"

#include "store/kept.h"
#include "store/process.h"

typedef struct WfMessageStart
{
	WfProcess		*process; /* its latest version */
	const WfStartOn *on;
	bool			 suspended;	   /* its instances start suspended */
	const char		*business_key; /* set by wf_message_start_prepare; NULL: none */
} WfMessageStart;

/* Store what starts instances of the latest version of the process, NULL: nothing, and leave the wake-up for it. */
extern void wf_message_starts_store(int process_id, const WfDefinition *def);

/*
 * Find the processes that start on a message from `role`, in the order of their numbers, palloc'd; of `process_id`
 * alone if that is not 0. Returns how many. One that is for an instance starts none.
 */
extern int wf_message_starts(const WfMessage *message, Oid role, int process_id, WfMessageStart **starts);

/* "processes \"a\", \"b\"", for an error. */
extern char *wf_message_starts_text(const WfMessageStart *starts, int n);

/*
 * Can an instance begin with the data of this message? Returns false with *fault, whose SQLSTATE is the one that a caller
 * is told; so do the next ones.
 */
extern bool wf_message_start_takes(const WfMessageStart *start, const WfMessage *message, WfFault *fault);
/* The same, and work out its business key: that runs what the author of the process has written. */
extern bool wf_message_start_prepare(WfMessageStart *start, const WfMessage *message, WfFault *fault);
/* Only its business key, of an entry of any kind, from what its author may use. */
extern bool wf_message_start_work_out_key(WfMessageStart *start, const WfVariables *variables, WfFault *fault);
/* Has no living instance the business key? Returns false with *fault. */
extern bool wf_message_start_is_free(const WfMessageStart *start, WfFault *fault);

/* Let an executor start it: nobody who sends in the course of a move may wait for a business key. */
extern void wf_message_start_queue(const WfMessageStart *start, const WfMessage *message);

#endif
