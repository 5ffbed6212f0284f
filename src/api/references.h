/*
 * references.h
 *		Do the things to which a definition refers exist, and may its owner use them: servers, URLs,
 *		and what its SQL names?
 */
#ifndef WF_REFERENCES_H
#define WF_REFERENCES_H

#include "postgres.h"

#include "model/definition.h"

/*
 * Add an issue, at its JSON path, for each server that does not exist or that `owner` may not use,
 * for each URL that no server covers, and for SQL that does not parse or analyse; a warning for each process, other than
 * `process` itself, that cannot be called. To be called inside wf_store_enter.
 */
extern void wf_references_check(const WfReferences *references, const char *process, Oid owner, const char *search_path,
								WfIssues *issues);

#endif
