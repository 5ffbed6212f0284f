/*
 * expression.c
 *		jsonpath over an instance's data and the variables of a step: values and predicates.
 *
 * An expression lives in the context of its definition and is never changed. Three ways to evaluate one, from cheap to
 * dear: a chain of members ($.a.b, $reply.body.id, $serial_number) is followed by hand; `chain == literal` compares
 * without the executor; anything else is run by PostgreSQL's jsonpath executor, with an object of just those variables
 * that it mentions. The two short cuts stop at an array, which lax mode would unwrap, and leave it to the executor.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonpath.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "model/expression.h"
#include "model/guard.h"
#include "model/issue.h"
#include "model/json.h"

/* Longest jsonpath, in bytes. */
#define MAX_TEXT 32768

typedef enum Variable
{
	VAR_SERIAL_NUMBER,
	VAR_INSTANCE,
	VAR_BUSINESS_KEY,
	VAR_PROCESS,
	VAR_STEP,
	VAR_ATTEMPT,
	VAR_CALLBACK_URL,
	VAR_HEARTBEAT_URL,
	VAR_REPLY,
	VAR_RESULT,
	VAR_EVENT,
	VAR_ERROR,
	VAR_CAUGHT,
	VAR_ITEM,
	VAR_INDEX,
} Variable;

#define NVARIABLES ((int) lengthof(variable_names))
#define VAR_DATA (-1)			/* `$` itself */

static const char *const variable_names[] = {
	[VAR_SERIAL_NUMBER] = "serial_number",
	[VAR_INSTANCE] = "instance",
	[VAR_BUSINESS_KEY] = "business_key",
	[VAR_PROCESS] = "process",
	[VAR_STEP] = "step",
	[VAR_ATTEMPT] = "attempt",
	[VAR_CALLBACK_URL] = "callback_url",
	[VAR_HEARTBEAT_URL] = "heartbeat_url",
	[VAR_REPLY] = "reply",
	[VAR_RESULT] = "result",
	[VAR_EVENT] = "event",
	[VAR_ERROR] = "error",
	[VAR_CAUGHT] = "caught",
	[VAR_ITEM] = "item",
	[VAR_INDEX] = "index",
};

typedef struct Key
{
	const char *name;
	int			len;
} Key;

/* $.a.b or $variable.a.b, in lax mode. */
typedef struct Chain
{
	int			variable;		/* or VAR_DATA */
	Key		   *keys;
	int			nkeys;
} Chain;

struct WfExpression
{
	const char *text;
	JsonPath   *path;
	uint32		variables;		/* mentioned: bits 1 << Variable */
	bool		yields_boolean; /* always one item: true, false or null */
	bool		is_chain;
	bool		is_equality;	/* chain == literal */
	Chain		chain;
	JsonbValue	literal;
};

struct WfPredicate
{
	WfExpression *expression;
};

typedef enum Found
{
	FOUND,
	MISSING,
	UNSURE,						/* ask the executor */
} Found;

/* ---- compiling ---- */

typedef struct Reading
{
	const char *text;
	JsonPath   *path;
	const char *canonical;
} Reading;

static void
read_path(void *arg)
{
	Reading    *reading = arg;
	Datum		path = DirectFunctionCall1(jsonpath_in, CStringGetDatum(reading->text));

	reading->path = DatumGetJsonPathP(path);
	reading->canonical = DatumGetCString(DirectFunctionCall1(jsonpath_out, path));
}

/* The chain that starts at `item` and has nothing behind it; false if it is none. */
static bool
read_chain(JsonPathItem *item, Chain *chain)
{
	JsonPathItem at = *item;
	JsonPathItem next;
	int			allocated = 0;

	chain->nkeys = 0;
	chain->keys = NULL;
	chain->variable = VAR_DATA;
	if (at.type == jpiVariable)
	{
		int32		len;
		const char *name = jspGetString(&at, &len);

		for (int i = 0; i < NVARIABLES; i++)
		{
			if (strcmp(name, variable_names[i]) == 0)
				chain->variable = i;
		}
	}
	else if (at.type != jpiRoot)
		return false;

	while (jspGetNext(&at, &next))
	{
		int32		len;

		if (next.type != jpiKey)
			return false;
		if (chain->nkeys == allocated)
		{
			allocated = Max(4, allocated * 2);
			chain->keys = chain->keys ? repalloc(chain->keys, allocated * sizeof(Key)) : palloc(allocated * sizeof(Key));
		}
		chain->keys[chain->nkeys].name = jspGetString(&next, &len);
		chain->keys[chain->nkeys].len = len;
		chain->nkeys++;
		at = next;
	}
	return true;
}

