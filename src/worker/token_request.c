/*
 * token_request.c
 *		What is asked of a token service, and what it answers (RFC 6749).
 *
 * The answer is not trusted: a token is taken only if a header can carry it, and nothing that the
 * service says gets into a message, but for the names of errors that the RFCs define.
 */
#include "compat.h"

#include "lib/stringinfo.h"

#include "http/credentials.h"
#include "http/secret_file.h"
#include "model/issue.h"
#include "model/json.h"
#include "model/template.h"
#include "worker/http_codec.h"
#include "worker/token_request.h"

/* A service that hangs is given up after so long, whatever the timeout of the server is. */
#define LONGEST_TIMEOUT_MS 30000
#define LARGEST_ANSWER	   (256 * 1024)
/* A token with more bytes is in no header that a service would take. */
#define LONGEST_TOKEN 65536

/* ---- the request ---- */

static void
append_pair(StringInfo body, const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (body->len > 0)
		appendStringInfoChar(body, '&');
	appendStringInfo(body, "%s=", name);
	wf_percent_encode(body, value, (int) strlen(value));
}

static const char *
encoded(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	wf_percent_encode(&out, text, (int) strlen(text));
	return out.data;
}

static bool
read_client_secret(const WfGrant *grant, const char **secret, WfFault *fault)
{
	const char *problem;

	*secret = grant->client_secret;
	if (grant->client_secret_file == NULL)
		return true;
	*secret = wf_secret_file_read(grant->client_secret_file, &problem);
	return *secret != NULL ||
		   wf_fault(fault, WF_CODE_AUTH, "no token could be asked for: the file of option \"client_secret_file\" %s",
					problem);
}

static void
add_header(WfHttpHeader *headers, int *n, const char *name, const char *value)
{
	headers[(*n)++] = (WfHttpHeader){name, value};
}

bool
wf_token_request(const WfServer *server, Oid owner, const WfGrant *grant, const char *refresh_token,
				 WfHttpRequest *request, WfFault *fault)
{
	WfHttpHeader  *headers = palloc(sizeof(WfHttpHeader) * 4);
	StringInfoData body;
	const char	  *secret;

	if (!read_client_secret(grant, &secret, fault))
		return false;
	memset(request, 0, sizeof(*request));
	if (!wf_server_prepare_token(server, owner, request, fault))
		return false;
	initStringInfo(&body);
	append_pair(&body, "grant_type", refresh_token != NULL ? "refresh_token" : "client_credentials");
	append_pair(&body, "refresh_token", refresh_token);
	append_pair(&body, "scope", grant->scope);
	append_pair(&body, "audience", grant->audience);
	if (grant->in_body || secret == NULL)
	{
		append_pair(&body, "client_id", grant->client_id);
		append_pair(&body, "client_secret", secret);
	}
	else
		add_header(headers, &request->nheaders, "Authorization",
				   wf_credentials_basic(encoded(grant->client_id), encoded(secret)));
	add_header(headers, &request->nheaders, "Content-Type", "application/x-www-form-urlencoded");
	add_header(headers, &request->nheaders, "Accept", "application/json");
	add_header(headers, &request->nheaders, "User-Agent", "workflow/" WORKFLOW_VERSION);
	request->method = "POST";
	request->headers = headers;
	request->body = body.data;
	request->body_len = body.len;
	request->timeout_ms = Min(server->timeout_ms, LONGEST_TIMEOUT_MS);
	request->max_response = LARGEST_ANSWER;
	return true;
}

/* ---- the answer ---- */

static void
fail(WfTokenAnswer *answer, bool retryable, const char *why)
{
	answer->access_token = answer->refresh_token = NULL;
	answer->retryable = retryable;
	(void) wf_fault(&answer->fault, WF_CODE_AUTH, "the token service gave no token: %s", why);
}

/*
 * The body as JSON, or NULL. All that counts in it is ASCII; other bytes, in whatever encoding, are
 * replaced by one that no token may have, before PostgreSQL's parser sees them.
 */
