#
# A process whose every instance calls two more, with several executors: it stops near workflow.max_called, whatever else
# is on the server goes on, suspend_process comes to its end amid that, and the cancel of the first instance ends them all.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $most = 2000;
my $node = new_server('calls_bound', conf => "workflow.executors = 4\nworkflow.max_called = $most\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(<<'EOF_SQL');
SELECT workflow.define('leaf', '{"steps": [{"step": "ask", "wait": true}]}');
SELECT workflow.define('node', '{"steps": [{"step": "call", "call": {"process": "leaf"}}]}');
SELECT workflow.define('list', '{"steps": [{"step": "wait", "wait": {"after": "1 ms"}}, {"step": "call", "each": "$.list", "call": {"process": "node"}}]}');
-- one by the dispatcher, the other by an executor
SELECT workflow.define('two', '{"steps": [
	{"step": "fork", "next": ["by move", "by executor"]},
	{"step": "by move", "wait": {"after": "1 ms"}, "next": "x"},
	{"step": "by executor", "async": true, "next": "y"},
	{"step": "x", "call": {"process": "two"}, "end": true},
	{"step": "y", "call": {"process": "two"}, "end": true}]}');
SELECT workflow.define('other', '{"steps": [{"step": "one", "wait": {"after": "10 ms"}}, {"step": "two", "sql": "SELECT 1"}, {"step": "three", "call": {"process": "third"}}]}');
SELECT workflow.define('third', '{"steps": [{"step": "one", "wait": {"after": "10 ms"}}]}');
EOF_SQL

my $living = "SELECT count(*) FROM workflow_data.instance WHERE process_id = (SELECT process_id FROM workflow_data.process WHERE process = 'two')";

sub ends_soon
{
	my ($what) = @_;
	my $instance = sql("SELECT workflow.start('other')");
	is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $instance", 'completed', $what);
}

# ---- it stops ----

my $first = sql("SELECT workflow.start('two')");
grows_to($node, $living, $most / 2, 'it grows');
ends_soon('what does not belong to it goes on beside it');
is_soon($node, 'postgres', "SELECT count(*) > 0 FROM workflow.incidents WHERE process = 'two'", 't', 'calls fail');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.visit WHERE due_at IS NOT NULL", 0, '... until nothing is due');
my $came_to = sql($living);
cmp_ok($came_to, '>=', $most, 'as many live as may');
cmp_ok($came_to, '<', $most * 1.5, '... and hardly more') or diag("there are $came_to");
is(sql("SELECT DISTINCT error ->> 'code', error ->> 'message' FROM workflow.incidents"), "call|below instance $first live as many instances as workflow.max_called allows: $most", 'the incidents say why');
is(sql("SELECT DISTINCT root, root = parent FROM workflow.instances WHERE process = 'two' AND root IS NOT NULL ORDER BY 2"), "$first|f\n$first|t", 'each has the first as its root');
ends_soon('what does not belong to it goes on afterwards');

# ---- what was refused can be tried again ----

my $refused = sql('SELECT min(serial_number) FROM workflow.incidents');
sql("SELECT workflow.retry('$refused')");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.incidents WHERE serial_number = '$refused'", 1, 'one more is not allowed');
$node->append_conf('postgresql.conf', 'workflow.max_called = ' . ($came_to + 10));
$node->reload;
is_soon($node, 'postgres', 'SHOW workflow.max_called', $came_to + 10, 'some more are');
sql("SELECT workflow.retry('$refused')");
grows_to($node, $living, $came_to + 10, 'it grows on');

# ---- all of it ends ----

sql("SELECT workflow.cancel($first, 'all of them')");
is_soon($node, 'postgres', $living, 0, 'the cancel of the first one ends all that it has led to');

# ---- suspending it while it grows ----

$node->append_conf('postgresql.conf', 'workflow.max_called = 1000000');
$node->reload;
is_soon($node, 'postgres', 'SHOW workflow.max_called', 1_000_000, 'hardly any bound');
$first = sql("SELECT workflow.start('two')");
grows_to($node, $living, 300, 'it grows');
# numbers tell less: some belong to instances that are about to be committed
sql('CREATE TABLE before AS SELECT instance FROM workflow.instances WHERE ended_at IS NULL');
my $suspended = sql("SET statement_timeout = '170s'; SELECT workflow.suspend_process('two')");
cmp_ok($suspended, '>=', 300, 'suspend_process comes to its end');
is(sql("$living AND instance IN (SELECT instance FROM before) AND status <> 'suspended'"), 0, 'all that were there are suspended');
sql("SET statement_timeout = '170s'; SELECT workflow.suspend_process('two')");
is_soon($node, 'postgres', "$living AND status <> 'suspended'", 0, 'a second one takes the others');
my $stands = sql($living);
sleep 1;
is(sql($living), $stands, '... and nothing grows');
ends_soon('what does not belong to it goes on');
sql("SELECT workflow.cancel($first)");
sql("SELECT workflow.undefine('two', true)");
sql("SELECT workflow.resume_process('two')");
is_soon($node, 'postgres', $living, 0, 'the cancel of the first one ends them all');

# ---- what the first one has called itself does not count ----

$node->append_conf('postgresql.conf', 'workflow.max_called = 30');
$node->reload;
is_soon($node, 'postgres', 'SHOW workflow.max_called', 30, 'a small bound');
my $list = '[' . join(', ', 1 .. 40) . ']';
my $instance = sql(qq[SELECT workflow.start('list', '{"list": $list}')]);
is_soon($node, 'postgres', "SELECT process, count(*) FROM workflow.instances WHERE root = $instance GROUP BY 1 ORDER BY 1", "leaf|30\nnode|40", 'a list that calls what calls: so many of the latter, all of the former');
is(sql("SELECT count(*) FROM workflow.incidents WHERE process = 'node'"), 10, '... the others are incidents');
sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE step = 'ask' LIMIT 10");
sql('SELECT workflow.retry(serial_number) FROM workflow.incidents');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE root = $instance AND process = 'leaf'", 40, 'when some have ended there is room');

is(sql('SELECT count(*) FROM workflow.verify()'), 0, 'all rows agree with each other');

$node->stop;
done_testing();
