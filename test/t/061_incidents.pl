#
# Incidents: one for each visit that failed, however often it fails again; all ways to mend them, one by one and in bulk, and who
# may; data that are mended during a pause or a request; the story of an instance.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('incidents');
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
	move     => [ q[workflow.move('%s', 'handled')], 'completed', 'call:CANCELLED handled:SUCCESS', undef ],
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

# ---- data that are mended ----

$scene->define('job', <<"EOD");
{ "steps": [ { "step": "job",
    "http": { "server": "partner", "url": "\${\$.url}", "timeout": "30 s", $H, "body": { "n": "\${\$.n}", "attempt": "\${\$attempt}" } },
    "save_reply": { "replied": true },
    "wait": { "callback": true, "when": "\$reply.status == 202" },
    "success": "\$.bad != true || \$reply == null", "save": { "response": "\${\$result.response}" },
    "retry": { "max": 20, "delay": "2 s" }, "next": "done" },
  { "step": "done", "set": { "done": true } } ],
  "data": { "n": 1, "bad": false } }
EOD
$scene->define('once', <<"EOD");
{ "steps": [ { "step": "job",
    "http": { "server": "partner", "url": "\${\$.url}", $H, "body": { "n": "\${\$.n}", "attempt": "\${\$attempt}" } },
    "success": "\$result.response.ok == true", "save": { "response": "\${\$result.response}" }, "retry": { "max": 1 } },
  { "step": "done", "set": { "done": true } } ],
  "data": { "n": 1 } }
EOD

sub start_job
{
	my ($path, %data) = @_;
	return $scene->start('job', { url => $scene->url($path), %data });
}

sub body { return JSON::PP::decode_json($_[0]{body}) }

# during a pause: the next attempt sends what was mended
$instance = start_job('/flaky?fail=1', n => 'wrong');
my ($first) = $scene->wait_for_requests(1, $instance);
is(body($first)->{n}, 'wrong', 'the first attempt');
$scene->wait_for_state($instance, 'retrying');
is($scene->sql("SELECT workflow.set_data($instance, '{\"n\": \"right\"}')"), 't', 'the data are mended during the pause');
is($scene->finish($instance), 'completed', 'it goes on');
my @requests = $scene->requests($instance);
is(body($requests[-1])->{n}, 'right', 'the next attempt sends the mended data');
is($requests[-1]{headers}{'idempotency-key'}, $first->{headers}{'idempotency-key'}, 'under the same key');

# also the URL
$instance = start_job('/status/503');
$scene->wait_for_state($instance, 'retrying');
$scene->sql("SELECT workflow.set_data($instance, jsonb_build_object('url', '" . $scene->url('/ok') . "'))");
is($scene->finish($instance), 'completed', 'mended data may lead elsewhere');

# while the request is under way: neither is lost
$instance = start_job('/held');
$scene->wait_for_requests(1, $instance);
$scene->sql("SELECT workflow.set_data($instance, '{\"meanwhile\": true}')");
$scene->let_go($instance);
$scene->finish($instance);
is_deeply([ @{ $scene->data($instance) }{qw(meanwhile replied done)} ], [ (JSON::PP::true) x 3 ], 'set_data while the request is under way');
is($scene->sql("SELECT workflow.set_data($instance, '{\"x\": 1}')"), 'f', 'set_data after the end');

# ---- taken up again ----

sub once { return $scene->start('once', { url => $scene->url($_[0]) }) }

$instance = once('/flaky?fail=3');
is($scene->finish($instance), 'failed', 'an incident');
my $before = $scene->incident($instance);
is($before->{outcome}, 'SYSTEM_ERROR', 'of this outcome');
is($before->{error}{attempt}, 2, 'after two attempts');
is($scene->sql("SELECT count(*) FROM workflow.history WHERE instance = $instance"), 0, 'it is no history yet');
is($scene->sql("SELECT workflow.retry('$before->{serial_number}')"), 't', 'retry');
is($scene->finish($instance), 'completed', 'mends it');
@requests = $scene->requests($instance);
is(scalar @requests, 4, 'with all its attempts');
is_deeply([ map { body($_)->{attempt} } @requests ], [ 1, 2, 1, 2 ], 'counted anew');
is(scalar(keys %{ { map { $_->{headers}{'idempotency-key'} => 1 } @requests } }), 1, 'under the same key');
is($scene->history($instance, 'job')->{outcome}, 'SUCCESS', 'history knows the end');
is($scene->sql("SELECT status FROM workflow.instances WHERE instance = $instance"), 'completed', 'the instance is completed');
is($scene->sql("SELECT workflow.retry('$before->{serial_number}')"), 'f', 'a visit that has ended is not retried');

