/*
 * signature.c
 *		Reading how a webhook's sender signs what he sends.
 */
#include "postgres.h"

#include "model/signature.h"

#define DEFAULT_TOLERANCE_MS (5 * 60 * 1000)

static const char kinds_hint[] =
	"\"github\" and \"stripe\" are as these services sign; \"hmac-sha256\" and \"hmac-sha512\" say more: \"header\", \"encoding\", \"prefix\".";

static const WfSignature github = {
	.header = "X-Hub-Signature-256",
	.prefix = "sha256=",
	.content = WF_SIGNED_BODY,
};
static const WfSignature stripe = {
	.header = "Stripe-Signature",
	.is_list = true,
	.prefix = "",
	.content = WF_SIGNED_TIME "." WF_SIGNED_BODY,
	.tolerance_ms = DEFAULT_TOLERANCE_MS,
};
static const WfSignature hmac_sha256 = {.prefix = ""};
static const WfSignature hmac_sha512 = {.prefix = "", .sha512 = true};

static const char *const kinds[] = {"hmac-sha256", "hmac-sha512", "github", "stripe"};
/* of each kind */
static const WfSignature *const schemes[] = {&hmac_sha256, &hmac_sha512, &github, &stripe};

static const char *const encodings[] = {"hex", "base64"};

/* ---- members ---- */

static void
read_kind(WfReader *reader, const WfJson *node, void *target)
{
	const char *word = NULL;

	wf_read_string(reader, node, &word);
	if (word == NULL)
		return;
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(word, kinds[i]) == 0)
			return; /* the scheme is there already */
	wf_json_issue(reader->issues, node, kinds_hint, "\"%s\" is no kind of signature", wf_issue_clip(word));
}

static void
read_server(WfReader *reader, const WfJson *node, void *target)
{
	wf_read_string(reader, node, target);
	wf_reference_add(reader->references, WF_REFERENCE_SERVER, reader->step != NULL ? reader->step->index : -1, node);
}

void
wf_read_header_name(WfReader *reader, const WfJson *node, void *target)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";

	wf_read_string(reader, node, target);
	if (node->type == WF_JSON_STRING && strspn(node->text, letters) != strlen(node->text))
		wf_json_issue(reader->issues, node, "Such as \"X-Signature\".", "is no name of a header");
}

static void
read_encoding(WfReader *reader, const WfJson *node, void *target)
{
	const char *word = NULL;

	wf_read_string(reader, node, &word);
	if (word == NULL)
		return;
	*(bool *) target = strcmp(word, encodings[1]) == 0;
	if (strcmp(word, encodings[1]) != 0 && strcmp(word, encodings[0]) != 0)
		wf_json_issue(reader->issues, node, NULL, "must be \"hex\" or \"base64\"");
}

static void
read_prefix(WfReader *reader, const WfJson *node, void *target)
{
	if (wf_reader_expect(reader, node, WF_JSON_STRING, "Such as \"sha256=\"."))
		*(const char **) target = node->text;
}

static void
read_tolerance(WfReader *reader, const WfJson *node, void *target)
{
	static const Interval none = {0};
	Interval			  tolerance;

	if (!wf_read_interval_checked(reader, node, &tolerance))
		return;
	if (wf_interval_compare(&tolerance, &none) <= 0)
		wf_json_issue(reader->issues, node, "Such as \"5 minutes\".", "must be longer than zero");
	else
		*(int64 *) target =
			Max(1, tolerance.time / 1000 + (tolerance.day + tolerance.month * INT64CONST(30)) * 86400000);
}

const WfJsonShape		 wf_header_shape = {.types = WF_TAKES_STRING, .not_blank = true};
static const WfJsonShape kind_shape = {.types = WF_TAKES_STRING, WF_WORDS(kinds)};
static const WfJsonShape encoding_shape = {.types = WF_TAKES_STRING, WF_WORDS(encodings)};

static const WfReaderField signature_fields[] = {
	{"kind", read_kind, &kind_shape, 0, true},
	{"server", read_server, &wf_shape_name, offsetof(WfSignature, server)},
	{"header", wf_read_header_name, &wf_header_shape, offsetof(WfSignature, header)},
	{"encoding", read_encoding, &encoding_shape, offsetof(WfSignature, base64)},
	{"prefix", read_prefix, &wf_shape_string, offsetof(WfSignature, prefix)},
	{"timestamp", wf_read_header_name, &wf_header_shape, offsetof(WfSignature, timestamp)},
	{"signed", wf_read_string, &wf_shape_name, offsetof(WfSignature, content)},
	{"tolerance", read_tolerance, &wf_shape_interval, offsetof(WfSignature, tolerance_ms)},
};

