#
# A primary that has died, and is started again by somebody who does not know that another one was promoted meanwhile: with a synchronous
# standby that does not come back to it, it sends nothing, not even what was due before it died.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $partner = Partner->start;
my $primary = new_server('primary', streaming => 1, conf => "max_connections = 20\n");
add_http_server($primary, $partner);
$primary->safe_psql(
	'postgres', q[
	CREATE TABLE effect (n bigint);
	SELECT workflow.define('call', '{"steps": [{"step": "call", "http": {"server": "partner", "path": "/hang", "body": {"sn": "${$serial_number}"}}}]}');
	SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"after": "2 s"}}, {"step": "note", "sql": "INSERT INTO effect VALUES (1)"}]}');
]);
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()");
is_soon($primary, 'postgres', "SELECT sync_state FROM pg_stat_replication", 'sync', 'there is a synchronous standby');
$primary->safe_psql('postgres', "SELECT workflow.start('call') FROM generate_series(1, 5); SELECT workflow.start('clock')");
my $first = keys_by_serial($partner->wait_for(5, '/hang'));

# ---- the primary dies, and is started by hand; the standby follows another one by now ----

$standby->stop;
crash($primary);
start_again($primary);
is_soon($primary, 'postgres', "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher'", 'SyncRep', 'its dispatcher waits for a standby');
is($primary->safe_psql('postgres', "SELECT count(*) FROM workflow.visits WHERE state = 'calling'"), 5, 'five requests are due');
stays(3, sub { scalar(() = $partner->requests('/hang')) . ' ' . $primary->safe_psql('postgres', 'SELECT count(*) FROM effect') }, '5 0', 'nothing is sent, no clock goes off');

# ---- nor when that is done once more, though nothing is left then that would have to be committed before ----

$primary->restart;
is_soon($primary, 'postgres', "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher'", 'SyncRep', 'stopped and started, it waits again');
stays(3, sub { scalar(() = $partner->requests('/hang')) . ' ' . $primary->safe_psql('postgres', 'SELECT count(*) FROM effect') }, '5 0', '... and sends nothing');

# ---- with a standby that follows it all goes on ----

$standby->start;
my $second = keys_by_serial($partner->wait_for(10, '/hang'));
is_deeply($second, { map { $_ => { map { $_ => 2 } keys %{ $first->{$_} } } } keys %$first }, 'with a standby requests go out again, under their keys');
is_soon($primary, 'postgres', 'SELECT count(*) FROM effect', 1, 'and clocks go off');

# ---- who asks for no standby is not held up ----

$standby->stop;
$primary->safe_psql('postgres', "ALTER SYSTEM RESET synchronous_standby_names");
crash($primary);
start_again($primary);
$partner->wait_for(15, '/hang');
pass('without synchronous replication nobody waits');

$primary->stop;
done_testing();
