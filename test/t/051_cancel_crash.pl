#
# Crashes while the outside is being asked to stop: in each phase, of the dispatcher and of the server. It is asked, under
# the same key, nothing else is sent again, and a callback that was accepted is kept.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $scene = Scene->new('cancel_crash', options => "timeout '1 h'");
my $H = '"headers": {' . Scene::HEADERS . '}';

# Where each instance stands when the crash comes.
$scene->define('work', qq[{"steps": [
	{"step": "work", "http": {"url": "\${\$.url}", $H, "body": {"sn": "\${\$serial_number}"}}, "wait": true,
		"cancel": {"url": "\${\$.stop}", "body": {"sn": "\${\$serial_number}"}, "headers": {"X-Instance": "\${\$instance}"}, "timeout": "\${\$.patience}"},
		"catch": [{"on": "CANCELLED", "next": "after"}], "end": true},
	{"step": "after", "set": {"caught": "\${\$caught}"}, "ignore_cancel": true}]}]);
my %data = (
	await     => { url => '/delay?s=3600',            stop => '/stop',              patience => '0.1 s' },
	called    => { url => '/delay?s=3600',            stop => '/stop',              patience => '1 h' },
	send      => { url => '/accept?callback=none',    stop => '/delay?s=3600',      patience => '0.1 s' },
	confirm   => { url => '/accept?callback=none',    stop => '/stop',              patience => '8 s' },
	confirmed => { url => '/accept?callback=none',    stop => '/stop',              patience => '1 h' });

for my $crash (qw(dispatcher postmaster))
{
	my %instance;
	for my $phase (sort keys %data)
	{
		my %urls = map { $_ => $_ eq 'patience' ? $data{$phase}{$_} : $scene->url($data{$phase}{$_}) } keys %{ $data{$phase} };
		$instance{$phase} = $scene->start('work', \%urls);
	}
	$scene->wait_for_requests(1, $_) for values %instance;
	$scene->wait_for_state($instance{$_}, 'waiting') for qw(send confirm confirmed);
	is($scene->sql("SELECT workflow.cancel($_)"), 't', "$crash: cancelled") for @instance{qw(await called send confirmed confirm)};
	$scene->wait_for_requests(2, $instance{$_}) for qw(send confirm confirmed);
	my %sn = map { $_ => $scene->serial($instance{$_}) } keys %instance;
	is($scene->sql("SELECT workflow.complete('$sn{called}', '{\"status\": \"DONE\"}')"), 't', "$crash: a callback while the reply is awaited");
	for ([ 'await', 'await' ], [ 'called', 'await' ], [ 'send', 'send' ], [ 'confirm', 'confirm' ], [ 'confirmed', 'confirm' ])
	{
		is_soon($scene->node, 'postgres', "SELECT cancel_phase FROM workflow_data.visit WHERE instance = $instance{$_->[0]}", $_->[1], "$crash: $_->[0] is in the phase $_->[1]");
	}

	if ($crash eq 'dispatcher')
	{
		my $pid = wait_for_workers($scene->node, 'postgres');
		kill 'KILL', $pid;
		wait_until(sub { my $now = worker_pid($scene->node, 'dispatcher', 'postgres'); $now && $now != $pid }, "$crash: there is another one");
	}
	else
	{
		crash($scene->node);
		start_again($scene->node);
	}

	is($scene->finish($instance{await}), 'aborted', "$crash: a reply that is lost is not awaited any longer");
	is(join(' ', map { $_->{path} } $scene->requests($instance{await})), '/delay /stop', "$crash: the outside is asked, the request is not sent again");
	is($scene->finish($instance{called}), 'aborted', "$crash: a callback was kept");
	is(join(' ', map { $_->{path} } $scene->requests($instance{called})), '/delay /stop', "$crash: the outside is asked here, too");
	is($scene->history($instance{called}, 'work')->{result}{response}{status}, 'DONE', "$crash: what it brought is the response");

	my @sent = $scene->wait_for_requests(3, $instance{send});
	is(join(' ', map { $_->{path} } @sent), '/accept /delay /delay', "$crash: a cancel request is sent again");
	is($sent[2]{headers}{'idempotency-key'}, $sent[1]{headers}{'idempotency-key'}, "$crash: under the same key");
	like($sent[2]{headers}{'idempotency-key'}, qr/^$sent[0]{headers}{'idempotency-key'}-cancel$/, "$crash: that of the cancel request");
	is($scene->sql("SELECT workflow.complete('$sn{send}', '{\"status\": \"STOPPED\"}')"), 't', "$crash: a callback while the cancel request is under way");

	is($scene->sql("SELECT workflow.complete('$sn{confirmed}', '{\"status\": \"STOPPED\"}')"), 't', "$crash: a callback after it");
	is($scene->finish($instance{confirmed}), 'aborted', "$crash: that is the end");
	is($scene->history($instance{confirmed}, 'work')->{result}{response}{status}, 'STOPPED', "$crash: with its data");

	is($scene->finish($instance{confirm}), 'aborted', "$crash: a callback that does not come is not waited for any longer than before");
	my $work = $scene->history($instance{confirm}, 'work');
	my @asked = $scene->requests($instance{confirm});
	is(scalar @asked, 2, "$crash: asked once");
	is_between($work->{ended} - $asked[1]{time}, 8 - 0.002, 60, "$crash: it ends when it would have ended");
	is_deeply($work->{result}{cancel_response}, { ok => JSON::PP::true }, "$crash: the answer of the cancel request is there");
	is($scene->history($instance{$_}, 'work')->{outcome}, 'CANCELLED', "$crash: $_ is CANCELLED") for qw(await called confirm confirmed);

	# the partner lets the cancel request go: its answer is lost, what the callback said is not
	$scene->partner->restart;
	is($scene->finish($instance{send}), 'aborted', "$crash: the last one ends");
	is($scene->history($instance{send}, 'work')->{result}{response}{status}, 'STOPPED', "$crash: with the data of its callback");
	is($scene->sql('SELECT count(*) FROM workflow.visits'), 0, "$crash: nothing is left");
}

$scene->node->stop;
done_testing();
