/*
 * arguments.h
 *		Arguments of SQL functions: read, checked, and refused with the same messages everywhere.
 *
 * Arguments have to be read before wf_store_enter, so that they live as long as the call. `n` is
 * the number of the argument, counted from 0, and `name` its name for messages.
 */
#ifndef WF_ARGUMENTS_H
#define WF_ARGUMENTS_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* A uuid argument; NULL for NULL. */
extern pg_uuid_t *wf_argument_uuid(FunctionCallInfo fcinfo, int n);

typedef struct WfSerial
{
	int64 instance;
	int64 visit;
} WfSerial;

/* ERROR 22004 if argument n is NULL. */
extern void wf_argument_require(FunctionCallInfo fcinfo, int n, const char *name);

/* A text argument as a C string; NULL for NULL. */
extern char *wf_argument_text(FunctionCallInfo fcinfo, int n);

/* A text argument as a C string; ERROR 22004 for NULL. */
extern char *wf_argument_text_required(FunctionCallInfo fcinfo, int n, const char *name);

/* A jsonb argument; NULL for NULL. */
extern Jsonb *wf_argument_jsonb(FunctionCallInfo fcinfo, int n);

/* A jsonb argument; NULL for NULL, ERROR 22023 if it is not an object. */
extern Jsonb *wf_argument_object(FunctionCallInfo fcinfo, int n, const char *name);

/*
 * Parse `len` bytes of text. Returns false unless the serial number is written the way it was
 * issued.
 */
#define WF_SERIAL_MALFORMED "malformed serial number: \"%s\""
extern bool wf_serial_parse(const char *text, int len, WfSerial *serial);
/* What is wrong with one that is malformed: a sentence. */
extern const char *wf_serial_problem(const char *text);

/*
 * An argument that is a serial number. ERROR 22004 for NULL, 22P02 unless it is written the way it
 * was issued.
 */
extern WfSerial wf_argument_serial(FunctionCallInfo fcinfo, int n);

#endif
