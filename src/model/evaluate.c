/*
 * evaluate.c
 *		Evaluating compiled jsonpath: values of templates, and predicates.
 *
 * There are three ways, from cheap to dear: a chain of members ($.a.b, $reply.body.id,
 * $serial_number) is followed by hand; `chain == literal` is compared without the executor;
 * anything else is run by PostgreSQL's jsonpath executor, with an object of just those variables
 * that the path mentions. The two short cuts stop at an array, which lax mode would unwrap, and
 * leave that to the executor.
 *
 * The executor is not silent: it throws what it cannot compute, and wf_guard_run makes that a fault
 * without a subtransaction. It takes memory and nothing else; the settings for times are put back
 * here.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/jsonpath.h"
#include "utils/numeric.h"

#include "model/expression_internal.h"
#include "model/guard.h"
#include "model/issue.h"
#include "model/json.h"
#include "model/variable.h"
#include "model/zone.h"

typedef enum Found
{
	FOUND,
	MISSING,
	UNSURE, /* the executor has to be asked */
} Found;

/* ---- values ---- */

/* Where a chain begins; *next: the key that follows then. A field of data that are seen in layers is looked for in these. */
static Found
begin_chain(const WfChain *chain, const WfVariables *variables, JsonbValue *value, int *next)
{
	*next = 0;
	if (chain->variable != WF_VAR_DATA || variables->data != NULL || chain->nkeys == 0)
	{
		wf_variable_value(variables, chain->variable, value);
		return FOUND;
	}
	*next = 1;
	return variables->seen_field(variables, chain->keys[0].name, chain->keys[0].len, value) ? FOUND : MISSING;
}

static Found
follow_chain(const WfChain *chain, const WfVariables *variables, JsonbValue *value)
{
	int next;

	if (begin_chain(chain, variables, value, &next) == MISSING)
		return MISSING;
	for (int i = next; i < chain->nkeys; i++)
	{
		JsonbContainer *container;

		if (value->type != jbvBinary)
			return MISSING;
		container = value->val.binary.data;
		if (!JsonContainerIsObject(container))
			return UNSURE;
		if (getKeyJsonValueFromContainer(container, chain->keys[i].name, chain->keys[i].len, value) == NULL)
			return MISSING;
	}
	return FOUND;
}

/* Call one of the jsonb_path_query functions; NULL if the path gives no item. */
static Jsonb *
call_executor(PGFunction function, const WfExpression *expression, const WfVariables *variables)
{
	LOCAL_FCINFO(fcinfo, 4);
	Datum result;

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(wf_variable_data(variables));
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = PointerGetDatum(expression->path);
	fcinfo->args[1].isnull = false;
	fcinfo->args[2].value = JsonbPGetDatum(wf_variable_object(expression->own_variables, variables));
	fcinfo->args[2].isnull = false;
	fcinfo->args[3].value = BoolGetDatum(false);
	fcinfo->args[3].isnull = false;
	result = function(fcinfo);
	return fcinfo->isnull ? NULL : DatumGetJsonbP(result);
}

/* Run the jsonpath. The settings for times are changed only if the result may depend on them. */
static Jsonb *
execute_path(PGFunction function, const WfExpression *expression, const WfVariables *variables)
{
	Jsonb *result = NULL;
	int	   level;

	if (!expression->has_times || variables->timezone == NULL)
		return call_executor(function, expression, variables);
	level = wf_zone_enter(variables->timezone);
	PG_TRY();
	{
		result = call_executor(function, expression, variables);
	}
	PG_FINALLY();
	{
		wf_zone_leave(level);
	}
	PG_END_TRY();
	return result;
}

static void
throw_unknown(void)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("it is unknown: values of different kinds are compared, or one cannot be converted"));
}

