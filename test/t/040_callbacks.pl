#
# Callbacks at every moment: before the reply, with a reply that fails, during a pause, before the request was sent, while the
# outside is being asked to stop, while suspended, for an earlier round of a loop, too late; many at once, in one statement, in
# one call, in opposite orders. A visit ends once, and what was told true is its end.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run;
use JSON::PP ();
use Scene;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $scene = Scene->new('callbacks', options => "max_in_flight '300', timeout '1 h'");
my $json = JSON::PP->new->canonical->allow_nonref;
my $H = '"headers": {' . Scene::HEADERS . '}';
$scene->define($_ eq '1 hour' ? 'job' : 'impatient', <<"EOD") for '1 hour', '10 ms';
{ "steps": [ { "step": "job",
    "http": { "server": "partner", "url": "\${\$.url}", "timeout": "\${\$.timeout}", $H, "body": { "sn": "\${\$serial_number}" } },
    "save_reply": { "order": "\${\$.order} reply", "id": "\${\$reply.body.id ?? null}" },
    "wait": true,
    "save": { "order": "\${\$.order} callback", "response": "\${\$result.response}", "initial": "\${\$result.initial_response}" },
    "retry": { "max": 5, "delay": "$_" },
    "catch": [ { "on": "REJECTED", "next": "rejected" } ], "next": "done" },
  { "step": "done", "end": true },
  { "step": "rejected", "set": { "rejected": "\${\$caught.error}" }, "end": true } ],
  "data": { "order": "", "timeout": "10 s" } }
EOD

sub call
{
	my ($serial, $data) = @_;
	return $scene->sql("SELECT workflow.complete('$serial', '$data')");
}

sub late
{
	my ($sn) = @_;
	return $scene->sql("SELECT coalesce(string_agg(data::text, ' ' ORDER BY received_at), '') FROM workflow.late_callbacks WHERE serial_number = '$sn'");
}

