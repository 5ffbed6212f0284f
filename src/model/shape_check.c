/*
 * shape_check.c
 *		Whether a shape takes a value: asked by builds for tests, of each definition that was read.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "model/reader.h"
#include "model/shape.h"

#ifdef WF_DEBUG

static bool
takes_string(const WfJsonShape *shape, const char *text)
{
	if (shape->not_blank && text[strspn(text, " \t\r\n")] == '\0')
		return false;
	if (shape->max_length > 0 && pg_mbstrlen(text) > shape->max_length)
		return false;
	for (int i = 0; i < shape->nwords; i++)
	{
		if (strcmp(text, shape->words[i]) == 0)
			return true;
	}
	return shape->words == NULL;
}

static bool
takes_number(const WfJsonShape *shape, const char *text)
{
	double number = strtod(text, NULL);

	if (shape->whole && number != rint(number))
		return false;
	return shape->maximum == 0 || (number >= shape->minimum && number <= shape->maximum);
}

static bool
takes_array(const WfJsonShape *shape, const WfJson *node)
{
	if (node->n < shape->min_items || (shape->max_items > 0 && node->n > shape->max_items))
		return false;
	for (int i = 0; i < node->n && shape->items != NULL; i++)
	{
		if (!wf_shape_takes(shape->items, node->items[i]))
			return false;
	}
	return true;
}

static const WfJsonShape *
member_shape(const WfJsonShape *shape, const char *key)
{
	for (int i = 0; i < shape->nfields; i++)
	{
		if (shape->fields[i].read != NULL && strcmp(shape->fields[i].key, key) == 0)
			return shape->fields[i].shape;
	}
	return NULL;
}

/* Are those keys there that have to be, and together? */
static bool
takes_keys(const WfJsonShape *shape, const WfJson *node)
{
	for (int i = 0; i < shape->nfields; i++)
	{
		if (shape->fields[i].required && wf_json_member(node, shape->fields[i].key) == NULL)
			return false;
	}
	for (int i = 0; i < shape->nkeys; i++)
	{
		const WfKeys *keys = &shape->keys[i];
		int			  n = wf_json_count(node, keys->keys, keys->nkeys);

		if ((n == 0 && keys->how_many != WF_AT_MOST_ONE) || (n > 1 && keys->how_many != WF_AT_LEAST_ONE))
			return false;
	}
	for (int i = 0; i < shape->nbeside; i++)
	{
		if (!wf_shape_stands(shape, &shape->beside[i], node))
			return false;
	}
	return true;
}

static bool
takes_object(const WfJsonShape *shape, const WfJson *node)
{
	if (node->n < shape->min_members || !takes_keys(shape, node))
		return false;
	for (int i = 0; i < node->n; i++)
	{
		const WfJsonShape *member = shape->members;

		if (node->items[i]->overridden)
			continue;
		if (shape->fields != NULL && (member = member_shape(shape, node->items[i]->key)) == NULL)
			return false;
		if (member != NULL && !wf_shape_takes(member, node->items[i]))
			return false;
	}
	return true;
}

bool
wf_shape_takes(const WfJsonShape *shape, const WfJson *node)
{
	check_stack_depth();
	if ((shape->types & WF_TAKES(node->type)) == 0)
		return false;
	switch (node->type)
	{
		case WF_JSON_NULL:
			return true;
		case WF_JSON_BOOL:
			return node->truth || !shape->only_true;
		case WF_JSON_NUMBER:
			return takes_number(shape, node->text);
		case WF_JSON_STRING:
			return takes_string(shape, node->text);
		case WF_JSON_ARRAY:
			return takes_array(shape, node);
		case WF_JSON_OBJECT:
			return takes_object(shape, node);
	}
	return false;
}

#endif