$instance = once('/status/404');
$scene->finish($instance);
my $serial = $scene->serial($instance);
is($scene->sql("SELECT workflow.set_data($instance, jsonb_build_object('url', '" . $scene->url('/echo?x=1') . "'))"), 't', 'the data of an incident are mended');
is($scene->sql("SELECT status FROM workflow.instances WHERE instance = $instance"), 'failed', 'which alone does nothing');
$scene->sql("SELECT workflow.retry('$serial')");
is($scene->finish($instance), 'failed', 'a retry that ends badly again');
is($scene->incident($instance)->{outcome}, 'FAILED', 'in another way');
is($scene->incident($instance)->{serial_number}, $serial, 'is the same incident');

# ---- skipped ----

is($scene->sql("SELECT workflow.skip('$serial', '{\"by\": \"hand\"}')"), 't', 'skip');
is($scene->finish($instance), 'completed', 'goes on');
is_deeply([ @{ $scene->data($instance) }{qw(response done)} ], [ { by => 'hand' }, JSON::PP::true ], 'with the data as response, whatever "success" says');
is($scene->history($instance, 'job')->{outcome}, 'SUCCESS', 'as a success');
is(scalar($scene->requests($instance)), 2, 'without another request');
is($scene->sql("SELECT workflow.skip('$serial')"), 'f', 'once');

$instance = start_job('/say?status=202');
$scene->wait_for_state($instance, 'waiting');
$serial = $scene->serial($instance);
like($scene->error("SELECT workflow.retry('$serial')"), qr/^55000: /, 'what is no incident is not retried');
like($scene->error("SELECT workflow.skip('$serial')"),  qr/^55000: /, 'nor skipped');
like($scene->error("SELECT workflow.retry('987654321_1')"), qr/^42704: /, 'nor what never was');
like($scene->error("SELECT workflow.skip('nonsense')"), qr/^22P02: /, 'nor nonsense');

# ---- who may ----

$scene->sql(q[CREATE ROLE worker LOGIN; CREATE ROLE boss LOGIN; GRANT USAGE ON SCHEMA workflow TO worker, boss;
	SELECT workflow.grant_process('job', 'worker', 'complete'), workflow.grant_process('job', 'boss', 'admin')]);
$incident = start_job('/status/404');
$scene->finish($incident);
my $broken = $scene->serial($incident);
like($scene->error("SET ROLE worker; SELECT workflow.$_"), qr/^42501: /, "a worker may not $_")
  for "retry('$broken')", "skip('$broken')", "cancel($incident)", "set_data($incident, '{}')";
is($scene->sql("SET ROLE worker; SELECT workflow.complete('$serial')"), 't', 'but complete');
is($scene->sql("SET ROLE boss; SELECT workflow.skip('$broken')"), 't', 'an admin may skip');
is($scene->finish($incident), 'completed', 'and it goes on');

# ---- of an outage ----

my @many = split /\n/, $scene->sql("SELECT workflow.start('once', jsonb_build_object('url', '" . $scene->url('/flaky?fail=2') . "')) FROM generate_series(1, 50)");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.incidents WHERE process = 'once'", 50, 'fifty incidents');
is($scene->sql("SELECT count(*) FROM workflow.incidents WHERE process = 'once' AND workflow.skip(serial_number, '{\"ok\": true}')"), 50, 'skipped in one statement');
is($scene->sql("SELECT count(*) FROM workflow.instances WHERE instance >= $many[0] AND status = 'completed'"), 50, 'go on in that transaction');

# another way to mend them all, and completed by hand
$scene->define('found', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/status/\${\$.status}", $H}}]}]);
my @missing = map { $scene->start('found', { status => 404 }) } 1 .. 20;
my @gone = map { $scene->start('found', { status => 410 }) } 1 .. 5;
is($scene->finish($_), 'failed', "instance $_ has an incident") for $missing[-1], $gone[-1];
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.incidents WHERE process = 'found'", 25, 'incidents');
is($scene->sql("SELECT count(*) FILTER (WHERE workflow.set_data(instance, '{\"status\": 200}')) FROM workflow.incidents WHERE error->>'http_status' = '404'"), 20, 'mended in bulk');
is($scene->sql("SELECT count(*) FILTER (WHERE workflow.retry(serial_number)) FROM workflow.incidents WHERE error->>'http_status' = '404'"), 20, 'and retried');
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'found' AND status = 'completed'", 20, 'all of them');
is($scene->sql("SELECT count(*) FROM workflow.incidents WHERE process = 'found'"), 5, 'no others');
is($scene->sql("SELECT count(*) FROM workflow.complete_many((SELECT json_agg(json_build_object('serial_number', serial_number)) FROM workflow.incidents WHERE process = 'found')) WHERE accepted"),
	5, 'completed by hand');
is($scene->finish($_), 'completed', "instance $_ is done") for $gone[0], $gone[-1];
is($scene->history($gone[0], 'call')->{attempts}, 1, 'with its attempts on record');

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
