#
# Forks and joins with requests: branches are under way at the same time, a join goes on once and with what all have brought, whatever
# comes late, fails, is suspended or cancelled.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('forks');
my $node = $scene->node;
my $H = '"headers": {' . Scene::HEADERS . '}';

# How many ended visits of a step an instance has.
sub visited { return scalar grep { $_->{step} eq $_[1] } $scene->history($_[0]) }
sub status { return $scene->sql("SELECT status FROM workflow.instances WHERE instance = $_[0]") }
sub stand
{
	return $scene->sql("SELECT string_agg(step || ' ' || state, ', ' ORDER BY step COLLATE \"C\") FROM workflow.visits WHERE instance = $_[0]");
}

# A step that calls a path, and keeps the status of the answer under its own name.
sub call
{
	my ($step, $path, $more) = @_;
	return qq[{"step": "$step", "http": {"server": "partner", "path": "$path", $H}, "save": {"$step": "\${\$reply.status}"}, $more}];
}

# A definition: what stands beside "steps", or nothing, and these.
sub process
{
	my ($beside, @steps) = @_;
	return '{' . ($beside ? "$beside, " : '') . '"steps": [' . join(', ', @steps) . ']}';
}

# ---- three requests at once ----

$scene->define('three', process('"data": {"joined": 0}', '{"step": "fork", "next": ["x", "y", "z"]}',
	call('x', '/held?status=200', '"next": "join"'), call('y', '/held?status=201', '"next": "join"'), call('z', '/held?status=202', '"next": "join"'),
	qq[{"step": "join", "join": "all", "http": {"server": "partner", "path": "/echo", $H, "body": {"x": "\${\$.x}", "y": "\${\$.y}", "z": "\${\$.z}"}},
		"save": {"sent": "\${\$reply.body.body}", "joined": "\${\$.joined + 1}"}}]));
my $instance = $scene->start('three');
my @requests = $scene->wait_for_requests(3, $instance);
is(join(' ', sort map { $_->{headers}{'x-step'} } @requests), 'x y z', 'all branches are under way at the same time');
is(stand($instance), 'x calling, y calling, z calling', '... each with a visit');
is(scalar(keys %{ { map { $_->{headers}{'idempotency-key'} => 1 } @requests } }), 3, '... under keys of their own');
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'they meet');
is_deeply($scene->data($instance)->{sent}, { x => 200, y => 201, z => 202 }, 'the join sees what all have saved');
is($scene->data($instance)->{joined}, 1, '... once');
is(visited($instance, 'join'), 1, 'with one visit');
is(scalar($scene->requests($instance)), 4, 'and one request');

# ---- suspended with all of them under way, and some in ----

$instance = $scene->start('three');
$scene->wait_for_requests(3, $instance);
$scene->sql("SELECT workflow.suspend($instance)");
$scene->let_go($instance);
stays(1, sub { status($instance) . ' ' . stand($instance) }, 'suspended x calling, y calling, z calling', 'answers are kept while it is suspended');
$scene->sql("SELECT workflow.resume($instance)");
is($scene->finish($instance), 'completed', 'and count when it goes on');
is(scalar($scene->requests($instance)), 4, 'nothing was sent twice');
is(visited($instance, 'join'), 1, 'the join went on once');

$scene->define('two and one', process('"data": {"joined": 0}', '{"step": "fork", "next": ["x", "y", "z"]}',
	'{"step": "x", "wait": true, "next": "join"}', '{"step": "y", "wait": true, "next": "join"}', call('z', '/held', '"next": "join"'),
	'{"step": "join", "join": "all", "set": {"joined": "${$.joined + 1}"}}'));
$instance = $scene->start('two and one');
$scene->wait_for_requests(1, $instance);
my ($x, $y) = map { $scene->serial($instance, $_) } 'x', 'y';
$scene->sql("SELECT workflow.complete('$x')");
$scene->stands_soon($instance, 'join waiting, y waiting, z calling', 'one stands at the join');
like($scene->error("SELECT workflow.complete('" . $scene->serial($instance, 'join') . "')"), qr/^55000/, '... which takes no callback');
$scene->sql("SELECT workflow.suspend($instance); SELECT workflow.complete('$y')");
$scene->let_go($instance);
stays(0.7, sub { stand($instance) }, 'join waiting, y waiting, z calling', 'nothing arrives while it is suspended');
$scene->sql("SELECT workflow.resume($instance)");
is($scene->finish($instance), 'completed', 'all arrive when it goes on');
is($scene->data($instance)->{joined}, 1, '... and meet once');

# ---- a branch that fails is waited for ----