/* The value of one side of ??, or false if it is missing. */
static bool
side_value(const WfExpression *expression, const WfVariables *variables, JsonbValue *value)
{
	Jsonb *first;

	if (expression->is_chain)
	{
		Found found = follow_chain(&expression->chain, variables, value);

		if (found != UNSURE)
			return found == FOUND;
	}
	first = execute_path(jsonb_path_query_first_tz, expression, variables);
	if (first == NULL)
		return false;
	wf_jsonb_value(first, value);
	if (expression->yields_boolean && value->type == jbvNull)
		throw_unknown();
	return true;
}

typedef struct Trial
{
	const WfExpression *expression;
	const WfVariables  *variables;
	JsonbValue		   *value;
	bool				found;
} Trial;

static void
try_side(void *arg)
{
	Trial *trial = arg;

	trial->found = side_value(trial->expression, trial->variables, trial->value);
}

bool
wf_expression_value(const WfExpression *expression, const WfVariables *variables, JsonbValue *value)
{
	const char *ignored;

	for (; expression->otherwise != NULL; expression = expression->otherwise)
	{
		Trial trial = {expression, variables, value, false};

		if (wf_guard_run(try_side, &trial, &ignored) && trial.found)
			return true;
	}
	return side_value(expression, variables, value);
}

/* ---- lists ---- */

typedef struct Listing
{
	const WfExpression *expression;
	const WfVariables  *variables;
	Jsonb			   *list;  /* NULL: there is nothing */
	Jsonb			   *empty; /* NULL, or a list without items that is there, of this side or one before */
} Listing;

static bool
is_empty(const Jsonb *list)
{
	return list == NULL || JB_ROOT_COUNT(list) == 0;
}

/* The array itself, or one with the value; of null an empty one. */
static Jsonb *
as_list(JsonbValue *value)
{
	WfJsonbState state = {0};

	if (value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data) &&
		!JsonContainerIsScalar(value->val.binary.data))
		return JsonbValueToJsonb(value);
	wf_jsonb_push(&state, WJB_BEGIN_ARRAY, NULL);
	if (value->type != jbvNull)
		wf_jsonb_push(&state, WJB_ELEM, value);
	return JsonbValueToJsonb(wf_jsonb_push(&state, WJB_END_ARRAY, NULL));
}

static void
take_value(Listing *listing, JsonbValue *value)
{
	listing->list = as_list(value);
	if (is_empty(listing->list))
		listing->empty = listing->list;
}

static void
list_side(void *arg)
{
	Listing	  *listing = arg;
	Jsonb	  *all;
	JsonbValue value;

	if (listing->expression->is_chain)
	{
		Found found = follow_chain(&listing->expression->chain, listing->variables, &value);

		if (found != UNSURE)
		{
			if (found == FOUND)
				take_value(listing, &value);
			return;
		}
	}
	all = execute_path(jsonb_path_query_array_tz, listing->expression, listing->variables);
	if (all == NULL || JB_ROOT_COUNT(all) != 1)
		listing->list = all;
	else
		take_value(listing, getIthJsonbValueFromContainer(&all->root, 0));
}

bool
wf_expression_list(const WfExpression *expression, const WfVariables *variables, Jsonb **list, WfFault *fault)
{
	Listing		listing = {expression, variables, NULL, NULL};
	const char *text = wf_issue_clip(expression->text);
	const char *message;

	for (; expression->otherwise != NULL; expression = expression->otherwise)
	{
		listing.expression = expression;
		listing.list = NULL;
		if (wf_guard_run(list_side, &listing, &message) && !is_empty(listing.list))
			break;
	}
	if (expression->otherwise == NULL)
	{
		listing.expression = expression;
		listing.list = NULL;
		if (!wf_guard_run(list_side, &listing, &message))
			return wf_fault(fault, WF_CODE_TEMPLATE, "\"%s\" cannot be worked out: %s", text, message);
	}
	*list = listing.list != NULL ? listing.list : listing.empty;
	return *list != NULL || wf_fault(fault, WF_CODE_TEMPLATE, "\"%s\" has no value", text);
}

