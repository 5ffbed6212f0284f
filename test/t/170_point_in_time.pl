#
# Back to the middle of a run, with a base backup and archived WAL, as docs/ha.md says: the copy stays quiet; adopted, it goes on as the
# original; what was started or told in the minutes that are lost is unknown, which is in the log, and its numbers are given to nobody.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use WorkflowTest;

my $partner = Partner->start;
my $original = new_server('original', streaming => 1, conf => "max_connections = 20\n", start => 0);
$original->append_conf('postgresql.conf', "archive_mode = on\narchive_command = 'cp \"%p\" \"" . $original->archive_dir . "/%f\"'\n");
$original->start;
add_extension($original, 'postgres');
add_http_server($original, $partner);
$original->safe_psql(
	'postgres', q[
	CREATE TABLE effect (n bigint, step text);
	CREATE TABLE orders (n bigint PRIMARY KEY, state text);
	SELECT workflow.define('order', '{"steps": [
		{"step": "charge", "http": {"server": "partner", "path": "/accept?callback=none", "body": {"sn": "${$serial_number}", "n": "${$.n}"}}, "wait": true},
		{"step": "note", "sql": "INSERT INTO effect VALUES ((visit.data->>''n'')::bigint, ''note'')"},
		{"step": "ship", "http": {"server": "partner", "path": "/hang", "body": {"sn": "${$serial_number}", "n": "${$.n}"}}}]}');
	SELECT workflow.attach('orders', 'order', status_column => 'state');
]);

sub requests { return map { { n => $_->{body} =~ /"n":\s*(\d+)/, sn => $_->{body} =~ /"sn":\s*"(\d+_\d+)"/, key => $_->{headers}{'idempotency-key'} } } $partner->requests($_[0]) }
sub serial { my ($n) = @_; return (grep { $_->{n} == $n } requests('/accept'))[-1]{sn} }
sub answer
{
	my ($node, $n) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT workflow.complete('" . serial($n) . "', '{\"n\": $n}')");
	return $stderr =~ /ERROR:\s+(\w{5})/ ? $1 : $stdout;
}

# ---- a run: some before the backup, some after it, some after the point to which we go back ----

$original->safe_psql('postgres', 'INSERT INTO orders SELECT generate_series(1, 5)');
$partner->wait_for(5, '/accept');
is(answer($original, 1), 't', 'one is answered before the backup');
$original->backup('backup');
$original->safe_psql('postgres', 'INSERT INTO orders SELECT generate_series(6, 10)');
$partner->wait_for(10, '/accept');
is(answer($original, 6), 't', 'one after it');
is(answer($original, 6), 'f', '... once');
$partner->wait_for(2, '/hang');
my $waiting = $original->safe_psql('postgres', "SELECT string_agg(serial_number, ' ' ORDER BY serial_number) FROM workflow.waiting");
my $point = $original->safe_psql('postgres', 'SELECT clock_timestamp()');
sleep 0.1;
$original->safe_psql('postgres', 'INSERT INTO orders SELECT generate_series(11, 15)');
$partner->wait_for(15, '/accept');
is(answer($original, $_), 't', "$_ is answered in the minutes that will be lost") for 7, 11;
$partner->wait_for(4, '/hang');
my %told = map { $_->{sn} => $_->{n} } requests('/accept'), requests('/hang');
my $highest = $original->safe_psql('postgres', 'SELECT max(instance) FROM workflow.instances');
my $segment = $original->safe_psql('postgres', 'SELECT pg_walfile_name(pg_switch_wal())');
is_soon($original, 'postgres', "SELECT last_archived_wal >= '$segment' FROM pg_stat_archiver", 't', 'all is in the archive');
$original->stop('immediate');

# ---- the copy is quiet ----

