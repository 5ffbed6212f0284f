#
# Cookies: what a service sets goes back to it on later calls of the same instance, so that a sticky load balancer finds the
# node; and nowhere else.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(sleep);
use WorkflowTest;

my $scene = Scene->new('cookies');
my $H = '"headers": {' . Scene::HEADERS . '}';

# ---- the node ----

# A service that gives the first call a node, and answers 409 to calls that do not come to it.
sub sticky
{
	my ($name, $first, $more) = @_;
	$more = $more ? ", $more" : '';
	$scene->define($name, qq[{"steps": [
		{"step": "first", "http": {"server": "partner", "path": "/sticky/\${\$instance}/$first", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
			"cancel": {"path": "/sticky/\${\$instance}/stop", "headers": {"X-Instance": "\${\$instance}"}, "timeout": "0.1 s"}$more},
		{"step": "second", "http": {"server": "partner", "path": "/sticky/\${\$instance}/second", $H}}]}]);
}

sub came { return map { $_->{headers}{cookie} // '-' } @_ }

sticky('waits', 'accept/job?callback=none', '"catch": [{"after": "1 day", "next": "second"}]');
my @instances = map { $scene->start('waits') } 1 .. 4;
$scene->wait_for_state($_, 'waiting') for @instances;
$scene->sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $instances[0]");
is($scene->finish($instances[0]), 'completed', 'a later step finds the node');
$scene->sql("SELECT workflow.cancel($instances[1])");
is($scene->finish($instances[1]), 'aborted', 'a visit is cancelled');
is_deeply($scene->history($instances[1], 'first')->{result}{cancel_response}, { ok => JSON::PP::true }, 'its cancel request finds the node');
my %nodes;
for (@instances[ 0, 1 ])
{
	my @cookies = came($scene->requests($_));
	is($cookies[0], '-', 'the first call comes without a cookie');
	like($cookies[1], qr/^node=n\d+$/, 'the next one with that of its node');
	$nodes{ $cookies[1] }++;
}
is(scalar(keys %nodes), 2, 'each instance has its own node');

# over a restart, and a crash
$scene->node->restart;
$scene->sql("SELECT workflow.cancel($instances[2])");
is($scene->finish($instances[2]), 'aborted', 'after a restart');
is_deeply($scene->history($instances[2], 'first')->{result}{cancel_response}, { ok => JSON::PP::true }, 'the node is found, too');
crash($scene->node);
start_again($scene->node);
$scene->sql("SELECT workflow.cancel($instances[3])");
is($scene->finish($instances[3]), 'aborted', 'after a crash');
is_deeply($scene->history($instances[3], 'first')->{result}{cancel_response}, { ok => JSON::PP::true }, 'the node is found, too');

# the reply is awaited for its cookies
sticky('in flight', 'delay?s=0.5');
my $instance = $scene->start('in flight');
$scene->wait_for_requests(1, $instance);
$scene->sql("SELECT workflow.cancel($instance)");
is($scene->finish($instance), 'aborted', 'cancelled while the request is in flight');
is_deeply($scene->history($instance, 'first')->{result}{cancel_response}, { ok => JSON::PP::true }, 'the node is found, since the reply was awaited');

# a callback that comes before the reply does not hide them
sticky('early', 'callback-first');
($instance, my $status) = $scene->run('early');
is($status, 'completed', 'after a callback before the reply');
like((came($scene->requests($instance)))[1], qr/^node=/, 'the next step finds the node');

# a reply that finds its instance locked or suspended brings them, too
for my $way (qw(locked suspended))
{
	sticky($way, 'delay?s=1.5');
	$instance = $scene->start($way);
	$scene->wait_for_requests(1, $instance);
	my $session;
	if ($way eq 'locked')
	{
		$session = $scene->node->background_psql('postgres');
		$session->query_safe("BEGIN; SELECT workflow.set_data($instance, '{}')");
	}
	else
	{
		$scene->sql("SELECT workflow.suspend($instance)");
	}
	is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance", 1, "$way: the reply is kept");
	$way eq 'locked' ? $session->query_safe('COMMIT') : $scene->sql("SELECT workflow.resume($instance)");
	$session->quit if $session;
	$scene->wait_for_state($instance, 'waiting');
	$scene->sql("SELECT workflow.cancel($instance)");
	is($scene->finish($instance), 'aborted', "$way: cancelled then");
	is_deeply($scene->history($instance, 'first')->{result}{cancel_response}, { ok => JSON::PP::true }, "$way: the node is found");
}

# ---- which cookies, and whose ----

# A step for each [server, path, set, Cookie header]; the cookies that came to each.
my $defined = 0;
sub calls
{
	my @calls = @_;
	my $name = 'calls ' . ++$defined;
	my @steps;
	for (@calls)
	{
		my ($server, $path, $set, $header, $more) = @$_;
		my $step = 'call ' . (1 + @steps);
		my $headers = Scene::HEADERS . (defined $header ? qq[, "Cookie": "$header"] : '');
		my $query = defined $set ? '?set=' . encoded($set) : '';
		$query .= ($query ? '&' : '?') . $more if $more;
		push @steps, qq[{"step": "$step", "http": {"server": "$server", "path": "$path$query", "headers": {$headers}}, "catch": [{"on": "SYSTEM_ERROR", "next": "after $step"}]},
			{"step": "after $step", "wait": {"after": "\${\$.pause}"}}];
	}
	$scene->define($name, '{"data": {"pause": "0"}, "steps": [' . join(",\n", @steps) . ']}');
	return $name;
}

sub cookies
{
	my ($name, $data) = @_;
	my ($instance, $status) = $scene->run($name, $data);
	is($status, 'completed', "$name ends");
	return join(' / ', map { join('; ', sort split /; /, $_) } came($scene->requests($instance)));
}

$scene->server('other', $scene->url);
$scene->server('same', $scene->url('/cookies'));
my @partner = ('partner', '/cookies');
is(cookies(calls([ @partner, 'a=1' ], [@partner], [@partner])), '- / a=1 / a=1', 'a cookie stays');
is(cookies(calls([ @partner, 'a=1|b=2' ], [ @partner, 'c=3' ], [@partner])), '- / a=1; b=2 / a=1; b=2; c=3', 'several');
is(cookies(calls([ @partner, 'a=1|b=2' ], [ @partner, 'a=3' ], [@partner])), '- / a=1; b=2 / a=3; b=2', 'one that is set again');
is(cookies(calls([ @partner, 'a=1|b=2' ], [ @partner, 'a=; Max-Age=0' ], [@partner])), '- / a=1; b=2 / b=2', 'one that is deleted');
is(cookies(calls([ @partner, 'a=1|b=2' ], [ @partner, 'a=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT' ], [@partner])), '- / a=1; b=2 / b=2', 'in the old way');
is(cookies(calls([ @partner, 'a="1 2"; HttpOnly; SameSite=Lax' ], [@partner])), '- / a="1 2"', 'what is only for browsers does not matter');
is(cookies(calls([ @partner, 'a=1; Path=/cookies/deep' ], [@partner], [ 'partner', '/cookies/deep/er' ])), '- / - / a=1', 'a path counts');
is(cookies(calls([ @partner, 'a=1; Domain=example.com' ], [@partner])), '- / -', 'nobody sets cookies for somebody else');
is(cookies(calls([ @partner, 'a=1; Max-Age=1|b=2; Max-Age=3600' ], [@partner]), { pause => '2.1 s' }), '- / b=2', 'an expiry counts');
is(cookies(calls([ @partner, 'a=1' ], [ 'other', '/cookies' ], [@partner])), '- / - / a=1', 'another server of ours gets none, even if it is the same machine');
is(cookies(calls([ @partner, 'a=1' ], [ @partner, undef, 'mine=2' ], [@partner])), '- / mine=2 / a=1', 'an explicit header wins');
is(cookies(calls([ @partner, 'a=1' ], [ @partner, 'b=2', 'mine=3' ], [@partner])), '- / mine=3 / a=1; b=2', 'and what is set then is kept beside the rest');
is(cookies(calls([ @partner, 'a=1' ], [ @partner, 'b=2', undef, 'status=404' ], [ @partner, 'c=3', undef, 'status=503' ], [@partner])),
	'- / a=1 / a=1 / a=1', 'only those of a success are kept');
is(cookies(calls([ @partner, 'a=1' ], [ 'partner', '/status/204' ], [@partner])), '- / a=1 / a=1', 'an answer without cookies changes none');
is(cookies(calls([ @partner, join('|', map { "c$_=$_" } 1 .. 40) ], [@partner])), '- / ' . join('; ', sort map { "c$_=$_" } 1 .. 40), 'forty');
is(cookies(calls([@partner])), '-', 'another instance has none');

# An answer with more than libcurl counts for one, and then its handle is somebody else's: what that one has got is sent and kept.
my $fifty = join('|', map { "c$_=$_" } 1 .. 50);
is(cookies(calls([ @partner, $fifty ], [@partner], [@partner])), join(' / ', '-', (join('; ', sort map { "c$_=$_" } 1 .. 50)) x 2), 'fifty');
sticky('crowded out', 'accept/job?callback=none', '"catch": [{"after": "1 day", "next": "second"}]');
my $crowd = calls([ @partner, "$fifty|more=1" ]);
$instance = $scene->start('crowded out');
$scene->wait_for_state($instance, 'waiting');
is(cookies($crowd), '-', 'somebody else gets many');
$scene->sql("SELECT workflow.cancel($instance)");
is($scene->finish($instance), 'aborted', 'and then another is cancelled');
is_deeply($scene->history($instance, 'first')->{result}{cancel_response}, { ok => JSON::PP::true }, 'whose node is found');
is(cookies($crowd), '-', 'many again');
is(cookies(calls([ @partner, 'a=1' ], [ @partner, $fifty, 'mine=2' ], [ @partner, undef, 'mine=2' ], [@partner])),
	'- / mine=2 / mine=2 / ' . join('; ', sort 'a=1', map { "c$_=$_" } 1 .. 50), 'nor are those lost that were not sent');

# those of attempts and of repeated visits
$scene->define('loop', qq[{"data": {"n": 0}, "steps": [
	{"step": "call", "http": {"server": "partner", "path": "/cookies?set=${\encoded('n=x; Path=/')}", $H}},
	{"step": "count", "set": {"n": "\${\$.n + 1}"}},
	{"step": "again", "choose": [{"when": "\$.n < 3", "next": "call"}, {"next": "end"}]},
	{"step": "end", "end": true}]}]);
is(cookies('loop'), '- / n=x / n=x', 'each round of a loop has them');

# nobody sees them
is($scene->sql("SELECT count(*) FROM information_schema.columns WHERE table_schema = 'workflow' AND column_name = 'cookies' AND table_name <> 'instance'"), 0,
	'no view shows them');
ok(!log_has($scene->node, qr/PANIC|was terminated by signal 11|was terminated by signal 6/), 'nothing has crashed of its own');
$scene->node->stop;
done_testing();
