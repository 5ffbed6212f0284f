/*
 * options.h
 *		Values of the options of servers and user mappings: read the same way when they are set and
 *		when they are used.
 *
 * No function here throws for a bad value, so that one that got past the validator cannot stop a
 * worker.
 */
#ifndef WF_OPTIONS_H
#define WF_OPTIONS_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "nodes/parsenodes.h"

#define WF_FDW_NAME "workflow_http"

/* The value of an option, or NULL if the list of DefElem has none of that name. */
extern const char *wf_option_get(List *options, const char *name);

/*
 * Each of these reads one kind of value: it returns NULL and sets *result, or returns what is
 * expected instead, a constant text to follow "expected".
 */
extern const char *wf_option_milliseconds(const char *text, int *result);
/* also in milliseconds, at most 24 hours */
extern const char *wf_option_timeout(const char *text, int *result);
extern const char *wf_option_count(const char *text, int *result);
extern const char *wf_option_bytes(const char *text, int64 *result);
extern const char *wf_option_boolean(const char *text, bool *result);
extern const char *wf_option_file(const char *text);

/* The options of a row of pg_foreign_server as a list of DefElem. */
extern List *wf_option_list_of_server(HeapTuple tuple, TupleDesc desc);

#endif
