#
# After a crash workers do one thing at a time. Statements may not keep requests and clocks waiting then, of which there are many; nor may
# a worker that stands still.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $REQUESTS = 60;
my $EXECUTORS = 6;
my $scene = Scene->new('after_a_crash', conf => "workflow.executors = $EXECUTORS\n");
my $node = $scene->node;

sub took
{
	my ($code, $most, $name) = @_;
	my $begin = time();
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$code->();
	is_between(time() - $begin, 0, $most, $name);
}

sub clocks { return $scene->define("clocks $_[0]", '{"steps": [' . join(', ', map { qq({"step": "$_", "wait": {"after": "1 ms"}}) } 1 .. $_[0]) . ']}') }

$scene->define('call', '{"steps": [{"step": "call", "http": {"server": "partner", "path": "/hang", "headers": {' . Scene::HEADERS . '}}}]}');
$scene->define('work', '{"steps": [{"step": "work", "sql": "SELECT pg_sleep(0.5)", "next": "work"}]}');
clocks($_) for 2, 12;
$scene->sql("SELECT workflow.start('call') FROM generate_series(1, $REQUESTS)");
$scene->sql("SELECT workflow.start('work') FROM generate_series(1, $EXECUTORS)");
is_soon($node, 'postgres', "SELECT in_flight FROM workflow.workers WHERE kind = 'dispatcher'", $REQUESTS, 'requests are in flight');
is_soon($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", $EXECUTORS, 'all executors are busy');

my $offset = -s $node->logfile;
kill 9, wait_for_workers($node, 'postgres');
wait_until(sub { log_has($node, qr/ready to accept connections/, $offset) }, 'a dispatcher is killed');

# with a statement before each of them they would take half a minute
took(sub { wait_until(sub { $scene->partner->requests >= 2 * $REQUESTS }, 'all requests go out again') }, 10, 'soon');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.workers WHERE kind = 'executor'", $EXECUTORS, 'all executors are there again');
# with those of all executors before each of them they would take longer than that
took(sub { $scene->run('clocks 12') }, 18, 'a clock waits for a single statement');

# a worker that stands still while others have the turn
my $still;
wait_until(sub { $still = $scene->sql("SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'workflow executor' AND wait_event = 'Extension'") }, 'an executor waits');
kill 'STOP', $still;
$scene->run('clocks 2');
took(sub { $scene->run('clocks 2') }, 20, 'nobody waits for one that stands still');
kill 'CONT', $still;

$node->stop;
done_testing();
