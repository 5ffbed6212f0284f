/*
 * template.h
 *		Compiled templates and predicates, and the variables that they see.
 *
 * Both are compiled once, in the memory context of their definition, and hold no state: evaluation
 * allocates in CurrentMemoryContext only. Evaluation does not throw for what a user wrote (cancel
 * and out of memory excepted): it returns false and fills a WfFault.
 */
#ifndef WF_TEMPLATE_H
#define WF_TEMPLATE_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

#include "model/fault.h"

/*
 * The values of `$` and the variables. A NULL pointer is JSON null. Strings are in the database
 * encoding.
 */
typedef struct WfVariables WfVariables;
struct WfVariables
{
	Jsonb *data; /* `$`; NULL: it is seen in layers */
	/*
	 * Fields lie over data that may be large: they are put together only for who asks for more than a field. `seen_field` returns false if
	 * there is no such field.
	 */
	bool (*seen_field)(const WfVariables *variables, const char *name, int len, JsonbValue *value);
	Jsonb *(*seen_whole)(const WfVariables *variables);
	void	   *seen_by; /* for these two */
	Jsonb	   *seen_over;
	bool		is_row;	  /* `$` is a row, in which what is missing is null */
	const char *timezone; /* time zone in which jsonpath reads times; NULL: that of the session */
	int64		instance;
	int64		visit; /* $serial_number is made of instance and visit; 0: null */
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
	/* makes $callback_url and $heartbeat_url, or throws 22023; NULL: null */
	const char *(*url)(const WfVariables *variables, bool heartbeat);
};

/* `$` as a whole. */
extern Jsonb *wf_variable_data(const WfVariables *variables);

typedef struct WfTemplate  WfTemplate;
typedef struct WfPredicate WfPredicate;

/*
 * How a text template treats the values that it inserts. A missing value is an error in all of
 * them, JSON null in all but WF_TEXT_PLAIN.
 */
typedef enum WfTextUse
{
	WF_TEXT_PLAIN, /* as it is; JSON null is the word null */
	/*
	 * Percent-encoded as one path segment (unreserved characters of RFC 3986 stay); literal parts
	 * stay as written.
	 */
	WF_TEXT_PATH,
	/* Percent-encoded as a query or form value, literal parts as well. */
	WF_TEXT_QUERY,
	WF_TEXT_HEADER, /* CR, LF and NUL are an error */
	WF_TEXT_KEY,	/* as it is: keys, channels, intervals, times */
	/* a value that stands alone as it is; values beside anything else as in a path */
	WF_TEXT_URL,
} WfTextUse;

/* Has the template no ${…}, so that it renders the same whatever the variables are? */
extern bool wf_template_is_constant(const WfTemplate *tmpl);

/* Do they say the same, apart from spaces outside of strings? Both may be NULL. */
extern bool wf_template_is_same(const WfTemplate *a, const WfTemplate *b);

/* Render as JSON text, appended to `out`: used for request bodies. Returns false with *fault. */
extern bool wf_template_json(const WfTemplate *tmpl, const WfVariables *variables, StringInfo out, WfFault *fault);

/*
 * Render as jsonb: used for `set`, `save`, `save_reply` and payloads. Returns NULL with *fault set
 * if that fails.
 */
extern Jsonb *wf_template_jsonb(const WfTemplate *tmpl, const WfVariables *variables, WfFault *fault);

/*
 * Render a string template as text, appended to `out`; a value that is no string is inserted as its
 * JSON text. Returns false with *fault.
 */
extern bool wf_template_text(const WfTemplate *tmpl, const WfVariables *variables, WfTextUse use, StringInfo out,
							 WfFault *fault);

/* Append `text` percent-encoded, as UTF-8; unreserved characters of RFC 3986 stay. */
extern void wf_percent_encode(StringInfo out, const char *text, int len);

/*
 * Compile a jsonpath predicate. Returns NULL, with *message and *hint set, if it does not parse or
 * uses an unknown variable.
 */
extern WfPredicate *wf_predicate_compile(const char *text, const char **message, const char **hint);

/*
 * Compile a predicate over a row that may start an instance: it knows `$`, which is the row, and
 * $process.
 */
extern WfPredicate *wf_predicate_compile_row(const char *text, const char **message, const char **hint);

/* Are they written the same way? Both may be NULL. */
extern bool wf_predicate_is_same(const WfPredicate *a, const WfPredicate *b);

/* May the predicate's answer depend on TimeZone? */
extern bool wf_predicate_has_times(const WfPredicate *predicate);

/*
 * May the predicate's answer over these data differ from that over those before, all else being the same? Not if it reads
 * only fields of the data that have not changed.
 */
extern bool wf_predicate_may_differ(const WfPredicate *predicate, Jsonb *before, Jsonb *data);

/*
 * Evaluate a predicate. What is missing is false. What is unknown, cannot be computed or is no
 * single boolean is a fault: then false is returned.
 */
extern bool wf_predicate_eval(const WfPredicate *predicate, const WfVariables *variables, bool *answer, WfFault *fault);

/*
 * Making a jsonb takes many times its size, since each element of what becomes a part of it is looked at on its own. So
 * whatever may be large is made between these two: begin() switches to a scratch context, and returns the one before;
 * end() copies the jsonb, which may be NULL, to that and deletes the scratch context. What is thrown in between leaves it
 * to its parent.
 */
extern MemoryContext wf_jsonb_begin(void);
extern Jsonb		*wf_jsonb_end(MemoryContext old, Jsonb *jsonb);

/* Merge the top-level keys of `changes` (an object) over `data` (an object). */
extern Jsonb *wf_jsonb_merge(Jsonb *data, Jsonb *changes);
/* The same in place: can it be done, since each member is there, and its value takes as much space? */
extern bool wf_jsonb_can_overwrite(const Jsonb *data, const Jsonb *changes);
extern void wf_jsonb_overwrite(Jsonb *data, const Jsonb *changes);

/*
 * Build {"k": v, …} without going through text. NULL Jsonb pointers become JSON null; strings are
 * copied.
 */
typedef struct WfField
{
	const char *key;
	enum
	{
		WF_FIELD_JSONB,
		WF_FIELD_TEXT,
		WF_FIELD_INT,
		WF_FIELD_TRUE
	} kind;
	Jsonb	   *jsonb;
	const char *text; /* NULL: JSON null */
	int64		number;
	bool		omit; /* leave the key out */
} WfField;
extern Jsonb *wf_jsonb_object(const WfField *fields, int nfields);
extern Jsonb *wf_jsonb_empty_object(void);
/*
 * The value of a top-level key as Jsonb; a scalar becomes a raw scalar. NULL if there is no such
 * key or its value is JSON null.
 */
extern Jsonb *wf_jsonb_get(Jsonb *object, const char *key);

/* The value of a key, if it is a string, or a number; else, and if `object` is NULL or no object: NULL, or 0. */
extern char *wf_jsonb_get_text(Jsonb *object, const char *key);
extern int64 wf_jsonb_get_int64(Jsonb *object, const char *key);

/* A string, number or boolean as text; NULL for anything else. */
extern char *wf_jsonb_scalar_text(const JsonbValue *value);

#endif
