/*
 * executor_work.h
 *		What is due for executors: queue by queue, and whose it is.
 *
 * Each process has a queue of its own, "executor <process_id>", for its visits and for what is delivered to them; each
 * attachment has one for its write-backs, "executor table <attachment>"; upkeep has "executor". A name stays while owners change:
 * whose work it is, is looked up when it is to be done.
 */
#ifndef WF_EXECUTOR_WORK_H
#define WF_EXECUTOR_WORK_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct WfExecutorWork
{
	char	   *queue;
	bool		deliveries; /* else visits */
	int			n; /* that are due, up to the limit */
	TimestampTz since; /* due time of the first row */
	TimestampTz next; /* the first due time in the future; 0: none */
} WfExecutorWork;

/* Names, palloc'd. */
extern char *wf_executor_queue(int process_id);
extern char *wf_executor_queue_of_table(int attachment);

extern bool wf_is_executor_queue(const char *queue); /* NULL is none */

/* All queues for executors that have rows, a palloc'd array; at most `limit` rows of each are counted. Inside wf_store_enter. */
extern int	wf_executor_work(TimestampTz now, int limit, WfExecutorWork **work);

/*
 * The role that work of this queue is done for: owner of the process, or of the attached table. InvalidOid: nobody's, as upkeep is,
 * or what belongs to a role, a table or an attachment that is not there any more. Inside wf_store_enter.
 */
extern Oid	wf_executor_queue_role(const char *queue);

#endif
