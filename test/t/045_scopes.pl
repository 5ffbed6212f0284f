#
# Scopes with requests and clocks: what is inside ends with them, asked to stop where steps say how; errors are caught outwards; a
# process has a timeout and handlers of its own; fields that are local; scopes that are too large to end in one transaction.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('scopes', conf => "workflow.executors = 3\n");
my $node = $scene->node;
my $H = '"headers": {' . Scene::HEADERS . '}';

sub status { return $scene->sql("SELECT status FROM workflow.instances WHERE instance = $_[0]") }
sub outcomes { return join(' ', map { "$_->{step}:$_->{outcome}" } sort { $a->{step} cmp $b->{step} } $scene->history($_[0])) }
sub outcome { return ($scene->history(@_) // {})->{outcome} }
sub asked { return scalar grep { $_->{path} eq '/stop' } $scene->requests($_[0]) }

# ---- moved, while what cleans up inside takes long: it makes no difference which of both ends first ----

$scene->define('moved', qq[{"steps": [
	{"step": "scope", "steps": [{"step": "work", "http": {"server": "partner", "path": "/held", $H}, "cancel": {"path": "/stop", $H}}]},
	{"step": "elsewhere", "wait": true}]}]);
my $moved = $scene->start('moved');
$scene->wait_for_requests(1, $moved);
$scene->sql("SELECT workflow.move('" . $scene->serial($moved, 'scope') . "', 'elsewhere')");
$scene->sql("SELECT workflow.cancel_visit('" . $scene->serial($moved, 'elsewhere') . "')");
$scene->stands_soon($moved, 'scope cancelling, work cancelling', 'moved: the token was called off, and the answer is awaited');
$scene->let_go($moved);
is($scene->finish($moved), 'aborted', 'moved: all was called off by hand');

# ---- a timeout while a request is under way, whose service is asked to stop ----

$scene->define('timed', qq[{"steps": [
	{"step": "scope", "timeout": "1 s", "steps": [
		{"step": "fork", "next": ["work", "stand", "job"]},
		{"step": "work", "http": {"server": "partner", "path": "/held?status=202", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
			"save_reply": {"work": "\${\$reply.status}"}, "cancel": {"path": "/stop", $H, "timeout": "0"}, "end": true},
		{"step": "job", "http": {"server": "partner", "path": "/status/200", $H}, "next": "after job"},
		{"step": "after job", "wait": {"after": "1 h"}},
		{"step": "stand", "wait": true, "end": true}],
		"catch": [{"on": "TIMED_OUT", "next": "late"}], "end": true},
	{"step": "late", "http": {"server": "partner", "path": "/status/200", $H}, "save": {"caught": "\${\$caught}"}}]}]);
my $instance = $scene->start('timed');
$scene->wait_for_requests(2, $instance);
my $stand = $scene->serial($instance, 'stand');
$scene->stands_soon($instance, 'scope cancelling, work cancelling', 'what waits has ended; the answer that is under way is awaited');
is($scene->sql("SELECT workflow.complete('$stand')"), 'f', 'a callback comes too late');
is(asked($instance), 0, 'nobody is asked to stop before that');
stays(0.5, sub { outcome($instance, 'scope') // 'none' }, 'none', 'and the scope does not end');
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'it goes on where the timeout is caught');
is(asked($instance), 1, 'the service was asked to stop');
is(outcomes($instance), 'after job:CANCELLED fork:SUCCESS job:SUCCESS late:SUCCESS scope:TIMED_OUT stand:CANCELLED work:CANCELLED', 'each visit has its outcome');
is($scene->data($instance)->{work}, 202, 'the reply is kept');
is($scene->data($instance)->{caught}{step}, 'scope', 'the handler sees the scope');
my ($stop) = grep { $_->{path} eq '/stop' } $scene->requests($instance);
my ($late) = grep { ($_->{headers}{'x-step'} // '') eq 'late' } $scene->requests($instance);
cmp_ok($late->{time}, '>', $stop->{time}, 'it went on after the service was asked');

# the confirmation of a service that was asked is waited for
$scene->define('confirmed', qq[{"steps": [
	{"step": "scope", "steps": [
		{"step": "fork", "next": ["work", "stop"]},
		{"step": "work", "http": {"server": "partner", "path": "/status/202", $H}, "wait": true, "cancel": {"path": "/stop", $H, "timeout": "1 h"}, "end": true},
		{"step": "stop", "wait": true, "end": {"error": "enough"}}],
		"catch": [{"on": "enough", "next": "after"}], "end": true},
	{"step": "after", "set": {"caught": "\${\$caught}"}}]}]);
$instance = $scene->start('confirmed');
$scene->stands_soon($instance, 'scope waiting, stop waiting, work waiting', 'a service works');
my $work = $scene->serial($instance, 'work');
$scene->sql("SELECT workflow.complete('" . $scene->serial($instance, 'stop') . "')");
$scene->wait_for_requests(2, $instance);
$scene->stands_soon($instance, 'scope cancelling, work cancelling', 'it is asked to stop, and waited for');
is(outcome($instance, 'after'), undef, 'the handler does not go on yet');
is($scene->sql("SELECT workflow.complete('$work', '{\"stopped\": true}')"), 't', 'it confirms');
is($scene->finish($instance), 'completed', 'then it goes on');
is($scene->history($instance, 'work')->{outcome}, 'CANCELLED', 'the outcome is that with which it began');
is($scene->data($instance)->{caught}{error}{code}, 'enough', 'the handler sees the error');
is($scene->data($instance)->{caught}{step}, 'stop', '... and the step that has thrown it');

# ---- what ignores a cancel runs on, and is waited for ----

$scene->define('ignoring', qq[{"steps": [
	{"step": "scope", "steps": [
		{"step": "fork", "next": ["work", "report", "stop"]},
		{"step": "work", "http": {"server": "partner", "path": "/status/202", $H}, "wait": true, "end": true},
		{"step": "report", "http": {"server": "partner", "path": "/held?status=201", $H}, "ignore_cancel": true, "save": {"reported": "\${\$reply.status}"}, "next": "report more"},
		{"step": "report more", "http": {"server": "partner", "path": "/status/200", $H}, "ignore_cancel": true, "save": {"reported more": true}, "next": "not any more"},
		{"step": "not any more", "http": {"server": "partner", "path": "/status/200", $H}, "save": {"too much": true}},
		{"step": "stop", "wait": true, "end": "scope"}],
		"next": "after"},
	{"step": "after", "set": {"after": true}}]}]);
$instance = $scene->start('ignoring');
$scene->wait_for_requests(2, $instance);
$scene->sql("SELECT workflow.complete('" . $scene->serial($instance, 'stop') . "')");
$scene->stands_soon($instance, 'report calling, scope cancelling', 'what ignores a cancel goes on');
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'and the scope ends after it');
is_deeply($scene->data($instance), { reported => 201, 'reported more' => JSON::PP::true, after => JSON::PP::true }, 'with what it has saved');
is(outcomes($instance), 'after:SUCCESS fork:SUCCESS not any more:CANCELLED report:SUCCESS report more:SUCCESS scope:SUCCESS stop:SUCCESS work:CANCELLED',
	'what does not ignore it is not begun');
is(scalar(grep { $_->{headers}{'x-step'} eq 'not any more' } $scene->requests($instance)), 0, '... nor sent');

# ... one that fails ends, and is no incident
$scene->define('ignoring failure', qq[{"steps": [
	{"step": "scope", "steps": [
		{"step": "fork", "next": ["report", "stop"]},
		{"step": "report", "http": {"server": "partner", "path": "/held?status=404", $H}, "ignore_cancel": true, "end": true},
		{"step": "stop", "wait": true, "end": "scope"}], "end": true}]}]);
$instance = $scene->start('ignoring failure');
$scene->wait_for_requests(1, $instance);
$scene->sql("SELECT workflow.complete('" . $scene->serial($instance, 'stop') . "')");
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'one that fails there does not hold up the scope');
is(outcome($instance, 'report'), 'SYSTEM_ERROR', '... with its own outcome');

# ---- an answer that fails, caught two levels further out ----

$scene->define('outwards', qq[{"steps": [
	{"step": "outer", "steps": [
		{"step": "fork outer", "next": ["inner", "beside"]},
		{"step": "beside", "http": {"server": "partner", "path": "/status/202", $H}, "wait": true, "cancel": {"path": "/stop", $H, "timeout": "0"}, "end": true},
		{"step": "inner", "steps": [
			{"step": "fork inner", "next": ["good", "bad"]},
			{"step": "good", "wait": true, "end": true},
			{"step": "bad", "http": {"server": "partner", "path": "/held?status=404", $H}, "catch": [{"on": "5xx", "next": "good"}], "end": true}],
			"catch": [{"on": ["TIMED_OUT", "other"], "next": "beside"}], "end": true}],
		"catch": [{"on": "SYSTEM_ERROR", "next": "after"}], "end": true},
	{"step": "after", "set": {"step": "\${\$caught.step}", "http_status": "\${\$caught.error.http_status}", "outcome": "\${\$caught.result.status}"}}]}]);
$instance = $scene->start('outwards');
$scene->wait_for_requests(2, $instance);
$scene->stands_soon($instance, 'bad calling, beside waiting, good waiting, inner waiting, outer waiting', 'scopes in each other');
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'an error that the outer one catches');
is_deeply($scene->data($instance), { step => 'bad', http_status => 404, outcome => 'SYSTEM_ERROR' }, 'the handler sees what failed');
is(outcomes($instance), 'after:SUCCESS bad:SYSTEM_ERROR beside:CANCELLED fork inner:SUCCESS fork outer:SUCCESS good:CANCELLED inner:CANCELLED outer:CANCELLED', 'all in it has ended');
is(asked($instance), 1, 'and was asked to stop');

# ... by nobody: an incident, in its scope; retried, it goes on there
$scene->define('uncaught', qq[{"steps": [
	{"step": "outer", "steps": [{"step": "inner", "steps": [{"step": "bad", "http": {"server": "partner", "path": "/status/\${\$.status}", $H}}], "catch": [{"on": "other", "next": "never"}], "end": true},
		{"step": "never"}], "next": "after"},
	{"step": "after", "set": {"after": true}}]}]);
($instance, my $status) = $scene->run('uncaught', { status => 404 });
is($status, 'failed', 'an error that nothing catches');
$scene->stands_soon($instance, 'bad incident, inner waiting, outer waiting', 'is an incident where it is');
$scene->sql("SELECT workflow.set_data($instance, '{\"status\": 200}'); SELECT workflow.retry('" . $scene->serial($instance, 'bad') . "')");
is($scene->finish($instance), 'completed', 'which goes on from there');
is(outcomes($instance), 'after:SUCCESS bad:SUCCESS inner:SUCCESS outer:SUCCESS', 'and the scopes end after it');

# ---- a scope that has timed out and stands as an incident begins anew ----

$scene->define('again', qq[{"steps": [
	{"step": "scope", "timeout": "\${\$.patience}", "local": {"n": "\${\$.n}"}, "steps": [
		{"step": "work", "http": {"server": "partner", "path": "/\${\$.path}", $H}, "save": {"n": "\${\$.n + 1}"}}],
		"save": {"m": "\${\$result.response.n}"}, "end": true}]}]);
($instance, $status) = $scene->run('again', { patience => '300 ms', path => 'delay', n => 1 });
is($status, 'failed', 'a scope times out');
$scene->stands_soon($instance, 'scope incident', 'all in it has ended');
$scene->sql("SELECT workflow.set_data($instance, '{\"patience\": \"1 h\", \"path\": \"echo\", \"n\": 5}'); SELECT workflow.retry('" . $scene->serial($instance, 'scope') . "')");
is($scene->finish($instance), 'completed', 'it begins anew');
is($scene->data($instance)->{m}, 6, 'with fields that are made anew');
is($scene->data($instance)->{n}, 5, '... beside the data');

# ---- the process as a whole ----

$scene->define('patient', qq[{"timeout": "1 s", "steps": [{"step": "fork", "next": ["work", "stand"]},
	{"step": "work", "http": {"server": "partner", "path": "/held?status=202", $H}, "wait": true, "cancel": {"path": "/stop", $H, "timeout": "0"}, "end": true},
	{"step": "stand", "wait": true, "end": true}]}]);
$instance = $scene->start('patient');
$scene->wait_for_requests(1, $instance);
$scene->stands_soon($instance, '(process) cancelling, work cancelling', 'the timeout of a process ends what is in it');
$scene->let_go($instance);
is($scene->finish($instance), 'aborted', 'which aborts it');
is($scene->reason($instance)->{code}, 'TIMED_OUT', 'with the timeout as its error');
is(asked($instance), 1, 'after services were asked to stop');

$scene->define('caught timeout', qq[{"timeout": "1 s", "catch": [{"on": "TIMED_OUT", "next": "late"}, {"after": "300 ms", "interrupt": false, "next": "remind"}], "steps": [
	{"step": "work", "http": {"server": "partner", "path": "/held", $H}},
	{"step": "remind", "http": {"server": "partner", "path": "/status/200", $H}, "save": {"reminded": "\${\$caught.step}"}, "end": true},
	{"step": "late", "http": {"server": "partner", "path": "/status/200", $H}, "save": {"late": "\${\$caught.step}"}}]}]);
$instance = $scene->start('caught timeout');
$scene->wait_for_requests(2, $instance);
$scene->let_go($instance) if !eval { $scene->wait_for_requests(3, $instance); 1 };
is($scene->finish($instance), 'completed', 'a process that catches its timeout');
is_deeply($scene->data($instance), { reminded => '(process)', late => '(process)' }, 'and has a handler beside');
$scene->let_go($instance);

$scene->define('caught', qq[{"catch": [{"on": ["SYSTEM_ERROR", "broken"], "next": "mend"}], "steps": [
	{"step": "scope", "steps": [{"step": "fork", "next": ["bad", "stand"]},
		{"step": "bad", "http": {"server": "partner", "path": "/held?status=404", $H}, "end": true}, {"step": "stand", "wait": true, "end": {"error": "broken"}}]},
	{"step": "never"},
	{"step": "mend", "http": {"server": "partner", "path": "/status/200", $H}, "save": {"caught": "\${\$caught.step}"}}]}]);
$instance = $scene->start('caught');
$scene->wait_for_requests(1, $instance);
my $second = $scene->start('caught');
$scene->wait_for_requests(1, $second);
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'a handler of the process catches an answer that fails in a scope');
is($scene->data($instance)->{caught}, 'bad', '... and sees it');
is(outcomes($instance), '(process):CANCELLED bad:SYSTEM_ERROR fork:SUCCESS mend:SUCCESS scope:CANCELLED stand:CANCELLED', 'all else has ended');
$scene->sql("SELECT workflow.complete('" . $scene->serial($second, 'stand') . "')");
is($scene->finish($second), 'completed', 'or an error that is thrown there, while a request is under way that nobody has to stop');
is($scene->data($second)->{caught}, 'stand', '... and sees that');
$scene->let_go($second);

# ---- fields that are local, in branches and scopes beside each other ----

$scene->sql('CREATE TABLE effect (instance bigint, step text, what jsonb)');
my $call = qq["http": {"server": "partner", "path": "/echo", $H, "body": {"who": "\${\$.who}"}}];
sub with_fields
{
	my ($scope, $n) = @_;
	my $steps = join(', ', qq[{"step": "$scope fork", "next": ["$scope a", "$scope b", "$scope c"]}],
		(map { qq[{"step": "$scope $_", $call, "save": {"n": "\${\$.n + 1}", "$scope $_": "\${\$reply.body.body}"}, "next": "$scope join"}] } 'a', 'b', 'c'),
		qq[{"step": "$scope join", "join": "all", "sql": "INSERT INTO effect VALUES (visit.instance, visit.step, visit.data)"}]);
	return qq[{"step": "$scope", "local": {"n": $n, "who": "\${\$.who}, $scope"}, "steps": [$steps], "save": {"$scope": "\${\$result.response.n}"}, "next": "join"}];
}
my $scopes = with_fields('one', 10) . ', ' . with_fields('two', 20);
$scene->define('local', qq[{"data": {"who": "me"}, "steps": [{"step": "fork", "next": ["one", "two"]}, $scopes,
	{"step": "join", "join": "all", "sql": "INSERT INTO effect VALUES (visit.instance, visit.step, visit.data)"}]}]);
($instance, $status) = $scene->run('local');
is($status, 'completed', 'two scopes beside each other, with three branches each');
my $data = $scene->data($instance);
is_deeply($data, { who => 'me', one => 13, two => 23, map { my $s = $_; map { ("$s $_" => { who => "me, $s" }) } 'a', 'b', 'c' } 'one', 'two' },
	'fields of the same name are those of the scope, and end with it');
is($scene->sql("SELECT string_agg(step || ' ' || coalesce(what->>'n', '-') || ' ' || (what->>'who'), ', ' ORDER BY step) FROM effect WHERE instance = $instance"),
	'join - me, one join 13 me, one, two join 23 me, two', 'statements see them, too');

# ---- a scope with more visits than one transaction interrupts: nothing in it goes out meanwhile ----

my $n = 2400;
$scene->server('closed', $scene->url, "max_in_flight '0'");
$scene->sql('CREATE TABLE fired (serial_number text);
	CREATE FUNCTION wait_for_gate(serial_number text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(45); RETURN serial_number; END $$');
$scene->define('large', qq[{"data": {"n": 0}, "steps": [
	{"step": "scope", "steps": [
		{"step": "begin", "next": ["stop", "spawn"]},
		{"step": "stop", "wait": true, "end": "scope"},
		{"step": "spawn", "set": {"n": "\${\$.n + 1}"}, "next": [{"when": "\$.n < $n", "next": "spawn"}, "pick"]},
		{"step": "pick", "choose": [{"when": "\$.n % 4 == 0", "next": "call"}, {"when": "\$.n % 4 == 1", "next": "run"}, {"when": "\$.n % 4 == 2", "next": "clock"}, {"next": "stand"}]},
		{"step": "call", "http": {"server": "closed", "path": "/status/200", $H}, "end": true},
		{"step": "run", "sql": "INSERT INTO fired SELECT wait_for_gate(visit.serial_number)", "end": true},
		{"step": "clock", "wait": {"until": "\${\$.at}"}, "next": "fired"},
		{"step": "fired", "set": {"fired": true}, "end": true},
		{"step": "stand", "wait": true, "catch": [{"until": "\${\$.at}", "interrupt": false, "next": "fired"}], "end": true}],
		"next": "after"},
	{"step": "after", "set": {"after": true}}]}]);
my $client = $node->background_psql('postgres');
$client->query_safe('SELECT pg_advisory_lock(45)');
my $due = time() + 15;
my $at = $scene->sql("SELECT to_timestamp($due)");
$instance = $scene->start('large', { at => $at });
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE instance = $instance", $n + 2, 'many visits in a scope');
$scene->sql("SELECT workflow.suspend($instance)");
cmp_ok(time(), '<', $due, '... before their time');
$client->query_safe('SELECT pg_advisory_unlock(45)');
sleep($due + 0.1 - time()) if time() < $due + 0.1;
# all of them are due, and in the same moment the scope ends
my $stop_it = $scene->serial($instance, 'stop');
$scene->sql("BEGIN; SELECT workflow.resume($instance); SELECT workflow.complete('$stop_it'); ALTER SERVER closed OPTIONS (SET max_in_flight '1000'); COMMIT");
is($scene->finish($instance), 'completed', 'the scope ends');
is_deeply($scene->data($instance), { n => $n, at => $at, after => JSON::PP::true }, 'nothing in it has fired');
my $inside = "FROM workflow.history WHERE instance = $instance AND step IN ('call', 'run', 'clock', 'stand', 'fired')";
is($scene->sql("SELECT outcome, count(*) $inside GROUP BY outcome"), "CANCELLED|$n", 'all have ended with it');
is($scene->sql("SELECT count(DISTINCT step) $inside"), 4, '... of all kinds');
is($scene->sql('SELECT count(*) FROM fired'), 0, 'no statement has run');
is(scalar($scene->requests($instance)), 0, 'no request was sent');
$client->quit;

# ---- operators between the transactions in which it ends: the dispatcher is held ----

$scene->define('held', qq[{"data": {"n": 0}, "steps": [
	{"step": "scope", "steps": [
		{"step": "begin", "next": ["stop", "spawn"]},
		{"step": "stop", "wait": true, "end": "scope"},
		{"step": "spawn", "set": {"n": "\${\$.n + 1}"}, "next": [{"when": "\$.n < $n", "next": "spawn"}, "stand"]},
		{"step": "stand", "wait": true, "save": {"saved": true}, "next": "too much"},
		{"step": "too much", "sql": "INSERT INTO fired VALUES (visit.serial_number)"}],
		"next": "after"},
	{"step": "after", "set": {"after": true}}]}]);
# $1 instance, $2 its last visit, $3 that of the scope
my %between = (
	'a visit is cancelled' => [ 'SELECT workflow.cancel_visit($2)', 'completed' ],
	'it is called back' => [ 'SELECT NOT workflow.complete($2)', 'completed' ],
	'an incident is retried' => [ 'SELECT workflow.retry($2)', 'completed' ],
	'the scope is cancelled' => [ 'SELECT NOT workflow.cancel_visit($3)', 'completed' ],
	'it is suspended, and resumed' => [ 'SELECT workflow.suspend($1); SELECT workflow.resume($1)', 'completed' ],
	'the instance is cancelled' => [ 'SELECT workflow.cancel($1)', 'aborted' ]);
for my $name (sort keys %between)
{
	my ($sql, $end) = @{ $between{$name} };
	$instance = $scene->start('held');
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE instance = $instance AND step IN ('stand', 'stop')", $n + 1, "$name: many visits wait");
	my $last = $scene->sql("SELECT serial_number FROM workflow.visits WHERE instance = $instance AND step = 'stand' ORDER BY split_part(serial_number, '_', 2)::bigint DESC LIMIT 1");
	$scene->sql("SELECT workflow.fail('$last')") if $name =~ /incident/;
	my $scope = $scene->serial($instance, 'scope');
	$sql =~ s/\$1/$instance/g;
	$sql =~ s/\$2/'$last'/g;
	$sql =~ s/\$3/'$scope'/g;
	my $dispatcher = wait_for_workers($node, 'postgres');
	kill 'STOP', $dispatcher;
	$scene->sql("SELECT workflow.complete('" . $scene->serial($instance, 'stop') . "')");
	like(eval { $scene->sql($sql) } // $@, qr/^t(\nt)*$/, "$name: ... while the scope ends");
	kill 'CONT', $dispatcher;
	is($scene->finish($instance), $end, "$name: the end");
	is($scene->sql("SELECT outcome, count(*) FROM workflow.history WHERE instance = $instance AND step IN ('stand', 'too much') GROUP BY outcome"), "CANCELLED|$n", "$name: all in it has ended");
	is_deeply($scene->data($instance), { n => $n, $end eq 'completed' ? (after => JSON::PP::true) : () }, "$name: and done nothing more");
}
is($scene->sql('SELECT count(*) FROM fired'), 0, 'no statement has run');
is($scene->sql('SELECT count(*) FROM workflow.verify()'), 0, 'all rows agree with each other');

$node->stop;
done_testing();
