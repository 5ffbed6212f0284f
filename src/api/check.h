/*
 * check.h
 *		Faults and warnings of a definition.
 */
#ifndef WF_CHECK_H
#define WF_CHECK_H

#include "postgres.h"

#include "model/definition.h"

/*
 * Find everything that workflow.define would say about `json`, for a process of that name (NULL: not known) and owner, with
 * SQL read under that search_path: faults go to *issues, and warnings, which do not keep it from
 * being stored, to issues->warnings unless that is NULL. To be called inside wf_store_enter; stores
 * nothing. Returns its compiled form; NULL: it cannot be read.
 */
extern WfDefinition *wf_check_definition(const char *json, const char *process, Oid owner, const char *search_path,
										 WfIssues *issues);

#endif
