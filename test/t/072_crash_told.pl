#
# Whoever was told of an end finds it after a crash as well. Workers commit lazily what makes nothing due; here nobody else writes
# the log to disk, so that what the teller does not flush is lost.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Scene;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $scene = Scene->new('told', conf => "wal_level = replica\nmax_wal_senders = 2\nwal_writer_delay = 10s\nwal_writer_flush_after = 1GB\nsynchronous_commit = local\nworkflow.callback_base = 'https://example.com'\n");
my $node = $scene->node;
$scene->define('clock', '{"steps": [{"step": "clock", "set": {"done": "${$callback_url}", "beat": "${$heartbeat_url}"}, "wait": {"after": "200 ms"}}]}');

# An instance that has ended, and its visit; what ended it is not on disk. A look at a view does not change that.
sub ended
{
	for (1 .. 5)
	{
		my $instance = $scene->start('clock');
		my $visit = "(SELECT max(serial_number) FROM workflow.history WHERE instance = $instance)";
		wait_until(sub { $scene->sql("SELECT status FROM workflow.instances WHERE instance = $instance") eq 'completed' }, "instance $instance ends") or return;
		my ($serial, $open) = split /\|/, $scene->sql("SELECT $visit, pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()");
		return ($instance, $serial) if $open eq 't';
	}
	die "somebody else writes the log to disk\n";
}

# ---- on disk before the answer, whatever becomes of the transaction ----

my %told = (
	'cancel($i)' => 'f', 'set_data($i, \'{}\')' => 'f', 'suspend($i)' => 'f', 'resume($i)' => 'f', 'move(\'$s\', \'clock\')' => '',
	'complete(\'$s\')' => 'f', 'fail(\'$s\')' => 'f', 'heartbeat(\'$s\')' => 'f', 'extend(\'$s\', \'1 h\')' => '',
	(map { ("$_->[0](substring((SELECT data->>'$_->[1]' FROM workflow.instances WHERE instance = \$i) FROM '[^/]+\$'))" => 'f') } ['callback', 'done'], ['callback_heartbeat', 'beat']),
	'retry(\'$s\')' => 'f', 'skip(\'$s\')' => 'f', 'cancel_visit(\'$s\')' => 'f',
	'complete_many(\'[{"serial_number": "$s"}]\')' => '($s,f,,"came too late: the visit had already ended")');
for my $call (sort keys %told)
{
	my ($i, $s) = ended();
	my ($made, $answer) = ($call, $told{$call});
	s/\$i/$i/g, s/\$s/$s/g for $made, $answer;
	is($scene->sql("BEGIN; SELECT pg_current_wal_insert_lsn() AS lsn \\gset\nSELECT workflow.$made; SELECT pg_current_wal_flush_lsn() >= :'lsn'; ROLLBACK"),
		"$answer\nt", "$call: what it tells is on disk");
}
my ($instance) = ended();
like($scene->sql("BEGIN; SELECT pg_current_wal_insert_lsn() AS lsn \\gset\nSELECT workflow.timeline($instance); SELECT pg_current_wal_flush_lsn() >= :'lsn'; ROLLBACK"),
	qr/ SUCCESS after .*\nt$/s, 'timeline: likewise');

# ---- a crash ----

($instance) = ended();
is($scene->sql("BEGIN; SELECT workflow.cancel($instance); SELECT pg_sleep(0)"), "f\n", 'cancel says that it had ended');
crash($node);
start_again($node);
is($scene->sql("SELECT status FROM workflow.instances WHERE instance = $instance"), 'completed', '... and after a crash it has');
$instance = $scene->start('clock');
is($scene->finish($instance), 'completed', 'wait_for says that it has ended');
crash($node);
start_again($node);
is($scene->sql("SELECT status FROM workflow.instances WHERE instance = $instance"), 'completed', '... and after a crash it has');

# ---- effects that applications read ----

$scene->sql(q[CREATE TABLE effect (sn text); CREATE TABLE orders (id bigint PRIMARY KEY, state text)]);
$scene->define('effect', '{"steps": [{"step": "note", "sql": "INSERT INTO effect VALUES (visit.serial_number)"}]}');
$scene->sql("SELECT workflow.attach('orders', 'clock', status_column => 'state'); SELECT workflow.start('effect'); INSERT INTO orders VALUES (1)");
is_soon($node, 'postgres', "SELECT (SELECT count(*) FROM effect), state FROM orders", '1|completed', 'a SQL step and a write-back can be seen');
crash($node);
start_again($node);
is($scene->sql("SELECT (SELECT count(*) FROM effect), state FROM orders"), '1|completed', '... and are there after a crash');
is($scene->sql("SELECT string_agg(status, ' ') FROM workflow.instances WHERE process = 'effect'"), 'completed', '... as is the end that they came with');

# ---- standbys, as the caller's synchronous_commit asks ----

sub waits_for_standby
{
	my ($call, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SET synchronous_commit = remote_apply; SELECT pg_backend_pid()');
	$session->query_until(qr/asked/, "\\echo asked\n$call;\n\\echo answered\n");
	is_soon($node, 'postgres', "SELECT backend_xmin IS NOT NULL FROM pg_stat_activity WHERE pid = $pid AND wait_event = 'SyncRep'", $call =~ /^CALL/ ? 'f' : 't', $name);
	return ($session, $pid);
}

$instance = $scene->start('clock');
$scene->finish($instance);
$node->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
$node->restart;
my @waiting = (waits_for_standby("CALL workflow.wait_for($instance)", 'wait_for waits for a standby, without a snapshot'),
	waits_for_standby("SELECT 'said', workflow.cancel($instance)", 'and so does cancel'));
is($scene->sql("SELECT workflow.cancel($instance)"), 'f', 'not for a session that asks for none');
$scene->sql("SELECT pg_cancel_backend($waiting[3])");
my $said = $waiting[2]->query_until(qr/answered/, "\n");
unlike($said, qr/said/, 'cancelled, it tells nothing');
like($waiting[2]->{stderr}, qr/ERROR:  canceling statement while it waited for a synchronous standby/, '... but why');
is($scene->sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"), 1, '... the other one waits on');
$node->adjust_conf('postgresql.conf', 'synchronous_standby_names', "''");
$node->reload;
like($waiting[0]->query_until(qr/answered/, "\n"), qr/^completed/m, 'once no standby is asked for, it tells');
$_->quit for @waiting[0, 2];

done_testing();
