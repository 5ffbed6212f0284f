/*
 * expression.h
 *		A compiled jsonpath: what stands inside ${…}, and what predicates are made of.
 */
#ifndef WF_EXPRESSION_H
#define WF_EXPRESSION_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "model/template.h"

typedef struct WfExpression WfExpression;

/*
 * Compile len bytes of `text` in CurrentMemoryContext: a jsonpath, or several with ?? in between.
 * Returns NULL, with *message and *hint (or NULL) set, if they are none.
 */
extern WfExpression *wf_expression_compile(const char *text, int len, const char **message, const char **hint);

/* The text as it was written, for messages. */
extern const char *wf_expression_text(const WfExpression *expression);

/* Are they written the same way? */
extern bool wf_expression_is_same(const WfExpression *a, const WfExpression *b);

/* The variables that the expression mentions, as WF_VAR_BIT()s of model/variable.h. */
extern uint32 wf_expression_variables(const WfExpression *expression);

/* What the author of the expression is warned of, with *hint set, or NULL. */
extern const char *wf_expression_warning(const WfExpression *expression, const char **hint);

/*
 * Evaluate: *value becomes the first item, and may point into the WfVariables. Returns false if there is
 * none. Throws what a user's content can cause, so it has to run within wf_guard_run.
 */
extern bool wf_expression_value(const WfExpression *expression, const WfVariables *variables, JsonbValue *value);

/*
 * Evaluate to a list: all items, or the elements if the only item is an array; a null is none. *list is an
 * array in CurrentMemoryContext. Returns false with *fault if it cannot be worked out, or if a member is
 * missing.
 */
extern bool wf_expression_list(const WfExpression *expression, const WfVariables *variables, Jsonb **list,
							   WfFault *fault);

/*
 * The last byte of the jsonpath string, comment or escape that begins at p; p itself if none does.
 */
extern const char *wf_expression_skip_quoted(const char *p);

/* Variables and warning of a predicate. */
extern uint32	   wf_predicate_variables(const WfPredicate *predicate);
extern const char *wf_predicate_warning(const WfPredicate *predicate, const char **hint);

#endif
