#
# Messages and signals at every moment: before the reply, with a reply that fails, during a pause, while a statement runs, while
# suspended, before a crash. What was delivered is the end of its visit, once; handlers interrupt what is under way.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('events', options => "timeout '1 h'", conf => "wal_writer_delay = 10s\n");
my $H = '"headers": {' . Scene::HEADERS . '}';

# A step with a request, whose event may come at any time, though it is not waited for if the reply says so.
sub step
{
	my ($event) = @_;
	return qq[{"step": "call", "http": {"server": "partner", "url": "\${\$.url}", $H}, "retry": {"max": 5, "delay": "1 h"},
		"save_reply": {"order": "\${\$.order} reply"}, $event}];
}
my $when = '"when": "$reply.status == 202"';
$scene->define('early', '{"data": {"order": ""}, "steps": [' . step(qq["first_of": [
	{"message": "go", "key": "\${\$instance}", $when, "save": {"order": "\${\$.order} \${\$event.data}"}, "next": "done"},
	{"signal": "go", $when, "save": {"order": "\${\$.order} signal"}, "next": "done"},
	{"after": "10 ms", $when, "next": "late"}], "next": "late"]) . ', {"step": "late", "end": true}, {"step": "done", "end": true}]}');

sub message
{
	my ($instance, $data) = @_;
	return $scene->sql("SELECT workflow.send_message('go', '$instance', '\"$data\"')");
}

sub under_way
{
	my ($process, $path, %data) = @_;
	my $instance = $scene->start($process, { url => $scene->url($path), %data });
	$scene->wait_for_requests(1, $instance);
	return $instance;
}

sub is_ended
{
	my ($name, $instance, $order, $path) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($scene->finish($instance), 'completed', "$name: ends");
	is($scene->data($instance)->{order}, $order, "$name: what was saved, in its order") if defined $order;
	is($scene->path($instance), $path // 'call:SUCCESS done:SUCCESS', "$name: the path");
	is(scalar($scene->requests($instance)), 1, "$name: one request");
	is($scene->sql("SELECT count(*) FROM workflow_data.subscription WHERE instance = $instance"), 0, "$name: nothing is waited for any more");
}

# ---- before the reply ----

my $instance = under_way('early', '/held?status=200');
is(message($instance, 'one'), 'delivered', 'a message while the request is under way');
is(message($instance, 'two'), 'missed', '... a second one is for nobody');
is($scene->sql("SELECT state || ' ' || called_back FROM workflow.visits WHERE instance = $instance"), 'calling true', '... the reply is waited for');
like($scene->sql("SELECT string_agg(t, ' ') FROM workflow.timeline($instance) t"), qr/a message has come: it ends the visit once/, '... which the timeline tells');
$scene->let_go($instance);
is_ended('a message before the reply', $instance, ' reply one');

$instance = under_way('early', '/held?status=200');
$scene->sql("SELECT workflow.send_signal('go')");
is_soon($scene->node, 'postgres', "SELECT called_back FROM workflow.visits WHERE instance = $instance", 't', 'a signal while the request is under way');
$scene->let_go($instance);
is_ended('a signal before the reply', $instance, ' reply signal');

# without one, the reply decides what is waited for
$instance = under_way('early', '/held?status=200');
$scene->let_go($instance);
is_ended('no message', $instance, ' reply', 'call:SUCCESS late:SUCCESS');
$instance = under_way('early', '/held?status=202');
$scene->let_go($instance);
is_ended('no message, and a clock', $instance, ' reply', 'call:SUCCESS late:SUCCESS');

# ---- a reply that fails, a pause ----

# what fails is tried again, and the message counts when the action was done, or has failed for good
$instance = under_way('early', '/held?status=404');
is(message($instance, 'early'), 'delivered', 'a message before a reply that fails for good');
$scene->let_go($instance);
is_ended('a message before a reply that fails for good', $instance, ' early');

sub retried
{
	my ($name, $delay, $more) = @_;
	return $scene->define($name, '{"data": {"order": ""}, "steps": [{"step": "call", "http": {"server": "partner", "url": "${$.url}", ' . $H . '}, "retry": {"max": 2, "delay": "' . $delay . '"},
		"save_reply": {"order": "${$.order} reply"}, "wait": {"message": "go", "key": "${$instance}"}, "save": {"order": "${$.order} ${$event.data}"}' . $more . '}]}');
}

# In the transaction of its start, before anything can have been sent.
sub at_once
{
	my ($process, $path) = @_;
	my $data = '{"url": "' . $scene->url($path) . '"}';
	return $scene->sql("SELECT instance FROM workflow.start('$process', '$data') AS instance, workflow.send_message('go', instance::text, '\"early\"') AS answer WHERE answer = 'delivered'");
}

