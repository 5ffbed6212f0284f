#
# Thousands of visits wait, nothing is due: nobody wakes up. What wakes somebody is served at once.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use WorkflowTest;

my $node = new_server('idle', conf => "autovacuum = off\n");
my $partner = Partner->start;
add_http_server($node, $partner);
$node->safe_psql(
	'postgres', q[
	CREATE TABLE effect (sn text);
	SELECT workflow.define('stand', '{"steps": [{"step": "stand", "wait": true, "timeout": "${$.timeout}"},
		{"step": "note", "sql": "INSERT INTO effect VALUES (visit.serial_number)"}]}');
	SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"after": "1 h"}}]}');
	SELECT workflow.define('call', '{"steps": [
		{"step": "call", "http": {"server": "partner", "path": "/${$.do}"}, "retry": {"max": 3, "delay": "1 h"}}]}');
	SELECT count(workflow.start('stand', '{"timeout": "1 d"}')) FROM generate_series(1, 5000);
	SELECT count(workflow.start('clock')) FROM generate_series(1, 1000);
	SELECT workflow.start('call', '{"do": "echo"}') FROM generate_series(1, 10);
	SELECT workflow.start('call', '{"do": "drop"}') FROM generate_series(1, 10);
	SELECT workflow.start('call', '{"do": "hang"}')]);
is_soon($node, 'postgres', "SELECT state, count(*) FROM workflow.visits GROUP BY 1 ORDER BY 1", "calling|1\nretrying|10\nwaiting|6000", 'they wait');
my $instance = $node->safe_psql('postgres', "SELECT instance FROM workflow.waiting WHERE step = 'stand' LIMIT 1");
my $waiter = $node->background_psql('postgres');
my $waiter_pid = $waiter->query_safe('SELECT pg_backend_pid()');
$waiter->query_until(qr/waiting/, "\\echo waiting\nCALL workflow.wait_for($instance);\n\\echo woken\n");

# executors have left when they had nothing to do for a while
is_soon($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'workflow executor'", 0, 'no executor stays');
is_soon($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE pid = $waiter_pid AND backend_xmin IS NULL AND backend_xid IS NULL AND state = 'active'",
	1, 'who waits for an instance holds no snapshot');

my %pid = (launcher => worker_pid($node, 'launcher'), dispatcher => wait_for_workers($node, 'postgres'), 'session in wait_for' => $waiter_pid);
# who has just heard of the last one's end may turn over once more
my $last = -1;
wait_until(sub { my $was = $last; $last = switches($pid{dispatcher}); sleep 1; return $last == $was }, 'all is quiet');
my %before = map { $_ => switches($pid{$_}) } keys %pid;
my %cpu = map { $_ => cpu_seconds($pid{$_}) } keys %pid;
sleep 10;
for (sort keys %pid)
{
	# a session reports its statistics once after a query
	my $slept = switches($pid{$_}) - $before{$_};
	cmp_ok($slept, '<=', /session/ ? 1 : 0, "the $_ sleeps through ten seconds");
	is(cpu_seconds($pid{$_}) - $cpu{$_}, 0, '... without work');
}

my $sn = $node->safe_psql('postgres', "SELECT serial_number FROM workflow.waiting WHERE instance = $instance");
is($node->safe_psql('postgres', "SELECT workflow.complete('$sn')"), 't', 'but one completion');
like($waiter->query_until(qr/woken/, "\n"), qr/completed/, 'is heard of');
is($node->safe_psql('postgres', 'SELECT * FROM effect') =~ /^${instance}_/ ? 1 : 0, 1, 'and its SQL step was done');
$waiter->quit;

$node->stop;
done_testing();
