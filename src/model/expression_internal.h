/*
 * expression_internal.h
 *		A compiled jsonpath, for the files that compile and evaluate it.
 */
#ifndef WF_EXPRESSION_INTERNAL_H
#define WF_EXPRESSION_INTERNAL_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonpath.h"

#include "model/expression.h"

typedef struct WfChainKey
{
	const char *name;
	int			len;
} WfChainKey;

/* $.a.b or $variable.a.b, in lax mode. */
typedef struct WfChain
{
	int			variable; /* index of the variable, or WF_VAR_DATA */
	WfChainKey *keys;
	int			nkeys;
} WfChain;

struct WfExpression
{
	const char	 *text;
	JsonPath	 *path;
	WfExpression *otherwise;	   /* the expression behind ??, or NULL */
	uint32		  variables;	   /* mentioned here and behind ?? */
	uint32		  own_variables;   /* mentioned here */
	bool		  yields_boolean;  /* gives exactly one item: true, false, or null for unknown */
	bool		  yields_filtered; /* ends in a filter */
	bool		  never_boolean;
	bool		  has_times;	 /* the result may depend on TimeZone */
	bool		  drops_unknown; /* has a filter in which something may be unknown */
	const char	 *warning;		 /* of a part that a variable never has; or NULL */
	const char	 *warning_hint;
	bool		  is_chain;
	bool		  is_equality; /* is `chain == literal` */
	WfChain		  chain;
	JsonbValue	  literal;
};

struct WfPredicate
{
	WfExpression *expression;
	List		 *fields;	 /* of char *: the fields of the data that it reads, */
	bool		  reads_all; /* unless it reads anything else */
};

#endif
