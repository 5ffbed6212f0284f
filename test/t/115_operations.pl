#
# Calls with mode => 'async' while instances are locked, many call at once, and the server is killed: each is carried out once, and those
# of an instance in the order in which they were called.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use WorkflowTest;

my $node = new_server('operations', conf => "workflow.executors = 3\n");
my $psql = Session->new($node, 'postgres');
sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(q[SELECT workflow.define('order', '{"data": {"n": 0}, "steps": [{"step": "wait", "wait": true, "save": true}, {"step": "on", "wait": true}]}')]);
my $pending = "SELECT count(*) FROM workflow.operations WHERE state = 'pending'";

# ---- several in a transaction, as long as the server has not died ----

my $busy = sql(q[SELECT workflow.start('order')]);
my $holder = Session->new($node, 'postgres');
$holder->run("BEGIN; SELECT workflow.set_data($busy, '{}')");
$psql->run("SELECT workflow.set_data($busy, jsonb_build_object('n', n), 'async') FROM generate_series(1, 300) n");
$holder->run('COMMIT');
is_soon($node, 'postgres', $pending, 0, 'operations of an instance that was held are carried out');
my $transactions = sql("SELECT count(DISTINCT xmin::text) FROM workflow_data.operation WHERE instance = $busy");
cmp_ok($transactions, '<', 100, "300 of them in $transactions transactions");
is(sql("SELECT data ->> 'n' FROM workflow.instances WHERE instance = $busy"), 300, 'the last of them last');

# ---- an instance that somebody holds ----

my $held = sql(q[SELECT workflow.start('order')]);
$holder->run("BEGIN; SELECT workflow.set_data($held, '{\"holder\": true}')");
$psql->run("SELECT workflow.set_data($held, jsonb_build_object('n', n, 'k' || n, true), 'async') FROM generate_series(1, 200) n");
my $sn = sql("SELECT serial_number FROM workflow.waiting WHERE instance = $held");
$psql->run("SELECT workflow.complete('$sn', '{\"done\": true}', mode => 'async')");
my $other = sql(q[SELECT workflow.start('order', mode => 'async')]);
is_soon($node, 'postgres', "SELECT state FROM workflow.operations WHERE instance = $other", 'done', 'an operation of another instance does not wait for those of one that is locked');
is(sql($pending), 201, 'which stand');
crash($node);
start_again($node);
is_soon($node, 'postgres', $pending, 0, 'after a crash they are carried out');
is(sql("SELECT data ->> 'n', (SELECT count(*) FROM jsonb_object_keys(data) k WHERE k LIKE 'k%'), data ->> 'holder', data ->> 'done' FROM workflow.instances WHERE instance = $held"),
	'200|200||true', 'in the order in which they were called; what was not committed never was');
is(sql("SELECT count(*) FROM workflow.audit WHERE instance = $held AND call = 'set_data'"), 200, 'each once');
is(sql("SELECT step FROM workflow.waiting WHERE instance = $held"), 'on', 'and it has gone on');

# ---- a call that is made at once does not wait for them ----

$holder = Session->new($node, 'postgres');
$psql = Session->new($node, 'postgres');
$holder->run("BEGIN; SELECT workflow.set_data($held, '{}')");
$psql->run("SELECT workflow.set_data($held, '{\"n\": \"later\"}', 'async')");
$holder->run("SELECT workflow.set_data($held, '{\"n\": \"first\"}')");
$holder->run("SELECT workflow.cancel($other)");
$holder->run('COMMIT');
is_soon($node, 'postgres', "SELECT data ->> 'n' FROM workflow.instances WHERE instance = $held", 'later', 'it comes after what was called at once');

# ---- very many, for an instance that is held for a while, and what is deleted cannot be cleaned up ----

my $reader = Session->new($node, 'postgres');
$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$holder->run("BEGIN; SELECT workflow.set_data($held, '{}')");
$psql->run("SELECT count(workflow.set_data($held, jsonb_build_object('n', n), 'async')) FROM generate_series(1, 800) n");
sleep 6;
my $tries = sql(q[SELECT sum(attempt) FROM workflow_data.delivery WHERE kind = 'operation']);
cmp_ok($tries, '<', 800 * 10, 'those behind the first are looked at ever more rarely');
$holder->run('COMMIT');
is_soon($node, 'postgres', $pending, 0, 'once nobody holds it they are carried out, each by whoever has carried out the one before it');
$reader->run('COMMIT');
is(sql("SELECT data ->> 'n' FROM workflow.instances WHERE instance = $held"), 800, 'in their order');

