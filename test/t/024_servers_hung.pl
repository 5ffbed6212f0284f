#
# A hundred and fifty requests that are never answered: everything else goes on, interrupts are served at once, and a fast
# shutdown waits for none of them; afterwards each of them goes out again under its key.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $N = 150;
my $scene = Scene->new('hung', options => "max_in_flight '500', timeout '1 hour'");
my $H = '"headers": {' . Scene::HEADERS . '}';
$scene->define('hang', qq({"steps": [{"step": "hang", "http": {"server": "partner", "url": "\${\$.url}", $H, "body": {"sn": "\${\$serial_number}"}}, "retry": {"max": 50, "delay": "100 ms"}}]}));
$scene->define('ok', qq({"steps": [{"step": "ok", "http": {"server": "partner", "path": "/ok", $H}}, {"step": "sql", "sql": "SELECT 1 AS one", "save": {"one": "\${\$reply.row.one}"}}]}));

sub start_hanging
{
	$scene->sql("SELECT workflow.start('hang', jsonb_build_object('url', '" . $scene->url('/hang') . "')) FROM generate_series(1, $N)");
}

sub timed
{
	my ($code) = @_;
	my $start = time();
	$code->();
	return time() - $start;
}

start_hanging();
my $first = keys_by_serial($scene->partner->wait_for($N, '/hang'));
is(scalar(keys %$first), $N, "$N requests are in flight");
is($scene->sql("SELECT in_flight FROM workflow.servers WHERE server = 'partner'"), $N, 'the view servers knows');
is($scene->sql("SELECT in_flight FROM workflow.workers WHERE kind = 'dispatcher'"), $N, 'the view workers too');
is($scene->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)"),
	0, 'no transaction is open meanwhile');

# ---- everything else goes on ----

my ($instance, $status) = $scene->run('ok');
is($status, 'completed', 'another request is made');
my $dispatcher = wait_for_workers($scene->node, 'postgres');
my $cpu = cpu_seconds($dispatcher);
my $switches = switches($dispatcher);
Time::HiRes::sleep(2);
ok(cpu_seconds($dispatcher) - $cpu < 0.1, 'hung requests cost no processor');
ok(switches($dispatcher) - $switches < 20, 'and wake nobody') or note(switches($dispatcher) - $switches);
is_between(timed(sub { $scene->sql("ALTER SYSTEM SET workflow.executors = 2; SELECT pg_reload_conf()") }), 0, 2, 'a reload is served');
($instance, $status) = $scene->run('ok');
is($status, 'completed', 'and followed');

# ---- a dispatcher that is terminated ----

my $pid = $dispatcher;
$scene->sql("SELECT pg_terminate_backend($pid)");
wait_until(sub { my $now = worker_pid($scene->node, 'dispatcher', 'postgres'); defined $now && $now != $pid }, 'a dispatcher that was terminated comes back');
my $second = keys_by_serial($scene->partner->wait_for(2 * $N, '/hang'));
is_deeply($second, { map { $_ => { map { $_ => 2 } keys %{ $first->{$_} } } } keys %$first }, 'and sends each request again under its key');
is($scene->sql("SELECT max(attempt), count(*) FROM workflow.visits WHERE process = 'hang'"), "0|$N", 'which counts as no attempt');

# ---- shutdown ----

for my $mode (qw(fast fast))
{
	my $took = timed(sub { $scene->node->stop($mode) });
	note(sprintf '%s shutdown: %.0f ms', $mode, 1000 * $took);
	is_between($took, 0, 5, "a $mode shutdown waits for none of them");
	my $before = $scene->partner->requests('/hang');
	$scene->node->start;
	$scene->partner->wait_for($before + $N, '/hang');
}
my $third = keys_by_serial($scene->partner->requests('/hang'));
is_deeply($third, { map { $_ => { map { $_ => 4 } keys %{ $first->{$_} } } } keys %$first }, 'each time they go out again, under the same keys');

# ---- and in the end they are answered elsewhere, or given up ----

$scene->sql("SELECT workflow.set_data(instance, jsonb_build_object('url', '" . $scene->url('/ok') . "')) FROM workflow.instances WHERE process = 'hang' AND status = 'active'");
$scene->partner->restart;
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'hang' AND status = 'completed'", $N, 'when the partner is started anew, all are tried again and end');
is($scene->sql('SELECT count(*) FROM workflow.visits'), 0, 'nothing is left');
ok(!log_has($scene->node, qr/PANIC|terminated by signal/), 'and nothing has crashed');

$scene->node->stop;
done_testing();
