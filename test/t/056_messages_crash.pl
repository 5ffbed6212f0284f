#
# A message is delivered once, in whichever moment of its way the server dies: kept, kept beside a wait that has opened, on its way
# to it, delivered.
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
sub crash_and_start
{
	crash_at_once($node);
	start_again($node);
}

# From now on the dispatcher does nothing, until the server dies.
sub hold_dispatcher
{
	kill 'STOP', wait_for_workers($node, 'postgres');
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

$node->stop;
done_testing();
