/*
 * diagram.h
 *		A definition as the text of a flowchart, in the language of Mermaid.
 */
#ifndef WF_DIAGRAM_H
#define WF_DIAGRAM_H

#include "postgres.h"

#include "model/json.h"

/* How many tokens have done, or do, the same at a step. */
typedef struct WfDiagramCount
{
	const char *step;	 /* its name */
	bool		of_item; /* of a step with `each`: they are at one of its items */
	const char *state;	 /* an outcome, a state of visits, or "under way": of a scope, while tokens live in it */
	int64		n;
} WfDiagramCount;

typedef struct WfDiagram
{
	const WfDefinition	 *def;
	const WfJson		 *root; /* what it was compiled from */
	const char			 *title;
	const WfDiagramCount *counts; /* what is told beside */
	int					  ncounts;
	bool				  living; /* the counts are of all that live: each is told; else those above one */
} WfDiagram;

/* The text, palloc'd. What a user wrote is in quotes there, and only text, whatever characters it has. */
extern char *wf_diagram(const WfDiagram *diagram);

#endif
