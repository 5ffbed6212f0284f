#
# Rows of a server that loads no library: logical replication brings them to tables that are attached with replicated => true, and what
# they show is written where they come from, through foreign tables.
#
# mostly waits
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use WorkflowTest;

my $provider = new_server('provider', extension => 0,
	conf => "shared_preload_libraries = ''\nwal_level = logical\nmax_wal_senders = 8\nmax_replication_slots = 8\n");
my $node = new_server('companion', conf => "max_logical_replication_workers = 8\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub there { return $provider->safe_psql('postgres', $_[0]) }
sub replicate { there($_[0]); $provider->wait_for_catchup('orders'); return }
sub soon { is_soon($node, 'postgres', @_); return }
sub soon_there { is_soon($provider, 'postgres', @_); return }
sub fails { my ($query, $pattern, $name) = @_; my ($rc, undef, $err) = $node->psql('postgres', $query); ok($rc != 0 && $err =~ $pattern, $name) or diag $err; return }

my $columns = 'id int PRIMARY KEY, amount numeric, note text, sn text, state text, instance bigint, receipt text';
there(qq[CREATE TABLE orders ($columns);
	CREATE TABLE parted ($columns) PARTITION BY RANGE (id);
	CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
	CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200);
	CREATE TABLE keyless (id int);
	INSERT INTO orders (id, amount) VALUES (1, 10);
	CREATE PUBLICATION orders FOR TABLE orders, parted]);
my $connection = sprintf 'host=%s port=%s dbname=postgres', $provider->host, $provider->port;
my $place = sprintf "host '%s', port '%s', dbname 'postgres'", $provider->host, $provider->port;
sql(qq[CREATE EXTENSION postgres_fdw;
	CREATE SERVER provider FOREIGN DATA WRAPPER postgres_fdw OPTIONS ($place, options '-c lock_timeout=1s');
	CREATE USER MAPPING FOR CURRENT_USER SERVER provider;
	CREATE SCHEMA provider;
	CREATE TABLE orders ($columns);
	CREATE TABLE parted ($columns) PARTITION BY RANGE (id);
	CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
	CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200);
	IMPORT FOREIGN SCHEMA public LIMIT TO (orders, parted, keyless) FROM SERVER provider INTO provider]);
