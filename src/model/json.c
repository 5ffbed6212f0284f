/*
 * json.c
 *		Reading JSON into a tree, with the place of each value, and turning the tree into jsonb and
 *		text.
 *
 * PostgreSQL's JSON parser builds the tree, with actions of our own, in the CurrentMemoryContext of
 * the call. Strings of it stay in use by the compiled definition.
 *
 * The parser recurses and throws when its stack runs out, so nesting is measured before it is
 * called.
 */
#include "compat.h"

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "compat.h"
#include "model/guard.h"
#include "model/issue.h"
#include "model/json.h"

#define MAX_DEPTH 64
#define MAX_BYTES (4 * 1024 * 1024)

/* The most digits that numeric holds before and after the decimal point. */
#define MAX_INTEGER_DIGITS	131072
#define MAX_FRACTION_DIGITS 16383

typedef struct Builder
{
	JsonLexContext *lex;
	int				line; /* where the next value begins */
	WfJson		   *root;
	WfJson		   *container; /* array or object that is being filled */
	const char	   *key;	   /* key of the next value in it */
} Builder;

typedef struct Parsing
{
	JsonLexContext	  *lex;
	JsonSemAction	  *actions;
	JsonParseErrorType error;
	const char		  *detail;
} Parsing;

static WfJson *
add_node(Builder *builder, WfJsonType type)
{
	WfJson *node = palloc0(sizeof(WfJson));
	WfJson *parent = builder->container;

	node->type = type;
	node->parent = parent;
	node->line = builder->line;
	if (parent == NULL)
	{
		node->line = builder->lex->line_number;
		builder->root = node;
		return node;
	}

	if (parent->n == parent->allocated)
	{
		parent->allocated = Max(4, parent->allocated * 2);
		if (parent->items)
			parent->items = repalloc(parent->items, parent->allocated * sizeof(WfJson *));
		else
			parent->items = palloc(parent->allocated * sizeof(WfJson *));
	}
	node->index = parent->n;
	if (parent->type == WF_JSON_OBJECT)
		node->key = builder->key;
	parent->items[parent->n++] = node;
	return node;
}

static WfJsonAction
on_object_start(void *state)
{
	Builder *builder = state;

	builder->container = add_node(builder, WF_JSON_OBJECT);
	return WF_JSON_ACTION_DONE;
}

static WfJsonAction
on_array_start(void *state)
{
	Builder *builder = state;

	builder->container = add_node(builder, WF_JSON_ARRAY);
	return WF_JSON_ACTION_DONE;
}

static WfJsonAction
on_container_end(void *state)
{
	Builder *builder = state;

	builder->container = builder->container->parent;
	return WF_JSON_ACTION_DONE;
}

static WfJsonAction
on_field_start(void *state, char *fname, bool isnull)
{
	Builder *builder = state;

	builder->key = fname;
	builder->line = builder->lex->line_number;
	return WF_JSON_ACTION_DONE;
}

static WfJsonAction
on_element_start(void *state, bool isnull)
{
	Builder *builder = state;

	builder->line = builder->lex->line_number;
	return WF_JSON_ACTION_DONE;
}

static WfJsonAction
on_scalar(void *state, char *token, JsonTokenType tokentype)
{
	Builder *builder = state;
	WfJson	*node;

	switch (tokentype)
	{
		case JSON_TOKEN_STRING:
			node = add_node(builder, WF_JSON_STRING);
			node->text = token;
			break;
		case JSON_TOKEN_NUMBER:
			node = add_node(builder, WF_JSON_NUMBER);
			node->text = token;
			break;
		case JSON_TOKEN_TRUE:
		case JSON_TOKEN_FALSE:
			node = add_node(builder, WF_JSON_BOOL);
			node->truth = tokentype == JSON_TOKEN_TRUE;
			break;
		default:
			add_node(builder, WF_JSON_NULL);
			break;
	}
	return WF_JSON_ACTION_DONE;
}

/*
 * The deepest nesting of brackets outside of strings. Whether they match is checked by the parser.
 */
static int
nesting(const char *text)
{
	int	 depth = 0;
	int	 deepest = 0;
	bool in_string = false;

	for (const char *p = text; *p; p++)
	{
		if (in_string)
		{
			if (*p == '\\' && p[1] != '\0')
				p++;
			else if (*p == '"')
				in_string = false;
		}
		else if (*p == '"')
			in_string = true;
		else if (*p == '{' || *p == '[')
		{
			depth++;
			deepest = Max(deepest, depth);
		}
		else if (*p == '}' || *p == ']')
			depth--;
	}
	return deepest;
}

