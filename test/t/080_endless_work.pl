#
# Definitions and data that are legal and take for ever, and rows that cannot be worked on: they become incidents, alone, and
# hold up nobody else.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $node = new_server('poison', conf => "workflow.move_timeout = 100ms\nworkflow.sql_timeout = 1s\n");
my $partner = Partner->start;
add_http_server($node, $partner);
sub sql { return $node->safe_psql('postgres', shift) }

# Each element is compared with each other one, within each other one: minutes for a thousand elements.
my $endless = 'exists($.list[*] ? (@ > $.list[*] && exists($.list[*] ? (@ > $.list[*] && @ < 0))))';
sub define
{
	my ($name, $steps) = @_;
	$steps =~ s/ENDLESS/$endless/g;
	sql("SELECT workflow.define('$name', \$wf\${\"steps\": [$steps]}\$wf\$)");
}

define('clock', '{"step": "clock", "wait": {"after": "10 ms"}}, {"step": "choose", "choose": [{"when": "ENDLESS", "next": "end"}, {"next": "end"}]}, {"step": "end", "end": true}');
define('reply', '{"step": "reply", "http": {"server": "partner", "path": "/echo"}, "success": "ENDLESS"}');
define('deadline', '{"step": "deadline", "wait": true, "timeout": "10 ms", "catch": [{"on": "TIMED_OUT", "next": "choose"}]}, {"step": "choose", "choose": [{"when": "ENDLESS", "next": "choose"}, {"next": "end"}]}, {"step": "end", "end": true}');
define('request', '{"step": "request", "http": {"server": "partner", "path": "/echo", "body": {"x": "${$.list[*] ? (@ > $.list[*] && exists($.list[*] ? (@ > $.list[*] && @ < 0))) ?? null}"}}}');
define('caught', '{"step": "reply", "http": {"server": "partner", "path": "/echo"}, "success": "ENDLESS", "catch": [{"on": "*", "next": "end"}]}, {"step": "end", "end": true}');
define('loop', '{"step": "a", "set": {"n": 1}, "next": "b"}, {"step": "b", "choose": [{"when": "$.n == 2", "next": "end"}, {"next": "a"}]}, {"step": "end", "end": true}');
define('good', '{"step": "good", "http": {"server": "partner", "path": "/echo"}}, {"step": "clock", "wait": {"after": "10 ms"}}, {"step": "sql", "sql": "SELECT 1"}');

my $list = q[jsonb_build_object('list', (SELECT jsonb_agg(n) FROM generate_series(1, 1500) n))];
my @poison = qw(clock reply deadline request);

# ---- poison, two of each, amid what is good ----

sql("SELECT workflow.start('$_', $list), workflow.start('$_', $list)") for @poison;
my $begin = time();
sql("SELECT workflow.start('good') FROM generate_series(1, 100)");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'good' AND status = 'completed'", 100, 'the good go on');
my $took = time() - $begin;
cmp_ok($took, '<', 30, sprintf('... within %.1f s', $took));
for (@poison)
{
	is_soon($node, 'postgres', "SELECT count(*), count(error->>'message') FROM workflow.incidents WHERE process = '$_'", '2|2', "$_: incidents, with their errors");
}
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM workflow.instances WHERE process IN ('clock', 'reply', 'deadline', 'request')"), 'failed', 'their instances wait for a person');
is(sql("SELECT count(*) FROM workflow_data.delivery WHERE kind = 'reply'"), 0, 'nothing is tried for ever');
ok(!log_has($node, qr/PANIC|terminated by signal|exited with exit code/), 'no worker has died of it');

# SQL that does not let itself be cancelled ends with its executor, once
sql(q[CREATE FUNCTION stubborn() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
	LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$]);
define('stubborn', '{"step": "sql", "sql": "SELECT stubborn()"}');
my $stubborn = sql("SELECT workflow.start('stubborn')");
is_soon($node, 'postgres', "SELECT error->>'code' FROM workflow.incidents WHERE instance = $stubborn", '57014', 'SQL that cannot be cancelled is an incident');
like(sql("SELECT error->>'message' FROM workflow.incidents WHERE instance = $stubborn"), qr/could not be cancelled/, 'which says so');
my $killed = count_in_log($node, qr/exited with exit code/);
is($killed, 1, 'it has cost one executor');
sql("SELECT workflow.cancel($stubborn)");

