/*
 * row_writer.h
 *		How a process writes to the rows of an attached table: for write_back.c alone.
 */
#ifndef WF_ROW_WRITER_H
#define WF_ROW_WRITER_H

#include "postgres.h"

#include "executor/spi.h"
#include "utils/relcache.h"

#include "store/attachment.h"
#include "store/row.h"

typedef enum WfShows
{
	WF_SHOWS_SERIAL_NUMBER,
	WF_SHOWS_STATUS,
	WF_SHOWS_INSTANCE,
	WF_NSHOWS
} WfShows;

typedef struct WfRowWriter
{
	int				 attachment;
	Oid				 relid;
	bool			 valid;
	bool			 wide;		/* what it runs is not that of this table alone */
	bool			 unchanged; /* since the last look at whose code it runs has begun */
	bool			 trusted;	/* as of that look and this generation, nobody's but the owner's */
	uint64			 generation;
	MemoryContext	 context;
	WfRowKey		 key;
	WfRowColumn		 columns[WF_NSHOWS]; /* attno 0: none */
	const ErrorData *lost;				 /* a column that is none any more; NULL: all are there */
	SPIPlanPtr		 lock;
	SPIPlanPtr		 see; /* the row, past row-level security; NULL: not made yet */
	SPIPlanPtr		 update;
} WfRowWriter;

/* Of an attachment; made if there is none yet. Good as long as the process. */
extern WfRowWriter *wf_row_writer_find(int attachment);
/* As the table is now: its key, columns and plans. Inside SPI, as the owner. */
extern void wf_row_writer_set_up(WfRowWriter *writer, Relation rel, const WfAttachment *attachment);
/* Its plan `see`, likewise. */
extern void wf_row_writer_see(WfRowWriter *writer, Relation rel);
/* Is any of the columns still there? */
extern bool wf_row_writer_shows(const WfRowWriter *writer);

#endif
