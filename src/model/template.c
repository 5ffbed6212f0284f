/*
 * template.c
 *		Templates: JSON with ${jsonpath} in its strings, compiled once, rendered as text, JSON text
 *		or jsonb.
 *
 * A template is a tree of nodes like the JSON of which it was made. Rendering JSON text does not
 * walk the tree but a flat list of parts: constant text, joined over all nodes, and values in
 * between.
 *
 * Templates live in the context of their definition and never change; rendering allocates in
 * CurrentMemoryContext.
 */
#include "compat.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "model/expression.h"
#include "model/guard.h"
#include "model/issue.h"
#include "model/template_build.h"

typedef struct Part
{
	enum
	{
		PART_LITERAL, /* constant text */
		PART_VALUE,	  /* a value as JSON */
		PART_TEXT,	  /* a value as text, within a string */
	} kind;
	const char	 *text;
	int			  len;
	WfExpression *expression;
} Part;

typedef struct Parts
{
	Part *items;
	int	  n;
	int	  allocated;
} Parts;

struct WfTemplate
{
	WfJsonType	  type;
	const char	 *key;		/* key, in an object */
	bool		  constant; /* no ${…} in this node or below it */
	JsonbValue	  scalar;	/* value of a constant node without nodes below it */
	const WfJson *node;
	Parts		  chunks; /* of a string: literals and texts */
	WfTemplate	**items;  /* of an array or object */
	int			  n;
	/* set in the root only */
	Parts  program; /* renders the template as JSON text */
	Jsonb *jsonb;	/* the result, if it is constant */
};

static const char *constant_text(const WfTemplate *tmpl);
typedef struct Rendering
{
	const WfTemplate   *tmpl;
	const WfVariables  *variables;
	WfTextUse			use;
	StringInfo			out;
	Jsonb			   *jsonb;
	const WfExpression *at;		 /* the expression that is being evaluated */
	bool				missing; /* the expression gives nothing */
	bool				failed;	 /* *fault says why */
	WfFault			   *fault;
} Rendering;

static Jsonb *template_to_jsonb(Rendering *rendering, const WfTemplate *tmpl);

/* ---- compiling ---- */

static Part *
add_part(Parts *parts)
{
	Part *part;

	if (parts->n == parts->allocated)
	{
		parts->allocated = Max(4, parts->allocated * 2);
		if (parts->items)
			parts->items = repalloc(parts->items, parts->allocated * sizeof(Part));
		else
			parts->items = palloc(parts->allocated * sizeof(Part));
	}
	part = &parts->items[parts->n++];
	memset(part, 0, sizeof(Part));
	return part;
}

/* Add the text that has gathered as a literal, unless it is empty, and empty the buffer. */
static void
add_literal(Parts *parts, StringInfo text)
{
	Part *part;

	if (text->len == 0)
		return;
	part = add_part(parts);
	part->kind = PART_LITERAL;
	part->text = pnstrdup(text->data, text->len);
	part->len = text->len;
	resetStringInfo(text);
}

/* The brace that closes a ${ whose jsonpath begins at `start`, or NULL. */
static const char *
closing_brace(const char *start)
{
	int depth = 0;

	for (const char *p = start; *p; p++)
	{
		p = wf_expression_skip_quoted(p);
		if (*p == '{')
			depth++;
		else if (*p == '}' && depth-- == 0)
			return p;
	}
	return NULL;
}

typedef struct Building
{
	WfIssues		*issues;
	WfExpressionSeen seen;
	void			*arg;
} Building;

static void
add_expression(Building *building, WfTemplate *tmpl, const WfJson *node, const char *start, int len)
{
	const char	 *message;
	const char	 *hint;
	WfExpression *expression = wf_expression_compile(start, len, &message, &hint);
	Part		 *part;

	if (expression == NULL)
	{
		wf_json_issue(building->issues, node,
					  hint ? hint : "Within ${ } stands a jsonpath, such as $.field or $reply.body.id.",
					  "\"${%s}\": %s", wf_issue_clip(pnstrdup(start, len)), message);
		return;
	}
	building->seen(building->arg, node, expression);
	part = add_part(&tmpl->chunks);
	part->kind = PART_TEXT;
	part->expression = expression;
}

