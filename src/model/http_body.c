/*
 * http_body.c
 *		Bodies of requests that are no plain texts: bytes, and parts of which each has a name.
 */
#include "postgres.h"

#include "model/bytes.h"
#include "model/reader.h"
#include "model/template_build.h"

static const char part_hint[] =
	"A part is a text, or an object with one of \"text\", \"body\" (JSON) and \"bytes\" (base64), and with \"filename\" and \"type\" if need be.";

/* ---- single values ---- */

void
wf_read_bytes(WfReader *reader, const WfJson *node, void *target)
{
	static const char hint[] = "They are text in base64, or hexadecimal digits behind \"\\x\", as bytea is shown.";
	WfTemplate		 *tmpl;
	const char		 *text;
	StringInfoData	  bytes;

	if (!wf_reader_expect(reader, node, WF_JSON_STRING, hint))
		return;
	tmpl = wf_reader_template(reader, node);
	if (tmpl == NULL)
		return;
	*(WfTemplate **) target = tmpl;
	text = wf_template_constant_text(tmpl);
	if (text == NULL)
		return;
	initStringInfo(&bytes);
	if (!wf_bytes_decode(&bytes, text, (int) strlen(text)))
		wf_json_issue(reader->issues, node, hint, "is neither base64 nor hexadecimal");
	pfree(bytes.data);
}

/* Could the text stand in a line of a header? */
static bool
fits_in_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char) *text < ' ' || *text == 0x7f)
			return false;
	return true;
}

void
wf_read_media_type(WfReader *reader, const WfJson *node, void *target)
{
	static const char hint[] = "A type is written like \"image/png\".";
	WfTemplate		 *tmpl;
	const char		 *constant;
	const char		 *piece;

	if (!wf_reader_expect(reader, node, WF_JSON_STRING, hint))
		return;
	tmpl = wf_reader_template(reader, node);
	if (tmpl == NULL)
		return;
	*(WfTemplate **) target = tmpl;
	for (int i = 0; (piece = wf_template_piece(tmpl, i)) != NULL; i++)
		if (!fits_in_line(piece))
		{
			wf_json_issue(reader->issues, node, hint, "holds a control character");
			return;
		}
	constant = wf_template_constant_text(tmpl);
	if (constant != NULL && strchr(constant, '/') == NULL)
		wf_json_issue(reader->issues, node, hint, "\"%s\" is no type", wf_issue_clip(constant));
}

/* ---- parts ---- */

static bool
is_plain(const WfJson *node)
{
	return node->type == WF_JSON_STRING || node->type == WF_JSON_NUMBER || node->type == WF_JSON_BOOL;
}

static void
read_part_text(WfReader *reader, const WfJson *node, void *target)
{
	if (is_plain(node))
		wf_read_any(reader, node, target);
	else
		wf_json_issue(reader->issues, node, part_hint, "must be a string, a number or a boolean, not %s",
					  wf_json_type_name(node->type));
}

static void
read_part_filename(WfReader *reader, const WfJson *node, void *target)
{
	if (wf_reader_expect(reader, node, WF_JSON_STRING, "It is the name that the service sees, such as \"scan.pdf\"."))
		wf_read_any(reader, node, target);
}

static void
read_part_name(WfReader *reader, const WfJson *node, void *target)
{
	if (node->parent->parent->type == WF_JSON_OBJECT)
		wf_json_issue(reader->issues, node, "In a list each part says its name; in an object its key does.",
					  "the part has a name: \"%s\"", wf_issue_clip(node->parent->key));
	else if (wf_reader_expect(reader, node, WF_JSON_STRING, "It is the name of a field."))
		*(const char **) target = node->text;
}

static const WfReaderField part_fields[] = {
	{"name", read_part_name, &wf_shape_string, offsetof(WfPart, name)},
	{"body", wf_read_any, &wf_shape_any, offsetof(WfPart, body)},
	{"text", read_part_text, &wf_shape_scalar, offsetof(WfPart, text)},
	{"bytes", wf_read_bytes, &wf_shape_string, offsetof(WfPart, bytes)},
	{"filename", read_part_filename, &wf_shape_string, offsetof(WfPart, filename)},
	{"type", wf_read_media_type, &wf_shape_string, offsetof(WfPart, type)},
};