my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($original, 'backup', has_restoring => 1, standby => 0);
$copy->append_conf('postgresql.conf', "recovery_target_time = '$point'\nrecovery_target_action = 'promote'\narchive_mode = off\nworkflow.start_paused = on\n");
my @before = map { scalar(() = $partner->requests($_)) } '/accept', '/hang';
$copy->start;
is_soon($copy, 'postgres', 'SELECT pg_is_in_recovery()', 'f', 'back to the point');
wait_for_workers($copy, 'postgres');
is_soon($copy, 'postgres', "SELECT state FROM workflow.workers WHERE kind = 'dispatcher'", 'paused: workflow.start_paused', 'its dispatcher is paused');
is($copy->safe_psql('postgres', 'SELECT count(*), max(n) FROM orders'), '10|10', 'rows are as they were then');
is($copy->safe_psql('postgres', "SELECT string_agg(serial_number, ' ' ORDER BY serial_number) FROM workflow.waiting"), $waiting, 'and what waited waits');
is($copy->safe_psql('postgres', 'SELECT count(*) FROM workflow.verify()'), 0, 'they agree with each other');
stays(2, sub { join(' ', (map { scalar(() = $partner->requests($_)) } '/accept', '/hang'), $copy->safe_psql('postgres', 'SELECT count(*) FROM effect')) },
	"@before 2", 'nothing is sent, nothing is run');

# ---- callbacks, before and after it is adopted ----

my $offset = -s $copy->logfile;
is(answer($copy, 12), '42704', 'of a visit that is lost nothing is known');
ok(log_has($copy, qr/ERROR:  (?:\w+: )?serial number @{[ serial(12) ]} does not exist/, $offset), '... which the log says');
is(answer($copy, 6), 'f', 'one that had ended has ended');
is($copy->safe_psql('postgres', "SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '" . serial(6) . "'"), 2, '... and both that came late are recorded');
cmp_ok($copy->safe_psql('postgres', "SELECT workflow.adopt()"), '>=', 10, 'adopted');
is_soon($copy, 'postgres', "SELECT state FROM workflow.workers WHERE kind = 'dispatcher'", 'running', 'it runs');
is(answer($copy, 7), 't', 'what was told in the lost minutes can be told again');
is(answer($copy, 8), 't', 'what waits is answered');
is(answer($copy, $_), '42704', "$_ is unknown still") for 11, 12;
is_soon($copy, 'postgres', 'SELECT count(*), count(DISTINCT n) FROM effect', '4|4', 'each goes on, once');
my %first = map { $_->{n} => $_->{key} } reverse requests('/hang');
wait_until(sub { scalar(() = $partner->requests('/hang')) >= $before[1] + 4 }, 'requests go out');
my @again = (requests('/hang'))[ $before[1] .. $before[1] + 3 ];
is_deeply([ sort { $a <=> $b } map { $_->{n} } @again ], [ 1, 6, 7, 8 ], '... of those that are known');
is_deeply([ grep { $_->{n} < 7 && $_->{key} ne $first{ $_->{n} } } @again ], [], '... those that were sent before the point under their keys');

# ---- numbers ----

$copy->safe_psql('postgres', 'INSERT INTO orders SELECT generate_series(16, 25)');
$partner->wait_for($before[0] + 10, '/accept');
cmp_ok($copy->safe_psql('postgres', 'SELECT min(instance) FROM workflow.instances WHERE business_key::int > 15'), '>', $highest, 'numbers go on beyond those that are lost');
is_deeply([ grep { exists $told{ $_->{sn} } && $told{ $_->{sn} } != $_->{n} } requests('/accept'), requests('/hang') ], [], 'no serial number is issued twice');

# ---- with the setting it would be quiet again after a restart ----

$copy->restart;
wait_for_workers($copy, 'postgres');
is_soon($copy, 'postgres', "SELECT state FROM workflow.workers WHERE kind = 'dispatcher'", 'paused: workflow.start_paused', 'started with the setting, it is paused again');
$copy->adjust_conf('postgresql.conf', 'workflow.start_paused', 'off');
$copy->restart;
is_soon($copy, 'postgres', "SELECT state FROM workflow.workers WHERE kind = 'dispatcher'", 'running', 'without it, it is not');
is($copy->safe_psql('postgres', 'SELECT count(*) FROM workflow.incidents'), 0, 'no incident');

$copy->stop;
done_testing();