# nor does a trigger of an attached table that does not let itself be cancelled take an executor more than once
sql(q[CREATE TABLE attached (id int PRIMARY KEY, state text);
	SELECT workflow.define('attached', '{"steps": [{"step": "stand", "wait": true}]}');
	SELECT workflow.attach('attached', 'attached', status_column => 'state');
	CREATE FUNCTION stubborn_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.stubborn(); RETURN new; END $$;
	CREATE TRIGGER stubborn BEFORE UPDATE ON attached FOR EACH ROW EXECUTE FUNCTION stubborn_trigger();
	INSERT INTO attached VALUES (1);
	SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE process = 'attached']);
wait_until(sub { log_has($node, qr/could not write to the row with key \S+ of table "attached": it took longer than workflow.sql_timeout allows/) }, 'a write-back that cannot be cancelled is given up');
wait_until(sub { count_in_log($node, qr/exited with exit code/) == $killed + 1 }, 'it has cost one executor');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE kind = 'write_back' AND due_at < now() + interval '50 minutes'", 0, 'and is not tried again for an hour');
sql('DROP TABLE attached');

# mending: with data that are less
my $sn = sql("SELECT min(serial_number) FROM workflow.incidents WHERE process = 'reply'");
sql("SELECT workflow.set_data(split_part('$sn', '_', 1)::bigint, '{\"list\": [1]}')");
is(sql("SELECT workflow.skip('$sn')"), 't', 'one is skipped');
my $again = sql("SELECT max(serial_number) FROM workflow.incidents WHERE process = 'request'");
sql("SELECT workflow.set_data(split_part('$again', '_', 1)::bigint, '{\"list\": [1]}'); SELECT workflow.retry('$again')");
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = split_part('$again', '_', 1)::bigint", 'completed', 'one is mended and tried again');

# a handler may take it
sql("SELECT workflow.start('caught', $list)");
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE process = 'caught'", 'completed', 'what a handler catches is no incident');

# a handler that has interrupted a visit, and cannot be gone to, is forgotten with that
define('interrupted', '{"step": "call", "http": {"server": "partner", "path": "/accept/job?callback=none"}, "wait": true, "cancel": {"path": "/stop", "timeout": "0"},
	"catch": [{"after": "10 ms", "next": "choose"}, {"on": "FAILED", "next": "aside"}]}, {"step": "choose", "choose": [{"when": "ENDLESS", "next": "end"}, {"next": "end"}]}, {"step": "end", "end": true}, {"step": "aside", "end": true}');
my @interrupted = map { sql("SELECT workflow.start('interrupted', $list)") } 1 .. 2;
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.incidents WHERE process = 'interrupted'", 2, 'a handler of a clock that is poison makes an incident');
sql("SELECT workflow.move(serial_number, 'aside') FROM workflow.incidents WHERE instance = $interrupted[0]");
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $interrupted[0]", 'completed', '... which can be moved elsewhere');
is(sql("SELECT string_agg(step, ' ' ORDER BY entered_at) FROM workflow.history WHERE instance = $interrupted[0]"), 'call aside', '... and goes only there');
sql("SELECT workflow.cancel_visit(serial_number) FROM workflow.incidents WHERE instance = $interrupted[1]");
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $interrupted[1]", 'aborted', '... or cancelled');
is(sql("SELECT string_agg(step, ' ' ORDER BY entered_at) FROM workflow.history WHERE instance = $interrupted[1]"), 'call', '... without its handler');

# ---- one move that is too slow stands for all of its process ----

define('late', '{"step": "clock", "wait": {"until": "${$.at}"}}, {"step": "choose", "choose": [{"when": "ENDLESS", "next": "end"}, {"next": "end"}]}, {"step": "end", "end": true}');
define('exact', '{"step": "clock", "wait": {"until": "${$.at}"}}');
$node->safe_psql('postgres', "ALTER SYSTEM SET workflow.move_timeout = '1s'");
$node->reload;
is_soon($node, 'postgres', "SELECT setting FROM pg_settings WHERE name = 'workflow.move_timeout'", 1000, 'a second for each move');
my $at = sql("SELECT clock_timestamp() + interval '2 s'");
sql("SELECT workflow.start('late', $list || jsonb_build_object('at', '$at')) FROM generate_series(1, 20)");
sql("SELECT workflow.start('exact', jsonb_build_object('at', timestamptz '$at' + interval '1 ms')) FROM generate_series(1, 3)");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.history WHERE process = 'exact'", 3, 'others have their turn');
cmp_ok(sql("SELECT extract(epoch FROM max(ended_at) - '$at') FROM workflow.history WHERE process = 'exact'"), '<', 15, 'before each of those has had a second');
sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE ended_at IS NULL AND process = 'late'");
$node->safe_psql('postgres', 'ALTER SYSTEM RESET workflow.move_timeout');
$node->reload;
is_soon($node, 'postgres', "SELECT setting FROM pg_settings WHERE name = 'workflow.move_timeout'", 100, 'as before');

