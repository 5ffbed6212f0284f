/*
 * template_build.h
 *		Compiling templates from the tree of a definition, so that issues get their full path.
 */
#ifndef WF_TEMPLATE_BUILD_H
#define WF_TEMPLATE_BUILD_H

#include "postgres.h"

#include "model/expression.h"
#include "model/json.h"
#include "model/template.h"

/* Called for each ${…} that compiles, with the string in which it stands. */
typedef void (*WfExpressionSeen)(void *arg, const WfJson *node, const WfExpression *expression);

/*
 * Compile the template in `node`. Adds an issue for each bad ${…}, and returns NULL if there was
 * one. Strings of `node` stay in use.
 */
extern WfTemplate *wf_template_build(const WfJson *node, WfIssues *issues, WfExpressionSeen seen, void *arg);

/* The text of a string template without ${…}; else NULL. */
extern const char *wf_template_constant_text(const WfTemplate *tmpl);

/*
 * The i-th piece of a string template, as it stands in the result: "" for a ${…}; NULL behind the
 * last.
 */
extern const char *wf_template_piece(const WfTemplate *tmpl, int i);

/* Is the template a string that is one ${…} and nothing else? */
extern bool wf_template_is_value(const WfTemplate *tmpl);

#endif