/* ---- predicates ---- */

typedef enum Truth
{
	TRUTH_NO,
	TRUTH_YES,
	TRUTH_UNKNOWN,
	TRUTH_NONE, /* not a boolean */
} Truth;

typedef struct Judging
{
	const WfExpression *expression;
	const WfVariables  *variables;
	Truth				truth;
} Judging;

/* Is the value equal to the literal? Values of different types are not compared here. */
static bool
equals(const JsonbValue *value, const JsonbValue *literal)
{
	switch (literal->type)
	{
		case jbvString:
			return value->val.string.len == literal->val.string.len &&
				   memcmp(value->val.string.val, literal->val.string.val, literal->val.string.len) == 0;
		case jbvNumeric:
			return DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(value->val.numeric),
													NumericGetDatum(literal->val.numeric)));
		default:
			return value->val.boolean == literal->val.boolean;
	}
}

/*
 * Judge `chain == literal` without the executor; the literal is never null. UNSURE if the executor
 * has to be asked.
 */
static Found
judge_equality(Judging *judging)
{
	const JsonbValue *literal = &judging->expression->literal;
	JsonbValue		  value;
	Found			  found = follow_chain(&judging->expression->chain, judging->variables, &value);

	if (found == FOUND && value.type == jbvBinary && JsonContainerIsArray(value.val.binary.data))
		return UNSURE;
	if (found == MISSING || (found == FOUND && value.type == jbvNull))
		judging->truth = TRUTH_NO;
	else if (found == FOUND && value.type != literal->type)
		judging->truth = TRUTH_UNKNOWN;
	else if (found == FOUND)
		judging->truth = equals(&value, literal) ? TRUTH_YES : TRUTH_NO;
	return found;
}

static Truth
truth_of(const JsonbValue *value, const WfVariables *variables)
{
	if (value->type == jbvBool)
		return value->val.boolean ? TRUTH_YES : TRUTH_NO;
	return value->type == jbvNull && variables->is_row ? TRUTH_NO : TRUTH_NONE;
}

/* Judge what the path gives. Several items are not a boolean, whatever the first one is. */
static Truth
judge_items(const WfExpression *expression, const WfVariables *variables)
{
	Jsonb *all = execute_path(jsonb_path_query_array_tz, expression, variables);

	if (all == NULL || JB_ROOT_COUNT(all) == 0)
		return TRUTH_NO;
	if (JB_ROOT_COUNT(all) > 1)
		return TRUTH_NONE;
	return truth_of(getIthJsonbValueFromContainer(&all->root, 0), variables);
}

static void
judge_predicate(void *arg)
{
	Judging			   *judging = arg;
	const WfExpression *expression = judging->expression;
	JsonbValue			value;

	if (expression->is_equality && judge_equality(judging) != UNSURE)
		return;
	if (!expression->is_chain && !expression->yields_boolean)
		judging->truth = judge_items(expression, judging->variables);
	else if (side_value(expression, judging->variables, &value))
		judging->truth = truth_of(&value, judging->variables);
	else
		judging->truth = TRUTH_NO;
}

bool
wf_predicate_eval(const WfPredicate *predicate, const WfVariables *variables, bool *answer, WfFault *fault)
{
	Judging		judging = {predicate->expression, variables, TRUTH_NO};
	const char *text = predicate->expression->text;
	const char *message = "it is unknown: values of different kinds are compared";

	if (!wf_guard_run(judge_predicate, &judging, &message) || judging.truth == TRUTH_UNKNOWN)
		return wf_fault(fault, WF_CODE_PREDICATE, "the predicate \"%s\" cannot be worked out: %s", wf_issue_clip(text),
						message);
	if (judging.truth == TRUTH_NONE)
		return wf_fault(fault, WF_CODE_PREDICATE, "the predicate \"%s\" does not give a single boolean",
						wf_issue_clip(text));
	*answer = judging.truth == TRUTH_YES;
	return true;
}
