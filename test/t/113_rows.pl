#
# Rows of an attached table are changed, deleted and inserted again by several clients, while others hold the instances, and the server or
# a worker dies in the middle: in the end each living instance has its row, and they say the same. Prepared transactions, and a copy.
#
# takes long

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $CLIENTS = 4;
my $node = new_server('rows', conf => "max_prepared_transactions = 10\nworkflow.careful_after_crash = 0\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(q[
	CREATE TABLE orders (id int PRIMARY KEY, amount int, state text, instance bigint, seen int);
	SELECT workflow.define('order', '{"steps": [
		{"step": "small", "wait": {"condition": "$.amount >= 3"}, "next": "large"},
		{"step": "large", "wait": {"condition": "$.amount < 3"}, "next": "small"}]}');
	SELECT workflow.attach('orders', 'order', status_column => 'state', instance_column => 'instance', result_columns => '{"seen": "$.amount"}',
		on_update => 'set_data', on_delete => 'cancel');
	INSERT INTO orders (id, amount) SELECT g, 0 FROM generate_series(1, 100) g;
	CREATE TABLE done (n int);
	CREATE PROCEDURE churn(n int) LANGUAGE plpgsql AS $$
	DECLARE
		r int;
	BEGIN
		FOR i IN 1 .. n LOOP
			r := 1 + floor(random() * 100);
			CASE floor(random() * 8)
				WHEN 0 THEN
					DELETE FROM orders WHERE id = r;
				WHEN 1 THEN
					DELETE FROM orders WHERE id = r;
					INSERT INTO orders (id, amount) VALUES (r, floor(random() * 6)) ON CONFLICT DO NOTHING;
				WHEN 2 THEN
					PERFORM workflow.set_data(instance, jsonb_build_object('held', i)) FROM workflow_data.instance WHERE business_key = r::text;
					PERFORM pg_sleep(0.01);
				WHEN 3 THEN
					INSERT INTO orders (id, amount) VALUES (r, floor(random() * 6)) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount;
				ELSE
					UPDATE orders SET amount = floor(random() * 6) WHERE id = r;
			END CASE;
			COMMIT;
		END LOOP;
		INSERT INTO done VALUES (n);
	END $$;
]);

# What does not fit together, once nothing is under way any more.
my $wrong = q[
	SELECT count(*) FILTER (WHERE o.id IS NULL) || ' without a row, '
		|| count(*) FILTER (WHERE i.data -> 'amount' <> to_jsonb(o.amount)) || ' with other data, '
		|| count(*) FILTER (WHERE o.seen IS DISTINCT FROM o.amount OR o.state <> i.status OR o.instance <> i.instance) || ' not shown, '
		|| count(*) FILTER (WHERE v.step <> CASE WHEN o.amount >= 3 THEN 'large' ELSE 'small' END) || ' elsewhere, '
		|| (SELECT count(*) FROM orders o WHERE NOT EXISTS (SELECT FROM workflow_data.instance i WHERE i.business_key = o.id::text) AND state <> 'aborted') || ' alone'
	FROM workflow_data.instance i LEFT JOIN orders o ON o.id::text = i.business_key LEFT JOIN workflow.visits v ON v.instance = i.instance];
my $under_way = q[SELECT count(*) FROM workflow_data.delivery WHERE kind IN ('row', 'write_back')];

sub clients
{
	my ($n) = @_;
	return map { IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', "CALL churn($n)" ], '<', \undef, '>', \my $out, '2>', \my $err) } 1 .. $CLIENTS;
}

for my $kind ('server', 'dispatcher', 'server', 'executor')
{
	sql('TRUNCATE done');
	my @clients = clients(100_000);
	my $seen = sql('SELECT count(*) FROM workflow.audit');
	grows_to($node, 'SELECT count(*) FROM workflow.audit', $seen + 50, "$kind: clients are at it");
	killed($node, $kind);
	$_->finish for @clients;
	is_soon($node, 'postgres', $under_way, 0, '... and what was under way is done');
	is(sql($wrong), '0 without a row, 0 with other data, 0 not shown, 0 elsewhere, 0 alone', '... and all fits');
}
sql('TRUNCATE done');
my @clients = clients(200);
$_->finish for @clients;
is(sql('SELECT count(*) FROM done'), $CLIENTS, 'no client is the victim of anything');
is_soon($node, 'postgres', $under_way, 0, '... and what was under way is done');
is(sql($wrong), '0 without a row, 0 with other data, 0 not shown, 0 elsewhere, 0 alone', '... and all fits');
cmp_ok(count_in_log($node, qr/deadlock detected/), '==', 0, '... nor anybody else');

# ---- prepared transactions ----

sql("INSERT INTO orders (id, amount) VALUES (1001, 1), (1002, 1), (1003, 1)");
sql("BEGIN; UPDATE orders SET amount = 5 WHERE id = 1001; DELETE FROM orders WHERE id = 1002; PREPARE TRANSACTION 'a'");
sql("BEGIN; UPDATE orders SET amount = 5 WHERE id = 1003; PREPARE TRANSACTION 'b'");
killed($node, 'server');
my $of = q[SELECT string_agg(business_key || ' ' || status || ' ' || (data ->> 'amount'), ', ' ORDER BY business_key) FROM workflow.instances WHERE business_key > '1000' AND business_key < '1004'];
is(sql($of), '1001 active 1, 1002 active 1, 1003 active 1', 'prepared: nothing has happened');
sql("COMMIT PREPARED 'a'");
sql("ROLLBACK PREPARED 'b'");
is_soon($node, 'postgres', $of, '1001 active 5, 1002 aborted 1, 1003 active 1', 'committed: it has, and a rollback takes it back');
is_soon($node, 'postgres', 'SELECT seen FROM orders WHERE id = 1001', 5, '... and the row shows it');

# ---- a copy ----

my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'dump');
sql('CREATE DATABASE copy');
command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('copy'), '-f', $dump ], 'restore');
sub copy { return $node->safe_psql('copy', $_[0]) }
is(copy(q[SELECT result_columns, on_update, on_delete FROM workflow.attachments]), '{"seen": "$.amount"}|set_data|cancel', 'a copy knows what was asked for');
copy('UPDATE orders SET amount = 2 WHERE id = 1001');
copy('DELETE FROM orders WHERE id = 1003');
is(copy($of), '1001 active 2, 1002 aborted 1, 1003 aborted 1', '... and does it');
copy('SELECT workflow.adopt()');
is_soon($node, 'copy', 'SELECT seen FROM orders WHERE id = 1001', 2, '... and writes back, once it is adopted');

$node->stop;
done_testing();
