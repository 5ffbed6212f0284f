#
# A standby does nothing; once promoted it goes on from the rows, with numbers that its primary cannot have issued. Likewise
# after a recovery to a point in time, even if there are two from the same backup.
#
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
my $primary = new_server('primary', streaming => 1, conf => "max_connections = 20\n", start => 0);
$primary->append_conf('postgresql.conf', "archive_mode = on\narchive_command = 'cp \"%p\" \"" . $primary->archive_dir . "/%f\"'\n");
$primary->start;
add_extension($primary, 'postgres');
add_http_server($primary, $partner);
$primary->safe_psql(
	'postgres', q[
	CREATE TABLE effect (sn text, n bigint);
	SELECT workflow.define('call', '{"steps": [
		{"step": "call", "http": {"server": "partner", "path": "/hang", "body": {"sn": "${$serial_number}"}}}]}');
	SELECT workflow.define('stand', '{"steps": [{"step": "stand", "wait": true},
		{"step": "note", "sql": "INSERT INTO effect VALUES (visit.serial_number)"}]}');
	SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"after": "${$.after}"}}]}');
	SELECT workflow.start('call') FROM generate_series(1, 5);
	SELECT workflow.start('stand') FROM generate_series(1, 5);
	SELECT workflow.start('clock', '{"after": "2 s"}');
]);
my $first = keys_by_serial($partner->wait_for(5, '/hang'));
$primary->backup('backup');
$primary->safe_psql('postgres', "SELECT workflow.start('stand'); SELECT pg_create_restore_point('here')");
my $open = $primary->safe_psql('postgres', 'SELECT max(serial_number) FROM workflow.waiting');