static bool
read_literal(JsonPathItem *item, JsonbValue *literal)
{
	int32		len;

	if (jspHasNext(item))
		return false;
	switch (item->type)
	{
		case jpiString:
			literal->type = jbvString;
			literal->val.string.val = jspGetString(item, &len);
			literal->val.string.len = len;
			return true;
		case jpiNumeric:
			literal->type = jbvNumeric;
			literal->val.numeric = jspGetNumeric(item);
			return true;
		case jpiBool:
			literal->type = jbvBool;
			literal->val.boolean = jspGetBool(item);
			return true;
		default:
			return false;
	}
}

static bool
is_boolean_operator(JsonPathItemType type)
{
	switch (type)
	{
		case jpiAnd:
		case jpiOr:
		case jpiNot:
		case jpiIsUnknown:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiExists:
		case jpiStartsWith:
		case jpiLikeRegex:
			return true;
		default:
			return false;
	}
}

/* Find out how it can be evaluated. Strings stay inside the path. */
static void
classify(WfExpression *expression)
{
	JsonPathItem item;
	JsonPathItem left;
	JsonPathItem right;
	bool		lax = (expression->path->header & JSONPATH_LAX) != 0;

	jspInit(&item, expression->path);
	expression->yields_boolean = is_boolean_operator(item.type) && !jspHasNext(&item);
	if (!lax)
		return;
	expression->is_chain = read_chain(&item, &expression->chain);
	if (item.type == jpiEqual && !jspHasNext(&item))
	{
		jspGetLeftArg(&item, &left);
		jspGetRightArg(&item, &right);
		expression->is_equality = read_literal(&right, &expression->literal) && read_chain(&left, &expression->chain);
	}
}

static int
variable_by_name(const char *name, int len)
{
	for (int i = 0; i < NVARIABLES; i++)
	{
		if (strlen(variable_names[i]) == len && strncmp(variable_names[i], name, len) == 0)
			return i;
	}
	return -1;
}

/* Those that are always null in this version are not offered. */
static const char *
offered_name_at(const void *names, int i)
{
	return i == VAR_EVENT || i == VAR_ITEM || i == VAR_INDEX ? NULL : wf_issue_name_at(names, i);
}

static const char *
unknown_variable_hint(const char *name)
{
	int			near = wf_issue_nearest(name, variable_names, NVARIABLES, offered_name_at);

	if (near >= 0)
		return psprintf("Perhaps you meant $%s instead of $%s.", variable_names[near], wf_issue_clip(name));
	return psprintf("A field of the instance's data is written $.%s.", wf_issue_clip(name));
}

/*
 * Collect the variables from the path as jsonpath_out prints it, where every name stands in double quotes and a
 * variable's behind a `$`. False if one is unknown.
 */
static bool
collect_variables(const char *canonical, uint32 *variables, const char **message, const char **hint)
{
	for (const char *p = canonical; *p; p++)
	{
		const char *start;
		bool		is_variable = p > canonical && p[-1] == '$';
		int			variable;

		if (*p != '"')
			continue;
		start = ++p;
		while (*p && *p != '"')
			p += (*p == '\\' && p[1]) ? 2 : 1;
		if (!is_variable)
			continue;
		variable = variable_by_name(start, p - start);
		if (variable < 0)
		{
			const char *name = pnstrdup(start, p - start);

			*message = psprintf("unknown variable \"$%s\"", wf_issue_clip(name));
			*hint = unknown_variable_hint(name);
			return false;
		}
		*variables |= 1u << variable;
	}
	return true;
}

static const char *
syntax_hint(const char *text)
{
	const char *p = text + strspn(text, " \t\r\n");
	int			variable = variable_by_name(p, strspn(p, "abcdefghijklmnopqrstuvwxyz_"));

	if (variable >= 0)
		return psprintf("The variable is written $%s.", variable_names[variable]);
	if (isalpha((unsigned char) *p) || *p == '_')
		return psprintf("A field of the instance's data is written $.%.*s, a text \"...\".",
						(int) strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"),
						wf_issue_clip(p));
	if (strstr(p, "===") || strchr(p, '\'') || strstr(p, " and ") || strstr(p, " or "))
		return "jsonpath compares with ==, joins with && and ||, and quotes texts with \"...\".";
	return NULL;
}

