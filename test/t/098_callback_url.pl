#
# callback_url: where an instance rests is posted once to each who has asked, through a process of his own, with his user mapping; never
# before that is committed, never for what has failed.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use JSON::PP ();
use Partner;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $node = new_server('callback_url', conf => "workflow.executors = 3\n");
my $partner = Partner->start;
my $url = $partner->url('/echo');
my $json = JSON::PP->new;
my $psql = Session->new($node, 'postgres');
sub sql { return $node->safe_psql('postgres', join(' ', @_)) }
sub state_of { return "SELECT callback_state FROM workflow.operations WHERE operation = $_[0]" }

# As ann, with a URL of her own below the server's: the number of the operation.
sub call
{
	my ($path, $call) = @_;
	my $to = $partner->url($path);
	my @answers = split(/\n/, sql("SET ROLE ann; SELECT workflow.$call, mode => 'async', callback_url => '$to'); SELECT workflow.last_operation();"));
	return $answers[-1];
}
sub instance_of { return sql("SELECT instance FROM workflow.operations WHERE operation = $_[0]") }

# What came below the path so far.
sub posts
{
	my ($path) = @_;
	return [ map { [ $_->{headers}{'x-workflow-status'}, $json->decode($_->{body}) ] } $partner->requests($path) ];
}

sql(<<"EOF_SQL");
CREATE ROLE ann; CREATE ROLE bob;
GRANT USAGE ON SCHEMA workflow TO ann, bob;
CREATE SERVER partner FOREIGN DATA WRAPPER workflow_http OPTIONS (url '@{[$partner->url]}', allow_private 'true', breaker 'off', timeout '30 s');
CREATE SERVER back FOREIGN DATA WRAPPER workflow_http OPTIONS (url '$url', allow_private 'true', breaker 'off', retry_max '3', retry_delay '100 ms', timeout '1 s');
CREATE SERVER flaky FOREIGN DATA WRAPPER workflow_http OPTIONS (url '@{[$partner->url('/flaky')]}', allow_private 'true', breaker 'off', retry_max '3', retry_delay '100 ms');
CREATE SERVER hangs FOREIGN DATA WRAPPER workflow_http OPTIONS (url '@{[$partner->url('/hang')]}', allow_private 'true', breaker 'off', retry_max '1', retry_delay '100 ms', timeout '300 ms');
GRANT USAGE ON FOREIGN SERVER back, flaky, hangs TO ann;
CREATE USER MAPPING FOR ann SERVER back OPTIONS (auth 'bearer', token 'of ann');
SELECT workflow.define('short', '{"data": {"n": 1}, "steps": [{"step": "count", "set": {"n": 2}}]}');
SELECT workflow.define('long', '{"steps": [
    {"step": "ask", "http": {"server": "partner", "path": "/delay?s=0.5"}, "keep_reply": false},
    {"step": "sql", "sql": "SELECT 7 AS x", "save": {"x": "\${\$reply.row.x}"}},
    {"step": "wait", "wait": true, "save": {"done": "\${\$result.response}"}},
    {"step": "pause", "wait": {"after": "300 ms"}},
    {"step": "last", "wait": true}]}');
SELECT workflow.define('fork', '{"steps": [
    {"step": "all", "next": ["a", "b"]},
    {"step": "a", "sql": "SELECT pg_sleep(0.5)", "save": {"a": true}, "end": true},
    {"step": "b", "wait": true, "end": true}]}'),
    workflow.define('child', '{"steps": [{"step": "s", "sql": "SELECT pg_sleep(0.5)", "save": {"s": 1}}, {"step": "w", "wait": true}, {"step": "t", "sql": "SELECT pg_sleep(0.3)"}]}'),
    workflow.define('middle', '{"steps": [{"step": "down", "call": {"process": "child"}}]}'),
    workflow.define('parent', '{"steps": [{"step": "down", "call": {"process": "middle"}}, {"step": "after", "set": {"after": true}}, {"step": "w", "wait": true}]}'),
    workflow.define('bad', '{"steps": [{"step": "fail", "sql": "SELECT 1/0"}]}'),
    workflow.define('task', '{"steps": [{"step": "t", "wait": {"task": {"title": "T", "roles": ["ann"]}}}]}'),
    workflow.define('wants', '{"steps": [{"step": "w", "wait": {"message": "M"}, "next": "v"}, {"step": "v", "wait": true}]}');
