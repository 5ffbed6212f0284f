#
# Rows that logical replication brings into an attached table: triggers do not fire there, unless they are ENABLE ALWAYS, and those of statements
# not even then. What is said of that in docs/rows.md holds, and what the subscriber's own clients change goes on as ever.
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

my $publisher = new_server('publisher', extension => 0, conf => "wal_level = logical\nmax_wal_senders = 5\nmax_replication_slots = 5\n");
my $node = new_server('subscriber');
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub publish { return $publisher->safe_psql('postgres', $_[0]) }

my $tables = q[
	CREATE TABLE plain (id int PRIMARY KEY, amount int, sn text);
	CREATE TABLE parted (id int PRIMARY KEY, amount int, sn text) PARTITION BY RANGE (id);
	CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
	CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200);
];
publish($tables . 'CREATE PUBLICATION all_tables FOR TABLE plain, parted');
sql($tables . q[SELECT workflow.define('row', '{"steps": [{"step": "one", "wait": {"condition": "$.amount >= 10"}}, {"step": "two", "wait": true}]}');
	SELECT workflow.attach(t, 'row', 'sn', on_update => 'set_data', on_delete => 'cancel') FROM unnest('{plain,parted}'::regclass[]) t;
	INSERT INTO plain VALUES (1, 1); INSERT INTO parted VALUES (1, 1)]);
my $connection = sprintf 'host=%s port=%s dbname=postgres', $publisher->host, $publisher->port;
sql("CREATE SUBSCRIPTION rows CONNECTION '$connection' PUBLICATION all_tables WITH (copy_data = false)");
$publisher->wait_for_catchup('rows');
is_soon($node, 'postgres', "SELECT string_agg(srsubstate::text, '') FROM pg_subscription_rel", $node->safe_psql('postgres', 'SELECT repeat(\'r\', count(*)::int) FROM pg_subscription_rel'), 'the subscription is ready');
my $look = q[SELECT a.relation, i.business_key, i.status, i.data ->> 'amount' FROM workflow.instances i JOIN (SELECT instance, attachment FROM workflow_data.instance UNION ALL SELECT instance, attachment FROM workflow_data.instance_history) x USING (instance)
	JOIN workflow_data.attachment a USING (attachment) ORDER BY a.relation::text DESC, i.business_key::int];
sub replicate { publish($_[0]); $publisher->wait_for_catchup('rows') }

# ---- as it is ----

# the rows that are there were made by hand on both sides
replicate('SET session_replication_role = origin; INSERT INTO plain VALUES (2, 2); INSERT INTO parted VALUES (2, 2)');
publish('ALTER PUBLICATION all_tables SET (publish = \'\'); INSERT INTO plain VALUES (1, 1); INSERT INTO parted VALUES (1, 1)');
publish('ALTER PUBLICATION all_tables SET (publish = \'insert, update, delete, truncate\')');
replicate('UPDATE plain SET amount = 20; UPDATE parted SET amount = 20');
is(sql('SELECT string_agg(amount::text, \' \') FROM (SELECT amount FROM plain UNION ALL SELECT amount FROM parted) t'), '20 20 20 20', 'rows come');
is(sql($look), "plain|1|active|1\nparted|1|active|1", '... and start and change nothing');
sql('UPDATE plain SET amount = 21; UPDATE parted SET amount = 21');
is(sql($look), "plain|1|active|21\nparted|1|active|21", 'a client of the subscriber does');

# ---- with triggers that fire always ----

sql(qq[ALTER TABLE $_ ENABLE ALWAYS TRIGGER workflow_start; ALTER TABLE $_ ENABLE ALWAYS TRIGGER workflow_update; ALTER TABLE $_ ENABLE ALWAYS TRIGGER workflow_delete;])
  for qw(plain parted parted_1 parted_2);
replicate('INSERT INTO plain VALUES (3, 3); INSERT INTO parted VALUES (3, 3); UPDATE plain SET amount = 30; UPDATE parted SET amount = 30; DELETE FROM plain WHERE id = 1; DELETE FROM parted WHERE id = 1');
is_soon($node, 'postgres', $look, "plain|1|active|21\nparted|1|aborted|30\nparted|3|active|30", 'those of a partitioned table bring it to the instances');
is_soon($node, 'postgres', "SELECT i.instance::text = split_part(p.sn, '_', 1) FROM parted p JOIN workflow.instances i ON i.business_key = '3' AND p.id = 3", 't', '... and the row shows its instance');
replicate('UPDATE parted SET id = 103 WHERE id = 3');
is_soon($node, 'postgres', "SELECT business_key FROM workflow.instances WHERE status = 'active' AND data ->> 'amount' = '30'", '103', '... also one that moves');
is(sql('SELECT count(*) FROM workflow.verify()'), 0, 'the rows agree');

sql('DROP SUBSCRIPTION rows');
$node->stop;
$publisher->stop;
done_testing();
