#
# Hundreds of thousands wait, and as many have ended: what is looked up by number, key or time is found through indexes, by whoever may
# see it. With --long a million.
#
# takes long

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $MANY = $ENV{WF_LONG} ? 1_000_000 : 400_000;

my $node = new_server('many', conf => "autovacuum = off\nshared_buffers = 512MB\nmaintenance_work_mem = 256MB\nmax_wal_size = 8GB\nwork_mem = 64MB\n");
$node->safe_psql(
	'postgres', q[
	CREATE ROLE clerk LOGIN;
	CREATE ROLE watch LOGIN;
	GRANT pg_monitor TO watch;
	GRANT USAGE ON SCHEMA workflow TO clerk;
	SELECT workflow.define(p, '{"steps": [{"step": "stand", "wait": true}]}') FROM unnest(ARRAY['seen', 'hidden']) p;
	SELECT workflow.grant_process('seen', 'clerk', 'view');
	SELECT workflow.start(p, '{}', 'first') FROM unnest(ARRAY['seen', 'hidden']) p;
	SELECT workflow.start(p, '{}', 'second') FROM unnest(ARRAY['seen', 'hidden']) p;
	SELECT count(workflow.complete(serial_number)) FROM workflow.waiting JOIN workflow.instances USING (instance) WHERE business_key = 'second']);
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.visit_stray", 0, 'what has ended is in partitions');

# many like those two, half of them hidden from the clerk; the ended ones ended over the last days. What waits has said how far it is, so that a
# row is no smaller than those of a day's work, and a few of them are incidents.
$node->safe_psql('postgres', fill($_)) for ([instance => "WHERE business_key = 'first'"], [visit => ''],
	[instance_history => '', 'ended_at'], [visit_history => '', 'ended_at']);