# ---- a key that somebody is about to take ----

$holder->run("BEGIN; SELECT workflow.start('order', business_key => 'taken-' || n) FROM generate_series(1, 6) n");
$psql->run("SELECT workflow.start('order', business_key => 'taken-' || n, mode => 'async') FROM generate_series(1, 6) n");
sleep 1;
$other = (split /\n/, sql("SELECT workflow.start('order', mode => 'async')"))[-1];
my $asked = time();
is_soon($node, 'postgres', "SELECT state FROM workflow.operations WHERE instance = $other", 'done', 'executors do not wait for it');
cmp_ok(time() - $asked, '<', 15, 'but have others go first');
$holder->run('ROLLBACK');
is_soon($node, 'postgres', $pending, 0, 'and get it if it stays free');
is(sql("SELECT count(*) FROM workflow.operations WHERE state = 'failed'"), 0, 'nothing has failed meanwhile');

# ---- a message to an instance that is still to be started ----

sql(q[SELECT workflow.define('listens', '{"steps": [{"step": "w", "wait": {"message": "M"}, "save": {"m": "${$event.data}"}}]}')]);
$holder->run("BEGIN; SELECT workflow.start('listens', business_key => 'late')");
my $late = (split /\n/, sql("SELECT workflow.start('listens', business_key => 'late', mode => 'async')"))[-1];
sql("SELECT workflow.send_message('M', data => '7', instance => $late, mode => 'async')");
$other = (split /\n/, sql("SELECT workflow.start('order', mode => 'async')"))[-1];
is_soon($node, 'postgres', "SELECT state FROM workflow.operations WHERE instance = $other", 'done', 'others are carried out');
is(sql("SELECT state FROM workflow.operations WHERE call = 'send_message'"), 'pending', 'the message is behind the start');
$holder->run('ROLLBACK');
is_soon($node, 'postgres', "SELECT answer FROM workflow.operations WHERE call = 'send_message' AND instance = $late", 'delivered', 'and reaches the instance');
sql("CREATE ROLE passer; GRANT USAGE ON SCHEMA workflow TO passer; SELECT workflow.define('of passers', '{\"steps\": [{\"step\": \"w\", \"wait\": true}]}'), workflow.grant_process('of passers', 'passer', 'start')");
sql("SET ROLE passer; SELECT workflow.send_message('M', instance => i, mode => 'async') FROM unnest(ARRAY[$held, 999999]) i");
is_soon($node, 'postgres', "SELECT string_agg(answer || coalesce(instance, 0), ' ') FROM workflow.operations WHERE role = 'passer'", 'missed0 missed0', 'one who has no right there is told as if there were none');

# ---- a suspended instance ----

sql("SELECT workflow.suspend($held)");
sql("SELECT workflow.set_data($held, '{\"n\": \"suspended\"}', mode => 'async')");
is_soon($node, 'postgres', "SELECT data ->> 'n' FROM workflow.instances WHERE instance = $held", 'suspended', 'one that is suspended takes what a call at once would give it');

# ---- many, and the server is killed in the middle ----