sub attempts
{
	my ($instance) = @_;
	return $scene->sql("SELECT string_agg(coalesce(error ->> 'code', 'done'), ' ' ORDER BY attempt) FROM workflow.attempts WHERE serial_number LIKE '${instance}\\_%'");
}

retried('retried', '50 ms', '');
$instance = at_once('retried', '/flaky?fail=2');
is($scene->finish($instance), 'completed', 'a message before an action that fails twice');
is($scene->data($instance)->{order}, ' reply early', '... which is done, and then the message counts');
is(attempts($instance), '503 503 done', '... each attempt is on record');
is($scene->path($instance), 'call:SUCCESS', '... and it ends as if nothing had failed');
$instance = at_once('retried', '/flaky?fail=5');
is($scene->finish($instance), 'completed', 'a message before an action that fails for good');
is($scene->data($instance)->{order}, ' early', '... counts');
is(attempts($instance), '503 503 503', '... after the last attempt');
retried('paused', '2 s', '');
$instance = under_way('paused', '/flaky?fail=1');
$scene->wait_for_state($instance, 'retrying');
is(message($instance, 'paused'), 'delivered', 'a message during a pause');
is($scene->visit($instance)->{state}, 'retrying', '... does not end it');
is($scene->finish($instance), 'completed', '... but the visit after that');
is($scene->data($instance)->{order}, ' reply paused', '... when the action was done');

# ---- a deadline, while the event waits for the action ----

retried('deadline', '1 h', ', "timeout": "1 s"');
$instance = at_once('deadline', '/hang');
is($scene->finish($instance), 'completed', 'a deadline while the request is under way');
is($scene->data($instance)->{order}, ' early', '... the message counts');
is($scene->path($instance) . ' ' . attempts($instance), 'call:SUCCESS TIMED_OUT', '... since it came in time, and what was given up is on record');
$instance = at_once('deadline', '/status/503');
is($scene->finish($instance), 'completed', 'a deadline in a pause');
is($scene->path($instance) . ' ' . attempts($instance), 'call:SUCCESS 503 TIMED_OUT', '... ends that');
retried('asked', '1 h', ', "timeout": "500 ms", "cancel": {"path": "/ok?cancel", "body": {"why": "${$error.message}"}, "headers": {' . Scene::HEADERS . '}}');
$instance = at_once('asked', '/held?status=200');
$scene->wait_for_requests(1, $instance);
sub told { my ($instance) = @_; return $scene->sql("SELECT string_agg(t, ' ') FROM workflow.timeline($instance) t") }
like(told($instance), qr/a message has come: it ends the visit once its action is done, or given up, until .* at most|after that/, 'a deadline, which the timeline tells');
$scene->wait_for_state($instance, 'cancelling');
like(told($instance), qr/a message has come: it ends the visit after that: the answer to its request is awaited first/, '... and that it has struck');
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'a deadline, and a way to ask the service to stop');
is($scene->data($instance)->{order}, ' reply early', '... its answer is awaited, then the message counts');
my @asked = $scene->requests($instance);
is(scalar(@asked), 2, '... and it was asked');
is($scene->history($instance, 'call')->{outcome}, 'SUCCESS', '... whatever that gives');
$scene->define('slow', '{"steps": [{"step": "call", "sql": "SELECT pg_sleep(100)", "timeout": "500 ms", "wait": {"message": "go", "key": "${$instance}"}, "save": {"order": "${$event.data}"}}]}');
$instance = at_once('slow', '/');
is($scene->finish($instance), 'completed', 'a deadline while a statement runs');
is($scene->path($instance) . ' ' . $scene->data($instance)->{order}, 'call:SUCCESS early', '... the message counts');

# ---- while a statement runs ----

$scene->sql('CREATE TABLE effect (instance bigint)');
$scene->define('statement', '{"data": {"order": ""}, "steps": [
	{"step": "call", "sql": "WITH done AS (INSERT INTO effect VALUES (visit.instance)) SELECT pg_sleep(1)", "wait": {"message": "go", "key": "${$instance}", "when": "false"},
	 "save": {"order": "${$event.data}"}}]}');
$instance = $scene->start('statement');
is(message($instance, 'beside'), 'delivered', 'a message while the statement is due or under way');
is($scene->finish($instance), 'completed', '... ends the visit when it is through');
is($scene->data($instance)->{order}, 'beside', '... with what it brought');
is($scene->sql("SELECT count(*) FROM effect WHERE instance = $instance"), 1, '... and the statement has run once, whether it was under way or not');

