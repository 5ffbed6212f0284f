#
# A commit that waits for a synchronous standby is seen by nobody, until its session is cancelled, terminated or dies: what it has made due
# can be seen then, and may be in no standby. Nothing of it is sent before a standby has it.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use WorkflowTest;

my $ROUNDS = $ENV{WF_LONG} ? 20 : 3;
my $CLIENTS = 8;

my $partner = Partner->start;
my $primary = new_server('primary', streaming => 1, conf => "max_connections = 40\nworkflow.move_timeout = '500ms'\n");
add_http_server($primary, $partner);
$primary->safe_psql('postgres', q[SELECT workflow.define('call', '{"steps": [{"step": "call", "http": {"server": "partner", "path": "/echo", "body": {"sn": "${$serial_number}"}}}]}')]);
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()");

sub sent { return scalar(() = $partner->requests('/echo')) }
sub is_synchronous { is_soon($primary, 'postgres', 'SELECT sync_state FROM pg_stat_replication', 'sync', 'there is a synchronous standby') }

# Sessions whose commits wait.
sub sessions_that_wait
{
	my ($n) = @_;
	my @sessions = map { Session->new($primary, 'postgres') } 1 .. $n;
	$_->tell("SELECT workflow.start('call')") for @sessions;
	is_soon($primary, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'client backend'", $n, 'commits wait for a standby');
	return @sessions;
}

my $expected = 0;
for my $how ('cancel', 'terminate')
{
	is_synchronous();
	$standby->stop;
	my @sessions = sessions_that_wait(1);
	stays(0.5, \&sent, $expected, 'nothing is sent meanwhile');
	$primary->safe_psql('postgres', "SELECT pg_${how}_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'client backend'");
	is_soon($primary, 'postgres', "SELECT count(*) FROM workflow.visits WHERE state = 'calling'", 1, "$how: what is due can be seen");
	stays(1.5, \&sent, $expected, '... and is not sent');
	is_soon($primary, 'postgres', "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher'", 'SyncRep', '... the dispatcher waits');
	$standby->start;
	$partner->wait_for(++$expected, '/echo');
	is_soon($primary, 'postgres', "SELECT count(*) FROM workflow.instances WHERE status = 'completed'", $expected, '... until a standby has it');
}

# ---- the postmaster dies: all that wait are let go at once ----

for my $round (1 .. $ROUNDS)
{
	is_synchronous();
	$standby->stop;
	my @sessions = sessions_that_wait($CLIENTS);
	crash($primary);
	is(sent(), $expected, "round $round: nothing has been sent when all processes are gone");
	undef @sessions;
	start_again($primary);
	$standby->start;
	$expected += $CLIENTS;
	is_soon($primary, 'postgres', "SELECT count(*) FROM workflow.instances WHERE status = 'completed'", $expected, '... and all goes on with a standby');
}
is(sent(), $expected, 'each was sent once');

# ---- what takes long is the standby, not the work: no limit of a worker ends its wait ----

is_synchronous();
$primary->safe_psql('postgres', q[SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"after": "1 s"}}, {"step": "note", "sql": "SELECT 1"}, {"step": "rest", "wait": true}]}')]);
my $clock = $primary->safe_psql('postgres', q[SELECT workflow.start('clock')]);
$standby->stop;
is_soon($primary, 'postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'workflow dispatcher'", 't', 'a worker waits for a standby');
stays(2.5, sub { $primary->safe_psql('postgres', "SELECT step FROM workflow.visits WHERE instance = $clock") }, 'clock', '... for longer than a move may take, and its move is seen by nobody');
$standby->start;
is_soon($primary, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $clock", 'rest', '... until there is one');

# ---- nobody is asked any more ----

$standby->stop;
my @sessions = sessions_that_wait(1);
$primary->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'client backend'");
is_soon($primary, 'postgres', "SELECT count(*) FROM workflow.visits WHERE state = 'calling'", 1, 'a commit that was not confirmed');
$primary->safe_psql('postgres', 'ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()');
$partner->wait_for(++$expected, '/echo');
pass('without a standby in the settings all goes on');
undef @sessions;

$primary->stop;
done_testing();
