#
# A shard is split: a standby is promoted, each of the two keeps its part of the instances, and the router finds them in theirs.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $old = new_server('old', streaming => 1, conf => "max_connections = 60\n");
my $front = new_server('front', extension => 0);
plan skip_all => 'PL/Proxy is not there' if $front->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'plproxy'") eq '0';
my $routed = sub { return $front->safe_psql('postgres', $_[0]) };
sub place_of { my ($node) = @_; return 'host=' . $node->host . ' port=' . $node->port . ' dbname=postgres' }

sub fails
{
	my ($node, $sql, $state, $like, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my (undef, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	like($stderr, qr/ERROR:  $state: .*$like/s, $name);
}

fails($old, 'SELECT workflow.keep(2, 0)', '55000', 'workers may be at work', 'nothing is dropped beside workers');
fails($old, "SELECT workflow.keep($_)", '22023', '', "keep($_) is refused") for '1, 0', '2, 2', '2, -1', '2, 0, 1024';
$old->safe_psql(
	'postgres', q[
	SELECT workflow.set_shard(3);
	CREATE TABLE effect (instance bigint, step text);
	CREATE TABLE orders (id int PRIMARY KEY, instance bigint, state text);
	SELECT workflow.define('order', '{"steps": [{"step": "approve", "wait": true, "timeout": "1 d"}, {"step": "told", "wait": {"message": "told", "key": "${$.key}"}},
		{"step": "note", "sql": "INSERT INTO effect VALUES (visit.instance, visit.step)"}]}');
	SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"after": "20 s"}}, {"step": "note", "sql": "INSERT INTO effect VALUES (visit.instance, visit.step)"}]}');
	SELECT workflow.define('row', '{"steps": [{"step": "row", "wait": true}]}');
	SELECT workflow.define('caller', '{"steps": [{"step": "call", "call": {"process": "row"}}]}');
	SELECT workflow.define('work', '{"steps": [{"step": "work", "wait": {"topic": "work"}}]}');
	SELECT workflow.attach('orders', 'row', instance_column => 'instance', status_column => 'state');
	INSERT INTO orders (id) SELECT generate_series(1, 10);
	SELECT workflow.start('order', jsonb_build_object('key', n), n) FROM generate_series(1, 40) n;
	SELECT workflow.start('work') FROM generate_series(1, 10);
	SELECT workflow.cancel(workflow.start('order')) FROM generate_series(1, 10);
]);
$front->safe_psql('postgres', 'CREATE EXTENSION workflow_router CASCADE');
$routed->("SELECT workflow_router.add_shard(3, '" . place_of($old) . "')");
is($routed->("SELECT count(*) FROM workflow.waiting"), 60, 'a shard has instances');

sub paused
{
	my ($node, $on) = @_;
	$node->append_conf('postgresql.conf', "workflow.start_paused = $on\n");
	$node->restart;
}

# ---- what would be parted ----

my $parent = $old->safe_psql('postgres', "SELECT workflow.start('caller')");
paused($old, 'on');
fails($old, 'SELECT workflow.keep(2, 0)', '55000', 'would be parted from the one that has called it', 'who has called, and whom he has called, are not parted');
is($old->safe_psql('postgres', 'SELECT count(*) FROM workflow.waiting'), 61, '... and nothing is dropped');
paused($old, 'off');
$old->safe_psql('postgres', "SELECT workflow.cancel($parent)");
is_soon($old, 'postgres', 'SELECT count(*) FROM workflow.waiting', 60, 'they have ended');

# ---- the copy, at one moment ----

# As the page says: nobody is let in but who splits. Here routers come by the socket, too, in that role.
my $superuser = getpwuid($<);
sub shut_out { my ($node) = @_; unlink $node->data_dir . '/pg_hba.conf'; return $node->append_conf('pg_hba.conf', "local all $superuser trust\n") }
sub let_in   { my ($node) = @_; $node->append_conf('pg_hba.conf', "local all all trust\n"); return $node->reload }
$old->safe_psql('postgres', 'CREATE ROLE client LOGIN');

$old->backup('backup');
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init_from_backup($old, 'backup', has_streaming => 1);
$new->append_conf('postgresql.conf', "workflow.start_paused = on\n");
$new->start;
$old->safe_psql('postgres', "SELECT workflow.start('clock') FROM generate_series(1, 10)");
my $waiting = q[SELECT string_agg(serial_number, ' ' ORDER BY serial_number) FROM workflow.waiting];
my $all = $old->safe_psql('postgres', $waiting);
$old->append_conf('postgresql.conf', "workflow.start_paused = on\n");
$old->stop;
$new->promote;
shut_out($new);
$new->reload;
shut_out($old);
$old->start;
for ($old, $new)
{
	my ($rc, undef, $stderr) = $_->psql('postgres', 'SELECT 1', extra_params => [ '-U', 'client' ]);
	like($stderr, qr/no pg_hba.conf entry/, 'nobody else is let in by ' . $_->name);
}
is($new->safe_psql('postgres', $waiting), $all, 'the copy has all that the shard had when it was stopped');

