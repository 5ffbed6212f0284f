/*
 * schema.c
 *		The JSON Schema of definitions, made of the shapes by which they are read.
 *
 * A shape with a name is written once, among "$defs", and referred to wherever it is used: steps hold steps.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "model/reader.h"
#include "model/schema.h"
#include "model/shape.h"

#define MAX_NAMED 64

typedef struct Writer
{
	StringInfoData	   out;
	int				   depth;
	bool			   more; /* something stands before, in the same object or array */
	const WfJsonShape *named[MAX_NAMED];
	int				   nnamed;
} Writer;

static void write_shape(Writer *writer, const WfJsonShape *shape);

/* ---- JSON ---- */

static void
begin_line(Writer *writer)
{
	if (writer->more)
		appendStringInfoChar(&writer->out, ',');
	if (writer->depth > 0)
	{
		appendStringInfoChar(&writer->out, '\n');
		appendStringInfoSpaces(&writer->out, 2 * writer->depth);
	}
	writer->more = true;
}

static void
write_string(Writer *writer, const char *text)
{
	appendStringInfoChar(&writer->out, '"');
	wf_json_append_escaped(&writer->out, text, (int) strlen(text));
	appendStringInfoChar(&writer->out, '"');
}

static void
write_key(Writer *writer, const char *key)
{
	begin_line(writer);
	write_string(writer, key);
	appendStringInfoString(&writer->out, ": ");
}

static void
begin(Writer *writer, char bracket)
{
	appendStringInfoChar(&writer->out, bracket);
	writer->depth++;
	writer->more = false;
}

static void
end(Writer *writer, char bracket)
{
	writer->depth--;
	if (writer->more)
	{
		appendStringInfoChar(&writer->out, '\n');
		appendStringInfoSpaces(&writer->out, 2 * writer->depth);
	}
	appendStringInfoChar(&writer->out, bracket);
	writer->more = true;
}

static void
write_member(Writer *writer, const char *key, const char *text)
{
	write_key(writer, key);
	write_string(writer, text);
}

static void
write_number(Writer *writer, const char *key, int number)
{
	write_key(writer, key);
	appendStringInfo(&writer->out, "%d", number);
}

/* Strings in one line. */
static void
write_words(Writer *writer, const char *key, const char *const *words, int nwords)
{
	write_key(writer, key);
	appendStringInfoChar(&writer->out, '[');
	for (int i = 0; i < nwords; i++)
	{
		if (i > 0)
			appendStringInfoString(&writer->out, ", ");
		write_string(writer, words[i]);
	}
	appendStringInfoChar(&writer->out, ']');
}

/* ---- keys that go together, or do not ---- */

/* Alternatives, each of which has one of the keys. */
static void
write_each_key(Writer *writer, const WfJsonShape *shape, const WfKeys *keys)
{
	for (int i = 0; i < keys->nkeys; i++)
	{
		if (!wf_shape_has(shape, keys->keys[i]))
			continue;
		begin_line(writer);
		appendStringInfoString(&writer->out, "{\"required\": [");
		write_string(writer, keys->keys[i]);
		appendStringInfoString(&writer->out, "]}");
	}
}

static void
write_how_many(Writer *writer, const WfJsonShape *shape, const WfKeys *keys)
{
	begin_line(writer);
	begin(writer, '{');
	write_key(writer, keys->how_many == WF_AT_LEAST_ONE ? "anyOf" : "oneOf");
	begin(writer, '[');
	write_each_key(writer, shape, keys);
	if (keys->how_many == WF_AT_MOST_ONE)
	{
		begin_line(writer);
		begin(writer, '{');
		write_key(writer, "not");
		begin(writer, '{');
		write_key(writer, "anyOf");
		begin(writer, '[');
		write_each_key(writer, shape, keys);
		end(writer, ']');
		end(writer, '}');
		end(writer, '}');
	}
	end(writer, ']');
	end(writer, '}');
}