static void
run_parser(void *arg)
{
	Parsing *parsing = arg;

	parsing->error = pg_parse_json(parsing->lex, parsing->actions);
	if (parsing->error != JSON_SUCCESS)
		parsing->detail = json_errdetail(parsing->error, parsing->lex);
}

/* Could numeric_in read `number`, which is a number by JSON's grammar? */
static bool
number_fits(const char *number)
{
	const char *p = number + (number[0] == '-' ? 1 : 0);
	long		whole = strspn(p, "0123456789");
	long		fraction = 0;
	long		exponent = 0;

	p += whole;
	if (*p == '.')
	{
		fraction = strspn(p + 1, "0123456789");
		p += 1 + fraction;
	}
	if (*p == 'e' || *p == 'E')
	{
		exponent = strtol(p + 1, NULL, 10);
		if (exponent > 2 * MAX_INTEGER_DIGITS || exponent < -2 * MAX_INTEGER_DIGITS)
			return false;
	}
	return whole + exponent <= MAX_INTEGER_DIGITS && fraction - exponent <= MAX_FRACTION_DIGITS;
}

static int
compare_keys(const void *a, const void *b)
{
	const WfJson *left = *(WfJson *const *) a;
	const WfJson *right = *(WfJson *const *) b;
	int			  order = strcmp(left->key, right->key);

	return order != 0 ? order : left->index - right->index;
}

static void
check_duplicate_keys(const WfJson *object, WfIssues *issues)
{
	WfJson **sorted;

	if (object->n < 2)
		return;
	sorted = palloc(object->n * sizeof(WfJson *));
	memcpy(sorted, object->items, object->n * sizeof(WfJson *));
	qsort(sorted, object->n, sizeof(WfJson *), compare_keys);
	for (int i = 1; i < object->n; i++)
	{
		if (strcmp(sorted[i - 1]->key, sorted[i]->key) != 0)
			continue;
		sorted[i - 1]->overridden = true;
		wf_json_issue(issues, sorted[i], "Keep the one you mean.", "this key is given more than once");
	}
	pfree(sorted);
}

/* Check what must hold for any value, whatever it is for. */
static void
check_tree(const WfJson *node, WfIssues *issues)
{
	CHECK_FOR_INTERRUPTS();
	if (node->type == WF_JSON_NUMBER && !number_fits(node->text))
		wf_json_issue(issues, node, NULL, "the number is out of range");
	if (node->type == WF_JSON_OBJECT)
		check_duplicate_keys(node, issues);
	for (int i = 0; i < node->n; i++)
		check_tree(node->items[i], issues);
}

static void add_text_issue(WfIssues *issues, int line, const char *hint, const char *fmt, ...)
	pg_attribute_printf(4, 5);

/* Add an issue about the text as a whole, of which there is no tree. */
static void
add_text_issue(WfIssues *issues, int line, const char *hint, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	wf_issue_add(issues, "$", line, NULL, NULL, hint, fmt, args);
	va_end(args);
}

static void
add_syntax_issue(const JsonLexContext *lex, const char *detail, WfIssues *issues)
{
	/* at the end of the text there is no token */
	const char *at = lex->token_start ? lex->token_start : lex->token_terminator;

	add_text_issue(issues, lex->line_number, NULL, "is not valid JSON: line %d, column %d: %s", lex->line_number,
				   (int) Max(at - lex->line_start, 0) + 1, wf_issue_clip_reason(detail));
}

WfJson *
wf_json_parse(const char *text, WfIssues *issues)
{
	Builder		  builder = {0};
	JsonSemAction actions = {0};
	Parsing		  parsing = {0};
	size_t		  len = strlen(text);
	const char	 *message;

	if (len > MAX_BYTES)
	{
		add_text_issue(issues, 1, NULL, "is longer than %d bytes", MAX_BYTES);
		return NULL;
	}
	if (nesting(text) > MAX_DEPTH)
	{
		add_text_issue(issues, 1, "Give what is nested so deep as data when an instance is started, or as a text.",
					   "is nested deeper than %d levels", MAX_DEPTH);
		return NULL;
	}

	actions.semstate = &builder;
	actions.object_start = on_object_start;
	actions.object_end = on_container_end;
	actions.array_start = on_array_start;
	actions.array_end = on_container_end;
	actions.object_field_start = on_field_start;
	actions.array_element_start = on_element_start;
	actions.scalar = on_scalar;
	parsing.lex = wf_json_lexer(text, len);
	builder.lex = parsing.lex;
	parsing.actions = &actions;

	/* PostgreSQL 15 throws for a character that the database's encoding lacks */
	if (!wf_guard_run(run_parser, &parsing, &message))
	{
		add_syntax_issue(parsing.lex, message, issues);
		return NULL;
	}
	if (parsing.error != JSON_SUCCESS)
	{
		add_syntax_issue(parsing.lex, parsing.detail, issues);
		return NULL;
	}
	check_tree(builder.root, issues);
	return builder.root;
}

