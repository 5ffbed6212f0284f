/*
 * references.h
 *		Is it there, and may it be used, what a definition refers to: servers, and the tables that its SQL speaks of?
 */
#ifndef WF_REFERENCES_H
#define WF_REFERENCES_H

#include "postgres.h"

#include "model/definition.h"

/*
 * Inside wf_store_enter. Add an issue, at its JSON path, for each server that is not there or that `owner` may not use, for each URL
 * that no server covers, and for SQL that does not parse or analyse.
 */
extern void wf_references_check(const WfReferences *references, Oid owner, const char *search_path, WfIssues *issues);

#endif
