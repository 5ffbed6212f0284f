/*
 * executor_work.h
 *		What is due for executors: queue by queue, and for which role.
 *
 * Each process has a queue of its own, "executor <process_id>", for its visits and deliveries to
 * them; each attachment has one for its write-backs, "executor table <attachment>"; the upkeep has
 * "executor". The name of a queue stays when owners change: the role is looked up when the work is
 * done.
 */
#ifndef WF_EXECUTOR_WORK_H
#define WF_EXECUTOR_WORK_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct WfExecutorWork
{
	char	   *queue;
	bool		deliveries; /* the rows of the queue are deliveries; else visits */
	int			n;			/* rows that are due, counted up to the limit */
	TimestampTz since;		/* due time of the first row */
	TimestampTz next;		/* first due time in the future; 0: none */
} WfExecutorWork;

/* The names of the queues of a process and of an attachment, palloc'd. */
extern char *wf_executor_queue(int process_id);
extern char *wf_executor_queue_of_table(int attachment);

extern bool wf_is_executor_queue(const char *queue); /* false for NULL */

/*
 * All queues for executors that have rows, in a palloc'd array; at most `limit` rows of each are
 * counted. Returns how many queues. To be called inside wf_store_enter.
 */
extern int wf_executor_work(TimestampTz now, int limit, WfExecutorWork **work);

/*
 * The role for which work of this queue is done: the owner of the process, or of the attached
 * table. InvalidOid for the upkeep, and for what belongs to a role, table or attachment that does
 * not exist any more. To be called inside wf_store_enter.
 */
extern Oid wf_executor_queue_role(const char *queue);

#endif
