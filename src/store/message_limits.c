/*
 * message_limits.c
 *		What a message or a signal may be, whoever sends it: a caller, or a step of a process.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "shmem/settings.h"
#include "store/message.h"

#define MAX_TTL "1 year"

static bool
refuse(WfUnsendable *why, int sqlerrcode, const char *field, const char *problem)
{
	*why = (WfUnsendable){.sqlerrcode = sqlerrcode, .field = field, .problem = problem};
	return false;
}

static bool
text_fits(const char *text, const char *field, size_t most, bool may_be_empty, WfUnsendable *why)
{
	if (text == NULL)
		return true;
	if (text[0] == '\0' && !may_be_empty)
		return refuse(why, ERRCODE_INVALID_PARAMETER_VALUE, field, "must not be empty");
	if (strlen(text) > most)
		return refuse(why, ERRCODE_INVALID_PARAMETER_VALUE, field, psprintf("has at most %zu bytes", most));
	return true;
}

static bool
data_fit(const Jsonb *data, WfUnsendable *why)
{
	if (data == NULL || VARSIZE(data) <= (Size) wf_setting_max_data * 1024)
		return true;
	(void) refuse(why, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "data", "is too large");
	why->detail = psprintf("has %zu bytes; workflow.max_data allows %d kB", (Size) VARSIZE(data), wf_setting_max_data);
	return false;
}

bool
wf_sending_fits(const WfSending *sending, WfUnsendable *why)
{
	return text_fits(sending->name, "name", WF_MESSAGE_MAX_NAME, false, why) &&
		   text_fits(sending->key, "key", WF_MESSAGE_MAX_KEY, true, why) &&
		   text_fits(sending->message_id, "message_id", WF_MESSAGE_MAX_KEY, false, why) && data_fit(sending->data, why);
}

/* An hour more than the year, which may have been counted in another time zone. */
static TimestampTz
longest_from(TimestampTz from)
{
	Datum year =
		DirectFunctionCall3(interval_in, CStringGetDatum(MAX_TTL), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(from), year)) +
		   USECS_PER_HOUR;
}

bool
wf_sending_keep(WfSending *sending, TimestampTz from, TimestampTz until, WfUnsendable *why)
{
	if (until < from)
		return refuse(why, ERRCODE_INVALID_PARAMETER_VALUE, "ttl", "must not be negative");
	if (until > longest_from(from))
		return refuse(why, ERRCODE_INVALID_PARAMETER_VALUE, "ttl", "is at most " MAX_TTL);
	sending->ttl_ms = (until - from + 999) / 1000;
	return true;
}
