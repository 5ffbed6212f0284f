/*
 * process_handlers.h
 *		What the JSON of steps says of where they go, before they are read.
 */
#ifndef WF_PROCESS_HANDLERS_H
#define WF_PROCESS_HANDLERS_H

#include "postgres.h"

#include "model/definition.h"
#include "model/json.h"

/* Does the step `node` say where it goes? */
static inline bool
wf_step_has_route(const WfJson *node)
{
	static const char *const keys[] = {"next", "choose", "first_of", "end"};

	return wf_json_has_one_of(node, keys, lengthof(keys));
}

/*
 * Of the steps listed in the definition `root`, find those that its own "catch" leads to, and those
 * after them: an array of booleans. Steps that the start leads to as well get an issue, and are not
 * among them.
 */
extern bool *wf_process_handlers_find(const WfJson *root, const WfJson *steps, WfIssues *issues);

#endif