static void
build_string(Building *building, WfTemplate *tmpl, const WfJson *node)
{
	StringInfoData literal;
	const char	  *p = node->text;

	initStringInfo(&literal);
	while (*p)
	{
		const char *end;

		if (strncmp(p, "$${", 3) == 0)
		{
			appendStringInfoString(&literal, "${");
			p += 3;
			continue;
		}
		if (strncmp(p, "${", 2) != 0)
		{
			appendStringInfoChar(&literal, *p++);
			continue;
		}
		end = closing_brace(p + 2);
		if (end == NULL)
		{
			wf_json_issue(building->issues, node, "A literal ${ is written $${.", "a \"${\" is not closed by a \"}\"");
			break;
		}
		add_literal(&tmpl->chunks, &literal);
		add_expression(building, tmpl, node, p + 2, end - (p + 2));
		p = end + 1;
	}
	add_literal(&tmpl->chunks, &literal);
	pfree(literal.data);

	tmpl->constant = true;
	for (int i = 0; i < tmpl->chunks.n; i++)
		tmpl->constant = tmpl->constant && tmpl->chunks.items[i].kind == PART_LITERAL;
}

bool
wf_template_is_value(const WfTemplate *tmpl)
{
	return tmpl->type == WF_JSON_STRING && tmpl->chunks.n == 1 && tmpl->chunks.items[0].kind != PART_LITERAL;
}

static bool
is_container(const WfTemplate *tmpl)
{
	return tmpl->type == WF_JSON_OBJECT || tmpl->type == WF_JSON_ARRAY;
}

static void
fix_scalar(WfTemplate *tmpl, const WfJson *node)
{
	WfJson *plain = palloc(sizeof(WfJson));

	/* in a string, $${ has become ${ */
	*plain = *node;
	if (node->type == WF_JSON_STRING)
		plain->text = constant_text(tmpl);
	tmpl->node = plain;
	wf_json_scalar(plain, &tmpl->scalar);
}

static WfTemplate *
build_node(Building *building, const WfJson *node)
{
	WfTemplate *tmpl = palloc0(sizeof(WfTemplate));

	CHECK_FOR_INTERRUPTS();
	tmpl->type = node->type;
	tmpl->key = node->key;
	tmpl->constant = true;
	if (node->type == WF_JSON_STRING)
		build_string(building, tmpl, node);
	if (node->n > 0)
	{
		tmpl->n = node->n;
		tmpl->items = palloc(node->n * sizeof(WfTemplate *));
		for (int i = 0; i < node->n; i++)
		{
			tmpl->items[i] = build_node(building, node->items[i]);
			tmpl->constant = tmpl->constant && tmpl->items[i]->constant;
		}
	}
	if (tmpl->constant && !is_container(tmpl))
		fix_scalar(tmpl, node);
	return tmpl;
}

static void
append_key_path(StringInfo out, const WfTemplate *item, int i)
{
	if (i > 0)
		appendStringInfoString(out, ", ");
	if (item->key)
	{
		appendStringInfoChar(out, '"');
		wf_json_append_escaped(out, item->key, strlen(item->key));
		appendStringInfoString(out, "\": ");
	}
}

static void
add_to_program(Parts *program, StringInfo literal, const WfTemplate *tmpl)
{
	bool is_object = tmpl->type == WF_JSON_OBJECT;

	if (is_container(tmpl))
	{
		appendStringInfoChar(literal, is_object ? '{' : '[');
		for (int i = 0; i < tmpl->n; i++)
		{
			append_key_path(literal, tmpl->items[i], i);
			add_to_program(program, literal, tmpl->items[i]);
		}
		appendStringInfoChar(literal, is_object ? '}' : ']');
	}
	else if (tmpl->constant)
		wf_json_append_scalar(literal, tmpl->node);
	else
	{
		bool is_value = wf_template_is_value(tmpl);

		if (!is_value)
			appendStringInfoChar(literal, '"');
		for (int i = 0; i < tmpl->chunks.n; i++)
		{
			const Part *chunk = &tmpl->chunks.items[i];
			Part	   *part;

			if (chunk->kind == PART_LITERAL)
			{
				wf_json_append_escaped(literal, chunk->text, chunk->len);
				continue;
			}
			add_literal(program, literal);
			part = add_part(program);
			part->kind = is_value ? PART_VALUE : PART_TEXT;
			part->expression = chunk->expression;
		}
		if (!is_value)
			appendStringInfoChar(literal, '"');
	}
}

