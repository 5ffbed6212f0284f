#
# A message is delivered once, in whichever moment of its way the server dies: kept, kept beside a wait that has opened, on its way
# to it, delivered. A signal reaches each of thousands once, whatever happens in the middle of it.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('messages', conf => "wal_writer_delay = 10s\nworkflow.max_data = '64kB'\nworkflow.careful_after_crash = 0\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }
sql(q[SELECT workflow.define('order', '{"data": {"n": 0}, "steps": [
	{"step": "paid", "wait": {"message": "paid", "key": "${$.order}"}, "save": {"by": "${$event.data}", "n": "${$.n + 1}"}, "next": "again"},
	{"step": "again", "wait": {"message": "paid", "key": "${$.order}"}, "save": {"n": "${$.n + 1}"}}]}')]);

my $order = 0;
sub start { return sql("SELECT workflow.start('order', '{\"order\": $_[0]}')") }
# in whose session the commit waits for no disk: what is answered is true all the same
sub send_message { my ($key, $more) = @_; return sql("SET synchronous_commit = off; SELECT workflow.send_message('paid', '$key', '\"$key\"', $more)") }
sub is_delivered_once
{
	my ($instance, $key, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $instance", 'again', "$name: delivered");
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance", 0, '... nothing is on its way');
	is(sql("SELECT data ->> 'by', data ->> 'n' FROM workflow.instances WHERE instance = $instance"), "$key|1", '... once, as it was sent');
	is(sql('SELECT count(*) FROM workflow.messages'), 0, '... and is kept no more');
}
my $held;

sub crash_and_start
{
	if (defined $held) # one that is stopped does not see that the postmaster has gone
	{
		my @pids = ($node->{_pid}, WorkflowTest::children($node->{_pid}));
		kill 'KILL', $node->{_pid}, $held;
		wait_until(sub { !grep { -d "/proc/$_" } @pids }, 'all processes have gone');
		undef $held;
	}
	crash($node);
	start_again($node);
}

# From now on the dispatcher does nothing, until the server dies.
sub hold_dispatcher
{
	$held = wait_for_workers($node, 'postgres');
	kill 'STOP', $held;
}

for my $id ('', ", message_id => 'id %s'")
{
	my $with = $id eq '' ? 'without an id' : 'with an id';
	my $more = sub { return "ttl => '1 h'" . $id =~ s/%s/$order/r };

	# kept, and nobody waits yet
	$order++;
	is(send_message($order, $more->()), 'kept', "$with: kept");
	crash_and_start();
	my $instance = start($order);
	is_delivered_once($instance, $order, "$with, kept");
	is(send_message($order, $more->()), 'duplicate', '... which is remembered') if $id ne '';

	# kept, and one waits, of which the dispatcher does not know yet
	$order++;
	hold_dispatcher();
	is(send_message($order, $more->()), 'kept', "$with: kept");
	$instance = start($order);
	crash_and_start();
	is_delivered_once($instance, $order, "$with, not yet matched");

	# matched, while the instance is locked: the delivery waits
	$order++;
	my $locker = $node->background_psql('postgres', on_error_stop => 0);
	$locker->query_safe("BEGIN; SELECT workflow.start('order', '{\"order\": $order}')");
	$locker->query_safe('COMMIT');
	$instance = sql('SELECT max(instance) FROM workflow.instances');
	$locker->query_safe("BEGIN; SELECT workflow.set_data($instance, '{\"held\": true}')");
	is(send_message($order, $more->()), 'queued', "$with: queued");
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance AND attempt > 0", 1, '... and was tried');
	is(sql('SELECT count(*) FROM workflow_data.message WHERE offered IS NOT NULL'), 1, '... it has its row meanwhile');
	crash_and_start();
	eval { $locker->quit };
	is_delivered_once($instance, $order, "$with, on its way");
	is(send_message($order, $more->()), 'duplicate', '... which is remembered') if $id ne '';

	# on its way, while its wait ends: it is kept for the next one
	$order++;
	$instance = start($order);
	sql("SELECT workflow.suspend($instance)");
	is(send_message($order, $more->()), 'queued', "$with: queued");
	hold_dispatcher();
	sql("SELECT workflow.cancel($instance)");
	crash_and_start();
	$instance = start($order);
	is_delivered_once($instance, $order, "$with, its wait gone");

	# delivered
	$order++;
	$instance = start($order);
	is(send_message($order, $more->()), 'delivered', "$with: delivered");
	crash_and_start();
	is_delivered_once($instance, $order, "$with, delivered");
	is(send_message($order, $more->()), 'duplicate', '... which is remembered') if $id ne '';
}

# what was not committed never happened
$order++;
my $instance = start($order);
my $open = $node->background_psql('postgres', on_error_stop => 0);
$open->query_safe("BEGIN; SELECT workflow.send_message('paid', '$order', '\"never\"')");
crash_and_start();
eval { $open->quit };
is(sql("SELECT step FROM workflow.visits WHERE instance = $instance"), 'paid', 'a message that was not committed');

# too large
my ($rc, undef, $stderr) = $node->psql('postgres', "SELECT workflow.send_message('paid', data => to_jsonb(repeat('x', 100000)))", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($stderr, qr/54000.*argument "data" is too large/s, 'data that are too large');
(undef, undef, $stderr) = $node->psql('postgres', "SELECT workflow.send_signal('go', to_jsonb(repeat('x', 100000)))", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($stderr, qr/54000.*argument "data" is too large/s, '... of a signal');

# ---- a signal to thousands, of whom clients complete some meanwhile ----

my $N = 3000;
sql(q[SELECT workflow.define('crowd', '{"data": {"heard": 0}, "steps": [
	{"step": "first", "first_of": [
		{"signal": "go", "save": {"by": "signal", "heard": "${$.heard + 1}"}, "next": "again"},
		{"callback": true, "save": {"by": "callback"}, "next": "again"}]},
	{"step": "again", "wait": {"signal": "go"}, "save": {"heard": "${$.heard + 1}"}, "next": "last"},
	{"step": "last", "wait": true}]}')]);
sql("SELECT count(workflow.start('crowd')) FROM generate_series(1, $N)");
my $moved = "SELECT count(*) FROM workflow.visits WHERE process = 'crowd' AND step <> 'first'";
my $deliveries = "SELECT count(*) FROM workflow_data.delivery WHERE kind = 'event'";
sub complete_some
{
	my ($rest) = @_;
	return sql("SELECT count(*) FILTER (WHERE done) FROM (SELECT workflow.complete(serial_number) AS done FROM workflow.waiting WHERE process = 'crowd' AND step = 'first' AND instance % 50 = $rest ORDER BY instance) s");
}
my $completed = complete_some(0);
is(sql("SET synchronous_commit = off; SELECT workflow.send_signal('go')"), '', 'a signal');
for my $round (1 .. 3)
{
	$completed += complete_some($round);
	wait_until(sub { sql("SELECT count(*) FROM workflow.visits WHERE process = 'crowd' AND step = 'first'") < $N - 600 * $round
			|| sql('SELECT count(*) FROM workflow_data.broadcast') == 0 }, "some have it, round $round");
	crash_and_start();
}
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow_data.broadcast', 0, 'the signal has been everywhere');
is_soon($node, 'postgres', $deliveries, 0, 'and all have it');
# who was completed before the signal was taken up has heard it at the next step, who was completed later not at all
is(sql("SELECT count(*) FROM workflow.visits WHERE process = 'crowd' AND step = 'first'"), 0, 'nobody was left out');
is(sql("SELECT count(*), count(DISTINCT instance) FROM workflow.waiting WHERE process = 'crowd'"), "$N|$N", 'all have one token still');
is(sql("SELECT count(*) FROM workflow.instances WHERE process = 'crowd' AND (data ->> 'heard')::integer > 1"), 0, 'nobody was hit twice');
is(sql("SELECT w.step, i.data ->> 'heard', count(*) FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE w.process = 'crowd' AND i.data ->> 'by' = 'signal' GROUP BY 1, 2"),
	'again|1|' . ($N - $completed), 'by the signal the others went on, each once');
is(sql("SELECT count(*) FROM workflow.instances WHERE process = 'crowd' AND data ->> 'by' = 'callback'"), $completed, 'each callback that was accepted has ended its step');
is(sql("SELECT count(*) FROM workflow.history WHERE process = 'crowd' AND step = 'first'"), $N, 'the first step ended once for each');

$node->stop;
done_testing();