# ---- suspended ----

$instance = under_way('early', '/held?status=202');
$scene->sql("SELECT workflow.suspend($instance)");
is(message($instance, 'kept'), 'queued', 'a message to a suspended instance');
$scene->let_go($instance);
stays(0.5, sub { $scene->visit($instance)->{state} }, 'calling', '... nothing happens');
$scene->sql("SELECT workflow.resume($instance)");
is_ended('a message to a suspended instance', $instance, undef);
like($scene->data($instance)->{order}, qr/kept/, '... it has not been lost');

# ---- handlers ----

$scene->define('handled', '{"data": {"order": ""}, "steps": [' . step(qq["catch": [
	{"message": "beside", "key": "\${\$instance}", "interrupt": false, "save": {"order": "\${\$.order} \${\$event.data}"}, "next": "beside"},
	{"message": "instead", "key": "\${\$instance}", "save": {"order": "\${\$.order} \${\$event.data}"}, "next": "done"}], "next": "end"])
	  . ', {"step": "end", "end": true}, {"step": "beside", "end": true}, {"step": "done", "end": true}]}');
$instance = under_way('handled', '/hang');
is($scene->sql("SELECT workflow.send_message('beside', '$instance', '$_')"), 'delivered', "a handler begins beside the request, $_") for 1, 2;
is($scene->visit($instance)->{state}, 'calling', '... which goes on');
is($scene->sql("SELECT workflow.send_message('instead', '$instance', '3')"), 'delivered', 'another one interrupts it');
is($scene->finish($instance), 'completed', '... and the instance ends, whatever the service does');
is($scene->data($instance)->{order}, ' 1 2 3', 'what they were told');
is($scene->path($instance), 'call:CANCELLED beside:SUCCESS beside:SUCCESS done:SUCCESS', 'the path');
is($scene->history($instance, 'call')->{result}{error}{message}, 'a handler of the step interrupted it, by the message "instead"', 'which is told');

# ---- conditions, and what a reply saves in another branch ----

$scene->define('condition', qq[{"data": {"status": 0}, "steps": [{"step": "fork", "next": ["call", "watch"]},
	{"step": "call", "http": {"server": "partner", "url": "\${\$.url}", $H}, "save_reply": {"status": "\${\$reply.status}"}, "wait": true, "next": "end"},
	{"step": "watch", "wait": {"condition": "\$.status == 202"}, "next": "end"},
	{"step": "end", "end": "scope"}]}]);
$instance = under_way('condition', '/held?status=202');
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'a condition that the reply of another branch makes hold');
is($scene->path($instance), 'fork:SUCCESS call:CANCELLED watch:SUCCESS end:SUCCESS', 'ends its wait');

# ---- a crash ----

my $kept = under_way('early', '/held?status=202');
is(message($kept, 'before'), 'delivered', 'a message before a crash');
my $waits = under_way('early', '/held?status=202');
crash($scene->node);
start_again($scene->node);
# whether the request has come to the service is not known: it is sent again, and the message counts then
$scene->wait_for_requests(2, $_) for $kept, $waits;
$scene->let_go($kept);
is($scene->finish($kept), 'completed', 'a message before a crash ends the visit');
is($scene->data($kept)->{order}, ' reply before', '... after the reply to the request that was sent again');
is(message($waits, 'after'), 'delivered', 'what is waited for is still so after it');
$scene->let_go($waits);
is($scene->finish($waits), 'completed', '... and ends');
is($scene->data($waits)->{order}, ' reply after', '... with the reply to the request that was sent again');

# in a pause, and while a request is under way that has a deadline
retried('crash', '3 s', ', "timeout": "1 h"');
my $paused = under_way('crash', '/flaky?fail=1');
$scene->wait_for_state($paused, 'retrying');
is(message($paused, 'paused'), 'delivered', 'a message in a pause before a crash');
retried('crash and deadline', '1 h', ', "timeout": "3 s"');
my $hangs = at_once('crash and deadline', '/hang');
$scene->wait_for_requests(1, $hangs);
crash($scene->node);
start_again($scene->node);
is($scene->finish($paused), 'completed', 'the action is tried again after the crash');
is($scene->data($paused)->{order}, ' reply paused', '... and then the message counts');
is($scene->finish($hangs), 'completed', 'and a deadline strikes after it');
is($scene->path($hangs) . $scene->data($hangs)->{order}, 'call:SUCCESS early', '... and the message counts');

done_testing();
