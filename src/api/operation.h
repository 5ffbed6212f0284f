/*
 * operation.h
 *		Calls that are made asynchronously: checked as far as that is possible without a lock, stored in the caller's
 *		transaction, and carried out by an executor.
 */
#ifndef WF_API_OPERATION_H
#define WF_API_OPERATION_H

#include "api/arguments.h"
#include "model/template.h"
#include "store/access.h"
#include "store/operation.h"

/*
 * Argument n, the mode: is the call asynchronous? *callback_url is argument n + 1, NULL if none is given; a NULL pointer: the function
 * has none. ERROR 22023 for a word that is no mode, a URL that cannot be one, or one without the mode async; 22004 for a NULL mode.
 */
extern bool wf_argument_async(FunctionCallInfo fcinfo, int n, char **callback_url);

/* Fields of arguments. What is NULL is left out. */
#define WF_OPERATION_TEXT(name, value) \
	{ \
		.key = (name), .kind = WF_FIELD_TEXT, .text = (value), .omit = (value) == NULL \
	}
#define WF_OPERATION_JSONB(name, value) \
	{ \
		.key = (name), .jsonb = (value), .omit = (value) == NULL \
	}

/*
 * Store the call, whose caller and arguments are still to be set. To be called inside wf_store_enter. With a callback_url, ERROR
 * 42501 unless the caller may view the process, 42704 unless a server that he may use covers the URL.
 */
extern void wf_operation_call(WfOperation *operation, const WfAccess *access, WfField *arguments, int n);

#endif