sql(q[SELECT workflow.define('order', '{"steps": [{"step": "pay", "wait": true, "save": {"receipt": "${$result.response.receipt}"}},
	{"step": "ship", "wait": true}]}')]);

# ---- what cannot be attached ----

fails(q[SELECT workflow.attach('orders', 'order', 'sn', replicated => true)], qr/columns of a replicated table cannot be written here/, 'columns need a place where they are shown');
fails(q[SELECT workflow.attach('orders', 'order', show_in => 'provider.orders')], qr/show_in is given without replicated/, '... of rows that come from elsewhere');
fails(q[SELECT workflow.attach('orders', 'order', 'sn', replicated => true, show_in => 'provider.keyless')], qr/column "sn" of table "keyless" does not exist/, '... which has these columns');
sql('CREATE FOREIGN TABLE provider.other (id bigint, sn text) SERVER provider');
fails(q[SELECT workflow.attach('orders', 'order', 'sn', replicated => true, show_in => 'provider.other')], qr/column "id" of table "other" is of another type/, '... and the same key');
sql('CREATE ROLE stranger; ALTER FOREIGN TABLE provider.other OWNER TO stranger');
fails(q[SELECT workflow.attach('orders', 'order', 'sn', replicated => true, show_in => 'provider.other')], qr/belongs to another role/, '... and the same owner');

# ---- rows start instances, once ----

my $attach = q[SELECT workflow.attach(t, 'order', 'sn', NULL, 'state', 'instance', '{"receipt": "$.receipt"}', condition => '$.amount >= 10',
	on_update => 'set_data', on_delete => 'cancel', replicated => true, show_in => ('provider.' || t)::regclass) FROM unnest('{orders,parted}'::regclass[]) t];
sql($attach);
is(sql('SELECT relation, replicated, show_in FROM workflow.attachments ORDER BY 1'), "orders|t|provider.orders\nparted|t|provider.parted", 'that is what the view says');
is(sql(q[SELECT string_agg(DISTINCT tgenabled::text, '') FROM pg_trigger WHERE tgname LIKE '%workflow%' AND NOT tgisinternal]), 'A', 'triggers fire always');
fails(q[CREATE TABLE orders_too (id int PRIMARY KEY); SELECT workflow.attach('orders_too', 'order', 'sn', replicated => true, show_in => 'provider.orders')],
	qr/table "orders" shows the instances of another table/, 'each table shows its own');
sql("CREATE SUBSCRIPTION orders CONNECTION '$connection' PUBLICATION orders");
soon("SELECT string_agg(srsubstate::text, '') FROM pg_subscription_rel", $node->safe_psql('postgres', q[SELECT repeat('r', count(*)::int) FROM pg_subscription_rel]), 'the subscription is ready');
my $look = q[SELECT business_key, status, data ->> 'amount' FROM workflow.instances ORDER BY business_key::int];
is(sql($look), '1|active|10', 'a row that is copied at first starts an instance');
replicate('INSERT INTO orders (id, amount) VALUES (2, 20), (3, 3); INSERT INTO parted (id, amount) VALUES (4, 40)');
is(sql($look), "1|active|10\n2|active|20\n4|active|40", 'so do those that come later, if they meet the condition');
soon_there(q[SELECT count(*) FROM (SELECT sn, state, instance FROM orders UNION ALL SELECT sn, state, instance FROM parted) t WHERE state = 'active' AND sn LIKE instance || '\_%'], 3, 'their rows show it there');
$provider->wait_for_catchup('orders');
is(sql('SELECT count(*) FROM orders WHERE state IS NOT NULL'), 2, '... which comes back');
is(sql(q[SELECT count(*) FROM workflow.instances WHERE data ->> 'state' IS NOT NULL]), 0, '... and is no change of the data');
replicate(q[UPDATE orders SET note = 'new' WHERE id = 2; UPDATE orders SET amount = 30 WHERE id = 3]);
is(sql(q[SELECT business_key, data ->> 'note' FROM workflow.instances WHERE data ->> 'note' IS NOT NULL]), '2|new', 'an UPDATE changes the data, and starts nothing');
my $sn = there('SELECT sn FROM orders WHERE id = 2');
sql(qq[SELECT workflow.complete('$sn', '{"receipt": "r-2"}')]);
soon_there(q[SELECT receipt, sn <> '] . $sn . q[' FROM orders WHERE id = 2], 'r-2|t', 'results are written there');
replicate('DELETE FROM orders WHERE id = 1; UPDATE orders SET id = 12 WHERE id = 2');
is(sql($look), "1|aborted|10\n4|active|40\n12|active|20", 'a row is deleted, another has a new key') or diag sql($look);
soon('SELECT count(*) FROM workflow.write_backs', 0, 'nothing is owed');

# ---- a row that the replication brings before it can be seen where it comes from ----

# Who waits for a standby has written its commit, so that it is sent, and is still under way for others.
there(q[ALTER SYSTEM SET synchronous_standby_names = 'nobody']);
$provider->reload;
my $writer = Session->new($provider, 'postgres');
sleep 1; # until the checkpointer has seen it, too
$writer->tell(q[INSERT INTO orders (id, amount) VALUES (19, 19)]);
soon(q[SELECT count(*) FROM workflow.instances WHERE business_key = '19'], 1, 'it has started its instance');
my $owed = q[SELECT count(*), min(error) FROM workflow.write_backs WHERE business_key = '19'];
my $unseen = '1|the row cannot be seen where it comes from: It was replicated, and its deletion was not.';
soon($owed, $unseen, '... to which something is owed');
stays(1, sub { sql($owed) }, $unseen, '... for as long');
is(there('SELECT count(*) FROM orders WHERE id = 19'), 0, '... as it cannot be seen');
there(q[ALTER SYSTEM RESET synchronous_standby_names]);
$provider->reload;
$writer->hear;
soon_there('SELECT state, sn IS NOT NULL FROM orders WHERE id = 19', 'active|t', 'as soon as it is there it shows that');
soon('SELECT count(*) FROM workflow.write_backs', 0, 'and nothing is owed');
replicate('DELETE FROM orders WHERE id = 19');

# ---- rows that are refused do not stop the others ----

sql(q[SELECT workflow.detach('orders'); SELECT workflow.attach('orders', 'order', 'sn', NULL, 'state', condition => '$.note starts with "x" || $.note starts with "n"',
	on_update => 'set_data', on_delete => 'cancel', replicated => true, show_in => 'provider.orders')]);
replicate(q[INSERT INTO orders (id, amount, note) VALUES (20, 1, 'x'), (21, 1, NULL), (22, 1, 'xx')]);
is(sql(q[SELECT string_agg(business_key, ' ' ORDER BY instance) FROM workflow.instances WHERE business_key::int >= 20]), '20 22', 'a condition without an answer stops nothing');
is(sql('SELECT relation, process, business_key, operation, sqlstate FROM workflow.refused_rows'), 'orders|order|21|insert|22023', '... but the row is refused');
is(sql(q[SELECT value FROM workflow.metrics WHERE name = 'refused_rows']), 1, '... and counted');
my $stuck = slurp_file("$FindBin::Bin/../../docs/stuck.sql") =~ s/;\s*\z//r;
is(sql("SELECT kind, place, n, example FROM ($stuck) q WHERE kind = 'refused'"), 'refused|orders|1|orders', '... and found by docs/stuck.sql');
is(sql(q[SELECT workflow.retry_rows('orders')]), 0, 'it still is');
replicate(q[UPDATE orders SET note = 'nice' WHERE id = 21]);
is(sql(q[SELECT workflow.retry_rows('orders')]), 1, 'until its cause is mended');
is(sql(q[SELECT count(*), (SELECT data ->> 'note' FROM workflow.instances WHERE business_key = '21') FROM workflow.refused_rows]), '0|nice', '... and it has started its instance');
sql(q[CREATE ROLE clerk; GRANT CREATE ON SCHEMA public TO clerk; GRANT USAGE ON SCHEMA provider TO clerk; ALTER TABLE orders OWNER TO clerk; ALTER FOREIGN TABLE provider.orders OWNER TO clerk]);
replicate(q[INSERT INTO orders (id, note) VALUES (30, 'x'); UPDATE orders SET note = 'xy' WHERE id = 20; DELETE FROM orders WHERE id = 22; INSERT INTO parted (id, amount) VALUES (130, 30)]);
is(sql(q[SELECT business_key, operation, sqlstate FROM workflow.refused_rows ORDER BY since]), "30|insert|42501\n20|update|42501\n22|delete|42501", 'an owner without the right');
is(sql(q[SELECT count(*) FROM workflow.instances WHERE business_key = '130']), 1, '... is no matter to others');
sql(q[SELECT workflow.grant_process('order', 'clerk', 'start')]);
is(sql(q[SELECT workflow.retry_rows('orders')]), 3, 'with it all follows');
is(sql(q[SELECT business_key, status, data ->> 'note' FROM workflow.instances WHERE business_key IN ('30', '20', '22') ORDER BY business_key]), "20|active|xy\n22|aborted|xx\n30|active|x", '... for each what has become of it');
soon(q[SELECT count(*) > 0 FROM workflow.write_backs WHERE error LIKE '%user mapping%'], 't', 'the owner cannot write there without a user mapping');
sql(q[CREATE USER MAPPING FOR clerk SERVER provider OPTIONS (user '] . there('SELECT current_user') . q[', password_required 'false')]);
sql(q[GRANT USAGE ON FOREIGN SERVER provider TO clerk; SELECT workflow.write_back('orders')]);
soon_there('SELECT state, sn IS NOT NULL FROM orders WHERE id = 30', 'active|t', '... and does with one');

# ---- the provider is gone for a while ----

$provider->stop('immediate');
my $sn30 = sql(q[SELECT serial_number FROM workflow.waiting JOIN workflow.instances USING (instance) WHERE business_key = '30']);
sql(qq[SELECT workflow.complete('$sn30', '{"receipt": "r-30"}')]);
soon(q[SELECT count(*) FROM workflow.write_backs WHERE error IS NOT NULL], 1, 'what cannot be written is owed');
$provider->start;
sql(q[SELECT workflow.write_back('orders')]);
soon_there(q[SELECT sn <> '] . $sn30 . q[' FROM orders WHERE id = 30], 't', '... until it can');

# ---- crashes ----

$provider->wait_for_catchup('orders');
my $before = sql('SELECT count(*) FROM workflow.instances');
there(q[INSERT INTO orders (id, note) SELECT 1000 + n, 'x' FROM generate_series(1, 2000) n]);
$node->stop('immediate');
$node->start;
there(q[INSERT INTO orders (id, note) SELECT 4000 + n, 'x' FROM generate_series(1, 500) n]);
$node->stop('immediate');
$provider->stop('immediate');
$provider->start;
$node->start;
$provider->wait_for_catchup('orders');
is(sql('SELECT count(*) FROM workflow.instances') - $before, 2500, 'each row starts one instance, whatever crashes');
is(sql('SELECT count(*) FROM (SELECT business_key FROM workflow.instances GROUP BY business_key HAVING count(*) > 1) t'), 0, '... and not two');
soon_there(q[SELECT count(*) FROM orders WHERE id > 1000 AND sn IS NULL], 0, '... and all show it');
is(sql('SELECT count(*) FROM workflow.verify()'), 0, 'the rows agree');

# ---- TRUNCATE, and detaching ----

replicate('TRUNCATE orders');
soon(q[SELECT count(*) FROM workflow.instances i WHERE status = 'active' AND business_key::int >= 1000], 0, 'TRUNCATE cancels all');
sql(q[SELECT workflow.detach('orders'); SELECT workflow.detach('parted')]);
is(sql(q[SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%workflow%' AND NOT tgisinternal]), 0, 'nothing is left of it');
sql('DROP SUBSCRIPTION orders');
$node->stop;
$provider->stop;
done_testing();
