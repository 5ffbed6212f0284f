/*
 * definition_schema.c
 *		workflow.definition_schema: what editors know of definitions.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "model/schema.h"
#include "store/version.h"

WF_FUNCTION(workflow_definition_schema);

/*
 * workflow.definition_schema() RETURNS json
 *
 * The JSON Schema (2020-12) of what workflow.define takes.
 */
Datum
workflow_definition_schema(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(wf_definition_schema()));
}