$scene->define('failing', process(undef, '{"step": "fork", "next": ["good", "bad"]}', call('good', '/status/200', '"next": "join"'),
	call('bad', '/status/${$.status}', '"next": "join"'), '{"step": "join", "join": "all", "set": {"joined": true}}'));
for my $how ('retry', 'skip', 'cancel_visit')
{
	$instance = $scene->start('failing', { status => 404 });
	is($scene->finish($instance), 'failed', "$how: a branch is an incident");
	$scene->stands_soon($instance, 'bad incident, join waiting', "$how: the other waits for it");
	$scene->sql("SELECT workflow.set_data($instance, '{\"status\": 201}')");
	is($scene->sql("SELECT workflow.$how('" . $scene->serial($instance, 'bad') . "')"), 't', "$how: it is mended") if $how ne 'skip';
	is($scene->sql("SELECT workflow.skip('" . $scene->serial($instance, 'bad') . "', '{}')"), 't', "$how: it is mended") if $how eq 'skip';
	is($scene->finish($instance), 'completed', "$how: they meet");
	is(visited($instance, 'join'), 1, "$how: once");
}

# ---- the first two of three; the third one comes late ----

$scene->define('quorum', process('"data": {"joined": 0}', '{"step": "fork", "next": ["x", "y", "z"]}', call('x', '/held?status=202', '"next": "join"'),
	call('y', '/status/200', '"next": "join"'), call('z', '/status/200', '"next": "join"'),
	'{"step": "join", "join": 2, "set": {"joined": "${$.joined + 1}"}, "next": "after"}', '{"step": "after", "set": {"after": true}}'));
$instance = $scene->start('quorum');
$scene->wait_for_requests(3, $instance);
$scene->stands_soon($instance, 'x calling', 'two of three are enough');
is(status($instance), 'active', '... though the third one is under way still');
is(join(' ', map { $_->{outcome} } grep { $_->{step} eq 'after' } $scene->history($instance)), 'SUCCESS', 'what follows is done');
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'the last one ends it');
is_deeply($scene->data($instance), { joined => 1, after => JSON::PP::true, x => 202, y => 200, z => 200 }, '... with what it has saved, and no second join');

# ... the same where the late one fails: it is mended, and then late
$scene->define('late failure', process(undef, '{"step": "fork", "next": ["x", "y"]}', call('x', '/status/${$.status}', '"next": "join"'),
	call('y', '/status/200', '"next": "join"'), '{"step": "join", "join": "any", "set": {"joined": true}}'));
$instance = $scene->start('late failure', { status => 404 });
is($scene->finish($instance), 'failed', 'a late branch fails');
$scene->stands_soon($instance, 'x incident', 'it alone stands');
is(visited($instance, 'join'), 1, 'the join has gone on');
$scene->sql("SELECT workflow.set_data($instance, '{\"status\": 200}'); SELECT workflow.retry('" . $scene->serial($instance, 'x') . "')");
is($scene->finish($instance), 'completed', 'it is mended');
is(visited($instance, 'join'), 1, 'and does not join a second time');

# ---- the first one wins, the others are asked to stop ----

$scene->define('race', process(undef, '{"step": "fork", "next": ["fast", "slow"]}', call('fast', '/status/200', '"next": "first"'),
	call('slow', '/held?status=202', qq["wait": true, "cancel": {"path": "/stop", $H, "timeout": "0"}, "next": "first"]),
	'{"step": "first", "join": "any", "end": "scope"}'));
$instance = $scene->start('race');
$scene->wait_for_requests(2, $instance);
$scene->stands_soon($instance, 'slow cancelling', 'the loser is cancelled');
is(status($instance), 'active', 'the instance waits for its answer');
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'it is completed, not aborted');
is(scalar(grep { $_->{path} eq '/stop' } $scene->requests($instance)), 1, 'the loser was asked to stop, once');
is($scene->history($instance, 'slow')->{outcome}, 'CANCELLED', 'and is on record');
is($scene->data($instance)->{slow}, undef, '... without what it would have saved');

# ---- branches with conditions ----

$scene->define('split', process('"data": {"big": false, "far": false}',
	'{"step": "fork", "next": [{"when": "$.big == true", "next": "crane"}, {"when": "$.far == true", "next": "ship"}, {"else": "walk"}]}',
	(map { call($_, '/status/200', '"next": "join"') } 'crane', 'ship', 'walk'), '{"step": "join", "join": "all", "set": {"joined": true}}'));
