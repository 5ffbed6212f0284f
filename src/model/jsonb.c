/*
 * jsonb.c
 *		Small work on jsonb values: merging and taking apart, without going through text.
 *
 * Results are in CurrentMemoryContext, or are one of the arguments where nothing had to be changed.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "model/json.h"
#include "model/template.h"

MemoryContext
wf_jsonb_begin(void)
{
	return MemoryContextSwitchTo(AllocSetContextCreate(CurrentMemoryContext, "workflow jsonb", ALLOCSET_DEFAULT_SIZES));
}

Jsonb *
wf_jsonb_end(MemoryContext old, Jsonb *jsonb)
{
	MemoryContext scratch = MemoryContextSwitchTo(old);
	Jsonb		 *kept = NULL;

	if (jsonb != NULL)
	{
		kept = palloc(VARSIZE(jsonb));
		memcpy(kept, jsonb, VARSIZE(jsonb));
	}
	MemoryContextDelete(scratch);
	return kept;
}

Jsonb *
wf_jsonb_get(Jsonb *object, const char *key)
{
	JsonbValue value;

	if (!JB_ROOT_IS_OBJECT(object) || getKeyJsonValueFromContainer(&object->root, key, strlen(key), &value) == NULL ||
		value.type == jbvNull)
		return NULL;
	return JsonbValueToJsonb(&value);
}

char *
wf_jsonb_get_text(Jsonb *object, const char *key)
{
	JsonbValue value;

	if (object == NULL || !JB_ROOT_IS_OBJECT(object) ||
		getKeyJsonValueFromContainer(&object->root, key, strlen(key), &value) == NULL || value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

int64
wf_jsonb_get_int64(Jsonb *object, const char *key)
{
	JsonbValue value;

	if (object == NULL || !JB_ROOT_IS_OBJECT(object) ||
		getKeyJsonValueFromContainer(&object->root, key, strlen(key), &value) == NULL || value.type != jbvNumeric)
		return 0;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value.val.numeric)));
}

char *
wf_jsonb_scalar_text(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}