static bool
is_blank(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

/* Parsing leaves garbage behind: do it in a context of its own and keep a copy of the path. */
static JsonPath *
parse_path(const char *text, uint32 *variables, const char **message, const char **hint)
{
	MemoryContext keep = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(keep, "jsonpath parsing", ALLOCSET_SMALL_SIZES);
	Reading		reading = {text};
	JsonPath   *path = NULL;
	bool		parsed;

	MemoryContextSwitchTo(scratch);
	parsed = wf_guard_run(read_path, &reading, message);
	MemoryContextSwitchTo(keep);

	if (!parsed)
	{
		*message = psprintf("is not a jsonpath: %s", wf_issue_clip_reason(*message));
		*hint = syntax_hint(text);
	}
	else if (collect_variables(reading.canonical, variables, message, hint))
	{
		path = palloc(VARSIZE(reading.path));
		memcpy(path, reading.path, VARSIZE(reading.path));
	}
	MemoryContextDelete(scratch);
	return path;
}

WfExpression *
wf_expression_compile(const char *text, int len, const char **message, const char **hint)
{
	WfExpression *expression;

	*message = NULL;
	*hint = NULL;
	if (len > MAX_TEXT)
	{
		*message = psprintf("the jsonpath is longer than %d bytes", MAX_TEXT);
		return NULL;
	}

	expression = palloc0(sizeof(WfExpression));
	expression->text = pnstrdup(text, len);
	if (is_blank(expression->text))
	{
		*message = "the jsonpath is empty";
		*hint = "A field of the instance's data is written $.field.";
		return NULL;
	}
	expression->path = parse_path(expression->text, &expression->variables, message, hint);
	if (expression->path == NULL)
		return NULL;
	classify(expression);
	return expression;
}

const char *
wf_expression_text(const WfExpression *expression)
{
	return expression->text;
}

/* ---- what the variables stand for ---- */

static void
set_text(JsonbValue *value, const char *text)
{
	if (text == NULL)
	{
		value->type = jbvNull;
		return;
	}
	value->type = jbvString;
	value->val.string.val = unconstify(char *, text);
	value->val.string.len = strlen(text);
}

static void
set_number(JsonbValue *value, bool known, int64 number)
{
	value->type = jbvNull;
	if (known)
	{
		value->type = jbvNumeric;
		value->val.numeric = int64_to_numeric(number);
	}
}

static void
set_jsonb(JsonbValue *value, Jsonb *jsonb)
{
	if (jsonb == NULL)
		value->type = jbvNull;
	else
		wf_jsonb_value(jsonb, value);
}

static void
set_serial_number(JsonbValue *value, const WfScope *scope)
{
	char	   *text;
	int			len;

	if (scope->visit == 0)
	{
		value->type = jbvNull;
		return;
	}
	text = palloc(2 * MAXINT8LEN + 2);
	len = pg_lltoa(scope->instance, text);
	text[len++] = '_';
	len += pg_lltoa(scope->visit, text + len);
	value->type = jbvString;
	value->val.string.val = text;
	value->val.string.len = len;
}

static void
variable_value(const WfScope *scope, int variable, JsonbValue *value)
{
	switch (variable)
	{
		case VAR_SERIAL_NUMBER:
			set_serial_number(value, scope);
			break;
		case VAR_INSTANCE:
			set_number(value, scope->instance != 0, scope->instance);
			break;
		case VAR_BUSINESS_KEY:
			set_text(value, scope->business_key);
			break;
		case VAR_PROCESS:
			set_text(value, scope->process);
			break;
		case VAR_STEP:
			set_text(value, scope->step);
			break;
		case VAR_ATTEMPT:
			set_number(value, true, scope->attempt);
			break;
		case VAR_CALLBACK_URL:
			set_text(value, scope->url != NULL ? scope->url(scope, false) : NULL);
			break;
		case VAR_HEARTBEAT_URL:
			set_text(value, scope->url != NULL ? scope->url(scope, true) : NULL);
			break;
		case VAR_REPLY:
			set_jsonb(value, scope->reply);
			break;
		case VAR_RESULT:
			set_jsonb(value, scope->result);
			break;
		case VAR_EVENT:
			set_jsonb(value, scope->event);
			break;
		case VAR_ERROR:
			set_jsonb(value, scope->error);
			break;
		case VAR_CAUGHT:
			set_jsonb(value, scope->caught);
			break;
		case VAR_ITEM:
			set_jsonb(value, scope->item);
			break;
		case VAR_INDEX:
			set_number(value, scope->index >= 0, scope->index);
			break;
		default:
			set_jsonb(value, scope->data);
			break;
	}
}

/* ---- evaluating ---- */

static Found
follow_chain(const Chain *chain, const WfScope *scope, JsonbValue *value)
{
	variable_value(scope, chain->variable, value);
	for (int i = 0; i < chain->nkeys; i++)
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

/* The object of variables that the executor is given. */
static Jsonb *
build_variables(uint32 variables, const WfScope *scope)
{
	WfJsonbState state = {0};
	JsonbValue	value;

	wf_jsonb_push(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < NVARIABLES; i++)
	{
		if ((variables & (1u << i)) == 0)
			continue;
		set_text(&value, variable_names[i]);
		wf_jsonb_push(&state, WJB_KEY, &value);
		variable_value(scope, i, &value);
		wf_jsonb_push(&state, WJB_VALUE, &value);
	}
	return JsonbValueToJsonb(wf_jsonb_push(&state, WJB_END_OBJECT, NULL));
}

/* One of the jsonb_path_query functions, silent; NULL if it gives none. */
static Jsonb *
execute(PGFunction function, const WfExpression *expression, const WfScope *scope)
{
	LOCAL_FCINFO(fcinfo, 4);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(scope->data);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = PointerGetDatum(expression->path);
	fcinfo->args[1].isnull = false;
	fcinfo->args[2].value = JsonbPGetDatum(build_variables(expression->variables, scope));
	fcinfo->args[2].isnull = false;
	fcinfo->args[3].value = BoolGetDatum(true);
	fcinfo->args[3].isnull = false;
	result = function(fcinfo);
	return fcinfo->isnull ? NULL : DatumGetJsonbP(result);
}

bool
wf_expression_value(const WfExpression *expression, const WfScope *scope, JsonbValue *value)
{
	Jsonb	   *first;

	if (expression->is_chain)
	{
		Found		found = follow_chain(&expression->chain, scope, value);

		if (found != UNSURE)
			return found == FOUND;
	}
	first = execute(jsonb_path_query_first, expression, scope);
	if (first == NULL)
		return false;
	wf_jsonb_value(first, value);
	return true;
}

/* ---- predicates ---- */

typedef enum Truth
{
	TRUTH_NO,
	TRUTH_YES,
	TRUTH_NONE,
} Truth;

typedef struct Judging
{
	const WfExpression *expression;
	const WfScope *scope;
	Truth		truth;
} Judging;

WfPredicate *
wf_predicate_compile(const char *text, const char **message, const char **hint)
{
	WfExpression *expression = wf_expression_compile(text, strlen(text), message, hint);
	WfPredicate *predicate;

	if (expression == NULL)
		return NULL;
	predicate = palloc(sizeof(WfPredicate));
	predicate->expression = expression;
	return predicate;
}

static bool
equals(const JsonbValue *value, const JsonbValue *literal)
{
	if (value->type != literal->type)
		return false;
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

/* `chain == literal` without the executor; UNSURE if it has to be asked. */
static Found
judge_equality(Judging *judging)
{
	JsonbValue	value;
	Found		found = follow_chain(&judging->expression->chain, judging->scope, &value);

	if (found == FOUND && value.type == jbvBinary && JsonContainerIsArray(value.val.binary.data))
		return UNSURE;
	if (found != UNSURE)
		judging->truth = found == FOUND && equals(&value, &judging->expression->literal) ? TRUTH_YES : TRUTH_NO;
	return found;
}

static Truth
truth_of(const JsonbValue *value)
{
	if (value->type == jbvNull)
		return TRUTH_NO;
	if (value->type == jbvBool)
		return value->val.boolean ? TRUTH_YES : TRUTH_NO;
	return TRUTH_NONE;
}

static void
judge(void *arg)
{
	Judging    *judging = arg;
	const WfExpression *expression = judging->expression;
	JsonbValue	value;
	Jsonb	   *all;

	if (expression->is_equality && judge_equality(judging) != UNSURE)
		return;

	if (expression->is_chain || expression->yields_boolean)
	{
		bool		found = wf_expression_value(expression, judging->scope, &value);

		judging->truth = found ? truth_of(&value) : TRUTH_NO;
		return;
	}

	/* several items are no boolean, whatever the first one is */
	all = execute(jsonb_path_query_array, expression, judging->scope);
	if (all == NULL || JB_ROOT_COUNT(all) == 0)
		judging->truth = TRUTH_NO;
	else if (JB_ROOT_COUNT(all) > 1)
		judging->truth = TRUTH_NONE;
	else
		judging->truth = truth_of(getIthJsonbValueFromContainer(&all->root, 0));
}

bool
wf_predicate_eval(const WfPredicate *predicate, const WfScope *scope, bool *answer, WfFault *fault)
{
	Judging		judging = {predicate->expression, scope, TRUTH_NO};
	const char *message;
	const char *text = predicate->expression->text;

	if (!wf_guard_run(judge, &judging, &message))
		return wf_fault(fault, WF_CODE_PREDICATE, "the predicate \"%s\" could not be evaluated: %s",
						wf_issue_clip(text), message);
	if (judging.truth == TRUTH_NONE)
		return wf_fault(fault, WF_CODE_PREDICATE, "the predicate \"%s\" does not give a single boolean",
						wf_issue_clip(text));
	*answer = judging.truth == TRUTH_YES;
	return true;
}