/* What a key needs beside it: another key, or that to be false. */
static void
write_beside(Writer *writer, const WfJsonShape *shape)
{
	if (shape->nbeside == 0)
		return;
	write_key(writer, "dependentRequired");
	begin(writer, '{');
	for (int i = 0; i < shape->nbeside; i++)
	{
		if (wf_shape_has(shape, shape->beside[i].key) && wf_shape_has(shape, shape->beside[i].with))
			write_words(writer, shape->beside[i].key, &shape->beside[i].with, 1);
	}
	end(writer, '}');
	for (int i = 0; i < shape->nbeside; i++)
	{
		const WfBeside *beside = &shape->beside[i];

		if (beside->not_false == NULL || !wf_shape_has(shape, beside->key) || !wf_shape_has(shape, beside->with))
			continue;
		/* one of an object has this */
		write_key(writer, "dependentSchemas");
		appendStringInfo(&writer->out, "{\"%s\": {\"properties\": {\"%s\": {\"const\": false}}}}", beside->key,
						 beside->with);
	}
}

static void
write_keys(Writer *writer, const WfJsonShape *shape)
{
	if (shape->nkeys > 0)
	{
		write_key(writer, "allOf");
		begin(writer, '[');
		for (int i = 0; i < shape->nkeys; i++)
			write_how_many(writer, shape, &shape->keys[i]);
		end(writer, ']');
	}
	write_beside(writer, shape);
}

/* ---- values ---- */

static void
write_fields(Writer *writer, const WfJsonShape *shape)
{
	const char *required[1];

	write_key(writer, "properties");
	begin(writer, '{');
	for (int i = 0; i < shape->nfields; i++)
	{
		if (shape->fields[i].read == NULL)
			continue;
		write_key(writer, shape->fields[i].key);
		write_shape(writer, shape->fields[i].shape);
	}
	end(writer, '}');
	for (int i = 0; i < shape->nfields; i++)
	{
		/* no object has two of them */
		if (shape->fields[i].required)
		{
			required[0] = shape->fields[i].key;
			write_words(writer, "required", FIELDS(required));
		}
	}
	write_key(writer, "additionalProperties");
	appendStringInfoString(&writer->out, "false");
}

static void
write_object(Writer *writer, const WfJsonShape *shape)
{
	if (shape->fields != NULL)
		write_fields(writer, shape);
	else if (shape->members != NULL)
	{
		write_key(writer, "additionalProperties");
		write_shape(writer, shape->members);
	}
	if (shape->min_members > 0)
		write_number(writer, "minProperties", shape->min_members);
	write_keys(writer, shape);
}

static void
write_array(Writer *writer, const WfJsonShape *shape)
{
	if (shape->items != NULL)
	{
		write_key(writer, "items");
		write_shape(writer, shape->items);
	}
	if (shape->min_items > 0)
		write_number(writer, "minItems", shape->min_items);
	if (shape->max_items > 0)
		write_number(writer, "maxItems", shape->max_items);
}

static void
write_types(Writer *writer, const WfJsonShape *shape, int types)
{
	const char *names[WF_JSON_OBJECT + 1] = {"null", "boolean", "number", "string", "array", "object"};
	const char *taken[WF_JSON_OBJECT + 1];
	int			n = 0;

	if (shape->whole)
		names[WF_JSON_NUMBER] = "integer";
	for (int i = 0; i <= WF_JSON_OBJECT; i++)
	{
		if ((types & WF_TAKES(i)) != 0)
			taken[n++] = names[i];
	}
	if (n == 1)
		write_member(writer, "type", taken[0]);
	else
		write_words(writer, "type", taken, n);
}

