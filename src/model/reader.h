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
#include "model/shape.h"

/* The moment when a field of a step is evaluated, which decides which variables it may use. */
typedef enum WfMoment
{
	WF_ANY_TIME, /* as the field around it */
	WF_AT_ENTRY, /* before the action is answered */
	WF_AT_REPLY, /* at once when it is, and never later */
	WF_AFTER_ACTION,
	WF_AT_END,
	WF_BY_HANDLER, /* when a handler begins, beside the visit or instead of it */
} WfMoment;

typedef struct WfReader
{
	WfIssues	 *issues;
	WfReferences *references; /* NULL: not wanted */
	WfGraph		 *graph;
	WfStep		 *step; /* the step that is being read; NULL outside of steps */
	const WfJson *node; /* the JSON of that step */
	WfMoment	  moment;
	bool		  interrupts; /* the handler that is being read interrupts the visit */
	bool		  of_whole;	  /* what is being read is of the whole, if the step has "each", and not of its items */
	uint32		  mentioned;  /* variables that the step mentions, */
	uint32		  late;		  /* and those of them that it may need when the reply was dealt with */
} WfReader;

/*
 * A reader: reads `node` into *target, whose type it knows; what is wrong with it becomes an issue.
 */
typedef void (*WfReadField)(WfReader *reader, const WfJson *node, void *target);

struct WfReaderField
{
	const char		  *key;
	WfReadField		   read; /* NULL: not supported yet */
	const WfJsonShape *shape;
	size_t			   offset; /* offset of the member in the object's struct */
	bool			   required;
	WfMoment		   moment;
	bool			   of_whole; /* in a step with "each": see WfReader */
};

/* Read the members of an object into `target` by the table of its shape. Returns false if `node` is no object. */
extern bool wf_read_object(WfReader *reader, const WfJson *node, const WfJsonShape *shape, void *target);

/* Check that what goes with another key stands beside that. */
extern void wf_reader_beside(WfReader *reader, const WfJson *node, const WfJsonShape *shape);

/*
 * Add an issue unless `node` has that type; wf_reader_not_yet adds one for what is not supported
 * yet.
 */
extern bool wf_reader_expect(WfReader *reader, const WfJson *node, WfJsonType type, const char *hint);
extern void wf_reader_not_yet(WfReader *reader, const WfJson *node, const char *what);

/* Note that the step which is being read has a route that could not be read. */
extern void wf_reader_unread(WfReader *reader);

/* Record that the step which is being read refers to what `node` names. */
extern void wf_reader_refer(WfReader *reader, WfReferenceKind kind, const WfJson *node);

/* Compile the template in `node`. Returns NULL, with issues, if it is none. */
extern WfTemplate *wf_reader_template(WfReader *reader, const WfJson *node);

/*
 * Add issues for variables that never exist where `node` stands, and warnings: in a step, or in what
 * a message brings that starts an instance. The `reader` of the first two is a WfReader.
 */
extern void wf_vocabulary_expression(void *reader, const WfJson *node, const WfExpression *expression);
extern void wf_vocabulary_start(void *reader, const WfJson *node, const WfExpression *expression);
extern void wf_vocabulary_predicate(WfReader *reader, const WfJson *node, const WfPredicate *predicate);
/* Does the step have an action with a reply? One that can be tried again? */
extern bool wf_vocabulary_has_reply(const WfJson *step);
extern bool wf_vocabulary_has_attempts(const WfJson *step);

/* Readers of single values; the type of each target is behind its declaration. */
extern void wf_read_string(WfReader *reader, const WfJson *node, void *target);	   /* const char *; not blank */
extern void wf_read_bool(WfReader *reader, const WfJson *node, void *target);	   /* bool */
extern void wf_read_any(WfReader *reader, const WfJson *node, void *target);	   /* WfTemplate * */
extern void wf_read_text(WfReader *reader, const WfJson *node, void *target);	   /* WfTemplate *; of a string */
extern void wf_read_changes(WfReader *reader, const WfJson *node, void *target);   /* WfTemplate *; of an object */
extern void wf_read_predicate(WfReader *reader, const WfJson *node, void *target); /* WfPredicate * */
extern void wf_read_interval(WfReader *reader, const WfJson *node, void *target);  /* Interval; not negative */
extern void wf_read_pause(WfReader *reader, const WfJson *node, void *target);	   /* WfDuration; not negative */
extern void wf_read_timeout(WfReader *reader, const WfJson *node, void *target);   /* WfDuration; positive */
extern void wf_read_attempt_timeout(WfReader *reader, const WfJson *node,
									void *target);								   /* WfDuration; as ms in an int */
