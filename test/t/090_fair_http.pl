#
# Owners share the places of the HTTP client: whatever servers, requests and cancel requests one of them has, the first request of
# another goes out at once, also to a server where his rows stand before it.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $PLACES = 80;
my $scene = Scene->new('shares', conf => "workflow.max_connections_http = $PLACES\n");
my $partner = $scene->partner;

for my $role ('alice', 'bob', 'eve')
{
	$scene->sql("CREATE ROLE $role; GRANT USAGE ON SCHEMA workflow TO $role; GRANT EXECUTE ON FUNCTION workflow.define TO $role");
}

sub as { my ($role, $sql) = @_; return $scene->sql("SET ROLE $role; $sql") }

# A server that may be used by these roles, and a process of each that calls it.
sub server
{
	my ($name, $path, %role) = @_;
	$scene->server($name, $scene->url, "max_in_flight '10000', timeout '1 hour'");
	$scene->sql('GRANT USAGE ON FOREIGN SERVER ' . $name . ' TO ' . join(', ', sort keys %role)) if %role;
	define_call($_, "$_ $name", $name, $role{$_} // $path) for keys %role;
}

sub define_call
{
	my ($role, $process, $server, $path) = @_;
	as($role, qq(SELECT workflow.define('$process', '{"steps": [{"step": "call", "http": {"server": "$server", "path": "$path"}}]}')));
}

sub start_many
{
	my ($role, $process, $n) = @_;
	as($role, "SELECT count(workflow.start('$process')) FROM generate_series(1, $n)");
}

# One request of somebody else, in seconds.
sub is_prompt
{
	my ($role, $process, $name) = @_;
	my $begin = time();
	my $instance = as($role, "SELECT workflow.start('$process')");
	is($scene->finish($instance), 'completed', $name);
	is_between(time() - $begin, 0, 5, '... at once');
}

sub in_flight { return $scene->sql("SELECT coalesce(sum(in_flight), 0) FROM workflow.servers WHERE server LIKE '$_[0]'") }

server('hang1', '/hang', eve => undef, alice => '/ok', bob => '/hang');
server("hang$_", '/hang', eve => undef) for 2 .. 6;
server('fresh', '/ok', alice => undef);
server('other', '/ok', bob => undef, alice => undef, eve => undef);

# ---- servers that hang ----

start_many('eve', "eve hang$_", 60) for 1 .. 6;
wait_until(sub { in_flight('hang_') >= 60 }, 'six servers hang');
stays(0.5, sub { in_flight('hang_') <= $PLACES * 9 / 10 }, 1, 'and leave a tenth of all places');
is($scene->sql("SELECT count(*) FROM workflow.servers WHERE server LIKE 'hang_' AND in_flight > 0"), 6, 'each has sent something');
cmp_ok(in_flight('hang2'), '>', 5, 'and the second not only one request');
is_prompt('alice', 'alice fresh', "another owner's first request goes out");
is_prompt('alice', 'alice hang1', 'also to one of those servers, past what is parked there');
is_prompt('alice', 'alice hang1', 'and the next one');

server("more$_", '/hang', eve => undef) for 1 .. 40;
start_many('eve', "eve more$_", 2) for 1 .. 40;
stays(0.5, sub { in_flight('more%') + in_flight('hang_') <= $PLACES * 9 / 10 }, 1, 'forty more servers take no more');
is_prompt('alice', 'alice fresh', 'which disturbs nobody');

# ---- a second one that hangs ----

my $before = in_flight('%');
start_many('bob', 'bob hang1', 100);
wait_until(sub { in_flight('%') > $before }, 'a second owner takes what he may');
stays(0.5, sub { in_flight('%') < $PLACES }, 1, 'some places are kept');
is_prompt('alice', 'alice fresh', 'for a third one');
is_prompt('alice', 'alice hang1', 'who goes past both');
my $dispatcher = wait_for_workers($scene->node, 'postgres');
my $switches = switches($dispatcher);
stays(3, sub { in_flight('%') < $PLACES }, 1, 'nothing moves');
cmp_ok(switches($dispatcher) - $switches, '<', 20, 'and nothing turns round and round meanwhile');

# ---- what ends makes room for those that were gone past ----

$scene->sql("ALTER SERVER hang1 OPTIONS (SET url '" . $scene->url('/delay') . "')");
define_call('bob', 'bob hang1', 'hang1', '/?s=0.01');
start_many('bob', 'bob hang1', 20);
$scene->sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE process = 'bob hang1' AND version = 1 AND ended_at IS NULL");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE process = 'bob hang1'", 0, 'he is served, though the first one still is not');
cmp_ok($scene->sql("SELECT count(*) FROM workflow.visits WHERE process = 'eve hang1'"), '>', 50, 'whose rows stand before his');
$scene->sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE ended_at IS NULL");
is_soon($scene->node, 'postgres', 'SELECT count(*) FROM workflow.visits', 0, 'all are cancelled');

# ---- all of them at once, over one server ----

define_call($_, "$_ other", 'other', '/delay?s=0.01') for 'alice', 'bob', 'eve';
start_many('eve', 'eve other', 300);
start_many('bob', 'bob other', 200);
start_many('alice', 'alice other', 50);
is_soon($scene->node, 'postgres', 'SELECT count(*) FROM workflow.visits', 0, 'more than there is room for is all done');
is($scene->sql("SELECT count(*) FROM workflow.history WHERE process LIKE '% other' AND outcome = 'SUCCESS' AND attempts = 1"), 550, 'each once')
  or diag($scene->sql("SELECT process, outcome, attempts, count(*) FROM workflow.history WHERE process LIKE '% other' GROUP BY 1, 2, 3"));

# ---- cancel requests that hang ----

as('eve', q[SELECT workflow.define('job', '{"steps": [{"step": "job", "http": {"server": "other", "path": "/accept?callback=none", "body": {"sn": "${$serial_number}"}}, "wait": true,
	"cancel": {"path": "/hang/stop", "timeout": "1 hour"}}]}')]);
start_many('eve', 'job', 100);
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE process = 'job' AND state = 'waiting'", 100, 'a hundred jobs');
as('eve', "SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process = 'job'");
wait_until(sub { $partner->requests('/hang/stop') >= 25 }, 'are asked to stop');
stays(0.5, sub { in_flight('%') <= $PLACES * 9 / 10 }, 1, 'within the share of their owner');
is_prompt('alice', 'alice fresh', 'and others go on');
is(wait_for_workers($scene->node, 'postgres'), $dispatcher, 'the same dispatcher did all that');

$scene->node->stop('immediate');
done_testing();