# ---- each keeps its part ----

my $rows = 'SELECT (SELECT count(*) FROM workflow.instances), (SELECT count(*) FROM workflow.instances WHERE (instance >> 10) % 2 = %d)';
my %was = map { $_ => (split /\|/, $old->safe_psql('postgres', sprintf $rows, $_))[1] } 0, 1;
my (undef, $kept, $notice) = $old->psql('postgres', 'SELECT workflow.keep(2, 0)');
like($notice, qr/NOTICE:  dropped 3\d living instances/, 'one keeps its part');
is($kept & 1023, 3, '... and its number');
my $below = $new->safe_psql('postgres', 'SELECT workflow.keep(2, 1, 4)');
is($below & 1023, 4, 'the other gets a number of its own');
is($old->safe_psql('postgres', sprintf $rows, 0), "$was{0}|$was{0}", 'one has its part');
is($new->safe_psql('postgres', sprintf $rows, 1), "$was{1}|$was{1}", '... and the other the rest');
is($old->safe_psql('postgres', 'SELECT count(*) FROM workflow_data.visit v WHERE NOT EXISTS (SELECT FROM workflow_data.instance i WHERE i.instance = v.instance)'), 0, '... with its visits');
is(join(' ', sort map { split / /, $_->safe_psql('postgres', $waiting) } $old, $new), $all, '... and no one has what the other has');
stays(1, sub { join ' ', map { $_->safe_psql('postgres', 'SELECT count(*) FROM effect') } $old, $new }, '0 0', 'both are quiet');
$routed->("SELECT workflow_router.split_shard(3, 2, 1, 4, '" . place_of($new) . "', $below)");
$_->safe_psql('postgres', 'SELECT workflow.adopt()') for $old, $new;
let_in($_) for $old, $new;
fails($new, 'SELECT workflow.keep(2, 1)', '55000', 'workers may be at work', 'once adopted nothing more is dropped');

# ---- behind the router ----

fails($front, "SELECT workflow_router.split_shard(3, 2, 1, 5, 'dbname=other', $below)", '0A000', 'was split already', 'a shard is split once');
is($routed->('SELECT count(*) FROM workflow_router.verify()'), 0, 'both are as they should be');
is($routed->('SELECT count(*), count(DISTINCT shard) FROM workflow.waiting'), '70|2', 'all is there');
fails($front, "SELECT workflow.start('order', business_key => $_)", '23505', 'a living instance with business key', "the key $_ is not free") for 1 .. 4;
is($routed->("SELECT count(workflow.instance_of_key('order', n)) FROM generate_series(1, 40) n"), 40, 'all keys are found');
is($routed->("SELECT count(*) FILTER (WHERE workflow.complete(serial_number)) FROM workflow.waiting WHERE process = 'order'"), 40, 'callbacks come to where the instances live');
is($routed->("SELECT count(*) FROM generate_series(1, 40) n WHERE workflow.send_message('told', n) IN ('delivered', 'queued')"), 40, '... and messages');
is($routed->("SELECT count(*) FROM workflow.fetch('work', 100)"), 10, '... and work');
is_soon($front, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'order' AND status = 'completed'", 40, 'they come to their ends');
is_soon($front, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'clock' AND status = 'completed'", 10, '... and so do clocks');
is(join('|', map { $_->safe_psql('postgres', 'SELECT count(*) - count(DISTINCT (instance, step)) FROM effect') } $old, $new), '0|0', 'every effect came once');
is($old->safe_psql('postgres', 'SELECT count(*) FROM effect') + $new->safe_psql('postgres', 'SELECT count(*) FROM effect'), 50, '... in one of them');
is($routed->("SELECT string_agg(DISTINCT (s & 1023)::text, ' ') FROM (SELECT workflow.start('work') AS s FROM generate_series(1, 40)) s"), '3 4', 'both start instances');
is($routed->('SELECT bool_and(shard = instance & 1023) FROM workflow.instances WHERE instance >= ' . $below), 't', '... with numbers of their own');
is($routed->("SELECT count(*) FILTER (WHERE workflow.complete(serial_number)) FROM workflow.waiting WHERE process = 'row'"), 10, 'rows go on');
for my $node ($old, $new)
{
	is_soon($node, 'postgres', q[SELECT count(*) FROM orders o WHERE state = 'completed'], $node->safe_psql('postgres', 'SELECT count(*) FROM orders o WHERE EXISTS (SELECT FROM workflow.instances i WHERE i.instance = o.instance)'),
		'... and show it where their instances are');
}
$new->safe_psql('postgres', "DELETE FROM orders WHERE state = 'active'");
is($new->safe_psql('postgres', 'SELECT count(*) FROM workflow.verify()'), 0, 'those of the others are deleted');

done_testing();
