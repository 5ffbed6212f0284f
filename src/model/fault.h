/*
 * fault.h
 *		What went wrong with one visit, as a value: engine code returns it, and never throws it.
 *
 * `code` is what `catch` and `$error.code` see: a name that a process author gave, an HTTP status
 * ("404"), a SQLSTATE, or one of the words below.
 */
#ifndef WF_FAULT_H
#define WF_FAULT_H

#include "postgres.h"

#define WF_CODE_TEMPLATE  "template"  /* a template could not be rendered */
#define WF_CODE_PREDICATE "predicate" /* a predicate gave something else than a boolean */
#define WF_CODE_CHOOSE	  "choose"	  /* no branch of `choose` or `next` was true */
#define WF_CODE_JOIN	  "join"	  /* fewer tokens can come to a join than it waits for */
#define WF_CODE_CONNECT	  "connect"	  /* no connection, or it broke before an answer */
#define WF_CODE_TIMEOUT	  "timeout"	  /* an attempt took longer than its timeout */
/* the reply cannot be read: too large, or it says JSON and is not */
#define WF_CODE_REPLY	"reply"
#define WF_CODE_REQUEST "request" /* a request that may not be sent: address, header, server, rights */
#define WF_CODE_LOST	"lost"	  /* an attempt whose answer did not come before its worker ended; only on record */
#define WF_CODE_AUTH	"auth"	  /* no credentials could be had: a file, or a token service */
#define WF_CODE_DATA	"data"	  /* the data would be larger than workflow.max_data */
#define WF_CODE_SEND	"send"	  /* several wait for a message that goes to one, or it may not be kept */
#define WF_CODE_CALL	"call" /* the process of `call` cannot be started: not there, no right, too deep, a living key */
#define WF_CODE_TASK	"task" /* a task is for a role that does not exist, or for nobody */
#define WF_CODE_DIED	"died" /* the server crashes whenever this visit is worked on */
#define WF_CODE_MOVE	"move" /* a move of the engine failed or took too long */

typedef struct WfFault
{
	const char *code;		 /* NULL: no fault */
	const char *message;	 /* one sentence, without secrets */
	int			http_status; /* 0: no status */
	char		sqlstate[6]; /* "": no SQLSTATE */
} WfFault;

/*
 * Fill *fault; the message is formatted in CurrentMemoryContext. Returns false, so that callers can
 * `return wf_fault(…)`.
 */
extern bool wf_fault(WfFault *fault, const char *code, const char *fmt, ...) pg_attribute_printf(3, 4);

#endif
