-- What pg_dump wrote of a database of version 0.1 while instances were in all states that it knew, less comments. It was filled by roles upg_owner, who
-- owns processes and tables, upg_client, who starts and completes, and upg_ops; workers were paused at the end, so that something was due. The servers
-- are wherever the test says.
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA shop;
ALTER SCHEMA shop OWNER TO upg_owner;
CREATE SCHEMA workflow;
ALTER SCHEMA workflow OWNER TO postgres;
CREATE EXTENSION IF NOT EXISTS workflow WITH SCHEMA workflow;
CREATE SERVER partner FOREIGN DATA WRAPPER workflow_http OPTIONS (
    allow_private 'true',
    max_in_flight '20',
    timeout '30 s',
    url 'http://127.0.0.1:9'
);
ALTER SERVER partner OWNER TO postgres;
CREATE USER MAPPING FOR upg_owner SERVER partner OPTIONS (
    auth 'bearer',
    token 'sesame'
);
CREATE SERVER slow FOREIGN DATA WRAPPER workflow_http OPTIONS (
    allow_private 'true',
    max_in_flight '2',
    timeout '10 min',
    url 'http://127.0.0.1:9'
);
ALTER SERVER slow OWNER TO postgres;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE shop.noted (
    at timestamp with time zone DEFAULT now(),
    what text
);
ALTER TABLE shop.noted OWNER TO upg_owner;
CREATE TABLE shop.orders (
    id integer NOT NULL,
    what text,
    amount numeric,
    sn text,
    state text,
    instance bigint
);
ALTER TABLE shop.orders OWNER TO upg_owner;
CREATE TABLE shop.parcels (
    id integer NOT NULL,
    region text NOT NULL,
    sn text,
    state text
)
PARTITION BY LIST (region);
ALTER TABLE shop.parcels OWNER TO upg_owner;
CREATE TABLE shop.parcels_eu (
    id integer NOT NULL,
    region text NOT NULL,
    sn text,
    state text
);
ALTER TABLE shop.parcels_eu OWNER TO upg_owner;
CREATE TABLE shop.parcels_us (
    id integer NOT NULL,
    region text NOT NULL,
    sn text,
    state text
);
ALTER TABLE shop.parcels_us OWNER TO upg_owner;
CREATE TABLE shop.tokens (
    sn text NOT NULL,
    callback text,
    heartbeat text
);
ALTER TABLE shop.tokens OWNER TO upg_owner;
CREATE TABLE workflow.attempt_history_20261130 (
    instance bigint NOT NULL,
    visit bigint NOT NULL,
    process_id integer NOT NULL,
    attempt integer NOT NULL,
    http_status integer,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    error jsonb
);
ALTER TABLE ONLY workflow.attempt_history_20261130 REPLICA IDENTITY FULL;
ALTER TABLE workflow.attempt_history_20261130 OWNER TO postgres;
CREATE TABLE workflow.attempt_history_20261207 (
    instance bigint NOT NULL,
    visit bigint NOT NULL,
    process_id integer NOT NULL,
    attempt integer NOT NULL,
    http_status integer,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    error jsonb
);
ALTER TABLE ONLY workflow.attempt_history_20261207 REPLICA IDENTITY FULL;
ALTER TABLE workflow.attempt_history_20261207 OWNER TO postgres;
CREATE TABLE workflow.attempt_history_20261214 (
    instance bigint NOT NULL,
    visit bigint NOT NULL,
    process_id integer NOT NULL,
    attempt integer NOT NULL,
    http_status integer,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    error jsonb
);
ALTER TABLE ONLY workflow.attempt_history_20261214 REPLICA IDENTITY FULL;
ALTER TABLE workflow.attempt_history_20261214 OWNER TO postgres;
CREATE TABLE workflow.instance_history_20261130 (
    instance bigint NOT NULL,
    process_id integer NOT NULL,
    version integer NOT NULL,
    attachment integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    status text NOT NULL,
    business_key text,
    error jsonb,
    data jsonb NOT NULL
);
ALTER TABLE workflow.instance_history_20261130 OWNER TO postgres;
CREATE TABLE workflow.instance_history_20261207 (
    instance bigint NOT NULL,
    process_id integer NOT NULL,
    version integer NOT NULL,
    attachment integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    status text NOT NULL,
    business_key text,
    error jsonb,
    data jsonb NOT NULL
);
ALTER TABLE workflow.instance_history_20261207 OWNER TO postgres;
CREATE TABLE workflow.instance_history_20261214 (
    instance bigint NOT NULL,
    process_id integer NOT NULL,
    version integer NOT NULL,
    attachment integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    status text NOT NULL,
    business_key text,
    error jsonb,
    data jsonb NOT NULL
);
ALTER TABLE workflow.instance_history_20261214 OWNER TO postgres;
CREATE TABLE workflow.visit_history_20261130 (
    instance bigint NOT NULL,
    visit bigint NOT NULL,
    process_id integer NOT NULL,
    attempts integer NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    step text NOT NULL,
    outcome text NOT NULL,
    result jsonb
);
ALTER TABLE workflow.visit_history_20261130 OWNER TO postgres;
CREATE TABLE workflow.visit_history_20261207 (
    instance bigint NOT NULL,
    visit bigint NOT NULL,
    process_id integer NOT NULL,
    attempts integer NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    step text NOT NULL,
    outcome text NOT NULL,
    result jsonb
);
ALTER TABLE workflow.visit_history_20261207 OWNER TO postgres;
CREATE TABLE workflow.visit_history_20261214 (
    instance bigint NOT NULL,
    visit bigint NOT NULL,
    process_id integer NOT NULL,
    attempts integer NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    step text NOT NULL,
    outcome text NOT NULL,
    result jsonb
);
ALTER TABLE workflow.visit_history_20261214 OWNER TO postgres;
ALTER TABLE ONLY shop.parcels ATTACH PARTITION shop.parcels_eu FOR VALUES IN ('eu');
ALTER TABLE ONLY shop.parcels ATTACH PARTITION shop.parcels_us FOR VALUES IN ('us');
ALTER TABLE ONLY workflow.attempt_history ATTACH PARTITION workflow.attempt_history_20261130 FOR VALUES FROM ('2026-11-30 00:00:00+00') TO ('2026-12-07 00:00:00+00');
ALTER TABLE ONLY workflow.attempt_history ATTACH PARTITION workflow.attempt_history_20261207 FOR VALUES FROM ('2026-12-07 00:00:00+00') TO ('2026-12-14 00:00:00+00');
ALTER TABLE ONLY workflow.attempt_history ATTACH PARTITION workflow.attempt_history_20261214 FOR VALUES FROM ('2026-12-14 00:00:00+00') TO ('2026-12-21 00:00:00+00');
ALTER TABLE ONLY workflow.instance_history ATTACH PARTITION workflow.instance_history_20261130 FOR VALUES FROM ('2026-11-30 00:00:00+00') TO ('2026-12-07 00:00:00+00');
ALTER TABLE ONLY workflow.instance_history ATTACH PARTITION workflow.instance_history_20261207 FOR VALUES FROM ('2026-12-07 00:00:00+00') TO ('2026-12-14 00:00:00+00');
ALTER TABLE ONLY workflow.instance_history ATTACH PARTITION workflow.instance_history_20261214 FOR VALUES FROM ('2026-12-14 00:00:00+00') TO ('2026-12-21 00:00:00+00');
ALTER TABLE ONLY workflow.visit_history ATTACH PARTITION workflow.visit_history_20261130 FOR VALUES FROM ('2026-11-30 00:00:00+00') TO ('2026-12-07 00:00:00+00');
ALTER TABLE ONLY workflow.visit_history ATTACH PARTITION workflow.visit_history_20261207 FOR VALUES FROM ('2026-12-07 00:00:00+00') TO ('2026-12-14 00:00:00+00');
ALTER TABLE ONLY workflow.visit_history ATTACH PARTITION workflow.visit_history_20261214 FOR VALUES FROM ('2026-12-14 00:00:00+00') TO ('2026-12-21 00:00:00+00');
COPY shop.noted (at, what) FROM stdin;
2026-11-30 22:25:05.652564+00	clock 13
2026-11-30 22:25:05.759153+00	quotient 25
2026-11-30 22:25:05.652564+00	slow 33
2026-11-30 22:25:05.652564+00	async 36
\.
COPY shop.orders (id, what, amount, sn, state, instance) FROM stdin;
6	book 6	60	6_12	active	6
7	book 7	70	7_13	active	7
5	book 5	50	5_18	active	5
8	book 8	80	8_15	active	8
2	book 2	20	\N	completed	2
3	book 3	30	\N	failed	3
4	book 4	40	\N	aborted	4
1	book 1	10	\N	completed	1
9	late book 9	9	\N	active	37
10	late book 10	10	\N	active	38
\.
COPY shop.parcels_eu (id, region, sn, state) FROM stdin;
1	eu	9_9	active
3	eu	11_11	active
\.
COPY shop.parcels_us (id, region, sn, state) FROM stdin;
2	us	10_10	active
4	us	39_61	active
\.
COPY shop.tokens (sn, callback, heartbeat) FROM stdin;
12_22	https://hooks.example/callback/12_22.N3Bt3fn03xW1HxospPME6n4cosapxlXHB5O0c_tCC_o	https://hooks.example/heartbeat/12_22.Vyi6I_nfAm5OuMuFdyczBhloJ-ApeGheOm4_g8rL0U4
\.
COPY workflow.process (process_id, process, owner, owner_name, latest, suspended, retention) FROM stdin;
1	order	18084	upg_owner	1	f	\N
2	parcel	18084	upg_owner	1	f	\N
3	hook	18084	upg_owner	1	f	\N
4	clock	18084	upg_owner	1	f	\N
5	reminder	18084	upg_owner	1	f	\N
6	failing	18084	upg_owner	1	f	\N
7	broken	18084	upg_owner	1	f	\N
8	stoppable	18084	upg_owner	1	f	\N
9	slow	18084	upg_owner	1	f	\N
11	quick	18084	upg_owner	2	f	00:00:00
13	cookies	18084	upg_owner	1	f	\N
14	spanned	18084	upg_owner	1	f	\N
12	gone	18084	upg_owner	0	f	\N
10	async	18084	upg_owner	1	f	\N
\.
COPY workflow.attachment (attachment, relation, process_id, serial_column, serial_step, status_column, instance_column, condition) FROM stdin;
1	shop.orders	1	sn	ship	state	instance	\N
2	shop.parcels	2	sn	\N	state	\N	\N
\.
COPY workflow.attempt_history_20261130 (instance, visit, process_id, attempt, http_status, started_at, ended_at, stored_at, error) FROM stdin;
20	32	6	1	404	2026-11-30 22:25:05.882781+00	2026-11-30 22:25:05.895652+00	2026-11-30 22:25:05.895652+00	{"code": "404", "attempt": 1, "message": "the service answered 404", "sqlstate": null, "http_status": 404}
21	33	6	1	500	2026-11-30 22:25:05.889604+00	2026-11-30 22:25:05.896241+00	2026-11-30 22:25:05.896241+00	{"code": "500", "attempt": 1, "message": "the service answered 500", "sqlstate": null, "http_status": 500}
19	31	6	1	503	2026-11-30 22:25:05.8828+00	2026-11-30 22:25:05.896241+00	2026-11-30 22:25:05.896241+00	{"code": "503", "attempt": 1, "message": "the service answered 503", "sqlstate": null, "http_status": 503}
22	37	7	1	\N	2026-11-30 22:25:05.892961+00	2026-11-30 22:25:05.892961+00	2026-11-30 22:25:05.892961+00	{"code": "22012", "attempt": 1, "message": "division by zero", "sqlstate": "22012", "http_status": null}
31	49	14	1	404	2026-11-30 22:25:05.933398+00	2026-11-30 22:25:05.933688+00	2026-11-30 22:25:05.933688+00	{"code": "404", "attempt": 1, "message": "the service answered 404", "sqlstate": null, "http_status": 404}
\.
COPY workflow.attempt_history_20261207 (instance, visit, process_id, attempt, http_status, started_at, ended_at, stored_at, error) FROM stdin;
\.
COPY workflow.attempt_history_20261214 (instance, visit, process_id, attempt, http_status, started_at, ended_at, stored_at, error) FROM stdin;
\.
COPY workflow.delivery (delivery, instance, visit, due_at, attempt, kind, queue, payload) FROM stdin;
1	0	0	2026-11-30 23:25:05.662248+00	1	maintain	executor	\N
16	32	51	2026-11-30 22:25:08.311018+00	0	reply	held	{"code": null, "reply": {"body": {"ok": true}, "status": 200, "headers": {"content-type": "application/json", "content-length": "12"}}, "cookies": null, "message": null, "sqlstate": "", "retryable": 0, "http_status": 0, "retry_after_ms": 0}
17	5	0	2026-11-30 22:25:10.573578+00	0	write_back	executor	\N
18	9	0	2026-11-30 22:25:10.578904+00	0	write_back	executor	\N
\.
COPY workflow.identity (system_identifier, database, relation, timeline, adopted_at) FROM stdin;
7714092772047520872	18083	18129	1	2026-11-30 22:25:05.484159+00
\.
COPY workflow.instance (instance, process_id, version, attachment, tokens, incidents, started_at, status, business_key, cancel_reason, error, cookies, data) FROM stdin;
10	2	1	2	1	0	2026-11-30 22:25:05.727184+00	active	[2, "us"]	\N	\N	\N	{"id": 2, "sn": "10_10", "state": "active", "region": "us"}
11	2	1	2	1	0	2026-11-30 22:25:05.727293+00	active	[3, "eu"]	\N	\N	\N	{"id": 3, "sn": "11_11", "state": "active", "region": "eu"}
6	1	1	1	1	0	2026-11-30 22:25:05.714781+00	active	6	\N	\N	\N	{"id": 6, "sn": null, "what": "book 6", "state": "active", "steps": [], "amount": 60, "instance": 6, "reserved": 6}
7	1	1	1	1	0	2026-11-30 22:25:05.714781+00	active	7	\N	\N	\N	{"id": 7, "sn": null, "what": "book 7", "state": "active", "steps": [], "amount": 70, "instance": 7, "reserved": 7}
22	7	1	0	1	1	2026-11-30 22:25:05.885566+00	failed	sql incident	\N	\N	\N	{"by": 0}
5	1	1	1	1	0	2026-11-30 22:25:05.714781+00	active	5	\N	\N	\N	{"id": 5, "sn": null, "what": "book 5", "state": "active", "steps": [], "amount": 50, "receipt": "r5", "instance": 5, "reserved": 5}
8	1	1	1	1	0	2026-11-30 22:25:05.714781+00	active	8	\N	\N	\N	{"id": 8, "sn": null, "what": "book 8", "state": "active", "steps": [], "amount": 80, "instance": 8, "reserved": 8}
3	1	1	1	1	1	2026-11-30 22:25:05.714781+00	failed	3	\N	\N	\N	{"id": 3, "sn": null, "what": "book 3", "state": "active", "steps": [], "amount": 30, "instance": 3, "reserved": 3}
14	4	1	0	1	0	2026-11-30 22:25:05.846585+00	active	clock due	\N	\N	\N	{"after": "100 days", "until": "2001-01-01"}
15	4	1	0	1	0	2026-11-30 22:25:05.847109+00	active	clock later	\N	\N	\N	{"after": "200 days", "until": "2001-01-01"}
19	6	1	0	1	0	2026-11-30 22:25:05.869492+00	active	retrying	\N	\N	\N	{"code": 503}
12	3	1	0	1	0	2026-11-30 22:25:05.845681+00	active	hook 1	\N	\N	\N	{"n": 1, "asked": {"sn": "12_22", "url": "https://hooks.example/callback/12_22.N3Bt3fn03xW1HxospPME6n4cosapxlXHB5O0c_tCC_o", "beat": "https://hooks.example/heartbeat/12_22.Vyi6I_nfAm5OuMuFdyczBhloJ-ApeGheOm4_g8rL0U4"}}
21	6	1	0	1	0	2026-11-30 22:25:05.881557+00	active	flaky	\N	\N	\N	{"code": 500}
16	5	1	0	1	0	2026-11-30 22:25:05.853552+00	active	reminder second	\N	\N	\N	{"first": true, "second": "10 days"}
17	5	1	0	1	0	2026-11-30 22:25:05.861458+00	active	reminder overdue	\N	\N	\N	{"first": true, "second": "15 days"}
18	5	1	0	1	0	2026-11-30 22:25:05.865447+00	active	reminder answered	\N	\N	\N	{"first": true, "second": "15 days"}
20	6	1	0	1	1	2026-11-30 22:25:05.877445+00	failed	incident	\N	\N	\N	{"code": 404}
28	11	2	0	1	0	2026-11-30 22:25:05.911701+00	active	quick waits	\N	\N	\N	{"a": 1}
29	12	1	0	1	0	2026-11-30 22:25:05.921291+00	active	of what is undefined	\N	\N	\N	{}
30	13	1	0	1	0	2026-11-30 22:25:05.926877+00	active	cookie	\N	\N	{"partner": ["127.0.0.1\\tFALSE\\t/\\tFALSE\\t0\\tnode\\t7"]}	{}
31	14	1	0	1	0	2026-11-30 22:25:05.931593+00	active	caught	\N	\N	\N	{}
25	8	1	0	1	0	2026-11-30 22:25:05.90047+00	active	confirm by clock	stop it	\N	\N	{"path": "echo"}
24	8	1	0	1	0	2026-11-30 22:25:05.894668+00	active	confirm	stop it	\N	\N	{"path": "echo"}
35	3	1	0	1	0	2026-11-30 22:25:06.302711+00	suspended	suspended and called back	\N	\N	\N	{"n": 3, "asked": {"sn": "35_54", "url": "https://hooks.example/callback/35_54.k0MAGTTcpLlix--AUW4H3R7zx55KHFSDFZ59b-fN8Mo", "beat": "https://hooks.example/heartbeat/35_54.yKeFoHSMpzrlKdGF8QAAkJ15gu8CgLeTuTXlOV5XiMc"}}
34	3	1	0	1	0	2026-11-30 22:25:06.299864+00	suspended	suspended hook	\N	\N	\N	{"n": 2, "asked": {"sn": "34_53", "url": "https://hooks.example/callback/34_53.HJwaHOSzLTAUORTjDnyJcliEdRwYBjKvosdCzdJP4rk", "beat": "https://hooks.example/heartbeat/34_53.J_DX-uEqxo4zB0df55_KJ_ldhJFIBFmeaYQNZE7rZ2A"}}
32	9	1	0	1	0	2026-11-30 22:25:06.296943+00	suspended	reply kept	\N	\N	\N	{"s": "2"}
37	1	1	1	1	0	2026-11-30 22:25:10.522728+00	active	9	\N	\N	\N	{"id": 9, "sn": null, "what": "late book 9", "state": "active", "steps": [], "amount": 9, "instance": 37}
38	1	1	1	1	0	2026-11-30 22:25:10.522728+00	active	10	\N	\N	\N	{"id": 10, "sn": null, "what": "late book 10", "state": "active", "steps": [], "amount": 10, "instance": 38}
39	2	1	2	1	0	2026-11-30 22:25:10.528854+00	active	[4, "us"]	\N	\N	\N	{"id": 4, "sn": "39_61", "state": "active", "region": "us"}
40	6	1	0	1	0	2026-11-30 22:25:10.581674+00	active	calling	\N	\N	\N	{"code": 200}
41	7	1	0	1	0	2026-11-30 22:25:10.585789+00	active	sql due	\N	\N	\N	{"by": 5}
42	10	1	0	1	0	2026-11-30 22:25:10.586463+00	active	async due	\N	\N	\N	{}
43	9	1	0	1	0	2026-11-30 22:25:10.589574+00	active	slow calling	\N	\N	\N	{"s": "0.1"}
45	8	1	0	1	0	2026-11-30 22:25:10.597464+00	active	called back before its reply	\N	\N	\N	{"path": "echo"}
44	8	1	0	1	0	2026-11-30 22:25:10.590086+00	active	await	ask it to stop	\N	\N	{"path": "echo"}
26	8	1	0	1	0	2026-11-30 22:25:05.907228+00	active	ask	ask it to stop	\N	\N	{"path": "echo"}
\.
COPY workflow.instance_history_20261130 (instance, process_id, version, attachment, started_at, ended_at, stored_at, status, business_key, error, data) FROM stdin;
1	1	1	1	2026-11-30 22:25:05.714781+00	2026-11-30 22:25:05.842463+00	2026-11-30 22:25:05.842463+00	completed	1	\N	{"id": 1, "sn": null, "what": "book 1", "state": "active", "steps": [], "amount": 10, "receipt": "r1", "instance": 1, "reserved": 1}
2	1	1	1	2026-11-30 22:25:05.714781+00	2026-11-30 22:25:05.842463+00	2026-11-30 22:25:05.842463+00	completed	2	\N	{"id": 2, "sn": null, "what": "book 2", "state": "active", "steps": [], "amount": 20, "receipt": "r1", "instance": 2, "reserved": 2}
4	1	1	1	2026-11-30 22:25:05.714781+00	2026-11-30 22:25:05.844311+00	2026-11-30 22:25:05.844311+00	aborted	4	{"code": "CANCELLED", "attempt": 0, "message": "no longer wanted", "sqlstate": null, "http_status": null}	{"id": 4, "sn": null, "what": "book 4", "state": "active", "steps": [], "amount": 40, "instance": 4, "reserved": 4}
13	4	1	0	2026-11-30 22:25:05.846265+00	2026-11-30 22:25:05.88893+00	2026-11-30 22:25:05.88893+00	completed	clock done	\N	{"after": "1 ms", "until": "2001-01-01"}
23	7	1	0	2026-11-30 22:25:05.888115+00	2026-11-30 22:25:05.89798+00	2026-11-30 22:25:05.89798+00	completed	sql done	\N	{"by": 4, "divided": true}
27	11	1	0	2026-11-30 22:25:05.908757+00	2026-11-30 22:25:05.908757+00	2026-11-30 22:25:05.908757+00	completed	quick old	\N	{"a": 1, "b": 2}
33	9	1	0	2026-11-30 22:25:06.299039+00	2026-11-30 22:25:07.30975+00	2026-11-30 22:25:07.30975+00	completed	slow done	\N	{"s": "1", "was_async": true}
36	10	1	0	2026-11-30 22:25:08.534297+00	2026-11-30 22:25:08.589029+00	2026-11-30 22:25:08.589029+00	completed	suspended async	\N	{"one": 1}
9	2	1	2	2026-11-30 22:25:05.726839+00	2026-11-30 22:25:10.57819+00	2026-11-30 22:25:10.57819+00	completed	[1, "eu"]	\N	{"id": 1, "sn": "9_9", "state": "active", "region": "eu"}
\.
COPY workflow.instance_history_20261207 (instance, process_id, version, attachment, started_at, ended_at, stored_at, status, business_key, error, data) FROM stdin;
\.
COPY workflow.instance_history_20261214 (instance, process_id, version, attachment, started_at, ended_at, stored_at, status, business_key, error, data) FROM stdin;
\.
COPY workflow.late_callback (instance, visit, process_id, received_at, role, data) FROM stdin;
2	14	1	2026-11-30 22:25:06.12512+00	postgres	{"too": "late"}
1	17	1	2026-11-30 22:25:06.12986+00	postgres	{"too": "late"}
\.
COPY workflow.process_privilege (process_id, grantee, grantee_name, privilege) FROM stdin;
1	18085	upg_client	start
2	18085	upg_client	start
3	18085	upg_client	start
4	18085	upg_client	start
5	18085	upg_client	start
6	18085	upg_client	start
7	18085	upg_client	start
8	18085	upg_client	start
9	18085	upg_client	start
10	18085	upg_client	start
11	18085	upg_client	start
12	18085	upg_client	start
13	18085	upg_client	start
14	18085	upg_client	start
1	18085	upg_client	complete
2	18085	upg_client	complete
3	18085	upg_client	complete
4	18085	upg_client	complete
5	18085	upg_client	complete
6	18085	upg_client	complete
7	18085	upg_client	complete
8	18085	upg_client	complete
9	18085	upg_client	complete
10	18085	upg_client	complete
11	18085	upg_client	complete
12	18085	upg_client	complete
13	18085	upg_client	complete
14	18085	upg_client	complete
1	18085	upg_client	view
2	18085	upg_client	view
3	18085	upg_client	view
4	18085	upg_client	view
5	18085	upg_client	view
6	18085	upg_client	view
7	18085	upg_client	view
8	18085	upg_client	view
9	18085	upg_client	view
10	18085	upg_client	view
11	18085	upg_client	view
12	18085	upg_client	view
13	18085	upg_client	view
14	18085	upg_client	view
1	18086	upg_ops	admin
6	18086	upg_ops	admin
1	0	public	view
\.
COPY workflow.process_version (process_id, version, definition, search_path, timezone, defined_at) FROM stdin;
1	1	{"data": {"steps": []}, "steps": [\n\t{"step": "reserve", "http": {"server": "partner", "path": "/echo", "body": {"id": "${$.id}", "sn": "${$serial_number}"}}, "save_reply": {"reserved": "${$reply.body.body.id}"}},\n\t{"step": "ship", "wait": true, "timeout": "30 days", "save": {"receipt": "${$result.response.receipt}"}},\n\t{"step": "confirm", "http": {"server": "partner", "path": "/echo", "body": {"receipt": "${$.receipt}"}}}]}	shop	UTC	2026-11-30 22:25:05.477727+00
2	1	{"steps": [{"step": "deliver", "wait": true}]}	shop	UTC	2026-11-30 22:25:05.651554+00
3	1	{"steps": [\n\t{"step": "ask", "http": {"server": "partner", "path": "/echo", "body": {"url": "${$callback_url}", "beat": "${$heartbeat_url}", "sn": "${$serial_number}"}},\n\t "save_reply": {"asked": "${$reply.body.body}"}, "wait": true, "heartbeat": "20 days", "save": {"answer": "${$result.response}"}}]}	shop	UTC	2026-11-30 22:25:05.665272+00
4	1	{"steps": [\n\t{"step": "doze", "wait": {"after": "${$.after}"}},\n\t{"step": "until", "wait": {"until": "${$.until}"}},\n\t{"step": "note", "sql": "INSERT INTO noted (what) VALUES ('clock ' || visit.instance)"}]}	shop	UTC	2026-11-30 22:25:05.667312+00
5	1	{"steps": [\n\t{"step": "decide", "wait": true, "timeout": "40 days", "catch": [\n\t\t{"on": "TIMED_OUT", "next": "late"},\n\t\t{"after": "10 ms", "interrupt": false, "next": "first"},\n\t\t{"after": "${$.second}", "interrupt": false, "save": {"reminded": "yes"}, "next": "second"},\n\t\t{"after": "20 days", "next": "overdue"}]},\n\t{"step": "done", "end": true},\n\t{"step": "first", "set": {"first": true}, "end": true},\n\t{"step": "second", "set": {"second": true}, "end": true},\n\t{"step": "overdue", "set": {"overdue": true}, "end": true},\n\t{"step": "late", "set": {"late": true}, "end": true}]}	shop	UTC	2026-11-30 22:25:05.672893+00
6	1	{"steps": [\n\t{"step": "call", "http": {"server": "partner", "path": "/status/${$.code}", "body": {}}, "retry": {"max": 5, "delay": "1 h"}},\n\t{"step": "after", "set": {"called": true}}]}	shop	UTC	2026-11-30 22:25:05.6738+00
7	1	{"steps": [\n\t{"step": "divide", "sql": "INSERT INTO noted (what) VALUES ('quotient ' || 100 / (visit.data->>'by')::int)"},\n\t{"step": "end", "set": {"divided": true}}]}	shop	UTC	2026-11-30 22:25:05.675813+00
8	1	{"steps": [\n\t{"step": "work", "http": {"server": "partner", "path": "/echo", "body": {"sn": "${$serial_number}"}}, "wait": true,\n\t "cancel": {"path": "/echo", "body": {"stop": "${$serial_number}"}, "timeout": "10 days"}}]}	shop	UTC	2026-11-30 22:25:05.676841+00
9	1	{"steps": [\n\t{"step": "wait", "http": {"server": "slow", "path": "/delay?s=${$.s}", "body": {}}},\n\t{"step": "async", "async": true, "set": {"was_async": true}},\n\t{"step": "sql", "sql": "INSERT INTO noted (what) VALUES ('slow ' || visit.instance)"}]}	shop	UTC	2026-11-30 22:25:05.679332+00
10	1	{"steps": [\n\t{"step": "one", "async": true, "set": {"one": 1}},\n\t{"step": "two", "sql": "INSERT INTO noted (what) VALUES ('async ' || visit.instance)"}]}	shop	UTC	2026-11-30 22:25:05.680209+00
11	1	{"retention": "0", "steps": [{"step": "a", "set": {"a": 1}}, {"step": "b", "set": {"b": 2}}]}	shop	UTC	2026-11-30 22:25:05.681609+00
11	2	{"retention": "0", "steps": [{"step": "a", "set": {"a": 1}}, {"step": "w", "wait": true}, {"step": "b", "set": {"b": 2}}]}	shop	UTC	2026-11-30 22:25:05.68281+00
12	1	{"steps": [{"step": "w", "wait": true}]}	shop	UTC	2026-11-30 22:25:05.683848+00
13	1	{"steps": [\n\t{"step": "get", "http": {"server": "partner", "path": "/cookies?set=node%3D7", "body": {}}, "wait": true},\n\t{"step": "show", "http": {"server": "partner", "path": "/cookies", "body": {}}, "save_reply": {"cookie": "${$reply.body.cookie}"}}]}	shop	UTC	2026-11-30 22:25:05.686543+00
14	1	{"steps": [\n\t{"step": "bad", "http": {"server": "partner", "path": "/status/404", "body": {}}, "catch": [{"on": "404", "next": "mend"}]},\n\t{"step": "never", "end": true},\n\t{"step": "mend", "wait": true, "save": {"was": "${$caught.error.code}"}}]}	shop	UTC	2026-11-30 22:25:05.687264+00
\.
COPY workflow.secret (single, key) FROM stdin;
t	\\xebeb3975c1a28e7a3f198aefc1b6188aec8af405726c2a0ee9ec46e40f9b889b
\.
COPY workflow.visit (instance, visit, due_at, deadline, entered_at, waiting_since, silence_at, handler_at, warn_at, alarm_at, attempt, has_callback, held, key, state, step, queue, waits_for, outcome, cancel_outcome, cancel_phase, cancel_handler, reply, callback, callback_error, cancel_response, caught, error, result, progress) FROM stdin;
10	10	\N	\N	2026-11-30 22:25:05.727184+00	2026-11-30 22:25:05.727184+00	\N	\N	2026-11-30 23:25:05.727184+00	2026-11-30 23:25:05.727184+00	0	f	f	846ed5db-73ae-477a-918b-3575c6e7d42a	waiting	deliver	\N	callback	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
11	11	\N	\N	2026-11-30 22:25:05.727293+00	2026-11-30 22:25:05.727293+00	\N	\N	2026-11-30 23:25:05.727293+00	2026-11-30 23:25:05.727293+00	0	f	f	d23b45da-9b65-46f5-b187-e94f4f5b1335	waiting	deliver	\N	callback	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
6	12	\N	2026-12-30 22:25:05.729335+00	2026-11-30 22:25:05.729335+00	2026-11-30 22:25:05.729335+00	\N	\N	2026-11-30 23:25:05.729335+00	2026-11-30 23:25:05.729335+00	0	f	f	43a6c8bd-6994-4dcf-8737-fc66b206b826	waiting	ship	\N	callback	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
7	13	\N	2026-12-30 22:25:05.729335+00	2026-11-30 22:25:05.729335+00	2026-11-30 22:25:05.729335+00	\N	\N	2026-11-30 23:25:05.729335+00	2026-11-30 23:25:05.729335+00	0	f	f	eeb81f1e-b05b-4fa0-bee9-91db3e6fb174	waiting	ship	\N	callback	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
8	15	\N	2026-12-30 22:25:05.743784+00	2026-11-30 22:25:05.743784+00	2026-11-30 22:25:05.743784+00	\N	\N	2026-11-30 23:25:05.743784+00	2026-11-30 23:25:05.743784+00	0	f	f	4a82eb08-bfe5-4a40-9bda-cf3b1f1646af	waiting	ship	\N	callback	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
3	16	\N	\N	2026-11-30 22:25:05.743784+00	2026-11-30 22:25:05.839973+00	\N	\N	\N	\N	0	f	f	3ed93ab7-96b6-4fda-9bb9-db47610e7900	incident	ship	\N	\N	FAILED	\N	\N	\N	\N	\N	{"code": "LOST", "attempt": 0, "message": "lost on its way", "sqlstate": null, "http_status": null}	\N	\N	{"code": "LOST", "attempt": 0, "message": "lost on its way", "sqlstate": null, "http_status": null}	{"error": {"code": "LOST", "attempt": 0, "message": "lost on its way", "sqlstate": null, "http_status": null}, "status": "FAILED", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}	\N
14	24	2027-03-10 22:25:05.846585+00	\N	2026-11-30 22:25:05.846585+00	2026-11-30 22:25:05.846585+00	\N	\N	2026-11-30 23:25:05.846585+00	2026-11-30 23:25:05.846585+00	0	f	f	8cf09b04-2cf6-42e3-a0e9-d79e9c1071de	waiting	doze	timer	after	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
15	25	2027-06-18 22:25:05.847109+00	\N	2026-11-30 22:25:05.847109+00	2026-11-30 22:25:05.847109+00	\N	\N	2026-11-30 23:25:05.847109+00	2026-11-30 23:25:05.847109+00	0	f	f	56e9b959-fa95-4690-a9fc-8b7fbdc4695d	waiting	doze	timer	after	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
16	27	\N	2027-01-09 22:25:05.853552+00	2026-11-30 22:25:05.853552+00	2026-11-30 22:25:05.853552+00	\N	2026-12-10 22:25:05.853552+00	2026-11-30 23:25:05.853552+00	2026-11-30 23:25:05.853552+00	0	f	f	bc2ce5ed-ed7f-4f89-b8b1-ebbf70eb3c99	waiting	decide	\N	callback	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
17	28	\N	2027-01-09 22:25:05.861458+00	2026-11-30 22:25:05.861458+00	2026-11-30 22:25:05.861458+00	\N	2026-12-15 22:25:05.861458+00	2026-11-30 23:25:05.861458+00	2026-11-30 23:25:05.861458+00	0	f	f	85f132b5-ccb6-4697-a1c2-3bcd354eb6c4	waiting	decide	\N	callback	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
18	30	\N	2027-01-09 22:25:05.865447+00	2026-11-30 22:25:05.865447+00	2026-11-30 22:25:05.865447+00	\N	2026-12-15 22:25:05.865447+00	2026-11-30 23:25:05.865447+00	2026-11-30 23:25:05.865447+00	0	f	f	7473eea6-e4c0-419f-b7af-736591dba3e6	waiting	decide	\N	callback	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
20	32	\N	\N	2026-11-30 22:25:05.877445+00	2026-11-30 22:25:05.895652+00	\N	\N	\N	\N	1	f	f	66eed4e0-d89f-4f98-8117-c1374c0db6ee	incident	call	\N	\N	SYSTEM_ERROR	\N	\N	\N	\N	\N	\N	\N	\N	{"code": "404", "attempt": 1, "message": "the service answered 404", "sqlstate": null, "http_status": 404}	{"error": {"code": "404", "attempt": 1, "message": "the service answered 404", "sqlstate": null, "http_status": 404}, "status": "SYSTEM_ERROR", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}	\N
19	31	2026-11-30 23:25:05.896241+00	\N	2026-11-30 22:25:05.869492+00	\N	\N	\N	\N	\N	1	f	f	ea2dacbf-00c1-46dd-84ab-4ba2840e1f84	retrying	call	http partner	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	{"code": "503", "attempt": 1, "message": "the service answered 503", "sqlstate": null, "http_status": 503}	\N	\N
21	33	2026-11-30 23:25:05.896241+00	\N	2026-11-30 22:25:05.881557+00	\N	\N	\N	\N	\N	1	f	f	6f929d8b-94ce-4221-88e9-6f4422404968	retrying	call	http partner	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	{"code": "500", "attempt": 1, "message": "the service answered 500", "sqlstate": null, "http_status": 500}	\N	\N
22	37	\N	\N	2026-11-30 22:25:05.885566+00	2026-11-30 22:25:05.892961+00	\N	\N	\N	\N	1	f	f	cc0aeda6-41aa-406b-8c91-c3a7a90a81b9	incident	divide	\N	\N	SYSTEM_ERROR	\N	\N	\N	\N	\N	\N	\N	\N	{"code": "22012", "attempt": 1, "message": "division by zero", "sqlstate": "22012", "http_status": null}	{"error": {"code": "22012", "attempt": 1, "message": "division by zero", "sqlstate": "22012", "http_status": null}, "status": "SYSTEM_ERROR", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}	\N
31	50	\N	\N	2026-11-30 22:25:05.933688+00	2026-11-30 22:25:05.933688+00	\N	\N	2026-11-30 23:25:05.933688+00	2026-11-30 23:25:05.933688+00	0	f	f	0bebaa00-47c5-48cf-9c58-66578b350320	waiting	mend	\N	callback	\N	\N	\N	\N	\N	\N	\N	\N	{"step": "bad", "error": {"code": "404", "attempt": 1, "message": "the service answered 404", "sqlstate": null, "http_status": 404}, "result": {"error": {"code": "404", "attempt": 1, "message": "the service answered 404", "sqlstate": null, "http_status": 404}, "status": "SYSTEM_ERROR", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}, "serial_number": "31_49"}	\N	\N	\N
12	22	\N	\N	2026-11-30 22:25:05.845681+00	2026-11-30 22:25:05.870341+00	2026-12-20 22:25:06.212032+00	\N	2026-11-30 23:25:05.870341+00	2026-11-30 23:25:05.870341+00	1	f	f	140edb9f-db59-4be2-8779-9f77b9f31732	waiting	ask	\N	callback	\N	\N	\N	\N	{"body": {"body": {"sn": "12_22", "url": "https://hooks.example/callback/12_22.N3Bt3fn03xW1HxospPME6n4cosapxlXHB5O0c_tCC_o", "beat": "https://hooks.example/heartbeat/12_22.Vyi6I_nfAm5OuMuFdyczBhloJ-ApeGheOm4_g8rL0U4"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "199", "idempotency-key": "140edb9f-db59-4be2-8779-9f77b9f31732"}}, "status": 200, "headers": {"content-type": "application/json", "content-length": "495"}}	\N	\N	\N	\N	\N	\N	{"half": true}
25	41	2026-12-10 22:25:06.270089+00	\N	2026-11-30 22:25:05.90047+00	\N	\N	\N	\N	\N	1	f	f	43e6f91b-d3e1-4588-a9ca-a3bd16e0ed04	cancelling	work	timer	\N	\N	CANCELLED	confirm	\N	{"body": {"body": {"sn": "25_41"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "15", "idempotency-key": "43e6f91b-d3e1-4588-a9ca-a3bd16e0ed04"}}, "status": 200, "headers": {"content-type": "application/json", "content-length": "314"}}	\N	\N	{"body": {"stop": "25_41"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "17", "idempotency-key": "43e6f91b-d3e1-4588-a9ca-a3bd16e0ed04-cancel"}}	\N	{"code": "CANCELLED", "attempt": 0, "message": "stop it", "sqlstate": null, "http_status": null}	\N	\N
26	42	2026-11-30 22:25:10.614641+00	\N	2026-11-30 22:25:05.907228+00	\N	\N	\N	\N	\N	1	f	f	952620a6-9ea8-427b-bd90-5297b24fe2af	cancelling	work	http partner	\N	\N	CANCELLED	send	\N	{"body": {"body": {"sn": "26_42"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "15", "idempotency-key": "952620a6-9ea8-427b-bd90-5297b24fe2af"}}, "status": 200, "headers": {"content-type": "application/json", "content-length": "314"}}	\N	\N	\N	\N	{"code": "CANCELLED", "attempt": 0, "message": "ask it to stop", "sqlstate": null, "http_status": null}	\N	\N
28	46	\N	\N	2026-11-30 22:25:05.911701+00	2026-11-30 22:25:05.911701+00	\N	\N	2026-11-30 23:25:05.911701+00	2026-11-30 23:25:05.911701+00	0	f	f	d79c65fb-cc13-466e-8947-ecfb05a72c10	waiting	w	\N	callback	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
29	47	\N	\N	2026-11-30 22:25:05.921291+00	2026-11-30 22:25:05.921291+00	\N	\N	2026-11-30 23:25:05.921291+00	2026-11-30 23:25:05.921291+00	0	f	f	eaa7d758-7006-4610-958b-48e36cf16d1e	waiting	w	\N	callback	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
30	48	\N	\N	2026-11-30 22:25:05.926877+00	2026-11-30 22:25:05.931091+00	\N	\N	2026-11-30 23:25:05.931091+00	2026-11-30 23:25:05.931091+00	1	f	f	1cae6c18-0326-49cd-88d9-0ad9f70587ab	waiting	get	\N	callback	\N	\N	\N	\N	{"body": {"cookie": null}, "status": 200, "headers": {"set-cookie": "node=7", "content-type": "application/json", "content-length": "15"}}	\N	\N	\N	\N	\N	\N	\N
24	39	2026-12-10 22:25:06.270089+00	\N	2026-11-30 22:25:05.894668+00	\N	\N	\N	\N	\N	1	f	f	b13583f4-ea21-44f9-8da0-b9713440e976	cancelling	work	timer	\N	\N	CANCELLED	confirm	\N	{"body": {"body": {"sn": "24_39"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "15", "idempotency-key": "b13583f4-ea21-44f9-8da0-b9713440e976"}}, "status": 200, "headers": {"content-type": "application/json", "content-length": "314"}}	\N	\N	{"body": {"stop": "24_39"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "17", "idempotency-key": "b13583f4-ea21-44f9-8da0-b9713440e976-cancel"}}	\N	{"code": "CANCELLED", "attempt": 0, "message": "stop it", "sqlstate": null, "http_status": null}	\N	\N
34	53	\N	\N	2026-11-30 22:25:06.299864+00	2026-11-30 22:25:06.303527+00	2026-12-20 22:25:06.303527+00	\N	2026-11-30 23:25:06.303527+00	2026-11-30 23:25:06.303527+00	1	f	t	b934e867-4ef8-4a9a-b978-18e8c7264f9e	waiting	ask	\N	callback	\N	\N	\N	\N	{"body": {"body": {"sn": "34_53", "url": "https://hooks.example/callback/34_53.HJwaHOSzLTAUORTjDnyJcliEdRwYBjKvosdCzdJP4rk", "beat": "https://hooks.example/heartbeat/34_53.J_DX-uEqxo4zB0df55_KJ_ldhJFIBFmeaYQNZE7rZ2A"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "199", "idempotency-key": "b934e867-4ef8-4a9a-b978-18e8c7264f9e"}}, "status": 200, "headers": {"content-type": "application/json", "content-length": "495"}}	\N	\N	\N	\N	\N	\N	\N
32	51	2026-11-30 22:25:06.296943+00	\N	2026-11-30 22:25:06.296943+00	\N	\N	\N	\N	\N	0	f	t	04893057-9284-497b-a9ef-34fdd3936062	calling	wait	http slow	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
35	54	2026-11-30 22:25:06.703261+00	\N	2026-11-30 22:25:06.302711+00	2026-11-30 22:25:06.313293+00	\N	\N	\N	\N	1	t	t	6f4e46e8-b45c-4bda-88c6-5e179aa6883f	waiting	ask	move	callback	\N	\N	\N	\N	{"body": {"body": {"sn": "35_54", "url": "https://hooks.example/callback/35_54.k0MAGTTcpLlix--AUW4H3R7zx55KHFSDFZ59b-fN8Mo", "beat": "https://hooks.example/heartbeat/35_54.yKeFoHSMpzrlKdGF8QAAkJ15gu8CgLeTuTXlOV5XiMc"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "199", "idempotency-key": "6f4e46e8-b45c-4bda-88c6-5e179aa6883f"}}, "status": 200, "headers": {"content-type": "application/json", "content-length": "495"}}	{"early": true}	\N	\N	\N	\N	\N	\N
37	59	2026-11-30 22:25:10.522728+00	\N	2026-11-30 22:25:10.522728+00	\N	\N	\N	\N	\N	0	f	f	3f4406ca-9cd2-4651-a8c2-a20c1bcb52aa	calling	reserve	http partner	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
38	60	2026-11-30 22:25:10.522728+00	\N	2026-11-30 22:25:10.522728+00	\N	\N	\N	\N	\N	0	f	f	bca711e5-4505-4b07-98f8-e81857f92bcc	calling	reserve	http partner	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
39	61	\N	\N	2026-11-30 22:25:10.528854+00	2026-11-30 22:25:10.528854+00	\N	\N	2026-11-30 23:25:10.528854+00	2026-11-30 23:25:10.528854+00	0	f	f	11491b8f-a18c-4d84-87d7-c4679b9128e2	waiting	deliver	\N	callback	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
5	62	2026-11-30 22:25:10.565125+00	\N	2026-11-30 22:25:10.565125+00	\N	\N	\N	\N	\N	0	f	f	1d18a03c-7589-45ac-97a5-2a384205e278	calling	confirm	http partner	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
40	63	2026-11-30 22:25:10.581674+00	\N	2026-11-30 22:25:10.581674+00	\N	\N	\N	\N	\N	0	f	f	717fb2cf-7707-48c5-a198-439e91a5b3c8	calling	call	http partner	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
41	64	2026-11-30 22:25:10.585789+00	\N	2026-11-30 22:25:10.585789+00	\N	\N	\N	\N	\N	0	f	f	b88e8675-fc67-4336-b0d5-eca5c38853eb	calling	divide	executor	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
42	65	2026-11-30 22:25:10.586463+00	\N	2026-11-30 22:25:10.586463+00	\N	\N	\N	\N	\N	0	f	f	ca1ee815-7b95-46dd-9c9c-3c76d716e7e8	ready	one	executor	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
43	66	2026-11-30 22:25:10.589574+00	\N	2026-11-30 22:25:10.589574+00	\N	\N	\N	\N	\N	0	f	f	5af23846-4a52-4aa6-bb3d-d318e7b1c1ed	calling	wait	http slow	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
45	68	2026-11-30 22:25:10.60813+00	\N	2026-11-30 22:25:10.597464+00	\N	\N	\N	\N	\N	0	t	f	6c41aee5-a054-4a72-884f-d22370c81f43	calling	work	move	\N	\N	\N	\N	\N	\N	{"before": true}	\N	\N	\N	\N	\N	\N
44	67	2026-11-30 22:25:10.614307+00	\N	2026-11-30 22:25:10.590086+00	\N	\N	\N	\N	\N	0	f	f	0a3cc37d-94e8-4992-9e45-a2133431dce6	cancelling	work	move	\N	\N	CANCELLED	await	\N	\N	\N	\N	\N	\N	{"code": "CANCELLED", "attempt": 0, "message": "ask it to stop", "sqlstate": null, "http_status": null}	\N	\N
\.
COPY workflow.visit_history_20261130 (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, step, outcome, result) FROM stdin;
6	6	1	1	2026-11-30 22:25:05.714781+00	2026-11-30 22:25:05.729335+00	2026-11-30 22:25:05.729335+00	reserve	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"body": {"id": 6, "sn": "6_6"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "a0cf178a-0e77-4098-9278-e62726a8513b"}}, "cancel_response": null, "initial_response": {"body": {"id": 6, "sn": "6_6"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "a0cf178a-0e77-4098-9278-e62726a8513b"}}, "callback_response": null}
7	7	1	1	2026-11-30 22:25:05.714781+00	2026-11-30 22:25:05.729335+00	2026-11-30 22:25:05.729335+00	reserve	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"body": {"id": 7, "sn": "7_7"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "0da06445-57c3-4caf-b0f2-a8befcce7d45"}}, "cancel_response": null, "initial_response": {"body": {"id": 7, "sn": "7_7"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "0da06445-57c3-4caf-b0f2-a8befcce7d45"}}, "callback_response": null}
1	1	1	1	2026-11-30 22:25:05.714781+00	2026-11-30 22:25:05.743784+00	2026-11-30 22:25:05.743784+00	reserve	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"body": {"id": 1, "sn": "1_1"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "4ddcd780-7d65-425c-a8a3-33b4081b48eb"}}, "cancel_response": null, "initial_response": {"body": {"id": 1, "sn": "1_1"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "4ddcd780-7d65-425c-a8a3-33b4081b48eb"}}, "callback_response": null}
2	2	1	1	2026-11-30 22:25:05.714781+00	2026-11-30 22:25:05.743784+00	2026-11-30 22:25:05.743784+00	reserve	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"body": {"id": 2, "sn": "2_2"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "b510ebdf-517c-4235-aba5-fd8b78b236d3"}}, "cancel_response": null, "initial_response": {"body": {"id": 2, "sn": "2_2"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "b510ebdf-517c-4235-aba5-fd8b78b236d3"}}, "callback_response": null}
3	3	1	1	2026-11-30 22:25:05.714781+00	2026-11-30 22:25:05.743784+00	2026-11-30 22:25:05.743784+00	reserve	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"body": {"id": 3, "sn": "3_3"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "2ddf72a8-42ec-4093-810a-e486c3ab54be"}}, "cancel_response": null, "initial_response": {"body": {"id": 3, "sn": "3_3"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "2ddf72a8-42ec-4093-810a-e486c3ab54be"}}, "callback_response": null}
4	4	1	1	2026-11-30 22:25:05.714781+00	2026-11-30 22:25:05.743784+00	2026-11-30 22:25:05.743784+00	reserve	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"body": {"id": 4, "sn": "4_4"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "b0e64462-2b93-4337-be8c-eafa1bda9c29"}}, "cancel_response": null, "initial_response": {"body": {"id": 4, "sn": "4_4"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "b0e64462-2b93-4337-be8c-eafa1bda9c29"}}, "callback_response": null}
5	5	1	1	2026-11-30 22:25:05.714781+00	2026-11-30 22:25:05.743784+00	2026-11-30 22:25:05.743784+00	reserve	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"body": {"id": 5, "sn": "5_5"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "e8758557-2782-4ca5-ae8a-05f01e827868"}}, "cancel_response": null, "initial_response": {"body": {"id": 5, "sn": "5_5"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "e8758557-2782-4ca5-ae8a-05f01e827868"}}, "callback_response": null}
8	8	1	1	2026-11-30 22:25:05.714781+00	2026-11-30 22:25:05.743784+00	2026-11-30 22:25:05.743784+00	reserve	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"body": {"id": 8, "sn": "8_8"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "9b13a262-36c6-47c5-8865-a8880207a838"}}, "cancel_response": null, "initial_response": {"body": {"id": 8, "sn": "8_8"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "22", "idempotency-key": "9b13a262-36c6-47c5-8865-a8880207a838"}}, "callback_response": null}
1	17	1	0	2026-11-30 22:25:05.743784+00	2026-11-30 22:25:05.833768+00	2026-11-30 22:25:05.833768+00	ship	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"receipt": "r1"}, "cancel_response": null, "initial_response": null, "callback_response": {"receipt": "r1"}}
2	14	1	0	2026-11-30 22:25:05.743784+00	2026-11-30 22:25:05.83604+00	2026-11-30 22:25:05.83604+00	ship	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"receipt": "r1"}, "cancel_response": null, "initial_response": null, "callback_response": {"receipt": "r1"}}
4	19	1	0	2026-11-30 22:25:05.743784+00	2026-11-30 22:25:05.844311+00	2026-11-30 22:25:05.844311+00	ship	CANCELLED	{"error": {"code": "CANCELLED", "attempt": 0, "message": "no longer wanted", "sqlstate": null, "http_status": null}, "status": "CANCELLED", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
27	43	11	0	2026-11-30 22:25:05.908757+00	2026-11-30 22:25:05.908757+00	2026-11-30 22:25:05.908757+00	a	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
27	44	11	0	2026-11-30 22:25:05.908757+00	2026-11-30 22:25:05.908757+00	2026-11-30 22:25:05.908757+00	b	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
28	45	11	0	2026-11-30 22:25:05.911701+00	2026-11-30 22:25:05.911701+00	2026-11-30 22:25:05.911701+00	a	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
1	20	1	1	2026-11-30 22:25:05.833768+00	2026-11-30 22:25:05.842463+00	2026-11-30 22:25:05.842463+00	confirm	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"body": {"receipt": "r1"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "17", "idempotency-key": "2f80f63e-d20c-4af2-86b0-c68861430a7c"}}, "cancel_response": null, "initial_response": {"body": {"receipt": "r1"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "17", "idempotency-key": "2f80f63e-d20c-4af2-86b0-c68861430a7c"}}, "callback_response": null}
2	21	1	1	2026-11-30 22:25:05.83604+00	2026-11-30 22:25:05.842463+00	2026-11-30 22:25:05.842463+00	confirm	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"body": {"receipt": "r1"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "17", "idempotency-key": "9721552f-22f2-4631-91c0-f5233e9612a0"}}, "cancel_response": null, "initial_response": {"body": {"receipt": "r1"}, "path": "/echo", "query": {}, "method": "POST", "headers": {"host": "127.0.0.1:40591", "accept": "application/json, */*;q=0.5", "user-agent": "workflow/0.1", "content-type": "application/json", "authorization": "Bearer sesame", "content-length": "17", "idempotency-key": "9721552f-22f2-4631-91c0-f5233e9612a0"}}, "callback_response": null}
13	23	4	0	2026-11-30 22:25:05.846265+00	2026-11-30 22:25:05.851847+00	2026-11-30 22:25:05.851847+00	doze	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
13	26	4	0	2026-11-30 22:25:05.851847+00	2026-11-30 22:25:05.863274+00	2026-11-30 22:25:05.863274+00	until	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
16	34	5	0	2026-11-30 22:25:05.881994+00	2026-11-30 22:25:05.881994+00	2026-11-30 22:25:05.881994+00	first	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
17	35	5	0	2026-11-30 22:25:05.881994+00	2026-11-30 22:25:05.881994+00	2026-11-30 22:25:05.881994+00	first	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
18	36	5	0	2026-11-30 22:25:05.881994+00	2026-11-30 22:25:05.881994+00	2026-11-30 22:25:05.881994+00	first	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
13	29	4	1	2026-11-30 22:25:05.863274+00	2026-11-30 22:25:05.88893+00	2026-11-30 22:25:05.88893+00	note	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
23	38	7	1	2026-11-30 22:25:05.888115+00	2026-11-30 22:25:05.89798+00	2026-11-30 22:25:05.89798+00	divide	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
23	40	7	0	2026-11-30 22:25:05.89798+00	2026-11-30 22:25:05.89798+00	2026-11-30 22:25:05.89798+00	end	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
31	49	14	1	2026-11-30 22:25:05.931593+00	2026-11-30 22:25:05.933688+00	2026-11-30 22:25:05.933688+00	bad	SYSTEM_ERROR	{"error": {"code": "404", "attempt": 1, "message": "the service answered 404", "sqlstate": null, "http_status": 404}, "status": "SYSTEM_ERROR", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
33	52	9	1	2026-11-30 22:25:06.299039+00	2026-11-30 22:25:07.303609+00	2026-11-30 22:25:07.303609+00	wait	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"ok": true}, "cancel_response": null, "initial_response": {"ok": true}, "callback_response": null}
33	55	9	0	2026-11-30 22:25:07.303609+00	2026-11-30 22:25:07.306037+00	2026-11-30 22:25:07.306037+00	async	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
33	56	9	1	2026-11-30 22:25:07.306037+00	2026-11-30 22:25:07.30975+00	2026-11-30 22:25:07.30975+00	sql	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
36	57	10	0	2026-11-30 22:25:08.534297+00	2026-11-30 22:25:08.587128+00	2026-11-30 22:25:08.587128+00	one	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
36	58	10	1	2026-11-30 22:25:08.587128+00	2026-11-30 22:25:08.589029+00	2026-11-30 22:25:08.589029+00	two	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
5	18	1	0	2026-11-30 22:25:05.743784+00	2026-11-30 22:25:10.565125+00	2026-11-30 22:25:10.565125+00	ship	SUCCESS	{"error": null, "status": "SUCCESS", "response": {"receipt": "r5"}, "cancel_response": null, "initial_response": null, "callback_response": {"receipt": "r5"}}
9	9	2	0	2026-11-30 22:25:05.726839+00	2026-11-30 22:25:10.57819+00	2026-11-30 22:25:10.57819+00	deliver	SUCCESS	{"error": null, "status": "SUCCESS", "response": null, "cancel_response": null, "initial_response": null, "callback_response": null}
\.
COPY workflow.visit_history_20261207 (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, step, outcome, result) FROM stdin;
\.
COPY workflow.visit_history_20261214 (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, step, outcome, result) FROM stdin;
\.
SELECT pg_catalog.setval('workflow.attachment_attachment_seq', 2, true);
SELECT pg_catalog.setval('workflow.delivery_seq', 18, true);
SELECT pg_catalog.setval('workflow.instance_seq', 45, true);
SELECT pg_catalog.setval('workflow.process_process_id_seq', 14, true);
SELECT pg_catalog.setval('workflow.visit_seq', 68, true);
ALTER TABLE ONLY shop.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);
ALTER TABLE ONLY shop.parcels
    ADD CONSTRAINT parcels_pkey PRIMARY KEY (id, region);
