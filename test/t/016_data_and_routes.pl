#
# How replies and callbacks get into the data and decide where a token goes: save_reply, save, when, success, choose, catch,
# end, loops, defaults; and two versions of a process side by side.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('routes');
my $H = '"headers": {' . Scene::HEADERS . '}';
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

# A step that asks for $.say and its status.
sub ask
{
	my ($more) = @_;
	return qq["http": {"server": "partner", "path": "/say", "query": {"body": "\${\$.say}", "status": "\${\$.status}"}, $H}$more];
}

my $n = 0;

# Define, run; data and path
sub outcome
{
	my ($steps, $data, $more) = @_;
	my $name = 'process ' . ++$n;
	$scene->define($name, qq[{"steps": [$steps]] . ($more ? ", $more" : '') . '}');
	my ($instance, $status) = $scene->run($name, { status => 200, say => '{}', %{ $data // {} } });
	return ($scene->data($instance), $scene->path($instance), $status, $instance);
}

my ($data, $path, $status, $instance);

# ---- save_reply, save, set ----

($data) = outcome('{"step": "a", ' . ask(
		', "save_reply": {"reply": "${$reply.body.x}", "order": "reply ${$.order}"}, "save": {"result": "${$result.response.x}", "order": "save ${$.order}", "before": "${$.reply}"}') . '}',
	{ say => '{"x": [1]}', order => 'start' });
is_deeply([ @$data{qw(reply result before order)} ], [ [1], [1], [1], 'save reply start' ], 'save_reply comes first, save sees it');

($data) = outcome('{"step": "a", ' . ask(', "save": true') . '}', { say => '{"x": 1, "y": {"z": 2}, "keep": "new"}', keep => 'old', y => { a => 1 } });
is_deeply([ @$data{qw(x y keep)} ], [ 1, { z => 2 }, 'new' ], 'save: true merges the top-level keys');
($data) = outcome('{"step": "a", ' . ask(', "save": true') . '}', { say => '[1, 2]' });
is_deeply($data, { status => 200, say => '[1, 2]' }, 'but only of an object');
($data) = outcome('{"step": "a", ' . ask('') . '}', { say => '{"x": 1}' });
is_deeply($data, { status => 200, say => '{"x": 1}' }, 'without save nothing gets into the data');
($data) = outcome('{"step": "a", "set": {"x": {"y": ["${$.say}"]}, "n": null, "gone": "${$.missing ?? null}"}}, {"step": "b", "set": {"z": "${$.x.y[0]}!"}}', { say => 'hello' });
is_deeply([ @$data{qw(x n gone z)} ], [ { y => ['hello'] }, undef, undef, 'hello!' ], 'set changes data, what is missing is what the template says');
is($n && exists $data->{gone}, 1, 'a null that is there');

# ---- success ----

my $judged = '{"step": "a", ' . ask(', "success": "$result.response.ok == true", "save": {"saved": true}, "catch": [{"on": "FAILED", "next": "failed"}], "next": "good"')
  . '}, {"step": "good", "set": {"good": true}, "end": true}, {"step": "failed", "set": {"caught": "${$caught}"}, "end": true}';
($data, $path) = outcome($judged, { say => '{"ok": true}' });
is($path, 'a:SUCCESS good:SUCCESS', 'success is true');
($data, $path, $status) = outcome($judged, { say => '{"ok": false}' });
is($path, 'a:FAILED failed:SUCCESS', 'success is false');
is($data->{saved}, undef, 'nothing was saved');
is($data->{caught}{step}, 'a', 'the handler sees what was caught: the step');
is_deeply($data->{caught}{result}{response}, { ok => $false }, 'its result');
is($data->{caught}{error}{code}, 'FAILED', 'the error');
like($data->{caught}{serial_number}, qr/^\d+_\d+$/, 'and the serial number');
is($status, 'completed', 'the instance has ended well');
($data, $path) = outcome($judged, { say => '{}' });
is($path, 'a:FAILED failed:SUCCESS', 'a missing field makes it false');
($data, $path, $status, $instance) =
  outcome('{"step": "a", ' . ask(', "success": "$result.response.ok"') . '}', { say => '{"ok": "yes"}' });
is($scene->incident($instance)->{outcome}, 'SYSTEM_ERROR', 'a value that is no Boolean is a SYSTEM_ERROR');
($data, $path) = outcome('{"step": "a", ' . ask(', "success": "$.limit > $reply.body.n && $reply.status == 200"') . '}', { say => '{"n": 5}', limit => 6 });
is($path, 'a:SUCCESS', 'success may look at data and reply');

# ---- choose ----

my $choose = '{"step": "a", ' . ask(', "save": {"n": "${$result.response.n}"}, "choose": [{"when": "$.n > 10", "next": "many"}, {"when": "$reply.body.n > 5", "next": "some"}, {"next": "few"}]')
  . '}, ' . join(', ', map { qq({"step": "$_", "end": true}) } qw(many some few));
for ([ 20, 'many' ], [ 7, 'some' ], [ 1, 'few' ], [ 'null', 'few' ])
{
	($data, $path) = outcome($choose, { say => qq({"n": $_->[0]}) });
	is($path, "a:SUCCESS $_->[1]:SUCCESS", "choose with $_->[0]");
}
($data, $path, $status, $instance) =
  outcome('{"step": "a", "set": {"x": 1}, "choose": [{"when": "$.y == 1", "next": "b"}]}, {"step": "b", "end": true}');
is($scene->incident($instance)->{outcome}, 'SYSTEM_ERROR', 'no branch is true');
is($scene->incident($instance)->{error}{code}, 'choose', 'and that is what the error says');

# ---- catch ----

sub caught
{
	my ($on, $data, $more) = @_;
	my (undef, $path, $status) = outcome('{"step": "a", ' . ask(($more // '') . qq(, "catch": [$on], "end": true)) . '}, {"step": "h", "end": true}, {"step": "i", "end": true}', $data);
	return "$path $status";
}

my %bad = (status => 404);
is(caught('{"on": "SYSTEM_ERROR", "next": "h"}, {"on": "FAILED", "next": "i"}', \%bad), 'a:SYSTEM_ERROR h:SUCCESS completed', 'caught by outcome');
is(caught('{"on": "404", "next": "h"}, {"on": "*", "next": "i"}', \%bad), 'a:SYSTEM_ERROR h:SUCCESS completed', 'caught by code');
is(caught('{"on": 404, "next": "h"}, {"on": "*", "next": "i"}', \%bad), 'a:SYSTEM_ERROR h:SUCCESS completed', 'caught by a number');
is(caught('{"on": ["5xx", "3xx"], "next": "h"}, {"on": "4XX", "next": "i"}', \%bad), 'a:SYSTEM_ERROR i:SUCCESS completed', 'caught by the class of its status');
is(caught('{"on": ["connect", "4xx"], "next": "h"}, {"on": "FAILED", "next": "i"}', { status => 503 }), ' failed', 'not caught by another class');
is(caught('{"on": "409", "next": "h"}, {"on": "*", "next": "i"}', \%bad), 'a:SYSTEM_ERROR i:SUCCESS completed', 'caught by anything');
is(caught('{"on": ["409", "SYSTEM_ERROR"], "next": "h"}, {"on": "*", "next": "i"}', \%bad), 'a:SYSTEM_ERROR h:SUCCESS completed', 'caught by one of a list');
is(caught('{"on": ["FAILED", "TIMED_OUT"], "next": "h"}, {"on": "CANCELLED", "next": "i"}', \%bad), ' failed', 'not caught');
is(caught('{"on": "FAILED", "next": "h"}, {"on": "*", "next": "i"}', {}, ', "success": "false"'), 'a:FAILED h:SUCCESS completed', 'FAILED is caught');

# a callback's code, and what the handler's steps see as they go on
$scene->define('called back', qq[{"steps": [
	{"step": "a", "http": {"server": "partner", "path": "/accept", "query": {"fail": "\${\$.code}"}, $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	 "catch": [{"on": "REJECTED", "next": "rejected"}, {"on": "FAILED", "next": "failed"}]},
	{"step": "end", "end": true},
	{"step": "rejected", "set": {"message": "\${\$caught.error.message}", "response": "\${\$caught.result.callback_response}"}, "next": "then"},
	{"step": "failed", "set": {"code": "\${\$caught.error.code}"}, "end": true},
	{"step": "then", "set": {"still": "\${\$caught.step}"}, "end": true}]}]);
($instance) = $scene->run('called back', { code => 'REJECTED' });
is($scene->path($instance), 'a:FAILED rejected:SUCCESS then:SUCCESS', 'the code that fail() gave is caught');
is_deeply([ @{ $scene->data($instance) }{qw(message still)} ], [ 'the partner says no', 'a' ], 'with its message, all along the way');
($instance) = $scene->run('called back', { code => 'OTHER' });
is($scene->path($instance), 'a:FAILED failed:SUCCESS', 'another code is caught by the outcome');
is($scene->data($instance)->{code}, 'OTHER', 'which keeps it');

# a handler may fail too, and a handler's handler
($data, $path, $status) = outcome('{"step": "a", ' . ask(', "catch": [{"on": "*", "next": "b"}], "end": true') . '}, {"step": "b", '
	  . ask(', "catch": [{"on": "*", "next": "c"}], "end": true') . '}, {"step": "c", "set": {"who": "${$caught.step}"}}', { status => 404 });
is($path, 'a:SYSTEM_ERROR b:SYSTEM_ERROR c:SUCCESS', 'a handler that fails is caught in its turn');
is($data->{who}, 'b', 'as what it is');

# ---- ends ----

($data, $path, $status, $instance) = outcome('{"step": "a", "set": {"x": 1}, "end": {"error": "NO_STOCK", "message": "none of ${$.what}"}}', { what => 'it' });
is($status, 'aborted', 'an error that nobody catches aborts the instance');
is_deeply([ @{ $scene->reason($instance) }{qw(code message)} ], [ 'NO_STOCK', 'none of it' ], 'and is on record');
($data, $path, $status, $instance) = outcome('{"step": "a", "set": {"x": 1}, "end": {"abort": "not today"}}');
is($status, 'aborted', 'so does an abort');
is($scene->reason($instance)->{message}, 'not today', 'with its reason');
($data, $path, $status) = outcome('{"step": "a", "set": {"x": 1}, "end": true}, {"step": "b"}, {"step": "c", "next": "a"}', {}, '"start": "b"');
is($path, 'b:SUCCESS c:SUCCESS a:SUCCESS', 'a start that is not the first, a route backwards');

# ---- loops ----

($data, $path) = outcome('{"step": "ask", "http": {"server": "partner", "path": "/count/${$.n}", ' . $H . '}, "save": {"n": "${$.next}"}},'
	  . '{"step": "more", "sql": "SELECT (visit.data->>\'n\')::int + 1 AS n", "save": {"n": "${$reply.row.n}", "next": "${$reply.row.n}"},'
	  . '"choose": [{"when": "$.n <= 5", "next": "ask"}, {"next": "done"}]}, {"step": "done", "end": true}', { n => 1, next => 1 });
is(scalar(() = $path =~ /ask:SUCCESS/g), 5, 'a loop over a service');
is_deeply([ map { $_->{path} } $scene->partner->requests('/count') ], [ map { "/count/$_" } 1 .. 5 ], 'in order');
($data, $path, $status) = outcome('{"step": "a", "set": {"n": "${$.n + 1}"}, "choose": [{"when": "$.n >= 2500", "next": "b"}, {"next": "a"}]}, {"step": "b"}', { n => 0 });
is($status, 'completed', 'a loop of 2500 steps that need nobody');
is($data->{n}, 2500, 'each of them done');
is(scalar(() = $path =~ /a:SUCCESS/g), 2500, 'and in the history');

# ---- when ----

$scene->define('maybe', '{"steps": [{"step": "a", ' . ask(', "wait": {"callback": true, "when": "$reply.status == 202"}, "save": {"response": "${$result.response}", "initial": "${$result.initial_response}"}') . '}]}');
($instance, $status) = $scene->run('maybe', { status => 200, say => '{"x": 1}' });
is($status, 'completed', '200 is already the answer');
is_deeply($scene->data($instance)->{response}, { x => 1 }, 'and the response');
$instance = $scene->start('maybe', { status => 202, say => '{"x": 1}' });
$scene->wait_for_state($instance, 'waiting');
is($scene->sql("SELECT workflow.complete(serial_number, '[3]') FROM workflow.waiting WHERE instance = $instance"), 't', '202 waits');
is($scene->finish($instance), 'completed', 'for the callback');
is_deeply([ @{ $scene->data($instance) }{qw(response initial)} ], [ [3], { x => 1 } ], 'which is the response then');
$instance = $scene->start('maybe', { status => 202, say => '{}' });
$scene->wait_for_state($instance, 'waiting');
$scene->sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $instance");
is($scene->finish($instance), 'completed', 'a callback without data');
is($scene->data($instance)->{response}, undef, 'has null as its response');

# ---- data ----

$scene->define('defaults', '{"data": {"a": 1, "b": {"c": 2}, "d": null}, "steps": [{"step": "s"}]}');
($instance) = $scene->run('defaults', { b => { x => 1 }, e => 5 });
is_deeply($scene->data($instance), { a => 1, b => { x => 1 }, d => undef, e => 5 }, 'defaults lie under the data given');
$instance = $scene->sql("SELECT workflow.start('defaults')");
is_deeply($scene->data($instance), { a => 1, b => { c => 2 }, d => undef }, 'and are all there is without');

# ---- versions ----

my $v1 = qq[{"steps": [{"step": "a", "http": {"server": "partner", "path": "/one", $H}, "wait": true, "next": "b"}, {"step": "b", "http": {"server": "partner", "path": "/two", $H}}]}];
my $v2 = qq[{"steps": [{"step": "a", "http": {"server": "partner", "path": "/uno", $H}, "wait": true, "next": "c"}, {"step": "c", "http": {"server": "partner", "path": "/due", $H}}]}];
is($scene->define('versions', $v1), 1, 'a first version');
my @old = map { $scene->start('versions') } 1 .. 3;
$scene->wait_for_state($_, 'waiting') for @old;
is($scene->define('versions', $v1), 1, 'the same once more is the same version');
is($scene->define('versions', $v2), 2, 'a second version');
my $new = $scene->start('versions');
my $chosen = $scene->sql("SELECT workflow.start('versions', version => 1)");
$scene->wait_for_state($_, 'waiting') for $new, $chosen;
is($scene->sql("SELECT string_agg(version::text, ' ' ORDER BY instance) FROM workflow.instances WHERE process = 'versions'"), '1 1 1 2 1',
	'each instance says which it follows');
$scene->sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE process = 'versions'");
is($scene->finish($_), 'completed', 'an old one ends') for @old, $chosen;
is($scene->finish($new), 'completed', 'a new one ends');
is($scene->path($old[0]), 'a:SUCCESS b:SUCCESS', 'an old one by the old steps');
is($scene->path($chosen), 'a:SUCCESS b:SUCCESS', 'so does one that was started so');
is($scene->path($new), 'a:SUCCESS c:SUCCESS', 'a new one by the new steps');
is_deeply([ map { $_->{path} } $scene->requests($old[2]) ], [ '/one', '/two' ], 'with the old requests');
is_deeply([ map { $_->{path} } $scene->requests($new) ], [ '/uno', '/due' ], 'and with the new ones');
is($scene->sql("SELECT string_agg(version || ':' || latest, ' ' ORDER BY version) FROM workflow.processes WHERE process = 'versions'"), '1:false 2:true',
	'both are there');

$scene->node->stop;
done_testing();
