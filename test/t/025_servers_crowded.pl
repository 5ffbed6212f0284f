#
# Servers that hang take all that they may, and the others go on: room in the client, timeouts of what waits there, and
# requests of visits that have ended meanwhile.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Socket::INET;
use Scene;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $scene = Scene->new('crowded', conf => "workflow.max_connections_http = 20\n");
my $H = '"headers": {' . Scene::HEADERS . '}';

sub define_call
{
	my ($server, $path, $retries) = @_;
	$scene->define($server, qq({"steps": [{"step": "call", "http": {"server": "$server", "path": "$path", $H}, ) . '"retry": {"max": ' . ($retries // 0) . ', "delay": "100 ms"}}]}');
}

sub start_many
{
	my ($name, $n) = @_;
	$scene->sql("SELECT count(workflow.start('$name')) FROM generate_series(1, $n)");
}

$scene->server('hog', $scene->url, "max_in_flight '1000', timeout '1 hour'");
$scene->server('second', $scene->url, "max_in_flight '1000', timeout '1 hour'");
define_call('hog', '/hang/hog', 50);
define_call('second', '/hang/second', 50);
define_call('partner', '/ok');

# ---- shares ----

start_many('hog', 40);
$scene->partner->wait_for(13, '/hang/hog');
stays(0.5, sub { $scene->server_row('hog', 'in_flight, parked') }, '13|27', 'a server that hangs leaves some room');
my ($instance, $status) = $scene->run('partner');
is($status, 'completed', 'which another one finds');
start_many('second', 40);
$scene->partner->wait_for(1, '/hang/second');
($instance, $status) = $scene->run('partner');
is($status, 'completed', 'also a third one');
my $dispatcher = wait_for_workers($scene->node, 'postgres');

# ---- and when they answer again ----

$scene->sql("ALTER SERVER hog OPTIONS (SET url '" . $scene->url('/echo/again') . "'); ALTER SERVER second OPTIONS (SET url '" . $scene->url('/echo/again') . "')");
$scene->partner->restart;
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.visits", 0, 'what waited is sent as soon as there is room');
my @again = $scene->partner->requests('/echo/again');
is(scalar @again, 80, 'all of it');
is(wait_for_workers($scene->node, 'postgres'), $dispatcher, 'by the same dispatcher');

# ---- many at once over few connections ----

start_many('partner', 300);
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE process = 'partner'", 0, 'more requests than there is room for are all answered');

# ---- requests that nobody wants any more ----

# of other servers
$scene->server('third', $scene->url, "max_in_flight '1000', timeout '1 hour'");
define_call('third', '/hang/third');
for my $name ('hog', 'second', 'third')
{
	$scene->sql("ALTER SERVER $name OPTIONS (SET url '" . $scene->url . "')");
	start_many($name, 40);
	wait_until(sub { (split /\|/, $scene->server_row($name, 'in_flight, parked'))[0] > 0 }, "$name hangs");
}
is_soon($scene->node, 'postgres', "SELECT sum(in_flight) FROM workflow.servers", 17, 'no room is left for this owner');
$instance = $scene->start('partner');
stays(1.5, sub { $scene->visit($instance)->{state} }, 'calling', 'a request has to wait');
$scene->sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE process = 'hog' AND ended_at IS NULL");
is($scene->finish($instance), 'completed', 'until there is some');
$scene->sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE ended_at IS NULL");

# of the same server
$scene->server('narrow', $scene->url, "max_in_flight '2', timeout '1 hour'");
define_call('narrow', '/hang/narrow');
start_many('narrow', 2);
$scene->partner->wait_for(2, '/hang/narrow');
stays(2, sub { $scene->server_row('narrow', 'in_flight') }, '2', 'a server is full');
my $switches = switches($dispatcher);
stays(4, sub { $scene->server_row('narrow', 'in_flight') }, '2', 'and stays so');
ok(switches($dispatcher) - $switches < 3, 'which wakes nobody') or note(switches($dispatcher) - $switches);
$scene->sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE process = 'narrow' AND ended_at IS NULL");
stays(2, sub { $scene->server_row('narrow', 'in_flight') }, '2', 'requests of visits that were cancelled stay as long as they disturb nobody');
start_many('narrow', 2);
$scene->partner->wait_for(4, '/hang/narrow');
pass('and give way to others');
start_many('narrow', 1);
stays(3, sub { $scene->server_row('narrow', 'in_flight, parked') }, '2|1', 'those whose visits live do not');
$scene->sql("SELECT workflow.cancel(min(instance)) FROM workflow.instances WHERE process = 'narrow' AND ended_at IS NULL");
$scene->partner->wait_for(5, '/hang/narrow');
is($scene->partner->requests('/hang/narrow'), 5, 'and none is sent twice');
$scene->sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE process = 'narrow' AND ended_at IS NULL");
is(wait_for_workers($scene->node, 'postgres'), $dispatcher, 'the same dispatcher did all that');

# ---- a timeout that libcurl does not see to ----

# takes connections and says nothing: who would share the first one waits for it, and it waits for ever
my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50) or die "listen: $!";
$scene->server('mute', 'https://127.0.0.1:' . $mute->sockport, "timeout '1 hour', connect_timeout '1 hour', verify 'false'");
define_call('mute', '/');
start_many('mute', 1);
is_soon($scene->node, 'postgres', "SELECT in_flight FROM workflow.servers WHERE server = 'mute'", 1, 'a handshake is not answered');
$scene->define('impatient', '{"steps": [{"step": "call", "http": {"server": "mute", "path": "/", "timeout": "1 s"}, "retry": {"max": 0}}]}');
my $begin = time();
start_many('impatient', 8);
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.incidents WHERE process = 'impatient' AND error ->> 'code' = 'timeout'", 8, 'requests that wait for it have a timeout');
is_between(time() - $begin, 1, 30, 'of their own');
is($scene->server_row('mute', 'in_flight'), 1, 'which ends no other request');

# ---- one place for all ----

$scene->sql('SELECT workflow.cancel(instance) FROM workflow.instances WHERE ended_at IS NULL');
$scene->sql('ALTER SYSTEM SET workflow.max_connections_http = 1');
$scene->node->restart;
define_call('hog', '/delay?s=0.02');
define_call('second', '/ok');
$scene->sql("ALTER SERVER hog OPTIONS (SET url '" . $scene->url . "'); ALTER SERVER second OPTIONS (SET url '" . $scene->url . "')");
start_many('hog', 400);
($instance, $status) = $scene->run('second');
is($status, 'completed', 'servers take turns');
cmp_ok($scene->sql("SELECT count(*) FROM workflow.visits WHERE process = 'hog'"), '>', 100, '... while one of them has much to do');

$scene->node->stop;
done_testing();
