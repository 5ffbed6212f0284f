/*
 * access.h
 *		Entering and leaving the store: as the extension's owner, with a pinned search_path, connected to SPI.
 */
#ifndef WF_ACCESS_H
#define WF_ACCESS_H

#include "postgres.h"

typedef struct WfAccess
{
	Oid	 caller; /* the caller; rights are checked against this role */
	int	 sec_context;
	int	 guc_level;
	bool has_snapshot; /* wf_store_enter pushed a snapshot, since a worker has none */
} WfAccess;

/*
 * Between wf_store_enter and wf_store_leave, SQL runs as the owner of the extension's tables under
 * search_path = pg_catalog, pg_temp. An error in between needs no clean-up: the end of the
 * (sub)transaction restores user, settings and SPI. ERROR 55000 if the extension is not installed
 * or not preloaded.
 */
extern void wf_store_enter(WfAccess *access);
extern void wf_store_leave(WfAccess *access);

/*
 * The schema of the extension's tables, and of functions that users do not call: nobody has rights
 * on it.
 */
#define WF_DATA_SCHEMA "workflow_data"

/* The owner of the extension's tables, and the OID of their schema. */
extern Oid wf_store_owner(void);
extern Oid wf_store_schema(void);
/* The OID of one of the extension's relations. Its name is a literal, or lives as long. ERROR if it is missing. */
extern Oid wf_store_relation(const char *name);

#endif
