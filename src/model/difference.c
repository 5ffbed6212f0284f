/*
 * difference.c
 *		What two definitions do not have in common.
 *
 * Definitions are compared as they were written, and not as they were compiled: whoever reads the
 * differences knows the text. Two numbers are the same if their values are.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "model/difference.h"

typedef struct Comparison
{
	WfDifferenceSeen seen;
	void			*arg;
} Comparison;

/* ---- places ---- */

/* May the key stand in a path without quotes? */
static bool
is_plain_key(const char *key)
{
	if (!(*key >= 'a' && *key <= 'z') && !(*key >= 'A' && *key <= 'Z') && *key != '_')
		return false;
	return key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

static const char *
quoted(const char *path, const char *open, const char *name, const char *close)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "%s%s\"", path, open);
	wf_json_append_escaped(&out, name, (int) strlen(name));
	appendStringInfo(&out, "\"%s", close);
	return out.data;
}

static const char *
path_of_key(const char *path, const char *key)
{
	return is_plain_key(key) ? psprintf("%s.%s", path, key) : quoted(path, ".", key, "");
}

static const char *
path_of_step(const char *path, const char *step)
{
	return quoted(path, "[", step, "]");
}

/* ---- telling ---- */

static void
tell(const Comparison *comparison, const char *path, const WfJson *before, const WfJson *after)
{
	comparison->seen(comparison->arg, path,
					 before == NULL	 ? "added"
					 : after == NULL ? "removed"
									 : "changed",
					 before != NULL ? wf_json_to_jsonb(before) : NULL, after != NULL ? wf_json_to_jsonb(after) : NULL);
}

/* ---- steps ---- */

static const char *
step_name(const WfJson *node)
{
	const WfJson *name = node->type == WF_JSON_OBJECT ? wf_json_member(node, "step") : NULL;

	return name != NULL && name->type == WF_JSON_STRING ? name->text : NULL;
}

static bool
is_step_list(const WfJson *array)
{
	for (int i = 0; i < array->n; i++)
		if (step_name(array->items[i]) == NULL)
			return false;
	return array->n > 0;
}

static const WfJson *
find_step(const WfJson *list, const char *name)
{
	for (int i = 0; i < list->n; i++)
		if (strcmp(step_name(list->items[i]), name) == 0)
			return list->items[i];
	return NULL;
}

/* The names of the steps of a list that are in another one as well, in their order. Returns how many. */
static int
common_steps(const WfJson *list, const WfJson *other, const char **names)
{
	int n = 0;

	for (int i = 0; i < list->n; i++)
		if (find_step(other, step_name(list->items[i])) != NULL)
			names[n++] = step_name(list->items[i]);
	return n;
}

static Jsonb *
names_as_jsonb(const char **names, int n)
{
	WfJson	list = {.type = WF_JSON_ARRAY, .n = n, .items = palloc(sizeof(WfJson *) * Max(n, 1))};
	WfJson *items = palloc0(sizeof(WfJson) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		items[i] = (WfJson){.type = WF_JSON_STRING, .text = names[i]};
		list.items[i] = &items[i];
	}
	return wf_json_to_jsonb(&list);
}

/* The order matters: a step that does not say where it goes leads to the one behind it. */
static void
compare_order(const Comparison *comparison, const char *path, const WfJson *before, const WfJson *after)
{
	const char **old_names = palloc(sizeof(char *) * before->n);
	const char **new_names = palloc(sizeof(char *) * after->n);
	int			 n = common_steps(before, after, old_names);

	(void) common_steps(after, before, new_names);
	for (int i = 0; i < n; i++)
	{
		if (strcmp(old_names[i], new_names[i]) == 0)
			continue;
		comparison->seen(comparison->arg, path, "moved", names_as_jsonb(old_names, n), names_as_jsonb(new_names, n));
		break;
	}
}

static void compare(const Comparison *comparison, const char *path, const WfJson *before, const WfJson *after);

static void
compare_steps(const Comparison *comparison, const char *path, const WfJson *before, const WfJson *after)
{
	for (int i = 0; i < before->n; i++)
	{
		const char	 *name = step_name(before->items[i]);
		const WfJson *other = find_step(after, name);

		if (other != NULL)
			compare(comparison, path_of_step(path, name), before->items[i], other);
		else
			tell(comparison, path_of_step(path, name), before->items[i], NULL);
	}
	for (int i = 0; i < after->n; i++)
	{
		const char *name = step_name(after->items[i]);

		if (find_step(before, name) == NULL)
			tell(comparison, path_of_step(path, name), NULL, after->items[i]);
	}
	compare_order(comparison, path, before, after);
}

/* ---- other values ---- */

static void
compare_objects(const Comparison *comparison, const char *path, const WfJson *before, const WfJson *after)
{
	for (int i = 0; i < before->n; i++)
	{
		const char	 *key = before->items[i]->key;
		const WfJson *other = wf_json_member(after, key);

		if (other != NULL)
			compare(comparison, path_of_key(path, key), before->items[i], other);
		else
			tell(comparison, path_of_key(path, key), before->items[i], NULL);
	}
	for (int i = 0; i < after->n; i++)
	{
		const char *key = after->items[i]->key;

		if (wf_json_member(before, key) == NULL)
			tell(comparison, path_of_key(path, key), NULL, after->items[i]);
	}
}

static void
compare_places(const Comparison *comparison, const char *path, const WfJson *before, const WfJson *after)
{
	for (int i = 0; i < Max(before->n, after->n); i++)
	{
		const char *place = psprintf("%s[%d]", path, i);

		if (i < before->n && i < after->n)
			compare(comparison, place, before->items[i], after->items[i]);
		else
			tell(comparison, place, i < before->n ? before->items[i] : NULL, i < after->n ? after->items[i] : NULL);
	}
}

static bool
is_same(const WfJson *before, const WfJson *after)
{
	if (before->type != after->type)
		return false;
	return compareJsonbContainers(&wf_json_to_jsonb(before)->root, &wf_json_to_jsonb(after)->root) == 0;
}

static void
compare(const Comparison *comparison, const char *path, const WfJson *before, const WfJson *after)
{
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (before->type == WF_JSON_OBJECT && after->type == WF_JSON_OBJECT)
		compare_objects(comparison, path, before, after);
	else if (before->type != WF_JSON_ARRAY || after->type != WF_JSON_ARRAY)
	{
		if (!is_same(before, after))
			tell(comparison, path, before, after);
	}
	else if (is_step_list(before) && is_step_list(after))
		compare_steps(comparison, path, before, after);
	else
		compare_places(comparison, path, before, after);
}

void
wf_difference(const WfJson *before, const WfJson *after, WfDifferenceSeen seen, void *arg)
{
	compare(&(Comparison){seen, arg}, "$", before, after);
}