const WfJsonShape wf_signature_shape = {.name = "signature",
										.says = "How what comes in is signed, with the secret of a user mapping.",
										.types = WF_TAKES_OBJECT,
										.what = "\"signature\"",
										WF_FIELDS(signature_fields)};

/* ---- what fits together ---- */

static const WfSignature *
scheme_of(const WfJson *node)
{
	const WfJson *kind = wf_json_member(node, "kind");

	for (int i = 0; i < lengthof(kinds); i++)
		if (kind != NULL && kind->type == WF_JSON_STRING && strcmp(kind->text, kinds[i]) == 0)
			return schemes[i];
	return NULL;
}

/* A scheme of a service has what belongs to it. */
static void
check_scheme(WfReader *reader, const WfJson *node, const WfSignature *scheme)
{
	static const char *const own[] = {"encoding", "prefix", "timestamp", "signed"};

	for (int i = 0; i < lengthof(own); i++)
	{
		const WfJson *member = wf_json_member(node, own[i]);

		if (member != NULL && scheme->header != NULL)
			wf_json_issue(reader->issues, member, kinds_hint, "goes with \"hmac-sha256\" and \"hmac-sha512\" only");
	}
	if (scheme->header == NULL && wf_json_member(node, "header") == NULL)
		wf_json_issue(reader->issues, node, "Name the header that carries the signature, such as \"X-Signature\".",
					  "\"header\" is missing");
}

static int
count(const char *text, const char *part)
{
	int n = 0;

	while ((text = strstr(text, part)) != NULL)
	{
		text += strlen(part);
		n++;
	}
	return n;
}

/* Nothing that is not signed may count, and the body has to be. */
static void
check_content(WfReader *reader, const WfJson *node, const WfSignature *signature)
{
	const WfJson *content = wf_json_member(node, "signed");
	const WfJson *tolerance = wf_json_member(node, "tolerance");
	bool		  has_time = signature->is_list || signature->timestamp != NULL;

	if (content != NULL && content->type == WF_JSON_STRING)
	{
		if (count(content->text, WF_SIGNED_BODY) != 1)
			wf_json_issue(reader->issues, content, "What is signed is, for instance, \"{timestamp}.{body}\".",
						  "must have one \"{body}\"");
		else if (count(content->text, WF_SIGNED_TIME) != (has_time ? 1 : 0))
			wf_json_issue(reader->issues, content,
						  "\"timestamp\" names the header that has the time; it counts only if it is signed.",
						  has_time ? "must have one \"{timestamp}\"" : "has a \"{timestamp}\", of which there is none");
	}
	if (tolerance != NULL && !has_time)
		wf_json_issue(reader->issues, tolerance,
					  "Without a time of signing, what was signed once is good for ever: see \"timestamp\".",
					  "there is no time to which it could apply");
}

/* The server of the step's request, if it has one. */
static const WfJson *
server_of_step(const WfReader *reader)
{
	const WfJson *http = reader->step != NULL ? wf_json_member(reader->node, "http") : NULL;
	const WfJson *server = http != NULL && http->type == WF_JSON_OBJECT ? wf_json_member(http, "server") : NULL;

	return server != NULL && server->type == WF_JSON_STRING ? server : NULL;
}

static void
find_server(WfReader *reader, const WfJson *node, WfSignature *signature)
{
	const WfJson *server = wf_json_member(node, "server");

	if (server == NULL)
		server = server_of_step(reader);
	if (server == NULL)
		wf_json_issue(
			reader->issues, node,
			"The secret is the option webhook_secret of the user mapping that the owner of the process has for that server.",
			"\"server\" is missing");
	else if (server->type == WF_JSON_STRING)
	{
		signature->server = server->text;
		wf_reference_add(reader->references, WF_REFERENCE_SECRET, reader->step != NULL ? reader->step->index : -1,
						 server);
	}
}

void
wf_read_signature(WfReader *reader, const WfJson *node, void *target)
{
	const WfSignature *scheme;
	WfSignature		  *signature = palloc0(sizeof(WfSignature));

	if (!wf_reader_expect(reader, node, WF_JSON_OBJECT, "{\"kind\": \"github\"}, for instance."))
		return;
	scheme = scheme_of(node);
	if (scheme != NULL)
		*signature = *scheme;
	wf_read_object(reader, node, &wf_signature_shape, signature);
	find_server(reader, node, signature);
	if (scheme == NULL)
		return;
	check_scheme(reader, node, scheme);
	check_content(reader, node, signature);
	if (signature->content == NULL)
		signature->content = signature->timestamp != NULL ? WF_SIGNED_TIME "." WF_SIGNED_BODY : WF_SIGNED_BODY;
	if (signature->timestamp != NULL && signature->tolerance_ms == 0)
		signature->tolerance_ms = DEFAULT_TOLERANCE_MS;
	*(const WfSignature **) target = signature;
}
