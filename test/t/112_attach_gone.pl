#
# Attached tables that are dropped, restored alone, or dumped and restored with all the rest: what lives goes on, the log stays
# silent, and what was restored is known again.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('gone_tables');
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub finish { return sql("SELECT count(*) FILTER (WHERE workflow.complete(serial_number)) FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE business_key = '$_[0]'") }
sub shown { return "SELECT string_agg(id || ' ' || state || ' ' || (sn IS NULL), ', ' ORDER BY id) FROM orders" }
my $directory = PostgreSQL::Test::Utils::tempdir();
my $write_backs = "SELECT count(*) FROM workflow_data.delivery WHERE kind = 'write_back'";

sql(q[
	SELECT workflow.define('w', '{"steps": [{"step": "a", "wait": true}]}');
	CREATE TABLE orders (id int PRIMARY KEY, sn text, state text);
	CREATE TABLE spare (LIKE orders INCLUDING ALL);
	SELECT workflow.attach(t, 'w', 'sn', status_column => 'state') FROM unnest('{orders,spare}'::regclass[]) t;
	INSERT INTO orders SELECT generate_series(1, 4);
	INSERT INTO spare SELECT generate_series(11, 13)]);
is(finish(1), 1, 'one has ended');
is_soon($node, 'postgres', shown(), '1 completed true, 2 active false, 3 active false, 4 active false', 'its row says so');

# The table alone, as it was before one more ended.
$node->command_ok(['pg_dump', '--no-sync', '-Fc', '-t', 'orders', '-f', "$directory/orders", $node->connstr('postgres')], 'a table is dumped');
is(finish(2), 1, 'one more has ended');
is_soon($node, 'postgres', $write_backs, 0, 'and is shown');
my $from = -s $node->logfile;
sql('DROP TABLE orders');
is(finish(3), 1, 'what it has started goes on without it');
is_soon($node, 'postgres', $write_backs, 0, 'nothing is owed to it');
$node->command_ok(['pg_restore', '--no-owner', '-d', $node->connstr('postgres'), "$directory/orders"], 'it is restored');
is(sql('SELECT count(*) FROM workflow.attachments'), 1, 'it is another table, attached to nothing');
unlike(slurp_file($node->logfile, $from), qr/(WARNING|ERROR|workflow executor:)/, 'there is nothing to be told in the log');
my ($out, $notice);
$node->psql('postgres', 'INSERT INTO orders VALUES (5), (6); DELETE FROM orders WHERE id = 6', stderr => \$notice);
is(scalar(() = $notice =~ /WARNING:  table "orders" is attached to no process: its rows start nothing/g), 1, 'rows start nothing, which is said');
is(sql("SELECT count(*) FROM workflow.instances WHERE business_key = '5'"), 0, 'and true');
$from = -s $node->logfile;
$node->psql('postgres', "SELECT workflow.attach('orders', 'w', 'sn', status_column => 'state', existing => true)", stdout => \$out, stderr => \$notice);
like($notice, qr/started 1 instance of process "w" for rows of table "orders"/, 'attached again it is the same one: only the new row starts one');
is_soon($node, 'postgres', shown(), '1 completed true, 2 completed true, 3 completed true, 4 active false, 5 active false', 'rows show what is true');
is(finish(4), 1, 'what lives is its own');
is_soon($node, 'postgres', shown(), '1 completed true, 2 completed true, 3 completed true, 4 completed true, 5 active false', 'and is shown');
is(sql('SELECT count(*) FROM workflow_data.attachment'), 2, 'under the number that it had');
unlike(slurp_file($node->logfile, $from), qr/(WARNING|ERROR|workflow executor:)/, 'there is nothing to be told in the log');

# One that is not attached again can be got rid of its triggers.
sql('DROP TABLE orders');
$node->command_ok(['pg_restore', '--no-owner', '-d', $node->connstr('postgres'), "$directory/orders"], 'it is restored once more');
is(sql("SELECT workflow.detach('orders')"), 0, 'it is detached');
is(sql("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass"), 0, 'from its triggers');
is($node->psql('postgres', "SELECT workflow.detach('orders')"), 3, 'and then there is nothing to detach');

