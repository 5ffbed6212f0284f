#
# Workers and the server die in the middle of calls three deep, of their cancel, and of two processes that call each other: each
# child begins once, each end comes to its caller once, and all that was called ends.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('calls', conf => "workflow.executors = 3\nwal_writer_delay = 10s\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }

my $callers = 60;
sql(<<'EOF_SQL');
CREATE TABLE effect (instance bigint, serial_number text, step text);
-- so many effects at most, lest all be done before the test has seen that some are
CREATE TABLE allowed AS SELECT 0 AS n;
CREATE FUNCTION note(instance bigint, serial_number text, step text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		EXIT WHEN (SELECT n FROM allowed) > (SELECT count(*) FROM effect);
		PERFORM pg_sleep(0.02);
	END LOOP;
	INSERT INTO effect VALUES (instance, serial_number, step);
END $$;
SELECT workflow.define('three', '{"data": {"n": 0}, "steps": [
	{"step": "sleep", "wait": {"after": "5 ms"}},
	{"step": "third", "sql": "SELECT note(visit.instance, visit.serial_number, visit.step)"},
	{"step": "count", "set": {"n": "${$.n + 1}"}}]}');
SELECT workflow.define('two', '{"data": {"n": 0}, "steps": [
	{"step": "call three", "call": {"process": "three", "data": {"n": "${$.n + 10}"}}, "save": {"n": "${$reply.n}"}},
	{"step": "second", "sql": "SELECT note(visit.instance, visit.serial_number, visit.step)"}]}');
SELECT workflow.define('one', '{"data": {"n": 0}, "steps": [
	{"step": "fork", "next": ["a", "b", "c"]},
	{"step": "a", "call": {"process": "two", "data": {"n": 100}}, "save": {"n": "${$.n + $reply.n}"}, "next": "join"},
	{"step": "b", "async": true, "call": {"process": "two", "data": {"n": 200}}, "save": {"n": "${$.n + $reply.n}"}, "next": "join"},
	{"step": "c", "call": {"process": "two", "data": {"n": 300}, "business_key": "${$instance}"}, "save": {"n": "${$.n + $reply.n}"}, "next": "join"},
	{"step": "join", "join": "all"},
	{"step": "first", "sql": "SELECT note(visit.instance, visit.serial_number, visit.step)"}]}');

SELECT workflow.define('bottom', '{"steps": [
	{"step": "ask", "wait": true, "catch": [{"on": "CANCELLED", "next": "clean up"}], "end": true},
	{"step": "clean up", "ignore_cancel": true, "sql": "SELECT note(visit.instance, visit.serial_number, visit.step)"}]}');
SELECT workflow.define('middle', '{"steps": [{"step": "call bottom", "call": {"process": "bottom"}}]}');
SELECT workflow.define('top', '{"steps": [{"step": "call middle", "call": {"process": "middle"}, "catch": [{"on": "CANCELLED", "next": "note"}], "end": true},
	{"step": "note", "ignore_cancel": true, "sql": "SELECT note(visit.instance, visit.serial_number, visit.step)"}]}');
EOF_SQL
sql(q[SELECT workflow.define('ping', '{"data": {"n": 0}, "steps": [
	{"step": "call", "async": true, "call": {"process": "pong", "data": {"n": "${$.n + 1}"}}, "catch": [{"on": "call", "next": "deep"}], "save": {"deep": "${$reply.deep}"}, "end": true},
	{"step": "deep", "set": {"deep": "${$.n}"}}]}');
	SELECT workflow.define('pong', '{"steps": [{"step": "call", "async": true, "call": {"process": "ping", "data": {"n": "${$.n + 1}"}}, "save": {"deep": "${$reply.deep}"}}]}')]);

sub allow
{
	my ($n) = @_;
	wait_until(sub { eval { sql("UPDATE allowed SET n = $n RETURNING true") } }, "$n effects are allowed");
}

# ---- their begins and ends ----

sql("SELECT count(workflow.start('one')) FROM generate_series(1, $callers)");
my $all = $callers * 7;
my $part = 0;
for my $who ('dispatcher', 'executor', 'server', 'dispatcher', 'executor')
{
	$part += int($all / 7);
	allow($part + 15);
	grows_to($node, 'SELECT count(*) FROM effect', $part, "$part effects");
	killed($node, $who);
}
allow(1_000_000);
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'one' AND status = 'completed'", $callers, 'all callers come to their end');
is(sql("SELECT DISTINCT data FROM workflow.instances WHERE process = 'one'"), '{"n": 633}', '... each with what all three children gave');
is(sql("SELECT process, status, count(*) FROM workflow.instances GROUP BY 1, 2 ORDER BY 1"), join("\n", "one|completed|$callers", 'three|completed|' . 3 * $callers, 'two|completed|' . 3 * $callers), 'no child more or less');
is(sql('SELECT count(DISTINCT called_by), count(called_by) FROM workflow.instances'), 6 * $callers . '|' . 6 * $callers, '... one for each call');
is(sql("SELECT count(*), count(DISTINCT serial_number) FROM effect"), "$all|$all", 'each effect once');
is(sql("SELECT count(*) FROM workflow.history WHERE outcome <> 'SUCCESS'"), 0, 'nothing has failed');

# ---- their cancel ----

sql('DELETE FROM effect; UPDATE allowed SET n = 0');
sql("SELECT count(workflow.start('top')) FROM generate_series(1, $callers)");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE step = 'ask'", $callers, 'many calls stand three deep');
sql("SELECT count(workflow.cancel(instance, 'all of them')) FROM workflow.instances WHERE process = 'top'");
$part = 0;
for my $who ('executor', 'server', 'dispatcher')
{
	$part += int($callers / 4);
	allow($part + 10);
	grows_to($node, 'SELECT count(*) FROM effect', $part, "$part effects");
	killed($node, $who);
}
allow(1_000_000);
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process IN ('top', 'middle', 'bottom') AND status = 'aborted'", 3 * $callers, 'all that was called ends');
is(sql("SELECT step, count(*), count(DISTINCT serial_number) FROM effect GROUP BY 1 ORDER BY 1"), "clean up|$callers|$callers\nnote|$callers|$callers", '... and what cleans up has run once');
is(sql("SELECT step, outcome, count(*) FROM workflow.history WHERE process IN ('top', 'middle', 'bottom') AND step <> 'note' GROUP BY 1, 2 ORDER BY 1"),
	join("\n", "ask|CANCELLED|$callers", "call bottom|CANCELLED|$callers", "call middle|CANCELLED|$callers", "clean up|SUCCESS|$callers"), '... each visit once');

# ---- two that call each other ----

my $instance = sql("SELECT workflow.start('ping')");
my $deep = "SELECT count(*) FROM workflow.instances WHERE process IN ('ping', 'pong')";
grows_to($node, $deep, 20, 'two processes call each other');
killed($node, 'executor');
grows_to($node, $deep, 50, '... go on');
killed($node, 'server');
is_soon($node, 'postgres', "SELECT status, data ->> 'deep' FROM workflow.instances WHERE instance = $instance", 'completed|100', '... and end at the depth that is allowed');
is(sql($deep), 101, '... so many instances');

is(sql('SELECT count(*) FROM workflow.incidents'), 0, 'no incident');
is(sql("SELECT count(*) FROM workflow_data.delivery WHERE kind IN ('ended', 'control')"), 0, 'nothing is on its way');
is(sql('SELECT count(*) FROM workflow.verify()'), 0, 'all rows agree with each other');

$node->stop;
done_testing();
