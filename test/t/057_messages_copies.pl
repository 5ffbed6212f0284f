#
# Messages in copies: what was kept, offered or sent to all is whole there, and goes nowhere until the copy is adopted. Whoever sent it is
# known by his name.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('original', extension => 0);
$node->safe_psql('postgres', 'CREATE DATABASE shop; CREATE ROLE alice; CREATE ROLE bob');
add_extension($node, 'shop');
$node->safe_psql('shop', q[
	GRANT USAGE ON SCHEMA workflow TO alice, bob;
	SELECT workflow.define('mine', '{"steps": [{"step": "wait", "wait": {"message": "m", "key": "${$.k}"}, "save": {"got": "${$event.data}", "from": "${$event.role}"}}, {"step": "end", "wait": true}]}');
	SELECT workflow.define('heard', '{"steps": [{"step": "wait", "wait": {"signal": "s"}}, {"step": "end", "wait": true}]}');
	SELECT workflow.define('born', '{"start_on": [{"message": "born"}, {"message": "born", "key": 7, "business_key": "${$event.role}"}], "steps": [{"step": "live", "wait": true}]}');
	SELECT workflow.grant_process('mine', 'bob', 'complete');
	SELECT workflow.grant_process('born', 'bob', 'start');
	SELECT workflow.start('mine', '{"k": "offered"}');
	SELECT workflow.suspend(instance) FROM workflow.instances WHERE process = 'mine';
	SET ROLE bob;
	SELECT workflow.send_message('m', 'kept', '1', ttl => '1 h', message_id => 'one');
	SELECT workflow.send_message('m', 'offered', '2', ttl => '1 h', message_id => 'two');
	RESET ROLE;
]);
is($node->safe_psql('shop', "SELECT name, key, sender, data FROM workflow.messages ORDER BY message"), "m|kept|bob|1\nm|offered|bob|2", 'the original');
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('shop') ], 'pg_dump');

# on another server, where alice has the number of bob
my $other = new_server('other', extension => 0);
$other->safe_psql('postgres', 'CREATE ROLE bob; CREATE ROLE alice; CREATE DATABASE shop');
$other->command_ok([ 'pg_restore', '--exit-on-error', '-d', $other->connstr('shop'), $dump ], 'pg_restore');
sub shop { return $other->safe_psql('shop', $_[0]) }
is(shop("SELECT name, key, sender, data FROM workflow.messages ORDER BY message"), "m|kept|bob|1\nm|offered|bob|2", 'the copy is whole');
is(shop("SET ROLE alice; SELECT count(*) FROM workflow.messages"), 0, '... and shows no role what belongs to another one with its number');
is(shop("SET ROLE bob; SELECT count(*) FROM workflow.messages"), 2, '... but what is its own');
is(shop("SET ROLE bob; SELECT workflow.send_message('m', 'kept', message_id => 'one')"), 'duplicate', '... and a message_id is remembered');

# clients may go on, workers do not
shop("SELECT workflow.start('mine', '{\"k\": \"kept\"}'); SELECT workflow.start('heard'); SELECT workflow.send_signal('s'); SELECT workflow.resume(instance) FROM workflow.instances WHERE status = 'suspended'");
stays(1.5, sub { shop("SELECT string_agg(step, ' ') FROM workflow.visits") }, 'wait wait wait', 'nothing is delivered in a copy');
is(shop("SELECT workflow.start('mine', '{\"k\": \"direct\"}') > 0"), 't', 'a message by a client');
is(shop("SELECT workflow.send_message('m', 'direct', '3')"), 'delivered', '... is delivered, as a callback is');

is(shop("SET ROLE bob; SELECT workflow.send_message('born', data => '{\"n\": 1}')"), 'delivered', '... starts an instance, as workflow.start does');
is(shop("SET ROLE bob; SELECT workflow.send_message('born', '7', to_all => true)"), 'queued', '... but an executor does not');
is(shop("SET ROLE alice; SELECT workflow.send_message('born', '7', to_all => true)"), 'missed', '... nor for a role with the number of another one');
stays(1, sub { shop("SELECT count(*) FROM workflow.instances WHERE process = 'born'") }, 1, '... so far');

shop('SELECT workflow.adopt()');
is_soon($other, 'shop', "SELECT business_key FROM workflow.instances WHERE process = 'born' AND business_key IS NOT NULL", 'bob', 'adopted: the executor starts it');
is_soon($other, 'shop', "SELECT string_agg(step, ' ') FROM workflow.visits WHERE process <> 'born'", 'end end end end', 'adopted: everything is delivered');
is(shop("SELECT data ->> 'got', data ->> 'from' FROM workflow.instances WHERE process = 'mine' AND data ->> 'k' <> 'direct' ORDER BY data ->> 'got'"), "1|bob\n2|bob", '... as it was sent');
is(shop("SET ROLE bob; SELECT workflow.send_message('m', 'offered', message_id => 'two')"), 'duplicate', '... and is remembered');
is(shop("SELECT count(*) FROM workflow_data.message m JOIN pg_roles r ON r.oid = m.role WHERE r.rolname = m.role_name"), 2, '... under the number that its sender has now');
is($node->safe_psql('shop', 'SELECT count(*) FROM workflow.messages'), 2, 'the original did not notice');

$node->stop;
$other->stop;
done_testing();
