/*
 * schema.h
 *		The JSON Schema of definitions, made of the shapes by which they are read.
 */
#ifndef WF_SCHEMA_H
#define WF_SCHEMA_H

#include "postgres.h"

/* JSON text, as JSON Schema 2020-12; palloc'd. */
extern char *wf_definition_schema(void);

#endif
