/*
 * template.h
 *		Compiled templates and predicates, and the scope they are evaluated in.
 *
 * Both are compiled once, in the memory context of their definition, and hold no state: evaluation allocates in
 * CurrentMemoryContext only. Evaluation never throws for what a user wrote (cancel and out of memory excepted): it
 * returns false and fills a WfFault.
 */
#ifndef WF_TEMPLATE_H
#define WF_TEMPLATE_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

#include "model/fault.h"

/* What `$` and the variables stand for. A NULL pointer is JSON null. Strings are in the database encoding. */
typedef struct WfScope WfScope;
struct WfScope
{
	Jsonb	   *data; /* `$`; never NULL */
	bool		is_row; /* `$` is a row, in which null is what is missing */
	const char *timezone; /* in which jsonpath reads times; NULL: that of the session */
	int64		instance;
	int64		visit; /* $serial_number is made of these two; 0: null */
	const char *business_key;
	const char *process;
	const char *step;
	int			attempt;
	Jsonb	   *reply;
	Jsonb	   *result;
	Jsonb	   *event;
	Jsonb	   *error;
	Jsonb	   *caught;
	Jsonb	   *item;
	int			index; /* -1: null */
	const char *(*url) (const WfScope *scope, bool heartbeat); /* makes $callback_url, $heartbeat_url, or throws 22023; NULL: null */
};

typedef struct WfTemplate WfTemplate;
typedef struct WfPredicate WfPredicate;

/* How a text template treats the values it is given. What is missing is an error in all of them, JSON null in all but one. */
typedef enum WfTextUse
{
	WF_TEXT_PLAIN,	/* as it is; null is the word null */
	WF_TEXT_PATH,	/* percent-encoded as one path segment (RFC 3986 unreserved stay); the literal parts stay as written */
	WF_TEXT_QUERY,	/* percent-encoded as a query or form value; literal parts too are encoded by the caller's choice of use */
	WF_TEXT_HEADER, /* CR, LF, NUL are an error */
	WF_TEXT_KEY,	/* as it is: keys, channels, intervals, times */
	WF_TEXT_URL,	/* one value alone as it is; values beside anything else as in a path */
} WfTextUse;

/* True if the template has no ${…}: it renders the same whatever the scope. */
extern bool wf_template_is_constant(const WfTemplate *tmpl);

/* Render as JSON text, appended to `out`: request bodies. */
extern bool wf_template_json(const WfTemplate *tmpl, const WfScope *scope, StringInfo out, WfFault *fault);

/* Render as jsonb: `set`, `save`, `save_reply`, payloads. NULL with *fault set when it cannot be. */
extern Jsonb *wf_template_jsonb(const WfTemplate *tmpl, const WfScope *scope, WfFault *fault);

/* Render a string template as text, appended to `out`: a value that is no string is given as its JSON text. */
extern bool wf_template_text(const WfTemplate *tmpl, const WfScope *scope, WfTextUse use, StringInfo out, WfFault *fault);

/* Append `text` percent-encoded, as UTF-8; RFC 3986 unreserved characters stay. */
extern void wf_percent_encode(StringInfo out, const char *text, int len);

/* Compile a jsonpath predicate. NULL with *message and *hint set if it does not parse or uses an unknown variable. */
extern WfPredicate *wf_predicate_compile(const char *text, const char **message, const char **hint);

/* The same over a row that is to start an instance: it knows `$`, which is the row, and $process. */
extern WfPredicate *wf_predicate_compile_row(const char *text, const char **message, const char **hint);

/* May its answer depend on the TimeZone? */
extern bool wf_predicate_has_times(const WfPredicate *predicate);

/* What is missing is false; what is unknown, cannot be worked out or is no single boolean is a fault. */
extern bool wf_predicate_eval(const WfPredicate *predicate, const WfScope *scope, bool *answer, WfFault *fault);

/* Merge the top-level keys of `changes` (an object) over `data` (an object). */
extern Jsonb *wf_jsonb_merge(Jsonb *data, Jsonb *changes);

/* Build {"k": v, …} without going through text: NULL Jsonb pointers become JSON null, strings are copied. */
typedef struct WfField
{
	const char *key;
	enum
	{
		WF_FIELD_JSONB,
		WF_FIELD_TEXT,
		WF_FIELD_INT,
		WF_FIELD_TRUE
	}			kind;
	Jsonb	   *jsonb;
	const char *text; /* NULL: null */
	int64		number;
	bool		omit; /* leave the key out */
} WfField;
extern Jsonb *wf_jsonb_object(const WfField *fields, int nfields);
extern Jsonb *wf_jsonb_empty_object(void);
/* The value of a top-level key as Jsonb (scalars become raw scalar jsonb); NULL if there is none or it is JSON null. */
extern Jsonb *wf_jsonb_get(Jsonb *object, const char *key);

#endif
