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

/* Compile len bytes of `text` in CurrentMemoryContext. NULL with *message and *hint (or NULL) set if they are no jsonpath. */
extern WfExpression *wf_expression_compile(const char *text, int len, const char **message, const char **hint);

/* As it was written, for messages. */
extern const char *wf_expression_text(const WfExpression *expression);

/*
 * The first item that it gives; false if there is none. *value may point into the scope. Throws what a user's content
 * can cause: run it within wf_guard_run.
 */
extern bool wf_expression_value(const WfExpression *expression, const WfScope *scope, JsonbValue *value);

#endif
