/*
 * diagram_label.h
 *		What diagrams say of steps, ways and ends; private to diagram.c.
 */
#ifndef WF_DIAGRAM_LABEL_H
#define WF_DIAGRAM_LABEL_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "model/json.h"

/* What breaks a line within a label, and nothing else in one says. */
#define WF_DIAGRAM_BREAK "<br/>"

/*
 * Append text as a part of a label, which stands between quotes: on one line, cut where it is long. Characters that mean
 * something to Mermaid, to Markdown or to HTML are written as entities.
 */
extern void wf_diagram_text(StringInfo out, const char *text);

/* Begin a new line within a label. */
extern void wf_diagram_line(StringInfo out);

/* What stands in a step: its name, and in a line each what it does, what it waits for, when tokens meet, its timeout. */
extern void wf_diagram_step(StringInfo out, const WfStep *step, const WfJson *node);

/* What an entry of `first_of`, or a handler, is about. */
extern void wf_diagram_entry(StringInfo out, const WfEntry *entry, const WfJson *node);

/* What starts an instance. */
extern void wf_diagram_start(StringInfo out, const WfStartOn *start);

/* The error or the reason with which a way ends. */
extern void wf_diagram_bad_end(StringInfo out, const WfRoute *route, const WfJson *node);

#endif
