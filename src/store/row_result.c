/*
 * row_result.c
 *		What columns of an attached row show of the data of its instance: result_columns of workflow.attach.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include "model/guard.h"
#include "model/json.h"
#include "model/variable.h"
#include "store/row_result.h"

/* ---- of the attachment ---- */

int
wf_row_results_read(Jsonb *columns, WfResultColumn **results)
{
	JsonbIterator	  *it;
	JsonbIteratorToken token;
	JsonbValue		   value;
	int				   n = 0;

	*results = NULL;
	if (columns == NULL)
		return 0;
	*results = palloc(sizeof(WfResultColumn) * Max(JB_ROOT_COUNT(columns), 1));
	it = JsonbIteratorInit(&columns->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_KEY)
			(*results)[n] = (WfResultColumn){.column = wf_jsonb_scalar_text(&value)};
		else if (token == WJB_VALUE)
			(*results)[n++].path = wf_jsonb_scalar_text(&value);
	return n;
}

Jsonb *
wf_row_results_store(const WfAttachment *attachment)
{
	WfField *fields = palloc0(sizeof(WfField) * Max(attachment->nresults, 1));

	if (attachment->nresults == 0)
		return NULL;
	for (int i = 0; i < attachment->nresults; i++)
		fields[i] =
			(WfField){.key = attachment->results[i].column, .kind = WF_FIELD_TEXT, .text = attachment->results[i].path};
	return wf_jsonb_object(fields, attachment->nresults);
}

WfExpression *
wf_row_result_compile(const char *path, const char **message, const char **hint)
{
	WfExpression *expression = wf_expression_compile(path, strlen(path), message, hint);
	uint32		  variables = expression != NULL ? wf_expression_variables(expression) : 0;

	if (variables == 0)
		return expression;
	*message = psprintf("\"$%s\" is of a step", wf_variable_name(pg_rightmost_one_pos32(variables)));
	*hint = "A field of the instance's data is written $.field.";
	return NULL;
}

/* ---- values ---- */

typedef struct Working
{
	const WfExpression *expression;
	const WfVariables  *variables;
	WfRowResult		   *result;
} Working;

static void
work_out(void *arg)
{
	Working	  *working = arg;
	JsonbValue value;

	if (wf_expression_value(working->expression, working->variables, &value) && value.type != jbvNull)
		working->result->value = JsonbValueToJsonb(&value);
}

void
wf_row_results_compile(WfAttachment *attachment)
{
	const char *message;
	const char *hint;

	for (int i = 0; i < attachment->nresults; i++)
		attachment->results[i].expression = wf_row_result_compile(attachment->results[i].path, &message, &hint);
}

WfRowResult *
wf_row_results_work_out(const WfAttachment *attachment, Jsonb *data, const char *timezone, const char **unworked)
{
	WfVariables	 variables = {.data = data, .timezone = timezone, .index = -1};
	WfRowResult *results = palloc0(sizeof(WfRowResult) * Max(attachment->nresults, 1));

	*unworked = NULL;
	for (int i = 0; i < attachment->nresults; i++)
	{
		const WfResultColumn *column = &attachment->results[i];
		const char			 *message = "it is no jsonpath";
		Working				  working = {column->expression, &variables, &results[i]};

		results[i].worked = working.expression != NULL && wf_guard_run(work_out, &working, &message);
		if (!results[i].worked && *unworked == NULL)
			*unworked =
				psprintf("column \"%s\": \"%s\" cannot be worked out: %s", column->column, column->path, message);
	}
	return results;
}

bool
wf_row_results_differ(const WfRowResult *a, const WfRowResult *b, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (a[i].worked != b[i].worked || (a[i].value == NULL) != (b[i].value == NULL))
			return true;
		if (a[i].value != NULL && compareJsonbContainers(&a[i].value->root, &b[i].value->root) != 0)
			return true;
	}
	return false;
}

Jsonb *
wf_row_results_keep(const WfAttachment *attachment, const WfRowResult *results)
{
	WfField *fields = palloc0(sizeof(WfField) * Max(attachment->nresults, 1));

	for (int i = 0; i < attachment->nresults; i++)
		fields[i] = (WfField){.key = attachment->results[i].column,
							  .jsonb = results[i].value,
							  .omit = results[i].value == NULL};
	return wf_jsonb_object(fields, attachment->nresults);
}

WfRowResult *
wf_row_results_kept(const WfAttachment *attachment, Jsonb *kept)
{
	WfRowResult *results = palloc0(sizeof(WfRowResult) * Max(attachment->nresults, 1));

	for (int i = 0; i < attachment->nresults; i++)
		results[i] = (WfRowResult){true, wf_jsonb_get(kept, attachment->results[i].column)};
	return results;
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* A whole number is one, whatever its scale: 6.00 is 6. */
static char *
scalar_text(const JsonbValue *value, Oid type)
{
	if (value->type == jbvNumeric && is_integer(type))
		return numeric_normalize(value->val.numeric);
	return wf_jsonb_scalar_text(value);
}

char *
wf_row_result_text(const WfRowResult *result, Oid type)
{
	Oid		   base = getBaseType(type);
	JsonbValue value;
	char	  *text = NULL;

	if (result->value == NULL)
		return NULL;
	if (base != JSONOID && base != JSONBOID && JsonbExtractScalar(&result->value->root, &value))
		text = scalar_text(&value, base);
	return text != NULL ? text : JsonbToCString(NULL, &result->value->root, VARSIZE(result->value));
}