$node->safe_psql('postgres', "UPDATE workflow_data.visit SET state = 'incident', outcome = 'FAILED', waits_for = NULL WHERE instance / 10 % 5000 = 17;
	UPDATE workflow_data.instance SET status = 'failed', incidents = 1 WHERE instance / 10 % 5000 = 17");
$node->safe_psql(
	'postgres', q[
	SELECT brin_summarize_new_values(indexrelid) FROM pg_index JOIN pg_class i ON i.oid = indexrelid JOIN pg_am a ON a.oid = i.relam AND amname = 'brin';
	VACUUM ANALYZE;
	CREATE TABLE batch AS SELECT row_number() OVER (ORDER BY instance)::int AS id, serial_number AS sn, instance FROM workflow.waiting WHERE process = 'seen' LIMIT 1000;
	ALTER TABLE batch ADD PRIMARY KEY (id);
	ALTER TABLE batch ADD key text;
	UPDATE batch b SET key = i.business_key FROM workflow.instances i WHERE i.instance = b.instance;
	VACUUM ANALYZE batch;
	GRANT SELECT ON batch TO clerk]);

# Copies of the rows that are there, with numbers and keys of their own.
sub fill
{
	my ($table, $where, $end) = @{$_[0]};
	my %other = (progress => "jsonb_build_object('line', g, 'of', repeat('so far ', 30))", instance => 'r.instance + 10 * g', visit => 'r.visit + 10 * g', business_key => "'K' || g || '-' || (r.instance + 10 * g)");
	$other{$end} = "r.$end - g * interval '1 second' / 2" if $end;
	my @columns = split /\n/, $node->safe_psql('postgres', "SELECT attname FROM pg_attribute WHERE attrelid = 'workflow_data.$table'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum");
	my $values = join ', ', map { $other{$_} // "r.$_" } @columns;
	my $half = $MANY / 2;
	# indexes are made anew, which takes a fraction of the time that it takes to fill them row by row
	my %index = split /[|\n]/, $node->safe_psql('postgres', "SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid IN (SELECT 'workflow_data.$table'::regclass "
		  . "UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = 'workflow_data.$table'::regclass) "
		  . "AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)");
	# the newest last, as they come
	return join '; ', (map { "DROP INDEX $_" } sort keys %index),
	  "INSERT INTO workflow_data.$table (@{[join ', ', @columns]}) SELECT $values FROM generate_series($half, 1, -1) g, (SELECT * FROM workflow_data.$table $where) r",
	  map { $index{$_} } sort keys %index;
}

my ($sn, $instance, $ended) = split /\|/, $node->safe_psql('postgres',
	"SELECT b.sn, b.instance, (SELECT max(instance) - 1000 FROM workflow.instances WHERE process = 'seen' AND ended_at IS NOT NULL) FROM batch b WHERE id = 500");

# What is asked, and how much of it there is. A table has 8,000 pages, or 20,000.
my @questions = (
	['by serial number', "SELECT * FROM workflow.waiting WHERE serial_number = '$sn'", 1],
	['a list of serial numbers', "SELECT * FROM workflow.waiting WHERE serial_number = ANY (ARRAY['$sn', '5_31'])", 1],
	['joined by serial number', "SELECT * FROM batch b JOIN workflow.waiting w ON w.serial_number = b.sn WHERE b.id = 17", 1],
	['the first of a batch', "SELECT * FROM batch b JOIN workflow.waiting w ON w.serial_number = b.sn ORDER BY b.id LIMIT 3", 3],
	['a batch and its visits', "SELECT * FROM batch b JOIN workflow.visits w ON w.serial_number = b.sn WHERE b.id < 50", 49],
	['joined by instance', "SELECT * FROM batch b JOIN workflow.instances i USING (instance) WHERE b.id = 17", 1],
	['joined by business key', "SELECT * FROM batch b JOIN workflow.instances i ON i.business_key = b.key WHERE b.id = 17 AND i.process = 'seen'", 1],
	['an instance', "SELECT * FROM workflow.instances WHERE instance = $instance", 1],
	['its visits', "SELECT * FROM workflow.visits WHERE instance = $instance", 1],
	['an ended instance', "SELECT * FROM workflow.instances WHERE instance = $ended", 1],
	['what it went through', "SELECT * FROM workflow.history WHERE instance = $ended", 1],
	['a key of the living', "SELECT * FROM workflow.instances WHERE business_key = (SELECT key FROM batch WHERE id = 3) AND process = 'seen'", 1],
	['a key of the ended', "SELECT * FROM workflow.instances WHERE business_key = 'second' AND process = 'seen'", 1],
	['what waits longest', 'SELECT * FROM workflow.waiting ORDER BY since LIMIT 5', 5],
	['the last minute', "SELECT * FROM workflow.history WHERE ended_at > (SELECT max(ended_at) FROM workflow.history WHERE instance = $ended) - interval '1 minute' AND ended_at < (SELECT max(ended_at) FROM workflow.history WHERE instance = $ended)", undef],
	['a condition of his own', "SELECT * FROM batch b JOIN workflow.waiting w ON w.serial_number = b.sn WHERE b.id = 17 AND w.process LIKE 's%'", 1],
	['the last hour', "SELECT * FROM workflow.history WHERE ended_at > now() - interval '1 hour'", undef],
	['what has ended in the last hour', "SELECT * FROM workflow.instances WHERE ended_at > now() - interval '1 hour'", undef],
	['incidents', 'SELECT * FROM workflow.incidents', undef],
	['how many incidents', 'SELECT process, count(*) FROM workflow.incidents GROUP BY 1', undef]);

# Those that a plan has read, its parts counted in.
sub pages
{
	my ($plan) = @_;
	my ($pages) = $plan =~ /Buffers: shared ([^\n]*)/;
	my $read = 0;
	$read += $_ for ($pages // '') =~ /(?:hit|read)=(\d+)/g;
	return $read;
}

for my $role ('clerk', 'postgres')
{
	for (@questions)
	{
		my ($what, $query, $rows) = @$_;
		my $plan = $node->safe_psql('postgres', "SET ROLE $role; SET max_parallel_workers_per_gather = 2; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) $query");
		cmp_ok(pages($plan), '<', 1000, "$role: $what needs few pages") or diag($plan);
		is($node->safe_psql('postgres', "SET ROLE $role; SELECT count(*) FROM ($query) q"), $rows, '... and is found') if defined $rows;
	}
}
my $incidents = $node->safe_psql('postgres', "SET ROLE clerk; SELECT count(*) FROM workflow.incidents");
cmp_ok($incidents, '>', 30, 'some incidents');
is($node->safe_psql('postgres', "SET ROLE clerk; SELECT count(*) FROM workflow.waiting"), $MANY / 2 + 1 - $incidents, 'half of it is hidden');

# To count all is to read all, but of an index, not of the tables.
my %size = map { my ($table) = @$_; $table => $node->safe_psql('postgres', "SELECT pg_relation_size('workflow_data.$table') / 8192") } ['visit'], ['instance'];
my @counts = (
	['clerk', 'visits by process and state', 'SELECT process, state, count(*) FROM workflow.visits GROUP BY 1, 2'],
	['postgres', 'visits by process and state', 'SELECT process, state, count(*) FROM workflow.visits GROUP BY 1, 2'],
	['watch', 'visits of metrics', "SELECT * FROM workflow.metrics WHERE name IN ('visits', 'waiting', 'oldest_wait_seconds', 'incidents')"],
	['watch', 'instances of metrics', "SELECT * FROM workflow.metrics WHERE name = 'instances'"],
	['watch', 'all of metrics', 'SELECT * FROM workflow.metrics']);
for (@counts)
{
	my ($role, $what, $query) = @$_;
	my $begin = time();
	my $plan = $node->safe_psql('postgres', "SET ROLE $role; SET max_parallel_workers_per_gather = 0; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) $query");
	note(sprintf('%s: %.2f s, %d pages; visit has %d, instance %d', $what, time() - $begin, pages($plan), @size{qw(visit instance)}));
	cmp_ok(pages($plan), '<', $size{visit} / 3, "$role: $what are counted without reading the table") or diag($plan);
}
is($node->safe_psql('postgres', "SET ROLE watch; SELECT value FROM workflow.metrics WHERE name = 'visits' AND labels = '{\"process\": \"seen\", \"state\": \"waiting\"}'"), $MANY / 2 + 1 - $incidents, '... rightly');

# what is erased is found likewise
my $plan = $node->safe_psql('postgres', "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) SELECT workflow.erase($ended)");
cmp_ok(pages($plan), '<', 5000, 'an instance is erased without reading all') or diag($plan);
is($node->safe_psql('postgres', "SELECT count(*) FROM workflow.history WHERE instance = $ended"), 0, '... and is gone');

leave_unverified('so many copies of four instances would take a third of the time; 094_verify has many');
done_testing;