static bool
is_plain_key(const char *key)
{
	size_t len = strlen(key);

	return len > 0 && !isdigit((unsigned char) key[0]) &&
		   strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

static void
append_path(StringInfo out, const WfJson *node)
{
	if (node->parent == NULL)
	{
		appendStringInfoChar(out, '$');
		return;
	}
	append_path(out, node->parent);
	if (node->key == NULL)
		appendStringInfo(out, "[%d]", node->index);
	else if (is_plain_key(node->key))
		appendStringInfo(out, ".%s", wf_issue_clip(node->key));
	else
	{
		const char *key = wf_issue_clip(node->key);

		appendStringInfoString(out, ".\"");
		wf_json_append_escaped(out, key, strlen(key));
		appendStringInfoChar(out, '"');
	}
}

const char *
wf_json_path(const WfJson *node)
{
	StringInfoData path;
	char		  *copy;

	initStringInfo(&path);
	append_path(&path, node);
	copy = pstrdup(path.data); /* many paths are kept, so the copy is no larger than needed */
	pfree(path.data);
	return copy;
}

/* Can users choose the keys of this object? Then an issue inside of it is about the object. */
static bool
has_free_keys(const WfJson *node)
{
	static const char *const keys[] = {"set",	  "save",  "save_reply", "data", "body",
									   "payload", "query", "headers",	 "form", "multipart"};

	for (int i = 0; node->key != NULL && i < lengthof(keys); i++)
	{
		if (strcmp(node->key, keys[i]) == 0)
			return true;
	}
	return false;
}

/*
 * The definition's own key under which a value stands: "on" in $.steps[0].retry.on[2], "set" in
 * $.steps[0].set.error.
 */
static const char *
own_key(const WfJson *node)
{
	const char *key = NULL;

	for (; node != NULL; node = node->parent)
	{
		if (key == NULL || has_free_keys(node))
			key = node->key != NULL ? node->key : key;
	}
	return key;
}

/* Is the value a step: an item of the "steps" of the definition, or of another step? */
static bool
is_step(const WfJson *node)
{
	const WfJson *list = node->parent;

	if (list == NULL || list->type != WF_JSON_ARRAY || list->key == NULL || strcmp(list->key, "steps") != 0)
		return false;
	return list->parent->parent == NULL || is_step(list->parent);
}

/* The name of the innermost step in which a value stands, or NULL. */
static const char *
step_into(const WfJson *node)
{
	const WfJson *name;

	while (node != NULL && !is_step(node))
		node = node->parent;
	if (node == NULL || node->type != WF_JSON_OBJECT)
		return NULL;
	name = wf_json_member(node, "step");
	return name != NULL && name->type == WF_JSON_STRING && name->text[0] != '\0' ? name->text : NULL;
}

static void add_issue(WfIssues *issues, const WfJson *node, const char *hint, const char *fmt, va_list args)
	pg_attribute_printf(4, 0);

static void
add_issue(WfIssues *issues, const WfJson *node, const char *hint, const char *fmt, va_list args)
{
	if (wf_issues_full(issues))
		wf_issue_add(issues, "", 0, NULL, NULL, "", fmt, args);
	else
		wf_issue_add(issues, wf_json_path(node), node->line, step_into(node), own_key(node), hint, fmt, args);
}

void
wf_json_issue(WfIssues *issues, const WfJson *node, const char *hint, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add_issue(issues, node, hint, fmt, args);
	va_end(args);
}

void
wf_json_warning(WfIssues *issues, const WfJson *node, const char *hint, const char *fmt, ...)
{
	va_list args;

	if (issues->warnings == NULL)
		return;
	va_start(args, fmt);
	add_issue(issues->warnings, node, hint, fmt, args);
	va_end(args);
}

const WfJson *
wf_json_member(const WfJson *object, const char *key)
{
	for (int i = object->n - 1; i >= 0; i--)
	{
		if (object->items[i]->key && strcmp(object->items[i]->key, key) == 0)
			return object->items[i];
	}
	return NULL;
}

int
wf_json_count(const WfJson *object, const char *const *keys, int nkeys)
{
	int n = 0;

	for (int i = 0; i < nkeys; i++)
		n += wf_json_member(object, keys[i]) != NULL;
	return n;
}

bool
wf_json_has_one_of(const WfJson *object, const char *const *keys, int nkeys)
{
	for (int i = 0; i < nkeys; i++)
	{
		if (wf_json_member(object, keys[i]) != NULL)
			return true;
	}
	return false;
}

const char *
wf_json_type_name(WfJsonType type)
{
	switch (type)
	{
		case WF_JSON_NULL:
			return "null";
		case WF_JSON_BOOL:
			return "a boolean";
		case WF_JSON_NUMBER:
			return "a number";
		case WF_JSON_STRING:
			return "a string";
		case WF_JSON_ARRAY:
			return "an array";
		case WF_JSON_OBJECT:
			return "an object";
	}
	return "something else";
}

static void
string_value(const char *text, JsonbValue *value)
{
	value->type = jbvString;
	value->val.string.val = unconstify(char *, text);
	value->val.string.len = strlen(text);
}

void
wf_json_scalar(const WfJson *node, JsonbValue *value)
{
	switch (node->type)
	{
		case WF_JSON_STRING:
			string_value(node->text, value);
			break;
		case WF_JSON_NUMBER:
			value->type = jbvNumeric;
			/* a number that does not fit has its issue already */
			value->val.numeric = DatumGetNumeric(
				DirectFunctionCall3(numeric_in, CStringGetDatum(number_fits(node->text) ? node->text : "0"),
									ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
			break;
		case WF_JSON_BOOL:
			value->type = jbvBool;
			value->val.boolean = node->truth;
			break;
		default:
			value->type = jbvNull;
			break;
	}
}

static JsonbValue *
push_node(WfJsonbState *state, JsonbIteratorToken token, const WfJson *node)
{
	JsonbValue value;

	if (node->type == WF_JSON_OBJECT)
	{
		wf_jsonb_push(state, WJB_BEGIN_OBJECT, NULL);
		for (int i = 0; i < node->n; i++)
		{
			string_value(node->items[i]->key, &value);
			wf_jsonb_push(state, WJB_KEY, &value);
			push_node(state, WJB_VALUE, node->items[i]);
		}
		return wf_jsonb_push(state, WJB_END_OBJECT, NULL);
	}
	if (node->type == WF_JSON_ARRAY)
	{
		wf_jsonb_push(state, WJB_BEGIN_ARRAY, NULL);
		for (int i = 0; i < node->n; i++)
			push_node(state, WJB_ELEM, node->items[i]);
		return wf_jsonb_push(state, WJB_END_ARRAY, NULL);
	}
	wf_json_scalar(node, &value);
	return wf_jsonb_push(state, token, &value);
}

Jsonb *
wf_json_to_jsonb(const WfJson *node)
{
	WfJsonbState state = {0};
	JsonbValue	 value;

	if (node->type == WF_JSON_OBJECT || node->type == WF_JSON_ARRAY)
		return JsonbValueToJsonb(push_node(&state, WJB_VALUE, node));
	wf_json_scalar(node, &value);
	return JsonbValueToJsonb(&value);
}

void
wf_json_append_escaped(StringInfo out, const char *text, int len)
{
	int start = 0;

	for (int i = 0; i < len; i++)
	{
		unsigned char c = text[i];

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		appendBinaryStringInfo(out, text + start, i - start);
		start = i + 1;
		switch (c)
		{
			case '"':
				appendStringInfoString(out, "\\\"");
				break;
			case '\\':
				appendStringInfoString(out, "\\\\");
				break;
			case '\n':
				appendStringInfoString(out, "\\n");
				break;
			case '\r':
				appendStringInfoString(out, "\\r");
				break;
			case '\t':
				appendStringInfoString(out, "\\t");
				break;
			default:
				appendStringInfo(out, "\\u%04x", c);
				break;
		}
	}
	appendBinaryStringInfo(out, text + start, len - start);
}

void
wf_json_append_scalar(StringInfo out, const WfJson *node)
{
	switch (node->type)
	{
		case WF_JSON_BOOL:
			appendStringInfoString(out, node->truth ? "true" : "false");
			break;
		case WF_JSON_NUMBER:
			appendStringInfoString(out, node->text);
			break;
		case WF_JSON_STRING:
			appendStringInfoChar(out, '"');
			wf_json_append_escaped(out, node->text, strlen(node->text));
			appendStringInfoChar(out, '"');
			break;
		default:
			appendStringInfoString(out, "null");
			break;
	}
}

void
wf_jsonb_value(Jsonb *jsonb, JsonbValue *value)
{
	if (JB_ROOT_IS_SCALAR(jsonb) && JsonbExtractScalar(&jsonb->root, value))
		return;
	value->type = jbvBinary;
	value->val.binary.data = &jsonb->root;
	value->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
}
