/*
 * signature.c
 *		What an outside system sends, as it came: verified before it is read.
 *
 * Signatures are over bytes, which JSON does not keep: a body that was read and written again is another one.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "api/arguments.h"
#include "api/signature.h"
#include "http/server.h"
#include "store/privilege.h"

WfRawRequest
wf_argument_request(FunctionCallInfo fcinfo, int n)
{
	WfRawRequest request = {.body = "", .headers = wf_argument_jsonb(fcinfo, n + 1)};
	bytea		*body;
	char		*copy;

	if (request.headers != NULL && !JB_ROOT_IS_OBJECT(request.headers))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"%s\" must be a JSON object", "headers"),
				errhint("It has the headers of the request by their names: {\"X-Signature\": \"...\"}."));
	if (PG_ARGISNULL(n))
		return request;
	if (toast_raw_datum_size(PG_GETARG_DATUM(n)) > WF_RAW_MAX_BYTES + VARHDRSZ)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("a body has at most %d MB", WF_RAW_MAX_BYTES / (1024 * 1024)));
	body = PG_GETARG_BYTEA_PP(n);
	request.len = VARSIZE_ANY_EXHDR(body);
	copy = palloc(request.len + 1); /* any bytes */
	memcpy(copy, VARDATA_ANY(body), request.len);
	copy[request.len] = '\0';
	request.body = copy;
	return request;
}

/* ---- verifying ---- */

/* The secret of the process's owner. The caller is not told what is not right with it: it is none of his business. */
static char *
require_secret(const WfSignature *signature, int process_id)
{
	Oid				owner = wf_process_owner(process_id);
	const WfServer *server = wf_server_by_name(signature->server);
	const char	   *problem = "there is no such server, or he may not use it";
	char		   *secret = NULL;

	if (server != NULL && OidIsValid(owner) && wf_server_usable(server, owner))
		secret = wf_server_webhook_secret(server, owner, &problem);
	if (secret == NULL)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("the signature cannot be verified"),
				errdetail_log("The owner of the process has no secret for server \"%s\": %s.", signature->server,
							  problem));
	return secret;
}

void
wf_signature_require(const WfSignature *signature, int process_id, const WfRawRequest *request)
{
	char	   *secret = require_secret(signature, process_id);
	const char *problem = wf_signature_problem(signature, secret, request, GetCurrentTimestamp());

	explicit_bzero(secret, strlen(secret));
	pfree(secret);
	if (problem != NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION), errmsg("wrong signature"),
				errdetail("%s", problem));
}

/* ---- reading ---- */

/* That a database in SQL_ASCII has no character for an escape is no want of a feature to whoever has sent it. */
static Jsonb *
read_json(const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb *volatile json = NULL;

	PG_TRY();
	{
		json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_FEATURE_NOT_SUPPORTED)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		ereport(ERROR, errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
				errmsg("the body has a character that this database cannot hold"));
	}
	PG_END_TRY();
	return json;
}

Jsonb *
wf_request_json(const WfRawRequest *request)
{
	char *text;

	if (request->body[strspn(request->body, " \t\r\n")] == '\0' && strlen(request->body) == request->len)
		return NULL;
	text = pg_any_to_server(request->body, request->len, PG_UTF8);
	return read_json(text);
}
