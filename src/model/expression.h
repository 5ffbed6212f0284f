/*
 * expression.h
 *		A jsonpath, compiled: what stands inside ${…}, and what predicates are made of.
 */
#ifndef WF_EXPRESSION_H
#define WF_EXPRESSION_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "model/template.h"

typedef struct WfExpression WfExpression;

/*
 * Compile len bytes of `text` in CurrentMemoryContext: a jsonpath, or several with ?? in between. NULL with *message and
 * *hint (or NULL) set if they are none.
 */
extern WfExpression *wf_expression_compile(const char *text, int len, const char **message, const char **hint);

/* As it was written, for messages. */
extern const char *wf_expression_text(const WfExpression *expression);

/* The variables that are mentioned, as WF_VAR_BIT()s of model/variable.h. */
extern uint32 wf_expression_variables(const WfExpression *expression);

/* What its author should know of it, with *hint set, or NULL. */
extern const char *wf_expression_warning(const WfExpression *expression, const char **hint);

/*
 * The first item that it gives; false if there is none. *value may point into the scope. Throws what a user's content
 * can cause: run it within wf_guard_run.
 */
extern bool wf_expression_value(const WfExpression *expression, const WfScope *scope, JsonbValue *value);

/* The last byte of a jsonpath's string, comment or escape that begins at p; p itself if there is none. */
extern const char *wf_expression_skip_quoted(const char *p);

/* The same of predicates. */
extern uint32 wf_predicate_variables(const WfPredicate *predicate);
extern const char *wf_predicate_warning(const WfPredicate *predicate, const char **hint);

#endif
