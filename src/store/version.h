/*
 * version.h
 *		The version of the extension in this database, which has to be that of the library.
 *
 * Functions of another version were made for another library: they have other arguments, and their tables other
 * columns. So nothing of ours works in such a database until it is updated.
 */
#ifndef WF_VERSION_H
#define WF_VERSION_H

#include "postgres.h"

#include "fmgr.h"

/* The installed version, palloc'd; NULL if this database does not have the extension. */
extern char *wf_version_installed(void);

/* For WF_FUNCTION. ERROR 55000 if the versions differ. */
extern const Pg_finfo_record *wf_version_record(void);

/*
 * In place of PG_FUNCTION_INFO_V1, for all functions but those that a dump of another version needs while it is restored.
 * PostgreSQL asks for the record when a session, or CREATE FUNCTION, looks the function up: so calls do not pay for it,
 * and arguments are read only if they are those that the library expects.
 */
#define WF_FUNCTION(name) \
	extern PGDLLEXPORT Datum				  name(PG_FUNCTION_ARGS); \
	extern PGDLLEXPORT const Pg_finfo_record *pg_finfo_##name(void); \
	const Pg_finfo_record					 *pg_finfo_##name(void) \
	{ \
		return wf_version_record(); \
	} \
	extern int no_such_variable

#endif
