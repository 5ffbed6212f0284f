#
# A dispatcher that the system gives no memory for some seconds, while a large answer comes in: the answer waits, or, if not even that could
# be received, is asked for again; no attempt is spent, nothing fails, and the dispatcher lives.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use WorkflowTest;

plan skip_all => 'address space cannot be limited under AddressSanitizer' if ($ENV{LD_PRELOAD} // '') =~ /asan/;
plan skip_all => 'no prlimit' unless system('prlimit --version >/dev/null 2>&1') == 0;

# a busy partner takes its time for what is large
my $scene = Scene->new('short_of_memory', options => "timeout '10 min'");
my $node = $scene->node;
my $H = '"headers": {' . Scene::HEADERS . '}';
$scene->define('large', qq({"steps": [{"step": "get", "http": {"server": "partner", "path": "/echo", "body": {"x": "\${\$.x}"}, $H},
	"save_reply": {"size": "\${\$reply.body.body.size()}"}, "retry": {"max": 1, "delay": "10 ms"}, "catch": [{"on": "*", "next": "failed"}]},
	{"step": "ship", "wait": true, "end": true}, {"step": "failed", "wait": true}]}));
my $small = $scene->start('large', { x => [ 1, 2 ] });
is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $small", 'ship', 'with enough memory it goes on');

my $dispatcher = wait_for_workers($node, 'postgres');
# what is mapped already counts
sub limit
{
	my ($room_mb) = @_;
	my ($kb) = slurp_file("/proc/$dispatcher/status") =~ /^VmSize:\s*(\d+)/m;
	my $limit = defined $room_mb ? $kb * 1024 + $room_mb * 1024 * 1024 : 'unlimited';
	system_or_bail('prlimit', '--pid', $dispatcher, "--as=$limit:");
}

sub failures { return "SELECT attempt, error FROM workflow.attempts WHERE serial_number LIKE '$_[0]\\_%'" }

for my $room (4, 12)
{
	my $offset = -s $node->logfile;
	limit($room);
	my $instance = $scene->sql("SELECT workflow.start('large', jsonb_build_object('x', (SELECT jsonb_agg(jsonb_build_object('a', g, 'b', 'x')) FROM generate_series(1, 100000) g)))");
	is_soon($node, 'postgres', "SELECT blocked_by, attempt, error->>'code' FROM workflow.visits WHERE instance = $instance", 'memory|0|53200', "with $room MB it is shown that memory is lacking");
	stays(1, sub { scalar($scene->requests($instance)) <= 1 }, 1, 'it is not sent again and again');
	limit();
	is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $instance", 'ship', 'it goes on when there is some');
	is($scene->sql(failures($instance)), '', 'no attempt has failed');
	wait_until(sub { log_has($node, qr/workflow goes on/, $offset) }, 'the log says so');
	is(worker_pid($node, 'dispatcher', 'postgres'), $dispatcher, 'the dispatcher has lived');
}
# not even that: the answer does not fit while it comes in. A new dispatcher has nothing to spare
$node->safe_psql('postgres', "SELECT pg_terminate_backend($dispatcher)");
wait_until(sub { my $pid = worker_pid($node, 'dispatcher', 'postgres'); $pid && $pid != $dispatcher }, 'a new one comes');
$dispatcher = wait_for_workers($node, 'postgres');
$scene->define('huge', qq({"steps": [{"step": "get", "http": {"server": "partner", "path": "/huge", "query": {"bytes": "15000000"}, $H},
	"retry": {"max": 1, "delay": "10 ms"}, "catch": [{"on": "*", "next": "failed"}]}, {"step": "ship", "wait": true, "end": true}, {"step": "failed", "wait": true}]}));
limit(4);
my $huge = $scene->start('huge');
is_soon($node, 'postgres', "SELECT blocked_by, attempt, error->>'code' FROM workflow.visits WHERE instance = $huge", 'memory|0|53200', 'an answer that does not fit while it comes in is no failure');
limit();
is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $huge", 'ship', 'it comes when there is room');
is_between(scalar($scene->requests($huge)), 2, 20, '... and was asked for again, after pauses');
is($scene->sql(failures($huge)), '', 'no attempt has failed');
is(worker_pid($node, 'dispatcher', 'postgres'), $dispatcher, 'the dispatcher has lived');

my $after = $scene->start('large', { x => [1] });
is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $after", 'ship', 'and works on');
is($scene->sql('SELECT count(*) FROM workflow.incidents'), 0, 'nothing is an incident');
$node->stop;
done_testing();
