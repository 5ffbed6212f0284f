/*
 * shape.h
 *		What JSON a value of a definition may be, as far as that shows in the value itself: its type, the keys of an object, the
 *		words that a string may be.
 *
 * Objects are read by their shapes, and the JSON Schema of definitions is made of the same ones (schema.c). A shape may take more
 * than its reader does, which knows the whole definition, and never less: builds for tests see to that with each definition.
 */
#ifndef WF_SHAPE_H
#define WF_SHAPE_H

#include "postgres.h"

#include "model/json.h"

/* A table and its length, as two arguments. */
#define FIELDS(table) table, lengthof(table)

/* One type that is taken; the types of a shape are these or-ed. */
#define WF_TAKES(type) (1 << (type))

#define WF_TAKES_BOOL	WF_TAKES(WF_JSON_BOOL)
#define WF_TAKES_NUMBER WF_TAKES(WF_JSON_NUMBER)
#define WF_TAKES_STRING WF_TAKES(WF_JSON_STRING)
#define WF_TAKES_ARRAY	WF_TAKES(WF_JSON_ARRAY)
#define WF_TAKES_OBJECT WF_TAKES(WF_JSON_OBJECT)
#define WF_TAKES_SCALAR (WF_TAKES_BOOL | WF_TAKES_NUMBER | WF_TAKES_STRING)
#define WF_TAKES_ANY	(WF_TAKES(WF_JSON_NULL) | WF_TAKES_SCALAR | WF_TAKES_ARRAY | WF_TAKES_OBJECT)

typedef struct WfReaderField WfReaderField;
typedef struct WfJsonShape	 WfJsonShape;

/* How many of some keys an object may have. */
typedef enum WfHowMany
{
	WF_AT_MOST_ONE,
	WF_EXACTLY_ONE,
	WF_AT_LEAST_ONE,
} WfHowMany;

typedef struct WfKeys
{
	WfHowMany		   how_many;
	const char *const *keys;
	int				   nkeys;
} WfKeys;

/* A key that goes with another one only, or only where that is false, in objects that know that one. */
typedef struct WfBeside
{
	const char *key;
	const char *with;
	const char *hint;
	const char *not_false; /* what is wrong if it is not false; NULL: it may be anything */
} WfBeside;

struct WfJsonShape
{
	const char *name; /* in the schema; NULL: it is written out wherever it is used */
	const char *says; /* what it is, for who writes one; NULL: that is plain */
	int			types;
	bool		only_true; /* of booleans */
	/* strings */
	bool			   not_blank;
	int				   max_length; /* in characters; 0: any */
	const char *const *words;	   /* the only ones; NULL: any */
	int				   nwords;
	/* numbers */
	bool whole;
	int	 minimum;
	int	 maximum; /* 0: any number */
	/* arrays */
	const WfJsonShape *items; /* NULL: anything */
	int				   min_items;
	int				   max_items; /* 0: any number */
	/* objects: those with a table have its keys and no others */
	const char			*what; /* as messages call it */
	const WfReaderField *fields;
	int					 nfields;
	const WfJsonShape	*members;	  /* of one without a table; NULL: anything */
	int					 min_members; /* of one without a table */
	const WfKeys		*keys;
	int					 nkeys;
	const WfBeside		*beside;
	int					 nbeside;
};

/* Tables and their lengths, as members of a shape; and the numbers that are a status of HTTP. */
#define WF_FIELDS(table)  .fields = (table), .nfields = lengthof(table)
#define WF_WORDS(table)	  .words = (table), .nwords = lengthof(table)
#define WF_KEYS(table)	  .keys = (table), .nkeys = lengthof(table)
#define WF_BESIDE(table)  .beside = (table), .nbeside = lengthof(table)
#define WF_STATUS_NUMBERS .whole = true, .minimum = 100, .maximum = 599

extern const WfJsonShape wf_shape_any;
extern const WfJsonShape wf_shape_bool;
extern const WfJsonShape wf_shape_true;
extern const WfJsonShape wf_shape_string;
extern const WfJsonShape wf_shape_name;		 /* not blank */
extern const WfJsonShape wf_shape_scalar;	 /* whose text counts */
extern const WfJsonShape wf_shape_number;	 /* from 1 to 999999999 */
extern const WfJsonShape wf_shape_interval;	 /* a constant, or a template */
extern const WfJsonShape wf_shape_predicate; /* a jsonpath */
extern const WfJsonShape wf_shape_changes;	 /* an object of templates */
extern const WfJsonShape wf_shape_pairs;	 /* an object of scalars */
extern const WfJsonShape wf_shape_targets;	 /* one step or several */

extern bool wf_shape_has(const WfJsonShape *shape, const char *key);

/* Does what goes with the key stand in the object as well, as it has to be? True if the key is not there itself. */
extern bool wf_shape_stands(const WfJsonShape *shape, const WfBeside *beside, const WfJson *node);

/* Does the shape take the value? Of builds for tests alone. */
extern bool wf_shape_takes(const WfJsonShape *shape, const WfJson *node);

#endif
