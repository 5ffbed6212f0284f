#
# Incidents: one for each visit that failed, however often it fails again; all ways to mend them, one by one and in bulk;
# warnings of visits that wait too long; the story of an instance.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('incidents', conf => "workflow.warn_waiting = 3\n");
my $H = '"headers": {' . Scene::HEADERS . '}';

sub incidents { return $scene->sql('SELECT count(*) FROM workflow.incidents' . ($_[0] ? " WHERE $_[0]" : '')) }

# ---- one for each visit ----

$scene->define('call', qq[{"steps": [{"step": "call", "http": {"url": "\${\$.url}", $H, "body": {"amount": "\${\$.amount ?? null}"}}, "wait": {"callback": true, "when": "\$reply.status == 202"}, "retry": {"max": 1},
	"save": {"said": "\${\$result.response}"}, "catch": [{"on": "KNOWN", "next": "handled"}], "end": true},
	{"step": "handled", "set": {"handled": "\${\$caught.error.message ?? null}"}}]}]);
my ($instance, $status) = $scene->run('call', { url => $scene->url('/status/404') });
is($status, 'failed', 'an instance with an incident has failed');
my $incident = $scene->incident($instance);
my $sn = $incident->{serial_number};
is_deeply([ @{$incident}{qw(process step outcome)}, $incident->{error}{http_status} ], [ 'call', 'call', 'SYSTEM_ERROR', 404 ], 'it says where and what');
for my $n (2 .. 4)
{
	is($scene->sql("BEGIN; SELECT workflow.retry('$sn'); SELECT status FROM workflow.instances WHERE instance = $instance; COMMIT"), "t\nactive",
		"taken up again: $n");
	$scene->wait_for_requests($n, $instance);
	is_soon($scene->node, 'postgres', "SELECT count(*), min(serial_number) FROM workflow.incidents WHERE instance = $instance", "1|$sn", 'it fails again: it is the same incident');
}
is(scalar(keys %{ { map { $_->{headers}{'idempotency-key'} => 1 } $scene->requests($instance) } }), 1, 'under the same key: it is the same visit');
is($scene->sql("SELECT workflow.heartbeat('$sn')"), 't', 'an incident lives');
like($scene->error("SELECT workflow.retry('$sn'), workflow.retry('$sn')"), qr/^55000/, 'it is no incident any more when it is taken up again');
is(incidents(), 1, 'which was rolled back');

# ---- ways out ----

# mended data
$scene->sql("SELECT workflow.set_data($instance, jsonb_build_object('url', '" . $scene->url('/say?body=7') . "', 'amount', 5)), workflow.retry('$sn')");
is($scene->finish($instance), 'completed', 'with mended data it succeeds');
is($scene->data($instance)->{said}, 7, 'and goes on');
like(($scene->requests($instance))[-1]{body}, qr/"amount": 5/, 'with what was mended');
is($scene->sql("SELECT workflow.retry('$sn')"), 'f', 'then it is too late');
is($scene->sql("SELECT DISTINCT ended_with, ended_by = current_user FROM workflow.attempts WHERE serial_number = '$sn' AND incident"), 'retry|t', 'who took it up is on record');
is(incidents(), 0, 'nothing is left');
is($scene->sql("SELECT count(*), count(*) FILTER (WHERE incident), string_agg(DISTINCT error->>'code', ' ') FROM workflow.attempts WHERE serial_number = '$sn'"), '8|4|404',
	'each of them is on record, beside the attempt that led to it');
is(scalar(() = $scene->sql("SELECT workflow.timeline($instance)") =~ /became an incident/g), 4, 'and in the story of the instance');

my %way = (
	skip     => [ q[workflow.skip('%s', '"skipped"')],                   'completed', 'call:SUCCESS', 'skipped' ],
	complete => [ q[workflow.complete('%s', '"by hand"')],               'completed', 'call:SUCCESS', 'by hand' ],
	fail     => [ q[workflow.fail('%s', 'KNOWN', 'by a person')],        'completed', 'call:FAILED handled:SUCCESS', undef ],
	'fail again' => [ q[workflow.fail('%s', 'UNKNOWN', 'by a person')],  'failed',    '', undef ],
	move     => [ q[workflow.move(split_part('%s', '_', 1)::bigint, 'call', 'handled')], 'completed', 'call:CANCELLED handled:SUCCESS', undef ],
	'cancel_visit' => [ q[workflow.cancel_visit('%s', 'no')],            'aborted',   'call:CANCELLED', undef ],
	cancel   => [ q[workflow.cancel(split_part('%s', '_', 1)::bigint)],  'aborted',   'call:CANCELLED', undef ]);