my $rounds = 3;
for my $round (1 .. $rounds)
{
	my @clients = map { Session->new($node, 'postgres') } 1 .. 4;
	for my $client (0 .. $#clients)
	{
		$clients[$client]->tell("SELECT workflow.start('order', business_key => 'r$round-$client-$_', mode => 'async')") for 1 .. 150;
	}
	wait_until(sub { sql("SELECT count(*) FROM workflow.operations WHERE state = 'done' AND call = 'start'") > 60 * $round }, "round $round: some are done");
	crash($node);
	start_again($node);
}
is_soon($node, 'postgres', $pending, 0, 'all that was committed is carried out');
is(sql(q[SELECT count(*) FROM workflow.operations o LEFT JOIN workflow.instances i USING (instance) WHERE o.call = 'start' AND i.instance IS NULL]), 0, 'each operation has its instance');
is(sql(q[SELECT count(*) FROM workflow.instances i WHERE business_key LIKE 'r%' AND NOT EXISTS (SELECT FROM workflow.operations o WHERE o.instance = i.instance AND o.answer = i.instance::text)]),
	0, 'each instance has its operation');
is(sql(q[SELECT count(*) - count(DISTINCT business_key) FROM workflow.instances WHERE business_key LIKE 'r%']), 0, 'none was started twice');
cmp_ok(sql(q[SELECT count(*) FROM workflow.instances WHERE business_key LIKE 'r%']), '>', 60 * $rounds, 'and many were');
is(sql(q[SELECT count(*) FROM workflow.operations WHERE state = 'failed']), 0, 'none has failed');
is(sql(q[SELECT count(*) FROM workflow_data.delivery WHERE kind = 'operation']), 0, 'nothing is left');

# ---- the trace of the caller ----

my $traced = (split /\n/, sql("SET workflow.traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'; SELECT workflow.start('order', mode => 'async')"))[-1];
is_soon($node, 'postgres', "SELECT trace_id FROM workflow.instances WHERE instance = $traced", '0af7651916cd43dd8448eb211c80319c', 'an instance that is started later has the trace of its caller');

# ---- a copy ----

$holder = Session->new($node, 'postgres');
$holder->run("BEGIN; SELECT workflow.set_data($held, '{}')");
sql("CREATE ROLE clerk; CREATE ROLE stranger; GRANT USAGE ON SCHEMA workflow, workflow_data TO stranger; GRANT USAGE ON SCHEMA workflow TO clerk; SELECT workflow.grant_process('order', 'clerk', 'start')");
sql("SET ROLE clerk; SELECT workflow.set_data($held, '{\"n\": \"copied\"}', mode => 'async')");
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'a database is copied while an operation is pending');
$holder->run('ROLLBACK');
is_soon($node, 'postgres', $pending, 0, 'there it is carried out');
sql('CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('copy'), $dump ], 'and in the copy');
stays(1, sub { $node->safe_psql('copy', $pending) }, 1, 'it stays');
is($node->safe_psql('copy', "SET ROLE clerk; SELECT role, state, blocked_by FROM workflow.operations"), 'clerk|pending|paused', '... which who has called sees there, by his name');
is($node->safe_psql('copy', 'SET ROLE stranger; SELECT count(*) FROM workflow.operations'), 0, '... and nobody else');
$node->safe_psql('copy', 'SELECT workflow.adopt()');
is_soon($node, 'copy', $pending, 0, 'until that is adopted');
is($node->safe_psql('copy', "SELECT o.role, o.state, i.data ->> 'n' FROM workflow.operations o JOIN workflow.instances i USING (instance) ORDER BY operation DESC LIMIT 1"),
	'clerk|done|copied', 'for the role that had called');

# ---- an error changes nobody's rights ----

sql('CREATE ROLE keeper SUPERUSER');
sql('CREATE DATABASE kept');
$node->safe_psql('kept', <<'EOQ');
SET ROLE keeper;
CREATE EXTENSION workflow;
RESET ROLE;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.answer := current_user; RETURN NEW; END$$;
CREATE TRIGGER tell BEFORE UPDATE ON workflow_data.operation FOR EACH ROW EXECUTE FUNCTION tell();
SELECT workflow.define('order', '{"steps": [{"step": "wait", "wait": true}]}');
BEGIN;
SELECT workflow.start('order', business_key => 'one', mode => 'async');
SELECT workflow.start('order', business_key => 'one');
COMMIT;
EOQ
is_soon($node, 'kept', 'SELECT answer FROM workflow_data.operation WHERE error IS NOT NULL', 'keeper', 'after an error the owner of the extension goes on');

# ---- one that takes too long, one that is cancelled: both have failed, and what is behind them goes on ----

sql(q[CREATE TABLE sleepy (instance bigint);
	CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF EXISTS (SELECT FROM public.sleepy s WHERE s.instance = NEW.instance) THEN PERFORM pg_sleep(60); END IF; RETURN NEW; END$$;
	CREATE TRIGGER sleep BEFORE INSERT ON workflow_data.audit FOR EACH ROW WHEN (NEW.call = 'set_data') EXECUTE FUNCTION sleep()]);
sub sleepers { return sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type ~ 'workflow'") }
my $error = "SELECT error ->> 'sqlstate', error ->> 'message' FROM workflow.operations WHERE operation = ";
my ($slow, $cancelled) = map { sql(q[SELECT workflow.start('order')]) } 1, 2;
sql("INSERT INTO sleepy VALUES ($slow), ($cancelled)");
my $stopped = (split /\n/, sql("SELECT workflow.set_data($cancelled, '{\"lost\": true}', mode => 'async'); SELECT workflow.last_operation()"))[-1];
wait_until(sub { sleepers() == 1 }, 'a call is being carried out');
sql("SELECT workflow.cancel($cancelled, mode => 'async')");
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type ~ 'workflow'");
is_soon($node, 'postgres', $error . $stopped, '57014|canceling statement due to user request', 'an administrator cancels it: it has failed');
is_soon($node, 'postgres', "SELECT status, data ? 'lost' FROM workflow.instances WHERE instance = $cancelled", 'aborted|f', 'the next one of its instance is carried out, and nothing of it has stayed');
$node->append_conf('postgresql.conf', "workflow.sql_timeout = '500ms'");
$node->reload;
my $long = (split /\n/, sql("SELECT workflow.set_data($slow, '{\"lost\": true}', mode => 'async'); SELECT workflow.last_operation()"))[-1];
is_soon($node, 'postgres', $error . $long, '57014|the call took longer than workflow.sql_timeout allows', 'another one takes longer than it may: it has failed');
sql("DELETE FROM sleepy; SELECT workflow.set_data($slow, '{\"n\": \"goes on\"}', mode => 'async')");
is_soon($node, 'postgres', "SELECT data ->> 'n', data ? 'lost' FROM workflow.instances WHERE instance = $slow", 'goes on|f', '... likewise');
$node->append_conf('postgresql.conf', "workflow.sql_timeout = '5min'");
$node->reload;

# ---- the server is short of something ----

sql(q[CREATE TABLE trouble (code text);
	CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$DECLARE c text := (SELECT code FROM public.trouble); BEGIN IF c IS NOT NULL THEN RAISE EXCEPTION 'trouble' USING ERRCODE = c; END IF; RETURN NEW; END$$;
	CREATE TRIGGER trouble BEFORE UPDATE ON workflow_data.operation FOR EACH ROW EXECUTE FUNCTION trouble()]);
for (['53100', 'disk'], ['53200', 'memory'])
{
	my ($code, $lack) = @$_;
	sql("INSERT INTO trouble VALUES ('$code')");
	my $poor = (split /\n/, sql("SELECT workflow.set_data($slow, '{\"n\": \"$lack\"}', mode => 'async'); SELECT workflow.last_operation()"))[-1];
	is_soon($node, 'postgres', "SELECT state, blocked_by FROM workflow.operations WHERE operation = $poor", "pending|$lack", "without $lack it waits, and says so");
	is(sql("SET ROLE stranger; SELECT workflow_data.operation_blocked_by($poor, now())"), '', '... to those who may see it');
	is_soon($node, 'postgres', "SELECT attempt > 3 FROM workflow_data.delivery WHERE kind = 'operation'", 't', 'it is tried again after pauses that grow');
	sql('DELETE FROM trouble');
	my $mended = time();
	is_soon($node, 'postgres', "SELECT state, blocked_by FROM workflow.operations WHERE operation = $poor", 'done|', 'and carried out when that is there again');
	cmp_ok(time() - $mended, '<', 15, '... soon');
	is(sql("SELECT data ->> 'n' FROM workflow.instances WHERE instance = $slow"), $lack, '... once');
}
$holder->run("BEGIN; SELECT workflow.set_data($slow, '{}')");
sql("SELECT workflow.set_data($slow, '{\"n\": 0}', mode => 'async')");
is_soon($node, 'postgres', "SELECT blocked_by FROM workflow.operations WHERE state = 'pending'", 'lock', 'of an instance that somebody holds it says that');
$holder->run('ROLLBACK');
is_soon($node, 'postgres', $pending, 0, '... until it is free');

$node->stop;
done_testing();