# ---- a standby is quiet ----

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);
my $launcher = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'workflow%'";
is($standby->safe_psql('postgres', $launcher), 0, 'no worker runs on a standby');
my $stand = "SELECT count(*) FROM workflow.waiting WHERE process = 'stand'"; # clocks go on
is($standby->safe_psql('postgres', $stand), $primary->safe_psql('postgres', $stand), 'views can be read there');
my $counts = q[SELECT labels, value FROM workflow.metrics WHERE name = 'visits' AND labels ->> 'process' = 'stand'];
isnt($primary->safe_psql('postgres', $counts), '', 'what is counted');
is($standby->safe_psql('postgres', $counts), $primary->safe_psql('postgres', $counts), '... is counted there likewise');
is($standby->safe_psql('postgres', "SELECT count(*) FILTER (WHERE state = 'calling') > 0, count(blocked_by) FROM workflow.visits"), 't|0', 'what is under work elsewhere is not called stuck');
for my $call ("workflow.complete('$open')", "workflow.start('stand')", "workflow.cancel(1)", "workflow.set_data(1, '{}')", 'workflow.adopt()')
{
	my ($status, $stdout, $stderr) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT $call");
	like($stderr, qr/25006/, "$call: not on a standby");
}
my (undef, undef, $stderr) = $standby->psql('postgres', 'CALL workflow.wait_for(1)');
like($stderr, qr/cannot run on a standby/, 'wait_for says so, too');
$primary->safe_psql('postgres', "SELECT workflow.complete('$open')");
is_soon($primary, 'postgres', 'SELECT count(*) FROM effect', 1, 'the primary goes on');
is_soon($primary, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'clock' AND status = 'completed'", 1, 'clocks, too');
is(scalar(() = $partner->requests('/hang')), 5, 'and nobody has sent anything twice');

# ---- what has to be there after a failover is there before anything leaves ----

$primary->safe_psql('postgres', q[SELECT workflow.define('later', '{"steps": [{"step": "clock", "wait": {"after": "4 s"}},
	{"step": "call", "http": {"server": "partner", "path": "/echo"}}, {"step": "note", "sql": "INSERT INTO effect VALUES (visit.serial_number, 1)"}]}')]);
$primary->safe_psql('postgres', "SELECT workflow.start('later')");
my $ends = $primary->safe_psql('postgres', q[SELECT workflow.start('clock', '{"after": "2 s"}')]);
$primary->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
$primary->reload;
is_soon($primary, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $ends", 'completed', 'what makes nothing due waits for no standby');
is_soon($primary, 'postgres', "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher'", 'SyncRep', 'the dispatcher waits for a synchronous standby');
is(scalar(() = $partner->requests('/echo')), 0, 'before it sends');
$primary->adjust_conf('postgresql.conf', 'synchronous_standby_names', "'*'");
$primary->reload;
$partner->wait_for(1, '/echo');
is_soon($primary, 'postgres', 'SELECT count(*) FROM effect WHERE n = 1', 1, 'with a standby all goes on');
is($primary->safe_psql('postgres', "SET statement_timeout = '20 s'; SET synchronous_commit = remote_apply; SELECT workflow.cancel($ends)"), 'f', 'what a caller is told of an end is on the standby, if he asks for that');
$primary->safe_psql('postgres', 'DELETE FROM effect WHERE n = 1');
$primary->adjust_conf('postgresql.conf', 'synchronous_standby_names', "''");
$primary->reload;

# ---- the primary issues numbers that the standby never hears of, and is no more ----

$primary->wait_for_catchup($standby);
$standby->stop;
my $seen = $primary->safe_psql('postgres', "SELECT max(workflow.start('stand')) FROM generate_series(1, 200)");
my $seen_serial = $primary->safe_psql('postgres', "SELECT serial_number FROM workflow.waiting WHERE instance = $seen");
my ($seen_visit) = $seen_serial =~ /_(\d+)/;
my $segment = $primary->safe_psql('postgres', 'SELECT pg_walfile_name(pg_switch_wal())');
is_soon($primary, 'postgres', "SELECT last_archived_wal >= '$segment' FROM pg_stat_archiver", 't', 'all is in the archive');
$primary->stop('immediate');
$standby->adjust_conf('postgresql.conf', 'primary_conninfo', "''");
$standby->start;
$standby->promote;

is_soon($standby, 'postgres', "SELECT in_flight FROM workflow.workers WHERE kind = 'dispatcher'", 5, 'the new primary goes on');
my $second = keys_by_serial($partner->wait_for(10, '/hang'));
is_deeply($second, { map { $_ => { map { $_ => 2 } keys %{ $first->{$_} } } } keys %$first }, 'requests go out again under their keys');
my $promoted = $standby->safe_psql('postgres', "SELECT workflow.start('stand')");
cmp_ok($promoted, '>', $seen, 'its numbers are beyond what the old one can have issued');
cmp_ok($standby->safe_psql('postgres', "SELECT split_part(serial_number, '_', 2) FROM workflow.waiting WHERE instance = $promoted"), '>', $seen_visit, '... of visits, too');
my (undef, undef, $unknown) = $standby->psql('postgres', "SELECT workflow.complete('$seen_serial')");
like($unknown, qr/does not exist/, 'what it never heard of is unknown, not somebody else');
is($standby->safe_psql('postgres', "SELECT bool_and(workflow.complete(serial_number)) FROM workflow.waiting WHERE step = 'stand'"), 't', 'what it knows can be completed');
is_soon($standby, 'postgres', 'SELECT count(*), count(DISTINCT sn) FROM effect', '7|7', 'and goes on, each once');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM workflow.incidents'), 0, 'no incident');
ok(!log_has($standby, qr/is a copy/), 'a promoted standby is no copy');
$standby->restart;
cmp_ok($standby->safe_psql('postgres', "SELECT workflow.start('stand')"), '<', $promoted + 1000, 'numbers do not jump again');
$standby->stop;

# ---- back to a point in time, twice, first with everything held back ----

my @numbers;
for my $n (1, 2)
{
	my $requests = () = $partner->requests('/hang');
	my $restored = PostgreSQL::Test::Cluster->new("restored_$n");
	$restored->init_from_backup($primary, 'backup', has_restoring => 1, standby => 0);
	$restored->append_conf('postgresql.conf', "recovery_target_name = 'here'\nrecovery_target_action = 'promote'\narchive_mode = off\nworkflow.start_paused = on\n");
	$restored->start;
	is_soon($restored, 'postgres', 'SELECT pg_is_in_recovery()', 'f', "recovery $n: back to the point");
	wait_for_workers($restored, 'postgres');
	wait_until(sub { log_has($restored, qr/LOG:  workflow sends nothing in this database: workflow.start_paused is on/) }, 'held back, as the log says');
	is($restored->safe_psql('postgres', "SELECT workflow.complete('$open')"), 't', 'clients are served');
	stays(1, sub { scalar(() = $partner->requests('/hang')) . $restored->safe_psql('postgres', 'SELECT count(*) FROM effect') }, "${requests}0", 'nothing is sent, nothing is run');
	if ($n == 1)
	{
		$restored->safe_psql('postgres', 'SELECT workflow.adopt()');
	}
	else
	{
		$restored->append_conf('postgresql.conf', "workflow.start_paused = off\n");
		$restored->reload;
	}
	my $again = keys_by_serial(($partner->wait_for($requests + 5, '/hang'))[ -5 .. -1 ]);
	is_deeply([ sort map { keys %$_ } values %$again ], [ sort map { keys %$_ } values %$first ], $n == 1 ? 'adopted: sent under the same keys' : 'the setting is off: likewise');
	is_soon($restored, 'postgres', 'SELECT count(*) FROM effect', 1, 'the completed one goes on');
	push @numbers, $restored->safe_psql('postgres', "SELECT workflow.start('stand') FROM generate_series(1, 10)");
	$restored->stop;
}
my %all;
$all{$_}++ for map { split /\n/ } @numbers;
is(scalar(keys %all), 20, 'two recoveries from one backup issue different numbers');
is((grep { $_ <= $seen } keys %all), 0, 'none that had been seen before');

done_testing();
