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

/* Told of each ${…} that is none the worse for itself, with the string that it stands in. */
typedef void (*WfExpressionSeen) (void *arg, const WfJson *node, const WfExpression *expression);

/* Compile; adds an issue for each bad ${…} and returns NULL if there was one. Strings of `node` stay in use. */
extern WfTemplate *wf_template_build(const WfJson *node, WfIssues *issues, WfExpressionSeen seen, void *arg);

/* What the template gives as text, if that is the same whatever the scope and the template is a string; else NULL. */
extern const char *wf_template_constant_text(const WfTemplate *tmpl);

/* Of a string template, the i-th piece as it stands in the result: "" for a ${…}; NULL behind the last. */
extern const char *wf_template_piece(const WfTemplate *tmpl, int i);

/* Is it a string that is one ${…} and nothing else? */
extern bool wf_template_is_value(const WfTemplate *tmpl);

#endif