ALTER TABLE ONLY shop.parcels_eu
    ADD CONSTRAINT parcels_eu_pkey PRIMARY KEY (id, region);
ALTER TABLE ONLY shop.parcels_us
    ADD CONSTRAINT parcels_us_pkey PRIMARY KEY (id, region);
ALTER TABLE ONLY shop.tokens
    ADD CONSTRAINT tokens_pkey PRIMARY KEY (sn);
ALTER TABLE ONLY workflow.instance_history_20261130
    ADD CONSTRAINT instance_history_20261130_pkey PRIMARY KEY (instance);
ALTER TABLE ONLY workflow.instance_history_20261207
    ADD CONSTRAINT instance_history_20261207_pkey PRIMARY KEY (instance);
ALTER TABLE ONLY workflow.instance_history_20261214
    ADD CONSTRAINT instance_history_20261214_pkey PRIMARY KEY (instance);
ALTER TABLE ONLY workflow.visit_history_20261130
    ADD CONSTRAINT visit_history_20261130_pkey PRIMARY KEY (instance, visit);
ALTER TABLE ONLY workflow.visit_history_20261207
    ADD CONSTRAINT visit_history_20261207_pkey PRIMARY KEY (instance, visit);
ALTER TABLE ONLY workflow.visit_history_20261214
    ADD CONSTRAINT visit_history_20261214_pkey PRIMARY KEY (instance, visit);