# ---- a loop without end is the only one to be busy ----

my $loop = sql("SELECT workflow.start('loop')");
sql("SELECT workflow.start('good') FROM generate_series(1, 20)");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'good' AND status = 'completed'", 120, 'others go on beside an endless loop');
is_soon($node, 'postgres', "SELECT error->>'code', error->>'message' FROM workflow.incidents WHERE instance = $loop",
	'move|the token went through 100000 steps without a wait, a request or a statement', 'which is stopped');
my $steps = "SELECT count(*) FROM workflow.history WHERE instance = $loop";
is(sql($steps), 100000, 'after that many');
is(sql("SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE instance = $loop"), 't', 'it can be made to go on');
is_soon($node, 'postgres', "SELECT ($steps) > 100000", 't', 'and does');
is(sql("SELECT workflow.cancel($loop)"), 't', 'it can be cancelled');
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $loop", 'aborted', '... and ends');
# a handler that leads back into it does not keep it up, and steps that rest do not count
define('circle', '{"step": "a", "set": {"n": 1}, "catch": [{"on": "*", "next": "a"}], "choose": [{"when": "$.m == 2", "next": "end"}, {"next": "a"}]}, {"step": "end", "end": true}');
my $circle = sql("SELECT workflow.start('circle')");
is_soon($node, 'postgres', "SELECT error->>'code' FROM workflow.incidents WHERE instance = $circle", 'move', 'a circle of handlers');
is(sql("SELECT workflow.cancel($circle)"), 't', 'is cancelled');

# ---- rows that nobody can work on ----

sql("SELECT workflow.start('clock', '{\"list\": []}') FROM generate_series(1, 3)");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'clock' AND status = 'completed'", 3, 'with little data they end');
define('broken', '{"step": "stand", "wait": true}, {"step": "next", "wait": {"after": "10 ms"}}');
sql("SELECT workflow.start('broken') FROM generate_series(1, 3)");
# as if by a version of the software that knows more
sql("UPDATE workflow_data.visit SET step = 'no such step', state = 'waiting', waits_for = 'after', queue = 'timer', due_at = clock_timestamp() WHERE step = 'stand'");
leave_undrawn('a version that nobody can read');
sql("UPDATE workflow_data.process_version SET definition = '{\"steps\": [{\"step\": \"a\", \"telepathy\": true}]}' WHERE process_id = (SELECT process_id FROM workflow_data.process WHERE process = 'loop')");
my $dispatcher = wait_for_workers($node, 'postgres');
sql("SELECT pg_terminate_backend($dispatcher)");
wait_until(sub { my $pid = worker_pid($node, 'dispatcher', 'postgres'); $pid && $pid != $dispatcher }, 'with rows that make no sense a dispatcher starts');
sql("SELECT workflow.start('good') FROM generate_series(1, 20)");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'good' AND status = 'completed'", 140, 'and others go on');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.incidents WHERE process = 'broken' AND error->>'message' ~ 'no such step'", 3, 'the rows that make no sense are incidents');
$dispatcher = wait_for_workers($node, 'postgres');
my $cpu = cpu_seconds($dispatcher);
sleep 2;
cmp_ok(cpu_seconds($dispatcher) - $cpu, '<', 0.5, 'it does not run in circles');
is(wait_for_workers($node, 'postgres'), $dispatcher, 'and lives');
is(sql("SELECT count(*) FROM workflow.verify() WHERE problem LIKE '%no such step%'"), 3, 'they are told of');
is(sql("SELECT count(*) FILTER (WHERE workflow.cancel(instance)) FROM workflow.instances WHERE process = 'broken'"), 3, '... and can be cancelled');

$node->stop;
done_testing();
