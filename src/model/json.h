/*
 * json.h
 *		JSON as a tree that keeps what jsonb drops: the order of keys, duplicate keys, and the place
 *		of each value.
 */
#ifndef WF_JSON_H
#define WF_JSON_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

#include "model/definition.h"

typedef enum WfJsonType
{
	WF_JSON_NULL,
	WF_JSON_BOOL,
	WF_JSON_NUMBER,
	WF_JSON_STRING,
	WF_JSON_ARRAY,
	WF_JSON_OBJECT,
} WfJsonType;

typedef struct WfJson WfJson;

struct WfJson
{
	WfJsonType	type;
	WfJson	   *parent;		/* NULL: this is the root */
	const char *key;		/* key, in an object */
	int			index;		/* index in its parent */
	int			line;		/* of the text, from 1: where it begins */
	bool		overridden; /* the same key comes again later */
	const char *text;		/* of a string, unescaped; of a number, as written */
	bool		truth;		/* of a boolean */
	WfJson	  **items;		/* of an array or object, in the order as written */
	int			n;
	int			allocated;
};

/*
 * Parse `text`. Duplicate keys and numbers out of range are added to `issues`, and the tree is
 * returned all the same. For text that is no JSON, too deep or too large, one issue is added and
 * NULL is returned.
 */
extern WfJson *wf_json_parse(const char *text, WfIssues *issues);

/* The path of a value, such as "$.steps[2].retry.max". */
extern const char *wf_json_path(const WfJson *node);

/*
 * Add an issue about `node`. Without a hint it gets that of the key under which the value stands.
 */
extern void wf_json_issue(WfIssues *issues, const WfJson *node, const char *hint, const char *fmt, ...)
	pg_attribute_printf(4, 5);

/* Add a warning about `node`: it is allowed, and hardly meant. */
extern void wf_json_warning(WfIssues *issues, const WfJson *node, const char *hint, const char *fmt, ...)
	pg_attribute_printf(4, 5);

/* The last member with that key, or NULL. */
extern const WfJson *wf_json_member(const WfJson *object, const char *key);

/* How many of these keys has the object? */
extern int wf_json_count(const WfJson *object, const char *const *keys, int nkeys);

/* Has the object a member with one of these keys? */
extern bool wf_json_has_one_of(const WfJson *object, const char *const *keys, int nkeys);

/* The name of a type for messages: "a string", "an object", … */
extern const char *wf_json_type_name(WfJsonType type);

/* A value that is neither array nor object; a string points into the tree. */
extern void wf_json_scalar(const WfJson *node, JsonbValue *value);

extern Jsonb *wf_json_to_jsonb(const WfJson *node);

/* Append a value that is neither array nor object as JSON text, a number as it was written. */
extern void wf_json_append_scalar(StringInfo out, const WfJson *node);

/* Append `text` as it stands between the quotes of a JSON string. */
extern void wf_json_append_escaped(StringInfo out, const char *text, int len);

/* Make a Jsonb the value that stands for it inside others. */
extern void wf_jsonb_value(Jsonb *jsonb, JsonbValue *value);

#endif