WfTemplate *
wf_template_build(const WfJson *node, WfIssues *issues, WfExpressionSeen seen, void *arg)
{
	Building	   building = {issues, seen, arg};
	int			   before = issues->n;
	WfTemplate	  *tmpl = build_node(&building, node);
	StringInfoData literal;

	if (issues->n > before)
		return NULL;

	if (tmpl->constant)
	{
		Rendering nothing = {.tmpl = tmpl};

		tmpl->jsonb = template_to_jsonb(&nothing, tmpl);
	}
	initStringInfo(&literal);
	add_to_program(&tmpl->program, &literal, tmpl);
	add_literal(&tmpl->program, &literal);
	pfree(literal.data);
	return tmpl;
}

bool
wf_template_is_constant(const WfTemplate *tmpl)
{
	return tmpl->constant;
}

const char *
wf_template_piece(const WfTemplate *tmpl, int i)
{
	if (i >= tmpl->chunks.n)
		return NULL;
	return tmpl->chunks.items[i].kind == PART_LITERAL ? tmpl->chunks.items[i].text : "";
}

/* The text of a constant string: it has one piece, or none if it is empty. */
static const char *
constant_text(const WfTemplate *tmpl)
{
	return tmpl->chunks.n > 0 ? tmpl->chunks.items[0].text : "";
}

const char *
wf_template_constant_text(const WfTemplate *tmpl)
{
	if (tmpl->type != WF_JSON_STRING || !tmpl->constant)
		return NULL;
	return constant_text(tmpl);
}

/* ---- rendering ---- */

static void
append_value_json(StringInfo out, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			appendStringInfoCharMacro(out, '"');
			wf_json_append_escaped(out, value->val.string.val, value->val.string.len);
			appendStringInfoCharMacro(out, '"');
			break;
		case jbvNumeric:
			appendStringInfoString(out, DatumGetCString(
											DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric))));
			break;
		case jbvBool:
			appendStringInfoString(out, value->val.boolean ? "true" : "false");
			break;
		case jbvBinary:
			JsonbToCString(out, value->val.binary.data, value->val.binary.len);
			break;
		default:
			appendStringInfoString(out, "null");
			break;
	}
}

/* Append a value as text: a string without its quotes, anything else as JSON. */
static void
append_value_text(StringInfo out, const JsonbValue *value)
{
	if (value->type == jbvString)
		appendBinaryStringInfo(out, value->val.string.val, value->val.string.len);
	else
		append_value_json(out, value);
}

/*
 * The value of an expression. A missing value is an error, wherever it stands; it is thrown, so
 * that no caller has to check.
 */
static void
get_value(Rendering *rendering, const WfExpression *expression, JsonbValue *value)
{
	rendering->at = expression;
	if (!wf_expression_value(expression, rendering->variables, value))
	{
		rendering->missing = true;
		ereport(ERROR, errcode(ERRCODE_NO_SQL_JSON_ITEM), errmsg("no value"));
	}
	rendering->at = NULL;
}

/* Render; what is thrown becomes a fault that says where. */
static bool
render(WfGuarded how, Rendering *rendering)
{
	const char *message;
	const char *text;

	if (wf_guard_run(how, rendering, &message))
		return !rendering->failed;
	if (rendering->at == NULL)
		return wf_fault(rendering->fault, WF_CODE_TEMPLATE, "the template could not be rendered: %s", message);
	text = wf_issue_clip(wf_expression_text(rendering->at));
	if (rendering->missing)
		return wf_fault(rendering->fault, WF_CODE_TEMPLATE, "\"${%s}\" has no value", text);
	return wf_fault(rendering->fault, WF_CODE_TEMPLATE, "\"${%s}\" cannot be worked out: %s", text, message);
}

static void
render_json(void *arg)
{
	Rendering	*rendering = arg;
	const Parts *program = &rendering->tmpl->program;
	StringInfo	 out = rendering->out;

	for (int i = 0; i < program->n; i++)
	{
		const Part *part = &program->items[i];
		JsonbValue	value;

		if (part->kind == PART_LITERAL)
		{
			appendBinaryStringInfo(out, part->text, part->len);
			continue;
		}
		get_value(rendering, part->expression, &value);
		if (part->kind == PART_VALUE)
			append_value_json(out, &value);
		else if (value.type == jbvString)
			wf_json_append_escaped(out, value.val.string.val, value.val.string.len);
		else
		{
			StringInfoData text;

			initStringInfo(&text);
			append_value_json(&text, &value);
			wf_json_append_escaped(out, text.data, text.len);
			pfree(text.data);
		}
	}
}

