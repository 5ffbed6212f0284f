/*
 * fault.h
 *		What went wrong with one visit, as a value: engine code returns it, it never throws it.
 *
 * `code` is what `catch` and `$error.code` see: a name that a process author gave, an HTTP status ("404"), "connect",
 * "timeout", a SQLSTATE, or one of the words below.
 */
#ifndef WF_FAULT_H
#define WF_FAULT_H

#include "postgres.h"

#define WF_CODE_TEMPLATE "template"	  /* a template could not be rendered */
#define WF_CODE_PREDICATE "predicate" /* a predicate gave something that is no boolean */
#define WF_CODE_CHOOSE "choose"		  /* no branch of `choose` was true */
#define WF_CODE_CONNECT "connect"	  /* no connection, or it broke before an answer */
#define WF_CODE_TIMEOUT "timeout"	  /* one attempt took longer than its timeout */
#define WF_CODE_REPLY "reply"		  /* an answer that cannot be read: too large, or says JSON and is not */
#define WF_CODE_REQUEST "request"	  /* a request that may not be sent: address, header, server, rights */
#define WF_CODE_DATA "data"			  /* the data would be larger than workflow.max_data */
#define WF_CODE_DIED "died"			  /* the server crashes whenever it is worked on */
#define WF_CODE_MOVE "move"			  /* the engine's own move failed or took too long */

typedef struct WfFault
{
	const char *code;	 /* NULL: no fault */
	const char *message; /* one sentence, no secrets */
	int			http_status; /* 0: none */
	char		sqlstate[6]; /* "": none */
} WfFault;

/* Fill *fault. The message is formatted in CurrentMemoryContext. Returns false, so that callers can `return wf_fault(…)`. */
extern bool wf_fault(WfFault *fault, const char *code, const char *fmt, ...) pg_attribute_printf(3, 4);

#endif
