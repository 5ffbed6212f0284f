/*
 * shape.c
 *		The shapes that many keys have in common.
 */
#include "postgres.h"

#include "model/reader.h"
#include "model/shape.h"

const WfJsonShape wf_shape_any = {.types = WF_TAKES_ANY};
const WfJsonShape wf_shape_bool = {.types = WF_TAKES_BOOL};
const WfJsonShape wf_shape_true = {.types = WF_TAKES_BOOL, .only_true = true};
const WfJsonShape wf_shape_string = {.types = WF_TAKES_STRING};
const WfJsonShape wf_shape_name = {.types = WF_TAKES_STRING, .not_blank = true};
const WfJsonShape wf_shape_scalar = {.types = WF_TAKES_SCALAR};
const WfJsonShape wf_shape_number = {.types = WF_TAKES_NUMBER, .whole = true, .minimum = 1, .maximum = 999999999};
const WfJsonShape wf_shape_interval =
	{.name = "interval",
	 .says = "An interval, such as \"30 s\" or \"2 days\"; most may be templates: \"${$.days} days\".",
	 .types = WF_TAKES_STRING,
	 .not_blank = true};
const WfJsonShape wf_shape_predicate =
	{.name = "predicate",
	 .says = "A jsonpath that is true or false, such as \"$.amount > 100\", without ${ }.",
	 .types = WF_TAKES_STRING,
	 .not_blank = true};
const WfJsonShape wf_shape_changes = {.name = "changes",
									  .says = "Fields of the data and their new values, which may be templates.",
									  .types = WF_TAKES_OBJECT};
const WfJsonShape wf_shape_pairs = {.name = "pairs",
									.says = "Names and values; strings may be templates.",
									.types = WF_TAKES_OBJECT,
									.members = &wf_shape_scalar};
const WfJsonShape wf_shape_targets = {.name = "targets",
									  .says = "The name of a step, or a list of several: each gets a token.",
									  .types = WF_TAKES_STRING | WF_TAKES_ARRAY,
									  .items = &wf_shape_string,
									  .min_items = 1};

bool
wf_shape_has(const WfJsonShape *shape, const char *key)
{
	for (int i = 0; i < shape->nfields; i++)
	{
		if (shape->fields[i].read != NULL && strcmp(shape->fields[i].key, key) == 0)
			return true;
	}
	return false;
}

bool
wf_shape_stands(const WfJsonShape *shape, const WfBeside *beside, const WfJson *node)
{
	const WfJson *with = wf_json_member(node, beside->with);

	if (wf_json_member(node, beside->key) == NULL)
		return true;
	if (beside->not_false == NULL)
		return with != NULL;
	return !wf_shape_has(shape, beside->with) || (with != NULL && with->type == WF_JSON_BOOL && !with->truth);
}
