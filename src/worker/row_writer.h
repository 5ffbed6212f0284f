/*
 * row_writer.h
 *		What write_back.c needs to write to the rows of an attached table: its key, columns and plans.
 *
 * A writer lives as long as the process, one for each attachment. An invalidation of the table makes it not valid.
 */
#ifndef WF_ROW_WRITER_H
#define WF_ROW_WRITER_H

#include "postgres.h"

#include "executor/spi.h"
#include "utils/relcache.h"

#include "store/attachment.h"
#include "store/row.h"

/* What columns of an attached row can show. */
typedef enum WfShows
{
	WF_SHOWS_SERIAL_NUMBER,
	WF_SHOWS_STATUS,
	WF_SHOWS_INSTANCE,
	WF_SHOWS_RESULTS, /* the first of result_columns; the others follow */
} WfShows;
#define WF_MAX_SHOWS (WF_SHOWS_RESULTS + WF_MAX_RESULT_COLUMNS)

typedef struct WfRowWriter
{
	int				 attachment;
	Oid				 relid;		/* the table that is written to */
	Oid				 keyed;		/* the one whose key tells rows apart */
	bool			 valid;		/* key, columns and plans are those of the table as it is now */
	bool			 wide;		/* a write-back may run code of other tables, too (partitions, foreign keys) */
	bool			 unchanged; /* no such table has changed since the last look at whose code runs has begun */
	bool			 trusted;	/* that look, at this generation, has found no code but the owner's */
	uint64			 generation;
	MemoryContext	 context; /* of key, columns and `lost` */
	WfRowKey		 key;
	int				 ncolumns;
	WfRowColumn		*columns; /* by WfShows; attno 0: the table has none for this */
	const ErrorData *lost;	  /* an error that names a lost column; NULL: all are there */
	SPIPlanPtr		 lock;	  /* locks the row, and reads its columns */
	SPIPlanPtr		 see;	  /* looks whether there is such a row; NULL: not made yet */
	SPIPlanPtr		 update;  /* writes the columns; NULL: there is no column */
} WfRowWriter;

/* Find the writer of an attachment, or make an empty one. */
extern WfRowWriter *wf_row_writer_find(int attachment);

/* The next two are called inside SPI, as the table's owner, with the table locked. */

/* Prepare key, columns and plans for `rel` as it is now, unless the writer is valid. The key is that of the attached table `keyed`. */
extern void wf_row_writer_set_up(WfRowWriter *writer, Relation keyed, Relation rel, const WfAttachment *attachment);
/* Prepare the plan `see`, which is seldom needed. */
extern void wf_row_writer_see(WfRowWriter *writer, Relation rel);

/* Does the table still have any of the columns? */
extern bool wf_row_writer_shows(const WfRowWriter *writer);

#endif
