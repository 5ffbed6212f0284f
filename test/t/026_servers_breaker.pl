#
# A server that fails: its breaker holds requests back, which lose no attempt, and tries it again; and a server that is called at a rate.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('breaker');
my $service = Partner->start;
my $H = '"headers": {' . Scene::HEADERS . '}';
my $BREAKER = "breaker_open '500 ms', breaker_window '10 s'";

sub define_call
{
	my ($name, $server, $path, $more) = @_;
	$scene->define($name, qq({"steps": [{"step": "call", "http": {"server": "$server", "path": "$path", $H}) . ($more ? ", $more" : '') . '}]}');
}

sub start_many { my ($name, $n) = @_; return split /\n/, $scene->sql("SELECT workflow.start('$name') FROM generate_series(1, $n)") }
sub state_of { return $scene->server_row($_[0], 'state') }
sub left { return "SELECT count(*) FROM workflow.instances WHERE process = '$_[0]' AND status <> 'completed'" }

# Does the server come to that state, and stay there? A tripped one is probing at times.
sub becomes { my ($server, $state, $what) = @_; is_soon($scene->node, 'postgres', "SELECT state FROM workflow.servers WHERE server = '$server'", $state, $what) }

# ---- a dead server ----

$scene->server('pay', $service->url, $BREAKER);
define_call('pay', 'pay', '/pay', '"retry": {"max": 5, "delay": "1 h"}');
define_call('ok', 'partner', '/ok');
my $listener = $scene->node->background_psql('postgres');
$listener->query_safe('LISTEN workflow');
is(state_of('pay'), 'ok', 'a server that nobody has called is well');
my ($instance, $status) = $scene->run('pay');
is("$status, " . state_of('pay'), 'completed, ok', 'and one that answers');
$service->stop;
my @before = start_many('pay', 19);
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE process = 'pay' AND state = 'retrying'", 19, 'nineteen visits that fail');
is(state_of('pay'), 'tripped', 'trip it with the one before, since half of twenty would be enough');
like($scene->server_row('pay', 'error'), qr/\S/, 'which says why');
is($scene->server_row('pay', "since < now() AND until > since"), 't', 'since when, and until when');
my @parked = start_many('pay', 200);
stays(2, sub { $scene->sql("SELECT max(attempt) FROM workflow.visits WHERE instance >= $parked[0] AND process = 'pay'") }, 0, 'what comes then loses no attempt, though probes fail meanwhile');

ok(log_has($scene->node, qr/sends nothing to server "pay": its breaker has tripped/), 'the log tells of it');
is(count_in_log($scene->node, qr/server "pay"/), 1, 'once, however often it is tried meanwhile');
is($scene->sql("SELECT count(*) FROM workflow.attempts WHERE split_part(serial_number, '_', 1)::bigint >= $parked[0]"), 0, 'nor is any on record');
is($scene->sql("SELECT DISTINCT state || ' ' || coalesce(blocked_by, '') FROM workflow.visits WHERE instance = $parked[-1]"), 'calling server tripped', 'the view says what is in the way');
cmp_ok($scene->server_row('pay', 'parked'), '>=', 195, 'and how much waits');
is(($scene->run('ok'))[1], 'completed', 'other servers are called as ever');
define_call('short', 'pay', '/pay', '"timeout": "300 ms"');
($instance, $status) = $scene->run('short');
is($scene->incident($instance)->{outcome}, 'TIMED_OUT', 'timeouts hold');
is($scene->sql("SELECT workflow.cancel($parked[0])"), 't', 'what is held back can be cancelled');
is($scene->finish($parked[0]), 'aborted', 'and ends at once');
$service->restart;
my $begin = time();
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'pay' AND instance > $parked[0] AND status = 'completed'", 199, 'back again, all of them go on');
note(sprintf 'after %.1f s', time() - $begin);
is(state_of('pay'), 'ok', 'it is well');
is($scene->server_row('pay', 'error, until'), '|', 'and the reason is gone');
my %times;
$times{ $_->{headers}{'x-instance'} }++ for $service->requests('/pay');
is((grep { $_ != 1 } @times{ @parked[ 1 .. 199 ] }), 0, 'each was sent once');
is($scene->sql("SELECT max(attempts) FROM workflow.history WHERE process = 'pay' AND instance >= $parked[1]"), 1, 'at its first attempt');
my @told = $listener->query_safe('SELECT 1') =~ /"event": "server", "server": "pay", "state": "(\w+)"/g;
is("@told", 'tripped ok', 'those who LISTEN are told');
$listener->quit;

# ---- what trips nothing ----

$scene->server('stubborn', $scene->url, $BREAKER);
define_call('stubborn', 'stubborn', '/status/503', '"retry": {"max": 60, "delay": "5 ms"}');
($instance, $status) = $scene->run('stubborn');
is($status, 'failed', 'one visit that fails sixty times');
is(state_of('stubborn'), 'ok', 'trips nothing');
define_call('refused', 'stubborn', '/status/404');
$scene->finish($_) for start_many('refused', 40);
is(state_of('stubborn'), 'ok', 'nor do answers that blame the request');
$scene->server('never', $scene->url, "breaker 'off'");
define_call('never', 'never', '/status/500');
$scene->finish($_) for start_many('never', 40);
is(state_of('never'), 'ok', 'with breaker off nothing does');

# ---- 5xx, 429, and answers that come late ----

for my $case ([ 'five', '/status/500', '' ], [ 'many', '/status/429', '' ], [ 'late', '/delay?s=0.2', ", breaker_slow '100 ms'" ])
{
	my ($name, $path, $more) = @$case;
	$scene->server($name, $scene->url, "breaker_min_calls '10', breaker_open '1 min'$more");
	define_call($name, $name, $path);
	my @instances = start_many($name, 10);
	$scene->finish($_) for @instances;
	is(state_of($name), 'tripped', "$path trips it");
	$instance = $scene->start($name);
	stays(0.3, sub { scalar $scene->requests($instance) }, 0, '... nothing is sent');
}
is($scene->sql("SELECT count(*) FROM workflow.instances WHERE process = 'late' AND status = 'completed'"), 10, 'answers that come late are answers all the same');

# what was cancelled is asked to stop
define_call('stop', 'five', '/ok', '"wait": true, "cancel": {"path": "/stop", "headers": {' . Scene::HEADERS . '}, "timeout": "10 ms"}');
$scene->sql("ALTER SERVER five OPTIONS (ADD breaker 'off')");
$instance = $scene->start('stop');
$scene->wait_for_state($instance, 'waiting');
$scene->sql("ALTER SERVER five OPTIONS (SET breaker 'open')");
becomes('five', 'tripped', 'held open by its owner');
is($scene->server_row('five', 'until IS NULL'), 't', 'for as long as he says so');
$scene->sql("SELECT workflow.cancel($instance)");
is($scene->finish($instance), 'aborted', 'a service is asked to stop all the same');
is((grep { $_->{path} eq '/stop' } $scene->requests($instance)), 1, '... once');
my @held = start_many('stop', 3);
stays(1, sub { scalar map { $scene->requests($_) } @held }, 0, 'nothing else is sent');
$scene->sql("ALTER SERVER five OPTIONS (SET breaker 'on')");
$scene->wait_for_state($_, 'waiting') for @held;
is(state_of('five'), 'ok', 'until he lets it go');

# without a breaker it gets all it may have, at once
define_call('slowly', 'five', '/delay?s=1');
$scene->sql("ALTER SERVER five OPTIONS (SET breaker 'open')");
becomes('five', 'tripped', 'held open once more');
my @slowly = start_many('slowly', 20);
$scene->sql("ALTER SERVER five OPTIONS (SET breaker 'off')");
is_soon($scene->node, 'postgres', "SELECT in_flight FROM workflow.servers WHERE server = 'five'", 20, 'switched off, it holds nothing back');
$scene->finish($_) for @slowly;
# dropped while it is held open, its visits are parked, and nobody looks at them again and again
$scene->sql("ALTER SERVER five OPTIONS (SET breaker 'open')");
becomes('five', 'tripped', 'held open');
@held = start_many('slowly', 3);
$scene->sql('DROP SERVER five');
sleep 1.5;
my $worker = $scene->sql("SELECT pid FROM workflow.workers WHERE kind = 'dispatcher'");
my $cpu = cpu_seconds($worker);
sleep 1.5;
cmp_ok(cpu_seconds($worker) - $cpu, '<', 0.5, 'a server that is dropped meanwhile costs nothing');
$scene->sql("SELECT workflow.cancel($_)") for @held;

# ---- a server that is half dead ----

# Of three probes two are answered: less than half of them have failed, so it is well again.
$scene->server('half', $service->url, "breaker_min_calls '10', breaker_open '300 ms', max_in_flight '4'");
$scene->define('half', qq({"steps": [{"step": "call", "http": {"server": "half", "path": "/\${\$.path}", $H}, "retry": {"max": 100, "delay": "20 ms"}}]}));
$service->stop;
$scene->start('half', { path => 'ok' }) for 1 .. 10;
becomes('half', 'tripped', 'a server that is dead');
my $poison = $scene->start('half', { path => 'status/500' });
my @good = map { $scene->start('half', { path => 'ok' }) } 1 .. 30;
$service->restart;
$scene->finish($_) for @good;
pass('one request that always fails does not keep the others back');
is(state_of('half'), 'ok', '... nor the server tripped');
$scene->sql("SELECT workflow.cancel($poison)");

# ---- requests that were under way when it tripped ----

$scene->server('long', $scene->url, "breaker_min_calls '10', breaker_open '300 ms', breaker_probes '1'");
define_call('long', 'long', '/held', '"timeout": "6 s"');
define_call('brief', 'long', '/ok');
define_call('broken', 'long', '/status/503');
my @long = start_many('long', 20);
is_soon($scene->node, 'postgres', "SELECT in_flight FROM workflow.servers WHERE server = 'long'", 20, 'requests that take long');
start_many('broken', 20);
becomes('long', 'tripped', 'it trips beside them');
my @brief = start_many('brief', 15);
$scene->finish($_) for @brief;
is(state_of('long'), 'ok', 'it is well again');
is($scene->server_row('long', 'in_flight'), 20, '... and they did not keep others back, which are all done');
$scene->finish($_) for @long;
stays(0.5, sub { state_of('long') }, 'ok', 'nor does it say anything of now that they fail in the end');

# ---- a server that is altered while it is tripped ----

$scene->server('moves', 'http://127.0.0.1:1', "breaker_min_calls '10', breaker_open '1 hour', breaker_probes '1'");
define_call('moves', 'moves', '/ok', '"retry": {"max": 3, "delay": "100 ms"}');
my @moves = start_many('moves', 30);
becomes('moves', 'tripped', 'with an address that is wrong');
stays(0.5, sub { state_of('moves') }, 'tripped', 'it waits for an hour');
$scene->sql("ALTER SERVER moves OPTIONS (SET url '@{[$scene->url]}')");
$scene->finish($_) for @moves;
is(state_of('moves'), 'ok', 'with the right one it is tried at once');

# ---- a dispatcher that dies begins with servers that are well ----

$service->stop;
$scene->sql(q(SELECT workflow.start('half', '{"path": "ok"}') FROM generate_series(1, 60)));
becomes('half', 'tripped', 'tripped');
my $pid = $scene->sql("SELECT pid FROM workflow.workers WHERE kind = 'dispatcher'");
$scene->sql("SELECT pg_terminate_backend($pid)");
is_soon($scene->node, 'postgres', "SELECT pid <> $pid FROM workflow.workers WHERE kind = 'dispatcher'", 't', 'another dispatcher');
$service->restart;
is_soon($scene->node, 'postgres', left('half') . " AND status <> 'aborted'", 0, 'and all is done');

# ---- rate ----

$scene->server('rated', $scene->url, "rate '40', burst '4'");
define_call('rated', 'rated', '/ok');
$begin = time();
my @rated = start_many('rated', 44);
$scene->finish($_) for @rated;
my @at = sort { $a <=> $b } map { $_->{time} } map { $scene->requests($_) } @rated;
is(scalar @at, 44, 'at a rate all are sent');
# a busy partner may see them late, and then together
is((grep { $at[$_] - $begin < ($_ + 1 - 4) / 40 - 0.01 } 0 .. $#at), 0, 'forty a second and the burst, never more than that');
$scene->sql("ALTER SERVER rated OPTIONS (SET rate '4')");
sleep 1.1;
@rated = start_many('rated', 4);
$scene->finish($_) for @rated;
@at = sort { $a <=> $b } map { $_->{time} } map { $scene->requests($_) } @rated;
cmp_ok($at[-1] - $at[0], '<', 0.7, 'after a pause so many at once as the burst says');
$scene->sql("ALTER SERVER rated OPTIONS (SET rate '0.1', SET burst '1')");
my ($first, $second) = start_many('rated', 2);
is_soon($scene->node, 'postgres', "SELECT blocked_by FROM workflow.visits WHERE instance IN ($first, $second) AND blocked_by IS NOT NULL", 'server rate', 'the view says what waits for its turn');
$scene->sql("ALTER SERVER rated OPTIONS (DROP rate, DROP burst)");
$scene->finish($_) for $first, $second;
pass('without a rate it goes on at once');

# ---- values ----

for my $value ([ breaker => 'perhaps' ], [ breaker_min_calls => 0 ], [ breaker_failure_rate => 101 ], [ breaker_window => 'long' ], [ breaker_probes => 'x' ],
	[ rate => 0 ], [ rate => '-1' ], [ rate => 'nan' ], [ burst => 0 ])
{
	my ($name, $text) = @$value;
	like($scene->error("ALTER SERVER never OPTIONS (ADD x$name '1')"), qr/^HV00D/, "x$name is no option") if $name eq 'breaker';
	my $verb = $name eq 'breaker' ? 'SET' : 'ADD';
	like($scene->error("ALTER SERVER never OPTIONS ($verb $name '$text')"), qr/^22023: invalid value for option "$name"/, "$name '$text'");
}

$scene->node->stop;
done_testing();
