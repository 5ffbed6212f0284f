#
# Rows that logical replication brings in large transactions, which are streamed while they are under way (by several workers, where PostgreSQL can do
# that), in prepared ones, and with savepoints that are rolled back: each starts one instance, and only once it is committed.
#
# mostly waits
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $provider = new_server('provider', extension => 0,
	conf => "shared_preload_libraries = ''\nwal_level = logical\nmax_wal_senders = 8\nmax_replication_slots = 8\nmax_prepared_transactions = 10\nlogical_decoding_work_mem = '64kB'\n");
my $node = new_server('companion', conf => "max_logical_replication_workers = 8\nmax_prepared_transactions = 10\nwal_retrieve_retry_interval = 500ms\n");
my $streaming = $node->safe_psql('postgres', 'SHOW server_version_num') >= 160000 ? 'parallel' : 'on';
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub there { return $provider->safe_psql('postgres', $_[0]) }
sub caught_up { $provider->wait_for_catchup('rows'); return }

my $table = 'CREATE TABLE rows (id int PRIMARY KEY, n int, filler text)';
there("$table; CREATE PUBLICATION rows FOR TABLE rows");
sql(qq[$table; SELECT workflow.define('row', '{"steps": [{"step": "one", "wait": true}]}');
	SELECT workflow.attach('rows', 'row', condition => '\$.n + 1 > 0', on_update => 'set_data', on_delete => 'cancel', replicated => true)]);
my $connection = sprintf 'host=%s port=%s dbname=postgres', $provider->host, $provider->port;
sql("CREATE SUBSCRIPTION rows CONNECTION '$connection' PUBLICATION rows WITH (streaming = $streaming, two_phase = true)");
is_soon($node, 'postgres', q[SELECT subtwophasestate, (SELECT string_agg(srsubstate::text, '') FROM pg_subscription_rel) FROM pg_subscription], 'e|r', 'the subscription is ready');
my $once = q[SELECT count(*) - count(DISTINCT business_key) FROM workflow.instances];
my $streamed = q[SELECT stream_txns > 0 FROM pg_stat_replication_slots];

# ---- large, with savepoints, of which one is rolled back ----

my $block = sub {
	my ($from) = @_;
	my $to = $from + 999;
	return qq[INSERT INTO rows SELECT i, CASE WHEN i % 100 = 0 THEN NULL ELSE i END, repeat('x', 200) FROM generate_series($from, $to) i;];
};
there('BEGIN; ' . $block->(1) . 'SAVEPOINT a; ' . $block->(1001) . 'ROLLBACK TO a; ' . $block->(2001) . 'UPDATE rows SET n = -n WHERE id % 100 = 1; DELETE FROM rows WHERE id % 100 = 2; COMMIT');
caught_up();
is(there($streamed), 't', 'a large transaction is streamed');
is(sql(q[SELECT count(*), count(*) FILTER (WHERE status = 'aborted'), count(*) FILTER (WHERE (data ->> 'n')::int < 0) FROM workflow.instances]), '1980|20|20', 'each row has an instance, with what has become of it');
is(sql(q[SELECT count(*), count(DISTINCT business_key) FROM workflow.refused_rows]), '20|20', '... or was refused');
is(sql(q[SELECT count(*) FROM workflow.instances WHERE business_key::int BETWEEN 1001 AND 2000]), 0, 'none of those that were rolled back');
there('BEGIN; ' . $block->(3001) . $block->(4001) . 'ROLLBACK');
caught_up();
is(sql(q[SELECT count(*) FROM workflow.instances WHERE business_key::int > 3000]), 0, '... and none of a transaction that was');

# ---- prepared ----

there('BEGIN; INSERT INTO rows VALUES (10001, 1); PREPARE TRANSACTION \'small\'; BEGIN; ' . $block->(11001) . "PREPARE TRANSACTION 'large'; BEGIN; INSERT INTO rows VALUES (10002, 1); PREPARE TRANSACTION 'undone'");
caught_up();
is_soon($node, 'postgres', 'SELECT count(*) FROM pg_prepared_xacts', 3, 'what is prepared there is prepared here');
is(sql(q[SELECT count(*) FROM workflow.instances WHERE business_key::int > 10000]), 0, '... and nothing has started');
$node->stop('immediate');
there(q[COMMIT PREPARED 'small'; COMMIT PREPARED 'large'; ROLLBACK PREPARED 'undone']);
$node->start;
caught_up();
is_soon($node, 'postgres', 'SELECT count(*) FROM pg_prepared_xacts', 0, 'it ends here as it has ended there');
is(sql(q[SELECT count(*) FROM workflow.instances WHERE business_key::int > 10000]), 991, '... and what was committed has started');
is(sql($once), 0, 'each row has one instance');
is(sql('SELECT count(*) FROM workflow.verify()'), 0, 'the rows agree');

# ---- a crash amid the stream ----

there('BEGIN; ' . join('', map { $block->(20001 + 1000 * $_) } 0 .. 4) . 'COMMIT');
$node->stop('immediate');
$node->start;
caught_up();
is(sql(q[SELECT count(*) FROM workflow.instances WHERE business_key::int > 20000]), 4950, 'a crash amid it loses nothing');
is(sql($once), 0, '... and starts nothing twice');

sql('DROP SUBSCRIPTION rows');
$node->stop;
$provider->stop;
done_testing();
