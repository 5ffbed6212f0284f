/*
 * operation.h
 *		The table of operations: calls that were made asynchronously, and what has become of them.
 *
 * An operation that is still to be carried out has a delivery of kind WF_DELIVERY_OPERATION, whose transaction carries it out
 * and marks it as done. Those of an instance are carried out in the order of these. All functions are called inside
 * wf_store_enter.
 */
#ifndef WF_OPERATION_H
#define WF_OPERATION_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "store/delivery.h"
#include "store/relation.h"

/* The functions that can be called so. The order is that of their names in operation.c. */
typedef enum WfOperationCall
{
	WF_CALL_START,
	WF_CALL_SET_DATA,
	WF_CALL_CANCEL,
	WF_CALL_COMPLETE,
	WF_CALL_FAIL,
	WF_CALL_CLAIM,
	WF_CALL_SEND_MESSAGE,
	WF_CALL_SEND_SIGNAL,
} WfOperationCall;

typedef struct WfOperation
{
	int64			id;
	WfOperationCall call;
	int64			instance;	/* 0: none */
	int64			visit;		/* 0: none */
	int				process_id; /* 0: none */
	Oid				role;		/* who has called; InvalidOid: a role that does not exist any more */
	const char	   *role_name;
	Oid				session_role;	  /* who had logged in; InvalidOid likewise */
	Jsonb		   *arguments;		  /* an object, whose keys are the names of the arguments */
	char		   *traceparent;	  /* that the caller gave; NULL: none */
	char		   *callback_url;	  /* NULL: no callback is asked for */
	int				callback_process; /* that posts it: see engine/report.h */
	Jsonb		   *headers;		  /* of the call, which requests pass on: secrets; NULL: none */
} WfOperation;

/*
 * Store an operation with its delivery, leave the wake-up, and return its number. That, and the names, are not looked at.
 */
extern int64 wf_operation_add(const WfOperation *operation);
/* The number of the operation that this session has added last; 0: none. */
extern int64 wf_operation_last(void);

/* The process of an operation that is still to start the instance; 0: there is none. */
extern int wf_operation_starts(int64 instance);

/* Read the operation of a delivery, with all that is palloc'd. Returns false if there is none that is still to be carried out. */
extern bool wf_operation_read(const WfDelivery *delivery, WfOperation *operation);
/* The first delivery of operations of the instance behind `after`; 0: there is none. */
extern int64 wf_operation_next(int64 instance, int64 after);
/* Lock that delivery, of which delivery, instance and attempt are read. Waits for who puts it off. Returns false if it is gone. */
extern bool wf_operation_take(int64 id, WfDelivery *delivery);
/* Make it due now, as one that was never put off, and leave the wake-up. Waits likewise. */
extern void wf_operation_hasten(int64 id);
/*
 * Put off all deliveries of operations of the instance behind the first that are due, but for those that others have taken, each
 * for longer every time, up to a minute, and leave the wake-up. Who is done with one hastens the next.
 */
extern void wf_operations_put_off(int64 instance, int64 first);
/* The name of the function that is called. */
extern const char *wf_operation_call_name(const WfOperation *operation);
/* Run its SQL function as the current user. Returns what that has returned as text, palloc'd; NULL for NULL. Throws its errors. */
extern char *wf_operation_run(const WfOperation *operation);
/* The number that the instance must get which is being started; 0: none was reserved. It is forgotten then. */
extern int64 wf_operation_take_reserved(void);
extern void	 wf_operation_forget_reserved(void);

/* An error as operations show it, {sqlstate, message, detail, hint}; NULL: none of these. */
extern Jsonb *wf_operation_error(const char *sqlstate, const char *message, const char *detail, const char *hint);
/* Set columns of the row, which may be locked: all that are listed. */
extern void wf_operation_update(int64 operation, const WfRelationColumns *columns, const Datum *values,
								const bool *nulls);
/* It was carried out: what it has returned, NULL: nothing; or the error with which it has failed. */
extern void wf_operation_done(const WfOperation *operation, const char *answer, Jsonb *error);

/*
 * Delete a chunk of those that were done longer ago than `retention`, behind *after, which is moved on. Those of instances that are still
 * kept stay. Returns true if there may be more.
 */
extern bool wf_operations_purge(const char *retention, int64 *after);

#endif
