#
# Servers: how many requests at once, changes that take effect with the next request, rights, servers that are dropped and
# come back; and what the views servers and workers say.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $scene = Scene->new('servers');
my $other = Partner->start;
my $H = '"headers": {' . Scene::HEADERS . '}';

sub define_call
{
	my ($name, $server, $path, $more) = @_;
	$scene->define($name, qq({"steps": [{"step": "call", "http": {"server": "$server", "path": "$path", $H}, "save": {"reply": "\${\$reply}"}) . ($more ? ", $more" : '') . '}]}');
}

# ---- max_in_flight ----

$scene->server('narrow', $scene->url, "max_in_flight '5'");
define_call('narrow', 'narrow', '/delay?s=0.2');
define_call('wide', 'partner', '/delay?s=0.2');
my @narrow = split /\n/, $scene->sql("SELECT workflow.start('narrow') FROM generate_series(1, 30)");
my @wide = split /\n/, $scene->sql("SELECT workflow.start('wide') FROM generate_series(1, 30)");
my $most = 0;
wait_until(
	sub {
		my ($in_flight, $left) = split /\|/, $scene->sql(
			"SELECT in_flight, (SELECT count(*) FROM workflow.instances WHERE process = 'narrow' AND status = 'active') FROM workflow.servers WHERE server = 'narrow'");
		$most = $in_flight if $in_flight > $most;
		return $left == 0;
	},
	'thirty requests through a narrow server');
ok($most > 0 && $most <= 5, "with at most five under way, at most $most seen");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'wide' AND status = 'completed'", 30, 'beside a wide one');

# At most how many requests of these instances are at the partner at once, each of which takes as long as said.
sub overlap
{
	my ($seconds, @instances) = @_;
	my %mine = map { $_ => 1 } @instances;
	my @begins = sort { $a <=> $b } map { $_->{time} } grep { $mine{ $_->{headers}{'x-instance'} // '' } } $scene->partner->requests;
	my $most = 0;
	for my $i (0 .. $#begins)
	{
		my $n = grep { $_ > $begins[$i] - $seconds && $_ <= $begins[$i] } @begins;
		$most = $n if $n > $most;
	}
	return $most;
}
is(overlap(0.19, @narrow), 5, 'the partner sees five at once');
ok(overlap(0.19, @wide) > 20, 'and the others together');

# a hung server takes its slots, and no more
$scene->server('hung', $scene->url, "max_in_flight '2', timeout '1 hour'");
define_call('hung', 'hung', '/hang');
my @hung = split /\n/, $scene->sql("SELECT workflow.start('hung') FROM generate_series(1, 20)");
is_soon($scene->node, 'postgres', "SELECT in_flight FROM workflow.servers WHERE server = 'hung'", 2, 'a server that hangs');
define_call('ok', 'partner', '/ok');
my ($instance, $status) = $scene->run('ok');
is($status, 'completed', 'holds up no other');
is($scene->server_row('hung', 'parked'), 18, 'the view counts what waits for a turn');
is($scene->sql("SELECT count(*) FROM workflow.visits WHERE process = 'hung' AND state = 'calling'"), 20, 'as calling');
is($scene->sql("SELECT in_flight FROM workflow.workers WHERE kind = 'dispatcher'"), 2, 'the dispatcher shows what is under way');

# raised, it takes effect at once
$scene->sql("ALTER SERVER hung OPTIONS (SET max_in_flight '10')");
is_soon($scene->node, 'postgres', "SELECT in_flight, parked FROM workflow.servers WHERE server = 'hung'", '10|10', 'more at once, from the next request on');
$scene->sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE process = 'hung'");
is($scene->server_row('hung', 'parked'), 0, 'after a cancel nothing waits any more');

# ---- ALTER SERVER ----

like($scene->error(q[SELECT workflow.define('x', '{"steps": [{"step": "a", "http": {"server": "nowhere"}}]}')]), qr/^22023: /, 'an unknown server is refused');
$scene->server('moving', $scene->url('/here'));
define_call('moving', 'moving', '/ok', '"retry": {"max": 100, "delay": "100 ms"}');
($instance, $status) = $scene->run('moving');
is(($scene->requests($instance))[0]{path}, '/here/ok', 'a server');
$scene->sql("ALTER SERVER moving OPTIONS (SET url '" . $other->url('/there') . "')");
($instance, $status) = $scene->run('moving');
is($status, 'completed', 'that has moved');
is(scalar($scene->requests($instance)), 0, 'is not called at its old place');
is(($other->requests)[0]{path}, '/there/ok', 'but at its new one');
is($scene->server_row('moving', 'url'), $other->url('/there'), 'which the view shows');
$scene->sql("ALTER SERVER moving OPTIONS (SET url 'http://127.0.0.1:1', ADD timeout '5 s')");
$instance = $scene->start('moving');
$scene->wait_for_state($instance, 'retrying');
$scene->sql("ALTER SERVER moving OPTIONS (SET url '" . $other->url('/again') . "')");
is($scene->finish($instance), 'completed', 'an attempt later the new address counts');
define_call('slow', 'moving', '/hang', '"timeout": "20 s"');
$scene->sql("ALTER SERVER moving OPTIONS (SET timeout '200 ms')");
($instance, $status) = $scene->run('slow');
is($scene->incident($instance)->{error}{code}, 'timeout', 'a shorter timeout');
like($scene->error("ALTER SERVER moving OPTIONS (SET timeout '25 hours')"), qr/^22023: invalid value for option "timeout"/, 'none is longer than a day');
$scene->sql("ALTER SERVER moving OPTIONS (SET timeout '24 hours')");
$scene->sql("ALTER SERVER moving OPTIONS (ADD max_response '10')");
($instance, $status) = $scene->run('moving');
is($scene->incident($instance)->{error}{code}, 'reply', 'a smaller answer');
$scene->sql("ALTER SERVER moving OPTIONS (DROP max_response, DROP timeout)");

# ---- USAGE ----

$scene->sql(q[CREATE ROLE author LOGIN; GRANT USAGE ON SCHEMA workflow TO author; GRANT EXECUTE ON FUNCTION workflow.define TO author]);
my $definition = qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/ok", $H}}]});
like($scene->error("SET ROLE author; SELECT workflow.define('author''s', '$definition')"), qr/^22023: /, 'define asks for USAGE on the server');
$scene->sql("GRANT USAGE ON FOREIGN SERVER partner TO author; SET ROLE author; SELECT workflow.define('author''s', '$definition')");
($instance, $status) = $scene->run("author's");
is($status, 'completed', 'with it the process runs');
$scene->sql('REVOKE USAGE ON FOREIGN SERVER partner FROM author');
($instance, $status) = $scene->run("author's");
is($status, 'failed', 'without it the call is refused');
my $incident = $scene->incident($instance);
is_deeply([ @{ $incident->{error} }{qw(code attempt)} ], [ 'request', 0 ], 'before it is made') or note(explain($incident));
like($incident->{error}{message}, qr/author.*USAGE.*partner/, 'and says why');
is(scalar($scene->requests($instance)), 0, 'nothing was sent');
$scene->sql("GRANT USAGE ON FOREIGN SERVER partner TO author; SELECT workflow.retry('$incident->{serial_number}')");
is($scene->finish($instance), 'completed', 'granted again, it can be retried');
is($scene->sql("SET ROLE author; SELECT count(*) FROM workflow.servers"), 1, 'the view shows a role the servers it may use');

# ---- paused ----

$scene->server('paused', $scene->url, "max_in_flight '0'");
$scene->define('paused', '{"steps": [{"step": "call", "http": {"server": "paused", "path": "/ok", "headers": {' . Scene::HEADERS . '}}}]}');
my @paused = map { $scene->start('paused') } 1 .. 3;
is_soon($scene->node, 'postgres', "SELECT state, in_flight, parked FROM workflow.servers WHERE server = 'paused'", 'paused|0|3', 'a paused server parks what is to be sent');
stays(0.5, sub { scalar map { $scene->requests($_) } @paused }, 0, 'nothing is sent');
is($scene->sql("SELECT workflow.cancel($paused[0])"), 't', 'who has not called out is cancelled at once');
is($scene->finish($paused[0]), 'aborted', '... and has ended');
like($scene->error("ALTER SERVER paused OPTIONS (SET max_in_flight '$_')"), qr/^22023/, "$_ is no whole number") for '0.2', '0x0', '-1';
$scene->sql("ALTER SERVER paused OPTIONS (SET max_in_flight '1')");
is($scene->finish($_), 'completed', 'it goes on at once') for @paused[ 1, 2 ];
is($scene->server_row('paused', 'state, parked'), 'ok|0', 'as if nothing had been');
# in the middle of it: what is under way comes to its end
$scene->define('slow', '{"steps": [{"step": "call", "http": {"server": "paused", "path": "/delay", "query": {"s": "0.4"}, "headers": {' . Scene::HEADERS . '}}}]}');
my ($under_way, $behind) = map { $scene->start('slow') } 1 .. 2;
$scene->wait_for_requests(1, $under_way);
$scene->sql("ALTER SERVER paused OPTIONS (SET max_in_flight '0')");
is($scene->finish($under_way), 'completed', 'what was under way is answered');
stays(0.5, sub { scalar $scene->requests($behind) }, 0, 'what came after it waits');
$scene->sql("ALTER SERVER paused OPTIONS (DROP max_in_flight)");
is($scene->finish($behind), 'completed', 'until the server goes on');
# whoever is cancelled meanwhile is asked to stop when it goes on, but nobody waits for that for ever
$scene->define('stop', '{"steps": [{"step": "call", "http": {"server": "paused", "path": "/ok", "headers": {' . Scene::HEADERS . '}}, "wait": true, "cancel": {"path": "/ok", "headers": {' . Scene::HEADERS . '}, "timeout": "10 ms"}}]}');
my @stopped = map { $scene->start('stop') } 1 .. 2;
$scene->wait_for_state($_, 'waiting') for @stopped;
$scene->sql("ALTER SERVER paused OPTIONS (ADD max_in_flight '0')");
$scene->sql("SELECT workflow.cancel($_)") for @stopped;
stays(0.5, sub { scalar map { $scene->requests($_) } @stopped }, 2, 'a paused server is sent no cancel request');
$scene->sql("UPDATE workflow_data.visit SET due_at = due_at - interval '30 s' WHERE instance = $stopped[0]");
is($scene->finish($stopped[0]), 'aborted', 'which ends without it after a while');
$scene->sql("ALTER SERVER paused OPTIONS (DROP max_in_flight)");
is($scene->finish($stopped[1]), 'aborted', 'the other one is asked');
is(scalar($scene->requests($stopped[1])), 2, '... when the server goes on');

# ---- dropped, and created again ----

define_call('parking', 'moving', '/ok', '"retry": {"max": 3}');
$scene->sql("DROP SERVER moving; SELECT workflow.start('parking') FROM generate_series(1, 3)");
is_soon($scene->node, 'postgres', "SELECT state, parked, in_flight FROM workflow.servers WHERE server = 'moving'", 'dropped|3|0', 'the visits of a dropped server are parked, visibly');
is($scene->sql("SELECT string_agg(DISTINCT state, ' ') FROM workflow.visits WHERE process = 'parking'"), 'calling', 'as visits they are due');
($instance, $status) = $scene->run('ok');
is($status, 'completed', 'others go on');
stays(1, sub { $scene->sql("SELECT count(*), max(attempt) FROM workflow.visits WHERE process = 'parking'") }, '3|0', 'it takes no attempt from them');
my $begin = time();
$scene->server('moving', $other->url('/back'));
$other->wait_for(3, '/back');
my $took = time() - $begin;
note(sprintf 'on their way %.0f ms after CREATE SERVER', 1000 * $took);
ok($took < 2, 'created again, they go on at once');
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'parking' AND status = 'completed'", 3, 'to their end');
is($scene->server_row('moving', 'state, parked'), 'ok|0', 'and nothing is parked');

# under another name, and back
$scene->sql("ALTER SERVER moving RENAME TO gone; SELECT workflow.start('parking')");
is_soon($scene->node, 'postgres', "SELECT parked FROM workflow.servers WHERE server = 'moving'", 1, 'a server that was renamed is gone');
$begin = time();
$scene->sql('ALTER SERVER gone RENAME TO moving');
$other->wait_for(4, '/back');
ok(time() - $begin < 2, 'until it is back');

# what was cancelled cannot ask a server that is gone: it does so for half a minute, should one of that name come back
define_call('stopping', 'moving', '/ok', '"wait": true, "cancel": {"path": "/stop", "timeout": "100 ms"}');
$instance = $scene->start('stopping');
$scene->wait_for_state($instance, 'waiting');
$scene->sql("DROP SERVER moving; SELECT workflow.cancel($instance)");
stays(1, sub { $scene->sql("SELECT state FROM workflow.visits WHERE instance = $instance") }, 'cancelling', 'a cancel request to a dropped server is parked');
$scene->sql("UPDATE workflow_data.visit SET due_at = due_at - interval '30 s' WHERE instance = $instance");
is($scene->finish($instance), 'aborted', 'but not for ever');
is($scene->history($instance, 'call')->{outcome}, 'CANCELLED', 'and changes no outcome');

# ---- figures ----

$scene->server('counted', $scene->url);
define_call('counted', 'counted', '/delay?s=0.05');
define_call('failing', 'counted', '/status/404');
define_call('flaky', 'counted', '/flaky?fail=2', '"retry": {"max": 2}');
$scene->finish($_) for split /\n/, $scene->sql("SELECT workflow.start('counted') FROM generate_series(1, 6) UNION ALL SELECT workflow.start('failing') UNION ALL SELECT workflow.start('flaky')");
is($scene->server_row('counted', 'state, in_flight, parked, requests, failures, retries'), 'ok|0|0|10|3|2', 'requests, failures and retries are counted');
my ($p50, $p99) = split /\|/, $scene->server_row('counted', 'p50, p99');
is_between($p50, 25, 200, 'half of them took about that long');
ok($p99 >= $p50, 'and nearly all not much longer');
is($scene->sql("SELECT string_agg(kind || ' ' || state, ', ' ORDER BY kind) FROM workflow.workers WHERE kind <> 'executor'"), 'dispatcher running, launcher running', 'the workers');
is($scene->sql("SELECT count(*) FROM workflow.workers w LEFT JOIN pg_stat_activity a ON a.pid = w.pid AND a.backend_type = 'workflow ' || w.kind WHERE a.pid IS NULL"),
	0, 'as pg_stat_activity has them');
ok($scene->sql("SELECT handled FROM workflow.workers WHERE kind = 'dispatcher'") > 80, 'what the dispatcher has handled');

$scene->node->stop;
done_testing();
