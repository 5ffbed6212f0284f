-- Bodies that are no text, as they are defined and as their requests are shown; replies that are not kept, as they are defined.
CREATE SERVER bo_files FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://files.example.com/v1', max_in_flight '0');

-- what is refused
SELECT workflow.define('bo: bad', '{"steps": [
	{"step": "a", "http": {"server": "bo_files", "bytes": "not base64!", "type": "png", "body": 1}},
	{"step": "b", "http": {"server": "bo_files", "bytes": 5, "type": "a/b\r\nX: y"}},
	{"step": "c", "http": {"server": "bo_files", "bytes": "\\x00f", "type": "a/b", "headers": {"content-TYPE": "x/y"}}},
	{"step": "d", "http": {"server": "bo_files", "text": "x", "type": "text/x"}},
	{"step": "e", "http": {"server": "bo_files", "multipart": {"a": "x"}, "headers": {"Content-Type": "multipart/form-data"}}}]}');
SELECT workflow.define('bo: bad', '{"steps": [
	{"step": "a", "http": {"server": "bo_files", "multipart": {"a": null, "b": ["x"], "c": {}, "d": {"text": "x", "bytes": "QQ=="}, "e": {"name": "f", "text": {}},
		"": "g", "h": {"body": 1, "filename": 2, "base64": "QQ=="}, "i": {"bytes": "${$.x", "type": ""}}}},
	{"step": "b", "http": {"server": "bo_files", "multipart": ["x", {"text": "y"}, {"name": 5, "text": "z"}, {"name": "", "bytes": "QQ"}]}},
	{"step": "c", "http": {"server": "bo_files", "multipart": []}},
	{"step": "d", "http": {"server": "bo_files", "multipart": {"a": "x", "a": "y"}, "form": {"b": "z"}}},
	{"step": "e", "http": {"server": "bo_files", "multipart": "x", "method": "GET"}}]}');
SELECT workflow.define('bo: bad', '{"steps": [
	{"step": "a", "http": {"server": "bo_files"}, "keep_reply": "no"},
	{"step": "b", "set": {"a": 1}, "keep_reply": false},
	{"step": "c", "wait": true, "keep_reply": true},
	{"step": "d", "steps": [{"step": "e", "wait": true}], "keep_reply": false},
	{"step": "f", "keep_replies": false, "http": {"server": "bo_files"}, "cancel": {"path": "/x", "multipart": {"a": "b"}}}]}');

-- what they become
CREATE FUNCTION pg_temp.request(i bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('type', r->'headers'->'Content-Type', 'body', r->'body', 'encoding', r->'encoding', 'method', r->'method')
    FROM (SELECT regexp_replace(workflow.request(test.sn(i))::text, '[0-9a-f]{8}-[0-9a-f-]{27}', 'KEY', 'g')::jsonb AS r) x $$;
SELECT workflow.define('bo: bytes', '{"steps": [{"step": "a", "http": {"server": "bo_files", "bytes": "${$.b}", "type": "image/${$.t}", "method": "PUT"}}]}');
SELECT pg_temp.request(workflow.start('bo: bytes', jsonb_build_object('b', b, 't', 'png')))
FROM unnest(ARRAY['QUJD', '\x414243', E' QU\nJD\t', '', '\x', '\x89504E47', 'AP8=']) WITH ORDINALITY AS x (b, n) ORDER BY n;
SELECT workflow.define('bo: parts', '{"steps": [{"step": "a", "http": {"server": "bo_files", "multipart": {"z": "${$.text}", "a": 1.50, "yes": true, "json": {"body": {"x": ["${$.n}", "${$.text}"]}},
	"file": {"bytes": "${$.b}", "filename": "${$.name}", "type": "image/png"}, "note": {"text": "no ${$.n}", "filename": "n.txt"}, "a \"b\"\r\nc: d": ""}}}]}');
SELECT line FROM workflow.start('bo: parts', '{"text": "caf\u00e9\r\n--x", "n": 5, "b": "QUJD", "name": "a\"b\nc/d"}') i, regexp_split_to_table(pg_temp.request(i)->>'body', '\r\n') line;
SELECT pg_temp.request(workflow.start('bo: parts', '{"text": "t", "n": 5, "b": "/w==", "name": "x"}')) - 'body';

-- what cannot be made
SELECT test.try(format('SELECT workflow.request(test.sn(%s))', workflow.start('bo: bytes', d))) AS bytes, d
FROM unnest(ARRAY['{"b": "A"}', '{"b": "QQ", "t": "x"}', '{"b": 17, "t": "x"}', '{"b": null, "t": "x"}', '{"b": "\\x0g", "t": "x"}', '{"b": "QQ==", "t": "x\u0001"}']::jsonb[]) WITH ORDINALITY AS x (d, n) ORDER BY n;
DO $$ BEGIN PERFORM workflow.request(test.sn(workflow.start('bo: parts', '{"text": "t", "n": 5, "b": "no", "name": "x"}')));
EXCEPTION WHEN data_exception THEN RAISE NOTICE '%: %', SQLSTATE, regexp_replace(SQLERRM, '\d+_\d+', 'SN'); END $$;

-- what would stand between the parts is in one of them
SELECT workflow.start('bo: parts', '{"text": "t", "n": 5, "b": "QQ==", "name": "x"}') AS i \gset
SELECT workflow.request(test.sn(:i)) = workflow.request(test.sn(:i)) AS same, workflow.request(test.sn(:i))->'headers'->>'Content-Type' AS type \gset
SELECT :'same' AS same, :'type' ~ '^multipart/form-data; boundary=workflow-[0-9a-f-]{36}$' AS type;
SELECT substr(:'type', strpos(:'type', 'workflow-')) AS boundary \gset
SELECT workflow.set_data(:i, jsonb_build_object('text', E'\r\n--' || :'boundary' || '--'));
SELECT replace(workflow.request(test.sn(:i))->'headers'->>'Content-Type', :'boundary', 'BOUNDARY') AS another;
SELECT workflow.set_data(:i, jsonb_build_object('b', encode(convert_to('--' || :'boundary' || '-1', 'UTF8'), 'base64'), 'name', :'boundary' || '-2'));
SELECT replace(workflow.request(test.sn(:i))->'headers'->>'Content-Type', :'boundary', 'BOUNDARY') AS another;

-- what two versions differ in
SELECT workflow.define('bo: parts', '{"steps": [{"step": "a", "http": {"server": "bo_files", "multipart": [{"name": "z", "text": "x"}]}, "keep_reply": false}]}');
SELECT path, change FROM workflow.difference('bo: parts', 1, 2);

SELECT count(workflow.cancel(instance)) > 0 AS cancelled FROM workflow.instances WHERE process LIKE 'bo: %' AND ended_at IS NULL;
DROP SERVER bo_files;