for ([ {}, 'walk' ], [ { big => JSON::PP::true }, 'crane' ], [ { far => JSON::PP::true }, 'ship' ], [ { big => JSON::PP::true, far => JSON::PP::true }, 'crane ship' ])
{
	my ($data, $taken) = @$_;
	($instance, my $status) = $scene->run('split', $data);
	is($status, 'completed', "$taken: the end");
	is(join(' ', sort map { $_->{headers}{'x-step'} } $scene->requests($instance)), $taken, "$taken: so much is sent");
	is(visited($instance, 'join'), 1, "$taken: and joined");
}

# ---- rounds: a fork in a loop, whose late tokens belong to the round before ----

$scene->define('rounds', qq[{"data": {"n": 0, "votes": 0}, "steps": [
	{"step": "ask", "set": {"n": "\${\$.n + 1}"}, "next": ["a", "b"]},
	{"step": "a", "http": {"server": "partner", "path": "/status/200", $H}, "save": {"votes": "\${\$.votes + 1}"}, "next": "any"},
	{"step": "b", "http": {"server": "partner", "path": "/delay?s=0.3", $H}, "save": {"votes": "\${\$.votes + 1}"}, "next": "any"},
	{"step": "any", "join": "any", "next": [{"when": "\$.n < 4", "next": "ask"}, {"else": "done"}]},
	{"step": "done", "set": {"done": true}}]}]);
($instance, my $status) = $scene->run('rounds');
is($status, 'completed', 'four rounds');
is_deeply($scene->data($instance), { n => 4, votes => 8, done => JSON::PP::true }, 'each with both votes');
is(visited($instance, 'any'), 4, 'and one winner');

# ---- an executor takes up what follows a join ----

$scene->sql('CREATE TABLE effect (sn text)');
$scene->define('async', process(undef, '{"step": "fork", "next": ["x", "y", "z"]}', (map { call($_, '/status/200', '"next": "join"') } 'x', 'y', 'z'),
	'{"step": "join", "join": "all", "async": true, "sql": "INSERT INTO effect VALUES (visit.serial_number)"}'));
my @instances = map { $scene->start('async') } 1 .. 20;
is(join(' ', map { $scene->finish($_) } @instances), join(' ', ('completed') x 20), 'joins that executors take up');
is($scene->sql('SELECT count(*), count(DISTINCT sn) FROM effect'), '20|20', 'go on once each');

# ---- the clocks of a join begin with the first arrival ----

$scene->define('patience', process(undef, '{"step": "fork", "next": ["x", "y"]}', call('x', '/status/200', '"next": "join"'), call('y', '/held', '"next": "join"'),
	'{"step": "join", "join": "all", "timeout": "1 s", "catch": [{"on": "TIMED_OUT", "next": "without"}], "end": true}', '{"step": "without", "set": {"without": true}}'));
$instance = $scene->start('patience');
$scene->wait_for_requests(2, $instance);
$scene->stands_soon($instance, 'y calling', 'a join waits no longer than its timeout');
is($scene->history($instance, 'join')->{outcome}, 'TIMED_OUT', 'its visit has timed out');
is($scene->data($instance)->{without}, JSON::PP::true, 'the handler goes on');
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'one that comes afterwards begins a new round');
is(join(' ', sort map { $_->{outcome} } grep { $_->{step} eq 'join' } $scene->history($instance)), 'SUCCESS TIMED_OUT', 'alone');

# ---- so many tokens are too many ----

$node->append_conf('postgresql.conf', "workflow.max_tokens = 4\n");
$node->reload;
$scene->define('many', qq[{"data": {"n": 0}, "steps": [{"step": "spawn", "set": {"n": "\${\$.n + 1}"}, "next": [{"when": "\$.n < 6", "next": "spawn"}, "stand"]}, {"step": "stand", "wait": true}]}]);
is_soon($node, 'postgres', 'SHOW workflow.max_tokens', 4, 'a setting');
$instance = $scene->start('many');
is(stand($instance), 'spawn incident, stand waiting, stand waiting, stand waiting', 'a fork that would make more tokens than that fails, before it does anything');
is($scene->incident($instance)->{error}{code}, 'move', 'with an error of its own');
$node->append_conf('postgresql.conf', "workflow.max_tokens = 100\n");
$node->reload;
is_soon($node, 'postgres', 'SHOW workflow.max_tokens', 100, 'a larger one');
$scene->sql("SELECT workflow.retry('" . $scene->serial($instance, 'spawn') . "')");
is($scene->sql("SELECT count(*) FROM workflow.waiting WHERE instance = $instance"), 5, 'it goes on when there is room');

is($scene->sql('SELECT count(*) FROM workflow.verify()'), 0, 'all rows agree with each other');

$node->stop;
done_testing();