bool
wf_template_json(const WfTemplate *tmpl, const WfVariables *variables, StringInfo out, WfFault *fault)
{
	Rendering rendering = {.tmpl = tmpl, .variables = variables, .out = out, .fault = fault};
	int		  before = out->len;

	if (render(render_json, &rendering))
		return true;
	out->len = before;
	out->data[before] = '\0';
	return false;
}

/* Join the pieces of a string template, for jsonb. */
static void
join_chunks(Rendering *rendering, const WfTemplate *tmpl, JsonbValue *result)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < tmpl->chunks.n; i++)
	{
		const Part *chunk = &tmpl->chunks.items[i];
		JsonbValue	value;

		if (chunk->kind == PART_LITERAL)
		{
			appendBinaryStringInfo(&text, chunk->text, chunk->len);
			continue;
		}
		get_value(rendering, chunk->expression, &value);
		append_value_text(&text, &value);
	}
	result->type = jbvString;
	result->val.string.val = text.data;
	result->val.string.len = text.len;
}

/* The value of a node that has no nodes below it. */
static void
leaf_value(Rendering *rendering, const WfTemplate *tmpl, JsonbValue *value)
{
	if (tmpl->constant)
		*value = tmpl->scalar;
	else if (wf_template_is_value(tmpl))
		get_value(rendering, tmpl->chunks.items[0].expression, value);
	else
		join_chunks(rendering, tmpl, value);
}

static JsonbValue *
push_template(Rendering *rendering, WfJsonbState *state, JsonbIteratorToken token, const WfTemplate *tmpl)
{
	bool	   is_object = tmpl->type == WF_JSON_OBJECT;
	JsonbValue value;

	if (!is_container(tmpl))
	{
		leaf_value(rendering, tmpl, &value);
		return wf_jsonb_push(state, token, &value);
	}

	wf_jsonb_push(state, is_object ? WJB_BEGIN_OBJECT : WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < tmpl->n; i++)
	{
		if (is_object)
		{
			value.type = jbvString;
			value.val.string.val = unconstify(char *, tmpl->items[i]->key);
			value.val.string.len = strlen(tmpl->items[i]->key);
			wf_jsonb_push(state, WJB_KEY, &value);
		}
		push_template(rendering, state, is_object ? WJB_VALUE : WJB_ELEM, tmpl->items[i]);
	}
	return wf_jsonb_push(state, is_object ? WJB_END_OBJECT : WJB_END_ARRAY, NULL);
}

static Jsonb *
template_to_jsonb(Rendering *rendering, const WfTemplate *tmpl)
{
	WfJsonbState state = {0};
	JsonbValue	 value;

	if (is_container(tmpl))
		return JsonbValueToJsonb(push_template(rendering, &state, WJB_VALUE, tmpl));
	leaf_value(rendering, tmpl, &value);
	return JsonbValueToJsonb(&value);
}

static void
render_jsonb(void *arg)
{
	Rendering	 *rendering = arg;
	MemoryContext old = wf_jsonb_begin();

	rendering->jsonb = wf_jsonb_end(old, template_to_jsonb(rendering, rendering->tmpl));
}

Jsonb *
wf_template_jsonb(const WfTemplate *tmpl, const WfVariables *variables, WfFault *fault)
{
	Rendering rendering = {.tmpl = tmpl, .variables = variables, .fault = fault};

	if (tmpl->constant)
		return tmpl->jsonb;
	return render(render_jsonb, &rendering) ? rendering.jsonb : NULL;
}

/* ---- comparing ---- */

static bool
is_same_part(const Part *a, const Part *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == PART_LITERAL)
		return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
	return wf_expression_is_same(a->expression, b->expression);
}

static bool
is_same_node(const WfTemplate *a, const WfTemplate *b)
{
	check_stack_depth();
	if (a->type != b->type || a->constant != b->constant || a->chunks.n != b->chunks.n || a->n != b->n)
		return false;
	if (a->constant && a->type != WF_JSON_ARRAY && a->type != WF_JSON_OBJECT)
		return compareJsonbContainers(&JsonbValueToJsonb(unconstify(JsonbValue *, &a->scalar))->root,
									  &JsonbValueToJsonb(unconstify(JsonbValue *, &b->scalar))->root) == 0;
	for (int i = 0; i < a->chunks.n; i++)
		if (!is_same_part(&a->chunks.items[i], &b->chunks.items[i]))
			return false;
	for (int i = 0; i < a->n; i++)
		if ((a->type == WF_JSON_OBJECT && strcmp(a->items[i]->key, b->items[i]->key) != 0) ||
			!is_same_node(a->items[i], b->items[i]))
			return false;
	return true;
}

