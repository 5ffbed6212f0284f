/*
 * expression.c
 *		Compiling jsonpath over an instance's data and the variables of a step; `a ?? b` of
 *		templates.
 *
 * An expression lives in the context of its definition and never changes. What evaluate.c has to
 * know of it, and what its author is warned of, is found out here, once.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonpath.h"
#include "utils/memutils.h"

#include "model/expression_internal.h"
#include "model/guard.h"
#include "model/issue.h"
#include "model/variable.h"

/* Length limit of a jsonpath, in bytes. */
#define MAX_TEXT 32768

typedef struct Reading
{
	const char *text;
	JsonPath   *path;
	const char *canonical;
} Reading;

static void
read_path_expression(void *arg)
{
	Reading *reading = arg;
	Datum	 path = DirectFunctionCall1(jsonpath_in, CStringGetDatum(reading->text));

	reading->path = DatumGetJsonPathP(path);
	reading->canonical = DatumGetCString(DirectFunctionCall1(jsonpath_out, path));
}

/* Read the chain of members that starts at `item`; false if anything else stands behind it. */
static bool
read_chain(JsonPathItem *item, WfChain *chain)
{
	JsonPathItem at = *item;
	JsonPathItem next;
	int			 allocated = 0;

	chain->nkeys = 0;
	chain->keys = NULL;
	chain->variable = WF_VAR_DATA;
	if (at.type == jpiVariable)
	{
		int32		len;
		const char *name = jspGetString(&at, &len);

		chain->variable = wf_variable_by_name(name, len);
	}
	else if (at.type != jpiRoot)
		return false;

	while (jspGetNext(&at, &next))
	{
		int32 len;

		if (next.type != jpiKey)
			return false;
		if (chain->nkeys == allocated)
		{
			allocated = Max(4, allocated * 2);
			chain->keys = chain->keys ? repalloc(chain->keys, allocated * sizeof(WfChainKey))
									  : palloc(allocated * sizeof(WfChainKey));
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
	int32 len;

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

/* Does the path always give numbers, texts or null, whatever the data? */
static bool
is_never_boolean(JsonPathItemType first, JsonPathItemType last)
{
	switch (last)
	{
		case jpiNull:
		case jpiString:
		case jpiNumeric:
		case jpiAdd:
		case jpiSub:
		case jpiMul:
		case jpiDiv:
		case jpiMod:
		case jpiPlus:
		case jpiMinus:
		case jpiType:
		case jpiSize:
		case jpiAbs:
		case jpiFloor:
		case jpiCeiling:
		case jpiDouble:
		case jpiDatetime:
		case jpiKeyValue:
			return true;
		default:
			return first == jpiRoot && last == jpiRoot;
	}
}

static JsonPathItemType
last_type(JsonPathItem *item)
{
	JsonPathItem at = *item;
	JsonPathItem next;

	while (jspGetNext(&at, &next))
		at = next;
	return at.type;
}

/* Find out how the expression can be evaluated. Names and literals are not copied: they point into the path. */
static void
classify(WfExpression *expression)
{
	JsonPathItem item;
	JsonPathItem left;
	JsonPathItem right;
	bool		 lax = (expression->path->header & JSONPATH_LAX) != 0;

	jspInit(&item, expression->path);
	expression->yields_boolean = is_boolean_operator(item.type) && !jspHasNext(&item);
	expression->yields_filtered = last_type(&item) == jpiFilter;
	expression->never_boolean = is_never_boolean(item.type, last_type(&item));
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

/*
 * ---- traits, found in the text that jsonpath_out prints: names in double quotes, blanks around
 * operators ----
 */

/* The quote that closes the one at p. */
static const char *
closing_quote(const char *p)
{
	for (p++; *p && *p != '"'; p++)
	{
		if (*p == '\\' && p[1])
			p++;
	}
	return p;
}

static bool
begins_with_one_of(const char *p, const char *const *words, int nwords)
{
	for (int i = 0; i < nwords; i++)
	{
		if (strncmp(p, words[i], strlen(words[i])) == 0)
			return true;
	}
	return false;
}

/* Does the condition of a filter compare, so that it may be unknown, with no `is unknown` or `.type()` that handles it? */
static bool
may_be_unknown(const char *p, const char *end)
{
	static const char *const comparisons[] = {
		" == ", " != ", " < ", " > ", " <= ", " >= ", " like_regex ", " starts with ",
	};
	static const char *const never_unknown[] = {" == null", " != null"};
	static const char *const cared_for[] = {" is unknown", ".type()"};
	bool					 compares = false;

	for (; p < end; p++)
	{
		if (*p == '"')
			p = closing_quote(p);
		else if (begins_with_one_of(p, cared_for, lengthof(cared_for)))
			return false;
		else if (!begins_with_one_of(p, never_unknown, lengthof(never_unknown)))
			compares = compares || begins_with_one_of(p, comparisons, lengthof(comparisons));
	}
	return compares;
}

static void
find_traits(WfExpression *expression, const char *canonical)
{
	static const char *const times[] = {".datetime(", ".date(", ".time", ".timestamp"};
	const char				*filter = NULL; /* the outermost filter that p is in */
	int						 filter_depth = 0;
	int						 depth = 0;

	for (const char *p = canonical; *p; p++)
	{
		if (*p == '"')
			p = closing_quote(p);
		else if (*p == '.')
			expression->has_times |= begins_with_one_of(p, times, lengthof(times));
		else if (*p == '(')
		{
			depth++;
			if (filter == NULL && p > canonical && p[-1] == '?')
			{
				filter = p;
				filter_depth = depth;
			}
		}
		else if (*p == ')')
		{
			if (filter != NULL && depth == filter_depth)
			{
				expression->drops_unknown |= may_be_unknown(filter, p);
				filter = NULL;
			}
			depth--;
		}
		if (*p == '\0')
			break;
	}
}

/* What stands behind a variable may be a part that it never has: ."name". */
static void
look_at_part(WfExpression *expression, int variable, const char *p)
{
	const char *name = p + 2;

	if (strncmp(p, ".\"", 2) != 0 || expression->warning != NULL)
		return;
	expression->warning =
		wf_variable_part_warning(variable, pnstrdup(name, closing_quote(p + 1) - name), &expression->warning_hint);
}

/* Collect the variables: names behind a `$`. Returns false if one is unknown. */
static bool
find_variables(WfExpression *expression, const char *canonical, const char **message, const char **hint)
{
	for (const char *p = canonical; *p; p++)
	{
		const char *name = p + 1;
		bool		is_variable = p > canonical && p[-1] == '$';
		int			variable;

		if (*p != '"')
			continue;
		p = closing_quote(p);
		if (is_variable)
		{
			variable = wf_variable_by_name(name, p - name);
			if (variable < 0)
			{
				name = pnstrdup(name, p - name);
				*message = psprintf("unknown variable \"$%s\"", wf_issue_clip(name));
				*hint = wf_variable_hint(name);
				return false;
			}
			expression->own_variables |= WF_VAR_BIT(variable);
			if (*p != '\0')
				look_at_part(expression, variable, p + 1);
		}
		if (*p == '\0')
			break;
	}
	return true;
}

/* ---- compiling ---- */

/* Has the text a single `=`, where == is meant? */
static bool
has_single_equals(const char *p)
{
	for (const char *at = strchr(p, '='); at != NULL; at = strchr(at + 1, '='))
	{
		if (at[1] != '=' && (at == p || strchr("=!<>", at[-1]) == NULL))
			return true;
	}
	return false;
}

static const char *
syntax_hint(const char *text)
{
	const char *p = text + strspn(text, " \t\r\n");
	int			len = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	const char *hint = len > 0 ? wf_variable_word_hint(pnstrdup(p, len)) : NULL;

	if (hint != NULL)
		return hint;
	if (isalpha((unsigned char) *p) || *p == '_')
		return psprintf("A field of the instance's data is written $.%.*s, a text \"...\".", len, wf_issue_clip(p));
	if (*p == '[' || *p == '{')
		return "A value is null, true, false, a number, a \"text\" or a path; lists and objects can only be data.";
	if (strstr(p, "??") != NULL)
		return "?? stands between whole expressions, not within one: ${$.a ?? $.b ?? null}.";
	if (has_single_equals(p) || strstr(p, "===") || strchr(p, '\'') || strstr(p, " and ") || strstr(p, " or "))
		return "jsonpath compares with ==, joins with && and ||, and quotes texts with \"...\".";
	return NULL;
}

static bool
is_blank_char(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

/*
 * Parse the path. Parsing leaves garbage behind, so it runs in a context of its own, and a copy of
 * the path is kept.
 */
static bool
parse_path(WfExpression *expression, const char **message, const char **hint)
{
	MemoryContext keep = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(keep, "jsonpath parsing", ALLOCSET_SMALL_SIZES);
	Reading		  reading = {expression->text};
	bool		  parsed;

	MemoryContextSwitchTo(scratch);
	parsed = wf_guard_run(read_path_expression, &reading, message);
	MemoryContextSwitchTo(keep);

	if (!parsed)
	{
		*message = psprintf("is not a jsonpath: %s", wf_issue_clip_reason(*message));
		*hint = syntax_hint(expression->text);
	}
	else if (find_variables(expression, reading.canonical, message, hint))
	{
		find_traits(expression, reading.canonical);
		expression->path = palloc(VARSIZE(reading.path));
		memcpy(expression->path, reading.path, VARSIZE(reading.path));
	}
	MemoryContextDelete(scratch);
	return expression->path != NULL;
}

/* Compile one jsonpath, without ??. */
static WfExpression *
compile_side(const char *text, const char **message, const char **hint)
{
	WfExpression *expression = palloc0(sizeof(WfExpression));

	*message = NULL;
	*hint = NULL;
	expression->text = text;
	if (is_blank_char(text))
	{
		*message = "the jsonpath is empty";
		*hint = "A field of the instance's data is written $.field.";
		return NULL;
	}
	if (!parse_path(expression, message, hint))
		return NULL;
	classify(expression);
	return expression;
}

const char *
wf_expression_skip_quoted(const char *p)
{
	const char *end;

	if (p[0] == '"')
	{
		end = closing_quote(p);
		return *end ? end : end - 1;
	}
	if (p[0] == '/' && p[1] == '*')
	{
		end = strstr(p + 2, "*/");
		return end ? end + 1 : p + strlen(p) - 1;
	}
	if (p[0] == '\\' && p[1])
		return p + 1;
	return p;
}

/* The ?? that ends the expression at p, outside of brackets, or else the end of the text. */
static const char *
end_of_side(const char *p)
{
	int depth = 0;

	for (; *p; p++)
	{
		p = wf_expression_skip_quoted(p);
		if (strchr("([{", *p))
			depth++;
		else if (strchr(")]}", *p))
			depth--;
		else if (depth == 0 && p[0] == '?' && p[1] == '?')
			return p;
	}
	return p;
}

WfExpression *
wf_expression_compile(const char *text, int len, const char **message, const char **hint)
{
	WfExpression  *first = NULL;
	WfExpression **link = &first;
	const char	  *whole;
	const char	  *end;

	*hint = NULL;
	if (len > MAX_TEXT)
	{
		*message = psprintf("the jsonpath is longer than %d bytes", MAX_TEXT);
		return NULL;
	}
	whole = pnstrdup(text, len);
	for (const char *p = whole;; p = end + 2)
	{
		WfExpression *side;

		end = end_of_side(p);
		side = compile_side(pnstrdup(p, end - p), message, hint);
		if (side == NULL)
		{
			if (strncmp(*message, "is ", 3) == 0 && (p > whole || *end))
				*message = psprintf("\"%s\" %s", wf_issue_clip(pnstrdup(p, end - p)), *message);
			return NULL;
		}
		*link = side;
		link = &side->otherwise;
		first->variables |= side->own_variables;
		if (*end == '\0')
			break;
	}
	first->text = whole;
	return first;
}

const char *
wf_expression_text(const WfExpression *expression)
{
	return expression->text;
}

uint32
wf_expression_variables(const WfExpression *expression)
{
	return expression->variables;
}

const char *
wf_expression_warning(const WfExpression *expression, const char **hint)
{
	for (; expression != NULL; expression = expression->otherwise)
	{
		if (expression->warning != NULL)
		{
			*hint = expression->warning_hint;
			return expression->warning;
		}
		if (!expression->drops_unknown)
			continue;
		*hint = "Where the types are not certain, ask in the filter for them: @.field.type() == \"number\".";
		return "in a filter ?(...) what cannot be compared or converted does not match, and is no error";
	}
	return NULL;
}

/* ---- predicates ---- */

/*
 * Find the fields of the data that the path reads: behind each `$` stands a name, $."field". A variable is `$` and a name in
 * quotes.
 */
static void
find_fields(WfPredicate *predicate)
{
	char *canonical = DatumGetCString(DirectFunctionCall1(jsonpath_out, PointerGetDatum(predicate->expression->path)));

	for (const char *p = canonical; *p && !predicate->reads_all; p++)
	{
		const char *name = p + 3;

		if (*p == '"')
			p = closing_quote(p);
		else if (*p == '$')
		{
			if (strncmp(p, "$.\"", 3) != 0)
				predicate->reads_all = true;
			else
			{
				p = closing_quote(p + 2);
				predicate->reads_all = memchr(name, '\\', p - name) != NULL;
				predicate->fields = lappend(predicate->fields, pnstrdup(name, p - name));
			}
		}
		if (*p == '\0')
			break;
	}
	pfree(canonical);
}

static bool
is_same(Jsonb *a, Jsonb *b)
{
	bool same = compareJsonbContainers(&a->root, &b->root) == 0;

	pfree(a);
	pfree(b);
	return same;
}

static bool
has_changed(const char *field, Jsonb *before, Jsonb *data)
{
	JsonbValue was;
	JsonbValue is;
	bool	   was_there = getKeyJsonValueFromContainer(&before->root, field, strlen(field), &was) != NULL;
	bool	   is_there = getKeyJsonValueFromContainer(&data->root, field, strlen(field), &is) != NULL;

	if (!was_there || !is_there)
		return was_there != is_there;
	return was.type != is.type || !is_same(JsonbValueToJsonb(&was), JsonbValueToJsonb(&is));
}

bool
wf_predicate_may_differ(const WfPredicate *predicate, Jsonb *before, Jsonb *data)
{
	ListCell *lc;

	if (predicate->reads_all || before == NULL)
		return true;
	if (before == data)
		return false;
	foreach (lc, predicate->fields)
		if (has_changed(lfirst(lc), before, data))
			return true;
	return false;
}

WfPredicate *
wf_predicate_compile(const char *text, const char **message, const char **hint)
{
	WfExpression *expression = wf_expression_compile(text, strlen(text), message, hint);
	WfPredicate	 *predicate;

	if (expression == NULL)
		return NULL;
	if (expression->otherwise != NULL)
	{
		*message = "\"??\" is for templates";
		*hint = "In a predicate what is missing is false; exists($.field) tells whether it is there.";
		return NULL;
	}
	if (expression->never_boolean)
	{
		*message = "is never true or false";
		*hint = "A predicate compares, such as $.amount > 100, or asks: exists($.field).";
		return NULL;
	}
	predicate = palloc0(sizeof(WfPredicate));
	predicate->expression = expression;
	find_fields(predicate);
	return predicate;
}

WfPredicate *
wf_predicate_compile_row(const char *text, const char **message, const char **hint)
{
	WfPredicate *predicate = wf_predicate_compile(text, message, hint);
	uint32		 foreign = predicate != NULL ? wf_predicate_variables(predicate) & ~WF_VAR_BIT(WF_VAR_PROCESS) : 0;

	if (foreign == 0)
		return predicate;
	*message =
		psprintf("\"$%s\" is of an instance, and there is none yet", wf_variable_name(pg_rightmost_one_pos32(foreign)));
	*hint = "A column of the row is written $.column.";
	return NULL;
}

bool
wf_expression_is_same(const WfExpression *a, const WfExpression *b)
{
	while (a != NULL && b != NULL && strcmp(a->text, b->text) == 0)
	{
		a = a->otherwise;
		b = b->otherwise;
	}
	return a == NULL && b == NULL;
}

bool
wf_predicate_is_same(const WfPredicate *a, const WfPredicate *b)
{
	return a == b || (a != NULL && b != NULL && wf_expression_is_same(a->expression, b->expression));
}

uint32
wf_predicate_variables(const WfPredicate *predicate)
{
	return predicate->expression->variables;
}

bool
wf_predicate_has_times(const WfPredicate *predicate)
{
	return predicate->expression->has_times;
}

const char *
wf_predicate_warning(const WfPredicate *predicate, const char **hint)
{
	if (predicate->expression->yields_filtered)
	{
		*hint = "Whether there is any is asked with exists(...).";
		return "gives what passes the filter, and not whether something does";
	}
	return wf_expression_warning(predicate->expression, hint);
}