# So many psql at once, each with its number as :i; the answer of each.
sub at_once
{
	my ($n, $sql) = @_;
	my (@answer, @run);
	for my $i (1 .. $n)
	{
		(my $mine = $sql) =~ s/:i\b/$i/g;
		push @run, IPC::Run::start([ 'psql', '-XAtq', '-d', $scene->node->connstr('postgres'), '-c', $mine ], '<', \undef, '>', \$answer[ $i - 1 ], '2>', \$answer[ $i - 1 ]);
	}
	$_->finish for @run;
	return map { s/\s+$//r } @answer;
}

sub start
{
	my ($path, %data) = @_;
	return $scene->start('job', { url => $scene->url($path), %data });
}

sub is_ended
{
	my ($name, $instance, $path, $requests) = @_;
	is($scene->finish($instance), 'completed', "$name: ends");
	is($scene->path($instance), $path, "$name: the path");
	is(scalar($scene->requests($instance)), $requests, "$name: requests");
	is($scene->sql("SELECT count(*) FROM workflow.visits WHERE instance = $instance"), 0, "$name: nothing is left");
}

my $good = 'job:SUCCESS done:SUCCESS';

# ---- before the reply ----

my $instance = start('/callback-first');
is_ended('a callback before the reply', $instance, $good, 1);
is_deeply([ map { $_->{answer} } $scene->partner->callbacks ], ['t'], 'it was accepted');
my $data = $scene->data($instance);
is($data->{order}, ' reply callback', 'the reply is handled first');
like($data->{id}, qr/^c-/, 'and saved');
is($data->{response}{status}, 'SUCCESS', 'then the callback');
is($data->{initial}{accepted}, JSON::PP::true, 'which knows of the reply');

# what the reply lacks is an error, whichever of the two comes first
$scene->define('lacking', qq[{"steps": [{"step": "job", "http": {"server": "partner", "url": "\${\$.url}", $H, "body": {"sn": "\${\$serial_number}"}},
	"save_reply": {"id": "\${\$reply.body.nothing}"}, "wait": true}]}]);
for my $path ('/callback-first', '/accept?after=3') # long enough to look at the incident
{
	my ($lacking, $status) = $scene->run('lacking', { url => $scene->url($path) });
	is($status, 'failed', "$path: a reply that lacks what is to be saved");
	is($scene->incident($lacking)->{error}{code}, 'template', 'is an error');
	is($scene->incident($lacking)->{result}{callback_response}{status}, $path =~ /first/ ? 'SUCCESS' : undef, 'a callback that came before is kept');
}

# while the request is under way; it shows as accepted, once
$instance = start('/held?status=202');
my ($request) = $scene->wait_for_requests(1, $instance);
my $serial = $scene->serial($instance);
is(call($serial, '1'), 't', 'a callback while the request is under way');
is(call($serial, '2'), 'f', 'a second one is late');
is($scene->sql("SELECT state FROM workflow.visits WHERE instance = $instance"), 'calling', 'the reply is waited for');
$scene->let_go($instance);
is_ended('a callback while the request is under way', $instance, $good, 1);
is($scene->data($instance)->{response}, 1, 'the first one counts');
is($scene->data($instance)->{order}, ' reply callback', 'and the reply came first');
is($scene->sql("SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '$serial' AND data = '2'"), 1, 'the second one is on record');

# a reply that fails cannot override it, nor is the request sent again
for (
	[ 'a 503', '/held?status=503' ],
	[ 'a 404', '/held?status=404' ],
	[ 'a timeout', '/hang', timeout => '0.4 s' ])
{
	my ($name, $path, %more) = @$_;
	$instance = $scene->start('impatient', { url => $scene->url($path), %more });
	$scene->wait_for_requests(1, $instance);
	is(call($scene->serial($instance), '"early"'), 't', "$name after a callback");
	$scene->let_go($instance) if $path =~ /held/;
	is_ended("$name after a callback", $instance, $good, 1);
	is($scene->data($instance)->{response}, 'early', "$name after a callback: the callback is the end");
}

# ---- during a pause ----

$instance = start('/flaky?fail=5');
$scene->wait_for_state($instance, 'retrying');
is(call($scene->serial($instance), '"in between"'), 't', 'a callback during a pause');
is_ended('a callback during a pause', $instance, $good, 1);
is($scene->data($instance)->{response}, 'in between', 'is the end');

# ---- before the request could be sent ----

$scene->server('busy', $scene->url, "max_in_flight '1'");
$scene->define('busy', qq({"steps": [{"step": "job", "http": {"server": "busy", "path": "/hang", "timeout": "60 s", $H}, "wait": true}]}));
my $first = $scene->start('busy');
$scene->wait_for_requests(1, $first);
my $second = $scene->start('busy');
is(call($scene->serial($second), 'null'), 't', 'a callback for a request that waits for its turn');
is($scene->finish($second), 'completed', 'is the end');
is(scalar($scene->requests($second)), 0, 'without a request');
$scene->sql("SELECT workflow.cancel($first)");
$scene->sql('DROP SERVER busy'); # or a url would be of two servers

# ---- fail ----

$instance = start('/accept?fail=REJECTED');
is_ended('fail() with a code', $instance, 'job:FAILED rejected:SUCCESS', 1);
my $error = $scene->data($instance)->{rejected};
is_deeply([ @$error{qw(code message)} ], [ 'REJECTED', 'the partner says no' ], 'the handler sees code and message');
$instance = start('/callback-first?fail=REJECTED');
is_ended('fail() before the reply', $instance, 'job:FAILED rejected:SUCCESS', 1);
$instance = start('/accept?callback=none');
$scene->wait_for_state($instance, 'waiting');
$serial = $scene->serial($instance);
is($scene->sql("SELECT workflow.fail('$serial', 'BROKEN', 'it broke', '{\"why\": 1}')"), 't', 'fail() that nobody catches');
is($scene->finish($instance), 'failed', 'makes an incident');
is_deeply(
	$scene->incident($instance)->{error},
	{ code => 'BROKEN', message => 'it broke', http_status => undef, sqlstate => undef, attempt => 1 },
	'with its error');
is(call($serial, '"mended"'), 't', 'which somebody completes by hand');
is_ended('an incident that was completed', $instance, $good, 1);

# ---- twenty at once ----

$instance = start('/accept?callback=none');
$scene->wait_for_state($instance, 'waiting');
my $serial_of_many = $scene->serial($instance);
my @answers = at_once(20, "SELECT workflow.complete('$serial_of_many', '{\"i\": :i}')");
is(scalar(grep { $_ eq 't' } @answers), 1, 'of twenty callbacks at once one is true');
is(scalar(grep { $_ eq 'f' } @answers), 19, 'and nineteen are false');
is_ended('twenty callbacks', $instance, $good, 1);
my ($winner) = grep { $answers[ $_ - 1 ] eq 't' } 1 .. 20;
is_deeply($scene->data($instance)->{response}, { i => $winner }, 'the one that was true is the response');
is($scene->sql("SELECT count(*), count(DISTINCT data) FROM workflow.late_callbacks WHERE serial_number = '$serial_of_many' AND data <> '{\"i\": $winner}'"),
	'19|19', 'the others are on record');

$instance = start('/held?status=202');
$scene->wait_for_requests(1, $instance);
$serial = $scene->serial($instance);
@answers = at_once(10, "SELECT workflow.complete('$serial', '{\"i\": :i}')");
is(scalar(grep { $_ eq 't' } @answers), 1, 'of ten callbacks during the request one is true');
$scene->let_go($instance);
is_ended('ten callbacks during the request', $instance, $good, 1);

# the partner itself calls twice
$instance = start('/accept?times=3');
is_ended('a partner that calls three times', $instance, $good, 1);
$serial = $scene->history($instance, 'job')->{serial_number};
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '$serial'", 2, 'twice too often');
is_deeply([ map { $_->{answer} } grep { $_->{callback} eq $serial } $scene->partner->callbacks ], [qw(t f f)], 'and is told so');

# ---- late ones ----

is(call($serial, '{"late": true}'), 'f', 'a callback after the end');
is($scene->sql("SELECT workflow.fail('$serial', 'TOO_LATE', 'sorry')"), 'f', 'a failure after the end');
is($scene->sql("SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '$serial' AND (data = '{\"late\": true}' OR data @> '{\"code\": \"TOO_LATE\"}')"),
	2, 'are both on record');
is($scene->path($instance), $good, 'and move nothing');

# ---- a callback is part of its transaction ----

$instance = start('/accept?callback=none');
$scene->wait_for_state($instance, 'waiting');
$serial = $scene->serial($instance);
is($scene->sql("BEGIN; SELECT workflow.complete('$serial', '1'); ROLLBACK"), 't', 'a callback that is rolled back');
is($scene->sql("SELECT state FROM workflow.visits WHERE instance = $instance"), 'waiting', 'never happened');
is(call($serial, '2'), 't', 'and can be made again');
is_ended('after a rollback', $instance, $good, 1);

# ---- a callback while its caller's transaction goes on, and the reply comes meanwhile ----

$instance = start('/held?status=202');
$scene->wait_for_requests(1, $instance);
$serial = $scene->serial($instance);
my $answered = $scene->partner->stats->{'answered 202'} // 0;
my $session = $scene->node->background_psql('postgres');
is($session->query("BEGIN; SELECT workflow.complete('$serial', '\"slow caller\"')"), 't', 'a caller that takes its time');
$scene->let_go($instance);
wait_until(sub { $scene->partner->stats->{'answered 202'} > $answered }, 'the reply comes meanwhile');
is($scene->sql("SELECT state FROM workflow.visits WHERE instance = $instance"), 'calling', 'and waits');
$session->query('COMMIT');
$session->quit;
is_ended('a slow caller', $instance, $good, 1);
is($scene->data($instance)->{order}, ' reply callback', 'a slow caller: the reply is not lost');

$instance = start('/held?status=202');
$scene->wait_for_requests(1, $instance);
$serial = $scene->serial($instance);
$answered = $scene->partner->stats->{'answered 202'};
$session = $scene->node->background_psql('postgres');
$session->query("BEGIN; SELECT workflow.complete('$serial', '1')");
$scene->let_go($instance);
wait_until(sub { $scene->partner->stats->{'answered 202'} > $answered }, 'the reply comes while a caller has not committed');
$session->query('ROLLBACK');
$session->quit;
$scene->wait_for_state($instance, 'waiting');
is($scene->data($instance)->{order}, ' reply', 'who then rolls back: the reply is there');
is(call($serial, '2'), 't', 'and a callback is waited for');
is_ended('a caller that rolled back', $instance, $good, 1);

# ---- in each phase of cancelling ----

$scene->define('work', qq[{"steps": [
	{"step": "work", "http": {"url": "\${\$.url}", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
		"cancel": {"url": "\${\$.stop}", "headers": {"X-Instance": "\${\$instance}"}}, "catch": [{"on": "CANCELLED", "next": "after"}], "end": true},
	{"step": "after", "set": {"caught": "\${\$caught}"}, "ignore_cancel": true}]}]);
my %phase = (
	await   => [ '/held',                  '/stop' ],
	send    => [ '/accept?callback=none', '/held' ],
	confirm => [ '/accept?callback=none', '/stop' ]);
for my $way ('complete', 'fail', 'twenty')
{
	my %instance;
	for my $phase (sort keys %phase)
	{
		$instance{$phase} = $scene->start('work', { url => $scene->url($phase{$phase}[0]), stop => $scene->url($phase{$phase}[1]) });
		$scene->wait_for_requests(1, $instance{$phase});
		$scene->wait_for_state($instance{$phase}, 'waiting') if $phase ne 'await';
	}
	for my $phase (sort keys %phase)
	{
		my $sn = $scene->serial($instance{$phase});
		$scene->sql("SELECT workflow.cancel($instance{$phase})");
		is_soon($scene->node, 'postgres', "SELECT cancel_phase FROM workflow_data.visit WHERE instance = $instance{$phase}", $phase, "$phase: reached");
		if ($way eq 'twenty')
		{
			is(join('', sort { $a cmp $b } at_once(20, "SELECT workflow.complete('$sn', '{\"i\": :i}')")), 'f' x 19 . 't', "$phase: of twenty at once one is true");
			is($scene->sql("SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '$sn'"), 19, "$phase: the others are on record");
		}
		else
		{
			is($way eq 'fail' ? $scene->sql("SELECT workflow.fail('$sn', 'NO', 'no', '{\"i\": 1}')") : call($sn, '{"i": 1}'), 't', "$phase: $way is true");
			is(call($sn, '{"i": 2}'), 'f', "$phase: a second one is late");
			is(late($sn), '{"i": 2}', "$phase: and on record");
		}
		$scene->wait_for_requests(2, $instance{$phase}) if $phase ne 'await';
		$scene->let_go($instance{$phase}) if $phase ne 'confirm';
		is($scene->finish($instance{$phase}), 'aborted', "$phase: ends");
		my $work = $scene->history($instance{$phase}, 'work');
		is($work->{outcome}, 'CANCELLED', "$phase: it stays CANCELLED");
		my $i = $work->{result}{response}{i};
		ok($way eq 'twenty' ? $i && late($sn) !~ /\b$i\b/ : $i == 1, "$phase: the data of the one that counts are the response");
		is($scene->data($instance{$phase})->{caught}{result}{response}{i}, $i, "$phase: as the handler sees");
		is(call($sn, '{"i": 3}'), 'f', "$phase: after the end it is late");
		is(scalar($scene->requests($instance{$phase})), 2, "$phase: it was asked to stop, once");
	}
}

# ---- suspended ----

$scene->define('suspended', qq[{"steps": [
	{"step": "work", "http": {"url": "\${\$.url}", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true, "retry": {"max": 3, "delay": "1 hour"},
		"save_reply": {"status": "\${\$reply.status}"}, "save": {"i": "\${\$result.response.i}"}, "catch": [{"on": "NO", "next": "after"}]},
	{"step": "after", "set": {"after": true}}]}]);
my %suspended = (
	waiting  => [ '/accept?callback=none', 202 ],
	calling  => [ '/held',                 200 ],
	retrying => [ '/status/503',           undef ]);
for my $way ('complete', 'fail')
{
	my (%instance, %sn);
	for my $state (sort keys %suspended)
	{
		$instance{$state} = $scene->start('suspended', { url => $scene->url($suspended{$state}[0]) });
		$scene->wait_for_requests(1, $instance{$state});
		$scene->wait_for_state($instance{$state}, $state);
		is($scene->sql("SELECT workflow.suspend($instance{$state})"), 't', "$state: suspended");
		$sn{$state} = $scene->serial($instance{$state});
		is($way eq 'fail' ? $scene->sql("SELECT workflow.fail('$sn{$state}', 'NO', 'no', '{\"i\": 1}')") : call($sn{$state}, '{"i": 1}'), 't', "$state: $way is true");
		is(call($sn{$state}, '{"i": 2}'), 'f', "$state: a second one is late");
		is($scene->sql("SELECT workflow.heartbeat('$sn{$state}')"), 'f', "$state: what is done is not wanted any more");
	}
	$scene->let_go($instance{calling});
	is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance{calling}", 1, 'calling: its reply is kept');
	is($scene->sql('SELECT count(*) FROM workflow.visits WHERE instance IN (' . join(',', values %instance) . ')'), 3, 'nothing moves');
	for my $state (sort keys %suspended)
	{
		is($scene->sql("SELECT workflow.resume($instance{$state})"), 't', "$state: resumed");
		is($scene->finish($instance{$state}), 'completed', "$state: goes on");
		my $data = $scene->data($instance{$state});
		is($data->{i}, $way eq 'fail' ? undef : 1, "$state: with what was said") unless $way eq 'fail';
		is($data->{status}, $suspended{$state}[1], "$state: and what had been answered");
		is($scene->path($instance{$state}), 'work:' . ($way eq 'fail' ? 'FAILED' : 'SUCCESS') . ' after:SUCCESS', "$state: by the path that belongs to it");
		is(scalar($scene->requests($instance{$state})), 1, "$state: after one request");
	}
}

# ---- an earlier round of a loop ----

$scene->define('rounds', qq[{"data": {"n": 0}, "steps": [
	{"step": "work", "http": {"server": "partner", "path": "/accept?callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true, "save": {"n": "\${\$.n + 1}", "said": "\${\$result.response}"}},
	{"step": "again", "choose": [{"when": "\$.n < 3", "next": "work"}, {"next": "end"}]},
	{"step": "end", "end": true}]}]);
$instance = $scene->start('rounds');
my @rounds;
for my $n (1 .. 3)
{
	$scene->wait_for_requests($n, $instance);
	$scene->wait_for_state($instance, 'waiting');
	push @rounds, $scene->serial($instance);
	for my $before (@rounds[ 0 .. $#rounds - 1 ])
	{
		is(call($before, "\"for round $n\""), 'f', "round $n: a callback of an earlier one");
		is($scene->serial($instance), $rounds[-1], 'moves nothing');
	}
	is(call($rounds[-1], $n), 't', "round $n: its own");
}
is($scene->finish($instance), 'completed', 'three rounds');
is_deeply($scene->data($instance), { n => 3, said => 3 }, 'each with its own callback');
is(late($rounds[0]), '"for round 2" "for round 3"', 'the late ones are on record');
is(scalar(keys %{ { map { $_ => 1 } @rounds } }), 3, 'no number comes twice');

# ---- in the very same millisecond as the reply ----

$scene->define('race', qq[{"steps": [{"step": "work", "http": {"url": "\${\$.url}", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	"save_reply": {"status": "\${\$reply.status}"}, "save": {"receipt": "\${\$result.response.receipt}"}}]}]);
my $before = $scene->sql('SELECT count(*) FROM workflow.late_callbacks');
for my $path ('/accept', '/callback-first', '/accept?times=3')
{
	my $url = $scene->url($path);
	my @instances = split /\n/, $scene->sql("SELECT workflow.start('race', jsonb_build_object('url', '$url')) FROM generate_series(1, 100)");
	my $list = join(',', @instances);
	is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE instance IN ($list) AND status = 'completed'", 100, "$path: a hundred at once");
	is($scene->sql("SELECT count(*) FROM workflow.instances WHERE instance IN ($list) AND data->'status' = '202' AND data->>'receipt' LIKE 'r-' || instance || '\\_%'"), 100,
		"$path: all have their reply and their callback");
	is($scene->sql("SELECT count(*) FROM workflow.history WHERE instance IN ($list) AND outcome = 'SUCCESS' AND attempts = 1"), 100, "$path: each ended once");
}
is_soon($scene->node, 'postgres', 'SELECT count(*) FROM workflow.late_callbacks', $before + 200, 'two of three were late');

# ---- many in one statement ----

$scene->define('many', '{"steps": [{"step": "work", "wait": true, "save": {"i": "${$result.response.i ?? null}"}}]}');
$scene->sql(q[CREATE TABLE jobs (i int PRIMARY KEY, sn text, said boolean);
	WITH started AS MATERIALIZED (SELECT i, workflow.start('many') AS instance FROM generate_series(1, 3000) i) INSERT INTO jobs (i, sn) SELECT i, instance::text FROM started;
	UPDATE jobs j SET sn = w.serial_number FROM workflow.waiting w WHERE w.instance::text = j.sn]);
my $start = time();
$scene->sql(q[UPDATE jobs SET said = workflow.complete(sn, jsonb_build_object('i', i)) WHERE i <= 2000]);
my $took = time() - $start;
note(sprintf '2000 in one statement: %.2f s', $took);
cmp_ok($took, '<', 10, 'two thousand in one statement are fast');
is($scene->sql('SELECT count(*) FROM jobs WHERE said'), 2000, 'all are true');
is($scene->sql(q[SELECT count(*) FROM jobs JOIN workflow.instances ON instance::text = split_part(sn, '_', 1) WHERE status = 'completed' AND data->'i' = to_jsonb(i)]), 2000,
	'each with its own data');

# ---- many in one call, each with a verdict ----

my ($right, $wrong, $ended, $twice) = split /\n/, $scene->sql('SELECT sn FROM jobs WHERE i IN (2001, 2002, 2003, 2004) ORDER BY i');
$scene->sql("SELECT workflow.complete('$ended')");
my $calls = qq([
	{"serial_number": "$right", "data": {"i": 1}}, {"serial_number": "$wrong", "fail": {"code": "NO", "message": "no"}},
	{"serial_number": "$ended"}, {"serial_number": "5_"}, {"serial_number": "9223372036854775807_1"}, {"data": 1}, 5,
	{"serial_number": "$twice", "data": {"i": 4}}, {"serial_number": "$twice", "data": {"i": 5}}]);
my $verdicts = $scene->json("SELECT json_agg(v) FROM workflow.complete_many('$calls') v");
is($json->encode([ map { $_->{accepted} } @$verdicts ]), '[true,true,false,null,null,null,null,true,false]', 'a verdict for each');
is(join(' ', map { $_->{error_code} // '-' } @$verdicts[ 3 .. 5 ]), '22P02 42704 22023', 'with an error where there is none');
is_deeply([ map { $_->{serial_number} } @$verdicts[ 0 .. 4, 7, 8 ] ], [ $right, $wrong, $ended, '5_', '9223372036854775807_1', $twice, $twice ], 'in their order');
is($scene->sql("SELECT string_agg(status, ' ' ORDER BY instance) FROM workflow.instances WHERE instance::text IN (" . join(',', map { "split_part('$_', '_', 1)" } $right, $wrong, $twice) . ')'),
	'completed failed completed', 'one bad one does not take the others down');

# in opposite orders, by several at once: no deadlock, each accepted once
$scene->sql('CREATE TABLE verdicts AS SELECT * FROM workflow.complete_many(\'[]\')');
my $many = q[INSERT INTO verdicts SELECT * FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', sn, 'data', json_build_object('by', :i)))
	FROM (SELECT sn FROM jobs WHERE i BETWEEN 2101 AND 2500 ORDER BY CASE WHEN :i % 2 = 0 THEN i ELSE -i END) j))];
is(join('', at_once(6, $many)), '', 'six calls for the same four hundred, in opposite orders');
is($scene->sql('SELECT count(*), count(DISTINCT serial_number), count(*) FILTER (WHERE error IS NOT NULL) FROM verdicts WHERE accepted'), '400|400|0', 'each is accepted once');
is($scene->sql('SELECT count(*) FROM verdicts WHERE NOT accepted'), 2000, 'and refused to all others');

ok(!log_has($scene->node, qr/PANIC|was terminated by signal|deadlock detected|exited with exit code/), 'no worker has died of it');
$scene->node->stop;
done_testing();