static const char *const contents[] = {"text", "body", "bytes"};
static const char *const names[] = {"name"};
static const WfKeys		 part_keys[] = {{WF_EXACTLY_ONE, FIELDS(contents)}, {WF_AT_LEAST_ONE, FIELDS(names)}};

/* in an object, whose keys are the names */
static const WfJsonShape part_shape = {.name = "part",
									   .says = "A part of the body, or its text.",
									   .types = WF_TAKES_SCALAR | WF_TAKES_OBJECT,
									   .what = "a part",
									   WF_FIELDS(part_fields),
									   .keys = part_keys,
									   .nkeys = 1};
/* in a list */
static const WfJsonShape named_part_shape = {.name = "named_part",
											 .says = "A part of the body.",
											 .types = WF_TAKES_OBJECT,
											 .what = "a part",
											 WF_FIELDS(part_fields),
											 WF_KEYS(part_keys)};

const WfJsonShape wf_multipart_shape =
	{.name = "multipart",
	 .says = "A body of parts, multipart/form-data: an object by their names, or a list.",
	 .types = WF_TAKES_ARRAY | WF_TAKES_OBJECT,
	 .items = &named_part_shape,
	 .min_items = 1,
	 .members = &part_shape,
	 .min_members = 1};

static void
read_part_object(WfReader *reader, const WfJson *node, WfPart *part)
{
	wf_read_object(reader, node, &part_shape, part);
	wf_reader_one_of(reader, node, FIELDS(contents));
	if (!wf_json_has_one_of(node, FIELDS(contents)))
		wf_json_issue(reader->issues, node, part_hint, "the part holds nothing");
}

static void
read_part(WfReader *reader, const WfJson *node, WfPart *part)
{
	bool in_list = node->parent->type == WF_JSON_ARRAY;

	part->name = node->key;
	if (node->type == WF_JSON_OBJECT)
		read_part_object(reader, node, part);
	else if (in_list)
		wf_json_issue(reader->issues, node, "In a list each part is an object that says its \"name\".",
					  "must be an object, not %s", wf_json_type_name(node->type));
	else if (is_plain(node))
		part->text = wf_reader_template(reader, node);
	else
		wf_json_issue(reader->issues, node, part_hint, "must be a text or an object, not %s",
					  wf_json_type_name(node->type));
	if (in_list && node->type == WF_JSON_OBJECT && wf_json_member(node, "name") == NULL)
		wf_json_issue(reader->issues, node, "In a list each part says its name.", "\"name\" is missing");
	else if (part->name != NULL && part->name[0] == '\0')
		wf_json_issue(reader->issues, node, "It is the name of a field.", "the name is empty");
}

void
wf_read_multipart(WfReader *reader, const WfJson *node, void *target)
{
	WfHttpAction *http = target;

	if (node->type != WF_JSON_OBJECT && node->type != WF_JSON_ARRAY)
	{
		wf_json_issue(reader->issues, node, part_hint, "must be an object, or a list if names come again, not %s",
					  wf_json_type_name(node->type));
		return;
	}
	if (node->n == 0)
		wf_json_issue(reader->issues, node, part_hint, "has no part");
	http->parts = palloc0(sizeof(WfPart) * Max(node->n, 1));
	for (int i = 0; i < node->n; i++)
		if (!node->items[i]->overridden)
			read_part(reader, node->items[i], &http->parts[http->nparts++]);
}

/* ---- the type ---- */

/* The header Content-Type that the step itself gives, if it does. */
static const WfJson *
content_type(const WfJson *node)
{
	const WfJson *headers = wf_json_member(node, "headers");

	if (headers == NULL || headers->type != WF_JSON_OBJECT)
		return NULL;
	for (int i = 0; i < headers->n; i++)
		if (pg_strcasecmp(headers->items[i]->key, "Content-Type") == 0)
			return headers->items[i];
	return NULL;
}

void
wf_http_check_type(WfReader *reader, const WfJson *node)
{
	const WfJson *type = wf_json_member(node, "type");
	const WfJson *header = content_type(node);

	if (type != NULL && header != NULL && wf_json_member(node, "bytes") != NULL)
		wf_json_issue(reader->issues, type, "Leave one of them out.", "the header Content-Type says it, too");
	if (header != NULL && wf_json_member(node, "multipart") != NULL)
		wf_json_issue(
			reader->issues, header,
			"It is multipart/form-data, and names what stands between the parts, which is made for each visit.",
			"the type of a body of parts cannot be given");
}
