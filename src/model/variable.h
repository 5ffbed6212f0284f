/*
 * variable.h
 *		The variables of templates and predicates: their names, and their values.
 */
#ifndef WF_VARIABLE_H
#define WF_VARIABLE_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "model/template.h"

typedef enum WfVariable
{
	WF_VAR_SERIAL_NUMBER,
	WF_VAR_INSTANCE,
	WF_VAR_BUSINESS_KEY,
	WF_VAR_PROCESS,
	WF_VAR_STEP,
	WF_VAR_ATTEMPT,
	WF_VAR_CALLBACK_URL,
	WF_VAR_HEARTBEAT_URL,
	WF_VAR_REPLY,
	WF_VAR_RESULT,
	WF_VAR_EVENT,
	WF_VAR_ERROR,
	WF_VAR_CAUGHT,
	WF_VAR_ITEM,
	WF_VAR_INDEX,
} WfVariable;

#define WF_NVARIABLES (WF_VAR_INDEX + 1)
#define WF_VAR_DATA	  (-1) /* `$` itself, the data */

/* A variable as a member of a set. */
#define WF_VAR_BIT(variable) (1u << (variable))

/* The name of a variable, without the $. */
extern const char *wf_variable_name(int variable);

/* The variable with that name, or -1. */
extern int wf_variable_by_name(const char *name, int len);

/* A hint about which variable may be meant by an unknown $name. */
extern const char *wf_variable_hint(const char *name);

/* A hint about `word`, without a $, at the begin of an expression; NULL if there is none. */
extern const char *wf_variable_word_hint(const char *word);

/* A warning if that variable never has a part of that name, and what to say with it; NULL: it may have. */
extern const char *wf_variable_part_warning(int variable, const char *part, const char **hint);

/*
 * The value of a variable; *value may point into the WfVariables. Throws 22023 for a URL while there is
 * none, so it has to run within wf_guard_run.
 */
extern void wf_variable_value(const WfVariables *variables, int variable, JsonbValue *value);

/* Make an object of the wanted variables, a set of bits. */
extern Jsonb *wf_variable_object(uint32 wanted, const WfVariables *variables);

#endif
