/*
 * arguments.h
 *		Arguments of SQL functions: read, checked, and refused in the same words everywhere.
 *
 * To be read before wf_store_enter, so that they live as long as the call.
 */
#ifndef WF_ARGUMENTS_H
#define WF_ARGUMENTS_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/jsonb.h"

typedef struct WfSerial
{
	int64		instance;
	int64		visit;
} WfSerial;

/* ERROR 22004 where a value is needed and NULL is given. `name` is the argument's. */
extern void wf_argument_require(FunctionCallInfo fcinfo, int n, const char *name);

/* A C string; NULL for NULL. */
extern char *wf_argument_text(FunctionCallInfo fcinfo, int n);

/* The same, where a value is needed. */
extern char *wf_argument_text_required(FunctionCallInfo fcinfo, int n, const char *name);

/* jsonb; NULL for NULL. */
extern Jsonb *wf_argument_jsonb(FunctionCallInfo fcinfo, int n);

/* The same; ERROR 22023 if it is no object. */
extern Jsonb *wf_argument_object(FunctionCallInfo fcinfo, int n, const char *name);

/* False unless it is written the way it was issued. */
#define WF_SERIAL_MALFORMED "malformed serial number: \"%s\""
extern bool wf_serial_parse(const char *text, int len, WfSerial *serial);

/* A serial number. ERROR 22P02 unless it is written the way it was issued. */
extern WfSerial wf_argument_serial(FunctionCallInfo fcinfo, int n);

#endif