/* What a shape says of values of these types. */
static void
write_of_types(Writer *writer, const WfJsonShape *shape, int types)
{
	if (types == WF_TAKES_ANY)
		return;
	write_types(writer, shape, types);
	if ((types & WF_TAKES_STRING) != 0 && shape->not_blank)
		write_member(writer, "pattern", "[^ \\t\\r\\n]");
	if ((types & WF_TAKES_STRING) != 0 && shape->max_length > 0)
		write_number(writer, "maxLength", shape->max_length);
	if ((types & WF_TAKES_NUMBER) != 0 && shape->maximum > 0)
	{
		write_number(writer, "minimum", shape->minimum);
		write_number(writer, "maximum", shape->maximum);
	}
	if ((types & WF_TAKES_ARRAY) != 0)
		write_array(writer, shape);
	if ((types & WF_TAKES_OBJECT) != 0)
		write_object(writer, shape);
}

/* The same where true or some words may be all that is taken. */
static void
write_values(Writer *writer, const WfJsonShape *shape, int types)
{
	if (types == WF_TAKES_BOOL && shape->only_true)
	{
		write_key(writer, "const");
		appendStringInfoString(&writer->out, "true");
	}
	else if (types == WF_TAKES_STRING && shape->words != NULL)
		write_words(writer, "enum", shape->words, shape->nwords);
	else
		write_of_types(writer, shape, types);
}

/*
 * Split the types of a shape into alternatives: what a schema says of true, of words, and of keys that exclude each other counts for
 * values of all types. Returns how many there are.
 */
static int
split_types(const WfJsonShape *shape, int *alternatives)
{
	int rest = shape->types;
	int n = 0;

	if (shape->only_true)
		rest &= ~(alternatives[n++] = WF_TAKES_BOOL);
	if (shape->words != NULL)
		rest &= ~(alternatives[n++] = WF_TAKES_STRING);
	if (shape->nkeys > 0)
		rest &= ~(alternatives[n++] = WF_TAKES_OBJECT);
	if (rest != 0)
		alternatives[n++] = rest;
	return n;
}

static void
write_body(Writer *writer, const WfJsonShape *shape)
{
	int alternatives[4];
	int n = split_types(shape, alternatives);

	begin(writer, '{');
	if (shape->says != NULL)
		write_member(writer, "description", shape->says);
	if (n == 1)
		write_values(writer, shape, alternatives[0]);
	else
	{
		write_key(writer, "anyOf");
		begin(writer, '[');
		for (int i = 0; i < n; i++)
		{
			begin_line(writer);
			begin(writer, '{');
			write_values(writer, shape, alternatives[i]);
			end(writer, '}');
		}
		end(writer, ']');
	}
	end(writer, '}');
}

/* Have the shape written among "$defs", once. */
static void
refer(Writer *writer, const WfJsonShape *shape)
{
	for (int i = 0; i < writer->nnamed; i++)
	{
		if (writer->named[i] == shape)
			return;
	}
	if (writer->nnamed == MAX_NAMED)
		elog(ERROR, "the schema has more than %d named shapes", MAX_NAMED);
	writer->named[writer->nnamed++] = shape;
}

static void
write_shape(Writer *writer, const WfJsonShape *shape)
{
	if (shape->name == NULL)
	{
		write_body(writer, shape);
		return;
	}
	refer(writer, shape);
	appendStringInfo(&writer->out, "{\"$ref\": \"#/$defs/%s\"}", shape->name);
	writer->more = true;
}

char *
wf_definition_schema(void)
{
	Writer writer = {.depth = 0};

	initStringInfo(&writer.out);
	begin(&writer, '{');
	write_member(&writer, "$schema", "https://json-schema.org/draft/2020-12/schema");
	write_member(&writer, "title", "A definition of workflow " WORKFLOW_VERSION);
	refer(&writer, &wf_definition_shape);
	write_key(&writer, "$ref");
	write_string(&writer, psprintf("#/$defs/%s", wf_definition_shape.name));
	write_key(&writer, "$defs");
	begin(&writer, '{');
	for (int i = 0; i < writer.nnamed; i++)
	{
		write_key(&writer, writer.named[i]->name);
		write_body(&writer, writer.named[i]);
	}
	end(&writer, '}');
	end(&writer, '}');
	return writer.out.data;
}