extern void wf_read_until(WfReader *reader, const WfJson *node, void *target);	   /* WfTemplate *; a timestamp */
extern void wf_read_step_name(WfReader *reader, const WfJson *node, void *target); /* int; of an existing step */
/* WfTargets; of the existing steps among those that are named, by one name or a list */
extern void wf_read_targets(WfReader *reader, const WfJson *node, void *target);

/* Which keys of a step exclude each other, and which go with others only; what is wrong is told by wf_step_check. */
#define WF_STEP_KEYS   4
#define WF_STEP_BESIDE 2
extern const WfKeys	  wf_step_keys[WF_STEP_KEYS];
extern const WfBeside wf_step_beside[WF_STEP_BESIDE];

/* Check, when a step was read, whether its keys fit together; the same for the process itself. */
extern void wf_step_check(WfReader *reader, const WfJson *node);
extern void wf_step_check_process(WfReader *reader, const WfJson *root);

/* Where a step goes: the target of these three is a WfRoute, that of the last a WfJoin. */
extern void wf_read_next(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_choose(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_end(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_join(WfReader *reader, const WfJson *node, void *target);

/* Read an object of templates or scalars, in the order as written. */
extern void wf_read_pairs(WfReader *reader, const WfJson *node, WfPair **pairs, int *npairs);

/* Read an interval, as wf_read_interval does; returns whether it was one. */
extern bool wf_read_interval_checked(WfReader *reader, const WfJson *node, Interval *interval);
extern int	wf_interval_compare(const Interval *a, const Interval *b);

/* Of keys that exclude each other, the second one given is an issue. */
extern void wf_reader_one_of(WfReader *reader, const WfJson *node, const char *const *keys, int nkeys);

/* The bodies that are no plain texts; the target of the first is a WfHttpAction, of the others a WfTemplate *. */
extern void wf_read_multipart(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_bytes(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_media_type(WfReader *reader, const WfJson *node, void *target);
/* Check, when all of "http" was read, whether what is said of the type of its body fits. */
extern void wf_http_check_type(WfReader *reader, const WfJson *node);

/* The shapes of what these read. */
extern const WfJsonShape wf_multipart_shape, wf_http_shape, wf_cancel_shape, wf_wait_shape, wf_first_of_shape,
	wf_catch_shape;
extern const WfJsonShape wf_send_shape, wf_call_shape, wf_each_shape, wf_retry_shape, wf_next_shape, wf_choose_shape;
extern const WfJsonShape wf_end_shape, wf_join_shape, wf_definition_shape;

/* Read an HTTP action; the target is a WfHttpAction *. */
extern void wf_read_http(WfReader *reader, const WfJson *node, void *target);
/* Read the cancel request; the target is a WfCancelAction *, without a server. */
extern void wf_read_cancel(WfReader *reader, const WfJson *node, void *target);

/*
 * Make places for the entries of a step, its waits and its handlers, in the order in which they are
 * counted, which is not that of writing.
 */
extern void wf_read_entries(WfStep *step, const WfJson *node);
/* Read what a step waits for, and its handlers, into these places; the target is a WfStep. */
extern void wf_read_wait(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_first_of(WfReader *reader, const WfJson *node, void *target);
extern void wf_read_catch(WfReader *reader, const WfJson *node, void *target);

/* Read `send`; the target is a WfStep. */
extern void wf_read_send(WfReader *reader, const WfJson *node, void *target);
/* Read the action `call` of a step; the target is a WfStep. */
extern void wf_read_call(WfReader *reader, const WfJson *node, void *target);

/* Read `each`; the target is a WfStep. Then, when all of the step was read and checked, make two of it. */
extern void wf_read_each(WfReader *reader, const WfJson *node, void *target);
extern void wf_each_check(WfReader *reader, const WfJson *node);
extern void wf_each_split(WfDefinition *def, WfStep *whole);

/*
 * Is it a status such as "404" or "5xx", as written in lists of errors? Adds an issue for those of
 * success.
 */
extern bool wf_reader_is_failure(WfReader *reader, const WfJson *node);

/* Read `retry`; the target is a WfRetry. */
extern void wf_read_retry(WfReader *reader, const WfJson *node, void *target);
/* Check, when the whole step was read, whether its action can fail with what is retried. */
extern void wf_retry_check(WfReader *reader, const WfJson *node);

#endif