static const WfJson *
parse(const WfHttpReply *reply)
{
	WfIssues	  issues = {0};
	char		 *text;
	const WfJson *root;

	if (memchr(reply->body, '\0', reply->body_len) != NULL)
		return NULL;
	text = pnstrdup(reply->body, reply->body_len);
	for (char *p = text; *p; p++)
		if (IS_HIGHBIT_SET(*p))
			*p = 0x7f;
	root = wf_json_parse(text, &issues);
	return root != NULL && root->type == WF_JSON_OBJECT ? root : NULL;
}

static const char *
member_text(const WfJson *root, const char *key)
{
	const WfJson *member = wf_json_member(root, key);

	return member != NULL && member->type == WF_JSON_STRING ? member->text : NULL;
}

/* Can the text stand in a header, or a request for the next token? */
static bool
is_token(const char *text)
{
	size_t len = strlen(text);

	for (const char *p = text; *p; p++)
		if (*p < 0x20 || *p >= 0x7f)
			return false;
	return len > 0 && len <= LONGEST_TOKEN;
}

/* The name of the error that the service gives, if it is one of the RFCs 6749 and 8628; else NULL. */
static const char *
known_error(const WfJson *root)
{
	static const char *const names[] = {"invalid_request",		   "invalid_client",
										"invalid_grant",		   "unauthorized_client",
										"unsupported_grant_type",  "invalid_scope",
										"temporarily_unavailable", "server_error",
										"access_denied",		   "slow_down"};
	const char				*error = root != NULL ? member_text(root, "error") : NULL;

	for (int i = 0; error != NULL && i < lengthof(names); i++)
		if (strcmp(error, names[i]) == 0)
			return names[i];
	return NULL;
}

static void
refused(const WfHttpReply *reply, WfTokenAnswer *answer)
{
	const char *error = known_error(parse(reply));

	answer->retry_after_ms = wf_http_retry_after_ms(reply);
	fail(answer, wf_http_is_retryable(reply->status),
		 error != NULL ? psprintf("it answered %d (%s)", reply->status, error)
					   : psprintf("it answered %d", reply->status));
}

/* Seconds from a number, or from a string that holds one; -1: there is none. */
static double
read_seconds(const WfJson *node)
{
	char  *end;
	double seconds;

	if (node == NULL || (node->type != WF_JSON_NUMBER && node->type != WF_JSON_STRING))
		return -1;
	seconds = strtod(node->text, &end);
	if (end == node->text || *end != '\0' || !(seconds >= 0))
		return -1;
	return seconds;
}

static void
granted(const WfHttpReply *reply, WfTokenAnswer *answer)
{
	const WfJson *root = parse(reply);
	const char	 *token = root != NULL ? member_text(root, "access_token") : NULL;
	const char	 *type = root != NULL ? member_text(root, "token_type") : NULL;

	if (root == NULL)
		fail(answer, false, psprintf("it answered %d, and no JSON object", reply->status));
	else if (token == NULL)
		fail(answer, false, "its answer has no \"access_token\"");
	else if (type != NULL && pg_strcasecmp(type, "bearer") != 0)
		fail(answer, false, "the \"token_type\" of its answer is not \"Bearer\"");
	else if (!is_token(token))
		fail(answer, false, "the \"access_token\" of its answer cannot be sent in a header");
	else
	{
		answer->access_token = token;
		answer->refresh_token = member_text(root, "refresh_token");
		if (answer->refresh_token != NULL && !is_token(answer->refresh_token))
			answer->refresh_token = NULL;
		answer->expires_in = read_seconds(wf_json_member(root, "expires_in"));
	}
}

void
wf_token_answer(const WfHttpReply *reply, WfTokenAnswer *answer)
{
	memset(answer, 0, sizeof(*answer));
	if (reply->verdict == WF_HTTP_ANSWERED && reply->status / 100 == 2)
		granted(reply, answer);
	else if (reply->verdict == WF_HTTP_ANSWERED)
		refused(reply, answer);
	else
		fail(answer, reply->verdict != WF_HTTP_TOO_LARGE && reply->verdict != WF_HTTP_REFUSED, reply->message);
}