bool
wf_template_is_same(const WfTemplate *a, const WfTemplate *b)
{
	return a == b || (a != NULL && b != NULL && is_same_node(a, b));
}

void
wf_percent_encode(StringInfo out, const char *text, int len)
{
	static const char hex[] = "0123456789ABCDEF";
	const char		 *utf8 = pg_server_to_any(text, len, PG_UTF8);

	if (utf8 != text)
		len = strlen(utf8);
	for (int i = 0; i < len; i++)
	{
		unsigned char c = utf8[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
			c == '_' || c == '~')
			appendStringInfoCharMacro(out, c);
		else
		{
			appendStringInfoCharMacro(out, '%');
			appendStringInfoCharMacro(out, hex[c >> 4]);
			appendStringInfoCharMacro(out, hex[c & 15]);
		}
	}
}

/* Append text as its use needs it. Returns false with *fault if it may not stand there. */
static bool
append_used(Rendering *rendering, const char *text, int len, bool is_literal)
{
	switch (rendering->use)
	{
		case WF_TEXT_URL:
		case WF_TEXT_PATH:
			if (!is_literal && !(rendering->use == WF_TEXT_URL && wf_template_is_value(rendering->tmpl)))
			{
				/* as a segment these would lead to another path */
				if ((len == 1 && text[0] == '.') || (len == 2 && memcmp(text, "..", 2) == 0))
					return wf_fault(rendering->fault, WF_CODE_TEMPLATE, "\"%.*s\" cannot be part of a path", len, text);
				wf_percent_encode(rendering->out, text, len);
				return true;
			}
			break;
		case WF_TEXT_QUERY:
			wf_percent_encode(rendering->out, text, len);
			return true;
		case WF_TEXT_HEADER:
			if (memchr(text, '\r', len) || memchr(text, '\n', len) || memchr(text, '\0', len))
				return wf_fault(rendering->fault, WF_CODE_TEMPLATE, "a header's value may not hold CR, LF or NUL");
			break;
		case WF_TEXT_PLAIN:
		case WF_TEXT_KEY:
			break;
	}
	appendBinaryStringInfo(rendering->out, text, len);
	return true;
}

static bool
append_expression_used(Rendering *rendering, const WfExpression *expression)
{
	JsonbValue	   value;
	StringInfoData text;

	get_value(rendering, expression, &value);
	if (value.type == jbvNull && rendering->use != WF_TEXT_PLAIN)
		return wf_fault(rendering->fault, WF_CODE_TEMPLATE, "\"${%s}\" is null",
						wf_issue_clip(wf_expression_text(expression)));
	if (value.type == jbvString)
		return append_used(rendering, value.val.string.val, value.val.string.len, false);

	initStringInfo(&text);
	append_value_json(&text, &value);
	return append_used(rendering, text.data, text.len, false);
}

static void
render_text(void *arg)
{
	Rendering		 *rendering = arg;
	const WfTemplate *tmpl = rendering->tmpl;

	if (tmpl->type != WF_JSON_STRING)
	{
		StringInfo	   out = rendering->out;
		StringInfoData json;

		initStringInfo(&json);
		rendering->out = &json;
		render_json(rendering);
		rendering->out = out;
		rendering->failed = !append_used(rendering, json.data, json.len, true);
		return;
	}
	for (int i = 0; i < tmpl->chunks.n && !rendering->failed; i++)
	{
		const Part *chunk = &tmpl->chunks.items[i];

		if (chunk->kind == PART_LITERAL)
			rendering->failed = !append_used(rendering, chunk->text, chunk->len, true);
		else
			rendering->failed = !append_expression_used(rendering, chunk->expression);
	}
}

bool
wf_template_text(const WfTemplate *tmpl, const WfVariables *variables, WfTextUse use, StringInfo out, WfFault *fault)
{
	Rendering rendering = {.tmpl = tmpl, .variables = variables, .use = use, .out = out, .fault = fault};
	int		  before = out->len;

	if (render(render_text, &rendering))
		return true;
	out->len = before;
	out->data[before] = '\0';
	return false;
}
