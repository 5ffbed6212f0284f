#
# What workflow.companion_sql makes: calls of a server that loads no library are rows of an outbox, each of which is carried out once, in
# order, and those that cannot be made stop nothing. And what is lost: a slot, a publication, the companion itself.
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
	conf => "shared_preload_libraries = ''\nwal_level = logical\nmax_wal_senders = 8\nmax_replication_slots = 8\nwal_retrieve_retry_interval = 500ms\n");
my $node = new_server('companion', conf => "max_logical_replication_workers = 8\nmax_wal_senders = 4\nwal_level = replica\nwal_retrieve_retry_interval = 500ms\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub there { return $provider->safe_psql('postgres', $_[0]) }
sub replicate { my $got = there($_[0]); $provider->wait_for_catchup('companion'); return $got }
sub soon { is_soon($node, 'postgres', @_); return }
sub soon_there { is_soon($provider, 'postgres', @_); return }
sub fails { my ($on, $query, $pattern, $name) = @_; my ($rc, undef, $err) = $on->psql('postgres', $query); ok($rc != 0 && $err =~ $pattern, $name) or diag $err; return }

my $table = 'CREATE TABLE orders (id int PRIMARY KEY, amount numeric, sn text, state text, receipt text); CREATE TABLE keyless (id int);';
there("$table CREATE ROLE companion LOGIN REPLICATION; CREATE ROLE app; GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO app");
my $place = sprintf "host '%s', port '%s', dbname 'postgres'", $provider->host, $provider->port;
my $connection = sprintf 'host=%s port=%s dbname=postgres user=companion', $provider->host, $provider->port;
sql(qq[$table CREATE EXTENSION postgres_fdw;
	CREATE SERVER provider FOREIGN DATA WRAPPER postgres_fdw OPTIONS ($place, options '-c lock_timeout=1s');
	CREATE USER MAPPING FOR CURRENT_USER SERVER provider OPTIONS (user 'companion');
	SELECT workflow.define('order', '{"steps": [{"step": "pay", "wait": true, "save": {"receipt": "\${\$result.response.receipt}"}}, {"step": "ship", "wait": true}]}')]);

# ---- the scripts ----

fails($node, q[SELECT workflow.companion_sql('provider', '{keyless}')], qr/table "keyless" has no primary key/, 'a table without a key');
fails($node, q[SELECT workflow.companion_sql('here', '{orders}')], qr/"here" is no side/, 'another side');
fails($node, q[SELECT workflow.companion_sql('provider', '{}')], qr/argument "tables" is empty/, 'no table');
sql('CREATE SCHEMA hr; CREATE TABLE hr.orders (id int PRIMARY KEY)');
fails($node, q[SELECT workflow.companion_sql('companion', '{orders,hr.orders}')], qr/two of the tables are called "orders"/, 'two tables of one name');
fails($node, q[CREATE ROLE stranger; GRANT USAGE ON SCHEMA workflow TO stranger; SET ROLE stranger; SELECT workflow.companion_sql('provider', '{orders}')], qr/must be owner of table orders/, 'a table of others');
sub scripts { there(sql(q[SELECT workflow.companion_sql('provider', '{orders}')])); sql(sql(q[SELECT workflow.companion_sql('companion', '{orders}')])); return }
scripts();
my $other = sql(q[SELECT workflow.companion_sql('companion', '{hr.orders}')]);
fails($node, $other, qr/foreign table provider.orders stands for a table of another schema than hr/, 'nor one after the other');
sql('DROP SCHEMA hr CASCADE');
my $attach = q[SELECT workflow.attach('orders', 'order', 'sn', NULL, 'state', result_columns => '{"receipt": "$.receipt"}', on_update => 'set_data', on_delete => 'cancel',
	replicated => true, show_in => 'provider.orders', existing => true)];
sql($attach);
scripts();
there('GRANT USAGE ON SCHEMA companion TO app; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA companion TO app');
my $subscribe = "CREATE SUBSCRIPTION companion CONNECTION '$connection' PUBLICATION companion";
sql($subscribe);
my $ready = q[SELECT count(*) FILTER (WHERE srsubstate = 'r') || ' of ' || count(*) FROM pg_subscription_rel];
soon($ready, '2 of 2', 'they may be run again, and the subscription is ready');

# ---- calls ----

my $as_app = 'SET ROLE app;';
there("$as_app INSERT INTO orders (id, amount) VALUES (1, 10)");
soon_there(q[SELECT state, sn IS NOT NULL FROM orders WHERE id = 1], 'active|t', 'a row shows its instance');
there("$as_app UPDATE orders SET sn = NULL, state = 'nonsense', receipt = 'none', amount = 11 WHERE id = 1");
is(there('SELECT amount, sn IS NULL, state, receipt FROM orders'), '11|f|active|', 'an application changes none of these columns');
my $sn = there('SELECT sn FROM orders WHERE id = 1');
there(qq[$as_app SELECT companion.complete('$sn', '{"receipt": "r-1"}')]);
soon_there(qq[SELECT receipt, sn <> '$sn' FROM orders WHERE id = 1], 'r-1|t', 'a call completes it');
# what the functions of workflow would refuse whoever calls
for ([ q[complete('1-1')], '22P02', 'malformed serial number: "1-1"' ], [ q[complete('5_0')], '22P02', 'malformed serial number: "5_0"' ], [ q[complete('9223372036854775808_1')], '22P02', 'malformed serial number' ], [ q[complete(NULL)], '22004', 'argument "serial_number" must not be null' ],
	[ q[fail('1_1', NULL)], '22004', 'argument "code" must not be null' ], [ q[fail('1_1', '')], '22023', 'an error code has 1 to 200 characters' ], [ q[fail(NULL)], '22004', 'argument "serial_number" must not be null' ],
	[ q[set_data(NULL, '{}')], '22004', 'argument "instance" must not be null' ], [ q[set_data(1, NULL)], '22004', 'argument "data" must not be null' ], [ q[set_data(1, '[]')], '22023', 'argument "data" must be a JSON object' ],
	[ q[cancel(NULL)], '22004', 'argument "instance" must not be null' ], [ q[send_message(NULL)], '22004', 'argument "name" must not be null' ], [ q[send_message('')], '22023', 'argument "name" must not be empty' ],
	[ q[send_message('a', ttl => '-1 s')], '22023', 'argument "ttl" must not be negative' ])
{
	fails($provider, "\\set VERBOSITY verbose\nSELECT companion.$_->[0]", qr/$_->[1]: \Q$_->[2]/, "$_->[0] is refused at once");
}
is(there('SELECT count(*) FROM companion.outbox'), 1, '... and is no call');
fails($provider, q[SET ROLE companion; INSERT INTO companion.outbox (call, arguments) VALUES ('cancel', '{}')], qr/permission denied/, 'and so are calls by hand');

# calls that belong together, in order; amid them some that cannot be made
my $instance = sql(q[SELECT instance FROM workflow.instances WHERE business_key = '1']);
my ($ship) = there('SELECT sn FROM orders WHERE id = 1');
replicate(qq[BEGIN; SELECT companion.set_data($instance, jsonb_build_object('n', n)) FROM generate_series(1, 50) n; SELECT companion.complete('999_999');
	SELECT companion.set_data(12345, '{}'); SELECT companion.send_message('nobody', 'x'); SELECT companion.fail('$ship', 'LOST', 'it is lost', '{"a": 1}', false); COMMIT]);
soon(q[SELECT data ->> 'n', status FROM workflow.instances WHERE business_key = '1'], '50|failed', 'they are made in order');
soon(q[SELECT count(*) FROM workflow.incidents WHERE error ->> 'code' = 'LOST'], 1, '... to the last one');
is(sql(q[SELECT call, problem FROM companion.outbox WHERE problem IS NOT NULL ORDER BY id]) =~ s/\d+_?\d*/N/gr, "complete|serial number N does not exist\nset_data|instance N does not exist", '... and those that cannot be made are recorded');
is(sql('SELECT count(*) FROM companion.calls WHERE state = \'failed\''), 2, '... and shown');
is(sql('SELECT companion.retry_calls()'), 0, '... and still cannot be made');
sql('SELECT companion.tell()');
is(there(q[SELECT call, state, error IS NOT NULL FROM companion.outbox WHERE state = 'failed' ORDER BY id]), "complete|failed|t\nset_data|failed|t", 'the provider is told of it');
is(there(q[SELECT count(*) FROM companion.outbox WHERE state IS NULL]), 0, '... and of the others');
is(there(q[SELECT string_agg(DISTINCT call || ' ' || answer, ', ') FROM companion.outbox WHERE state = 'done']), 'complete true, fail true, send_message missed, set_data true', '... with their answers');
sql(q[SELECT companion.tell('0')]);
$provider->wait_for_catchup('companion');
is(there('SELECT count(*) FROM companion.outbox') . sql('SELECT count(*) FROM companion.outbox'), '22', 'what is done is deleted, here as well');

# ---- the slot is gone ----

there(q[INSERT INTO orders (id, amount) VALUES (2, 20), (3, 30)]);
soon_there(q[SELECT count(*) FROM orders WHERE state = 'active'], 2, 'two more');
$provider->wait_for_catchup('companion');
sql('ALTER SUBSCRIPTION companion DISABLE');
is_soon($provider, 'postgres', q[SELECT count(*) FROM pg_stat_replication], 0, 'it is not read');
my $sn2 = there('SELECT sn FROM orders WHERE id = 2');
there(qq[SELECT pg_drop_replication_slot('companion'); INSERT INTO orders (id, amount) VALUES (4, 40); SELECT companion.complete('$sn2', '{"receipt": "r-2"}'); DELETE FROM orders WHERE id = 3]);
my $offset = -s $node->logfile;
sql('ALTER SUBSCRIPTION companion ENABLE');
$node->wait_for_log(qr/replication slot "companion" does not exist/, $offset);
pass('a slot that is gone is told in the log');

# as docs/companion.md says
sub begin_again
{
	sql(q[ALTER SUBSCRIPTION companion DISABLE; ALTER SUBSCRIPTION companion SET (slot_name = NONE); DROP SUBSCRIPTION companion]);
	sql(q[BEGIN; SELECT workflow.detach('orders'); TRUNCATE orders; COMMIT]);
	sql($subscribe);
	soon($ready, '2 of 2', 'it is copied anew');
	sql($attach);
	sql(q[SELECT workflow.cancel(i.instance, 'row deleted') FROM workflow.instances i WHERE i.status = 'active' AND i.process = 'order'
		AND NOT EXISTS (SELECT FROM orders o WHERE o.id::text = i.business_key)]);
	return;
}
begin_again();
soon_there(q[SELECT id, state, receipt FROM orders WHERE id > 1 ORDER BY id], "2|active|r-2\n4|active|", 'nothing is lost: the row has started, the call was made');
is(sql(q[SELECT business_key, status, count(*) FROM workflow.instances GROUP BY 1, 2 ORDER BY 1]), "1|failed|1\n2|active|1\n3|aborted|1\n4|active|1", '... once each');

# ---- the publication is dropped ----

$offset = -s $node->logfile;
there(q[DROP PUBLICATION companion; INSERT INTO orders (id, amount) VALUES (5, 50)]);
$node->wait_for_log(qr/publication "companion" does not exist|skipped loading publication "companion"/, $offset);
pass('a publication that is gone is told in the log');
scripts();
sql(q[ALTER SUBSCRIPTION companion DISABLE]);
is_soon($provider, 'postgres', q[SELECT count(*) FROM pg_stat_replication], 0, 'it is not read any more');
there(q[SELECT pg_drop_replication_slot('companion')]);
begin_again();
soon_there(q[SELECT state FROM orders WHERE id = 5], 'active', 'what came meanwhile is there');

# ---- the companion comes from a backup ----

$node->backup('before');
there(q[INSERT INTO orders (id, amount) VALUES (6, 60), (7, 70)]);
soon_there(q[SELECT count(*) FROM orders WHERE state = 'active' AND id > 5], 2, 'two that the backup has not');
my $sn6 = there('SELECT sn FROM orders WHERE id = 6');
$node->stop('immediate');
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($node, 'before', has_restoring => 0);
$restored->append_conf('postgresql.conf', sprintf "port = %d\n", $restored->port);
$restored->start;
$node = $restored;
there(q[INSERT INTO orders (id, amount) VALUES (8, 80)]);
soon_there(q[SELECT state FROM orders WHERE id = 8], 'active', 'it goes on');
sub missing { return sql(q[SELECT string_agg(id::text, ' ' ORDER BY id) FROM (SELECT id FROM provider.orders EXCEPT SELECT id FROM orders) m]) }
is(missing(), '6 7', '... but lacks what came after the backup, which a query tells');
sql(q[ALTER SUBSCRIPTION companion DISABLE]);
is_soon($provider, 'postgres', q[SELECT count(*) FROM pg_stat_replication], 0, 'nobody reads the slot');
there(q[SELECT pg_drop_replication_slot('companion')]);
begin_again();
is(missing(), '', 'all rows are there');
soon_there(q[SELECT count(*) FROM orders WHERE state = 'active' AND id IN (6, 7, 8)], 3, '... and have an instance');
soon_there(qq[SELECT sn <> '$sn6' FROM orders WHERE id = 6], 't', '... which is another one');
is(sql(q[SELECT count(*) FROM (SELECT business_key FROM workflow.instances GROUP BY business_key HAVING count(*) > 1) t]), 0, '... once each');
is(sql('SELECT count(*) FROM workflow.verify()'), 0, 'the rows agree');

sql('DROP SUBSCRIPTION companion');
$node->stop;
$provider->stop;
done_testing();