CREATE INDEX attempt_history_20261130_serial_number_idx ON workflow.attempt_history_20261130 USING btree (workflow.serial_number(instance, visit) COLLATE "C");
CREATE INDEX attempt_history_20261207_serial_number_idx ON workflow.attempt_history_20261207 USING btree (workflow.serial_number(instance, visit) COLLATE "C");
CREATE INDEX attempt_history_20261214_serial_number_idx ON workflow.attempt_history_20261214 USING btree (workflow.serial_number(instance, visit) COLLATE "C");
CREATE INDEX visit_history_20261130_serial_number_idx ON workflow.visit_history_20261130 USING btree (workflow.serial_number(instance, visit) COLLATE "C");
CREATE INDEX visit_history_20261207_serial_number_idx ON workflow.visit_history_20261207 USING btree (workflow.serial_number(instance, visit) COLLATE "C");
CREATE INDEX visit_history_20261214_serial_number_idx ON workflow.visit_history_20261214 USING btree (workflow.serial_number(instance, visit) COLLATE "C");
ALTER INDEX shop.parcels_pkey ATTACH PARTITION shop.parcels_eu_pkey;
ALTER INDEX shop.parcels_pkey ATTACH PARTITION shop.parcels_us_pkey;
CREATE TRIGGER workflow_number BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION workflow.before_insert();
CREATE TRIGGER workflow_number BEFORE INSERT ON shop.parcels FOR EACH ROW EXECUTE FUNCTION workflow.before_insert();
CREATE TRIGGER workflow_start AFTER INSERT ON shop.orders REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION workflow.after_insert();
CREATE TRIGGER workflow_start AFTER INSERT ON shop.parcels FOR EACH ROW EXECUTE FUNCTION workflow.after_insert();
GRANT USAGE ON SCHEMA shop TO upg_client;
GRANT USAGE ON SCHEMA shop TO upg_ops;
GRANT USAGE ON SCHEMA shop TO upg_reader;
GRANT USAGE ON SCHEMA workflow TO upg_owner;
GRANT USAGE ON SCHEMA workflow TO upg_client;
GRANT USAGE ON SCHEMA workflow TO upg_ops;
GRANT USAGE ON SCHEMA workflow TO upg_reader;
GRANT ALL ON FUNCTION workflow.attach(relation regclass, process text, serial_column name, serial_step text, status_column name, instance_column name, condition text, on_update text, on_delete text) TO upg_owner;
GRANT ALL ON FUNCTION workflow.define(name text, definition json) TO upg_owner;
GRANT ALL ON FUNCTION workflow.detach(relation regclass, process text) TO upg_owner;
GRANT ALL ON FUNCTION workflow.grant_process(process text, role name, privilege text) TO upg_owner;
REVOKE ALL ON FUNCTION workflow.retry(serial_number text) FROM PUBLIC;
GRANT ALL ON FUNCTION workflow.retry(serial_number text) TO upg_ops;
REVOKE ALL ON FUNCTION workflow.start(process text, data jsonb, business_key text, version integer) FROM PUBLIC;
GRANT ALL ON FUNCTION workflow.start(process text, data jsonb, business_key text, version integer) TO upg_owner WITH GRANT OPTION;
GRANT ALL ON FUNCTION workflow.start(process text, data jsonb, business_key text, version integer) TO upg_client WITH GRANT OPTION;
GRANT ALL ON FUNCTION workflow.undefine(name text) TO upg_owner;
GRANT ALL ON FOREIGN SERVER partner TO upg_owner;
GRANT ALL ON FOREIGN SERVER slow TO upg_owner;
GRANT SELECT ON TABLE shop.noted TO upg_client;
GRANT SELECT ON TABLE shop.noted TO upg_ops;
GRANT SELECT ON TABLE shop.orders TO upg_client;
GRANT SELECT ON TABLE shop.orders TO upg_ops;
GRANT SELECT ON TABLE shop.parcels TO upg_client;
GRANT SELECT ON TABLE shop.parcels TO upg_ops;
GRANT SELECT ON TABLE shop.parcels_eu TO upg_client;
GRANT SELECT ON TABLE shop.parcels_eu TO upg_ops;
GRANT SELECT ON TABLE shop.parcels_us TO upg_client;
GRANT SELECT ON TABLE shop.parcels_us TO upg_ops;
GRANT SELECT ON TABLE shop.tokens TO upg_client;
GRANT SELECT ON TABLE shop.tokens TO upg_ops;
REVOKE SELECT ON TABLE workflow.history FROM PUBLIC;
GRANT SELECT ON TABLE workflow.history TO upg_owner WITH GRANT OPTION;
REVOKE SELECT ON TABLE workflow.servers FROM PUBLIC;
GRANT SELECT(server) ON TABLE workflow.servers TO upg_reader;
GRANT SELECT(state) ON TABLE workflow.servers TO upg_reader;