for my $way (sort keys %way)
{
	my ($call, $end, $path, $said) = @{ $way{$way} };
	my ($instance) = $scene->run('call', { url => $scene->url('/status/404') });
	my $sn = $scene->serial($instance);
	my $answer = $scene->sql('SELECT ' . sprintf($call, $sn));
	is($answer, $way eq 'move' ? $scene->sql("SELECT serial_number FROM workflow.history WHERE instance = $instance AND step = 'handled'") : 't', "$way: accepted");
	is($scene->finish($instance), $end, "$way: $end");
	is($scene->path($instance), $path, "$way: the path");
	is($scene->data($instance)->{said}, $said, "$way: the response") if $end eq 'completed';
	is($scene->data($instance)->{handled}, 'by a person', "$way: its handler knows why") if $way eq 'fail';
	is(scalar($scene->requests($instance)), 1, "$way: nothing is sent");
	is($scene->sql("SELECT ended_with, ended_by = current_user FROM workflow.attempts WHERE serial_number = '$sn' AND incident"),
		($way =~ s/ .*//r) . '|t', "$way: is on record");
	like($scene->sql("SELECT workflow.timeline($instance)"), qr/is no incident any more, after .*: \Q@{[ $way =~ s{ .*}{}r ]}\E by \w+/, "$way: is told");
	is(incidents("instance = $instance"), $way eq 'fail again' ? 1 : 0, "$way: incidents");
	is($scene->incident($instance)->{error}{code}, 'UNKNOWN', "$way: with the new error") if $way eq 'fail again';
	$scene->sql("SELECT workflow.cancel($instance)");
}

# a service may answer the same again under the same key
($instance) = $scene->run('call', { url => $scene->url('/status/404') });
$sn = $scene->serial($instance);
for (['', 1], [', new_key => true', 2], ['', 2], [', NULL', 2])
{
	my ($more, $keys) = @$_;
	my $sent = $scene->requests($instance);
	$scene->sql("SELECT workflow.retry('$sn'$more)");
	$scene->wait_for_requests($sent + 1, $instance);
	is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.incidents WHERE instance = $instance", 1, 'it fails again');
	is(scalar(keys %{ { map { $_->{headers}{'idempotency-key'} => 1 } $scene->requests($instance) } }), $keys, "retry$more: keys so far");
}
$scene->sql("SELECT workflow.cancel($instance)");

# incidents of every kind
$scene->define('kinds', qq[{"steps": [{"step": "call", "http": {"url": "\${\$.url}", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": {"callback": true, "when": "\$reply.status == 202"},
	"success": "!(\$result.response.status == \\"NO\\")", "timeout": "1 s", "heartbeat": "\${\$.heartbeat}"}]}]);
my %kind = (
	'FAILED' => [ '/say?body=%7B%22status%22%3A%22NO%22%7D', '1 h' ], 'TIMED_OUT' => [ '/accept?callback=none', '1 h' ],
	'DIED' => [ '/accept?callback=none', '0.3 s' ], 'SYSTEM_ERROR' => [ '/status/410', '1 h' ]);
my %kinds = map { $_ => $scene->start('kinds', { url => $scene->url($kind{$_}[0]), heartbeat => $kind{$_}[1] }) } keys %kind;
for (sort keys %kinds)
{
	is($scene->finish($kinds{$_}), 'failed', "$_ without a handler");
	is($scene->incident($kinds{$_})->{outcome}, $_, 'is an incident');
}
is($scene->sql("SELECT count(workflow.skip(serial_number)) FROM workflow.incidents WHERE process = 'kinds'"), 4, 'all of them are skipped in one statement');
is($scene->sql("SELECT count(*) FROM workflow.instances WHERE process = 'kinds' AND status = 'completed'"), 4, 'and go on');

# ---- in bulk ----

my ($bad, $down) = map { $scene->url($_) } '/status/404', '/status/500';
$scene->sql("SELECT workflow.start('call', jsonb_build_object('url', CASE WHEN i % 2 = 0 THEN '$bad' ELSE '$down' END)) FROM generate_series(1, 60) i");
is_soon($scene->node, 'postgres', "SELECT count(*) FILTER (WHERE error->>'http_status' = '404'), count(*) FROM workflow.incidents", '30|60', 'sixty incidents');
my $sent = $scene->partner->requests('/status');
is($scene->sql("SELECT count(*) FILTER (WHERE workflow.retry(serial_number)) FROM workflow.incidents WHERE error->>'http_status' = '404'"), 30, 'those of one kind are taken up again');
$scene->partner->wait_for($sent + 30, '/status');
is_soon($scene->node, 'postgres', "SELECT count(*) FILTER (WHERE error->>'http_status' = '404'), count(*) FROM workflow.incidents", '30|60', 'they fail again, and are as many as before');
is(scalar($scene->partner->requests('/status/500')), 60, 'the others have not been touched');
my $ok = $scene->url('/ok');
$scene->sql("SELECT workflow.set_data(instance, jsonb_build_object('url', '$ok')), workflow.retry(serial_number) FROM workflow.incidents");
is_soon($scene->node, 'postgres', 'SELECT count(*) FROM workflow.incidents', 0, 'mended and taken up again in one statement');
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE process = 'call'", 0, 'all go on');

# ---- who waits too long ----

my $session = $scene->node->background_psql('postgres');
$session->query_safe('LISTEN workflow');
$scene->define('slow', '{"steps": [{"step": "work", "wait": true}, {"step": "more", "wait": true}]}');
$scene->define('planned', '{"steps": [{"step": "rest", "wait": {"after": "1 hour"}}]}');
$scene->start('planned');
my $log = -s $scene->node->logfile;
my ($slow, $fast) = map { $scene->start('slow') } 1, 2;
my $slow_sn = $scene->serial($slow);
$scene->sql("SELECT workflow.complete('" . $scene->serial($_) . "')") for $fast, $fast;
wait_until(sub { log_has($scene->node, qr/LOG:\s+workflow: 1 visit has been waiting for long at step "work" of process "slow", since .*: \Q$slow_sn\E/, $log) }, 'the log tells of a visit that waits too long');
sleep 3.3;
is(count_in_log($scene->node, qr/been waiting for long/, $log), 1, 'once, and of no other');
my $told = $session->query('SELECT 1');
my @told = grep { /waiting_long/ } $told =~ /Asynchronous notification "workflow" with payload "(\{.*?\})" received/g;
is(scalar @told, 1, 'so does a notification');
my $payload = JSON::PP::decode_json($told[0] // '{}');
my $since = delete $payload->{since};
is_deeply($payload, { event => 'waiting_long', process => 'slow', step => 'work', count => 1, serial_numbers => [$slow_sn] }, 'which says what waits');
is($scene->sql("SELECT since = '$since' FROM workflow.waiting WHERE instance = $slow"), 't', 'and since when');
$scene->sql("SELECT workflow.complete('$slow_sn')");
wait_until(sub { count_in_log($scene->node, qr/been waiting for long/, $log) == 2 }, 'the next wait is warned of anew');
$session->quit;

# another value counts for those that wait already
sub set_warn_waiting
{
	$scene->node->append_conf('postgresql.conf', "workflow.warn_waiting = $_[0]");
	$scene->node->reload;
	is_soon($scene->node, 'postgres', 'SHOW workflow.warn_waiting', $_[1], "set to $_[0]");
}
my $warnings = q[SELECT count(*) FILTER (WHERE warn_at IS NOT NULL), count(*) FILTER (WHERE alarm_at IS DISTINCT FROM least(deadline, silence_at, handler_at, warn_at)) FROM workflow_data.visit];
set_warn_waiting(0, '0');
is_soon($scene->node, 'postgres', $warnings, '0|0', 'of those that wait nobody is warned any more');
$scene->define('many', '{"steps": [{"step": "wait", "wait": true, "timeout": "1 day", "heartbeat": "1 hour"}]}');
$scene->sql("SELECT count(workflow.start('many')) FROM generate_series(1, 2500)");
is($scene->sql($warnings), '0|0', 'nor of those that begin to');
set_warn_waiting(3600, '1h');
my $waits = $scene->sql("SELECT count(*) FROM workflow.waiting WHERE waits_for = 'callback'");
is_soon($scene->node, 'postgres', $warnings, "$waits|0", 'set anew, it counts for all that wait for the outside');
is($scene->sql("SELECT count(*) FROM workflow_data.visit WHERE warn_at <> waiting_since + interval '1 hour'"), 0, 'from the beginning of their wait');
$log = -s $scene->node->logfile;
my $old = $scene->start('slow');
my $old_sn = $scene->serial($old);
sleep 1.1;
set_warn_waiting(1, '1s');
wait_until(sub { log_has($scene->node, qr/waiting for long at step "\w+" of process "slow".*\Q$old_sn\E/, $log) }, 'one that has waited longer already is told of');
is_soon($scene->node, 'postgres', $warnings, '0|0', 'so are all the others');
cmp_ok(count_in_log($scene->node, qr/been waiting for long/, $log), '<', 20, '... together');
ok(!log_has($scene->node, qr/waiting for long at step "rest"/), 'those that wait for a clock are not');
$scene->define('own', '{"warn_waiting": "2 hours", "steps": [{"step": "late", "wait": true}, {"step": "never", "wait": true, "warn_waiting": "0"}]}');
my @own = map { $scene->start('own') } 1, 2;
$scene->sql("SELECT workflow.move($own[1], 'late', 'never')");
set_warn_waiting(7200, '2h');
$waits = $scene->sql("SELECT count(*) FROM workflow.waiting WHERE waits_for = 'callback'");
is_soon($scene->node, 'postgres', $warnings, $waits - 1 . '|0', 'a step that says never is left out');
set_warn_waiting(0, '0');
is_soon($scene->node, 'postgres', $warnings, '1|0', 'none, but');
is($scene->sql("SELECT warn_at - waiting_since FROM workflow_data.visit WHERE instance = $own[0]"), '02:00:00', '... one that has an interval of its own, which it keeps');
$scene->sql("SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process IN ('own', 'many', 'slow', 'planned') AND ended_at IS NULL");

# ---- the story ----

$scene->define('story', qq[{"steps": [{"step": "charge", "http": {"server": "partner", "path": "/flaky/accept?fail=1&callback=none", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	"retry": {"max": 2, "delay": "10 ms"}}, {"step": "ship", "http": {"server": "partner", "path": "/status/404", $H}}]}]);
$instance = $scene->start('story');
$scene->wait_for_state($instance, 'waiting');
my $charge = $scene->serial($instance);
$scene->sql("SELECT workflow.complete('$charge', '{\"receipt\": \"r-1\"}')");
is($scene->finish($instance), 'failed', 'a story');
$scene->sql("SELECT workflow.complete('$charge', '{\"receipt\": \"r-2\"}')");
my $story = $scene->sql("SELECT * FROM workflow.timeline($instance)");
note($story);
like($story, qr/charge.*503.*charge.*SUCCESS.*ship.*404/s, 'is told in its order: a failed attempt, a callback, an incident');
like($story, qr/\Q$charge\E/, 'with serial numbers');
like($story, qr/late|too late/i, 'and what came too late');
like($story, qr/charge.*attempt 1 failed with HTTP status 503.*attempt 2 succeeded with HTTP status 200.*SUCCESS .*was told: \{"receipt": "r-1"\}/s, 'all attempts, and what it was told');
like($story, qr/ship .*attempt 1 failed with HTTP status 404.*became an incident: SYSTEM_ERROR.*now +ship .*stands as an incident/s, 'when it became an incident');
my $ship = $scene->incident($instance)->{serial_number};
$scene->sql("SELECT workflow.retry('$ship')");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.attempts WHERE serial_number = '$ship' AND NOT incident", 2, 'taken up again, it fails again');
like($scene->sql("SELECT * FROM workflow.timeline($instance)"), qr/ship .*attempt 1 failed.*attempt 1, begun again by hand, failed/s, 'that it was begun again by hand');

ok(!log_has($scene->node, qr/PANIC|was terminated by signal|exited with exit code/), 'no worker has died of it');
$scene->node->stop;
done_testing();