SELECT workflow.grant_process(process, 'ann', privilege) FROM workflow.processes, (VALUES ('start'), ('complete'), ('view')) p (privilege) WHERE process NOT LIKE 'workflow%';
SELECT workflow.grant_process('short', 'bob', 'start');
EOF_SQL

# ---- what is checked at the call ----

sub refused
{
	my ($role, $call, $expected, $name) = @_;
	my ($status, $out, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET ROLE $role; SELECT workflow.$call");
	like($error, $expected, $name);
}
refused('ann', "start('short', callback_url => '$url/a')", qr/22023: a call at once has no callback_url/, 'a call at once has none');
refused('ann', "start('short', mode => 'async', callback_url => 'a')", qr/22023: nothing can be posted.*does not begin with http/s, 'a URL that is none');
refused('ann', "start('short', mode => 'async', callback_url => 'http://10.0.0.1/a')", qr/42704: no server that was given to role "ann" covers/, 'one that no server covers');
refused('ann', "start('short', mode => 'async', callback_url => '@{[$partner->url('/elsewhere')]}')", qr/42704/, 'one of a server that the caller may not use');
sql("CREATE SERVER inside FOREIGN DATA WRAPPER workflow_http OPTIONS (url '@{[$partner->url('/inside')]}', allow_private 'true'); GRANT USAGE ON FOREIGN SERVER inside TO PUBLIC; CREATE USER MAPPING FOR PUBLIC SERVER inside OPTIONS (auth 'bearer', token 'of all')");
refused('ann', "start('short', mode => 'async', callback_url => '@{[$partner->url('/inside/a')]}')", qr/42704: no server that was given to role "ann" covers.*through server "inside"/s, 'one of a server that is for everybody, with the credentials of everybody');
sql('DROP SERVER inside CASCADE');
refused('bob', "start('short', mode => 'async', callback_url => '$url/a')", qr/42501/, 'who may not view the process is told nothing of it');
refused('ann', "send_message('M', mode => 'async', callback_url => '$url/a')", qr/22023: a message with a callback_url goes to one instance/, 'a message to anybody');
is(sql('SELECT count(*) FROM workflow.operations'), 0, 'nothing is left of these');

# ---- one that has ended at once ----

my $op = call('/echo/short', q[start('short', '{"m": 3}', 'k']);
is_soon($node, 'postgres', state_of($op), 'sent', 'a callback is sent');
my ($request) = $partner->requests('/echo/short');
my $instance = instance_of($op);
is_deeply(posts('/echo/short'), [ [ 'Completed', { n => 2, m => 3 } ] ], 'with its data, once');
is("$request->{method} $request->{headers}{'x-atk-status'} $request->{headers}{'x-workflow-instance'} $request->{headers}{authorization} $request->{headers}{'content-type'}",
	"POST Completed $instance Bearer of ann application/json", 'with the status, the number of the instance, and the credentials of the caller');
like($request->{headers}{'idempotency-key'}, qr/^[0-9a-f-]{36}$/, 'and an idempotency key');
like($request->{headers}{traceparent}, qr/^00-@{[sql("SELECT trace_id FROM workflow.instances WHERE instance = $instance")]}-/, 'in the trace of the instance');
is(sql("SELECT process || ', ' || owner FROM workflow.processes WHERE process LIKE 'workflow:%'"), 'workflow: callbacks of ann, ann', 'the process that posts is hers');
refused('postgres', "define('workflow: callbacks of bob', '{\"steps\": [{\"step\": \"a\"}]}')", qr/42939/, 'nobody else defines one');

# ---- rest: requests, statements and what they lead to are awaited; clocks are not ----

$op = call('/echo/long', q[start('long']);
sleep 0.3;
is(sql(state_of($op)), 'pending', 'none is sent while a request is under way');
is_soon($node, 'postgres', state_of($op), 'sent', 'but when the instance waits');
is_deeply(posts('/echo/long'), [ [ 'Active', { x => 7 } ] ], 'with the data of then');
$instance = instance_of($op);
my $sn = sql("SELECT serial_number FROM workflow.waiting WHERE instance = $instance");
$op = call('/echo/on', "complete('$sn', '\"yes\"'");
is_soon($node, 'postgres', state_of($op), 'sent', 'one of a callback');
is_deeply(posts('/echo/on'), [ [ 'Active', { x => 7, done => 'yes' } ] ], 'does not wait for a clock');
is_soon($node, 'postgres', "SELECT step FROM workflow.waiting WHERE instance = $instance", 'last', 'it goes on');
is(@{ posts('/echo/on') }, 1, 'nobody is told twice');
$op = call('/echo/cancelled', "cancel($instance, 'enough'");
is_soon($node, 'postgres', state_of($op), 'sent', 'one of cancel');
is(posts('/echo/cancelled')->[0][0], 'Aborted', 'tells so');
$op = call('/echo/over', "set_data($instance, '{}'");
is_soon($node, 'postgres', state_of($op), 'sent', 'one of a call that came too late');
is(posts('/echo/over')->[0][0], 'Aborted', 'tells how it has ended');

$op = call('/echo/fork', q[start('fork']);
is_soon($node, 'postgres', state_of($op), 'sent', 'of several tokens');
is_deeply(posts('/echo/fork'), [ [ 'Active', { a => JSON::PP::true } ] ], 'all are awaited');

$op = call('/echo/bad', q[start('bad']);
is_soon($node, 'postgres', state_of($op), 'sent', 'an incident rests');
is(posts('/echo/bad')->[0][0], 'Failed', 'as failed');

$op = call('/echo/task', q[start('task']);
is_soon($node, 'postgres', state_of($op), 'sent', 'a task rests');
$sn = sql('SELECT serial_number FROM workflow.tasks');
my @ops = (call('/echo/claim', "claim('$sn', 'Ann'"), call('/echo/done', "complete('$sn'"));
is_soon($node, 'postgres', state_of($ops[1]), 'sent', 'calls of a task');
is_deeply([ map { $_->[0] } @{ posts('/echo/claim') }, @{ posts('/echo/done') } ], [qw(Active Completed)], 'each has its callback');

$op = call('/echo/wants', q[start('wants']);
$instance = instance_of($op);
$op = call('/echo/message', "send_message('M', instance => $instance");
is_soon($node, 'postgres', state_of($op), 'sent', 'of a message to an instance');
is(sql("SELECT step FROM workflow.waiting WHERE instance = $instance"), 'v', 'once it has come');

# ---- what was called is awaited, at any depth ----

$op = call('/echo/parent', q[start('parent']);
my $parent = instance_of($op);
is_soon($node, 'postgres', state_of($op), 'sent', 'an instance that has called others');
is(sql("SELECT step FROM workflow.waiting WHERE process = 'child'"), 'w', 'rests when they do');
is(@{ posts('/echo/parent') }, 1, 'once');
$sn = sql("SELECT serial_number FROM workflow.waiting WHERE process = 'child'");
$op = call('/echo/ignored', "set_data($parent, '{\"seen\": true}'");
is_soon($node, 'postgres', state_of($op), 'sent', 'rest is told at once while they wait');
sql("SELECT workflow.complete('$sn')");
$op = call('/echo/above', "set_data($parent, '{\"late\": true}'");
is_soon($node, 'postgres', state_of($op), 'sent', 'while they are at work');
is(posts('/echo/above')->[0][1]{after}, JSON::PP::true, 'that is awaited, and what follows from it');
is(sql('SELECT count(*) FROM workflow_data.instance WHERE asked'), 0, 'nobody asks any more');

# ---- before the commit, and after a failure, there is none ----

$psql->run("SET ROLE ann; BEGIN; SELECT workflow.start('short', mode => 'async', callback_url => '$url/open')");
sleep 0.5;
is(@{ posts('/echo/open') }, 0, 'none before the commit');
$psql->run('ROLLBACK');
sql("SELECT workflow.start('wants', business_key => 'taken')");
my $holder = Session->new($node, 'postgres');
$holder->run("BEGIN; SELECT workflow.start('wants', business_key => 'free')");
$op = call('/echo/taken', q[start('wants', business_key => 'free']);
$holder->run('COMMIT');
is_soon($node, 'postgres', "SELECT state || ' ' || callback_state FROM workflow.operations WHERE operation = $op", 'failed none', 'a call that has failed posts nothing');
is(@{ posts('/echo/open') } + @{ posts('/echo/taken') }, 0, 'as does one that was rolled back');

# ---- somebody holds the instance, or what it has called ----

$instance = (split /\n/, sql(q[SELECT workflow.start('parent')]))[-1];
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE w.process = 'child' AND w.step = 'w' AND i.root = $instance", 1, 'a child waits');
my $child = sql("SELECT instance FROM workflow.instances WHERE root = $instance AND process = 'child'");
$holder->run("BEGIN; SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $child");
$op = call('/echo/held', "set_data($instance, '{\"h\": 1}'");
is_soon($node, 'postgres', state_of($op), 'sent', 'a child that somebody else moves rests until that is committed');
$holder->run('COMMIT');
is_soon($node, 'postgres', "SELECT step FROM workflow.waiting WHERE instance = $instance AND waits_for = 'callback'", 'w', 'then it has gone on');

# ---- nobody waits for a transaction that leads to rest and stays open ----

my $held = '{"step": "h", "http": {"server": "partner", "path": "/held", "headers": {"X-Instance": "${$instance}"}}}, {"step": "w", "wait": true}';
sql(<<"EOF_SQL");
SELECT workflow.define('held', '{"steps": [$held]}'), workflow.define('pair', '{"steps": [
    {"step": "both", "next": ["down", "w"]},
    {"step": "down", "call": {"process": "held"}, "end": true},
    {"step": "w", "wait": true, "end": true}]}');
SELECT workflow.grant_process(process, 'ann', privilege) FROM unnest('{pair,held}'::text[]) process, unnest('{start,view,complete,admin}'::text[]) privilege;
EOF_SQL
$op = call('/echo/pair', q[start('pair']);
is_soon($node, 'postgres', q[SELECT count(*) FROM workflow_data.instance WHERE asked], 2, 'one and what it has called are asked');
$instance = instance_of($op);
$child = sql("SELECT instance FROM workflow.instances WHERE root = $instance AND process = 'held'");
$holder->run("BEGIN; SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $instance AND step = 'w'");
$partner->wait_for(1, '/held');
$partner->let_go($child);
is_soon($node, 'postgres', q[SELECT count(*) FROM workflow_data.instance WHERE asked], 1, 'what it has called has come to rest, though it is held');
is(sql(state_of($op)), 'pending', 'and is looked at later');
$holder->run('COMMIT');
is_soon($node, 'postgres', state_of($op), 'sent', 'when it is let go');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE kind = 'rest'", 0, 'nothing is left to be looked at');

# ---- many of one instance that rests late are not put off each time ----

sql("SELECT workflow.suspend_process('workflow: callbacks of ann')");
$instance = sql("SELECT workflow.start('held')");
sql("SET ROLE ann; SELECT count(workflow.set_data($instance, '{}', mode => 'async', callback_url => '$url/many')) FROM generate_series(1, 1000)");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.operations WHERE instance = $instance AND state = 'done'", 1000, 'a thousand calls are carried out');
my $since = time();
$partner->wait_for(2, '/held');
$partner->let_go($instance);
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.operations WHERE instance = $instance AND callback_state <> 'pending'", 1000, 'each has its callback');
cmp_ok(time() - $since, '<', 20, 'without pauses between them');
sql("SELECT count(workflow.cancel(callback_instance)) FROM workflow.operations WHERE instance = $instance; SELECT workflow.resume_process('workflow: callbacks of ann')");

# ---- a receiver that is slow to take it ----

$op = call('/flaky/a?fail=2&status=500', q[start('short']);
is_soon($node, 'postgres', state_of($op), 'sent', 'a receiver that errs twice');
my @tries = $partner->requests('/flaky/a');
is(scalar(@tries), 3, 'gets it three times');
is(keys %{ { map { $_->{headers}{'idempotency-key'} => 1 } @tries } }, 1, 'under one key');
$op = call('/hang/a', q[start('short']);
is_soon($node, 'postgres', state_of($op), 'failed', 'one that never answers fails for good');
is(sql("SELECT callback_error ->> 'code' FROM workflow.operations WHERE operation = $op"), 'timeout', 'and why');
is(sql("SELECT count(*) FROM workflow.incidents WHERE process = 'workflow: callbacks of ann'"), 1, 'as an incident of her process');
$node->safe_psql('postgres', "SELECT workflow.cancel((SELECT instance FROM workflow.operations WHERE operation = $op), 'x')");

# ---- resend ----

refused('bob', "resend($op)", qr/42704: operation $op does not exist/, 'others are not told that it is there');
sql("SELECT workflow.grant_process('short', 'bob', 'view')");
refused('bob', "resend($op)", qr/42501/, 'who sees it may not send it');
sql("ALTER SERVER hangs OPTIONS (SET url '@{[$partner->url]}', SET timeout '5 s'); UPDATE workflow_data.instance SET data = jsonb_set(data, '{url}', '\"@{[$partner->url('/echo/hang')]}\"') WHERE instance = (SELECT callback FROM workflow_data.operation WHERE operation = $op)");
sql("SET ROLE ann; SELECT workflow.resend($op)");
is_soon($node, 'postgres', state_of($op), 'sent', 'one that has failed is sent again');
sql("SET ROLE ann; SELECT workflow.resend($op)");
is_soon($node, 'postgres', state_of($op), 'sent', 'and one that was sent');
@tries = $partner->wait_for(2, '/echo/hang');
is(keys %{ { map { $_->{headers}{'idempotency-key'} => 1 } @tries } }, 2, 'as another delivery');
is($tries[0]{body}, $tries[1]{body}, 'of the same');
$op = call('/echo/later', q[start('short']);
is_soon($node, 'postgres', state_of($op), 'sent', 'one more');
refused('ann', "resend($op + 1000)", qr/42704/, 'unknown operation');
my $failed = sql("SELECT max(operation) FROM workflow.operations WHERE state = 'failed'");
refused('ann', "resend($failed)", qr/55000.*It has failed/s, 'one that has failed sends nothing');
$op = (split /\n/, sql("SELECT workflow.start('short', mode => 'async'); SELECT workflow.last_operation()"))[-1];
refused('postgres', "resend($op)", qr/55000.*asked for none/s, 'nor one that has asked for nothing');

# ---- what has changed until then ----

$op = call('/echo/rights', q[start('long']);
sql("SELECT workflow.revoke_process('long', 'ann', 'view')");
is_soon($node, 'postgres', "SELECT callback_state || ' ' || (callback_error ->> 'sqlstate') FROM workflow.operations WHERE operation = $op", 'failed 42501', 'who may not view it any more is not told');
is(@{ posts('/echo/rights') }, 0, 'anything');
sql("SELECT workflow.grant_process('long', 'ann', 'view')");
my $given = call('/flaky/given?fail=0', q[start('long']);
sql('REVOKE USAGE ON FOREIGN SERVER flaky FROM ann; GRANT USAGE ON FOREIGN SERVER flaky TO PUBLIC');
is_soon($node, 'postgres', "SELECT callback_state || ' ' || (callback_error ->> 'sqlstate') FROM workflow.operations WHERE operation = $given", 'failed 42704', 'nor through a server that was taken away, though everybody may use it');
sql('REVOKE USAGE ON FOREIGN SERVER flaky FROM PUBLIC; GRANT USAGE ON FOREIGN SERVER flaky TO ann');
sql("SET ROLE ann; SELECT workflow.resend($given)");
is_soon($node, 'postgres', state_of($given), 'sent', 'until it is given again');
sql("SET ROLE ann; SELECT workflow.resend($op)");
is_soon($node, 'postgres', state_of($op), 'sent', 'but can ask again, once he may');
sql("ALTER ROLE ann RENAME TO anna");
$instance = (split /\n/, sql("SET ROLE anna; SELECT workflow.start('short', mode => 'async', callback_url => '$url/renamed')"))[-1];
is_soon($node, 'postgres', "SELECT callback_state FROM workflow.operations WHERE instance = $instance", 'sent', 'a role that is called otherwise by now');
sql("ALTER ROLE anna RENAME TO ann; ALTER ROLE bob RENAME TO anna; SELECT workflow.grant_process('short', 'anna', 'view'); GRANT USAGE ON FOREIGN SERVER back TO anna");
$instance = (split /\n/, sql("SET ROLE anna; SELECT workflow.start('short', mode => 'async', callback_url => '$url/other')"))[-1];
is_soon($node, 'postgres', "SELECT p.owner || ' ' || p.process FROM workflow.operations o JOIN workflow.instances i ON i.instance = o.callback_instance JOIN workflow.processes p ON p.process = i.process WHERE o.instance = $instance",
	'anna workflow: callbacks of anna (2)', 'and another one that has its old name have a process each');
sql("ALTER ROLE anna RENAME TO bob; SELECT workflow.undefine('workflow: callbacks of ann', force => true)");
$op = call('/echo/again', q[start('short']);
is_soon($node, 'postgres', state_of($op), 'sent', 'what was undefined is defined again');

# ---- headers of the call ----

sql("CREATE SERVER named FOREIGN DATA WRAPPER workflow_http OPTIONS (url '@{[$partner->url('/echo/named')]}', allow_private 'true'); CREATE USER MAPPING FOR ann SERVER named OPTIONS (auth 'on_behalf', name 'X-User'); GRANT USAGE ON FOREIGN SERVER named TO ann");
$instance = (split /\n/, sql("SET ROLE ann; SET workflow.on_behalf = '{\"x-user\": \"john\"}'; SELECT workflow.start('long', mode => 'async', callback_url => '@{[$partner->url('/echo/named/a')]}')"))[-1];
is_soon($node, 'postgres', "SELECT callback_state FROM workflow.operations WHERE instance = $instance", 'sent', 'a callback on behalf of who has called');
is(($partner->requests('/echo/named'))[0]{headers}{'x-user'}, 'john', 'has that header of the call');
is(sql('SELECT count(*) FROM workflow_data.operation_headers'), 0, 'which is not kept any longer');
$op = (split /\n/, sql("SET ROLE ann; SELECT workflow.start('short', mode => 'async', callback_url => '@{[$partner->url('/echo/named/b')]}'); SELECT workflow.last_operation()"))[-1];
is_soon($node, 'postgres', state_of($op), 'failed', 'without such a header it fails');
sql("SET ROLE ann; SET workflow.on_behalf = '{\"x-user\": \"jane\"}'; SELECT workflow.resend($op)");
is_soon($node, 'postgres', state_of($op), 'sent', 'until one who has the header sends it again');
is(($partner->requests('/echo/named/b'))[0]{headers}{'x-user'}, 'jane', 'which it has then');

# ---- erased with what has posted it ----

$op = call('/echo/erased', q[start('short']);
is_soon($node, 'postgres', state_of($op), 'sent', 'data that are to be erased');
my $posting = sql("SELECT callback_instance FROM workflow.operations WHERE operation = $op");
sql('SELECT workflow.erase(' . instance_of($op) . ')');
is(sql("SELECT count(*) FROM workflow.instances WHERE instance = $posting"), 0, 'are gone where they were posted from as well');
my $of_short = "SELECT count(*) FROM workflow.instances WHERE data ->> 'process' = 'short' AND data ->> 'operation' = ";
$op = call('/echo/twice', q[start('short']);
is_soon($node, 'postgres', state_of($op), 'sent', 'data that were posted');
sql("SET ROLE ann; SELECT workflow.resend($op)");
is_soon($node, 'postgres', state_of($op), 'sent', 'twice');
is(sql("$of_short '$op'"), 2, 'stand in two instances');
sql('SELECT workflow.erase(' . instance_of($op) . ')');
is(sql("$of_short '$op'"), 0, 'and are erased from both');

$op = call('/echo/meanwhile', q[start('short']);
is_soon($node, 'postgres', state_of($op), 'sent', 'data that are due to be posted');
$instance = instance_of($op);
sql('SELECT workflow.erase(' . sql("SELECT callback_instance FROM workflow.operations WHERE operation = $op") . ')');
sql("UPDATE workflow_data.operation SET callback_due = true, callback = NULL WHERE operation = $op");
$holder->run("BEGIN; SELECT workflow.erase($instance)");
sql("INSERT INTO workflow_data.delivery (instance, visit, due_at, kind, queue) SELECT $instance, 0, now(), 'rest', 'executor ' || process_id FROM workflow_data.process WHERE process = 'short'");
call('/echo/short', q[start('short']);
is_soon($node, 'postgres', "SELECT attempt > 0 FROM workflow_data.delivery WHERE instance = $instance", 't', 'while they are erased nobody waits for that');
$holder->run('COMMIT');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance", 0, 'and afterwards');
is(sql("$of_short '$op'"), 0, 'nothing is posted');

# ---- the retention of a process: what is still to be told keeps its history, what was told goes with it ----

sql("SELECT workflow.define('brief', '{\"retention\": \"1 second\", \"steps\": [{\"step\": \"a\", \"set\": {\"n\": 2}}]}'), workflow.grant_process('brief', 'ann', 'start'), workflow.grant_process('brief', 'ann', 'view')");
my $posted = "SELECT count(*) FROM workflow.instances WHERE data ->> 'process' = 'brief'";
my $upkeep = "UPDATE workflow_data.delivery SET due_at = clock_timestamp() WHERE kind = 'maintain'; SELECT workflow.start('bad')";
my $first = call('/echo/brief', q[start('brief']);
is_soon($node, 'postgres', state_of($first), 'sent', 'one that was told');
sql("SELECT workflow.suspend_process('workflow: callbacks of ann')");
$op = call('/echo/brief', q[start('brief']);
is_soon($node, 'postgres', state_of($op), 'sending', 'one that is still to be told');
is(sql($posted), 2, 'both stand in what posts them');
sleep 1.1;
sql($upkeep);
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'brief'", 1, 'what is past retention goes');
is(sql($posted), 1, 'with what has posted it');
is(sql(state_of($op)), 'sending', 'but for what is still to be told');
sql("SELECT workflow.resume_process('workflow: callbacks of ann')");
is_soon($node, 'postgres', state_of($op), 'sent', 'which is told then');
sql($upkeep);
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.operations WHERE operation IN ($first, $op)", 0, 'and goes as well');
is(sql($posted), 0, 'all of it');

# ---- a process of that name that does something else ----

sql("CREATE ROLE zoe; GRANT USAGE ON SCHEMA workflow TO zoe; GRANT USAGE ON FOREIGN SERVER back TO zoe; SELECT workflow.grant_process('short', 'zoe', privilege) FROM unnest('{start,view}'::text[]) privilege; GRANT EXECUTE ON FUNCTION workflow.define(text, json) TO zoe;",
	"SET ROLE zoe; SELECT workflow.define('mine', '{\"steps\": [{\"step\": \"a\", \"wait\": true}]}'); RESET ROLE; UPDATE workflow_data.process SET process = 'workflow: callbacks of zoe' WHERE process = 'mine'");
$instance = (split /\n/, sql("SET ROLE zoe; SELECT workflow.start('short', mode => 'async', callback_url => '$url/zoe')"))[-1];
is_soon($node, 'postgres', "SELECT callback_state FROM workflow.operations WHERE instance = $instance", 'sent', 'who has one of that name is told nevertheless');
is(@{ posts('/echo/zoe') }, 1, 'by another one');

# ---- data that are as large as they may be ----

sql('ALTER SYSTEM SET workflow.max_data = 100; SELECT pg_reload_conf()');
is_soon($node, 'postgres', 'SHOW workflow.max_data', '100kB', 'a limit for data');
$op = call('/echo/large', q[start('short', jsonb_build_object('x', repeat('x', 102200))]);
is_soon($node, 'postgres', state_of($op), 'sent', 'that an instance keeps to does not keep its callback from being sent');
is(length(posts('/echo/large')->[0][1]{x} // ''), 102200, 'with all of it');
sql('ALTER SYSTEM RESET workflow.max_data; SELECT pg_reload_conf()');

is(sql('SELECT count(*) FROM workflow.verify()'), 0, 'nothing is wrong with any of it');

done_testing();