# A write-back that has waited for the table writes to the columns that are wanted by then.
sql("CREATE TABLE moved (id int PRIMARY KEY, old text, new text); SELECT workflow.attach('moved', 'w', status_column => 'old'); INSERT INTO moved VALUES (31)");
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE moved IN SHARE ROW EXCLUSIVE MODE');
finish(31);
is_soon($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'workflow executor' AND wait_event_type = 'Lock'", 1, 'a write-back waits for its table');
$holder->query_safe("SELECT workflow.detach('moved'); SELECT workflow.attach('moved', 'w', status_column => 'new'); COMMIT");
$holder->quit;
is_soon($node, 'postgres', "SELECT old, new FROM moved", 'active|completed', 'which was attached with another column meanwhile');
is_soon($node, 'postgres', $write_backs, 0, 'and that is all');
is(sql('SELECT old FROM moved'), 'active', 'the former column is left alone');

# What ends in the transaction that detaches the table, or in one that had begun before and is committed later, is made up for.
sql("INSERT INTO moved SELECT generate_series(32, 33)");
$holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT workflow.complete(serial_number) FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE business_key = '32'");
sleep 1; # which is more than a moment
sql("BEGIN; SELECT workflow.complete(serial_number) FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE business_key = '33'; SELECT workflow.detach('moved'); COMMIT");
sql("UPDATE workflow_data.attachment SET detached_at = detached_at + interval '1 hour' WHERE relation = 'moved'::regclass"); # as if all of that had taken as long
$holder->query_safe('COMMIT');
$holder->quit;
is_soon($node, 'postgres', $write_backs, 0, 'nothing is owed to a detached table');
is(sql("SELECT string_agg(new, ' ' ORDER BY id) FROM moved"), 'completed active active', 'nor written to it');
sql("SELECT workflow.attach('moved', 'w', status_column => 'new')");
is_soon($node, 'postgres', "SELECT string_agg(new, ' ' ORDER BY id) FROM moved", 'completed completed completed', 'attached again, it shows what is true');
sql("SELECT workflow.detach('moved')");

# All of it.
sql("SELECT workflow.detach('spare'); CREATE TABLE dropped (LIKE orders INCLUDING ALL); SELECT workflow.attach('dropped', 'w', 'sn'); INSERT INTO dropped VALUES (21)");
is(finish(11), 1, 'one of a detached table has ended');
sql('DROP TABLE dropped');
$node->command_ok(['pg_dump', '--no-sync', '-f', "$directory/all.sql", $node->connstr('postgres')], 'the database is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$directory/all.sql", $node->connstr('copy')], 'and restored');
$node->safe_psql('copy', 'SELECT workflow.adopt()');
is($node->safe_psql('copy', 'SELECT count(*) FROM workflow.attachments'), 0, 'nothing is attached there');
$node->psql('copy', "SELECT workflow.attach('spare', 'w', status_column => 'state', existing => true)", stderr => \$notice);
like($notice, qr/started 0 instances/, 'what was detached is known there');
is_soon($node, 'copy', "SELECT string_agg(id || ' ' || state, ', ' ORDER BY id) FROM spare", '11 completed, 12 active, 13 active', 'and shows what is true');
is($node->safe_psql('copy', "SELECT workflow.complete(serial_number) FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE business_key = '21'"), 't', 'what a dropped table has started ends there');

# Upkeep notes that a table is gone, before another one can get its OID; perhaps it has by now.
sql("UPDATE workflow_data.delivery SET due_at = clock_timestamp() WHERE kind = 'maintain'; SELECT workflow.define('sql', '{\"steps\": [{\"step\": \"a\", \"sql\": \"SELECT 1\"}]}'); SELECT workflow.start('sql')");
is_soon($node, 'postgres', "SELECT relation IS NULL FROM workflow_data.attachment WHERE relation_name = 'public.dropped'", 't', 'but upkeep finds it out');

done_testing();
