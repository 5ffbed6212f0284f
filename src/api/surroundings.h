/*
 * surroundings.h
 *		What a definition needs around it: servers, and the tables that its SQL speaks of.
 */
#ifndef WF_SURROUNDINGS_H
#define WF_SURROUNDINGS_H

#include "postgres.h"

#include "model/definition.h"

/*
 * Inside wf_store_enter. Add an issue, at its JSON path, for each server that is not there or that `owner` may not use, for each URL
 * that no server covers, and for SQL that does not parse or analyse. `json` may be any text.
 */
extern void wf_surroundings_check(const char *json, Oid owner, const char *search_path,
								  WfIssues *issues);

#endif
