/*
 * lock.h
 *		Work that a worker has fetched, and keeps until a time: told by its lock_token.
 */
#ifndef WF_LOCK_H
#define WF_LOCK_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "api/target.h"
#include "store/work.h"

/* A year: nobody means a longer one. */
#define WF_LONGEST_LOCK (INT64CONST(366) * USECS_PER_DAY)

/*
 * The end of a lock that begins now. ERROR 22023, naming the argument, unless it is after now, and within a year.
 */
extern TimestampTz wf_lock_until(Interval *lock, TimestampTz now, const char *argument);

/*
 * Find the work that the token is of, of a visit that is locked and loaded; NULL: whoever has it. Returns false if it is somebody else's
 * by now, nobody's, or nobody has to do it any more.
 */
extern bool wf_lock_find(const WfTarget *target, const WfSerial *serial, const pg_uuid_t *token, WfWork *work);

/* ERROR 55000 if the visit waits for nobody but a worker, and somebody has the work: no token was given. */
extern void wf_lock_require_free(const WfTarget *target, const WfSerial *serial);

pg_noreturn extern void wf_lock_refuse(const WfWork *work, const WfSerial *serial);

/* Let whoever has the token keep the work until then, from now on, or for as long as he has it, if that is longer. 0: he has not. */
extern TimestampTz wf_lock_extend(const WfTarget *target, const WfSerial *serial, const pg_uuid_t *token, Interval *by);

#endif
