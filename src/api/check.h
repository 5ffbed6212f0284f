/*
 * check.h
 *		What is wrong with a definition, and what its author should know of it.
 */
#ifndef WF_CHECK_H
#define WF_CHECK_H

#include "postgres.h"

#include "model/definition.h"

/*
 * Everything that workflow.define would say about `json`, for a process of that owner, with SQL read under that
 * search_path: faults in *issues, and in issues->warnings, unless that is NULL, what may be stored all the same. Inside
 * wf_store_enter; stores nothing.
 */
extern void wf_check_definition(const char *json, Oid owner, const char *search_path, WfIssues *issues);

#endif
