#
# Callbacks at bad moments: while the outside is being asked to stop, while suspended, for an earlier round of a loop, many
# at once, in one statement, in one call, in opposite orders.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run ();
use Scene;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $scene = Scene->new('fire', options => "max_in_flight '300', timeout '1 h'");
my $H = '"headers": {' . Scene::HEADERS . '}';
my $json = JSON::PP->new->canonical->allow_nonref;

sub complete { return $scene->sql("SELECT workflow.complete('$_[0]', '$_[1]')") }

sub late
{
	my ($sn) = @_;
	return $scene->sql("SELECT coalesce(string_agg(data::text, ' ' ORDER BY received_at), '') FROM workflow.late_callbacks WHERE serial_number = '$sn'");
}

# So many psql at once; their answers, sorted.
sub at_once
{
	my ($n, $sql) = @_;
	my (@answer, @run);
	for my $i (1 .. $n)
	{
		(my $mine = $sql) =~ s/:i\b/$i/g;
		push @run, IPC::Run::start([ 'psql', '-XAtq', '-d', $scene->node->connstr('postgres'), '-c', $mine ], '<', \undef, '>', \$answer[$i], '2>', \$answer[$i]);
	}
	$_->finish for @run;
	return join('', sort map { s/\s+$//r } @answer[ 1 .. $n ]);
}

# ---- in each phase of cancelling ----

$scene->define('work', qq[{"steps": [
	{"step": "work", "http": {"url": "\${\$.url}", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
		"cancel": {"url": "\${\$.stop}", "headers": {"X-Instance": "\${\$instance}"}}, "catch": [{"on": "CANCELLED", "next": "after"}], "end": true},
	{"step": "after", "set": {"caught": "\${\$caught}"}, "ignore_cancel": true}]}]);
my %phase = (
	await   => [ '/delay?s=2.5',           '/stop' ],
	send    => [ '/accept?callback=none', '/delay?s=1.5' ],
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
			is(at_once(20, "SELECT workflow.complete('$sn', '{\"i\": :i}')"), 'f' x 19 . 't', "$phase: of twenty at once one is true");
			is($scene->sql("SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '$sn'"), 19, "$phase: the others are on record");
		}
		else
		{
			is($way eq 'fail' ? $scene->sql("SELECT workflow.fail('$sn', 'NO', 'no', '{\"i\": 1}')") : complete($sn, '{"i": 1}'), 't', "$phase: $way is true");
			is(complete($sn, '{"i": 2}'), 'f', "$phase: a second one is late");
			is(late($sn), '{"i": 2}', "$phase: and on record");
		}
		is($scene->finish($instance{$phase}), 'aborted', "$phase: ends");
		my $work = $scene->history($instance{$phase}, 'work');
		is($work->{outcome}, 'CANCELLED', "$phase: it stays CANCELLED");
		my $i = $work->{result}{response}{i};
		ok($way eq 'twenty' ? $i && late($sn) !~ /\b$i\b/ : $i == 1, "$phase: the data of the one that counts are the response");
		is($scene->data($instance{$phase})->{caught}{result}{response}{i}, $i, "$phase: as the handler sees");
		is(complete($sn, '{"i": 3}'), 'f', "$phase: after the end it is late");
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
	calling  => [ '/delay?s=2',            200 ],
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
		is($way eq 'fail' ? $scene->sql("SELECT workflow.fail('$sn{$state}', 'NO', 'no', '{\"i\": 1}')") : complete($sn{$state}, '{"i": 1}'), 't', "$state: $way is true");
		is(complete($sn{$state}, '{"i": 2}'), 'f', "$state: a second one is late");
		is($scene->sql("SELECT workflow.heartbeat('$sn{$state}')"), 'f', "$state: what is done is not wanted any more");
	}
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
my $instance = $scene->start('rounds');
my @rounds;
for my $n (1 .. 3)
{
	$scene->wait_for_requests($n, $instance);
	$scene->wait_for_state($instance, 'waiting');
	push @rounds, $scene->serial($instance);
	for my $before (@rounds[ 0 .. $#rounds - 1 ])
	{
		is(complete($before, "\"for round $n\""), 'f', "round $n: a callback of an earlier one");
		is($scene->serial($instance), $rounds[-1], 'moves nothing');
	}
	is(complete($rounds[-1], $n), 't', "round $n: its own");
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

$scene->define('job', '{"steps": [{"step": "work", "wait": true, "save": {"i": "${$result.response.i ?? null}"}}]}');
$scene->sql(q[CREATE TABLE jobs (i int PRIMARY KEY, sn text, said boolean);
	WITH started AS MATERIALIZED (SELECT i, workflow.start('job') AS instance FROM generate_series(1, 3000) i) INSERT INTO jobs (i, sn) SELECT i, instance::text FROM started;
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

my ($good, $bad, $ended, $twice) = split /\n/, $scene->sql('SELECT sn FROM jobs WHERE i IN (2001, 2002, 2003, 2004) ORDER BY i');
$scene->sql("SELECT workflow.complete('$ended')");
my $calls = qq([
	{"serial_number": "$good", "data": {"i": 1}}, {"serial_number": "$bad", "fail": {"code": "NO", "message": "no"}},
	{"serial_number": "$ended"}, {"serial_number": "5_"}, {"serial_number": "9223372036854775807_1"}, {"data": 1}, 5,
	{"serial_number": "$twice", "data": {"i": 4}}, {"serial_number": "$twice", "data": {"i": 5}}]);
my $verdicts = $scene->json("SELECT json_agg(v) FROM workflow.complete_many('$calls') v");
is($json->encode([ map { $_->{accepted} } @$verdicts ]), '[true,true,false,null,null,null,null,true,false]', 'a verdict for each');
is(join(' ', map { $_->{error_code} // '-' } @$verdicts[ 3 .. 5 ]), '22P02 42704 22023', 'with an error where there is none');
is_deeply([ map { $_->{serial_number} } @$verdicts[ 0 .. 4, 7, 8 ] ], [ $good, $bad, $ended, '5_', '9223372036854775807_1', $twice, $twice ], 'in their order');
is($scene->sql("SELECT string_agg(status, ' ' ORDER BY instance) FROM workflow.instances WHERE instance::text IN (" . join(',', map { "split_part('$_', '_', 1)" } $good, $bad, $twice) . ')'),
	'completed failed completed', 'one bad one does not take the others down');

# in opposite orders, by several at once: no deadlock, each accepted once
$scene->sql('CREATE TABLE verdicts AS SELECT * FROM workflow.complete_many(\'[]\')');
my $many = q[INSERT INTO verdicts SELECT * FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', sn, 'data', json_build_object('by', :i)))
	FROM (SELECT sn FROM jobs WHERE i BETWEEN 2101 AND 2500 ORDER BY CASE WHEN :i % 2 = 0 THEN i ELSE -i END) j))];
is(at_once(6, $many), '', 'six calls for the same four hundred, in opposite orders');
is($scene->sql('SELECT count(*), count(DISTINCT serial_number), count(*) FILTER (WHERE error IS NOT NULL) FROM verdicts WHERE accepted'), '400|400|0', 'each is accepted once');
is($scene->sql('SELECT count(*) FROM verdicts WHERE NOT accepted'), 2000, 'and refused to all others');

ok(!log_has($scene->node, qr/PANIC|was terminated by signal|deadlock detected|exited with exit code/), 'no worker has died of it');
$scene->node->stop;
done_testing();
