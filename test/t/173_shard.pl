#
# Numbers that carry a shard: those that workers give, too, and after a dump, an adoption, a crash and a promotion.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('shard', streaming => 1);
$node->safe_psql('postgres', 'CREATE ROLE shard_user');
$node->safe_psql(
	'postgres', q[
	SELECT workflow.define('wait', '{"steps": [{"step": "wait", "wait": true}]}');
	SELECT workflow.define('later', '{"start_on": [{"message": "later"}], "steps": [{"step": "wait", "wait": true}]}');
	SELECT workflow.define('calls', '{"steps": [{"step": "sql", "sql": "SELECT 1"}, {"step": "call", "call": {"process": "wait"}}]}');
	SELECT workflow.start('calls');
]);
is_soon($node, 'postgres', 'SELECT max(instance) FROM workflow.instances', 2, 'workers have given a number before');

my $first = $node->safe_psql('postgres', 'SELECT workflow.set_shard(9)');
is($first & 1023, 9, 'the database is a shard');
$node->safe_psql('postgres', "SELECT workflow.start('calls')");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE parent >= $first AND instance & 1023 = 9", 1,
	'what an executor that knows of none has called carries it');
$node->safe_psql('postgres', "SELECT workflow.start('wait', mode => 'async')");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'wait' AND parent IS NULL AND instance & 1023 = 9", 1,
	'... and what is started later');
my $before = $node->safe_psql('postgres', 'SELECT serial_number FROM workflow.waiting ORDER BY instance LIMIT 1');
like($before, qr/^2_/, 'one from before waits');

# the number is one more shard's, and those of the fresh begin above the old
sub is_further
{
	my ($server, $database, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($last) = $server->safe_psql($database, 'SELECT max(instance) FROM workflow.instances');
	my ($next) = $server->safe_psql($database, "SELECT workflow.start('wait')");
	is($next & 1023, 9, "$name: the shard is what it was");
	cmp_ok($next, '>', $last, '... and its numbers go on');
	is($server->safe_psql($database, 'SELECT workflow.shard(), first FROM workflow.shards'), "9|$first", '... as the view says');
	return ($last, $next);
}

# ---- copies ----

my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'a dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $dump ], '... is restored');
my (undef, undef, $stderr) = $node->psql('restored', 'SELECT workflow.set_shard(10)');
like($stderr, qr/this database is shard 9 already, and cannot become shard 10/, '... as the shard that it was');
$node->safe_psql('restored', 'SELECT workflow.adopt()');
my (undef, $copied) = is_further($node, 'restored', 'adopted');
cmp_ok($copied >> 10, '>', 800_000_000_000_000, '... behind the jump, by the time');
is($node->safe_psql('restored', "SELECT workflow.complete('$before')"), 't', '... and completes what was there before it was a shard');
my (undef, $original) = is_further($node, 'postgres', 'the original');
cmp_ok($original, '<', $copied, '... has not jumped');

# ---- a crash, a promotion ----

killed($node, 'server');
is_further($node, 'postgres', 'after a crash');
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT workflow.shard()'), 9, 'a standby is the same shard');
(undef, undef, $stderr) = $standby->psql('postgres', '\set VERBOSITY sqlstate' . "\nSELECT workflow.set_shard(9)");
like($stderr, qr/25006/, '... that is not set there');
$node->stop('immediate');
$standby->promote;
my (undef, $promoted) = is_further($standby, 'postgres', 'promoted');
cmp_ok($promoted >> 10, '>', 800_000_000_000_000, '... with a jump');

done_testing();
