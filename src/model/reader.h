/*
 * reader.h
 *		Reading a definition by tables of fields: one table for each kind of object.
 */
#ifndef WF_READER_H
#define WF_READER_H

#include "postgres.h"

#include "model/definition.h"
#include "model/expression.h"
#include "model/graph.h"
#include "model/issue.h"
#include "model/json.h"
#include "model/reference.h"

/* When something of a step is worked out, and so what it may speak of. */
typedef enum WfMoment
{
	WF_ANY_TIME,				/* of a field: when that around it is */
	WF_AT_ENTRY,				/* before the action is answered */
	WF_AFTER_ACTION,
	WF_AT_END,
	WF_BY_HANDLER,				/* a handler begins beside the visit, or ends it */
} WfMoment;

typedef struct WfReader
{
	WfIssues   *issues;
	WfReferences *references;	/* NULL: nobody asks */
	WfGraph    *graph;
	WfStep	   *step;			/* being read; NULL outside of steps */
	const WfJson *node;			/* what it is read from */
	WfMoment	moment;
	bool		interrupts;		/* the handler that is being read */
	uint32		mentioned;		/* variables, by the step */
} WfReader;

/* Read `node` into *target, whose type the function knows; what is wrong with it becomes an issue. */
typedef void (*WfReadField) (WfReader *reader, const WfJson *node, void *target);

typedef struct WfReaderField
{
	const char *key;
	WfReadField read;			/* NULL: not supported yet */
	size_t		offset;			/* of the member in the object's struct */
	bool		required;
	WfMoment	moment;
} WfReaderField;

/* Table and length, as two arguments. */
#define FIELDS(table) table, lengthof(table)

/* Read the members of an object into `target` by a table. False if it is no object. */
extern bool wf_read_object(WfReader *reader, const WfJson *node, const char *what,
						   const WfReaderField *fields, int nfields, void *target);

/* An issue unless `node` has that type. */
extern bool wf_reader_expect(WfReader *reader, const WfJson *node, WfJsonType type, const char *hint);
extern void wf_reader_not_yet(WfReader *reader, const WfJson *node, const char *what);

/* The step that is being read refers to what `node` names. */
extern void wf_reader_refer(WfReader *reader, WfReferenceKind kind, const WfJson *node);

/* The template that `node` is; NULL with its issues. */
extern WfTemplate *wf_reader_template(WfReader *reader, const WfJson *node);

/* Issues for variables that are never there where `node` stands, and warnings. The former of a WfReader, as void *. */
extern void wf_vocabulary_expression(void *reader, const WfJson *node, const WfExpression *expression);
extern void wf_vocabulary_predicate(WfReader *reader, const WfJson *node, const WfPredicate *predicate);
/* Does the step have an action that is answered? One that can be tried again? */
extern bool wf_vocabulary_has_reply(const WfJson *step);
extern bool wf_vocabulary_has_attempts(const WfJson *step);

/* Readers of single values; the type of their target behind each. */
extern void wf_read_string(WfReader *reader, const WfJson *node, void *target);		/* const char *; not blank */
extern void wf_read_bool(WfReader *reader, const WfJson *node, void *target);		/* bool */
extern void wf_read_any(WfReader *reader, const WfJson *node, void *target);		/* WfTemplate * */
extern void wf_read_text(WfReader *reader, const WfJson *node, void *target);		/* WfTemplate *; of a string */
extern void wf_read_changes(WfReader *reader, const WfJson *node, void *target);	/* WfTemplate *; of an object */
extern void wf_read_predicate(WfReader *reader, const WfJson *node, void *target);	/* WfPredicate * */
extern void wf_read_interval(WfReader *reader, const WfJson *node, void *target);	/* Interval; not negative */
extern void wf_read_pause(WfReader *reader, const WfJson *node, void *target);		/* WfDuration; not negative */
extern void wf_read_timeout(WfReader *reader, const WfJson *node, void *target);	/* WfDuration; positive */
extern void wf_read_attempt_timeout(WfReader *reader, const WfJson *node, void *target);	/* WfDuration; as ms in an int */
extern void wf_read_until(WfReader *reader, const WfJson *node, void *target);		/* WfTemplate *; a timestamp */
extern void wf_read_step_name(WfReader *reader, const WfJson *node, void *target);	/* int; of an existing step */
extern void wf_read_target(WfReader *reader, const WfJson *node, void *target);		/* WfTargets; likewise, none if there is no such step */

/* Of an object of templates or scalars, in the order as written. */
extern void wf_read_pairs(WfReader *reader, const WfJson *node, WfPair **pairs, int *npairs);

/* As wf_read_interval; was it one? */
extern bool wf_read_interval_checked(WfReader *reader, const WfJson *node, Interval *interval);
extern int	wf_interval_compare(const Interval *a, const Interval *b);

/* What an HTTP action is made of; target WfHttpAction *. */
extern void wf_read_http(WfReader *reader, const WfJson *node, void *target);
/* The request that asks to stop; target WfCancelAction *, without a server. */
extern void wf_read_cancel(WfReader *reader, const WfJson *node, void *target);

/* Places for what the step waits for and for its handlers, in the order in which they count, not in that of writing. */
extern void wf_read_entries(WfStep *step, const WfJson *node);
/* Both read into them; target WfStep. */
extern void wf_read_wait(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_catch(WfReader *reader, const WfJson *node, void *target);

/* "404" and "5xx", as they are written in lists of errors; and an issue for those of success. */
extern bool wf_reader_is_failure(WfReader *reader, const WfJson *node);

/* Target WfRetry. */
extern void wf_read_retry(WfReader *reader, const WfJson *node, void *target);
/* When the whole step is read: does what is retried go with its action? */
extern void wf_retry_check(WfReader *reader, const WfJson *node);

#endif
